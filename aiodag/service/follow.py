"""Follow a run: what its bodies logged, what its programs wrote and what failed, each line once, in the order of time."""

import time
from collections.abc import Iterator

from aiodag.errors import StoreUnreachable
from aiodag.happenings import Happening
from aiodag.records import AttemptRecord, LogRecord, OutputRecord
from aiodag.service.documents import Document, failure_document, log_document, written_document
from aiodag.service.look import Looking, output_of_nodes
from aiodag.service.written import WrittenLines
from aiodag.stores.watch import watch_store

LATE = 60.0  # seconds by which an end may be written later than one that came after it

LEAST = 0.1  # seconds between two looks of one who follows, however much happens
SLOW = 1.0  # seconds between two looks of one who has heard of nothing


class Follower:
    """A cursor over the lines of a run, for all nodes or for one: what was logged and written, and what failed. For one reader.

    `over` is True when nothing more can come.

    >>> from aiodag import Run
    >>> from aiodag.commands import command
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:followed", id="monday"):
    ...     node = command("echo", "rows")()
    >>> follower = Service("memory:followed").follow("monday")
    >>> [(line["node"], line["text"]) for line in follower.look()]
    [(0, 'rows')]
    >>> follower.look(), follower.over
    ([], True)
    """

    def __init__(self, service: Looking, run_id: str, node: str | None = None) -> None:
        self.service = service
        self.store = service.store
        self.run = service.head(run_id)
        self.away = ""  # why the store cannot be reached for now, while it is waited for
        self.over = False  # whether the run has ended, or its process has gone: there is nothing more to come
        self._node = node
        self._numbers: set[int] = set()  # of the nodes that are followed, where these are not all
        self._logged = self._output = 0  # the parts up to which lines and output have been read
        self._failed: set[tuple[int, int]] = set()
        self._since = 0.0  # the end of the last failure, less what others may be late by
        self._written = WrittenLines()

    def look(self) -> list[Document]:
        """Return the lines since the last look; at the end also unfinished ones.

        Raises `StoreError` where a run has ended and never had the node.
        """
        # The state first: what ended before the lines were read has written them all.
        self.run = self.store.head(self.run.id)
        self.over = self.run.orphan or self.run.ended_at is not None
        return self._look()

    def looks(self, *, patience: float = SLOW) -> Iterator[list[Document]]:
        """Yield the lines as they come, until nothing more can come; after `patience` seconds without any, an empty list.

        Blocks meanwhile. A store that goes away is waited for, and no line is missed or comes twice. Raises what `look` raises.
        """
        yield self.look()
        if self.over:
            return
        with watch_store(self.store) as watch:
            while not self.over:
                began, ticket = time.monotonic(), watch.ticket()
                yield self._look_patiently()
                if not self.over:
                    # A run of many nodes takes long to read: leave the store alone for most of the time.
                    time.sleep(max(LEAST, 4 * (time.monotonic() - began)))
                    watch.wait(ticket, patience, of={Happening.LINES, Happening.ENDED})

    def _look_patiently(self) -> list[Document]:
        """Look, unless the store has gone away for now."""
        try:
            found = self.look()
        except StoreUnreachable as error:
            self.away, self.over = str(error), False
            return []
        self.away = ""
        return found

    def look_at_all(self) -> list[Document]:
        """Return all lines, unfinished ones included. For a single look.

        Raises `StoreError` where the run does not have the node.
        """
        self.over = True
        return self._look()

    def _look(self) -> list[Document]:
        # How far to read first, then the nodes. A node is written no later than what it logs: whoever has logged up to
        # here is found, and all that is found only now has its lines up to here read. Counting lines would not do, nor
        # the nodes first: a node and its lines may come between two reads, and a line of another after them.
        logged, written = self.store.last_parts(self.run.id)
        new = self._find_numbers() - self._numbers
        lines = self._lines(self._numbers, self._logged, logged) + (self._lines(new, 0, logged) if new else [])
        parts = self._parts(self._numbers, self._output, written) + (self._parts(new, 0, written) if new else [])
        failures = self._find_failures(self._numbers | new)
        numbers = {each.number for each in lines if each.number is not None} | {each.number for each in parts}
        labels = self._labels(numbers | self._written.numbers() | {each.number for each in failures})
        # All is read: a store that goes away takes nothing with it, and the next look begins where this one did.
        self._logged, self._output = logged, written
        self._numbers |= new
        self._note_failures(failures)
        told = self._written.lines(sorted(parts, key=place_of_record), last=self.over) if parts or self.over else []
        found = [log_document(each, labels) for each in sorted(lines, key=place_of_record)]
        found += [written_document(each, labels) for each in told]
        found += [failure_document(each, labels) for each in failures]
        return sorted(found, key=lambda document: str(document["at"]))

    def _find_numbers(self) -> set[int]:
        if self._node is None:
            return set()
        found = self.store.nodes_called(self.run.id, self._node)
        if not found and self.over and self.run.ended_at is not None:  # else it may still be called
            self.service.matching(self.run.id, self._node)  # raises
        return {each.number for each in found}

    def _lines(self, numbers: set[int], beyond: int, last: int) -> list[LogRecord]:
        if beyond >= last:
            return []
        found = self.store.logs(self.run.id, numbers=None if self._node is None else numbers, beyond=beyond)
        return [each for each in found if each.part <= last]

    def _parts(self, numbers: set[int], after: int, last: int) -> list[OutputRecord]:
        if after >= last:
            return []
        if self._node is None:
            found = self.store.output(self.run.id, after=after)
        else:
            found = output_of_nodes(self.store, self.run.id, numbers, after=after)
        return [each for each in found if each.part <= last]

    def _find_failures(self, numbers: set[int]) -> list[AttemptRecord]:
        found = self.store.failures(self.run.id, 0.0 if self.over else self._since)
        followed = [each for each in found if self._node is None or each.number in numbers]
        return [each for each in followed if attempt_key(each) not in self._failed]

    def _note_failures(self, failures: list[AttemptRecord]) -> None:
        ends = [each.ended_at.timestamp() - LATE for each in failures if each.ended_at is not None]
        self._since = max([self._since, *ends])
        self._failed.update(map(attempt_key, failures))

    def _labels(self, numbers: set[int]) -> dict[int, str]:
        """Return the labels of the nodes that lines are about."""
        if not numbers:
            return {}
        return {each.number: each.label for each in self.store.nodes(self.run.id, every=True, numbers=numbers)}


def place_of_record(record: LogRecord | OutputRecord) -> int:
    """Return the place of a line or of output in its run."""
    return record.part


def attempt_key(attempt: AttemptRecord) -> tuple[int, int]:
    """Return what an attempt is known by in its run."""
    return attempt.number, attempt.attempt
