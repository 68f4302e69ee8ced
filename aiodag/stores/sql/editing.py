"""Change what is recorded from outside: cancel and delete runs, keep and forget workflows."""

import json
from collections.abc import Sequence
from functools import partial

from aiodag.records import WorkflowRecord, live_owner, registered_already
from aiodag.states import State, next_run_state
from aiodag.stores.sql.children import end_children
from aiodag.stores.sql.delivery import end_runs
from aiodag.stores.sql.reading import RecordedRuns
from aiodag.stores.sql.rows import STATES, owner_of
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.waits import WOKEN, lock_awaited


class EditedRuns(RecordedRuns):
    """A database of runs, as those see it who own none of them and change something."""

    # Workflows by name

    def register(self, record: WorkflowRecord, *, replace: bool = False) -> None:
        """Keep a workflow under its name. Raises `StoreError` if there is one, unless it is to be replaced."""
        at = record.registered_at.timestamp()
        row = (record.name, record.target, record.document, json.dumps(dict(record.tags)), at)
        with self.writing() as session:
            if replace:
                session.perform("delete_workflow", (record.name,))
            if not session.perform("add_workflow", row).rowcount:
                raise registered_already(record.name, self)

    def unregister(self, name: str) -> bool:
        """Forget a workflow, not its runs; return whether there was one."""
        if not self.registered(name):
            return False  # looking makes no file
        with self.writing() as session:
            return session.perform("delete_workflow", (name,)).rowcount > 0

    # Change from outside

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; end one that never began, or whose owner has gone.

        One that was given back to its queue is cancelled by who takes it next, for it may have to clean up. Return whether
        the run was unfinished.
        """
        if self.head(run_id).ended_at is not None:
            return False
        return self.transact(partial(cancel_run, run_id))

    def delete(self, run_ids: Sequence[str], *, unless_owned: bool = False, if_ended: bool = False) -> int:
        """Delete runs, some in each transaction, which also looks at their owners; return how many."""
        deleted = 0
        for start in range(0, max(len(run_ids), 1), RUNS_AT_ONCE):  # once at least: for what a killed deletion left
            some = run_ids[start : start + RUNS_AT_ONCE]
            deleted += self.transact(partial(delete_runs, some, unless_owned=unless_owned, if_ended=if_ended))
            self._sweep()
        return deleted

    def _sweep(self) -> None:
        """Delete what belonged to deleted runs, a portion at a time, so that others can write meanwhile.

        Nobody sees it any more, and no other run gets its number. What a process leaves that is killed here is deleted
        the next time: that a run was deleted is forgotten last.
        """
        while self._delete():
            with self.writing() as session:
                session.perform("take_reserved", (session.now(),))
                runs = [run for (run,) in session.perform("deleted_runs", (session.now(), RUNS_AT_ONCE))]
                left = PORTION
                for name in SWEEPS:
                    left -= session.perform_for(name, runs, last=(left,)).rowcount
                if left:
                    session.perform_for("forget_deleted", runs)

    def _delete(self) -> bool:
        with self.reading() as session:
            return session.perform("deleted_runs", (session.now(), 1)).fetchone() is not None


def cancel_run(run_id: str, session: Session) -> bool:
    """End a run that never began, or whose owner has gone; ask the owner of another. Return whether it was unfinished."""
    now = session.now()
    ended = session.perform("end_waiting", (next_run_state(State.QUEUED, State.CANCELLED), now, run_id)).fetchone()
    if ended is not None:
        session.perform_for("drop_timers_of_runs", ended)
        end_children(session, ended, now)
        return True
    found = session.perform("find_run", {"id": run_id}, locking=True).fetchone()
    if found is None or found[5] not in {State.QUEUED, State.RUNNING, State.PARKED}:
        return False  # it has ended meanwhile
    in_queue = session.perform("queue_of_run", (run_id,)).fetchone() != (None,)
    if not in_queue and found[3] is not None and owner_of(found[3]).gone():
        session.perform("end_orphans_nodes", (now, run_id))
        end_runs(session, [found[0]], now)
        was_there = session.perform("end_orphan", (now, run_id)).rowcount > 0
        end_children(session, [found[0]], now)
        return was_there
    session.perform("wake_cancelled", (WOKEN, run_id))
    return session.perform("ask_cancel", (run_id,)).rowcount > 0


def delete_runs(run_ids: Sequence[str], session: Session, *, unless_owned: bool, if_ended: bool) -> int:
    """Delete runs, but not what belongs to them; return how many there were."""
    return sum(delete_run(session, run_id, unless_owned=unless_owned, if_ended=if_ended) for run_id in run_ids)


def delete_run(session: Session, run_id: str, *, unless_owned: bool, if_ended: bool) -> int:
    """Delete a run, but not what belongs to it; return how many there were."""
    found = session.perform("find_run", {"id": run_id}).fetchone()
    if found is None:
        return 0
    # What it waits for, and its waits first: whoever ends that, or delivers to them, has these, and then asks for the run.
    lock_awaited(session, [found[0]])
    session.perform_for("waits_of_runs", (found[0],))
    found = session.perform("find_run", {"id": run_id}, locking=True).fetchone()
    if found is None:
        return 0
    owner = None if found[3] is None else owner_of(found[3])
    if unless_owned and live_owner(owner, found[4], session.now()) is not None:
        return 0
    # A run may have been resumed since somebody listed it, and wait in its queue by now, where nobody owns it.
    if if_ended and not STATES.get(found[5], State.FAILED).final:
        return 0
    end_runs(session, [found[0]], session.now())
    end_children(session, [found[0]], session.now(), gone=True)
    session.perform("note_deleted", (found[0],))
    session.perform_for("drop_timers_of_runs", (found[0],))
    return session.perform("delete_run", (found[0],)).rowcount


SWEEPS = (
    "sweep_edges",
    "sweep_attempts",
    "sweep_facts",
    "sweep_output",
    "sweep_definitions",
    "sweep_functions",
    "sweep_tags",
    "sweep_logs",
    "sweep_nodes",
)
PORTION = 500  # rows that one transaction deletes
RUNS_AT_ONCE = 64  # runs
