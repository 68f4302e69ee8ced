"""What a generator gives: more tasks, as a definition that a later execution can read again.

It is checked inside the generator's own node, so that one whose tasks cannot be added fails with the reason, and nothing
is added. What is recorded is the definition: a resumed run adds the same tasks and does not call the generator.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodag._core.capacity import Capacity
from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.check import Around, Checked, check_workflow, cycle_path
from aiodag.workflows.definition import Definition
from aiodag.workflows.expand import Expansion, Instance
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.reading import fragment_of
from aiodag.workflows.parameters import Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiodag._core.node import Node
    from aiodag.workflows.build import Building
    from aiodag.workflows.model import WorkflowTask

Wait: TypeAlias = tuple[int, Collection[int]]  # a generator, and what tasks that it has given wait for, in its workflow
BROKEN = "\ufffd"  # in place of bytes that are not UTF-8


class Defining:
    """Turns what a generator gives into a definition: in each attempt, so that one with bad output is tried again."""

    def __init__(self, define: Callable[[Any], Any]) -> None:
        self.define = define

    async def __call__(self, node: "Node[Any]", call_next: Callable[[], Awaitable[Any]]) -> Any:
        """Return the definition of what was given. Raises `WorkflowError` for what cannot be added."""
        try:
            return self.define(await call_next())
        finally:
            del node, call_next  # a failure's traceback holds this frame


def definition_of(given: object, name: str, known: Given, literals: Mapping[str, str]) -> dict[str, Any]:
    """Return the definition of what a generator gave: its tasks and their parameters, besides those that are known.

    `literals` are names of these by the texts that stand for them where tasks have details. Raises `WorkflowError` for what does not define tasks, or cannot be written down.
    """
    written: Any = printed_text(given, name) if hasattr(given, "stdout_dropped") else given
    if isinstance(written, Definition):
        made = written
    elif isinstance(written, str | bytes | Mapping) or (isinstance(written, list) and not any(map(callable, written))):
        made = read_tasks(written, name, known, literals)
    else:
        made = workflow_from_list(written, name)
    refuse_repeated(made)  # a document has a place for one task of a name
    document = document_of(made, exact=True)
    return {key: document[key] for key in ("parameters", "tasks") if key in document}


def printed_text(finished: Any, name: str) -> str:
    """Return what a command has printed. Raises `WorkflowError` for what is not all of it, or has become other text."""
    text: str = finished.stdout
    if finished.stdout_dropped:
        why = f"{finished.stdout_dropped:,} bytes of it were dropped: give the command a larger keep="
    elif finished.masked:
        why = 'it holds a secret, which is never recorded. Have it print {"$secret": "NAME"} in place of the text'
    elif BROKEN in text:
        line = text.count("\n", 0, text.index(BROKEN)) + 1
        why = (
            f"line {line} is not valid UTF-8. Have the command write UTF-8, and the character U+FFFD itself as \\ufffd"
        )
    else:
        return text
    raise WorkflowError([Complaint(output_of(name), why)])


def refuse_repeated(made: Definition) -> None:
    """Complain of tasks that have the name of another. Raises `WorkflowError`."""
    twice = [each for each in made.tasks if made[each.name] is not each]
    if twice:
        raise WorkflowError(
            [Complaint(each.place, f"the name {each.name!r} is taken: it is given twice") for each in twice]
        )


def workflow_from_list(given: object, name: str) -> Definition:
    """Return tasks that are listed as a workflow. Raises `WorkflowError`."""
    made = Definition(name)
    if not isinstance(given, Iterable) or not all(map(callable, items := list(given))):
        text = f"a generator gives a workflow, a list of tasks and commands, or their JSON form, and not {given!r:.200}"
        raise WorkflowError([Complaint(output_of(name), text)])
    for each in items:
        made.put(each, (), {}, place=output_of(name))
    return made


def output_of(name: str) -> str:
    """Return how complaints and places speak of what a generator gave."""
    return f"output of {name}"


def read_tasks(given: Any, name: str, known: Given, literals: Mapping[str, str]) -> Definition:
    """Return tasks in their JSON form as a workflow. Raises `WorkflowError`."""
    return fragment_of(given, output_of(name), tuple(known), literals, name)


def fragment(definition: object, instance: Instance, known: Given) -> Definition:
    """Return what a generator has given, with the parameters that are known, and those of its own node as they are there."""
    made = read_tasks(definition, instance.name, known, {})
    made.parameters = {**known, **{key: [value] for key, value in instance.choice.items()}, **made.parameters}
    return made


def checked_fragment(made: Definition, around: Around, capacity: Capacity | None) -> Checked:
    """Check tasks that are to be added, down to the names of their nodes. Raises `WorkflowError`."""
    found = check_workflow(made, around, capacity=capacity, runs=True)
    complaints = [
        Complaint(each.task.place, f"the name {each.name!r} is taken: a task of that name is there already")
        for each in Expansion(found)
        if not each.kind and around.has(each.name)
    ]
    if complaints:
        raise WorkflowError(complaints)
    return found


class Present(Around):
    """The graph that a generator adds to, as its new tasks find it."""

    def __init__(self, building: "Building", generator: Instance) -> None:
        self.building = building
        self.generator = generator
        self.behind: dict[Building, dict[int, int]] = {}  # what comes after the generator, or what gave that

    def has(self, name: str) -> bool:
        """Return True if a name is taken: but not by what the same generator gave before, in an attempt that failed."""
        giver = self.building.given.get(name)
        known = any(level.checked.has(name) for level in self.building.levels())
        return known if giver is None else giver != self.generator.name

    def why_not(self, name: str) -> str | None:
        """Return why a name cannot be waited for."""
        for level, generator in self._levels():
            vertices = level.checked.named(name)
            if vertices:
                if level not in self.behind:
                    self.behind[level] = following_tasks(level.checked, generator.index, level.waits.values())
                before = self.behind[level]
                late = next((each for each in vertices if each in before), None)
                if late is None:
                    return None
                ring = cycle_path(level.checked, ring_of(before, late))
                return f"which comes after {generator.name!r}, that gives it (cycle: {ring})"
        return super().why_not(name)

    def waits(self, found: Checked) -> "Iterator[tuple[Building, Wait]]":
        """Yield what new tasks wait for in each workflow around them, and which generator there they belong to."""
        left = dict.fromkeys([name for names in found.outside.values() for name in names])
        for level, generator in self._levels():
            waited = {name: level.checked.named(name) for name in left}
            yield level, (generator.index, [vertex for vertices in waited.values() for vertex in vertices])
            left = dict.fromkeys([name for name, vertices in waited.items() if not vertices])

    def _levels(self) -> "Iterator[tuple[Building, WorkflowTask[Any]]]":
        """Yield each workflow around new tasks, with the generator in it that they come from."""
        generator = self.generator.task
        for level in self.building.levels():
            yield level, generator
            if level.giver is not None:
                generator = level.giver.task


def following_tasks(found: Checked, vertex: int, more: Iterable[Wait]) -> dict[int, int]:
    """Return what comes after a task, each with the one before it, and the task itself.

    `more` are generators that have given tasks which wait, and with them what comes after these.
    """
    downstream: list[list[int]] = [[] for _ in found.upstream]
    for each, upstream in enumerate(found.upstream):
        for up in upstream:
            downstream[up].append(each)
    for each, waited in more:
        for up in waited:
            downstream[up].append(each)
    before = {vertex: vertex}
    left = [vertex]
    while left:
        up = left.pop()
        for each in downstream[up]:
            if each not in before:
                before[each] = up
                left.append(each)
    return before


def ring_of(before: Mapping[int, int], vertex: int) -> list[int]:
    """Return the way to something that comes after a task, from that task on."""
    way = [vertex]
    while before[way[-1]] != way[-1]:
        way.append(before[way[-1]])
    return way[::-1]
