"""Release the moments of schedules that have come: any worker does it, in its looks, for the whole store.

    next moment of all ──come──► records that are due ──► planned, each by itself ──► one transaction claims them and makes runs
            ▲                                                                            │
            └────────────────────────────────────────────────────────────────────────────┘

Two workers may plan the same moment: the one that the store hears second has released nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiodag.errors import StoreError, StoreUnreachable
from aiodag.firings import BackfillRecord, BackfillStep, Release, ScheduleRecord
from aiodag.happenings import Happening
from aiodag.service.relaying import Failures, in_thread
from aiodag.service.releasing import LOOKED_AT, release_of, step_of
from aiodag.service.scheduled_runs import reason_of_refusal
from aiodag.service.schedules import schedules_of_store
from aiodag.stores.watch import watch_store
from aiodag.wording import printable

if TYPE_CHECKING:
    from aiodag.abc import Runs

LOOK = 0.5  # seconds between two looks at most
AT_ONCE = 1000  # schedules that are released in one transaction
FEW, LATE = (
    100,
    60.0,
)  # as few at once where the first was due that many seconds ago: each may have many moments behind it
MOMENTS = 10_000  # that are planned together
SECONDS = 2.0  # that one look takes for what is due, before queues have their turn
REST = 15.0  # seconds without a look after a store could not say what is due, such as one that is not migrated


class Scheduler:
    """Releases what is due of one store, and has backfills go on. `say` is called with lines for people."""

    def __init__(self, store: "Runs", say: Callable[[str], object]) -> None:
        # A store of others may keep no schedules.
        self._schedules = schedules_of_store(store) if callable(getattr(store, "due_schedules", None)) else None
        self._say = say
        self._said = ""
        self._rests_until = float("-inf")

    def look(self) -> float | None:
        """Do what is due; return in how many seconds the next schedule will be, or None. Blocks.

        Raises `StoreUnreachable`. Any other error of the store is said once, and stops no queue.
        """
        if self._schedules is None or time.monotonic() < self._rests_until:
            return None
        try:
            due = self._release_due()
            self._fill_in()
        except StoreUnreachable:
            raise
        except StoreError as error:
            self._rests_until = time.monotonic() + REST
            if str(error) != self._said:
                self._said = str(error)
                self._say(f"releases no schedules: {error}")
            return None
        return due

    def _release_due(self) -> float | None:
        """Release schedules until none is due; return when one will be."""
        assert self._schedules is not None
        until = time.monotonic() + SECONDS
        while (due := self._schedules.next_due()) is not None and due <= 0 and time.monotonic() < until:
            records = self._schedules.due_schedules(AT_ONCE if due > -LATE else FEW)
            if not records:
                break
            now = datetime.fromtimestamp(self._schedules.clock(), UTC)
            # Of those that nobody looked at for days, some moments of each: a look must not outlast the lease of its worker.
            most = min(MOMENTS // len(records), LOOKED_AT)
            releases = [each for record in records if (each := self._planned(record, now, most)) is not None]
            if releases:
                self._schedules.release_moments(releases)
        return due

    def _planned(self, record: ScheduleRecord, now: datetime, most: int) -> Release | None:
        """Return what is to be done with a schedule; None for one that cannot be read, which is noted in it."""
        assert self._schedules is not None
        try:
            return release_of(record, now, most)
        except Exception as error:  # noqa: BLE001 - one schedule stops no other
            reason = reason_of_refusal(error)
            self._say(f"schedule {printable(record.name)} is broken: {reason}")
            self._schedules.set_schedule_state(record.name, "broken", None, reason)
            return None

    # Backfills

    def _fill_in(self) -> None:
        """Have the backfills that have room go on."""
        assert self._schedules is not None
        backfills = self._schedules.due_backfills(AT_ONCE)
        if backfills:
            now = datetime.fromtimestamp(self._schedules.clock(), UTC)
            self._schedules.advance_backfills(list(self._steps(backfills, now)))

    def _steps(self, backfills: Iterable[BackfillRecord], now: datetime) -> Iterable[BackfillStep]:
        """Give what is to be done next of each backfill; one whose schedule cannot be read ends."""
        assert self._schedules is not None
        for each in backfills:
            cursor = None if each.cursor is None else each.cursor.timestamp()
            try:
                (record,) = self._schedules.schedules(each.schedule)
                yield step_of(each, record, now)
            except Exception as error:  # noqa: BLE001 - one backfill stops no other
                yield BackfillStep(
                    each.number, each.version, cursor, state="cancelled", reason=reason_of_refusal(error)
                )


async def keep_scheduling(store: "Runs", say: Callable[[str], object]) -> None:
    """Release what is due, again and again: for a process that takes no runs itself."""
    scheduler, failures = Scheduler(store, say), Failures("the schedules", say)
    with watch_store(store) as watch:
        while True:
            ticket = watch.ticket()
            try:
                due = await in_thread(scheduler.look)
            except StoreUnreachable as error:
                await asyncio.sleep(failures.pause(error))
            else:
                failures.forget()
                await watch.changed(ticket, patience_until(due), of={Happening.SCHEDULED})


def patience_until(*due: float | None) -> float:
    """Return for how many seconds to wait until the next look: until something is due, and never very long."""
    return max(0.001, min([LOOK, *(each for each in due if each is not None)]))
