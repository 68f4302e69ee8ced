"""Run a plain function in a process of a pool that all tasks share."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from threading import Lock
from typing import Any

from aiodag._core.context import current_node
from aiodag.errors import WorkerDied


class ProcessExecutor:
    """Runs attempts in worker processes, as many as the machine has cores.

    Workers are spawned, never forked: a fork of a process with threads can hang. The function, its arguments and its
    value must be picklable, and the main module importable (`if __name__ == "__main__":`).
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    async def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return `fn(*args, **kwargs)` of a worker. Raises `WorkerDied` if that ends without an answer."""
        pool = self._current()
        try:
            future = pool.submit(partial(fn, *args, **kwargs))
            return await self._answer(future)
        except concurrent.futures.BrokenExecutor as error:
            self._discard(pool)
            node = current_node()
            raise WorkerDied(node.name if node else repr(fn)) from error

    async def _answer(self, future: "concurrent.futures.Future[Any]") -> Any:
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel() and (node := current_node()) is not None:
                node.abandon(future)
            raise

    def _current(self) -> concurrent.futures.ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ProcessPoolExecutor(mp_context=get_context("spawn"))
            return self._pool

    def _discard(self, pool: concurrent.futures.ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False)


EXECUTOR = ProcessExecutor()
