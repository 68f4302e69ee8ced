"""Release, start, settle: the only file that moves the state of a node.

One engine serves one event loop. A call makes a node (`submit.py`). When its upstream nodes have succeeded it is put
into the ready queue (`release`), which one loop callback works off (`drain`): it starts the attempt, eagerly where
Python can, so that a body that never suspends costs no turn of the loop. The end of an attempt settles the node
(`succeed`, `fail`, `stop`), which counts down or skips what waits for it, directly and iteratively: no loop callback
for an edge, no recursion for a chain.

A node *is* the asyncio task of its attempt: allocated at the call, initialised when the attempt starts. One object
in place of a future and a task saves a quarter of the time and a third of the memory of a node.
"""

import asyncio
from collections import deque
from contextvars import Context
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.as_task import (
    cancel_future,
    error_now,
    is_done,
    set_error,
)
from aiodag._core.body import drive_body, start_task
from aiodag._core.cancelling import cancel_node, cancel_with_upstream
from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.deadlock import needs
from aiodag._core.edges import PLAIN
from aiodag._core.failure import Exited, Failure, Report
from aiodag._core.node import Node, Waiter
from aiodag._core.real_time import RealTime
from aiodag._core.recalled import take_back
from aiodag._core.rules import notify
from aiodag._core.search import Kinds, fill_results
from aiodag._core.steps import can_step, first_step, take_step
from aiodag._core.waits import is_needed, wait_for_node
from aiodag.errors import LetGo, Skip
from aiodag.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiodag._core.limits import Gate, Limit

# As globals: reading a member of an enum on every move would cost more than the move.
WAITING, QUEUED, RUNNING = State.WAITING, State.QUEUED, State.RUNNING
SUCCEEDED, FAILED, SKIPPED, CANCELLED = State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED

BUDGET = 256  # attempts started in one turn of the loop, so that I/O is never starved


class Settling:
    """How nodes end, and what comes of that for the nodes that wait for them."""

    loop: asyncio.AbstractEventLoop
    alive: set[Node[Any]]
    release: "Callable[[Node[Any]], None]"

    def ended(self, node: Node[Any]) -> None:
        """Settle a node whose attempt did not succeed."""
        self.alive.discard(node)
        if node.state.final:
            return  # settled by who looked first, see Node.result
        if node.cancelled():
            self.stop(node, None)
        else:
            error: Any = error_now(node)
            self.fail(node, error.error if type(error) is Exited else error)

    def succeed(self, node: Node[Any]) -> None:
        """Settle a node that has its value, or gets it before the loop goes on, and count down what waits for it."""
        previous = node.state
        node.state = SUCCEEDED
        self.alive.discard(node)
        if node._early is not None:
            node._initialise()
        run = node.run
        if run is not None:
            if run._quiet:  # as in _note_end()
                run._moves += (node.number, SUCCEEDED, run.clock())
                run.live.discard(node)
                if run._idle is not None:
                    run._wake_idle()
            else:
                run._note_end(node, previous)
        entries = node._downstream
        if entries is None:
            return
        node._downstream = None
        for entry in entries:
            if type(entry) is Node:
                entry._pending -= 1
                if not entry._pending and entry.state is WAITING:
                    self.release(entry)
            elif type(entry) is Waiter:
                entry.wake()
            else:
                skipped = notify(entry, node)
                if skipped is not None:
                    self.sweep(skipped)

    def fail(self, node: Node[Any], error: BaseException) -> None:
        """Settle a node whose body raised, and skip what needs it."""
        if isinstance(error, KeyboardInterrupt):
            node._stopped = "the loop was stopped from its body"
            self.stop(node, None)
        elif isinstance(error, LetGo):
            node._stopped = str(error)
            self.stop(node, None)
        elif isinstance(error, Skip):
            self.close(node, SKIPPED, error, None)
            self.sweep(node)
        else:
            report = Report(node.name, node.site, error, self.loop, node.task.code, node._label)
            self.close(node, FAILED, error, Failure(report, (node.name, None)))
            self.sweep(node)

    def stop(self, node: Node[Any], message: str | None) -> None:
        """Settle a node as cancelled, and what needs it."""
        self.close(node, CANCELLED, None, None, message)
        self.sweep(node)

    def sweep(self, node: Node[Any]) -> None:
        """Settle all that needs a node without a value: breadth first, never by recursion."""
        queue = deque([node])
        while queue:
            up = queue.popleft()
            entries, up._downstream = up._downstream, None
            for entry in entries or ():
                if type(entry) is not Node:
                    skipped = notify(entry, up)
                    if skipped is not None:
                        queue.append(skipped)
                elif entry.state is WAITING:
                    self.follow_down(entry, up)
                    queue.append(entry)

    def follow_down(self, node: Node[Any], up: Node[Any]) -> None:
        """Settle a node that waits for an upstream without a value."""
        if up.state is CANCELLED:
            self.close(node, CANCELLED, None, None, f"{up.name} was cancelled")
        elif up._fault is None:
            self.close(node, SKIPPED, error_now(up), None)
        else:
            # What only joins edges is not a station on the path of a failure.
            fault = up._fault if node.task.barrier else up._fault.onward(node.name)
            self.close(node, SKIPPED, fault.exception, fault)

    def close(
        self,
        node: Node[Any],
        state: State,
        error: BaseException | None,
        fault: Failure | None,
        message: str | None = None,
    ) -> None:
        """Move a node to a final state without a value, and drop what it held."""
        previous = node.state
        if previous is WAITING:
            for up in needs(node):
                up._drop_edge(node)
        if node.task.stands_in and node.args and iscoroutine(node.args[0]):
            node.args[0].close()
        node.state = state
        node._drop_call()
        if fault is not None:
            node._fault = fault
        node._initialise()
        if not is_done(node):
            if error is None:
                cancel_future(node, message)
            else:
                set_error(node, error)
        node._log_traceback = False
        if node.run is not None:
            node.run._note_end(node, previous)


