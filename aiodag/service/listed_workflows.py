"""The workflows that have names: those that are registered, and those that the folders of definitions have."""

from difflib import get_close_matches
from typing import NamedTuple

from aiodag.complaint import Complaint
from aiodag.errors import NotFound
from aiodag.records import RunRecord, WorkflowRecord
from aiodag.service.documents import Document, folder_document, workflow_document
from aiodag.service.folders import (
    InFolder,
    definition_in_folders,
    names_in_folders,
    size_of_form,
    workflows_in_folders,
)
from aiodag.service.service import Service

LONGEST = 500  # characters of a name in a message


class ListedWorkflow(NamedTuple):
    """A workflow by its name, how many runs it has had, and the last."""

    found: WorkflowRecord | InFolder
    runs: int
    last: RunRecord | None


def listed_workflows(service: Service) -> tuple[list[ListedWorkflow], list[Complaint]]:
    """Return the workflows that have names, and what is wrong in the folders. What is registered comes first, and stands once."""
    in_folders, complaints = workflows_in_folders()
    found: list[WorkflowRecord | InFolder] = [*service.workflows()]
    names = {each.name for each in found}
    found += [each for each in in_folders if each.name not in names]
    return [listed_workflow(service, each) for each in found], complaints


def listed_workflow(service: Service, found: WorkflowRecord | InFolder) -> ListedWorkflow:
    """Return a workflow with its runs."""
    last = service.runs(name=found.name, limit=1)
    return ListedWorkflow(found, service.count_runs(found.name), last[0] if last else None)


def listed_document(listed: ListedWorkflow) -> Document:
    """Return a workflow for JSON."""
    if isinstance(listed.found, WorkflowRecord):
        return workflow_document(listed.found, listed.runs, listed.last)
    return folder_document(listed.found, listed.runs, listed.last)


def whole_workflow(service: Service, name: str) -> Document:
    """Return the workflow of a name for JSON, with its definition: a registered one before one in a folder. Raises `NotFound`."""
    for record in service.workflows(name):
        return listed_document(listed_workflow(service, record))
    there = definition_in_folders(name)
    if there is None:
        raise no_such_workflow(service, name)
    target, document = there
    found = InFolder(name, target, size_of_form(document))
    return listed_document(listed_workflow(service, found)) | {"definition": document}


def not_registered(service: Service, name: str) -> NotFound:
    """Return the error for a name that nobody has registered, though a folder of definitions may have it."""
    there = definition_in_folders(name)
    if there is None:
        return no_such_workflow(service, name)
    return NotFound(
        f"workflow {name!r:.{LONGEST}} is not registered: it is {there[0]}, which the folder of definitions has"
    )


def no_such_workflow(service: Service, name: str) -> NotFound:
    """Return the error for a name that no workflow has, with a near miss."""
    names = [*(each.name for each in service.workflows()), *names_in_folders()]
    near = next(iter(get_close_matches(name[:LONGEST], names, n=1)), None)
    hint = f"did you mean {near!r}?" if near else "`aiodag list` lists what there is"
    return NotFound(f"no workflow {name!r:.{LONGEST}} in {service.place}: {hint}", near=near)
