"""Runs in one SQLite file: write-ahead log, one writer, many readers.

A committed write survives the death of the process at any moment. With `synchronous=NORMAL` a power cut may take the last
commits with it, never the file; `sqlite:///runs.db?synchronous=FULL` waits for the disk at every commit.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import UnknownRun
from aiodag.records import (
    KEEP,
    AttemptRecord,
    EdgeRecord,
    FunctionRow,
    LogRecord,
    NodeRecord,
    OutputRecord,
    RunRecord,
    WorkflowRecord,
    checked_keep,
    live_owner,
    registered_already,
)
from aiodag.stores.recorder import Recorder
from aiodag.stores.sql.ownership import OwnedRuns
from aiodag.stores.sql.rows import (
    STATES,
    attempt_record,
    log_record,
    node_record,
    output_record,
    owner_of,
    run_record,
    workflow_record,
)
from aiodag.stores.sql.statements import query

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.states import State


class SQLite(OwnedRuns):
    """A store in one file, made when it is not there.

    Raises `StoreError` for a file that is not SQLite, is of a newer version, cannot be written, or is locked longer
    than 10 seconds. `keep` is how many bytes it keeps of each stream of an attempt: the head and the tail.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import SQLite
    >>> store = SQLite("runs.db")
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> str(store), [run.id for run in store.runs()]
    ('sqlite:///runs.db', ['monday'])
    >>> store.close()
    """

    def __init__(self, path: str | Path, *, synchronous: str = "NORMAL", keep: int = KEEP) -> None:
        super().__init__(path, synchronous=synchronous)
        self.keep = checked_keep(keep)

    def journal(self, run: "Run", *, ours: bool) -> Recorder:
        """Return what writes a run to this store, and closes it in the end where it is `ours` to close."""
        return Recorder(run, self, ours=ours)

    def cached(self, key: str, since: float) -> tuple[str, Any] | None:
        """Return codec and value of a computation that any run has made since a moment."""
        with self.reading() as connection:
            found: tuple[str, Any] | None = connection.execute(query("cached"), (key, since)).fetchone()
        return found

    # Look

    def runs(self, run_id: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        with self.reading() as connection:
            rows = connection.execute(query("list_runs"), {"id": run_id}).fetchall()
            counts: dict[int, dict[State, int]] = {}
            for run, state, count in connection.execute(query("counts")):
                if state in STATES:
                    counts.setdefault(run, {})[STATES[state]] = count
        return [run_record(row, counts.get(row[0], {})) for row in rows]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, naming a near miss."""
        found = self.runs(run_id)
        if not found:
            raise UnknownRun(run_id, [each.id for each in self.runs()], str(self))
        return found[0]

    def nodes(self, run_id: str, *, every: bool = False) -> list[NodeRecord]:
        """Return the nodes of the last execution of a run, or of every one, in the order of their first calls."""
        with self.reading() as connection:
            rows = connection.execute(query("nodes"), {"id": run_id, "every": every})
            return [node_record(row) for row in rows]

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        with self.reading() as connection:
            rows = connection.execute(query("edges"), (run_id,))
            return [EdgeRecord(up, down, bool(exogenous), bool(tolerant)) for up, down, exogenous, tolerant in rows]

    def attempts(self, run_id: str, *, every: bool = False) -> list[AttemptRecord]:
        """Return the attempts before the last one of each node, or all of them, by node and attempt."""
        with self.reading() as connection:
            rows = connection.execute(query("attempts"), {"id": run_id, "every": every})
            return [attempt_record(row) for row in rows]

    def logs(self, run_id: str, after: int = 0) -> list[LogRecord]:
        """Return the lines that bodies logged, in order."""
        with self.reading() as connection:
            return [log_record(row) for row in connection.execute(query("logs"), (run_id, after))]

    def functions(self, run_id: str) -> list[FunctionRow]:
        """Return what a run has called: the names of functions, their modules, and whether it began in these."""
        with self.reading() as connection:
            rows = connection.execute(query("functions"), (run_id,))
            return [(str(name), str(module), bool(main)) for name, module, main in rows]

    def tried(self, run_id: str) -> dict[str, int]:
        """Return the number of the last attempt of each task, by its name, in all executions of a run."""
        with self.reading() as connection:
            return {name: last for name, last in connection.execute(query("tried"), (run_id,)) if type(last) is int}

    def output(
        self,
        run_id: str,
        number: int | None = None,
        attempt: int | None = None,
        after: int = 0,
        *,
        limit: int | None = None,
    ) -> list[OutputRecord]:
        """Return the parts of what programs wrote, in order, after the part of that number."""
        values = {"id": run_id, "number": number, "attempt": attempt, "after": after}
        with self.reading() as connection:
            name = "output" if number is None else "output_of_node"
            rows = connection.execute(query(name), {**values, "limit": -1 if limit is None else limit})
            return [output_record(row) for row in rows]

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the definitions of a run, oldest first, each with the first execution that was built from it."""
        with self.reading() as connection:
            rows = connection.execute(query("definitions"), (run_id,))
            return [(execution, text) for execution, text in rows if type(execution) is int and type(text) is str]

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

    def registered(self, name: str | None = None) -> list[WorkflowRecord]:
        """Return the workflows by name, or the one of a name."""
        with self.reading() as connection:
            return [workflow_record(row) for row in connection.execute(query("workflows"), {"name": name})]

    def unregister(self, name: str) -> bool:
        """Forget a workflow, not its runs; return whether there was one."""
        if not self.registered(name):
            return False  # looking makes no file
        with self.writing() as connection:
            return connection.execute(query("delete_workflow"), (name,)).rowcount > 0

    # Change from outside

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; end a run whose owner has gone. Return whether it was unfinished."""
        if self.run(run_id).owner is None:
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
        """Delete runs, each in a transaction that also looks at its owner; return how many."""
        deleted = sum([self._delete(run_id, unless_owned=unless_owned) for run_id in run_ids])
        self._sweep()
        return deleted

    def _delete(self, run_id: str, *, unless_owned: bool) -> int:
        with self.writing() as connection:
            found = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            if found is None:
                return 0
            owner = None if found[3] is None else owner_of(found[3])
            if unless_owned and live_owner(owner, found[4], time.time()) is not None:
                return 0
            return connection.execute(query("delete_run"), (run_id,)).rowcount

    def _sweep(self) -> None:
        """Delete what belonged to deleted runs, a portion at a time, so that others can write meanwhile.

        Nobody sees it any more, and no other run gets its number. What a process leaves that is killed here is deleted
        the next time: the rows of nodes and lines, by which it is found, go last.
        """
        with self.writing() as connection:
            runs = [run for (run,) in connection.execute(query("deleted_runs"))]
        for run in runs:
            for name in SWEEPS:
                rows = PORTION
                while rows == PORTION:
                    with self.writing() as connection:
                        rows = connection.execute(query(name), {"run": run, "rows": PORTION}).rowcount


SWEEPS = (
    "sweep_edges",
    "sweep_attempts",
    "sweep_facts",
    "sweep_output",
    "sweep_definitions",
    "sweep_logs",
    "sweep_nodes",
)
PORTION = 500  # rows that one transaction deletes
