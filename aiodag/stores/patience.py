"""Try again while a store cannot be reached: in the thread of a keeper, or in one that a body waits for.

To the runs it is as if a commit took long: bodies go on, what has succeeded waits, and nothing is given up. Only who begins
with a store that was never reached hears of it at once, for then it is the address that is wrong.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, repeat
from typing import TypeVar

from aiodag.errors import StoreUnreachable

log = logging.getLogger("aiodag.stores")
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)  # seconds between two tries; the last one again and again
T = TypeVar("T")


class Patience:
    """Tries again until a store is back, or nobody waits any more."""

    def __init__(self, name: str, is_waited_for: Callable[[], bool]) -> None:
        self._name = name
        self._is_waited_for = is_waited_for
        self._hurry = threading.Event()
        self._reached = False

    def through(self, act: Callable[[], T], *, beginning: bool = False) -> T:
        """Return what something returns, when the store can be reached. Raises `StoreUnreachable` if nobody waits for it.

        Who is `beginning` does not wait for a store that was never there.
        """
        failed_at = 0.0
        pauses = chain(PAUSES, repeat(PAUSES[-1]))
        while True:
            try:
                found = act()
            except StoreUnreachable as error:
                if (beginning and not self._reached) or not self._is_waited_for():
                    raise
                if not failed_at:
                    failed_at = time.monotonic()
                    log.warning("%s. Runs go on here, and wait with what they have to write until it is back", error)
                self._hurry.wait(next(pauses))
                self._hurry.clear()
            else:
                self._reached = True
                if failed_at:
                    log.warning("the store %s is back after %.1f s", self._name, time.monotonic() - failed_at)
                return found

    def hurry(self) -> None:
        """Look again at once whether anybody still waits. Called in any thread."""
        self._hurry.set()


def patiently(act: Callable[[], T]) -> T:
    """Return what something returns when the store can be reached, however long that takes."""
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        with suppress(StoreUnreachable):
            return act()
        time.sleep(pause)
    return act()


async def in_thread_patiently(act: Callable[[], T]) -> T:
    """Return what something returns in a thread, when the store can be reached. Who is cancelled meanwhile waits no longer."""
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        with suppress(StoreUnreachable):
            return await asyncio.to_thread(act)
        await asyncio.to_thread(time.sleep, pause)  # in real time: the clock of a test stands still here
    return await asyncio.to_thread(act)
