"""The folders of definitions: workflows and triggers that people name without a file."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.errors import Complaint, EntryError
from aiodag.service.settings import DEFAULT, settings

if TYPE_CHECKING:
    from aiodag.workflows.files.folders import Folders


def folders_of_definitions() -> list[str]:
    """Return the folders that are there. Raises `EntryError` for one that is not, and that a setting names."""
    folders, origin, _ = settings().conf
    for gone in (each for each in folders if origin != DEFAULT and not Path(each).is_dir()):
        msg = f"{gone}: no such folder, and {origin} names it as one with definitions"
        raise EntryError(msg)
    return [each for each in folders if Path(each).is_dir()]


def definitions_in_folders() -> "Folders":
    """Return what the folders define, and what is wrong in them."""
    from aiodag.workflows.files.folders import look_through

    return look_through(folders_of_definitions())


def target_in_folders(name: str) -> str | None:
    """Return FILE:NAME of the workflow that has a name; None if none has. Raises `EntryError` where several have it."""
    found = definitions_in_folders().named("workflow", name)
    if len(found) > 1:
        places = " and ".join(each.target for each in found[:2])
        msg = f"{name}: {places} define a workflow of this name: give one of these, or rename one"
        raise EntryError(msg)
    return found[0].target if found else None


def names_in_folders() -> list[str]:
    """Return the names of the workflows that the folders define."""
    return definitions_in_folders().names("workflow")


def near_in_folders(name: str, others: list[str]) -> str:
    """Return a question that names the nearest workflow, or nothing."""
    near = get_close_matches(name, [*others, *names_in_folders()], n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


class InFolder(NamedTuple):
    """A workflow that a folder defines: its name, how people name its place, and how many tasks or jobs it has."""

    name: str
    target: str
    tasks: int


def workflows_in_folders() -> tuple[list[InFolder], list[Complaint]]:
    """Return the workflows that the folders define, of a doubled name each, and what is wrong in the folders."""
    if not folders_of_definitions():
        return [], []  # without loading what reads workflows
    folders = definitions_in_folders()
    kept = [each for each in folders.kept if each.member.kind == "workflow"]
    return [InFolder(each.name, each.target, size_of_form(each.member.form)) for each in kept], folders.complaints


def definition_in_folders(name: str) -> tuple[str, dict[str, Any]] | None:
    """Return FILE:NAME and the document of the workflow of a name, as a store would have it; None if there is none.

    What a store hides is hidden in it. A document that is not right is an empty one.
    """
    from aiodag.workflows.private import stored_document

    for each in definitions_in_folders().named("workflow", name):
        form: Any = each.member.form
        try:
            return each.target, stored_document(form)
        except (AttributeError, TypeError, ValueError):  # what is wrong in it is said where it is to run
            return each.target, {}
    return None


def size_of_form(form: Any) -> int:
    """Return how many tasks or jobs a workflow has, as far as it is right."""
    found = form.get("jobs", form.get("tasks")) if isinstance(form, dict) else None
    return len(found) if isinstance(found, dict | list) else 0
