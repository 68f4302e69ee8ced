"""Add the schedules that files say: all of a file or a folder, or none if anything is wrong with one of them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.errors import AiodagError, Complaint, TriggerError, WorkflowError
from aiodag.firings import ScheduleRecord
from aiodag.schedules import trigger_of
from aiodag.service.folders import folders_of_definitions
from aiodag.service.scheduled import checked_policy, going_on, put_record, schedule_record
from aiodag.service.submitting import Wishes
from aiodag.workflows.files.folders import files_in, own_name
from aiodag.workflows.files.load import workflow_of_member
from aiodag.workflows.files.named_forms import NamedForm, NamedForms, named_forms
from aiodag.workflows.files.named_triggers import NamedTriggers, triggers_around
from aiodag.workflows.files.schedule_forms import FileSchedule, ScheduleReading
from aiodag.workflows.files.sources import document_in_file
from aiodag.workflows.params import TO_BE_GIVEN

if TYPE_CHECKING:
    from aiodag.abc import Runs, Schedules


class AddedSchedules(NamedTuple):
    """The names of schedules that are new, are others now, stay as they were, and that no file says any more."""

    added: list[str]
    changed: list[str]
    unchanged: list[str]
    dropped: list[str]


class SaidSchedule(NamedTuple):
    """A schedule as its file says it, what its runs are of, and what is recorded of it."""

    form: FileSchedule
    target: str
    record: ScheduleRecord


def add_schedule_files(store: "Runs", schedules: "Schedules", paths: Iterable[str], *, timezone: str) -> AddedSchedules:
    """Put the schedules of files and folders, and drop those that came from there and are not there any more.

    Raises `WorkflowError` with all that is wrong: then nothing is changed.
    """
    complaints: list[Complaint] = []
    where = [os.path.abspath(each) for each in paths]  # noqa: PTH100 - of texts, without links
    now = datetime.fromtimestamp(schedules.clock(), UTC)
    said = schedules_in_files(store, where, complaints, timezone=timezone, now=now)
    records = {name: each.record for name, each in said.items()}
    there = {each.name: each for each in schedules.schedules()}
    complaints += [
        taken_name(record, there[name])
        for name, record in records.items()
        if name in there and there[name].source != record.source
    ]
    if complaints:
        raise WorkflowError(dict.fromkeys(complaints))
    gone = [name for name, each in there.items() if name not in records and is_from(each.source, where)]
    return put_records(schedules, records, there, gone)


def schedules_in_files(
    store: "Runs", paths: Iterable[str], complaints: list[Complaint], *, timezone: str, now: datetime
) -> dict[str, SaidSchedule]:
    """Return by name what files and folders say; what is wrong with them is added to complaints."""
    found: dict[str, SaidSchedule] = {}
    for file in dict.fromkeys(file for path in paths for file in (files_in(path) if os.path.isdir(path) else [path])):  # noqa: PTH112 - of texts
        for each, target in schedules_in(file, complaints):
            record = checked_record(store, each, target, file, complaints, timezone=timezone, now=now)
            if record is None:
                continue
            if record.name in found:
                text = f"is a second schedule {record.name!r}: {found[record.name].record.source} has the first"
                complaints.append(Complaint(each.place, text))
            found[record.name] = SaidSchedule(each, target, record)
    return found


def taken_name(record: ScheduleRecord, there: ScheduleRecord) -> Complaint:
    """Return the complaint about a schedule whose name another one has, which came from elsewhere."""
    text = f"has a schedule {record.name!r}, which is there already, {origin(there)}: delete that first"
    return Complaint(record.source, text)


def origin(record: ScheduleRecord) -> str:
    """Return where a schedule came from."""
    return f"from {record.source}" if record.source else "by a command or a program"


def is_from(source: str, paths: Iterable[str]) -> bool:
    """Return True for a file that is one of those, or lies in one of the folders."""
    return any(source == path or source.startswith(path.rstrip(os.sep) + os.sep) for path in paths)


def put_records(
    schedules: "Schedules",
    records: Mapping[str, ScheduleRecord],
    there: Mapping[str, ScheduleRecord],
    gone: Iterable[str],
) -> AddedSchedules:
    """Put schedules that are new or others, and drop those that are gone."""
    found = AddedSchedules([], [], [], [])
    for name, record in records.items():
        before = there.get(name)
        if before is not None and is_alike(record, before):
            found.unchanged.append(name)
            continue
        put_record(schedules, record)
        (found.added if before is None else found.changed).append(name)
    for name in gone:
        schedules.drop_schedule(name)
        found.dropped.append(name)
    return found


def is_alike(record: ScheduleRecord, before: ScheduleRecord) -> bool:
    """Return True if a schedule says what the one that is there says."""
    state = going_on(record, before).state == before.state
    kept = {each: getattr(before, each) for each in ("state", "reason", "next_at", "number", "version", "is_held")}
    kept |= {each: getattr(before, each) for each in ("created_at", "changed_at", "last_run", "damaged")}
    return state and replace(record, **kept) == before


def schedules_in(file: str, complaints: list[Complaint]) -> list[tuple[FileSchedule, str]]:
    """Return the schedules of a file, each with the target of its runs; what is wrong with the file is added to complaints."""
    try:
        members = named_forms(document_in_file(file))
    except WorkflowError as error:
        complaints += error.complaints
        return []
    complaints += members.complaints
    triggers = triggers_around(members, file, folders_of_definitions())
    reading = ScheduleReading(triggers)
    found: list[tuple[FileSchedule, str]] = []
    for member in members.found:
        if not is_scheduled_workflow(member) or loads_well(members, member, triggers, complaints):
            found += [
                (each, target_of_entry(each, member, members, file)) for each in read_member(reading, member, file)
            ]
    complaints += reading.complaints
    return found


def is_scheduled_workflow(member: NamedForm) -> bool:
    """Return True for a workflow that says itself when it runs."""
    return member.kind == "workflow" and isinstance(member.form, dict) and "on" in member.form


def loads_well(members: NamedForms, member: NamedForm, triggers: NamedTriggers, complaints: list[Complaint]) -> bool:
    """Return True if a workflow can be loaded; what is wrong with it is added to complaints."""
    try:
        workflow_of_member(members, member, triggers)
    except WorkflowError as error:
        complaints += error.complaints
        return False
    return True


def read_member(reading: ScheduleReading, member: NamedForm, file: str) -> list[FileSchedule]:
    """Return the schedules of one thing that a file has."""
    if member.kind == "schedule":
        return reading.of_schedule(member)
    if is_scheduled_workflow(member):
        return reading.of_workflow(own_name(member, file), member.form, member)
    return []


def target_of_entry(each: FileSchedule, member: NamedForm, members: NamedForms, file: str) -> str:
    """Return what people would type for the workflow of a schedule: of the file itself, next to it, or by its name."""
    if member.kind == "workflow" or each.workflow in members.of_kind("workflow"):
        return f"{file}:{each.workflow}" if each.workflow else file
    beside = os.path.join(os.path.dirname(file), each.workflow)  # noqa: PTH118, PTH120 - of texts
    return beside if os.path.exists(beside.partition(":")[0]) else each.workflow  # noqa: PTH110 - raises for nothing


def checked_record(
    store: "Runs",
    each: FileSchedule,
    target: str,
    file: str,
    complaints: list[Complaint],
    *,
    timezone: str,
    now: datetime,
) -> ScheduleRecord | None:
    """Return what is recorded of a schedule in a file; None where something is wrong, which is added to complaints."""
    try:
        trigger_of(each.trigger, timezone=timezone)
    except TriggerError as error:
        complaints.append(Complaint(each.place, str(error)))
        each = each._replace(trigger="@daily")  # the rest of it is looked at, too
    try:
        return file_schedule_record(store, each, target, file, timezone=timezone, now=now)
    except WorkflowError as error:
        complaints += [placed(fault, each.place) for fault in error.complaints]
    except AiodagError as error:
        complaints.append(Complaint(each.place, str(error)))
    return None


def placed(fault: Complaint, place: str) -> Complaint:
    """Return a complaint of params, whose place is that of their workflow, with the place of their schedule."""
    if fault.text.endswith(TO_BE_GIVEN):
        return fault._replace(text=f"{fault.text}, under params of its trigger")
    param = fault.place.rpartition(" ")[2]
    return fault._replace(place=f"{place} {param}") if param.startswith("params") else fault


def file_schedule_record(
    store: "Runs", each: FileSchedule, target: str, file: str, *, timezone: str, now: datetime
) -> ScheduleRecord:
    """Return what is recorded of a schedule in a file. Raises `AiodagError`."""
    policy: dict[str, Any] = {"overlap": "queue", "catch_up": "latest", "jitter": 0.0, "grace": 60.0}
    wishes = {key: value for key, value in each.policy.items() if key not in policy}
    policy |= {key: value for key, value in each.policy.items() if key in policy}
    record = schedule_record(
        store,
        each.name,
        target,
        each.trigger,
        each.params,
        Wishes(**wishes),
        checked_policy(**policy),
        now=now,
        timezone=timezone,
        source=file,
    )
    return replace(record, state="paused") if each.is_paused and record.state == "active" else record
