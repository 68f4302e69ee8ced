"""Functions of expressions for texts: how long a result will be is known before it is made."""

import re
from collections.abc import Callable
from typing import Any

from aiodag.workflows.expressions.values import LARGEST_RESULT, Unfit, bounded_text, is_in, show_value, text_of_value

FORMAT_PART = re.compile(r"\{\{|\}\}|\{(\d{1,4})\}|[{}]")


def text_only(value: object, name: str) -> str:
    """Return a text. Raises `Unfit` for anything else."""
    if isinstance(value, str):
        return bounded_text(value)
    raise Unfit(f"{name} takes a text, and this is {show_value(value)}: | str makes one")


def method_of_texts(name: str, change: Callable[[str], str]) -> Callable[[object], str]:
    """Return a function of one text."""

    def call(value: object) -> str:
        return bounded_text(change(text_only(value, name)))

    return call


def trim_text(value: object, characters: object = None) -> str:
    """Return a text without spaces, or some characters, at its ends."""
    return text_only(value, "trim").strip(None if characters is None else text_only(characters, "trim"))


def replace_text(value: object, old: object, new: object) -> str:
    """Return a text with another one in all places of one."""
    text, gone, there = (text_only(each, "replace") for each in (value, old, new))
    if not gone:
        raise Unfit("replace: nothing is to be replaced, the first text is empty")
    if len(text) + text.count(gone) * (len(there) - len(gone)) > LARGEST_RESULT:
        raise Unfit(f"replace gives more than {LARGEST_RESULT:,} characters")
    return text.replace(gone, there)


def starts_with(value: object, start: object) -> bool:
    """Return True if a text begins with another."""
    return text_only(value, "startsWith").startswith(text_only(start, "startsWith"))


def ends_with(value: object, end: object) -> bool:
    """Return True if a text ends with another."""
    return text_only(value, "endsWith").endswith(text_only(end, "endsWith"))


def contains(container: object, item: object) -> bool:
    """Return True if a text has another in it, a list an item, or a map a key."""
    return is_in(item, container)


def format_text(pattern: object, *values: object) -> str:
    """Return a text with values in the places {0}, {1}, …; {{ and }} are one bracket."""
    text, parts, place, size = text_only(pattern, "format"), list[str](), 0, 0
    for match in FORMAT_PART.finditer(text):
        parts += text[place : match.start()], format_place(match, values)
        size += len(parts[-1])
        place = match.end()
        if size > LARGEST_RESULT:
            raise Unfit(f"format gives more than {LARGEST_RESULT:,} characters")
    return bounded_text("".join([*parts, text[place:]]))


def format_place(match: re.Match[str], values: tuple[object, ...]) -> str:
    """Return what comes into a place."""
    if match[1] is None:
        if len(match[0]) == 1:
            raise Unfit(f"format: a single {match[0]} in the text; {match[0] * 2} stands for one")
        return match[0][0]
    if int(match[1]) >= len(values):
        raise Unfit(f"format: {match[0]} has no value: {len(values)} were given, counted from 0")
    return text_of_value(values[int(match[1])])


def join_texts(values: object, separator: object = ",") -> str:
    """Return the items of a list as one text, with a separator between them."""
    if not isinstance(values, list | tuple):
        raise Unfit(f"join takes a list, and this is {show_value(values)}")
    between, texts = text_only(separator, "join"), list[str]()
    left = LARGEST_RESULT
    for value in values:
        texts.append(text_of_value(value))
        left -= len(texts[-1]) + len(between)
        if left + len(between) < 0:
            raise Unfit(f"join gives more than {LARGEST_RESULT:,} characters")
    return between.join(texts)


def split_text(value: object, separator: object = None) -> list[str]:
    """Return the parts of a text between separators; between spaces where none is given."""
    between = None if separator is None else text_only(separator, "split")
    if between == "":
        raise Unfit("split: the separator is empty")
    return text_only(value, "split").split(between)


OF_TEXTS: dict[str, Callable[..., Any]] = {
    "lower": method_of_texts("lower", str.lower),
    "upper": method_of_texts("upper", str.upper),
    "title": method_of_texts("title", str.title),
    "trim": trim_text,
    "replace": replace_text,
    "startsWith": starts_with,
    "endsWith": ends_with,
    "contains": contains,
    "format": format_text,
    "join": join_texts,
    "split": split_text,
}
