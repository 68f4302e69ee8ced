"""A loop in a thread of its own, for connections that must be heard and kept alive whatever the loops of runs are busy with.

A body that computes for a minute stops the loop that it runs on. A connection on that loop would fall silent, and the other
side would take its owner for dead.
"""

import asyncio
import atexit
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from threading import Lock, Thread
from typing import Any, TypeVar

from aiodag._core.submit import engine_of
from aiodag.programs import ProgramEnd, ProgramWatch

T = TypeVar("T")
THREAD = "aiodag.thread.connections"
ROOM = 2**18  # bytes that may be on their way to a loop: more waits where it came from


class LoopAside:
    """The one loop of this process for connections. Its thread starts with the first, and ends with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self.at_end: set[Callable[[], None]] = set()  # called there, before it ends

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.SelectorEventLoop()
                # Named as ours: a virtual clock waits for threads of others.
                self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=THREAD))
                self._thread = Thread(target=self._loop.run_forever, name=THREAD, daemon=True)
                self._thread.start()
            return self._loop

    async def run(
        self,
        work: Coroutine[Any, Any, T],
        on_cancel: Callable[["asyncio.Task[T]"], object],
        on_leave: Callable[["asyncio.Task[T]"], object] | None = None,
    ) -> T:
        """Run a coroutine there, and wait for its end.

        Cancelled, it has `on_cancel` called there with the task, once, goes on waiting, and then raises, whatever came of
        the work. At any other exception it does not wait; then `on_leave` is called, `on_cancel` if there is none.
        """
        here, there = asyncio.get_running_loop(), self.loop()
        over = asyncio.Event()
        task: asyncio.Task[T] | None = None

        def begin() -> None:
            nonlocal task
            task = there.create_task(work)
            task.add_done_callback(note_end)

        def note_end(ended: asyncio.Task[T]) -> None:
            if not ended.cancelled():
                ended.exception()  # seen, also where nobody waits any more
            call_on(here, over.set)

        def tell(what: Callable[[asyncio.Task[T]], object]) -> None:
            if task is not None and not task.done():
                what(task)

        cancelled = False
        with engine_of(here).real_time:
            there.call_soon_threadsafe(begin)
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    if not cancelled:
                        there.call_soon_threadsafe(tell, on_cancel)
                    cancelled = True
                except BaseException:  # the run is let go of, and waits for nothing
                    there.call_soon_threadsafe(tell, on_leave or on_cancel)
                    raise
        assert task is not None
        if cancelled:
            raise asyncio.CancelledError
        return task.result()

    def stop(self) -> None:
        """End the loop and its thread, at the end of the process."""
        loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(self._end, loop)
            thread.join()
            loop.close()

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        for each in list(self.at_end):
            each()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_later(0.05, loop.stop)  # what is closed tells its protocol, and what is cancelled ends

    def drop_in_fork(self) -> None:
        """Leave the connections to the process that this one is a fork of: the thread is not here."""
        self._lock = Lock()
        self._loop = self._thread = None
        self.at_end.clear()


def call_on(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: Any, **options: Any) -> None:
    """Have something called on a loop of another thread, unless that has been closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args, **options)


ASIDE = LoopAside()
atexit.register(ASIDE.stop)
os.register_at_fork(after_in_child=ASIDE.drop_in_fork)


class LoopListener:
    """What is heard on the loop aside, passed on to the loop of its run: in order, and no faster than that takes it."""

    def __init__(self, watch: ProgramWatch) -> None:
        self._watch: ProgramWatch | None = watch
        self._aside = ASIDE.loop()
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._waiting = 0  # bytes
        self.paused = False
        self._pause: Callable[[bool], object] | None = None

    def pause_with(self, pause: Callable[[bool], object]) -> None:
        """Have what comes paused with True, and resumed with False."""
        self._pause = pause

    def leave(self) -> None:
        """Pass on nothing any more."""
        self._watch = None

    def note_start(self, facts: dict[str, object]) -> None:
        """Pass on by what a program is found again."""
        self._pass_on(lambda watch: watch.note_start(facts))

    def note_end(self, end: ProgramEnd) -> None:
        """Pass on how a program ended."""
        self._pass_on(lambda watch: watch.note_end(end))

    def _pass_on(self, tell: Callable[[ProgramWatch], object], size: int = 0) -> None:
        call_on(self._loop, self._tell, tell, size, context=self._context)

    def _tell(self, tell: Callable[[ProgramWatch], object], size: int) -> None:
        if self._watch is not None:
            tell(self._watch)
        if size:
            call_on(self._aside, self._took, size)

    def wrote(self, stream: str, chunk: bytes) -> None:
        """Pass on what a program wrote."""
        before, self._waiting = self._waiting, self._waiting + len(chunk)
        if before < ROOM <= self._waiting:
            self._set_paused(True)
        self._pass_on(lambda watch: watch.wrote(stream, chunk), len(chunk))

    def _took(self, size: int) -> None:
        before, self._waiting = self._waiting, self._waiting - size
        if self._waiting < ROOM <= before:
            self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self.paused = paused
        if self._pause is not None:
            self._pause(paused)
