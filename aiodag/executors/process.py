"""Run a plain function in a process of a pool that all tasks share."""

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable
from importlib import import_module
from multiprocessing import get_context
from operator import attrgetter
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
            future = pool.submit(call, *reference(fn), args, kwargs)
            return await self._answer(future)
        except concurrent.futures.BrokenExecutor as error:
            self._discard(pool)
            node = current_node()
            raise WorkerDied(node.name if node else repr(fn)) from error

    async def _answer(self, future: "concurrent.futures.Future[Any]") -> Any:
        node = current_node()
        engine = None if node is None else node.engine
        if engine is not None:
            engine.away += 1
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if node is not None and not future.cancel():
                node.abandon(future)
            raise
        finally:
            if engine is not None:
                engine.away -= 1

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


def call(fn: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call in the worker."""
    if name:
        fn = attrgetter(name)(import_module(fn)).fn
    return fn(*args, **kwargs)


EXECUTOR = ProcessExecutor()
