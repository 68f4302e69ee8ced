"""Numbers of numpy as records: their type, and what they are in plain Python.

Who reads them without numpy gets the plain number.
"""

from typing import Any

import numpy as np

from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType

PLAIN = "biufc"  # bool, int, unsigned, float, complex
TIMES = "mM"


def scalar_form(value: Any, kind: type) -> tuple[str, Any]:
    """Return the tag and the parts of a number. Raises `RefusedType` for an array, and for what is none of these."""
    if issubclass(kind, np.ndarray):
        raise RefusedType(kind, "is an array: return its .tolist(), or save it in a file and return the path")
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


NUMPY = ForeignPackage("numpy", scalar_form, read_scalar)
