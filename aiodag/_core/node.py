"""One call of a task; awaitable."""

from asyncio import CancelledError, Future, InvalidStateError
from collections.abc import Generator, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.as_task import SUCCEEDED, AsTask, error_now
from aiodag._core.cancels import mark_asked
from aiodag._core.failure import Failure, label_call, site_of
from aiodag._core.interrupts import put_back_wakeup
from aiodag._core.no_value import NoValue
from aiodag._core.notebook import bundle_of_node
from aiodag.errors import LetGo
from aiodag.states import State

if TYPE_CHECKING:
    from asyncio import Timeout
    from concurrent.futures import Future as RemoteFuture

    from aiodag._core.engine import Engine
    from aiodag._core.seats import Seats
    from aiodag._core.task import Task

T = TypeVar("T")


class Node(NoValue, AsTask[T]):
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

    __slots__ = ()

    # Set for few nodes, so they live in the instance's dictionary, which is made only then.
    _admitted = False  # whether it counts for the limit of its run
    after: "tuple[Node[Any], ...]" = ()  # all upstream nodes, where they are not simply arguments
    _awaits: "tuple[Node[Any], ...]" = ()  # what the body awaits right now
    _fault: Failure | None = None
    _stopped = ""  # how its body stopped the loop, which is nobody's to await: everybody is told of a cancel
    _aside = 0  # places where its body awaits, of which the first gave its place in the run away
    _label = ""  # the call with its short arguments, where the traceback of a failure cannot tell them
    cache_keys: "tuple[str, ...]" = ()  # the same for equal calls in any place of any run, where the task has a cache
    tolerated: "tuple[Node[Any], ...]" = ()  # upstream nodes of which it took any outcome, as its journal notes
    failed = 0  # attempts that have failed, also those before its process died: they count against its retries
    losses = 0  # attempts that were lost, likewise
    earlier = 0  # the number of the last attempt in an earlier execution
    ended_by: BaseException | None = None  # why the last attempt failed, while the next one is being queued
    _stale = 0  # entries of downstream that have settled for another reason
    again = False  # whether it had ended in an earlier execution, and runs again: it is not one that was cut off
    generation = 0  # of its body, which has begun again so often: each has keys of its own
    place: int | None = None  # of its run's capacity, where the attempt holds its resources
    _left: "RemoteFuture[Any] | None" = None  # the thread or process call that goes on without the node
    time_limit: "Timeout | None" = None  # of the attempt, where its task has a timeout
    held_by = ""  # what keeps its run in this process although it waits, as is written down
    time_left: float | None = None  # of the time limit of a body that is entered again, if that goes on
    worker: Any = None  # where its attempt runs, of an executor with a limited number
    _source: Any = None  # the future that this node stands for

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    @property
    def key(self) -> str:
        """What the node is known by, the same in every execution of a run with a store; empty in a run without one."""
        known: str = getattr(self, "known_by", "")
        return f"{known}+{self.generation}" if self.generation and known else known

    @property
    def site(self) -> str:
        """File and line of the call that made this node."""
        return site_of(self.code, self.instruction)

    @property
    def failure(self) -> Failure | None:
        """Why the node has no value: the root and the path to it. None if nothing failed."""
        return self._fault

    @property
    def abandoned(self) -> bool:
        """True if a thread or process still runs the body although the node has settled."""
        return self._left_behind() is not None

    def _itself(self) -> "Node[T]":
        """Return the node, also where a weak proxy stands for it."""
        return self

    def _left_behind(self) -> "RemoteFuture[Any] | None":
        """Return the call that goes on without the node, if there is one."""
        return None if self._left is None or self._left.done() else self._left

    def cancel(self, msg: Any | None = None, *, upstream: bool = False) -> bool:
        """Cancel this node and what needs it, never what it needs. Return whether there was anything to cancel.

        A running body gets a `CancelledError` where it waits; a node that has not started never runs. With `upstream`,
        what this node waits for is cancelled as well, as far as nothing else needs it, and so on upwards.
        """
        if self.state.final:
            return False
        return self.engine.cancel(self, msg, upstream=upstream)

    def connect(self, upstream: "Iterable[tuple[Node[Any], bool]]") -> None:
        """Make the edges of a new node, each with whether it takes any outcome. An upstream that has settled counts at once."""
        for up, tolerant in upstream:
            if up.state is SUCCEEDED:
                continue
            if up.state.final:
                if tolerant:
                    continue
                self.engine.follow_down(self, up)
                return
            self._pending += 1
            entry = Tolerant(self) if tolerant else self
            if up._downstream is None:
                up._downstream = [entry]
            else:
                up._downstream.append(entry)

    def _connect_plain(self, upstream: "Iterable[Node[Any]]") -> None:
        """Make the edges of a new node that needs the success of all."""
        for up in upstream:
            if up.state is SUCCEEDED:
                continue
            if up.state.final:
                self.engine.follow_down(self, up)
                return
            self._pending += 1
            if up._downstream is None:
                up._downstream = [self]
            else:
                up._downstream.append(self)

    def _drop_edge(self, node: "Node[Any]") -> None:
        """Let go of a node that waits for this one no longer.

        The list is cleared of such when half of it has settled: removing each at once would take the square of the time,
        and keeping them until this one settles would hold what nobody needs, and its failure untold.
        """
        if self._downstream:
            self._stale += 1
            if self._stale * 2 >= len(self._downstream):
                self._downstream = [entry for entry in self._downstream if entry is not node and not entry.done()]
                self._stale = 0

    def _drop_call(self) -> None:
        """Let go of what the node was called with: its body has it, or never will."""
        self.args = self.kwargs = self._call_context = None
        if self.after:
            del self.after

    def _note_label(self, args: Iterable[object]) -> None:
        """Note how a failure names the call, where there is no frame of the body to read it from."""
        self._label = label_call(self.name, args)

    def abandon(self, left: "RemoteFuture[Any]") -> None:
        """Note that the attempt could not be stopped: its limit is held until `left` is done. For executors."""
        self._left = left

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
        settled = self.state.final
        self._look()
        try:
            if self.state is State.CANCELLED:
                reason = self._reason()
                if isinstance(reason, LetGo) and not settled:
                    return (
                        reason  # `gather` has asked before whether it was cancelled, and takes no exception from here
                    )
                raise reason
            return self._reason() if self._fault is not None else super().exception()
        except BaseException:
            del self  # as above
            raise

    def cancelled(self) -> bool:
        """Return True if the node was cancelled."""
        return bool(self._stopped) or super().cancelled()

    def _look(self) -> None:
        if not self._is_initialised():
            msg = f"{self!r} has no result yet"
            raise InvalidStateError(msg)
        if self.done() and not self.state.final:
            # The attempt has ended and the loop has not called back yet: settle now, or whoever looks would see the
            # bare exception, and the report would come although somebody took it.
            self.engine.ended(self)

    def _reason(self) -> BaseException:
        """Return what is raised to those who want the value of a node that has none."""
        if self._fault is not None:
            self._fault.report.take()
            # The root's own traceback again: without it each place that awaits would add its frames to the last one's.
            return self._fault.exception
        if self.run is not None and self.run.departed:
            return LetGo(self.run.id)
        if self._stopped:
            return mark_asked(CancelledError(self._stopped))
        if self.state is State.CANCELLED:
            return self._make_cancelled_error()
        error: BaseException = error_now(self)
        return error

    def _make_cancelled_error(self) -> CancelledError:
        """Return the exception of a cancelled node. `asyncio.gather` asks for it by this name."""
        asyncio_task: Any = super()
        return mark_asked(asyncio_task._make_cancelled_error())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> "dict[str, Any]":
        return bundle_of_node(self)

    def __repr__(self) -> str:
        return f"<Node {self.task.name} {self.state} at {self.site}>"


