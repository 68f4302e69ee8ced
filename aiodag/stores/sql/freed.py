"""Begin what has waited for its time, or for a run to end: of its schedule, or of its group.

All that it takes is locked in the order in which others lock it who release moments or submit: schedules, groups, runs.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from aiodag.stores.firing_rules import GOING_ON, submission_of_text
from aiodag.stores.sql.firings import Head, draining_queues, lock_heads, unfinished_of, waiting_of
from aiodag.stores.sql.groups import Entering, enter_groups, let_held_begin, lock_groups
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows
from aiodag.stores.sql.submitting import add_submissions
from aiodag.submissions import Submission


def begin_freed(session: Session, now: float) -> None:
    """Begin what may begin, of schedules and groups of which a run has ended since the last look, or whose time has come."""
    rows = session.perform("freed_there").fetchall()
    timers = session.perform("due_timers_of_groups", (now,)).fetchall()
    if not rows and not timers:
        return
    # Somebody may have written anything there by hand.
    sound = [(kind, name) for _, kind, name in rows if isinstance(name, str)]
    groups = {name for kind, name in sound if kind == "group"}
    waiting = waiting_among(session, {name for kind, name in sound if kind == "schedule"})
    entering = [Entering(*row) for _, *row in timers]
    submitted = [each.submission.group for each in waiting if each.submission is not None]
    lock_groups(session, [*groups, *(each.group for each in entering), *submitted])
    enter_groups(session, entering, now)
    if waiting:
        submit_waiting(session, waiting, now)
    let_held_begin(session, groups)
    for some in cut_rows([number for number, *_ in rows]):
        session.put_for("drop_freed", some)
    for some in cut_rows([timer for timer, *_ in timers]):
        session.put_for("drop_timers", some)


# What waits


class WaitingRun(NamedTuple):
    """What is to be submitted when the run before has ended: `fault` says why that cannot be."""

    firing: int
    head: Head
    submission: Submission | None
    fault: str = ""


def waiting_among(session: Session, names: Collection[str]) -> list[WaitingRun]:
    """Return what waits for the runs of schedules to end; their rows are locked."""
    heads = lock_heads(session, "lock_schedules_named", set(names))
    going_on = {number: head for number, head in heads.items() if head.state in GOING_ON}
    rows, draining = waiting_of(session, going_on.values()), draining_queues(session)
    return [read_waiting(firing, going_on[number], text, draining) for firing, number, _, text in rows]


def read_waiting(firing: int, head: Head, text: object, draining: Collection[str]) -> WaitingRun:
    """Return what waits, of its row."""
    try:
        submission = submission_of_text(text)
    except ValueError as error:
        return WaitingRun(firing, head, None, f"what is recorded of it cannot be read: {error}")
    if submission.queue in draining:
        return WaitingRun(firing, head, None, f"queue {submission.queue!r} is draining")
    return WaitingRun(firing, head, submission)


def submit_waiting(session: Session, waiting: Sequence[WaitingRun], now: float) -> None:
    """Submit what has waited for the runs of schedules to end, of those that have none any more."""
    unfinished = unfinished_of(session, [each.head for each in waiting])
    free = [each for each in waiting if each.head.name not in unfinished]
    ends = [
        ("refused", None, each.fault, each.firing)
        if each.submission is None
        else ("submitted", each.submission.id, "", each.firing)
        for each in free
    ]
    session.put_each("end_waiting_firing", ends)
    session.put_each("unhold_schedule", [(each.head.schedule,) for each in free])
    submissions = [each.submission._replace(at=now) for each in free if each.submission is not None]
    add_submissions(session, submissions, now)
