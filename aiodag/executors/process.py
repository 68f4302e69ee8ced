"""Run a plain function in a process of a pool that all tasks share.

Whatever a pool cannot unpickle breaks it, and every attempt in it. So a call and its answer travel in a `Letter`,
which tells why it could not be read in place of raising.
"""

import asyncio
import pickle
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from operator import attrgetter
from signal import SIG_IGN, SIGINT, signal
from threading import Lock, Thread
from typing import Any, NamedTuple

from aiodag._core.context import current_node
from aiodag._core.failure import described
from aiodag._core.node import Node
from aiodag.errors import NotPicklable, WorkerDied


class ProcessExecutor:
    """Runs attempts in worker processes, as many as the machine has cores.

    Workers are spawned, never forked: a fork of a process with threads can hang. The function, its arguments and its
    value must be picklable, and the main module importable (`if __name__ == "__main__":`).
    """

    plain = True

    def __init__(self) -> None:
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._unanswered: set[Future[Any]] = set()

    async def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return `fn(*args, **kwargs)` of a worker.

        Raises `WorkerDied` if that ends without an answer, and `NotPicklable` for what cannot go there or come back.
        """
        node = current_node()
        name = node.name if node else getattr(fn, "__qualname__", repr(fn))
        pool, future = self._submit(Letter((*reference(fn), args, kwargs)))
        try:
            outcome = await self._answer(future, node)
        except BrokenExecutor as error:
            self._discard(pool)
            raise worker_died(name, node) from error
        finally:
            del node  # a failure's traceback holds this frame
        return outcome.open(name)

    def _submit(self, letter: "Letter") -> "tuple[ProcessPoolExecutor, Future[Outcome]]":
        pool = self._current()
        try:
            return pool, pool.submit(answer, letter)
        except BrokenExecutor:  # by an earlier call, or with nothing to do: this call has not begun
            self._discard(pool)
            pool = self._current()
            return pool, pool.submit(answer, letter)

    async def _answer(self, future: "Future[Outcome]", node: Node[Any] | None) -> "Outcome":
        engine = None if node is None else node.engine
        if engine is not None:
            engine.away += 1
        waiting = asyncio.wrap_future(future)
        ended: Future[None] = Future()
        self._unanswered.add(future)
        future.add_done_callback(partial(self._ended, ended))
        try:
            return await waiting
        except asyncio.CancelledError:
            if node is not None and not future.cancel():
                node.abandon(ended)
            raise
        finally:
            if engine is not None:
                engine.away -= 1

    def _ended(self, ended: "Future[None]", future: "Future[Outcome]") -> None:
        # In this order, for `wakers`: what is not under way any more has told its loop already.
        ended.set_result(None)
        self._unanswered.discard(future)

    def wakers(self, threads: set[Thread]) -> set[Thread]:
        """Return those of some threads that could wake a loop: without a call under way, the pool's own cannot."""
        pool = self._pool
        if pool is None or self._unanswered:
            return threads
        queue = getattr(pool, "_call_queue", None)
        return threads - {getattr(pool, "_executor_manager_thread", None), getattr(queue, "_thread", None)}

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # A terminal's Ctrl-C reaches every process: what runs is ended, or waited for, by this one alone.
                self._pool = ProcessPoolExecutor(
                    mp_context=get_context("spawn"), initializer=signal, initargs=(SIGINT, SIG_IGN)
                )
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False)


def worker_died(name: str, node: Node[Any] | None) -> WorkerDied:
    """Return the error for a call without an answer."""
    if node is None:
        return WorkerDied(name)
    return WorkerDied(name, attempt=node.attempt, attempts=node.task.options.retries + 1)


class Letter:
    """Something on its way to another process: its content, or why that is lost.

    It is pickled when the pool sends it, and not before: of a thousand calls with one large argument, few are on their
    way at a time. It is unpickled where it arrives, off the loop.
    """

    def __init__(self, content: Any = None, lost: str = "") -> None:
        self.content = content
        self.lost = lost

    def __reduce__(self) -> tuple[Any, ...]:
        if self.lost:
            return Letter, (None, self.lost)
        try:
            # As multiprocessing pickles, which knows more types.
            return opened, (bytes(ForkingPickler.dumps(self.content)),)
        except Exception as error:  # noqa: BLE001 - from foreign code
            return Letter, (None, described(error))


def opened(content: bytes) -> Letter:
    """Read a letter that has arrived."""
    try:
        return Letter(pickle.loads(content))  # noqa: S301 - from our own process
    except Exception as error:  # noqa: BLE001 - from foreign code
        return Letter(None, described(error))


class Outcome(NamedTuple):
    """What came of a call: the letter, whether a "call", "value" or "exception" is in it, and how that was raised."""

    letter: Letter
    what: str
    raised: str = ""
    traceback: str = ""

    def open(self, name: str) -> Any:
        """Return the value or raise the exception."""
        content, lost = self.letter.content, self.letter.lost
        if self.what == "value" and not lost:
            return content
        cause = RemoteTraceback(self.traceback) if self.traceback else None
        if not isinstance(content, BaseException):
            why = lost or f"it arrives as {type(content).__name__}"
            raise NotPicklable(name, self.what, why, raised=self.raised) from cause
        raise content from cause


class RemoteTraceback(Exception):
    """Show, as the cause of an exception, where it was raised in the worker."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def answer(call: Letter) -> Outcome:
    """Call in the worker, and answer whatever comes of it."""
    if call.lost:
        return Outcome(call, "call")
    try:
        fn, name, args, kwargs = call.content
        if name:
            fn = attrgetter(name)(import_module(fn)).fn
        return Outcome(Letter(fn(*args, **kwargs)), "value")
    except StopIteration as error:  # as in a coroutine: a future cannot hold it
        told = RuntimeError("a plain function raised StopIteration")
        told.__cause__ = error
        return failed(told)
    except BaseException as error:  # noqa: BLE001 - raised again where the call came from
        return failed(error)


def failed(error: BaseException) -> Outcome:
    """Answer with an exception."""
    return Outcome(Letter(error), "exception", described(error), "".join(traceback.format_exception(error)))


def reference(fn: Callable[..., Any]) -> tuple[Any, str]:
    """Return what a worker needs to find a function: itself, or its module and the name that now means its task.

    Pickle sends a function as its name, and after `@task` that name is the task.
    """
    module = sys.modules.get(getattr(fn, "__module__", ""))
    name = getattr(fn, "__qualname__", "")
    try:
        found = attrgetter(name)(module)
    except (AttributeError, TypeError):
        return fn, ""
    return (fn.__module__, name) if getattr(found, "fn", None) is fn else (fn, "")


EXECUTOR = ProcessExecutor()
