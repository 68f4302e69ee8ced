"""What a run writes: rows as the tables of a store have them, and the batches that carry them there."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiodag.faces import publish
from aiodag.ownership import Claimed, FunctionRow
from aiodag.states import State

KEEP = 2**20  # bytes that a store keeps of each stream of an attempt
# Bytes of one value, error or line. SQLite takes a billion for a whole row: https://sqlite.org/limits.html
LARGEST = 990_000_000
BARRIER = "barrier"  # in place of a codec: a node of a workflow that only joins edges, and has no value
CUT_OFF = "cut off: its process ended"  # in place of the error of an attempt whose end nobody has seen
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


publish("aiodag.records", globals(), __name__)
