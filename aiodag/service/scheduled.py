"""What is put as a schedule: checked as a whole, with the parameters of its next moment, before anything is recorded."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.options import check_name, check_seconds
from aiodag.errors import OptionError
from aiodag.firings import ScheduleRecord
from aiodag.queue_defaults import CATCH_UPS, OVERLAPS
from aiodag.schedules import trigger_of
from aiodag.service.entry import Entry
from aiodag.service.kept_registries import registries_here
from aiodag.service.releasing import NO_OTHER, TRIES, busy
from aiodag.service.run_groups import unrendered_group
from aiodag.service.scheduled_runs import has_expression, rendered, submission_at, values_to_keep
from aiodag.service.submitting import LONGEST_KEY, Wishes, checked_wishes, submission_of, target_to_submit
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.abc import Runs, Schedules, Trigger
    from aiodag.service.entry import Target
    from aiodag.service.parameters import Given

LONGEST = 366 * 86_400.0  # seconds
LEAST_GRACE = 1.0  # seconds: what a scheduler needs in any case is no lateness


class Policy(NamedTuple):
    """What becomes of moments that come while a run goes on, or that nobody was there for; in seconds, how late a run begins."""

    overlap: str = "queue"
    catch_up: str = "latest"
    jitter: float = 0.0
    grace: float = 60.0


def checked_policy(overlap: str, catch_up: str, jitter: float | timedelta, grace: float | timedelta) -> Policy:
    """Check a policy. Raises `OptionError`."""
    for option, given, known in (("overlap", overlap, OVERLAPS), ("catch_up", catch_up, CATCH_UPS)):
        if given not in known:
            raise OptionError(option, given, f"one of {', '.join(known)}")
    seconds = check_seconds("grace", grace)
    if not LEAST_GRACE <= seconds <= LONGEST:
        wanted = f"{LEAST_GRACE:g} second or more, and at most a year: how late a moment may be before it is missed"
        raise OptionError("grace", grace, wanted)
    delay = check_seconds("jitter", jitter)
    if delay > LONGEST:
        raise OptionError("jitter", jitter, "at most a year, in seconds")
    return Policy(overlap, catch_up, delay, seconds)


def refuse_types(target: object, trigger: object) -> None:
    """Refuse what is neither a target nor a trigger. Raises `OptionError`."""
    if not isinstance(target, str | Entry | Workflow):
        raise OptionError(
            "target",
            target,
            "FILE.py[:TASK], FILE.json, FILE.yaml, a registered name, or what `Service.target` returns",
        )
    if not isinstance(trigger, str | Mapping) and not callable(getattr(trigger, "form", None)):
        wanted = "a cron expression, a mapping such as {'every': 300}, or a trigger of aiodag.schedules"
        raise OptionError("trigger", trigger, wanted)


def checked_schedule_name(given: object) -> str:
    """Check the name of a schedule. Raises `OptionError`."""
    if (
        isinstance(given, str)
        and given.isprintable()
        and given == given.strip()
        and not given.startswith("-")
        and len(given) <= LONGEST_KEY
    ):
        name = check_name(given)
        if name:
            return name
    wanted = f"up to {LONGEST_KEY} printable characters, without spaces around them, that do not begin with -"
    raise OptionError("name", given, wanted)


def schedule_record(
    store: "Runs",
    name: str | None,
    target: "str | Target",
    trigger: "str | Mapping[str, Any] | Trigger",
    given: "Given",
    wishes: Wishes,
    policy: Policy,
    *,
    now: datetime,
    timezone: str,
    source: str = "",
) -> ScheduleRecord:
    """Return what is recorded of a schedule: its target imported, and bound to the parameters of the next moment.

    Without a name it has that of its target.

    Raises `OptionError`, `TriggerError`, `ExpressionError`, `EntryError` and `WorkflowError`.
    """
    named, wishes = None if name is None else checked_schedule_name(name), checked_wishes(wishes)
    refuse_types(target, trigger)
    form = trigger if isinstance(trigger, str | Mapping) else trigger.form()
    when = trigger_of(form, timezone=timezone)
    first = next(when.marked(now), None)
    params = values_to_keep(given)
    example = now if first is None else first[0]
    release = {"logical_date": example.isoformat(), "schedule": named or "", "kind": "scheduled"}
    values = rendered(params, release, example) if has_expression(params) else params
    ready = target_to_submit(store, target, values)
    submission = submission_of(ready, wishes)
    registries = registries_here()
    if registries and submission.entry is not None:
        submission = submission._replace(entry={**submission.entry, "release": registries})
    record = ScheduleRecord(
        named or checked_schedule_name(submission.name),
        dict(when.form()),
        submission._replace(id="", at=0.0, starts_at=None, **unrendered_group(ready)),
        params=params if has_expression(params) else {},
        overlap=policy.overlap,
        catch_up=policy.catch_up,
        jitter=policy.jitter,
        grace=policy.grace,
        source=source,
        state="active" if first is not None else "ended",
        reason="" if first is not None else NO_OTHER,
        next_at=None if first is None else first[0],
    )
    submission_at(record, example, now, "scheduled")  # as it will be made: of what is recorded alone
    return record


def put_record(schedules: "Schedules", record: ScheduleRecord) -> None:
    """Put a schedule, or have it go on in place of the one of its name. Raises `StoreError`."""
    for _ in range(TRIES):
        there = schedules.schedules(record.name)
        if schedules.put_schedule(going_on(record, there[0]) if there else record) is not None:
            return
    raise busy(record.name)


def going_on(record: ScheduleRecord, before: ScheduleRecord) -> ScheduleRecord:
    """Return a schedule as it takes the place of another, of that version: where that was if it has the same trigger, and paused if that was.

    So a moment that has come is not lost, even where it was the last one.
    """
    record, same = replace(record, version=before.version), before.trigger == record.trigger
    if before.state == "paused" and (same or record.state == "active"):
        return replace(record, state="paused", reason="", next_at=before.next_at or before.changed_at)
    if before.state == "active" and same:
        state = record.state if record.state == "paused" else "active"
        return replace(record, state=state, reason="", next_at=before.next_at)
    return record
