"""One call of a task; awaitable."""

from asyncio import AbstractEventLoop, CancelledError, Future, InvalidStateError
from asyncio import Task as AsyncTask
from collections.abc import Callable, Generator, Iterable
from contextvars import Context, copy_context
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.cancels import mark_asked
from aiodag._core.failure import Failure, site_of
from aiodag._core.interrupts import put_back_wakeup
from aiodag._core.no_value import NoValue
from aiodag._core.notebook import bundle_of_node
from aiodag.states import State

if TYPE_CHECKING:
    from concurrent.futures import Future as RemoteFuture

    from aiodag._core.context import Attempted
    from aiodag._core.engine import Engine
    from aiodag._core.run import Run
    from aiodag._core.seats import Seats
    from aiodag._core.task import Task

T = TypeVar("T")
SUCCEEDED = State.SUCCEEDED

# How far an attempt is driven: not at all yet; in its first step, see steps.py; in that and told to end; an asyncio task.
# Until the last of these the C methods that need a coroutine or a loop would crash.
UNDRIVEN, FIRST, CALLED_OFF, TASK = range(4)

# The plain methods of the C classes, which Node covers with its own.
init_task: Any = AsyncTask.__init__
cancel_task: Any = AsyncTask.cancel
cancel_future: Any = Future.cancel
set_value: Any = Future.set_result
set_error: Any = Future.set_exception
error_now: Any = Future.exception
is_done: Any = Future.done
on_done: Any = Future.add_done_callback


def answered(getter: Any, pending: Any) -> Any:
    """Return a private getter of asyncio tasks for nodes, where the C one raises for what is not a future yet."""

    def ask(node: "Node[Any]") -> Any:
        if node.state is SUCCEEDED:
            node.initialise()
        return getter.__get__(node) if node.initialised() else pending

    return property(ask)


