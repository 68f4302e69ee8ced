"""The schedules of a store in memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

from aiodag.firings import (
    KEPT_FIRINGS,
    BackfillRecord,
    Firing,
    PlannedRun,
    Release,
    ScheduleRecord,
)
from aiodag.happenings import Happening
from aiodag.records import moment_for_people, utc_moment
from aiodag.stores.firing_rules import (
    GOING_ON,
    UNENDED,
    Note,
    decide_release,
    firing_of,
    merges,
    schedule_there,
    submission_of_text,
    text_of_submission,
)
from aiodag.stores.kept import KeptRun, age_of
from aiodag.stores.kept_groups import begin_held, enter_group
from aiodag.stores.kept_inbox import KeptInbox
from aiodag.submissions import Submission


@dataclass
class KeptSchedule:
    """A schedule, what became of its moments, and what waits."""

    record: ScheduleRecord
    firings: list[Firing] = field(default_factory=list)
    waiting: Submission | None = None

    def note(self, kind: str, note: Note, now: float) -> Firing:
        """Note what became of a moment; return it as it was noted, alone."""
        found = firing_of(self.record.name, kind, note, moment_for_people(now))
        last = self.firings[-1] if self.firings else None
        if last is not None and last.kind == kind and merges(last.state, last.reason, note):
            until = moment_for_people(note.until)
            self.firings[-1] = replace(last, until=until, count=last.count + note.number, noted_at=found.noted_at)
        else:
            self.firings.append(found)
        if len(self.firings) > KEPT_FIRINGS:
            oldest = next(place for place, each in enumerate(self.firings) if each.state != "waiting")
            del self.firings[oldest]
        return found

    @property
    def waits_since(self) -> float | None:
        """The moment that waits for a run to end."""
        return next((each.at.timestamp() for each in self.firings if each.state == "waiting"), None)

    def new_moments(self, planned: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Return the moments of which no run was made, and none waits."""
        states = {"submitted", "waiting"}
        released = {each.at for each in self.firings if each.kind != "manual" and each.state in states}
        return [each for each in planned if moment_for_people(each.at) not in released]

    def end_waiting(self, state: str, run_id: str | None, reason: str) -> None:
        """Note what became of the moment that waited."""
        for place, each in enumerate(self.firings):
            if each.state == "waiting":
                self.firings[place] = replace(each, state=state, run_id=run_id, reason=reason)
        self.waiting = None
        self.record = replace(self.record, is_held=False, version=self.record.version + self.record.is_held)


