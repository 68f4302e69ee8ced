"""The connections to one other machine: as many as its programs need, opened one after the other, and let go of when idle."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiodag.commands.loop_aside import ASIDE
from aiodag.commands.remote_link import LinkBroken, RemoteLink
from aiodag.commands.remote_program import RemoteProgram, label_digest
from aiodag.commands.remote_shell import PATIENCE, TICKS, hundredths
from aiodag.programs import HostUnreachable, ProgramEnd, ProgramLost

SESSIONS = 10  # shells of one connection, unless sshd's MaxSessions says otherwise; one of them is the control
IDLE = 60.0  # seconds without a program, after which a connection is closed
MARGIN = 2.0  # seconds for what ends programs there to be scheduled
PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds between attempts to connect again; the last one goes on
UNKNOWN = "has ended in a way that nobody knows"

Connect = Callable[[], Awaitable[RemoteLink]]


class NoRoom(Exception):
    """Raised where a connection takes no further shell."""


class UsedLink:
    """One connection, and how many programs it has."""

    def __init__(self, link: RemoteLink) -> None:
        self.link = link
        self.room = SESSIONS - 1
        self.used = 0
        self.idle: asyncio.TimerHandle | None = None


class RemoteLinks:
    """Lives on the loop aside. `connect` opens a connection, or raises `HostUnreachable`."""

    def __init__(self, connect: Connect, *, at_once: int, keepalive: float) -> None:
        self._connect = connect
        self._at_once = at_once
        self._keepalive = keepalive
        self._held: list[UsedLink] = []
        self._waiting: deque[asyncio.Future[UsedLink]] = deque()
        self._opening: asyncio.Task[None] | None = None
        ASIDE.at_end.add(self.close)

    async def run(self, program: RemoteProgram) -> ProgramEnd:
        """Run a program. Raises `ProgramNotStarted`, `ProgramLost`, and `Stopped`."""
        while True:
            held = await self._take()
            try:
                return await program.run(held.link)
            except NoRoom:
                held.room = held.used - 1
                if held.room < 1:
                    msg = "did not start: the server allows one session for a connection, and two are needed (MaxSessions)"
                    raise HostUnreachable(msg) from None
            except LinkBroken as error:
                if not program.gone_on:
                    raise HostUnreachable(f"did not start: the connection broke: {error}") from None
                broken_at = held.link.broken_at or time.monotonic()
                await self._seek(program.label, program.session, program.began, program.grace, broken_at)
                raise ProgramLost(f"{UNKNOWN}: {error}. It has been ended since") from None
            finally:
                self._give_back(held)

    async def find(self, label: str, session: int, began: str, grace: float) -> bool | None:
        """End what is left of a program whose owner is gone. Return whether there was anything, None if nobody knows."""
        return await self._seek(label_digest(label), session, began, grace, time.monotonic())

    async def look(self) -> RemoteLink:
        """Return a connection that is there, or a new one. Raises `HostUnreachable`."""
        living = next((each.link for each in self._held if not each.link.why_broken), None)
        if living is None:
            held = await self._take()
            self._give_back(held)
            living = held.link
        return living

    def close(self) -> None:
        """Close all connections that have no program."""
        if self._opening is not None and all(each.done() for each in self._waiting):
            self._opening.cancel()
        for held in list(self._held):
            if not held.used:
                self._drop(held)

    # Connections

    async def _take(self) -> UsedLink:
        """Return a connection with room for one more shell, which is taken."""
        waiter: asyncio.Future[UsedLink] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise

    def _serve(self) -> None:
        """Give room to who waits for it, and open a connection if that is not enough."""
        self._held = [each for each in self._held if not each.link.why_broken]
        for held in self._held:
            while held.used < held.room and self._count_used() < self._at_once and (waiter := self._next()):
                held.used += 1
                if held.idle is not None:
                    held.idle.cancel()
                waiter.set_result(held)
        if (
            self._opening is None
            and self._count_used() < self._at_once
            and any(not each.done() for each in self._waiting)
        ):
            self._opening = asyncio.get_running_loop().create_task(self._open())

    def _count_used(self) -> int:
        return sum(held.used for held in self._held)

    def _next(self) -> "asyncio.Future[UsedLink] | None":
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _open(self) -> None:
        try:
            held = UsedLink(await self._connect())
            self._held.append(held)
            self._rest(held)
        except HostUnreachable as error:
            while waiter := self._next():
                waiter.set_exception(HostUnreachable(str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of ours, or of asyncssh: not even then does a program wait for ever
            while waiter := self._next():
                waiter.set_exception(error)
        finally:
            self._opening = None
        self._serve()

    def _give_back(self, held: UsedLink) -> None:
        held.used -= 1
        self._rest(held)
        self._serve()

    def _rest(self, held: UsedLink) -> None:
        """Close a connection some time after it has had its last program."""
        if not held.used and not held.link.why_broken:
            held.idle = asyncio.get_running_loop().call_later(IDLE, self._drop_idle, held)

    def _drop_idle(self, held: UsedLink) -> None:
        if not held.used:
            self._drop(held)

    def _drop(self, held: UsedLink) -> None:
        if held.idle is not None:
            held.idle.cancel()
        held.link.break_off("it was closed")

    # What may still run

    async def _seek(self, digest: str, session: int, began: str, grace: float, broken_at: float) -> bool | None:
        """Have what is left of a program ended, and return whether there was anything.

        Where nobody can be asked, wait until its machine has ended it by itself, which has heard nothing since `broken_at`,
        and return None.
        """
        ends_at = broken_at + self._keepalive * (TICKS + 1) / TICKS + grace + PATIENCE + MARGIN
        pauses = iter(PAUSES)
        while True:
            with suppress(HostUnreachable, LinkBroken, TimeoutError):
                async with asyncio.timeout_at(self._moment(ends_at)):
                    link = await self.look()
                words = ("seek", digest, session, began, hundredths(grace))
                sought = await link.ask(*words, answer="sought", of=digest, seconds=4 * (grace + PATIENCE))
                return int(sought[2]) > 0
            left = ends_at - time.monotonic()
            if left <= 0:
                return None
            await asyncio.sleep(min(left, next(pauses, PAUSES[-1])))

    def _moment(self, monotonic: float) -> float:
        loop = asyncio.get_running_loop()
        return loop.time() + max(monotonic - time.monotonic(), 0)
