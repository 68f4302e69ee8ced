"""One target of a pool: what it has, whether it takes part, and how a program runs there."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiodag._core.capacity import amount_of, amounts_text
from aiodag.abc import Host
from aiodag.commands.pool_room import ENDLESS, TargetRoom
from aiodag.programs import HostState, ProgramEnd, ProgramRequest, ProgramWatch

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two looks at a target that is left out
LOOK_LIMIT = 10.0  # seconds for a host to say what it has: it should do with 5
TARGET = "target"  # the fact of an attempt by which the target of its program is found again
NOTHING_COUNTED: Mapping[str, float] = MappingProxyType({})


class PoolTarget:
    """A host as a target: at first it takes part, unless it is to be looked at first, since nobody has said what it has."""

    def __init__(self, host: Any, resources: Mapping[str, float]) -> None:
        self.host = host
        self.name: str = host.name
        self.resources = resources
        self.unknown = not resources and self.has("look") and self.has("drain")  # an agent: it says what it has
        self.is_out = self.unknown
        self.why = "it has not said what it has" if self.unknown else ""
        self.out_at = self.due_at = float("-inf")
        self.looked_at = False
        self._pause = FIRST_PAUSE
        self.room = room_of(resources)

    def has(self, method: str) -> bool:
        """Return True if the host has an optional method."""
        return callable(getattr(self.host, method, None))

    def ask(self, method: str, *args: Any) -> Any:
        """Return what an optional method of the host says, None without it."""
        return getattr(self.host, method)(*args) if self.has(method) else None

    def room_text(self) -> str:
        """Return what it has, as messages say it."""
        counted = {name: amount for name, amount in self.room.items() if name and amount < ENDLESS}
        return amounts_text(counted) if counted else "says nothing of its resources"

    # In and out

    def leave_out(self, why: str, now: float, pause: float | None) -> None:
        """Note that it takes no part, and when to look at it again: each time in a row later."""
        if not self.is_out:
            self.out_at, self._pause = now, FIRST_PAUSE
        elif self.out_at < 0:
            self.out_at = now
        self.is_out, self.why = True, why.removeprefix("did not start: ")
        self.due_at = now + (self._pause if pause is None else pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def come_back(self) -> None:
        """Note that it takes part again."""
        self.is_out, self.why, self._pause = False, "", FIRST_PAUSE

    async def look(self) -> HostState:
        """Return what the host says of itself; one that says nothing may be reachable."""
        if not self.has("look"):
            return HostState(reachable=True, resources=self.resources)
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                state: HostState = await self.host.look()
        except TimeoutError:
            return HostState(reachable=False, why=f"{self.name} has not answered within {LOOK_LIMIT:g} s")
        except Exception as error:  # noqa: BLE001 - a host of somebody else's, which should say so by its answer
            return HostState(reachable=False, why=f"{type(error).__name__}: {error}")
        return state

    def room_in(self, state: HostState) -> TargetRoom | None:
        """Return what it has from now on, None if that has not changed: what was said when it was made is the last word."""
        if self.resources or not state.resources:
            return None
        self.room = room_of(state.resources)
        return self.room

    # A program

    async def run(self, request: ProgramRequest, watch: ProgramWatch) -> None:
        """Run a program; however this is left, one that nobody could take up again has ended by then."""
        if self.has("find"):
            await self.host.run(request, watch)
            return
        # The pool has `find`, so a run that lets go of it does not cancel the program: for this host somebody has to.
        running = asyncio.ensure_future(self.host.run(request, watch))
        try:
            await asyncio.shield(running)
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            raise


class TargetWatch:
    """What a target tells of a program, with its name: by that it is found again, and records say where it ran."""

    def __init__(self, watch: ProgramWatch, name: str) -> None:
        self.wrote = watch.wrote
        self._watch, self._name = watch, name

    def note_start(self, facts: Mapping[str, object], /) -> None:
        """Record how it is found again."""
        self._watch.note_start({**facts, TARGET: self._name})

    def note_end(self, end: ProgramEnd, /) -> None:
        """Take how the program ended."""
        self._watch.note_end(end if end.host else end._replace(host=self._name))


def room_of(resources: Mapping[str, float]) -> TargetRoom:
    """Return what a target has, in the amounts that are counted."""
    counted = {name: amount_of(f"resources[{name!r}]", amount) for name, amount in resources.items()}
    return TargetRoom(counted, endless=not resources)


def as_target(host: Host) -> PoolTarget:
    """Return a host as a target."""
    return PoolTarget(host, dict(getattr(host, "resources", None) or NOTHING_COUNTED))
