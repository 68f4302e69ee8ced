"""Which calls a callable takes: those that Python takes, whatever its signature says.

`inspect.signature` shows what a callable wants to show: below a decorator with `functools.wraps` the function that it
wraps, and for whatever has a `__signature__` that. A decorator may supply arguments, so the outermost function decides.

>>> def supplied(fn):
...     @functools.wraps(fn)
...     def call(*args):
...         return fn("database", *args)
...     return call
>>> @supplied
... def load(database, day): ...
>>> str(shown_signature(load)), str(real_signature(load)), bounds(load)
('(database, day)', '(*args)', (0, inf))
"""

import functools
import inspect
import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from types import FunctionType, MethodType
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format

    # Annotations are evaluated when somebody reads them, and some exist for type checkers alone.
    shown_signature: Callable[[Any], Signature] = functools.partial(
        inspect.signature, annotation_format=Format.FORWARDREF
    )

    def signature_text(signature: Signature) -> str:
        """Return a signature as its function was written."""
        return signature.format(quote_annotation_strings=False)
else:
    shown_signature: Callable[[Any], Signature] = inspect.signature
    signature_text: Callable[[Signature], str] = str

UNLIMITED = float("inf")
Cached: Any = type(functools.cache(len))


def without_metadata(fn: Any) -> Any:
    """Return a callable with the parameters of another, and nothing of what that says of itself."""
    if isinstance(fn, MethodType):
        return MethodType(without_metadata(fn.__func__), fn.__self__)
    if isinstance(fn, functools.partial):
        return functools.partial(without_metadata(fn.func), *fn.args, **fn.keywords)
    if type(fn) is Cached:  # written in C, it tells nothing, and passes all on
        return without_metadata(fn.__wrapped__)
    if type(fn) is not FunctionType:
        call = type(fn).__call__
        return MethodType(without_metadata(call), fn) if type(call) is FunctionType else fn
    function = FunctionType(fn.__code__, {}, fn.__name__, fn.__defaults__, fn.__closure__)
    function.__kwdefaults__ = fn.__kwdefaults__
    return function


def real_signature(fn: object) -> Signature | None:
    """Return the parameters that Python fills in a call, without annotations; None where only the call can tell."""
    try:
        return shown_signature(without_metadata(fn))
    except Exception:  # noqa: BLE001 - a builtin that tells nothing, or foreign code that computes a signature
        return None


def shown_parameters(fn: object) -> list[Parameter]:
    """Return the parameters that a callable shows to people; nothing where it shows none."""
    try:
        return list(shown_signature(fn).parameters.values())
    except Exception:  # noqa: BLE001 - as above
        return []


def bounds(fn: object) -> tuple[int, float]:
    """Return the fewest and the most arguments of a call that fit by position alone."""
    signature = real_signature(fn)
    return (0, UNLIMITED) if signature is None else fit_by_position(signature)


def exactly(fewest: int, most: float) -> int:
    """Return how many positional arguments most calls have that fit: as an int, which is compared soonest; -1 for none."""
    return int(most) if fewest <= most < UNLIMITED else -1


def fit_by_position(signature: Signature) -> tuple[int, float]:
    """Return the fewest and the most arguments that fit by position alone: (1, 0) where keywords are needed, too."""
    parameters = list(signature.parameters.values())
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return 1, 0
    positional = [each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    most = UNLIMITED if any(each.kind is each.VAR_POSITIONAL for each in parameters) else len(positional)
    return sum(each.default is each.empty for each in positional), most


def check_fit(
    name: str, fn: object, signature: Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Refuse arguments that do not fit the real signature of a function. Raises `TypeError`."""
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        shown = signature if hasattr(fn, "__wrapped__") else with_annotations(fn, signature)
        msg = f"{name}{signature_text(shown)} {error}"
        raise TypeError(msg) from None


def with_annotations(fn: object, signature: Signature) -> Signature:
    """Return a signature with the annotations that its function shows, where those can be read."""
    try:
        shown = shown_signature(fn)
    except Exception:  # noqa: BLE001 - as above
        return signature
    return shown if list(shown.parameters) == list(signature.parameters) else signature
