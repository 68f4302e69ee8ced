"""What stands between the engine and a body that has options: retry, limit, resources, timeout, and where it runs."""

import asyncio
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.capacity import Capacity, by_program, refusal, request_at
from aiodag._core.context import RUN
from aiodag._core.holdings import Request
from aiodag._core.homecoming import leave_there
from aiodag._core.layers import Call, call_within
from aiodag._core.letting_go import leavable
from aiodag._core.limits import Limit, give_back
from aiodag._core.named import host_for
from aiodag._core.node import Node
from aiodag._core.options import TaskOptions, time_limit_at
from aiodag._core.retry import Retry, note_losses, recall_losses
from aiodag._core.shared import gate_for
from aiodag.abc import Executor, Middleware
from aiodag.errors import NoCapacity
from aiodag.held_values import HeldValue

if TYPE_CHECKING:
    from aiodag._core.task import Task

Body = Callable[[Node[Any], Sequence[Any], dict[str, Any]], Awaitable[Any]]


class Limited:
    """Hold a place of a limit for as long as the attempt really runs."""

    def __init__(self, limit: Limit, priority: int, *, spaced: bool = True) -> None:
        self.limit = limit
        self.priority = priority
        self.spaced = spaced  # else somebody inside waits for the turn

    async def __call__(self, node: Node[Any], call_next: Call) -> Any:
        """Wait for a place, run, give it back."""
        limit = self.limit.of_node(node)
        if limit is None:
            return await call_next()
        gate = gate_for(node, limit)
        if gate.interval and self.spaced:
            await gate.acquire(self.priority)
        elif not gate.take():
            await gate.enter(self.priority)
        node._left = None
        succeeded = False
        try:
            value = await call_next()
            succeeded = True
            return value
        finally:
            # A thread cannot be stopped: its place is taken until it really ends.
            left = node._left_behind()
            if left is not None:
                left.add_done_callback(partial(give_back, gate))
            elif succeeded:
                gate.release()
            else:
                let_go(node, gate.release)
            del node, call_next  # a failure's traceback holds this frame


def let_go(node: Node[Any], give: Callable[[], object]) -> None:
    """Give back what an attempt has held that did not succeed: not at once.

    Its end is noted when its asyncio task has the exception, in the next turn of the loop. Who got what it held before that
    would hold it twice, as far as records tell. Given back in that turn, it wakes the next one behind the note:

        finally: call_soon(give)   the task ends: call_soon(note)   give ─► call_soon(wake)   note   wake
    """
    loop = node.engine.loop
    if _get_running_loop() is not loop:  # the coroutine is thrown away with its loop
        give()
    else:
        loop.call_soon(give)


class Held:
    """Hold resources of the run's capacity for as long as the attempt really runs."""

    def __init__(self, resources: "Request | Callable[[int], Any]", priority: int) -> None:
        self.resources = resources
        self.priority = priority

    async def __call__(self, node: Node[Any], call_next: Call) -> Any:
        """Wait for a place that has them, run, give them back."""
        run = RUN.get()  # and not the node's, who has none when the run has ended before the call
        if run is None or run.capacity is None or hasattr(host_for(node.task.fn, run), "refuse"):
            return await call_next()
        node._left = None
        succeeded = False
        ticket = None
        try:
            request = request_at(self.resources, node.attempt + 1)
            if callable(self.resources):
                check_attempt(node.name, request, run.capacity)
            ticket = run.capacity.ask(request, self.priority)
            if ticket.future is not None:
                await ticket.future
            node.place = ticket.place
            value = await call_next()
            succeeded = True
            return value
        finally:
            left = node._left_behind()
            if ticket is None:
                pass  # it could not even ask
            elif left is not None:
                run.capacity.release_later(ticket, left)
            elif succeeded:
                run.capacity.release(ticket)
            else:
                let_go(node, partial(run.capacity.release, ticket))
            del node, call_next  # a failure's traceback holds this frame


