"""Find what a run begins with: a task or a workflow in a file, or a workflow that is registered by its name."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import EntryError, UnknownRun
from aiodag.records import RunRecord, WorkflowRecord
from aiodag.service.binding import as_task, bind, in_file, load_entry, only_one_of, pairs_of, parameters_shown
from aiodag.service.entry import Again, Entry, Target, needs_its_file, parse_target
from aiodag.service.folders import names_in_folders, near_in_folders, target_in_folders
from aiodag.service.parameters import Given, parameters_of_workflow, with_parameters
from aiodag.service.sites import capacity_to_read
from aiodag.workflows.files.document import recorded_text
from aiodag.workflows.files.forms import tags_in
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.load import workflow_from_document
from aiodag.workflows.files.named_forms import named_forms
from aiodag.workflows.files.sources import document_in_file, is_workflow_file
from aiodag.workflows.private import hides_nothing, restore_document
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.abc import Runs

HINT = (
    "Give FILE.py, FILE.py:NAME, FILE.json, FILE.yaml, FILE.yaml:NAME, or the name of a workflow that `aiodag list` has"
)


def target_of(store: "Runs", text: str, given: Given = (), capacity: Mapping[str, float] | None = None) -> Target:
    """Return what people typed: FILE.py[:NAME], FILE.json, FILE.yaml[:NAME], or the name of a workflow, and parameters.

    These are what was typed as name=value, or values by name. A file that is there wins over a workflow that is called like
    it, and a registered workflow over one in the folders of definitions. Raises `EntryError` and `WorkflowError`.
    """
    is_file, is_there = file_in(text)
    if is_there:
        return in_source(text, given, capacity)
    found = store.registered(text)
    if found:
        return with_parameters(of_record(found[0], capacity), given)
    if is_file:
        return in_source(text, given, capacity)
    there = target_in_folders(text)
    if there is not None:
        return in_source(there, given, capacity)
    hint = near_in_folders(text, [each.name for each in store.registered()])
    msg = f"{text}: no workflow in {store} has this name. {hint}{HINT}"
    raise EntryError(msg)


def file_in(text: str) -> tuple[bool, bool]:
    """Return whether what people typed looks like a file, and whether it exists."""
    file, _ = parse_target(text)
    is_file = file.endswith(".py") or is_workflow_file(file)
    return is_file, is_file and os.path.exists(file)  # noqa: PTH110 - raises for nothing, however long a name may be


def open_source(text: str, capacity: Mapping[str, float] | None = None) -> tuple[Entry, Any]:
    """Return the entry of what people typed as a file, without parameters, and what is there; or of a name in a folder."""
    if not file_in(text)[0]:
        text = target_in_folders(text) or text
    entry = Entry(*in_file(text), {})
    # By the path as it was typed: so the messages speak of it.
    found = load_entry(entry._replace(file=parse_target(text)[0]), capacity)
    return (entry._replace(task=found.entry["task"]) if is_workflow_file(entry.file) else entry), found


def in_source(text: str, given: Given = (), capacity: Mapping[str, float] | None = None) -> Target:
    """Return what a file has. Raises `EntryError` and `WorkflowError`."""
    entry, found = open_source(text, capacity)
    if isinstance(found, Workflow):
        return with_parameters(own_workflow(found, entry), given)
    values = dict(given) if isinstance(given, Mapping) else only_one_of(pairs_of(given))
    entry = entry._replace(parameters=values)
    bind(entry, found)
    return entry


def own_workflow(workflow: Workflow, entry: Entry | None, name: str | None = None) -> Workflow:
    """Return a workflow of its own that a run can begin with, under another name if that is wanted."""
    made = workflow.but(name)  # the one in the module stays as it is
    made.entry = None if entry is None else entry.recorded()
    return made


def spell_target(text: str, target: Target) -> str:
    """Return what people typed, with the name of what was taken in a Python file where they gave none."""
    entry = entry_of_target(target)
    if entry is None or not entry.task or not file_in(text)[1] or parse_target(text)[1] is not None:
        return text
    return f"{text}:{entry.task}"


# Parameters


def parameters_of_target(store: "Runs", text: str) -> dict[str, str]:
    """Return the parameters of what people typed, each with what it takes. Raises `EntryError` and `WorkflowError`."""
    is_file, is_there = file_in(text)
    found: Any = None
    if not is_there:
        records = store.registered(text)
        found = of_record(records[0]) if records else None
    source = text if found is None and (is_there or is_file) else None if found else target_in_folders(text)
    if source is not None:
        found = open_source(source)[1]
    if found is None:
        found = target_of(store, text)  # which says what is wrong
    return parameters_of_workflow(found) if isinstance(found, Workflow) else parameters_shown(found)


# What is recorded


def of_record(record: WorkflowRecord, capacity: Mapping[str, float] | None = None) -> Workflow:
    """Return a registered workflow: of its text, or, where Python made it, of its file. Raises `EntryError`."""
    file, name = parse_target(record.target)
    entry = Entry(file, name or "", {})
    if is_workflow_file(file) or not file:  # which was handed over, without a file
        made = of_document(json.loads(record.document), entry, capacity)
        return own_workflow(made, entry, record.name)
    return own_workflow(workflow_in(entry), entry, record.name)


def entry_of_run(run: RunRecord) -> Entry:
    """Return what a run began with. Raises `EntryError` for a run that a program of its own made."""
    if run.entry is None:
        msg = f"run {run.id!r} was made by a program: run that again, with Run({run.name!r}, id={run.id!r}, ...)"
        raise EntryError(msg)
    return Entry(**run.entry)


def again(run: RunRecord, source: str | None, capacity: Mapping[str, float] | None = None) -> Again:
    """Return what a run goes on with, as it was recorded or from an edited file."""
    if source is None:
        return Again(run.id, of_run(run, capacity), run.tags)
    target = edited_target(run, source, capacity)
    own = target.tags if isinstance(target, Workflow) else {}
    return Again(run.id, target, {**own, **given_tags(run)})


def given_tags(run: RunRecord) -> dict[str, str]:
    """Return the tags of a run that its definition did not have: somebody gave them when it began."""
    document: Any = json.loads(run.definition) if run.definition else {}
    written: Any = tags_in(document)
    return {name: value for name, value in run.tags.items() if written.get(name) != value}


def of_run(run: RunRecord, capacity: Mapping[str, float] | None = None) -> Target:
    """Return what a run goes on with: its recorded text, or, where Python made it, what its file has now."""
    if run.definition is not None and not needs_its_file(run.entry, run.definition):
        document = json.loads(run.definition)
        entry = Entry(**run.entry) if run.entry else None
        made = own_workflow(of_document(document, entry or Entry("", "", {}), capacity), entry, run.name)
        if made.jobs is not None:  # of tasks, the document has their values
            return with_parameters(made, {} if entry is None else entry.parameters)
        if hides_nothing(document):
            # Recorded anew with marks, the run would need its file from then on, and its values are in the store anyway.
            made.kept = {recorded_text(made): run.definition}
        return made
    entry = entry_of_run(run)
    found = load_entry(entry)
    if not isinstance(found, Workflow):
        return entry
    return with_parameters(own_workflow(found, entry._replace(parameters={}), run.name), entry.parameters)


def edited_target(run: RunRecord, source: str, capacity: Mapping[str, float] | None = None) -> Target:
    """Return what an edited file has for a run: with the run's name, and the parameters that it began with."""
    began = entry_of_run(run) if run.entry is not None or run.definition is None else None
    given = {} if began is None else began.parameters
    entry, found = open_source(source if began is None else same_in_file(began, source), capacity)
    entry = entry._replace(release=None if began is None else began.release)
    refuse_another(run, source, entry, found)
    if isinstance(found, Workflow):
        return with_parameters(own_workflow(found, entry, run.name), given)
    entry = entry._replace(parameters=given)
    bind(entry, found)
    return entry


