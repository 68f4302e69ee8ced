"""Run a plain function in a worker process: one for each call, kept for the next, ended with its call if need be.

Workers of our own, and not a pool of `concurrent.futures`: that gives several calls to one pipe, so that one worker which
dies takes all that run in the pool with it, and one which is stuck cannot be ended without the others.
"""

import asyncio
import atexit
import os
import signal
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.resource_tracker import ensure_running
from threading import Lock
from typing import Any
from weakref import finalize

from aiodag._core.context import current_node
from aiodag._core.function_like import sendable
from aiodag._core.limits import Gate, Limit, gate_of
from aiodag._core.node import Node
from aiodag._core.submit import engine_of
from aiodag.abc import Worker
from aiodag.errors import WorkerDied
from aiodag.executors.crew import Crew, Pooled, abandon, crew_here
from aiodag.executors.letters import Letter, Outcome
from aiodag.executors.worker import BEGUN, serve

CONTEXT = get_context("spawn")
PATIENCE = 2.0  # seconds for a worker to end by itself at the end of the program


def cores() -> int:
    """Return how many processes can really run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ProcessExecutor(Pooled):
    """Run attempts in worker processes, at most `size` at once on each loop: as many as there are cores, by default.

    Workers are spawned, never forked: a fork of a process with threads can hang. The function, its arguments and its
    value must be picklable, and the main module importable (`if __name__ == "__main__":`). An attempt that is cancelled
    or takes too long is ended with its worker, and so are all processes that its body has started there. Raises
    `OptionError` for a size that is not an int of 1 or more.

    >>> from math import sqrt
    >>> from aiodag import task
    >>> from aiodag.executors.process import ProcessExecutor
    >>> await task(sqrt, executor=ProcessExecutor(2))(4)
    2.0
    """

    def __init__(self, size: int | None = None) -> None:
        self.limit = Limit(cores() if size is None else size)
        self.owner = os.getpid()
        self.idle: list[WorkerProcess] = []
        finalize(self, retire, self.idle)

    async def place(self) -> Worker:
        """Wait for a worker that is ready: it has started, and imported the main module."""
        gate = gate_of(engine_of(asyncio.get_running_loop()), self.limit)
        crew = await crew_here()
        await gate.acquire()
        try:
            worker = self._idle_worker() or await self.open_worker(crew)
        except BaseException:
            gate.release()
            raise
        return ProcessPlace(self, gate, crew, worker)

    def _idle_worker(self) -> "WorkerProcess | None":
        if self.owner != os.getpid():  # a fork: they are another's
            self.owner = os.getpid()
            self.idle.clear()
        with suppress(IndexError):  # of a list that loops in several threads share
            while True:
                worker = self.idle.pop()
                if worker.is_alive():
                    worker.fresh = False
                    return worker
                worker.bury()
        return None

    async def open_worker(self, crew: Crew) -> "WorkerProcess":
        """Return a new worker, which may have died already: that is for the attempt to tell."""
        worker = WorkerProcess()
        await crew.call(worker.open, lambda behind: behind.add_done_callback(lambda _: self.keep(worker)))
        return worker

    def keep(self, worker: "WorkerProcess") -> None:
        """Have a worker ready for the next call."""
        if worker.is_alive():
            self.idle.append(worker)


class ProcessPlace:
    """A worker for one call."""

    def __init__(self, executor: ProcessExecutor, gate: Gate, crew: Crew, worker: "WorkerProcess") -> None:
        self.executor = executor
        self.gate = gate
        self.crew = crew
        self.worker = worker

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of the worker. Cancelled, it ends the worker.

        Raises `WorkerDied` if that ends without an answer, and `NotPicklable` for what cannot go there or come back.
        """
        node = current_node()
        name = node.name if node else getattr(fn, "__qualname__", repr(fn))
        letter = Letter((sendable(fn), args, kwargs))
        del args, kwargs
        try:
            outcome = await self._answer(letter)
            if outcome is None and not self.worker.fresh and not self.worker.begun:
                # It died between two calls, as what the system chooses when memory is short: the body has not begun.
                self.worker = await self.executor.open_worker(self.crew)
                outcome = await self._answer(letter)
            if outcome is None:
                raise worker_died(name, node, self.worker)
            return outcome.open(name)
        finally:
            node = outcome = None  # a failure's traceback holds this frame

    async def _answer(self, letter: Letter) -> Outcome | None:
        answered: Outcome | None = await self.crew.call(partial(self.worker.call, letter), self._end)
        return answered

    def _end(self, behind: "Future[None]") -> None:
        self.worker.kill()
        abandon(behind)  # the moment until it is really gone

    def leave(self) -> None:
        """Give the worker back, if there still is one: else the next call gets a new one."""
        self.executor.keep(self.worker)
        self.gate.release()


