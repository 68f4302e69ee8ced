"""Instances of classes that users write: members of an Enum, named tuples, dataclasses. Taken apart, and put together.

A class is named in the record and looked up among what is loaded. No code of it runs when an instance is made again: the
values are put where `__init__` has put them.
"""

import sys
from collections.abc import Container, Iterable
from dataclasses import MISSING, Field, fields
from enum import Enum, Flag
from functools import cached_property, reduce
from operator import or_
from typing import Any

from aiodag.codec.foreign import load_package
from aiodag.codec.kinds import checked_list, checked_text
from aiodag.codec.refusals import RefusedType
from aiodag.errors import Undecodable
from aiodag.names import found_class, import_name

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set for what is written in Python

# Fields that a release has added to a named tuple of ours: they are recorded, and count in keys, only where they hold something.
# So what an earlier release has recorded is known again.
LATER_FIELDS: dict[str, dict[str, Any]] = {"aiodag:GraphNode": {"waits": ""}}


def is_named_tuple(kind: type) -> bool:
    """Return True if instances are named tuples."""
    return issubclass(kind, tuple) and type(getattr(kind, "_fields", None)) is tuple


def is_dataclass(kind: type) -> bool:
    """Return True if instances are dataclasses that can be made without their `__init__`."""
    return hasattr(kind, "__dataclass_fields__") and not issubclass(kind, Enum) and made_by_object(kind)


def made_by_object(kind: type) -> bool:
    """Return True if `object.__new__` makes instances: no base of the class is a built-in type."""
    # `__base__` is the base that decides how an instance is laid out
    while kind.__flags__ & HEAP_TYPE and kind.__base__ is not None:
        kind = kind.__base__
    return kind is object


def member_names(member: Enum) -> list[str]:
    """Return the name of a member, or all names in a combination of flags."""
    kind = type(member)
    if kind.__members__.get(member.name) is member:
        return [member.name]
    names = [str(each.name) for each in member] if isinstance(member, Flag) else []
    if not isinstance(member, Flag) or member_of(kind, names) != member:
        raise RefusedType(kind, "is a member without a name")
    return names


def member_of(kind: Any, names: list[str]) -> Any:
    """Return the one member, or the combination of flags."""
    if len(names) == 1:
        return kind.__members__[names[0]]
    return reduce(or_, (kind.__members__[name] for name in names), kind(0))


def tuple_items(value: Any, kind: Any) -> list[tuple[str, Any]]:
    """Return the names and values of a named tuple."""
    if getattr(value, "__dict__", None):
        raise RefusedType(kind, "has attributes besides its fields")
    items = list(zip(kind._fields, tuple.__iter__(value), strict=True))
    later = LATER_FIELDS.get(import_name(kind))
    return items if later is None else [(name, each) for name, each in items if later.get(name, MISSING) != each]


def known_fields(kind: Any) -> "dict[str, Field[Any]]":
    """Return the fields of a dataclass by name; the pseudo-fields ClassVar and InitVar are none."""
    return {field.name: field for field in fields(kind)}


def further_attributes(value: object, kind: type, known: Container[str]) -> dict[str, Any]:
    """Return what an instance holds besides its fields, such as what `__post_init__` has put there."""
    further = {name: each for name, each in getattr(value, "__dict__", {}).items() if name not in known}
    if not further:
        return further
    if not all(map(str.isidentifier, further)):
        raise RefusedType(kind, "has an attribute whose name is not an identifier")
    return {name: each for name, each in further.items() if name[:2] != "__" and not is_cached(kind, name)}


def is_cached(kind: type, name: str) -> bool:
    """Return True if an attribute is only kept so that it need not be computed again."""
    return isinstance(getattr(kind, name, None), cached_property)


