"""Secrets in a document, and the parts of it that no store has: values of variables, stdin, and URLs of hooks.

What is stored has `***` in their place, and a digest by which they are found again in the file that they came from.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from aiodag._core.hooks import EVENTS
from aiodag.errors import EntryError, OptionError
from aiodag.masking import MARK
from aiodag.secret import Secret

SECRET = "$secret"  # noqa: S105 - the key of an object that stands for a secret
DIGEST = "digest"
WANTED = '{"$secret": "NAME"}'
HIDING = frozenset({"environment", "stdin", "arguments"})  # keys of a task that may have what is hidden
PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")


def is_secret(value: object) -> bool:
    """Return True if this stands for a secret: `{"$secret": "NAME"}`, with a "file" where that has it."""
    if not isinstance(value, dict) or not isinstance(value.get(SECRET), str) or not value.keys() <= {SECRET, "file"}:
        return False
    file = value.get("file", ".")
    try:
        secret_from_form(value)
    except OptionError:
        return False
    return isinstance(file, str) and file != "" and "\0" not in file


def secret_from_form(form: Mapping[str, Any]) -> Secret:
    """Return the secret that an object stands for."""
    return Secret(form[SECRET], file=form.get("file"))


def secret_form(secret: Secret) -> dict[str, str]:
    """Return the object that stands for a secret; of one with a function to get it, the name alone."""
    return {SECRET: secret.name} if secret.file is None else {SECRET: secret.name, "file": secret.file}


def read_secrets(value: object) -> Any:
    """Return a value of a document with secrets in the place of the objects that stand for them."""
    if isinstance(value, dict):
        return (
            secret_from_form(value) if is_secret(value) else {name: read_secrets(each) for name, each in value.items()}
        )
    return [read_secrets(each) for each in value] if isinstance(value, list) else value


# What no store has


def stored_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as a store has it. A form of jobs is kept as it was read: it names its secrets, and has none."""
    if "tasks" not in document:
        return {**document}
    tasks = {name: stored_task(form) for name, form in document["tasks"].items()}
    hooks = {event: [stored_task(each) for each in forms] for event, forms in forms_of_hooks(document).items()}
    return {**document, **hooks, "tasks": tasks}


def hides_nothing(document: Mapping[str, Any]) -> bool:
    """Return True if a stored document has values that are hidden today: version 1.2.0 hid none."""
    forms = (
        form for form in document.get("tasks", {}).values() if not HIDING.isdisjoint(form)
    )  # there may be a million others
    return any(DIGEST not in form and any(True for _ in private(form)) for form in forms)


