"""Make instances of tasks: one for each combination of the values that a task uses, and barriers between many and many.

    Pull[DAY=d1] ─┐                  ┌─ Clean[DAY=d1]      Without the barrier there would be an edge from each to each:
    Pull[DAY=d2] ─┼─ (all of Pull) ──┼─ Clean[DAY=d2]      300 tasks before 300 others have 600 edges this way, and
    Pull[DAY=d3] ─┘                  └─ Clean[DAY=d3]      not 90,000.

Instances come in an order in which each is after what it waits for, and know each other by number.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiodag.workflows.check import Checked
from aiodag.workflows.model import Group, WorkflowTask
from aiodag.workflows.paired import Positions, choices, count_of, meets_one, shared_groups
from aiodag.workflows.parameters import Choice, name_with

NO_CHOICE: Choice = {}
PLAIN, BARRIER, GENERATING, WHOLE = "", "barrier", "generating", "whole"


class Instance:
    """What one node is made of: a task with values of parameters, or something hidden between tasks.

    `passed` are the instances whose values it takes, by their task: one, or a list where the task uses parameters.
    `after` are the others that it waits for. A barrier that has `values` passes these on, as a list.
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
        passed: "Mapping[WorkflowTask[Any], int | Sequence[int]] | None" = None,
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
    when all that this has added has: for what goes on whatever the outcomes are.
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
        self._made = bytearray(len(checked.upstream))
        # Of the others: all instances, what those after it wait for, and the barrier between them and those.
        self._many: dict[int, Sequence[int]] = {}
        self._members: dict[int, Sequence[int]] = {}
        self._gates: dict[int, int] = {}
        # How many wait for each of the others, without those that need no barrier, and of which the values are taken.
        self._wanted = dict.fromkeys([*checked.uses, *range(len(self.tasks), len(checked.upstream))], 0)
        self._taken: set[int] = set()
        # Of paired tasks: their instances by the places of their values, each with what comes after it waits for.
        self._met: dict[tuple[int, tuple[Group, ...]], dict[tuple[int, ...], list[tuple[int, int]]]] = {}
        if self._wanted:
            self._count_consumers()

    def _count_consumers(self) -> None:
        for vertex, upstream in enumerate(self.checked.upstream):
            if vertex < len(self.tasks) and self.tasks[vertex].apart:
                continue
            partners = self._partners(vertex)
            for up in upstream:
                if up in self._wanted and not (partners and self._meets(up, partners)):
                    self._wanted[up] += max(self.size(vertex), 1)
        self._taken.update([each.index for task in self.tasks for each in task.passed])

    def size(self, vertex: int) -> int:
        """Return how many instances of a task there are; a group counts as one."""
        uses = self.checked.uses.get(vertex)
        return 1 if uses is None else count_of(*uses, self.checked.workflow.paired)

    def _groups(self, vertex: int, up: int) -> tuple[Group, ...]:
        """Return the paired parameters by which instances of a task meet those of another."""
        paired = self.checked.workflow.paired
        return shared_groups(self.checked.uses.get(vertex), self.checked.uses.get(up), paired) if paired else ()

    def _meets(self, up: int, partners: Collection[int]) -> bool:
        """Return True for a task, or for a group with a task, that is met value by value."""
        members = self.checked.upstream[up] if up >= len(self.tasks) else (up,)
        return not set(partners).isdisjoint(members)

    def _partners(self, vertex: int) -> dict[int, tuple[Group, ...]]:
        """Return what a task meets value by value, also such as a group has that it waits for."""
        if not self.checked.workflow.paired or vertex not in self.checked.uses or not self.size(vertex):
            return {}
        upstream = self.checked.upstream
        ups = [each for up in upstream[vertex] for each in ((up,) if up < len(self.tasks) else upstream[up])]
        return {up: groups for up in ups if (groups := self._groups(vertex, up)) and self.size(up)}

    def ends(self, vertex: int, *, apart: bool = False) -> Sequence[int]:
        """Return what has to be waited for to come after a task or group: each instance `apart`, or their barrier."""
        if self._ends[vertex] >= 0:
            return (self._ends[vertex],)
        if vertex in self._gates and not apart:
            return (self._gates[vertex],)
        return self._members[vertex]

    def wholes(self, ends: Sequence[int]) -> Sequence[int]:
        """Return the ends of a task or group for what goes on when all of it has settled."""
        return [self._wholes.get(end, end) for end in ends] if self._wholes else ends

    def values(self, vertex: int, *, apart: bool) -> int | Sequence[int]:
        """Return the instance whose value a task is, or all of them."""
        if self._single[vertex] >= 0:
            return self._single[vertex]
        numbers = self._many[vertex]
        by_gate = vertex in self._gates and numbers and not apart and not self.tasks[vertex].generator
        return self._gates[vertex] if by_gate else numbers

    def __iter__(self) -> Iterator[Instance]:
        """Make the instances."""
        for vertex in self.checked.order:
            yield from self.of(vertex)

    def of(self, vertex: int) -> Iterable[Instance]:
        """Make the instances of a task, or what joins a group: in the order of the check, upstream first."""
        if vertex < len(self.tasks) and vertex not in self.checked.uses and not self.tasks[vertex].generator:
            self._made[vertex] = True
            return (self._one(vertex),)  # most tasks are such
        return self._several(vertex)

    def _several(self, vertex: int) -> Iterator[Instance]:
        if vertex >= len(self.tasks):
            yield from self._group(vertex)
        elif vertex in self.checked.uses:
            yield from self._expand(vertex)
        else:
            generator = self._one(vertex)
            yield generator
            self._ends[vertex] = self.count
            yield from self._hide_behind(generator)
        self._made[vertex] = True

    def row(self, vertex: int) -> range | None:
        """Return the numbers of a task's instances if these are in a row, with nothing between them."""
        numbers = self._many.get(vertex)
        return numbers if type(numbers) is range else None

    def is_made(self, vertex: int) -> bool:
        """Return True if all instances of a task or group have been made."""
        return bool(self._made[vertex])

    def _new(self, name: str, kind: str, task: WorkflowTask[Any], after: Sequence[int], **more: Any) -> Instance:
        number = self.count
        self.count += 1
        return Instance(number, name, kind, task, after, **more)

    def barrier(self, name: str, task: WorkflowTask[Any], after: Sequence[int], **more: object) -> Instance:
        """Make what joins edges."""
        return self._new(name, BARRIER, task, after, **more)

    def _one(self, vertex: int) -> Instance:
        task = self.tasks[vertex]
        number = self._single[vertex] = self._ends[vertex] = self.count
        self.count += 1
        if not self.checked.upstream[vertex]:
            return Instance(number, task.name, PLAIN, task, ())
        return Instance(number, task.name, PLAIN, task, self._after(vertex), passed=self._pass_values(task))

    def _hide_behind(self, generator: Instance) -> Iterator[Instance]:
        """Make what stands behind a generator; the first of it is what comes after it usually waits for."""
        name, task, choice = f"{generator.name} generated", generator.task, generator.choice
        first = self._new(name, GENERATING, task, (generator.number,), choice=choice)
        yield first
        if self.whole:
            last = self._new(f"{name}, all of it", WHOLE, task, (generator.number,), choice=choice)
            self._wholes[first.number] = last.number
            yield last

    def _expand(self, vertex: int) -> Iterator[Instance]:
        task = self.tasks[vertex]
        partners = self._partners(vertex)
        after, passed, size = self._after(vertex, partners), self._pass_values(task, partners), self.size(vertex)
        if saves(len(after), size) and not task.apart:
            yield (gate := self._new(f"before {task.name}", BARRIER, task, after))
            after = (gate.number,)
        names, known = self.checked.uses[vertex]
        meeting = Meeting(self, vertex, partners) if partners else None
        if meeting is None and not task.generator:
            yield from self._in_a_row(vertex, after, passed)
            return
        numbers: list[int] = []
        ends: list[int] = [] if task.generator else numbers
        self._many[vertex], self._members[vertex] = numbers, ends
        for choice in choices(names, known, self.checked.workflow.paired) if size else ():
            if meeting is None:
                made = self._new(name_with(task.name, choice), PLAIN, task, after, choice=choice, passed=passed)
            else:
                yield from meeting.barriers(choice)
                waits, takes = meeting.upstream(choice, after, passed)
                made = self._new(name_with(task.name, choice), PLAIN, task, waits, choice=choice, passed=takes)
            numbers.append(made.number)
            yield made
            if task.generator:
                ends.append(self.count)
                yield from self._hide_behind(made)
        yield from self._end_of(vertex, after, passed)

    def _in_a_row(
        self, vertex: int, after: Sequence[int], passed: "Mapping[WorkflowTask[Any], int | Sequence[int]] | None"
    ) -> Iterator[Instance]:
        """Make instances that have nothing between them: of ten million it is known which they are."""
        task = self.tasks[vertex]
        names, known = self.checked.uses[vertex]
        size = self.size(vertex)
        self._many[vertex] = self._members[vertex] = range(self.count, self.count + size)
        for choice in choices(names, known, self.checked.workflow.paired) if size else ():
            yield self._new(name_with(task.name, choice), PLAIN, task, after, choice=choice, passed=passed)
        yield from self._end_of(vertex, after, passed)

    def _end_of(
        self, vertex: int, after: Sequence[int], passed: "Mapping[WorkflowTask[Any], int | Sequence[int]] | None"
    ) -> Iterator[Instance]:
        """Make what stands behind all instances of a task, if anything does."""
        task, numbers = self.tasks[vertex], self._many[vertex]
        if not self.size(vertex):  # what comes after it still waits for what comes before
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

    def _after(self, vertex: int, partners: Collection[int] = ()) -> Sequence[int]:
        """Return what a task only waits for; where a generator is passed, that is what it has generated."""
        task = self.tasks[vertex]
        passed = {each.index for each in task.passed if not each.generator and self.size(each.index)}
        ups = [up for up in self.checked.upstream[vertex] if up not in passed and up not in partners]
        if partners:  # of a group the others alone
            upstream, tasks = self.checked.upstream, len(self.tasks)
            ups = [each for up in ups for each in (upstream[up] if up >= tasks else (up,)) if each not in partners]
        ends = unique([end for up in ups for end in self.ends(up, apart=task.apart)])
        return self.wholes(ends) if task.rule is not None else ends

    def _pass_values(
        self, task: WorkflowTask[Any], partners: Collection[int] = ()
    ) -> "dict[WorkflowTask[Any], int | Sequence[int]] | None":
        if not task.passed:
            return None
        return {
            each: self.values(each.index, apart=task.task.raw) for each in task.passed if each.index not in partners
        }

    def meeting(self, up: int, groups: tuple[Group, ...]) -> dict[tuple[int, ...], list[tuple[int, int]]]:
        """Return the instances of a task by the places of their values, each with its end."""
        found = self._met.get((up, groups))
        if found is None:
            found = self._met[up, groups] = {}
            uses = self.checked.uses[up]
            positions = Positions(uses, groups)
            every = choices(*uses, self.checked.workflow.paired)
            for choice, number, end in zip(every, self._many[up], self._members[up], strict=True):
                found.setdefault(positions.of(choice), []).append((number, end))
        return found