def blank_node(engine: "Engine", task: "Task[..., Any]", args: tuple[Any, ...]) -> Node[Any]:
    """Return a node whose call nobody has written down. `submit` does the same, field by field, for every other."""
    node: Node[Any] = Node.__new__(Node)
    node.code, node.instruction = None, 0
    node.task, node.engine = task, engine
    node.args, node.kwargs = args, {}
    node._call_context = copy_context()
    node._downstream = node._early = node._caller = None
    node.attempt = node._pending = node.driven = 0
    node._edged = node._plain = False
    node.state = State.WAITING
    node.run = None
    return node


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

    def wake(self) -> None:
        """End the wait on the side of what was awaited: it has settled."""
        if not self.done():
            self.set_result(None)

    def hold(self) -> "Future[None] | None":
        """Return what the body of what is awaited is to wait for before it begins: mostly nothing."""
        return None

    def forget(self) -> None:
        """End the wait on the side of the body."""
        if self.body is not None:
            kept = list(self.body._awaits)
            kept.remove(self.awaited)
            self.body._awaits = tuple(kept)
        if self.seats is not None and self.stands_for is not None:
            self.seats.come_back(self.stands_for)


class Onlooker(Waiter):
    """Stands for a place that only waits until a node has settled: nobody needs the node for that."""

    __slots__ = ()
