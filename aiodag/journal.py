"""The seams of a store: where runs are remembered, and the journal that writes one of them.

People import them from `aiodag.abc`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from asyncio import Future
    from os import PathLike

    from aiodag._core.node import Node
    from aiodag.happenings import Listener
    from aiodag.mail import Outgoing, Wait
    from aiodag.records import (
        AttemptRecord,
        Claim,
        Claimed,
        EdgeRecord,
        FunctionRow,
        Known,
        LastMove,
        LogRecord,
        NodeRecord,
        OutputRecord,
        Owner,
        RunFilter,
        RunRecord,
        WorkflowRecord,
        Write,
    )
    from aiodag.sharing import Pool, SharedPool
    from aiodag.states import State


class Runs(Protocol):
    """Where runs are remembered. Every method may block: one thread of a process calls them for all of its runs.

    A process that claims a run owns it until its lease runs out. Every write has the number of its execution, so the late
    write of a process that lost the run is refused.

    >>> from aiodag.abc import Runs
    >>> from aiodag.stores import Memory
    >>> def names(store: Runs) -> set[str]:
    ...     return {run.name for run in store.runs()}
    >>> names(Memory())
    set()
    """

    keep: int  # bytes that are kept of each stream of an attempt: its head and its tail
    largest: int  # bytes of a value that is kept: the node of a larger one fails
    closed: bool  # whether `close` was called: what opens it again for a run then closes it with the last one

    @property
    def place(self) -> Hashable:
        """What tells stores apart: one thread writes the runs of all stores with an equal place."""
        ...

    def journal(self, run: Any, *, ours: bool) -> "Journal":
        """Return what writes a `Run` to this store. If the store is `ours`, it is closed when the run has ended."""
        ...

    def claim_all(self, claims: "Sequence[Claim]", *, joining: bool = False) -> "Sequence[Claimed | BaseException]":
        """Make runs, or take over those whose owners have gone; return for each what it got, or why not: `RunOwned`.

        With `joining` they come to others of this process that are being written: what these are in must still be there.
        """
        ...

    def known_nodes(self, run_id: str) -> "dict[str, Known]":
        """Return what all executions of a run have left, by key, without owning it."""
        ...

    def void(self, run_id: str, numbers: "Sequence[int]") -> None:
        """Have nodes of a run that nobody owns run again, whatever is recorded of them. Raises `RunOwned`."""
        ...

    def renew(self, owner: "Owner", lease: float) -> None:
        """Keep all runs of a process for so many seconds from now, by the clock of the store."""
        ...

    def held_runs(self, owner: "Owner") -> "Mapping[int, tuple[int, bool]]":
        """Return the runs of a process by number: which execution it has, and whether somebody wants it cancelled."""
        ...

    def release(self, claimed: "Sequence[Claimed]") -> None:
        """Let go of runs that have not ended, so that others can continue them at once."""
        ...

    def write_all(self, writes: "Sequence[Write]") -> "Sequence[BaseException | None]":
        """Write batches of several runs at once, each of them whole or not at all; return for each why it was not written.

        `LeaseLost` for a run that is no longer its writer's. Raises `StoreError` when nothing could be written.
        """
        ...

    def cached_value(self, key: str, since: float) -> "tuple[str, Any] | None":
        """Return codec and value of a computation that any run has made since a moment."""
        ...

    def values_elsewhere(self) -> "list[str]":
        """Return what records have of values that are kept in places of their own."""
        ...

    def runs(
        self,
        run_id: str | None = None,
        *,
        wanted: "RunFilter | None" = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> "list[RunRecord]":
        """Return the run of an id, or those that are wanted, oldest first; with a limit, the newest.

        `before` takes those that were made before a run. Raises `UnknownRun` if there is none of that id.
        """
        ...

    def run(self, run_id: str) -> "RunRecord":
        """Return one run. Raises `UnknownRun`."""
        ...

    def head(self, run_id: str) -> "RunRecord":
        """Return one run without the counts of its nodes, if these have to be read. Raises `UnknownRun`."""
        ...

    def near(self, text: str) -> "list[str]":
        """Return some names and ids of runs that a mistyped text may have meant."""
        ...

    def count_runs(self, name: str) -> int:
        """Return how many runs of a name there are."""
        ...

    def ended_runs(self, *, before: float | None = None, keep: int | None = None) -> "list[str]":
        """Return the ids of ended runs: those that ended before a moment, of each name all but the newest `keep`."""
        ...

    def nodes(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None, state: "State | None" = None
    ) -> "list[NodeRecord]":
        """Return the nodes of the last execution of a run, or of every one: all, those of some numbers, or in a state."""
        ...

    def nodes_called(self, run_id: str, which: str, *, every: bool = True) -> "list[NodeRecord]":
        """Return the nodes of a number, a task or a label; else those of a task with parameters that has the name."""
        ...

    def names_of_nodes(self, run_id: str) -> "list[str]":
        """Return the names of the tasks that a run has called."""
        ...

    def edges(self, run_id: str) -> "list[EdgeRecord]":
        """Return the edges of a run."""
        ...

    def attempts(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None
    ) -> "list[AttemptRecord]":
        """Return the attempts before the last one of each node, or all of them, by node and attempt."""
        ...

    def failures(self, run_id: str, since: float = 0.0) -> "list[AttemptRecord]":
        """Return the attempts of all executions that failed, from a moment on, in the order of their ends."""
        ...

    def last_moves(self, run_id: str) -> "list[LastMove]":
        """Return where each node of the last execution of a run stands, by number, without its value.

        There are none of barriers, nor of a run that is not there.
        """
        ...

    def last_parts(self, run_id: str) -> tuple[int, int]:
        """Return the part of the last line that a run has logged, and of the last output; 0 where there is none."""
        ...

    def functions(self, run_id: str) -> "list[FunctionRow]":
        """Return the functions that a run has called: their names and modules, and whether the run began in those."""
        ...

    def attempts_by_task(self, run_id: str) -> "dict[str, int]":
        """Return the number of the last attempt of each task, by its name, in all executions of a run."""
        ...

    def output(
        self,
        run_id: str,
        number: int | None = None,
        attempt: int | None = None,
        after: int = 0,
        *,
        limit: int | None = None,
    ) -> "list[OutputRecord]":
        """Return the parts of what programs wrote, in order: of all nodes or one, of all attempts or one.

        `after` is the `part` of the last one seen, `limit` how many parts to return at most.
        """
        ...

    def definitions(self, run_id: str) -> "list[tuple[int, str]]":
        """Return the definitions of a run, oldest first, each with the first execution that was built from it."""
        ...

    def logs(
        self,
        run_id: str,
        after: int = 0,
        *,
        numbers: Iterable[int] | None = None,
        beyond: int = 0,
        limit: int | None = None,
    ) -> "list[LogRecord]":
        """Return the lines that bodies logged, in order, after so many: of all nodes, or of some; beyond a part.

        `limit` is how many lines to return at most.
        """
        ...

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        ...

    def delete(self, run_ids: Sequence[str], *, unless_owned: bool = False, if_ended: bool = False) -> int:
        """Delete runs and all that belongs to them, each in one step; return how many were deleted.

        With `unless_owned`, runs that a process owns at that moment are kept. Without it, their owners' next writes are refused.
        With `if_ended`, so are those that have not ended, such as runs that wait in a queue.
        """
        ...

    def register(self, record: "WorkflowRecord", *, replace: bool = False) -> None:
        """Keep a workflow under its name. Raises `StoreError` if there is one, unless it is to be replaced."""
        ...

    def registered(self, name: str | None = None) -> "list[WorkflowRecord]":
        """Return the workflows by name, or the one of a name."""
        ...

    def unregister(self, name: str) -> bool:
        """Forget a workflow, not its runs; return whether there was one."""
        ...

    def backup(self, path: "str | PathLike[str]") -> None:
        """Copy everything to a new file, as of one moment, while others write. Raises `StoreError`."""
        ...

    def listener(self) -> "Listener | None":
        """Return what hears of commits by others; None if there are no others, or nobody tells of them.

        Raises `StoreError` if nothing can be heard for now: it is called again.
        """
        ...

    def migrate(self) -> tuple[int, int]:
        """Make what the store keeps its records in, or bring it up to date; return its versions before and after."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Journal(Protocol):
    """Writes what happens in one run, and takes outcomes back: what a store adds to a run.

    >>> from aiodag import Run, current_node, task
    >>> from aiodag.stores import Memory
    >>> @task
    ... async def load():
    ...     node = current_node()
    ...     node.run.journal.facts(node, {"rows": 3})
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = load()
    >>> [attempt.facts for attempt in store.attempts("monday", every=True)]
    [{'rows': 3}]
    """

    error: BaseException | None  # why the run cannot be written any more
    listener: "Callable[[Node[Any], str, bytes], object] | None"  # hears what programs write, as `output` does
    begun: int  # how often somebody has begun the run: again after it had ended
    registered: "Callable[[], object] | None"  # hears that something is written of a run that waits
    unwritten: int  # how many bodies have returned, and wait for their successes to be written

    async def open(self) -> None:
        """Own the run. Raises what keeps it from being owned."""
        ...

    def enter(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]") -> "Node[Any] | None":
        """Give a new node its key. Return the node that takes its place, if an earlier attempt has called it.

        Raises where an argument has no fingerprint.
        """
        ...

    def connect(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", *, exogenous: int) -> None:
        """Take note of edges that a waiting node has gained; the first `exogenous` of them pass no value."""
        ...

    def moved(self, node: "Node[Any]", state: "State", at: float) -> None:
        """Take note of a move."""
        ...

    def recall(self, node: "Node[Any]") -> Any:
        """Return the recorded value of a node, what it `Raised`, or `NOTHING`."""
        ...

    def wait(self, node: "Node[Any]", wait: "Wait") -> "Future[Any]":
        """Have the store settle a node that waits; return the future of what comes: plain JSON, None, or what a run answers.

        It raises what the wait has failed with, such as `TimeoutError`. Called in the first step of its body.
        """
        ...

    def reject(self, node: "Node[Any]", reason: str) -> None:
        """Make what has come for a node a dead letter, as it does not fit; then the body waits again."""
        ...

    def send(self, node: "Node[Any]", outgoing: "Outgoing") -> None:
        """Have a message leave with the success of a node, in one transaction. Called in its body."""
        ...

    def is_recorded(self, node: "Node[Any]") -> bool:
        """Return True if the outcome of a node that has not begun will be taken back."""
        ...

    def waits_for_world(self) -> bool:
        """Return True if anything is waited for from outside."""
        ...

    def may_park(self) -> bool:
        """Return True if the store knows all that a run which only waits needs to go on; else have that written."""
        ...

    def is_waiting(self, node: "Node[Any]") -> bool:
        """Return True if the store knows that a node waits, and nothing has come yet."""
        ...

    def is_written(self) -> bool:
        """Return True if the store has all that has happened."""
        ...

    def hold_limit(self, node: "Node[Any]") -> None:
        """End an attempt whose time was over before it was entered again: where it stood, not where it begins."""
        ...

    def end_limit(self, node: "Node[Any]") -> None:
        """Forget the time limit of an attempt that has ended."""
        ...

    async def __call__(self, node: "Node[Any]", args: Any, kwargs: Any, /) -> Any:
        """Run a body and return its value when that is written.

        In a first step there is no asyncio task to wait in: then the node waits, and the engine settles it.
        """
        ...

    async def begin_again(self, node: "Node[Any]", arguments: "Mapping[str, Any]") -> None:
        """Forget what a body has called, and note the arguments with which it begins again: the next `__call__` has them."""
        ...

    def output(self, node: "Node[Any]", stream: str, chunk: bytes) -> None:
        """Keep what the attempt of a node wrote, in bounded memory: `stream` is "stdout" or "stderr"."""
        ...

    def log(self, at: float, node: "Node[Any] | None", level: str, logger: str, text: str) -> None:
        """Keep a line that was logged in a body, or in the run outside of all bodies. Called from any thread."""
        ...

    async def commit(self) -> None:
        """Return when all that has happened until now is in the store."""
        ...

    async def recall_facts(self, node: "Node[Any]") -> "Mapping[str, Any]":
        """Return the facts about the last attempt of a node in an earlier execution; none if there was none."""
        ...

    def facts(self, node: "Node[Any]", facts: "Mapping[str, Any]") -> None:
        """Keep facts about the attempt of a node, plain JSON; later ones are added to earlier ones, or replace them."""
        ...

    def share(self, pool: "Pool") -> "SharedPool":
        """Return what all processes of the store share under a name. Raises `StoreError` if the store cannot."""
        ...

    def let_go(self) -> None:
        """Take note of nothing from now on: the run goes on elsewhere."""
        ...

    async def close(self, state: "State", error: BaseException | None) -> None:
        """Write how the run ended, and give it up; only that if it goes on elsewhere."""
        ...


class Raised(NamedTuple):
    """What a journal recalls of a body that failed, or raised `Skip`.

    >>> from aiodag.abc import Raised
    >>> Raised(TimeoutError("no answer")).error
    TimeoutError('no answer')
    """

    error: BaseException


NOTHING: Any = object()
"""What a journal recalls where nothing is recorded: a value may be None."""


publish("aiodag.abc", globals(), __name__)
