"""From a document to a workflow, with all that is wrong in it at once."""

from collections.abc import Callable, Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from aiodag._core.hooks import EVENTS
from aiodag._core.rules import USUAL
from aiodag._core.task import Task
from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.check import check_workflow as checked_whole
from aiodag.workflows.definition import Definition, capacity_from
from aiodag.workflows.files.bodies import Bodies, BodyRefused, Call, body_kind
from aiodag.workflows.files.details import DETAILED, Literals, is_detailed, machine, name_in_braces
from aiodag.workflows.files.entries import DocumentEntry, Entries
from aiodag.workflows.files.forms import (
    FRAGMENT,
    KINDS,
    MACHINES,
    VALUE_OF,
    WORKFLOW,
    Check,
    Hints,
    bare_parameter,
    check_object,
    parameters_of,
    tags_in,
)
from aiodag.workflows.files.hooking import hooks_in
from aiodag.workflows.files.json import Fault, Path, Places, cut
from aiodag.workflows.files.shapes import describe_value
from aiodag.workflows.files.text import decode_text, parse_text
from aiodag.workflows.machines import placed_forms
from aiodag.workflows.model import Parameter
from aiodag.workflows.parameters import PLACE, unused_parameters
from aiodag.workflows.private import is_secret, secret_from_form

D = TypeVar("D", bound=Definition)
NO_LITERALS: Mapping[str, str] = {}


async def nothing() -> None:
    """Stand for the body of a task that is wrong, so that the rest can be looked at."""


DETAILED_FRAGMENT = {key: DETAILED[key] for key in FRAGMENT}
PLACEHOLDER: Call = (Task(nothing), (), {})


