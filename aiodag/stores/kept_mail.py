"""Waits and messages as a store in memory has them: registered, settled, given back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count

from aiodag.happenings import Happening
from aiodag.mail import EXPIRED, MESSAGE, PORTION, Incoming, Outgoing, Starter, WaitRow, WaitSeen
from aiodag.records import Batch
from aiodag.states import State
from aiodag.stores.inbox_rules import NO_ANSWER, WaitEnd, end_of_child, outcome_of_message, outcome_of_moment
from aiodag.stores.kept import KeptRun


@dataclass
class KeptMessage:
    """A message, and what has become of it."""

    number: int
    incoming: Incoming
    at: float
    expires_at: float
    forget_at: float
    fate: str = "kept"  # or taken, started, dead
    reason: str = ""
    repeats: int = 0
    takers: int = 0
    run: str | None = None

    def is_dead(self, now: float) -> bool:
        """Return True for a dead letter, also one that nobody has buried yet."""
        return self.fate == "dead" or (self.fate == "kept" and self.expires_at <= now)


@dataclass
class KeptWait:
    """What a node of a run waits for."""

    place: int  # the oldest is served first
    kept: KeptRun
    number: int
    kind: str
    topic: str
    key: str
    since: float
    due_at: float | None
    grouped: int | None
    settled: bool = False
    message: KeptMessage | None = None

    def outcome_at_its_end(self) -> WaitEnd:
        """Return how its node ends when its moment has come."""
        return outcome_of_moment(self.kind, self.topic, self.key, (self.due_at or self.since) - self.since)


@dataclass
class KeptMail:
    """All waits and messages of a store, by what they are known by, each in the order in which it came."""

    waits: dict[tuple[int, int], KeptWait] = field(default_factory=dict)  # by run and node
    lost: dict[tuple[int, int], KeptWait] = field(default_factory=dict)  # of whose groups another was settled
    messages: dict[tuple[str, str], KeptMessage] = field(default_factory=dict)  # by topic and id
    outbox: dict[int, Outgoing] = field(default_factory=dict)
    runs: Mapping[str, KeptRun] = field(default_factory=dict)  # by id
    starters: dict[tuple[str, str], Starter] = field(default_factory=dict)  # by topic and target
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    happened: set[Happening] = field(default_factory=set)

    # Settle

    def open_waits(self) -> list[KeptWait]:
        """Return what is still waited for, oldest first."""
        return sorted((wait for wait in self.waits.values() if not wait.settled), key=lambda wait: wait.place)

    def settle(self, wait: KeptWait, end: WaitEnd, now: float) -> None:
        """Write how a wait ended; the others of its group wait no longer, and its run is woken."""
        wait.settled = True
        row = wait.kept.nodes.get(wait.number)
        if wait.kind != "deadline" and row is not None and not row["state"].final:
            row.update(state=end.state, codec=end.codec, value=end.value, error=end.error, ended_at=now)
        for other in self.open_waits() if wait.grouped is not None else ():
            if other.kept is wait.kept and other.grouped == wait.grouped:
                self.lose(other)
        self.happened.add(Happening.WOKEN)
        if wait.kept.wake():
            self.happened.add(Happening.QUEUED)

    def lose(self, wait: KeptWait) -> None:
        """Have a wait that was not the first of its group wait for nothing, unless it is registered again."""
        self.lost[wait.kept.number, wait.number] = self.waits.pop((wait.kept.number, wait.number))

    def offer(self, message: KeptMessage, now: float) -> list[str]:
        """Give a message to those who wait for it: of each key the oldest, or all of them. Return the ids of their runs."""
        taken: list[str] = []
        for key in dict.fromkeys(message.incoming.keys):
            while True:
                found = next((wait for wait in self.open_waits() if is_for(wait, message.incoming.topic, key)), None)
                if found is None:
                    break
                found.message = message
                self.settle(found, outcome_of_message(message.incoming.payload, message.number), now)
                taken.append(found.kept.claim.id)
                if not message.incoming.to_all:
                    break
        if taken:
            message.fate, message.takers, message.run = "taken", message.takers + len(taken), taken[-1]
        return list(dict.fromkeys(taken))

    def take_kept(self, wait: KeptWait, now: float) -> None:
        """Give a wait the oldest message that was kept for it, if there is one."""
        for message in self.messages.values():
            keys = message.incoming.keys
            if (
                message.fate == "kept"
                and message.expires_at > now
                and any(is_for(wait, message.incoming.topic, key) for key in keys)
            ):
                message.fate, message.takers, message.run = "taken", 1, wait.kept.claim.id
                wait.message = message
                self.settle(wait, outcome_of_message(message.incoming.payload, message.number), now)
                return

    def drop(self, waits: Iterable[KeptWait], now: float) -> None:
        """Drop waits, and give back what they were given."""
        gone = sorted(waits, key=lambda wait: wait.place)
        for wait in gone:
            del self.waits[wait.kept.number, wait.number]
            if wait.kind == "run" and not wait.settled and wait.topic in self.runs:
                self.runs[wait.topic].ask_to_cancel(now)  # nobody waits for it any more
                self.happened |= {Happening.CANCEL, Happening.QUEUED, Happening.ENDED}
        for wait in gone:
            message, row = wait.message, wait.kept.nodes.get(wait.number)
            if message is None:
                continue
            if row is not None and row["codec"] == MESSAGE:
                # What somebody else is given now must not be recalled here, if the run is begun again some day.
                row.update(state=State.CANCELLED, codec="", value=None, ended_at=now)
            known = self.messages.get((message.incoming.topic, message.incoming.id))
            if message.fate != "taken" or message is not known:  # somebody else has it, or it is forgotten
                continue
            message.takers -= 1
            if not message.takers:
                message.fate, message.run = "kept", None
                if message.expires_at > now:
                    self.offer(message, now)

    # What a run says

    def write(self, kept: KeptRun, batch: Batch, now: float) -> None:
        """Write what the batch of a run says of its waits."""
        for number, reason in batch.rows("rejects"):
            self.reject(kept, number, reason, now)
        for row in batch.rows("waits"):
            self.register(kept, row)
        over = {wait.grouped for wait in self.waits.values() if wait.kept is kept and wait.settled} - {None}
        for wait in [wait for wait in self.waits.values() if wait.kept is kept and not wait.settled]:
            if wait.grouped in over:
                self.lose(wait)
        begun = self.waits_of(kept, [row[0] for row in batch.rows("waits")])
        for wait in begun:
            if not wait.settled and (kept.number, wait.number) in self.waits:  # else another of its group has come
                self.take_kept(wait, now)
        self.settle_parents(begun, now)
        for wait in self.waits_of(kept, batch.rows("due")):
            if not wait.settled and (kept.number, wait.number) in self.waits:  # else another of its group has come
                self.settle(wait, wait.outcome_at_its_end(), now)
        self.drop(self.waits_of(kept, batch.rows("unwaits")), now)
        for wait in self.waits_of(kept, batch.rows("heard")):
            if wait.settled:
                del self.waits[kept.number, wait.number]
                group = [] if wait.grouped is None else [each for each in self.lost.values() if each.kept is kept]
                self.forget_lost(each for each in group if each.grouped == wait.grouped)
        self.forget_lost(self.lost.get((kept.number, number)) for number in batch.rows("unwaits"))

    def forget_lost(self, waits: "Iterable[KeptWait | None]") -> None:
        """Forget waits that have lost, for good."""
        for wait in list(waits):
            if wait is not None:
                self.lost.pop((wait.kept.number, wait.number), None)

    def waits_of(self, kept: KeptRun, numbers: Sequence[int]) -> list[KeptWait]:
        """Return the waits of some nodes of a run."""
        found = [self.waits.get((kept.number, number)) for number in dict.fromkeys(numbers)]
        return sorted((wait for wait in found if wait is not None), key=lambda wait: wait.place)

    def register(self, kept: KeptRun, row: WaitRow) -> None:
        """Note what a node waits for; what is noted already stays, with the moment that was noted first."""
        number, kind, topic, key, since, due_at, grouped = row
        wait = self.waits.get((kept.number, number))
        if wait is None and (kept.number, number) in self.lost:
            wait = self.waits[kept.number, number] = self.lost.pop((kept.number, number))
        elif wait is None:
            wait = KeptWait(next(self.numbers), kept, number, kind, topic, key, since, due_at, grouped)
            self.waits[kept.number, number] = wait
        wait.grouped = grouped

    def settle_parents(self, waits: Iterable[KeptWait], now: float) -> None:
        """Settle those of some waits that are for runs which have ended, or are not there."""
        for wait in [wait for wait in waits if wait.kind == "run" and not wait.settled]:
            child = self.runs.get(wait.topic)
            if child is None or child.state.final:
                self.settle(wait, end_of_kept(wait.topic, child), now)

    def reject(self, kept: KeptRun, number: int, reason: str, now: float) -> None:
        """Make a dead letter of a message that does not fit, and have its node wait on."""
        for wait in self.waits_of(kept, [number]):
            if wait.message is None:
                continue
            self.bury(wait.message, reason, now)
            wait.message.takers -= 1
            wait.settled, wait.message = False, None
            kept.nodes[number].update(state=State.RUNNING, codec="", value=None, error="", ended_at=None)
            self.take_kept(wait, now)

    def bury(self, message: KeptMessage, reason: str, now: float) -> None:
        """Make a dead letter of a message, which is remembered for as long again."""
        message.fate, message.reason = "dead", reason
        message.forget_at = now + message.incoming.dedup

    def kept_of(self, topics: set[str], now: float) -> list[KeptMessage]:
        """Return the messages of some topics that are kept for somebody, oldest first."""
        kept = [each for each in self.messages.values() if each.fate == "kept" and each.expires_at > now]
        return [each for each in kept if each.incoming.topic in topics]

    def outgoing(self, topic: str, limit: int) -> list[Outgoing]:
        """Return the first messages that are to leave under a topic: at most so many, and of `PORTION` in all."""
        found = [message for message in self.outbox.values() if message.topic == topic][:limit]
        before = accumulate((len(message.payload) for message in found), initial=0)
        return [message for message, size in zip(found, before, strict=False) if size < PORTION]

    # Moments

    def bury_expired(self, now: float) -> bool:
        """Make dead letters of what nobody waited for in time; return True if there was any."""
        expired = [each for each in self.messages.values() if each.fate == "kept" and each.expires_at <= now]
        for message in expired:
            self.bury(message, EXPIRED, now)
        return bool(expired)

    def messages_at(self, now: float) -> list[KeptMessage]:
        """Return all messages, oldest first, as they are at a moment: looking buries nothing, as forgetting counts from then."""
        seen = [
            replace(each, fate="dead", reason=each.reason or EXPIRED) if each.is_dead(now) else each
            for each in self.messages.values()
        ]
        return sorted(seen, key=lambda message: message.number)

    def hand_on(self, kept: Iterable[KeptRun], now: float) -> bool:
        """Settle what is due, bury what has expired, forget what is old, drop what ended runs have left; return True if that was anything."""
        due = [wait for wait in self.open_waits() if wait.due_at is not None and wait.due_at <= now]
        for wait in sorted(due, key=lambda wait: (wait.due_at, wait.place)):
            if (wait.kept.number, wait.number) in self.waits:  # else another of its group has come
                self.settle(wait, wait.outcome_at_its_end(), now)
        expired = self.bury_expired(now)
        old = [key for key, each in self.messages.items() if each.fate != "kept" and each.forget_at <= now]
        for key in old:
            del self.messages[key]
        return self.drop_ended(kept, now) or bool(due or old) or expired

    def drop_ended(self, kept: Iterable[KeptRun], now: float) -> bool:
        """Drop the waits of runs that have ended or are gone; return True if there were any."""
        there = {each.number for each in kept if not each.state.final}
        ended = [wait for wait in self.waits.values() if wait.kept.number not in there]
        self.drop(ended, now)
        self.forget_lost([wait for wait in self.lost.values() if wait.kept.number not in there])
        self.settle_parents(self.waits.values(), now)
        return bool(ended)

    def moments(self) -> list[float]:
        """Return when something becomes due."""
        due = [wait.due_at for wait in self.open_waits() if wait.due_at is not None]
        return due + [each.expires_at if each.fate == "kept" else each.forget_at for each in self.messages.values()]

    def seen(self, kept: KeptRun, now: float) -> dict[int, WaitSeen]:
        """Return what is recorded of the waits of a run, by the numbers of their nodes."""
        return {
            wait.number: WaitSeen(wait.settled, None if wait.due_at is None else wait.due_at - now)
            for wait in (*self.waits.values(), *self.lost.values())
            if wait.kept is kept
        }


def end_of_kept(run_id: str, child: KeptRun | None) -> WaitEnd:
    """Return how the node ends that waits for a run that has ended, or is not there."""
    if child is None:
        return end_of_child(run_id, "run", State.QUEUED, "", "", None)
    first = child.nodes.get(0, {})
    codec, value = NO_ANSWER if child.definitions else (first.get("codec", ""), first.get("value"))
    return end_of_child(run_id, child.claim.name, child.state, child.error, codec, value)


def is_for(wait: KeptWait, topic: str, key: str) -> bool:
    """Return True if a wait is one for such a message."""
    return (wait.kind, wait.topic, wait.key) == ("message", topic, key)
