"""The nodes of a run: owned, told of, waited for, and cancelled when the run is to end."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from aiodag._core.capacity import Capacity
from aiodag._core.context import bodies_around
from aiodag._core.elsewhere import NOWHERE
from aiodag._core.failure import Failure, Report, exception_line
from aiodag._core.homecoming import beneath
from aiodag._core.ledger import Ledger
from aiodag._core.limits import Gate, Limit
from aiodag._core.middleware import called_by_run
from aiodag._core.node import Node
from aiodag._core.seats import Seats
from aiodag.abc import Middleware, Move, Observer
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.elsewhere import Elsewhere
    from aiodag._core.hooks import Hooks
    from aiodag.abc import Journal


HURRY = 0.5  # seconds that a run waits for its nodes at most when it is asked to end again

WAITING, RUNNING, FAILED, CANCELLED = State.WAITING, State.RUNNING, State.FAILED, State.CANCELLED


class FailedNode(NamedTuple):
    """What is said of a failure, holding nothing of it."""

    text: str
    root: str
    site: str


class Members:
    """What the engine tells a run about its nodes, and how a run ends them. `Run` is the scope around it."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    ledger: Ledger
    gates: dict[Limit, Gate] | None = None  # of limits that it shares with other runs of its store
    elsewhere: "Elsewhere" = NOWHERE
    _quiet = False  # whether nobody is told of a move or asked about a node: then the engine notes moves by itself

    def __init__(
        self,
        name: str,
        *,
        limit: int | None,
        threads: Limit | None,
        capacity: Capacity | None,
        fail_fast: bool,
        observers: tuple[Observer, ...],
        middleware: tuple[Middleware, ...],
        grace: float,
        timeout: float | None,
    ) -> None:
        self.name, self.limit = name, limit
        self.threads = threads  # of plain functions, if the run has a number of its own
        self.capacity: Capacity | None = capacity
        self.fail_fast, self.grace, self.timeout = fail_fast, grace, timeout
        self._observers = observers
        self.reported: set[int] = set()  # ids of observers that have raised
        self.middleware = middleware
        self.timed_out = False
        self._journal: Journal | None = None
        self.hooks: Hooks | None = None
        self.state = WAITING
        self.stopping = False
        # What nobody has taken, by the ids of the reports: a failure that was handled is not held, nor what its frames
        # hold. Of every failure there remains one line.
        self.untaken: dict[int, Failure] = {}
        self.failed: list[FailedNode] = []
        self._begun: dict[int, FailedNode] = {}  # by the ids of exceptions, which may be raised again by other bodies
        self._moves: list[Any] = []  # of the ledger
        self.seats = None if limit is None else Seats(limit)
        self._quieten()
        self.live: set[Node[Any]] = set()
        self._idle: asyncio.Future[None] | None = None  # of the one that waits until only a few nodes are unfinished
        self._few = 0
        self._leaving = False  # whether the scope waits for the last nodes
        self._body: asyncio.Task[Any] | None = None
        self._stopped_body = False
        self._cut_short = False  # whether nodes were cancelled because somebody stopped or drained the run
        self._given_up = False
        self._hurried = False  # whether it was asked to end again, as by a second Ctrl-C
        self._timer: asyncio.TimerHandle | None = None

    def _quieten(self) -> None:
        told = self._observers or self._journal is not None
        asked = self.middleware or self.elsewhere.executor is not None
        self._quiet = not (told or asked or self.seats is not None or self.capacity is not None)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who is told of every move."""
        return self._observers

    @observers.setter
    def observers(self, observers: tuple[Observer, ...]) -> None:
        self._observers = observers
        self._quieten()

    @property
    def journal(self) -> "Journal | None":
        """What writes the run to its store, and recalls what has succeeded."""
        return self._journal

    @journal.setter
    def journal(self, journal: "Journal | None") -> None:
        self._journal = journal
        self._quieten()

    # What the engine tells

    def _enter_plain(self, node: Node[Any], upstream: tuple[Node[Any], ...]) -> bool:
        """Own a new node with plain values and nodes, as `_enter` does, if this run is quiet and goes on; return whether."""
        if not self._quiet or self.stopping or self.state is not RUNNING:
            return False
        self.live.add(node)
        self.ledger.enter_plain(node, upstream, self.clock())
        return True

    def _enter(self, node: Node[Any], upstream: list[tuple[Node[Any], bool]]) -> Node[Any] | None:
        """Own a new node, or return the one that takes its place."""
        if self.capacity is not None:
            self.capacity.enter(node)
        if self.state.final:
            node.run = None  # made by what outlived the run: nobody waits for it here
            return None
        if self.elsewhere.executor is not None:
            node.task = beneath(node.task, self.elsewhere.task_there)
        if self.middleware:
            node.task = beneath(node.task, called_by_run)
        if self._journal is not None:
            live = self._journal.enter(node, upstream)
            if live is not None:
                return live
        self.live.add(node)
        at = self.clock()
        self.ledger.enter(node, upstream, at)
        if self._observers:
            self._tell(node, None, WAITING, at)
        return None

    def _moved(self, node: Node[Any], previous: State, state: State) -> None:
        """Note a move."""
        at = self.clock()
        self._moves += (node.number, state, at)
        if self._journal is not None:
            self._journal.moved(node, state, at)
        if self._observers:
            self._tell(node, previous, state, at)

    def _note_end(self, node: Node[Any], previous: State) -> None:
        """Note that a node has settled."""
        at = self.clock()
        self._moves += (node.number, node.state, at)
        if self._journal is not None:
            self._journal.moved(node, node.state, at)
        if self._observers:
            self._tell(node, previous, node.state, at)
        self.live.discard(node)
        if self.stopping and node.state is CANCELLED:
            self._cut_short = True
        if self.seats is not None:
            self.seats.leave(node)
        if node._fault is not None and node.state is FAILED:
            self._note_failure(node, node._fault)
        if self._idle is not None:
            self._wake_idle()

    def _wake_idle(self) -> None:
        """Wake who waits until no more than a few nodes are unfinished."""
        if self._idle is not None and len(self.live) <= self._few and not self._idle.done():
            self._idle.set_result(None)

    def _note_failure(self, node: Node[Any], fault: Failure) -> None:
        report = fault.report
        self.ledger.errors[node.number] = exception_line(report.exception)
        if self.hooks is not None and self.hooks.take_failure(node, fault):
            return
        failed = FailedNode(str(report), report.label, report.site)
        self.failed.append(failed)
        if report.here:
            self._begun[id(report.exception)] = failed
        else:
            report.began = self._begun.get(id(report.exception))
        if not report.taken:  # by an observer, a moment ago
            self.untaken[id(report)] = fault
            report.run = ref(self)
        if not self.fail_fast or self.stopping or may_fail(node):
            return
        self.stopping = True
        # In a turn of its own: the engine is in the middle of settling, and skips what needs the node first.
        self.loop.call_soon(self._cancel_nodes_and_body)

    def _cancel_nodes_and_body(self) -> None:
        self.stop()
        if self._body is not None and not self._body.done() and not self._leaving:
            self._stopped_body = True
            self._body.cancel()

    def _forget_failure(self, report: Report) -> None:
        """Forget a failure that somebody has taken."""
        self.untaken.pop(id(report), None)
        report.run = None

    def _tell(self, node: Node[Any], previous: State | None, state: State, at: float) -> None:
        move = Move(node, previous, state, at, node.attempt)
        for observer in self._observers:
            tell_observer(observer, move, self)

    # How it ends

    async def wait(self) -> None:
        """Wait until all nodes have settled."""
        if self.live:
            self._leaving = True
        await self.settle_to(0)

    async def settle_to(self, count: int) -> None:
        """Wait until no more than so many nodes are unfinished, or until the run waits for them no longer."""
        # A counter and not the nodes themselves: a body that ends may have added others.
        while len(self.live) > count and not self._given_up:
            self._few = count
            self._idle = self.loop.create_future()
            await self._idle

    def _give_up(self) -> None:
        """Wait no longer for nodes that will not end although they were cancelled."""
        name_survivors(self, self._patience())
        self._given_up = True
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _cancel_and_wait(self) -> None:
        """Cancel what is left, consumers first, and wait: no longer than `grace` seconds."""
        self.stop()
        try:
            async with asyncio.timeout(self._patience()):
                await self.wait()
        except TimeoutError:
            name_survivors(self, self._patience())
        except asyncio.CancelledError:
            self._hurried = True
            raise

    def _patience(self) -> float:
        return min(self.grace, HURRY) if self._hurried else self.grace

    def stop(self) -> None:
        """Cancel every unfinished node except those of hooks, and every node made from now on."""
        self.stopping = True
        spared = () if self.hooks is None else self.hooks.nodes
        for node in sorted(self.live, key=lambda node: node.state is RUNNING):
            if node not in spared:
                node.cancel(f"run {self.name!r} is being cancelled")

    def _time_out(self) -> None:
        """Cancel every node and the body of the scope, since they take too long."""
        self.timed_out = True
        self.abort()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        """Cancel every node and the body of the scope; why is noted elsewhere, and raised when the scope is left."""
        self.stopping = True
        self._cancel_nodes_and_body()
        if self.hooks is not None and not self.timed_out:
            self.hooks.cancel()
        self._end_timer()
        self._timer = self.loop.call_later(self.grace, self._give_up)

    def drain(self) -> None:
        """Let what runs finish, and start nothing more: what waits is cancelled, and so is every node made from now on."""
        self.stopping = True
        for node in [node for node in self.live if node.state is not RUNNING and not is_joint(node)]:
            node.cancel(f"run {self.name!r} is being drained")


def name_survivors(run: Members, patience: float) -> None:
    """Report the nodes that have not ended in time."""
    if run.live:
        text = f"run {run.name!r} waited {patience:g} s for what does not end, and left it: {call_places(run.live)}"
        run.loop.call_exception_handler({"message": text})


def may_fail(node: Node[Any]) -> bool:
    """Return True if somebody has said that a run goes on after the failure of a node, or of what it is called in."""
    return any(each.task.may_fail for each in (node, *bodies_around(node)))


def is_joint(node: Node[Any]) -> bool:
    """Return True for what a body awaits to hear that the nodes have settled that it encloses: they may be running."""
    around = next(bodies_around(node), None)
    return node.task.barrier and around is not None and around.task.encloses


def call_places(nodes: set[Node[Any]]) -> str:
    """Return the calls that made nodes, each once."""
    return ", ".join(sorted({f"{node.name} (called at {node.site})" for node in nodes}))


def tell_observer(observer: Observer, move: Move, run: Members) -> None:
    """Tell an observer of a move. It harms nothing, whatever it raises, and is reported the first time."""
    try:
        observer.moved(move)
    except BaseException as error:  # noqa: BLE001 - see above
        if id(observer) not in run.reported:
            run.reported.add(id(observer))
            message = f"observer {type(observer).__qualname__} of run {run.name!r} raised, which is reported once"
            run.loop.call_exception_handler({"message": message, "exception": error})
        if isinstance(error, KeyboardInterrupt | SystemExit):
            # In a turn of its own, for it stops the loop: here, the move is not complete.
            run.loop.call_soon(reraise, error)


def reraise(error: BaseException) -> None:
    """Raise what stops the loop."""
    raise error
