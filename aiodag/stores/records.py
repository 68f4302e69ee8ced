"""The records of a store: what is remembered of runs, nodes, edges, attempts and log lines.

A store writes and gives back plain values; moments are seconds since the epoch (UTC) inside a store, and aware
`datetime` objects in what it gives to people.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from aiodag._core.states import State

UNSEEN = "unseen"  # in place of when a process began: there is one, and no more can be known


class Owner(NamedTuple):
    """The process that owns a run: host, process id, and when that process began, in its system's own count."""

    host: str
    pid: int
    began: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @classmethod
    def here(cls) -> "Owner":
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), began(os.getpid()))

    def gone(self) -> bool:
        """Tell whether the process is known to have ended: only on its own host can that be known."""
        return self.host == socket.gethostname() and began(self.pid) not in {self.began, UNSEEN}


def began(pid: int) -> str:
    """Return when a process began, empty if there is none: a number of a process may be given out again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no /proc, or one that shows the processes of others to nobody
        return UNSEEN if alive(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # a zombie has ended, and waits to be looked at


def alive(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Claim(NamedTuple):
    """What a process asks of a store: to own a run, new or known, for `lease` seconds and as long as it renews."""

    id: str
    name: str
    entry: Mapping[str, Any] | None
    owner: Owner
    lease: float
    at: float


class Known(NamedTuple):
    """A node as a run knows it from earlier executions."""

    number: int
    state: State
    attempt: int
    codec: str
    value: str | bytes | None


class Claimed(NamedTuple):
    """What a store answers: the run's number, the number of this execution, which fences its writes, and what is known."""

    run: int
    execution: int
    known: dict[str, Known]


# The columns of a node's row, in the order of the table.
NODE_COLUMNS = (
    "number",
    "key",
    "name",
    "version",
    "label",
    "state",
    "attempt",
    "parent",
    "codec",
    "value",
    "error",
    "site",
    "created_at",
    "started_at",
    "ended_at",
)
NodeRow = tuple[Any, ...]


@dataclass
class Batch:
    """What one transaction writes: rows as the tables have them, without the number of the run."""

    nodes: list[NodeRow] = field(default_factory=list)
    edges: list[tuple[int, int, bool, bool]] = field(default_factory=list)  # down, up, exogenous, tolerant
    attempts: list[tuple[Any, ...]] = field(default_factory=list)  # number, attempt, state, started, ended, error
    logs: list[tuple[Any, ...]] = field(default_factory=list)  # at, number, level, logger, text
    recalled: list[int] = field(default_factory=list)  # numbers of nodes
    again: list[int] = field(default_factory=list)  # numbers of nodes whose last attempt was in an earlier execution
    cache: list[tuple[Any, ...]] = field(default_factory=list)  # key, task, codec, value, at
    state: State | None = None  # of the run, with its last write
    error: str = ""
    at: float = 0.0


def moment(seconds: float | None) -> datetime | None:
    """Return a stored moment for people: aware, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as a store remembers it."""

    id: str
    name: str
    state: State
    execution: int
    created_at: datetime
    started_at: datetime
    ended_at: datetime | None
    entry: Mapping[str, Any] | None
    owner: Owner | None
    error: str
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as a store remembers it. `value` and `error` are as the codec wrote them."""

    number: int
    key: str
    name: str
    version: str
    label: str
    state: State
    attempt: int
    parent: int | None
    codec: str
    value: str | bytes | None
    error: str
    site: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    recalled: bool


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """An edge between two nodes of a run, by their numbers."""

    up: int
    down: int
    exogenous: bool
    tolerant: bool


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt of a node. `error` is as the codec wrote it."""

    number: int
    attempt: int
    state: State
    started_at: datetime | None
    ended_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line that a body logged: the node's number, or None outside of one."""

    at: datetime
    number: int | None
    level: str
    logger: str
    text: str
