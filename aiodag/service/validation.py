"""Find all that is wrong with files before anything of them runs."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiodag.errors import Complaint, EntryError, MissingExtra, OptionError, WorkflowError
from aiodag.names import import_file
from aiodag.service.binding import find
from aiodag.service.child_workflows import place_of_workflow
from aiodag.service.entry import parse_target
from aiodag.service.folders import folders_of_definitions, target_in_folders
from aiodag.service.scheduled import checked_policy
from aiodag.service.submitting import Wishes, checked_wishes
from aiodag.service.targets import file_in
from aiodag.workflows.files.folders import Kept, doubled_names, files_in, is_workflow, own_name
from aiodag.workflows.files.json import cut
from aiodag.workflows.files.load import workflow_of_member
from aiodag.workflows.files.named_forms import NamedForm, NamedForms, named_forms, only_workflow
from aiodag.workflows.files.named_triggers import NamedTriggers, triggers_around
from aiodag.workflows.files.schedule_forms import ScheduleReading
from aiodag.workflows.files.sources import document_in_file, is_workflow_file
from aiodag.workflows.jobs.gathering import Gathering
from aiodag.workflows.jobs.model import stages_of
from aiodag.workflows.jobs.triggers import triggers_in
from aiodag.workflows.workflow import Workflow

USUAL_POLICY: Mapping[str, Any] = {"overlap": "queue", "catch_up": "latest", "jitter": 0.0, "grace": 60.0}
PLACE = re.compile(r"(?P<file>.*?)(?::(?P<line>\d+))?(?: (?P<path>\$.*))?", re.DOTALL)


class Validated(NamedTuple):
    """What was looked at, and all that is wrong with it. `others` are files of folders that have no workflow."""

    files: list[str]
    workflows: int
    others: list[str]
    complaints: list[Complaint]


class Validation:
    """Looks at files, one after the other: what is wrong with one hides nothing of the next."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.others: list[str] = []
        self.workflows = 0
        self.complaints: list[Complaint] = []
        self.folders = folders_of_definitions()

    def file(self, target: str) -> list[Kept]:
        """Look at FILE or FILE:NAME, and return what is defined there."""
        file, name = parse_target(target)
        self.files.append(file)
        try:
            if not is_workflow_file(file):
                self._python(file, name)
                return []
            forms = named_forms(document_in_file(file))
            self.complaints += forms.complaints
            forms = NamedForms(forms.found, [])  # each is said once
            chosen = forms.found if name is None else [only_workflow(forms, file, name)]
        except WorkflowError as error:
            self.complaints += error.complaints
        except (EntryError, MissingExtra) as error:
            self.complaints.append(Complaint("", str(error)))
        else:
            triggers = triggers_around(forms, file, self.folders)
            for each in chosen:
                self._form(forms, each, triggers)
            return [Kept(own_name(each, file), file, each) for each in chosen]
        return []

    def name(self, name: str) -> None:
        """Look at the workflow of a name in the folders of definitions."""
        try:
            found = target_in_folders(name)
        except EntryError as error:
            self.complaints.append(Complaint("", str(error)))
            return
        if found is None:
            text = "is neither a file, FILE.yaml, FILE.json or FILE.py, nor a folder, nor the name of a workflow in the folders of definitions"
            self.complaints.append(Complaint(name, text))
        else:
            self.file(found)

    def folder(self, folder: str) -> None:
        """Look at the workflow files in a folder and below."""
        kept: list[Kept] = []
        for file in files_in(folder):
            if holds_other_things(file):
                self.others.append(file)
            else:
                kept += self.file(file)
        self.complaints += doubled_names(kept)

    def _form(self, forms: NamedForms, form: NamedForm, triggers: NamedTriggers) -> None:
        try:
            if form.kind == "workflow":
                self.workflows += 1
                workflow = workflow_of_member(forms, form, triggers)
                self.complaints += missing_children(workflow, self.files[-1])
            if form.kind == "trigger":
                self.complaints += faults_of_trigger(form)
            else:
                self.complaints += faults_of_schedules(form, triggers)
        except WorkflowError as error:
            self.complaints += error.complaints

    def _python(self, file: str, name: str | None) -> None:
        """Check the workflows that a Python file defines, or the one of a name. It is imported for that."""
        module = import_file(file)
        found: Iterable[Any] = vars(module).values() if name is None else [find(file, module, name)]
        for each in {id(each): each for each in found if isinstance(each, Workflow)}.values():
            self.workflows += 1
            try:
                each.check()
            except WorkflowError as error:
                self.complaints += error.complaints


