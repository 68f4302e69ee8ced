"""Enter a run with the claim with which it was taken from its queue."""

from typing import TYPE_CHECKING, Any

from aiodag.stores.recorder import Recorder

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.submissions import Taken


class TakenRun:
    """A store for one run: this process owns it already, and a second claim would be another execution."""

    def __init__(self, store: "Runs", taken: "Taken") -> None:
        self._store = store
        self._taken = taken

    def journal(self, run: "Run", *, ours: bool) -> Recorder:
        """Return what writes the run to the store."""
        recorder = Recorder(run, self._store, ours=False, taken=self._taken)
        recorder.queue = self._taken.record.queue
        return recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __str__(self) -> str:
        return str(self._store)
