"""Rows of a store as records for people, whatever is in them.

Somebody may have written to the database, or a disk may have. A row of which something cannot be read is a record all the same,
with what can be, and says what is damaged: it must not hide other rows.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiodag.mail import WaitSeen
from aiodag.processes import UNSEEN
from aiodag.records import (
    AttemptRecord,
    FunctionRow,
    Known,
    LogRecord,
    NodeRecord,
    OutputRecord,
    Owner,
    RunRecord,
    WorkflowRecord,
)
from aiodag.states import NODE_STATES, State

STATES = {str(state): state for state in State}
EPOCH = datetime.fromtimestamp(0, UTC)
SHOWN = 40  # characters of what cannot be read
LAST = 2**63 - 1  # above all numbers of nodes; and a limit where there is none, which each database calls otherwise
Row = tuple[Any, ...]


class Column(NamedTuple):
    """How a column is read, and what stands in its place when it cannot be."""

    name: str
    read: Callable[[Any], Any]
    instead: Any


class Damaged(ValueError):
    """Raised when a column does not hold what it should."""


def text_column(value: object) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise Damaged


def count_column(value: object) -> int:
    """Return a number of something: 0 or more."""
    if isinstance(value, int) and value >= 0:
        return value
    raise Damaged


def number_column(value: object) -> int:
    """Return a number."""
    if isinstance(value, int):
        return value
    raise Damaged


def raw(value: object) -> bytes:
    """Return bytes."""
    if isinstance(value, bytes):
        return value
    raise Damaged


def moment_column(value: Any) -> datetime:
    """Return a moment: aware, UTC."""
    return datetime.fromtimestamp(value, UTC)


def begin_column(value: Any) -> datetime | None:
    """Return when a run began; None for 0, of one that never did."""
    return None if value == 0 else moment_column(value)


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object."""
    found = json.loads(value)
    if isinstance(found, dict):
        return found
    raise Damaged


def tags(value: object) -> dict[str, str]:
    """Return tags."""
    return {text_column(name): text_column(tag) for name, tag in mapping(value).items()}


def owner_column(value: Any) -> Owner:
    """Return the process that owns a run."""
    host, pid, *began = json.loads(value)
    return Owner(text_column(host), count_column(pid), " ".join(map(text_column, began)))


def owner_text(owner: Owner) -> str:
    """Return a process as the column has it: in 1.4 with more parts than before, for 1.3 would misread what it compares."""
    return json.dumps([owner.host, owner.pid, *owner.began.split()])


