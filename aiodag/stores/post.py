"""Between the loops and the keeper of a store: batches go there, and news of them comes back.

In portions, so that neither a loop nor the keeper stands still for thousands of runs. One portion of a loop is under way at a
time. A run that has something to write asks, and is asked for its batch when the last portion is committed: what happens to
it until then goes together. First come those that somebody waits for, such as a body whose value is to be committed.

    loop       ask, ask, ask ─► collect                     ask ─► deliver ─► collect
    keeper                        └─► commit ─► add, send ───────────┘           └─► ...
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from aiodag.errors import StoreError
from aiodag.records import Batch, Claim, Claimed

if TYPE_CHECKING:
    from aiodag.mail import SettledWait
    from aiodag.stores.unreleased import Leaving

PORTION = 64  # runs in one turn of a loop: each wakes a body
EACH = 8  # portions, of which one has room for what nobody waits for

News = tuple[Callable[..., None], tuple[Any, ...]]


class Scribe(Protocol):
    """Knows what a run has to write."""

    def next_batch(self) -> Batch:
        """Return what has happened since the last batch."""
        ...

    def hear_commit(self, error: BaseException | None) -> None:
        """Hear that the batch is written, or why nothing can be written any more."""
        ...

    def hear_waits(self, settled: "Sequence[SettledWait]") -> None:
        """Hear how waits of the run were settled."""
        ...

    def hear_answer(self) -> None:
        """Hear that the store was asked how waits were settled, after a batch with some."""
        ...

    def cancel(self) -> None:
        """Hear that somebody wants the run cancelled."""
        ...


class RunWriter:
    """One run on its way to its store."""

    def __init__(self, scribe: Scribe, post: "LoopPost", claim: Claim, taken: Claimed | None = None) -> None:
        self.scribe = scribe
        self.post = post
        self.claim = claim
        self.taken = taken  # what the store has answered already, of a run from a queue
        self.opened: asyncio.Future[Claimed] = post.loop.create_future()
        self.claimed: Claimed | None = None  # what the store has answered: the keeper's thread's alone
        # Each goes from False to True once, set in one thread and read in the other, which may see it late: what the loop
        # puts into the queue after it has set or read one makes up for that, for the thread looks again when it gets there.
        self.given_up = False  # by the loop: nobody waits for it to be opened
        self.over = False  # by the thread: its end is written
        self.let_down = False  # by the thread: the store could not be written to, which is no fault of the run
        self.goes_back = False  # by the loop: it is left to go on elsewhere, and goes back into its queue
        self.parks = False  # by the loop: it goes on when something has come that it waits for
        self.waits = False  # by the loop: it has waited for what the store settles
        self.patient = False  # whether it has asked, and nobody waits for that: the loop's alone

    @property
    def leaves(self) -> "Leaving":
        """Where it is left that has not ended."""
        return "parked" if self.parks else "queue" if self.goes_back else "store"

    @property
    def owned(self) -> Claimed | None:
        """What the store has answered: to this claim, or before it."""
        return self.claimed or self.taken


def let_down(writers: list[RunWriter], error: BaseException) -> list[RunWriter]:
    """Return some runs, noted that the store has failed all of them: those from a queue go back, and no process counts as dead."""
    for writer in writers if isinstance(error, StoreError) else ():
        writer.let_down = True
    return writers


Work = tuple[RunWriter, Batch | None]  # None: the run is to be claimed


class LoopPost:
    """Carries batches from one loop to a keeper, and news back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, put: Callable[[list[Work]], None]) -> None:
        self.loop = loop
        self._put = put
        # Runs that go on, those that are to be claimed, and those of which there only is something to tell. In that order:
        # else all of thousands would begin before one of them can end, and every move would be a batch of its own.
        self._asking: deque[RunWriter] = deque()
        self._beginning: deque[RunWriter] = deque()
        self._telling: deque[RunWriter] = deque()  # also some that have asked again, in a hurry
        self._portions = 0
        self._busy = False  # whether a portion is under way, or will be in this turn of the loop
        self._news: deque[News] = deque()
        self._coming = False  # whether the loop has a delivery before it

    # On the loop

    def ask(self, writer: RunWriter, *, waited: bool) -> None:
        """Have a run asked for its next batch: soon if somebody waits for it, also where it has asked before."""
        writer.patient = not waited
        (self._asking if waited else self._telling).append(writer)
        if not self._busy:
            self._collect_soon()

    def claim(self, writer: RunWriter) -> None:
        """Have a run claimed."""
        self._beginning.append(writer)
        if not self._busy:
            self._collect_soon()

    def _collect_soon(self) -> None:
        # Not at once, and not before what the loop has to do already, such as starting what has become ready: what happens
        # meanwhile goes with it, and saves a commit.
        self._busy = True
        self.loop.call_soon(self.loop.call_soon, self._collect)

    def _collect(self) -> None:
        works: list[Work] = []
        try:
            for lane in self._lanes():
                while lane and len(works) < PORTION:
                    works += self._works_of(lane.popleft(), lane)
        finally:  # also after a KeyboardInterrupt
            self._busy = bool(works)
            if works:
                self._put(works)
            elif self._wants():
                self._collect_soon()

    def _lanes(self) -> tuple[deque[RunWriter], ...]:
        self._portions += 1
        if self._portions % EACH and (self._asking or self._beginning):
            return self._asking, self._beginning
        return self._beginning, self._telling, self._asking

    def _works_of(self, writer: RunWriter, lane: deque[RunWriter]) -> list[Work]:
        if lane is self._beginning:
            return [] if writer.given_up else [(writer, None)]
        if lane is self._telling and not writer.patient:
            return []  # written meanwhile
        writer.patient = False
        try:
            return [(writer, writer.scribe.next_batch())]
        except BaseException as error:
            # It would wait for the commit of a batch that never comes. The others still have theirs written.
            writer.scribe.hear_commit(error)
            if not isinstance(error, Exception):
                raise
            return []

    def _wants(self) -> bool:
        return bool(self._asking or self._beginning or self._telling)

    def free(self) -> None:
        """Let the next portion come."""
        self._busy = False

    def _deliver(self) -> None:
        # First of all: what the keeper adds from here on it also sends. The other way round, news that comes between the
        # look and this line would stay.
        self._coming = False
        try:
            for _ in range(min(PORTION, len(self._news))):
                heard, args = self._news.popleft()
                heard(*args)
        finally:
            if self._news and not self._coming:
                self._coming = True
                self.loop.call_soon(self._deliver)
            if self._wants() and not self._busy:
                self._collect_soon()

    # In the keeper's thread

    def add(self, heard: Callable[..., None], *args: object) -> None:
        """Have the loop call something with the next delivery."""
        self._news.append((heard, args))

    def send(self) -> None:
        """Wake the loop, if there is news for it."""
        if self._coming or not self._news:
            return
        self._coming = True
        with suppress(RuntimeError):  # of a loop that has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._deliver)


def settle_future(future: "asyncio.Future[Any]", error: BaseException | None, value: object) -> None:
    """Give a future its outcome, on its loop."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
