"""The inbox of a loop: what messages and timers are for runs without a store, in scripts and in tests.

The rules are those of the inbox of a store; nothing of it outlives the process. All time is that of the loop, so a virtual
clock is enough to test what takes months.

    wait ──► open ──┬─ a message, its moment ──► settled ──► heard
                    ├─ another of its group was first ──► lost
                    └─ cancelled ──► gone; settled before that, its message goes back to its place
"""

import json
import logging
from asyncio import AbstractEventLoop, Future, all_tasks, get_running_loop
from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.run import Run
from aiodag._core.submit import engine_of
from aiodag.mail import Delivered, Incoming, Wait, describe_lateness
from aiodag.messages.fitting import Misfit
from aiodag.messages.recorded_values import time_of_day
from aiodag.messages.shelf import Message, Place, Shelf
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
        self._groups: dict[int, dict[LocalWait, None]] = {}  # in the order in which they began to wait
        self._of_node: WeakKeyDictionary[Node[Any], LocalWait] = WeakKeyDictionary()
        self.shelf = Shelf(loop)
        self._ended: list[LocalWait] = []  # that were cancelled in this turn of the loop

    # Waiting

    def wait(self, node: "Node[Any]", wait: Wait) -> "Future[Any]":
        """Return what is settled by what a node waits for: plain JSON, or None. Raises `TimeoutError` in it."""
        now = self.shelf.look()
        opened = self._of_node.get(node)
        oldest = False
        if opened is None:
            opened = self._of_node[node] = LocalWait(wait, self.loop.create_future(), now)
        elif opened.future.done():  # what had come did not fit: it is still the oldest
            opened.future, opened.message, oldest = self.loop.create_future(), None, True
        opened.wait, opened.open = wait, True
        kept = self.shelf.take_kept(opened.place) if wait.kind == "message" else None
        if kept is not None:
            self._settle(opened, kept)
            return opened.future
        waiting = self._open.setdefault(opened.place, {})
        if oldest:
            self._open[opened.place] = {opened: None, **waiting}
        else:
            waiting[opened] = None
        if wait.group is not None:
            self._groups.setdefault(wait.group, {})[opened] = None
        self._set_timer(opened)
        return opened.future

    def reject(self, node: "Node[Any]", reason: str) -> None:
        """Make a dead letter of what a node was given, which did not fit. The node then waits again."""
        message = self._of_node[node].message
        if message is not None:
            self.shelf.bury(message, reason)

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

    def wait_of(self, node: "Node[Any]") -> Wait | None:
        """Return what a node waits for, None for one that does not."""
        opened = self._of_node.get(node)
        return None if opened is None else opened.wait

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
            return
        opened = self._first_due(opened)
        wait = opened.wait
        if wait.kind == "message":
            self._close_all(opened)
            lateness = describe_lateness(wait.kind, wait.topic, wait.key, wait.seconds or 0.0)
            opened.future.set_exception(TimeoutError(lateness))
        else:
            self._settle(opened, None)

    def _first_due(self, opened: LocalWait) -> LocalWait:
        """Return which of a group is over first: of several at once the one that began first, whatever the loop calls first."""
        for each in self._groups.get(-1 if opened.wait.group is None else opened.wait.group, ()):
            if each.due is not None and opened.due is not None and each.due <= opened.due:
                return each
        return opened

    def _settle(self, opened: LocalWait, message: Message | None) -> None:
        """Give a wait what it waited for; the others of its group wait for nothing any more, in the same moment."""
        self._close_all(opened)
        plain = None
        if message is not None:
            opened.message = message
            message.takers += 1
            plain = json.loads(message.incoming.payload)
        if not opened.future.done():
            opened.future.set_result(plain)

    def _close_all(self, opened: LocalWait) -> None:
        group = opened.wait.group
        for each in [opened] if group is None else [opened, *self._groups.get(group, ())]:
            self._close(each)

    def _close(self, opened: LocalWait) -> None:
        opened.open = False
        waiting = self._open.get(opened.place)
        if waiting is not None:
            waiting.pop(opened, None)
            if not waiting:
                del self._open[opened.place]
        group = opened.wait.group
        if group is not None and group in self._groups:
            self._groups[group].pop(opened, None)
            if not self._groups[group]:
                del self._groups[group]
        if opened.timer is not None:
            opened.timer.cancel()
            opened.timer = None

    def _tell_of_the_end(self) -> None:
        """Report the waits that ended with their loop, if it ends: whatever runs on it is being cancelled."""
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
        return f"sent-{next(self.shelf.numbers)}"

    def send(self, _node: "Node[Any]", outgoing: "Outgoing") -> None:
        """Deliver what a node sends."""
        fields = outgoing._asdict()
        self.deliver(Incoming(**{name: fields[name] for name in Incoming._fields if name in fields}))

    def deliver(self, incoming: Incoming) -> Delivered:
        """Give a message to whoever waits for it, or keep it; return what became of it."""
        message = self.shelf.take_in(incoming)
        if message is None:
            return Delivered(incoming.id, "duplicate")
        if incoming.dead:
            self.shelf.bury(message, incoming.dead)
            return Delivered(incoming.id, "dead")
        takers = [each for each in self._takers(incoming) if self._offer(each, message)]
        started = [] if takers else begin_runs(self.loop, incoming)
        if started:
            message.outcome = "started"
        elif not takers:
            self.shelf.keep(message)
        return Delivered(incoming.id, message.outcome, started)

    def _takers(self, incoming: Incoming) -> "Iterable[LocalWait]":
        for key in incoming.keys:
            # Without those that were cancelled in this turn of the loop, and have not heard of it.
            waiting = (each for each in self._open.get((incoming.topic, key), ()) if not each.future.done())
            yield from list(waiting if incoming.to_all else islice(waiting, 1))

    def _offer(self, opened: LocalWait, message: Message) -> bool:
        if not opened.open:  # it is in a group with one that has just taken it
            return False
        self._settle(opened, message)
        return True

    def _put_back(self, message: Message) -> None:
        """Give a message that nobody has heard to the next who waits for it, or keep it before the younger ones."""
        message.takers -= 1
        if message.takers or message.outcome != "taken":
            return
        takers = [each for each in self._takers(message.incoming) if self._offer(each, message)]
        if not takers:
            self.shelf.keep(message)


def describe_wait(wait: Wait, waited: float | None = None) -> str:
    """Return what is waited for, and since when, in seconds."""
    since = "" if waited is None else f", for {describe_seconds(waited)}"
    if wait.kind != "message":
        return f"a moment{since}"
    return f"a message of {wait.topic!r}{f' with the key {wait.key!r}' if wait.key else ''}{since}"


def local_inbox(loop: Any = None) -> LocalInbox:
    """Return the inbox of a loop, or of the one that runs; made when somebody asks for it. It is kept on the loop, as its engine is."""
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
    payload = json.loads(incoming.payload)
    try:
        topic.fit(None, payload)
    except Misfit:
        return []  # whoever waits for it says what is wrong
    begun: list[str] = []
    for each in topic.begins.values():
        begun.append(each.run_id(incoming.topic, incoming.id))
        run_alone(loop, alive, Run(each.entry.name, id=begun[-1]), each.call, deepcopy(payload))
    return begun
