"""The log of one program: what it wrote, in order, and how it ended. Small ones are kept in memory, others in files.

Who reads says from which place on. A log of more than `LARGEST` bytes keeps its first half and what came last:

    first                      dropped                    older       latest
    |--------------------------|- - - - - - - - - - - - - |-----------|------>
    0                          HEAD                       ^ a reader that is in the gap goes on here, and is told so
"""

import asyncio
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from aiodag.commands.agent_wire import END, STREAMS, frame_of

IN_MEMORY = 2**16  # bytes of a piece; a larger one is a file without a name, gone with this process however that ends
HEAD = 2**29  # bytes, as they are kept for good
TAIL = 2**28  # bytes of each of the two pieces that follow
READ_LARGEST = 2**18  # bytes


class Piece:
    """Frames that follow each other, from a place on."""

    def __init__(self, directory: Path, place: int) -> None:
        self.place = place
        self.size = 0
        self._file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY, buffering=0, dir=str(directory))  # noqa: SIM115 - closed by close()

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.place + self.size

    def append(self, frame: bytes) -> None:
        """Add a frame. Raises `OSError` where the disk is full: then nothing is added."""
        self._file.seek(self.size)
        if self._file.write(frame) < len(frame):
            raise OSError(ENOSPC, "there is no room for a frame")
        self.size += len(frame)

    def read(self, place: int) -> bytes:
        """Return what is there from a place on, or a part of it."""
        self._file.seek(place - self.place)
        return self._file.read(min(READ_LARGEST, self.end - place))

    def close(self) -> None:
        """Forget it."""
        self._file.close()


class ProgramLog:
    """What a program wrote, for one that writes and any number that read."""

    def __init__(self, directory: Path, *, head: int = HEAD, tail: int = TAIL) -> None:
        self._directory = directory
        self._head, self._tail = head, tail
        self._pieces = [Piece(directory, 0)]
        self._news = asyncio.Event()
        self.ended = False
        self.dropped = 0  # bytes that no disk took

    @property
    def end(self) -> int:
        """The place behind all that is there."""
        return self._pieces[-1].end

    def append(self, kind: bytes, content: bytes) -> None:
        """Add a frame, and wake who waits for it."""
        frame = frame_of(kind, content)
        if self._pieces[-1].size + len(frame) > (self._tail if len(self._pieces) > 1 else self._head):
            self._begin_piece()
        try:
            self._pieces[-1].append(frame)
        except OSError:
            if kind in STREAMS:
                self.dropped += len(content)
            else:
                self._begin_piece()  # which is in memory
                self._pieces[-1].append(frame)
        self.ended |= kind == END
        self._news.set()
        self._news = asyncio.Event()

    def _begin_piece(self) -> None:
        self._pieces.append(Piece(self._directory, self.end))
        if len(self._pieces) > 3:
            self._pieces.pop(1).close()

    def first_place(self, place: int) -> int:
        """Return the place itself, or where the log goes on behind it if that part was dropped. Raises `ValueError`."""
        if not 0 <= place <= self.end:
            raise ValueError(f"the log has {self.end:,} bytes, and nothing at {place:,}")
        return max(place, next(piece.place for piece in self._pieces if place <= piece.end))

    def read(self, place: int) -> bytes:
        """Return what follows a place; nothing if there is no more yet. Raises `LookupError` if it was dropped meanwhile."""
        if place == self.end:
            return b""
        for piece in self._pieces:
            if piece.place <= place < piece.end:
                return piece.read(place)
        raise LookupError(place)

    async def wait(self, seconds: float) -> None:
        """Wait until there is more, or for a time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def close(self) -> None:
        """Forget all."""
        for piece in self._pieces:
            piece.close()
