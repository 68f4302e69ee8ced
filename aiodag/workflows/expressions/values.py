"""What values mean in expressions: their kinds, when they are equal or true, how they are written, and how large they may be."""

import json
import math
import operator
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from aiodag.secret import Secret
from aiodag.workflows.expressions.lexemes import LARGEST_NUMBER, cut_part

LARGEST_RESULT = 1_000_000  # characters of all texts in a value, with 8 for anything else in it
MOST_WORK = 10_000_000  # characters that one expression looks through, in all its steps
COMPARED = 200  # names of a map that a missing one is compared with
LISTED = 8  # names of a map that a message lists
KINDS_OF_VALUES: tuple[tuple[Any, str], ...] = (
    (bool, "a bool"),
    ((int, float), "a number"),
    (str, "a text"),
    (datetime, "a datetime"),
    (date, "a date"),
    (Mapping, "a map"),
    ((list, tuple), "a list"),
    (Secret, "a secret"),
)
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIELDS_OF_DATES = ("year", "month", "day", "weekday")
FIELDS_OF_DATETIMES = (*FIELDS_OF_DATES, "hour", "minute", "second", "date", "timestamp")


class Unfit(Exception):
    """Carries why an expression has no value to where its text is known."""


class Missing(Unfit):
    """Says that a path leads to nothing: `default` takes its place."""


def kind_of_value(value: object) -> str:
    """Return what a value is, in the words of messages.

    >>> [kind_of_value(each) for each in (None, True, 2, "x", [], {})]
    ['null', 'a bool', 'a number', 'a text', 'a list', 'a map']
    """
    if value is None:
        return "null"
    return next((words for kinds, words in KINDS_OF_VALUES if isinstance(value, kinds)), f"a {type(value).__name__}")


def show_value(value: object) -> str:
    """Return a value for a message: texts and numbers as they are written, of anything else its kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {cut_part(value)!r}"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST_NUMBER):
        return f"the number {value!r}"
    return kind_of_value(value)


def is_true(value: object) -> bool:
    """Return False for null, false, 0 and what is empty. Raises `Unfit` for a secret."""
    refuse_secrets(value)
    if isinstance(value, Mapping | list | tuple | str):
        return len(value) > 0
    return value is not None and value is not False and value != 0


def refuse_secrets(*values: object) -> None:
    """Raise `Unfit` for a secret: an expression that looks at it would say something of it."""
    for value in values:
        if isinstance(value, Secret):
            raise Unfit(f"{value!r} can be passed on or put into a text: an expression cannot look at it")


# Equal, less


def are_equal(one: object, other: object) -> bool:
    """Return True if two values are the same: of different kinds they never are. Iterative, whatever their depth."""
    refuse_secrets(one, other)
    left = [(one, other)]
    while left:
        first, second = left.pop()
        if kind_of_value(first) != kind_of_value(second):
            return False
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            if first.keys() != second.keys():
                return False
            left += [(first[key], second[key]) for key in first]
        elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
            if len(first) != len(second):
                return False
            left += zip(first, second, strict=True)
        elif in_utc(first) != in_utc(second):
            return False
    return True


def in_utc(value: object) -> object:
    """Return a moment in UTC: Python compares those of one zone by its wall clock, which shows an hour twice."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def stand_in_order(one: Any, sign: str, other: Any) -> bool:
    """Return True if two values stand in an order, such as `<`. Raises `Unfit` for those that have none."""
    refuse_secrets(one, other)
    kinds = {kind_of_value(one), kind_of_value(other)}
    if len(kinds) > 1 or not kinds <= {"a number", "a text", "a date", "a datetime"}:
        raise Unfit(
            f"{show_value(one)} {sign} {show_value(other)}: two numbers, texts, dates or datetimes have an order"
        )
    if isinstance(one, datetime) and (one.tzinfo is None) != (other.tzinfo is None):
        raise Unfit(f"{one.isoformat()} {sign} {other.isoformat()}: only one of them has a timezone")
    return bool(ORDERS[sign](in_utc(one), in_utc(other)))


def is_in(item: object, container: object) -> bool:
    """Return True if a text has another in it, a list an item, or a map a key. Raises `Unfit` for anything else."""
    refuse_secrets(item, container)
    if isinstance(container, str):
        if not isinstance(item, str):
            raise Unfit(f"{show_value(item)} in {show_value(container)}: a text has texts in it")
        return item in container
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    if isinstance(container, list | tuple):
        return any(not isinstance(each, Secret) and are_equal(item, each) for each in container)
    raise Unfit(f"{show_value(container)} has nothing in it: that takes a list, a map or a text")


# Numbers


def is_numeric(value: object) -> bool:
    """Return True for a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def bounded_number(value: Any) -> Any:
    """Return a number. Raises `Unfit` if it is too large, or not a number any more."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("gives a number that is too large, or none at all")
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise Unfit("gives a number that is too large: numbers reach to 10^30")
    return value


# Texts


