"""What this process has of the limits and capacities that all processes of a store share.

    loop       tell(ticket)                                       ticket.future is done
    keeper       └──► all changes of a moment ─► share() ─ commit ────┘

Loops put changes into a queue; the thread that writes the store works them off, many in one transaction. Nobody is let in
before the store has it: who is killed then holds no more than the store says, until the lease of the process ends.
"""

import time
from asyncio import AbstractEventLoop, Future, _get_running_loop
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from math import inf
from threading import Lock, get_ident
from typing import TYPE_CHECKING, NamedTuple, cast

from aiodag._core.holdings import Ticket
from aiodag._core.shared import SharedHoldings
from aiodag._core.submit import engine_of
from aiodag.errors import OptionError, StoreError, StoreUnreachable
from aiodag.happenings import Happening
from aiodag.sharing import Pool, Sharing
from aiodag.stores.post import settle_future
from aiodag.stores.watch import watch_store

if TYPE_CHECKING:
    from aiodag.abc import Runs
    from aiodag.records import Owner

LOOK = 1.0  # seconds between two looks for what others give back, besides being told
AGAIN = 0.05  # seconds until the same is tried again that could not be written: less than anybody waits in between
IDLE = 1.0  # seconds between two looks whether a loop was closed that holds something


class TicketChange(NamedTuple):
    """A ticket that asks or leaves, and the loop that has said so, if one is to hear of it."""

    pool: Pool
    ticket: Ticket
    loop: AbstractEventLoop | None


class StartRequest(NamedTuple):
    """A start that is to be reserved."""

    name: str
    interval: float
    future: "Future[float]"


class Shares:
    """What this process has of the pools of one store. Loops add to `changes`; the rest is for the threads of its keepers."""

    def __init__(self) -> None:
        self.part = next(PARTS)
        self.look_at = inf  # by the monotonic clock: when to look again although nothing has changed here
        self.changes: deque[TicketChange | StartRequest] = deque()
        self.wake: Callable[[], object] = int  # the keeper, as long as there is one
        self._heard = False  # whether others have changed something since the last look
        self._settling = 0  # the thread that is about to, which hears of what it has done itself
        self._watching = ExitStack()
        self._watches = False
        self._pools: dict[str, SharedHoldings] = {}
        self._unsettled: set[str] = set()
        self._starts: deque[StartRequest] = deque()
        # Of two keepers, when a run begins while the last one of another keeper leaves. Loops never wait for it.
        self._lock = Lock()

    def are_idle(self) -> bool:
        """Return True if nothing is held, and nobody waits."""
        with self._lock:
            return not self.changes and not any(pool.in_use() for pool in self._pools.values())

    def is_due(self) -> bool:
        """Return True if there is something to work off."""
        return bool(self.changes or self._starts or self._heard or time.monotonic() >= self.look_at)

    def settle_due(self, store: "Runs", owner: "Owner") -> None:
        """Work off what has changed, and let in who can be. Raises what the store raises: then the same is tried again."""
        if self.is_due():
            with self._lock:
                self._heard, self._settling = False, get_ident()
                try:
                    self._settle(cast("Sharing", store), owner)
                finally:
                    self._settling = 0
                # From the first time that one has to wait for others: what nobody waits for, nobody needs to hear of.
                if not self._watches and any(pool.waits() for pool in self._pools.values()):
                    self._watches = True
                    watch = self._watching.enter_context(watch_store(store))
                    self._watching.enter_context(watch.calling(self._hear, of={Happening.PLACES}))

    def _hear(self) -> None:
        """Look again: others have given back something, or ask for it."""
        if self._settling != get_ident():
            self._heard = True  # and not a moment to look at, which one who is looking now would put off again
            self.wake()

    def end_watch(self) -> None:
        """Hear of nothing any more."""
        with self._lock:
            self._watches = False
            self._watching.close()

    def _settle(self, sharing: Sharing, owner: "Owner") -> None:
        changes = [self.changes.popleft() for _ in range(len(self.changes))]
        let: list[Ticket] = []
        try:
            for change in changes:
                if isinstance(change, TicketChange):
                    self._change(change)
                else:
                    self._starts.append(change)
            self._unsettled |= {name for name, pool in self._pools.items() if pool.waits() or pool.has_lost()}
            if self._unsettled:
                names = sorted(self._unsettled)
                sharing.share(owner, self.part, {name: self._pools[name].settle for name in names})
                let = [ticket for name in names for ticket in self._pools[name].take_let()]
                self._unsettled.clear()
        finally:
            tell_loops(changes, let)
            waits = any(pool.waits() for pool in self._pools.values())
            self._pools = {name: pool for name, pool in self._pools.items() if pool.in_use() or name in self._unsettled}
            pause = AGAIN if self._unsettled else LOOK if waits else IDLE if self._pools else inf
            self.look_at = time.monotonic() + pause
        while self._starts:
            reserve_start(sharing, self._starts[0])
            self._starts.popleft()

    def _change(self, change: TicketChange) -> None:
        pool, ticket, _ = change
        holdings = self._pools.get(pool.name)
        if holdings is None:
            holdings = self._pools[pool.name] = SharedHoldings(pool)
        elif holdings.pool != pool and not ticket.leaving:
            ticket.gone = True
            refuse(ticket, holdings.pool)
            return
        holdings.change(ticket)
        self._unsettled.add(pool.name)


