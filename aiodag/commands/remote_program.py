"""One program on another machine, from the shell that becomes it to the moment when nothing of it is left."""

import asyncio
import errno
import os
import time
from hashlib import blake2b
from secrets import token_hex

from aiodag.commands.loop_aside import ASIDE, LoopListener
from aiodag.commands.refusal import NotStarted, describe_refusal
from aiodag.commands.remote_link import SAID, Channel, LinkBroken, RemoteLink
from aiodag.commands.remote_shell import MOMENT, PATIENCE, MarkedStream, hundredths, program_lines, usage_of
from aiodag.programs import HostUnreachable, ProgramEnd, ProgramNotStarted, ProgramRequest

STARTED = 60.0  # seconds for the shell of a login to say that it is there
DRAIN = 1.0  # seconds for streams that something which no signal ends holds open
ONE_LONGEST, ALL_LONGEST = 2**17, 2**21  # bytes of an argument, and of all, where the stack has its usual 8 MiB
KILLED = "the shell that waits for it was killed"


class Stopped(Exception):
    """Raised where a program was to end before it had begun."""


class RemoteProgram:
    """One attempt of a program: run it once."""

    def __init__(self, request: ProgramRequest, listener: LoopListener) -> None:
        loop = ASIDE.loop()
        self.label = label_digest(request.label or token_hex(16))
        self.session = 0
        self.began = "0"
        self.gone_on = False  # whether it was told to go: from then on it may run
        self._request = request
        self._listener = listener
        self._token = token_hex(16)
        self._stdout = MarkedStream(self._token)
        self._errors = b""  # before it has started
        self._bytes = 0  # heard so far
        self._started: asyncio.Future[list[str]] = loop.create_future()
        self._ended: asyncio.Future[list[str]] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._link: RemoteLink | None = None
        self._stopping = False

    @property
    def grace(self) -> float:
        """The time in seconds between asking it to end and ending it."""
        return self._request.grace

    async def run(self, link: RemoteLink) -> ProgramEnd:
        """Run it over a connection.

        Raises `ProgramNotStarted`, `Stopped`, and `LinkBroken`, after which it may have been `gone_on`.
        """
        self._link = link
        try:
            channel = await link.open_channel(self)
        except BaseException:
            self._link = None  # there may be another one, for which it waits
            if self._stopping:
                raise Stopped from None
            raise
        link.programs[self] = self._break_off
        try:
            await self._introduce(link, channel)
            started_at = time.time()
            self._go(channel)
            words = await self._ended
            ended_at = time.time()
            left = await self._bury(link)
            usage = usage_of(words)
            return ProgramEnd(
                usage.code, started_at, ended_at, self.session, usage.cpu_seconds, usage.peak_bytes, left, link.node
            )
        finally:
            del link.programs[self]
            for future in (self._started, self._ended):
                if not future.cancel():
                    future.exception()
            channel.close()

    async def _introduce(self, link: RemoteLink, channel: Channel) -> None:
        """Have a shell ready to become the program, and the control shell know of it."""
        self._listener.pause_with(channel.pause)
        channel.write(program_lines(self._request, self._token, self.label, usage=link.usage))
        try:
            async with asyncio.timeout(STARTED):
                _, session, self.began = await self._started
        except TimeoutError:
            raise HostUnreachable(f"did not start: no shell of {link.node} has answered within {STARTED:g} s") from None
        self.session = int(session)
        self._listener.note_start({"pid": self.session, "began": self.began, "node": link.node})
        await link.ask("watch", session, hundredths(self.grace), answer="watching", of=session, seconds=0)
        if self._stopping:
            raise Stopped

    def _go(self, channel: Channel) -> None:
        self.gone_on = True
        channel.write(b"go\n")
        if isinstance(self._request.stdin, bytes) and self._request.stdin:
            channel.write(self._request.stdin)
        channel.write_eof()

    async def _bury(self, link: RemoteLink) -> int:
        """Have what is left of its session ended, and return how many process groups no signal ends."""
        seconds = self.grace + PATIENCE + MOMENT
        # Of one that is being ended the control shell says by itself when that is done.
        words = () if self._stopping else ("look", self.session, hundredths(self.grace))
        gone = await link.ask(*words, answer="gone", of=self.session, seconds=seconds)
        await self._drain()
        link.tell("forget", self.session)
        return int(gone[2])

    async def _drain(self) -> None:
        """Wait for the end of the streams, unless something outside of its session holds them open."""
        before = -1
        while before != self._bytes or (self._listener.paused and not self._stopping):
            before = self._bytes
            done, _ = await asyncio.wait([self._closed], timeout=DRAIN)
            if done:
                return

    def cancel(self, task: "asyncio.Task[None]") -> None:
        """Have it ended, whose task this is; while it waits for a connection, there is nothing to end."""
        if self._link is None:
            task.cancel()
        else:
            self.stop()

    def stop(self) -> None:
        """Have it ended: asked first, and killed after its grace. Before it has begun, it will not begin."""
        self._stopping = True
        if self.gone_on and self._link is not None:
            self._link.expect("gone", self.session)  # it may be there before anybody waits for it
            self._link.tell("end", self.session, hundredths(self.grace))
        elif not self._started.done():
            self._started.set_exception(Stopped())
            self._started.exception()  # nobody may be waiting for it yet

    # What the channel tells

    def hear(self, stream: str, chunk: bytes) -> None:
        """Take what came on "stdout" or "stderr"."""
        self._bytes += len(chunk)
        if stream == "stderr":
            self._pass_on("stderr", chunk)
            return
        for part in self._stdout.feed(chunk):
            if isinstance(part, bytes):
                self._pass_on("stdout", part)
            else:
                self._hear_shell(part)

    def _pass_on(self, stream: str, chunk: bytes) -> None:
        if not self.gone_on:  # what a login says, or a shell that cannot do as it was told
            self._errors = (self._errors + (chunk if stream == "stderr" else b""))[-SAID:]
        elif chunk:
            self._listener.wrote(stream, chunk)

    def _hear_shell(self, words: list[str]) -> None:
        if words[0] == "start" and not self._started.done():
            self._started.set_result(words)
        elif words[0] == "fault":
            self._fail(ProgramNotStarted(describe_fault(words[1], int(words[2]), self._request)))
        elif words[0] == "end":
            self._fail_start()
            if not self._ended.done():
                self._ended.set_result(words[1:])

    def _fail_start(self) -> None:
        said = " ".join(self._errors.decode("utf-8", "replace").split())
        if not self._started.done():
            self._started.set_exception(ProgramNotStarted(f"did not start: the shell there says: {said or 'nothing'}"))

    def hear_exit(self) -> None:
        """Take note that the shell has ended, which has said before how the program did; that may still be on its way."""
        ASIDE.loop().call_later(DRAIN, self._fail, LinkBroken(KILLED))

    def hear_end(self) -> None:
        """Take note that no more will come."""
        if rest := self._stdout.flush():
            self._pass_on("stdout", rest)
        if not self._closed.done():
            self._closed.set_result(None)
        self._fail(LinkBroken(KILLED))

    def _break_off(self, why: str) -> None:
        self._fail(LinkBroken(why))
        if not self._closed.done():
            self._closed.set_result(None)

    def _fail(self, error: Exception) -> None:
        for future in (self._started, self._ended):
            if not future.done():
                future.set_exception(error)


def label_digest(label: str) -> str:
    """Return what stands for a label among the variables of a process: any text may be in a label."""
    return blake2b(label.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def is_too_long(request: ProgramRequest) -> bool:
    """Return True if no Linux takes the arguments and variables of a program."""
    variables = [f"{name}={value}" for name, value in request.env.items() if value is not None]
    sizes = [len(os.fsencode(text)) + 1 for text in [*request.args, *variables]]
    return max(sizes) > ONE_LONGEST or sum(sizes) > ALL_LONGEST


def describe_fault(what: str, number: int, request: ProgramRequest) -> str:
    """Return why a program did not start on another machine, in the words of this one."""
    program = request.args[0]
    if what == "exec":  # the code of a shell: 127 of what is not there, 126 of what does not run
        if number == 127 and "/" in program:
            return f"did not start: {program!r} is there, and what its first line names is not, or it was built for another system"
        number = errno.ENOENT if number == 127 else errno.E2BIG if is_too_long(request) else errno.EACCES
    what = "program" if what == "exec" else what
    fault = NotStarted(OSError(number, os.strerror(number)), what)
    return describe_refusal(fault, program, request.cwd, request.stdin)
