"""Plan what is to be done with the moments of schedules and backfills that have come, as a store takes it."""

import json
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import lru_cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aiodag.errors import OptionError, StoreError
from aiodag.firings import BackfillRecord, BackfillStep, Passed, PlannedRun, Release
from aiodag.schedules import trigger_of
from aiodag.service.catching_up import decide
from aiodag.service.scheduled_runs import refuse_unbound, runs_of, submission_at, values_to_keep, with_params
from aiodag.service.submitting import MOST

if TYPE_CHECKING:
    from aiodag.firings import ScheduleRecord
    from aiodag.schedules.series import Series
    from aiodag.service.parameters import Given

LOOKED_AT = 1000  # moments of one schedule that are looked at together
TRIES = 5  # how often something is done again that a scheduler came before
COUNTED = 10_000  # moments of a pause that are counted
PAUSED = "the schedule was paused"
NO_OTHER = "its trigger has no other moment"
SORTED_JSON = json.JSONEncoder(sort_keys=True).encode  # made once: a look has thousands


@lru_cache(maxsize=20_000)
def trigger_in(form: str) -> "Series":
    """Return the trigger of a form in JSON: the same one for equal forms, which each look asks for. Raises `TriggerError`."""
    return trigger_of(json.loads(form))


def trigger_of_schedule(record: "ScheduleRecord") -> "Series":
    """Return when a schedule is due. Raises `TriggerError` for what somebody has written into its row."""
    return trigger_in(SORTED_JSON(record.trigger))


def release_of(record: "ScheduleRecord", now: datetime, most: int = LOOKED_AT) -> Release:
    """Return what is to be done with the moments of a schedule that have come, at most `most` of them. Raises `TriggerError`."""
    trigger = trigger_of_schedule(record)
    begin = now if record.next_at is None else record.next_at
    moments = ((at, excluded or "") for at, excluded in trigger.marked(begin, inclusive=True))
    found = decide(moments, now, catch_up=record.catch_up, grace=record.grace, most=most)
    planned, refused = runs_of(record, found.released, now)
    return Release(
        record.name,
        record.number,
        record.version,
        next_at=None if found.next_at is None else found.next_at.timestamp(),
        planned=planned,
        passed=sorted([*found.passed, *refused]),
        holds=record.catch_up == "all" and record.overlap == "queue",
        state="ended" if found.next_at is None else "",
        reason=NO_OTHER if found.next_at is None else "",
    )


def manual_release(record: "ScheduleRecord", now: datetime) -> Release:
    """Return what makes a run of a schedule for this moment. Raises what its parameters raise."""
    at = now.astimezone(ZoneInfo(trigger_of_schedule(record).timezone))
    run = PlannedRun(at.timestamp(), submission_at(record, at, now, "manual"))
    return Release(record.name, record.number, record.version, planned=[run], kind="manual")


def pause_of(record: "ScheduleRecord") -> Release:
    """Return what has a schedule make no more runs; its moment stays, from which on nothing is decided."""
    next_at = None if record.next_at is None else record.next_at.timestamp()
    return Release(record.name, record.number, record.version, next_at=next_at, state="paused")


def resumption_of(record: "ScheduleRecord", now: datetime) -> Release:
    """Return what has a paused schedule go on with its next moment, and notes those on which nothing was decided before."""
    since = record.next_at or record.changed_at
    moments = trigger_of_schedule(record).marked(since, inclusive=record.next_at is not None)
    came = list(islice(takewhile(lambda each: each[0] <= now, moments), COUNTED + 1))
    first = next(trigger_of_schedule(record).marked(now), None)
    more = f", and more than {COUNTED:,} moments came" if len(came) > COUNTED else ""
    passed = (
        [Passed(came[0][0].timestamp(), came[-1][0].timestamp(), len(came), "skipped", PAUSED + more)] if came else []
    )
    return Release(
        record.name,
        record.number,
        record.version,
        next_at=None if first is None else first[0].timestamp(),
        passed=passed,
        state="active" if first is not None else "ended",
        reason="" if first is not None else NO_OTHER,
    )


