"""Find out what resuming a run would run, without running or writing anything.

A rehearsal takes the place of a recorder. What is recorded is recalled as it would be, so that the graph grows as far as
recorded values let it; what would run does not begin, and neither does what needs it.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.letting_go import leavable
from aiodag.errors import StoreError
from aiodag.records import Known
from aiodag.states import State
from aiodag.stores.generations import generation_of_text
from aiodag.stores.past import WholePast
from aiodag.stores.recall import Recall, arguments_now

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.mail import Outgoing, Wait
    from aiodag.sharing import Pool, SharedPool

QUIET = 50  # turns of the loop without a move, after which nothing more is to be seen


class Rehearsal(Recall):
    """The journal of a run that is only thought through."""

    def __init__(self, run: "Run", store: "Runs", again: Sequence[int] = (), inside: Collection[str] = ()) -> None:
        super().__init__(run, store)
        self._inside = inside  # keys of bodies that are entered, too
        self.met: set[int] = set()  # numbers of nodes that are recorded, and were called again
        self.registered: Callable[[], object] | None = None  # nobody hears of what is not written
        self.entry: Node[Any] | None = None
        self._again = frozenset(again)  # numbers of what somebody wants to run again

    async def open(self) -> None:
        """Learn what is known of the run; it stays whoever's it is."""
        record = await asyncio.to_thread(self.store.run, self.run.id)
        self.continues = record.ended_at is None and record.execution > 0
        known = await asyncio.to_thread(self.store.known_nodes, self.run.id)
        marked = {key: each._replace(void=True) if each.number in self._again else each for key, each in known.items()}
        self._generation = generation_of_text(record.generation, record.turn)
        self.learn(WholePast(marked), await asyncio.to_thread(self.store.functions, self.run.id))
        self.moves = 0

    def moved(self, node: "Node[Any]", state: State, at: float) -> None:
        """Count a move: while there are some, there may be more."""
        self.moves += 1

    def output(self, node: "Node[Any]", stream: str, chunk: bytes) -> None:
        """Keep nothing."""

    def log(self, at: float, node: "Node[Any] | None", level: str, logger: str, text: str) -> None:
        """Keep nothing."""

    def facts(self, node: "Node[Any]", facts: Mapping[str, Any]) -> None:
        """Keep nothing."""

    async def commit(self) -> None:
        """Wait for nothing."""

    async def recall_facts(self, node: "Node[Any]") -> Mapping[str, Any]:
        """Return nothing: no body begins here that could ask."""
        return {}

    def share(self, pool: "Pool") -> "SharedPool":
        """Refuse: no body begins here that could hold something. Raises `StoreError`."""
        msg = f"a run that is only thought through holds nothing of {pool.name!r}"
        raise StoreError(msg)

    def _known_again(self, node: "Node[Any]", known: Known) -> str:
        """Take note of what is called again."""
        self.met.add(known.number)
        return super()._known_again(node, known)

    async def __call__(self, node: "Node[Any]", args: Any, kwargs: Any, /) -> Any:
        """Run the entry, what is not a task, what only joins edges or encloses nodes, and bodies that were asked for; leave everything else where it is."""
        task = node.task
        if node is self.entry or task.stands_in or task.barrier or task.encloses or node.known_by in self._inside:
            args, kwargs = arguments_now(self._generation, node, args, kwargs)
            node.engine.begin(node)
            return await leavable(node, node.task.fn(*args, **kwargs))
        return await self.run.loop.create_future()

    async def begin_again(self, node: "Node[Any]", arguments: Mapping[str, Any]) -> None:
        """Leave the body where it is: another generation is not this one's."""
        await self.run.loop.create_future()

    async def quiet(self) -> None:
        """Wait until nothing moves any more."""
        seen, turns = (-1, -1), 0
        while turns < QUIET:
            now = self.moves, self.run.ledger.count
            turns = turns + 1 if seen == now else 0
            seen = now
            await asyncio.sleep(0)

    def hold_limit(self, node: "Node[Any]") -> None:
        """End an attempt whose time was over before it was entered again."""

    def wait(self, node: "Node[Any]", wait: "Wait") -> "asyncio.Future[Any]":
        """Return a future that nothing comes of."""
        future: asyncio.Future[Any] = self.run.loop.create_future()
        return future

    def reject(self, node: "Node[Any]", reason: str) -> None:
        """Do nothing: nothing comes."""

    def send(self, node: "Node[Any]", outgoing: "Outgoing") -> None:
        """Do nothing: nothing leaves."""

    def waits_for_world(self) -> bool:
        """Return True if anything is waited for from outside."""
        return False

    def may_park(self) -> bool:
        """Refuse: it is nobody's."""
        return False

    def is_waiting(self, node: "Node[Any]") -> bool:
        """Return True if the store knows that a node waits, and nothing has come yet."""
        return False

    def is_written(self) -> bool:
        """Return True if the store has all that has happened."""
        return True

    def end_limit(self, node: "Node[Any]") -> None:
        """Forget the time limit of an attempt that has ended."""

    def let_go(self) -> None:
        """Do nothing: nothing is written anyway."""

    async def close(self, state: State, error: BaseException | None) -> None:
        """Write nothing."""
