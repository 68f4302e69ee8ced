"""Runs in one SQLite file: write-ahead log, one writer, many readers.

A committed write survives the death of the process at any moment. With `synchronous=NORMAL` a power cut may take the last
commits with it, never the file; `sqlite:///runs.db?synchronous=FULL` waits for the disk at every commit.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from aiodag.records import (
    KEEP,
    AttemptRecord,
    Batch,
    Claim,
    Claimed,
    EdgeRecord,
    FunctionRow,
    Known,
    LogRecord,
    NodeRecord,
    OutputRecord,
    Owner,
    RunRecord,
    WorkflowRecord,
    checked_keep,
    registered_already,
)
from aiodag.stores.endings import with_marks
from aiodag.stores.sql.file import File
from aiodag.stores.sql.rows import (
    STATES,
    attempt_record,
    known_of,
    log_record,
    node_record,
    output_record,
    owner_of,
    run_record,
    workflow_record,
)
from aiodag.stores.sql.statements import listed, pieces, put, query

if TYPE_CHECKING:
    from aiodag.states import State


class SQLite(File):
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

    # Own a run

    def claim(self, claim: Claim) -> Claimed:
        """Make a run or take over one whose owner has gone. Raises `RunOwned`."""
        with self.writing() as connection:
            found = connection.execute(query("find_run"), {"id": claim.id}).fetchone()
            values = {
                "id": claim.id,
                "name": claim.name,
                "entry": None if claim.entry is None else json.dumps(claim.entry),
                "owner": json.dumps(claim.owner),
                "at": claim.at,
                "until": claim.at + claim.lease,
                "tags": json.dumps(dict(claim.tags)),
            }
            if found is None:
                run = connection.execute(query("add_run"), values).lastrowid or 0
                claimed = Claimed(run, 1, {})
            else:
                run, execution, name, owner, until, *ended, begun = found
                refuse(claim, name, owner, until)
                connection.execute(query("take_run"), {**values, "run": run})
                known = with_marks(known_of(connection, claim.id), execution, *ended)
                claimed = Claimed(run, execution + 1, known, begun=begun)
            if claim.definition is not None:
                built = {"run": run, "execution": claimed.execution, "document": claim.definition}
                connection.execute(query("put_definition"), built)
            return claimed

    def known(self, run_id: str) -> dict[str, Known]:
        """Return what all executions of a run have left, by key, without owning it."""
        with self.reading() as connection:
            found = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            if found is None:
                return {}
            _, execution, _, _, _, *ended, _ = found
            return with_marks(known_of(connection, run_id), execution, *ended)

    def void(self, run_id: str, numbers: Sequence[int]) -> None:
        """Have nodes of a run that nobody owns run again, whatever is recorded of them. Raises `RunOwned`."""
        with self.writing() as connection:
            run, _, _, owner, until, *_ = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            refuse_owned(run_id, owner, until, time.time())
            for some in pieces(list(numbers)):
                connection.execute(listed("void_nodes", len(some)), (run, *some))

    def renew(self, claimed: Claimed, until: float, run_id: str) -> None:
        """Keep a run. Raises `LeaseLost` when another process has it."""
        with self.writing(owner=True) as connection:
            self._fence(connection, claimed, until, run_id)

    def wants_cancel(self, claimed: Claimed, run_id: str) -> bool:
        """Tell whether somebody asked to cancel a run. Raises `LeaseLost` when another process has it."""
        with self.reading(owner=True) as connection:
            found = connection.execute(query("wants_cancel"), (claimed.run,)).fetchone()
        if found is None or found[0] != claimed.execution or found[2] is None:
            raise LeaseLost(run_id, deleted=found is None)
        return bool(found[1])

    def write(self, claimed: Claimed, batch: Batch, until: float, run_id: str) -> None:
        """Write a batch in one transaction. Raises `LeaseLost`, and writes nothing then."""
        run, execution = claimed.run, claimed.execution
        with self.writing(owner=True) as connection:
            self._fence(connection, claimed, until, run_id)
            for some in pieces(batch.again):
                connection.execute(listed("keep_attempts", len(some)), (run, *some))
            put(connection, "put_nodes", [(run, execution, 0, 0, *row) for row in batch.nodes])
            connection.executemany(query("void_attempt"), [(run, *attempt) for attempt in batch.void])
            put(connection, "put_edges", [(run, *row) for row in batch.edges])
            put(connection, "put_attempts", [(run, *row) for row in batch.attempts])
            put(connection, "put_logs", [(run, *row) for row in batch.logs])
            put(connection, "put_functions", [(run, *row) for row in batch.functions])
            put(connection, "put_cache", batch.cache)
            put(connection, "put_facts", [(run, *row) for row in batch.facts])
            put(connection, "put_output", [(run, *row) for row in batch.output])
            for trimmed in batch.trimmed:
                connection.execute(query("trim_output"), (run, *trimmed))
            for some in pieces(batch.recalled):
                connection.execute(listed("mark_recalled", len(some)), (execution, run, *some))
            if batch.state is not None:
                end = {"state": batch.state, "error": batch.error, "at": batch.at, "run": run, "execution": execution}
                connection.execute(query("end_run"), end)

    def _fence(self, connection: sqlite3.Connection, claimed: Claimed, until: float, run_id: str) -> None:
        renewed = connection.execute(
            query("renew"), {"until": until, "run": claimed.run, "execution": claimed.execution}
        ).rowcount
        if not renewed:
            deleted = connection.execute(query("wants_cancel"), (claimed.run,)).fetchone() is None
            raise LeaseLost(run_id, deleted=deleted)

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
            if found is None or (unless_owned and owned(found[3], found[4], time.time()) is not None):
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


def owned(owner: str | None, until: float | None, at: float) -> Owner | None:
    """Return who has a run: a process that has not ended, as far as can be known, and whose lease has not run out."""
    if owner is None or until is None or until <= at:
        return None
    holder = owner_of(owner)
    return None if holder.gone() else holder


def refuse(claim: Claim, name: str, owner: str | None, until: float | None) -> None:
    """Refuse a claim to a run that is another's."""
    if name != claim.name:
        msg = f"run {claim.id!r} is one of {name!r}, not of {claim.name!r}: use another id"
        raise StoreError(msg)
    refuse_owned(claim.id, owner, until, claim.at)


def refuse_owned(run_id: str, owner: str | None, until: float | None, at: float) -> None:
    """Refuse to change a run that somebody works on."""
    holder = owned(owner, until, at)
    if holder is not None and until is not None:
        raise RunOwned(run_id, holder, until - at)
