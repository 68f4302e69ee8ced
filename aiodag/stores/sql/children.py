"""The waits for runs that others have begun: settled by whoever ends such a run, in the transaction that does.

Who registers a wait for a run looks whether that has ended; who ends a run looks for a wait. So that one of both finds the
other, they lock the id of the run as they would the topic of a message.
"""

from collections.abc import Sequence
from typing import Any

from aiodag.states import State
from aiodag.stores.inbox_rules import NO_ANSWER, WaitEnd, end_of_child
from aiodag.stores.sql.rows import STATES
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows
from aiodag.stores.sql.waits import WaitOfRun, lock_topics, settle_waits


def lock_children(session: Session, runs: Sequence[int]) -> None:
    """Have nobody register a wait for some runs until the end of the transaction, if any of them has been begun by another."""
    ids = [row[0] for some in cut_rows(runs) for row in session.perform_for("children_among", some)]
    lock_topics(session, [(run_id, "") for run_id in ids])


def settle_parents(session: Session, runs: Sequence[int], now: float, *, gone: bool = False) -> None:
    """Settle the waits for runs of which some have ended, or are `gone`, and have a parent. They are locked."""
    rows = [row for some in cut_rows(runs) for row in session.perform_for("ends_of_children", some)]
    ends = {row[0]: child_end(row) for row in rows if gone or row[3] is not None}
    waits = [WaitOfRun(*row) for some in cut_rows(list(ends)) for row in session.perform_for("waits_for_runs", some)]
    settle_waits(session, waits, lambda wait: ends[wait.topic], now)


def end_children(session: Session, runs: Sequence[int], now: float, *, gone: bool = False) -> None:
    """Do both, for runs that end without their owners."""
    lock_children(session, runs)
    settle_parents(session, runs, now, gone=gone)


def settle_ended(session: Session, waits: Sequence[WaitOfRun], now: float) -> None:
    """Settle those of some new waits whose runs have ended already, or are not there. They are locked."""
    names = [wait.topic for wait in waits]
    found = {row[0]: row for some in cut_rows(names) for row in session.perform_for("runs_named", some)}
    ends = {name: child_end(found.get(name, (name, *NOBODYS))) for name in names}
    over = [wait for wait in waits if wait.topic not in found or found[wait.topic][3] is not None]
    settle_waits(session, over, lambda wait: ends[wait.topic], now)


NOBODYS = ("run", State.QUEUED, None, "", None, None, False)  # in place of what is recorded of a run that is not there


def child_end(row: Sequence[Any]) -> WaitEnd:
    """Return how the node ends that waits for a run."""
    run_id, name, state, _, error, codec, value, is_workflow = row
    if is_workflow:
        codec, value = NO_ANSWER
    return end_of_child(run_id, name, STATES.get(state, State.FAILED), error, codec or "", value)
