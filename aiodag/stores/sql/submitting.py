"""Record runs that are submitted: by somebody, by a message, or by a schedule."""

import json
from collections.abc import Sequence
from typing import Any

from aiodag.states import State, next_run_state
from aiodag.stores.sql.groups import Entering, enter_groups
from aiodag.stores.sql.hand_on import fail_refused
from aiodag.stores.sql.session import Session
from aiodag.submissions import Submission

QUEUED = next_run_state(State.WAITING, State.QUEUED)


def add_submission(session: Session, submission: Submission, now: float) -> bool:
    """Record a run as queued; return False if there is one of that id or key."""
    row = row_of_submission(submission, now)
    _, (made, refused) = session.perform_together(("add_submitted", row), ("refusals_of_target", (submission.target,)))
    if not made:
        return False
    run = made[0][0]
    if submission.definition is not None:
        definition = {"run": run, "execution": 1, "document": submission.definition}
        session.put_each("put_definition", [definition])
    session.put_each("put_timer", timers_of(submission, run, now))
    if submission.group is not None and not is_put_off(submission, now):
        enter_groups(session, [entering_run(run, submission, submission.group)], now)
    if submission.max_active is not None:
        session.put_each("put_max_active", [(submission.name, submission.max_active)])
    if refused:  # who has refused its code does not look for it again
        fail_refused(session, now, [(submission.queue, submission.target)])
    return True


def add_submissions(session: Session, submissions: Sequence[Submission], now: float) -> None:
    """Record many runs as queued, but for those whose ids are there: few statements for all of them."""
    rows = [tuple(row_of_submission(each, now).values()) for each in submissions]
    numbers = dict(session.put_returning("add_submissions", rows)) if rows else {}
    made = [(numbers[each.id], each) for each in submissions if each.id in numbers]
    definitions = [(run, 1, each.definition) for run, each in made if each.definition is not None]
    session.put_rows("put_definitions", definitions)
    session.put_rows("add_timers", [timer for run, each in made for timer in timers_of(each, run, now)])
    most = {each.name: each.max_active for _, each in made if each.max_active is not None}
    session.put_each("put_max_active", sorted(most.items()))
    entering = [
        entering_run(run, each, each.group)
        for run, each in made
        if each.group is not None and not is_put_off(each, now)
    ]
    enter_groups(session, entering, now)
    refused = {target for (target,) in session.perform("refused_targets")} if made else set()
    targets = {(each.queue, each.target) for _, each in made if each.target in refused}
    if targets:  # who has refused its code does not look for it again
        fail_refused(session, now, sorted(targets))


def entering_run(run: int, submission: Submission, group: str) -> Entering:
    """Return a run that enters its group."""
    return Entering(run, submission.id, group, submission.cancel_in_progress, submission.backfill is not None)


def is_put_off(submission: Submission, now: float) -> bool:
    """Return True for a run whose time is to come."""
    return submission.starts_at is not None and submission.starts_at > now


def timers_of(submission: Submission, run: int, now: float) -> list[tuple[float, str, int]]:
    """Return when something is to happen to a run."""
    starts_at = submission.starts_at if is_put_off(submission, now) else None
    timers = [(starts_at, "start", run), (submission.expires_at, "expire", run)]
    return [(at, kind, run) for at, kind, run in timers if at is not None]


def row_of_submission(submission: Submission, now: float) -> dict[str, Any]:
    """Return what is written of a run that is submitted, in the order of `add_submissions`."""
    return {
        "id": submission.id,
        "name": submission.name,
        "state": QUEUED,
        "entry": None if submission.entry is None else json.dumps(submission.entry),
        "at": submission.at,
        "started_at": 0.0,
        "tags": json.dumps(dict(submission.tags)) if submission.tags else "{}",
        "execution": 0,
        "queue": submission.queue,
        "priority": submission.priority,
        "submission": submission.key,
        "target": submission.target,
        "code": submission.code,
        "ready": int(submission.group is None and not is_put_off(submission, now)),
        "retries": submission.retries,
        "parent_run": submission.parent_run,
        "parent_node": submission.parent_node,
        "schedule": submission.schedule,
        "backfill": submission.backfill,
        "concurrency": submission.group,
        "cancels": int(submission.cancel_in_progress),
    }
