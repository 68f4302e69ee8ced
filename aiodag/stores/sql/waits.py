"""The waits of runs, as rows: registered, settled, heard of, and given up.

Whoever settles a wait writes all of it in one transaction: how the node ended, that the wait is settled, that the others of
its group wait no longer; and a run that was parked is woken. From the registration until the run has heard of that, nobody
else writes the row of the node.

On a server these locks keep that together, always asked for in this order:

    runs that are written by their owner ──► runs that these have begun ──► a topic and key ──► rows of waits ──► runs that are parked

Of a topic and key: whoever registers a wait looks for a message first, and whoever delivers one looks for a wait first; at the
same time both would find nothing. Rows of waits: whoever settles, cancels or parks, one at a time. A row that another has
locked may be gone when the lock is there, and the next oldest is asked for.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from aiodag.mail import EXPIRED, WaitRow
from aiodag.states import State, next_run_state
from aiodag.stores.inbox_rules import WaitEnd, outcome_of_message, outcome_of_moment, read_keys
from aiodag.stores.sql.session import Session, Values
from aiodag.stores.sql.statements import cut_rows

WOKEN = next_run_state(State.PARKED, State.QUEUED)
CANCELLED = next_run_state(State.QUEUED, State.CANCELLED)


class WaitOfRun(NamedTuple):
    """The row of a wait that its run has not heard of."""

    wait: int
    run: int
    number: int
    kind: str
    topic: str
    key: str
    grouped: int | None
    since: float
    due_at: float | None
    settled: int
    message: int | None = None


class OfferedMessage(NamedTuple):
    """A message that may be given to those who wait."""

    message: int
    topic: str
    keys: Sequence[str]
    payload: str
    to_all: bool


def lock_topics(session: Session, pairs: Iterable[tuple[str, str]]) -> float:
    """Have nobody else register a wait for these topics and keys, or deliver to them, until the end of the transaction.

    Return the moment by the clock that decides.
    """
    lock = topic_lock(pairs)
    return session.perform_together(*lock)[0] if lock else session.now()


def topic_lock(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, Values]]:
    """Return what locks topics and keys, to be asked together with what is to be seen behind that; empty where there are none."""
    names = sorted({f"{topic}\n{key}".replace("\0", "") for topic, key in pairs})
    return [("lock_topics", {"names": json.dumps(names)})] if names else []


def lock_awaited(session: Session, runs: Sequence[int]) -> None:
    """Have those runs to oneself that others wait for, whose waits may be dropped: who ends one has it, and asks for the wait."""
    for some in cut_rows(sorted(set(runs))):
        session.perform_for("runs_awaited", some, locking=True)


# Settle


def settle(session: Session, ends: Sequence[tuple[WaitOfRun, WaitEnd]], now: float) -> None:
    """Write how waits ended that this transaction has to itself; of each group, only one."""
    session.put_each("settle_wait", [(end.message, wait.wait) for wait, end in ends])
    # The body of a deadline hears of it by itself: its row stays as it is.
    nodes = [
        (end.state, end.codec, end.value, end.error, now, wait.run, wait.number)
        for wait, end in ends
        if wait.kind != "deadline"
    ]
    session.put_each("settle_node", nodes)
    session.put_each("lose_waits", [(wait.run, wait.grouped) for wait, _ in ends if wait.grouped is not None])
    session.put_each("wake_run", [(WOKEN, run) for run in sorted({wait.run for wait, _ in ends})])


def claim_waits(session: Session, waits: Sequence[WaitOfRun]) -> list[WaitOfRun]:
    """Return those that are still open, which this transaction has to itself from then on: of each group one."""
    alone: list[int] = []
    groups: dict[tuple[int, int], int] = {}
    for wait in waits:
        if wait.grouped is None:
            alone.append(wait.wait)
        else:
            groups.setdefault((wait.run, wait.grouped), wait.wait)
    for group, first in sorted(groups.items(), key=str):  # two that settle at once ask for them in one order
        if (first,) in session.perform("lock_group", group).fetchall():
            alone.append(first)
    found = [WaitOfRun(*row) for some in cut_rows(alone) for row in session.perform_for("lock_waits", some)]
    return sorted(found, key=lambda wait: wait.wait)


def settle_waits(
    session: Session, waits: Sequence[WaitOfRun], outcome: Callable[[WaitOfRun], WaitEnd], now: float
) -> list[WaitOfRun]:
    """Settle those of some waits that are still open; return them."""
    claimed = claim_waits(session, waits) if waits else []
    if claimed:
        settle(session, [(wait, outcome(wait)) for wait in claimed], now)
    return claimed


def moment_of(wait: WaitOfRun) -> WaitEnd:
    """Return how a node ends whose moment has come."""
    # Somebody may have written anything into a row by hand: that hurts nothing but what is said of it.
    moments: tuple[object, object] = wait.due_at, wait.since
    sound = all(isinstance(moment, int | float) for moment in moments)
    return outcome_of_moment(wait.kind, wait.topic, wait.key, (wait.due_at or 0.0) - wait.since if sound else 0.0)


# Messages


class OpenWaits(NamedTuple):
    """Who waits, as it was found before messages were written: the rows by topic and key, oldest first, and which are locked."""

    rows: Mapping[tuple[str, str], Sequence[tuple[Any, ...]]]
    locked: frozenset[int] = frozenset()

    def to_lock(self) -> list[int]:
        """Return those that may be locked by themselves: none where one is of a group, which is locked as a whole and first."""
        rows = [row for some in self.rows.values() for row in some]
        return [] if any(row[GROUPED] is not None for row in rows) else [row[0] for row in rows]


GROUPED = WaitOfRun._fields.index("grouped")


def find_open_waits(
    session: Session, pairs: Sequence[tuple[str, str]], lock: Sequence[tuple[str, Values]] = ()
) -> tuple[float, OpenWaits]:
    """Return the moment, and the first open waits of topics and keys: as many of each as it stands there."""
    counts = Counter(pairs)
    asked = [("open_waits_of_key", (*pair, count)) for pair, count in counts.items()]
    now, found = session.perform_together(*lock, *asked)
    return now, OpenWaits(dict(zip(counts, found[len(lock) :], strict=True)))


def offer_all(session: Session, messages: Sequence[OfferedMessage], now: float, found: OpenWaits) -> list[list[str]]:
    """Give messages to those who wait for them, in order; return for each, for each wait that has it, the id of its run.

    Their topics and keys are locked. Mostly they are for as many waits that nobody else touches: then all are settled at once.
    """
    if any(message.to_all for message in messages):
        return [offer(session, message, now) for message in messages]
    waiting = {pair: iter(rows) for pair, rows in found.rows.items()}
    chosen = [
        [row for key in dict.fromkeys(message.keys) for row in islice(waiting[message.topic, key], 1)]
        for message in messages
    ]
    waits = [WaitOfRun(*row[:-1]) for rows in chosen for row in rows]
    are_ours = found.locked.issuperset(wait.wait for wait in waits)
    if not are_ours and len(claim_waits(session, waits)) < len(waits):
        # Some are of one group, or were cancelled at this moment: who is next depends on who has come before.
        return [offer(session, message, now) for message in messages]
    ends = [
        (WaitOfRun(*row[:-1]), outcome_of_message(message.payload, message.message))
        for message, rows in zip(messages, chosen, strict=True)
        for row in rows
    ]
    settle(session, ends, now)
    return [[run_id for *_, run_id in rows] for rows in chosen]


def offer(session: Session, message: OfferedMessage, now: float) -> list[str]:
    """Give a message to those who wait for it: of each key the oldest, or all of them. Return the ids of their runs, for each wait."""
    outcome = outcome_of_message(message.payload, message.message)
    taken: list[str] = []
    for key in dict.fromkeys(message.keys):
        while True:
            limit = MOST_WAITS if message.to_all else 1
            rows = session.perform("open_waits_of_key", (message.topic, key, limit)).fetchall()
            ids = {row[1]: row[-1] for row in rows}
            settled = settle_waits(session, [WaitOfRun(*row[:-1]) for row in rows], lambda _: outcome, now)
            taken += [ids[wait.run] for wait in settled]
            # What was open a moment ago, and is not, was cancelled or has come to its end meanwhile: another may be open.
            if not rows or (settled and not message.to_all):
                break
    return taken


def take_kept_message(session: Session, wait: WaitOfRun, now: float, found: Sequence[tuple[Any, ...]]) -> bool:
    """Give a wait the oldest message that was kept for it; return True if there is one. `found` is what the last look found."""
    while found:
        message, payload = found[0]
        # Another of its keys, which is not locked here, may have led somebody else to it.
        if session.perform("take_kept", (wait.run, message)).fetchone() is not None:
            session.put_for("drop_message_keys", (message,))
            settle(session, [(wait, outcome_of_message(payload, message))], now)
            return True
        found = session.perform("first_kept", (wait.topic, wait.key, now)).fetchall()
    return False


def give_back_messages(session: Session, messages: Iterable[int], now: float) -> None:
    """Put messages that were taken and not seen back in their places, or give them to who is next."""
    for number in messages:
        row = session.perform("give_back_message", (number,)).fetchone()
        if row is None or row[-1] != "kept":
            continue  # somebody else has it, or it is forgotten
        _, topic, keys, payload, to_all, expires_at, _ = row
        message = OfferedMessage(number, topic, read_keys(keys), payload, bool(to_all))
        lock_topics(session, [(topic, key) for key in message.keys])
        taken = offer(session, message, now) if isinstance(expires_at, int | float) and expires_at > now else []
        if taken:
            session.put_each("note_taken", [(len(taken), taken[-1], number)])
        else:
            session.put_rows("put_message_keys", [(topic, key, number) for key in message.keys])


# What the batch of a run says of its waits


def register_waits(session: Session, rows: Iterable[tuple[int, WaitRow]], now: float) -> list[WaitOfRun]:
    """Note what nodes wait for, each behind the number of its run; a message that has come already settles them at once.

    What is there already stays as it is, with the moment that was noted first. Return them.
    """
    wanted = {(run, row[0]): (run, *row) for run, row in rows}
    if not wanted:
        return []
    waits = [WaitOfRun(*row) for row in sorted(session.put_returning("put_waits", list(wanted.values())))]
    open_ones = [wait for wait in waits if not wait.settled and wait.kind == "message"]
    racing = sorted({wait.run for wait in waits if wait.grouped is not None})
    asked: list[tuple[str, tuple[Any, ...]]] = [("groups_settled", (run,)) for run in racing]
    asked += [("first_kept", (wait.topic, wait.key, now)) for wait in open_ones]
    _, found = session.perform_together(*asked) if asked else (now, [])
    # Groups of which one has come: since some members waited before the others.
    over: set[tuple[int, int | None]] = {
        (run, group) for run, groups in zip(racing, found, strict=False) for (group,) in groups
    }
    session.put_each("lose_waits", sorted(over & {(wait.run, wait.grouped) for wait in waits if not wait.settled}))
    for wait, kept in zip(open_ones, found[len(racing) :], strict=True):
        if (
            kept
            and (wait.run, wait.grouped) not in over
            and take_kept_message(session, wait, now, kept)
            and wait.grouped is not None
        ):
            over.add((wait.run, wait.grouped))
    return waits


def end_due_waits(session: Session, run: int, numbers: Sequence[int], now: float) -> None:
    """Settle waits whose owner says that their moment has come: its clock may be a little ahead of this one."""
    waits = waits_of_nodes(session, run, numbers)
    settle_waits(session, [wait for wait in waits if not wait.settled], moment_of, now)


def end_unwaited(session: Session, run: int, numbers: Sequence[int], now: float) -> None:
    """Drop waits of nodes that wait no longer."""
    drop_waits(session, waits_of_nodes(session, run, numbers), now)


def waits_of_nodes(session: Session, run: int, numbers: Sequence[int]) -> list[WaitOfRun]:
    """Return the waits of some nodes of a run, oldest first, in however many pieces they are read."""
    rows = [row for some in cut_rows(numbers) for row in session.perform_for("waits_numbered", some, (run,))]
    return sorted((WaitOfRun(*row) for row in rows), key=lambda wait: wait.wait)


def end_waits_of_runs(session: Session, runs: Sequence[int], now: float) -> None:
    """Drop what is left of the waits of runs that have ended, or are deleted."""
    rows = [row for some in cut_rows(runs) for row in session.perform_for("waits_of_runs", some)]
    drop_waits(session, sorted((WaitOfRun(*row) for row in rows), key=lambda wait: wait.wait), now)


def drop_waits(session: Session, waits: Sequence[WaitOfRun], now: float) -> None:
    """Drop waits, give back what they were given, and have the runs cancelled that nobody waits for any more.

    All at once: one that is to be dropped must not be given what another gives back.
    """
    for wait in waits:
        if wait.kind == "run" and not wait.settled:
            cancel_child(session, wait.topic, now)
    for some in cut_rows([wait.wait for wait in waits]):
        session.put_for("drop_waits", some)
    unseen = [wait for wait in waits if wait.message is not None]
    # What somebody else is given now must not be recalled here, if the run is begun again some day.
    session.put_each("take_back_node", [(State.CANCELLED, now, wait.run, wait.number) for wait in unseen])
    give_back_messages(session, [wait.message for wait in unseen if wait.message is not None], now)


def cancel_child(session: Session, run_id: str, now: float) -> None:
    """Have a run cancelled that another one has begun: at once where it never began."""
    ended = session.perform("end_waiting", (CANCELLED, now, run_id)).fetchone()
    if ended is not None:
        session.perform_for("drop_timers_of_runs", ended)
    else:
        session.perform("wake_cancelled", (WOKEN, run_id))
        session.perform("ask_cancel", (run_id,))


def reject_messages(session: Session, run: int, rejects: Mapping[int, str], now: float) -> None:
    """Make dead letters of messages that do not fit, and have their nodes wait on."""
    for some in cut_rows(list(rejects)):
        for wait in [WaitOfRun(*row) for row in session.perform_for("waits_numbered", some, (run,))]:
            if wait.message is None:
                continue
            session.put_each("reject_message", [(rejects[wait.number], now, wait.message)])
            session.put_each("open_wait", [(wait.wait,)])
            session.put_each("open_node", [(State.RUNNING, run, wait.number)])
            lock_topics(session, [(wait.topic, wait.key)])
            take_kept_message(session, wait, now, session.perform("first_kept", (wait.topic, wait.key, now)).fetchall())


def topics_of_runs(session: Session, runs: Sequence[int]) -> list[tuple[str, str]]:
    """Return the topics and keys of messages that runs were given and have not seen."""
    rows = [row for some in cut_rows(runs) for row in session.perform_for("messages_of_runs", some)]
    return [(topic, key) for topic, keys in rows for key in read_keys(keys)]


# Moments


def fire_due_waits(session: Session, now: float) -> None:
    """Settle the waits of all runs whose moment has come, some hundreds at a time."""
    settle_waits(session, [WaitOfRun(*row) for row in session.perform("waits_due", (now,)).fetchall()], moment_of, now)


def expire_messages(session: Session, now: float) -> None:
    """Make dead letters of messages that nobody has waited for, and forget those that nobody asks for any more."""
    expired = [message for (message,) in session.perform("messages_expired", (now,)).fetchall()]
    for some in cut_rows(expired):
        session.put_for("expire_messages", some, (EXPIRED, now))
        session.put_for("drop_message_keys", some)
    session.perform("forget_messages", (now,))


MOST_WAITS = 2**62  # all that there are
