"""Make instances of tasks: one for each combination of the values that a task uses, and barriers between many and many.

    Pull[DAY=d1] ─┐                  ┌─ Clean[DAY=d1]      Without the barrier there would be an edge from each to each:
    Pull[DAY=d2] ─┼─ (all of Pull) ──┼─ Clean[DAY=d2]      300 tasks before 300 others have 600 edges this way, and
    Pull[DAY=d3] ─┘                  └─ Clean[DAY=d3]      not 90,000.

Instances come in an order in which each is after what it waits for, and know each other by number.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from aiodag.workflows.check import Checked
from aiodag.workflows.model import WorkflowTask
from aiodag.workflows.parameters import Choice, choices, name_with

NO_CHOICE: Choice = {}
PLAIN, BARRIER, GENERATING, WHOLE = "", "barrier", "generating", "whole"


class Instance:
    """What one node is made of: a task with values of parameters, or something hidden between tasks.

    `passed` are the instances whose values it takes, by their task: one, or a list where the task uses parameters.
    `after` are those that it waits for beside them. A barrier that has `values` passes these on, as a list.
    """

    __slots__ = ("after", "choice", "kind", "name", "number", "passed", "task", "values")

    def __init__(
        self,
        number: int,
        name: str,
        kind: str,
        task: WorkflowTask[Any],
        after: Sequence[int],
        choice: Choice = NO_CHOICE,
        passed: "Mapping[WorkflowTask[Any], int | list[int]] | None" = None,
        values: Sequence[int] = (),
    ) -> None:
        self.number = number
        self.name = name
        self.kind = kind
        self.task = task
        self.after = after
        self.choice = choice
        self.passed = passed
        self.values = values

    def edges(self) -> Iterator[tuple[int, bool]]:
        """Yield the number of each upstream, and whether its value arrives."""
        for number in self.values:
            yield number, True
        for number in passing(self.passed):
            yield number, True
        for number in self.after:
            yield number, False


class Expansion:
    """The instances of a checked workflow, made one after the other, and which of them a task or group is.

    Where tasks have trigger rules, or `whole` is asked for, there is one more instance behind each generator, which settles
    when all that this has added has: for who goes on whatever the outcomes are.
    """

    def __init__(self, checked: Checked, *, whole: bool = False) -> None:
        self.checked = checked
        self.whole = whole or checked.ruled
        self._wholes: dict[int, int] = {}  # by the number of what settles at the first failure
        self.tasks = checked.tasks
        self.count = 0
        # Of a task without parameters its one instance, and what comes after it waits for; -1 for all others. Not lists:
        # most tasks are such, and there may be a million.
        self._single = array("q", [-1]) * len(checked.upstream)
        self._ends = self._single[:]
        # Of the others: all instances, what who comes after waits for, and the barrier between them and those.
        self._many: dict[int, list[int]] = {}
        self._members: dict[int, Sequence[int]] = {}
        self._gates: dict[int, int] = {}
        # How many wait for each of the others, without those that need no barrier, and of which the values are taken.
        self._wanted = dict.fromkeys([*checked.uses, *range(len(self.tasks), len(checked.upstream))], 0)
        self._taken: set[int] = set()
        if self._wanted:
            self._count_consumers()

    def _count_consumers(self) -> None:
        for vertex, upstream in enumerate(self.checked.upstream):
            if vertex < len(self.tasks) and self.tasks[vertex].apart:
                continue
            for up in upstream:
                if up in self._wanted:
                    self._wanted[up] += max(self.size(vertex), 1)
        self._taken.update([each.index for task in self.tasks for each in task.passed])

    def size(self, vertex: int) -> int:
        """Return how many instances of a task there are; a group counts as one."""
        uses = self.checked.uses.get(vertex)
        return 1 if uses is None else prod(len(uses[1][name]) for name in uses[0])

    def ends(self, vertex: int, *, apart: bool = False) -> Sequence[int]:
        """Return what has to be waited for to come after a task or group: each instance `apart`, or their barrier."""
        if self._ends[vertex] >= 0:
            return (self._ends[vertex],)
        if vertex in self._gates and not apart:
            return (self._gates[vertex],)
        return self._members[vertex]

    def wholes(self, ends: Sequence[int]) -> Sequence[int]:
        """Return the ends of a task or group for who goes on when all of it has settled."""
        return [self._wholes.get(end, end) for end in ends] if self._wholes else ends

    def values(self, vertex: int, *, apart: bool) -> int | list[int]:
        """Return the instance whose value a task is, or all of them."""
        if self._single[vertex] >= 0:
            return self._single[vertex]
        numbers = self._many[vertex]
        by_gate = vertex in self._gates and numbers and not apart and not self.tasks[vertex].generator
        return self._gates[vertex] if by_gate else numbers

    def __iter__(self) -> Iterator[Instance]:
        """Make the instances."""
        for vertex in self.checked.order:
            if vertex >= len(self.tasks):
                yield from self._group(vertex)
            elif vertex in self.checked.uses:
                yield from self._expanded(vertex)
            else:
                made = self._one(vertex)
                yield made
                if made.task.generator:
                    self._ends[vertex] = self.count
                    yield from self._hidden(made)

    def _new(self, name: str, kind: str, task: WorkflowTask[Any], after: Sequence[int], **more: Any) -> Instance:
        number = self.count
        self.count += 1
        return Instance(number, name, kind, task, after, **more)

    def _one(self, vertex: int) -> Instance:
        task = self.tasks[vertex]
        number = self._single[vertex] = self._ends[vertex] = self.count
        self.count += 1
        if not self.checked.upstream[vertex]:
            return Instance(number, task.name, PLAIN, task, ())
        return Instance(number, task.name, PLAIN, task, self._after(vertex), passed=self._passed(task))

    def _hidden(self, generator: Instance) -> Iterator[Instance]:
        """Make what stands behind a generator; the first of it is what comes after it usually waits for."""
        name, task, choice = f"{generator.name} generated", generator.task, generator.choice
        first = self._new(name, GENERATING, task, (generator.number,), choice=choice)
        yield first
        if self.whole:
            last = self._new(f"{name}, all of it", WHOLE, task, (generator.number,), choice=choice)
            self._wholes[first.number] = last.number
            yield last

    def _expanded(self, vertex: int) -> Iterator[Instance]:
        task = self.tasks[vertex]
        after, passed, size = self._after(vertex), self._passed(task), self.size(vertex)
        if saves(len(after), size) and not task.apart:
            yield (gate := self._new(f"before {task.name}", BARRIER, task, after))
            after = (gate.number,)
        numbers: list[int] = []
        ends: list[int] = [] if task.generator else numbers
        self._many[vertex], self._members[vertex] = numbers, ends
        names, known = self.checked.uses[vertex]
        for choice in choices(names, known) if size else ():
            made = self._new(name_with(task.name, choice), PLAIN, task, after, choice=choice, passed=passed)
            numbers.append(made.number)
            yield made
            if task.generator:
                ends.append(self.count)
                yield from self._hidden(made)
        if not size:  # what comes after it still waits for what comes before
            self._members[vertex] = unique([*after, *passing(passed)])
        yield from self._gate(vertex, task, values=numbers if vertex in self._taken and not task.generator else ())

    def _group(self, vertex: int) -> Iterator[Instance]:
        task = self.tasks[self.checked.upstream[vertex][0]]
        self._members[vertex] = unique(
            [end for up in self.checked.upstream[vertex] for end in self.ends(up, apart=True)]
        )
        waited = unique([end for up in self.checked.upstream[vertex] for end in self.ends(up)])
        yield from self._gate(vertex, task, waited=waited)

    def _gate(
        self,
        vertex: int,
        task: WorkflowTask[Any],
        values: Sequence[int] = (),
        waited: Sequence[int] | None = None,
    ) -> Iterator[Instance]:
        """Make a barrier behind many that many wait for."""
        ends = self._members[vertex] if waited is None else waited
        if saves(len(ends), self._wanted[vertex]):
            after = () if values else ends
            made = self._new(f"all of {self.checked.name(vertex)}", BARRIER, task, after, values=values)
            self._gates[vertex] = made.number
            yield made

    def _after(self, vertex: int) -> Sequence[int]:
        """Return what a task waits for without a value of it; for a generator that is passed, what it has generated."""
        task = self.tasks[vertex]
        passed = {each.index for each in task.passed if not each.generator and self.size(each.index)}
        ups = [up for up in self.checked.upstream[vertex] if up not in passed]
        ends = unique([end for up in ups for end in self.ends(up, apart=task.apart)])
        return self.wholes(ends) if task.rule is not None else ends

    def _passed(self, task: WorkflowTask[Any]) -> "dict[WorkflowTask[Any], int | list[int]] | None":
        if not task.passed:
            return None
        return {each: self.values(each.index, apart=task.task.raw) for each in task.passed}


def passing(passed: "Mapping[WorkflowTask[Any], int | list[int]] | None") -> Iterator[int]:
    """Yield the numbers of the instances that are passed."""
    for given in (passed or {}).values():
        yield from [given] if isinstance(given, int) else given


def unique(numbers: Sequence[int]) -> Sequence[int]:
    """Return numbers without repetition, in order."""
    return tuple(dict.fromkeys(numbers)) if len(numbers) > 1 else tuple(numbers)


def saves(many: int, others: int) -> bool:
    """Tell whether a barrier between so many has fewer edges than there are from each to each."""
    return many * others > many + others
