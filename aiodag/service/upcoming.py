"""When something would begin: an expression, what a file says under `on`, a trigger of a folder, a schedule."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.errors import Complaint, EntryError, TriggerError, WorkflowError
from aiodag.schedules import trigger_of
from aiodag.schedules.forms import TRIGGER_KEYS
from aiodag.service.entry import parse_target
from aiodag.service.folders import definitions_in_folders
from aiodag.service.releasing import trigger_of_schedule
from aiodag.service.schedule_files import schedules_in
from aiodag.service.settings import settings
from aiodag.service.targets import file_in
from aiodag.workflows.files.named_forms import named_forms
from aiodag.workflows.files.sources import document_in_file, is_workflow_file

if TYPE_CHECKING:
    from aiodag.schedules.series import Series
    from aiodag.service.service import Service

LISTED = 20  # names in a message


class Upcoming(NamedTuple):
    """A trigger, the name of what it begins (empty for an expression), and its next moments."""

    name: str
    trigger: "Series"
    moments: list[datetime]


def upcoming_of(
    service: "Service", text: str, number: int, start: datetime | str, timezone: str | None
) -> list[Upcoming]:
    """Return what people typed with its next moments: a cron expression, FILE[:NAME], or the name of a schedule or a trigger.

    Raises `TriggerError`, `EntryError` and `WorkflowError`.
    """
    zone = timezone or settings().timezone.value
    if is_expression_typed(text):
        triggers: list[tuple[str, Series]] = [("", trigger_of(text, timezone=zone))]
    elif file_in(text)[0]:
        triggers = triggers_of_file(text, zone)
    else:
        triggers = list(triggers_of_name(service, text, zone))
    return [Upcoming(name, each, list(islice(each.iter(start), number))) for name, each in triggers]


def is_expression_typed(text: str) -> bool:
    """Return True if a text cannot be a name: one of several words that is not the path of a file, or one such as `@daily`."""
    return text.lstrip().startswith("@") or (len(text.split()) > 1 and not file_in(text)[0])


def triggers_of_file(text: str, zone: str) -> "list[tuple[str, Series]]":
    """Return when a file says that something begins: its schedules and triggers, or those of one name.

    Raises `EntryError` for none, and `WorkflowError`.
    """
    file, name = parse_target(text)
    if not is_workflow_file(file):
        msg = f"{text}: only files in YAML and JSON say when they begin; submit this with --cron"
        raise EntryError(msg)
    complaints: list[Complaint] = []
    forms = [(each.name, each.workflow, each.trigger) for each, _ in schedules_in(file, complaints)]
    if complaints:
        raise WorkflowError(complaints)
    triggers = named_forms(document_in_file(file)).of_kind("trigger")
    forms += [(each.name, "", each.form) for each in triggers.values()]
    found = [(own, trigger_in_form(form, zone, file)) for own, flow, form in forms if name in {None, own, flow}]
    if not found:
        others = sorted({own for own, _, _ in forms})
        hint = f"it has {', '.join(others[:LISTED])}" if others else "write it under on, or submit it with --cron"
        msg = f"{text}: does not say when it begins; {hint}"
        raise EntryError(msg)
    return found


def trigger_in_form(form: Mapping[str, Any] | str, zone: str, place: str) -> "Series":
    """Return the trigger of a form that may say more than when. Raises `EntryError`."""
    try:
        when = form if isinstance(form, str) else {key: form[key] for key in form if key in TRIGGER_KEYS}
        return trigger_of(when, timezone=zone)
    except TriggerError as error:
        msg = f"{place}: {error}"
        raise EntryError(msg) from error


def triggers_of_name(service: "Service", name: str, zone: str) -> "Iterator[tuple[str, Series]]":
    """Give the trigger of a schedule of the store, or those that folders have under a name. Raises `EntryError`."""
    schedules = {each.name: each for each in service.schedules()}
    if name in schedules:
        yield name, trigger_of_schedule(schedules[name])
        return
    folders = definitions_in_folders()
    if triggers := folders.named("trigger", name):
        yield from ((name, trigger_in_form(each.member.form, zone, each.file)) for each in triggers)
        return
    if workflows := folders.named("workflow", name):
        yield from (pair for each in workflows for pair in triggers_of_file(each.target, zone))
        return
    near = get_close_matches(name, [*schedules, *folders.names("trigger"), *folders.names("workflow")], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "write an expression in quotes: '*/5 * * * *'"
    msg = f"{name}: neither a file, nor the name of a schedule in {service.place} or of something in a folder; {hint}"
    raise EntryError(msg)