class WorkerProcess:
    """The owner's side of a worker. What blocks is called in a thread."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.owner = os.getpid()
        self.process: Any = None
        self.death: int | None = None  # what is ready when it has ended
        self.code: int | None = None  # with which it has ended
        self.fault: Exception | None = None  # why there is none
        self.ready = False
        self.fresh = True  # whether it has had no call
        self.begun = False  # whether the body of its last call has
        self.doomed = self.buried = False

    def open(self) -> None:
        """Start it, and wait until it can be called, or has died."""
        try:
            self.connection, theirs = CONTEXT.Pipe()
            with theirs, deaf():
                self.process = CONTEXT.Process(target=serve, args=(theirs, self.owner), name="aiodag worker")
                self.process.start()
                LIVING.add(self)
        except Exception as error:  # noqa: BLE001 - no descriptor, no memory, no more processes: for the attempt to raise
            self.fault, self.buried = error, True
            return
        self.death = opened_pidfd(self.process.pid) or self.process.sentinel
        self.ready = self._hear() is not None

    def call(self, letter: Letter) -> Outcome | None:
        """Return what came of a call; None if the worker has died."""
        if self.buried:
            return None
        self.begun = False
        with suppress(OSError):  # it is dead, as is heard next
            self.connection.send(letter)
        while (heard := self._hear()) == BEGUN:
            self.begun = True
        return heard if isinstance(heard, Outcome) else None

    def _hear(self) -> Any:
        """Return what the worker says; None when it has ended."""
        if self.connection in wait([self.connection, self.death]):  # type: ignore[list-item]  # it is there: see open()
            with suppress(EOFError, OSError):
                return self.connection.recv()
        self.bury()
        return None

    def is_alive(self) -> bool:
        """Return True if it can be called."""
        return not self.doomed and not self.buried and self.ready and self.process.is_alive()

    def kill(self) -> None:
        """End it at once, with all that its body has started. Who waits for its answer buries it."""
        with self.lock:
            self.doomed = True
            if not self.buried:
                kill_group(self.process)

    def bury(self) -> None:
        """End what is left of it, and release everything that belongs to it."""
        with self.lock:
            if self.buried:
                return
            self.buried = True
            kill_group(self.process)  # before join(): until then nobody else has its number
        self.process.join()
        self.code = self.process.exitcode
        LIVING.discard(self)
        self.connection.close()
        if self.death is not None and self.death != self.process.sentinel:
            os.close(self.death)
        with suppress(ValueError):  # another thread, which starts a process, has just reaped it
            self.process.close()


@contextmanager
def deaf() -> Generator[None]:
    """Have Ctrl-C not reach what is started in here: before a worker has a session, its traceback would be all it could say.

    It listens again when it has one, see `worker.serve`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    ensure_running()  # by itself it would end with the signal let through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def opened_pidfd(pid: int | None) -> int | None:
    """Return what is ready when a process has ended, where the system has such a thing.

    The sentinel of multiprocessing is a pipe, which what the worker has forked may hold open.
    """
    with suppress(AttributeError, OSError):
        return os.pidfd_open(pid or 0)
    return None


def kill_group(process: Any) -> None:
    """Kill a process and those in its group."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads one, once it has come so far
    process.kill()


def worker_died(name: str, node: Node[Any] | None, worker: WorkerProcess) -> BaseException:
    """Return the error for a call without an answer."""
    if worker.fault is not None:
        return worker.fault
    attempts = (1, 1) if node is None else (node.attempt, node.task.options.retries + 1)
    return WorkerDied(name, attempt=attempts[0], attempts=attempts[1], code=worker.code)


def retire(idle: list[WorkerProcess]) -> None:
    """Let workers go that have nothing to do."""
    while idle:
        worker = idle.pop()
        if worker.owner == os.getpid() and not worker.buried:
            worker.connection.close()


LIVING: set[WorkerProcess] = set()


@atexit.register  # after that of multiprocessing, which is imported above; so it is called before, and finds none to wait for
def end_all() -> None:
    """End all workers with the program: those that have nothing to do end by themselves."""
    mine = [worker for worker in LIVING if worker.owner == os.getpid()]
    for worker in mine:
        worker.connection.close()
    for worker in mine:
        worker.process.join(PATIENCE)
        worker.bury()


EXECUTOR = ProcessExecutor()
