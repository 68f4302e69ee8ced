"""The inbox of a store in SQL: messages, who waits for them, and what leaves."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from aiodag.errors import LeaseLost
from aiodag.mail import (
    EXPIRED,
    PORTION,
    Delivered,
    Incoming,
    MessageRecord,
    Outgoing,
    SettledWait,
    Starter,
    TopicRecord,
    WaitRecord,
)
from aiodag.records import Claimed, Owner, moment_for_people
from aiodag.states import State, next_run_state
from aiodag.stores.inbox_rules import headers_in, no_dead_letter, read_keys, starters_gone
from aiodag.stores.queue_rules import may_take
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.delivery import deliver_all, place_messages, start_kept
from aiodag.stores.sql.hand_on import REQUEUED
from aiodag.stores.sql.rows import EPOCH, LAST, STATES, owner_of, owner_text
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows
from aiodag.stores.sql.waits import OfferedMessage, find_open_waits, topic_lock

PARKED = next_run_state(State.RUNNING, State.PARKED)

# What is in a state: a message that nobody waited for in time is dead, whether a worker has come by since or not.
FATES = {
    "kept": "state = 'kept' and expires_at > :now",
    "dead": "(state = 'dead' or (state = 'kept' and expires_at <= :now))",
}


class RecordedInbox(Database):
    """The messages of a database, and the waits of its runs."""

    # Messages come

    def deliver(self, incoming: Sequence[Incoming]) -> list[Delivered]:
        """Give messages to those who wait for them, in order; keep those for which nobody does. Return what became of each."""
        return self.transact(partial(deliver_all, incoming))

    def redeliver(self, topic: str, message_id: str) -> Delivered:
        """Deliver a dead letter again; its time to live begins anew. Raises `StoreError` where there is none of that id."""
        with self.writing() as session:
            found = session.perform("dead_letter", (topic, message_id, session.now())).fetchone()
            if found is None:
                raise no_dead_letter(topic, message_id, self)
            message, keys, payload, _, to_all, at, expires_at, dedup = found
            kept = OfferedMessage(message, topic, read_keys(keys), payload, bool(to_all))
            pairs = [(topic, key) for key in dict.fromkeys(kept.keys)]
            now, waiting = find_open_waits(session, pairs, topic_lock(pairs))
            moments = (now, now + expires_at - at, now + dedup)
            if session.perform("revive_message", (*moments, message, now)).fetchone() is None:
                raise no_dead_letter(topic, message_id, self)  # somebody else has delivered it meanwhile
            (delivered,) = place_messages(session, [(kept, message_id)], now, waiting)
            return delivered

    def put_starters(self, owner: Owner, starters: Sequence[Starter], files: Collection[str] = ()) -> None:
        """Note what messages of which topics begin, and forget what `files` do not declare any more; what is kept begins runs."""
        self.transact(partial(note_starters, owner, starters, files))

    # Runs wait

    def settled_waits(self, owner: Owner) -> list[SettledWait]:
        """Return how waits of a process's runs ended that it has not heard of, in the order in which they began."""
        with self.reading(owner=True) as session:
            rows = session.perform("settled_of_owner", (owner_text(owner),)).fetchall()
        # The row of the node is the outcome. One that somebody has written over says none, and its run goes on to wait.
        return [
            SettledWait(run, number, kind, STATES[state], codec, value, error)
            for run, number, kind, state, codec, value, error in rows
            if state in {State.SUCCEEDED, State.FAILED} and type(codec) is type(error) is str
        ]

    def park(self, claimed: Claimed) -> State:
        """Let go of a run that only waits: parked; or queued, where one of its waits was settled meanwhile. Raises `LeaseLost`."""
        return self.commit(("park", claimed.run, claimed.execution), partial(let_run_wait, claimed))

    # What people see

    def waits(
        self, *, run_id: str | None = None, topic: str | None = None, limit: int | None = None
    ) -> list[WaitRecord]:
        """Return what runs wait for, oldest first."""
        asked = {"runs.id = :id": run_id, "kind = 'message' and topic = :topic": topic}
        values = {"id": run_id, "topic": topic, "limit": LAST if limit is None else limit}
        with self.reading() as session:
            return [wait_record(row) for row in session.execute(listing(session, "waits_listed", asked), values)]

    def messages(
        self, *, topic: str | None = None, state: str | None = None, limit: int | None = None
    ) -> list[MessageRecord]:
        """Return the messages that are remembered, oldest first; with a limit, the newest."""
        asked = {"topic = :topic": topic, FATES.get(state or "", "state = :state"): state}
        with self.reading() as session:
            now = session.now()
            values = {"topic": topic, "state": state, "now": now, "limit": LAST if limit is None else limit}
            rows = session.execute(listing(session, "messages_listed", asked), values).fetchall()
        return [message_record(row, now) for row in reversed(rows)]

    def topics(self) -> list[TopicRecord]:
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        with self.reading() as session:
            waits = dict(session.perform("topics_waited_for").fetchall())
            now = session.now()
            counts = session.perform("topics_of_messages", (now, now))
            kept = {topic: (int(some), int(dead)) for topic, some, dead in counts}
            outgoing = dict(session.perform("topics_outgoing").fetchall())
            starts: dict[str, list[str]] = {}
            for topic, name in session.perform("topics_that_start"):
                starts.setdefault(topic, []).append(name)
        return [
            TopicRecord(name, waits.get(name, 0), *kept.get(name, (0, 0)), outgoing.get(name, 0), starts.get(name, ()))
            for name in sorted(name for name in {*waits, *kept, *outgoing, *starts} if isinstance(name, str))
        ]

    # Messages leave

    def relays(self) -> list[tuple[str, str]]:
        """Return the topics that have something to leave, each with the address of its transport."""
        with self.reading() as session:
            return [(topic, via) for topic, via in session.perform("relays")]

    def lease_relay(self, topic: str, owner: Owner, lease: float) -> bool:
        """Return True if a process may pass on what leaves under a topic, and nobody else may for `lease` seconds; 0 gives it up."""
        ours = owner_text(owner)
        with self.writing() as session:
            session.perform("lock_relay", (topic,))
            now = session.now()
            holder, until = session.perform("relay_of_topic", (topic,)).fetchone() or (ours, 0.0)
            if holder != ours and may_take(owner_of(holder), until if isinstance(until, float) else None, now):
                return False
            session.perform("lease_relay", (topic, ours, now + lease if lease else 0.0))
            return True

    def outgoing(self, topic: str, limit: int) -> list[Outgoing]:
        """Return the first messages that are to leave under a topic, in order: at most so many, and of `PORTION` in all."""
        with self.reading() as session:
            return [outgoing_message(row) for row in session.perform("outgoing", (topic, limit, PORTION))]

    def sent(self, topic: str, numbers: Sequence[int]) -> None:
        """Forget messages that have left."""
        with self.writing() as session:
            for some in cut_rows(list(numbers)):
                session.perform_for("drop_sent", some, (topic,))


