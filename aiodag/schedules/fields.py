"""The fields of a cron expression: which numbers, names and marks each of them takes."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from aiodag.wording import printable

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NUMBER = re.compile(r"\d{1,4}", re.ASCII)
SHOWN = 40  # characters of a wrong text that a message repeats


class Field(NamedTuple):
    """One field: what it is called, its numbers from `low` to `high`, and the names that stand for some of them.

    `most` is the largest number that may be written: 7 is Sunday, too.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    most: int = 0

    @property
    def range_text(self) -> str:
        """What the field takes, for messages."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.most or self.high}{names}"


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, MONTHS)
WEEKDAY = Field("day-of-week", 0, 6, WEEKDAYS, most=7)
YEAR = Field("year", 1970, 2199)


class FieldFault(ValueError):
    """Raised when a part of a field cannot be read."""


def shown_text(text: str) -> str:
    """Return a wrong text for a message: in quotes, printable and not longer than a line."""
    return f"'{printable(text if len(text) <= SHOWN else text[: SHOWN - 1] + '…')}'"


def shown_thing(thing: object) -> str:
    """Return a wrong value for a message: a text as it is, anything else as Python writes it, if it can."""
    try:
        return shown_text(thing if isinstance(thing, str) else repr(thing))
    except ValueError:  # a number of more digits than Python writes
        return f"a huge {type(thing).__name__}"


def read_numbers(field: Field, text: str) -> frozenset[int]:
    """Return the numbers of a field such as `*/15`, `MON-FRI` or `1,5/20`. Raises `FieldFault`."""
    return frozenset(number for part in text.split(",") for number in read_part(field, part))


def read_part(field: Field, part: str) -> Iterable[int]:
    """Return the numbers of one part of a list: a number, a range or `*`, each with or without a step."""
    span, slash, step_text = part.partition("/")
    first, last = read_span(field, span, open_ended=bool(slash))
    step = read_step(field, step_text) if slash else 1
    size = field.high - field.low + 1
    return (field.low + (number - field.low) % size for number in range(first, last + 1, step))


def read_span(field: Field, span: str, *, open_ended: bool) -> tuple[int, int]:
    """Return the first and the last number of a part. The last one is above `high` where a range goes over the week end."""
    if span == "*":
        return field.low, field.high
    start, dash, end = span.partition("-")
    first = read_number(field, start)
    if not dash:
        return first, max(first, field.high) if open_ended else first
    last = read_number(field, end)
    if first <= last:
        return first, last
    if field is WEEKDAY:
        return first, last + 7
    raise FieldFault(
        f"{field.name} {shown_text(span)}: ends before it starts; write {start}-{field.high},{field.low}-{end}"
    )


def read_step(field: Field, text: str) -> int:
    """Return the step behind a slash. One that is larger than the field never steps, and is refused."""
    size = field.high - field.low + 1
    if not NUMBER.fullmatch(text) or not 1 <= int(text) <= size:
        raise FieldFault(
            f"{field.name} step {shown_text(text)}: 1 to {size}; a longer interval is written every: SECONDS, Every(seconds)"
        )
    return int(text)


def read_number(field: Field, text: str) -> int:
    """Return the number of a field, written as a number or by its name."""
    if (name := text.upper()) in field.names:
        return field.low + field.names.index(name)
    if NUMBER.fullmatch(text) and field.low <= int(text) <= (field.most or field.high):
        return int(text)
    raise FieldFault(f"{field.name} {shown_text(text)}: {field.range_text}{near_name(field, text)}")


def near_name(field: Field, text: str) -> str:
    """Return a suggestion for a name that is nearly one: `MONDAY`, `SPT`."""
    start = text.upper()[:3]
    near = [start] if start in field.names else get_close_matches(start, field.names, 1, 0.6)
    return f"; did you mean {near[0]}?" if near and text[:1].isalpha() else ""
