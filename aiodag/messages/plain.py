"""Values as plain JSON, without a word of what they were: what leaves aiodag in a message.

Records of a store name the types of values, so that they come back as they were. Messages do not: programs in other
languages read and write them, and who receives one says what it is to be (`fitting.py`, the way back).
"""

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

from aiodag.codec.classes import is_named_tuple
from aiodag.codec.foreign import package_of
from aiodag.codec.kinds import base64_of
from aiodag.codec.registered import REGISTERED
from aiodag.errors import PayloadRefused
from aiodag.secret import Secret

DEEPEST = 100  # containers in containers
AS_IT_IS = frozenset({str, int, bool, type(None)})
LISTS = (list, tuple, deque)
SETS = (set, frozenset)
MODELS = ("pydantic", "msgspec")  # packages whose values make JSON of themselves
FORMS: dict[type, Callable[[Any], Any]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: timedelta.total_seconds,
    Decimal: str,
    UUID: str,
    Fraction: str,
    bytes: base64_of,
    bytearray: base64_of,
}


class NotYet(PayloadRefused):
    """Raised for what holds an awaitable, whose value may be sent when it is there."""


def json_text(plain: object) -> str:
    """Return plain JSON as the text of a message: short, and ASCII, so that every store takes it."""
    return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def as_plain(value: object, where: str = "payload", depth: int = 0) -> Any:
    """Return a value as plain JSON. Raises `PayloadRefused`, with its place, for what JSON has no form for."""
    kind = type(value)
    if kind in AS_IT_IS:
        return value
    if depth > DEEPEST:
        raise PayloadRefused(f"it is nested more than {DEEPEST} deep")
    if isinstance(value, Enum):
        return as_plain(value.value, where, depth)
    if isinstance(value, dict):
        return plain_object(value.items(), where, depth)
    if is_named_tuple(kind):
        return plain_object(((name, getattr(value, name)) for name in kind._fields), where, depth)  # type: ignore[attr-defined]  # as was asked
    if isinstance(value, LISTS):
        return [as_plain(each, f"{where}[{place}]", depth + 1) for place, each in enumerate(value)]
    if isinstance(value, SETS):  # in an order that is the same in every process
        return sorted((as_plain(each, f"{where}[...]", depth + 1) for each in value), key=json_text)
    names = names_of_fields(kind)
    if names is not None:
        return plain_object(((name, getattr(value, name)) for name in names), where, depth)
    return plain_scalar(value, kind, where, depth)


def plain_object(pairs: "Iterable[tuple[Any, Any]]", where: str, depth: int) -> dict[str, Any]:
    """Return keys and values as an object of JSON, in which keys are texts."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        name = as_plain(key, f"a key of {where}", depth + 1)
        if type(name) is not str:
            name = json_text(name)
        if name in made:
            raise PayloadRefused(f"{where} has two keys that are {name!r} in JSON")
        made[name] = as_plain(value, f"{where}.{name}", depth + 1)
    return made


def names_of_fields(kind: type) -> list[str] | None:
    """Return the names under which a class of fields is made again; None for a class of another kind."""
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in fields(kind) if field.init]
    attributes: Any = getattr(kind, "__attrs_attrs__", None)
    return None if attributes is None else [each.name for each in attributes if each.init]


def plain_scalar(value: Any, kind: type, where: str, depth: int) -> Any:
    """Return what holds no other values as plain JSON."""
    form = FORMS.get(kind)
    if form is not None:
        return form(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        raise PayloadRefused(f"{where} is {value}, and JSON has finite numbers only")
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    registered = REGISTERED.of(kind)
    if registered is not None:
        return as_plain(registered.encode(value), where, depth + 1)
    package = package_of(kind)
    if package is not None and package.tag in MODELS:
        return json.loads(package.form(value, kind)[1])
    if isinstance(value, Secret):
        raise PayloadRefused(f"{where} is a Secret: whoever needs it reads it where it is kept")
    if hasattr(kind, "__await__"):
        raise NotYet(f"{where} is awaitable: send its value")
    raise PayloadRefused(
        f"{where} is of type {kind.__qualname__}, for which JSON has no form: send plain values, or something made of "
        "dataclasses, named tuples, Enum, datetime, UUID, Decimal and the like; register_codec() adds types"
    )
