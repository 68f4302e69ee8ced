"""Find what a run begins with: a task or a workflow in a file, or a workflow that is registered by its name."""

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodag.errors import EntryError, UnknownRun
from aiodag.records import RunRecord, WorkflowRecord
from aiodag.service.binding import as_task, bind, in_file, load_entry, only_one_of, pairs_of, parameters_shown
from aiodag.service.conversion import convert_text
from aiodag.service.entry import Again, Entry, Target, parse_target
from aiodag.workflows.files.document import recorded_text
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.load import load as load_workflow
from aiodag.workflows.files.load import workflow_from_document
from aiodag.workflows.files.sources import is_workflow_file
from aiodag.workflows.parameters import command_text
from aiodag.workflows.private import hides_nothing, restore_document
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.abc import Runs

Given: TypeAlias = Sequence[str] | Mapping[str, Any]
HINT = "Give FILE.py, FILE.py:NAME, FILE.json, or the name of a workflow that `aiodag list` has"


def target_of(store: "Runs", text: str, given: Given = (), capacity: Mapping[str, float] | None = None) -> Target:
    """Return what people typed: FILE.py[:NAME], FILE.json or the name of a registered workflow, and parameters.

    These are what was typed as name=value, or values by name. A file wins over a workflow that is called like it, if it is there and ends in .py or .json. Raises `EntryError`
    and `WorkflowError`.
    """
    is_file, is_there = file_in(text)
    if is_there:
        return in_source(text, given, capacity)
    found = store.registered(text)
    if found:
        return with_parameters(of_record(found[0], capacity), values_given(given))
    if is_file:
        return in_source(text, given, capacity)
    near = get_close_matches(text, [each.name for each in store.registered()], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    msg = f"{text}: no workflow in {store} has this name. {hint}{HINT}"
    raise EntryError(msg)


def file_in(text: str) -> tuple[bool, bool]:
    """Return whether what people typed looks like a file, and whether it exists."""
    file, _ = parse_target(text)
    is_file = file.endswith(".py") or is_workflow_file(file)
    return is_file, is_file and os.path.exists(file)  # noqa: PTH110 - raises for nothing, however long a name may be


def open_source(text: str, capacity: Mapping[str, float] | None = None) -> tuple[Entry, Any]:
    """Return the entry of what people typed as a file, without parameters, and what is there."""
    entry = Entry(*in_file(text), {})
    # By the path as it was typed: so the messages speak of it.
    return entry, load_entry(entry._replace(file=parse_target(text)[0]), capacity)


def values_given(given: Given) -> Mapping[str, Any]:
    """Return parameters by name: each with all values that were typed, or as a program has given it."""
    return given if isinstance(given, Mapping) else pairs_of(given)


def in_source(text: str, given: Given = (), capacity: Mapping[str, float] | None = None) -> Target:
    """Return what a file has. Raises `EntryError` and `WorkflowError`."""
    entry, found = open_source(text, capacity)
    if isinstance(found, Workflow):
        return with_parameters(own_workflow(found, entry), values_given(given))
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


def with_parameters(workflow: Workflow, given: Mapping[str, Any]) -> Workflow:
    """Return a workflow with other values of its parameters. Raises `EntryError` for one that it does not have."""
    if not given:
        return workflow
    there = declared_values(workflow)
    values = {name: values_of(workflow, name, each, there) for name, each in given.items()}
    made = workflow.but(parameters=values)
    made.entry = {**(workflow.entry or {}), "parameters": values}
    return made


def parameters_of_target(store: "Runs", text: str) -> dict[str, str]:
    """Return the parameters of what people typed, each with what it takes. Raises `EntryError` and `WorkflowError`."""
    is_file, is_there = file_in(text)
    found: Any = None
    if not is_there:
        records = store.registered(text)
        found = of_record(records[0]) if records else None
    if found is None and (is_there or is_file):
        found = open_source(text)[1]
    if found is None:
        found = target_of(store, text)  # which says what is wrong
    if isinstance(found, Workflow):
        return {
            name: f"one of {', '.join(map(command_text, values))}" for name, values in declared_values(found).items()
        }
    return parameters_shown(found)


def declared_values(workflow: Workflow) -> dict[str, list[Any]]:
    """Return all values that a workflow and its tasks declare, by the names of parameters."""
    found = {name: list(values) for name, values in workflow.parameters.items()}
    for task in workflow.tasks:
        for name, values in task.parameters.items():
            found.setdefault(name, []).extend(values)
    return found


def values_of(workflow: Workflow, name: str, given: object, there: Mapping[str, list[Any]]) -> list[Any]:
    """Return the values of one parameter: texts as they are, the elements of a list in JSON, and all that a list has."""
    if name not in there:
        near = get_close_matches(name, list(there), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"workflow {workflow.name!r} has no parameter {name!r}; {hint}it has {', '.join(there) or 'none'}"
        raise EntryError(msg)
    kinds = {type(each) for each in there[name]}
    found: list[Any] = []
    for each in given if isinstance(given, list) else [given]:
        listed = list_in(each) if isinstance(each, str) else None
        found += [like(kinds, name, each)] if listed is None else [text_like(kinds, one) for one in listed]
    return found


def list_in(text: str) -> list[Any] | None:
    """Return the list that a text is in JSON; None if it is none."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def text_like(kinds: set[Any], value: object) -> Any:
    """Return an element of a list in JSON as it is written there, where the declared values are texts."""
    return value if isinstance(value, str) or kinds != {str} else json.dumps(value)


def like(kinds: set[Any], name: str, value: object) -> Any:
    """Return a value of the type that the declared ones have, if they are all numbers, or all true or false."""
    if not isinstance(value, str) or len(kinds) != 1 or kinds & {str}:
        return value
    kind = next(iter(kinds))
    try:
        return convert_text(value, kind)
    except (ValueError, ArithmeticError, TypeError) as error:
        msg = f"parameter {name}={value!r} is not {kind.__name__}, as those that are declared: {error}"
        raise EntryError(msg) from None


# What is recorded


def of_record(record: WorkflowRecord, capacity: Mapping[str, float] | None = None) -> Workflow:
    """Return a registered workflow: of its text, or, where Python made it, of its file. Raises `EntryError`."""
    file, name = parse_target(record.target)
    entry = Entry(file, name or "", {})
    if is_workflow_file(file):
        return own_workflow(of_document(json.loads(record.document), file, capacity), entry, record.name)
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
    written: Any = document.get("tags") or {}
    return {name: value for name, value in run.tags.items() if written.get(name) != value}


def of_run(run: RunRecord, capacity: Mapping[str, float] | None = None) -> Target:
    """Return what a run goes on with: its recorded text, or, where Python made it, what its file has now."""
    if run.definition is not None and (run.entry is None or is_workflow_file(str(run.entry["file"]))):
        document = json.loads(run.definition)
        workflow = of_document(document, str(run.entry["file"]) if run.entry else "", capacity)
        made = own_workflow(workflow, Entry(**run.entry) if run.entry else None, run.name)
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
    entry, found = open_source(source, capacity)
    entry = entry._replace(release=None if began is None else began.release)
    refuse_another(run, source, entry, found)
    if isinstance(found, Workflow):
        return with_parameters(own_workflow(found, entry, run.name), given)
    entry = entry._replace(parameters=given)
    bind(entry, found)
    return entry


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
    document: Any = json.loads(Path(entry.file).read_text("utf-8-sig"))
    return document.get("name") if isinstance(document, dict) else None


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


def of_document(stored: Mapping[str, Any], file: str, capacity: Mapping[str, float] | None = None) -> Workflow:
    """Return the workflow of a document that was recorded, with what no store has from its file. Raises `EntryError`."""
    document = restore_document(stored, lambda: source_of(file), file)
    places = Places(file, None, str(Path(file).parent))
    return workflow_from_document(document, places=places, capacity=capacity, recorded=True)


def source_of(file: str) -> dict[str, Any]:
    """Return the document that a file has now: one without tasks if it is gone, or was none."""
    return load_workflow(file).document() if is_workflow_file(file) and Path(file).exists() else {"tasks": {}}


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
        if not is_file and not store.registered(text):
            names = [each.name for each in store.registered()]
            raise UnknownRun(text, [*names, *store.near(text)], str(store))
    return target_of(store, text, given, capacity)
