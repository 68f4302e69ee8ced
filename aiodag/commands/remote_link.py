"""One connection to another machine: its control shell, which watches the programs, and signs of life in both directions."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from typing import Protocol

from aiodag.commands.remote_shell import TICKS, control_lines

READY = 30.0  # seconds for the control shell to say that it is there: some logins read long files first
ANSWER = 30.0  # seconds for an answer of a control shell that is otherwise alive
SAID = 300  # bytes of what a login says in place of what it should


class LinkBroken(Exception):
    """Raised where a connection has broken: the message says why."""


class Channel(Protocol):
    """What one shell on the other side is spoken to by."""

    def write(self, content: bytes) -> None:
        """Send to its stdin."""
        ...

    def write_eof(self) -> None:
        """End its stdin."""
        ...

    def pause(self, pause: bool) -> None:
        """Read no more for now, or go on."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Hearer(Protocol):
    """What hears one shell on the other side."""

    def hear(self, stream: str, chunk: bytes) -> None:
        """Take what came on "stdout" or "stderr"."""
        ...

    def hear_exit(self) -> None:
        """Take note that the shell has ended. What it has started may go on to write."""
        ...

    def hear_end(self) -> None:
        """Take note that no more will come."""
        ...


class RemoteLink:
    """One connection. `open_channel` starts a shell on the other side, `abort` ends the connection at once."""

    def __init__(
        self, open_channel: Callable[[Hearer], Awaitable[Channel]], abort: Callable[[], object], keepalive: float
    ) -> None:
        self.open_channel = open_channel
        self.node = ""
        self.usage = False
        self.why_broken = ""
        self.broken_at = 0.0  # of the monotonic clock
        self.programs: dict[object, Callable[[str], object]] = {}  # what is told when it breaks
        self._abort = abort
        self._keepalive = keepalive
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[list[str]] = self._loop.create_future()
        self._answers: dict[tuple[str, str], asyncio.Future[list[str]]] = {}
        self._control: Channel | None = None
        self._token = token_hex(16)
        self._line = b""
        self._errors = b""
        self._heard_at = self._loop.time()
        self._beat_timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Start the control shell. Raises `LinkBroken`."""
        try:
            async with asyncio.timeout(READY):
                self._control = await self.open_channel(self)
                self._control.write(control_lines(self._token, self._keepalive / TICKS))
                ready = await self._ready
        except TimeoutError:
            self.break_off(f"no shell has answered within {READY:g} s{self._describe_login()}")
            raise LinkBroken(self.why_broken) from None
        self.usage = ready[1] == "1"
        self.node = " ".join(ready[3:])
        missing = ready[2].removeprefix("missing=").lstrip(",")
        if missing:
            self.break_off(f"{self.node} lacks {missing.replace(',', ', ')}, which programs are watched with")
            raise LinkBroken(self.why_broken)
        self._beat()

    def _describe_login(self) -> str:
        said = (self._errors + self._line)[-SAID:].decode("utf-8", "replace").strip()
        return f"; the login says: {' '.join(said.split())}" if said else ""

    def _beat(self) -> None:
        silent = self._loop.time() - self._heard_at
        if silent > self._keepalive:
            self.break_off(f"nothing was heard for {self._keepalive:g} s")
            return
        self.tell("beat")
        self._beat_timer = self._loop.call_later(self._keepalive / TICKS, self._beat)

    def tell(self, *words: object) -> None:
        """Tell the control shell something, if it is there."""
        if self._control is not None and not self.why_broken:
            self._control.write(f"{' '.join(map(str, words))}\n".encode())

    def expect(self, answer: str, of: object) -> "asyncio.Future[list[str]]":
        """Return the future of an answer, which may be awaited by several. It raises `LinkBroken`."""
        key = (answer, str(of))
        if key not in self._answers:
            self._answers[key] = self._loop.create_future()
            if self.why_broken:
                self._answers[key].set_exception(LinkBroken(self.why_broken))
        return self._answers[key]

    async def ask(self, *words: object, answer: str, of: object, seconds: float) -> list[str]:
        """Tell the control shell something, and wait for its answer. Raises `LinkBroken`."""
        future = self.expect(answer, of)
        if words:
            self.tell(*words)
        done, _ = await asyncio.wait([future], timeout=seconds + ANSWER)
        if not done:
            self.break_off(f"the shell that watches programs has not said {answer!r} within {seconds + ANSWER:g} s")
        self._answers.pop((answer, str(of)), None)
        return future.result()

    def hear(self, stream: str, chunk: bytes) -> None:
        """Take what the control shell says, or what a login says before."""
        self._heard_at = self._loop.time()
        if stream == "stderr":
            self._errors = (self._errors + chunk)[-SAID:]
            return
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            words = line.decode("utf-8", "replace").split()
            if words[:1] == [self._token] and not self._ready.done():
                self._ready.set_result(words[1:])
            elif not self._ready.done():
                self._errors = (self._errors + line + b" ")[-SAID:]
            elif words == ["silent"]:
                self.break_off(f"the other side has heard nothing for {self._keepalive:g} s")
            elif len(words) > 1 and (future := self._answers.get((words[0], words[1]))) and not future.done():
                future.set_result(words)

    def hear_exit(self) -> None:
        """Take note that the control shell has ended: without it no program is watched."""
        if self._ready.done():
            self.break_off("the shell that watches programs was killed")

    def hear_end(self) -> None:
        """Take note that the connection was closed, or a login said no more."""
        ended = "the connection was closed"
        self.break_off(ended if self._ready.done() else f"its shell has ended at once{self._describe_login()}")

    def break_off(self, why: str) -> None:
        """End the connection, and tell all that waits for it."""
        if self.why_broken:
            return
        self.why_broken = why
        self.broken_at = time.monotonic()
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        for future in [self._ready, *self._answers.values()]:
            if not future.done():
                future.set_exception(LinkBroken(why))
                future.exception()  # nobody may be waiting for it any more
        for broken in list(self.programs.values()):
            broken(why)
        with suppress(OSError):
            self._abort()
