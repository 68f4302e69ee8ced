"""What a run writes: rows as the tables of a store have them, and the batches that carry them there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.faces import publish
from aiodag.mail import Outgoing, WaitRow
from aiodag.ownership import Claimed, FunctionRow, Generation
from aiodag.states import State

KEEP = 2**20  # bytes that a store keeps of each stream of an attempt
# Bytes of one value, error or line. SQLite takes a billion for a whole row: https://sqlite.org/limits.html
LARGEST = 990_000_000
BARRIER = "barrier"  # in place of a codec: a node of a workflow that only joins edges, and has no value
REFERENCE = "$value"  # stands for the codec of a value that is kept in a place of its own
CUT_OFF = "cut off: its process ended"  # in place of the error of an attempt whose end nobody has seen
WAS_PARKED = "parked: it only waited"  # in place of the error of one that goes on in another, when its run is woken
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

    nodes: list[NodeRow]
    edges: list[tuple[int, int, bool, bool]]  # down, up, exogenous, tolerant
    attempts: list[tuple[Any, ...]]  # number, attempt, state, started, ended, error
    logs: list[tuple[Any, ...]]  # at, number, level, logger, text
    recalled: list[int]  # numbers of nodes
    void: list[tuple[int, int]]  # attempts (number, attempt) that count no longer
    again: list[int]  # numbers of nodes whose last attempt was in an earlier execution
    functions: list[FunctionRow]
    cache: list[tuple[Any, ...]]  # key, task, codec, value, at
    facts: list[tuple[int, int, str]]  # number, attempt, all facts as JSON
    output: list[OutputRow]
    trimmed: list[TrimmedRow]
    waits: list[WaitRow]  # that begin; what is there already settles them in the same transaction
    due: list[int]  # numbers of nodes whose waits are over because their moment has come
    unwaits: list[int]  # numbers of nodes that wait no longer: what they were given unseen goes to others
    heard: list[int]  # numbers of nodes whose run has heard how their waits ended
    rejects: list[tuple[int, str]]  # number, reason: a message that does not fit is dead, and the node waits on
    outbox: list[Outgoing]  # messages that leave with this
    generation: Generation | None = None  # that begins: what its node has called is forgotten
    state: State | None = None  # of the run, with its last write
    error: str = ""
    at: float = 0.0

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)

    if not TYPE_CHECKING:

        def __getattr__(self, kind: str) -> list[Any]:
            # Made when it is asked for: there are several batches for each node, most of them with rows of one kind, and
            # twelve lists in each would keep the garbage collector busy.
            if kind not in KINDS:
                msg = f"{type(self).__name__!r} object has no attribute {kind!r}"
                raise AttributeError(msg)
            rows = self.__dict__[kind] = []
            return rows

    def kinds(self) -> list[str]:
        """Return the kinds of which there may be something, such as "edges"."""
        return [kind for kind in self.__dict__ if kind in KINDS]

    def has_any(self, kinds: frozenset[str]) -> bool:
        """Return True if there may be something of one of some kinds: quicker than looking for each."""
        return not kinds.isdisjoint(self.__dict__)

    def rows(self, kind: str) -> Sequence[Any]:
        """Return what there is of a kind."""
        found: Sequence[Any] = self.__dict__.get(kind, ())
        return found

    def __bool__(self) -> bool:
        """Return True if there is anything in it."""
        return any(self.__dict__.values())


KINDS = frozenset(Batch.__annotations__) - {"generation", "state", "error", "at"}


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
