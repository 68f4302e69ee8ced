"""Triggers that a workflow names under `on`: taken from the same file, or else from the folders around it."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiodag.workflows.files.folders import Folders, look_through
from aiodag.workflows.files.forms import Hints
from aiodag.workflows.files.json import Fault, Path, cut
from aiodag.workflows.files.named_forms import NamedForm, NamedForms
from aiodag.workflows.jobs.triggers import ASKED, EVENTS_ELSEWHERE

LISTED = 10  # names in a message


class NamedTriggers:
    """Finds triggers by their names: in a file, and only if it is not there in folders, which are then read."""

    def __init__(self, own: Mapping[str, NamedForm], folders: Callable[[], Folders]) -> None:
        self._own = own
        self._folders = folders
        self._read: Folders | None = None
        self._hints = Hints()

    def fill(self, form: Any) -> tuple[Any, list[Fault]]:
        """Return the form of a workflow with triggers in place of their names, and what is wrong with the names."""
        given: Any = form.get("on") if isinstance(form, dict) else None
        faults: list[Fault] = []
        if isinstance(given, list):
            filled = [self._entry(each, ("on", place), faults) for place, each in enumerate(given)]
            return {**form, "on": [each for each in filled if each is not None]}, faults
        filled_one = self._entry(given, ("on",), faults)
        if filled_one is given:
            return form, faults
        return {**form, "on": [] if filled_one is None else filled_one}, faults

    def _entry(self, given: Any, path: Path, faults: list[Fault]) -> Any:
        """Return an entry of `on`: a name, or a name with policies of its own, becomes that trigger; None for an unknown one."""
        if isinstance(given, str):
            return self._trigger(given, path, faults)
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            found = self._trigger(given["name"], (*path, "name"), faults)
            own = {key: value for key, value in given.items() if key != "name"}
            return {**found, **own} if isinstance(found, dict) else None if found is None else given
        return given

    def _trigger(self, name: str, path: Path, faults: list[Fault]) -> Any:
        """Return the trigger of a name, or None; the name where it is something else, such as an event of GitHub."""
        if name in self._own:
            return self._own[name].form
        if not is_name_of_trigger(name):
            return name
        if self._read is None:
            self._read = self._folders()
        found = self._read.named("trigger", name)
        if len(found) == 1:
            return found[0].member.form
        if found:
            places = " and ".join(each.member.places.of(()) for each in found[:2])
            faults.append((path, f"is {cut(name)!r}, which {places} define"))
        else:
            names = [*self._own, *self._read.names("trigger")]
            listed = f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names[:LISTED])}" if names else ""
            hint = self._hints.near(name, names) or listed
            text = f"is {cut(name)!r}, and no trigger has that name in this file or in the folders of definitions{hint}"
            faults.append((path, text))
        return None


def triggers_around(forms: NamedForms, source: str, folders: Iterable[str] = ()) -> NamedTriggers:
    """Return what finds the triggers that a file names: in it, next to it, and in folders. One for all that the file has."""
    around = (os.path.dirname(source) or ".", *folders)  # noqa: PTH120 - of a text as it was given
    return NamedTriggers(forms.of_kind("trigger"), lambda: look_through(around))


def is_name_of_trigger(text: str) -> bool:
    """Return True for what can be the name of a trigger, and is not an event of GitHub or a cron line."""
    return (
        text != ""
        and text not in ASKED | EVENTS_ELSEWHERE
        and not text.startswith("@")
        and not any(map(str.isspace, text))
    )
