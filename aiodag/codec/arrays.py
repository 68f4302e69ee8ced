"""Arrays of numpy as bytes, in the format of `numpy.save`: without a copy on the way out, and never pickled."""

import sys
from collections.abc import Sequence
from typing import Any

NPY = "npy"  # how records call the format


def is_array(value: object) -> bool:
    """Return True for an array of numpy that is nothing but numbers, texts or moments."""
    kind = type(value)
    if kind.__name__ != "ndarray" or kind.__module__ != "numpy" or "numpy" not in sys.modules:
        return False
    array: Any = value
    return not array.dtype.hasobject


def array_parts(array: object) -> Sequence[bytes | memoryview]:
    """Return an array as parts of bytes, which share its memory if that is in order."""
    from aiodag.codec.numpy import npy_parts  # noqa: PLC0415 - it imports numpy, which need not be installed

    return npy_parts(array)


def read_array(content: bytearray) -> Any:
    """Return the array of its bytes, which become its memory. Raises any `Exception` for others."""
    from aiodag.codec.numpy import array_of_npy  # noqa: PLC0415 - as above

    return array_of_npy(content)
