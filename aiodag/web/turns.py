"""Have those who send much take turns, so that others are answered between them."""

import asyncio
from collections import deque

TOGETHER = 2  # that send in one round of the loop


class Turns:
    """Lets a few streams at a time send: what they are sent takes a while, in which nothing else is answered."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    async def take(self) -> None:
        """Wait for a turn: one of the next rounds of the loop."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._give_later()
        await turn

    def _give_later(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._give)

    def _give(self) -> None:
        self._is_due = False
        for _ in range(min(TOGETHER, len(self._waiting))):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
        self._give_later()
