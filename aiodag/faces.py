"""Have public names say where people import them from, and not in which file they are written."""

from collections.abc import Mapping
from types import FunctionType
from typing import Any


def publish(module: str, names: Mapping[str, Any], file: str = "") -> None:
    """Give the classes and functions of a face its name as their `__module__`: those of files below it, or of one `file`.

    Tracebacks, `repr` and recorded values then have the public path, and a file can move without changing them.
    """
    for name, thing in names.items():
        if (
            not name.startswith("_")
            and isinstance(thing, type | FunctionType)
            and (thing.__module__ == file or thing.__module__.startswith(f"{module}."))
        ):
            thing.__module__ = module
