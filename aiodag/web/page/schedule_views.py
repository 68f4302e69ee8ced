"""What the pages of schedules show: when each is due, and what became of its last moments."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from aiodag.errors import TriggerError
from aiodag.firings import BackfillRecord, Firing, ScheduleRecord
from aiodag.masking import masked
from aiodag.records import RunRecord
from aiodag.service import Service
from aiodag.service.documents import plain_value
from aiodag.service.releasing import trigger_of_schedule
from aiodag.service.schedule_documents import describe_trigger, next_of, target_text
from aiodag.service.scheduled_runs import params_of_schedule
from aiodag.states import State

IN_LIST = 50  # schedules on a page
IN_STRIP = 30  # moments of the strip in the list
SHOWN = 100  # moments on the page of one schedule
COMING = 10  # next moments there
STATES_OF_FIRINGS = {
    "waiting": State.WAITING,
    "skipped": State.SKIPPED,
    "missed": State.SKIPPED,
    "refused": State.FAILED,
    "submitted": State.QUEUED,
}


class Tick(NamedTuple):
    """A moment in the strip of a schedule: its look is that of `state`; `what` says what became of it, and `why`."""

    at: datetime
    state: State
    what: str
    why: str = ""
    run: str | None = None
    until: datetime | None = None
    times: int = 1
    kind: str = "scheduled"


class ScheduleRow(NamedTuple):
    """A schedule in the list."""

    record: ScheduleRecord
    when: str
    zone: str
    target: str
    coming: list[datetime]
    strip: list[Tick]


class ScheduleView(NamedTuple):
    """One schedule with all that its page shows."""

    row: ScheduleRow
    facts: list[tuple[str, str]]
    parameters: str
    backfills: list[BackfillRecord]


class ScheduleList(NamedTuple):
    """A part of a list: `after` is the name with which the next part is asked for, None at the end."""

    rows: list[Any]
    after: str | None


def list_schedules(service: Service, text: str = "", after: str = "") -> ScheduleList:
    """Return the schedules whose names or targets have a text in them, from after a name on."""
    wanted = text.casefold()
    found = [
        each
        for each in service.schedules()
        if each.name > after and (wanted in each.name.casefold() or wanted in target_text(each).casefold())
    ]
    rows = [schedule_row(service, each, moments=1, ticks=IN_STRIP) for each in found[:IN_LIST]]
    return ScheduleList(rows, found[IN_LIST - 1].name if len(found) > IN_LIST else None)


def view_schedule(service: Service, name: str) -> ScheduleView:
    """Return what the page of a schedule shows. Raises `StoreError` where there is none of that name."""
    record = service.schedule(name)
    row = schedule_row(service, record, moments=COMING, ticks=SHOWN)
    return ScheduleView(row, facts_of_schedule(record), parameters_text(record), service.backfills(name)[::-1])


def schedule_row(service: Service, record: ScheduleRecord, *, moments: int, ticks: int) -> ScheduleRow:
    """Return a schedule with its next moments, and with what became of its last ones."""
    firings = service.firings(record.name, limit=ticks)
    runs = {run.id: run for run in service.runs(schedule=record.name, limit=ticks)} if firings else {}
    return ScheduleRow(
        record,
        describe_trigger(record),
        zone_of_schedule(record),
        target_text(record),
        next_of(record, moments),
        ticks_of_firings(firings, runs),
    )


def ticks_of_firings(firings: Iterable[Firing], runs: Mapping[str, RunRecord]) -> list[Tick]:
    """Return moments for the strip, in their order: where a run was made, with its state."""
    return [tick_of_firing(each, runs.get(each.run_id or "")) for each in firings]


def tick_of_firing(firing: Firing, run: RunRecord | None) -> Tick:
    """Return one moment for the strip. Of a run that was deleted, only that there was one is known."""
    state = STATES_OF_FIRINGS.get(firing.state, State.WAITING)
    what = firing.state
    if run is not None:
        state, what = run.state, str(run.state)
    elif firing.run_id is not None:
        state, what = State.SKIPPED, "its run was deleted"
    return Tick(
        firing.at, state, what, firing.reason, None if run is None else run.id, firing.until, firing.count, firing.kind
    )


def zone_of_schedule(record: ScheduleRecord) -> str:
    """Return the time zone of a schedule; nothing where its trigger cannot be read."""
    try:
        return trigger_of_schedule(record).timezone
    except (TriggerError, TypeError, ValueError):
        return ""


def parameters_text(record: ScheduleRecord) -> str:
    """Return the parameters of the runs of a schedule in JSON; nothing where there are none."""
    found = plain_value(params_of_schedule(record))
    return masked(json.dumps(found, indent=2, ensure_ascii=False)) if found else ""


def facts_of_schedule(record: ScheduleRecord) -> list[tuple[str, str]]:
    """Return how a schedule makes its runs, as names and texts."""
    made = record.submission
    facts = [
        ("overlap", record.overlap),
        ("catches up", record.catch_up),
        ("queue", made.queue),
        ("priority", str(made.priority) if made.priority else ""),
        ("retries", str(made.retries) if made.retries else ""),
        ("jitter", f"up to {record.jitter:g} s" if record.jitter else ""),
        ("grace", f"{record.grace:g} s"),
        ("group", made.group or ""),
        ("source", record.source),
        ("cannot be read", record.damaged),
    ]
    return [(name, text) for name, text in facts if text]