def check_attempt(name: str, request: Request, capacity: Capacity) -> None:
    """Refuse what the capacity will never have: only the first attempt was looked at when the task was called."""
    why = refusal(request, capacity, by_program)
    if why:
        raise NoCapacity(name, why)


class Placed:
    """Hold a worker of an executor with a limited number: the attempt begins when one is free."""

    def __init__(self, executor: Any, spaced: Limit | None, priority: int) -> None:
        self.executor = executor
        self.priority = priority
        self.spaced = spaced  # a limit with a rate, whose turn is the start

    async def __call__(self, node: Node[Any], call_next: Call) -> Any:
        """Wait for a worker, run there, give it back."""
        place = self.executor.place
        worker = await (place() if self.spaced is None else gate_for(node, self.spaced).start(self.priority, place))
        node.worker = worker
        try:
            return await call_next()
        finally:
            node.worker = None
            worker.leave()
            del node, call_next  # a failure's traceback holds this frame


class Timeout:
    """End an attempt that takes too long."""

    def __init__(self, timeout: "float | Callable[[int], Any]") -> None:
        self.timeout = timeout if callable(timeout) else None
        self.seconds = None if callable(timeout) else timeout

    async def __call__(self, node: Node[Any], call_next: Call) -> Any:
        """Raise `TimeoutError` after so many seconds of the attempt; waiting for a limit does not count."""
        loop = node.engine.loop
        scope = None
        try:
            seconds = self.seconds if self.timeout is None else time_limit_at(self.timeout, node.attempt + 1)
            if seconds is None:
                return await call_next()
            scope = node.time_limit = asyncio.timeout(time_left(node, seconds))
            try:
                async with scope:
                    if scope.when() is None:
                        hold_limit(node)
                    value = await call_next()
                    # A body that was told to end may answer with a value. This one could not be told.
                    late = loop.time() - (scope.when() or loop.time())
                    if late > 0 and not scope.expired():
                        raise TimeoutError(describe_blocked(node, seconds, seconds + late))
                    return value
            except TimeoutError as error:
                if not scope.expired():
                    raise
                cause = error.__cause__
            # Not in the block above, and not from that error: its traceback holds asyncio's scope, and so the node.
            msg = f"attempt {node.attempt} of {node.name} took longer than {seconds:g} s"
            raise TimeoutError(msg) from cause
        finally:
            if scope is not None:
                end_limit(node)
            del node, call_next, scope  # a failure's traceback holds this frame
            cause = None


def time_left(node: Node[Any], seconds: float) -> float | None:
    """Return in how many seconds an attempt is to end. None if it should have ended before it was entered again."""
    left, node.time_left = node.time_left, None
    return seconds if left is None else left if left > 0 else None


def hold_limit(node: Node[Any]) -> None:
    """Have an attempt end whose time is over, when it stands again where it stood."""
    if node.run is not None and node.run.journal is not None:
        node.run.journal.hold_limit(node)


def end_limit(node: Node[Any]) -> None:
    """Forget the time limit of an attempt that has ended."""
    node.time_limit = None
    if node.run is not None and node.run.journal is not None:
        node.run.journal.end_limit(node)


def describe_blocked(node: Node[Any], timeout: float, took: float) -> str:
    """Return the message for an attempt that could not be ended in time."""
    return (
        f"attempt {node.attempt} of {node.name} took {took:.3g} s, longer than its timeout of {timeout:g} s, and could not "
        "be ended in time, because something blocked the loop. What blocks belongs into a plain function, which runs in a thread"
    )