def upcoming_moments(record: "ScheduleRecord", number: int, after: datetime) -> list[datetime]:
    """Return the next moments of a schedule; what is due and not released yet among them."""
    if record.state == "ended":
        return []
    due = record.next_at if record.state == "active" else None  # what a pause has passed over is not to come
    begin = after if due is None else min(after, due)
    return list(islice(trigger_of_schedule(record).iter(begin, inclusive=due is not None), number))


# Backfills


def checked_backfill(
    record: "ScheduleRecord", start: date, end: date, given: "Given", limit: int, *, now: datetime, newest_first: bool
) -> BackfillRecord:
    """Return a backfill of a schedule, checked with the parameters of its first moment. Raises `OptionError`, and what these raise."""
    trigger = trigger_of_schedule(record)
    begin, until = (checked_bound(option, each, trigger.timezone) for option, each in (("start", start), ("end", end)))
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise OptionError("limit", limit, f"an int from 1 to {MOST:,}: the runs of the backfill that go on at once")
    if not begin < until <= now:
        raise OptionError(
            "end", end, "a moment after the start, and no later than now: what is to come is the schedule's own"
        )
    backfill = BackfillRecord(record.name, begin, until, limit, newest_first, values_to_keep(given))
    first = next(iter(moments_of_backfill(trigger, backfill)), None)
    if first is None:
        raise OptionError(
            "start", start, f"before a moment of schedule {record.name!r}: it has none from there to {end}"
        )
    refuse_unbound(submission_at(with_params(record, backfill.params), first[0], now, "backfill"))
    return backfill


def checked_bound(option: str, given: object, zone: str) -> datetime:
    """Return a bound of a backfill; that of a day is its begin in the time zone of the schedule. Raises `OptionError`."""
    if isinstance(given, date) and not isinstance(given, datetime):
        return datetime.combine(given, time(), ZoneInfo(zone))
    if isinstance(given, datetime) and given.utcoffset() is not None:
        return given
    raise OptionError(
        option, given, "a date, or a datetime with a time zone, such as datetime(2026, 1, 31, tzinfo=UTC)"
    )


def step_of(backfill: BackfillRecord, record: "ScheduleRecord", now: datetime) -> BackfillStep:
    """Return what is to be done next of a backfill that has room. Raises `TriggerError`."""
    some = list(islice(moments_of_backfill(trigger_of_schedule(record), backfill), LOOKED_AT + 1))
    chosen, passed, looked = choose_moments(some[:LOOKED_AT], backfill.room)
    planned, refused = runs_of(with_params(record, backfill.params), chosen, now, kind="backfill")
    cursor = some[looked - 1][0] if looked else backfill.cursor
    return BackfillStep(
        backfill.number,
        backfill.version,
        None if cursor is None else cursor.timestamp(),
        planned=planned,
        passed=[*passed, *refused],
        state="ended" if looked == len(some) else "active",
    )


def choose_moments(some: Iterable[tuple[datetime, str]], room: int) -> tuple[list[datetime], list[Passed], int]:
    """Return the moments for which there is room, those that are excluded, and how many were looked at."""
    chosen: list[datetime] = []
    passed: list[Passed] = []
    for at, excluded in some:
        if excluded:
            passed.append(Passed(at.timestamp(), at.timestamp(), 1, "skipped", excluded))
        elif len(chosen) < room:
            chosen.append(at)
        else:
            break
    return chosen, passed, len(chosen) + len(passed)


def moments_of_backfill(trigger: "Series", backfill: "BackfillRecord") -> Iterable[tuple[datetime, str]]:
    """Give the moments that a backfill has not come to, in its order, each with the reason why it is excluded."""
    if backfill.newest_first:
        before = backfill.cursor or backfill.end
        while (at := trigger.prev(before)) is not None and at >= backfill.start:
            yield at, ""
            before = at
        return
    begin = backfill.cursor or backfill.start
    for at, excluded in trigger.marked(begin, inclusive=backfill.cursor is None):
        if at >= backfill.end:
            return
        yield at, excluded or ""


def busy(name: str) -> StoreError:
    """Return the error for a schedule that schedulers have changed again and again meanwhile."""
    return StoreError(f"schedule {name!r} is changed all the time by its scheduler: try again")
