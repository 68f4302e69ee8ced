"""What a file has: one workflow, or a collection of workflows, triggers and schedules by their names."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.files.json import Fault, Places, cut
from aiodag.workflows.files.shapes import describe_value, is_name
from aiodag.workflows.files.sources import Source

# By the last word of a `type`, in small letters.
KINDS_BY_TYPE: Mapping[str, str] = {
    "pipeline": "workflow",
    "workflow": "workflow",
    "on": "trigger",
    "cron": "trigger",
    "crontab": "trigger",
    "trigger": "trigger",
    "schedule": "schedule",
}
KEYS_OF_JOBS = frozenset({"jobs", "on", "params", "secrets", "concurrency"})
TYPES = "Workflow, Pipeline, On, Cron and Schedule"
LISTED = 20  # names in a message


class NamedForm(NamedTuple):
    """One thing that a file has: a workflow, a trigger or a schedule. `name` is empty where the file itself is that workflow."""

    name: str
    kind: str
    form: Any  # as it is written, without its `type`
    places: Places


class NamedForms:
    """All that a file has, and what is wrong with the file itself."""

    def __init__(self, found: list[NamedForm], complaints: list[Complaint]) -> None:
        self.found = found
        self.complaints = complaints
        self._by_kind: dict[str, dict[str, NamedForm]] = {}
        for each in found:
            self._by_kind.setdefault(each.kind, {})[each.name] = each

    def of_kind(self, kind: str) -> Mapping[str, NamedForm]:
        """Return the members of a kind by their names."""
        return self._by_kind.get(kind, {})


def named_forms(source: Source) -> NamedForms:
    """Return what a document has. What is wrong with one member hides no other."""
    document, places, complaints = source
    if not is_collection(document):
        return NamedForms([NamedForm("", "workflow", document, places)], complaints)
    faults: list[Fault] = []
    found: list[NamedForm] = []
    for name, form in document.items():
        kind = kind_of(name, form, faults)
        if kind is not None:
            own = {key: value for key, value in form.items() if key != "type"}
            found.append(NamedForm(name, kind, own, places.below(name)))
    return NamedForms(found, [*complaints, *places.complaints(faults)])


def is_collection(document: Any) -> bool:
    """Return True for a mapping of names to definitions: neither a workflow itself nor something else."""
    if not isinstance(document, dict) or "tasks" in document or is_of_jobs(document):
        return False
    return any(
        isinstance(form, dict) and not form.keys().isdisjoint({"type", "jobs", "tasks"}) for form in document.values()
    )


def is_of_jobs(document: Any) -> bool:
    """Return True for a document of jobs, also for one that has forgotten them: then that is what is wrong with it."""
    return isinstance(document, dict) and "tasks" not in document and not document.keys().isdisjoint(KEYS_OF_JOBS)


def kind_of(name: str, form: Any, faults: list[Fault]) -> str | None:
    """Return what a member of a collection is; None for what holds parts of others, and for what is wrong."""
    if name.startswith((".", "x-")):
        return None
    if not isinstance(form, dict):
        faults.append(
            ((name,), f"takes the definition of a workflow, a trigger or a schedule; this is {describe_value(form)}")
        )
    elif not is_name(name) or ":" in name:
        faults.append(((name,), "cannot be a name: one is text without control characters and colons"))
    elif "type" in form:
        return kind_of_type(name, form["type"], faults)
    elif form.keys().isdisjoint({"jobs", "tasks"}):
        faults.append(
            (
                (name,),
                f'has no "type", and neither "jobs" nor "tasks"; types are {TYPES}. Anchors alone stand under a name that begins with a dot',
            )
        )
    else:
        return "workflow"
    return None


def kind_of_type(name: str, given: Any, faults: list[Fault]) -> str | None:
    """Return the kind that a `type` names, such as `pipeline.Pipeline`."""
    if isinstance(given, str):
        word = given.rpartition(".")[2].lower()
        if word in KINDS_BY_TYPE:
            return KINDS_BY_TYPE[word]
        near = get_close_matches(word[:100], KINDS_BY_TYPE, n=1)
        hint = f"; did you mean {near[0].capitalize()!r}?" if near else ""
        faults.append(((name, "type"), f"is {cut(given)!r}, and types are {TYPES}{hint}"))
    else:
        faults.append(((name, "type"), f"takes text, one of {TYPES}; this is {describe_value(given)}"))
    return None


def only_workflow(members: NamedForms, source: str, name: str | None) -> NamedForm:
    """Return the workflow that is meant: of a name, or the only one. Raises `WorkflowError` that lists what there is."""
    workflows = members.of_kind("workflow")
    if name is None and len(workflows) == 1:
        return next(iter(workflows.values()))
    if name is not None and name in workflows:
        return workflows[name]
    if "" in workflows and isinstance(workflows[""].form, dict) and workflows[""].form.get("name") == name:
        return workflows[""]  # the file is that workflow itself
    names = [each for each in workflows if each]
    listed = ", ".join(map(cut, names[:LISTED])) + (", …" if len(names) > LISTED else "")
    if name is None:
        hint = f": say which, such as {source}:{names[0]}" if names else ""
        text = f"has {f'the workflows {listed}' if names else 'no workflow'}{hint}"
    elif not names:
        text = f"is one workflow, and has none that is called {cut(name)!r}" if workflows else "has no workflow"
    else:
        near = get_close_matches(name[:200], names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        text = f"has no workflow {cut(name)!r}; {hint}it has {listed}"
    raise WorkflowError([*members.complaints, Complaint(source, text)])
