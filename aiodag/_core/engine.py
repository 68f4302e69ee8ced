"""Submit, release, settle: the only file that moves the state of a node.

One engine serves one event loop. A call makes a node (`submit`). When its upstream nodes have succeeded it
is put into the ready queue (`release`), which one loop callback works off (`drain`): it starts the attempt,
eagerly where Python can, so that a body that never suspends costs no turn of the loop. The end of an attempt
settles the node (`succeed`, `fail`, `stop`), which counts down or skips what waits for it, directly and
iteratively: no loop callback for an edge, no recursion for a chain.
"""

import asyncio
import sys
from asyncio import CancelledError, Future, _get_running_loop
from collections import deque
from contextvars import Context, copy_context
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.context import NODE, RUN
from aiodag._core.deadlock import drives, find_cycle
from aiodag._core.edges import PLAIN, Search, close_coroutines, fill
from aiodag._core.failure import Failure, Report
from aiodag._core.node import Node, Tolerant, Waiter
from aiodag._core.states import State
from aiodag.errors import Deadlock, ForeignLoop, NoLoop, Skip

if TYPE_CHECKING:
    from aiodag._core.limits import Gate, Limit
    from aiodag._core.task import Task

# As globals: reading a member of an enum on every move would cost more than the move.
WAITING, QUEUED, RUNNING = State.WAITING, State.QUEUED, State.RUNNING
SUCCEEDED, FAILED, SKIPPED, CANCELLED = State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED

EAGER = {"eager_start": True} if sys.version_info >= (3, 12) else {}
BUDGET = 256  # attempts started in one turn of the loop, so that I/O is never starved

# Node refuses these two to its users.
set_value = Future.set_result
set_error = Future.set_exception
value_now = Future.result
error_now = Future.exception
cancel_now = Future.cancel


def adopt(engine: "Engine", awaitable: Any) -> Node[Any]:
    """Make the node of a coroutine, a future, or anything else that can be awaited, passed as an edge."""
    future = awaitable if asyncio.isfuture(awaitable) else None
    if future is not None and future.get_loop() is not engine.loop:
        raise ForeignLoop(future, closed=future.get_loop().is_closed())
    node: Node[Any] = Node(loop=engine.loop)
    node.code, node.instruction = None, 0
    node.task, node.engine = Adopted(awaitable), engine  # type: ignore[assignment]  # stands for the task
    node.args, node.kwargs = (awaitable,), {}
    node.context = copy_context()
    node.downstream = node.driver = None
    node.attempt = node.pending = 0
    node.state = WAITING
    node.run = RUN.get()
    if node.run is not None:
        node.run.enter(node, [])
    engine.release(node)
    return node


class Adopted:
    """Stands for the task of an awaitable that was passed as an edge."""

    after_deps, raw, code, call = (), False, None, None

    def __init__(self, awaitable: Any) -> None:
        coroutine = awaitable.get_coro() if isinstance(awaitable, asyncio.Task) else awaitable
        self.name = getattr(coroutine, "__qualname__", type(awaitable).__name__)

    @staticmethod
    def fn(awaitable: Any) -> Any:
        """Return what the attempt drives."""
        return awaitable


async def awaited(awaitable: Any) -> Any:
    """Await anything: an asyncio task takes only coroutines."""
    return await awaitable


def stopped(name: str, error: StopIteration) -> RuntimeError:
    """Return what a coroutine makes of StopIteration, for a body in a thread; a future cannot hold the other."""
    wrapped = RuntimeError(f"{name} raised StopIteration")
    wrapped.__cause__ = error
    return wrapped.with_traceback(error.__traceback__)


