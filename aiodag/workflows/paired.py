"""Combinations of values, and which of them go together where parameters are paired.

paired=["DAY"]         pull[DAY=mon] ── load[DAY=mon]      A name alone: tasks that use it meet value by value, and
                       pull[DAY=tue] ── load[DAY=tue]      load of monday does not wait for pull of tuesday.

paired=[["A", "B"]]    job[A=1,B=x], job[A=2,B=y]          Several names walk together, and form no product.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodag.workflows.model import Group
from aiodag.workflows.parameters import Choice, Given, command_text

if TYPE_CHECKING:
    from aiodag.workflows.definition import Definition
    from aiodag.workflows.model import WorkflowTask

Uses: TypeAlias = tuple[list[str], Given]  # the names that a task uses, and the values of all
NONE: tuple[Group, ...] = ()


def pairing_faults(workflow: "Definition") -> "Iterator[tuple[WorkflowTask[Any] | None, str]]":
    """Yield what is wrong with what a workflow has paired, and where."""
    seen: set[str] = set()
    for group in workflow.paired:
        for name in group:
            if name not in workflow.parameters:
                listed = ", ".join(map(repr, workflow.parameters)) or "none"
                yield None, f"paired names the parameter {name!r}; the workflow has {listed}"
            if name in seen:
                yield None, f"paired names the parameter {name!r} twice"
            seen.add(name)
        counts = {name: len([*workflow.parameters.get(name, [])]) for name in group}
        if len(set(counts.values())) > 1 and all(name in workflow.parameters for name in group):
            told = ", ".join(f"{name} has {count}" for name, count in counts.items())
            yield None, f"paired parameters walk together, and need as many values each: {told}"
    for task in workflow.tasks if seen else ():
        for name in seen.intersection(task.parameters):
            yield task, f"{task.name!r} has the parameter {name!r} of its own, and that of the workflow is paired"


def units(names: Sequence[str], paired: Sequence[Group]) -> list[list[str]]:
    """Return names in groups: those that walk together, and each other one alone.

    >>> units(["A", "X", "B"], [("A", "B")])
    [['A', 'B'], ['X']]
    """
    found: dict[Any, list[str]] = {}
    for name in names:
        found.setdefault(next((group for group in paired if name in group), name), []).append(name)
    return list(found.values())


def choices(names: list[str], known: Given, paired: Sequence[Group] = NONE) -> Iterator[Choice]:
    """Yield each combination of values; the last parameter changes fastest."""
    if len(names) == 1:  # without a copy of the values: there may be ten million
        (name,) = names
        yield from ({name: value} for value in known[name])
        return
    if not paired:
        yield from (dict(zip(names, values, strict=True)) for values in product(*[known[name] for name in names]))
        return
    together = units(names, paired)
    order = [name for unit in together for name in unit]
    for row in product(*[list(zip(*[known[name] for name in unit], strict=True)) for unit in together]):
        choice = dict(zip(order, [value for values in row for value in values], strict=True))
        yield {name: choice[name] for name in names}


def choice_at(place: int, names: list[str], known: Given, paired: Sequence[Group] = NONE) -> Choice:
    """Return one combination of values, by its place among all.

    >>> choice_at(3, ["A", "B"], {"A": [1, 2], "B": "xyz"})
    {'A': 2, 'B': 'x'}
    """
    found: dict[str, Any] = {}
    for unit in reversed(units(names, paired)):
        place, at = divmod(place, len(known[unit[0]]))
        found.update([(name, known[name][at]) for name in unit])
    return {name: found[name] for name in names}


def count_of(names: list[str], known: Given, paired: Sequence[Group] = NONE) -> int:
    """Return how many combinations there are."""
    return prod(min(len(known[name]) for name in unit) for unit in units(names, paired))


def shared_groups(one: Uses | None, other: Uses | None, paired: Sequence[Group]) -> tuple[Group, ...]:
    """Return the groups by which instances of two tasks meet: both use a name of them."""
    if not paired or one is None or other is None:
        return NONE
    return tuple(group for group in paired if not set(group).isdisjoint(one[0]) and not set(group).isdisjoint(other[0]))


def meets_one(other: Uses, groups: Sequence[Group]) -> bool:
    """Return True if one instance of the other task is met, and not several: all that it uses is shared."""
    return all(any(name in group for group in groups) for name in other[0])


class Positions:
    """Says where the values of an instance stand in the lists of its parameters."""

    def __init__(self, uses: Uses, groups: Sequence[Group]) -> None:
        names, known = uses
        self._first = [next(name for name in names if name in group) for group in groups]
        self._places = [{command_text(value): place for place, value in enumerate(known[name])} for name in self._first]

    def of(self, choice: Choice) -> tuple[int, ...]:
        """Return the places of a combination, one for each group."""
        return tuple(
            [places[command_text(choice[name])] for name, places in zip(self._first, self._places, strict=True)]
        )
