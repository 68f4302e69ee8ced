"""Put schedules, what became of their moments, and backfills into JSON. The keys are stable; moments are ISO 8601, UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aiodag.errors import TriggerError, UnknownRun
from aiodag.firings import BackfillRecord, Firing, ScheduleRecord
from aiodag.records import RunRecord
from aiodag.service.documents import Document, iso_moment, plain_value
from aiodag.service.entry import Entry
from aiodag.service.look import Looking
from aiodag.service.releasing import trigger_of_schedule, upcoming_moments
from aiodag.service.scheduled_runs import params_of_schedule
from aiodag.service.submitting import code_of_entry

NEXT = 3  # moments that are shown of one schedule


def schedule_document(record: ScheduleRecord, last: RunRecord | None, *, number: int = 1) -> Document:
    """Return a schedule for JSON, with its last run, and a number of its next moments."""
    made = record.submission
    return {
        "name": record.name,
        "state": record.state,
        "reason": record.reason or None,
        "when": describe_trigger(record),
        "trigger": plain_value(record.trigger),
        "next": [iso_moment(each.astimezone(UTC)) for each in next_of(record, number)],
        "target": target_text(record),
        "parameters": plain_value(params_of_schedule(record)),
        "queue": made.queue,
        "priority": made.priority,
        "retries": made.retries,
        "tags": dict(made.tags),
        "overlap": record.overlap,
        "catch_up": record.catch_up,
        "jitter": record.jitter,
        "grace": record.grace,
        "group": made.group,
        "source": record.source or None,
        "last": last and {"id": last.id, "state": str(last.state), "ended_at": iso_moment(last.ended_at)},
        "created_at": iso_moment(record.created_at),
        "changed_at": iso_moment(record.changed_at),
        "damaged": record.damaged or None,
    }


def last_run_of(service: Looking, record: ScheduleRecord) -> RunRecord | None:
    """Return the last run of a schedule, if it is there still."""
    if record.last_run is None:
        return None
    try:
        return service.head(record.last_run)
    except UnknownRun:
        return None


def describe_trigger(record: ScheduleRecord) -> str:
    """Return when a schedule is due, for people; nothing where that cannot be read."""
    try:
        return str(trigger_of_schedule(record))
    except (TriggerError, TypeError, ValueError):
        return ""


def next_of(record: ScheduleRecord, number: int) -> list[datetime]:
    """Return the next moments of a schedule that makes runs; none of one that does not, or cannot be read."""
    if record.state != "active" or record.next_at is None:
        return []
    try:
        return upcoming_moments(record, number, record.next_at)
    except (TriggerError, TypeError, ValueError):
        return []


def target_text(record: ScheduleRecord) -> str:
    """Return which code a schedule begins."""
    entry = record.submission.entry
    return record.submission.target if entry is None else code_of_entry(Entry(**entry))


def firing_documents(firings: Iterable[Firing]) -> list[Document]:
    """Return what became of moments, for JSON."""
    return [
        {
            "at": iso_moment(each.at),
            "until": iso_moment(each.until),
            "count": each.count,
            "kind": each.kind,
            "state": each.state,
            "reason": each.reason or None,
            "run": each.run_id,
            "noted_at": iso_moment(each.noted_at),
        }
        for each in firings
    ]


def backfill_documents(backfills: Iterable[BackfillRecord]) -> list[Document]:
    """Return backfills for JSON."""
    return [backfill_document(each) for each in backfills]


def backfill_document(backfill: BackfillRecord) -> dict[str, Any]:
    """Return a backfill for JSON."""
    return {
        "number": backfill.number,
        "schedule": backfill.schedule,
        "start": iso_moment(backfill.start.astimezone(UTC)),
        "end": iso_moment(backfill.end.astimezone(UTC)),
        "state": backfill.state,
        "reason": backfill.reason or None,
        "limit": backfill.limit,
        "order": "newest" if backfill.newest_first else "oldest",
        "cursor": iso_moment(backfill.cursor),
        "unfinished": backfill.unfinished,
        "submitted": backfill.submitted,
        "known": backfill.known,
        "parameters": plain_value(backfill.params),
        "created_at": iso_moment(backfill.created_at),
    }
