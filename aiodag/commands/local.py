"""A program on the side of its owner: handed to the warden, its output read, its end heard of."""

import asyncio
import errno
import marshal
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from signal import SIGKILL
from types import MappingProxyType
from typing import Any, NamedTuple

from aiodag._core.limits import Gate, Limit
from aiodag._core.submit import engine_of
from aiodag.commands.descriptors import FULL, ROOM, descriptors_allowed, programs_at_once
from aiodag.commands.entrance import ENTRANCE
from aiodag.commands.host_options import check_host_name
from aiodag.commands.refusal import NotStarted, describe_refusal
from aiodag.commands.streams import InputPipe, OutputPipe, drop
from aiodag.commands.warden import groups_of, send_signal
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest, ProgramWatch

LENGTH = 8  # bytes, as there
UNBOUNDED = 10**6  # programs at once, for all but descriptors
PATIENCE = 10.0  # seconds for descriptors that are on their way to arrive, also those of other processes of this user
PAUSE = 0.01  # seconds between two looks whether they have
NO_RESOURCES: Mapping[str, float] = MappingProxyType({})
STARTS = Limit(32)  # programs of one loop that are being started: the warden starts one after the other


LOST = (
    "has ended in a way that nobody knows: the process that starts programs for this one was killed, or has no room for descriptors. What it "
    "had started was killed with it; the next attempt gets a new one"
)


class Request(NamedTuple):
    """What the warden needs to know to start a program."""

    args: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    grace: float


def sessions_on(stdout: int) -> set[int]:
    """Return the sessions of the programs whose stdout is the other end of a pipe, as far as the system tells."""
    found: set[int] = set()
    for entry in os.listdir("/proc") if stdout >= 0 and os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208 - as below
        with suppress(OSError, ValueError):
            if os.path.samestat(os.stat(f"/proc/{entry}/fd/1"), os.fstat(stdout)):  # noqa: PTH116 - all processes
                found.add(os.getsid(int(entry)))
    return found - {os.getsid(0)}


UNDER_WAY: "set[Child]" = set()


def leave_to_parent() -> None:
    """Leave the warden and all programs to the process that this one is a fork of."""
    ENTRANCE.drop_in_fork()
    ROOM.holding.clear()
    for child in list(UNDER_WAY):
        child.drop_in_fork()


os.register_at_fork(after_in_child=leave_to_parent)


