"""Groups of runs, of which one goes on and one waits: entered when a run might begin, left when it has ended.

    submitted, or its time has come ──► nobody goes on ──► ready
                                    └─► held, in place of one that was ──the other has ended──► ready

That the one which goes on has ended is noted by a trigger, if somebody waits, and seen by the next look. On a server, whoever
enters has locked those of the group that have not ended: either they are seen to have ended, or who ends them sees who waits.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiodag.states import State, next_run_state
from aiodag.stores.firing_rules import replaced_text
from aiodag.stores.sql.children import end_children
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.waits import cancel_child

REPLACED = next_run_state(State.QUEUED, State.CANCELLED)


class Entering(NamedTuple):
    """A run that might begin, if others of its group do not go on: which `cancels` says to cancel.

    One of a backfill is patient: it waits for its turn, and neither replaces nor cancels others, nor they it.
    """

    run: int
    id: str
    group: str
    cancels: int
    is_patient: bool


def enter_groups(session: Session, entering: Sequence[Entering], now: float) -> None:
    """Have runs go on, or wait, with the others of their groups."""
    lock_groups(session, [each.group for each in entering])
    for each in entering:
        others = session.perform("unfinished_of_group", (each.group, each.run), locking=True).fetchall()
        hasty = [row[:3] for row in others if not row[3] and not each.is_patient]
        for run in [run for run, _, is_held in hasty if is_held]:
            replace_held(session, run, each, now)
        if each.cancels:
            cancel_all(session, [(run, run_id) for run, run_id, is_held in hasty if not is_held], now)
        left = session.perform("unfinished_of_group", (each.group, each.run)).fetchall() if others else []
        session.put_each("hold_run" if left else "let_begin", [(each.run,)])


def cancel_all(session: Session, runs: Sequence[tuple[int, str]], now: float) -> None:
    """Have runs cancelled that go on: at once where they never began."""
    for _, run_id in runs:
        cancel_child(session, run_id, now)
    end_children(session, [run for run, _ in runs], now)


def replace_held(session: Session, run: int, by: Entering, now: float) -> None:
    """Cancel a run that waits for its group, since a newer one does."""
    session.perform("end_held", (REPLACED, replaced_text(by.group, by.id), now, run))
    session.put_each("drop_timers_of_run", [(run,)])
    end_children(session, [run], now)


def let_held_begin(session: Session, groups: Iterable[str]) -> None:
    """Have the run begin that waits for a group, of groups where nobody goes on any more. They are locked."""
    for group in sorted(set(groups)):
        rows = session.perform("unfinished_of_group", (group, -1), locking=True).fetchall()
        if rows and all(is_held for _, _, is_held, _ in rows):
            session.put_each("let_begin", [(rows[0][0],)])


def lock_groups(session: Session, groups: Iterable[str | None]) -> None:
    """Have nobody else enter groups until the end of the transaction: all at once, or two would wait for each other."""
    names = sorted({str(group).replace("\0", "") for group in groups if group is not None})
    if names:
        session.perform("lock_groups", {"names": json.dumps(names)})
