"""The hooks of a workflow in a document: what they may be, and what they become."""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from aiodag._core.hooks import EVENTS, hook_of
from aiodag._core.posting import HookPost, is_url
from aiodag.errors import AiodagError
from aiodag.secret import Secret
from aiodag.workflows.files.bodies import Bodies, BodyRefused, body_kind
from aiodag.workflows.files.forms import KINDS, OPTIONS, TASK, Check, Hints, check_object, one
from aiodag.workflows.files.json import Fault, cut
from aiodag.workflows.private import is_secret, secret_form, secret_from_form

if TYPE_CHECKING:
    from aiodag._core.task import Task

KEYS = ("command", "shell", "task", "cwd", "executable", "strict", "success", "retries", "backoff", "timeout")
HOOK: dict[str, Check] = {
    **{key: TASK[key] for key in KEYS},
    "url": one(lambda value: is_url(value) or is_secret(value), 'a URL, or {"$secret": "NAME"}'),
}


def hooks_in(values: Mapping[str, Any], bodies: Bodies, hints: Hints, faults: list[Fault]) -> dict[str, Any]:
    """Return the hooks of a document by their events, and note what is wrong."""
    found: dict[str, Any] = {}
    for event in EVENTS:
        given: Any = values.get(event, [])
        for place, form in enumerate(given if isinstance(given, list) else [given]):
            path = (event, place) if isinstance(given, list) else (event,)
            made = hook_in(event, form, bodies, hints, faults, path)
            if made is not None:
                found.setdefault(event, []).append(made)
    return found


def hook_in(
    event: str, form: object, bodies: Bodies, hints: Hints, faults: list[Fault], path: tuple[Any, ...]
) -> "Task[..., Any] | None":
    """Return the task of one hook, or note what is wrong with it."""
    values = check_object(form, HOOK, hints, faults, path)
    if not isinstance(form, dict) or len(values) < len(form):
        return None
    try:
        return hook_of(event, call_of(event, values, bodies))
    except BodyRefused as refused:
        faults.append(((*path, *refused.path), refused.text))
    except AiodagError as error:
        faults.append((path, str(error)))
    return None


def call_of(event: str, values: Mapping[str, Any], bodies: Bodies) -> Any:
    """Return what a hook calls. Raises `Refused`."""
    if "url" in values:
        other = next((key for key in values if key not in {"url", *OPTIONS}), None)
        if other is not None:
            raise BodyRefused(other, "is a key of other hooks, and this one is a URL")
        url = values["url"] if isinstance(values["url"], str) else secret_from_form(values["url"])
        return hook_of(event, url).with_options(**{key: values[key] for key in OPTIONS if key in values})
    if not any(kind in values for kind in KINDS):
        raise BodyRefused("", "has nothing to call: it takes one of command, shell, task or url")
    kind = body_kind(tuple(values))
    if kind == "task":
        return bodies.function(values["task"], {key: values[key] for key in OPTIONS if key in values})
    name = cut(values["shell"].strip()) if kind == "shell" else PurePath(values["command"][0]).name
    return bodies.call(f"{event} {name}", kind, values)[0]


def form_of(task: "Task[..., Any]", written: Callable[["Task[..., Any]"], dict[str, Any]]) -> dict[str, Any]:
    """Return the form of a hook: of a program or a function as `written`."""
    body = task.fn
    if isinstance(body, HookPost):
        url = secret_form(body.url) if isinstance(body.url, Secret) else body.url
        return {"url": url, **{key: task.options.given[key] for key in OPTIONS if key in task.options.given}}
    form = written(task)
    return {key: form[key] for key in form if key in HOOK}
