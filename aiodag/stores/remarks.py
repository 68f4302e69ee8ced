"""What a run writes besides outcomes: output of programs, facts about attempts, and lines that bodies log."""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag.masking import masked
from aiodag.stores.outcomes import fit_text, writable
from aiodag.stores.outputs import PAUSE, Outputs
from aiodag.stores.recall import Recall
from aiodag.stores.row import NUMBER

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.stores.keeper import Keeper

MANY = 8  # runs of one process: of so many, what programs write is written once in a second
LONG_PAUSE = 1.0


class Remarks(Recall):
    """What a journal hears besides the outcomes. `Recorder` writes it."""

    _keeper: "Keeper"

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._logged: deque[tuple[Any, ...]] = deque()  # lines, from any thread
        self._outputs = Outputs(self.store.keep)
        self._deaf = False  # whether nothing more happens that is to be written: the run goes on elsewhere
        self._broken = False  # whether nothing can be written any more

    def output(self, node: "Node[Any]", stream: str, chunk: bytes) -> None:
        """Keep what the attempt of a node wrote, in bounded memory: written in a moment, with what comes until then."""
        if node.state.final or self._broken or self._deaf:
            return
        if self.listener is not None:
            self.listener(node, stream, chunk)
        if self._outputs.add(node.row[NUMBER], node.attempt, stream, chunk):
            # Of many runs hardly anybody follows one, and each would have its chunks written ten times in a second.
            pause = PAUSE if len(self._keeper.writers) < MANY else LONG_PAUSE
            self.run.loop.call_later(pause, self._outputs.fall_due, self._wake)

    def facts(self, node: "Node[Any]", facts: Mapping[str, Any]) -> None:
        """Keep facts about the attempt of a node. Raises `TypeError` and `ValueError` for what is not JSON."""
        if not node.state.final and not self._broken and not self._deaf:
            self._outputs.tell(node.row[NUMBER], node.attempt, facts)
            self._wake()

    def log(self, at: float, node: "Node[Any] | None", level: str, logger: str, text: str) -> None:
        """Keep a line that a body logged. Called from any thread."""
        if self._deaf:
            return
        number = None if node is None or node.run is not self.run else node.row[NUMBER]
        self._logged.append((at, number, level, writable(logger), writable(fit_text(masked(text)))))
        self.run.loop.call_soon_threadsafe(self._wake)
