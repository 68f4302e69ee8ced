"""What those who watch over a store want to know of it, every few seconds."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from aiodag.errors import StoreError
from aiodag.records import TaskSeconds
from aiodag.service.queues import Queueing, queue_of_store
from aiodag.submissions import QueueRecord, WorkerRecord

if TYPE_CHECKING:
    from aiodag.abc import Measures, Runs, Schedules

LATE = 10.0  # seconds by which an end may be written later than others: those of nodes are counted after that
SOME = 200  # ended runs whose nodes are counted at once


class Measured(NamedTuple):
    """What was found at one moment. Ages and lags are in seconds."""

    runs: dict[str, int]  # by state
    queues: Sequence[QueueRecord]
    ages: dict[str, float]  # of the oldest run that could begin, by queue
    workers: Sequence[WorkerRecord]
    lags: dict[str, float]  # of what should have happened already, by what that is
    tasks: Sequence[TaskSeconds]  # of runs that have ended since the last time


class Measuring:
    """Measures a store again and again. What nodes took is counted from now on, each once."""

    def __init__(self, service: Queueing) -> None:
        self._service = service
        self._counted = time.time() - LATE  # up to which end of runs

    def measure(self) -> Measured:
        """Measure the store. Raises `StoreError`. Not for two threads at once."""
        store = cast("Measures", self._service.store)
        if not hasattr(store, "counts_by_state"):
            msg = f"the store {self._service.place} counts nothing: it has none of the methods of aiodag.abc.Measures"
            raise StoreError(msg)
        now = time.time()
        found = Measured(
            runs=store.counts_by_state(),
            queues=self._service.queues(),
            ages={queue: max(now - made_at, 0.0) for queue, made_at in store.oldest_waiting().items()},
            workers=self._service.workers(),
            lags=measure_lags(self._service.store),
            tasks=[],
        )
        if now - LATE <= self._counted:
            return found
        self._counted, tasks = store.task_seconds(self._counted, now - LATE, SOME)
        return found._replace(tasks=tasks)


def measure_lags(store: "Runs") -> dict[str, float]:
    """Return how late what a scheduler and a worker should have done by now is: 0 where nothing is due."""
    due = {"schedules": cast("Schedules", store).next_due(), "wake_ups": queue_of_store(store).due_in()}
    return {what: max(0.0, -(seconds or 0.0)) for what, seconds in due.items()}
