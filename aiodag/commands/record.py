"""What the journal of a run is told of a program: facts of the attempt, and its output as it comes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import ref

from aiodag._core.context import current_node
from aiodag.commands.finished import Finished, facts_of

if TYPE_CHECKING:
    from aiodag.abc import Journal
    from aiodag.commands.streams import Hear


class Record:
    """The side of the journal: it is told the facts of an attempt, and its output as it comes. Without one, nobody is."""

    def __init__(self) -> None:
        node = current_node()
        run = None if node is None else node.run
        # Weak: a failed node holds its traceback, and that the frame which holds this.
        self._node = None if node is None else ref(node)
        self._journal: Journal | None = None if run is None else run.journal

    @property
    def hear(self) -> "Hear | None":
        """What hears the output, if anybody does."""
        return None if self._journal is None else self._heard

    def facts(self, facts: Mapping[str, object]) -> None:
        """Note what is known of the attempt, in addition to what has been noted."""
        node = None if self._node is None else self._node()
        if self._journal is not None and node is not None:
            self._journal.facts(node, facts)

    def started(self, pid: int) -> None:
        """Note which process it is, for whoever looks while it goes on."""
        self.facts({"pid": pid})

    def ended(self, finished: Finished) -> None:
        """Note how the program ended."""
        if self._journal is not None:
            self.facts(facts_of(finished))

    def _heard(self, stream: str, chunk: bytes) -> None:
        node = None if self._node is None else self._node()
        if self._journal is not None and node is not None:
            self._journal.output(node, stream, chunk)
