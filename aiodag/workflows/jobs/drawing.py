"""The graph of a jobs form before it runs: jobs with their stages in them, as far as nothing depends on values.

A job waits for those that it needs, a stage for the one before it. What is in a job, a combination, a branch or a turn of a loop
hangs on it, as what a node calls does when it runs. What only values can tell has one node, `load[…]`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag.errors import ExpressionError, WorkflowError
from aiodag.states import State
from aiodag.workflows.jobs.matrix import MatrixRefused, combinations_of, value_shown_short
from aiodag.workflows.jobs.model import JobsDefinition, Matrix, Stage, WorkflowJob
from aiodag.workflows.params import bind_params

MOST_TURNS = 100  # of a loop, each drawn with its stages
MOST_DRAWN = 100_000  # stages of a job, in all of its combinations
UNKNOWN = ("…",)


def draw_jobs(definition: JobsDefinition, given: Mapping[str, Any], name: str | None = None) -> Graph:
    """Return the graph that the jobs will have when the params have the values that are given."""
    drawing = Drawing(known_params(definition, given))
    numbers = {job.id: drawing.job(job) for job in definition.jobs.values()}
    for job in definition.jobs.values():
        for need in job.needs:
            drawing.join(numbers[need], numbers[job.id], settled=job.trigger_rule != "all_success")
    return Graph(name or definition.name, drawing.nodes, drawing.edges)


def known_params(definition: JobsDefinition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the params that have one."""
    known: dict[str, Any] = {}
    for name, param in definition.params.items():
        with suppress(WorkflowError):  # it is missing, or wrong: told when it is to run
            known |= bind_params({name: param}, {name: given[name]} if name in given else {})
    return known


class Drawing:
    """The nodes and edges that have been drawn so far."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.nodes: list[GraphNode] = []
        self.edges: list[GraphEdge] = []

    def node(self, name: str, place: str, parent: int | None, rule: str = "") -> int:
        """Draw a node, and return its number."""
        label = f"{name} ({rule})" if rule else name
        self.nodes.append(GraphNode(len(self.nodes), name, label, State.WAITING, site=place, parent=parent))
        return len(self.nodes) - 1

    def join(self, source: int, target: int, *, settled: bool = False) -> None:
        """Draw an edge."""
        self.edges.append(GraphEdge(source, target, "exogenous", settled))

    def job(self, job: WorkflowJob) -> int:
        """Draw a job, and return the number of its node."""
        number = self.node(job.id, job.place, None, "" if job.trigger_rule == "all_success" else job.trigger_rule)
        if job.matrix is None:
            self.stages(job.stages, number)
            return number
        names = self.combinations(job.matrix)
        if len(names) * count_stages(job.stages) > MOST_DRAWN:
            names = UNKNOWN
        for name in names:
            self.stages(job.stages, self.node(f"{job.id}[{name}]", job.matrix.place, number))
        return number

    def combinations(self, matrix: Matrix) -> Collection[str]:
        """Return the names of a matrix' combinations, as far as they are known."""
        templates = [each for each in (matrix.axes, matrix.include, matrix.exclude) if each is not None]
        if any(not self.knows(read) for template in templates for read in template.names):
            return UNKNOWN
        try:
            return combinations_of(matrix, {"params": self.params})
        except (ExpressionError, MatrixRefused):  # told when it runs
            return UNKNOWN

    def knows(self, read: Sequence[str]) -> bool:
        """Return True if what an expression reads is known."""
        return len(read) > 1 and read[0] == "params" and read[1] in self.params

    def stages(self, stages: Sequence[Stage], parent: int) -> None:
        """Draw stages, each after the one before it."""
        before: int | None = None
        for stage in stages:
            number = self.node(stage.id, stage.place, parent)
            if before is not None:
                self.join(before, number, settled=runs_after_failure(stage))
            before = number
            for name, inside in parts_of(stage):
                self.stages(inside, self.node(f"{stage.id}[{name}]", stage.place, number))


def runs_after_failure(stage: Stage) -> bool:
    """Return True if a stage may run when the one before it has failed."""
    return stage.always or (stage.condition is not None and stage.condition.uses_status)


def parts_of(stage: Stage) -> Iterable[tuple[str, Sequence[Stage]]]:
    """Return what is in a stage, by names: branches, or turns as far as they are known."""
    if stage.branches:
        return [(value_shown_short(name), inside) for name, inside in stage.branches.items()]
    if not stage.stages:
        return ()
    return [(name, stage.stages) for name in turns_of(stage)]


def turns_of(stage: Stage) -> Iterable[str]:
    """Return the names of the turns of a loop."""
    body = stage.body
    if stage.kind != "foreach" or body is None or not body.plain:
        return UNKNOWN
    items = body.render({})
    keys = range(items) if isinstance(items, int) else items if isinstance(items, dict) else range(len(items))
    return [value_shown_short(key) for key in keys] if len(keys) <= MOST_TURNS else UNKNOWN


def count_stages(stages: Iterable[Stage]) -> int:
    """Return how many stages there are, with those inside."""
    count = 0
    left = [*stages]
    while left:
        stage = left.pop()
        count += 1
        left += [*stage.stages, *(each for branch in stage.branches.values() for each in branch)]
    return count
