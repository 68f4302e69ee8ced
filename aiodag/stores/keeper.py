"""The thread that writes all runs of this process to one store, keeps their leases, and hears which ones are to be cancelled.

A thread and not the loop: a commit must not block the loop, and a body that blocks the loop must not lose its run. One
thread and not one for each run: a store has one writer at a time, and of a thousand threads that wait for their turn many
would give up before it comes. What the runs have to write when the thread comes back from a commit goes with the next one.

The first run of a store makes its keeper; the last one waits until the thread has ended and the file is closed.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from aiodag.errors import LeaseLost, StoreError, StoreUnreachable
from aiodag.records import Batch, Claim, Claimed, Owner, Write
from aiodag.states import State
from aiodag.stores.lines import LINES
from aiodag.stores.past import last_attempts, opened_past
from aiodag.stores.patience import Patience
from aiodag.stores.post import LoopPost, RunWriter, Scribe, Work, let_down, settle_future
from aiodag.stores.sharing import SHARES, forget_shares, shares_at
from aiodag.stores.unreleased import Left, leave_runs, release_again
from aiodag.stores.waking import WaitNews

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.submissions import Taken

log = logging.getLogger("aiodag.stores")
LEASE = 15.0  # seconds
LISTEN = 0.25  # seconds between two looks for cancellations: up to twice that where a look itself takes long
GROUP = 1024  # runs that one commit writes
ROWS = 4096  # rows of nodes after which a commit takes no more runs: others wait to be heard
LEFT = Batch()  # in place of a batch: a run that was left without its end being written


class Keeper:
    """Writes the runs of one store.

    Loops call `open`, `put` and `leave`; the thread runs `work`, and all that it calls. Both use `_queue`, which locks for
    itself, and `_drop`, which takes the lock of the table. `_ended` is written once, by the last loop to leave, before it
    puts None into the queue; the thread reads it after it has taken that. The other names with an underscore are the
    thread's alone.
    """

    def __init__(self, store: "Runs", *, ours: bool) -> None:
        self.store = store
        self.writers: set[RunWriter] = set()  # under the lock of the table
        self.posts: dict[asyncio.AbstractEventLoop, LoopPost] = {}  # as above
        self._ours = ours  # to be closed in the end: in the thread, for that may have to wait
        self._queue: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._runs: dict[int, RunWriter] = {}  # that are owned, by the numbers that the store has given them
        self._owner = Owner.here()
        self._renewed_at: tuple[float, float] | None = None  # by both clocks: see `seconds_since`
        self._look_at = time.monotonic() + LISTEN
        self._ended: tuple[LoopPost, asyncio.Future[None]] | None = None
        self._patience = Patience(str(store), self._is_waited_for)
        self.wait_news = WaitNews(store, partial(self.put, []))
        self.shares = shares_at(store.place)
        self.shares.wake = partial(self.put, [])

    # On the loops

    async def open(self, writer: RunWriter) -> Claimed:
        """Claim a run. Raises what the store raises."""
        writer.post.claim(writer)
        try:
            return await opened_past(await writer.opened)
        except BaseException as error:
            writer.given_up = True  # where it is still to be claimed, it is not
            if isinstance(error, asyncio.CancelledError) and writer.taken is not None:
                writer.goes_back = True  # who wants it cancelled has said so in its queue
            elif isinstance(error, asyncio.CancelledError):
                # Counts only if it is claimed meanwhile.
                self.put([(writer, Batch(state=State.CANCELLED, at=time.time()))])
            ended = self.leave(writer)
            if ended is not None:
                await ended
            raise

    def put(self, works: list[Work]) -> None:
        """Have runs claimed and written, after what has been put before."""
        self._queue.put(works)

    def leave(self, writer: RunWriter) -> "asyncio.Future[None] | None":
        """Take a run out; return what to wait for if it was the last one there: the end of the thread, and of its file."""
        # The thread may set `over` meanwhile: then it finds the run over when it comes to LEFT, and does nothing.
        if not writer.over:
            self.put([(writer, LEFT)])
        if not self._drop([writer]):
            return None
        ended = writer.post.loop.create_future()
        self._ended = writer.post, ended
        self._queue.put(None)
        self._patience.hurry()
        return ended

    def _is_waited_for(self) -> bool:
        """Return True if a run is still there whose loop goes on."""
        return self._ended is None and not all(loop.is_closed() for loop in list(self.posts))

    def _drop(self, writers: Sequence[RunWriter]) -> bool:
        """Take runs out; return True if nobody is left, and nobody will come."""
        with table_lock:
            before = len(self.writers)
            self.writers.difference_update(writers)
            gone = before - len(self.writers)
            last = gone and not self.writers
            if last and KEEPERS.get(self.store.place) is self:
                del KEEPERS[self.store.place]
        LINES.detach(gone)
        return bool(last)

    # In the thread

    def work(self) -> None:
        """Write what there is to write until the last run has left."""
        try:
            while self._turn():
                pass
            # Somebody else's store too, if they have closed it while runs went on: that has opened it again.
            if self._ours or self.store.closed:
                close_store(self.store)
            forget_keeper(self.store.place)
            self.wait_news.end()
            self.shares.end_watch()  # not under the lock of the table: a thread ends
        finally:
            if self._ended is not None:
                post, ended = self._ended
                post.add(settle_future, ended, None, None)
                post.send()

    def _turn(self) -> bool:
        """Write a group, or listen; return False when all have left."""
        works, more = self._group()
        try:
            self._do(works)
            if (began := time.monotonic()) >= self._look_at:
                more = self._listen() and more
                ended = time.monotonic()
                self._look_at = ended + min(max(LISTEN, 20 * (ended - began)), 2 * LISTEN)
            if self.wait_news.is_due():
                self._patience.through(partial(self.wait_news.ask, self._owner, self._runs))
            if self.shares.is_due():  # else a store would count as reached that was not asked
                self._patience.through(partial(self.shares.settle_due, self.store, self._owner))
        except BaseException as error:  # noqa: BLE001 - a fault of a store, or of ours: not even then does a run wait for ever
            with table_lock:
                writers = list(self.writers)
            self._tell_all(writers, error)
        for post in {writer.post for writer, batch in works if batch is not LEFT}:
            post.add(post.free)
        for post in list(self.posts.values()):
            post.send()
        return more

    def _do(self, works: list[Work]) -> None:
        claims = [writer for writer, batch in works if batch is None and not writer.given_up]
        if claims:
            self._claim(claims)
        batches = [(writer, batch) for writer, batch in works if batch is not None and batch is not LEFT]
        if batches:
            self._write(batches)
        left = [writer for writer, batch in works if batch is LEFT]
        if left:
            self._release(left)

    def _tell_all(self, writers: Sequence[RunWriter], error: BaseException) -> None:
        """Have runs end with an error, those that are about to be opened too."""
        for writer, each in zip(writers, apart(error, len(writers)), strict=True):
            if writer.claimed is None:
                writer.post.add(settle_future, writer.opened, each, None)
            else:
                writer.post.add(writer.scribe.hear_commit, each)

    def _group(self) -> tuple[list[Work], bool]:
        """Wait for something to do; return all there is, up to a bound, and whether there may be more."""
        works: list[Work] = []
        rows = 0
        with suppress(Empty):
            more = self._queue.get(timeout=max(min(self._look_at, self.shares.look_at) - time.monotonic(), 0.0))
            while more is not None:
                works += more
                rows += sum(len(batch.rows("nodes")) for _, batch in more if batch is not None)
                if len(works) >= GROUP or rows >= ROWS:
                    return works, True
                more = self._queue.get_nowait()
            return works, False
        return works, True

    def _claim(self, writers: list[RunWriter]) -> None:
        answers: Sequence[Claimed | BaseException]
        release_again(self.store, self._owner, self._runs)
        self._renewed_at = self._renewed_at or both_clocks()
        try:
            answers = self._answers(writers)
        except BaseException as error:  # noqa: BLE001 - it is raised where the runs are opened
            answers = apart(error, len(writers))
        for writer, answer in zip(writers, answers, strict=True):
            if isinstance(answer, BaseException):
                writer.post.add(settle_future, writer.opened, answer, None)
                continue
            self._runs[answer.run] = writer
            try:
                writer.claimed = self._patience.through(partial(with_past, self.store, writer.claim, answer))
            except BaseException as error:  # noqa: BLE001 - as above
                writer.claimed = answer
                writer.post.add(settle_future, writer.opened, error, None)
            else:
                writer.post.add(settle_future, writer.opened, None, writer.claimed)

    def _answers(self, writers: list[RunWriter]) -> "Sequence[Claimed | BaseException]":
        # Those that were taken from a queue were claimed there.
        claims = [writer.claim for writer in writers if writer.taken is None]
        claim = partial(self.store.claim_all, claims, joining=bool(self._runs))
        claimed = iter(self._patience.through(claim, beginning=True) if claims else ())
        return [writer.taken or next(claimed) for writer in writers]

    def _write(self, batches: list[tuple[RunWriter, Batch]]) -> None:
        claimed = [(writer, writer.claimed, batch) for writer, batch in batches if writer.claimed is not None]
        errors: Sequence[BaseException | None]
        try:
            writes = [Write(owned, writer.claim.id, batch) for writer, owned, batch in claimed]
            errors = self._patience.through(partial(self.store.write_all, writes))
        except BaseException as error:  # noqa: BLE001 - it ends the runs, on their loops
            errors = apart(error, len(let_down([writer for writer, _, _ in claimed], error)))
        for (writer, owned, batch), why in zip(claimed, errors, strict=True):
            writer.over = writer.over or (why is None and batch.state is not None)
            if writer.over or isinstance(why, LeaseLost):
                self._runs.pop(owned.run, None)
            writer.post.add(writer.scribe.hear_commit, why)
        self.wait_news.note((writer, batch) for writer, _, batch in claimed)

    def _release(self, writers: Sequence[RunWriter]) -> None:
        """Let go of runs whose end is not written: somebody may go on with them at once."""
        left: list[Left] = [(each.owned, each.leaves) for each in writers if each.owned is not None and not each.over]
        for claimed, _ in left:
            self._runs.pop(claimed.run, None)
        leave_runs(self.store, left)

    def _listen(self) -> bool:
        """Keep the leases and hear who wants what cancelled; return False if all loops are closed."""
        if any(loop.is_closed() for loop in list(self.posts)) and self._bury():
            return False
        if not self._runs:
            return True
        try:
            if seconds_since(self._renewed_at or both_clocks()) > LEASE / 3:
                now = both_clocks()
                self._patience.through(partial(self.store.renew, self._owner, LEASE))
                self._renewed_at = now
            held = self._patience.through(partial(self.store.held_runs, self._owner))
            release_again(self.store, self._owner, self._runs)
        except BaseException as error:  # noqa: BLE001 - it ends the runs, on their loops
            self._tell_all(let_down(list(self._runs.values()), error), error)
            return True
        for number, writer in list(self._runs.items()):
            execution, cancel = held.get(number, (0, False))
            if writer.claimed is None or execution != writer.claimed.execution:
                self._tell_lost(number, writer)
            elif cancel:
                writer.post.add(writer.scribe.cancel)
        return True

    def _tell_lost(self, number: int, writer: RunWriter) -> None:
        """Have the store say how a run was lost, and pass it on. Not as a batch that was written: another is under way."""
        if writer.claimed is None:
            return
        why: BaseException | None
        try:
            write = Write(writer.claimed, writer.claim.id, Batch())
            (why,) = self._patience.through(partial(self.store.write_all, [write]))
        except StoreError as error:
            why = error
        if why is not None:
            del self._runs[number]
            writer.post.add(writer.scribe.hear_commit, why)

    def _bury(self) -> bool:
        """Let go of the runs of loops that were closed without leaving them; return True if no others are left."""
        with table_lock:
            dead = [writer for writer in self.writers if writer.post.loop.is_closed()]
            for loop in [loop for loop in self.posts if loop.is_closed()]:
                del self.posts[loop]
        self._release(dead)
        return self._drop(dead)


def close_store(store: "Runs") -> None:
    """Close a store when all of its runs are written."""
    try:
        store.close()
    except Exception as error:  # noqa: BLE001 - of any store: none of the runs has failed
        log.warning("the store stays open: %s", error)


KEEPERS: dict[Hashable, Keeper] = {}  # of this process, by the place of their store
table_lock = threading.Lock()


def join_keeper(
    store: "Runs", run: "Run", scribe: Scribe, *, ours: bool, taken: "Taken | None" = None
) -> tuple[Keeper, RunWriter]:
    """Return what writes a run to a store: the keeper of its place, made if there is none.

    `ours` is True if nobody else has `store`: it is closed when it is no longer needed. A run that was `taken` from a queue is
    claimed already.
    """
    who, now = Owner.here(), time.time()
    parent = run.parent or (None, None)
    new = Claim(run.id, run.name, run.entry, who, LEASE, now, run.tags, run.definition, *parent)
    claim = taken.claim if taken else new
    place = store.place
    with table_lock:
        keeper = KEEPERS.get(place)
        if keeper is None:
            keeper = Keeper(store, ours=ours)
            # Before others can join: where no thread can be started, they would wait for it for ever.
            threading.Thread(target=keeper.work, name=f"aiodag keeper of {store}", daemon=True).start()
            KEEPERS[place] = keeper
        post = keeper.posts.get(run.loop)
        if post is None:
            post = keeper.posts[run.loop] = LoopPost(run.loop, keeper.put)
        writer = RunWriter(scribe, post, claim, taken.claimed if taken else None)
        keeper.writers.add(writer)
    LINES.attach()
    return keeper, writer


def with_past(store: "Runs", claim: Claim, claimed: Claimed) -> Claimed:
    """Return a claimed run with what earlier executions have called."""
    if claimed.execution == 1:
        return claimed
    called = claimed.functions or store.functions(claim.id)  # a run that was taken from a queue comes with them
    return claimed._replace(functions=called, tried=last_attempts(store, claim, claimed))


def both_clocks() -> tuple[float, float]:
    """Return this moment by the clock that people see, and by the monotonic one."""
    return time.time(), time.monotonic()


def seconds_since(moment: tuple[float, float]) -> float:
    """Return how long ago a moment was, by either clock: one may be set back, and one stands still in a suspended machine."""
    return max(now - then for now, then in zip(both_clocks(), moment, strict=True))


def forget_keeper(place: Hashable) -> None:
    """Forget what is kept of a store whose last keeper has ended, as far as nothing goes on without it."""
    with table_lock:
        if place not in KEEPERS:
            forget_shares(place)


def forget_keepers() -> None:
    """Forget, in a forked process, what the parent keeps: its threads are not here."""
    global table_lock  # another thread of the parent may have held it
    table_lock = threading.Lock()
    KEEPERS.clear()
    SHARES.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_keepers)


def apart(error: BaseException, count: int) -> list[BaseException]:
    """Return an error for each of some runs: raised in many places, one object would collect the frames of all."""
    if type(error) not in {StoreError, StoreUnreachable}:
        return [error] * count
    for each in (copies := [type(error)(*error.args) for _ in range(count)]):
        each.__cause__ = error.__cause__
    return copies
