"""Rows of a SQLite store as records for people."""

import json
import sqlite3
from typing import Any

from aiodag._core.states import State
from aiodag.stores.records import (
    AttemptRecord,
    Known,
    NodeRecord,
    OutputRecord,
    Owner,
    RunRecord,
    WorkflowRecord,
    moment,
)
from aiodag.stores.statements import query

STATES = {str(state): state for state in State}
Row = tuple[Any, ...]


def known_of(connection: sqlite3.Connection, run_id: str) -> dict[str, Known]:
    """Return the nodes of all executions by their keys."""
    return {
        key: Known(number, STATES[state], attempt, codec, value)
        for key, number, state, attempt, codec, value in connection.execute(query("known"), (run_id,))
    }


def known_moment(seconds: float) -> Any:
    """Return a stored moment that is never missing."""
    return moment(seconds)


def run_record(row: Row, counts: dict[State, int]) -> RunRecord:
    """Return a run for people."""
    _, run_id, name, state, execution, entry, error, created, started, ended, owner, tags, definition = row
    return RunRecord(
        id=run_id,
        name=name,
        state=State(state),
        execution=execution,
        created_at=known_moment(created),
        started_at=known_moment(started),
        ended_at=moment(ended),
        entry=None if entry is None else json.loads(entry),
        owner=None if owner is None else Owner(*json.loads(owner)),
        error=error,
        counts=counts,
        tags=json.loads(tags),
        definition=definition,
    )


def node_record(row: Row) -> NodeRecord:
    """Return a node for people."""
    plain: list[Any] = list(row)
    plain[5] = State(plain[5])
    plain[12:15] = map(moment, plain[12:15])
    plain[15] = bool(plain[15])
    return NodeRecord(*plain)


def attempt_record(row: Row) -> AttemptRecord:
    """Return an attempt for people."""
    number, attempt, state, started, ended, error, facts = row
    told = {} if facts is None else json.loads(facts)
    return AttemptRecord(number, attempt, State(state), moment(started), moment(ended), error, told)


def output_record(row: Row) -> OutputRecord:
    """Return a part of output for people."""
    number, attempt, part, stream, start, at, content = row
    return OutputRecord(number, attempt, part, stream, start, known_moment(at), content)


def workflow_record(row: Row) -> WorkflowRecord:
    """Return a workflow for people."""
    name, target, document, tags, registered = row
    return WorkflowRecord(name, target, document, json.loads(tags), known_moment(registered))
