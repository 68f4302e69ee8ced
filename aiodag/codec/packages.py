"""How values of a package that need not be installed are recorded."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class ForeignPackage(NamedTuple):
    """What the file for a package knows."""

    tag: str
    form: Callable[[Any, type], tuple[str, Any]]  # the tag and the parts of a value
    read: Callable[[Any, Any], Any]  # a value of a class, of its parts
    model: type | None = None  # of the values that have fields
    fields: Callable[[Any], Mapping[str, Any]] | None = None
