"""What the pages of workflows show: those that are registered, and those that lie in the folders of definitions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiodag.records import RunRecord, WorkflowRecord
from aiodag.service import Service
from aiodag.service.declarations import Declaration, parameter_declarations
from aiodag.service.documents import document_of_record
from aiodag.service.folders import definition_in_folders, workflows_in_folders
from aiodag.service.listed_workflows import no_such_workflow
from aiodag.web.page.definition_diffs import pretty_json

IN_LIST = 50  # workflows on a page
LAST_RUNS = 20  # of a workflow, in its strip
READ = 2**20  # characters of a definition that is read for the list: a longer one is only named there
TEXT = 2 * 2**20  # characters of a definition that is shown


class WorkflowRow(NamedTuple):
    """A workflow in the list. `size` is how many tasks or jobs it has, None where that is not known; `begun` is how many
    runs it has had, and `runs` are the last, oldest first.
    """

    name: str
    target: str
    is_registered: bool
    description: str
    tags: Mapping[str, str]
    size: int | None
    begun: int
    runs: list[RunRecord]


class WorkflowView(NamedTuple):
    """One workflow with all that its page shows. `text` is its definition, empty where that is too long."""

    row: WorkflowRow
    document: dict[str, Any]
    text: str
    declarations: list[Declaration]


class WorkflowList(NamedTuple):
    """A part of the workflows: `after` is the name with which the next part is asked for; `faults` are those of the folders."""

    rows: list[WorkflowRow]
    after: str | None
    faults: list[str]


class FoundWorkflow(NamedTuple):
    """Where a workflow is, and what it says."""

    name: str
    target: str
    document: dict[str, Any] | None
    record: WorkflowRecord | None = None
    size: int | None = None


def list_workflows(service: Service, text: str = "", after: str = "") -> WorkflowList:
    """Return the workflows whose names or places have a text in them, from after a name on."""
    in_folders, complaints = workflows_in_folders()
    found = {each.name: FoundWorkflow(each.name, each.target, None, size=each.tasks) for each in in_folders}
    found |= {each.name: FoundWorkflow(each.name, each.target, None, each) for each in service.workflows()}
    wanted = text.casefold()
    chosen = [
        found[name]
        for name in sorted(found)
        if name > after and (wanted in name.casefold() or wanted in found[name].target.casefold())
    ]
    rows = [workflow_row(service, each) for each in chosen[:IN_LIST]]
    last = chosen[IN_LIST - 1].name if len(chosen) > IN_LIST else None
    return WorkflowList(rows, last, [str(each) for each in complaints[:IN_LIST]])


def workflow_row(service: Service, found: FoundWorkflow) -> WorkflowRow:
    """Return a workflow for the list, with its last runs."""
    document = found.document
    if document is None and found.record is not None and len(found.record.document) <= READ:
        document = document_of_record(found.record)
    size = found.size if document is None else size_of_document(document)
    return WorkflowRow(
        found.name,
        found.target,
        found.record is not None,
        str((document or {}).get("description") or ""),
        {} if found.record is None else found.record.tags,
        size,
        service.count_runs(found.name),
        service.runs(name=found.name, limit=LAST_RUNS),
    )


def view_workflow(service: Service, name: str) -> WorkflowView:
    """Return what the page of a workflow shows. Raises `NotFound`, with a near miss, where there is none of that name."""
    found = find_workflow(service, name)
    document = found.document or {}
    text = "\n".join(pretty_json(document))
    return WorkflowView(
        workflow_row(service, found), document, text if len(text) <= TEXT else "", parameter_declarations(document)
    )


def find_workflow(service: Service, name: str) -> FoundWorkflow:
    """Return the workflow of a name: a registered one before one in a folder, as everywhere. Raises `NotFound`."""
    for record in service.workflows(name):
        return FoundWorkflow(name, record.target, document_of_record(record), record)
    there = definition_in_folders(name)
    if there is not None:
        return FoundWorkflow(name, *there)
    raise no_such_workflow(service, name)


def size_of_document(document: Mapping[str, Any]) -> int:
    """Return how many tasks or jobs a document has."""
    found = document.get("tasks", document.get("jobs"))
    return len(found) if isinstance(found, dict) else 0