def field_values(value: object, kind: type, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Return the names of fields of a dataclass, and what they hold."""
    try:
        return [(name, getattr(value, name)) for name in names]
    except AttributeError as error:
        raise RefusedType(kind, f"has a field without a value: {error}") from None


def class_named(name: Any, wanted: str) -> type:
    """Return the loaded class of that name. Raises `Undecodable`."""
    kind = found_class(checked_text(name))
    if kind is None:
        raise Undecodable(f"no loaded module has the {wanted} {name}", name, loaded=False)
    return kind


def describe_change(name: str, why: str) -> Undecodable:
    """Return the error for a class that is not what it was when the value was recorded."""
    return Undecodable(f"{name} has changed since it was recorded: {why}", name)


def member(parts: object) -> Any:
    """Make a member of an Enum again, or a combination of flags."""
    name, *names = checked_list(parts)
    kind = class_named(name, "Enum")
    if not issubclass(kind, Enum) or not (len(names) == 1 or issubclass(kind, Flag)):
        raise describe_change(name, "it is not the Enum it was")
    missing = [each for each in names if each not in kind.__members__]
    if missing:
        raise describe_change(name, f"it has no member {', '.join(map(str, missing))}")
    return member_of(kind, names)


def named_tuple(parts: object) -> Any:
    """Make a named tuple again."""
    name, values = checked_list(parts, 2)
    kind: Any = class_named(name, "named tuple")
    if not is_named_tuple(kind):
        raise describe_change(name, "it is not a named tuple")
    values = {**LATER_FIELDS.get(import_name(kind), {}), **fields_in(values)}
    if set(kind._fields) != set(values):
        raise describe_change(name, f"its fields are {', '.join(kind._fields)}, recorded are {', '.join(values)}")
    return tuple.__new__(kind, [values[field] for field in kind._fields])


def dataclass_instance(parts: object) -> Any:
    """Make an instance of a dataclass again, without its `__init__`. A field that the class has gained takes its default."""
    name, values, *further = checked_list(parts)
    kind = class_named(name, "dataclass")
    if not is_dataclass(kind):
        raise describe_change(name, "it is not a dataclass that can be made without its __init__")
    known = known_fields(kind)
    if not fields_in(values).keys() <= known.keys():
        raise describe_change(name, f"it has no field {', '.join(values.keys() - known.keys())}")
    value: Any = object.__new__(kind)
    for field in known.values():
        # not setattr(), which frozen classes forbid and others may have code behind
        object.__setattr__(value, field.name, values[field.name] if field.name in values else default(name, field))
    if further:
        vars(value).update(fields_in(*further))
    return value


def is_attrs(kind: type) -> bool:
    """Return True if a class is one of attrs, whose instances can be made without their `__init__`."""
    return type(getattr(kind, "__attrs_attrs__", None)).__base__ is tuple and made_by_object(kind)


def attribute_names(kind: Any, *, compared: bool = False) -> list[str]:
    """Return the names of an attrs class's attributes: all of them, or those that it compares."""
    return [str(each.name) for each in kind.__attrs_attrs__ if each.eq or not compared]


def attrs_instance(parts: object) -> Any:
    """Make an instance of a class of attrs again, without its `__init__`."""
    name, values = checked_list(parts, 2)
    kind: Any = class_named(name, "class of attrs")
    if not is_attrs(kind):
        raise describe_change(name, "it is not an attrs class that can be made without its __init__")
    if set(attribute_names(kind)) != fields_in(values).keys():
        raise describe_change(
            name, f"its attributes are {', '.join(attribute_names(kind))}, recorded are {', '.join(values)}"
        )
    value: Any = object.__new__(kind)
    for attribute, each in values.items():
        object.__setattr__(value, attribute, each)
    return value


def plain_number(value: Any, kind: type) -> int | float:
    """Return the plain number of an instance of a class that extends `int` or `float`."""
    if vars(value) if hasattr(value, "__dict__") else has_slots(kind):
        raise RefusedType(kind, "is a number with attributes")
    return int.__index__(value) if isinstance(value, int) else float.__float__(value)


def has_slots(kind: type) -> bool:
    """Return True if instances have attributes in slots."""
    return any(vars(each).get("__slots__") for each in kind.__mro__)


def rebuild_number(parts: object) -> Any:
    """Make an instance of a class that extends `int` or `float` again, without its `__init__`."""
    name, plain = checked_list(parts, 2)
    kind: Any = class_named(name, "number")
    base: Any = type(plain)
    if base not in {int, float} or not issubclass(kind, base) or issubclass(kind, Enum | bool):
        raise describe_change(name, "it is not a number of that kind")
    make: Any = base.__new__
    return make(kind, plain)


def foreign(package: str, parts: object) -> Any:
    """Make a value of another package again. One of numpy is a plain number where numpy is not loaded."""
    name, form = checked_list(parts, 2)
    if package == "numpy":
        return load_package(package).read(None, [checked_text(name), form]) if package in sys.modules else form
    kind = class_named(name, f"class of {package}")
    return load_package(package).read(kind, checked_text(form))


def default(name: str, field: "Field[Any]") -> Any:
    """Return the default of a field that is not in the record."""
    if field.default is MISSING:
        raise describe_change(name, f"it has a new field {field.name} without a default")
    return field.default


def fields_in(values: object) -> dict[str, Any]:
    """Return recorded attributes, which must be a dict."""
    if type(values) is not dict:
        msg = "expected attributes by name"
        raise ValueError(msg)
    return values
