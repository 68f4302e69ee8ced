"""Names and arguments of a task's nodes, computed again when somebody looks: for ten million they need not be kept."""

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from aiodag._core.ledger import is_hint
from aiodag.secret import Secret
from aiodag.workflows.paired import choice_at
from aiodag.workflows.parameters import fill_argument, is_command, name_with

if TYPE_CHECKING:
    from aiodag.workflows.check import Checked
    from aiodag.workflows.model import WorkflowTask


class NodeNumbers:
    """Which node of a workflow has which number in its run: there are others, called in bodies, in between."""

    def __init__(self) -> None:
        # Where the difference between the two changes: the number in the run, and that in the workflow.
        self._from, self._to = array("q"), array("q")
        self._apart = -1

    def note(self, number: int, place: int) -> None:
        """Note a new node: its number in the run, and which node of the workflow it is."""
        if number - place != self._apart:
            self._apart = number - place
            self._from.append(number)
            self._to.append(place)

    def of(self, number: int) -> int:
        """Return which node of the workflow has a number in the run."""
        at = bisect_right(self._from, number) - 1
        return self._to[at] + number - self._from[at]


class Labels:
    """The names and arguments of the nodes of one task, which are in a row and begin at a place."""

    def __init__(self, checked: "Checked", task: "WorkflowTask[Any]", numbers: NodeNumbers, first: int) -> None:
        self._task = task
        self._names, self._known = checked.uses[task.index]
        self._paired = checked.workflow.paired
        self._numbers = numbers
        self._first = first
        self._texts = is_command(task.task)

    def __call__(self, number: int) -> tuple[str, tuple[Any, ...]]:
        """Return the name of a node, and what of its arguments is shown, by its number in the run."""
        task = self._task
        choice = choice_at(self._numbers.of(number) - self._first, self._names, self._known, self._paired)
        args = [fill_argument(each, choice, texts=self._texts, stands_for=lambda _: ...) for each in task.args]
        hints = tuple([each if is_hint(each) else ... for each in args])
        return name_with(task.name, choice), hints if task.rule is None else (*hints, task.rule)


def can_be_computed(checked: "Checked", task: "WorkflowTask[Any]") -> bool:
    """Return True if nothing but its parameters tells a node of a task from others."""
    names, known = checked.uses[task.index]
    return all(isinstance(known[name], list | tuple | range) for name in names) and not any(
        type(each) is Secret for each in task.args
    )
