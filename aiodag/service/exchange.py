"""Registered workflows as JSON, out of one store and into another."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import Complaint, NotFound, StoreError, WorkflowError
from aiodag.records import WorkflowRecord
from aiodag.service.entry import parse_target
from aiodag.workflows.files.json import Places, cut, json_path_text
from aiodag.workflows.files.load import workflow_from_document
from aiodag.workflows.files.shapes import describe_value, is_document_text, is_name
from aiodag.workflows.files.sources import is_workflow_file
from aiodag.workflows.private import without_hidden

if TYPE_CHECKING:
    from aiodag.abc import Runs

CHECKS = {
    "name": (is_name, "the name of a workflow"),
    "target": (is_name, "where it comes from, such as /srv/etl.json"),
    "definition": (
        lambda value: isinstance(value, dict) and isinstance(value.get("tasks", value.get("jobs")), dict),
        "a workflow",
    ),
    "tags": (
        lambda value: (
            isinstance(value, dict) and all(is_document_text(each) for pair in value.items() for each in pair)
        ),
        "an object of text and text",
    ),
}
NEEDED = ("name", "target", "definition")


def export_workflows(store: "Runs", names: Iterable[str]) -> list[dict[str, Any]]:
    """Return registered workflows for JSON, those of the names or all of them, as they were registered.

    Values that no store has, such as plain ones of variables, are `***` there. Raises `StoreError` for another name.
    """
    there = {record.name: record for record in store.registered()}
    wanted = list(dict.fromkeys(names)) or list(there)
    for name in wanted:
        if name not in there:
            known = ", ".join(map(repr, there)) or "none"
            msg = f"no workflow {name!r} is registered in {store}; there is {known}"
            raise NotFound(msg)
    return [
        {
            "name": record.name,
            "target": record.target,
            "tags": dict(record.tags),
            "definition": json.loads(record.document),
        }
        for record in map(there.__getitem__, wanted)
    ]


def import_workflows(store: "Runs", text: str, source: str, *, replace: bool) -> list[WorkflowRecord]:
    """Register the workflows of a text that `export` or `list` has written, all of them or none. Raises as `records_in` does."""
    records = records_in(store, text, source, replace=replace)
    for record in records:
        store.register(record, replace=replace)
    return records


def records_in(store: "Runs", text: str, source: str, *, replace: bool) -> list[WorkflowRecord]:
    """Return the workflows in a text that `export` or `list` has written, which can be registered.

    Raises `WorkflowError` for what is no such text, with all that is wrong, and `StoreError` for names that are taken.
    """
    records = [record_of(form) for form in forms_in(text, source)]
    taken = [each.name for each in records if store.registered(each.name)]
    if taken and not replace:
        msg = f"{', '.join(map(repr, taken))} is registered already: `--replace` puts what is imported in its place"
        raise StoreError(msg)
    return records


def record_of(form: Mapping[str, Any]) -> WorkflowRecord:
    """Return what a store keeps of a workflow."""
    document = json.dumps(form["definition"])
    return WorkflowRecord(form["name"], form["target"], document, dict(form.get("tags", {})), datetime.now(UTC))


def forms_in(text: str, source: str) -> list[Mapping[str, Any]]:
    """Return the workflows in a text, checked. Raises `WorkflowError`."""
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkflowError([Complaint(source, f"is not valid JSON: {error}")]) from None
    forms: list[Any] = [each for each in (given if isinstance(given, list) else [given]) if not is_in_folder(each)]
    complaints: list[Complaint] = []
    names: set[str] = set()
    for place, form in enumerate(forms):
        at = f"{source} {json_path_text((place,) if isinstance(given, list) else ())}"
        found = faults_of(form)
        if not found:
            found = [*faults_of_definition(form)]
            found += [f"has the name {cut(form['name'])!r}, as another one here has"] if form["name"] in names else []
            names.add(form["name"])
        complaints += [Complaint(at, each) for each in found]
    if complaints:
        raise WorkflowError(complaints)
    return forms


def is_in_folder(form: object) -> bool:
    """Return True for what `list` writes of a workflow that a folder defines: nobody has registered it."""
    return isinstance(form, dict) and "registered_at" in form and form["registered_at"] is None


def faults_of(form: object) -> list[str]:
    """Return what is wrong with the form of a registered workflow; other keys, such as those of its runs, may be there."""
    if not isinstance(form, dict):
        return [f"takes what `aiodag export` writes; this is {describe_value(form)}"]
    if ("tasks" in form or "jobs" in form) and "definition" not in form:
        return ["is a workflow file, and not what `aiodag export` writes: `aiodag register` takes it"]
    missing = [f"has no {key!r}" for key in NEEDED if key not in form]
    wrong = [
        f"{key!r} takes {wanted}; this is {describe_value(form[key])}"
        for key, (test, wanted) in CHECKS.items()
        if key in form and not test(form[key])
    ]
    return missing + wrong


def faults_of_definition(form: Mapping[str, Any]) -> Iterable[str]:
    """Yield what is wrong with a definition; that of a Python file is read from there, when it runs."""
    file = parse_target(form["target"])[0]
    if not is_workflow_file(file):
        if not Path(file).exists():
            yield f"comes from {file}, which is not here, and each run of it reads that file"
        return
    try:
        places = Places(directory=str(Path(file).parent))
        workflow_from_document(without_hidden(form["definition"]), form["name"], places, recorded=True)
    except WorkflowError as error:
        yield from (f"has a definition that cannot run: {each}" for each in error.complaints)
