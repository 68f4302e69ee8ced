"""Room for the descriptors of programs: a program that finds none waits for another to end, and does not fail."""

import asyncio
import errno
from collections import deque
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

NEEDED = 4  # by a program that runs: a socket to the warden, stdin, stdout, stderr
SPARE = 32  # for all else that a process has open: its loop, a store, files and sockets of its own
FULL = frozenset({errno.EMFILE, errno.ENFILE})


def descriptors_allowed() -> float:
    """Return how many descriptors this process may have, as `ulimit -n` says."""
    soft, _ = getrlimit(RLIMIT_NOFILE)
    return float("inf") if soft == RLIM_INFINITY else soft


def programs_at_once(allowed: float, most: int) -> int:
    """Return how many programs can run at once with so many descriptors: at least one, whatever that leaves to others.

    >>> programs_at_once(64, most=64), programs_at_once(1024, most=64), programs_at_once(10, most=64)
    (8, 64, 1)
    """
    return int(max(min(most, (allowed - SPARE) // NEEDED), 1))


class Room:
    """Who holds descriptors, and who waits for some: for the loops of all threads, since they share the process's."""

    def __init__(self) -> None:
        self.holding: set[object] = set()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    async def wait(self) -> bool:
        """Wait until somebody has given descriptors back. Return False at once if nobody holds any."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        # In this order. Another thread that gives back between a look at who holds some and the append would wake nobody,
        # and perhaps be the last to give any back.
        self._waiting.append((loop, waiter))
        if not self.holding:
            waiter.cancel()
            return False
        await waiter
        return True

    def give_back(self, holder: object) -> None:
        """Note that a program holds no descriptors any more, and wake one that waits. Called from any thread."""
        self.holding.discard(holder)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            try:
                loop, waiter = self._waiting.popleft()
                loop.call_soon_threadsafe(self._resume, waiter)
            except IndexError:  # another thread took the last one
                return
            except RuntimeError:  # its loop is closed: the next one's turn
                continue
            return

    def _resume(self, waiter: "asyncio.Future[None]") -> None:
        if waiter.done():  # cancelled meanwhile: the next one's turn
            self._wake()
        else:
            waiter.set_result(None)


ROOM = Room()
