"""When a workflow runs by itself, as its document says under `on`. What the moments mean is for those who schedule it."""

from collections.abc import Iterator, Mapping
from typing import Any

from aiodag._core.doors import open_door
from aiodag.errors import TriggerError
from aiodag.workflows.files.json import Path
from aiodag.workflows.files.shapes import describe_value, is_name
from aiodag.workflows.jobs.gathering import Gathering
from aiodag.workflows.jobs.keys import MOMENTS_OF, TRIGGER_KEYS_OF_FILES
from aiodag.workflows.jobs.model import TriggerForm

ASKED = frozenset(
    {"workflow_dispatch", "workflow_call", "repository_dispatch"}
)  # somebody asks for a run: always possible
EVENTS_ELSEWHERE = frozenset({
    "push", "pull_request", "pull_request_target", "issues", "issue_comment", "create", "delete", "workflow_run", "page_build",
    "deployment", "check_run", "fork", "watch", "merge_group",
})  # fmt: skip
NOT_HERE = (
    "is an event of GitHub, which nothing here hears of: start a run with aiodag submit, or with a message to a starter"
)
WANTED = "the name of a trigger, {cron: TEXT, timezone: ZONE}, or a list of them"


def triggers_in(gathering: Gathering, value: object) -> tuple[TriggerForm, ...]:
    """Return the triggers under `on`."""
    path: Path = ("on",)
    if isinstance(value, list):
        return tuple(form for place, each in enumerate(value) for form in forms_of(gathering, each, (*path, place)))
    return tuple(forms_of(gathering, value, path))


def forms_of(gathering: Gathering, value: object, path: Path) -> Iterator[TriggerForm]:
    """Yield the triggers of one entry."""
    if isinstance(value, str):
        if value in EVENTS_ELSEWHERE:
            gathering.fault(path, NOT_HERE)
        elif value not in ASKED:
            if is_name(value):
                yield {"name": value}
            else:
                gathering.fault(path, f"takes {WANTED}; this is {describe_value(value)}")
    elif isinstance(value, dict):
        if value.keys() & (ASKED | EVENTS_ELSEWHERE | {"schedule"}):
            yield from forms_of_events(gathering, value, path)
        else:
            yield from form_of_trigger(gathering, value, path)
    else:
        gathering.fault(path, f"takes {WANTED}; this is {describe_value(value)}")


def forms_of_events(gathering: Gathering, value: Mapping[str, Any], path: Path) -> Iterator[TriggerForm]:
    """Yield the triggers of what GitHub has under `on`: events, of which schedules are known here."""
    for key, inside in value.items():
        where = (*path, key)
        if key == "schedule":
            for place, each in enumerate(inside if isinstance(inside, list) else [inside]):
                given = gathering.mapping(each, (*where, place) if isinstance(inside, list) else where, "{cron: TEXT}")
                if given:
                    yield from form_of_trigger(gathering, given, (*where, place) if isinstance(inside, list) else where)
        elif key in ASKED:
            if isinstance(inside, dict) and "inputs" in inside:
                gathering.fault((*where, "inputs"), "declares inputs: write them as params, at the top")
        else:
            gathering.fault(
                where, NOT_HERE if key in EVENTS_ELSEWHERE else "stands next to events, and is none of them"
            )


def form_of_trigger(gathering: Gathering, value: Mapping[str, Any], path: Path) -> Iterator[TriggerForm]:
    """Yield one trigger with its policies."""
    gathering.keys(value, TRIGGER_KEYS_OF_FILES, path)
    when = [key for key in MOMENTS_OF if key in value]
    if len(when) > 1:
        gathering.fault(path, f"has {' and '.join(when)}: a trigger takes one of them; write a list of triggers")
    elif not when and not isinstance(value.get("name"), str):
        gathering.fault(path, f"does not say when: it takes one of {', '.join(MOMENTS_OF)}, or the name of a trigger")
    else:
        refuse_moments(gathering, value, path)
        yield dict(value)


def refuse_moments(gathering: Gathering, value: Mapping[str, Any], path: Path) -> None:
    """Complain of moments that cannot be, such as `60 * * * *`. What was recorded has been looked at."""
    when = [key for key in MOMENTS_OF if key in value]
    if not when or gathering.recorded:
        return
    forms = open_door("schedules")
    form = {key: given for key, given in value.items() if key in forms.TRIGGER_KEYS}
    try:
        forms.trigger_of(form)
    except TriggerError as error:
        for fault in error.faults:
            gathering.fault((*path, when[0]), f"cannot work: {fault}")
