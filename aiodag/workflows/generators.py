"""What a generator gives: more tasks, as a definition that a later execution can read again.

It is checked inside the generator's own node, so that one whose tasks cannot be added fails with the reason, and nothing
is added. What is recorded is the definition: a resumed run adds the same tasks and does not call the generator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiodag._core.capacity import Capacity
from aiodag._core.task import Task
from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.check import Around, Checked, checked
from aiodag.workflows.expand import Expansion, Instance
from aiodag.workflows.parameters import Given

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag.workflows.builder import Workflow


def generating(task: Task[..., Any], definition_of: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return the call of a generator's body: as that of its task, with what it gives made a definition."""
    call = task.call

    async def body(node: "Node[Any]", args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if call is not None:
            return definition_of(await call(node, args, kwargs))
        node.engine.begin(node)
        return definition_of(await task.fn(*args, **kwargs))

    return body


def definition_of(given: Any, name: str, known: Given) -> dict[str, Any]:
    """Return the definition of what a generator gave: its tasks and their parameters, beside those that are known.

    Raises `WorkflowError` for what is no tasks, or cannot be written down.
    """
    written: Any = getattr(given, "stdout", given)  # of a command
    if hasattr(written, "tasks"):
        made: Workflow = written
    elif isinstance(written, str | bytes | Mapping) or (isinstance(written, list) and not any(map(callable, written))):
        made = read(written, name, known)
    else:
        made = workflow_of(written, name)
    refuse_repeated(made)  # a document has a place for one task of a name
    document: dict[str, Any] = import_module("aiodag.workflows.document").document_of(made, exact=True)
    return {key: document[key] for key in ("parameters", "tasks") if key in document}


def refuse_repeated(made: "Workflow") -> None:
    """Complain of tasks that have the name of another. Raises `WorkflowError`."""
    twice = [each for each in made.tasks if made[each.name] is not each]
    if twice:
        raise WorkflowError(
            [Complaint(each.place, f"the name {each.name!r} is taken: it is given twice") for each in twice]
        )


def workflow_of(given: Any, name: str) -> "Workflow":
    """Return tasks that are listed as a workflow. Raises `WorkflowError`."""
    made: Workflow = import_module("aiodag.workflows.builder").Workflow(name)
    if not isinstance(given, Iterable) or not all(map(callable, items := list(given))):
        text = f"a generator gives a workflow, a list of tasks and commands, or their JSON form, and not {given!r:.200}"
        raise WorkflowError([Complaint(name, text)])
    for each in items:
        made.put(each, (), {}, place=name)
    return made


def read(given: Any, name: str, known: Given) -> "Workflow":
    """Return tasks in their JSON form as a workflow. Raises `WorkflowError`."""
    made: Workflow = import_module("aiodag.workflows.load").fragment_of(given, name, tuple(known))
    return made


def fragment(definition: Any, instance: Instance, known: Given) -> "Workflow":
    """Return what a generator has given, with the parameters that are known, and those of its own node as they are there."""
    made = read(definition, instance.name, known)
    made.parameters = {**known, **{key: [value] for key, value in instance.choice.items()}, **made.parameters}
    return made


def checked_fragment(made: "Workflow", around: Around, capacity: Capacity | None) -> Checked:
    """Check tasks that are to be added, down to the names of their nodes. Raises `WorkflowError`."""
    found = checked(made, around, capacity=capacity, runs=True)
    complaints = [
        Complaint(each.task.place, f"the name {each.name!r} is taken: a task of that name is there already")
        for each in Expansion(found)
        if not each.kind and around.has(each.name)
    ]
    if complaints:
        raise WorkflowError(complaints)
    return found


def behind(found: Checked, vertex: int) -> set[int]:
    """Return what comes after a task, and the task itself."""
    downstream: list[list[int]] = [[] for _ in found.upstream]
    for each, upstream in enumerate(found.upstream):
        for up in upstream:
            downstream[up].append(each)
    seen = {vertex}
    left = [vertex]
    while left:
        for each in downstream[left.pop()]:
            if each not in seen:
                seen.add(each)
                left.append(each)
    return seen
