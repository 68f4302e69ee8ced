"""Several hosts as one: a program goes to the first that has what it asks for, and those that are down are left out."""

import asyncio
import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiodag._core.capacity import Capacity, request_of
from aiodag._core.elsewhere import host_of
from aiodag._core.holdings import Request, Ticket
from aiodag.abc import Host
from aiodag.commands.pool_room import CORES, PoolRoom
from aiodag.commands.pool_targets import FIRST_PAUSE, TARGET, PoolTarget, TargetWatch, as_target
from aiodag.errors import OptionError
from aiodag.programs import (
    HostState,
    HostUnreachable,
    ProgramLost,
    ProgramNotFound,
    ProgramRequest,
    ProgramWatch,
)

log = logging.getLogger("aiodag.command")
PATIENCE = 60.0  # seconds that a program waits while all targets that could run it are left out


class HostPool:
    """Several hosts as one: a program runs on the first of `targets` that has room for the `resources` of its task.

    What a target has is what its `resources` say, or else what it says when it is looked at; one that says nothing takes whatever comes. A
    program that names no `cores` takes one where the target counts them. Whoever waits longest goes first: what it needs is kept
    for it on a target that can have it, and others go ahead only with what that leaves. All runs of a process that use the pool count together.

    A target that is down, or drained, gets nothing new. It is looked at again after growing pauses, and then takes part again.
    While all that could run a program are left out, that waits for `patience` seconds, and then has not started. `name` is how messages call
    the pool; records have the name of the target, or the machine that it says ran the program, as agents and Slurm do.

    Raises `OptionError` for what cannot be a target, and for two with the same name.

    >>> from aiodag.commands import command
    >>> from aiodag.commands.local import LocalHost
    >>> from aiodag.commands.pool import HostPool
    >>> lab = HostPool([LocalHost(name="small", resources={"cores": 1}), LocalHost(name="big", resources={"cores": 8})])
    >>> (await command("echo", host=lab, resources={"cores": 4})()).host
    'big'
    >>> lab.refuse({"cores": 16})
    'pool has no target with all of that: small (cores 1), big (cores 8)'
    """

    def __init__(self, targets: Iterable[Host], *, name: str = "pool", patience: float = PATIENCE) -> None:
        given: Any = targets
        called: Any = name
        seconds: Any = patience
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable) or not (listed := [*given]):
            raise OptionError("targets", targets, "a list of hosts, one or more")
        hosts = [host for each in listed for host in (each.hosts() if isinstance(each, HostPool) else [host_of(each)])]
        self.targets: tuple[PoolTarget, ...] = tuple(map(as_target, hosts))
        names = [each.name for each in self.targets]
        twice = next((each for each in names if names.count(each) > 1), None)
        if twice is not None:
            raise OptionError(
                "targets", names, f"hosts with names of their own, and two are called {twice!r}: give them a name="
            )
        if not isinstance(called, str) or not called or not called.isprintable():
            raise OptionError("name", name, "a text in one line")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise OptionError("patience", patience, "seconds, 0 or more")
        self.name, self.patience = name, patience
        self._room = PoolRoom([each.room for each in self.targets])
        self._begun = False
        self._looks: set[asyncio.Task[None]] = set()  # that are under way: the loop alone would not hold them

    def __repr__(self) -> str:
        return f"HostPool([{', '.join(repr(each.host) for each in self.targets)}], name={self.name!r})"

    def hosts(self) -> list[Any]:
        """Return the hosts that it is made of; a pool among them has become its targets."""
        return [each.host for each in self.targets]

    def form(self) -> dict[str, Any]:
        """Return how files write it."""
        targets = [{"name": each.name, **dict(each.ask("form") or {"type": each.name})} for each in self.targets]
        return {"type": "pool", "name": self.name, "targets": targets}

    def refuse(self, resources: Mapping[str, float], /) -> str:
        """Return why no target can ever have what is asked for, or nothing if one can."""
        request = request_of("resources", resources)
        if any(self._could(place, resources) for place in self._room.fits(request)):
            return ""
        counted = [each for each in self.targets if each.resources]
        why = Capacity([dict(each.resources) for each in counted]).lack(request) if counted else ""
        return f"in {self.name} {why}" if why and not why.startswith("no place") else self._lack_of_all()

    def _lack_of_all(self) -> str:
        has = ", ".join(f"{each.name} ({each.room_text()})" for each in self.targets)
        return f"{self.name} has no target with all of that: {has}"

    def _could(self, place: int, resources: Mapping[str, float]) -> bool:
        return not self.targets[place].ask("refuse", resources)

    # One program

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program on a target. Raises `ProgramNotStarted` and `ProgramLost`."""
        asked = self._request(request.resources)
        while True:
            ticket = await self._enter(asked)
            assert ticket.place is not None
            target = self.targets[ticket.place]
            try:
                await target.run(request, TargetWatch(watch, target.name))
            except HostUnreachable as error:
                self._leave_out(ticket.place, str(error))
                continue
            except ProgramLost:
                if target.has("look"):
                    self._leave_out(ticket.place, "a program was lost there", pause=0.0)
                raise
            finally:
                self._room.leave(ticket)
            return

    async def find(self, facts: Mapping[str, object], request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Take up what an earlier owner has started, on the target that has it. Raises `ProgramNotFound` and `ProgramLost`."""
        noted = [each for each in self.targets if each.name == facts.get(TARGET)]
        inner = {name: value for name, value in facts.items() if name != TARGET}
        # It asks for no room here: hosts that let programs outlive their owner count those themselves.
        for target in noted or (self.targets if not facts else ()):
            if not target.has("find"):
                continue
            with suppress(ProgramNotFound):
                await target.host.find(inner, request, TargetWatch(watch, target.name))
                return
        raise ProgramNotFound(f"no target of {self.name} knows it")

    def _request(self, resources: Mapping[str, float]) -> Request:
        return request_of("resources", {CORES: 1, **resources})

    async def _enter(self, asked: Request) -> Ticket:
        """Wait for room on a target, and look at those that are left out meanwhile. Raises `HostUnreachable`."""
        if not self._begun:
            self._begun = True
            for place, target in enumerate(self.targets):
                if not target.unknown:
                    self._room.turn(place, opens=True)
        ticket = self._room.enter(asked)
        try:
            while ticket.future is not None and not ticket.future.done():
                looks = self._look_at_due()
                await asyncio.wait([ticket.future, *looks], timeout=self._pause(), return_when=asyncio.FIRST_COMPLETED)
                if ticket.place is None and (why := self._hopeless(asked)):
                    raise HostUnreachable(why)
        except BaseException:
            self._room.leave(ticket)
            raise
        self._look_at_due()
        return ticket

    # Targets that are left out

    def _leave_out(self, place: int, why: str, pause: float | None = None) -> None:
        target = self.targets[place]
        known = target.why  # nothing, of one that takes part
        target.leave_out(why, asyncio.get_running_loop().time(), pause)
        if target.why != known:  # else each look at it would be another line
            log.warning("%s leaves out its target %s: %s", self.name, target.name, target.why)
        self._room.turn(place, opens=False)

    def _pause(self) -> float:
        """Return the seconds until a target is due to be looked at, or has been left out for too long."""
        now = asyncio.get_running_loop().time()
        pauses = [self.patience]
        for each in self.targets:
            if each.is_out:
                # One that is due already is being looked at, maybe for another program, which may end before that look does.
                pauses.append(each.due_at - now if each.due_at > now else FIRST_PAUSE)
                pauses += [each.out_at + self.patience - now] * (each.out_at + self.patience > now)
        return min(pauses) + 0.001

    def _look_at_due(self) -> "list[asyncio.Task[None]]":
        """Look at the targets that are due, one look at a time for each.

        A look ends by itself, within seconds: were it to end with the program that began it, one program after the other that is
        quicker than a look would keep a target out for ever.
        """
        loop = asyncio.get_running_loop()
        begun: list[asyncio.Task[None]] = []
        for place, target in enumerate(self.targets):
            if target.is_out and not target.looked_at and target.due_at <= loop.time():
                target.looked_at = True
                look = loop.create_task(self._look(place))
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)
                begun.append(look)
        return begun

    async def _look(self, place: int) -> None:
        target = self.targets[place]
        try:
            state = await target.look()
            if state.reachable and not state.drained:
                target.come_back()
                self._room.turn(place, opens=True, has=target.room_in(state))
            else:
                self._leave_out(place, state.why or "it is drained")
        finally:
            target.looked_at = False

    def _hopeless(self, asked: Request) -> str:
        """Return why nobody will run it: what could has been left out for too long, or nothing could any more."""
        able = [self.targets[place] for place in self._room.fits(asked)]
        since = asyncio.get_running_loop().time() - self.patience
        # One that has not said yet what it has is not out since any moment.
        if any(not each.is_out or each.out_at > since or each.out_at < 0 for each in able):
            return ""
        if not able:
            return f"did not start: {self._lack_of_all()}"
        reasons = "; ".join(f"{each.name}: {each.why}" for each in able)
        return f"did not start: {self.name} has no target that takes it: {reasons}"

    # The pool as a whole

    async def states(self) -> dict[str, HostState]:
        """Look at all targets, and return what each says."""
        found = await asyncio.gather(*(each.look() for each in self.targets))
        return {target.name: state for target, state in zip(self.targets, found, strict=True)}

    async def look(self) -> HostState:
        """Look at all targets, and return what they have together."""
        states = [state for state in (await self.states()).values() if state.reachable and not state.drained]
        why = "" if states else f"no target of {self.name} can be reached, or all are drained"
        running = [each.running for each in states if each.running is not None]
        return HostState(
            reachable=bool(states),
            why=why,
            resources=sum_of(each.resources for each in states),
            free=sum_of(each.free for each in states),
            running=sum(running) if running else None,
        )

    async def close(self) -> None:
        """Let go of the connections of all targets, and look at none any more for this loop."""
        loop = asyncio.get_running_loop()
        for look in [each for each in self._looks if each.get_loop() is loop]:
            look.cancel()
            await asyncio.wait([look])
        for each in self.targets:
            if each.has("close"):
                await each.host.close()


def sum_of(amounts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return amounts by name, together.

    >>> sum_of([{"cores": 4}, {"cores": 2, "gpus": 1}])
    {'cores': 6, 'gpus': 1}
    """
    found: dict[str, float] = {}
    for each in amounts:
        for name, amount in each.items():
            found[name] = found.get(name, 0) + amount
    return found
