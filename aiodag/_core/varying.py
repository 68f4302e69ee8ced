"""Options that may be functions: of the attempt's number, and of how the last attempt failed."""

from collections.abc import Callable
from inspect import Signature, iscoroutinefunction
from typing import Any, TypeGuard

from aiodag._core.arity import fit_by_position, real_signature, shown_signature
from aiodag.errors import OptionError


def is_plain_function(given: object) -> TypeGuard[Callable[..., Any]]:
    """Return whether an option is a function, and not one that gives a coroutine: that would never be awaited."""
    if not callable(given) or isinstance(given, type):
        return False
    return not iscoroutinefunction(given) and not iscoroutinefunction(type(given).__call__)


def takes_error(given: Callable[..., Any]) -> bool:
    """Return whether a backoff function wants the exception, too: whether two arguments must be given by position.

    A parameter with a default, or `*args`, is not meant: a function of the attempt may have such for its own use.
    """
    try:
        # The one that it shows: below a decorator that takes whatever comes there is the function that was meant.
        signature: Signature | None = shown_signature(given)
    except Exception:  # noqa: BLE001 - of C, without a signature, or with annotations that cannot be read
        signature = real_signature(given)
    if signature is None:
        return False
    fewest, most = fit_by_position(signature)
    if fewest > 2 or most < 1:
        wanted = "a function of the attempt's number, or of that and the exception: fn(attempt), fn(attempt, error)"
        raise OptionError("backoff", given, wanted)
    return fewest == 2