def forms_of_hooks(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the hooks of a document by their events, as lists."""
    given = {event: document[event] for event in EVENTS if event in document}
    return {event: forms if isinstance(forms, list) else [forms] for event, forms in given.items()}


def without_hidden(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored document for a check: without digests, and without hooks whose URLs are hidden."""
    if "tasks" not in document:
        return {**document}
    tasks = {
        name: {key: value for key, value in form.items() if key != DIGEST} if isinstance(form, dict) else form
        for name, form in document["tasks"].items()
    }
    hooks = {
        event: [form for form in forms if not isinstance(form, dict) or DIGEST not in form]
        for event, forms in forms_of_hooks(document).items()
    }
    return {**document, **hooks, "tasks": tasks}


def stored_text(document: Mapping[str, Any], forms: Iterator[tuple[str, Mapping[str, Any]]]) -> str:
    """Return the text of a document as a store has it, with the forms of its tasks.

    Piece by piece: the forms of a million tasks take ten times the memory of their text.
    """
    encode = json.JSONEncoder(ensure_ascii=False).encode
    head = encode(stored_document({**document, "tasks": {}})).removesuffix("{}}")
    tasks: list[str] = []
    before: Mapping[str, Any] | None = None
    text = ""
    for name, form in forms:
        if form != before:  # many calls of one function look alike
            before, text = form, encode(stored_task(form))
        tasks.append(f"{encode(name)}: {text}")
    return f"{head}{{{', '.join(tasks)}}}}}"


def stored_task(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task or hook of a document as a store has it: with a digest of what is hidden, where something is."""
    hidden = [] if DIGEST in form else [*private(form)]
    return (
        {**task_with_values(form, [(path, MARK) for path, _ in hidden]), DIGEST: digest_of_hidden(hidden)}
        if hidden
        else {**form}
    )


def private(form: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is hidden of a task or hook, with its place: it may be a secret that nobody has declared."""
    if isinstance(form.get("url"), str):  # whoever has the URL of a hook may post to it
        yield ("url",), form["url"]
    if "task" in form:
        return
    given = form.get("arguments")
    if isinstance(given, str):  # of what JSON does not have, a text to look at
        yield ("arguments",), given
    yield from private_in(form, "environment")
    if isinstance(given, dict):
        yield from ((("arguments", *path), value) for path, value in private_in(given, "env"))


def private_in(holder: Mapping[str, Any], variables: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield values of variables, and that of stdin."""
    if is_private(holder.get("stdin")):
        yield ("stdin",), holder["stdin"]
    found = holder.get(variables)
    for name, value in found.items() if isinstance(found, dict) else ():
        if is_private(value):
            yield (variables, name), value


def is_private(value: object) -> bool:
    """Return True for text and numbers, but not for a parameter alone: its values are said elsewhere."""
    if isinstance(value, str):
        return value != "" and not PLACEHOLDER.fullmatch(value)
    return isinstance(value, int | float)


def task_with_values(form: Mapping[str, Any], values: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Return a task with other values in some places."""
    made: dict[str, Any] = {**form}
    for (key, *rest), value in values:
        made[key] = task_with_values(made[key], [(tuple(rest), value)]) if rest else value
    return made


def digest_of_hidden(hidden: list[tuple[tuple[str, ...], Any]]) -> str:
    """Return what tells hidden values from others."""
    return blake2b(json.dumps(sorted(hidden)).encode(), digest_size=8).hexdigest()


def restore_document(document: Mapping[str, Any], source: Callable[[], Mapping[str, Any]], file: str) -> dict[str, Any]:
    """Return a stored document with what is hidden in it, from the document that a file has now. Raises `EntryError`."""
    if "tasks" not in document:
        return {**document}
    hooks = forms_of_hooks(document)
    hidden = [("tasks", name) for name, form in document.get("tasks", {}).items() if DIGEST in form]
    hidden += [(event, place) for event, forms in hooks.items() for place, form in enumerate(forms) if DIGEST in form]
    if not hidden:
        return {**document}
    now = source()
    there = {"tasks": now["tasks"]} | {event: dict(enumerate(forms)) for event, forms in forms_of_hooks(now).items()}
    made: dict[str, Any] = {"tasks": {**document["tasks"]}, **{event: [*forms] for event, forms in hooks.items()}}
    for group, place in hidden:
        stored_form = made[group][place]
        found = [*private(there.get(group, {}).get(place, {}))]
        if digest_of_hidden(found) != stored_form[DIGEST]:
            why = f"{file} has other ones now. --from {file} takes those"
            if not now["tasks"]:
                why = f"there is no workflow in {file} any more. --from FILE takes those of another file"
            raise EntryError(say_lost(group, place, why))
        form = {key: value for key, value in stored_form.items() if key != DIGEST}
        made[group][place] = task_with_values(form, found)
    return {**document, **made}


def say_lost(group: str, place: object, why: str) -> str:
    """Return the message for what a task or hook needs and the store does not have."""
    what = f"task {place!r} needs values of its environment or stdin" if group == "tasks" else f"{group} needs its URLs"
    return f"{what}, which no store has, and {why}. Written as {WANTED}, a value is read when the task starts"
