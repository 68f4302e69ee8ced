"""Write a run as it happens, and take back what it did before.

An observer that writes: every move of a node marks its row, and the rows that changed go to the writer's thread together,
as soon as that is free. A success is committed before anything that needs it starts, for the body's value is returned only
then. What is taken back is the matter of `recall.py`.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.as_task import FIRST, TASK, UNDRIVEN
from aiodag._core.letting_go import leavable
from aiodag._core.search import check_returned
from aiodag._core.steps import is_to_be_cancelled
from aiodag._core.submit import engine_of
from aiodag._core.waits import held_back
from aiodag.abc import NOTHING
from aiodag.records import Batch
from aiodag.states import State
from aiodag.stores.caching import Cache, Flight, land_all
from aiodag.stores.changes import MOST, Changes
from aiodag.stores.frontier import Frontier
from aiodag.stores.generations import generation_of_text
from aiodag.stores.keeper import join_keeper
from aiodag.stores.outcomes import encode_answer, reason_text, record_exception
from aiodag.stores.past import close_past, past_of
from aiodag.stores.recall import arguments_now
from aiodag.stores.recalled_values import RecalledValues
from aiodag.stores.row import (
    ATTEMPT,
    CODEC,
    ENDED,
    ERROR,
    FAILURES,
    KEY,
    NUMBER,
    PARENT,
    RECORDED,
    STARTED,
    STATE,
    TURN,
    VALUE,
    Row,
)

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag._core.task import Task
    from aiodag.abc import Runs
    from aiodag.stores.large_values import LargeValues
    from aiodag.submissions import Taken

log = logging.getLogger("aiodag.stores")

# As globals, as in the engine: reading a member of an enum takes a fifth of a microsecond on Python 3.11.
WAITING, QUEUED, RUNNING, SUCCEEDED, FAILED = State.WAITING, State.QUEUED, State.RUNNING, State.SUCCEEDED, State.FAILED
UNEXPECTED = frozenset({FAILED, State.SKIPPED})  # ends of a node that encloses others and had succeeded
T = TypeVar("T")
WHOLE = frozenset({"void", "generation", "waits", "outbox"})  # kinds of rows that no row of a node is written after


class Recorder(RecalledValues):
    """The journal of one run in one store."""

    error: BaseException | None

    def __init__(self, run: "Run", store: "Runs", *, ours: bool, taken: "Taken | None" = None) -> None:
        super().__init__(run, store)
        self._taken = taken  # from a queue: then it is claimed already
        self._ours = ours
        self._rows = Changes(run)
        self._written: list[Node[Any] | asyncio.Future[None]] = []  # successes of the batch that is being written
        self._busy = False  # whether a batch is being written, or will be in this turn of the loop
        self._counted = False  # whether one is, which counts as real time
        self._landing: list[Flight] = []  # whose values are being written

    async def open(self) -> None:
        """Own the run and learn what is known of it."""
        run = self.run
        self._engine = engine_of(run.loop)
        self._find_place(self._engine)
        self.offset = getattr(run.loop, "time_of_day", time.time)() - run.clock()
        self._keeper, self._writer = join_keeper(self.store, run, self, ours=self._ours, taken=self._taken)
        if self._ours:  # else each run would open the file once more to read from it
            self.store = self._keeper.store
        try:
            claimed = await in_real_time(self._engine, self._keeper.open(self._writer))
        except BaseException:
            self._broken = True
            raise
        self.learn(past_of(claimed), claimed.functions)
        self._generation = generation_of_text(claimed.generation, claimed.turn)
        self._tried, self.begun = claimed.tried, claimed.begun
        self._done = self._known.past.successes
        log.info("run %s: execution %d, %d successes recorded in %s", run.id, claimed.execution, self._done, self.store)
        self._first = self._next
        if self._resumed:
            self.learn_waits(claimed.waits)
            self._frontier = Frontier(run, self._note_frontier)
            if self._taken is not None and self._taken.cancel:
                self.cancel()  # at once: a run that only waits might be parked, and taken again, before the keeper tells

    # Nodes

    def _note_begin(self, row: Row) -> None:
        self._rows.mark(row)
        if not self._busy:
            self._wake()

    def moved(self, node: "Node[Any]", state: State, at: float) -> None:
        """Mark a node's row."""
        if self._deaf:
            return
        row = node.row
        if node.task.encloses and row[CODEC] is RECORDED and state in UNEXPECTED:
            self._record_anew(row)
        if state is FAILED and node.failure is not None:
            self._endings.failed(node.failure.report, (row[NUMBER], node.attempt), row[TURN])
        if self._waits and state.final and row[NUMBER] in self._waits:
            if self._end_wait(node, state):
                return
        elif (row[STATE] is SUCCEEDED or row[CODEC] is RECORDED) and not self._wait_ends_unmet(node, state):
            # Never written over: not by a cancellation that comes after the success, not by what waits to be recalled,
            # and not by a value that cannot be read, because its type is not imported here.
            return
        row[STATE] = state
        if state is RUNNING:
            row[ATTEMPT], row[STARTED], row[ENDED] = node.attempt, at + self.offset, None
            self._begin_turn(node, row)
        elif state is QUEUED and node.ended_by is not None:
            error = record_exception(node.ended_by)
            row[FAILURES] = node.failed
            self._batch.void += self._nested.failed_inside(row[NUMBER])  # another attempt begins anew with them
            self._batch.attempts.append((row[NUMBER], node.attempt, FAILED, row[STARTED], at + self.offset, error))
        elif state.final:
            row[ENDED] = at + self.offset
            row[ERROR] = reason_text(node, state)
            if row[KEY] in self._nested.numbers:
                self._keep_outcome(row, void=True)
                self._nested.note_end(
                    row[KEY], node, (row[NUMBER], *map(row.__getitem__, (ATTEMPT, STATE, STARTED, ENDED, ERROR)))
                )
        if state is WAITING or state is QUEUED:
            self._rows.mark(row)
        else:
            self._rows.hurry(row)
        if not self._busy:
            self._wake()

    async def __call__(self, node: "Node[Any]", args: Any, kwargs: Any, /) -> Any:
        """Run a body, and return its value once that is committed; in a first step at once, and the node waits for the commit."""
        task = node.task
        if self._looked_for and (value := await self._look_for(node)) is not NOTHING:
            return value
        while self._resumed and not task.waits and (held := held_back(node)) is not None:
            await held
        if self._generation is not None:
            args, kwargs = arguments_now(self._generation, node, args, kwargs)
        try:
            if node.cache_keys:
                chosen = node.row[NUMBER] in self._chosen  # to run again, whatever there is
                body = partial(begin_body, node, args, kwargs)
                del args, kwargs  # as below
                cache = Cache(self.store, self._engine, self._large)
                value = await cache.through(node, body, anew=chosen, keep=self._keep_cached)
            else:
                body = begin_body(node, args, kwargs)
                del args, kwargs  # the body's from here on
                value = await body
                if value is not None and type(value) is not int and type(value) is not str:  # as in drive_body()
                    check_returned(node, value)  # before it is recorded, or told that it has no codec
            if task.waits and node.row[NUMBER] in self._waits:
                return value  # it is in the store already: who settled it has written it
            if task.options.journal and not task.stands_in and not task.barrier:
                waiter = self._succeed(node, await value_to_record(task, value, self._large, node.row[PARENT]))
                if waiter is not None:
                    await waiter
            elif self.run.keeps_answer and node.row[NUMBER] == 0:
                # What an entry returns is for who waits for the run. It is not recalled: its body runs in each execution.
                node.row[CODEC], node.row[VALUE] = encode_answer(task, value, self.store.largest)
            return value
        finally:
            del node  # a failure's traceback holds this frame

    def _succeed(self, node: "Node[Any]", encoded: tuple[str, Any]) -> "asyncio.Future[None] | None":
        """Have a success written; return what to wait for, None where the engine settles the node when it hears of it."""
        if node.driven != FIRST and is_to_be_cancelled(node):
            return None  # the body has cancelled itself, and then returned: it has not succeeded
        if node.task.encloses and self._stays_recorded(node.row, encoded):
            self._met = True
            self._wake()
            return None
        self._refuse_to_go_on()
        row = node.row
        row[CODEC], row[VALUE] = encoded
        row[STATE], row[ENDED] = SUCCEEDED, self.run.clock() + self.offset
        if row[KEY] in self._nested.numbers:
            self._keep_outcome(row, void=False)
        waiter = None
        if node.driven == TASK:
            waiter = self.run.loop.create_future()
        else:
            # No asyncio task is needed to wait in. Until the commit it is cancelled like a node that does not run: at once.
            node.driven = UNDRIVEN
        self._rows.succeed(row, waiter or node)
        if self._sending:
            self._send_with(row)
        self.unwritten += 1
        self._wake(waited=True)
        return waiter

    # Writing

    def _wake(self, *, waited: bool = False) -> None:
        if self._broken:
            return
        if not self._busy or (waited and self._writer.patient):
            self._busy = True
            self._writer.post.ask(self._writer, waited=waited)

    def next_batch(self) -> Batch:
        """Return what has changed since the last time."""
        # On a virtual clock: a commit takes real time. First of all, for what is raised here is heard as a failed commit.
        self._engine.real_time.begin()
        self._counted = True
        batch, self._changes = self._changes or Batch(), None
        self._note_batch(batch)
        self._landing, self._flights = self._landing + self._flights, []
        # All of them where some are marked as void, or what a body has called is forgotten, for a row that is written later
        # would take that back; and where something goes with the row of its node.
        rows, written = self._rows.take(at_most=sys.maxsize if self._awaited or batch.has_any(WHOLE) else MOST)
        self._written, self._awaited = [*written, *self._awaited], []
        if batch.generation is not None:
            self._written.append(self._forgetting)
        if self._outputs.holds_any():
            self._outputs.put(batch, {row[NUMBER] for row in rows if row[STATE].final})
        if rows:
            batch.nodes = [self._rows.written_out(row) for row in rows]
        while self._logged:
            batch.logs.append(self._logged.popleft())
        return batch

    def hear_commit(self, error: BaseException | None) -> None:
        """Let the successes of a batch go on, and write the next one."""
        if self._counted:  # also after the end: a virtual clock would stand still for ever
            self._counted = False
            self._engine.real_time.end()
        land_all(self._landing)
        if self._broken:
            return
        if error is not None:
            self._broken = True
            self._fail(error)
            return
        self.unwritten -= len(self._written)
        self._engine.settle_written(self._written)
        self._written = []
        self._busy = False
        if self._waits:
            self._hear_registered()
        if (self._frontier is not None or self._unmet) and self._waits_for_quiet():
            self.run.loop.call_soon(self._look_around)
        if self._wants():
            self._wake(waited=bool(self._idle is not None or self._awaited or self._rows.is_waited()))
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _wants(self) -> bool:
        return bool(self._rows or self._logged or self._changes or self._awaited or self._outputs.wanting())

    def is_written(self) -> bool:
        """Return True if the store has all that has happened, as far as it is to have it."""
        return not (self._busy or self._wants() or self.unwritten)

    async def close(self, state: State, error: BaseException | None) -> None:
        """Write how the run ended, and give it up; only that if it goes on elsewhere."""
        self._outputs.fall_due()  # for the next batch is the last
        try:
            await self._all_written()
            if not self._deaf:
                void = self._endings.of(error, list(self.run.untaken.values()))
                text = "" if error is None else record_exception(error)
                self._changes = Batch(state=state, error=text, at=time.time(), void=void)
                await self._all_written()
            await close_past(self._known.past, self._engine)
        finally:
            self._broken = True
            self._close_waits()
            land_all(self._landing + self._flights)  # of batches that nobody could write
            for pool in self._pools:
                pool.over = True
            # Also when we are cancelled here: the store would keep the run for us.
            self._writer.parks = self._taken is not None and self.run.parks
            self._writer.goes_back = self._taken is not None and (self._deaf or self._writer.let_down)
            ended = self._keeper.leave(self._writer)
            del self._writer  # which has us: a run that has ended needs no garbage collector
        if ended is not None:
            await in_real_time(self._engine, ended)  # the end of a thread, and of a file
        if self._done and not self._met and self._next > self._first:
            warn_of_a_fresh_start(self.run, self._next - self._first, self._done)

    async def _all_written(self) -> None:
        if not self._broken and (self._busy or self._wants()):
            self._idle = self.run.loop.create_future()
            self._wake(waited=True)
            await self._idle


