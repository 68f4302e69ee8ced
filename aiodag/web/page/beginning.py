"""The form that begins a run of a workflow: its parameters, and how it is submitted."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aiodag.complaint import Complaint
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.service import Service
from aiodag.service.settings import settings
from aiodag.web.page.fields import (
    PREFIX,
    FormField,
    complaints_about,
    fields_of_declarations,
    fits_input,
    given_in_form,
)
from aiodag.web.page.workflow_views import WorkflowView

KEY = "key"  # the field that makes of two clicks one run
INTEGERS = ("priority", "retries")
WISHES = ("queue", "priority", "at", "tags", "retries")


class BeginForm(NamedTuple):
    """A form to begin a run with: a field for each parameter, and others for how it is submitted.

    `complaints` belong to no field. `key` is another one each time that the form is asked for, and stays when it comes back.
    """

    parameters: list[FormField]
    wishes: list[FormField]
    key: str
    complaints: list[Complaint]

    @property
    def is_wrong(self) -> bool:
        """Whether something was complained about."""
        return bool(self.complaints) or any(each.complaint for each in (*self.parameters, *self.wishes))


class Wanted(NamedTuple):
    """What a form asks for: `parameters` by name, `wishes` as keywords of what submits, and what is wrong by field."""

    parameters: dict[str, Any]
    wishes: dict[str, Any]
    complaints: dict[str, str]


def begin_form(
    service: Service,
    view: WorkflowView,
    typed: Mapping[str, str] | None = None,
    complaints: Mapping[str, str] | None = None,
    others: Sequence[Complaint] = (),
) -> BeginForm:
    """Return the form of a workflow: empty, or as it was typed with what is wrong in it."""
    given, wrong = typed or {}, complaints or {}
    parameters = fields_of_declarations(view.declarations, given, wrong)
    wishes = fields_of_wishes(service, given, wrong)
    there = {each.name for each in (*parameters, *wishes)}
    homeless = [Complaint(name.removeprefix(PREFIX), text) for name, text in wrong.items() if name not in there]
    key = given.get(KEY) or f"form-{secrets.token_urlsafe(16)}"
    return BeginForm(parameters, wishes, key, [*others, *homeless])


def fields_of_wishes(service: Service, typed: Mapping[str, str], wrong: Mapping[str, str]) -> list[FormField]:
    """Return the fields for how a run is submitted."""
    zone = settings().timezone.value
    known = [usual_queue(), DEFAULT_QUEUE, *(each.name for each in service.queues()), typed.get("queue", "")]
    queues = tuple(dict.fromkeys(filter(None, known)))
    moment = f"empty for now, or a moment such as 2024-01-31T08:30, in {zone}"
    made = [
        FormField("queue", "queue", "select", usual_queue(), choices=queues),
        FormField("priority", "priority", "number", "0", hint="higher ones begin first"),
        FormField("at", "not before", "text", hint=moment),
        FormField("tags", "tags", "textarea", hint="one in each line, such as team=data"),
        FormField("retries", "retries", "number", "0", hint="how often the whole run begins again after a failure"),
    ]
    return [as_typed(each, typed, wrong) for each in made]


def as_typed(field: FormField, typed: Mapping[str, str], wrong: Mapping[str, str]) -> FormField:
    """Return a field as it was typed, with what is wrong in it."""
    value = typed.get(field.name, field.value)
    kind = field.kind if fits_input(field.kind, value) else "text"
    return field._replace(value=value, kind=kind, complaint=wrong.get(field.name, ""))


def usual_queue() -> str:
    """Return the queue of what is submitted without one."""
    return str(settings().queue.value or DEFAULT_QUEUE)


def wanted_in_form(view: WorkflowView, typed: Mapping[str, str]) -> Wanted:
    """Return what a form asks for, with all that is wrong in it, by the names of parameters and of other fields."""
    parameters = given_in_form(view.declarations, typed)
    wrong = complaints_about(view.document, parameters)
    wishes: dict[str, Any] = {KEY: typed.get(KEY) or None}
    for name in WISHES:
        text = typed.get(name, "").strip()
        if text:
            try:
                wishes[name] = wish_typed(name, text)
            except ValueError as error:
                wrong[name] = str(error)
    return Wanted(parameters, wishes, wrong)


def wish_typed(name: str, text: str) -> Any:
    """Return one thing that a form says of how a run is submitted. Raises `ValueError` with what would be right."""
    if name == "at":
        return moment_typed(text, settings().timezone.value)
    if name == "tags":
        return tags_typed(text)
    return integer_typed(text) if name in INTEGERS else text


def integer_typed(text: str) -> int:
    """Return a whole number. Raises `ValueError`."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        msg = f"{text[:40]!r} is not a whole number"
        raise ValueError(msg)
    return int(text)


def moment_typed(text: str, zone: str) -> datetime:
    """Return a moment, in a zone where it says none. Raises `ValueError`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        msg = (
            f"{text[:40]!r} is not a moment: write it as 2024-01-31T08:30, or with an offset as 2024-01-31T08:30+01:00"
        )
        raise ValueError(msg) from None
    return found if found.utcoffset() is not None else found.replace(tzinfo=ZoneInfo(zone))


def tags_typed(text: str) -> dict[str, str]:
    """Return tags, one in each line. Raises `ValueError`."""
    pairs = [line.partition("=") for line in text.split("\n") if line.strip()]
    for name, sign, _ in pairs:
        if not sign or not name.strip():
            msg = f"{name[:40]!r} is not a tag: write name=value, each in a line of its own"
            raise ValueError(msg)
    return {name.strip(): value.strip() for name, _, value in pairs}
