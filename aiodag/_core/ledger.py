"""What a run remembers of its nodes after they have settled: no values, no nodes."""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.failure import described, short, site_of
from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag._core.states import State

if TYPE_CHECKING:
    from aiodag._core.node import Node

NUMBERS = frozenset({int, float, bool, type(None)})
LONGEST = 40  # characters of a string argument that is kept for labels
OUTSIDE = "outside the run"

# One node, as its run remembers it: name, code and instruction of the call, hints of the arguments, edges, number of
# the enclosing node, trace. A plain tuple and a plain list, not objects with names: they are written for every
# node and every move, and read when somebody looks.
Record = tuple[str, Any, int, tuple[Any, ...], tuple[tuple[int, bool, bool], ...], int | None, list[Any]]
# The number of the node, then its moves: state, seconds, state, seconds.
Trace = list[Any]


class Ledger:
    """The records of a run, in the order of the calls."""

    def __init__(self, name: str, origin: float) -> None:
        self.name = name
        self.origin = origin
        self.records: list[Record] = []
        self.errors: dict[int, BaseException] = {}
        self.outside: WeakKeyDictionary[Node[Any], int] = WeakKeyDictionary()

    def enter(
        self, node: "Node[Any]", upstream: "list[tuple[Node[Any], bool]]", parent: "Node[Any] | None", at: float
    ) -> Trace:
        """Remember a new node; return the list that takes its moves."""
        edges: tuple[tuple[int, bool, bool], ...] = ()
        if upstream:
            exogenous = len(node.task.after_deps)
            edges = tuple([(self.number(up), tolerant, i < exogenous) for i, (up, tolerant) in enumerate(upstream)])
        hints = tuple(
            [
                value if (kind := type(value)) in NUMBERS or (kind is str and len(value) <= LONGEST) else ...
                for value in node.args
            ]
        )
        trace: Trace = [len(self.records), State.WAITING, at]
        inside = None if parent is None or parent.trace is None else self.number(parent)
        self.records.append((node.task.name, node.code, node.instruction, hints, edges, inside, trace))
        return trace

    def number(self, node: "Node[Any]") -> int:
        """Return the number of a node; one that was made outside the run gets a record now."""
        trace = node.trace
        if trace is not None:
            number: int = trace[0]
            if number < len(self.records) and self.records[number][-1] is trace:  # of this run, not of a nested one
                return number
        known = self.outside.get(node)
        if known is None:
            known = self.outside[node] = len(self.records)
            trace = [known, node.state, self.origin]
            self.records.append((node.name, node.code, node.instruction, (OUTSIDE,), (), None, trace))
        return known

    def look_outside(self) -> None:
        """Note the states of the nodes that were made outside the run: nobody told us of their moves."""
        seen = {number: node.state for node, number in self.outside.items()}
        for record in self.records:
            trace = record[-1]
            if record[3] == (OUTSIDE,):
                # A node that is gone had settled; a graph is asked for too late to know how, if nobody kept it.
                trace[1] = seen.get(trace[0], trace[1] if trace[1].final else State.SUCCEEDED)

    def graph(self, now: float) -> Graph:
        """Return what is known at a moment of the loop's clock."""
        self.look_outside()
        edges = [
            GraphEdge(up, record[-1][0], "exogenous" if exogenous else "endogenous", tolerant)
            for record in self.records
            for up, tolerant, exogenous in record[4]
        ]
        return Graph(self.name, map(self._shown, self.records), edges, now=now - self.origin)

    def _shown(self, record: Record) -> GraphNode:
        name, code, instruction, hints, _, parent, trace = record
        number, states, times = trace[0], trace[1::2], trace[2::2]
        error = self.errors.get(number)
        return GraphNode(
            id=number,
            name=name,
            label=label(name, hints),
            state=states[-1],
            attempts=states.count(State.RUNNING),
            moves=tuple(zip(states, [at - self.origin for at in times], strict=True)),
            site=site_of(code, instruction) if code else "",
            error=described(error) if error else "",
            parent=parent,
        )


def label(name: str, hints: tuple[Any, ...]) -> str:
    """Name a call with its short arguments."""
    if hints == (OUTSIDE,):
        return f"{name} ({OUTSIDE})"
    if all(value is ... for value in hints):
        return name
    return f"{name}({', '.join('…' if value is ... else short(value) for value in hints)})"
