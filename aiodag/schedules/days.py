"""Which days of a month an expression names: numbers, `L`, `L-3`, `15W`, `LW`, `5L`, `5#3`, and both fields together."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from aiodag.schedules.fields import DAY, WEEKDAY, FieldFault, read_number, read_numbers, shown_text

BACK = re.compile(r"L(?:-(\d{1,2}))?", re.ASCII)
NEAREST = re.compile(r"(\d{1,2}|L)W", re.ASCII)
PLACE = re.compile(r"(\w+)#(\w*)", re.ASCII)
FINAL = re.compile(r"(\w+)L", re.ASCII)
LAST = -1


class DayMark(NamedTuple):
    """One thing that a field says of days, and its numbers.

    `day` is a day of the month, `back` one counted from its end (0 is the last), `nearest` the Monday to Friday nearest to a day
    (0 is the last day), `weekday` a day of the week, all of the month or the one at `place` (-1 is the last).
    """

    kind: str
    number: int
    place: int = 0


class DayRule(NamedTuple):
    """What both fields say of days. A day is in `both` of them, or in either."""

    month: frozenset[DayMark]
    week: frozenset[DayMark]
    both: bool


def in_both(day: str, weekday: str) -> bool:
    """Return True if a day must be in both fields: as in Debian's cron, if one of them starts with `*` (or is `?`)."""
    return any(text == "?" or text.startswith("*") for text in (day, weekday))


def read_marks(text: str, read: Callable[[str], Iterable[DayMark]], faults: list[str]) -> frozenset[DayMark]:
    """Return what the parts of a field say. What is wrong with them is added to `faults`."""
    found: set[DayMark] = set()
    for part in ("*" if text == "?" else text).split(","):
        try:
            found.update(read(part))
        except FieldFault as fault:
            faults.append(str(fault))
    return frozenset(found)


def read_day(part: str) -> Iterable[DayMark]:
    """Return what a part of the field day-of-month says."""
    upper = part.upper()
    if found := BACK.fullmatch(upper):
        return [DayMark("back", int(found[1] or 0))]
    if found := NEAREST.fullmatch(upper):
        return [DayMark("nearest", 0 if found[1] == "L" else read_number(DAY, found[1]))]
    return (DayMark("day", number) for number in read_numbers(DAY, part))


def read_weekday(part: str) -> Iterable[DayMark]:
    """Return what a part of the field day-of-week says."""
    upper = part.upper()
    if found := PLACE.fullmatch(upper):
        if found[2] not in set("12345"):
            raise FieldFault(
                f"day-of-week {shown_text(part)}: 1 to 5 follow the #; the last one is written {found[1]}L"
            )
        return [DayMark("weekday", read_number(WEEKDAY, found[1]) % 7, int(found[2]))]
    if found := FINAL.fullmatch(upper):
        return [DayMark("weekday", read_number(WEEKDAY, found[1]) % 7, LAST)]
    if upper.startswith("L"):
        raise FieldFault(f"day-of-week {shown_text(part)}: L follows a day: 5L is the last Friday of a month")
    return (DayMark("weekday", number) for number in read_numbers(WEEKDAY, part))


@lru_cache(maxsize=4096)
def days_of(rule: DayRule, first: int, length: int) -> tuple[int, ...]:
    """Return the days of a month of `length` days whose first day is the weekday `first` (Sunday is 0), in order."""
    month, week = (
        {day for mark in marks for day in days_of_mark(mark, first, length) if 1 <= day <= length}
        for marks in (rule.month, rule.week)
    )
    return tuple(sorted(month & week if rule.both else month | week))


def days_of_mark(mark: DayMark, first: int, length: int) -> Iterable[int]:
    """Return the days that one mark names. They may lie outside of the month."""
    if mark.kind == "day":
        return [mark.number]
    if mark.kind == "back":
        return [length - mark.number]
    if mark.kind == "nearest":
        return [nearest_working_day(mark.number or length, first, length)]
    days = range(1 + (mark.number - first) % 7, length + 1, 7)
    if mark.place > len(days):
        return []
    return [days[mark.place - 1 if mark.place > 0 else LAST]] if mark.place else days


def nearest_working_day(day: int, first: int, length: int) -> int:
    """Return the Monday to Friday nearest to a day, in the same month, or 0 where the month has no such day."""
    if day > length:
        return 0
    weekday = (first + day - 1) % 7
    if weekday == 6:  # Saturday
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day
