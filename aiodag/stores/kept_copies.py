"""Copy runs out of a store in memory, and into one."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiodag.copies import RUN_COLUMNS, TABLES, Portion, cut_portions, key_there, there_already
from aiodag.errors import StoreError, UnknownRun
from aiodag.records import Claim, refuse_owned
from aiodag.states import NODE_STATES, State
from aiodag.stores.endings import with_marks
from aiodag.stores.kept import NOBODY, KeptPlace, KeptRun, Row, kept_run_record, known_from_kept
from aiodag.stores.kept_runs import KeptRuns
from aiodag.stores.sql.rows import owner_of, owner_text
from aiodag.submissions import Submission

UNQUEUED = {"priority": 0, "ready": 1, "retries": 0, "deaths": 0, "successes": 0}  # a run that was in no queue
COUNTED = ("retries", "deaths", "successes")  # columns that the place of a run in a queue has as they are
PLAIN = (
    "execution",
    "begun",
    "created_at",
    "started_at",
    "ended_at",
    "error",
    "generation",
    "parent_run",
    "parent_node",
    "turn",
)  # columns that a run has as they are


class KeptCopies(KeptRuns):
    """The runs of a store in memory, as those see them who copy."""

    def portions_of(self, run_id: str) -> Iterator[Portion]:
        """Yield all of a run, as it is at the first portion. Raises `UnknownRun`, and `RunOwned` if somebody works on it."""
        with self._lock:
            kept = self.kept.get(run_id)
            if kept is None:
                raise UnknownRun(run_id, self._near(), str(self))
            refuse_owned(run_id, kept.owner, kept.leased_until, time.time())
            run, rows = row_of_kept(kept), list(rows_of_kept(kept))
        yield from cut_portions(run, rows)

    def add_run(self, portions: Iterable[Portion]) -> None:
        """Add a run, which nobody sees before it is there as a whole. Raises `StoreError` for an id that is there."""
        kept: KeptRun | None = None
        for portion in portions:
            try:
                kept = kept_of_row(next(self._numbers), portion.run) if kept is None else kept
                for table, rows in portion.rows.items():
                    ADDED[table](kept, rows)
            except (ValueError, TypeError) as error:  # a store in memory has no rows that cannot be read
                msg = f"run {portion.run['id']!r} is damaged, and cannot be copied to {self}: {error}"
                raise StoreError(msg) from error
        if kept is not None:
            mark_older(kept)
            with self._lock:
                if kept.claim.id in self.kept:
                    raise StoreError(there_already(kept.claim.id, self))
                self._refuse_key(kept)
                self.kept[kept.claim.id] = kept

    def _refuse_key(self, kept: KeptRun) -> None:
        key = None if kept.queued is None else kept.queued.submission.key
        for other in self.kept.values() if key is not None else ():
            if other.queued is not None and other.queued.submission.key == key:
                raise StoreError(key_there({"id": kept.claim.id, "submission": key}, other.claim.id, self))

    def cached_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield what `cache=` has kept."""
        with self._lock:
            rows = list(self._cache.values())
        yield from rows

    def add_cached(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keep values for `cache=`, but for those of keys that are there."""
        with self._lock:
            for row in rows:
                self._cache.setdefault(row[0], row)

    def ids_there(self, run_ids: Collection[str]) -> set[str]:
        """Return which of some ids are those of runs."""
        with self._lock:
            return self.kept.keys() & set(run_ids)


def row_of_kept(kept: KeptRun) -> dict[str, Any]:
    """Return the row of a run."""
    claim = kept.claim
    row: dict[str, Any] = {column: getattr(kept, column) for column in PLAIN}
    row |= {"id": claim.id, "name": claim.name, "state": str(kept.state), "tags": json.dumps(dict(claim.tags))}
    row["entry"] = None if claim.entry is None else json.dumps(claim.entry)
    row["owner"] = None if kept.owner is None else owner_text(kept.owner)
    if kept.ended_at is not None:
        counts = kept_run_record(kept, None).counts
        row["counts"] = json.dumps([counts.get(state, 0) for state in NODE_STATES])
    return {**dict.fromkeys(RUN_COLUMNS), **row_of_place(kept.queued), **row}


def kept_of_row(number: int, row: Mapping[str, Any]) -> KeptRun:
    """Return the run of a row, with nothing that belongs to it."""
    owner = None if row["owner"] is None else owner_of(row["owner"])
    entry = None if row["entry"] is None else json.loads(row["entry"])
    claim = Claim(row["id"], row["name"], entry, owner or NOBODY, 0.0, row["created_at"], json.loads(row["tags"]))
    kept = KeptRun(number, claim, row["created_at"], row["started_at"], owner=owner)
    for column in PLAIN:
        setattr(kept, column, row[column])
    kept.state = State(row["state"])
    kept.queued = place_of_row(row, entry)
    return kept


def row_of_place(place: KeptPlace | None) -> dict[str, Any]:
    """Return what the row of a run says of its queue."""
    if place is None:
        return UNQUEUED
    asked = place.submission
    said = {"queue": asked.queue, "priority": asked.priority, "submission": asked.key, "target": asked.target}
    said |= {"schedule": asked.schedule, "concurrency": asked.group}
    return {**UNQUEUED, **said, "code": asked.code, **{column: getattr(place, column) for column in COUNTED}}


def place_of_row(row: Mapping[str, Any], entry: Mapping[str, Any] | None) -> KeptPlace | None:
    """Return what a queue knows of a run that has ended, if it was in one."""
    if row["queue"] is None:
        return None
    asked = Submission(row["id"], row["name"], entry, row["target"], row["created_at"], queue=row["queue"])
    asked = asked._replace(schedule=row["schedule"], group=row["concurrency"])
    asked = asked._replace(priority=row["priority"], key=row["submission"], code=row["code"], retries=row["retries"])
    return KeptPlace(asked, None, None, **{column: row[column] for column in COUNTED})


def rows_of_kept(kept: KeptRun) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield what belongs to a run, with the table that it belongs to."""
    nodes = (tuple(row[column] for column in TABLES["nodes"]) for row in kept.nodes.values())
    facts = ((number, attempt, text) for (number, attempt), text in kept.facts.items())
    found: dict[str, Iterable[tuple[Any, ...]]] = {
        "definitions": kept.definitions,
        "functions": kept.functions,
        "nodes": nodes,
        "edges": kept.edges,
        "attempts": kept.attempts.values(),
        "facts": facts,
        "logs": kept.logs,
        "output": kept.output.values(),
    }
    for table in TABLES:
        yield from ((table, plain_row(row)) for row in found[table])


def plain_row(row: Iterable[Any]) -> tuple[Any, ...]:
    """Return a row as tables have it: with numbers for what is true or false, and plain texts for states."""
    return tuple(
        int(value) if isinstance(value, bool) else str(value) if isinstance(value, State) else value for value in row
    )


def add_nodes(kept: KeptRun, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add the nodes of some rows."""
    for values in rows:
        row: Row = dict(zip(TABLES["nodes"], values, strict=True))
        row |= {"state": State(row["state"]), "recalled": bool(row["recalled"])}
        kept.nodes[row["number"]] = row


def add_output(kept: KeptRun, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add what programs wrote."""
    for row in rows:
        kept.parts += 1
        kept.output[kept.parts] = row


ADDED: dict[str, Callable[[KeptRun, Sequence[tuple[Any, ...]]], object]] = {
    "definitions": lambda kept, rows: kept.definitions.extend(rows),
    "functions": lambda kept, rows: kept.functions.update(
        {(name, module, bool(main)): None for name, module, main in rows}
    ),
    "nodes": add_nodes,
    "edges": lambda kept, rows: kept.edges.update({(*row[:2], *map(bool, row[2:])): None for row in rows}),
    "attempts": lambda kept, rows: kept.attempts.update({row[:2]: (*row[:2], State(row[2]), *row[3:]) for row in rows}),
    "facts": lambda kept, rows: kept.facts.update({(number, attempt): text for number, attempt, text in rows}),
    "logs": lambda kept, rows: kept.logs.extend(rows),
    "output": add_output,
}


def mark_older(kept: KeptRun) -> None:
    """Mark which failures count no longer, where version 1.2 has not."""
    known = {row["key"]: known_from_kept(row)._replace(void=row["void"]) for row in kept.nodes.values()}
    for each in with_marks(known, kept.execution, kept.state, kept.error).values():
        kept.nodes[each.number]["void"] = bool(each.void)