class Node(NoValue, AsyncTask[T]):
    """One call of a task. Await it for its value, pass it to other tasks, or let it run by itself.

    A failed node raises the exception of the body that failed, at every place that awaits it; a skipped node
    raises the exception of its root. Awaiting is not owning: when the awaiter is cancelled, the node goes on if
    anything else needs it.

    >>> from aiodag import task
    >>> @task
    ... async def double(x):
    ...     return 2 * x
    >>> node = double(double(10))
    >>> node.state
    <State.WAITING: 'waiting'>
    >>> await node
    40
    >>> node.state.final, node.result()
    (True, 40)
    """

    # Set by the engine for every node, one by one: a Python __init__ would cost as much as the asyncio task itself,
    # which the engine initialises when the attempt starts. Until then a node is allocated, pending, and without a
    # loop. It cannot be made a future earlier, for who watches it: from Python 3.15 on what is initialised once cannot
    # become a task. So callbacks wait in `early`. A node that succeeds in its first step is made a future only for who asks.
    __slots__ = (
        "args",  # as called until the body starts, then None
        "attempt",
        "caller",  # what stands for the node in whose body the call stands, see context.py; None outside of one
        "code",  # of the caller, with `instruction`: where the call stands
        "context",  # of the caller, until a first step in which the body ends
        "downstream",  # what waits: Node, Tolerant or Waiter, each with done()
        "driven",  # how far its attempt is driven: see above
        "early",  # callbacks from before it was a future, or None
        "edged",  # whether results must be put in the place of arguments
        "engine",
        "instruction",
        "kwargs",
        "number",  # in its run's ledger; of a node that has a run
        "plain",  # whether it is of no run, without options, and called with plain values and nodes alone
        "pending",  # upstream nodes that are not settled
        "row",  # in its run's journal; of a node whose run has one
        "run",
        "state",
        "task",
        "value",  # of a node that has succeeded
    )

    args: Any
    attempt: int
    caller: "Node[Any] | Attempted | None"
    code: CodeType | str | None
    context: Context | None
    downstream: "list[Any] | None"
    driven: int
    early: "list[tuple[Callable[[Any], object], Context]] | None"
    edged: bool
    engine: "Engine"
    instruction: int
    kwargs: Any
    number: int
    pending: int
    plain: bool
    row: "list[Any]"
    run: "Run | None"
    state: State
    task: "Task[..., T]"
    value: T

    # Set for few nodes, so they live in the instance's dictionary, which is made only then.
    admitted = False  # whether it counts for the limit of its run
    after: "tuple[Node[Any], ...]" = ()  # all upstream nodes, where they are not simply arguments
    awaits: "tuple[Node[Any], ...]" = ()  # what the body awaits right now
    fault: Failure | None = None
    title = ""  # what set_name() was given
    stopped = ""  # how its body stopped the loop, which is nobody's to await: everybody is told of a cancel
    aside = 0  # places where its body awaits, of which the first gave its place in the run away
    label = ""  # the call with its short arguments, where the traceback of a failure cannot tell them
    cache_keys: "tuple[str, ...]" = ()  # the same for equal calls in any place of any run, where the task has a cache
    tolerated: "tuple[Node[Any], ...]" = ()  # upstream nodes of which it took any outcome, as its journal notes
    failed = 0  # attempts that have failed before its process died: they count against its retries
    lost: BaseException | None = None  # why the last attempt failed, while the next one is being queued
    stale = 0  # entries of downstream that have settled for another reason
    place: int | None = None  # of its run's capacity, where the attempt holds its resources
    left: "RemoteFuture[Any] | None" = None  # the thread or process call that goes on without the node
    worker: Any = None  # where its attempt runs, of an executor that has only so many
    source: Any = None  # the future that this node stands for

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    @property
    def key(self) -> str:
        """What the node is, the same in every execution of a run that has a store; empty in a run that has none."""
        row: list[Any] = getattr(self, "row", [])
        return str(row[1]) if row else ""

    @property
    def site(self) -> str:
        """File and line of the call that made this node."""
        return site_of(self.code, self.instruction)

    @property
    def failure(self) -> Failure | None:
        """Why the node has no value: the root and the path to it. None if nothing failed."""
        return self.fault

    @property
    def abandoned(self) -> bool:
        """Whether a thread or process still runs the body although the node has settled."""
        return self.left_behind() is not None

    def itself(self) -> "Node[T]":
        """Return the node, also where a weak proxy stands for it."""
        return self

    def left_behind(self) -> "RemoteFuture[Any] | None":
        """Return the call that goes on without the node, if there is one."""
        return None if self.left is None or self.left.done() else self.left

    def cancel(self, msg: Any | None = None, *, upstream: bool = False) -> bool:
        """Cancel this node and what needs it, never what it needs. Return whether there was anything to cancel.

        A running body gets a `CancelledError` where it waits; a node that has not started never runs. With `upstream`,
        what this node waits for is cancelled as well, as far as nothing else needs it, and so on upwards.
        """
        if self.state.final:
            return False
        return self.engine.cancel_with_upstream(self, msg) if upstream else self.engine.cancel(self, msg)

    def abandon(self, left: "RemoteFuture[Any]") -> None:
        """Note that the attempt could not be stopped: its limit is held until `left` is done. For executors."""
        self.left = left

    def __await__(self) -> Generator[Any, None, T]:
        waiter: Waiter | None = None
        try:
            if not self.state.final:
                waiter = self.engine.wait_for(self)
                try:
                    yield from waiter
                except CancelledError:
                    waiter.forget()
                    if waiter.cancelled():
                        self.engine.leave(self)
                    raise
                waiter.forget()
                if waiter.seats is not None:
                    yield from waiter.seats.readmit()
            if self.state is not SUCCEEDED:
                raise self._reason()
            return self.value
        except BaseException:
            # Its traceback holds this frame: with the node in it, a failure that was handled, and all that its bodies
            # had in their variables, would wait for the garbage collector.
            del self, waiter
            raise

    def result(self) -> T:
        """Return the value, or raise the failure. Raises `asyncio.InvalidStateError` before the node has settled."""
        if self.state is SUCCEEDED:
            return self.value
        self._look()
        try:
            if self.state.final:
                raise self._reason()
            return super().result()
        except BaseException:
            del self  # as above
            raise

    def exception(self) -> BaseException | None:
        """Return the exception of a failed or skipped node, None of one that succeeded."""
        if self.state is SUCCEEDED:
            return None
        self._look()
        try:
            if self.state is State.CANCELLED:
                raise self._reason()
            return self._reason() if self.fault is not None else super().exception()
        except BaseException:
            del self  # as above
            raise

    def done(self) -> bool:
        """Return True if the node has settled."""
        return self.state.final or super().done()

    def cancelled(self) -> bool:
        """Return True if the node was cancelled."""
        return bool(self.stopped) or super().cancelled()

    def _look(self) -> None:
        if not self.initialised():
            msg = f"{self!r} has no result yet"
            raise InvalidStateError(msg)
        if self.done() and not self.state.final:
            # The attempt has ended and the loop has not called back yet: settle now, or whoever looks would see the
            # bare exception, and the report would come although somebody took it.
            self.engine.ended(self)

    def get_name(self) -> str:
        """Return the name of the task, or what `set_name` was given."""
        return self.title or self.task.name

    def set_name(self, value: object, /) -> None:
        """Give the asyncio task another name, also before it has started."""
        self.title = str(value)
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
        return self.context or Context()  # the asyncio task has the same, and no such method on Python 3.11

    def initialise(self) -> None:
        """Make a node a future that can be settled, if no attempt has made it one."""
        if not self.initialised():
            Future.__init__(self, loop=self.engine.loop)
            if self.state is SUCCEEDED:
                set_value(self, self.value)
            self.hand_over()

    def hand_over(self) -> None:
        """Give the callbacks that came too early to the future that the node is now."""
        early, self.early = self.early, None
        for fn, context in early or ():
            super().add_done_callback(fn, context=context)

    def watched(self) -> bool:
        """Tell whether callbacks wait for this node, such as those of `asyncio.gather` and `asyncio.wait`."""
        own = self.engine.ended
        return any(callback != own for callback, _ in self.watchers())

    def watchers(self) -> "Iterable[tuple[Any, Context | None]]":
        """Return the callbacks and their contexts."""
        callbacks: Any = self.early or self._callbacks
        return callbacks or []

    def initialised(self) -> bool:
        """Tell whether this is a future yet; until then the C type has no loop."""
        loop: Any = self._loop
        return loop is not None

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Have `fn(node)` called soon after the node has settled, as `asyncio.Future` does."""
        if self.state is SUCCEEDED:
            self.initialise()
        if self.initialised():
            super().add_done_callback(fn, context=context)
        else:
            self.early = [*(self.early or ()), (fn, copy_context() if context is None else context)]

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Take back callbacks, as `asyncio.Future` does."""
        if self.initialised():
            return super().remove_done_callback(fn)
        early = self.early or []
        self.early = [each for each in early if each[0] != fn]
        return len(early) - len(self.early)

    # Not promised by asyncio, and read by many.
    _state: Any = answered(AsyncTask.__dict__["_state"], "PENDING")
    _result: Any = answered(AsyncTask.__dict__["_result"], None)
    _exception: Any = answered(AsyncTask.__dict__["_exception"], None)
    _callbacks: Any = answered(AsyncTask.__dict__["_callbacks"], None)

    def get_loop(self) -> AbstractEventLoop:
        """Return the event loop of the node."""
        return self.engine.loop

    def _reason(self) -> BaseException:
        """Return what is raised to those who want the value of a node that has none."""
        if self.fault is not None:
            self.fault.report.take()
            # The root's own traceback again: without it each place that awaits would add its frames to the last one's.
            return self.fault.exception
        if self.stopped:
            return mark_asked(CancelledError(self.stopped))
        if self.state is State.CANCELLED:
            return self._make_cancelled_error()
        error: BaseException = error_now(self)
        return error

    def _make_cancelled_error(self) -> CancelledError:
        """Return the exception of a cancelled node. `asyncio.gather` asks for it by this name."""
        asyncio_task: Any = super()
        return mark_asked(asyncio_task._make_cancelled_error())  # noqa: SLF001 - as asyncio calls it

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> "dict[str, Any]":
        return bundle_of_node(self)

    def __repr__(self) -> str:
        return f"<Node {self.task.name} {self.state} at {self.site}>"


class Tolerant:
    """Stands in a list of downstream nodes for one that goes on whatever the outcome."""

    __slots__ = ("node",)

    def __init__(self, node: Node[Any]) -> None:
        self.node = node

    def done(self) -> bool:
        return self.node.done()


class Waiter(Future[None]):
    """Stands in a list of downstream nodes for one place that awaits.

    Awaiters wait on this and not on the node: cancelling an asyncio task cancels the future it waits on, and
    awaiting is not owning.
    """

    __slots__ = ("awaited", "body", "seats", "stands_for")

    awaited: Node[Any]
    body: Node[Any] | None  # that awaits
    seats: "Seats | None"  # where a body gave its seat away for this
    stands_for: Node[Any] | None  # that body: it awaits itself, or an asyncio task that it made does

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the wait, as asyncio does for whoever awaits."""
        put_back_wakeup(self.get_loop())
        return super().cancel(msg)

    def forget(self) -> None:
        """End the wait on the side of the body."""
        if self.body is not None:
            kept = list(self.body.awaits)
            kept.remove(self.awaited)
            self.body.awaits = tuple(kept)
        if self.seats is not None and self.stands_for is not None:
            self.seats.come_back(self.stands_for)
