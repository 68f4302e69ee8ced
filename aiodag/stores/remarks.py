"""What a run writes besides outcomes: output of programs, facts about attempts, lines that bodies log; what it shares."""

from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag.errors import LetGo, RunCancelled
from aiodag.masking import masked
from aiodag.records import Generation
from aiodag.stores.outcomes import encode_value, fit_text, writable
from aiodag.stores.outputs import PAUSE, Outputs
from aiodag.stores.patience import in_thread_patiently
from aiodag.stores.recall import Recall
from aiodag.stores.row import NUMBER
from aiodag.stores.sharing import JoinedPool, check_sharing

if TYPE_CHECKING:
    from asyncio import Future

    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.sharing import Pool, SharedPool
    from aiodag.stores.keeper import Keeper

MANY = 8  # runs of one process: of so many, what programs write is written once in a second
LONG_PAUSE = 1.0


class Remarks(Recall):
    """What a journal hears besides the outcomes. `Recorder` writes it."""

    _keeper: "Keeper"
    _forgetting: "Future[None]"  # of a body that begins again

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._logged: deque[tuple[Any, ...]] = deque()  # lines, from any thread
        self._outputs = Outputs(self.store.keep)
        self._deaf = False  # whether nothing more happens that is to be written: the run goes on elsewhere
        self._broken = False  # whether nothing can be written any more
        self._pools: list[JoinedPool] = []
        self._awaited: list[Future[None]] = []  # of those who wait until what has happened is written

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

    async def recall_facts(self, node: "Node[Any]") -> Mapping[str, Any]:
        """Return the facts about the last attempt of a node in an earlier execution; none if there was none."""
        if not node.earlier:
            return {}
        read = partial(self.store.attempts, self.run.id, every=True, numbers=[node.row[NUMBER]])
        with node.engine.real_time:
            found = await in_thread_patiently(read)
        return next((each.facts for each in found if each.attempt == node.earlier), {})

    async def commit(self) -> None:
        """Return when all that has happened until now is in the store."""
        self._refuse_to_go_on()
        committed = self.run.loop.create_future()
        self._awaited.append(committed)
        self.unwritten += 1
        self._wake(waited=True)
        await committed

    def log(self, at: float, node: "Node[Any] | None", level: str, logger: str, text: str) -> None:
        """Keep a line that a body logged. Called from any thread."""
        if self._deaf:
            return
        number = None if node is None or node.run is not self.run else node.row[NUMBER]
        self._logged.append((at, number, level, writable(logger), writable(fit_text(masked(text)))))
        self.run.loop.call_soon_threadsafe(self._wake)

    async def begin_again(self, node: "Node[Any]", arguments: Mapping[str, Any]) -> None:
        """Forget all that a body has called, and note with what it begins again; return when that is written. Raises `NoCodec`."""
        self._refuse_to_go_on()
        before = self._generation
        if before is not None and before.node != node.row[NUMBER]:
            msg = (
                f"{node.name} cannot begin again: another body of run {self.run.id!r} has, and a run has one that does"
            )
            raise RuntimeError(msg)
        number = 1 if before is None else before.number + 1
        _, text = encode_value(node.task.with_options(codec="json"), dict(arguments), self.store.largest)
        self._outputs.fall_due()  # with what is forgotten
        self._generation = self._batch.generation = Generation(number, node.row[NUMBER], str(text))
        self._forgetting = self.run.loop.create_future()
        self.unwritten += 1
        self._wake(waited=True)
        await self._forgetting

    def _refuse_to_go_on(self) -> None:
        """Raise why nothing of what a body does is written any more, if it made its peace with being stopped."""
        if self._deaf:
            raise LetGo(self.run.id)
        if self._broken:
            raise self.error or RunCancelled(self.run.id)

    def share(self, pool: "Pool") -> "SharedPool":
        """Return what all processes of the store share under a name. Raises `StoreError` if the store cannot."""
        check_sharing(self.store, pool)
        joined = JoinedPool(self._keeper.shares, pool, self.run.loop, partial(self._keeper.put, []))
        self._pools.append(joined)
        return joined
