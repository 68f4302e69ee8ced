"""The inbox of a loop: what messages and timers are for runs without a store, in scripts and in tests.

The rules are those of the inbox of a store; nothing of it outlives the process. All time is that of the loop, so a virtual
clock is enough to test what takes months.

    wait ──► open ──┬─ a message, its moment ──► settled ──► heard
                    ├─ another of its group was first ──► lost
                    └─ cancelled ──► gone; settled before that, its message goes back to its place
"""

import heapq
import json
import logging
from asyncio import AbstractEventLoop, Future, all_tasks, get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.submit import engine_of
from aiodag.mail import EXPIRED, Delivered, Incoming, MessageRecord, Wait, describe_lateness
from aiodag.messages.fitting import Misfit
from aiodag.messages.recorded_values import time_of_day
from aiodag.messages.starters import run_alone
from aiodag.messages.topics import declared_topic
from aiodag.wording import count_text, describe_seconds

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from aiodag._core.node import Node
    from aiodag.mail import Outgoing

log = logging.getLogger("aiodag.messages")

SLICE = 60.0  # seconds after which a wait for a moment looks at the clock again: that may have been set, or have stood still
SHOWN = 5  # waits that are named when their loop ends

Place = tuple[str, str]  # topic and key


class Message:
    """A message that was delivered."""

    __slots__ = ("at", "expires_at", "incoming", "number", "outcome", "reason", "repeats", "takers")

    def __init__(self, number: int, incoming: Incoming, now: float) -> None:
        self.number, self.incoming = number, incoming
        self.at, self.expires_at = now, now + incoming.ttl
        self.outcome, self.reason = "taken", ""
        self.repeats = self.takers = 0


class LocalWait:
    """What one node waits for."""

    __slots__ = ("due", "future", "message", "open", "since", "timer", "wait")

    def __init__(self, wait: Wait, future: "Future[Any]", now: float) -> None:
        self.wait, self.future, self.since = wait, future, now
        self.due = None if wait.seconds is None else now + wait.seconds
        self.timer: TimerHandle | None = None
        self.message: Message | None = None
        self.open = True

    @property
    def place(self) -> Place:
        """Where messages for it come in."""
        return self.wait.topic, self.wait.key


