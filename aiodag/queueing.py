"""The queue of a store: runs that were submitted, and the workers that take them.

A run is a record before it is a process. Submitting writes it; a worker claims it in the transaction that takes it from the
queue, so nobody else does. Its states are those of `states.RUN_MOVES`:

    submit ──► queued ──take──► running ──► succeeded, failed, cancelled
                 ▲                 │
                 └─────────────────┘ given back, or its owner has died

People import the seam, `Queue`, from `aiodag.abc`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from aiodag.records import Claimed, Owner
    from aiodag.submissions import QueueRecord, Resubmission, Submission, Taken, WorkerRecord


class Queue(Protocol):
    """Where submitted runs wait: what a store has besides `Runs`, of which it is the same object.

    Every method may block; each is one transaction.

    >>> from aiodag.abc import Queue
    >>> from aiodag.stores import Memory
    >>> def waiting(store: Queue) -> int:
    ...     return sum(queue.waiting for queue in store.queues())
    >>> waiting(Memory())
    0
    """

    def submit(self, submission: "Submission") -> str:
        """Record a run as queued and return its id: that of the run that was submitted under the same key, if there is one.

        Raises `StoreError` where that one has another target or other arguments, and for a queue that takes nothing.
        """
        ...

    def enrol(self, owner: "Owner", queues: Sequence[str], limit: int, *, at: float, lease: float) -> None:
        """Note a worker since `at`, and that its process is there for `lease` seconds, which `Runs.renew` keeps up.

        It is gone when that lease has run out.
        """
        ...

    def dismiss(self, owner: "Owner", *, ending: bool = False) -> None:
        """Forget a worker; or, if it is `ending`, note that it takes no more."""
        ...

    def take_queued(self, owner: "Owner", queues: Sequence[str], limit: int, *, lease: float) -> "list[Taken]":
        """Take up to `limit` runs, higher priority first, then first in, first out; own them for `lease` seconds.

        First makes ready what is due, fails what has expired, and puts runs of dead owners back: with a limit of 0 too. A row
        that cannot be read fails its run, and no other.
        """
        ...

    def submit_again(self, run_id: str) -> bool:
        """Put a run of a queue that has ended there again, to be resumed; return whether it had."""
        ...

    def resubmit(self, again: "Resubmission") -> None:
        """Queue a recorded run again, with what it is to go on with, in one transaction.

        Raises `UnknownRun`, `RunOwned`, `RunQueued` for one that is in a queue already, and `StoreError` for a queue that takes
        nothing.
        """
        ...

    def give_back(self, claimed: "Sequence[Claimed]", *, refusal: str = "") -> None:
        """Put runs back into their queues, to be continued.

        With a reason, this worker takes nothing of those targets any more; where no live worker of the queue is left that
        might, the runs fail with that reason.
        """
        ...

    def workers(self) -> "list[WorkerRecord]":
        """Return the workers that are alive."""
        ...

    def queues(self) -> "list[QueueRecord]":
        """Return the queues that were named, or have runs that wait or go on."""
        ...

    def put_queue(
        self, name: str, *, state: str | None = None, rate: int | None = None, per: float | None = None
    ) -> None:
        """Make a queue, or change what is given of it; a rate of 0 takes the rate away."""
        ...

    def due_in(self) -> float | None:
        """Return in how many seconds the next thing becomes due, by the store's clock, which leads those who wait; or None."""
        ...


publish("aiodag.abc", globals(), __name__)
