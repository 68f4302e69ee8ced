"""Limits and capacities that all processes of a store share: what this process has of one, and who is let in."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiodag._core.holdings import Holdings, Request, Ticket, fitting_place, keep
from aiodag._core.limits import Gate, Limit, gate_of
from aiodag.sharing import Pool, Share

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag.sharing import SharedPool

TURN = 0.1  # seconds after which a process that got nothing goes before those that did


class SharedHoldings(Holdings):
    """What this process holds of a pool, and who waits for more. The thread of its store alone uses it.

    Within the process the order is that of any capacity. Between processes: one that releases a place may give it to its own
    next attempt, for others hear of it only a moment later, when the place would have stood idle. But when another one has
    waited for `TURN` seconds without getting anything, room is kept for what that asks for:

        this process   ends one, begins one, ends one, begins one, ends one,           ends one, begins one
        another one            waits                               TURN is over, hears, begins one

    So every process that waits gets something within that time after a place is free, whoever else is quicker.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.totals, pool.limit)
        self.pool = pool
        self.attempts = 0
        self.let: list[Ticket] = []  # let in, which holds when the store has it
        self._since: float | None = None  # since when one waits without another having been let in

    def change(self, ticket: Ticket) -> None:
        """Take note of a ticket that asks, or leaves."""
        if ticket.leaving:
            self._leave(ticket)
        else:
            self._asked += 1
            ticket.number = self._asked
            self._line_up(ticket)

    def settle(self, others: Sequence[Share], now: float) -> Share | None:
        """Let in what fits next to what other processes have, and return what this one has then."""
        self._take_back()
        self._reclaim()
        waited = now if self._since is None else self._since
        before_us = [each for each in others if each.wanted is not None and each.since < min(waited, now - TURN)]
        kept: dict[int, dict[str, int]] = {}
        for each in before_us:
            home = fitting_place(self._totals, each.wanted or (), {})
            if home is not None:
                keep(kept.setdefault(home, {}), each.wanted or ())
        taken = len(before_us) + sum(each.attempts for each in others)
        self._room -= taken
        self._move(others, -1)
        self._let_in(kept)
        self._move(others, 1)
        self._room += taken
        wanted = self._first_that_waits()
        self._since = None if wanted is None else now if self.let else waited
        places = [held_of(total, free) for total, free in zip(self._totals, self._free, strict=True)]
        if not self.attempts and wanted is None:
            return None
        return Share(self.attempts, places, wanted, now if self._since is None else self._since)

    def take_let(self) -> list[Ticket]:
        """Return those that were let in, now that it is committed."""
        let, self.let = self.let, []
        return let

    def waits(self) -> bool:
        """Return True if somebody waits."""
        return self._since is not None

    def in_use(self) -> bool:
        """Return True if somebody holds something, or waits."""
        return bool(self.attempts or self._first_that_waits() is not None)

    def has_lost(self) -> bool:
        """Return True if a loop was closed that holds something, and nobody will say so."""
        closed = [tickets for loop, tickets in self._held.items() if loop.is_closed()]
        return any(not ticket.outlives for tickets in closed for ticket in tickets)

    def _move(self, others: Sequence[Share], sign: int) -> None:
        """Take what others hold away from what is free, or add it again."""
        for share in others:
            for free, held in zip(self._free, share.places, strict=False):
                for name in held.keys() & free.keys():
                    free[name] += sign * held[name]

    def _take_back(self) -> None:
        """Have those wait again, where they stood, whose being let in was not committed."""
        let, self.let = self.let, []
        for ticket in reversed(let):
            if ticket.gone or ticket.place is None:
                continue
            self._give_back(ticket, ticket.place)
            ticket.gone, ticket.place = False, None
            self._line_up(ticket, first=True)

    def _first_that_waits(self) -> Request | None:
        """Return what the first asks for that waits. Others keep room for it: it must not be one that has left."""
        firsts = [(rank, line.first(), request) for (rank, request), line in self._lines.items()]
        found = [(rank, first.number, request) for rank, first, request in firsts if first is not None]
        return min(found)[2] if found else None

    def _hold(self, ticket: Ticket, place: int) -> None:
        self.attempts += 1
        super()._hold(ticket, place)

    def _give_back(self, ticket: Ticket, place: int) -> None:
        self.attempts -= 1
        super()._give_back(ticket, place)

    def _wake(self, ticket: Ticket, loop: AbstractEventLoop) -> None:
        del loop  # when it is committed
        self.let.append(ticket)


def held_of(total: Mapping[str, int], free: Mapping[str, int]) -> dict[str, int]:
    """Return the amounts that are held in one place."""
    return {name: total[name] - free[name] for name in total if free[name] < total[name]}


class SharedGate(Gate):
    """A limit that all processes of a store share, as one run sees it."""

    def __init__(self, limit: Limit, loop: AbstractEventLoop, pool: "SharedPool") -> None:
        super().__init__(limit, loop)
        self._pool = pool
        self._bounded = limit.capacity is not None
        self._held: list[Ticket] = []

    def take(self) -> bool:
        """Take no place at once, unless there is one for everybody: only the store knows what is free."""
        return not self._bounded

    async def enter(self, priority: int = 0) -> None:
        """Wait for a place alone."""
        if not self._bounded:
            return
        ticket = Ticket((), self.loop, priority)
        waited = ticket.future
        self._pool.tell(ticket)
        try:
            if waited is not None:
                await waited
        except BaseException:
            self._leave(ticket)
            raise
        self._held.append(ticket)

    async def start(self, priority: int, last: "Callable[[], Awaitable[Any]] | None" = None) -> Any:
        """Wait for the turn on this loop, for the last thing that a start needs, and for the turn among all processes.

        In that order, for a start is reserved, and who is late for it would begin together with the next one. So no more than
        one worker stands idle here, while the turn comes.
        """
        number = self.turns.number()
        if self.turning:
            await self.turns.wait(priority, self._end_turn, number)
        self.turning = True
        found = None
        try:
            if last is not None:
                found = await last()
            at = await self._pool.next_start(self.interval)
            await asyncio.sleep(at - monotonic())
        except BaseException:
            if found is not None:
                found.leave()
            raise
        finally:
            self._end_turn()
        return found

    def release(self) -> None:
        """Give a place back."""
        if self._held:
            self._leave(self._held.pop())

    def _leave(self, ticket: Ticket) -> None:
        ticket.leaving = True
        self._pool.tell(ticket)


def gate_for(node: "Node[Any]", limit: Limit) -> Gate:
    """Return the state of a limit for a node: that of its loop; or, if the limit is shared, that of its run's store."""
    run = None if limit.shared is None else node.run
    if run is None or run.journal is None:
        return gate_of(node.engine, limit)
    gates = run.gates
    if gates is None:
        gates = run.gates = {}
    gate = gates.get(limit)
    if gate is None:
        pool = run.journal.share(Pool(f"limit:{limit.shared}", ({},), limit.capacity))
        gate = gates[limit] = SharedGate(limit, run.loop, pool)
    return gate
