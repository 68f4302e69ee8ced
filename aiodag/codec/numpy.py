"""Numbers of numpy as records: their type, and what they are in plain Python. Arrays as bytes.

Who reads numbers without numpy gets the plain number.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType

PLAIN = "biufc"  # bool, int, unsigned, float, complex
TIMES = "mM"
HEADER = 2**16  # bytes: the header of an array is shorter


def scalar_form(value: Any, kind: type) -> tuple[str, Any]:
    """Return the tag and the parts of a number. Raises `RefusedType` for an array, and for what is none of these."""
    if issubclass(kind, np.ndarray):
        raise RefusedType(
            kind,
            "is an array: take its .tolist(); or have a task return it in a run with a place for large values, "
            "Run(values=...), where it is a file",
        )
    if kind.__module__ != "numpy" or not issubclass(kind, np.generic) or value.dtype.kind not in PLAIN + TIMES:
        raise RefusedType(kind, "is not a number: return its .item()")
    name = value.dtype.name
    if value.dtype.kind in TIMES:
        return "numpy", [name, int(value.astype(np.int64))]
    plain = value.item()
    return "numpy", [
        name,
        plain if type(plain).__module__ == "builtins" else str(plain),
    ]  # of more digits than Python's


def read_scalar(_: object, parts: list[Any]) -> Any:
    """Make a number again. Raises any `Exception` where that cannot be."""
    name, plain = parts
    kind = np.dtype(name)
    if kind.kind in TIMES:
        return np.asarray(plain, np.int64).astype(kind)[()]
    if kind.kind not in PLAIN:
        msg = f"{name} is not a number"
        raise ValueError(msg)
    return kind.type(plain)


def npy_parts(array: Any) -> Sequence[bytes | memoryview]:
    """Return the header and the content of an array, as `numpy.save` writes them."""
    in_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    array = array if in_columns else np.ascontiguousarray(array).reshape(array.shape)
    header = BytesIO()
    np.lib.format.write_array_header_2_0(header, np.lib.format.header_data_from_array_1_0(array))
    content = (array.T if in_columns else array).reshape(-1).view(np.uint8)
    return header.getvalue(), memoryview(content)


def array_of_npy(content: bytearray) -> Any:
    """Return the array, in the memory of these bytes, that `numpy.save` wrote. Raises `ValueError` for anything else, and for pickled objects."""
    file = BytesIO(memoryview(content)[:HEADER])
    version = np.lib.format.read_magic(file)
    if version != (2, 0):
        msg = f"version {version} of the format is not written here"
        raise ValueError(msg)
    shape, in_columns, kind = np.lib.format.read_array_header_2_0(file)
    if kind.hasobject:
        msg = "it holds Python objects"
        raise ValueError(msg)
    flat = np.frombuffer(memoryview(content)[file.tell() :], dtype=kind)
    return flat.reshape(shape, order="F" if in_columns else "C")


NUMPY = ForeignPackage("numpy", scalar_form, read_scalar)