class Reading:
    """One document on its way to a workflow. What is wrong gathers here, and the rest goes on."""

    def __init__(self, places: Places, complaints: Iterable[Complaint] = ()) -> None:
        self.places = places
        self.complaints = list(complaints)  # with their places already
        self.faults: list[Fault] = []
        self.hints = Hints()
        self.declared: Collection[str] = ()  # parameters of elsewhere
        self.literals: dict[str, str] = {}  # names of parameters by texts that stand for them in tasks with details
        self.giver = ""  # the generator that has given the tasks
        self.bodies = Bodies(places.directory)

    def workflow(
        self, kind: "type[D]", document: object, name: str, capacity: object = None, *, recorded: bool = False
    ) -> "D":
        """Return the workflow of a whole document, of a kind, checked for a capacity or its own. Raises `WorkflowError`.

        One that was `recorded` may have parameters that no task uses.
        """
        detailed = isinstance(document, dict) and is_detailed(document.get("tasks"))
        values = self._values(document, DETAILED if detailed else WORKFLOW)
        workflow = kind(
            values.get("name", name),
            tags=tags_in(values),
            parameters=parameters_of(values, name_in_braces if detailed else bare_parameter),
            limit=values.get("limit"),
            capacity=values.get("capacity"),
            paired=values.get("paired", ()),
            **self._machines(values),
            **hooks_in(values, self.bodies, self.hints, self.faults),
        )
        workflow.hook_forms = {event: values[event] for event in EVENTS if event in values}
        workflow.description = values.get("description")
        self.literals = dict(values.get("literals", {}))
        if detailed:
            self.literals |= {text: name_in_braces(text) for text in values.get("parameters", {})}
        workflow.literals = self.literals
        entries = self._fill(workflow, values.get("tasks", {}), ("tasks",))
        if detailed and "capacity" not in values and any(entry.asks for entry in entries):
            workflow.capacity = capacity_from(machine())
        if not recorded:
            name_of = name_in_braces if detailed else bare_parameter
            self._complain_of_unused(workflow, values, {name_of(text): text for text in values.get("parameters", {})})
        try:
            given = workflow.capacity if capacity is None else capacity_from(capacity)
            # Which hosts there will be is not known here: what is asked of those by name is checked when it runs.
            checked_whole(workflow, capacity=given, machines=workflow.machines, elsewhere=True)
        except WorkflowError as error:
            self._take(error.complaints, entries)
        self._raise()
        return workflow

    def _machines(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return where the tasks run; paths are relative to the file."""
        found = {key: values[key] for key in MACHINES if key in values}
        for names in ("hosts", "executors"):
            if names in found:
                found[names] = placed_forms(names, found[names], self.places.directory)
        return found

    def _complain_of_unused(self, workflow: Definition, values: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Complain of parameters without effect, by their texts, unless the document says that they may be."""
        listed = values.get("unused", ())
        for name in unused_parameters(workflow):
            if name not in listed:
                where = f"write {{{{{name}}}}} where its values belong, or take it away"
                self.faults.append(
                    (("parameters", texts[name]), f'is used by no task: {where}, or list it in "unused"')
                )
        for place, name in enumerate(listed):
            if name not in texts:
                hint = self.hints.near(name, texts)
                self.faults.append((("unused", place), f"is {cut(name)!r}, and no parameter here has that name{hint}"))

    def fragment(
        self, document: object, name: str, declared: Iterable[str], literals: Mapping[str, str], giver: str
    ) -> Definition:
        """Return the tasks of a document that goes into a workflow with declared parameters."""
        self.declared, self.literals, self.giver = frozenset(declared), dict(literals), giver
        path: Path = ()
        parameters: dict[str, list[Any]] = {}
        if isinstance(document, dict) and "tasks" in document and document.keys() <= WORKFLOW.keys():
            path = ("tasks",)
            detailed = is_detailed(document["tasks"])
            values = self._values(document, DETAILED_FRAGMENT if detailed else FRAGMENT)
            document = values.get("tasks", {})
            parameters = parameters_of(values, name_in_braces if detailed else bare_parameter)
            self.literals |= {text: name_in_braces(text) for text in values.get("parameters", {})}
        elif not isinstance(document, dict | list):
            self.faults.append(((), f"takes an object or a list of tasks; this is {describe_value(document)}"))
            document = {}
        workflow = Definition(name, parameters=parameters)
        self._fill(workflow, document, path, outside=True)
        self._raise()
        return workflow

    def _values(self, document: object, checks: Mapping[str, Check]) -> Mapping[str, Any]:
        values = check_object(document, checks, self.hints, self.faults, ())
        if isinstance(document, dict) and "tasks" not in document:
            self.faults.append(((), 'has no "tasks", an object or a list of them'))
        return values

    def _fill(self, workflow: Definition, tasks: Any, path: Path, *, outside: bool = False) -> list[DocumentEntry]:
        """Add the tasks to a workflow, with placeholders for those that are wrong, and return them in their order."""
        read = Entries(self.hints, self.faults, path, Literals(self.literals), self.giver)
        entries = read.read(tasks)
        ours = self.places.text is not None  # a text was read, and nobody else has what is in it
        if ours:
            tasks.clear()
        after = read.after(entries, outside=outside)
        passing: dict[str, list[str]] = {}  # of tasks that take the values of others, the names of those
        for entry in entries:
            taken = values_in(entry.values["arguments"]) if "arguments" in entry.values else ()
            if taken:
                passing[entry.name] = [*taken]
            else:
                self._put(workflow, entry, after)
                if ours:
                    entry.let_go()
        if passing:
            by_name = {entry.name: entry for entry in entries}
            for name in self._order_tasks(passing, by_name):
                self._put(workflow, by_name[name], after)
            places = {entry.name: place for place, entry in enumerate(entries)}
            workflow.tasks.sort(key=lambda task: places[task.name])  # as the document has them
            for index, task in enumerate(workflow.tasks):
                task.index = index
        return entries

    def _order_tasks(self, passing: dict[str, list[str]], by_name: Mapping[str, DocumentEntry]) -> list[str]:
        """Return tasks that take values, each after those whose values it takes."""
        for name, taken in passing.items():
            for each in [each for each in taken if each not in by_name]:
                hint = self.hints.near(each, by_name)
                text = f"takes the value of {cut(each)!r}, and no task here has that name{hint}"
                self.faults.append((by_name[name].at("arguments"), text))
        try:
            order = TopologicalSorter(
                {name: passing.keys() & set(taken) for name, taken in passing.items()}
            ).static_order()
            return list(order)
        except CycleError as error:
            cycle: list[str] = error.args[1]
            text = f"takes a value that needs its own: {' -> '.join(map(cut, reversed(cycle)))}"
            self.faults.append((by_name[cycle[0]].at("arguments"), text))
            return list(passing)

    def _put(self, workflow: Definition, entry: DocumentEntry, after: Mapping[str, list[str]]) -> None:
        """Add one task."""
        values = entry.values
        parameters = parameters_of(values) if "parameters" in values else None
        task, args, kwargs = self._call(entry)
        if args or kwargs:
            declared = {*self.declared, *workflow.parameters, *(parameters or ())} if "task" in values else set[str]()
            args, kwargs = self._fill_arguments(workflow, entry, [list(args), kwargs], declared)
        made = workflow.put(
            task,
            tuple(args),
            kwargs,
            place=self.places.of(entry.path),
            name=entry.name,
            after=after.get(entry.name, ()),
            parameters=parameters,
            group=values.get("class"),
            generator=values.get("generator", False),
            trigger_rule=values.get("trigger_rule", USUAL),
        )
        made.description = values.get("description")
        if "task" in values:
            made.written = values["task"]

    def _call(self, entry: DocumentEntry) -> Call:
        """Return what a task calls. For one with a fault it need not be looked for, and may hang on that fault."""
        try:
            if not entry.faulty or not entry.keys.isdisjoint(KINDS):
                kind = body_kind(tuple(entry.keys))
                if kind in entry.values:
                    return self.bodies.call(entry.name, kind, entry.values)
        except BodyRefused as refused:
            self.faults.append((entry.at(*refused.path), refused.text))
        return PLACEHOLDER

    def _fill_arguments(self, workflow: Definition, entry: DocumentEntry, arguments: Any, declared: set[str]) -> Any:
        """Return arguments with the tasks and the parameters that they speak of; those in commands stay as they are."""
        inside: set[str] = set()

        def leaf(value: Any) -> Any:
            if isinstance(value, dict):
                known = value[VALUE_OF] in workflow
                return workflow[value[VALUE_OF]] if known else None
            name = bare_parameter(value)
            if name != value and name in declared:
                return Parameter(name)
            inside.update(PLACE.findall(value))
            return value

        filled = replace_texts(arguments, leaf)
        for name in sorted(inside & declared):
            text = f'has {{{{{name}}}}} inside a longer text, which is filled in commands only: pass "{{{{{name}}}}}" alone'
            self.faults.append((entry.at("arguments"), text))
        return filled

    def _take(self, complaints: Iterable[Complaint], entries: list[DocumentEntry]) -> None:
        """Take what the check of the whole says, by the places that its tasks were given."""
        paths = {self.places.of(entry.path): entry.path for entry in entries}
        self.faults += [(paths.get(complaint.place, ()), complaint.text) for complaint in complaints]

    def _raise(self) -> None:
        if self.faults or self.complaints:
            raise WorkflowError([*self.complaints, *self.places.complaints(self.faults)])


def fragment_of(
    given: "str | bytes | Mapping[str, Any] | list[Any]",
    source: str,
    declared: Iterable[str] = (),
    literals: Mapping[str, str] = NO_LITERALS,
    giver: str = "",
) -> Definition:
    """Return the tasks that a generator gave, as a workflow that is not yet checked as a whole.

    They may be the object or the list of a document's "tasks", alone or with "parameters" in a document. Their parents
    may be names that are not among them, and `declared` names parameters that it has besides its own. `literals` are
    names of parameters by the texts that stand for them in tasks with details, and `giver` is the generator's node.
    """
    if not isinstance(given, str | bytes):
        return Reading(Places(source)).fragment(given, source, declared, literals, giver)
    places = Places(source, decode_text(given, source))
    document, complaints = parse_text(places)
    return Reading(places, complaints).fragment(document, source, declared, literals, giver)


def replace_texts(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return arguments, which have been found not to be deep, with texts and stand-ins replaced."""
    if isinstance(value, str) or is_task_stand_in(value):
        return leaf(value)
    if is_secret(value):
        return secret_from_form(value)
    if isinstance(value, dict):
        return {key: replace_texts(each, leaf) for key, each in value.items()}
    return [replace_texts(each, leaf) for each in value] if isinstance(value, list) else value


def is_task_stand_in(value: object) -> bool:
    """Return True if an argument stands for the value of a task."""
    return isinstance(value, dict) and VALUE_OF in value


def values_in(arguments: object) -> list[str]:
    """Return the names of the tasks whose values are among arguments."""
    found: list[str] = []
    left: list[Any] = [arguments]
    while left:
        container = left.pop()
        if is_task_stand_in(container):
            found.append(container[VALUE_OF])
        else:
            values = container.values() if isinstance(container, dict) else container
            left += [each for each in values if isinstance(each, dict | list)]
    return found
