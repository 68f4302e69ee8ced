"""The messages that a loop keeps: for somebody who will wait for them, and those that nobody got."""

import heapq
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from itertools import count

from aiodag.mail import EXPIRED, Incoming, MessageRecord
from aiodag.messages.recorded_values import time_of_day
from aiodag.records import moment_for_people

Place = tuple[str, str]  # topic and key


class Message:
    """A message that was delivered."""

    __slots__ = ("at", "expires_at", "incoming", "number", "outcome", "reason", "repeats", "takers")

    def __init__(self, number: int, incoming: Incoming, now: float) -> None:
        self.number, self.incoming = number, incoming
        self.at, self.expires_at = now, now + incoming.ttl
        self.outcome, self.reason = "taken", ""
        self.repeats = self.takers = 0


class Shelf:
    """The messages of one loop. Time passes when somebody looks."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.numbers = count(1)
        self._kept: dict[Place, deque[Message]] = {}  # oldest first
        self._seen: dict[tuple[str, str], Message] = {}  # by topic and id, as long as that is remembered
        self._dead: dict[int, Message] = {}
        self._clock: list[tuple[float, int, Callable[[], object]]] = []  # what is to happen before anybody looks

    def take_in(self, incoming: Incoming) -> Message | None:
        """Return a message that has come; None for an id that is remembered, which is counted."""
        now = self.look()
        known = incoming.topic, incoming.id
        seen = self._seen.get(known)
        if seen is not None:
            seen.repeats += 1
            return None
        message = self._seen[known] = Message(next(self.numbers), incoming, now)
        self._later(now + incoming.dedup, lambda: self._seen.pop(known, None))
        return message

    def keep(self, message: Message) -> None:
        """Keep a message for whoever will wait for it, at its place before the younger ones."""
        message.outcome = "kept"
        for key in message.incoming.keys:
            queue = self._kept.setdefault((message.incoming.topic, key), deque())
            younger = [queue.pop() for _ in range(len(queue)) if queue[-1].number > message.number]
            queue.append(message)
            queue.extend(reversed(younger))
        self._later(message.expires_at, lambda: self._expire(message))

    def take_kept(self, place: Place) -> Message | None:
        """Return the oldest message that is kept for a topic and key, which is kept no longer; None if there is none."""
        queue = self._kept.get(place)
        if not queue:
            return None
        message = queue[0]
        self._move(message, "taken")
        return message

    def _move(self, message: Message, state: str) -> None:
        """Have a message that was kept be kept no longer, under any of its keys."""
        message.outcome = state
        for key in message.incoming.keys:
            place = message.incoming.topic, key
            self._kept[place].remove(message)
            if not self._kept[place]:
                del self._kept[place]

    def _expire(self, message: Message) -> None:
        if message.outcome == "kept":
            self._move(message, "dead")
            self.bury(message, EXPIRED)

    def bury(self, message: Message, reason: str) -> None:
        """Make a message a dead letter."""
        message.outcome, message.reason = "dead", reason
        self._dead[message.number] = message
        self._later(self.loop.time() + message.incoming.dedup, lambda: self._dead.pop(message.number, None))

    def _later(self, at: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._clock, (at, next(self.numbers), act))

    def look(self) -> float:
        """Let happen what the time has come for; return it."""
        now = self.loop.time()
        while self._clock and self._clock[0][0] <= now:
            heapq.heappop(self._clock)[2]()
        return now

    def give_up_kept(self) -> list[Incoming]:
        """Forget the messages that are kept, and return them, oldest first: somebody else keeps them from now on."""
        self.look()
        found = {each.number: each for queue in self._kept.values() for each in queue}
        self._kept.clear()
        for each in found.values():
            each.outcome = "taken"
            self._seen.pop((each.incoming.topic, each.incoming.id), None)
        return [found[number].incoming for number in sorted(found)]

    def records(self, state: str) -> list[MessageRecord]:
        """Return the messages that are "kept" or "dead", oldest first."""
        self.look()
        found = self._dead.values() if state == "dead" else (each for queue in self._kept.values() for each in queue)
        numbered = {each.number: each for each in found}
        return [self._record(numbered[number]) for number in sorted(numbered)]

    def _record(self, message: Message) -> MessageRecord:
        incoming, epoch = message.incoming, time_of_day(self.loop) - self.loop.time()
        at, expires_at = (moment_for_people(epoch + each) for each in (message.at, message.expires_at))
        return MessageRecord(
            incoming.topic,
            incoming.id,
            tuple(incoming.keys),
            incoming.payload,
            message.outcome,
            at,
            expires_at,
            message.repeats,
            message.reason,
            headers=incoming.headers,
        )
