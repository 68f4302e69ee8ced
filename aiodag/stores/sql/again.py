"""Queue recorded runs again: what has ended, is parked, or was left by its process."""

import json
from typing import Any

from aiodag.errors import UnknownRun
from aiodag.records import refuse_owned
from aiodag.states import State, next_run_state
from aiodag.stores.queue_rules import queue_again_in, refuse_draining, refuse_other_execution, refuse_queued
from aiodag.stores.sql.groups import Entering, enter_groups
from aiodag.stores.sql.hand_on import fail_refused
from aiodag.stores.sql.rows import STATES, owner_of
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows
from aiodag.submissions import Resubmission


def resubmit_run(again: Resubmission, place: object, session: Session) -> None:
    """Queue a run of the store at a place again, in one transaction: what it goes on with is written, or nothing is."""
    now = session.now()
    found = session.perform("find_run", {"id": again.id}, locking=True).fetchone()
    if found is None:
        raise UnknownRun(again.id, [], str(place))
    run, execution, _, owner, until, state, *_ = found
    refuse_owned(again.id, None if owner is None else owner_of(owner), until, now)
    (before,) = session.perform("queue_of_run", (again.id,)).fetchone()
    refuse_queued(again.id, state, before)
    refuse_other_execution(again, execution)
    queue = queue_again_in(again, before)
    if session.perform("state_of_queue", (queue,)).fetchone() == ("draining",):
        raise refuse_draining(queue, place)
    ended = STATES.get(state, State.FAILED).final
    changed = session.perform("resubmit", {**row_of_resubmission(again, state, queue), "run": run}).fetchone()
    if again.definition is not None:
        session.put_each("put_definition", [{"run": run, "execution": execution + 1, "document": again.definition}])
    for some in cut_rows(list(again.again)):
        session.perform_for("void_nodes", some, (run,))
    if ended and changed[2] is not None:
        enter_groups(session, [Entering(*changed)], now)
    fail_refused(session, now, [(queue, again.target)])  # who has refused its code does not look for it again


def row_of_resubmission(again: Resubmission, state: str, queue: str) -> dict[str, Any]:
    """Return what is written of a run that is queued again."""
    return {
        # What is damaged, and has no state that we know, is taken as what has failed.
        "state": next_run_state(STATES.get(state, State.FAILED), State.QUEUED),
        "queue": queue,
        "target": again.target,
        "code": again.code,
        "entry": None if again.entry is None else json.dumps(again.entry),
        "tags": json.dumps(dict(again.tags)) if again.tags else "{}",
    }
