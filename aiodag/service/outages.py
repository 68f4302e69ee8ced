"""What a worker does while its store cannot be used: it says so once, tries again, and takes nothing for a while."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiodag.errors import StoreError, StoreUnreachable

LOOK = 0.5  # seconds between two times that the store is tried
REST = 15.0  # seconds, at most, in which nothing is taken after the store has failed a run: each would begin its bodies again


class Messenger:
    """Tells a store what it has to know, as soon as it can be reached, until `is_ending` says that nobody waits any more."""

    def __init__(self, say: Callable[[str], object], is_ending: Callable[[], bool]) -> None:
        self.failing = ""  # why the store cannot be reached, as far as that was said
        self._say = say
        self._is_ending = is_ending

    async def tell(self, call: Callable[[], Any]) -> None:
        """Call something in a thread. At the very end, the lease runs out where it cannot be told."""
        while True:
            try:
                await asyncio.to_thread(call)
            except StoreUnreachable as error:
                self.say_failing(error)
                if self._is_ending():
                    return
                await asyncio.sleep(LOOK)
            except StoreError as error:
                self._say(f"could not tell the store: {error}")
                return
            else:
                return

    def say_failing(self, error: StoreError) -> None:
        """Report why the store cannot be reached, once."""
        if str(error) != self.failing:
            self.failing = str(error)
            self._say(f"waits for the store: {error}")


class Rest:
    """How long nothing is taken after the store has failed a run: longer each time, until one succeeds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.until = float("-inf")

    def begin(self) -> None:
        """Rest from now on, if that has not begun: a store fails all runs at once."""
        now = time.monotonic()
        if now >= self.until:
            self.seconds = min(max(LOOK, 2 * self.seconds), REST)
            self.until = now + self.seconds
