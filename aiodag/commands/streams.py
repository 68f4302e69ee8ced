"""The pipes of a program here: its output read as it comes, its input written as fast as it is taken. Nothing blocks."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

CHUNK = 2**16  # bytes: what a pipe holds


class OutputPipe:
    """One stream that a program writes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        wrote: Callable[[str, bytes], object],
        ended: Callable[[], object],
    ) -> None:
        self.loop = loop
        self.name = name
        self.wrote = wrote
        self.ended = ended
        self.fd = -1

    @property
    def active(self) -> bool:
        """Whether there may be more to come."""
        return self.fd >= 0

    def open(self) -> int:
        """Read from now on, and return the end to write to."""
        self.fd, far_end = os.pipe()
        os.set_blocking(self.fd, False)
        self.loop.add_reader(self.fd, self.read)
        return far_end

    def read(self) -> None:
        """Take what has come: at most as much as the pipe holds, then other callbacks have their turn."""
        try:
            chunk = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self.close()
            return
        self.wrote(self.name, chunk)

    def finish(self) -> None:
        """Take what is there, and no more: somebody else still holds the stream."""
        if self.active:
            self.read()
            self.close()

    def close(self) -> None:
        """Read no more."""
        if self.active:
            drop(self.loop, self.fd, self.loop.remove_reader)
            self.fd = -1
            self.ended, ended = ignore, self.ended  # not to be held in a cycle by what it belongs to
            ended()


def ignore() -> None:
    """Take no note of the end of a stream."""


class InputPipe:
    """What a program reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.fd = -1
        self.rest = memoryview(b"")

    def open(self, content: bytes | Path) -> int:
        """Return the end to read from: of a pipe or of a file. Raises `OSError`."""
        if isinstance(content, Path):
            # Opening a named pipe would wait for somebody who writes.
            far_end = os.open(content, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.set_blocking(far_end, True)
            return far_end
        far_end, self.fd = os.pipe()
        os.set_blocking(self.fd, False)
        self.rest = memoryview(content)
        if self._write():
            self.loop.add_writer(self.fd, self._write)
        return far_end

    def _write(self) -> bool:
        """Write what the pipe takes. Return whether there is more; else it is closed."""
        try:
            self.rest = self.rest[os.write(self.fd, self.rest) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self.rest = self.rest[:0]
        if not self.rest:
            self.close()
        return bool(self.rest)

    def close(self) -> None:
        """Write no more."""
        if self.fd >= 0:
            drop(self.loop, self.fd, self.loop.remove_writer)
            self.fd = -1


def drop(loop: asyncio.AbstractEventLoop, fd: int, forget: Callable[[int], object]) -> None:
    """Close a descriptor that a loop may watch."""
    if not loop.is_closed():
        forget(fd)
    os.close(fd)
