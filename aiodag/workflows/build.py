"""Make the nodes of a workflow in a run, and give back their values.

Instances become calls of tasks, in the run that is entered: ordinary nodes, each after its upstream. Two kinds are hidden.
A barrier only joins edges. Behind a generator there are two nodes, so that what comes after waits for all that it adds:

    generator ── (adds) ── (generated) ── after        (adds) makes the new nodes, and has (generated), which still waits,
                   ○ new ───────┘                      wait for them, too. So a failure among them skips what comes after.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag._core.held import HeldNode
from aiodag._core.ledger import with_rule
from aiodag._core.options import TaskOptions
from aiodag._core.rules import WHOLE as WHOLE_RULE
from aiodag._core.rules import Rule, judge
from aiodag._core.submit import submit
from aiodag._core.task import Task
from aiodag.errors import WorkflowError
from aiodag.states import State
from aiodag.workflows.check import Checked
from aiodag.workflows.expand import BARRIER, PLAIN, WHOLE, Expansion, Instance
from aiodag.workflows.generators import Present, Wait, checked_fragment, definition_of, fragment
from aiodag.workflows.lead import MISSING, Lead, settled_value
from aiodag.workflows.model import WorkflowTask
from aiodag.workflows.named import (
    Adding,
    Barrier,
    Generating,
    Named,
    in_order,
    joined,
    known_by_name,
    module_of_function,
)
from aiodag.workflows.parameters import declared_parameters, fill_argument, is_command, whole_command

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run

R = TypeVar("R")
TURN = 64  # nodes that are made before the loop has its turn: a few milliseconds
PLANNED = 1000  # the same where no node will run


class Building:
    """The nodes of one workflow in one run, as `Workflow.build` made them.

    >>> from aiodag import Run, task
    >>> from aiodag.workflows import Workflow
    >>> flow = Workflow("etl")
    >>> total = flow.add(task(sum), [1, 2], name="total")
    >>> async with Run("both"):
    ...     building = await flow.build()
    >>> building.values()["total"]
    3
    """

    def __init__(
        self, checked: Checked, run: "Run", within: "Building | None" = None, giver: Instance | None = None
    ) -> None:
        self.checked = checked
        self.run = run
        self.within = within  # what this was added to, and by which generator there
        self.giver = giver
        self.expansion: Expansion = Expansion(checked, whole=within is not None and within.expansion.whole)
        self.nodes: list[Any] = []  # or the values of those that were let go of
        self._turn = PLANNED if run.planned else TURN
        self.ready: asyncio.Future[None] = run.loop.create_future()
        self.added: list[Building] = []
        # Behind each generator: the node that adds tasks, and those that wait for what it has added.
        self._joints: dict[Node[Any], tuple[Node[Any], list[Node[Any]]]] = {}
        # The names of the run's nodes that generators have given, with theirs: nobody may give one again.
        self.given: dict[str, str] = {} if within is None else within.given
        # What their tasks wait for in this workflow, by generator.
        self.waits: dict[str, Wait] = {}
        # Recorded tasks that cannot be added any more.
        self.refused: list[WorkflowError] = [] if within is None else within.refused
        self._prototypes: dict[tuple[Task[..., Any], bool, bool, Rule | None], Task[..., Any]] = {}

    async def make(self) -> None:
        """Make the nodes, giving way to the loop now and then."""
        for instance in self.expansion:
            self.nodes.append(self._node_of(instance))
            if len(self.nodes) % self._turn == 0:
                await asyncio.sleep(0)
        self.ready.set_result(None)

    async def make_ahead(self) -> None:
        """Make the nodes while the first of them run, a bounded lead ahead, and hold none for longer than it is needed.

        Only of a workflow without generators: what these give may wait for any of its nodes. When the run is to end, what
        is not made yet never is.
        """
        nodes = self.nodes
        lead = Lead(self.expansion, self.run, nodes)
        for vertex in self.checked.order:
            for instance in self.expansion.of(vertex):
                if instance.kind is BARRIER:
                    lead.gate(instance.number)
                node = self._node_of(instance)
                if node.run is not None:
                    lead.numbers.note(node.number, instance.number)
                nodes.append(node)
                if not len(nodes) % self._turn:
                    await asyncio.sleep(0)
                    await lead.room(vertex)
                    if self.run.stopping:
                        return
            lead.complete(vertex)

    def _node_of(self, instance: Instance) -> "Node[Any]":
        after = [self.nodes[number] for number in instance.after] if instance.after else []
        if instance.kind is PLAIN:
            return self._call_instance(instance, after)
        if instance.kind is BARRIER:
            values = [self.nodes[number] for number in instance.values]
            made = Barrier(joined, instance.name, in_order(after))
            return self._submit_task(instance, made, (values,) if values else (), {})
        (before,) = after
        return self._whole(instance, before) if instance.kind is WHOLE else self._behind_generator(instance, before)

    def _call_instance(self, instance: Instance, after: "list[Node[Any]]") -> "Node[Any]":
        given, choice = instance.task, instance.choice
        outside = self.checked.outside.get(given.index)
        if outside is not None:
            after += [node for name in outside for node in self._outside(name, apart=given.task.raw)]
        args, kwargs = given.args, given.kwargs
        if instance.passed or choice:
            texts = bool(choice) and is_command(given.task)
            stand_in = partial(self._value_of, instance.passed or {})
            args = tuple([fill_argument(each, choice, texts=texts, stands_for=stand_in) for each in args])
            kwargs = {
                key: fill_argument(each, choice, texts=texts, stands_for=stand_in) for key, each in kwargs.items()
            }
        return self._submit_task(instance, self._task_of(instance, in_order(after) if after else ()), args, kwargs)

    def _value_of(self, passed: "Mapping[WorkflowTask[Any], int | Sequence[int]]", given: WorkflowTask[Any]) -> Any:
        numbers = passed[given]
        return self.nodes[numbers] if isinstance(numbers, int) else [self.nodes[number] for number in numbers]

    def _task_of(self, instance: Instance, after: tuple[Any, ...]) -> Task[..., Any]:
        """Return the task under the name of a node."""
        given, of = instance.task, instance.task.task
        kind = of, given.name != of.name, given.generator, given.rule
        known = self._prototypes.get(kind)
        if known is not None:
            made = known
        elif of.encloses:  # a job, which is what its name says, wherever the code that runs it stands
            made = of
        elif is_command(of):
            made = known_by_name(given, whole_command(of, instance.choice, instance.name), renamed=False, module="")
        else:
            module = module_of_function(of, self.run)
            made = self._prototypes[kind] = known_by_name(given, of, renamed=kind[1], module=module)
        if given.generator:
            return Generating(made, instance.name, after, given.rule, partial(self._definition, instance))
        if made.name == instance.name and not after and given.rule is None:
            return made
        return Named(made, instance.name, after, given.rule)

    def _submit_task(
        self, instance: Instance, made: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "Node[Any]":
        node = submit(made, *args, **kwargs)
        if made.rule is not None and node.state is State.WAITING and judge(node, None):
            node.engine.sweep(node)
        if node.run is not None:
            node.run.ledger.place(node, instance.task.code, instance.task.instruction)
        return node

    # Generators

    def _behind_generator(self, instance: Instance, generator: "Node[Any]") -> "Node[Any]":
        """Make the node that adds tasks, and return the one that waits for them."""
        giver = Instance(instance.number, generator.name, PLAIN, instance.task, (), instance.choice)

        async def add(definition: object) -> None:
            await self._add(giver, definition, joints)

        adding = Adding(add, (), TaskOptions(name=f"{generator.name} adds", journal=False))
        added = self._submit_task(instance, adding, (generator,), {})
        joints = [self._submit_task(instance, Barrier(joined, instance.name, (added,)), (), {})]
        self._joints[generator] = added, joints
        return joints[0]

    def _whole(self, instance: Instance, generator: "Node[Any]") -> "Node[Any]":
        """Make the node that waits for all that a generator adds, whatever becomes of it."""
        added, joints = self._joints[generator]
        joints.append(self._submit_task(instance, Barrier(joined, instance.name, (added,), WHOLE_RULE), (), {}))
        return joints[-1]

    def _definition(self, instance: Instance, value: object) -> Any:
        """Return the record of what a generator gave. Raises `WorkflowError` for tasks that cannot be added."""
        workflow = self.checked.workflow
        definition = definition_of(
            value, instance.name, declared_parameters(workflow, instance.task), workflow.literals
        )
        self._check_given(instance, definition)
        return definition

    def _check_given(self, instance: Instance, definition: object) -> Checked:
        """Return the tasks that a generator has given, and take their names, and note what they wait for."""
        made = fragment(definition, instance, declared_parameters(self.checked.workflow, instance.task))
        present = Present(self, instance)
        found = checked_fragment(made, present, self.run.capacity)
        self.given.update([(each.name, instance.name) for each in Expansion(found)])
        for level, wait in present.waits(found):
            level.waits[instance.name] = wait
        return found

    async def _add(self, instance: Instance, definition: object, joints: "list[Node[Any]]") -> None:
        """Make the nodes of what a generator has given, and have what comes after it wait for them."""
        for each in self.levels():
            await each.ready
        try:
            found = self._check_given(instance, definition)
        except WorkflowError as error:  # what was recorded fitted, and now there is another workflow around it
            self.refused.append(error)
            made = [self._refusal(instance, error)]
        else:
            building = Building(found, self.run, self, instance)
            self.added.append(building)
            await building.make()
            made = building.nodes
        for joint in joints:
            also_after(joint, made)

    def _refusal(self, instance: Instance, error: WorkflowError) -> "Node[Any]":
        """Make a node that fails with the reason, and counts: what adds tasks only joins edges."""

        async def refuse() -> None:
            raise error

        made: Task[..., Any] = Task(refuse, (), TaskOptions(name=f"{instance.name} adds tasks", journal=False))
        return self._submit_task(instance, made, (), {})

    def levels(self) -> "Iterator[Building]":
        """Yield this, and what it was added to, up to the workflow itself."""
        level: Building | None = self
        while level is not None:
            yield level
            level = level.within

    def _outside(self, name: str, *, apart: bool) -> "list[Node[Any]]":
        """Return the nodes of a task or group of what this was added to."""
        for level in self.levels():
            vertices = level.checked.named(name) if level is not self else ()
            if vertices:
                ends = [end for vertex in vertices for end in level.expansion.ends(vertex, apart=apart)]
                return [level.nodes[end] for end in dict.fromkeys(ends)]
        return []

    # Values

    async def bring_home(self) -> None:
        """Have all values here that have stayed with their executors, for `values` to have them. Raises `ValueGone`."""
        held = [node for level in self._all() for node in level.nodes if type(node) is HeldNode]
        for node in [each for each in held if not each.done()]:  # asking has all of them fetched, and at once
            await node

    def values(self) -> "Values":
        """Return the values of the nodes that have succeeded."""
        found: dict[str, Any] = {}
        for level in self._all():
            for each in level.checked.tasks:
                value = level._value(each.index)  # noqa: SLF001 - one of ours
                if value is not MISSING:
                    # The same task of several instances of a generator: all its values, as of any with parameters.
                    found[each.name] = found[each.name] + value if each.name in found else value
        return Values(found, self.run)

    def _all(self) -> "Iterator[Building]":
        left: list[Building] = [self]
        while left:
            level = left.pop()
            yield level
            left.extend(reversed(level.added))

    def _value(self, vertex: int) -> Any:
        if not self.expansion.is_made(vertex):
            return MISSING
        numbers = self.expansion.values(vertex, apart=True)
        if isinstance(numbers, int):
            return settled_value(self.nodes[numbers])
        values = [settled_value(self.nodes[number]) for number in numbers]
        return MISSING if any(each is MISSING for each in values) else values


async def build_nodes(checked: Checked, run: "Run") -> Building:
    """Make the nodes of a workflow in a run that is entered."""
    building = Building(checked, run)
    await building.make()
    return building


def generates(checked: Checked) -> bool:
    """Return True if tasks may be added to a workflow while it runs."""
    return any(task.generator for task in checked.tasks)


def also_after(node: "Node[Any]", upstream: "Sequence[Node[Any]]") -> None:
    """Have a node that waits wait for more."""
    if node.state is not State.WAITING:
        return
    edges = [(up, node.task.rule is not None) for up in upstream]
    node.after = (*node.after, *upstream)
    node.connect(edges)
    if node.run is not None:
        node.run.ledger.also_after(node, upstream)
        if node.run.journal is not None:
            node.run.journal.connect(node, edges, exogenous=len(edges))
    # One of them may have decided already.
    if node.state.final or (node.task.rule is not None and judge(node, None)):
        node.engine.sweep(node)


class Values(Mapping[str, Any]):
    r"""The values of a workflow's tasks by their names; for a task with parameters, the list of its values, in order.

    What did not succeed has none. `run` is the run.

    >>> from aiodag.workflows import loads
    >>> values = await loads('{"tasks": {"greet": {"command": ["echo", "hello"]}}}').run()
    >>> values["greet"].stdout, values.run.state.value
    ('hello\n', 'succeeded')
    """

    def __init__(self, values: dict[str, Any], run: "Run") -> None:
        self._values = values
        self.run = run

    @overload
    def __getitem__(self, task: WorkflowTask[R], /) -> R: ...
    @overload
    def __getitem__(self, task: str, /) -> Any: ...
    def __getitem__(self, task: Any, /) -> Any:
        """Return the value of a task. Raises `KeyError` for one that has none."""
        return self._values[task.name if isinstance(task, WorkflowTask) else task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Values of {len(self)} tasks in {self.run!r}>"


def draw_workflow(checked: Checked) -> Graph:
    """Return the graph of a workflow before it runs."""
    nodes: list[GraphNode] = []
    edges: list[GraphEdge] = []
    for each in Expansion(checked):
        kinds = {True: "endogenous", False: "exogenous"}
        barrier = each.kind is not PLAIN
        any_outcome = each.kind is WHOLE or (each.task.apart and not barrier)
        edges += [GraphEdge(up, each.number, kinds[passed], any_outcome) for up, passed in each.edges()]
        label = each.name if each.task.rule is None or barrier else with_rule(each.name, each.task.rule)
        nodes.append(GraphNode(each.number, each.name, label, State.WAITING, site=each.task.place, barrier=barrier))
    return Graph(checked.workflow.name, nodes, edges)
