"""Take the first step of a body without an asyncio task; make the task only for a body that waits.

Most bodies of large graphs end in their first step, or in every one of them wait. For the former, half of what a node costs is
the asyncio task that nobody needs: it is initialised, started, and ended by an exception. So the engine does what an eager
asyncio task does in its first step, and no more:

    enter                     the node is the current task, and so among all tasks (`FirstOf`)
    context.run(next, …)  ──► first_step ──► the body
    leave                     │
                              ├── ends: the node has its value, and was never a future
                              └── waits: `hand_to_task` makes the node an asyncio task, which goes on with the body

This is the one file that leans on private functions of asyncio: those with which asyncio registers its own eager tasks. It is
tried on CPython 3.11 to 3.13. Everywhere else, in debug mode, and where the environment has `AIODAG_FIRST_STEP=task`, each
body is an asyncio task from the beginning (`drive_body`). `tests/test_first_step.py` pins that nobody sees the difference.
"""

import asyncio.tasks
import os
import sys
from asyncio import AbstractEventLoop, CancelledError
from contextvars import Context
from types import CoroutineType, FrameType, coroutine
from typing import TYPE_CHECKING, Any, cast
from weakref import proxy, ref

from aiodag._core.as_task import CALLED_OFF, EAGER, FIRST, IN_C, TASK, cancel_task, on_done
from aiodag._core.body import as_raised, start_task
from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.context import NODE
from aiodag._core.forks import leave_fork
from aiodag._core.generations import next_generation
from aiodag._core.node import Node
from aiodag._core.search import check_returned
from aiodag.errors import BegunAgain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from aiodag._core.engine import Engine

    Steps = Generator[Any, Any, Any]

COROUTINE: Any = CoroutineType  # not narrowed by type checkers, to which a coroutine cannot be iterated
ENDED: Any = object()  # what the first step of a body gives that has ended in it

enter_task: Any = getattr(asyncio.tasks, "_enter_task", None)
leave_task: Any = getattr(asyncio.tasks, "_leave_task", None)
all_tasks: Any = getattr(asyncio.tasks, "_scheduled_tasks" if EAGER else "_all_tasks", None)  # a set of weak references

KNOWN = sys.implementation.name == "cpython" and sys.version_info < (3, 14)
WANTED = os.environ.get("AIODAG_FIRST_STEP") != "task"
FOUND = enter_task and leave_task and hasattr(all_tasks, "data")
WORKS = bool(KNOWN and WANTED and FOUND and IN_C)


def can_step(loop: AbstractEventLoop) -> bool:
    """Return whether bodies on a loop take their first step without an asyncio task."""
    works = WORKS and not loop.get_debug()
    if works:
        all_tasks.data.add(FirstOf(loop, all_tasks.data.discard))
    return works


class FirstOf(ref[AbstractEventLoop]):
    """Stands in asyncio's set of all tasks for the node that is in its first step on a loop.

    That set has weak references, and is written in Python: one for each node would take a quarter of the time of a node on
    Python 3.11. This one is a weak reference to the loop, and says that it is one to the node which is the current task.
    """

    def __call__(self) -> Any:
        """Return the node, None if no node is in its first step."""
        loop = super().__call__()
        node = None if loop is None else asyncio.current_task(loop)
        return node if type(node) is Node and node.driven in {FIRST, CALLED_OFF} else None


def take_step(engine: "Engine", node: Node[Any], steps: "Steps") -> bool:
    """Take the first step of a body, in the context of the call. Return whether the node has succeeded in it."""
    loop = engine.loop
    context: Any = node._call_context
    node.driven = FIRST
    engine.steps = steps
    try:
        try:
            # Inside of the block: an interrupt that found a node entered which nobody leaves would end every task of the loop.
            enter_task(loop, node)
            waits_for = context.run(next, steps, ENDED)
        finally:
            leave_task(loop, node)
    except BaseException as error:  # whatever it is, it is the node's
        settle_raised(engine, node, error)
        # As in start_task(). The context leads to the run, which has the failure until somebody takes it.
        del node, context
        if isinstance(error, KeyboardInterrupt):
            raise
        return False
    if waits_for is not ENDED:
        hand_to_task(node, steps, waits_for, context)
        return False
    node._call_context = None
    return node.driven == FIRST or (node.driven == CALLED_OFF and not is_called_off(engine, node))


