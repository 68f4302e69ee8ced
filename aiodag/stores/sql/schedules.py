"""The schedules of a store in SQL, and their backfills."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiodag.firings import (
    BackfillRecord,
    BackfillStep,
    Firing,
    Release,
    ScheduleRecord,
)
from aiodag.queue_defaults import CATCH_UPS, OVERLAPS
from aiodag.stores.firing_rules import (
    GOING_ON,
    UNENDED,
    mapping_of_text,
    no_schedule,
    schedule_there,
    submission_of_text,
    text_of_submission,
)
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.firings import advance_all, release_all
from aiodag.stores.sql.inbox import listing
from aiodag.stores.sql.rows import (
    EPOCH,
    LAST,
    Column,
    Damaged,
    count_column,
    moment_column,
    optional,
    record_maker,
    text_column,
)
from aiodag.stores.sql.session import Session
from aiodag.submissions import Submission

UNKNOWN = Submission("?", "?", None, "?", 0.0)  # in place of one that cannot be read


class RecordedSchedules(Database):
    """The schedules of a database."""

    # Schedules

    def clock(self) -> float:
        """Return the moment by the clock that decides what is due, in seconds since the epoch."""
        with self.reading() as session:
            return session.now()

    def put_schedule(self, record: ScheduleRecord, *, replace: bool = True) -> bool | None:
        """Keep a schedule under its name; return True if there was none, None if it has another version than was seen.

        Raises `StoreError` if there is one, unless it is to be replaced.
        """
        with self.writing() as session:
            row = row_of_schedule(record) | {"at": session.now()}
            if not record.version and session.perform("add_schedule", row).fetchone() is not None:
                return True
            if not replace:
                raise schedule_there(record.name, self)
            if not session.perform("replace_schedule", row).rowcount:
                return None
            note_resumed(session, record.name, record.state)
            return False

    def drop_schedule(self, name: str) -> bool:
        """Forget a schedule with its firings and backfills, not its runs; return whether there was one."""
        if not self.schedules(name):
            return False  # looking makes no file
        with self.writing() as session:
            found = session.perform("drop_schedule", (name,)).fetchone()
            if found is not None:
                session.perform("drop_firings", found)
                session.perform("drop_backfills", found)
            return found is not None

    def set_schedule_state(self, name: str, state: str, next_at: float | None, reason: str = "") -> bool:
        """Pause a schedule, or have it go on with a next moment; return whether there is one of that name."""
        moment = next_at if state in UNENDED else None
        with self.writing() as session:
            values = (state, reason, moment, session.now(), name)
            changed = session.perform("set_schedule_state", values).rowcount > 0
            note_resumed(session, name, state)
            return changed

    def schedules(self, name: str | None = None, *, source: str | None = None) -> list[ScheduleRecord]:
        """Return the schedules by name, the one of a name, or those of a source."""
        asked = {"name = :name": name, "source = :source and source <> ''": source}
        with self.reading() as session:
            statement = listing(session, "schedules_listed", asked)
            return [schedule_record(row) for row in session.execute(statement, {"name": name, "source": source})]

    def due_schedules(self, limit: int) -> list[ScheduleRecord]:
        """Return the active ones whose next moment has come: the longest due first. What cannot be read is broken from then on."""
        with self.reading() as session:
            rows = session.perform("due_schedules", (session.now(), limit)).fetchall()
        found = [schedule_record(row) for row in rows]
        broken = [each for each in found if each.damaged]
        if broken:
            self.transact(partial(break_schedules, broken))
        return [each for each in found if not each.damaged]

    def next_due(self) -> float | None:
        """Return in how many seconds the next schedule is due, or None."""
        with self.reading() as session:
            now, (((found,),),) = session.perform_together(("next_due", ()))
        return found - now if isinstance(found, int | float) else None  # anything may be written there by hand

    # Moments

    def release_moments(self, releases: Sequence[Release]) -> list[list[Firing] | None]:
        """Submit runs and note firings for schedules, each as a whole or not at all; return the firings of each."""
        # Whoever does not hear that it was committed finds another version, and plans anew.
        return self.transact(partial(release_all, releases)) if releases else []

    def firings(self, schedule: str, *, limit: int | None = None) -> list[Firing]:
        """Return what became of the moments of a schedule, in the order in which it was noted; with a limit, the newest."""
        with self.reading() as session:
            rows = session.perform("firings_listed", (schedule, LAST if limit is None else limit)).fetchall()
        return [firing_record((schedule, *row)) for row in reversed(rows)]

    # Backfills

    def put_backfill(self, record: BackfillRecord) -> int:
        """Note a backfill and return its number. Raises `StoreError` where there is no such schedule."""
        with self.writing() as session:
            found = session.perform("schedule_of_name", (record.schedule,)).fetchone()
            if found is None:
                raise no_schedule(record.schedule, self)
            moments = (record.start.timestamp(), record.end.timestamp())
            cursor = None if record.cursor is None else record.cursor.timestamp()
            how = (record.limit, int(record.newest_first), json.dumps(dict(record.params)))
            row = (*found, *moments, *how, cursor, record.state, record.reason, session.now())
            return int(session.perform("add_backfill", row).fetchone()[0])

    def backfills(self, schedule: str | None = None, *, number: int | None = None) -> list[BackfillRecord]:
        """Return the backfills, oldest first: all of them, those of a schedule, or that of a number."""
        asked = {"schedules.name = :name": schedule, "backfill = :number": number}
        return self._backfills(asked, {"name": schedule, "number": number})

    def due_backfills(self, limit: int) -> list[BackfillRecord]:
        """Return the active ones that have room for another run, oldest first. What cannot be read is cancelled."""
        found = self._backfills({"backfills.state = 'active'": True}, {})
        broken = [
            (f"what is recorded of it cannot be read: {each.damaged}", each.number) for each in found if each.damaged
        ]
        if broken:
            with self.writing() as session:
                session.put_each("break_backfill", broken)
        return [each for each in found if each.room and not each.damaged][:limit]

    def _backfills(self, asked: dict[str, Any], values: dict[str, Any]) -> list[BackfillRecord]:
        with self.reading() as session:
            return [
                backfill_record(row) for row in session.execute(listing(session, "backfills_listed", asked), values)
            ]

    def advance_backfills(self, steps: Sequence[BackfillStep]) -> list[list[Firing] | None]:
        """Submit runs of backfills and note where they stand."""
        return self.transact(partial(advance_all, steps)) if steps else []

    def cancel_backfill(self, number: int) -> bool:
        """End a backfill: it submits nothing more, and its runs go on. Return whether it was active."""
        with self.writing() as session:
            return session.perform("cancel_backfill", (number,)).rowcount > 0


def note_resumed(session: Session, name: str, state: str) -> None:
    """Have the next look see what waits for runs of a schedule, which it may pass by while the schedule is paused."""
    if state in GOING_ON:
        session.put_each("note_freed", [(name,)])


def break_schedules(broken: Sequence[ScheduleRecord], session: Session) -> None:
    """Note of schedules that they cannot be read: they release nothing more."""
    now = session.now()
    for each in broken:
        reason = f"what is recorded of it cannot be read: {each.damaged}"
        at = now if each.next_at is None else each.next_at.timestamp()
        session.put_each("break_schedule", [(reason, now, each.number)])
        row = (each.number, at, at, 1, "scheduled", "refused", reason, None, None, now)
        session.put_returning("put_firings", [row])


# Rows


def row_of_schedule(record: ScheduleRecord) -> dict[str, Any]:
    """Return what is written of a schedule."""
    return {
        "name": record.name,
        "version": record.version,
        "form": json.dumps(dict(record.trigger)),
        "submission": text_of_submission(record.submission),
        "params": json.dumps(dict(record.params)),
        "overlap": record.overlap,
        "catch_up": record.catch_up,
        "jitter": record.jitter,
        "late": record.grace,
        "source": record.source,
        "state": record.state,
        "reason": record.reason,
        "next_at": record.next_at.timestamp() if record.next_at is not None and record.state in UNENDED else None,
    }


def seconds_column(value: Any) -> float:
    """Return seconds: 0 or more."""
    if isinstance(value, int | float) and value >= 0:
        return float(value)
    raise Damaged


def word_among(*words: str) -> Callable[[Any], str]:
    """Return a reader of one of some words."""

    def read(value: Any) -> str:
        if value in words:
            return text_column(value)
        raise Damaged

    return read


SCHEDULE = (
    Column("number", count_column, 0),
    Column("name", text_column, "?"),
    Column("trigger", mapping_of_text, {}),
    Column("submission", submission_of_text, UNKNOWN),
    Column("params", mapping_of_text, {}),
    Column("overlap", word_among(*OVERLAPS), "queue"),
    Column("catch_up", word_among(*CATCH_UPS), "latest"),
    Column("jitter", seconds_column, 0.0),
    Column("grace", seconds_column, 0.0),
    Column("source", text_column, ""),
    Column("state", text_column, "broken"),
    Column("reason", text_column, ""),
    Column("next_at", optional(moment_column), None),
    Column("is_held", bool, False),
    Column("version", count_column, 0),
    Column("created_at", moment_column, EPOCH),
    Column("changed_at", moment_column, EPOCH),
    Column("last_run", optional(text_column), None),
)
FIRING = (
    Column("schedule", text_column, "?"),
    Column("at", moment_column, EPOCH),
    Column("kind", text_column, "scheduled"),
    Column("state", text_column, "?"),
    Column("reason", text_column, ""),
    Column("run_id", optional(text_column), None),
    Column("until", optional(moment_column), None),
    Column("count", count_column, 1),
    Column("noted_at", moment_column, EPOCH),
)
BACKFILL = (
    Column("number", count_column, 0),
    Column("schedule", text_column, "?"),
    Column("start", moment_column, EPOCH),
    Column("end", moment_column, EPOCH),
    Column("limit", count_column, 1),
    Column("newest_first", bool, False),
    Column("params", mapping_of_text, {}),
    Column("cursor", optional(moment_column), None),
    Column("state", text_column, "cancelled"),
    Column("reason", text_column, ""),
    Column("submitted", count_column, 0),
    Column("known", count_column, 0),
    Column("version", count_column, 0),
    Column("created_at", moment_column, EPOCH),
    Column("unfinished", count_column, 0),
)
schedule_record: Callable[[tuple[Any, ...]], ScheduleRecord] = record_maker(ScheduleRecord, SCHEDULE)
backfill_record: Callable[[tuple[Any, ...]], BackfillRecord] = record_maker(BackfillRecord, BACKFILL)
plain_firing_record: Callable[[tuple[Any, ...]], Firing] = record_maker(Firing, FIRING)


def firing_record(row: tuple[Any, ...]) -> Firing:
    """Return a firing for people: `until` is that of several moments."""
    return plain_firing_record((*row[:6], row[6] if row[7] != 1 else None, *row[7:]))
