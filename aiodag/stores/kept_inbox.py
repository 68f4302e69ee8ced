"""The inbox of a store in memory."""

import json
import time
from collections.abc import Collection, Sequence

from aiodag.errors import LeaseLost
from aiodag.happenings import Happening
from aiodag.mail import (
    Delivered,
    Incoming,
    MessageRecord,
    Outgoing,
    SettledWait,
    Starter,
    TopicRecord,
    WaitRecord,
)
from aiodag.records import Batch, Claimed, Owner, utc_moment
from aiodag.states import State
from aiodag.stores.inbox_rules import no_dead_letter, started_run, starters_gone
from aiodag.stores.kept import ZERO, KeptRun
from aiodag.stores.kept_again import KeptAgain
from aiodag.stores.kept_mail import KeptMail, KeptMessage, KeptWait
from aiodag.stores.watch import note_happening
from aiodag.submissions import Taken


class KeptInbox(KeptAgain):
    """The messages of a store in memory, and the waits of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self._mail = KeptMail(runs=self.kept)
        self._relays: dict[str, tuple[Owner, float]] = {}

    def _note_mail(self) -> None:
        """Wake those who wait for what has happened to waits, after the lock is let go."""
        happened, self._mail.happened = self._mail.happened, set()
        note_happening(self, happened)

    # Messages come

    def deliver(self, incoming: Sequence[Incoming]) -> list[Delivered]:
        """Give messages to those who wait for them, in order; keep those for which nobody does. Return what became of each."""
        with self._lock:
            now = time.time()
            delivered = [self._deliver(message, now) for message in incoming]
        self._note_mail()
        return delivered

    def _deliver(self, incoming: Incoming, now: float) -> Delivered:
        topic, message_id = incoming.topic, incoming.id
        there = self._mail.messages.get((topic, message_id))
        if there is not None and (there.fate == "kept" or there.forget_at > now):
            there.repeats += 1
            return Delivered(message_id, "duplicate")
        if there is not None:
            del self._mail.messages[topic, message_id]
        # Of a dead letter, which may be anything.
        incoming = incoming._replace(payload=incoming.payload.encode("utf-8", "backslashreplace").decode())
        message = KeptMessage(
            next(self._mail.numbers), incoming, now, now + incoming.ttl, now + incoming.dedup, reason=incoming.dead
        )
        self._mail.messages[topic, message_id] = message
        if incoming.dead:
            message.fate = "dead"
            return Delivered(message_id, "dead")
        return self._place_message(message, now)

    def _place_message(self, message: KeptMessage, now: float) -> Delivered:
        """Give a message to who waits for it, begin what its topic begins, or keep it."""
        taken = self._mail.offer(message, now)
        if taken:
            return Delivered(message.incoming.id, "taken", taken)
        started = self._start_runs(message.incoming, now)
        if started:
            message.fate, message.run = "started", started[-1]
            return Delivered(message.incoming.id, "started", started)
        message.fate = "kept"
        return Delivered(message.incoming.id, "kept")

    def _start_runs(self, incoming: Incoming, now: float) -> list[str]:
        started: list[str] = []
        for starter in self._mail.starters.values():
            row = (starter.target, json.dumps(dict(starter.entry)), starter.name, starter.queue, starter.parameter)
            submission = (
                started_run(incoming.topic, incoming.id, incoming.payload, row, now)
                if starter.topic == incoming.topic
                else None
            )
            if submission is None:
                continue
            if submission.id not in self.kept:
                self._add(submission)
                self._mail.happened.add(Happening.QUEUED)
            started.append(submission.id)
        return started

    def redeliver(self, topic: str, message_id: str) -> Delivered:
        """Deliver a dead letter again; its time to live begins anew. Raises `StoreError` where there is none of that id."""
        with self._lock:
            now = time.time()
            message = self._mail.messages.get((topic, message_id))
            if message is None or not message.is_dead(now):
                raise no_dead_letter(topic, message_id, self)
            message.reason, message.takers, message.run, message.at = "", 0, None, now
            message.expires_at, message.forget_at = now + message.incoming.ttl, now + message.incoming.dedup
            delivered = self._place_message(message, now)
        self._note_mail()
        return delivered

    def put_starters(self, owner: Owner, starters: Sequence[Starter], files: Collection[str] = ()) -> None:
        """Note what messages of which topics begin, and forget what `files` do not declare any more; what is kept begins runs."""
        del owner  # of this process
        with self._lock:
            known = {topic for topic, _ in self._mail.starters}
            there = [(*known, starter.declared_in) for known, starter in self._mail.starters.items()]
            for gone in starters_gone(there, starters, files):
                del self._mail.starters[gone]
            self._mail.starters.update({(each.topic, each.target): each for each in starters})
            for message in self._mail.kept_of({each.topic for each in starters} - known, time.time()):
                self._place_message(message, time.time())
        self._note_mail()

    # Runs wait

    def _write_mail(self, kept: KeptRun, batch: Batch) -> None:
        """Write what the batch of a run says of waits and messages."""
        now = time.time()
        self._mail.write(kept, batch, now)
        for message in batch.rows("outbox"):
            if message.via:
                known = {(each.topic, each.id) for each in self._mail.outbox.values()}
                number = next(self._mail.numbers)
                if (message.topic, message.id) not in known:
                    self._mail.outbox[number] = message._replace(number=number)
                    self._mail.happened.add(Happening.OUTGOING)
            else:
                self._deliver(message.incoming(), now)

    def _drop_waits(self, kept: KeptRun) -> None:
        """Drop the waits of a run that has ended, even if it begins again by itself."""
        self._mail.drop([wait for wait in self._mail.waits.values() if wait.kept is kept], time.time())
        if kept.parent_run is not None:
            self._mail.settle_parents(self._mail.waits.values(), time.time())

    def _drop_ended(self) -> None:
        """Drop the waits of runs that have ended or are gone."""
        self._mail.drop_ended(self.kept.values(), time.time())

    def settled_waits(self, owner: Owner) -> list[SettledWait]:
        """Return how waits of a process's runs ended that it has not heard of, in the order in which they began."""
        with self._lock:
            found = [
                (wait, wait.kept.nodes[wait.number])
                for wait in sorted(self._mail.waits.values(), key=lambda wait: wait.place)
                if wait.settled and wait.kind != "deadline" and wait.kept.owner == owner
            ]
            return [
                SettledWait(
                    wait.kept.number, wait.number, wait.kind, row["state"], row["codec"], row["value"], row["error"]
                )
                for wait, row in found
                if row["state"] in {State.SUCCEEDED, State.FAILED}
            ]

    def park(self, claimed: Claimed) -> State:
        """Let go of a run that only waits: parked; or queued, where one of its waits was settled meanwhile. Raises `LeaseLost`."""
        with self._changing(Happening.QUEUED):
            kept = next((each for each in self.kept.values() if each.number == claimed.run), None)
            if kept is None:
                raise LeaseLost(f"number {claimed.run}", deleted=True)
            if kept.execution != claimed.execution or kept.owner is None or kept.state is not State.RUNNING:
                raise LeaseLost(kept.claim.id)
            waits = [wait for wait in self._mail.waits.values() if wait.kept is kept]
            goes_on = kept.cancel or not waits or any(wait.settled for wait in waits)
            kept.park()
            if goes_on:
                kept.wake()
            return kept.state

    def take_queued(self, owner: Owner, queues: Sequence[str], limit: int, *, lease: float) -> list[Taken]:
        """Take up to `limit` runs for `lease` seconds, after what there is to do for all."""
        taken = super().take_queued(owner, queues, limit, lease=lease)
        self._note_mail()
        return [each._replace(claimed=self._with_waits(each.claimed, each.record.id)) for each in taken]

    def _with_waits(self, claimed: Claimed, run_id: str) -> Claimed:
        """Return a claimed run with what is recorded of its waits."""
        return claimed._replace(waits=self._mail.seen(self.kept[run_id], time.time()))

    def _hand_on(self, now: float) -> bool:
        """Do what is due for all, what nodes wait for too; return True if that changed anything."""
        changed = super()._hand_on(now)
        return self._mail.hand_on(self.kept.values(), now) or changed

    def due_in(self) -> float | None:
        """Return in how many seconds the next thing becomes due, or None."""
        others = super().due_in()
        with self._lock:
            moments = [at - time.time() for at in self._mail.moments()]
        return min([*moments, *([] if others is None else [others])], default=None)

    # What people see

    def waits(
        self, *, run_id: str | None = None, topic: str | None = None, limit: int | None = None
    ) -> list[WaitRecord]:
        """Return what runs wait for, oldest first."""
        with self._lock:
            found = [
                record_of_wait(wait)
                for wait in sorted(self._mail.waits.values(), key=lambda wait: wait.place)
                if run_id in {None, wait.kept.claim.id}
                and (topic is None or (wait.kind == "message" and wait.topic == topic))
            ]
        return found[:limit]

    def messages(
        self, *, topic: str | None = None, state: str | None = None, limit: int | None = None
    ) -> list[MessageRecord]:
        """Return the messages that are remembered, oldest first; with a limit, the newest."""
        with self._lock:
            found = [
                record_of_message(message)
                for message in self._mail.messages_at(time.time())
                if topic in {None, message.incoming.topic} and state in {None, message.fate}
            ]
        return found if limit is None else found[max(len(found) - limit, 0) :]

    def topics(self) -> list[TopicRecord]:
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        found: dict[str, TopicRecord] = {}
        with self._lock:
            for wait in self._mail.open_waits():
                if wait.kind == "message":
                    count_topic(found, wait.topic, "waits")
            for message in self._mail.messages_at(time.time()):
                count_topic(found, message.incoming.topic, message.fate)
            for outgoing in self._mail.outbox.values():
                count_topic(found, outgoing.topic, "outgoing")
            for topic, target in sorted(self._mail.starters):
                record = found.setdefault(topic, TopicRecord(topic))
                found[topic] = record._replace(starts=[*record.starts, self._mail.starters[topic, target].name])
        return [found[name] for name in sorted(found)]

    # Messages leave

    def relays(self) -> list[tuple[str, str]]:
        """Return the topics that have something to leave, each with the address of its transport."""
        with self._lock:
            return sorted({(message.topic, message.via) for message in self._mail.outbox.values()})

    def lease_relay(self, topic: str, owner: Owner, lease: float) -> bool:
        """Return True if a process may pass on what leaves under a topic, and nobody else may for `lease` seconds; 0 gives it up."""
        with self._lock:
            now = time.time()
            holder, until = self._relays.get(topic, (owner, 0.0))
            if holder != owner and until > now:
                return False
            self._relays[topic] = owner, now + lease if lease else 0.0
            return True

    def outgoing(self, topic: str, limit: int) -> list[Outgoing]:
        """Return the first messages that are to leave under a topic, in order: at most so many, and of `PORTION` in all."""
        with self._lock:
            return self._mail.outgoing(topic, limit)

    def sent(self, topic: str, numbers: Sequence[int]) -> None:
        """Forget messages that have left."""
        del topic
        with self._lock:
            for number in numbers:
                self._mail.outbox.pop(number, None)


def record_of_wait(wait: KeptWait) -> WaitRecord:
    """Return a wait for people."""
    label = wait.kept.nodes[wait.number]["label"] if wait.number in wait.kept.nodes else "?"
    moments = utc_moment(wait.since) or ZERO, utc_moment(wait.due_at)
    return WaitRecord(
        wait.kept.claim.id, wait.number, label, wait.kind, wait.topic, wait.key, *moments, wait.grouped, wait.settled
    )


def record_of_message(message: KeptMessage) -> MessageRecord:
    """Return a message for people."""
    topic, keys, id_, payload, *_, headers, _ = message.incoming
    moments = utc_moment(message.at) or ZERO, utc_moment(message.expires_at) or ZERO
    told = MessageRecord(topic, id_, list(keys), payload, message.fate, *moments, message.repeats, message.reason)
    return told._replace(run=message.run, headers=dict(headers))


def count_topic(found: dict[str, TopicRecord], topic: str, what: str) -> None:
    """Count something of a topic."""
    record = found.setdefault(topic, TopicRecord(topic))
    if what in {"waits", "kept", "dead", "outgoing"}:
        found[topic] = record._replace(**{what: getattr(record, what) + 1})