def text_of_value(value: Any) -> str:
    """Return a value as it stands in a text: null as nothing, lists and maps as JSON, moments in ISO 8601.

    >>> text_of_value(None), text_of_value(True), text_of_value(2.50), text_of_value(["a", 1])
    ('', 'true', '2.5', '["a", 1]')
    """
    if isinstance(value, str):
        return bounded_text(value)
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(bounded_number(value))
    if isinstance(value, float):
        return repr(value)
    return value.isoformat() if isinstance(value, date) else to_json_text(value)


def bounded_text(text: str) -> str:
    """Return a text. Raises `Unfit` if it is too long."""
    if len(text) > LARGEST_RESULT:
        raise Unfit(f"gives a text of {len(text):,} characters: {LARGEST_RESULT:,} are the most")
    return text


def to_json_text(value: object, indent: int | None = None) -> str:
    """Return a value as JSON, with moments as texts. Raises `Unfit`."""
    bounded_value(value)
    try:
        return bounded_text(json.dumps(plain_copy(value), ensure_ascii=False, indent=indent, allow_nan=False))
    except (RecursionError, ValueError) as error:
        raise Unfit(f"cannot be written as JSON: {error}") from None


def plain_copy(value: object, depth: int = 0) -> object:
    """Return a value as JSON has it: mappings of any kind as dicts, moments as texts. Raises `Unfit`."""
    if depth > 100:
        raise Unfit("is nested deeper than 100 levels, and cannot be written as JSON")
    if isinstance(value, Mapping):
        return {str(key): plain_copy(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_copy(each, depth + 1) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise Unfit(f"{kind_of_value(value)} cannot be written as JSON")


def bounded_value(value: Any) -> Any:
    """Return a value as it is. Raises `Unfit` if it is too large to be passed around in expressions."""
    if size_of_value(value, LARGEST_RESULT) > LARGEST_RESULT:
        raise Unfit(f"gives more than {LARGEST_RESULT:,} characters")
    return value


def size_of_value(value: object, limit: int) -> int:
    """Return how large a value is: the characters of its texts, and 8 for anything else in it. Stops above a limit."""
    if isinstance(value, str):
        return len(value)
    size, left = 0, [value]
    while left and size <= limit:
        each = left.pop()
        size += len(each) if isinstance(each, str) else 8
        if isinstance(each, Mapping):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            left += each
    return size


class Work:
    """How much an expression may still look at: values are bounded, and so is how often it goes through them."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_WORK

    def spend(self, *values: object) -> None:
        """Count values that are looked through. Raises `Unfit` where it is too much."""
        for value in values:
            self.left -= 1 + size_of_value(value, self.left)
        if self.left < 0:
            raise Unfit(f"looks through more than {MOST_WORK:,} characters in all")


# Paths


def value_at(value: Any, key: Any, path: str) -> Any:
    """Return what a key leads to: only into maps, lists and the fields of moments, never to an attribute of an object.

    `path` names the value in messages. Raises `Missing` if nothing is there, `Unfit` if nothing can be.
    """
    if isinstance(value, Mapping):
        if isinstance(key, str) and key in value:
            return value[key]
        raise Missing(f"{path} has no {show_key(key)}{hint_for(key, value.keys())}")
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        raise Missing(f"{path} has {len(value):,} items, and none at {show_key(key)}")
    if isinstance(value, date) and isinstance(key, str):
        return field_of_moment(value, key, path)
    if value is None:
        raise Missing(f"{path} is null, and has no {show_key(key)}")
    refuse_secrets(value)
    raise Unfit(
        f"{path} is {show_value(value)}, and has no {show_key(key)}{', but items [0], [1], …' * is_list(value)}"
    )


def is_list(value: object) -> bool:
    """Return True for a list."""
    return isinstance(value, list | tuple)


def show_key(key: object) -> str:
    """Return a key for a message."""
    return repr(cut_part(key)) if isinstance(key, str) else f"[{cut_part(text_of_value(key))}]"


def field_of_moment(moment: date, name: str, path: str) -> Any:
    """Return a field of a date or a datetime; weekdays are 1 (Monday) to 7."""
    fields = FIELDS_OF_DATETIMES if isinstance(moment, datetime) else FIELDS_OF_DATES
    if name not in fields:
        raise Missing(f"{path} is {kind_of_value(moment)}, and has no {name!r}; it has {', '.join(fields)}")
    if name == "weekday":
        return moment.isoweekday()
    if isinstance(moment, datetime) and name in {"date", "timestamp"}:
        return moment.date() if name == "date" else moment.timestamp()
    return getattr(moment, name)


def hint_for(key: object, known: Collection[Any]) -> str:
    """Return what was meant by a name that is not there, or what there is."""
    names = [each for each in known if isinstance(each, str)][:COMPARED]
    if isinstance(key, str) and len(key) <= 200:
        front, dash, _ = key.partition("-")
        if dash and front in known:
            return f"; a difference has spaces around its sign: {front} - …"
        near = get_close_matches(key, [name for name in names if len(name) <= 200], n=1)
        if near:
            return f"; did you mean {near[0]!r}?"
    shown = ", ".join(repr(cut_part(name)) for name in names[:LISTED])
    return f"; it has {shown}{', …' * (len(known) > LISTED)}" if shown else "; it is empty"
