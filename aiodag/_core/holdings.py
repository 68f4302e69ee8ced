"""Who holds what of a capacity, who waits, and who is next.

Requests that wait stand in lines, one for each different request and priority, and are looked at by priority, and
in the order of asking among equals:

    waiting, oldest first      one place, 8 cores, 5 of them free
    asks for 6 cores           does not fit: 6 are kept for it, which leaves nothing to spare
    asks for 2 cores           would fit, but not into what is to spare: waits
    asks for 1 license         takes nothing from the first: goes ahead

So nobody is delayed by who came later, and what the first cannot use yet is used meanwhile.
"""

from asyncio import AbstractEventLoop, Future, _get_running_loop
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from threading import Lock
from types import MappingProxyType
from weakref import WeakKeyDictionary

Request = tuple[tuple[str, int], ...]  # names and amounts, in the order of the names: equal requests are equal

# What a line is known by: the priority, negative so that the highest comes first, and what each in it asks for.
Key = tuple[int, Request]

AHEAD = 32  # lines that are looked at: behind so many others, a request waits although it might fit
NOTHING: Mapping[str, int] = MappingProxyType({})


class Ticket:
    """One request of one attempt: it waits, then it holds, then it has left."""

    __slots__ = ("future", "gone", "key", "leaving", "number", "outlives", "peers", "place", "request")

    def __init__(self, request: Request, loop: AbstractEventLoop, priority: int = 0) -> None:
        self.request = request
        self.key: Key = (-priority, request)  # of the line where it waits
        self.future: Future[None] | None = loop.create_future()  # until it is let in: what holds must not hold a loop
        self.number = 0  # in the order of asking; 0: has not asked
        self.place: int | None = None  # where it holds what it asked for
        self.peers: set[Ticket]  # from then on: all that hold something on the same loop
        self.outlives = False  # whether it holds on when that loop is closed
        self.leaving = False
        self.gone = False

    def let_in(self) -> None:
        """Wake the attempt, unless it is being cancelled: then it leaves by itself."""
        future, self.future = self.future, None
        if future is not None and not future.done():
            future.set_result(None)

    def loop(self) -> AbstractEventLoop:
        """Return the loop on which it waits."""
        assert self.future is not None
        return self.future.get_loop()


class WaitingLine:
    """Those that wait with equal requests. Where the first does not fit, nobody in the line does."""

    def __init__(self, home: int) -> None:
        self.home = home  # the place where room is kept for the first
        self.tickets: deque[Ticket] = deque()
        self.left = 0

    def first(self) -> Ticket | None:
        """Return who is next, without those that wait no longer."""
        while self.tickets and (self.tickets[0].gone or self.tickets[0].loop().is_closed()):
            self.tickets.popleft().gone = True
        return self.tickets[0] if self.tickets else None

    def leave(self, ticket: Ticket) -> bool:
        """Forget one; return whether it was the next."""
        ticket.gone = True
        if self.tickets[0] is ticket:
            return True
        # As a whole when half have left: taking each out at once would take the square of the time.
        self.left += 1
        if self.left * 2 > len(self.tickets):
            self.tickets = deque([each for each in self.tickets if not each.gone])
            self.left = 0
        return False


