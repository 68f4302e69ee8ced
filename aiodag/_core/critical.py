"""Find the chain of nodes that decided when a run ended.

Backwards, from what settled last: a node had to wait for the upstream that settled last; a body, for the node called in
it that settled last; and a node called in a body, for what had settled there when it was called, since the body went on
from that.

    etl ───────────────────────┐      the path: etl, fetch, parse
      fetch ────┐   parse ───┐        (log is called in etl, too, and held nothing up)
      log ──┐
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiodag._core.graph import Graph, GraphNode

Moment = tuple[float, int]  # when a node settled, and its place in an order in which every upstream comes first


def critical_path(graph: "Graph") -> "tuple[GraphNode, ...]":
    """Return the chain, the first to start first: a node comes before what was called in it."""
    order = graph.order()
    if all(node.settled is None for node in order):
        return _longest(graph, order)
    return _Walk(graph, order).path()


def _longest(graph: "Graph", order: "tuple[GraphNode, ...]") -> "tuple[GraphNode, ...]":
    length: dict[int, int] = {}
    before: dict[int, int | None] = {}
    for node in order:
        longest = max(graph.upstream(node.id), key=length.__getitem__, default=None)
        before[node.id] = longest
        length[node.id] = 1 if longest is None else length[longest] + 1
    nodes = {node.id: node for node in order}
    path: list[GraphNode] = []
    at = max(length, key=length.__getitem__, default=None)
    while at is not None:
        path.append(nodes[at])
        at = before[at]
    return tuple(reversed(path))


class _Walk:
    """One walk backwards through a graph in which something has settled."""

    def __init__(self, graph: "Graph", order: "tuple[GraphNode, ...]") -> None:
        self.graph = graph
        self.nodes = {node.id: node for node in order}
        self.settled: dict[int, Moment] = {
            node.id: (at, rank) for rank, node in enumerate(order) if (at := node.settled) is not None
        }
        self.inside: dict[int, list[tuple[Moment, int]]] = {}  # what was called in a body, in the order of its ends
        for id_, moment in sorted(self.settled.items(), key=lambda item: item[1]):
            parent = self.nodes[id_].parent
            if parent is not None:
                self.inside.setdefault(parent, []).append((moment, id_))
        self.open: list[int] = []  # bodies that the walk is in
        self.seen: set[int] = set()

    def path(self) -> "tuple[GraphNode, ...]":
        """Return the nodes that the walk meets, the last one first met."""
        path: list[GraphNode] = []
        at: int | None = self.innermost(self.outermost(max(self.settled, key=self.settled.__getitem__)))
        while at is not None:
            path.append(self.nodes[at])
            before = self.before(at)
            if before is not None:
                while self.open and self.nodes[before].parent != self.open[-1]:
                    path.append(self.nodes[self.open.pop()])  # an upstream from outside of this body
                at = self.innermost(before)
            else:
                at = self.open.pop() if self.open else None
        return tuple(reversed(path))

    def outermost(self, at: int) -> int:
        """Return the body around all that settled in the same moment as this node, or later."""
        climbed: set[int] = set()
        while at not in climbed:
            climbed.add(at)
            parent = self.nodes[at].parent
            if parent is None or parent not in self.settled or self.settled[parent][0] < self.settled[at][0]:
                break
            at = parent
        return at

    def innermost(self, at: int) -> int:
        """Go into the body of a node, to what settled last in it, and so on; return where that ends."""
        while True:
            self.seen.add(at)
            last = self.latest(self.inside.get(at, []), self.settled[at][0])
            if last is None:
                return at
            self.open.append(at)
            at = last

    def before(self, at: int) -> int | None:
        """Return what this node had to wait for: its last upstream, or what its body awaited before it called it."""
        # A skipped node settles before its other upstreams do: what settled after a node did not hold it up.
        earlier = [
            id_
            for id_ in self.graph.upstream(at)
            if id_ in self.settled and self.settled[id_] < self.settled[at] and id_ not in self.seen
        ]
        found = max(earlier, key=self.settled.__getitem__, default=None)
        node = self.nodes[at]
        if node.parent is None or not node.moves:
            return found
        called = node.moves[0][1]
        if found is not None and self.settled[found][0] > called:
            return found
        sibling = self.latest(self.inside.get(node.parent, []), called)
        return found if sibling is None else sibling

    def latest(self, ends: list[tuple[Moment, int]], moment: float) -> int | None:
        """Return the node that settled last, up to a moment; None if the walk has met it, or there is none."""
        # Imported here: asyncio does not load it, and `import aiodag` loads nothing that asyncio does not.
        from bisect import bisect_right  # noqa: PLC0415 - see above

        place = bisect_right(ends, moment, key=lambda end: end[0][0])
        found = ends[place - 1][1] if place else None
        return None if found in self.seen else found
