"""Functions of expressions for lists and maps."""

from collections.abc import Callable, Mapping
from typing import Any

from aiodag.workflows.expressions.conversions import to_int
from aiodag.workflows.expressions.values import Missing, Unfit, show_value

LONGEST_RANGE = 10_000


def length(value: object) -> int:
    """Return how many characters a text, or items a list or a map has."""
    if isinstance(value, str | Mapping | list | tuple):
        return len(value)
    raise Unfit(f"len takes a text, a list or a map, and this is {show_value(value)}")


def first_item(values: object) -> Any:
    """Return the first item of a list, or the first character of a text."""
    return item_at(values, 0, "first")


def last_item(values: object) -> Any:
    """Return the last item of a list, or the last character of a text."""
    return item_at(values, -1, "last")


def item_at(values: object, place: int, name: str) -> Any:
    """Return an item of a list or a text."""
    if not isinstance(values, str | list | tuple):
        raise Unfit(f"{name} takes a list or a text, and this is {show_value(values)}")
    if not values:
        raise Missing(f"{name} of a list or a text that is empty")
    return values[place]


def keys_of_map(mapping: object) -> list[str]:
    """Return the keys of a map."""
    return list(only_map(mapping, "keys"))


def values_of_map(mapping: object) -> list[Any]:
    """Return the values of a map."""
    return list(only_map(mapping, "values").values())


def only_map(value: object, name: str) -> Mapping[str, Any]:
    """Return a map. Raises `Unfit` for anything else."""
    if isinstance(value, Mapping):
        return value
    raise Unfit(f"{name} takes a map, and this is {show_value(value)}")


def to_list(value: object) -> list[Any]:
    """Return a list: of a map its keys, of a text its characters; anything else alone, and null as an empty one."""
    if isinstance(value, str | Mapping | list | tuple):
        return list(value)
    return [] if value is None else [value]


def count_up(start: object, stop: object = None, step: object = 1) -> list[int]:
    """Return whole numbers: range(3) is [0, 1, 2], range(1, 4) is [1, 2, 3]."""
    begin, end = (0, to_int(start)) if stop is None else (to_int(start), to_int(stop))
    pace = to_int(step)
    if pace == 0:
        raise Unfit("range: the step is 0")
    numbers = range(begin, end, pace)
    if max(0, (end - begin) // pace) > LONGEST_RANGE:
        raise Unfit(f"range gives more than {LONGEST_RANGE:,} numbers")
    return list(numbers)


OF_LISTS: dict[str, Callable[..., Any]] = {
    "len": length,
    "length": length,
    "first": first_item,
    "last": last_item,
    "keys": keys_of_map,
    "values": values_of_map,
    "list": to_list,
    "range": count_up,
}