class JoinedPool:
    """A pool as one run of this process sees it."""

    def __init__(self, shares: Shares, pool: Pool, loop: AbstractEventLoop, wake: Callable[[], object]) -> None:
        self._shares = shares
        self._loop = loop
        self._pool = pool
        self._wake = wake  # the keeper
        self.over = False  # whether the run has left: its keeper may have ended, and no clock waits for that

    def tell(self, ticket: Ticket) -> None:
        """Take note of a ticket that asks, or leaves. From any thread."""
        # Not where the garbage collector closes an attempt of a loop that is gone, in the middle of another one.
        ours = not self.over and _get_running_loop() is self._loop
        if ours:
            engine_of(self._loop).real_time.begin()
        self._put(TicketChange(self._pool, ticket, self._loop if ours else None))

    async def next_start(self, interval: float) -> float:
        """Reserve the next start; return when it is, by `time.monotonic`."""
        future: Future[float] = self._loop.create_future()
        with engine_of(self._loop).real_time:
            self._put(StartRequest(self._pool.name, interval, future))
            return await future

    def _put(self, change: TicketChange | StartRequest) -> None:
        self._shares.changes.append(change)
        self._wake()


def tell_loops(changes: "list[TicketChange | StartRequest]", let: list[Ticket]) -> None:
    """Have loops hear who was let in, and that what they have told is done: the clock of a test stood still for that."""
    told: dict[AbstractEventLoop, int] = {}
    entering: dict[AbstractEventLoop, list[Ticket]] = {}
    for ticket in let:
        loop = ticket.loop()
        told.setdefault(loop, 0)
        entering.setdefault(loop, []).append(ticket)
    for change in changes:
        if isinstance(change, TicketChange) and change.loop is not None:
            told[change.loop] = told.get(change.loop, 0) + 1
    for loop, times in told.items():
        with suppress(RuntimeError):  # closed: what it holds is reclaimed
            loop.call_soon_threadsafe(hear, loop, times, entering.get(loop, ()))


def hear(loop: AbstractEventLoop, times: int, let: Sequence[Ticket]) -> None:
    """Let tickets in on their loop; count so many changes as done."""
    engine_of(loop).real_time.count -= times
    for ticket in let:
        ticket.let_in()


def refuse(ticket: Ticket, pool: Pool) -> None:
    """Refuse what is asked for under a name that has another size in this process."""
    kind, _, name = pool.name.partition(":")
    wanted = f"a name for each size: in this process a {kind} of another size is in use under it"
    error = OptionError("shared", name, wanted)
    future = ticket.future
    if future is not None:
        with suppress(RuntimeError):
            ticket.loop().call_soon_threadsafe(settle_future, future, error, None)


def reserve_start(sharing: Sharing, start: StartRequest) -> None:
    """Reserve a start, and have the loop that waits for it hear when it is, or why there is none.

    Raises `StoreUnreachable`: then it is asked for again.
    """
    at, error = 0.0, None
    try:
        at = sharing.next_start(start.name, start.interval)
    except StoreUnreachable:
        raise
    except BaseException as raised:  # noqa: BLE001 - it is raised where the start is waited for
        error = raised
    with suppress(RuntimeError):  # of a loop that has been closed: nobody waits any more
        start.future.get_loop().call_soon_threadsafe(settle_future, start.future, error, at)


def check_sharing(store: "Runs", pool: Pool) -> None:
    """Refuse a store that shares nothing. Raises `StoreError`."""
    if not hasattr(store, "share"):
        msg = f"the store {store} has no limits and capacities that processes share: leave out shared={pool.name!r}"
        raise StoreError(msg)


PARTS = count(1)
SHARES: dict[Hashable, Shares] = {}  # of this process, by the place of their store


def shares_at(place: Hashable) -> Shares:
    """Return what this process has of a store's pools: for its next keeper too, where a thread goes on that holds something."""
    return SHARES.setdefault(place, Shares())


def forget_shares(place: Hashable) -> None:
    """Forget what a process without a keeper of that store has of its pools, if that is nothing."""
    shares = SHARES.get(place)
    if shares is not None and shares.are_idle():
        del SHARES[place]
