"""The streams of a program: its output read as it comes, its input written as fast as it is taken. Nothing blocks."""

import asyncio
import codecs
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from aiodag.masking import StreamMask

CHUNK = 2**16  # bytes: what a pipe holds

Hear = Callable[[str, bytes], object]


class Kept:
    r"""The head and the tail of a stream, in bounded memory, and how much came between them.

    >>> kept = Kept(8)
    >>> for line in (b"one ", b"two ", b"three ", b"four"):
    ...     kept.add(line)
    >>> kept.text()
    ('one \n[10 bytes are left out here]\nfour', 10)
    """

    def __init__(self, room: int) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.dropped = 0
        self._head_room = room // 2
        self._tail_room = room - room // 2

    def add(self, chunk: bytes) -> None:
        """Keep what there is room for."""
        free = self._head_room - len(self.head)
        if free > 0:
            self.head += chunk[:free]
            chunk = chunk[free:]
        self.tail += chunk
        if len(self.tail) > 2 * self._tail_room:  # not at every byte: each cut moves the rest
            self._cut()

    def _cut(self) -> None:
        excess = len(self.tail) - self._tail_room
        if excess > 0:
            del self.tail[:excess]
            self.dropped += excess

    def text(self) -> tuple[str, int]:
        """Return what is kept as text, and the number of bytes that are left out of it.

        It is read as UTF-8; what is none becomes U+FFFD. No character is cut in two.
        """
        self._cut()
        if not self.dropped:
            return (self.head + self.tail).decode("utf-8", "replace"), 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        head = decoder.decode(bytes(self.head))
        half = next((place for place, byte in enumerate(self.tail[:3]) if byte & 0xC0 != 0x80), 0)
        dropped = self.dropped + len(decoder.getstate()[0]) + half
        tail = self.tail[half:].decode("utf-8", "replace")
        return f"{head}\n[{dropped:,} bytes are left out here]\n{tail}", dropped


class Output:
    """One stream that a program writes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, keep: int, hears: Sequence[Hear], ended: Callable[[], object]
    ) -> None:
        self.loop = loop
        self.name = name
        self.kept = Kept(keep)
        self.mask = StreamMask()
        self.hears = hears
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
        self._take(self.mask.add(chunk))

    def _take(self, chunk: bytes) -> None:
        """Keep what came without secrets, and have it heard."""
        if chunk:
            self.kept.add(chunk)
            for hear in self.hears:
                self._tell(hear, chunk)

    def _tell(self, hear: Hear, chunk: bytes) -> None:
        try:
            hear(self.name, chunk)
        except Exception as error:  # noqa: BLE001 - of a listener, who cannot interfere
            message = f"{hear!r}, which hears the {self.name} of a command, raised"
            self.loop.call_exception_handler({"message": message, "exception": error})

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
            self._take(self.mask.add(b"", last=True))
            self.ended, ended = ignore, self.ended  # not to be held in a cycle by what it belongs to
            ended()


def ignore() -> None:
    """Take no note of the end of a stream."""


class Input:
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