async def value_to_record(
    task: "Task[..., Any]", value: object, large: "LargeValues", parent: int | None
) -> tuple[str, Any]:
    """Return a value as it is recorded: of nodes that enclose others that of the outermost, which has those of all."""
    if task.waits:  # for a run in this process, which has given what it had
        return encode_answer(task, value, large.largest)
    if not task.encloses:
        # Most bodies that only do something return None: it takes no codec.
        return ("json", "null") if value is None and task.options.codec == "json" else await large.encode(task, value)
    return encode_answer(task, value, large.largest) if parent is None else ("", None)


async def in_real_time(engine: "Engine", waited: "Awaitable[T]") -> T:
    """Wait for something that takes real time on a virtual clock too."""
    with engine.real_time:
        return await waited


def begin_body(node: "Node[Any]", args: Any, kwargs: Any) -> Any:
    """Begin an attempt of a node; return what is to be awaited for its value."""
    task = node.task
    if task.call is not None:
        return task.call(node, args, kwargs)
    node.engine.begin(node)
    return leavable(node, task.fn(*args, **kwargs))


def warn_of_a_fresh_start(run: "Run", nodes: int, successes: int) -> None:
    """Tell whoever resumed a run that nothing of it was met again: maybe its functions have moved."""
    log.warning(
        "run %s has run %d nodes and taken back none of %d recorded successes: were all of them changed? Of functions "
        "that have moved or were renamed, @task(former=...) says where they were",
        run.id,
        nodes,
        successes,
    )
