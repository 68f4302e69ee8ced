"""Put schedules, look at them and at what became of their moments, and fill in moments of the past.

What puts or fills in loads what reads files, workflows and triggers; what looks does not.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from aiodag.errors import NotFound, OptionError, StoreError
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.service.messages import Messaging
from aiodag.service.settings import settings

if TYPE_CHECKING:
    from aiodag.abc import Runs, Schedules, Trigger
    from aiodag.firings import BackfillRecord, Firing, Release, ScheduleRecord
    from aiodag.service.entry import Target
    from aiodag.service.schedule_files import AddedSchedules

LONGEST = 500  # characters of a name


class Scheduling(Messaging):
    """When runs of a store begin by themselves."""

    @property
    def _schedules(self) -> "Schedules":
        return schedules_of_store(self.store)

    def _now(self) -> datetime:
        """Return the moment by the clock of the store, which decides what has come."""
        return datetime.fromtimestamp(self._schedules.clock(), UTC)

    def put_schedule(
        self,
        name: str | None,
        target: "str | Target",
        trigger: "str | Mapping[str, Any] | Trigger",
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        timezone: str | None = None,
        overlap: str = "queue",
        catch_up: str = "latest",
        jitter: float | timedelta = 0.0,
        grace: float | timedelta = 60.0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        tags: Mapping[str, str] | None = None,
        retries: int = 0,
        max_active: int | None = None,
        source: str = "",
    ) -> "ScheduleRecord":
        """Have a run of a target begin at each moment of a trigger, and return the schedule; one of the name is replaced.

        Without a name it has that of its target. `target` is what `submit` takes, and `trigger` a cron expression, the form of a
        trigger, or one of `aiodag.schedules`.
        Parameters may depend on the moment: `${{ release.logical_date | fmt('%Y-%m-%d') }}`. All is checked with those of the
        next moment before anything is recorded. A trigger that stays the same goes on where it was, and what is paused stays
        paused.

        `overlap` is for moments that come while a run of the schedule has not ended: "queue" (one waits, others are skipped),
        "skip" or "allow". `catch_up` is for those that nobody looked at within `grace` seconds: "latest", "all" or "none".
        Each start is put off by up to `jitter` seconds, always the same for a moment.

        Raises `OptionError`, `TriggerError`, `ExpressionError`, `EntryError` and `WorkflowError`.
        """
        from aiodag.service import scheduled
        from aiodag.service.submitting import Wishes

        record = scheduled.schedule_record(
            self.store,
            name,
            target,
            trigger,
            parameters,
            Wishes(queue=queue, priority=priority, tags=tags, retries=retries, max_active=max_active),
            scheduled.checked_policy(overlap, catch_up, jitter, grace),
            now=self._now(),
            timezone=timezone or settings().timezone.value,
            source=source,
        )
        scheduled.put_record(self._schedules, record)
        return self.schedule(record.name)

    def add_schedules(self, *paths: str, timezone: str | None = None) -> "AddedSchedules":
        """Put the schedules of workflow files, or of all that lie in folders, and return what changed by that.

        A workflow with `on` has one for each trigger, called like it; entries of a schedule are called like that. Those that
        came from these paths before, and that no file says any more, are dropped. Raises `WorkflowError` with all that is wrong,
        and then nothing is changed.
        """
        from aiodag.service import schedule_files

        zone = timezone or settings().timezone.value
        return schedule_files.add_schedule_files(self.store, self._schedules, paths, timezone=zone)

    # Look

    def schedules(self, *, source: str | None = None) -> "list[ScheduleRecord]":
        """Return the schedules by name; with a source, those that were added from that file."""
        return self._schedules.schedules(source=source)

    def schedule(self, name: str) -> "ScheduleRecord":
        """Return one schedule. Raises `StoreError`, with a near miss, where there is none of that name."""
        found = self._schedules.schedules(name)
        if found:
            return found[0]
        from difflib import get_close_matches

        near = get_close_matches(name[:LONGEST], [each.name for each in self._schedules.schedules()], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`aiodag schedules` lists what there is"
        msg = f"no schedule {name!r:.{LONGEST}} in {self.place}: {hint}"
        raise NotFound(msg, near=near[0] if near else None)

    def firings(self, name: str, *, limit: int | None = None) -> "list[Firing]":
        """Return what became of the moments of a schedule, oldest first; with a limit, the newest. Raises `StoreError`."""
        return self._schedules.firings(self.schedule(name).name, limit=limit)

    def next_moments(self, name: str, number: int = 1, *, after: datetime | None = None) -> list[datetime]:
        """Return the next moments of a schedule, in its time zone; none where it has ended. Raises `StoreError`.

        Those of a paused one are what they would be.
        """
        from aiodag.service.releasing import upcoming_moments

        if type(number) is not int or number < 0:
            raise OptionError("number", number, "an int of 0 or more: how many moments are wanted")
        return upcoming_moments(self.schedule(name), number, after or self._now())

    # Change

    def pause_schedule(self, name: str) -> "ScheduleRecord":
        """Have a schedule make no runs; its moments are never caught up. Runs that it has made go on. Raises `StoreError`."""
        from aiodag.service.releasing import pause_of

        self._release(name, lambda record: pause_of(checked_state(record, "active", "paused")))
        return self.schedule(name)

    def resume_schedule(self, name: str) -> "ScheduleRecord":
        """Have a paused schedule go on with its next moment; those that came meanwhile are noted as skipped. Raises `StoreError`."""
        from aiodag.service.releasing import resumption_of

        self._release(name, lambda record: resumption_of(checked_state(record, "paused", "resumed"), self._now()))
        return self.schedule(name)

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule, and what became of its moments. Its runs stay. Raises `StoreError`."""
        if not self._schedules.drop_schedule(self.schedule(name).name):
            self.schedule(name)  # which says that somebody else was first

    def run_schedule(self, name: str) -> str:
        """Submit a run of a schedule for this moment, whatever its state and its overlap are, and return its id.

        Raises `StoreError`, and what its parameters raise.
        """
        from aiodag.service.releasing import manual_release

        (firing,) = self._release(name, lambda record: manual_release(record, self._now()))
        if firing.run_id is None:
            msg = f"schedule {name!r} was not run: {firing.reason}"
            raise StoreError(msg)
        return firing.run_id

    def _release(self, name: str, plan: "Callable[[ScheduleRecord], Release]") -> "list[Firing]":
        """Do what is planned of a schedule, again where a scheduler came before. Raises `StoreError`, and what planning raises."""
        from aiodag.service.releasing import TRIES, busy

        for _ in range(TRIES):
            (made,) = self._schedules.release_moments([plan(self.schedule(name))])
            if made is not None:
                return made
        raise busy(name)

    # Fill in

    def backfill(
        self,
        name: str,
        start: date,
        end: date,
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        limit: int = 4,
        newest_first: bool = False,
    ) -> "BackfillRecord":
        """Have runs made of the moments of a schedule from `start` to before `end`, at most `limit` of them at once.

        A date is the begin of that day in the time zone of the schedule. Workers do it, in their own time, and go on with it
        after a crash. A moment that has become a run before gets no other one. `parameters` take the place of those of the schedule. Raises `OptionError` and `StoreError`.
        """
        from aiodag.service.releasing import checked_backfill

        record = self.schedule(name)
        backfill = checked_backfill(record, start, end, parameters, limit, now=self._now(), newest_first=newest_first)
        number = self._schedules.put_backfill(backfill)
        return self.backfill_numbered(number)

    def backfills(self, name: str | None = None) -> "list[BackfillRecord]":
        """Return the backfills, oldest first: all of them, or those of a schedule."""
        return self._schedules.backfills(None if name is None else self.schedule(name).name)

    def backfill_numbered(self, number: int) -> "BackfillRecord":
        """Return the backfill of a number. Raises `StoreError`."""
        found = self._schedules.backfills(number=number)
        if found:
            return found[0]
        msg = f"no backfill {number} in {self.place}: `aiodag backfill` lists what there is"
        raise NotFound(msg)

    def cancel_backfill(self, number: int) -> bool:
        """End a backfill: it makes no more runs, and those that it has made go on. Return whether it was active."""
        return self._schedules.cancel_backfill(self.backfill_numbered(number).number)


def schedules_of_store(store: "Runs") -> "Schedules":
    """Return the schedules of a store. Raises `StoreError` for a store that keeps none."""
    if callable(getattr(store, "due_schedules", None)):
        return cast("Schedules", store)
    msg = f"{store} keeps no schedules: use a store in a file, in PostgreSQL or in memory"
    raise StoreError(msg)


def checked_state(record: "ScheduleRecord", state: str, change: str) -> "ScheduleRecord":
    """Return a schedule that is in a state. Raises `StoreError` for another one, which cannot be changed so."""
    if record.state == state:
        return record
    article = "an" if state == "active" else "a"
    msg = f"schedule {record.name!r} is {record.state}: only {article} {state} one can be {change}"
    raise StoreError(msg)
