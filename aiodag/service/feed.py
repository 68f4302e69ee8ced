"""The latest events of something that several follow: made once for all of them.

Each who follows has a place and asks for what came after it. Nobody has a queue of his own, so whoever reads slowly costs no
memory: when the feed has forgotten what he is to have next, he catches up from the store.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

MOST_EVENTS = 2_000  # that a feed keeps
MOST_CHARACTERS = 4 * 2**20  # of all of them together
ON_THE_WAY = 2**18  # characters of events that somebody is given at once: one who then reads nothing holds no more

Asking = Callable[..., Awaitable[Any]]  # calls something in a thread


class Event(NamedTuple):
    """One event: what kind it is, its JSON, and the cursor of who has read it. Without a kind it says no more than that."""

    kind: str
    text: str
    cursor: str
    sequence: int = 0
    nodes: frozenset[int] = frozenset()  # that lines and output are of


class Feed:
    """The latest events, and who waits for others. Of one event loop."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(4)  # another one in each process, and after each restart
        self.last = 0  # the sequence of the last event
        self.over = False  # whether there will be no other event
        self._events: deque[Event] = deque()
        self._characters = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def publish(self, events: Iterable[Event]) -> None:
        """Add events, forget the oldest, and wake those who wait."""
        for each in events:
            self._events.append(each)
            self._characters += len(each.text)
            self.last = each.sequence
        while self._events and (len(self._events) > MOST_EVENTS or self._characters > MOST_CHARACTERS):
            self._characters -= len(self._events.popleft().text)
        self._wake()

    def end(self) -> None:
        """Have those who wait end: nothing more comes."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)

    def has_all_after(self, mark: str, sequence: int) -> bool:
        """Return True if all events after one of a feed are still here."""
        return mark == self.mark and self.last - len(self._events) <= sequence <= self.last

    def after(self, sequence: int) -> list[Event]:
        """Return events after one, of which all must be here: the next ones, and no more than may be on their way at once."""
        found: list[Event] = []
        size = 0
        for back in range(self.last - sequence, 0, -1):
            event = self._events[-back]
            size += len(event.text)
            if found and size > ON_THE_WAY:
                break
            found.append(event)
        return found

    async def changed(self, sequence: int, patience: float) -> bool:
        """Wait until there are events after one, or none will come; return False after so many seconds without."""
        if self.last > sequence or self.over:
            return True
        woken = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(patience):
                await woken
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(woken)
        return True


class Silence:
    """How long nothing was said to somebody: looks that find nothing wake those who wait, and are not something."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._clock = asyncio.get_running_loop().time
        self.end()

    def end(self) -> None:
        """Note that something was said."""
        self._until = self._clock() + self._patience

    @property
    def left(self) -> float:
        """In how many seconds something has to be said."""
        return self._until - self._clock()


def event_text(document: Any) -> str:
    """Return the JSON of an event: one line, ASCII alone."""
    return json.dumps(document, separators=(",", ":"))