def validate(targets: Sequence[str]) -> Validated:
    r"""Return what is wrong with files and with the workflow files in folders; nothing runs.

    Of Python files, which are imported for that, name each: a folder may have any.

    >>> from pathlib import Path
    >>> size = Path("etl.yaml").write_text("tasks:\n  pull: {comand: [ls]}\n")
    >>> [str(each) for each in validate(["etl.yaml"]).complaints]
    ["etl.yaml:2 $.tasks.pull.comand: is a key that is not known here; did you mean 'command'?"]
    """
    validation = Validation()
    for target in dict.fromkeys(targets):
        if os.path.isdir(target):  # noqa: PTH112 - raises for nothing
            validation.folder(target)
        elif file_in(target)[0]:
            validation.file(target)
        else:
            validation.name(target)
    complaints = list(dict.fromkeys(validation.complaints))
    return Validated(validation.files, validation.workflows, validation.others, complaints)


def holds_other_things(file: str) -> bool:
    """Return True for JSON or YAML that defines no workflow: a folder may have some."""
    try:
        forms = named_forms(document_in_file(file))
    except (WorkflowError, MissingExtra):
        return False  # which has to be said
    return not any(each.name or is_workflow(each.form) for each in forms.found) and not forms.complaints


def missing_children(workflow: Workflow, file: str) -> Iterator[Complaint]:
    """Yield a complaint for each file that a stage triggers and that is not there. What has a name may be registered anywhere."""
    for stage in [] if workflow.jobs is None else stages_of(workflow.jobs.jobs.values()):
        target = stage.body.body if stage.kind == "trigger" and stage.body is not None and stage.body.plain else None
        if isinstance(target, str) and file_in(target)[0] and not file_in(place_of_workflow(target, file))[1]:
            yield Complaint(f"{stage.place}.trigger", f"is {cut(target)!r}, and there is no such file next to this one")


def faults_of_trigger(form: NamedForm) -> list[Complaint]:
    """Return what is wrong with a trigger that stands by itself."""
    gathering = Gathering(form.places)
    triggers_in(gathering, form.form)
    on = [(path[1:], text) for path, text in gathering.faults]
    return form.places.complaints(on)


def faults_of_schedules(form: NamedForm, triggers: NamedTriggers) -> list[Complaint]:
    """Return what is wrong with the schedules of a workflow that loads, or of a schedule that stands by itself."""
    reading = ScheduleReading(triggers)
    found = reading.of_schedule(form) if form.kind == "schedule" else []
    if form.kind == "workflow" and "on" in form.form:
        found = reading.of_workflow(form.name, form.form, form)
    complaints = reading.complaints
    for each in found:
        wishes = {key: given for key, given in each.policy.items() if key not in USUAL_POLICY}
        try:
            checked_policy(**{key: each.policy.get(key, usual) for key, usual in USUAL_POLICY.items()})
            checked_wishes(Wishes(**wishes))
        except OptionError as error:
            complaints.append(Complaint(each.place, str(error)))
    return complaints


def complaint_documents(complaints: Iterable[Complaint]) -> Iterator[dict[str, Any]]:
    """Yield complaints for JSON.

    >>> [*complaint_documents([Complaint("etl.yaml:2 $.tasks.pull", "is wrong")])]
    [{'file': 'etl.yaml', 'line': 2, 'path': '$.tasks.pull', 'text': 'is wrong'}]
    """
    for each in complaints:
        found = PLACE.fullmatch(each.place)
        assert found is not None
        line = None if found["line"] is None else int(found["line"])
        yield {"file": found["file"] or None, "line": line, "path": found["path"], "text": each.text}
