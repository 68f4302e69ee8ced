"""The records of a store: what is remembered of runs, nodes, edges, attempts, output, log lines and workflows.

A store writes and gives back plain values; moments are seconds since the epoch (UTC) inside a store, and aware
`datetime` objects in what it gives to people. Where something in a row cannot be read, because somebody or a disk has
written over it, `damaged` says what, and the rest of the record is as good as it can be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiodag.batches import BARRIER as BARRIER
from aiodag.batches import CUT_OFF as CUT_OFF
from aiodag.batches import KEEP as KEEP
from aiodag.batches import LARGEST as LARGEST
from aiodag.batches import NODE_COLUMNS as NODE_COLUMNS
from aiodag.batches import REFERENCE as REFERENCE
from aiodag.batches import ROW_COLUMNS as ROW_COLUMNS
from aiodag.batches import WAS_PARKED as WAS_PARKED
from aiodag.batches import Batch as Batch
from aiodag.batches import NodeRow as NodeRow
from aiodag.batches import OutputRow as OutputRow
from aiodag.batches import TrimmedRow as TrimmedRow
from aiodag.batches import Write as Write
from aiodag.errors import StoreError
from aiodag.mail import Delivered as Delivered
from aiodag.mail import Incoming as Incoming
from aiodag.mail import MessageRecord as MessageRecord
from aiodag.mail import Outgoing as Outgoing
from aiodag.mail import SettledWait as SettledWait
from aiodag.mail import Starter as Starter
from aiodag.mail import TopicRecord as TopicRecord
from aiodag.mail import Wait as Wait
from aiodag.mail import WaitRecord as WaitRecord
from aiodag.mail import WaitRow as WaitRow
from aiodag.mail import WaitSeen as WaitSeen
from aiodag.ownership import NO_ATTEMPTS as NO_ATTEMPTS
from aiodag.ownership import NO_TAGS as NO_TAGS
from aiodag.ownership import Claim as Claim
from aiodag.ownership import Claimed as Claimed
from aiodag.ownership import FunctionRow as FunctionRow
from aiodag.ownership import Generation as Generation
from aiodag.ownership import Known as Known
from aiodag.ownership import Owner as Owner
from aiodag.ownership import Past as Past
from aiodag.ownership import live_owner as live_owner
from aiodag.ownership import process_of as process_of
from aiodag.ownership import refuse_owned as refuse_owned
from aiodag.states import State

LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


class RunFilter(NamedTuple):
    """Which runs to return: those that meet every condition given.

    `since` and `until` are in seconds since the epoch: the last execution began then or later, and the run was made before. A
    run must have all `tags`. `parent_run` is the id of the run that has begun those that are wanted, `schedule` the name of the
    schedule that has. `text` is a part of the id, the name, or the name or value of a tag, in large or small letters (of ASCII:
    with others, SQLite tells those apart).

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
    queue: str | None = None
    parent_run: str | None = None
    schedule: str | None = None
    until: float | None = None
    text: str | None = None


def moment_for_people(seconds: float) -> datetime:
    """Return a stored moment for people: aware, UTC; the last one that there is for all that is later."""
    return LAST_MOMENT if seconds >= LAST_MOMENT.timestamp() else datetime.fromtimestamp(seconds, UTC)


def utc_moment(seconds: float | None) -> datetime | None:
    """Return a stored moment for people, as `moment_for_people`."""
    return None if seconds is None else moment_for_people(seconds)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as a store remembers it.

    `counts` are those of the last execution, without barriers. `definition` is the text that it was built from, only in the
    record of one run, as `run(id)` returns it: it may be large. `started_at` is when the last execution began; None in a run
    that was submitted and never began. `queue` is the one that it was submitted to, or None; `due_at` is when it is to begin at
    the earliest, while that is to come; `deaths` is how many of its owners died since a node last succeeded. `parent_run` is the id of the run that has begun it, if
    one has; `generation` is how often it has begun again with a new history, and `turn` what it did that with, as a store keeps it: in
    the record of one run. `schedule` is the name of the schedule that it is a run of, and `group` that of those of which one goes
    on at a time; `is_held` is True while another one of it does.

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
    started_at: datetime | None
    ended_at: datetime | None
    entry: Mapping[str, Any] | None
    owner: Owner | None
    error: str
    counts: Mapping[State, int]
    tags: Mapping[str, str] = field(default_factory=dict)
    definition: str | None = None
    damaged: str = ""
    queue: str | None = None
    priority: int = 0
    due_at: datetime | None = None
    deaths: int = 0
    parent_run: str | None = None
    generation: int = 0
    turn: str | None = None
    schedule: str | None = None
    group: str | None = None
    is_held: bool = False

    @property
    def orphan(self) -> bool:
        """Whether the run has begun and not ended, and nobody works on it. One that is queued or parked is none."""
        waits = self.state in {State.QUEUED, State.PARKED}
        return self.ended_at is None and not waits and (self.owner is None or self.owner.gone())


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


class LastMove(NamedTuple):
    """Where a node of a run stands: its state, the number of its attempt, and since when, in seconds since the epoch.

    It is as a row has it, for there may be many of them: where a disk has written over that, anything may be in it.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> [(move.number, move.state, move.attempt) for move in store.last_moves("monday")]
    [(0, 'succeeded', 1)]
    """

    number: int
    state: str
    attempt: int
    at: float


class TaskSeconds(NamedTuple):
    """How many nodes of a task ended in a state, in runs of a name, and the seconds of their last attempts together.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     nodes = [task(abs)(-1), task(abs)(-2)]
    >>> [(each.workflow, each.task, each.state, each.nodes) for each in store.task_seconds(0.0, float("inf"), 100)[1]]
    [('etl', 'abs', 'succeeded', 2)]
    """

    workflow: str
    task: str
    state: str
    nodes: int
    seconds: float


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
