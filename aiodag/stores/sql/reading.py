"""Look at a database of runs: what is there, and no more of it than was asked for."""

from collections.abc import Iterable, Sequence
from typing import Any

from aiodag.errors import UnknownRun
from aiodag.records import (
    REFERENCE,
    AttemptRecord,
    EdgeRecord,
    FunctionRow,
    LastMove,
    LogRecord,
    NodeRecord,
    OutputRecord,
    RunFilter,
    RunRecord,
    WorkflowRecord,
)
from aiodag.states import NODE_STATES, State
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.listing import StatementValues, as_list, in_state, of_some, runs_listed
from aiodag.stores.sql.rows import (
    LAST,
    attempt_record,
    functions_from_rows,
    log_record,
    output_record,
    sql_node_record,
    sql_run_record,
    workflow_record,
)
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows


class RecordedRuns(Database):
    """A database of runs, as those see it who look."""

    # Runs

    def runs(
        self,
        run_id: str | None = None,
        *,
        wanted: RunFilter | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> list[RunRecord]:
        """Return the run of an id, or those that are wanted, oldest first; with a limit, the newest.

        `before` takes those that were made before a run. Raises `UnknownRun` if there is none of that id.
        """
        with self.reading() as session:
            if run_id is not None:
                rows = session.perform("one_run", {"id": run_id}).fetchall()
            else:
                place = None if before is None else self._place(session, before)
                rows = session.execute(*runs_listed(session, wanted or RunFilter(), limit, place)).fetchall()[::-1]
            counts = node_counts(session, [row[0] for row in rows if row[-1] is None])
        return [sql_run_record(row, counts.get(row[0], {})) for row in rows]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, which suggests what was meant."""
        found = self.runs(run_id)
        if not found:
            raise UnknownRun(run_id, self.near(run_id), str(self))
        return found[0]

    def head(self, run_id: str) -> RunRecord:
        """Return one run; one that goes on without the counts of its nodes, which are many to read. Raises `UnknownRun`."""
        with self.reading() as session:
            row = session.perform("one_run", {"id": run_id}).fetchone()
        if row is None:
            raise UnknownRun(run_id, self.near(run_id), str(self))
        return sql_run_record(row, {})

    def _place(self, session: Session, run_id: str) -> tuple[float, int]:
        found: tuple[float, int] | None = session.perform("place_of_run", (run_id,)).fetchone()
        if found is None:
            raise UnknownRun(run_id, near_in(session, run_id), str(self))
        return found

    def near(self, text: str) -> list[str]:
        """Return names and ids of runs that a text may be a slip for: those next to it, and the newest."""
        with self.reading() as session:
            return near_in(session, text)

    def count_runs(self, name: str) -> int:
        """Return how many runs of a name there are."""
        with self.reading() as session:
            return int(session.perform("count_runs", (name,)).fetchone()[0])

    def ended_runs(self, *, before: float | None = None, keep: int | None = None) -> list[str]:
        """Return the ids of ended runs: those that ended before a moment, of each name all but the newest `keep`."""
        name = "ended_before" if keep is None else "beyond_the_newest"
        with self.reading() as session:
            rows = session.perform(name, {"before": before, "keep": keep})
            return [run_id for (run_id,) in rows if type(run_id) is str]

    # What belongs to a run

    def nodes(
        self,
        run_id: str,
        *,
        every: bool = False,
        numbers: Iterable[int] | None = None,
        state: State | None = None,
    ) -> list[NodeRecord]:
        """Return the nodes of the last execution of a run, or of every one, in the order of their first calls.

        All of them, those of some numbers, or those in a state.
        """
        with self.reading() as session:
            statement, values = of_some(session, "nodes", numbers, in_state(session, state))
            return nodes_found(session, statement, {"id": run_id, "every": every, **values})

    def nodes_called(self, run_id: str, which: str, *, every: bool = True) -> list[NodeRecord]:
        """Return the nodes of every execution, or of the last one, that a number, a task or a label stands for.

        Where there are none: those that were made of a task of a workflow that has parameters.
        """
        number = int(which) if which.isascii() and which.isdigit() and len(which) < 18 else -1
        values = {"id": run_id, "every": every, "which": which, "number": number}
        # What a word stands for: a number, a task, a label; else a task of a workflow that has parameters.
        with self.reading() as session:
            for condition in ("is_called", "is_made_of"):
                statement, _ = of_some(session, "nodes", None, f" {session.query(condition)}")
                found = nodes_found(session, statement, values)
                if found:
                    return found
        return []

    def names_of_nodes(self, run_id: str) -> list[str]:
        """Return the names of the tasks that a run has called."""
        with self.reading() as session:
            rows = session.perform("names_of_nodes", (run_id,))
            return [str(name) for (name,) in rows]

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        with self.reading() as session:
            rows = session.perform("edges", (run_id,))
            return [EdgeRecord(up, down, bool(exogenous), bool(tolerant)) for up, down, exogenous, tolerant in rows]

    def attempts(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None
    ) -> list[AttemptRecord]:
        """Return the attempts before the last one of each node, or all of them, by node and attempt."""
        with self.reading() as session:
            statement, values = of_some(session, "attempts", numbers)
            rows = session.execute(statement, {"id": run_id, "every": every, **values})
            return [attempt_record(row) for row in rows]

    def failures(self, run_id: str, since: float = 0.0) -> list[AttemptRecord]:
        """Return the attempts of all executions that failed, from a moment on, in the order of their ends."""
        with self.reading() as session:
            rows = session.perform("failures", {"id": run_id, "since": since})
            return [attempt_record(row) for row in rows]

    def logs(
        self,
        run_id: str,
        after: int = 0,
        *,
        numbers: Iterable[int] | None = None,
        beyond: int = 0,
        limit: int | None = None,
    ) -> list[LogRecord]:
        """Return the lines that bodies logged, in order, after so many: of all nodes, or of some; beyond a part."""
        name = "logs" if numbers is None else "logs_of_nodes"
        values = {"id": run_id, "after": after, "numbers": as_list(numbers or ()), "beyond": beyond}
        values |= {"limit": LAST if limit is None else limit}
        with self.reading() as session:
            return [log_record(row) for row in session.perform(name, values)]

    def last_parts(self, run_id: str) -> tuple[int, int]:
        """Return the part of the last line that a run has logged, and of the last output; 0 where there is none."""
        with self.reading() as session:
            logged, written = session.perform("last_parts", (run_id,)).fetchone() or (0, 0)
        return logged, written

    def last_moves(self, run_id: str) -> list[LastMove]:
        """Return where each node of the last execution of a run stands, by number, without its value."""
        with self.reading() as session:
            return [LastMove._make(row) for row in session.perform("last_moves", (run_id,)) if type(row[0]) is int]

    def functions(self, run_id: str) -> list[FunctionRow]:
        """Return the functions that a run has called: their names and modules, and whether the run began in those."""
        with self.reading() as session:
            return functions_from_rows(session.perform("functions", (run_id,)))

    def attempts_by_task(self, run_id: str) -> dict[str, int]:
        """Return the number of the last attempt of each task, by its name, in all executions of a run."""
        with self.reading() as session:
            return {name: last for name, last in session.perform("tried", (run_id,)) if type(last) is int}

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
        with self.reading() as session:
            name = "output" if number is None else "output_of_node"
            rows = session.perform(name, {**values, "limit": LAST if limit is None else limit})
            return [output_record(row) for row in rows]

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the definitions of a run, oldest first, each with the first execution that was built from it."""
        with self.reading() as session:
            rows = session.perform("definitions", (run_id,))
            return [(execution, text) for execution, text in rows if type(execution) is int and type(text) is str]

    # What belongs to none

    def cached_value(self, key: str, since: float) -> tuple[str, Any] | None:
        """Return codec and value of a computation that any run has made since a moment."""
        with self.reading() as session:
            found: tuple[str, Any] | None = session.perform("cached", (key, since)).fetchone()
        return found

    def values_elsewhere(self) -> list[str]:
        """Return what records have of values that are kept in places of their own."""
        with self.reading() as session:
            return [str(text) for (text,) in session.perform("values_elsewhere", {"codec": REFERENCE})]

    def registered(self, name: str | None = None) -> list[WorkflowRecord]:
        """Return the workflows by name, or the one of a name."""
        with self.reading() as session:
            return [workflow_record(row) for row in session.perform("workflows", {"name": name})]


def nodes_found(session: Session, statement: str, values: StatementValues) -> list[NodeRecord]:
    """Return the nodes that a statement finds."""
    return [sql_node_record(row) for row in session.execute(statement, values)]


def near_in(session: Session, text: str) -> list[str]:
    """Return names and ids of runs that a text may be a slip for."""
    rows = [*session.perform("names_of_runs"), *session.perform("ids_near", {"id": text})]
    return [near for (near,) in rows if type(near) is str]


def node_counts(session: Session, runs: Sequence[int]) -> dict[int, dict[State, int]]:
    """Return how many nodes of runs are in which state, in their last executions."""
    rows = (row for some in cut_rows(list(runs)) for row in session.perform_for("counts", some))
    return {
        run: {state: count for state, count in zip(NODE_STATES, counts, strict=True) if count} for run, *counts in rows
    }
