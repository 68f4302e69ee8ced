"""What is called in the bodies of tasks that may be tried again.

When an attempt fails, what it has called goes on:

    attempt 1   ship ─────────────────────────────► done
                flaky ─► fails
    attempt 2              ship (again)

The second call has the key of the first. It must get the very node: a second one would be a second body with the same key
at once, and a second row, and whoever ends last would say what is recorded.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.failure import Report
    from aiodag._core.node import Node


class Nested:
    """The nodes that another attempt of an enclosing body would call again."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}  # by key
        self._inside: dict[int, list[int]] = {}  # numbers of what each body has called
        # Made for the first ones: most runs have none.
        self._nodes: WeakValueDictionary[str, Node[Any]] | None = None
        self._reports: WeakValueDictionary[str, Report] | None = None
        self._failed: dict[int, int] = {}  # the last attempts, by number, of what has settled without a value
        self._tries: dict[str, tuple[Any, ...]] = {}  # the last attempt of what has settled in this execution

    def add(self, key: str, number: int, parent: int, node: "Node[Any]") -> None:
        """Take note of a node, in place of an earlier one that had its key."""
        if key not in self.numbers:
            self.numbers[key] = number
            self._inside.setdefault(parent, []).append(number)
        if self._nodes is None:
            self._nodes = WeakValueDictionary()
        self._nodes[key] = node

    def node(self, key: str) -> "Node[Any] | None":
        """Return the node that was called last with a key, if it is unfinished or somebody still has it."""
        return None if self._nodes is None else self._nodes.get(key)

    def _inside_of(self, number: int) -> Iterator[int]:
        """Give the numbers of what a body has called, and of what was called in turn."""
        numbers = list(self._inside.get(number, ()))
        while numbers:
            found = numbers.pop()
            yield found
            numbers += self._inside.get(found, ())

    def note_end(self, key: str, node: "Node[Any]", attempt: tuple[Any, ...]) -> None:
        """Take note of how a node has settled without a value."""
        if attempt[3] is not None:  # it had begun
            self._tries[key] = attempt
        if node.failure is not None and node.state is State.FAILED:
            if self._reports is None:
                self._reports = WeakValueDictionary()
            self._reports[key] = node.failure.report

    def note_failure(self, number: int, attempt: int) -> None:
        """Take note of a node that has no value: in another attempt of the body it runs again."""
        self._failed[number] = attempt

    def failed_inside(self, number: int) -> list[tuple[int, int]]:
        """Return the attempts without a value of what a body has called, and of what was called in turn."""
        return [(each, self._failed.pop(each)) for each in self._inside_of(number) if each in self._failed]

    def again(self, key: str) -> tuple[Any, ...] | None:
        """Return the last attempt of a node that is to run again, if that was in this execution.

        Its failure is no longer one that nobody took: what counts is how it ends now.
        """
        report = None if self._reports is None else self._reports.pop(key, None)
        if report is not None:
            report.take()
        return self._tries.pop(key, None)