class Meeting:
    """What the instances of one task wait for where parameters are paired: of each other task those of their values."""

    def __init__(self, expansion: Expansion, vertex: int, partners: Mapping[int, tuple[Group, ...]]) -> None:
        self.expansion = expansion
        self.task = expansion.tasks[vertex]
        uses = expansion.checked.uses
        self.partners = [(up, groups, Positions(uses[vertex], groups)) for up, groups in partners.items()]
        self.taken = {each.index for each in self.task.passed}
        self._gates: dict[tuple[int, tuple[int, ...]], int] = {}
        self._size = expansion.size(vertex)

    def barriers(self, choice: Choice) -> Iterator[Instance]:
        """Make a barrier where several that are met are waited for by several."""
        for up, groups, positions in self.partners:
            place, met = positions.of(choice), self.expansion.meeting(up, groups)
            if self.task.apart or (up, place) in self._gates or not saves(len(met[place]), self._size // len(met)):
                continue
            passed = up in self.taken and not self.expansion.tasks[up].generator
            numbers = [number if passed else end for number, end in met[place]]
            name = f"{self.expansion.tasks[up].name} before {self.task.name}"
            given = {"values": numbers} if passed else {}
            yield (gate := self.expansion.barrier(name, self.task, () if passed else numbers, **given))
            self._gates[up, place] = gate.number

    def upstream(
        self, choice: Choice, after: Sequence[int], passed: "Mapping[WorkflowTask[Any], int | Sequence[int]] | None"
    ) -> "tuple[Sequence[int], Mapping[WorkflowTask[Any], int | Sequence[int]] | None]":
        """Return what an instance waits for and takes, besides what all of them do."""
        waits, takes = [*after], {**(passed or {})}
        for up, groups, positions in self.partners:
            place, task = positions.of(choice), self.expansion.tasks[up]
            met, gate = self.expansion.meeting(up, groups)[place], self._gates.get((up, place))
            if up in self.taken:
                numbers = [number for number, _ in met]
                one = meets_one(self.expansion.checked.uses[up], groups)
                takes[task] = numbers[0] if one else numbers if gate is None or task.generator else gate
            if up not in self.taken or task.generator:
                ends = [end for _, end in met] if gate is None else [gate]
                waits += self.expansion.wholes(ends) if self.task.rule is not None else ends
        return unique(waits), takes or None


def passing(passed: "Mapping[WorkflowTask[Any], int | Sequence[int]] | None") -> Iterator[int]:
    """Yield the numbers of the instances that are passed."""
    for given in (passed or {}).values():
        yield from [given] if isinstance(given, int) else given


def unique(numbers: Sequence[int]) -> Sequence[int]:
    """Return numbers without repetition, in order."""
    return tuple(dict.fromkeys(numbers)) if len(numbers) > 1 else tuple(numbers)


def saves(many: int, others: int) -> bool:
    """Return True if a barrier between them has fewer edges than there are from each to each."""
    return many * others > many + others
