"""What a node is to asyncio: a task, before it is one, while it is, and where it never becomes one.

A node *is* the asyncio task of its attempt, allocated at the call and initialised when somebody needs it. Until then the C
type has no loop, and most of its methods raise or crash, so these stand in front of them:

    allocated ──► in its first step ──► an asyncio task ──► done      a body that waits
        │              └──► has its value ──► a future, if asked  a body that ends at once
        └──► a future, for a node that never starts
"""

import sys
from asyncio import AbstractEventLoop, Future
from asyncio import Task as AsyncTask
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.context import Attempted
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag._core.task import Task

T = TypeVar("T")
SUCCEEDED = State.SUCCEEDED

EAGER = sys.version_info >= (3, 12)  # whether an asyncio task can take its first step as it is made

# Whether asyncio tasks are those written in C. What nests event loops puts Python's own in their place.
IN_C = not hasattr(AsyncTask.__init__, "__code__")

# How far an attempt is driven: not at all yet, or no longer, while the value of a body that has ended in its first step is
# written; in its first step, see steps.py; in that and told to end; an asyncio task.
# Until the last of these the C methods that need a coroutine or a loop would crash.
UNDRIVEN, FIRST, CALLED_OFF, TASK = range(4)

# The plain methods of the C classes, which a node covers with its own.
init_task: Any = AsyncTask.__init__
cancel_task: Any = AsyncTask.cancel
cancel_future: Any = Future.cancel
set_value: Any = Future.set_result
set_error: Any = Future.set_exception
error_now: Any = Future.exception
is_done: Any = Future.done
on_done: Any = Future.add_done_callback


def answering_getter(name: str, pending: object) -> Any:
    """Return a private getter of asyncio tasks for nodes, where the C one raises for what is not a future yet."""
    getter: Any = getattr(AsyncTask, name)

    def ask(node: "AsTask[Any]") -> Any:
        if node.state is SUCCEEDED:
            node._initialise()
        return getter.__get__(node) if node._is_initialised() else pending

    return property(ask)


