"""Run a plain function in a thread of the loop's own, or in a pool that somebody gives, with the context of the call."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Executor as GivenPool
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from aiodag._core.context import RUN
from aiodag._core.engine import Engine
from aiodag._core.forks import leave_fork
from aiodag._core.function_like import body_to_call, sendable
from aiodag._core.limits import Gate, Limit, gate_of, give_back
from aiodag._core.submit import engine_of
from aiodag.abc import Worker
from aiodag.executors.crew import Crew, Pooled, abandon, crew_here

SIZE = 40  # calls at once on one loop, where nobody says otherwise: they wait for others rather than work


class ThreadExecutor(Pooled):
    """Run attempts in threads of the loop, at most `size` at once on each loop, counted over the tasks that share it.

    Without a size it is what `executor="thread"` means: 40 at once, or as many as the run says (`Run(threads=...)`).
    Context variables are those of the call. Raises `OptionError` for a size that is not an int of 1 or more.

    >>> from aiodag import task
    >>> from aiodag.executors.thread import ThreadExecutor
    >>> @task(executor=ThreadExecutor(2))
    ... def read(name):
    ...     return name.upper()
    >>> [await node for node in read.map(["a", "b", "c"])]
    ['A', 'B', 'C']
    """

    def __init__(self, size: int | None = None) -> None:
        self.shared = size is None
        self.limit = Limit(SIZE if size is None else size)

    async def place(self) -> Worker:
        """Wait until there are fewer calls than there may be."""
        run = RUN.get()
        limit = run.threads if self.shared and run is not None and run.threads is not None else self.limit
        gate = gate_of(engine_of(asyncio.get_running_loop()), limit)
        crew = await crew_here()
        await gate.acquire()
        return ThreadPlace(gate, crew)


class ThreadPlace:
    """Room for one call in a thread."""

    def __init__(self, gate: Gate, crew: Crew) -> None:
        self.gate = gate
        self.crew = crew

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of a thread. Cancelled, it leaves the thread to end by itself."""
        call = partial(copy_context().run, fn, *args, **kwargs)
        del args, kwargs  # the body's from here on
        return await self.crew.call(call, abandon)

    def leave(self) -> None:
        """Give the room to the next, even if a call was left behind."""
        self.gate.release()


class GivenExecutor(Pooled):
    """Run attempts in a pool of `concurrent.futures`: threads, processes or interpreters of its owner, who ends it."""

    def __init__(self, pool: GivenPool) -> None:
        self.pool = pool
        # Only threads of this interpreter can enter a context: those of an InterpreterPoolExecutor are of another.
        interpreters = getattr(concurrent.futures, "InterpreterPoolExecutor", ())
        self.inside = isinstance(pool, ThreadPoolExecutor) and not isinstance(pool, interpreters)

    async def place(self) -> Worker:
        """Wait for a worker, where the pool says how many it has."""
        engine = engine_of(asyncio.get_running_loop())
        limit = limit_of_pool(self.pool)
        if limit is None:
            return GivenPlace(self, None)
        gate = gate_of(engine, limit)
        await gate.acquire()
        return GivenPlace(self, gate)


def limit_of_pool(pool: Any) -> Limit | None:
    """Return the limit that all tasks share which have the same pool: noted there, for it lives as long."""
    limit: Limit | None = getattr(pool, "aiodag_workers", None)
    size = getattr(pool, "_max_workers", None)
    if limit is None and type(size) is int:
        limit = pool.aiodag_workers = Limit(size)
    return limit


class GivenPlace:
    """One worker of a pool that somebody gave."""

    def __init__(self, executor: GivenExecutor, gate: Gate | None) -> None:
        self.executor = executor
        self.gate = gate
        self.future: Future[Any] | None = None

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of the pool."""
        call = partial(copy_context().run, fn) if self.executor.inside else sendable(fn)
        engine = engine_of(asyncio.get_running_loop())
        home = engine if self.executor.inside else None  # which goes to no other process
        self.future = self.executor.pool.submit(call_guarded, home, call, args, kwargs)
        with engine.real_time:
            try:
                return await asyncio.wrap_future(self.future)
            except asyncio.CancelledError:
                if not self.future.cancel() and not self.future.done():
                    abandon(self.future)
                raise

    def leave(self) -> None:
        """Give the worker back: when it has ended what it was left with."""
        future, self.future = self.future, None
        if self.gate is None:
            return
        if future is None or future.done():
            self.gate.release()
        else:
            future.add_done_callback(partial(give_back, self.gate))


def call_guarded(home: Engine | None, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call, and raise nothing that a future cannot hold. A fork of the process ends here, if its engine is at `home` here."""
    try:
        value = body_to_call(fn)(*args, **kwargs)
        leave_fork(home)
    except StopIteration as error:
        msg = "a plain function raised StopIteration"
        raise RuntimeError(msg) from error
    except BaseException as error:
        leave_fork(home, error)
        raise
    return value


EXECUTOR = ThreadExecutor()
