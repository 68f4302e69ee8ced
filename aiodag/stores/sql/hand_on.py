"""What whoever looks at a queue does for all: make ready what is due, and hand on or fail what nobody can go on with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiodag.records import Owner
from aiodag.states import State, next_run_state
from aiodag.stores.queue_rules import (
    count_deaths,
    expired_text,
    is_poison,
    may_take,
    poison_text,
    reason_of_all,
    refused_text,
)
from aiodag.stores.sql.children import end_children
from aiodag.stores.sql.rows import owner_of
from aiodag.stores.sql.session import Session, Values
from aiodag.stores.sql.statements import cut_rows
from aiodag.stores.sql.waits import end_waits_of_runs, expire_messages, fire_due_waits

REQUEUED = next_run_state(State.RUNNING, State.QUEUED)


HANDING_ON: Sequence[tuple[str, Values]] = (("next_timer", ()), ("owners_in_queues", ()), ("workers_there", ()))


def hand_on(session: Session, now: float, found: Sequence[Sequence[Any]]) -> bool:
    """Do all that the statements of `HANDING_ON` have found, in the transaction that takes runs; return False if that was nothing.

    Mostly it is nothing. So they are asked together, and the details only of what there is to do.
    """
    timers, owners, workers = found
    due = is_something_due(timers, now)
    lost = [owner for owner, until in owners if not may_take(owner_of(owner), until, now)]
    gone = [row[0] for row in workers if not may_take(owner_of(row[0]), row[7], now)]
    if due:
        fire_due_waits(session, now)
        fire_timers(session, now)
        expire_messages(session, now)
    requeue_lost(session, lost, now)
    drop_dead_workers(session, gone, now)
    return bool(due or lost or gone)


# Moments


def is_something_due(moments: Sequence[Sequence[Any]], now: float) -> bool:
    """Return True if one of some moments has come, as `next_timer` answers them."""
    return any(at <= now for (at,) in moments if isinstance(at, int | float))  # anything may be written there by hand


def fire_timers(session: Session, now: float) -> None:
    """Make ready the runs whose time has come, and fail those that have not begun in time.

    By their numbers, as they were read: what somebody adds meanwhile must not be dropped unseen.
    """
    due = session.perform("due_timers", (now,)).fetchall()
    for some in cut_rows([run for _, kind, run, _ in due if kind == "start"]):
        session.put_for("make_ready", some)
    moments = {run: at for _, kind, run, at in due if kind == "expire"}
    for some in cut_rows(list(moments)):
        for (run,) in session.perform_for("never_begun", some, locking=True).fetchall():
            fail_queued(session, run, expired_text(moments[run]), now)
    for some in cut_rows([timer for timer, *_ in due]):
        session.perform_for("drop_timers", some)


# Owners that have gone


def requeue_lost(session: Session, owners: Iterable[str], now: float) -> None:
    """Put the runs of dead owners back into their queues; fail those of which too many have died."""
    for owner in owners:
        requeue_runs(session, session.perform("runs_of_lost", (owner,), locking=True).fetchall(), now)


def requeue_left(session: Session, runs: Sequence[int], now: float) -> None:
    """Put those of some runs back that were left without an end, and belong to a queue."""
    for some in cut_rows(runs):
        requeue_runs(session, session.perform_for("runs_left", some, locking=True).fetchall(), now)


def requeue_runs(session: Session, rows: Iterable[Sequence[Any]], now: float) -> None:
    """Put runs back, each with one more death."""
    requeued = []
    for run, before, successes, there in rows:
        # What somebody has written into the row by hand counts from the start.
        sound = type(before) is type(successes) is int
        requeued.append((REQUEUED, count_deaths(before, successes, there) if sound else 1, there, run))
    session.put_each("requeue", requeued)
    for state, deaths, _, run in requeued:
        if is_poison(deaths):
            session.perform("cut_off_nodes", (now, run))
            session.perform("end_run", (next_run_state(state, State.FAILED), poison_text(deaths), now, run))
            end_waits_of_runs(session, [run], now)
            end_children(session, [run], now)


def fail_queued(session: Session, run: int, error: str, now: float) -> None:
    """Fail a run that waits."""
    session.perform("cut_off_nodes", (now, run))
    session.perform("end_run", (next_run_state(State.QUEUED, State.FAILED), error, now, run))
    end_waits_of_runs(session, [run], now)
    end_children(session, [run], now)
    session.put_each("drop_timers_of_run", [(run,)])


# Workers


def drop_dead_workers(session: Session, owners: Sequence[str], now: float) -> None:
    """Forget workers that are gone, and what they have refused; fail what nobody is left for."""
    for owner in owners:
        drop_worker(session, owner)
    if owners:
        fail_refused(session, now)


def drop_worker(session: Session, owner: str) -> None:
    """Forget a worker, and what it has refused."""
    session.perform("drop_worker", (owner,))
    session.perform("drop_refusals", (owner,))


def fail_refused(session: Session, now: float, only: Iterable[tuple[str, str]] | None = None) -> None:
    """Fail the runs that every worker of their queue has refused: of all targets that one has, or of some, by queue."""
    able: Mapping[str, list[Owner]] | None = None  # read when the first refusal is found: mostly there is none
    for queue, target in session.perform("targets_refused").fetchall() if only is None else only:
        refusals = {owner_of(owner): reason for owner, reason in session.perform("refusals_of_target", (target,))}
        if not refusals:
            continue
        able = able_workers(session, now) if able is None else able
        reason = reason_of_all(able.get(queue, ()), refusals)
        if reason is not None:
            for (run,) in session.perform("waiting_for_target", (queue, target), locking=True).fetchall():
                fail_queued(session, run, refused_text(reason), now)


def able_workers(session: Session, now: float) -> Mapping[str, list[Owner]]:
    """Return by queue who would take a run of it."""
    found: dict[str, list[Owner]] = {}
    for owner, queues, _, state, _, _, _, until in session.perform("workers_there"):
        if state == "working" and may_take(owner_of(owner), until, now):
            for queue in queues_of_worker(queues):
                found.setdefault(queue, []).append(owner_of(owner))
    return found


def queues_of_worker(text: Any) -> list[str]:
    """Return the queues that a worker serves; none where that cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
