"""What a job is told of the jobs before it: `needs` and `jobs` in its expressions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.edges import Settled
from aiodag._core.rules import CANCELLED, FAILED, SUCCEEDED, outcome_kind
from aiodag.states import State
from aiodag.workflows.jobs.scope import Status

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run

# What became of the stages of jobs that have no value, since they failed. A job that has not succeeded is entered again in each
# execution, so this is there whenever somebody asks.
ENDED: "WeakKeyDictionary[Run, dict[str, dict[str, Any]]]" = WeakKeyDictionary()


def note_ended(run: "Run | None", name: str, outcome: dict[str, Any]) -> None:
    """Keep the outcomes of a job's stages for those that run whatever becomes of it."""
    if run is not None:
        ENDED.setdefault(run, {})[name] = outcome


def needs_of(node: "Node[Any]") -> "list[Node[Any]]":
    """Return the jobs that the one of a node waits for."""
    return [each.dep if isinstance(each, Settled) else each for each in node.task.after_deps]


def outcome_of_job(node: "Node[Any]") -> dict[str, Any]:
    """Return what became of a job that may have settled: always with `result` and `outputs`."""
    if node.state is State.SUCCEEDED:
        return {"result": SUCCEEDED, **node.value}
    known = ENDED.get(node.run, {}).get(node.name, {}) if node.run is not None else {}
    return {"outputs": {}, "stages": {}, **known, "result": str(node.state)}


def status_of_needs(nodes: "Sequence[Node[Any]]") -> Status:
    """Return what conditions of a job are told of the jobs before it."""
    kinds = {outcome_kind(node) for node in nodes if node.state.final}
    success = all(node.state is State.SUCCEEDED for node in nodes)
    return Status(success=success, failure=FAILED in kinds, cancelled=CANCELLED in kinds)


class JobOutcomes(Mapping[str, Any]):
    """The jobs before a job, also those that its `needs` need, looked for when an expression asks for them."""

    def __init__(self, nodes: "Sequence[Node[Any]]") -> None:
        self._nodes = nodes

    def _walk(self) -> "Iterator[Node[Any]]":
        """Yield the jobs, the nearest first."""
        seen: set[Node[Any]] = set()
        level = list(self._nodes)
        while level:
            further: list[Node[Any]] = []
            for node in level:
                if node not in seen:
                    seen.add(node)
                    yield node
                    further += needs_of(node)
            level = further

    def __getitem__(self, name: str) -> Any:
        for node in self._walk():
            if node.name == name:
                return outcome_of_job(node)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (node.name for node in self._walk())

    def __len__(self) -> int:
        return sum(1 for _ in self._walk())
