"""What attempts leave besides their outcome: facts, and what programs wrote. Bounded, however much that is.

Of each stream the head is written as it comes. After it only the tail is kept: what is pending is cut to it here, and what
was written before is taken out of the store again. So 1 GiB of output holds neither memory nor the file.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiodag.masking import masked
from aiodag.records import Batch

PAUSE = 0.1  # seconds from the first byte to its write: all that comes meanwhile goes with it
PIECE = 2**16  # bytes of a row: what has been written of a tail is given up row by row
PORTION = 2**22  # bytes of a batch, so that a success has not long to wait for output of others


class Stream:
    """One stream of one attempt on its way to a store: all of its head, and of the rest what is last.

    >>> stream = Stream(8)
    >>> for chunk in (b"one ", b"two ", b"three ", b"four"):
    ...     stream.add(chunk)
    >>> stream.take(), stream.middle_range()
    ([(0, b'one '), (14, b'four')], (4, 14))
    """

    def __init__(self, keep: int) -> None:
        self.head = keep // 2
        self.room = keep - keep // 2  # of the tail
        self.end = 0  # bytes that have come
        self.first = bytearray()  # of the head, not written
        self.rest = bytearray()  # of the tail, not written
        self.at = 0.0  # when the first of these came

    def add(self, chunk: bytes) -> None:
        """Take what has come."""
        if not self.first and not self.rest:
            self.at = time.time()
        free = self.head - self.end
        self.end += len(chunk)
        if free > 0:
            self.first += chunk[:free]
            chunk = chunk[free:]
        self.rest += chunk
        if len(self.rest) > 2 * self.room:  # not at every byte: each cut moves the rest
            self._cut()

    def _cut(self) -> None:
        del self.rest[: max(len(self.rest) - self.room, 0)]

    def take(self) -> list[tuple[int, bytes]]:
        """Return what is to be written in pieces, each with its start in the stream."""
        self._cut()
        first, rest = bytes(self.first), bytes(self.rest)
        self.first.clear()
        self.rest.clear()
        head = min(self.end, self.head)
        return [*cut_bytes(first, head - len(first)), *cut_bytes(rest, self.end - len(rest))]

    def middle_range(self) -> tuple[int, int]:
        """Return the range between head and tail."""
        return self.head, max(self.end - self.room, self.head)


def cut_bytes(content: bytes, start: int) -> list[tuple[int, bytes]]:
    """Cut bytes into rows, each with its start."""
    return [(start + place, content[place : place + PIECE]) for place in range(0, len(content), PIECE)]


class Outputs:
    """The facts and streams of a run's attempts that are under way."""

    def __init__(self, keep: int) -> None:
        self.due = False  # whether output has waited long enough
        self._keep = keep
        self._waiting = False  # whether somebody will say when it has
        self._streams: dict[tuple[int, int, str], Stream] = {}
        self._facts: dict[tuple[int, int], dict[str, Any]] = {}
        # What is to be written, in the order of its coming.
        self._heard: dict[tuple[int, int, str], Stream] = {}
        self._told: dict[tuple[int, int], str] = {}
        self._numbers: dict[int, list[tuple[Any, ...]]] = {}  # of nodes, with their keys in all of these

    def add(self, number: int, attempt: int, name: str, chunk: bytes) -> bool:
        """Take what an attempt wrote to a stream; return True if it is the first, which is due after a pause."""
        key = number, attempt, name
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(self._keep)
            self._numbers.setdefault(number, []).append(key)
        stream.add(chunk)
        self._heard[key] = stream
        first, self._waiting = not self._waiting, True
        return first

    def fall_due(self, wake: Callable[[], None] | None = None) -> None:
        """Have all that has come written with the next batch, and `wake` who asks for that."""
        self.due, self._waiting = True, False
        if wake is not None:
            wake()

    def tell(self, number: int, attempt: int, facts: Mapping[str, Any]) -> None:
        """Take facts about an attempt. Raises `TypeError` and `ValueError` for what is not JSON."""
        key = number, attempt
        told = {**self._facts.get(key, {}), **facts}
        self._told[key] = masked(json.dumps(told, allow_nan=False))
        if key not in self._facts:
            self._numbers.setdefault(number, []).append(key)
        self._facts[key] = told

    def wanting(self) -> bool:
        """Return True if there is something that should be written now."""
        return bool(self._told) or (self.due and bool(self._heard))

    def holds_any(self) -> bool:
        """Return True if anything is held of any attempt."""
        return bool(self._numbers)

    def put(self, batch: Batch, settled: set[int]) -> None:
        """Add what is to be written to a batch, and forget nodes that have settled."""
        if self._told:
            batch.facts = [(*key, text) for key, text in self._told.items()]
            self._told = {}
        for number in settled & self._numbers.keys():
            for key in self._numbers.pop(number):
                self._take(batch, key)
                self._streams.pop(key, None)
                self._facts.pop(key, None)
        left = PORTION if self.due else 0
        for key in list(self._heard) if left else ():
            if left > 0:
                left -= self._take(batch, key)
        self.due = self.due and bool(self._heard)

    def _take(self, batch: Batch, key: Any) -> int:
        """Add what is to be written of one stream to a batch; return how many bytes that is."""
        stream = self._heard.pop(key, None)
        if stream is None:
            return 0
        rows = [(*key, start, stream.at, content) for start, content in stream.take()]
        batch.output += rows
        head, tail = stream.middle_range()
        if tail > head:
            batch.trimmed.append((*key, head, tail))
        return sum(len(row[-1]) for row in rows)
