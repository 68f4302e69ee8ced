"""All that a database of runs can do, whatever database that is."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from aiodag.stores.sql.access import RecordedAccess
from aiodag.stores.sql.copying import RecordedCopies
from aiodag.stores.sql.editing import EditedRuns
from aiodag.stores.sql.inbox import RecordedInbox
from aiodag.stores.sql.measures import MeasuredRuns
from aiodag.stores.sql.queue import QueuedRuns
from aiodag.stores.sql.schedules import RecordedSchedules
from aiodag.stores.sql.sharing import SharedPools
from aiodag.stores.sql.workers import EnrolledWorkers

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Listener
    from aiodag.stores.recorder import Recorder


class RunsInSQL(
    RecordedSchedules,
    RecordedInbox,
    QueuedRuns,
    EnrolledWorkers,
    SharedPools,
    EditedRuns,
    RecordedCopies,
    RecordedAccess,
    MeasuredRuns,
):
    """The rules of a store, above the database that keeps it."""

    keep: int

    def journal(self, run: "Run", *, ours: bool) -> "Recorder":
        """Return what writes a run to this store, and closes it in the end where it is `ours` to close."""
        from aiodag.stores.recorder import Recorder  # noqa: PLC0415 - who only looks writes no run

        return Recorder(run, self, ours=ours)

    @abstractmethod
    def listener(self) -> "Listener | None":
        """Return what hears of commits; None where nothing can be heard. Raises `StoreError`."""