def compose(
    options: TaskOptions, fn: Callable[..., Any], executor: Executor | None, *, inner: Sequence[Middleware] = ()
) -> Body | None:
    """Return what runs the body of a task with these options, or None where the engine can call it directly.

    `inner` is what else decides how an attempt ends: it stands inside the retry, and outside all that waits.
    """
    layers: list[Middleware] = []
    placed = hasattr(executor, "place")
    loses = getattr(type(fn), "on_host", False) or not (executor is None or getattr(executor, "plain", False))
    if options.retries or loses:
        layers.append(Retry(options, loses=loses))
    layers += inner
    held: list[Middleware] = [] if options.resources is None else [Held(options.resources, options.priority)]
    if options.limit is None:
        layers += held
    elif options.limit.rate is None:
        layers += [Limited(options.limit, options.priority), *held]  # a node that waits for a limit holds no resources
    else:
        # But a start that is spaced must be the start.
        layers += [*held, Limited(options.limit, options.priority, spaced=not placed)]
    if placed:  # a node that waits for a limit or resources holds no worker
        spaced = options.limit if options.limit and options.limit.rate else None
        layers.append(Placed(executor, spaced, options.priority))
    if options.timeout is not None:
        layers.append(Timeout(options.timeout))
    if not layers and executor is None and not options.middleware:
        return None

    async def body(node: Node[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        call: Call = partial(attempt, node, fn, executor, options.middleware, args, kwargs)
        for layer in reversed(layers):
            call = partial(layer, node, call)
        try:
            return await call()
        finally:
            del node, call  # a failure's traceback holds this frame

    return body


def direct_body(node: Node[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Awaitable[Any]:
    """Run a body that has no options, with the middleware of its run around it."""
    return attempt(node, node.task.fn, None, (), args, kwargs)


def called_by_run(task: "Task[..., Any]") -> "Task[..., Any]":
    """Return a task whose body the engine does not call directly, so that the middleware of a run is around it."""
    if task.call is not None or task.stands_in or task.barrier:
        return task
    made: Task[..., Any] = object.__new__(type(task))  # not copy(), which may take a task for its name
    vars(made).update(vars(task), call=direct_body)
    return made


def layers_around(node: Node[Any], own: Sequence[Middleware]) -> Sequence[Middleware]:
    """Return the middleware of a node's run, and then that of its task."""
    if node.run is None or not node.run.middleware or node.task.barrier:
        return own
    return (*node.run.middleware, *own)


async def attempt(
    node: Node[Any],
    fn: Callable[..., Any],
    executor: Executor | None,
    own: Sequence[Middleware],
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> Any:
    """Run the body once: here, or where the executor says, with middleware around it."""
    body: Call = partial(call_here, node, fn, args, kwargs)
    if executor is not None:
        body = partial(call_body, node, fn, executor, args, kwargs)
    try:
        layers = layers_around(node, own)
        if layers:
            return await call_within(node, layers, body)
        node.engine.begin(node)
        return await body()
    except asyncio.CancelledError as error:
        if is_asked(node, error):
            raise
        raise as_failure(node.name, error) from error  # here, inside: it is worth another attempt like any failure
    finally:
        del node, body  # as above


def call_here(node: Node[Any], fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return what is to be awaited for the value of an async function."""
    return leavable(node, fn(*args, **kwargs))


async def call_body(
    node: Node[Any], fn: Callable[..., Any], executor: Executor, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """Run the body where the executor says."""
    if node.earlier:
        await recall_losses(node)
    if node.losses:
        note_losses(node)
    try:
        value = await (node.worker or executor).run(fn, *args, **kwargs)
        if issubclass(type(value), HeldValue):
            layers = layers_around(node, node.task.options.middleware)
            return await (value.fetch() if layers else leave_there(node, value))
        # A plain wrapper around an async function returns its coroutine: that is the body. Not asyncio.iscoroutine(), to
        # which a generator is one on Python 3.11. Any other value is only asked for its type: see edges.py.
        is_body = hasattr(type(value), "__await__") and isinstance(value, Coroutine)
        body = leavable(node, value) if is_body else None
    except (Exception, SystemExit):
        node._note_label(args)  # in another process
        raise
    finally:
        del node  # as above
    return value if body is None else await body
