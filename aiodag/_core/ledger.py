"""What a run remembers of its nodes after they have settled: no values, no nodes."""

from array import array
from types import CodeType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.context import node_of
from aiodag._core.failure import short, site_of
from aiodag._core.graph import Graph, GraphEdge, GraphNode, without_joints
from aiodag._core.rules import Rule
from aiodag.secret import Veiled
from aiodag.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiodag._core.node import Node

LONGEST = 40  # characters of a string argument that is kept for labels
OUTSIDE = "outside the run"
WIDTH = 6  # entries of `calls` for each node
PLACE, HINTS, EDGES = 1, 3, 4  # which of them: where the call stands, its arguments, its edges
WAITING, QUEUED = State.WAITING, State.QUEUED
STATES = tuple(State)
CODES = {state: code for code, state in enumerate(STATES)}
ROOM = 3 * 8192  # entries of the moves that are not packed yet

# An edge is one number, the upstream's times four, and these: a tuple of numbers is nothing to the garbage collector.
TOLERANT, EXOGENOUS = 1, 2


class Ledger:
    """The nodes of a run by number, in the order of the calls, and their moves in the order of time.

    Flat lists and no object for a node: they are written for every node and every move, and read when somebody looks.
    Lists of objects would cost the garbage collector as much as writing them costs us. Moves are packed now and then, many
    at once: 13 bytes for each, where a number and a moment are objects of 80.
    """

    def __init__(self, name: str, origin: float) -> None:
        self.name = name
        self.origin = origin
        # For each node: name, code and instruction of the call, hints of the arguments, edges, the number of the
        # enclosing node. In place of a name there may be what computes it, and the hints.
        self.calls: list[Any] = []
        # For each move: number of the node, state, seconds. The earlier ones are packed.
        self.moves: list[Any] = []
        self._numbers, self._states, self._moments = array("I"), bytearray(), array("d")
        self.count = 0
        self.errors: dict[int, str] = {}
        self.outside: WeakKeyDictionary[Node[Any], int] = WeakKeyDictionary()
        self.barriers: set[int] = set()  # nodes of a workflow that only join edges
        self.waits: dict[int, str] = {}  # what nodes wait for outside of the run, if they do
        self._edges: tuple[int, ...] = ()  # of the last node: many after one have the same

    def enter(self, node: "Node[Any]", upstream: "list[tuple[Node[Any], bool]]", at: float) -> None:
        """Remember a new node and give it its number."""
        edges: Any = ()
        if upstream:
            edges = self.edges_of(node, upstream)
        inside = self.number_around(node)
        hints = node.args
        for value in hints:
            if not is_hint(value):
                hints = tuple([each if is_hint(each) else ... for each in hints])
                break
        node.number = number = self.count
        self.count += 1
        self.calls += (node.task.name, node.code, node.instruction, hints, edges, inside)
        self.moves += (number, WAITING, at)
        if len(self.moves) > ROOM:
            self._pack()

    def enter_plain(self, node: "Node[Any]", upstream: "tuple[Node[Any], ...]", at: float) -> None:
        """Remember a new node with plain values and nodes, as `enter` does; queued at once if it waits for nothing."""
        edges: Any = ()
        hints = node.args
        if upstream:
            run = node.run
            edges = self._shared([(up.number if up.run is run else self.number_of(up)) * 4 for up in upstream])
            if len(upstream) == len(hints):
                hints = (...,) * len(hints)
        for value in hints:
            if type(value) is not int and value is not ... and not is_hint(value):
                hints = tuple([each if is_hint(each) else ... for each in hints])
                break
        node.number = number = self.count
        self.count = number + 1
        inside = None if node._caller is None else self.number_around(node)
        self.calls += (node.task.name, node.code, node.instruction, hints, edges, inside)
        self.moves += (number, WAITING, at) if upstream else (number, WAITING, at, number, QUEUED, at)
        if len(self.moves) > ROOM:
            self._pack()

    def number_around(self, node: "Node[Any]") -> int | None:
        """Return the number of the node in whose body another was called.

        A body of another run is not of this one: a run in its body is one of its own.
        """
        parent = node_of(node._caller)
        return parent.number if parent is not None and parent.run is not None and parent.run.ledger is self else None

    def _pack(self) -> None:
        moves = self.moves
        self._numbers.extend(moves[0::3])
        self._states.extend(map(CODES.__getitem__, moves[1::3]))
        self._moments.extend(moves[2::3])
        moves.clear()  # in place: the run writes to it

    def last_move(self) -> float:
        """Return when a node has moved last, by the clock of the run; its beginning before any has."""
        return self.moves[-1] if self.moves else self._moments[-1] if self._moments else self.origin

    def _in_order(self) -> "Iterator[tuple[int, State, float]]":
        """Yield each move: number of the node, state, seconds."""
        self._pack()
        return zip(self._numbers, map(STATES.__getitem__, self._states), self._moments, strict=True)

    def site(self, node: "Node[Any]", code: "CodeType | str | None", instruction: int) -> None:
        """Note where the call of a node stands, if it was made on behalf of another call."""
        node.code, node.instruction = code, instruction
        at = node.number * WIDTH + PLACE
        self.calls[at : at + 2] = code, instruction

    def place(self, node: "Node[Any]", code: "CodeType | str | None", instruction: int) -> None:
        """Note where a node of a workflow was written down, in place of where its call stands."""
        self.site(node, code, instruction)
        if node.task.barrier:
            self.barriers.add(node.number)
        elif node.task.rule is not None:
            self.calls[node.number * WIDTH + HINTS] += (node.task.rule,)

    def forget(self, number: int, computed: "Callable[[int], tuple[str, tuple[Any, ...]]]") -> None:
        """Let go of the name and the hints of a node that has settled: from now on they are computed of its number."""
        at = number * WIDTH
        self.calls[at], self.calls[at + HINTS] = computed, ()

    def describe(self, number: int) -> tuple[str, Any]:
        """Return the name of a node and the hints of its arguments."""
        name, hints = self.calls[number * WIDTH], self.calls[number * WIDTH + HINTS]
        return (name, hints) if type(name) is str else name(number)

    def also_after(self, node: "Node[Any]", upstream: "Sequence[Node[Any]]") -> None:
        """Note that a node waits for more of the run's nodes, without their values."""
        self.calls[node.number * WIDTH + EDGES] += tuple(
            [up.number * 4 + EXOGENOUS for up in upstream if up.run is node.run]
        )

    def barrier_names(self) -> set[str]:
        """Return the names of the nodes that only join edges."""
        return {self.calls[number * WIDTH] for number in self.barriers}

    def edges_of(self, node: "Node[Any]", upstream: "list[tuple[Node[Any], bool]]") -> tuple[int, ...]:
        """Return the edges of a new node as numbers."""
        run = node.run
        edges = [(up.number if up.run is run else self.number_of(up)) * 4 + tolerant for up, tolerant in upstream]
        for index in range(len(node.task.after_deps)):
            edges[index] += EXOGENOUS
        return self._shared(edges)

    def _shared(self, edges: list[int]) -> tuple[int, ...]:
        """Return edges as one object for all nodes in a row that have the same."""
        found = tuple(edges)
        if found != self._edges:
            self._edges = found
        return self._edges

    def number_of(self, node: "Node[Any]") -> int:
        """Return the number of a node; one that was made outside the run gets a record now."""
        if node.run is not None and node.run.ledger is self:
            return node.number
        known = self.outside.get(node)
        if known is None:
            known = self.outside[node] = self.count
            self.count += 1
            self.calls += (node.name, node.code, node.instruction, OUTSIDE, (), None)
            self.moves += (known, node.state, self.origin)
        return known

    def label_of(self, node: "Node[Any]") -> str:
        """Return the name of a node of this run with its short arguments."""
        at = node.number * WIDTH
        name = self.calls[at]
        return name if type(name) is str and not self.calls[at + HINTS] else label(*self.describe(node.number))

    def graph(self, now: float) -> Graph:
        """Return what is known at a moment of the loop's clock."""
        traces: list[list[tuple[State, float]]] = [[] for _ in range(self.count)]
        for number, state, at in self._in_order():
            traces[number].append((state, at - self.origin))
        seen = {number: node.state for node, number in self.outside.items()}
        nodes: list[GraphNode] = []
        edges: list[GraphEdge] = []
        for number, trace in enumerate(traces):
            _, code, instruction, _, upstream, parent = self.calls[number * WIDTH : (number + 1) * WIDTH]
            name, hints = self.describe(number)
            if hints is OUTSIDE:
                # Nobody told us of its moves. A node that is gone had settled; how, is not known any more if it had
                # not when it came.
                state, at = trace[-1]
                trace[-1] = seen.get(number, state if state.final else State.SUCCEEDED), at
            edges += [
                GraphEdge(edge >> 2, number, "exogenous" if edge & EXOGENOUS else "endogenous", bool(edge & TOLERANT))
                for edge in upstream
            ]
            nodes.append(
                GraphNode(
                    id=number,
                    name=name,
                    label=label(name, hints),
                    state=trace[-1][0],
                    attempts=sum(state is State.RUNNING for state, _ in trace),
                    moves=tuple(trace),
                    site=site_of(code, instruction) if code else "",
                    error=self.errors.get(number, ""),
                    parent=parent,
                    barrier=number in self.barriers,
                    waits=self.waits.get(number, ""),
                )
            )
        return Graph(self.name, *without_joints(nodes, edges), now=now - self.origin)


def is_hint(value: object) -> bool:
    """Return True if an argument is kept for a label: numbers, short strings. Not by a set: a class may have no hash."""
    kind = type(value)
    return (
        kind is int
        or (kind is str and len(value) <= LONGEST)  # type: ignore[arg-type]  # a str has a length
        or value is None
        or kind is float
        or kind is bool
        or kind is Veiled
    )


def with_rule(label: str, rule: Rule) -> str:
    """Name a call with the rule by which it runs."""
    return f"{label} ({rule.name})"


def label(name: str, hints: Any) -> str:
    """Name a call with its short arguments."""
    if not hints:
        return name
    if hints is OUTSIDE:
        return f"{name} ({OUTSIDE})"
    if hints and type(hints[-1]) is Rule:
        return with_rule(label(name, hints[:-1]), hints[-1])
    if all(value is ... for value in hints):
        return name
    return f"{name}({', '.join('…' if value is ... else short(value) for value in hints)})"
