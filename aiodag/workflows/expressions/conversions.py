"""Functions of expressions that make a value one of another kind, and those of numbers and moments."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiodag.workflows.expressions.lexemes import cut_part
from aiodag.workflows.expressions.values import (
    Unfit,
    bounded_number,
    bounded_text,
    bounded_value,
    is_numeric,
    is_true,
    show_value,
    stand_in_order,
    text_of_value,
    to_json_text,
)

TRUTHS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
NUMBER_TEXT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LONGEST_NUMBER = 40  # characters of a number in a text
# What strftime has on every system; a width, as in %9999999Y, could ask it for a text of any length.
DATE_FORMAT = re.compile(r"[^%]|%[aAbBdHIjmMpSfzZYyGuVUWwcxX%]")
NUMBER_FORMAT = re.compile(r"[<>=^]?[+\- ]?0?\d{0,2}[,_]?(?:\.\d{1,2})?[a-zA-Z%]?")
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
LONGEST_SHIFT = 10**11  # seconds: some 3,000 years
DEEPEST_JSON = 100


def to_number(value: object) -> Any:
    """Return a number: as it is, or read from a text."""
    if is_numeric(value):
        return bounded_number(value)
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER and NUMBER_TEXT.fullmatch(value.strip()):
        digits = value.strip()
        return bounded_number(int(digits) if digits.lstrip("+-").isdecimal() else float(digits))
    raise Unfit(f"{show_value(value)} is not a number")


def to_int(value: object) -> int:
    """Return a whole number: what stands behind the point is cut off, and a text must be one."""
    if isinstance(value, bool):
        return int(value)
    number = to_number(value)
    if isinstance(value, str) and isinstance(number, float):
        raise Unfit(f"{show_value(value)} is not a whole number: | float | int cuts off what stands behind the point")
    return int(number)


def to_float(value: object) -> float:
    """Return a number with a point."""
    return float(value) if isinstance(value, bool) else float(to_number(value))


def to_bool(value: object) -> bool:
    """Return true or false: of a text by what it says, of anything else whether it is empty or 0."""
    if not isinstance(value, str):
        return is_true(value)
    found = TRUTHS.get(value.strip().lower())
    if found is None and value.strip():
        raise Unfit(f"{show_value(value)} is neither true nor false: the texts for them are {', '.join(TRUTHS)}")
    return bool(found)


def absolute(value: object) -> Any:
    """Return a number without its sign."""
    return abs(to_number(value))


def rounded(value: object, digits: object = 0) -> Any:
    """Return a number rounded to some digits behind the point: without any it is whole. Halves go to the even one."""
    places = to_int(digits)
    if not -30 <= places <= 30:
        raise Unfit(f"round to {places} digits: -30 to 30 work")
    number = to_number(value)
    return bounded_number(round(number, places) if places else round(number))


def extreme(sign: str) -> Callable[..., Any]:
    """Return the function for the least or the largest of several values, or of those in one list."""

    def find(first: object, *others: object) -> Any:
        values = list(first) if isinstance(first, list | tuple) and not others else [first, *others]
        if not values:
            raise Unfit("an empty list has no smallest or largest item")
        found = values[0]
        for each in values[1:]:
            found = each if stand_in_order(each, sign, found) else found
        return found

    return find


# JSON


def to_json(value: object, indent: object = None) -> str:
    """Return a value as JSON, in one line or indented by some spaces."""
    spaces = None if indent is None else to_int(indent)
    if spaces is not None and not 0 <= spaces <= 8:
        raise Unfit("JSON is indented by 0 to 8 spaces")
    return to_json_text(value, spaces)


def from_json(text: object) -> Any:
    """Return the value of a JSON text."""
    if not isinstance(text, str):
        raise Unfit(f"fromJSON takes a text, and this is {show_value(text)}")
    bounded_text(text)
    if depth_of_json(text) > DEEPEST_JSON:
        raise Unfit(f"the JSON is nested deeper than {DEEPEST_JSON} levels")
    try:
        return bounded_value(json.loads(text, parse_int=json_number, parse_constant=refuse_json_constant))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{cut_part(text)!r} is not valid JSON: {error}") from None


def depth_of_json(text: str) -> int:
    """Return how deep a text may be nested at most: brackets in texts are counted, too."""
    return (
        max(text.count("["), text.count("{"))
        if text.count("[") + text.count("{") <= DEEPEST_JSON
        else deepest_bracket(text)
    )


def deepest_bracket(text: str) -> int:
    """Return how many brackets are open at once, without those in texts."""
    depth = deepest = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.DOTALL):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def json_number(digits: str) -> int:
    """Return a whole number of a JSON text."""
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("a number in it is too large")
    return int(digits)


def refuse_json_constant(name: str) -> Any:
    """Raise for NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"it does not have {name}")


