"""What the pages of queues and workers show."""

from datetime import datetime
from typing import NamedTuple

from aiodag.records import Owner, RunRecord
from aiodag.service import Service
from aiodag.submissions import QueueRecord, WorkerRecord
from aiodag.wording import describe_seconds


class QueueRow(NamedTuple):
    """A queue in the list: `workers` are how many take runs from it, `can` is what can be done with it.

    `oldest` is since when the first of its runs waits, where there are few.
    """

    record: QueueRecord
    rate: str
    workers: int
    can: tuple[str, ...]
    oldest: datetime | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether runs wait that nobody would take."""
        return self.record.waiting > 0 and (self.workers == 0 or self.record.state == "paused")


class GoneProcess(NamedTuple):
    """A process that has ended while it worked on runs, which the next worker of their queues goes on with."""

    owner: Owner
    queues: tuple[str, ...]
    runs: tuple[str, ...]


RUNS_SEARCHED = 1_000  # runs that go on, among which those of processes that have gone are looked for
FEW = 200  # runs that wait, of which the oldest is looked for
CAN = {"open": ("pause", "drain"), "paused": ("resume", "drain"), "draining": ("resume", "pause")}


def list_queues(service: Service) -> list[QueueRow]:
    """Return the queues by name, each with how many workers take from it; one that only workers know is there, too."""
    workers = service.workers()
    taken = {name for worker in workers for name in worker.queues}
    there = {each.name: each for each in service.queues()}
    every = [there.get(name, QueueRecord(name)) for name in sorted({*there, *taken})]
    return [queue_row(each, workers)._replace(oldest=waits_since(service, each)) for each in every]


def waits_since(service: Service, queue: QueueRecord) -> datetime | None:
    """Return since when the oldest run of a queue waits; None where none does, or too many to read them for this."""
    if not 0 < queue.waiting <= FEW:
        return None
    waiting = service.runs(state="queued", queue=queue.name)
    return min((run.created_at for run in waiting), default=None)


def queue_row(queue: QueueRecord, workers: list[WorkerRecord]) -> QueueRow:
    """Return one queue for the list."""
    takes = sum(queue.name in each.queues and each.state == "working" for each in workers)
    rate = "" if queue.rate is None else f"{queue.rate} in {describe_seconds(queue.per or 0.0)}"
    return QueueRow(queue, rate, takes, CAN.get(queue.state, ()))


def gone_processes(service: Service) -> list[GoneProcess]:
    """Return the processes that are known to have ended, and that left runs of queues behind."""
    left: dict[Owner, list[RunRecord]] = {}
    for run in service.runs(state="running", limit=RUNS_SEARCHED):
        if run.orphan and run.owner is not None and run.queue is not None:
            left.setdefault(run.owner, []).append(run)
    return [
        GoneProcess(owner, tuple(sorted({f"{run.queue}" for run in runs})), tuple(run.id for run in runs))
        for owner, runs in left.items()
    ]