def submit(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node[Any]:
    """Make the node of a call. Called by what the user calls, so that the caller's frame is two up."""
    loop: Any = _get_running_loop()
    try:
        engine: Engine = loop.aiodag_engine
        if kwargs or not task.fewest <= len(args) <= task.most:
            task.check(args, kwargs)
    except AttributeError:
        engine = engine_here(task, args, kwargs)

    node: Node[Any] = Node(loop=loop)
    frame = sys._getframe(2)  # noqa: SLF001 - the one way to know the place of the call
    node.code = frame.f_code
    node.instruction = frame.f_lasti
    node.task = task
    node.engine = engine
    node.args = args
    node.kwargs = kwargs
    node.context = copy_context()
    node.downstream = node.driver = None
    node.attempt = node.pending = 0
    node.state = WAITING
    node.run = run = RUN.get()

    upstream: list[tuple[Node[Any], bool]] | None = []
    if kwargs or task.after_deps or task.raw:
        upstream = engine.search(node)
    else:
        for value in args:
            kind = type(value)
            if kind is Node and value.engine is engine:
                upstream.append((value, False))
            elif kind not in PLAIN:
                upstream = engine.search(node)
                break
    if run is not None:
        run.enter(node, upstream)
    if upstream:
        engine.connect(node, upstream)
    if not node.pending and node.state is WAITING:
        engine.release(node)
    if run is not None and run.stopping:
        engine.cancel(node, "its run is being cancelled")
    return node


def engine_here(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Engine":
    """Make the engine of the running loop, for the first call on it. Raises `NoLoop` where none runs."""
    loop: Any = _get_running_loop()
    if loop is None:
        close_coroutines(args, kwargs)
        raise NoLoop(task.name)
    task.check(args, kwargs)
    return engine_of(loop)


def engine_of(loop: Any) -> "Engine":
    """Return the engine of a loop, made for the first call on it.

    It is kept on the loop itself: a table of loops would be shared by threads, and cost a lookup for each call.
    """
    engine: Engine | None = getattr(loop, "aiodag_engine", None)
    if engine is None:
        engine = loop.aiodag_engine = Engine(loop)
    return engine


class Engine:
    """What aiodag knows of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.context = Context()  # empty: the drain must not keep the variables of whoever called first
        self.ready: Any = deque()  # append and popleft; aiodag.testing puts a shuffled one in its place
        self.draining = False  # whether a drain is under way or will be; while planning always
        self.away = 0  # attempts in threads and processes; a virtual clock must wait for them
        # A loop holds its asyncio tasks weakly, and a node and its attempt are a cycle: unfinished, they would be
        # collected in mid-flight. Nodes that wait are held by their upstream.
        self.alive: set[Node[Any]] = set()
        self.adopted: WeakKeyDictionary[Any, Node[Any]] = WeakKeyDictionary()
        self.gates: WeakKeyDictionary[Limit, Gate] = WeakKeyDictionary()

    # Submit

    def search(self, node: Node[Any]) -> list[tuple[Node[Any], bool]]:
        """Find the edges of a call that is more than plain values and nodes."""
        task = node.task
        look = Search(self.adopt, self.loop, raw=task.raw)
        try:
            for dep in task.after_deps:
                look.dependency(dep)
            args = tuple([look.argument(value) for value in node.args])
            kwargs = {key: look.argument(value) for key, value in node.kwargs.items()} if node.kwargs else {}
        except BaseException:
            close_coroutines(node.args, node.kwargs)
            raise
        node.args, node.kwargs = args, kwargs
        node.after = tuple([up for up, _ in look.found])
        return look.found

    def adopt(self, awaitable: Any) -> Node[Any]:
        """Return the node that stands for an awaitable: always the same one for the same object."""
        if type(awaitable) is Node:
            if awaitable.engine is not self:
                raise ForeignLoop(awaitable, closed=awaitable.engine.loop.is_closed())
            return awaitable
        try:
            known = self.adopted.get(awaitable)
        except TypeError:  # not hashable, or without weak references: it cannot be known again
            return adopt(self, awaitable)
        if known is None:
            known = self.adopted[awaitable] = adopt(self, awaitable)
        return known

    def connect(self, node: Node[Any], upstream: list[tuple[Node[Any], bool]]) -> None:
        """Make the edges of a new node. An upstream that has settled counts at once."""
        for up, tolerant in upstream:
            if not up.done():
                node.pending += 1
                entry = Tolerant(node) if tolerant else node
                if up.downstream is None:
                    up.downstream = [entry]
                else:
                    up.downstream.append(entry)
            elif not tolerant and up.state is not SUCCEEDED:
                self.follow_down(node, up)
                return

    # Release

    def release(self, node: Node[Any]) -> None:
        """Put a node whose upstream is done into the ready queue."""
        node.state = QUEUED
        if node.run is not None:
            node.run.moved(node, WAITING, QUEUED)
        self.enqueue(node)

    def enqueue(self, node: Node[Any]) -> None:
        """Have a queued node started by the next drain."""
        self.ready.append(node)
        if not self.draining:
            self.draining = True
            self.loop.call_soon(self.drain, context=self.context)

    def drain(self) -> None:
        """Start what is ready: a bounded number of attempts, then the loop has its turn."""
        ready = self.ready
        left = BUDGET
        try:
            while ready and left:
                left -= 1
                self.start(ready.popleft())
        finally:  # also when KeyboardInterrupt or SystemExit comes out of a body: the rest must not be lost
            if ready:
                self.loop.call_soon(self.drain, context=self.context)
            else:
                self.draining = False

    def start(self, node: Node[Any]) -> None:
        """Fill the arguments and start the attempt."""
        if node.state is not QUEUED:
            return  # cancelled in the queue
        run = node.run
        if run is not None and run.limit is not None and not run.admit(node):
            return
        task = node.task
        args = node.args
        kwargs = node.kwargs
        try:
            args = [value_now(a) if type(a) is Node else a if type(a) in PLAIN else fill(a) for a in args]
            if kwargs:
                kwargs = {key: fill(value) for key, value in kwargs.items()}
            if task.call is None:
                self.begin(node)
                coroutine = task.fn(*args, **kwargs)
                if type(coroutine) is not CoroutineType:
                    coroutine = awaited(coroutine)
            else:
                coroutine = task.call(node, args, kwargs)
        except Exception as error:
            if node.state is QUEUED:
                self.begin(node)
            self.fail(node, error)
            return
        del args, kwargs
        self.drive(node, coroutine)

    def begin(self, node: Node[Any]) -> None:
        """Move a node to running: its body starts now. The arguments are the body's from here on."""
        node.state = RUNNING
        node.attempt += 1
        node.args = node.kwargs = None
        if node.after:
            del node.after
        if node.run is not None:
            node.run.moved(node, QUEUED, RUNNING)

    def requeue(self, node: Node[Any]) -> None:
        """Move a node back to queued: another attempt will follow."""
        node.state = QUEUED
        if node.run is not None:
            node.run.moved(node, RUNNING, QUEUED)

    def drive(self, node: Node[Any], coroutine: Any) -> None:
        """Drive a coroutine in the context of the call, to its first suspension at once where Python can."""
        context: Any = node.context
        context.run(NODE.set, node)
        node.driver = coroutine
        try:
            if EAGER:
                driver = asyncio.Task(
                    coroutine, loop=self.loop, name=node.task.name, context=context, eager_start=True
                )
            else:
                driver = asyncio.Task(coroutine, loop=self.loop, name=node.task.name, context=context)
        except (KeyboardInterrupt, SystemExit):
            self.stop(node, "the loop was stopped from its body")
            raise
        if driver.done():
            self.finish(node, driver)
            return
        if node.driver is None:  # cancelled in its own first step, see cancel()
            driver.cancel()
        node.driver = driver
        self.alive.add(node)
        driver.add_done_callback(partial(self.ended, node), context=self.context)

    # Settle

    def ended(self, node: Node[Any], driver: Any) -> None:
        """Settle a node whose attempt suspended, and start at once what that releases."""
        busy = self.draining
        self.draining = True
        self.alive.discard(node)
        self.finish(node, driver)
        if not busy:
            self.drain()

    def finish(self, node: Node[Any], driver: Any) -> None:
        """Settle a node by the outcome of what drove it."""
        if driver.cancelled():
            self.stop(node, None)
            return
        error = driver.exception()
        if error is None:
            self.succeed(node, driver.result())
        else:
            self.fail(node, error)

    def succeed(self, node: Node[Any], value: Any) -> None:
        """Settle a node with its value and count down what waits for it."""
        node.state = SUCCEEDED
        node.driver = node.context = None
        set_value(node, value)
        if node.run is not None:
            node.run.leave(node, RUNNING)
        entries = node.downstream
        if entries is None:
            return
        node.downstream = None
        for entry in entries:
            if type(entry) is Node:
                entry.pending -= 1
                if not entry.pending and entry.state is WAITING:
                    self.release(entry)
            else:
                self.notify(entry)

    def notify(self, entry: Tolerant | Waiter) -> None:
        """Tell an awaiter, or a node that tolerates any outcome, that its upstream has settled."""
        if type(entry) is Waiter:
            if not entry.done():
                entry.set_result(None)
            return
        node = entry.node
        node.pending -= 1
        if not node.pending and node.state is WAITING:
            self.release(node)

    def fail(self, node: Node[Any], error: BaseException) -> None:
        """Settle a node whose body raised, and skip what needs it."""
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.stop(node, "the loop was stopped from its body")
            return
        if isinstance(error, Skip):
            self.close(node, SKIPPED, error, None)
        else:
            if isinstance(error, StopIteration):  # of a thread; a coroutine does the same by itself
                error = stopped(node.name, error)
            report = Report(node.name, node.site, error, self.loop, node.task.code)
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
            entries, up.downstream = up.downstream, None
            for entry in entries or ():
                if type(entry) is not Node:
                    self.notify(entry)
                elif not entry.done():
                    self.follow_down(entry, up)
                    queue.append(entry)

    def follow_down(self, node: Node[Any], up: Node[Any]) -> None:
        """Settle a node that waits for an upstream without a value."""
        if up.state is CANCELLED:
            self.close(node, CANCELLED, None, None, f"{up.name} was cancelled")
        elif up.fault is None:
            self.close(node, SKIPPED, error_now(up), None)
        else:
            fault = up.fault.onward(node.name)
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
        node.state = state
        node.args = node.kwargs = node.driver = node.context = None
        if node.after:
            del node.after
        if error is None:
            cancel_now(node, message)
        else:
            set_error(node, error)
            node._log_traceback = False  # noqa: SLF001 - a Report speaks for it, once for all that is skipped
            if fault is not None:
                node.fault = fault
        if node.run is not None:
            node.run.leave(node, previous)

    # Cancel and await

    def cancel(self, node: Node[Any], message: Any) -> bool:
        """Cancel a node: at once if its body has not started, else through what drives it."""
        driver = node.driver
        if driver is None:
            self.stop(node, message)
            return True
        if type(driver) is CoroutineType:
            # Its first step is running right now, inside drive(): the asyncio task is not in our hands yet.
            node.driver = None
            return True
        return bool(driver.cancel(message))

    def leave(self, node: Node[Any]) -> None:
        """Cancel a node whose awaiter was cancelled, unless something else needs it."""
        entries = node.downstream or []
        # Only the end is looked at, and dropped when it is done: constant time for each of many awaiters.
        while entries and entries[-1].done():
            entries.pop()
        if not entries and not node._callbacks and not node.done():  # noqa: SLF001 - gather and wait use callbacks
            self.cancel(node, "its last awaiter was cancelled")

    def wait_for(self, node: Node[Any]) -> Waiter:
        """Note that somebody awaits a node. Raises `Deadlock` in a body for which the node waits."""
        if _get_running_loop() is not self.loop:
            raise ForeignLoop(node, closed=self.loop.is_closed())
        waiter = Waiter(loop=self.loop)
        waiter.awaited = node
        waiter.node = waiter.run = None
        here = NODE.get()
        if here is not None and here.engine is self and drives(here):
            cycle = find_cycle(here, node)
            if cycle:
                raise Deadlock([each.name for each in cycle])
            waiter.node = here
            here.awaits = (*here.awaits, node)
            if here.run is not None and here.run.limit is not None:
                waiter.run = here.run
                here.run.step_aside()
        if node.downstream is None:
            node.downstream = []
        node.downstream.append(waiter)
        return waiter