def same_in_file(began: Entry, source: str) -> str:
    """Return a file with the name of what a run began with, if it is a file with several workflows and one has that name."""
    if not began.task or not is_workflow_file(source) or not Path(source).is_file():
        return source
    there = named_forms(document_in_file(source)).of_kind("workflow")
    return f"{source}:{began.task}" if began.task in there else source


def refuse_another(run: RunRecord, source: str, entry: Entry, found: object) -> None:
    """Refuse what says itself that it is something else. Raises `EntryError`.

    What the run began with may have any name: it may be registered under another, and a file without a name has its own.
    """
    name = name_of_itself(entry, found)
    if name in {None, run.name} or (run.entry and (run.entry["file"], run.entry["task"]) == (entry.file, entry.task)):
        return
    msg = f"{source} is {name!r}, and run {run.id!r} is one of {run.name!r}: if that is meant, give it the name of the run"
    raise EntryError(msg)


def name_of_itself(entry: Entry, found: object) -> str | None:
    """Return the name that a task or a workflow has of itself; None where it is only called like its file."""
    if not is_workflow_file(entry.file):
        return str(found.name if isinstance(found, Workflow) else as_task(found).name)
    document: Any = document_in_file(entry.file).document
    return entry.task or (document.get("name") if isinstance(document, dict) else None)