def let_run_wait(claimed: Claimed, session: Session) -> State:
    """Let go of a run that only waits.

    Its row first, then those of its waits: whoever settles one of them at this moment has either committed, and it is seen
    here, or sees the run parked.
    """
    row = session.perform_for("run_to_park", (claimed.run,), locking=True).fetchone()
    if row is None:
        raise LeaseLost(f"number {claimed.run}", deleted=True)
    run, run_id, execution, owner, state, cancel, queue = row
    if execution != claimed.execution or owner is None or state != State.RUNNING or queue is None:
        raise LeaseLost(run_id)
    waits = [settled for (settled,) in session.perform("waits_to_park", (run,))]
    found = REQUEUED if cancel or not waits or any(waits) else PARKED
    session.perform("park_run", (found, run))
    return found


def note_starters(owner: Owner, starters: Sequence[Starter], files: Collection[str], session: Session) -> None:
    """Note what messages begin; what is kept of topics that have begun nothing begins runs."""
    rows = [
        (each.topic, each.target, json.dumps(dict(each.entry)), *each[3:], owner_text(owner))
        for each in sorted(starters, key=itemgetter(0, 1))
    ]
    there = session.perform("starters_there").fetchall()
    session.put_each("drop_starter", starters_gone(there, starters, files))
    session.put_each("put_starter", rows)
    known = {topic for topic, *_ in there}
    for topic in sorted({each.topic for each in starters if each.topic not in known}):
        start_kept(session, topic)


def listing(session: Session, name: str, asked: Mapping[str, object]) -> str:
    """Return a statement with the conditions of which something is asked for: each has its index."""
    conditions = [condition for condition, value in asked.items() if value is not None]
    return session.query(name).replace("{condition}", " and ".join(conditions) or "true")


def wait_record(row: Sequence[Any]) -> WaitRecord:
    """Return a wait for people."""
    run_id, number, label, kind, topic, key, since, due_at, grouped, settled = row
    due = None if due_at is None else readable_moment(due_at)
    return WaitRecord(
        run_id, number, label or "?", kind, topic, key, readable_moment(since), due, grouped, bool(settled)
    )


def message_record(row: Sequence[Any], now: float) -> MessageRecord:
    """Return a message for people."""
    topic, id_, keys, payload, state, at, expires_at, repeats, reason, run, headers = row
    if state == "kept" and isinstance(expires_at, float | int) and expires_at <= now:
        state, reason = "dead", EXPIRED
    moments = (readable_moment(at), readable_moment(expires_at))
    return MessageRecord(
        topic, id_, read_keys(keys), payload, state, *moments, repeats, reason, run, headers_in(headers)
    )


def outgoing_message(row: Sequence[Any]) -> Outgoing:
    """Return a message that is to leave."""
    number, topic, keys, id_, payload, headers, via, to_all = row
    return Outgoing(
        topic, read_keys(keys), id_, payload, bool(to_all), headers=headers_in(headers), via=via, number=number
    )


def readable_moment(value: Any) -> Any:
    """Return a moment; that of the epoch where somebody has written something else there."""
    try:
        return moment_for_people(value)
    except (ValueError, TypeError, OverflowError, OSError):
        return EPOCH
