"""Options that may be functions: of the attempt's number, and of how the last attempt failed."""

from collections.abc import Callable, Iterable
from inspect import Parameter, iscoroutinefunction, signature
from math import inf
from typing import Any

from aiodag.errors import OptionError


def is_plain_function(given: Any) -> bool:
    """Return whether an option is a function, and not one that gives a coroutine: that would never be awaited."""
    if not callable(given) or isinstance(given, type):
        return False
    return not iscoroutinefunction(given) and not iscoroutinefunction(type(given).__call__)


def takes_error(given: Callable[..., Any]) -> bool:
    """Return whether a backoff function wants the exception, too: whether two arguments must be given by position.

    A parameter with a default, or `*args`, is not meant: a function of the attempt may have such for its own use.
    """
    try:
        parameters = signature(given).parameters.values()
    except (TypeError, ValueError):  # of C, without a signature
        return False
    fewest, most = positional_counts(parameters)
    if fewest > 2 or most < 1:
        wanted = "a function of the attempt's number, or of that and the exception: fn(attempt), fn(attempt, error)"
        raise OptionError("backoff", given, wanted)
    return fewest == 2


def positional_counts(parameters: Iterable[Parameter]) -> tuple[float, float]:
    """Return how many arguments must be given by position, and how many can be."""
    fewest, most = 0.0, 0.0
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            most = inf
        elif each.kind is each.POSITIONAL_ONLY or each.kind is each.POSITIONAL_OR_KEYWORD:
            most += 1
            fewest += each.default is each.empty
        elif each.kind is each.KEYWORD_ONLY and each.default is each.empty:
            fewest = inf  # it must be given, and cannot be
    return fewest, most
