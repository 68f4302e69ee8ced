"""What expressions can call, as `name(value, …)` or as a filter, `value | name(…)`: what is here, and what is registered."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from aiodag.errors import OptionError
from aiodag.names import import_name
from aiodag.workflows.expressions.conversions import CONVERSIONS
from aiodag.workflows.expressions.lexemes import LEXEME, SIGNS, WORDS, cut_part
from aiodag.workflows.expressions.listings import OF_LISTS
from aiodag.workflows.expressions.texts import OF_TEXTS
from aiodag.workflows.expressions.values import Unfit, bounded_value
from aiodag.workflows.registries import import_registries

F = TypeVar("F", bound=Callable[..., Any])


def value_or(value: object, other: object) -> object:
    """Return `other` where a path leads to nothing, or to null."""
    return other if value is None else value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "default": value_or,
    **CONVERSIONS,
    **OF_TEXTS,
    **OF_LISTS,
}
STATUS = frozenset({"success", "failure", "always", "cancelled"})  # in conditions alone: they ask how it went so far
FILTERS: dict[str, Callable[..., Any]] = {}  # those that are registered


def custom_filter(name: str) -> Callable[[F], F]:
    """Register a function that expressions can call, as a filter or otherwise: `${{ params.name | shout(3) }}`.

    It gets the value and the arguments, and returns a value that JSON has, a date or a datetime. It should be quick and pure: it
    is called wherever a template is filled. Its module is named in `AIODAG_REGISTRY_FILTERS`, unless it is imported anyway.
    Raises `OptionError` for a name that cannot be one, or that another function has.

    >>> from aiodag.workflows import custom_filter
    >>> @custom_filter("shout")
    ... def shout(text, times=1):
    ...     return text.upper() + "!" * times
    """
    given: Any = name
    match = LEXEME.fullmatch(name) if isinstance(given, str) else None
    if match is None or match["name"] != name or name in WORDS or name in SIGNS:
        raise OptionError("name", name, "a name, such as custom_filter('shout')")
    if name in FUNCTIONS or name in STATUS:
        raise OptionError("name", name, "one that the language does not have yet")

    def register(function: F) -> F:
        there = FILTERS.setdefault(name, function)
        if import_name(there) != import_name(function):
            raise OptionError("name", name, f"one that is free: {import_name(there)} has it")
        FILTERS[name] = function
        return function

    return register


def find_function(name: str) -> Callable[..., Any] | None:
    """Return what a name stands for, or None: the modules with filters are imported when a name is not known yet."""
    found = FUNCTIONS.get(name) or FILTERS.get(name)
    if found is None:
        import_registries("filters")
        found = FILTERS.get(name)
    return found


def call_function(name: str, given: list[Any]) -> Any:
    """Return what a function gives. Raises `Unfit`."""
    function = find_function(name)
    if function is None:
        raise Unfit(unknown_function(name))
    if name in FUNCTIONS:
        try:
            return function(*given)
        except (TypeError, ValueError, OverflowError, RecursionError):
            fault = fault_of_count(name, function, len(given), is_filter=False)
            raise Unfit(fault or f"{name} cannot work with these values") from None
    try:
        return bounded_value(function(*given))
    except Unfit:
        raise
    except Exception as error:
        raise Unfit(f"the filter {name} raised {type(error).__name__}: {cut_part(str(error))}") from error


def fault_of_call(name: str, count: int, *, is_filter: bool) -> str:
    """Return what is wrong with a call before it is made: nothing of that name, or another number of arguments."""
    function = find_function(name)
    return unknown_function(name) if function is None else fault_of_count(name, function, count, is_filter=is_filter)


def unknown_function(name: str) -> str:
    """Return the message for a name that no function has."""
    known = [*FUNCTIONS, *FILTERS, *STATUS]
    near = [each for each in known if each.lower() == name.lower()]
    near = near or (get_close_matches(name, known, n=1) if len(name) <= 200 else [])
    hint = f"; did you mean {near[0]}?" if near else ". AIODAG_REGISTRY_FILTERS names the modules that have others"
    return f"there is no function or filter {cut_part(name)!r}{hint}"


def fault_of_count(name: str, function: Callable[..., Any], count: int, *, is_filter: bool) -> str:
    """Return what is wrong with the number of arguments; nothing if they fit."""
    least, most = arity_of(function)
    if least <= count and (most is None or count <= most):
        return ""
    own = int(is_filter)  # the value before it
    wanted = (
        f"{least - own}"
        if most == least
        else f"{least - own} or more"
        if most is None
        else f"{least - own} to {most - own}"
    )
    given = f"as a filter {name} takes" if is_filter else f"{name} takes"
    return f"{given} {wanted} argument{'s' * (wanted != '1')}, and has {count - own}"


@lru_cache(maxsize=512)
def arity_of(function: Callable[..., Any]) -> tuple[int, int | None]:
    """Return how many arguments a function takes at least, and at most; None where there is no limit."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, None
    single = [each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    least = sum(each.default is each.empty for each in single)
    return least, None if any(each.kind is each.VAR_POSITIONAL for each in parameters) else len(single)
