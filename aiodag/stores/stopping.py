"""How a recorded run is stopped before its end: cancelled on request, failed by its store, or left to go on elsewhere."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag._core.parking import holders
from aiodag._core.unwinding import is_moving, unwind
from aiodag.errors import LeaseLost, RunCancelled, WaitLost
from aiodag.stores.frontier import Frontier
from aiodag.stores.remarks import Remarks

if TYPE_CHECKING:
    import asyncio

    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs

ON_ITS_WAY = 0.25  # seconds, at most, for which a cancel waits for values on their way to those who await them
log = logging.getLogger("aiodag.stores")


class Stoppable(Remarks):
    """A journal that stops its run. `Recorder` writes how that ended."""

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._unmet: set[int] = set()  # waits of earlier executions that are settled, and to which no body has come yet
        self._idle: asyncio.Future[None] | None = None  # of the one that waits for everything to be written

    def cancel(self) -> None:
        """Cancel the run, as somebody has asked for: where it stands, or will stand again."""
        if self.error is not None:
            return
        if self._frontier is None and (self.unwritten or is_moving(self.run)):
            # What has just succeeded is on its way to whoever awaits it. Cancelled now, it would be recorded as done, and its
            # awaiter would hear that it was cancelled: nobody would undo it.
            self._frontier = Frontier(self.run, self._note_frontier, patience=ON_ITS_WAY)
        self._at_frontier(self._unwind)

    def _unwind(self) -> None:
        if self.error is None and not self._deaf:
            log.warning("run %s is cancelled on request", self.run.id)
            self.error = RunCancelled(self.run.id)
            unwind(self.run)

    def _fail(self, error: BaseException) -> None:
        """Stop the run, since nobody would know of what it does from here on, or it can never go on."""
        log.warning("run %s stops: %s", self.run.id, error)
        self.error = error
        if isinstance(error, LeaseLost):
            self.run.let_go()
        else:
            self.run.abort()
        if self._broken and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def let_go(self) -> None:
        """Take note of nothing from now on. What has happened until now is written."""
        self._deaf = True

    def hold_limit(self, node: "Node[Any]") -> None:
        """End an attempt whose time was over before it was entered again: where it stood, not where it begins."""
        self._at_frontier(partial(fall_over, node))

    # Where it stood

    def _at_frontier(self, call: Any) -> None:
        if self._frontier is None:
            call()
        else:
            self._frontier.hold(call)
            self.run.loop.call_soon(self._look_around)

    def _waits_for_quiet(self) -> bool:
        """Return True if something is held until the run stands where it stood, or a wait may be lost."""
        return bool(self._unmet) or (self._frontier is not None and self._frontier.holds_any())

    def _note_frontier(self) -> None:
        self._frontier = None

    def _look_around(self) -> None:
        """Let come what was held until the run stands where it stood. Fail it if a wait is lost."""
        if self._deaf or self._broken or self.error is not None or holders(self.run):
            return
        if self._frontier is not None:
            self._frontier.reach()
        if self._unmet and self.error is None:
            self._fail(WaitLost(self.run.id, len(self._unmet)))


def fall_over(node: "Node[Any]") -> None:
    """End the attempt of a node, as its time is over."""
    if node.time_limit is not None and not node.state.final:
        node.time_limit.reschedule(node.engine.loop.time())
