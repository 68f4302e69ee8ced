"""Have a server put the schedules that files here say: all are checked here before the first of them is sent."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiodag.errors import Complaint, WorkflowError
from aiodag.firings import ScheduleRecord
from aiodag.service.schedule_files import AddedSchedules, SaidSchedule, is_alike, schedules_in_files, taken_name
from aiodag.service.scheduled_runs import has_expression
from aiodag.service.targets import file_in

if TYPE_CHECKING:
    from aiodag.service.schedules import Scheduling


def send_schedule_files(service: "Scheduling", paths: Iterable[str], *, timezone: str) -> AddedSchedules:
    """Put the schedules of files and folders, and drop none: a server does not know where they came from.

    Raises `WorkflowError` with all that is wrong: then nothing is sent.
    """
    complaints: list[Complaint] = []
    where = [os.path.abspath(each) for each in paths]  # noqa: PTH100 - of texts, without links
    said = schedules_in_files(service.store, where, complaints, timezone=timezone, now=datetime.now(UTC))
    there = {each.name: each for each in service.schedules()}
    for each in said.values():
        complaints += unsendable(each, there)
    if complaints:
        raise WorkflowError(dict.fromkeys(complaints))
    found = AddedSchedules([], [], [], [])
    for name, each in said.items():
        form = each.form
        sent = service.put_schedule(name, each.target, form.trigger, form.params, timezone=timezone, **form.policy)
        if name not in there:
            found.added.append(name)
        else:
            (found.unchanged if is_alike(sent, there[name]) else found.changed).append(name)
    return found


def unsendable(said: SaidSchedule, there: Mapping[str, ScheduleRecord]) -> list[Complaint]:
    """Return why a schedule cannot be put over HTTP, or would take the place of one that a file of the server says."""
    form, before = said.form, there.get(said.record.name)
    found: list[Complaint] = []
    if before is not None and before.source:
        found.append(taken_name(said.record, before))
    if form.is_paused and (before is None or before.state != "paused"):
        found.append(
            Complaint(
                form.place, "is paused, and one that is new cannot be put so over HTTP: add it where the store is"
            )
        )
    if has_expression(form.params) and file_in(said.target)[0]:
        text = "has params that depend on the moment: over HTTP, register its workflow, and name that"
        found.append(Complaint(form.place, text))
    return found
