"""Kinds of values that hold no other values: how each is written, and made again.

`parts` gives something simpler, out of which `build` makes an equal value. What `build` is given comes from a text that
anybody may have written: it raises any `Exception` where that does not fit.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from aiodag.codec.refusals import RefusedType

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


class Kind(NamedTuple):
    """How values of one type are written."""

    tag: str
    parts: Callable[[Any], Any]
    build: Callable[[Any], Any]


def base64_of(value: bytes | bytearray) -> str:
    """Write bytes."""
    return b64encode(value).decode("ascii")


def read_bytes(text: str) -> bytes:
    """Read bytes."""
    return b64decode(checked_text(text), validate=True)


def checked_list(parts: object, length: int = -1) -> list[Any]:
    """Return parts that must be a list, of that length if one is given."""
    if type(parts) is not list or length not in {-1, len(parts)}:
        msg = f"expected a list{'' if length < 0 else f' of {length}'}"
        raise ValueError(msg)
    return parts


def checked_text(parts: object) -> str:
    """Return parts that must be a string."""
    if type(parts) is not str:
        msg = "expected a string"
        raise ValueError(msg)
    return parts


def moment_parts(value: datetime | time) -> Any:
    """Write a moment as ISO 8601 with its offset; and with what that does not say, where there is more to it."""
    zone = value.tzinfo
    if zone is None:
        return [value.isoformat(), value.fold, None, None] if value.fold else value.isoformat()
    if type(zone) is ZoneInfo and zone.key:
        return [value.isoformat(), value.fold, zone.key, None]
    offset = value.utcoffset()
    if offset is None:
        raise RefusedType(type(zone), "is a time zone that gives no offset here")
    name = None if value.tzname() == timezone(offset).tzname(None) else value.tzname()
    if offset and abs(offset) < SECOND:  # fromisoformat() takes that for UTC
        return [value.replace(tzinfo=None).isoformat(), value.fold, None, name, offset // MICROSECOND]
    return [value.isoformat(), value.fold, None, name] if value.fold or name else value.isoformat()


def read_moment(kind: type[datetime] | type[time], parts: object) -> datetime | time:
    """Read a moment."""
    if type(parts) is str:
        return kind.fromisoformat(parts)
    text, fold, key, name, *microseconds = checked_list(parts)
    value = kind.fromisoformat(text).replace(fold=fold)
    if key is not None:
        return in_zone(value, ZoneInfo(key))
    offset = MICROSECOND * sum(microseconds) if microseconds else value.utcoffset()
    if offset is None:
        return value
    return value.replace(tzinfo=timezone(offset) if name is None else timezone(offset, name))


def in_zone(value: datetime | time, zone: ZoneInfo) -> datetime | time:
    """Put a moment into its zone. Where the rules of the zone have changed since, it is the moment that stays."""
    placed = value.replace(tzinfo=zone)
    if isinstance(value, datetime) and placed.utcoffset() != value.utcoffset():
        return value.astimezone(zone)
    return placed


def decimal_text(value: Decimal) -> str:
    """Write a Decimal, whatever the context of the thread says about capitals."""
    return str(value).replace("e", "E")


def path_kind(kind: type[PurePosixPath] | type[PureWindowsPath]) -> Kind:
    """Describe a kind of path."""
    return Kind(kind.__name__, str, lambda parts: kind(checked_text(parts)))


KINDS: dict[type, Kind] = {
    bytes: Kind("bytes", base64_of, read_bytes),
    bytearray: Kind("bytearray", base64_of, lambda parts: bytearray(read_bytes(parts))),
    complex: Kind("complex", lambda value: [value.real, value.imag], lambda parts: complex(*checked_list(parts, 2))),
    range: Kind(
        "range", lambda value: [value.start, value.stop, value.step], lambda parts: range(*checked_list(parts, 3))
    ),
    datetime: Kind("datetime", moment_parts, partial(read_moment, datetime)),
    time: Kind("time", moment_parts, partial(read_moment, time)),
    date: Kind("date", date.isoformat, date.fromisoformat),
    timedelta: Kind(
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*checked_list(parts, 3)),
    ),
    Decimal: Kind("Decimal", decimal_text, lambda parts: Decimal(checked_text(parts))),
    Fraction: Kind(
        "Fraction", lambda value: [value.numerator, value.denominator], lambda parts: Fraction(*checked_list(parts, 2))
    ),
    UUID: Kind("UUID", str, lambda parts: UUID(checked_text(parts))),
    PurePosixPath: path_kind(PurePosixPath),
    PureWindowsPath: path_kind(PureWindowsPath),
    PosixPath: path_kind(PosixPath),
    WindowsPath: path_kind(WindowsPath),
}