@coroutine
def first_step(
    node: Node[Any], call: "Callable[..., Any]", args: "Sequence[Any]", kwargs: "dict[str, Any] | None"
) -> "Steps":
    """Run a body from its first step on: alone in that, and as the asyncio task that is its node in those that follow.

    A generator and no coroutine: `next` with a default takes its end without an exception, if it returns None.
    """
    NODE.set(proxy(node))
    try:
        body = call(*args, **kwargs) if kwargs else call(*args)  # an empty ** would cost a dict
        del args, kwargs  # the body's from here on
        while True:  # as in drive_body()
            try:
                value = yield from body if type(body) is COROUTINE else as_coroutine(body)
                break
            except BegunAgain as again:
                body = cast("Any", next_generation(node, again))  # as COROUTINE
        # As in drive_body().
        if value is not None and type(value) is not int and type(value) is not str:
            check_returned(node, value)
    except BaseException as error:
        ended = as_raised(node, error) if node.driven == TASK else None
        del node  # as in drive_body()
        if ended is None:
            raise
        try:
            raise ended from ended.__cause__
        finally:
            del ended
    if node.driven != TASK:
        node.value = value
        return None
    if node._must_cancel:  # type: ignore[attr-defined]
        on_done(node, node.engine.ended, context=node.engine.context)
    else:
        node.value = value
        node.engine.succeed(node)
    return value


async def await_body(body: "Awaitable[Any]") -> Any:
    """Await what a call gave in place of a coroutine."""
    return await body


as_coroutine: Any = await_body  # as COROUTINE


class Begun:
    """A body that has begun, as the coroutine of the asyncio task that its node becomes.

    First it gives what the body waits for already, as if it had come to that just now.
    """

    __slots__ = ("steps", "waits_for")

    def __init__(self, steps: "Steps", waits_for: object) -> None:
        self.steps = steps
        self.waits_for: Any = waits_for

    def send(self, value: object) -> Any:
        """Take a step with a value."""
        waits_for = self.waits_for
        if waits_for is ENDED:
            return self.steps.send(value)
        self.waits_for = ENDED
        return waits_for

    def throw(self, error: BaseException) -> Any:
        """Take a step with an exception."""
        waits_for, self.waits_for = self.waits_for, ENDED
        try:
            # Cancelled before the asyncio task had its first step, which it has in a turn of its own on Python 3.11: to
            # whoever cancels, the body waits already. So what it waits for is cancelled, and may refuse.
            if waits_for is not ENDED and waits_for is not None and waits_for.cancel(*error.args):
                return waits_for
            return self.steps.throw(error)
        finally:
            del error, waits_for  # what is thrown in comes out, and its traceback holds this frame

    def close(self) -> None:
        """End the body."""
        self.steps.close()

    def __await__(self) -> Any:
        """Be a coroutine to asyncio, which looks for this method and never calls it."""
        return self.steps

    @property
    def cr_frame(self) -> FrameType | None:
        """The outermost frame, which is ours."""
        frame: FrameType | None = getattr(self.steps, "gi_frame", None)
        return frame

    @property
    def cr_await(self) -> Any:
        """The coroutine of the body."""
        return getattr(self.steps, "gi_yieldfrom", None)


def hand_to_task(node: Node[Any], steps: "Steps", waits_for: object, context: Context) -> None:
    """Make a node whose body has begun, and waits for something, the asyncio task that it is."""
    engine = node.engine
    asked = cancels_of(node) if node.driven == CALLED_OFF else ()  # which initialising forgets
    if EAGER:
        node.task._waits = True
    # Not eager, the asyncio task starts in the next turn of the loop. A body that only gave the loop a turn goes on then. And
    # no other body starts as one: those of other tasks that are called later would be begun before it.
    going_on: Any = Begun(steps, waits_for) if EAGER or waits_for is not None else steps
    start_task(engine, node, going_on, context)
    if asked:
        cancel_again(node, *asked)


def cancels_of(node: Any) -> tuple[int, bool, Any]:
    """Return how many cancels of a node are pending, whether one is still to come to the body, and its message."""
    return node.cancelling(), node._must_cancel, node._cancel_message


def cancel_again(node: Node[Any], requests: int, comes: bool, message: object) -> None:
    """Cancel a node as it was cancelled in its first step."""
    for _ in range(requests or comes):
        cancel_task(node, message)
    if comes and not requests:  # taken back, which stops it from Python 3.13 on
        node.uncancel()


def settle_raised(engine: "Engine", node: Node[Any], error: BaseException) -> None:
    """Settle a node whose body raised in its first step."""
    leave_fork(engine, error)
    if isinstance(error, CancelledError) and is_asked(node, error):
        engine.stop(node, *error.args[:1] or (None,))
        return
    engine.fail(node, as_failure(node.name, error))


def is_called_off(engine: "Engine", node: Node[Any]) -> bool:
    """Settle a node whose body has cancelled itself in its first step, and then returned. Not if it took that back."""
    _, comes, message = cancels_of(node)
    if comes:
        engine.stop(node, message)
    return comes


def is_to_be_cancelled(node: Node[Any]) -> bool:
    """Return True if a body has cancelled itself, and the cancel is still to come to it."""
    return cancels_of(node)[1]
