"""The backfills of a store in memory."""

import time
from collections.abc import Sequence
from dataclasses import replace

from aiodag.firings import BackfillRecord, BackfillStep, Firing
from aiodag.happenings import Happening
from aiodag.records import moment_for_people, utc_moment
from aiodag.stores.firing_rules import no_schedule, notes_of_step
from aiodag.stores.kept_schedules import KeptSchedules


class KeptBackfills(KeptSchedules):
    """Moments of the past of which a store in memory makes runs."""

    def put_backfill(self, record: BackfillRecord) -> int:
        """Note a backfill and return its number. Raises `StoreError` where there is no such schedule."""
        with self._changing(Happening.SCHEDULED):
            if record.schedule not in self._schedules:
                raise no_schedule(record.schedule, self)
            number = next(self._planned)
            now = moment_for_people(time.time())
            self._backfills[number] = replace(record, number=number, version=1, created_at=now)
            return number

    def backfills(self, schedule: str | None = None, *, number: int | None = None) -> list[BackfillRecord]:
        """Return the backfills, oldest first: all of them, those of a schedule, or that of a number."""
        with self._lock:
            return [
                replace(each, unfinished=self._unfinished_of(each.number))
                for each in self._backfills.values()
                if schedule in {None, each.schedule} and number in {None, each.number}
            ]

    def _unfinished_of(self, backfill: int) -> int:
        return sum(place.submission.backfill == backfill and run.ended_at is None for run, place in self._places())

    def due_backfills(self, limit: int) -> list[BackfillRecord]:
        """Return the active ones that have room for another run, oldest first."""
        return [each for each in self.backfills() if each.state == "active" and each.room][:limit]

    def advance_backfills(self, steps: Sequence[BackfillStep]) -> list[list[Firing] | None]:
        """Submit runs of backfills and note where they stand."""
        with self._changing(Happening.QUEUED, Happening.ENDED):
            found = [self._advance(step, time.time()) for step in steps]
        self._note_mail()
        return found

    def _advance(self, step: BackfillStep, now: float) -> list[Firing] | None:
        record = self._backfills.get(step.number)
        if record is None or record.version != step.version:
            return None
        kept = self._schedules[record.schedule]
        draining = {name for name, queue in self._queues.items() if queue.state == "draining"}
        new = kept.new_moments(step.planned)
        notes = notes_of_step(step._replace(planned=new), draining)
        submitted = sum(note.state == "submitted" for note in notes)
        self._backfills[step.number] = replace(
            record,
            version=record.version + 1,
            cursor=utc_moment(step.cursor),
            state=step.state,
            reason=step.reason,
            submitted=record.submitted + submitted,
            known=record.known + len(step.planned) - len(new),
        )
        return [self._note(kept, "backfill", note, now, step.number) for note in notes]

    def cancel_backfill(self, number: int) -> bool:
        """End a backfill: it submits nothing more, and its runs go on. Return whether it was active."""
        with self._changing(Happening.SCHEDULED):
            record = self._backfills.get(number)
            if record is None or record.state != "active":
                return False
            self._backfills[number] = replace(record, version=record.version + 1, state="cancelled")
            return True
