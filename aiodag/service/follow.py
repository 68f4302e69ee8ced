"""Follow a run: what its bodies logged, what its programs wrote and what failed, each line once, in the order of time."""

from aiodag.records import AttemptRecord, LogRecord
from aiodag.service.documents import Document, failure_document, log_document, written_document
from aiodag.service.look import FEW, Looking
from aiodag.service.written import WrittenLine, WrittenLines

LATE = 60.0  # seconds by which an end may be written later than one that came after it


class Follower:
    """A cursor over the lines of a run, of all nodes or of one: what was logged, written and what failed. For one reader.

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
        self.over = False  # whether the run has ended, or its process has gone: there is nothing more to come
        self._node = node
        self._numbers: set[int] | None = None  # of the nodes that are followed, where these are not all
        self._logged = 0  # lines that have been read
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

    def look_at_all(self) -> list[Document]:
        """Return all lines that there are, unfinished ones included: for a single look.

        Raises `StoreError` where the run does not have the node.
        """
        self.over = True
        return self._look()

    def _look(self) -> list[Document]:
        if self._node is not None and (self.over or self._numbers is None):
            self._find_numbers()
        lines, written, failures = self._new_lines(), self._new_output(), self._new_failures()
        # A node is written no later than what it logs. Those that are found only now have logged nothing that was read,
        # and all that they log comes after it: so the count of lines that have been read stays true.
        if self._node is not None and not self.over:
            self._find_numbers()
        numbers = {each.number for each in lines if each.number is not None}
        labels = self._labels(numbers | {each.number for each in written} | {each.number for each in failures})
        found = [log_document(each, labels) for each in lines]
        found += [written_document(each, labels) for each in written]
        found += [failure_document(each, labels) for each in failures]
        return sorted(found, key=lambda document: str(document["at"]))

    def _find_numbers(self) -> None:
        assert self._node is not None
        found = self.store.nodes_called(self.run.id, self._node)
        if not found and self.over:
            self.service.matching(self.run.id, self._node)  # raises
        self._numbers = {each.number for each in found}

    def _new_lines(self) -> list[LogRecord]:
        lines = self.store.logs(self.run.id, self._logged, numbers=self._numbers)
        self._logged += len(lines)
        return lines

    def _new_output(self) -> list[WrittenLine]:
        numbers, after = self._numbers, self._written.after
        if numbers is None or len(numbers) > FEW:
            parts = self.store.output(self.run.id, after=after)
            parts = [each for each in parts if self._is_followed(each.number)]
        else:
            parts = [each for number in sorted(numbers) for each in self.store.output(self.run.id, number, after=after)]
        return self._written.lines(sorted(parts, key=lambda each: each.part), last=self.over)

    def _new_failures(self) -> list[AttemptRecord]:
        found = self.store.failures(self.run.id, 0.0 if self.over else self._since)
        for each in found:
            if each.ended_at is not None:
                self._since = max(self._since, each.ended_at.timestamp() - LATE)
        new = [each for each in found if self._is_followed(each.number) and key_of(each) not in self._failed]
        self._failed.update(map(key_of, new))
        return new

    def _is_followed(self, number: int) -> bool:
        return self._numbers is None or number in self._numbers

    def _labels(self, numbers: set[int]) -> dict[int, str]:
        """Return the labels of the nodes that lines are about."""
        if not numbers:
            return {}
        return {each.number: each.label for each in self.store.nodes(self.run.id, every=True, numbers=numbers)}


def key_of(attempt: AttemptRecord) -> tuple[int, int]:
    """Return what an attempt is known by in its run."""
    return attempt.number, attempt.attempt
