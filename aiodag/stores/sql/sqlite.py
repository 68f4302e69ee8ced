"""Runs in one SQLite file: write-ahead log, one writer, many readers.

A committed write survives the death of the process at any moment. With `synchronous=NORMAL` a power cut may take the last
commits with it, never the file; `sqlite:///runs.db?synchronous=FULL` waits for the disk at every commit.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiodag.records import (
    KEEP,
    WorkflowRecord,
    checked_keep,
    live_owner,
    registered_already,
)
from aiodag.stores.sql.ownership import OwnedRuns
from aiodag.stores.sql.reading import RecordedRuns
from aiodag.stores.sql.rows import (
    owner_of,
)
from aiodag.stores.sql.statements import query, statement_with_list

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.stores.recorder import Recorder


class SQLite(OwnedRuns, RecordedRuns):
    """A store in one file, which is created if it does not exist.

    Raises `StoreError` for a file that is not SQLite, is of a newer version, cannot be written, or is locked longer
    than 10 seconds. `keep` is how many bytes it keeps of each stream of an attempt: the head and the tail.

    A file of an older version can be read without changing it. The first write brings it up to date, once no process works
    on a run in it; with `backup`, a copy of the old file stays next to it, such as `runs.db.v3.bak`.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import SQLite
    >>> store = SQLite("runs.db")
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> str(store), [run.id for run in store.runs()]
    ('sqlite:///runs.db', ['monday'])
    >>> store.close()
    """

    def __init__(self, path: str | Path, *, synchronous: str = "NORMAL", keep: int = KEEP, backup: bool = True) -> None:
        super().__init__(path, synchronous=synchronous, backup=backup)
        self.keep = checked_keep(keep)

    def journal(self, run: "Run", *, ours: bool) -> "Recorder":
        """Return what writes a run to this store, and closes it in the end where it is `ours` to close."""
        from aiodag.stores.recorder import Recorder  # noqa: PLC0415 - who only looks writes no run

        return Recorder(run, self, ours=ours)

    # Workflows by name

    def register(self, record: WorkflowRecord, *, replace: bool = False) -> None:
        """Keep a workflow under its name. Raises `StoreError` if there is one, unless it is to be replaced."""
        at = record.registered_at.timestamp()
        row = (record.name, record.target, record.document, json.dumps(dict(record.tags)), at)
        with self.writing() as connection:
            if replace:
                connection.execute(query("delete_workflow"), (record.name,))
            if not connection.execute(query("add_workflow"), row).rowcount:
                raise registered_already(record.name, self)

    def unregister(self, name: str) -> bool:
        """Forget a workflow, not its runs; return whether there was one."""
        if not self.registered(name):
            return False  # looking makes no file
        with self.writing() as connection:
            return connection.execute(query("delete_workflow"), (name,)).rowcount > 0

    # Change from outside

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; end a run whose owner has gone. Return whether it was unfinished."""
        if self.head(run_id).owner is None:
            return False
        with self.writing() as connection:
            found = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            if found is None or found[3] is None:
                return False  # it has ended meanwhile
            if owner_of(found[3]).gone():
                connection.execute(query("end_orphans_nodes"), (time.time(), run_id))
                return connection.execute(query("end_orphan"), (time.time(), run_id)).rowcount > 0
            return connection.execute(query("ask_cancel"), (run_id,)).rowcount > 0

    def delete(self, run_ids: Sequence[str], *, unless_owned: bool = False) -> int:
        """Delete runs, some in each transaction, which also looks at their owners; return how many."""
        deleted = 0
        for start in range(0, max(len(run_ids), 1), RUNS_AT_ONCE):  # once at least: for what a killed deletion left
            with self.writing() as connection:
                for run_id in run_ids[start : start + RUNS_AT_ONCE]:
                    deleted += delete_run(connection, run_id, unless_owned=unless_owned)
            self._sweep()
        return deleted

    def _sweep(self) -> None:
        """Delete what belonged to deleted runs, a portion at a time, so that others can write meanwhile.

        Nobody sees it any more, and no other run gets its number. What a process leaves that is killed here is deleted
        the next time: that a run was deleted is forgotten last.
        """
        while self._delete():
            with self.writing() as connection:
                runs = [run for (run,) in connection.execute(query("deleted_runs"), (RUNS_AT_ONCE,))]
                left = PORTION
                for name in SWEEPS:
                    left -= connection.execute(statement_with_list(name, len(runs)), (*runs, left)).rowcount
                if left:
                    connection.execute(statement_with_list("forget_deleted", len(runs)), runs)

    def _delete(self) -> bool:
        with self.reading() as connection:
            return connection.execute(query("deleted_runs"), (1,)).fetchone() is not None


def delete_run(connection: sqlite3.Connection, run_id: str, *, unless_owned: bool) -> int:
    """Delete a run, but not what belongs to it; return how many there were."""
    found = connection.execute(query("find_run"), {"id": run_id}).fetchone()
    if found is None:
        return 0
    owner = None if found[3] is None else owner_of(found[3])
    if unless_owned and live_owner(owner, found[4], time.time()) is not None:
        return 0
    connection.execute(query("note_deleted"), (found[0],))
    return connection.execute(query("delete_run"), (found[0],)).rowcount


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
