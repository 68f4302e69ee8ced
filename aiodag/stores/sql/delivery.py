"""Deliver messages, and write what runs say of their waits: to who waits, to what a topic begins, or to be kept."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from aiodag.mail import Delivered, Incoming, Outgoing
from aiodag.records import Write
from aiodag.stores.inbox_rules import started_run
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.submitting import add_submission
from aiodag.stores.sql.waits import (
    OfferedMessage,
    end_due_waits,
    end_unwaited,
    end_waits_of_runs,
    lock_topics,
    offer,
    register_waits,
    reject_messages,
    topics_of_runs,
)

# What a batch has to do with waits and messages. The rows of `heard` are the last word of a run on a wait.
MAIL = ("waits", "due", "unwaits", "rejects", "heard", "outbox")


def write_mail(session: Session, having: Mapping[str, Sequence[Write]], ended: Sequence[int]) -> None:
    """Write what batches say of waits and messages; drop the waits of runs that end with them.

    In this order: a wait that is cancelled in the batch that begins it was there, and what it was given goes to who is next.
    """
    if not ended and having.keys().isdisjoint(MAIL):
        return
    begun = [(write.claimed.run, row) for write in having.get("waits", ()) for row in write.batch.waits]
    sent = [message for write in having.get("outbox", ()) for message in write.batch.outbox]
    given_up = [write.claimed.run for kind in ("unwaits", "rejects") for write in having.get(kind, ())]
    pairs = [(row[2], row[3]) for _, row in begun if row[1] == "message"]
    pairs += [(message.topic, key) for message in sent if not message.via for key in message.keys]
    if given_up or ended:
        pairs += topics_of_runs(session, [*given_up, *ended])
    lock_topics(session, pairs)
    now = session.now()
    register_waits(session, begun, now)
    for write in having.get("due", ()):
        end_due_waits(session, write.claimed.run, write.batch.due, now)
    for write in having.get("unwaits", ()):
        end_unwaited(session, write.claimed.run, write.batch.unwaits, now)
    for write in having.get("rejects", ()):
        reject_messages(session, write.claimed.run, dict(write.batch.rejects), now)
    for write in having.get("heard", ()):
        session.perform_for("drop_heard", write.batch.heard, (write.claimed.run,))
    send_messages(session, sent, now)
    end_waits_of_runs(session, ended, now)


def send_messages(session: Session, sent: Sequence[Outgoing], now: float) -> None:
    """Deliver what runs have sent to who waits here, and put what leaves by a transport into the outbox."""
    for message in sent:
        if not message.via:
            deliver_one(session, message.incoming(), now)
    leaving = [
        (message, json.dumps(list(message.keys)), json.dumps(dict(message.headers))) for message in sent if message.via
    ]
    rows = [
        (each.topic, keys, each.id, each.payload, headers, each.via, int(each.to_all), now)
        for each, keys, headers in leaving
    ]
    session.put_rows("put_outbox", rows)


def deliver_all(session: Session, incoming: Sequence[Incoming]) -> list[Delivered]:
    """Deliver messages, in order; return what became of each."""
    lock_topics(session, [(message.topic, key) for message in incoming for key in message.keys])
    now = session.now()
    return [deliver_one(session, message, now) for message in incoming]


def deliver_one(session: Session, message: Incoming, now: float) -> Delivered:
    """Deliver a message whose topic and keys are locked."""
    session.put_each("forget_message", [(message.topic, message.id, now)])
    keys = json.dumps(list(message.keys))
    moments = (now, now + message.ttl, now + message.dedup)
    payload = message.payload.encode("utf-8", "backslashreplace").decode()  # of a dead letter, which may be anything
    row = (message.topic, message.id, keys, payload, json.dumps(dict(message.headers)), int(message.to_all), *moments)
    ((number, repeats),) = session.put_returning(
        "put_message", [(*row, "dead" if message.dead else "kept", message.dead)]
    )
    if repeats:
        return Delivered(message.id, "duplicate")
    if message.dead:
        return Delivered(message.id, "dead")
    kept = OfferedMessage(number, message.topic, message.keys, message.payload, message.to_all)
    return place_message(session, kept, message.id, now)


def place_message(session: Session, message: OfferedMessage, message_id: str, now: float) -> Delivered:
    """Give a message to who waits for it, begin what its topic begins, or keep it."""
    taken = offer(session, message, now)
    if taken:
        runs = ids_of_runs(session, taken)
        session.put_each("note_taken", [(len(taken), runs[-1] if runs else None, message.message)])
        return Delivered(message_id, "taken", runs)
    started = start_runs(session, message, message_id, now)
    if started:
        session.put_each("note_started", [(started[-1], message.message)])
        return Delivered(message_id, "started", started)
    session.put_rows("put_message_keys", [(message.topic, key, message.message) for key in dict.fromkeys(message.keys)])
    return Delivered(message_id, "kept")


def ids_of_runs(session: Session, runs: Iterable[int]) -> list[str]:
    """Return the ids of runs by their numbers, in that order."""
    wanted = list(dict.fromkeys(runs))
    found = dict(session.perform_for("ids_of_runs", wanted).fetchall())
    return [found[run] for run in wanted if run in found]


def start_runs(session: Session, message: OfferedMessage, message_id: str, now: float) -> list[str]:
    """Begin what a topic begins; return the ids of those runs."""
    started: list[str] = []
    for row in session.perform("starters_of_topic", (message.topic,)).fetchall():
        submission = started_run(message.topic, message_id, message.payload, row, now)
        if submission is not None:
            there = session.perform("run_of_submission", {"submission": submission.key}).fetchall()
            if there or add_submission(session, submission, now):
                started.append(there[0][0] if there else submission.id)
    return started


def end_runs(session: Session, runs: Collection[int], now: float) -> None:
    """Drop the waits of runs that end, or go, without their owners saying so."""
    lock_topics(session, topics_of_runs(session, list(runs)))
    end_waits_of_runs(session, list(runs), now)
