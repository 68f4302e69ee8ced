"""All programs of an agent, for all its clients: who may start one, what it holds, when it ends, when it is forgotten."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from aiodag._core.capacity import MILLION, Capacity, request_of
from aiodag._core.holdings import Request
from aiodag.agent.guard import NEVER, AgentGuard
from aiodag.agent.hosted import BY_OWNER, ENDED, RUNNING, WAITING, HostedProgram, ended_all
from aiodag.agent.log import ProgramLog
from aiodag.agent.requests import Order
from aiodag.commands.agent_wire import program_id
from aiodag.errors import OptionError

KEPT = 3600.0  # seconds for which an end is kept that nobody has taken
KEPT_BYTES = 2**30  # of all of these together, unless their owners are there
KEPT_COUNT = 1_000
MOST = 10_000  # programs, waiting ones and ends that nobody has taken included
LOOKS = 4  # at all leases, in the time of one
CORES = "cores"  # a program that does not say how many takes one


class Refused(Exception):
    """The agent does not start a program; `never` if it never could."""

    def __init__(self, why: str, *, never: bool = False) -> None:
        super().__init__(why)
        self.never = never


class AgentSettings(NamedTuple):
    """What an agent has and keeps to. `orphan_grace` is the time in seconds for which the owner of a program may be silent."""

    resources: Mapping[str, float]
    directory: Path
    orphan_grace: float = 60.0
    env: Mapping[str, str] = {}


class ProgramTable:
    """The programs of an agent, by their ids. One loop has it."""

    def __init__(self, settings: AgentSettings, guard: AgentGuard | None = None) -> None:
        self.settings = settings
        self.instance = secrets.token_hex(8)
        self.capacity = Capacity(settings.resources)
        self.programs: dict[str, HostedProgram] = {}
        self.drained = False
        self.leaving = False  # for good: this process ends
        self._guard = guard
        self._barred: dict[str, float] = {}  # ids that were looked for and not found, and until when they cannot come
        self._loop = asyncio.get_running_loop()

    @property
    def clock(self) -> float:
        """The moment on the clock by which leases are counted."""
        return self._loop.time()

    def start(self, order: Order, heard: float) -> HostedProgram:
        """Start a program, or return the one of that label. `heard` is what its owner heard last of our clock. Raises `Refused`."""
        name = program_id(order.label)
        until = self._lease(heard)
        found = self.programs.get(name)
        if found is not None:
            if found.digest != order.digest:
                raise Refused("another program has this label, which is to be unique", never=True)
            found.seen_until = max(found.seen_until, until)
            return found
        self._check_room(name, until)
        request = self._request(order)
        program = HostedProgram(order, self.capacity.ask(request), ProgramLog(self.settings.directory), until)
        self.programs[name] = program
        if self._guard is not None:
            self._guard.tell_earlier(self._moment_of(until))
        program.task = self._loop.create_task(program.run(self.capacity, self.settings.env))
        return program

    def _lease(self, heard: float) -> float:
        """Return until when somebody is there who has heard our clock say that; it may not have said it yet."""
        return min(heard, self.clock) + self.settings.orphan_grace

    def _moment_of(self, until: float) -> float:
        """Return a moment of our clock on `time.monotonic()`, which the guard has, too."""
        return time.monotonic() + until - self.clock

    def tell_guard(self) -> None:
        """Tell the guard when the first lease is over of what this agent may have to end; what it has ended needs it no more."""
        if self._guard is not None:
            owned = [each.seen_until for each in self.in_phase(WAITING, RUNNING) if not each.why_ended]
            self._guard.tell(self._moment_of(min(owned, default=NEVER)))

    def _check_room(self, name: str, until: float) -> None:
        if self.leaving or self.drained:
            raise Refused(f"it is {'ending' if self.leaving else 'drained'}, and starts nothing new")
        if until <= self.clock:
            raise Refused("the request took longer on its way than an owner may be silent")
        if self._barred.get(name, 0.0) > self.clock:
            raise Refused("somebody has looked for this program and gone on without it", never=True)
        if len(self.programs) >= MOST:
            raise Refused(f"it has {MOST:,} programs already, waiting ones and ends that nobody has taken included")

    def _request(self, order: Order) -> Request:
        wanted = dict(order.request.resources)
        if CORES in self.settings.resources:
            wanted.setdefault(CORES, 1)
        try:
            request = request_of("resources", wanted)
        except OptionError as error:
            raise Refused(str(error), never=True) from None
        if lack := self.capacity.lack(request):
            raise Refused(lack, never=True)
        return request

    def find(self, name: str, heard: float) -> HostedProgram | None:
        """Return a program; one that is not there cannot come any more."""
        self.see([name], heard)
        found = self.programs.get(name)
        if found is None:
            self._barred[name] = self.clock + self.settings.orphan_grace
        return found

    def see(self, names: Iterable[str], heard: float) -> None:
        """Note that the owner of programs is there."""
        until = self._lease(heard)
        for name in names:
            if name in self.programs:
                self.programs[name].seen_until = max(self.programs[name].seen_until, until)

    def end(self, name: str) -> HostedProgram | None:
        """End a program, if it has not ended, and return it, if it was there."""
        found = self.programs.get(name)
        if found is not None:
            found.end(BY_OWNER)
        return found

    def take(self, names: Iterable[str]) -> None:
        """Forget programs whose owner has their ends."""
        for name in names:
            if name in self.programs and self.programs[name].phase == ENDED:
                self.programs.pop(name).log.close()

    def drain(self) -> None:
        """Start nothing new: what runs goes on, what waits is refused."""
        self.drained = True
        for each in self.in_phase(WAITING):
            each.end("its agent is drained")

    def undrain(self) -> None:
        """Start programs again."""
        self.drained = False

    def in_phase(self, *phases: str) -> list[HostedProgram]:
        """Return the programs that are in one of these phases."""
        return [each for each in self.programs.values() if each.phase in phases]

    def resources(self) -> dict[str, object]:
        """Return what there is, what of it is free, and what goes on."""
        total, free = dict(self.settings.resources), dict(request_of("resources", self.settings.resources))
        for program in self.in_phase(RUNNING):
            for resource, amount in program.ticket.request:
                free[resource] -= amount
        return {
            "resources": total,
            "free": {resource: whole_or_part(amount) for resource, amount in free.items()},
            "drained": self.drained or self.leaving,
            "running": len(self.in_phase(RUNNING)),
            "waiting": len(self.in_phase(WAITING)),
        }

    def mind(self) -> None:
        """End what nobody owns any more, and forget ends that nobody takes."""
        now = self.clock
        for program in self.in_phase(WAITING, RUNNING):
            if program.seen_until <= now:
                silent = f"its owner has been silent for {self.settings.orphan_grace:g} seconds"
                program.end(silent, orphaned=True)
        self._barred = {name: until for name, until in self._barred.items() if until > now}
        self._forget_ends(now)

    def _forget_ends(self, now: float) -> None:
        """Forget what ended long ago, and the oldest of what is too much."""
        left = {name: each for name, each in self.programs.items() if each.phase == ENDED and each.seen_until <= now}
        count, size = len(left), sum(each.log.end for each in left.values())
        for name in sorted(left, key=lambda name: left[name].ended_at):
            if left[name].ended_at + KEPT > now and count <= KEPT_COUNT and size <= KEPT_BYTES:
                return
            count, size = count - 1, size - left[name].log.end
            self.take([name])

    async def keep_minding(self) -> None:
        """Mind the programs until this is cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self.settings.orphan_grace / LOOKS))
            self.tell_guard()  # first: what `mind` ends now has heard of it by the next time
            self.mind()

    async def leave(self, grace: float) -> None:
        """Start nothing new, wait for what runs, and end what still does then. Cancelled, it waits no longer, but ends all."""
        self.leaving = True
        self.drain()
        try:
            async with asyncio.timeout(grace):
                while unended := self.in_phase(WAITING, RUNNING):
                    await ended_all(unended)
        except (TimeoutError, asyncio.CancelledError):
            pass
        for each in self.in_phase(WAITING, RUNNING):
            each.end("its agent has ended")
        await ended_all(self.in_phase(WAITING, RUNNING))


def whole_or_part(amount: int) -> float:
    """Return an amount that is counted in millionths as people write it: 4, or 0.5."""
    whole, rest = divmod(amount, MILLION)
    return amount / MILLION if rest else whole
