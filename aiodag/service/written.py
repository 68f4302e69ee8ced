"""Put together the lines that commands wrote, of the parts in which a store has them."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from aiodag.records import OutputRecord

LONGEST = 2**16  # bytes of a line that is kept back until its end comes
Source = tuple[int, int, str]  # a node's number, an attempt, a stream


class WrittenLine(NamedTuple):
    """One line that a command wrote: when its last part came, by which attempt of which node, on which stream, and its text."""

    at: datetime
    number: int
    attempt: int
    stream: str
    text: str


class WrittenLines:
    """The lines of one run, each given when its end has come."""

    def __init__(self) -> None:
        self.after = 0  # the last part that has been seen
        self._ends: dict[Source, int] = {}  # bytes of each stream that have been seen, or left out
        self._rests: dict[Source, tuple[datetime, bytes]] = {}

    def lines(self, parts: Iterable[OutputRecord], *, last: bool) -> list[WrittenLine]:
        """Return the lines that further parts have brought; the last time also those that have no end."""
        found: list[WrittenLine] = []
        for each in parts:
            self.after = each.part
            source = each.number, each.attempt, each.stream
            _, rest = self._rests.pop(source, (each.at, b""))
            *whole, rest = (rest + self._gap(source, each) + each.bytes).split(b"\n")
            if len(rest) > LONGEST:
                whole, rest = [*whole, rest], b""
            if rest:
                self._rests[source] = each.at, rest
            found += [WrittenLine(each.at, *source, written_text(line)) for line in whole]
        if last:
            found += [WrittenLine(at, *source, written_text(rest)) for source, (at, rest) in self._rests.items()]
            self._rests.clear()
        return found

    def numbers(self) -> set[int]:
        """Return the numbers of the nodes whose last line has no end yet."""
        return {number for number, _, _ in self._rests}

    def _gap(self, source: Source, part: OutputRecord) -> bytes:
        """Return a line of its own where the store has left something out before a part."""
        missing = part.start - self._ends.get(source, 0)
        self._ends[source] = part.start + len(part.bytes)
        return f"\n[{missing:,} bytes are left out here]\n".encode() if missing > 0 else b""


def written_text(written: bytes) -> str:
    """Return what a program wrote as text: UTF-8, and what is none of it as U+FFFD."""
    return written.decode("utf-8", "replace")
