"""Workflows from files and texts."""

import os
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from aiodag.errors import WorkflowError
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.named_forms import NamedForm, NamedForms, is_of_jobs, named_forms, only_workflow
from aiodag.workflows.files.named_triggers import NamedTriggers, triggers_around
from aiodag.workflows.files.reading import Reading
from aiodag.workflows.files.shapes import is_name
from aiodag.workflows.files.sources import document_in_file, document_in_text
from aiodag.workflows.jobs.building import workflow_of_jobs
from aiodag.workflows.jobs.reading import is_jobs_form, read_jobs
from aiodag.workflows.workflow import Workflow

ON_OF_TASKS = "is for workflows of jobs. Write a Schedule for this one, or say when: aiodag submit FILE --cron TEXT"

__all__ = ["load", "loads", "workflow_from_document"]


def load(
    path: "str | PathLike[str]", *, name: str | None = None, capacity: object = None, folders: Iterable[str] = ()
) -> Workflow:
    """Return the workflow in a JSON or YAML file. Its name is that of the file, unless the file says one.

    `name` says which one of a file that has several. `capacity` is what there will be when it runs, if that is not what the
    file says. Triggers that it names are found in the file, next to it, and in `folders`.

    Raises `WorkflowError` with all that is wrong, each with its line and path. The file is read as a whole; its functions
    are imported, and nothing of it runs.

    >>> from pathlib import Path
    >>> from aiodag.workflows import load
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> load("hello.json").name
    'hello'
    """
    file = os.fspath(path)
    members = named_forms(document_in_file(file))
    member = only_workflow(members, file, name)
    workflow = workflow_of_member(members, member, triggers_around(members, file, folders), capacity)
    workflow.entry = {"file": os.path.abspath(file), "task": member.name, "parameters": {}}  # noqa: PTH100 - without links
    return workflow


def loads(text: str | bytes, source: str = "", *, name: str | None = None, capacity: object = None) -> Workflow:
    """Return the workflow in a text. `source` is the path it came from: for messages, and to find files next to it.

    The text is YAML if the source ends in .yaml or .yml, and JSON if it ends in .json. Without such a source it is JSON if it
    begins with `{` or `[`, and else YAML. `name` says which one of a text that has several.

    Raises `WorkflowError` with all that is wrong.

    >>> from aiodag.workflows import loads
    >>> flow = loads('{"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> [task.name for task in flow]
    ['greet']
    """
    members = named_forms(document_in_text(text, source))
    return workflow_of_member(members, only_workflow(members, source, name), triggers_around(members, source), capacity)


def workflow_of_member(
    members: NamedForms, member: NamedForm, triggers: NamedTriggers, capacity: object = None
) -> Workflow:
    """Return a workflow out of those that a file has. Raises `WorkflowError`."""
    places = member.places
    form, faults = triggers.fill(member.form)
    if not is_of_jobs(form) and isinstance(form, dict) and "on" in form:
        faults.append((("on",), ON_OF_TASKS))
        form = {key: value for key, value in form.items() if key != "on"}
    complaints = [*members.complaints, *places.complaints(faults)]
    name = member.name or workflow_stem(places.source)
    if not is_of_jobs(form):
        return Reading(places, complaints).workflow(Workflow, form, name, capacity)
    try:
        definition = read_jobs(form if "name" in form else {"name": name, **form}, places)
    except WorkflowError as error:
        raise WorkflowError([*complaints, *error.complaints]) from None
    if complaints:
        raise WorkflowError(complaints)
    return workflow_of_jobs(Workflow, definition)


def workflow_from_document(
    document: Mapping[str, Any],
    name: str = "workflow",
    places: Places | None = None,
    *,
    capacity: object = None,
    recorded: bool = False,
) -> Workflow:
    """Return the workflow that a document says, which JSON text has become already. Raises `WorkflowError`.

    One that was `recorded`, when fewer things were refused, may have parameters that no task uses; and of one that has jobs,
    the functions are looked for when they are called.
    """
    if is_jobs_form(document):
        form = {key: value for key, value in document.items() if key != "given" or not recorded}
        definition = read_jobs(form, places or Places(), name=name, recorded=recorded)
        return workflow_of_jobs(Workflow, definition, document.get("given") if recorded else None)
    return Reading(places or Places()).workflow(Workflow, document, name, capacity, recorded=recorded)


def workflow_stem(source: str) -> str:
    """Return the name of a file without its ending, if it is one that a workflow can have."""
    name = os.path.splitext(os.path.basename(source))[0]  # noqa: PTH119, PTH122 - as above
    return name if is_name(name) else "workflow"
