"""What a run remembers of its nodes after they have settled: no values, no nodes."""

from types import CodeType
from typing import TYPE_CHECKING, Any

from aiodag._core.failure import SHORT, described, short, site_of
from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag._core.states import State

if TYPE_CHECKING:
    from aiodag._core.node import Node

LONGEST = 40  # characters of a string argument that is kept for labels
OUTSIDE = "outside the run"


class Record:
    """One node, as its run remembers it. Written at every move, so it is as small as it can be."""

    __slots__ = ("attempts", "code", "edges", "error", "hints", "instruction", "moves", "name", "number", "parent", "state")

    def __init__(self, number: int, name: str, code: CodeType | None, instruction: int) -> None:
        self.number = number
        self.name = name
        self.code = code
        self.instruction = instruction
        self.state = State.WAITING
        self.moves: list[Any] = []  # state, seconds, state, seconds: a pair each would double the memory
        self.attempts = 0
        self.error: BaseException | None = None
        self.hints: tuple[Any, ...] = ()
        self.parent: int | None = None
        self.edges: tuple[tuple[int, bool, bool], ...] = ()  # upstream, tolerant, exogenous


class Ledger:
    """The records of a run, in the order of the calls."""

    def __init__(self, name: str, origin: float) -> None:
        self.name = name
        self.origin = origin
        self.records: list[Record] = []

    def enter(self, node: "Node[Any]", upstream: "list[tuple[Node[Any], bool]]", parent: "Node[Any] | None") -> Record:
        """Remember a new node."""
        record = self._add(node)
        record.hints = tuple([hint(value) for value in node.args])
        if upstream:
            exogenous = len(node.task.after_deps)
            record.edges = tuple(
                [(self.of(up).number, tolerant, i < exogenous) for i, (up, tolerant) in enumerate(upstream)]
            )
        if parent is not None and parent.record is not None:
            record.parent = parent.record.number
        return record

    def of(self, node: "Node[Any]") -> Record:
        """Return the record of a node; one that was made outside the run gets a record now."""
        record: Record | None = node.record
        if record is None or not self.has(record):
            record = self._add(node)
            record.hints = (OUTSIDE,)
            record.state = node.state
            node.record = record
        return record

    def has(self, record: Record) -> bool:
        """Tell whether a record is of this ledger: runs may be nested, and nodes passed between them."""
        return record.number < len(self.records) and self.records[record.number] is record

    def _add(self, node: "Node[Any]") -> Record:
        record = Record(len(self.records), node.task.name, node.code, node.instruction)
        self.records.append(record)
        return record

    def graph(self, now: float) -> Graph:
        """Return what is known at a moment of the loop's clock."""
        edges = [
            GraphEdge(up, record.number, "exogenous" if exogenous else "endogenous", tolerant)
            for record in self.records
            for up, tolerant, exogenous in record.edges
        ]
        return Graph(self.name, map(self._shown, self.records), edges, now=now - self.origin)

    def _shown(self, record: Record) -> GraphNode:
        pairs = zip(record.moves[::2], record.moves[1::2], strict=True)
        return GraphNode(
            id=record.number,
            name=record.name,
            label=label(record),
            state=record.state,
            attempts=record.attempts,
            moves=tuple((state, at - self.origin) for state, at in pairs),
            site=site_of(record.code, record.instruction) if record.code else "",
            error=described(record.error) if record.error else "",
            parent=record.parent,
        )


def hint(value: object) -> object:
    """Keep a short plain argument for the label; of any other keep nothing, so that no value is held."""
    kind = type(value)
    if kind in SHORT and (kind not in {str, bytes} or len(value) <= LONGEST):  # type: ignore[arg-type]  # str or bytes
        return value
    return ...


def label(record: Record) -> str:
    """Name a call with its short arguments."""
    if record.hints == (OUTSIDE,):
        return f"{record.name} ({OUTSIDE})"
    if all(value is ... for value in record.hints):
        return record.name
    return f"{record.name}({', '.join('…' if value is ... else short(value) for value in record.hints)})"
