"""Hold what would stop a run that is continued until it stands again where it stood.

Its bodies are entered again from their beginnings, and recall leads them back. Whoever stops one of them on the way stops it
where it was long ago:

    charge()  ── recalled        a cancel that came here would find no refund to be made
    try:
        await message("SHIPPED")  ◄── where it stood, and where the cancel belongs
    except CancelledError:
        await refund()

So a cancel is held, and so is the end of a time limit that was over before: until all bodies stand at waits again, until
the first body is about to begin that never began before, or for a few seconds, as nobody can know where a body stood that only sleeps.
"""

from asyncio import TimerHandle
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiodag._core.run import Run

HOLD = 5.0  # seconds


class Frontier:
    """Where a run that is continued stood when its last process let go of it, or died."""

    def __init__(self, run: "Run", reached: Callable[[], object], *, patience: float = HOLD) -> None:
        self._run = run
        self._reached = reached
        self._patience = patience
        self._held: list[Callable[[], object]] = []
        self._timer: TimerHandle | None = None

    def hold(self, call: Callable[[], object]) -> None:
        """Have something called there, once."""
        if call not in self._held:
            self._held.append(call)
        if self._timer is None:
            self._timer = Context().run(self._run.loop.call_later, self._patience, self.reach)

    def holds_any(self) -> bool:
        """Return True if something is to be called there."""
        return bool(self._held)

    def reach(self) -> None:
        """Note that the run is there: call what was held."""
        self.close()
        self._reached()
        held, self._held = self._held, []
        for call in held:
            call()

    def close(self) -> None:
        """Call nothing because of the time any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
