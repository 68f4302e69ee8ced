"""Wait on a loop for what other threads bring, and wake the loop once for all that has come.

`asyncio.wrap_future` wakes it for each future. With thousands on their way that is what takes the time; so while there are
many, what comes waits a moment for more.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from threading import Lock
from typing import Any

from aiodag._core.submit import engine_of

MANY = 64  # that are waited for: with fewer, each matters
MOMENT = 0.002  # seconds in which more may come
WINDOW = 256  # things that are looked at together: each look takes time for all of them
SHARE, ENOUGH = 20, 32  # one in so many comes together with others, and no more than so many


class Arrivals:
    """What has come for one loop, and that nobody there has seen yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.lock = Lock()
        self.come: list[asyncio.Future[None]] = []
        self.waiting = 0

    def arrive(self, waiter: "asyncio.Future[None]") -> None:
        """Have a waiter woken. Called in any thread."""
        with self.lock:
            self.come.append(waiter)
            if len(self.come) > 1:
                return  # the loop has been told, and has not looked yet
        with suppress(RuntimeError):  # it is closed: nobody waits there any more
            if self.waiting > MANY:
                self.loop.call_soon_threadsafe(self.loop.call_later, MOMENT, self.deliver)
            else:
                self.loop.call_soon_threadsafe(self.deliver)

    def deliver(self) -> None:
        """Wake all whose future is done. Called on the loop."""
        with self.lock:
            come, self.come = self.come, []
        for waiter in come:
            if not waiter.done():
                waiter.set_result(None)


def arrivals_on(loop: Any) -> Arrivals:
    """Return what has come for a loop."""
    arrivals: Arrivals | None = getattr(loop, "aiodag_arrivals", None)
    if arrivals is None:
        arrivals = loop.aiodag_arrivals = Arrivals(loop)
    return arrivals


async def arrival(future: "Future[Any]") -> Any:
    """Return the value of a future of another thread, or raise its exception. A cancel leaves the future as it is."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    arrivals = arrivals_on(loop)
    future.add_done_callback(lambda _: arrivals.arrive(waiter))
    real_time = engine_of(loop).real_time
    real_time.begin()
    arrivals.waiting += 1
    try:
        await waiter
        return future.result()
    finally:
        arrivals.waiting -= 1
        real_time.end()
        del future  # a failure's traceback holds this frame


class Batches:
    """Brings to one loop, many at a time, what else would need a callback for each.

    `ask` has something called in another thread. `look(things, number)` waits there until so many of them have come, though
    not for long, and returns for each that has come its value and None, or None and its exception.
    """

    def __init__(
        self,
        ask: "Callable[..., Future[dict[Any, Any]]]",
        look: Callable[[Sequence[Any], int], dict[Any, tuple[Any, Exception | None]]],
    ) -> None:
        self.ask = ask
        self.look = look
        self.wanted: dict[Any, asyncio.Future[tuple[Any, Exception | None]]] = {}
        self.work: asyncio.Task[None] | None = None

    async def bring(self, thing: Any) -> Any:
        """Return the value that comes for a thing, or raise its exception."""
        loop = asyncio.get_running_loop()
        waiter = self.wanted[thing] = loop.create_future()
        if self.work is None:
            self.work = loop.create_task(self._collect())
        with engine_of(loop).real_time:
            try:
                value, error = await waiter
            finally:
                self.wanted.pop(thing, None)
        if error is None:
            return value
        try:
            raise error
        finally:
            del error, waiter  # a failure's traceback holds this frame

    async def _collect(self) -> None:
        try:
            some: int | None = WINDOW
            while self.wanted:
                number = min(1 + len(self.wanted) // SHARE, ENOUGH)
                came = await arrival(self.ask(self.look, list(islice(self.wanted, some)), number))
                for thing, outcome in came.items():
                    waiter = self.wanted.pop(thing, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(outcome)
                some = WINDOW if len(came) >= number else None  # what was sent first is late: others may have come
        except Exception as error:  # noqa: BLE001 - for those that wait for it
            for waiter in self.wanted.values():
                if not waiter.done():
                    waiter.set_result((None, error))
        finally:
            self.work = None