class Engine(Settling):
    """What aiodag knows of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.direct = can_step(loop)
        self.steps: Any = None  # of the body that is in its first step now
        self.context = Context()  # empty: the drain must not keep the variables of whoever called first
        self.ready: Any = deque()  # append and popleft; aiodag.testing puts a shuffled one in its place
        self.draining = False  # whether a drain is under way or will be; while planning always
        self.written: deque[Node[Any] | asyncio.Future[None]] = deque()  # who waited for a commit that has come
        self.real_time = RealTime()
        # A loop holds its asyncio tasks weakly: unfinished ones that only their own cycle holds would be collected
        # in mid-flight. Nodes that wait are held by their upstream.
        self.alive = set()
        self.adopted: WeakKeyDictionary[Any, Node[Any]] = WeakKeyDictionary()
        self.gates: WeakKeyDictionary[Limit, Gate] = WeakKeyDictionary()
        self.kinds = Kinds()
        self.fetching: set[asyncio.Task[None]] = set()  # of values that come from elsewhere
        self.filling_for: Any = None  # the executor whose handles stay in the arguments that are filled now
        self.used: dict[int, tuple[Any, int]] = {}  # hosts and executors that runs name: by how many of them

    def release(self, node: Node[Any]) -> None:
        """Put a node whose upstream is done into the ready queue."""
        node.state = QUEUED
        run = node.run
        if run is not None:
            if run._quiet:  # as in _moved()
                run._moves += (node.number, QUEUED, run.clock())
            else:
                run._moved(node, WAITING, QUEUED)
        self.ready.append(node)
        if not self.draining:
            self.wake()

    def requeue(self, node: Node[Any]) -> None:
        """Have a node started that its run has kept back."""
        self.ready.append(node)
        if not self.draining:
            self.wake()

    def wake(self) -> None:
        """Have the loop work off the queue."""
        self.draining = True
        self.loop.call_soon(self.drain, context=self.context)

    def drain(self) -> None:
        """Start what is ready: a bounded number of attempts, then the loop has its turn."""
        ready = self.ready
        left = BUDGET
        try:
            while ready and left:
                left -= 1
                node = ready.popleft()
                if node._plain:
                    self.start_plain(node)
                else:
                    self.start(node)
            node = None  # as in start_task()
        finally:  # also when KeyboardInterrupt comes out of a body: the rest must not be lost
            if ready:
                self.loop.call_soon(self.drain, context=self.context)
            else:
                self.draining = False

    def start_plain(self, node: Node[Any]) -> None:
        """Start a node without options, whose arguments are plain values and nodes: as `start` and `begin` do."""
        if node.state is not QUEUED:  # cancelled in the queue
            return
        args = node.args
        if node._edged:
            args = [each.value if type(each) is Node else each for each in args]
        node.state = RUNNING
        node.attempt = 1
        node.args = None
        run = node.run
        if run is not None:
            if run._quiet:
                run._moves += (node.number, RUNNING, run.clock())
            else:
                run._moved(node, QUEUED, RUNNING)
        task = node.task
        if task._waits or not self.direct:
            coroutine = drive_body(node, task.fn, args, None)
            del args  # as in start()
            start_task(self, node, coroutine, node._call_context)
        else:
            steps: Any = first_step(node, task.fn, args, None)
            del args
            if take_step(self, node, steps):
                if node._downstream is None and node._early is None and run is None:
                    node.state = SUCCEEDED
                else:
                    self.succeed(node)
        del node, run  # as in start_task(), and the run has the failure until somebody takes it

    def start(self, node: Node[Any]) -> None:
        """Fill the arguments and start the attempt."""
        run = node.run
        if node.state is not QUEUED:  # cancelled in the queue
            if run is not None and run.seats is not None:
                run.seats.let_in()  # the place that it was called for is for another
            return
        if run is not None and run.seats is not None and not run.seats.admit(node):
            return
        task = node.task
        call: Any = task.fn
        args = node.args
        kwargs = node.kwargs
        journal = None if run is None else run._journal
        try:
            if journal is not None and take_back(self, node, journal):
                return
            if node._edged:
                args = [a.value if type(a) is Node else a if type(a) in PLAIN else fill_results(a) for a in args]
                if kwargs:
                    kwargs = {key: fill_results(value) for key, value in kwargs.items()}
            if journal is not None:
                call, args, kwargs = journal, (node, args, kwargs or {}), {}
            elif task.call is None:
                self.begin(node)
            else:
                call, args, kwargs = task.call, (node, args, kwargs or {}), {}
        except BaseException as error:  # whatever it is, it is the node's
            if node.state is QUEUED:
                self.begin(node)
            if is_asked(None, error):
                self.stop(node, None)
            else:
                self.fail(node, as_failure(node.name, error))
            del node  # as in start_task()
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        if run is not None and node.state.final:
            return  # an observer cancelled it
        if task._waits or not self.direct:
            coroutine = drive_body(node, call, args, kwargs)
            del args, kwargs  # the body starts below, and they are the body's
            start_task(self, node, coroutine, node._call_context)
        else:
            steps: Any = first_step(node, call, args, kwargs)
            del args, kwargs
            if take_step(self, node, steps):
                self.succeed(node)
        del node, run  # as in start_task(), and the run has the failure until somebody takes it

    def settle_written(self, waiters: "Iterable[Node[Any] | asyncio.Future[None]]") -> None:
        """Settle nodes whose values a journal has written, and wake the bodies that wait for that: soon, not all at once."""
        idle = not self.written
        self.written.extend(waiters)
        if idle and self.written:
            self.loop.call_soon(self.settle_some, context=self.context)

    def settle_some(self) -> None:
        """Settle a bounded number of those that were written; then the loop has its turn."""
        written = self.written
        try:
            for _ in range(min(BUDGET, len(written))):
                each = written.popleft()
                if type(each) is Node:
                    if each.state is RUNNING:  # not cancelled meanwhile
                        self.succeed(each)
                elif not each.done():
                    each.set_result(None)
        finally:  # as in drain()
            if written:
                self.loop.call_soon(self.settle_some, context=self.context)

    def begin(self, node: Node[Any]) -> None:
        """Move a node to running: its body starts now, and the arguments are the body's."""
        node.state = RUNNING
        node.attempt += 1
        node.args = node.kwargs = None
        if node.after:
            del node.after
        if node.run is not None:
            node.run._moved(node, QUEUED, RUNNING)

    def again(self, node: Node[Any], error: BaseException) -> None:
        """Move a node back to queued: another attempt will follow."""
        node.state = QUEUED
        if node.run is not None:
            node.ended_by = error
            node.run._moved(node, RUNNING, QUEUED)
            del node.ended_by

    def anew(self, node: Node[Any]) -> None:
        """Move a node back to queued whose body begins again, as another generation with attempts of its own."""
        node.state = QUEUED
        node.attempt = node.earlier = node.failed = node.losses = 0
        if node.run is not None:
            node.run._moved(node, RUNNING, QUEUED)

    def cancel(self, node: Node[Any], message: str | None, *, upstream: bool = False) -> bool:
        """Cancel a node; with `upstream` also what it waits for and nothing else needs."""
        return cancel_with_upstream(self, node, message) if upstream else cancel_node(self, node, message)

    def leave(self, node: Node[Any]) -> None:
        """Cancel a node whose awaiter was cancelled, unless something else needs it."""
        if not is_needed(node):
            cancel_node(self, node, "its last awaiter was cancelled")

    def wait_for(self, node: Node[Any]) -> Waiter:
        """Note that somebody awaits a node. Raises `Deadlock` in a body for which the node waits."""
        try:
            return wait_for_node(self.loop, node)
        finally:
            del node  # as in start_task()
