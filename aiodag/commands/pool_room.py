"""Which target of a pool a program gets, and who waits: the rules of a capacity, with targets that are left out and come back.

    waiting, oldest first      node1: 4 cores, 1 free     node2: 8 cores, down
    asks for 8 cores           node2 alone could: waits for it, and nothing is kept on node1
    asks for 4 cores           node1 could: what becomes free there is kept for it
    asks for 1 core            would fit on node1, but that core is kept: waits

When node2 comes back, it is kept for the first. So nobody is delayed by who came later, and a target that is down holds up
nobody who could run elsewhere.
"""

import asyncio
from collections.abc import Mapping, Sequence

from aiodag._core.holdings import Holdings, Request, Ticket, fitting_place

OPEN = ""  # the name of what every program takes, and a target that is left out has none of: nothing else has this name
ENDLESS = 10**18  # millionths: more than can be asked for
CORES = "cores"
NOBODY: Request = ()


class TargetRoom(dict[str, int]):
    """What a target has, by names; with `endless`, as much of everything as somebody may ask for."""

    def __init__(self, counted: Mapping[str, int], *, endless: bool) -> None:
        # A target that says nothing of its cores has as many as are asked for: not everybody counts them.
        super().__init__({CORES: ENDLESS, **counted, OPEN: ENDLESS})
        self.endless = endless

    def get(self, name: str, default: int = 0) -> int:  # type: ignore[override]  # a number, always
        """Return how much there is of a resource."""
        return self[name] if name in self or self.endless else default

    def __missing__(self, name: str) -> int:
        return ENDLESS if self.endless else 0


class Turn(Ticket):
    """A change of a target, worked off between those who ask and those who leave: whether it is open, and what it has."""

    def __init__(self, place: int, loop: asyncio.AbstractEventLoop, *, opens: bool, has: TargetRoom | None) -> None:
        super().__init__(NOBODY, loop)
        self.at, self.opens, self.has = place, opens, has


class PoolRoom(Holdings):
    """Who holds what on the targets of a pool, and who waits. All targets are closed at first."""

    def __init__(self, totals: Sequence[TargetRoom]) -> None:
        super().__init__(totals, None)
        self._rooms = list(totals)
        self._free = [TargetRoom(each, endless=each.endless) for each in totals]
        self._opened = [False] * len(totals)
        for free in self._free:
            free[OPEN] -= ENDLESS

    def enter(self, request: Request) -> Ticket:
        """Ask for resources: the future of the ticket is done, or gone, when they are held at its `place`."""
        ticket = Ticket(((OPEN, 1), *request), asyncio.get_running_loop())
        self.tell(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give everything back, or wait no longer: from any thread, once or again."""
        ticket.leaving = True
        self.tell(ticket)

    def turn(self, place: int, *, opens: bool, has: TargetRoom | None = None) -> None:
        """Open a target or leave it out; `has` is what it has from now on."""
        self.tell(Turn(place, asyncio.get_running_loop(), opens=opens, has=has))

    def fits(self, request: Request) -> list[int]:
        """Return the targets that could ever have what is asked for, whether they are open or not."""
        return [place for place, each in enumerate(self._rooms) if fitting_place([each], request, {}) is not None]

    def free(self, place: int) -> dict[str, int]:
        """Return what nobody holds of what a target counts."""
        return {name: self._free[place][name] for name, total in self._rooms[place].items() if total < ENDLESS}

    def _ask(self, ticket: Ticket) -> bool:
        return self._turn(ticket) if isinstance(ticket, Turn) else super()._ask(ticket)

    def _turn(self, turn: Turn) -> bool:
        """Open or close a target, and keep room for those who wait where they can run now; return True: somebody may go."""
        place = turn.at
        if turn.has is not None:
            self._refurnish(place, turn.has)
        if turn.opens != self._opened[place]:
            self._free[place][OPEN] += ENDLESS if turn.opens else -ENDLESS
            self._opened[place] = turn.opens
        for (_, request), line in self._lines.items():
            line.home = self._home_of(request)
        turn.gone = True
        return True

    def _refurnish(self, place: int, has: TargetRoom) -> None:
        """Have a target count something else from now on: what is held there stays held."""
        old, free = self._rooms[place], self._free[place]
        self._rooms[place] = has
        self._free[place] = TargetRoom(has, endless=has.endless)
        for name in free:
            self._free[place][name] -= old[name] - free[name]

    def _home_of(self, request: Request) -> int:
        able = [place for place, each in enumerate(self._rooms) if fitting_place([each], request, {}) is not None]
        return next((place for place in able if self._opened[place]), able[0] if able else 0)