class AsTask(AsyncTask[T]):
    """A node as an asyncio task: what asyncio and its users ask one, and the fields of every node."""

    # Those with an underscore are the engine's own. The others are there for users, and for what records and builds runs.
    # Set by the engine for every node, one by one: a Python __init__ would cost as much as the asyncio task itself,
    # which the engine initialises when the attempt starts. Until then a node is allocated, pending, and without a
    # loop. It cannot be made a future earlier, for who watches it: from Python 3.15 on what is initialised once cannot
    # become a task. So callbacks wait in `_early`. A node that succeeds in its first step is made a future only if asked.
    __slots__ = (
        "_call_context",  # of the caller, until a first step in which the body ends
        "_caller",  # what stands for the node in whose body the call stands, see context.py; None outside of one
        "_downstream",  # what waits: Node, Tolerant or Waiter, each with done()
        "_early",  # callbacks from before it was a future, or None
        "_edged",  # whether results must be put in the place of arguments
        "_pending",  # upstream nodes that are not settled
        "_plain",  # whether it has no options, was called with plain values and nodes alone, and its run has no say in it
        "args",  # as called until the body starts, then None
        "attempt",
        "code",  # of the caller, with `instruction`: where the call stands
        "driven",  # how far its attempt is driven: see above
        "engine",
        "instruction",
        "known_by",  # its key; of a node whose run has a journal
        "kwargs",
        "number",  # in its run's ledger; of a node that has a run
        "row",  # in its run's journal; of a node whose run has one
        "run",
        "state",
        "task",
        "value",  # of a node that has succeeded
    )

    args: Any
    attempt: int
    _caller: "Node[Any] | Attempted | None"
    code: CodeType | str | None
    _call_context: Context | None
    _downstream: "list[Any] | None"
    driven: int
    _early: "list[tuple[Callable[[Any], object], Context]] | None"
    _edged: bool
    engine: "Engine"
    instruction: int
    known_by: str
    kwargs: Any
    number: int
    _pending: int
    _plain: bool
    row: "list[Any]"
    run: "Run | None"
    state: State
    task: "Task[..., T]"
    value: T

    _title = ""  # what set_name() was given; in the instance's dictionary, as with other fields of few nodes

    def done(self) -> bool:
        """Return True if the node has settled."""
        return self.state.final or super().done()

    def get_name(self) -> str:
        """Return the name of the task, or what `set_name` was given."""
        return self._title or self.task.name

    def set_name(self, value: object, /) -> None:
        """Give the asyncio task another name, also before it has started."""
        self._title = str(value)
        if self.driven:
            super().set_name(value)

    def cancelling(self) -> int:
        """Return how many cancels of this node are pending, as `asyncio.Task` does."""
        return super().cancelling() if self.driven else int(self.state is State.CANCELLED)

    def uncancel(self) -> int:
        """Take one cancel back, as `asyncio.Task` does; before the attempt has started there is none to take back."""
        return super().uncancel() if self.driven else self.cancelling()

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        """Print the frames of the body, down to where it waits, or the traceback of its failure."""
        if self.driven:
            super().print_stack(limit=limit, file=file)
        else:
            print(f"No stack for {self!r}", file=file)

    def get_stack(self, *, limit: int | None = None) -> list[FrameType]:
        """Return the frames of the body, outermost first, down to where it waits."""
        frames: list[FrameType] = []
        # The outermost is the engine's own, a coroutine or a generator: it says nothing to its reader.
        own = self.get_coro()
        coroutine: Any = getattr(own, "cr_await", None) or getattr(own, "gi_yieldfrom", None)
        while getattr(coroutine, "cr_frame", None) is not None:
            frames.append(coroutine.cr_frame)
            coroutine = coroutine.cr_await
        return frames if limit is None else frames[-limit:]

    def get_coro(self) -> Any:
        """Return the coroutine of the attempt, None before it starts.

        The C method crashes before the start on Python 3.11, and after an eager one on 3.12 (cpython issue 122332).
        """
        if self.state is State.RUNNING and self.driven in {FIRST, CALLED_OFF}:
            return self.engine.steps
        coroutine: Any = getattr(self, "_coro", None)
        return coroutine

    def get_context(self) -> Context:
        """Return the context of the call: the C method would crash before the attempt starts."""
        return self._call_context or Context()  # the asyncio task has the same, and no such method on Python 3.11

    def _initialise(self) -> None:
        """Make a node a future that can be settled, if no attempt has made it one."""
        if not self._is_initialised():
            Future.__init__(self, loop=self.engine.loop)
            if self.state is SUCCEEDED:
                set_value(self, self.value)
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the callbacks that came too early to the future that the node is now."""
        early, self._early = self._early, None
        for fn, context in early or ():
            super().add_done_callback(fn, context=context)

    def _is_watched(self) -> bool:
        """Return True if callbacks wait for this node, such as those of `asyncio.gather` and `asyncio.wait`."""
        own = self.engine.ended
        return any(callback != own for callback, _ in self._watchers())

    def _watchers(self) -> "Iterable[tuple[Any, Context | None]]":
        """Return the callbacks and their contexts."""
        callbacks: Any = self._callbacks if self._is_initialised() else self._early
        return callbacks or []

    def _is_initialised(self) -> bool:
        """Return True if this is a future yet; until then the C type has no loop."""
        loop: Any = self._loop
        return loop is not None

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Have `fn(node)` called soon after the node has settled, as `asyncio.Future` does."""
        if self.state is SUCCEEDED:
            self._initialise()
        elif self.run is not None and self.run.seats is not None:
            fn = self.run.seats.watch(self, fn)  # type: ignore[arg-type]  # a node
        if self._is_initialised():
            super().add_done_callback(fn, context=context)
        else:
            self._early = [*(self._early or ()), (fn, copy_context() if context is None else context)]

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Remove callbacks, as `asyncio.Future` does."""
        if self.run is not None and self.run.seats is not None:
            self.run.seats.unwatch(self, fn)  # type: ignore[arg-type]  # a node
        if self._is_initialised():
            return super().remove_done_callback(fn)
        early = self._early or []
        self._early = [each for each in early if each[0] != fn]
        return len(early) - len(self._early)

    def get_loop(self) -> AbstractEventLoop:
        """Return the event loop of the node."""
        return self.engine.loop

    if IN_C:  # in Python they are plain attributes; not promised by asyncio, and read by many
        _state: Any = answering_getter("_state", "PENDING")
        _result: Any = answering_getter("_result", None)
        _exception: Any = answering_getter("_exception", None)
        _callbacks: Any = answering_getter("_callbacks", None)
