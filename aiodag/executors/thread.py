"""Run a plain function in a thread of the loop's default pool, with the context variables of the call."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Lock
from typing import Any

from aiodag._core.context import current_node


class Job:
    """One call in a thread. Cancelling it in the queue revokes it; once it runs, it can only be left."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.lock = Lock()
        self.begun = False
        self.revoked = False
        self.ended: Future[None] = Future()

    def __call__(self) -> Any:
        """Run in the thread."""
        with self.lock:
            if self.revoked:
                return None
            self.begun = True
        try:
            return self.call()
        finally:
            self.ended.set_result(None)

    def revoke(self) -> bool:
        """Keep the call from beginning. Return whether that was in time."""
        with self.lock:
            self.revoked = not self.begun
            return self.revoked


class ThreadExecutor:
    """Runs attempts in the loop's default thread pool."""

    async def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return `fn(*args, **kwargs)` of a thread. Cancelled, it leaves the thread to end by itself."""
        context = copy_context()
        job = Job(lambda: context.run(fn, *args, **kwargs))
        try:
            return await asyncio.get_running_loop().run_in_executor(None, carried, job)
        except asyncio.CancelledError:
            if not job.revoke():
                leave(job.ended)
            raise
        except Carried as carrier:
            raise carrier.error from carrier.error.__cause__


class Carried(Exception):
    """Carries an exception that a future cannot hold."""

    def __init__(self, error: StopIteration) -> None:
        self.error = RuntimeError("a plain function raised StopIteration")
        self.error.__cause__ = error


def carried(job: Job) -> Any:
    """Call, and wrap what a future cannot hold."""
    try:
        return job()
    except StopIteration as error:
        raise Carried(error) from error


def leave(ended: Future[Any]) -> None:
    """Say that the current node leaves a call behind that cannot be stopped."""
    node = current_node()
    if node is not None:
        node.abandon(ended)


EXECUTOR = ThreadExecutor()
