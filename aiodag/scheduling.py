"""The schedules of a store: when runs are to begin, and what became of each moment.

    put ──► next moment ──due──► released: one transaction claims it, makes the run and notes the firing
              ▲                     │
              └─────────────────────┘

Several schedulers may look at one store. A release names the version of the schedule that it was planned from, and every
change makes another one: who is second has released nothing.

People import the seam, `Schedules`, from `aiodag.abc`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from aiodag.firings import BackfillRecord, BackfillStep, Firing, Release, ScheduleRecord


class Schedules(Protocol):
    """When runs begin: what a store has besides `Runs`, `Queue` and `Inbox`, of which it is the same object.

    What waits for a run of its schedule to end is submitted by `Queue.take_queued`. Every method may block; each is one
    transaction.

    >>> from aiodag.abc import Schedules
    >>> from aiodag.stores import Memory
    >>> def due(store: Schedules) -> int:
    ...     return len(store.due_schedules(limit=100))
    >>> due(Memory())
    0
    """

    def clock(self) -> float:
        """Return the moment by the clock that decides what is due, in seconds since the epoch."""
        ...

    def put_schedule(self, record: "ScheduleRecord", *, replace: bool = True) -> bool | None:
        """Keep a schedule under its name, active or paused as it says; return True if there was none.

        One that is replaced keeps its firings. With a `version`, only that one is replaced: None means that somebody has
        changed, released or dropped it since. Raises `StoreError` if there is one, unless it is to be replaced.
        """
        ...

    def drop_schedule(self, name: str) -> bool:
        """Forget a schedule with its firings and backfills, not its runs; return whether there was one."""
        ...

    def set_schedule_state(self, name: str, state: str, next_at: float | None, reason: str = "") -> bool:
        """Pause a schedule, or have it go on with a next moment; return whether there is one of that name."""
        ...

    def schedules(self, name: str | None = None, *, source: str | None = None) -> "list[ScheduleRecord]":
        """Return the schedules by name, the one of a name, or those of a source."""
        ...

    def due_schedules(self, limit: int) -> "list[ScheduleRecord]":
        """Return the active ones whose next moment has come by the store's clock: the longest due first.

        A row that cannot be read is noted as broken, and returned by nobody.
        """
        ...

    def next_due(self) -> float | None:
        """Return in how many seconds the next schedule is due, 0 or less for one that is, by the store's clock; or None."""
        ...

    def release_moments(self, releases: "Sequence[Release]") -> "list[list[Firing] | None]":
        """Submit runs and note firings for schedules, each as a whole or not at all; return the firings of each.

        None for one that somebody has changed, released or dropped since its version was read.
        """
        ...

    def firings(self, schedule: str, *, limit: int | None = None) -> "list[Firing]":
        """Return what became of the moments of a schedule, in the order in which it was noted; with a limit, the newest."""
        ...

    def put_backfill(self, record: "BackfillRecord") -> int:
        """Note a backfill and return its number. Raises `StoreError` where there is no such schedule."""
        ...

    def backfills(self, schedule: str | None = None, *, number: int | None = None) -> "list[BackfillRecord]":
        """Return the backfills, oldest first: all of them, those of a schedule, or that of a number."""
        ...

    def due_backfills(self, limit: int) -> "list[BackfillRecord]":
        """Return the active ones that have room for another run, oldest first."""
        ...

    def advance_backfills(self, steps: "Sequence[BackfillStep]") -> "list[list[Firing] | None]":
        """Submit runs of backfills and note where they stand; return as `release_moments` does.

        A moment of which a run was made already is counted, and nothing else happens.
        """
        ...

    def cancel_backfill(self, number: int) -> bool:
        """End a backfill: it submits nothing more, and its runs go on. Return whether it was active."""
        ...


publish("aiodag.abc", globals(), __name__)