class LocalInbox:
    """Messages that are kept in a loop, and the nodes on it that wait for some."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._open: dict[Place, dict[LocalWait, None]] = {}  # oldest first
        self._groups: dict[int, set[LocalWait]] = {}
        self._of_node: WeakKeyDictionary[Node[Any], LocalWait] = WeakKeyDictionary()
        self._kept: dict[Place, deque[Message]] = {}  # oldest first; some of them are kept no longer
        self._seen: dict[tuple[str, str], Message] = {}
        self._dead: dict[int, Message] = {}
        self._numbers = count(1)
        self._clock: list[tuple[float, int, Callable[[], object]]] = []  # what is to happen before anybody looks
        self._ended: list[LocalWait] = []  # that were cancelled in this turn of the loop

    # Waiting

    def wait(self, node: "Node[Any]", wait: Wait) -> "Future[Any]":
        """Return what is settled by what a node waits for: plain JSON, or None. Raises `TimeoutError` in it."""
        now = self._look()
        opened = self._of_node.get(node)
        first: dict[LocalWait, None] = {}
        if opened is None:
            opened = self._of_node[node] = LocalWait(wait, self.loop.create_future(), now)
        elif opened.future.done():  # what had come did not fit: it is still the oldest
            opened.future, opened.message, first = self.loop.create_future(), None, {opened: None}
        opened.wait, opened.open = wait, True
        kept = self._take_kept(opened.place) if wait.kind == "message" else None
        if kept is not None:
            self._settle(opened, kept)
            return opened.future
        self._open[opened.place] = {**first, **self._open.get(opened.place, {}), opened: None}
        if wait.group is not None:
            self._groups.setdefault(wait.group, set()).add(opened)
        self._set_timer(opened)
        return opened.future

    def reject(self, node: "Node[Any]", reason: str) -> None:
        """Make a dead letter of what a node was given, which did not fit. The node then waits again."""
        message = self._of_node[node].message
        if message is not None:
            self._bury(message, reason)

    def unwait(self, node: "Node[Any]") -> None:
        """Forget what a node waited for; what it was given without having heard of it goes back to its place."""
        opened = self._of_node.pop(node, None)
        if opened is None:
            return
        if opened.open:
            if not self._ended:
                self.loop.call_soon(self._tell_of_the_end)
            self._ended.append(opened)
            self._close(opened)
        elif opened.message is not None:
            self._put_back(opened.message)
        elif opened.future.done() and not opened.future.cancelled():
            opened.future.exception()  # which nobody wants any more

    def is_recorded(self, node: "Node[Any]") -> bool:
        """Return False: nothing is."""
        return False

    def _set_timer(self, opened: LocalWait) -> None:
        if opened.timer is not None:
            return
        if opened.wait.due_at is not None:
            left = opened.wait.due_at - time_of_day(self.loop)
            if not hasattr(self.loop, "time_of_day"):
                left = min(left, SLICE)
            opened.timer = self.loop.call_later(max(left, 0.0), self._ring, opened)
        elif opened.due is not None:
            opened.timer = self.loop.call_at(opened.due, self._ring, opened)

    def _ring(self, opened: LocalWait) -> None:
        opened.timer = None
        if not opened.open or opened.future.done():
            return
        wait = opened.wait
        if wait.due_at is not None and wait.due_at > time_of_day(self.loop):
            self._set_timer(opened)
        elif wait.kind == "message":
            self._close(opened)
            lateness = describe_lateness(wait.kind, wait.topic, wait.key, wait.seconds or 0.0)
            opened.future.set_exception(TimeoutError(lateness))
        else:
            self._settle(opened, None)

    def _settle(self, opened: LocalWait, message: Message | None) -> None:
        """Give a wait what it waited for; the others of its group wait for nothing any more, in the same moment."""
        group = opened.wait.group
        for each in [opened] if group is None else [opened, *self._groups.get(group, ())]:
            self._close(each)
        plain = None
        if message is not None:
            opened.message = message
            message.takers += 1
            plain = json.loads(message.incoming.payload)
        if not opened.future.done():
            opened.future.set_result(plain)

    def _close(self, opened: LocalWait) -> None:
        opened.open = False
        waiting = self._open.get(opened.place)
        if waiting is not None:
            waiting.pop(opened, None)
            if not waiting:
                del self._open[opened.place]
        group = opened.wait.group
        if group is not None and group in self._groups:
            self._groups[group].discard(opened)
            if not self._groups[group]:
                del self._groups[group]
        if opened.timer is not None:
            opened.timer.cancel()
            opened.timer = None

    def _tell_of_the_end(self) -> None:
        """Say which waits ended with their loop, if it ends: whatever runs on it is being cancelled."""
        ended, self._ended = self._ended, []
        if any(not task.cancelling() for task in all_tasks(self.loop)):
            return
        names = sorted(describe_wait(each.wait, self.loop.time() - each.since) for each in ended)[:SHOWN]
        names += [f"and {len(ended) - SHOWN:,} more"] * (len(ended) > SHOWN)
        log.warning(
            "%s ended with this loop: %s. In a run with a store they would go on",
            count_text(len(ended), "wait"),
            "; ".join(names),
        )

    # Messages

    def next_id(self) -> str:
        """Return the id of a message that was given none."""
        return f"sent-{next(self._numbers)}"

    def send(self, _node: "Node[Any]", outgoing: "Outgoing") -> None:
        """Deliver what a node sends."""
        fields = outgoing._asdict()
        self.deliver(Incoming(**{name: fields[name] for name in Incoming._fields if name in fields}))

    def deliver(self, incoming: Incoming) -> Delivered:
        """Give a message to whoever waits for it, or keep it; return what became of it."""
        now = self._look()
        seen = self._seen.get((incoming.topic, incoming.id))
        if seen is not None:
            seen.repeats += 1
            return Delivered(incoming.id, "duplicate")
        message = Message(next(self._numbers), incoming, now)
        self._seen[incoming.topic, incoming.id] = message
        self._later(now + incoming.dedup, lambda: self._seen.pop((incoming.topic, incoming.id), None))
        if incoming.dead:
            self._bury(message, incoming.dead)
            return Delivered(incoming.id, "dead")
        takers = [each for each in self._takers(incoming) if self._offer(each, message)]
        started = [] if takers else begin_runs(self.loop, incoming)
        if started:
            message.outcome = "started"
        elif not takers:
            self._keep(message)
        return Delivered(incoming.id, message.outcome, started)

    def _takers(self, incoming: Incoming) -> "Iterable[LocalWait]":
        for key in incoming.keys:
            waiting = list(self._open.get((incoming.topic, key), ()))
            yield from waiting if incoming.to_all else waiting[:1]

    def _offer(self, opened: LocalWait, message: Message) -> bool:
        if not opened.open:  # it is in a group with one that has just taken it
            return False
        self._settle(opened, message)
        return True

    def _keep(self, message: Message) -> None:
        message.outcome = "kept"
        for key in message.incoming.keys:
            queue = self._kept.setdefault((message.incoming.topic, key), deque())
            younger = [queue.pop() for _ in range(len(queue)) if queue[-1].number > message.number]
            queue.append(message)
            queue.extend(reversed(younger))
        self._later(message.expires_at, lambda: self._expire(message))

    def _take_kept(self, place: Place) -> Message | None:
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

    def _put_back(self, message: Message) -> None:
        """Give a message that nobody has heard to the next who waits for it, or keep it before the younger ones."""
        message.takers -= 1
        if message.takers or message.outcome != "taken":
            return
        takers = [each for each in self._takers(message.incoming) if self._offer(each, message)]
        if not takers:
            self._keep(message)

    def _expire(self, message: Message) -> None:
        if message.outcome == "kept":
            self._move(message, "dead")
            self._bury(message, EXPIRED)

    def _bury(self, message: Message, reason: str) -> None:
        message.outcome, message.reason = "dead", reason
        self._dead[message.number] = message
        self._later(self.loop.time() + message.incoming.dedup, lambda: self._dead.pop(message.number, None))

    def _later(self, at: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._clock, (at, next(self._numbers), act))

    def _look(self) -> float:
        """Let happen what the time has come for; return it."""
        now = self.loop.time()
        while self._clock and self._clock[0][0] <= now:
            heapq.heappop(self._clock)[2]()
        return now

    def give_up_kept(self) -> list[Incoming]:
        """Forget the messages that are kept, and return them, oldest first: somebody else keeps them from now on."""
        self._look()
        found = {each.number: each for queue in self._kept.values() for each in queue}
        self._kept.clear()
        for each in found.values():
            each.outcome = "taken"
            self._seen.pop((each.incoming.topic, each.incoming.id), None)
        return [found[number].incoming for number in sorted(found)]

    def records(self, state: str) -> list[MessageRecord]:
        """Return the messages that are "kept" or "dead", oldest first."""
        self._look()
        found = self._dead.values() if state == "dead" else (each for queue in self._kept.values() for each in queue)
        numbered = {each.number: each for each in found}
        return [self._record(numbered[number]) for number in sorted(numbered)]

    def _record(self, message: Message) -> MessageRecord:
        incoming, epoch = message.incoming, time_of_day(self.loop) - self.loop.time()
        at, expires_at = (datetime.fromtimestamp(epoch + each, UTC) for each in (message.at, message.expires_at))
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


def describe_wait(wait: Wait, waited: float | None = None) -> str:
    """Return what is waited for, and since when, in seconds."""
    since = "" if waited is None else f", for {describe_seconds(waited)}"
    if wait.kind != "message":
        return f"a moment{since}"
    return f"a message of {wait.topic!r}{f' with the key {wait.key!r}' if wait.key else ''}{since}"


def local_inbox(loop: Any = None) -> LocalInbox:
    """Return the inbox of a loop, or of the one that runs; made for who asks first. It is kept on the loop, as its engine is."""
    loop = get_running_loop() if loop is None else loop
    inbox: LocalInbox | None = getattr(loop, "aiodag_inbox", None)
    if inbox is None:
        inbox = loop.aiodag_inbox = LocalInbox(loop)
    return inbox


def inbox_of(node: "Node[Any]") -> Any:
    """Return what keeps the waits of a node: the journal of its run, or the inbox of its loop."""
    journal = None if node.run is None else node.run.journal
    return local_inbox(node.engine.loop) if journal is None else journal


def begin_runs(loop: AbstractEventLoop, incoming: Incoming) -> list[str]:
    """Begin on a loop what a message begins that nobody waits for; return the ids of the runs."""
    topic, alive = declared_topic(incoming.topic), engine_of(loop).alive
    if topic is None or not topic.begins:
        return []
    try:
        value = topic.fit(None, json.loads(incoming.payload))
    except Misfit:
        return []  # whoever waits for it says what is wrong
    begun: list[str] = []
    for each in topic.begins.values():
        run_id = each.run_id(incoming.topic, incoming.id)
        begun.append(run_alone(loop, alive, each.entry, run_id, (), {each.parameter: value} if each.parameter else {}))
    return begun