class Holdings:
    """What is free, who holds the rest, and who waits.

    Loops in several threads share it, and a loop must not wait for a thread. So each change is put into a queue, and
    whoever gets the lock works off the queue, for others too. Waiting for the lock would even hang within one thread: the
    garbage collector may close an attempt of a loop that is gone at any moment, such as in the middle of `_work`.
    """

    def __init__(self, totals: Sequence[Mapping[str, int]], limit: int | None) -> None:
        self._totals = totals
        self._free = [dict(each) for each in totals]
        self._room: float = float("inf") if limit is None else limit
        self._lines: dict[Key, WaitingLine] = {}
        self._order: list[tuple[int, int, Request]] = []  # a heap: each line by its rank and the number of its first
        self._asked = 0
        self._changes: deque[Ticket] = deque()
        self._lock = Lock()
        # Weak: a loop that nobody needs any more goes, and its attempts with it give back what they hold.
        self._held: WeakKeyDictionary[AbstractEventLoop, set[Ticket]] = WeakKeyDictionary()

    def tell(self, ticket: Ticket) -> None:
        """Take note of a ticket that asks, or leaves."""
        self._changes.append(ticket)
        # Whoever has the lock looks at the queue again after giving it back, so nothing is left lying.
        while self._changes and self._lock.acquire(blocking=False):
            try:
                self._work()
            finally:
                self._lock.release()

    def _work(self) -> None:
        look = False
        while self._changes:
            ticket = self._changes.popleft()
            look |= self._leave(ticket) if ticket.leaving else self._ask(ticket)
        if look:
            self._let_in({})

    def _ask(self, ticket: Ticket) -> bool:
        """Let a request in or have it wait; return whether to look who can go."""
        self._asked += 1
        ticket.number = self._asked
        if not self._lines and self._room:
            place = fitting_place(self._free, ticket.request, {})
            if place is not None:
                self._hold(ticket, place)
                return False
        look = self._reclaim()
        return self._line_up(ticket) or look

    def _line_up(self, ticket: Ticket, *, first: bool = False) -> bool:
        """Have a request wait, before all that are equal if it is the `first`; return whether to look who can go."""
        look = False
        line = self._lines.get(ticket.key)
        if line is None:
            line = self._lines[ticket.key] = WaitingLine(self._home_of(ticket.request))
            rank, request = ticket.key
            heappush(self._order, (rank, ticket.number, request))
            look = rank < 0 or len(self._lines) <= AHEAD
        if first:
            line.tickets.appendleft(ticket)
        else:
            line.tickets.append(ticket)
        return look

    def _home_of(self, request: Request) -> int:
        """Return the place where room is kept for a request."""
        home = fitting_place(self._totals, request, {})
        assert home is not None  # else it is refused at the call
        return home

    def _leave(self, ticket: Ticket) -> bool:
        """Let a ticket go; return whether to look who can go instead."""
        if ticket.gone:
            return False
        if ticket.place is not None:
            self._give_back(ticket, ticket.place)
            return True
        if ticket.number:
            return self._lines[ticket.key].leave(ticket)
        ticket.gone = True  # it has left before anybody could look at what it asks for
        return False

    def _give_back(self, ticket: Ticket, place: int) -> None:
        ticket.gone = True
        ticket.peers.discard(ticket)
        self._room += 1
        free = self._free[place]
        for name, amount in ticket.request:
            free[name] += amount

    def _reclaim(self) -> bool:
        """Take back what loops hold that were closed in the middle: nobody else will say so."""
        closed = [loop for loop in self._held if loop.is_closed()]
        lost = [ticket for loop in closed for ticket in self._held[loop] if not ticket.outlives]
        for ticket in lost:
            assert ticket.place is not None
            self._give_back(ticket, ticket.place)
        return bool(lost)

    def _let_in(self, kept: dict[int, dict[str, int]]) -> None:
        """Let in what fits, highest priority and then oldest first; keep room for what does not, and what is `kept` already."""
        back: list[tuple[int, int, Request]] = []
        while self._order and self._room > 0 and len(back) < AHEAD:
            rank, number, request = heappop(self._order)
            line = self._lines[rank, request]
            ticket = line.first()
            if ticket is None:
                del self._lines[rank, request]
                continue
            if ticket.number == number:
                place = fitting_place(self._free, request, kept)
                if place is None:
                    keep(kept.setdefault(line.home, {}), request)
                    back.append((rank, number, request))
                    continue
                line.tickets.popleft()
                self._hold(ticket, place)
                ticket = line.first()
            if ticket is None:
                del self._lines[rank, request]
            else:
                heappush(self._order, (rank, ticket.number, request))
        for each in back:
            heappush(self._order, each)

    def _hold(self, ticket: Ticket, place: int) -> None:
        """Give a request what it asks for, and wake its attempt."""
        self._room -= 1
        free = self._free[place]
        for name, amount in ticket.request:
            free[name] -= amount
        ticket.place = place
        loop = ticket.loop()
        peers = self._held.get(loop)
        if peers is None:
            peers = self._held[loop] = set()
        peers.add(ticket)
        ticket.peers = peers
        self._wake(ticket, loop)

    def _wake(self, ticket: Ticket, loop: AbstractEventLoop) -> None:
        if _get_running_loop() is loop:
            ticket.let_in()
            return
        try:
            loop.call_soon_threadsafe(ticket.let_in)
        except RuntimeError:  # closed a moment ago
            ticket.leaving = True
            self._changes.append(ticket)


def fitting_place(
    places: Sequence[Mapping[str, int]], request: Request, kept: Mapping[int, Mapping[str, int]]
) -> int | None:
    """Return the first place that has what is asked for, without touching what is kept for others."""
    for place, free in enumerate(places):
        others = kept.get(place, NOTHING)
        for name, amount in request:
            if free.get(name, 0) - others.get(name, 0) < amount:
                break
        else:
            return place
    return None


def keep(kept: dict[str, int], request: Request) -> None:
    """Add a request to what is kept for others in one place."""
    for name, amount in request:
        kept[name] = kept.get(name, 0) + amount
