"""Deliver messages, and write what runs say of their waits: to who waits, to what a topic begins, or to be kept."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from aiodag.mail import Delivered, Incoming, Outgoing
from aiodag.records import Write
from aiodag.stores.inbox_rules import read_keys, started_run
from aiodag.stores.sql.children import settle_ended
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.submitting import add_submission
from aiodag.stores.sql.waits import (
    OfferedMessage,
    OpenWaits,
    end_due_waits,
    end_unwaited,
    end_waits_of_runs,
    find_open_waits,
    lock_awaited,
    lock_topics,
    offer_all,
    register_waits,
    reject_messages,
    topic_lock,
    topics_of_runs,
)

# What a batch has to do with waits and messages. The rows of `heard` are the last word of a run on a wait.
MAIL = ("waits", "due", "unwaits", "rejects", "heard", "outbox")


def write_mail(
    session: Session, having: Mapping[str, Sequence[Write]], ended: Sequence[int], children: Sequence[str]
) -> None:
    """Write what batches say of waits and messages; drop the waits of runs that end with them, of which some are `children`.

    In this order: a wait that is cancelled in the batch that begins it was there, and what it was given goes to who is next.
    """
    if not ended and not children and having.keys().isdisjoint(MAIL):
        return
    begun = [(write.claimed.run, row) for write in having.get("waits", ()) for row in write.batch.waits]
    sent = [message for write in having.get("outbox", ()) for message in write.batch.outbox]
    given_up = [write.claimed.run for kind in ("unwaits", "rejects") for write in having.get(kind, ())]
    pairs = [(row[2], row[3]) for _, row in begun if row[1] in {"message", "run"}]
    pairs += [(run_id, "") for run_id in children]
    pairs += [(message.topic, key) for message in sent if not message.via for key in message.keys]
    if given_up or ended:
        lock_awaited(session, [*given_up, *ended])
        pairs += topics_of_runs(session, [*given_up, *ended])
    now = lock_topics(session, pairs)
    # First of all: what did not fit was the first of its group, and the others wait again.
    for write in having.get("rejects", ()):
        reject_messages(session, write.claimed.run, dict(write.batch.rejects), now)
    waits = register_waits(session, begun, now)
    settle_ended(session, [wait for wait in waits if wait.kind == "run" and not wait.settled], now)
    for write in having.get("due", ()):
        end_due_waits(session, write.claimed.run, write.batch.due, now)
    for write in having.get("unwaits", ()):
        end_unwaited(session, write.claimed.run, write.batch.unwaits, now)
    for write in having.get("heard", ()):
        session.put_for("drop_lost", write.batch.heard, (write.claimed.run, write.claimed.run))
        session.put_for("drop_heard", write.batch.heard, (write.claimed.run,))
    send_messages(session, sent, now)
    end_waits_of_runs(session, ended, now)


def send_messages(session: Session, sent: Sequence[Outgoing], now: float) -> None:
    """Deliver what runs have sent to who waits here, and put what leaves by a transport into the outbox."""
    for some in without_repeats([message.incoming() for message in sent if not message.via]):
        deliver_some(session, some, now)
    leaving = [
        (message, json.dumps(list(message.keys)), json.dumps(dict(message.headers))) for message in sent if message.via
    ]
    rows = [
        (each.topic, keys, each.id, each.payload, headers, each.via, int(each.to_all), now)
        for each, keys, headers in leaving
    ]
    session.put_rows("put_outbox", rows)


def deliver_all(incoming: Sequence[Incoming], session: Session) -> list[Delivered]:
    """Deliver messages, in order; return what became of each."""
    sound = [
        message._replace(topic=without_nul_in(message.topic), id=without_nul_in(message.id)) for message in incoming
    ]
    lock = topic_lock([(message.topic, key) for message in incoming for key in message.keys])
    now, found = find_open_waits(session, places_of_messages(sound), lock)
    delivered: list[Delivered] = []
    for place, some in enumerate(without_repeats(sound)):
        delivered += deliver_some(session, some, now, None if place else found)
    return delivered


def places_of_messages(incoming: Sequence[Incoming]) -> list[tuple[str, str]]:
    """Return the topics and keys of messages, each as often as it may be taken."""
    return [(message.topic, key) for message in incoming for key in dict.fromkeys(message.keys)]


def without_repeats(incoming: Sequence[Incoming]) -> Iterator[list[Incoming]]:
    """Cut messages into portions in which no id stands twice: one statement writes a row once."""
    portion: dict[tuple[str, str], Incoming] = {}
    for message in incoming:
        if (message.topic, message.id) in portion:
            yield list(portion.values())
            portion = {}
        portion[message.topic, message.id] = message
    yield list(portion.values())


def deliver_some(
    session: Session, incoming: Sequence[Incoming], now: float, found: OpenWaits | None = None
) -> list[Delivered]:
    """Deliver messages of different ids, whose topics and keys are locked, to the waits that were found behind these locks."""
    if found is None:
        _, found = find_open_waits(session, places_of_messages(incoming))
    session.put_each("forget_message", [(message.topic, message.id, now) for message in incoming])
    messages = [row_of_message(message, now) for message in incoming]
    rows, locked = session.put_and_perform_for("put_message", messages, "lock_waits", found.to_lock())
    found = found._replace(locked=frozenset(row[0] for row in locked))
    made = {(topic, id_): (number, repeats) for topic, id_, number, repeats in rows}
    outcomes: dict[int, Delivered] = {}
    fresh: list[tuple[int, OfferedMessage]] = []
    for place, message in enumerate(incoming):
        number, repeats = made[message.topic, message.id]
        if repeats or message.dead:
            outcomes[place] = Delivered(message.id, "duplicate" if repeats else "dead")
        else:
            fresh.append((place, OfferedMessage(number, message.topic, message.keys, message.payload, message.to_all)))
    placed = place_messages(session, [(message, incoming[place].id) for place, message in fresh], now, found)
    outcomes |= {place: each for (place, _), each in zip(fresh, placed, strict=True)}
    return [outcomes[place] for place in range(len(incoming))]


def without_nul_in(name: str) -> str:
    """Return a topic or an id as every database keeps it: a server takes no NUL, and gives back what it has made of one."""
    return name.replace("\0", "␀")


def row_of_message(message: Incoming, now: float) -> tuple[Any, ...]:
    """Return the row of a message that has come."""
    payload = message.payload.encode("utf-8", "backslashreplace").decode()  # of a dead letter, which may be anything
    texts = message.topic, message.id, json.dumps(list(message.keys)), payload, json.dumps(dict(message.headers))
    moments = now, now + message.ttl, now + message.dedup, message.dedup
    return (*texts, int(message.to_all), *moments, "dead" if message.dead else "kept", message.dead)


def place_messages(
    session: Session, messages: Sequence[tuple[OfferedMessage, str]], now: float, found: OpenWaits
) -> list[Delivered]:
    """Give messages, each with its id, to who waits for them; begin what their topics begin, or keep them."""
    placed: list[Delivered] = []
    noted: list[tuple[int, str, int]] = []
    kept: list[tuple[str, str, int]] = []
    all_taken = offer_all(session, [message for message, _ in messages], now, found) if messages else []
    for (message, id_), taken in zip(messages, all_taken, strict=True):
        started = [] if taken else start_runs(session, message, id_, now)
        if taken:
            noted.append((len(taken), taken[-1], message.message))
            placed.append(Delivered(id_, "taken", list(dict.fromkeys(taken))))
        elif started:
            session.put_each("note_started", [(started[-1], message.message)])
            placed.append(Delivered(id_, "started", started))
        else:
            kept += [(message.topic, key, message.message) for key in dict.fromkeys(message.keys)]
            placed.append(Delivered(id_, "kept"))
    session.put_each("note_taken", noted)
    session.put_rows("put_message_keys", kept)
    return placed


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


def start_kept(session: Session, topic: str) -> None:
    """Begin what a topic begins with the messages that were kept before anybody had said so."""
    rows = session.perform("kept_of_topic", (topic, session.now())).fetchall()
    now = lock_topics(session, [(topic, key) for _, _, keys, _, _ in rows for key in read_keys(keys)])
    for message, id_, keys, payload, to_all in rows:
        kept = OfferedMessage(message, topic, read_keys(keys), payload, bool(to_all))
        started = start_runs(session, kept, id_, now)
        if started:
            session.put_for("drop_message_keys", (message,))
            session.put_each("note_started", [(started[-1], message)])


def end_runs(session: Session, runs: Collection[int], now: float) -> None:
    """Drop the waits of runs that end, or go, without their owners saying so."""
    lock_topics(session, topics_of_runs(session, list(runs)))
    end_waits_of_runs(session, list(runs), now)
