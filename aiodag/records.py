"""The records of a store: what is remembered of runs, nodes, edges, attempts, output, log lines and workflows.

A store writes and gives back plain values; moments are seconds since the epoch (UTC) inside a store, and aware
`datetime` objects in what it gives to people. Where something in a row cannot be read, because somebody or a disk has
written over it, `damaged` says what, and the rest of the record is as good as it can be.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from aiodag.errors import RunOwned, StoreError
from aiodag.processes import UNSEEN, began_at, surroundings
from aiodag.states import State

KEEP = 2**20  # bytes that a store keeps of each stream of an attempt
# Bytes of one value, error or line. SQLite takes a billion for a whole row: https://sqlite.org/limits.html
LARGEST = 990_000_000
NO_TAGS: Mapping[str, str] = MappingProxyType({})
NO_ATTEMPTS: Mapping[str, int] = MappingProxyType({})
BARRIER = "barrier"  # in place of a codec: a node of a workflow that only joins edges, and has no value
CUT_OFF = "cut off: its process ended"  # in place of the error of an attempt whose end nobody has seen


class Owner(NamedTuple):
    """The process that owns a run: host, process id, and when that process began.

    `began` is a count of its system's own, and what says where that count and the id are of this very process: the start
    of the system, and the processes that see each other there. These are missing where the system does not tell, and where
    1.3 has written.

    >>> import os
    >>> from aiodag import Run
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:owner", id="monday"):
    ...     owner = Service("memory:owner").run("monday").owner
    >>> owner.pid == os.getpid(), owner.gone()
    (True, False)
    """

    host: str
    pid: int
    began: str

    def __str__(self) -> str:
        ours = "this process, " if self == Owner.here() else ""
        return f"{ours}process {self.pid} on {self.host}"

    @classmethod
    def here(cls) -> "Owner":
        """Return this process."""
        return process_of(os.getpid())

    def gone(self) -> bool:
        """Return True if the process is known to have ended.

        The name of its host says nothing of that: containers, clones, and machines that began anew share names and ids.
        """
        count, *where = self.began.split()
        return bool(where) and where == surroundings() and began_at(self.pid) not in {count, UNSEEN}


@cache
def process_of(pid: int) -> Owner:
    """Return this process, which has that id: a forked child has another."""
    return Owner(socket.gethostname(), pid, " ".join([began_at(pid), *surroundings()]))


def live_owner(owner: Owner | None, until: float | None, at: float) -> Owner | None:
    """Return who has a run: a process that has not ended, as far as can be known, and whose lease has not run out."""
    if owner is None or until is None or until <= at or owner.gone():
        return None
    return owner


def refuse_owned(run_id: str, owner: Owner | None, until: float | None, at: float) -> None:
    """Refuse to change a run that somebody works on. Raises `RunOwned`."""
    holder = live_owner(owner, until, at)
    if holder is not None and until is not None:
        raise RunOwned(run_id, holder, until - at)


class Claim(NamedTuple):
    """What a process asks of a store: to own a run, new or known, for `lease` seconds, and on as long as it renews its lease.

    `definition` is the text that this execution is built from, if there is one. Where it or `entry` is None, or `tags` are
    empty, those of an earlier execution stay.

    >>> import time
    >>> from aiodag.records import Claim, Owner
    >>> from aiodag.stores import Memory
    >>> claim = Claim("monday", "etl", None, Owner.here(), lease=15, at=time.time())
    >>> [claimed.execution for claimed in Memory().claim_all([claim])]
    [1]
    """

    id: str
    name: str
    entry: Mapping[str, Any] | None
    owner: Owner
    lease: float
    at: float
    tags: Mapping[str, str] = NO_TAGS
    definition: str | None = None

    def refuse(self, name: str, owner: Owner | None, until: float | None) -> None:
        """Refuse to take over a run of another name, or one that somebody works on. Raises `StoreError`, `RunOwned`."""
        if name != self.name:
            msg = f"run {self.id!r} is one of {name!r}, not of {self.name!r}: use another id"
            raise StoreError(msg)
        # Of a process that claims several runs at once, the lease is not written yet: no longer than one lasts.
        refuse_owned(self.id, owner, None if until is None else min(until, self.at + self.lease), self.at)


class Known(NamedTuple):
    """A node as a run knows it from earlier executions.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> [(known.state.value, known.attempt, known.value) for known in store.known_nodes("monday").values()]
    [('succeeded', 1, '3')]
    """

    number: int
    state: State
    attempt: int
    codec: str
    value: str | bytes | None
    error: str = ""  # of what has failed, or was skipped by its body
    void: bool | None = False  # whether the outcome counts no longer: it runs again. None: version 1.2 did not say
    failures: int = 0  # attempts that have failed since it was begun anew: they count against `retries`
    turn: int = 0  # when it began to run, in the order of all nodes in all executions
    execution: int = 0  # that had it last


class Claimed(NamedTuple):
    """What a store answers: the run's number, the number of this execution, which fences its writes, and what is known.

    >>> import time
    >>> from aiodag.records import Claim, Owner
    >>> from aiodag.stores import Memory
    >>> (claimed,) = Memory().claim_all([Claim("monday", "etl", None, Owner.here(), lease=15, at=time.time())])
    >>> claimed.execution, claimed.begun, claimed.known
    (1, 1, {})
    """

    run: int
    execution: int
    known: dict[str, Known]
    functions: "Sequence[FunctionRow]" = ()  # what earlier executions have called
    tried: Mapping[str, int] = NO_ATTEMPTS  # last attempts by task, of a run with a definition
    begun: int = 1  # how often somebody has begun it: again after it had ended


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
# What only a later execution asks for comes behind them.
ROW_COLUMNS = (*NODE_COLUMNS, "failures", "turn")
NodeRow = tuple[Any, ...]
# Of output: number, attempt, stream, start (how many bytes of the stream came before), at, bytes.
OutputRow = tuple[int, int, str, int, float, bytes]
# What is kept no longer: number, attempt, stream, and the start and the end of a range; rows that lie in it as a whole go.
TrimmedRow = tuple[int, int, str, int, int]


# What a run has called: the name of a function, its module, and whether the run began in that.
FunctionRow = tuple[str, str, bool]


@dataclass
class Batch:
    """What one transaction writes: rows as the tables have them, without the number of the run.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> class Told(Memory):
    ...     def write_all(self, writes):
    ...         for write in writes:
    ...             if write.batch.state:
    ...                 print(write.run_id, write.batch.state)
    ...         return super().write_all(writes)
    >>> async with Run("etl", store=Told(), id="monday"):
    ...     node = task(sum)([1, 2])
    monday succeeded
    """

    nodes: list[NodeRow] = field(default_factory=list)
    edges: list[tuple[int, int, bool, bool]] = field(default_factory=list)  # down, up, exogenous, tolerant
    attempts: list[tuple[Any, ...]] = field(default_factory=list)  # number, attempt, state, started, ended, error
    logs: list[tuple[Any, ...]] = field(default_factory=list)  # at, number, level, logger, text
    recalled: list[int] = field(default_factory=list)  # numbers of nodes
    void: list[tuple[int, int]] = field(default_factory=list)  # attempts (number, attempt) that count no longer
    again: list[int] = field(default_factory=list)  # numbers of nodes whose last attempt was in an earlier execution
    functions: list[FunctionRow] = field(default_factory=list)
    cache: list[tuple[Any, ...]] = field(default_factory=list)  # key, task, codec, value, at
    facts: list[tuple[int, int, str]] = field(default_factory=list)  # number, attempt, all facts as JSON
    output: list[OutputRow] = field(default_factory=list)
    trimmed: list[TrimmedRow] = field(default_factory=list)
    state: State | None = None  # of the run, with its last write
    error: str = ""
    at: float = 0.0

    def __bool__(self) -> bool:
        """Return True if there is anything in it."""
        return any(self.__dict__.values())


class Write(NamedTuple):
    """One batch of one run, on its way to a store.

    >>> import time
    >>> from aiodag import State
    >>> from aiodag.records import Batch, Claim, Owner, Write
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> (claimed,) = store.claim_all([Claim("monday", "etl", None, Owner.here(), lease=15, at=time.time())])
    >>> store.write_all([Write(claimed, "monday", Batch(state=State.SUCCEEDED, at=time.time()))])
    [None]
    """

    claimed: Claimed
    run_id: str
    batch: Batch


class RunFilter(NamedTuple):
    """Which runs a store is asked for: all that is given must hold.

    `since` is the moment, in seconds since the epoch, from which on the last execution began. All `tags` must be there.

    >>> from aiodag import Run
    >>> from aiodag.records import RunFilter
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> for day in ("monday", "tuesday"):
    ...     async with Run("etl", store=store, id=day, tags={"day": day}):
    ...         pass
    >>> [run.id for run in store.runs(wanted=RunFilter(name="etl", tags={"day": "monday"}))]
    ['monday']
    """

    name: str | None = None
    state: str | None = None
    tags: Mapping[str, str] = NO_TAGS
    since: float | None = None


def utc_moment(seconds: float | None) -> datetime | None:
    """Return a stored moment for people: aware, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as a store remembers it.

    `counts` are those of the last execution, without barriers. `definition` is the text that it was built from, only in the
    record of one run, as `run(id)` returns it: it may be large.

    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:run-record", id="monday"):
    ...     node = task(sum)([1, 2])
    >>> run = Service("memory:run-record").run("monday")
    >>> run.name, run.state.value, run.execution, run.counts
    ('etl', 'succeeded', 1, {<State.SUCCEEDED: 'succeeded'>: 1})
    """

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
    tags: Mapping[str, str] = field(default_factory=dict)
    definition: str | None = None
    damaged: str = ""

    @property
    def orphan(self) -> bool:
        """Whether the run has not ended, and nobody works on it."""
        return self.ended_at is None and (self.owner is None or self.owner.gone())


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as a store remembers it. `value` and `error` are as the codec wrote them.

    The `codec` of a barrier is "barrier": such a node only joins edges.

    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:node-record", id="monday"):
    ...     node = task(sum)([1, 2])
    >>> [(node.label, node.attempt, node.value) for node in Service("memory:node-record").nodes("monday")]
    [('sum', 1, '3')]
    """

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
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class EdgeRecord:
    """An edge between two nodes of a run, by their numbers.

    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:edge-record", id="monday"):
    ...     node = task(sum)([task(abs)(-1), 2])
    >>> Service("memory:edge-record").edges("monday")
    [EdgeRecord(up=0, down=1, exogenous=False, tolerant=False)]
    """

    up: int
    down: int
    exogenous: bool
    tolerant: bool


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt of a node. `error` is as the codec wrote it; `facts` are what its body told of itself, such as the
    `code` and the `host` of a command.

    >>> from aiodag import Run, current_node, task
    >>> from aiodag.service import Service
    >>> @task(retries=1)
    ... async def fetch():
    ...     if current_node().attempt == 1:
    ...         raise TimeoutError
    >>> async with Run("etl", store="memory:attempt-record", id="monday"):
    ...     node = fetch()
    >>> [(each.attempt, str(each.state)) for each in Service("memory:attempt-record").attempts("monday")]
    [(1, 'failed'), (2, 'succeeded')]
    """

    number: int
    attempt: int
    state: State
    started_at: datetime | None
    ended_at: datetime | None
    error: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    r"""A part of what an attempt wrote to one stream, "stdout" or "stderr", in the order of `part` within its run.

    `start` is how many bytes of the stream came before. Of a long stream the store keeps the head and the tail: where a
    part starts later than the one before it ended, the bytes between them are left out.

    >>> from aiodag import Run
    >>> from aiodag.commands import command
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:output-record", id="monday"):
    ...     node = command("echo", "rows")()
    >>> [(part.stream, part.start, part.bytes) for part in Service("memory:output-record").output("monday")]
    [('stdout', 0, b'rows\n')]
    """

    number: int
    attempt: int
    part: int
    stream: str
    start: int
    at: datetime
    bytes: bytes
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """A workflow that is known by its name: where it comes from, and its text when it was registered.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> record = Service("memory:workflow-record").register("hello.json")
    >>> record.name, record.document
    ('hello', '{"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}')
    """

    name: str
    target: str
    document: str
    tags: Mapping[str, str]
    registered_at: datetime
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line that a body logged: the node's number, or None outside of one.

    `part` is its place among the lines of its run: later ones have larger numbers.

    >>> import logging
    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:log-record", id="monday"):
    ...     node = task(logging.warning)("late")
    >>> [(line.level, line.text) for line in Service("memory:log-record").logs("monday")]
    [('WARNING', 'late')]
    """

    at: datetime
    number: int | None
    level: str
    logger: str
    text: str
    damaged: str = ""
    part: int = 0


