"""Take back values that are kept in places of their own, and those that other runs have computed."""

from typing import TYPE_CHECKING, Any

from aiodag._core.homecoming import leave_there
from aiodag.abc import NOTHING
from aiodag.records import REFERENCE, Known
from aiodag.stores.caching import Entry, Flight
from aiodag.stores.large_values import LargeValues
from aiodag.stores.recall import LATER
from aiodag.stores.recorded_waits import RecordedWaits
from aiodag.stores.row import NUMBER

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs


class RecalledValues(RecordedWaits):
    """What one run takes back that is not in its own records."""

    _large: LargeValues

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._flights: list[Flight] = []  # whose values are to be written
        # By number, recorded values that have to be looked for where they are kept.
        self._looked_for: dict[int, Known] = {}

    def _find_place(self, engine: "Engine") -> None:
        """Learn where large values are kept. Raises `OptionError`."""
        self._large = LargeValues(self.run, engine, self.store.largest)

    def _recall_outcome(self, node: "Node[Any]", known: Known) -> Any:
        """Return what is recorded of a node, `LATER` for a value that is kept in a place of its own."""
        if known.codec != REFERENCE or node.task.waits:
            return super()._recall_outcome(node, known)
        self._looked_for[node.row[NUMBER]] = known
        return LATER

    async def _look_for(self, node: "Node[Any]") -> Any:
        """Take back a value that is kept in a place of its own, without bringing it here; `NOTHING` if it is not there."""
        known = self._looked_for.pop(node.row[NUMBER], None)
        if known is None:
            return NOTHING
        held = await self._large.take_back(node.task, known.value)
        if held is NOTHING:
            self._run_again(node, known)
            return held
        self._note_recalled(node, known, held)
        return await leave_there(node, held)

    def _keep_cached(self, entry: Entry, flight: Flight) -> None:
        if self._broken:  # nothing is written any more
            flight.land()
            return
        self._batch.cache.append(entry)
        self._flights.append(flight)
        self._wake()