def to_register(text: str, name: str | None) -> Workflow:
    """Return the workflow of a file, checked, under its name or another. Raises `EntryError` and `WorkflowError`."""
    entry, found = open_source(text)
    if not isinstance(found, Workflow):
        msg = f"{text} is a task, not a workflow: write a Workflow that adds it, or run it as {text}"
        raise EntryError(msg)
    workflow = own_workflow(found, entry, name)
    workflow.check()
    return workflow


def workflow_in(entry: Entry) -> Workflow:
    """Return the workflow of an entry. Raises `EntryError` where its file has none of that name any more."""
    found = load_entry(entry)
    if isinstance(found, Workflow):
        return found
    msg = f"{entry.file}:{entry.task} is no longer a workflow"
    raise EntryError(msg)


def of_document(stored: Mapping[str, Any], entry: Entry, capacity: Mapping[str, float] | None = None) -> Workflow:
    """Return the workflow of a document that was recorded, with what no store has from its file. Raises `EntryError`."""
    document = restore_document(stored, lambda: source_of(entry), entry.file)
    places = Places(entry.file, None, str(Path(entry.file).parent))
    given = capacity_to_read(capacity, entry.host)
    return workflow_from_document(document, places=places, capacity=given, recorded=True)


def source_of(entry: Entry) -> dict[str, Any]:
    """Return the document that a file has now: one without tasks if it is gone, or was none."""
    is_there = is_workflow_file(entry.file) and Path(entry.file).exists()
    return workflow_in(entry).document() if is_there else {"tasks": {}}


# What is ready to begin


def ready(target: Target) -> Target:
    """Return an entry of a task, or a workflow: also for an entry that leads to a workflow."""
    if isinstance(target, Workflow):
        return target
    found = load_entry(target)
    if isinstance(found, Workflow):
        return with_parameters(own_workflow(found, target._replace(parameters={})), target.parameters)
    bind(target, found)
    return target


def entry_of_target(target: Target) -> Entry | None:
    """Return the entry that is recorded of a target."""
    if isinstance(target, Entry):
        return target
    return None if target.entry is None else Entry(**target.entry)


def run_or_target(
    store: "Runs", text: str, given: Sequence[str] = (), capacity: Mapping[str, float] | None = None
) -> "RunRecord | Target":
    """Return the run of an id, or else what people could begin with. A file that is there wins."""
    is_file, is_there = file_in(text)
    if not is_there:
        runs = store.runs(text)
        if runs:
            return runs[0]
        if not is_file and not store.registered(text) and target_in_folders(text) is None:
            names = [*(each.name for each in store.registered()), *names_in_folders()]
            raise UnknownRun(text, [*names, *store.near(text)], str(store))
    return target_of(store, text, given, capacity)