def checked_keep(given: object) -> int:
    """Check how many bytes of a stream are to be kept."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    msg = f"keep={given!r}: an int of 0 or more, the bytes that are kept of each stream of an attempt"
    raise StoreError(msg)


def registered_already(name: str, store: object) -> StoreError:
    """Return the error for a second workflow of a name."""
    return StoreError(f"a workflow {name!r} is registered in {store} already: replace it, or take another name")


def left_out(parts: Iterable[OutputRecord]) -> int:
    """Return how many bytes of one stream of one attempt are missing between its parts.

    >>> from datetime import UTC, datetime
    >>> from aiodag.records import OutputRecord, left_out
    >>> at = datetime.now(UTC)
    >>> head = OutputRecord(1, 1, 1, "stdout", 0, at, b"one ")
    >>> tail = OutputRecord(2, 1, 1, "stdout", 9, at, b"two")
    >>> left_out([head, tail])
    5
    """
    dropped = end = 0
    for part in parts:
        dropped += part.start - end
        end = part.start + len(part.bytes)
    return dropped


def output_text(parts: Iterable[OutputRecord]) -> str:
    """Return the parts of one stream of one attempt as text, with a line where something is left out.

    They are read as UTF-8; what is not valid becomes U+FFFD.

    >>> from datetime import UTC, datetime
    >>> from aiodag.records import OutputRecord, output_text
    >>> at = datetime.now(UTC)
    >>> head = OutputRecord(1, 1, 1, "stdout", 0, at, b"one ")
    >>> tail = OutputRecord(2, 1, 1, "stdout", 9, at, b"two")
    >>> print(output_text([head, tail]))
    one
    [5 bytes are left out here]
    two
    """
    pieces: list[bytes] = []
    end = 0
    for part in parts:
        if part.start > end:
            pieces.append(f"\n[{part.start - end:,} bytes are left out here]\n".encode())
        pieces.append(part.bytes)
        end = part.start + len(part.bytes)
    return b"".join(pieces).decode("utf-8", "replace")
