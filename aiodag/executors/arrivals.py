"""Wait on a loop for what other threads bring, and wake the loop once for all that has come.

`asyncio.wrap_future` wakes it for each future. With thousands on their way that is what takes the time; so while there are
many, what comes waits a moment for more.
"""

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Any

from aiodag._core.submit import engine_of

MANY = 64  # that are waited for: with fewer, each matters
MOMENT = 0.002  # seconds in which more may come


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
