"""One call of a task; awaitable."""

from asyncio import CancelledError, Future
from collections.abc import Generator
from types import CodeType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from aiodag._core.failure import Failure, site_of
from aiodag._core.states import State

if TYPE_CHECKING:
    from concurrent.futures import Future as RemoteFuture
    from contextvars import Context

    from aiodag._core.engine import Engine
    from aiodag._core.run import Run
    from aiodag._core.task import Task

T = TypeVar("T")


class Node(Future[T]):
    """One call of a task. Await it for its value, pass it to other tasks, or let it run by itself.

    A failed node raises the exception of the body that failed, at every place that awaits it; a skipped node
    raises the exception of its root. Awaiting is not owning: when the awaiter is cancelled, the node goes on if
    anything else needs it.

    >>> import asyncio, aiodag
    >>> @aiodag.task
    ... async def double(x: int) -> int:
    ...     return 2 * x
    >>> async def main() -> int:
    ...     node = double(double(10))
    ...     assert node.state is aiodag.State.WAITING
    ...     return await node
    >>> asyncio.run(main())
    40
    """

    # Set by the engine for every node, one by one: a Python __init__ would cost as much as the Future itself.
    __slots__ = (
        "args",  # as called until the body starts, then None
        "attempt",
        "code",  # of the caller, with `instruction`: where the call stands
        "context",  # of the caller, until settled
        "downstream",  # what waits: Node, Tolerant or Waiter, each a Future-like with done()
        "driver",  # what runs the attempt: an asyncio task, or the future that was adopted
        "engine",
        "instruction",
        "kwargs",
        "pending",  # upstream nodes that are not settled
        "run",
        "state",
        "task",
    )

    args: Any
    attempt: int
    code: CodeType | None
    context: "Context | None"
    downstream: "list[Any] | None"
    driver: Any
    engine: "Engine"
    instruction: int
    kwargs: "dict[str, Any] | None"
    pending: int
    run: "Run | None"
    state: State
    task: "Task[..., T]"

    # Set for few nodes, so they live in the instance's dictionary, which is made only then.
    after: "tuple[Node[Any], ...]" = ()  # upstream nodes that are not found among args
    awaits: "tuple[Node[Any], ...]" = ()  # what the body awaits right now
    fault: Failure | None = None
    left: "RemoteFuture[Any] | None" = None  # the thread or process call that goes on without the node
    record: Any = None  # of the run's ledger

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

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
        return self.left is not None and not self.left.done()

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ANN401 - as asyncio.Future
        """Cancel this node and what needs it, never what it needs. Return whether there was anything to cancel.

        A running body gets a `CancelledError` where it waits; a node that has not started never runs.
        """
        return not self.done() and self.engine.cancel(self, msg)

    def abandon(self, left: "RemoteFuture[Any]") -> None:
        """Note that the attempt could not be stopped: its limit is held until `left` is done. For executors."""
        self.left = left

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            waiter = self.engine.wait_for(self)
            try:
                yield from waiter
            except CancelledError:
                waiter.forget()
                if waiter.cancelled():
                    self.engine.leave(self)
                raise
            waiter.forget()
            if waiter.run is not None:
                yield from waiter.run.readmit()
        if self.fault is not None:
            raise self._taken(self.fault)
        return super().result()

    __iter__ = __await__

    def result(self) -> T:
        """Return the value, or raise the failure. Raises `asyncio.InvalidStateError` before the node has settled."""
        if self.fault is not None:
            raise self._taken(self.fault)
        return super().result()

    def exception(self) -> BaseException | None:
        """Return the exception of a failed or skipped node, None of one that succeeded."""
        if self.fault is not None:
            return self._taken(self.fault)
        return super().exception()

    def _taken(self, fault: Failure) -> BaseException:
        fault.report.taken = True
        # The root's own traceback again: without it each place that awaits would add its frames to the last one's.
        return fault.exception

    def set_result(self, result: T) -> NoReturn:
        """Refuse: only the body of a node gives it a value."""
        msg = f"{self!r} gets its value from its body; pass a plain asyncio.Future where you want to set one"
        raise RuntimeError(msg)

    def set_exception(self, exception: object) -> NoReturn:
        """Refuse: only the body of a node fails it."""
        msg = f"{self!r} fails by what its body raises; pass a plain asyncio.Future where you want to set one"
        raise RuntimeError(msg)

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

    __slots__ = ("awaited", "node", "run")

    awaited: Node[Any]
    node: Node[Any] | None  # whose body awaits
    run: "Run | None"  # that counted that body as running

    def forget(self) -> None:
        """End the wait on the side of the body."""
        if self.node is not None:
            kept = list(self.node.awaits)
            kept.remove(self.awaited)
            self.node.awaits = tuple(kept)
        if self.run is not None:
            self.run.running += 1
