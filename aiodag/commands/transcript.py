"""What a program wrote, on whatever host: kept in bounded memory, without secrets, and heard as it comes."""

import asyncio
import codecs
from collections.abc import Callable, Sequence

from aiodag.masking import StreamMask

Hear = Callable[[str, bytes], object]


class HeadAndTail:
    r"""The head and the tail of a stream, in bounded memory, and how much came between them.

    >>> kept = HeadAndTail(8)
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
        """Return what is kept as text, and how many bytes are left out.

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


class Transcript:
    """One stream that a program has written."""

    def __init__(self, name: str, keep: int, hears: Sequence[Hear]) -> None:
        self.name = name
        self.kept = HeadAndTail(keep)
        self.mask = StreamMask()
        self.hears = hears

    def add(self, chunk: bytes, *, last: bool = False) -> None:
        """Keep what came without secrets, and have it heard: a secret may begin in one chunk and end in the next."""
        shown = self.mask.add(chunk, last=last)
        if shown:
            self.kept.add(shown)
            for hear in self.hears:
                self._tell(hear, shown)

    def _tell(self, hear: Hear, chunk: bytes) -> None:
        try:
            hear(self.name, chunk)
        except Exception as error:  # noqa: BLE001 - of a listener, who cannot interfere
            message = f"{hear!r}, which hears the {self.name} of a command, raised"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
