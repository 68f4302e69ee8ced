"""What users put around the body of each attempt: `@task(middleware=[...])`, `Run(middleware=[...])`."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from types import CodeType, CoroutineType, TracebackType
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.arity import bounds
from aiodag.abc import Middleware
from aiodag.errors import OptionError

if TYPE_CHECKING:
    from aiodag._core.node import Node

Call = Callable[[], Awaitable[Any]]
WANTED = "a list of async functions of (node, call_next), or of objects with such a __call__, the outermost first"


def layers_of(given: object) -> tuple[Middleware, ...]:
    """Check middleware. Raises `OptionError`."""
    if not isinstance(given, list | tuple):
        raise OptionError("middleware", given, WANTED)
    for each in given:
        if not is_middleware(each):
            raise OptionError("middleware", each, WANTED)
    return tuple(cast("Sequence[Middleware]", given))


def is_middleware(given: object) -> bool:
    """Return True for what is called with a node and the rest of its attempt, and can await that."""
    if not callable(given) or isinstance(given, type) or hasattr(given, "after_deps"):
        return False  # a task, which passes for an async function, would make a node that waits for the other
    fewest, most = bounds(given)
    return fewest <= 2 <= most and (iscoroutinefunction(given) or iscoroutinefunction(type(given).__call__))


async def call_within(node: "Node[Any]", layers: Sequence[Middleware], body: Call) -> Any:
    """Begin an attempt, and run its body within middleware, the first of which is outermost.

    They are inside all that waits: the attempt has begun, its number is right, and what it holds is held. So one that
    never calls the body has had an attempt all the same, which counts, is recorded, and can be tried again.
    """
    try:
        node.engine.begin(node)
    except Exception as error:  # noqa: BLE001 - of aiodag.testing.inject, in the place of the body: they are to meet it
        body = partial(fail_with, error)
    call = body
    for layer in reversed(layers):
        call = partial(layer, node, CallNext(node.name, call))
    try:
        value = await call()
        if type(value) is CoroutineType:
            value.close()
            msg = (
                f"middleware of {node.name} returned a coroutine in place of a value: write `return await call_next()`"
            )
            raise TypeError(msg)
        return value
    except BaseException as error:
        clear_above(node.task.code, error.__traceback__)
        raise
    finally:
        del node, body, call  # a failure's traceback holds this frame


def clear_above(code: CodeType | None, traceback: TracebackType | None) -> None:
    """Clear the variables of the frames above the body in a traceback: those of middleware.

    They have the node, which has the exception, which has the traceback, which has them: a failure that was handled, and
    all that its body had in its variables, would wait for the garbage collector, and so would the report of one that was
    not. To cut the traceback short is not enough: from Python 3.12 on the frame of the body leads back to them.
    """
    while traceback is not None and traceback.tb_frame.f_code is not code:
        with suppress(RuntimeError):  # it runs, as the one that has called this does
            traceback.tb_frame.clear()
        traceback = traceback.tb_next


async def fail_with(error: Exception) -> Any:
    """Raise an exception in the place of a body."""
    try:
        raise error
    finally:
        del error  # which holds this frame from now on


class CallNext:
    """The rest of an attempt, as one middleware calls it: at most once.

    A second call would run the body again within one attempt: it would begin twice and be recorded once.
    """

    __slots__ = ("_call", "_name")

    def __init__(self, name: str, call: Call) -> None:
        self._name = name
        self._call: Call | None = call

    def __call__(self) -> Awaitable[Any]:
        call, self._call = self._call, None  # let go of: the arguments are the body's
        if call is None:
            msg = (
                f"a middleware of {self._name} called call_next() twice in one attempt. "
                "Another attempt is what retries= is for: let the exception out"
            )
            raise RuntimeError(msg)
        return call()
