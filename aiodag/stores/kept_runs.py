"""Look at the runs of a store in memory."""

import json
import threading
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import count
from typing import Any

from aiodag.errors import UnknownRun
from aiodag.happenings import Happening
from aiodag.records import (
    BARRIER,
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
    utc_moment,
)
from aiodag.states import State
from aiodag.stores.kept import (
    ZERO,
    KeptRun,
    age_of,
    attempt_of,
    is_wanted,
    kept_node_record,
    kept_run_record,
    last_move_of,
)
from aiodag.stores.watch import note_happening


class KeptRuns:
    """The runs of a store in memory, as those see them who look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.kept: dict[str, KeptRun] = {}
        self._cache: dict[str, tuple[Any, ...]] = {}
        self._workflows: dict[str, WorkflowRecord] = {}
        self._numbers = count(1)  # of runs: a deleted run's number is given to no other, its owner may still write

    @contextmanager
    def _changing(self, *what: Happening) -> Generator[None]:
        """Hold the lock, and then wake those who wait for such a change."""
        with self._lock:
            yield
        note_happening(self, what)

    def cached_value(self, key: str, since: float) -> tuple[str, Any] | None:
        """Return codec and value of a computation that any run has made since a moment."""
        with self._lock:
            found = self._cache.get(key)
        return None if found is None or found[4] < since else (found[2], found[3])

    def values_elsewhere(self) -> list[str]:
        """Return what records have of values that are kept in places of their own."""
        with self._lock:
            rows = [row for kept in self.kept.values() for row in kept.nodes.values() if row["codec"] == REFERENCE]
            return [str(row["value"]) for row in rows] + [str(e[3]) for e in self._cache.values() if e[2] == REFERENCE]

    # Look

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
        with self._lock:
            if run_id is not None:
                kept = self.kept.get(run_id)
                return [] if kept is None else [kept_run_record(kept, kept.definition)]
            if before is not None and before not in self.kept:
                raise UnknownRun(before, self._near(), str(self))
            place = None if before is None else age_of(self.kept[before])
            found = [
                kept
                for kept in self.kept.values()
                if (wanted is None or is_wanted(kept, wanted)) and (place is None or age_of(kept) < place)
            ]
            found.sort(key=age_of)
            return [
                kept_run_record(kept, None)
                for kept in (found if limit is None else found[max(len(found) - limit, 0) :])
            ]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, which suggests what was meant."""
        found = self.runs(run_id)
        if not found:
            raise UnknownRun(run_id, self.near(run_id), str(self))
        return found[0]

    head = run

    def near(self, text: str) -> list[str]:
        """Return names and ids of runs that a text may be a slip for."""
        with self._lock:
            return self._near()

    def _near(self) -> list[str]:
        return [*dict.fromkeys(kept.claim.name for kept in self.kept.values()), *self.kept]

    def count_runs(self, name: str) -> int:
        """Return how many runs of a name there are."""
        with self._lock:
            return sum(kept.claim.name == name for kept in self.kept.values())

    def ended_runs(self, *, before: float | None = None, keep: int | None = None) -> list[str]:
        """Return the ids of ended runs: those that ended before a moment, of each name all but the newest `keep`."""
        newer: Counter[str] = Counter()
        found: list[str] = []
        with self._lock:
            for kept in sorted(self.kept.values(), key=age_of, reverse=True):
                newer[kept.claim.name] += 1
                old = kept.ended_at is not None and (before is None or kept.ended_at < before)
                if old and (keep is None or newer[kept.claim.name] > keep):
                    found.append(kept.claim.id)
        return found

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
        some = None if numbers is None else set(numbers)
        with self._lock:
            kept = self.kept.get(run_id)
            rows = [
                row
                for row in ([] if kept is None else kept.nodes.values())
                if (every or (kept is not None and row["execution"] == kept.execution))
                and (some is None or row["number"] in some)
                and state in {None, row["state"]}
            ]
        return [kept_node_record(row) for row in sorted(rows, key=lambda row: int(row["number"]))]

    def nodes_called(self, run_id: str, which: str, *, every: bool = True) -> list[NodeRecord]:
        """Return the nodes of every execution, or of the last one, that a number, a task or a label stands for.

        Where there are none: those that were made of a task of a workflow that has parameters.
        """
        nodes = self.nodes(run_id, every=every)
        found = [each for each in nodes if which in {str(each.number), each.name, each.label}]
        return found or [each for each in nodes if each.name.startswith(f"{which}[") and each.name.endswith("]")]

    def names_of_nodes(self, run_id: str) -> list[str]:
        """Return the names of the tasks that a run has called."""
        return list(dict.fromkeys(each.name for each in self.nodes(run_id, every=True) if each.codec != BARRIER))

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        with self._lock:
            kept = self.kept.get(run_id)
            rows = [] if kept is None else sorted(kept.edges)
        return [EdgeRecord(up, down, exogenous, tolerant) for down, up, exogenous, tolerant in rows]

    def attempts(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None
    ) -> list[AttemptRecord]:
        """Return the attempts before the last one of each node, or all of them, by node and attempt."""
        some = None if numbers is None else set(numbers)
        with self._lock:
            kept = self.kept.get(run_id)
            if kept is None:
                return []
            last = map(attempt_of, kept.nodes.values()) if every else ()
            rows = {**{row[:2]: row for row in last if row is not None}, **kept.attempts}
            rows = rows if some is None else {key: row for key, row in rows.items() if key[0] in some}
            facts = {key: json.loads(text) for key, text in kept.facts.items() if key in rows}
        return [
            AttemptRecord(
                number, attempt, state, utc_moment(started), utc_moment(ended), error, facts.get((number, attempt), {})
            )
            for number, attempt, state, started, ended, error in map(rows.__getitem__, sorted(rows))
        ]

    def failures(self, run_id: str, since: float = 0.0) -> list[AttemptRecord]:
        """Return the attempts of all executions that failed, from a moment on, in the order of their ends."""
        every = self.attempts(run_id, every=True)
        found = [each for each in every if each.state is State.FAILED and (each.ended_at or ZERO).timestamp() >= since]
        return sorted(found, key=lambda each: each.ended_at or ZERO)

    def last_parts(self, run_id: str) -> tuple[int, int]:
        """Return the part of the last line that a run has logged, and of the last output; 0 where there is none."""
        with self._lock:
            kept = self.kept.get(run_id)
            return (0, 0) if kept is None else (len(kept.logs), kept.parts)

    def last_moves(self, run_id: str) -> list[LastMove]:
        """Return where each node of the last execution of a run stands, by number, without its value."""
        with self._lock:
            kept = self.kept.get(run_id)
            rows = [] if kept is None else [row for row in kept.nodes.values() if row["execution"] == kept.execution]
        return sorted(last_move_of(row) for row in rows if row["codec"] != BARRIER)

    def functions(self, run_id: str) -> list[FunctionRow]:
        """Return the functions that a run has called: their names and modules, and whether the run began in those."""
        with self._lock:
            kept = self.kept.get(run_id)
            return [] if kept is None else list(kept.functions)

    def attempts_by_task(self, run_id: str) -> dict[str, int]:
        """Return the number of the last attempt of each task, by its name, in all executions of a run."""
        found: dict[str, int] = {}
        with self._lock:
            kept = self.kept.get(run_id)
            for row in [] if kept is None else kept.nodes.values():
                if row["attempt"] and row["codec"] != BARRIER:
                    found[row["name"]] = max(row["attempt"], found.get(row["name"], 0))
        return found

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
        with self._lock:
            kept = self.kept.get(run_id)
            rows = [] if kept is None else list(kept.output.items())
        return [
            OutputRecord(row[0], row[1], part, row[2], row[3], utc_moment(row[4]) or ZERO, row[5])
            for part, row in rows
            if part > after and number in {None, row[0]} and attempt in {None, row[1]}
        ][:limit]

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the definitions of a run, oldest first, each with the first execution that was built from it."""
        with self._lock:
            kept = self.kept.get(run_id)
            return [] if kept is None else list(kept.definitions)

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
        some = None if numbers is None else set(numbers)
        with self._lock:
            kept = self.kept.get(run_id)
            every = [] if kept is None else list(enumerate(kept.logs, 1))
        rows = [(part, row) for part, row in every if part > beyond and (some is None or row[1] in some)][after:][
            :limit
        ]
        return [LogRecord(utc_moment(row[0]) or ZERO, row[1], row[2], row[3], row[4], part=part) for part, row in rows]

    def registered(self, name: str | None = None) -> list[WorkflowRecord]:
        """Return the workflows by name, or the one of a name."""
        with self._lock:
            return [record for key, record in sorted(self._workflows.items()) if name in {None, key}]
