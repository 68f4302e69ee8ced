"""Read the values of arguments from the text that people type, as the annotations of a function say."""

import enum
import inspect
import json
import types
import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

PLAIN: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    Path: Path,
    Decimal: Decimal,
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    timedelta: lambda text: timedelta(seconds=float(text)),
}
CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def convert_text(text: str, hint: Any) -> Any:
    """Return what a text stands for.

    >>> convert_text("3", int), convert_text("yes", bool), convert_text("[1, 2]", list[int]), convert_text("x", str)
    (3, True, [1, 2], 'x')
    """
    if hint in {Any, str, inspect.Parameter.empty, object}:
        return text
    if hint is bool:
        return truth(text)
    if hint in PLAIN:
        return PLAIN[hint](text)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[text] if text in hint.__members__ else hint(text)
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return first_that_fits(text, typing.get_args(hint))
    if origin is typing.Literal:
        return choice_of(text, typing.get_args(hint))
    if origin is typing.Annotated:
        return convert_text(text, typing.get_args(hint)[0])
    if (origin or hint) in CONTAINERS:
        return convert_container(text, origin or hint, typing.get_args(hint))
    msg = "its type cannot be read from text; give the task a parameter of a plain type"
    raise ValueError(msg)


def convert_container(text: str, kind: Any, hints: Sequence[Any]) -> Any:
    """Return a container that is written as JSON, or plainly with commas, with elements of the type that is annotated.

    >>> convert_container("a, b", list, (str,)), convert_container('["a, b"]', list, (str,)), convert_container("1,2", set, (int,))
    (['a', 'b'], ['a, b'], {1, 2})
    """
    if kind is not dict and not text.lstrip().startswith("["):
        each = hints[0] if len(hints) == 1 or hints[-1:] == (...,) else str
        return kind(convert_text(part.strip(), each) for part in text.split(",") if part.strip())
    form = 'an object in JSON, such as {"a": 1}' if kind is dict else 'a list in JSON, such as ["a", "b"], or just a,b'
    try:
        value = json.loads(text)
    except ValueError as error:
        msg = f"write {form} ({error})"
        raise TypeError(msg) from None
    if type(value) is not (dict if kind is dict else list):
        msg = f"write {form}"
        raise TypeError(msg)
    # The type of the elements: the last one, but for tuple[int, ...] and tuple[int, str], which is not looked into.
    wanted = hints[0] if hints[-1:] == (...,) else hints[-1] if hints and kind is not tuple else object
    wanted = (int, float) if wanted is float else wanted
    for element in value.values() if type(value) is dict else value:
        if isinstance(wanted, type | tuple) and typing.get_origin(wanted) is None and not isinstance(element, wanted):
            msg = f"{element!r} is not of that type"
            raise TypeError(msg)
    return value if kind in {list, dict} else kind(value)


def truth(text: str) -> bool:
    """Return a yes or no."""
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    msg = "write true or false"
    raise ValueError(msg)


def first_that_fits(text: str, hints: Sequence[Any]) -> Any:
    """Return what a text is in the first type of a union that takes it; `none` for None."""
    if type(None) in hints and text.lower() in {"none", ""}:
        return None
    for hint in sorted(hints, key=lambda hint: hint is str):  # a str takes everything
        if hint is type(None):
            continue
        try:
            return convert_text(text, hint)
        except (ValueError, ArithmeticError, TypeError):
            continue
    msg = "none of the types takes it"
    raise ValueError(msg)


def choice_of(text: str, values: Sequence[Any]) -> Any:
    """Return one of the values of a Literal."""
    for value in values:
        if str(value) == text:
            return value
    msg = f"one of {', '.join(map(str, values))}"
    raise ValueError(msg)
