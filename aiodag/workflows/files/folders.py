"""What the files of some folders define: workflows, triggers and schedules, found by their names."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from aiodag.errors import Complaint, MissingExtra, WorkflowError
from aiodag.workflows.files.named_forms import NamedForm, named_forms
from aiodag.workflows.files.sources import document_in_file, is_workflow_file


class Kept(NamedTuple):
    """One thing that a file of a folder defines, under its name."""

    name: str
    file: str
    member: NamedForm

    @property
    def target(self) -> str:
        """Return how people name it."""
        return f"{self.file}:{self.member.name}" if self.member.name else self.file


class Folders(NamedTuple):
    """What some folders have, and which of their files cannot be read, or define a name that another one has."""

    kept: list[Kept]
    complaints: list[Complaint]

    def named(self, kind: str, name: str) -> list[Kept]:
        """Return what has a name: more than one where names are doubled."""
        return [each for each in self.kept if each.member.kind == kind and each.name == name]

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind."""
        return list(dict.fromkeys(each.name for each in self.kept if each.member.kind == kind))


def look_through(folders: Iterable[str]) -> Folders:
    """Return what the files of folders define, and of folders in them. A file that cannot be read hides no other."""
    kept: list[Kept] = []
    complaints: list[Complaint] = []
    for file in files_in_folders(folders):
        try:
            members = named_forms(document_in_file(file))
        except WorkflowError as error:
            complaints += error.complaints
        except MissingExtra as error:
            complaints.append(Complaint(file, str(error)))
        else:
            complaints += members.complaints
            kept += [
                Kept(own_name(each, file), file, each) for each in members.found if each.name or is_workflow(each.form)
            ]
    return Folders(kept, [*complaints, *doubled_names(kept)])


def files_in_folders(folders: Iterable[str]) -> list[str]:
    """Return the workflow files in folders, each once: also where a folder is in another one, or has two paths."""
    real = {folder: os.path.realpath(folder) for folder in folders}
    first: dict[str, str] = {}
    for folder, path in real.items():
        for file in files_in(folder):
            first.setdefault(path + file.removeprefix(folder), file)
    return list(first.values())


def files_in(folder: str) -> Iterator[str]:
    """Yield the workflow files in a folder and below, in the order of their names; none of one that is not there."""
    for path, inner, files in os.walk(folder):
        inner[:] = sorted(each for each in inner if not each.startswith((".", "__")))
        paths = (os.path.join(path, each) for each in sorted(files) if is_workflow_file(each))  # noqa: PTH118 - of texts
        yield from filter(os.path.isfile, paths)  # a pipe would be waited for


def is_workflow(form: Any) -> bool:
    """Return True for the form of a workflow: folders may have other JSON and YAML, too."""
    return isinstance(form, dict) and not form.keys().isdisjoint({"tasks", "jobs"})


def own_name(member: NamedForm, file: str) -> str:
    """Return the name of what a file has: that of its entry, or what the workflow says, or else the file's own."""
    if member.name:
        return member.name
    said = member.form.get("name") if isinstance(member.form, dict) else None
    return said if isinstance(said, str) else os.path.splitext(os.path.basename(file))[0]  # noqa: PTH119, PTH122 - as above


def doubled_names(kept: Sequence[Kept]) -> Iterator[Complaint]:
    """Yield a complaint for each name that is defined a second time, with both places."""
    first: dict[tuple[str, str], Kept] = {}
    for each in kept:
        before = first.setdefault((each.member.kind, each.name), each)
        if before is not each:
            text = f"defines the {each.member.kind} {each.name!r}, as {before.member.places.of(())} does: a name is defined once"
            yield Complaint(each.member.places.of(()), text)
