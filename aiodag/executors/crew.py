"""The threads of a loop, in which blocking calls are made: bodies, and what talks to worker processes.

Not the loop's default pool. That is small, it resolves the names of hosts for everybody, and what waits in its queue
cannot be told from what runs. A crew has a thread for each call. How many calls there are at once is for an executor to
say, before they begin:

    place()   wait for a worker: the node is queued, and nothing of it has begun
    begin     the attempt, and its timeout
    run()     in the worker, which is there: nothing waits in any queue
    leave()   the worker is for the next

A call that is left behind keeps its thread, which nothing can stop, and another thread takes its place in the crew: so a
pool of 40 does not come to a halt behind 40 calls that hang.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from aiodag._core.context import current_node
from aiodag._core.engine import Engine
from aiodag._core.forks import leave_fork
from aiodag._core.named import WithWorkers
from aiodag._core.submit import engine_of
from aiodag.abc import Worker

THREADS = "aiodag.thread"


class Pooled(WithWorkers):
    """An executor of plain functions whose attempts wait for a worker."""

    plain = True  # an async function cannot run there

    @abstractmethod
    async def place(self) -> Worker:
        """Wait for a worker."""


class Job:
    """One call in a thread. Cancelled before it begins it never does; once it runs, it can only be left."""

    __slots__ = ("begun", "call", "engine", "left", "lock", "over", "revoked")

    def __init__(self, engine: Engine, call: Callable[[], Any]) -> None:
        self.engine = engine
        self.call: Callable[[], Any] | None = call
        self.lock = Lock()
        self.begun = self.over = self.revoked = False
        self.left: Future[None] | None = None  # for whoever has left it: done when it has really ended

    def __call__(self) -> Any:
        """Run in the thread."""
        with self.lock:
            if self.revoked or self.call is None:
                return None
            self.begun = True
            call, self.call = self.call, None
        try:
            value = call()
            leave_fork(self.engine)
        except StopIteration as error:
            raise Carried(error) from error
        except BaseException as error:
            leave_fork(self.engine, error)
            raise
        else:
            return value
        finally:
            del call
            with self.lock:
                self.over = True
            if self.left is not None:
                self.left.set_result(None)

    def leave(self) -> "Future[None] | None":
        """Keep the call from beginning, or return what is done when it has ended. None if nothing goes on."""
        with self.lock:
            self.revoked = not self.begun
            if self.revoked or self.over:
                return None
            self.left = Future()
            return self.left


class Carried(Exception):
    """Carries an exception that a future cannot hold."""

    def __init__(self, error: StopIteration) -> None:
        self.error = RuntimeError("a plain function raised StopIteration")
        self.error.__cause__ = error


class Crew:
    """The threads of one loop: started when they are needed, kept for the next call, ended with the loop.

    Each is a pool of one, so that one that is stuck can be left alone. The interpreter waits at its end for what runs
    in them, as it does for every thread of `concurrent.futures`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine_of(loop)
        self.idle: list[ThreadPoolExecutor] = []
        self.unfinished: set[Future[Any]] = set()  # calls that may still wake the loop
        self.closed = False
        self.watch: AsyncGenerator[None, None] | None = None

    async def call(self, call: Callable[[], Any], left: "Callable[[Future[None]], None] | None" = None) -> Any:
        """Return what a call in a thread gives. Cancelled when it runs, `left` is told, with what is done when it ends."""
        job = Job(self.engine, call)
        del call  # its arguments are the body's
        thread = self.idle.pop() if self.idle else ThreadPoolExecutor(1, thread_name_prefix=THREADS)
        try:
            future: Future[Any] = thread.submit(job)
        except BaseException:
            # A second Ctrl-C may come while the thread starts: then nobody knows of it, and the end of the interpreter
            # would wait for a thread that waits for work.
            thread.shutdown(wait=False)
            raise
        waiting = asyncio.wrap_future(future)
        # After wrapping it, so that a call has woken the loop before it counts as finished.
        self.unfinished.add(future)
        future.add_done_callback(self.unfinished.discard)
        self.engine.real_time.begin()
        try:
            return await waiting
        except asyncio.CancelledError:
            behind = job.leave()
            if behind is not None and left is not None:
                left(behind)
            raise
        except Carried as carrier:
            raise carrier.error from carrier.error.__cause__
        finally:
            self.engine.real_time.end()
            if future.done() and not self.closed:
                self.idle.append(thread)
            else:
                thread.shutdown(wait=False)
            del future, waiting  # a failure holds this frame, and they hold the failure

    def close(self) -> None:
        """End the threads; those that run a call that was left behind, when it has ended."""
        self.closed = True
        for thread in self.idle:
            thread.shutdown()  # has nothing to do: this takes no time
        self.idle.clear()


async def crew_here() -> Crew:
    """Return the crew of the running loop. It ends when the loop does."""
    loop: Any = asyncio.get_running_loop()
    crew: Crew | None = getattr(loop, "aiodag_crew", None)
    if crew is None:
        crew = loop.aiodag_crew = Crew(loop)
        crew.watch = until_the_loop_ends(crew)
        await anext(crew.watch)
    return crew


async def until_the_loop_ends(crew: Crew) -> "AsyncGenerator[None, None]":
    """Close a crew when its loop closes all async generators: the one thing that it does before it is closed itself."""
    try:
        yield
    finally:
        crew.close()


def abandon(behind: "Future[None]") -> None:
    """Note that the current node leaves a call behind that cannot be stopped."""
    node = current_node()
    if node is not None:
        node.abandon(behind)