# Moments


def to_date(value: object) -> date:
    """Return a date: of a datetime, or of a text such as 2024-01-31."""
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else to_datetime(value).date()


def to_datetime(value: object) -> datetime:
    """Return a datetime: of a date its midnight, or of a text in ISO 8601; in UTC where nothing else is said."""
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER:
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise Unfit(f"{show_value(value)} is not a date or a datetime, such as 2024-01-31T08:30:00+01:00") from None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise Unfit(f"{show_value(value)} is not a date or a datetime, such as 2024-01-31")


def formatted(value: object, pattern: object = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a moment in a pattern of strftime, such as '%Y%m%d', or a number in one of Python, such as ',.2f'."""
    if not isinstance(pattern, str) or len(pattern) > 1000:
        raise Unfit(f"fmt takes a pattern such as '%Y%m%d', and this is {show_value(pattern)}")
    if is_numeric(value):
        return format_number(bounded_number(value), pattern)
    moment = value if isinstance(value, date) else to_datetime(value)
    wrong = DATE_FORMAT.sub("", pattern)
    if wrong:
        raise Unfit(
            f"fmt: {cut_part(pattern[pattern.index(wrong[0]) :])!r} is not a part of a pattern such as '%Y%m%d'"
        )
    return bounded_text(moment.strftime(pattern))


def format_number(number: Any, pattern: str) -> str:
    """Return a number in a pattern."""
    try:
        if NUMBER_FORMAT.fullmatch(pattern):
            return format(number, pattern)
    except (ValueError, OverflowError):
        pass
    raise Unfit(f"fmt: {cut_part(pattern)!r} is not a pattern for a number, such as ',.2f' or '05d'")


def to_iso(value: object) -> str:
    """Return a moment in ISO 8601."""
    return value.isoformat() if isinstance(value, date) else to_datetime(value).isoformat()


def shifted(value: object, count: object, unit: object) -> date:
    """Return the moment that is `count` seconds, minutes, hours, days or weeks later; with one below 0 it is earlier."""
    size = UNITS.get(unit.removesuffix("s")) if isinstance(unit, str) else None
    if size is None:
        raise Unfit(f"shift takes one of {', '.join(UNITS)}, and this is {show_value(unit)}")
    seconds = to_number(count) * size
    moment = value if isinstance(value, date) else to_datetime(value)
    if not isinstance(moment, datetime) and seconds % 86400:
        moment = to_datetime(moment)
    try:
        if abs(seconds) <= LONGEST_SHIFT:
            return moment + timedelta(seconds=seconds)
    except OverflowError:
        pass
    raise Unfit(f"shift by {show_value(count)} {unit}: that leads out of the calendar")


def to_text(value: object) -> str:
    """Return a value as it stands in a text."""
    return text_of_value(value)


CONVERSIONS: dict[str, Callable[..., Any]] = {
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "str": to_text,
    "abs": absolute,
    "round": rounded,
    "min": extreme("<"),
    "max": extreme(">"),
    "json": to_json,
    "toJSON": to_json,
    "fromjson": from_json,
    "fromJSON": from_json,
    "date": to_date,
    "datetime": to_datetime,
    "fmt": formatted,
    "isoformat": to_iso,
    "shift": shifted,
}