def counts_column(value: Any) -> dict[State, int]:
    """Return how many nodes are in which state."""
    counts = map(count_column, json.loads(value))
    return {state: count for state, count in zip(NODE_STATES, counts, strict=True) if count}


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that takes null as well."""
    return lambda value: None if value is None else read(value)


def anything(value: object) -> Any:
    """Return what a codec will read, or say that it cannot."""
    return value


def owner_of(value: str) -> Owner:
    """Return the process that owns a run; one that is not known, and may go on, where that cannot be read."""
    try:
        return owner_column(value)
    except (ValueError, TypeError):
        return Owner("an unknown host", 0, UNSEEN)


RUN = (
    Column("id", text_column, "?"),
    Column("name", text_column, "?"),
    Column("state", State, State.FAILED),
    Column("execution", count_column, 0),
    Column("entry", optional(mapping), None),
    Column("error", text_column, ""),
    Column("created_at", moment_column, EPOCH),
    Column("started_at", begin_column, None),
    Column("ended_at", optional(moment_column), None),
    Column("owner", optional(owner_column), None),
    Column("tags", tags, {}),
    Column("queue", optional(text_column), None),
    Column("priority", number_column, 0),
    Column("due_at", optional(moment_column), None),
    Column("deaths", count_column, 0),
    Column("definition", optional(text_column), None),
    Column("parent_run", optional(text_column), None),
    Column("generation", count_column, 0),
    Column("turn", optional(text_column), None),
    Column("schedule", optional(text_column), None),
    Column("group", optional(text_column), None),
    Column("is_held", bool, False),
    Column("counts", optional(counts_column), None),
)
NODE = (
    Column("number", count_column, -1),
    Column("key", text_column, ""),
    Column("name", text_column, "?"),
    Column("version", text_column, ""),
    Column("label", text_column, "?"),
    Column("state", State, State.FAILED),
    Column("attempt", count_column, 0),
    Column("parent", optional(count_column), None),
    Column("codec", text_column, ""),
    Column("value", anything, None),
    Column("error", text_column, ""),
    Column("site", text_column, ""),
    Column("created_at", moment_column, EPOCH),
    Column("started_at", optional(moment_column), None),
    Column("ended_at", optional(moment_column), None),
    Column("recalled", bool, False),
)
ATTEMPT = (
    Column("number", count_column, -1),
    Column("attempt", count_column, 0),
    Column("state", State, State.FAILED),
    Column("started_at", optional(moment_column), None),
    Column("ended_at", optional(moment_column), None),
    Column("error", text_column, ""),
    Column("facts", lambda value: {} if value is None else mapping(value), {}),
)
OUTPUT = (
    Column("number", count_column, -1),
    Column("attempt", count_column, 0),
    Column("part", count_column, 0),
    Column("stream", text_column, "?"),
    Column("start", count_column, 0),
    Column("at", moment_column, EPOCH),
    Column("bytes", raw, b""),
)
LOG = (
    Column("at", moment_column, EPOCH),
    Column("number", optional(count_column), None),
    Column("level", text_column, "?"),
    Column("logger", text_column, "?"),
    Column("text", text_column, "?"),
    Column("part", count_column, 0),
)
WORKFLOW = (
    Column("name", text_column, "?"),
    Column("target", text_column, ""),
    Column("document", text_column, "{}"),
    Column("tags", tags, {}),
    Column("registered_at", moment_column, EPOCH),
)


def read_row(columns: tuple[Column, ...], row: Row) -> tuple[dict[str, Any], str]:
    """Return the values of a row by column, and what of it is damaged: empty if nothing is."""
    values: dict[str, Any] = {}
    damaged: list[str] = []
    for column, value in zip(columns, row, strict=True):
        try:
            values[column.name] = column.read(value)
        except (ValueError, TypeError, OverflowError, OSError, RecursionError):
            values[column.name] = column.instead
            damaged.append(f"{column.name}={value!r:.{SHOWN}}")
    return values, ", ".join(damaged)


def record_maker(kind: Callable[..., Any], columns: tuple[Column, ...]) -> Callable[[Row], Any]:
    """Return a function that makes a record of a row."""

    def record_of(row: Row) -> Any:
        values, damaged = read_row(columns, row)
        return kind(**values, damaged=damaged) if damaged else kind(**values)

    return record_of


attempt_record: Callable[[Row], AttemptRecord] = record_maker(AttemptRecord, ATTEMPT)
output_record: Callable[[Row], OutputRecord] = record_maker(OutputRecord, OUTPUT)
log_record: Callable[[Row], LogRecord] = record_maker(LogRecord, LOG)
workflow_record: Callable[[Row], WorkflowRecord] = record_maker(WorkflowRecord, WORKFLOW)
node_record_of: Callable[[Row], NodeRecord] = record_maker(NodeRecord, NODE)


def sql_node_record(row: Row) -> NodeRecord:
    """Return a node for people. There may be millions, and hardly one of them is damaged."""
    try:
        plain: list[Any] = list(row)
        plain[5] = STATES[plain[5]]
        plain[12] = moment_column(plain[12])
        plain[13] = None if plain[13] is None else moment_column(plain[13])
        plain[14] = None if plain[14] is None else moment_column(plain[14])
        plain[15] = bool(plain[15])
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return node_record_of(row)
    sound = type(plain[0]) is type(plain[6]) is int and plain[0] >= 0 and all(type(plain[at]) is str for at in TEXTS)
    return NodeRecord(*plain) if sound else node_record_of(row)


TEXTS = tuple(place for place, column in enumerate(NODE) if column.read is text_column)


def sql_run_record(row: Row, counts: Mapping[State, int]) -> RunRecord:
    """Return a run for people, with those counts where its row has none."""
    values, damaged = read_row(RUN, row[1:])
    if values["counts"] is None:
        values["counts"] = counts
    return RunRecord(**values, damaged=damaged)


def known_from_rows(rows: Iterable[Sequence[Any]]) -> dict[str, Known]:
    """Return the nodes of all executions by their keys.

    One whose row is damaged is not known, and runs again.
    """
    return {
        key: Known(number, STATES[state], attempt, codec, value, error, void, failures, turn, execution)
        for key, number, state, attempt, codec, value, error, void, failures, turn, execution in rows
        if state in STATES
        and type(number) is type(attempt) is type(failures) is type(turn) is type(execution) is int
        and type(key) is type(codec) is type(error) is str
    }


def functions_from_rows(rows: Iterable[Sequence[Any]]) -> list[FunctionRow]:
    """Return the functions that a run has called: their names and modules, and whether the run began in those."""
    return [(str(name), str(module), bool(main)) for name, module, main in rows]


def seen_waits(rows: Iterable[tuple[Any, ...]], now: float) -> dict[int, WaitSeen]:
    """Return what is recorded of the waits of a run, by the numbers of their nodes."""
    return {
        number: WaitSeen(settled == 1, due_at - now if isinstance(due_at, int | float) else None)
        for number, settled, due_at in rows
        if type(number) is int
    }
