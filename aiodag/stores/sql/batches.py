"""What runs have done, as the rows of a transaction: of one run or of many, each statement for all of them."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiodag.errors import LeaseLost
from aiodag.records import Batch, Write
from aiodag.states import State, next_run_state
from aiodag.stores.sql.statements import listed, pieces, put, query

# statement: which rows of a batch it writes, each behind the number of the run.
TABLES: dict[str, Callable[[Batch], list[tuple[Any, ...]]]] = {
    "put_edges": lambda batch: batch.edges,
    "put_attempts": lambda batch: batch.attempts,
    "put_logs": lambda batch: batch.logs,
    "put_functions": lambda batch: batch.functions,
    "put_facts": lambda batch: batch.facts,
    "put_output": lambda batch: batch.output,
}


def fenced(connection: sqlite3.Connection, writes: Sequence[Write]) -> tuple[list[BaseException | None], list[Write]]:
    """Return for each batch why it must not be written, and those that may be: of runs that are still their writer's."""
    found: dict[int, tuple[str, int, str | None]] = {}
    for some in pieces([write.claimed.run for write in writes]):
        for run, *row in connection.execute(listed("owned_runs", len(some)), some):
            found[run] = tuple(row)
    errors: list[BaseException | None] = []
    for write in writes:
        run_id, execution, owner = found.get(write.claimed.run, (None, 0, None))
        lost = run_id != write.run_id or execution != write.claimed.execution or owner is None
        errors.append(LeaseLost(write.run_id, deleted=run_id != write.run_id) if lost else None)
    return errors, [write for write, error in zip(writes, errors, strict=True) if error is None]


def put_batches(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """Write batches of several runs."""
    for write in writes:
        for some in pieces(write.batch.again):  # before their rows are written over
            connection.execute(listed("keep_attempts", len(some)), (write.claimed.run, *some))
    put(
        connection,
        "put_nodes",
        [(write.claimed.run, write.claimed.execution, 0, 0, *row) for write in writes for row in write.batch.nodes],
    )
    put_each(connection, "void_attempt", writes, lambda batch: batch.void)
    for name, rows in TABLES.items():
        put(connection, name, [(write.claimed.run, *row) for write in writes for row in rows(write.batch)])
    put(connection, "put_cache", [row for write in writes for row in write.batch.cache])
    put_each(connection, "trim_output", writes, lambda batch: batch.trimmed)
    for write in writes:
        for some in pieces(write.batch.recalled):
            connection.execute(listed("mark_recalled", len(some)), (write.claimed.execution, write.claimed.run, *some))
    connection.executemany(
        query("end_run"),
        [
            (next_run_state(State.RUNNING, write.batch.state), write.batch.error, write.batch.at, write.claimed.run)
            for write in writes
            if write.batch.state is not None
        ],
    )


def put_each(
    connection: sqlite3.Connection,
    name: str,
    writes: Sequence[Write],
    rows: Callable[[Batch], Iterable[tuple[Any, ...]]],
) -> None:
    """Write rows with a statement for each: of what is rare."""
    connection.executemany(query(name), [(write.claimed.run, *row) for write in writes for row in rows(write.batch)])
