"""Definitions that somebody hands over, without a file that they could be read from again."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiodag.errors import Complaint, EntryError, WorkflowError
from aiodag.records import RunRecord
from aiodag.service.entry import Again, Entry, needs_its_file
from aiodag.service.narrowing import ANYTHING, Narrowing, functions_of_files
from aiodag.service.parameters import with_parameters
from aiodag.service.targets import given_tags, own_workflow, source_of
from aiodag.workflows.files.folders import Folders
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.load import workflow_of_member
from aiodag.workflows.files.named_forms import named_forms, only_workflow
from aiodag.workflows.files.named_triggers import NamedTriggers
from aiodag.workflows.files.sources import Source, document_in_text
from aiodag.workflows.private import private, restore_document
from aiodag.workflows.workflow import Workflow

GIVEN = "given"  # the key under which a recorded form of jobs has the values of its params
HIDDEN = (
    "is kept by no store, and what is handed over has no file to find it in again. A secret is read when the task starts: "
    '{"$secret": "NAME"}; what is none can be a parameter, or env in a workflow of jobs'
)


def document_of_text(given: "Mapping[str, Any] | str | bytes", source: str = "") -> Source:
    """Return a document that was handed over, as JSON or YAML, or as what JSON has become. Raises `WorkflowError`.

    `source` is what its file was called where it comes from: complaints begin with that, and a workflow without a name is
    called like it. No file is looked for.
    """
    source = re.split(r"[/\\]", source)[-1]
    if isinstance(given, str | bytes):
        return document_in_text(given, source)
    try:
        text = json.dumps(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise WorkflowError([Complaint("$", f"is not plain JSON: {error}")]) from None
    read = document_in_text(text, "")
    return read._replace(places=Places(source))  # a line of this text is not one that anybody wrote


def workflow_in_document(source: Source, narrowing: Narrowing, name: str | None, known: Any = None) -> Workflow:
    """Return the workflow in a document, one of several by its name. Raises `WorkflowError`.

    Its functions are imported, once it is known that it names nothing which it may not; `known` is a document that it comes
    from. Triggers that it names are those of the document.
    """
    members = named_forms(source)
    member = only_workflow(members, source.places.source, name)
    narrowing.refuse_form(member.form, member.places, functions_of_files(known))
    triggers = NamedTriggers(members.of_kind("trigger"), lambda: Folders([], []))
    workflow = workflow_of_member(members, member, triggers)
    narrowing.refuse_jobs(workflow, member.places)
    return workflow


def posted_workflow(
    given: "Mapping[str, Any] | str | bytes",
    parameters: Mapping[str, Any] | None = None,
    *,
    narrowing: Narrowing,
    member: str | None = None,
    source: str = "",
) -> Workflow:
    """Return the workflow that a document says, with the values of its parameters, as a run of no file begins with it.

    `member` is the name of one of several, and `source` what its file was called. Raises `DefinitionRefused`, `EntryError`, and `WorkflowError` with all that is wrong.
    """
    narrowing.refuse_any()
    workflow = workflow_in_document(document_of_text(given, source), narrowing, member)
    refuse_hidden(workflow)
    return with_parameters(own_workflow(workflow, Entry("", "", {})), parameters or {})


def refuse_hidden(workflow: Workflow) -> None:
    """Refuse values that no store keeps, and that are nowhere to be found again. Raises `WorkflowError`."""
    document = workflow.document() if workflow.jobs is None else {}
    forms = [(("tasks", name), form) for name, form in document.get("tasks", {}).items()]
    for event in ("on_start", "on_success", "on_failure"):
        hooks = document.get(event, [])
        forms += [((event, place), form) for place, form in enumerate(hooks if isinstance(hooks, list) else [hooks])]
    places = Places()
    found = [places.of((*place, *path)) for place, form in forms for path, _ in private(form)]
    if found:
        raise WorkflowError([Complaint(place, HIDDEN) for place in found])


# What a recorded run goes on with


def edited_by(run: RunRecord, source: Source, narrowing: "Narrowing | None" = None) -> Again:
    """Return what a run goes on with whose definition somebody has edited: its name, and the parameters that it began with.

    What a store hides of the definition of a file is found in that file again. Without a `narrowing` it may name all that a file
    may. Raises `DefinitionRefused`, `EntryError` and `WorkflowError`.
    """
    narrowing = narrowing or ANYTHING
    narrowing.refuse_any()
    if run.definition is None:
        msg = f"run {run.id!r} began with {run.name!r} in a Python file, which has no document to edit: edit that file"
        raise EntryError(msg)
    recorded: Any = json.loads(run.definition)
    refuse_other_name(run, source.document, recorded)
    began = Entry(**run.entry) if run.entry is not None else None
    goes_on = began if began is None or not needs_its_file(run.entry, run.definition) else None
    workflow = workflow_in_document(restored(source, goes_on), narrowing, goes_on.task if goes_on else None, recorded)
    given = recorded.get(GIVEN, {}) if began is None else began.parameters
    if goes_on is None:
        refuse_hidden(workflow)
        goes_on = Entry("", "", {}, None if began is None else began.release)
    target = with_parameters(own_workflow(workflow, goes_on._replace(parameters={}), run.name), given)
    return Again(run.id, target, {**target.tags, **given_tags(run)})


def restored(source: Source, began: Entry | None) -> Source:
    """Return an edited document without the values that its run began with, and with what its store hides of it."""
    document: Any = source.document
    if not isinstance(document, dict):
        return source
    document = {key: value for key, value in document.items() if key != GIVEN or "jobs" not in document}
    tasks = document.get("tasks")
    if began is not None and isinstance(tasks, dict) and all(isinstance(form, dict) for form in tasks.values()):
        document = restore_document(document, lambda: source_of(began), began.file)
    directory = "" if began is None else str(Path(began.file).parent)
    places = Places(source.places.source, source.places.text, directory)
    return source._replace(document=document, places=places)


def refuse_other_name(run: RunRecord, document: Any, recorded: Any) -> None:
    """Refuse a document that says itself that it is another workflow. Raises `EntryError`."""
    name = document.get("name") if isinstance(document, dict) else None
    if isinstance(name, str) and name not in {run.name, recorded.get("name")}:
        msg = f"the definition is {name!r}, and run {run.id!r} is one of {run.name!r}: if that is meant, give it the name of the run"
        raise EntryError(msg)