class KeptSchedules(KeptInbox):
    """When runs of a store in memory begin, and what became of each moment."""

    def __init__(self) -> None:
        super().__init__()
        self._schedules: dict[str, KeptSchedule] = {}
        self._backfills: dict[int, BackfillRecord] = {}
        self._planned = count(1)  # numbers of schedules and backfills
        self._scheduled: dict[str, list[KeptRun]] = {}  # runs by their schedules

    def _add(self, submission: Submission) -> None:
        super()._add(submission)
        if submission.schedule is not None:
            self._scheduled.setdefault(submission.schedule, []).append(self.kept[submission.id])

    # Schedules

    def clock(self) -> float:
        """Return the moment by the clock that decides what is due, in seconds since the epoch."""
        return time.time()

    def put_schedule(self, record: ScheduleRecord, *, replace: bool = True) -> bool | None:
        """Keep a schedule under its name; return True if there was none, None if it has another version than was seen.

        Raises `StoreError` if there is one, unless it is to be replaced.
        """
        with self._changing(Happening.SCHEDULED):
            there = self._schedules.get(record.name)
            if there is not None and not replace:
                raise schedule_there(record.name, self)
            if record.version and (there is None or there.record.version != record.version):
                return None
            # As a store in a file gives it back.
            submission = submission_of_text(text_of_submission(record.submission))
            self._put(record, submission, there)
            return there is None

    def _put(self, record: ScheduleRecord, submission: Submission, there: KeptSchedule | None) -> None:
        now = moment_for_people(time.time())
        next_at = None if record.next_at is None or record.state not in UNENDED else record.next_at.astimezone(UTC)
        kept = replace(record, submission=submission, next_at=next_at, is_held=False, changed_at=now, damaged="")
        if there is None:
            kept = replace(kept, number=next(self._planned), version=1, created_at=now)
            self._schedules[record.name] = KeptSchedule(kept)
        else:
            before = there.record
            there.record = replace(kept, number=before.number, version=before.version + 1, created_at=before.created_at)

    def drop_schedule(self, name: str) -> bool:
        """Forget a schedule with its firings and backfills, not its runs; return whether there was one."""
        with self._changing(Happening.SCHEDULED):
            for number in [number for number, each in self._backfills.items() if each.schedule == name]:
                del self._backfills[number]
            return self._schedules.pop(name, None) is not None

    def set_schedule_state(self, name: str, state: str, next_at: float | None, reason: str = "") -> bool:
        """Pause a schedule, or have it go on with a next moment; return whether there is one of that name."""
        with self._changing(Happening.SCHEDULED):
            kept = self._schedules.get(name)
            if kept is not None:
                self._change(kept, state, next_at, reason)
            return kept is not None

    def _change(
        self, kept: KeptSchedule, state: str, next_at: float | None, reason: str, *, is_held: bool = False
    ) -> None:
        moment = utc_moment(next_at) if state in UNENDED else None
        kept.record = replace(
            kept.record,
            state=state,
            reason=reason,
            next_at=moment,
            is_held=is_held and moment is not None,
            version=kept.record.version + 1,
            changed_at=moment_for_people(time.time()),
        )

    def schedules(self, name: str | None = None, *, source: str | None = None) -> list[ScheduleRecord]:
        """Return the schedules by name, the one of a name, or those of a source."""
        with self._lock:
            names = sorted(self._schedules) if name is None else self._schedules.keys() & {name}
            found = [self._schedules[each].record for each in names]
            return [
                replace(each, last_run=self._last_run(each.name)) for each in found if source in {None, each.source}
            ]

    def _last_run(self, name: str) -> str | None:
        found = [run for run in self._scheduled.get(name, ()) if run.claim.id in self.kept]
        return max(found, key=age_of).claim.id if found else None

    def due_schedules(self, limit: int) -> list[ScheduleRecord]:
        """Return the active ones whose next moment has come: the longest due first."""
        with self._lock:
            now = time.time()
            due = [kept.record for moment, kept in self._due() if moment.timestamp() <= now]
            return sorted(due, key=lambda each: (each.next_at, each.number))[:limit]

    def next_due(self) -> float | None:
        """Return in how many seconds the next schedule is due, or None."""
        with self._lock:
            return min((moment.timestamp() - time.time() for moment, _ in self._due()), default=None)

    def _due(self) -> list[tuple[datetime, KeptSchedule]]:
        return [
            (kept.record.next_at, kept)
            for kept in self._schedules.values()
            if kept.record.state == "active" and kept.record.next_at is not None and not kept.record.is_held
        ]

    # Moments

    def release_moments(self, releases: Sequence[Release]) -> list[list[Firing] | None]:
        """Submit runs and note firings for schedules, each as a whole or not at all; return the firings of each."""
        with self._changing(Happening.QUEUED, Happening.ENDED):
            found = [self._release(each, time.time()) for each in releases]
        self._note_mail()
        return found

    def _release(self, release: Release, now: float) -> list[Firing] | None:
        kept = self._schedules.get(release.schedule)
        if kept is None or (kept.record.number, kept.record.version) != (release.number, release.version):
            return None
        draining = {name for name, queue in self._queues.items() if queue.state == "draining"}
        name, record = release.schedule, kept.record
        planned = release.planned if release.kind == "manual" else kept.new_moments(release.planned)
        decision = decide_release(
            release._replace(planned=planned), record.overlap, self._unfinished(name), kept.waits_since, draining
        )
        if release.kind != "manual":
            state = decision.state or record.state
            self._change(kept, state, decision.next_at, decision.reason, is_held=decision.is_held)
        return [self._note(kept, release.kind, note, now) for note in decision.notes]

    def _note(self, kept: KeptSchedule, kind: str, note: Note, now: float, backfill: int | None = None) -> Firing:
        submission = note.submission
        if submission is not None:
            submission = submission._replace(schedule=kept.record.name, backfill=backfill)
            if note.state == "waiting":
                kept.waiting = submission
            else:
                self._submit_planned(submission, now)
        return kept.note(kind, note._replace(submission=submission), now)

    def _submit_planned(self, submission: Submission, now: float) -> None:
        if submission.id not in self.kept:
            self._add(submission)
            self._fail_refused([(submission.queue, submission.target)], now)

    def _unfinished(self, name: str) -> str | None:
        """Return the run of a schedule that has not ended: the first of several."""
        for run in self._scheduled.get(name, ()):
            there = self.kept.get(run.claim.id) is run and run.ended_at is None
            if there and run.queued is not None and run.queued.submission.backfill is None:
                return run.claim.id
        return None

    def _hand_on(self, now: float) -> bool:
        """Do what is due for all, and begin what has waited for a run to end; return True if that changed anything."""
        changed = self._enter_groups(now)
        for name, kept in self._schedules.items():
            goes_on = kept.record.state in GOING_ON
            if kept.waiting is not None and goes_on and self._unfinished(name) is None:
                self._submit_waiting(kept, kept.waiting, now)
                changed = True
        changed = begin_held(self.kept.values()) or changed
        return super()._hand_on(now) or changed  # what ends there is seen by the next look

    def _enter_groups(self, now: float) -> bool:
        """Have the runs enter their groups whose time has come; return True if there were any."""
        due = [
            (kept, place)
            for kept, place in self._places()
            if place.submission.group is not None and place.due_at is not None and place.due_at <= now
        ]
        for kept, place in due:
            place.due_at = None
            enter_group(self.kept.values(), kept, now)
        return bool(due)

    def _submit_waiting(self, kept: KeptSchedule, submission: Submission, now: float) -> None:
        if self._queue(submission.queue).state == "draining":
            kept.end_waiting("refused", None, f"queue {submission.queue!r} is draining")
        else:
            self._submit_planned(submission._replace(at=now), now)
            kept.end_waiting("submitted", submission.id, "")

    def firings(self, schedule: str, *, limit: int | None = None) -> list[Firing]:
        """Return what became of the moments of a schedule, in the order in which it was noted; with a limit, the newest."""
        with self._lock:
            found = list(self._schedules[schedule].firings) if schedule in self._schedules else []
        return found if limit is None else found[max(len(found) - limit, 0) :]
