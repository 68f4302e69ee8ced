"""Run a body in the asyncio task that is its node."""

from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import proxy

from aiodag._core.as_task import EAGER, SUCCEEDED, TASK, init_task, is_done, on_done
from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.context import NODE
from aiodag._core.failure import Exited
from aiodag._core.forks import leave_fork
from aiodag._core.generations import next_generation
from aiodag._core.node import Node
from aiodag._core.search import check_returned
from aiodag.errors import BegunAgain

if TYPE_CHECKING:
    from aiodag._core.engine import Engine

T = TypeVar("T")


async def drive_body(
    node: Node[Any], call: Callable[..., Any], args: Sequence[Any], kwargs: "dict[str, Any] | None"
) -> Any:
    """Run a body in the asyncio task that is its node, and settle the node with it.

    Settled here, in the last step of the asyncio task, success costs no callback of the loop. Whatever else ends the
    attempt is settled by a callback, when the asyncio task knows its exception.
    """
    NODE.set(proxy(node))
    if node._early is not None:
        node._hand_over()
    try:
        body = call(*args, **kwargs) if kwargs else call(*args)  # an empty ** would cost a dict
        del args, kwargs  # the body's from here on
        while True:
            try:
                value = await body
                break
            except BegunAgain as again:
                body = next_generation(node, again)
        # The usual values are looked at here: a call for each of them would cost a twentieth of a node.
        if value is not None and type(value) is not int and type(value) is not str:
            check_returned(node, value)
    except BaseException as error:
        ended = as_raised(node, error)
        # The traceback keeps this frame: with the node in it, the node would keep itself, and its report would
        # wait for the garbage collector.
        del node
        if ended is None:
            raise
        try:
            raise ended from ended.__cause__
        finally:
            del ended  # as above
    if node._must_cancel:  # type: ignore[attr-defined]
        on_done(node, node.engine.ended, context=node.engine.context)
        return value
    node.value = value
    node.engine.succeed(node)
    return value


def start_task(
    engine: "Engine", node: Node[Any], coroutine: "Coroutine[Any, Any, Any]", context: Context | None
) -> None:
    """Start a body as the asyncio task that is its node, and take its first step at once where Python can."""
    node.driven = TASK
    try:
        if EAGER:
            init_task(node, coroutine, loop=engine.loop, name=node.task.name, context=context, eager_start=True)
        else:
            init_task(node, coroutine, loop=engine.loop, name=node.task.name, context=context)
    except KeyboardInterrupt as error:
        engine.fail(node, error)
        if node._early is not None:
            node._hand_over()
        raise
    if node.state is SUCCEEDED:
        node.task._waits = False  # it did not: the next of its task takes its first step without an asyncio task
    elif not is_done(node):
        engine.alive.add(node)
    elif not node.state.final:
        engine.ended(node)
    if node._early is not None:
        node._hand_over()
    # The traceback of an eager attempt keeps this frame: with the node in it, the failure and what its frames hold
    # would wait for the garbage collector.
    del node, context


def as_raised(node: Node[Any], error: BaseException) -> BaseException | None:
    """Have a node settled whose body has raised, and return what its asyncio task raises in place of that, if anything."""
    engine = node.engine
    leave_fork(engine, error)
    on_done(node, engine.ended, context=engine.context)
    if isinstance(error, CancelledError):
        return None if is_asked(node, error) else as_failure(node.name, error)
    if isinstance(error, SystemExit):
        # An asyncio task that raises it stops the loop, and with it all that has nothing to do with this body.
        return Exited(error)
    return None
