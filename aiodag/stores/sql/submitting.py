"""Record a run that is submitted: by somebody, or by a message."""

import json
from typing import Any

from aiodag.states import State, next_run_state
from aiodag.stores.sql.hand_on import fail_refused
from aiodag.stores.sql.session import Session
from aiodag.submissions import Submission

QUEUED = next_run_state(State.WAITING, State.QUEUED)


def add_submission(session: Session, submission: Submission, now: float) -> bool:
    """Record a run as queued; return False if there is one of that id or key."""
    starts_at = submission.starts_at if submission.starts_at is not None and submission.starts_at > now else None
    row = row_of_submission(submission) | {"ready": int(starts_at is None)}
    _, (made, refused) = session.perform_together(("add_submitted", row), ("refusals_of_target", (submission.target,)))
    if not made:
        return False
    run = made[0][0]
    if submission.definition is not None:
        definition = {"run": run, "execution": 1, "document": submission.definition}
        session.put_each("put_definition", [definition])
    timers = [(starts_at, "start", run), (submission.expires_at, "expire", run)]
    session.put_each("put_timer", [each for each in timers if each[0] is not None])
    if submission.max_active is not None:
        session.put_each("put_max_active", [(submission.name, submission.max_active)])
    if refused:  # who has refused its code does not look for it again
        fail_refused(session, now, [(submission.queue, submission.target)])
    return True


def row_of_submission(submission: Submission) -> dict[str, Any]:
    """Return what is written of a run that is submitted."""
    return {
        "id": submission.id,
        "name": submission.name,
        "state": QUEUED,
        "entry": None if submission.entry is None else json.dumps(submission.entry),
        "at": submission.at,
        "tags": json.dumps(dict(submission.tags)) if submission.tags else "{}",
        "queue": submission.queue,
        "priority": submission.priority,
        "submission": submission.key,
        "target": submission.target,
        "code": submission.code,
        "retries": submission.retries,
        "parent_run": submission.parent_run,
        "parent_node": submission.parent_node,
    }
