"""By which fields an instance of a class is made: of a dataclass, a named tuple, a `TypedDict`, a class of attrs."""

import typing
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

from aiodag.codec.classes import is_named_tuple


class Member(NamedTuple):
    """One field of a class: its name, what it is passed as, and whether it has to be there."""

    name: str
    passed_as: str
    required: bool


def members_of(kind: Any) -> list[Member] | None:
    """Return the fields with which an instance of a class is made; None where it has none."""
    if typing.is_typeddict(kind):
        return [Member(name, name, name in kind.__required_keys__) for name in kind.__annotations__]
    if is_named_tuple(kind):
        return [Member(name, name, name not in kind._field_defaults) for name in kind._fields]
    if hasattr(kind, "__dataclass_fields__"):
        return [
            Member(each.name, each.name, each.default is MISSING and each.default_factory is MISSING)
            for each in fields(kind)
            if each.init
        ]
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is None:
        return None
    return [
        Member(each.name, each.alias, each.default.__class__.__name__ == "_Nothing") for each in attributes if each.init
    ]