class Child:
    """One program: run it once."""

    def __init__(self, watch: ProgramWatch, *, answers: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self._watch = watch
        self._names = ("stdout", "stderr", "answer") if answers else ("stdout", "stderr")
        self._new_streams()
        self._over = asyncio.Event()  # nothing is left of it, or nothing more will be heard
        self._told: dict[str, list[str]] = {}
        self._heard = b""
        self._control: socket.socket | None = None
        self._warden = 0
        self._gate: Gate | None = None

    def _new_streams(self) -> None:
        self._outputs = [OutputPipe(self.loop, name, self._watch.wrote, self._look) for name in self._names]
        self._stdin = InputPipe(self.loop)

    async def run(self, request: Request, stdin: bytes | Path | None) -> None:
        """Run the program and wait until nothing of it is left. Then `end()` says how it ended.

        Cancelled, it ends the program, waits for that, too, and only then raises: a second cancel does not shorten the
        grace of the program. Raises `NotStarted`.
        """
        UNDER_WAY.add(self)
        try:
            await self._start(request, stdin)
            await self._settle()
        finally:
            UNDER_WAY.discard(self)
            self._close()

    async def _start(self, request: Request, stdin: bytes | Path | None) -> None:
        gates = engine_of(self.loop).gates
        gate = gates.get(STARTS)
        if gate is None:
            gate = gates[STARTS] = Gate(STARTS, self.loop)
        await gate.acquire()
        self._gate = gate
        control = await self._open_streams(stdin)
        told = marshal.dumps(tuple(request))
        with suppress(OSError):  # the warden is gone: _hear() sees that, too
            await self.loop.sock_sendall(control, len(told).to_bytes(LENGTH, "big") + told)

    async def _open_streams(self, stdin: bytes | Path | None) -> socket.socket:
        """Open all streams, as soon as there is room for their descriptors. Raises `NotStarted`."""
        until = 0.0
        while True:
            while len(ROOM.holding) >= programs_at_once(min(descriptors_allowed(), ENTRANCE.allowed), UNBOUNDED):
                await ROOM.wait()
            ROOM.holding.add(self)
            try:
                return self._open(stdin)
            except OSError as error:
                self._close_streams()
                self._control = None
                self._new_streams()
                ROOM.holding.discard(self)
                if error.errno == errno.ETOOMANYREFS:
                    # Linux counts what is on its way between all processes of a user, against the limit of this one: unix(7).
                    until = until or time.monotonic() + PATIENCE
                    if time.monotonic() < until:
                        await asyncio.to_thread(time.sleep, PAUSE)  # real time: other processes are waited for
                        continue
                if error.errno in FULL and await ROOM.wait():  # somebody else's descriptors are more than was spared
                    continue
                of_stdin = isinstance(stdin, Path) and error.filename == str(stdin)
                raise NotStarted(error, "stdin" if of_stdin else "") from None

    def _open(self, stdin: bytes | Path | None) -> socket.socket:
        """Open all streams, and hand their far ends over."""
        self._control, far_control = socket.socketpair()
        ends = [far_control.detach()]
        try:
            if stdin is not None:
                ends.append(self._stdin.open(stdin))
            for stream in self._outputs:
                ends.append(stream.open())  # noqa: PERF401 - what is open is closed below if the next cannot be
            self._control.setblocking(False)
            self.loop.add_reader(self._control.fileno(), self._hear, self._control)
            self._warden = ENTRANCE.admit(ends)
        finally:
            for end in ends:
                os.close(end)
        return self._control

    async def _settle(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not self._over.is_set():
            try:
                await self._over.wait()
            except asyncio.CancelledError as error:
                if cancelled is None:
                    cancelled = error
                    self._tell(b"end")
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled  # its traceback holds this frame

    def _tell(self, text: bytes) -> None:
        if self._control is None:  # a fork goes on with our loop: the program is none of its business
            self._over.set()
            return
        with suppress(OSError):  # as above
            self._control.send(text)

    def _hear(self, control: socket.socket) -> None:
        """Take what the warden tells."""
        try:
            heard = control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            if not self._told.keys() & {"error", "gone"}:
                ENTRANCE.leave(self._warden)
                self._kill()
            self._over.set()
            return
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            word, *rest = line.decode().split()
            self._told[word] = rest
        if "exit" not in self._told and lines[0].startswith(b"pid"):
            # Of one that goes on; one that has ended tells all at its end.
            self._watch.note_start({"pid": int(self._told["pid"][0])})
        self._release()
        self._look()

    def _kill(self) -> None:
        """End what the warden cannot end any more, since it was killed."""
        told = self._told.get("pid")  # not yet, if it was killed in the moment after the start
        sessions = {int(told[0])} if told else sessions_on(self._outputs[0].fd)
        for groups in groups_of(sessions).values():
            for group in groups:
                send_signal(group, SIGKILL)

    def _look(self) -> None:
        if "error" in self._told or ("gone" in self._told and not any(each.active for each in self._outputs)):
            self._over.set()

    def _release(self) -> None:
        if self._gate is not None:
            self._gate.release()
            self._gate = None

    def _close(self) -> None:
        """Let go of everything. The warden ends what still runs."""
        self._release()
        self._close_streams()
        ROOM.give_back(self)

    def _close_streams(self) -> None:
        if self._control is not None:
            drop(self.loop, self._control.fileno(), self.loop.remove_reader)
            self._control.detach()
        for stream in self._outputs:
            stream.finish()
        self._stdin.close()

    def drop_in_fork(self) -> None:
        """Close all ends in a fork: while that held them, the program would read no end of its stdin."""
        streams: list[OutputPipe | InputPipe] = [*self._outputs, self._stdin]
        for stream in streams:
            if stream.fd >= 0:
                os.close(stream.fd)
                stream.fd = -1
        if self._control is not None:
            self._control.close()
            self._control = None

    def end(self) -> ProgramEnd:
        """Return how the program ended. Raises `NotStarted` and `ProgramLost`."""
        told = self._told
        if "error" in told:
            number, fault, *path = told["error"]
            raise NotStarted(OSError(int(number), os.strerror(int(number))), fault, bytes.fromhex("".join(path)))
        if "exit" not in told:
            raise ProgramLost(LOST)
        pid, started_at = told["pid"]
        code, cpu_seconds, peak_bytes, ended_at = told["exit"]
        (left,) = told.get("gone", ["0"])
        return ProgramEnd(
            int(code), float(started_at), float(ended_at), int(pid), float(cpu_seconds), int(peak_bytes), int(left)
        )


class LocalHost:
    """This machine: programs end with this process, however that ends.

    With `answers`, a program has a third stream to write to, its descriptor 3: the watch hears it as "answer". `name` is how
    records call it, if not by the name of this machine. `resources` are what a pool counts for it.

    >>> from aiodag.commands import command
    >>> from aiodag.commands.local import LocalHost
    >>> (await command("echo", host=LocalHost(name="bench"))()).host
    'bench'
    """

    def __init__(self, *, answers: bool = False, name: str = "", resources: Mapping[str, float] = NO_RESOURCES) -> None:
        self.answers = answers
        self.resources = resources
        check_host_name(name)
        self._name = name

    @property
    def name(self) -> str:
        """The name of this machine, or the one that it was given."""
        return self._name or machine_name()

    def form(self) -> dict[str, Any]:
        """Return its form, as files write it."""
        named = {"name": self._name} if self._name else {}
        return {"type": "local", **named, **({"resources": dict(self.resources)} if self.resources else {})}

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program until nothing of it is left. Raises `ProgramNotStarted` and `ProgramLost`."""
        child = Child(watch, answers=self.answers)
        try:
            await child.run(local_request(request), request.stdin)
            end = child.end()
        except asyncio.CancelledError:
            with suppress(NotStarted, ProgramLost):  # there may have been nothing to cancel yet
                watch.note_end(child.end())
            raise
        except NotStarted as fault:
            why = describe_refusal(fault, request.args[0], request.cwd, request.stdin)
            raise ProgramNotStarted(why) from fault.error
        watch.note_end(end)


def local_request(request: ProgramRequest) -> Request:
    """Return a request as this system has it. Raises `NotStarted`."""
    cwd = os.fsencode(request.cwd or "")
    if not cwd.startswith(b"/"):  # our own directory may be gone, and does not matter to an absolute one
        try:
            cwd = os.path.join(os.getcwdb(), cwd)  # noqa: PTH109, PTH118 - bytes
        except OSError as error:
            raise NotStarted(error, "cwd") from None
    return Request([os.fsencode(each) for each in request.args], local_variables(request.env), cwd, request.grace)


def local_variables(changes: Mapping[str, str | None]) -> dict[bytes, bytes]:
    """Return the variables of this process with some changes, as the system has them."""
    # What is below os.environb: to encode each variable for each command would take a quarter of the time of a start.
    variables = dict(getattr(os.environb, "_data", os.environb))
    for name, value in changes.items():
        if value is None:
            variables.pop(os.fsencode(name), None)
        else:
            variables[os.fsencode(name)] = os.fsencode(value)
    return variables


@cache
def machine_name() -> str:
    """Return the name of this machine."""
    return os.uname().nodename


LOCAL = LocalHost()
ANSWERING = LocalHost(answers=True)
