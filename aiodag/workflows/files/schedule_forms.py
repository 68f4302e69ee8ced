"""What files say of schedules: a workflow with `on` has one for each trigger, and a schedule has entries of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.workflows.files.json import Path
from aiodag.workflows.files.named_forms import NamedForm
from aiodag.workflows.files.named_triggers import NamedTriggers
from aiodag.workflows.files.shapes import describe_value
from aiodag.workflows.jobs.gathering import DURATION_WANTED, Gathering, seconds_of_value
from aiodag.workflows.jobs.keys import MOMENTS_OF, TRIGGER_KEYS_OF_FILES
from aiodag.workflows.jobs.triggers import triggers_in

if TYPE_CHECKING:
    from aiodag.errors import Complaint

ENTRY_LISTS = ("workflows", "pipelines", "entries")
NAMES_OF_WORKFLOW = ("workflow", "pipeline", "name")
KEYS_OF_ENTRY = (*NAMES_OF_WORKFLOW, "on", "params", "values")
ABOUT = ("desc", "description", "tags")
POLICY_KEYS = ("overlap", "catch-up", "jitter", "grace", "queue", "priority", "retries")
DURATIONS = ("jitter", "grace")


class FileSchedule(NamedTuple):
    """One schedule that a file says: its name, the workflow by its name in the file, its trigger, and the rest."""

    name: str
    workflow: str
    trigger: Mapping[str, Any] | str
    params: Mapping[str, Any]
    policy: Mapping[str, Any]  # by the names of arguments: catch_up, grace, ...
    is_paused: bool
    place: str


class ScheduleReading:
    """Reads the schedules of one file. What is wrong gathers in `complaints`."""

    def __init__(self, triggers: NamedTriggers) -> None:
        self._triggers = triggers
        self.complaints: list[Complaint] = []

    def of_workflow(self, name: str, form: Any, member: NamedForm) -> list[FileSchedule]:
        """Return the schedules of a workflow with `on`: called like it, from the second on with a number."""
        filled, faults = self._triggers.fill(form)
        gathering = Gathering(member.places)
        gathering.faults += faults
        found = list(self._of_triggers(gathering, filled.get("on"), member.name, {}))
        self.complaints += member.places.complaints(gathering.faults)
        return numbered([each._replace(name=name) for each in found])

    def of_schedule(self, member: NamedForm) -> list[FileSchedule]:
        """Return the entries of a schedule: called like it if there is one, else like it and the workflow of each."""
        gathering = Gathering(member.places)
        form = gathering.mapping(member.form, (), "the entries of a schedule")
        lists = [key for key in ENTRY_LISTS if key in form]
        entries: list[tuple[Path, Any]] = [((), form)]
        if lists:
            gathering.keys(form, (*ENTRY_LISTS, *ABOUT), ())
            entries = [
                ((key, place), each)
                for key in lists
                for place, each in enumerate(list_of_entries(gathering, form[key], key))
            ]
        found = [each for path, entry in entries for each in self._entry(gathering, entry, path, alone=not lists)]
        self.complaints += member.places.complaints(gathering.faults)
        if len(found) == 1:
            return [found[0]._replace(name=member.name)]
        return numbered([each._replace(name=f"{member.name}/{each.workflow}") for each in found])

    def _entry(self, gathering: Gathering, entry: object, path: Path, *, alone: bool) -> Iterator[FileSchedule]:
        """Give the schedules of one entry: of a workflow, one for each trigger."""
        given = gathering.mapping(entry, path, "{workflow: NAME, on: WHEN, params: {...}}")
        gathering.keys(given, (*KEYS_OF_ENTRY, *(ABOUT if alone else ABOUT[:2])), path)
        named = [key for key in NAMES_OF_WORKFLOW if key in given]
        if len(named) != 1:
            what = (
                f"has {' and '.join(named)}: it takes one of them"
                if named
                else "does not say which workflow: write workflow: NAME"
            )
            gathering.fault(path, what)
            return
        workflow = gathering.text(given[named[0]], (*path, named[0]), "the name of a workflow") or ""
        params = self._params(gathering, given, path)
        if "on" not in given:
            gathering.fault(path, "does not say when: write on: with a trigger, or the name of one")
            return
        filled, faults = self._triggers.fill({"on": given["on"]})
        gathering.faults += [((*path, *inside), text) for inside, text in faults]
        yield from self._of_triggers(gathering, filled["on"], workflow, params, path)

    def _params(self, gathering: Gathering, given: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for key in ("params", "values"):
            if key in given:
                found |= gathering.mapping(given[key], (*path, key), "params by their names")
        return found

    def _of_triggers(
        self, gathering: Gathering, value: object, workflow: str, params: Mapping[str, Any], path: Path = ()
    ) -> Iterator[FileSchedule]:
        """Give a schedule without a name for each trigger."""
        inner = Gathering(gathering.places)
        forms = triggers_in(inner, value) if value is not None else ()
        gathering.faults += [((*path, *inside), text) for inside, text in inner.faults]
        for place, form in enumerate(forms):
            where: Path = (*path, "on", place) if isinstance(value, list) else (*path, "on")
            yield schedule_of_trigger(gathering, form, where, workflow, params)


def schedule_of_trigger(
    gathering: Gathering, form: Mapping[str, Any], path: Path, workflow: str, params: Mapping[str, Any]
) -> FileSchedule:
    """Return the schedule of a trigger, whose other keys say how it is kept."""
    own = gathering.mapping(form.get("params", {}), (*path, "params"), "params by their names")
    policy: dict[str, Any] = {}
    for key in POLICY_KEYS:
        if key not in form:
            continue
        value = form[key]
        if key in DURATIONS:
            value = seconds_of_value(value)
            if value is None or value < 0:
                gathering.fault((*path, key), f"takes {DURATION_WANTED}; this is {describe_value(form[key])}")
                continue
        policy[key.replace("-", "_")] = value
    paused = gathering.flag(form, "paused", path, usual=False)
    others = {*POLICY_KEYS, "params", "paused", "name"}
    rest = {key: value for key, value in form.items() if key in TRIGGER_KEYS_OF_FILES and key not in others}
    trigger: Mapping[str, Any] | str = rest if rest.keys() & set(MOMENTS_OF) else str(form.get("name", ""))
    return FileSchedule("", workflow, trigger, {**params, **own}, policy, paused, gathering.places.of(path))


def list_of_entries(gathering: Gathering, value: object, key: str) -> Sequence[Any]:
    """Return a list of entries."""
    if isinstance(value, list):
        return value
    gathering.fault((key,), f"takes a list of entries; this is {describe_value(value)}")
    return ()


def numbered(found: Sequence[FileSchedule]) -> list[FileSchedule]:
    """Return schedules with a name for each: of those of one name, the second has a 2 after it.

    >>> one = FileSchedule("load", "load", "@daily", {}, {}, False, "")
    >>> [each.name for each in numbered([one, one, one])]
    ['load', 'load/2', 'load/3']
    """
    counts: dict[str, int] = {}
    named: list[FileSchedule] = []
    for each in found:
        counts[each.name] = counts.get(each.name, 0) + 1
        number = counts[each.name]
        named.append(each if number == 1 else each._replace(name=f"{each.name}/{number}"))
    return named
