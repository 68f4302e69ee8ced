"""Who waits, and who is next: the highest priority first, and first come first served among equals."""

from asyncio import AbstractEventLoop, CancelledError, Future
from collections.abc import Callable
from heapq import heappop, heappush


class Waiting:
    """Those who wait on one loop for something of which one at a time is given."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.heap: list[tuple[int, int, Future[None]]] = []
        self._came = 0

    def number(self) -> int:
        """Return the next number in the order of asking."""
        self._came += 1
        return self._came

    def outrank(self, priority: int) -> bool:
        """Return whether somebody waits with a higher priority."""
        while self.heap and self.heap[0][2].done():
            heappop(self.heap)
        return bool(self.heap) and self.heap[0][0] < -priority

    async def wait(self, priority: int, give_on: Callable[[], object], number: int | None = None) -> None:
        """Wait for one's turn. Cancelled with the turn just given, it is given on."""
        ticket: Future[None] = self._loop.create_future()
        heappush(self.heap, (-priority, self.number() if number is None else number, ticket))
        try:
            await ticket
        except CancelledError:
            # It may have been given in the same turn of the loop as the cancel: then it is ours to give on.
            if ticket.done() and not ticket.cancelled():
                give_on()
            raise

    def let_in(self) -> bool:
        """Give the turn to the next; return False if nobody waits."""
        while self.heap:
            ticket = heappop(self.heap)[2]
            if not ticket.done():
                ticket.set_result(None)
                return True
        return False
