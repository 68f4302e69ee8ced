"""Show the nodes and edges of a run, or of a plan, as they were at one moment.

A graph is cut off from the engine: plain values, free to keep, send and draw.
Nothing here recurses, and all of it takes time in proportion to the nodes and edges.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiodag._core import render
from aiodag._core.critical import critical_path
from aiodag._core.notebook import bundle_of_graph
from aiodag.errors import CycleError
from aiodag.states import State
from aiodag.wording import count_text, describe_seconds, printable


class GraphNode(NamedTuple):
    """One node of a `Graph`: its state, its place in the source, and its moves in seconds since the run began.

    `waits` is what a node of `aiodag.messages` waits for, or waited for, outside of the run: "message", "moment" or "run".

    >>> from aiodag import GraphNode, State
    >>> GraphNode(id=1, name="fetch", label="fetch('a1')", state=State.WAITING).state.final
    False
    """

    id: int
    name: str
    label: str
    state: State
    attempts: int = 0
    moves: tuple[tuple[State, float], ...] = ()
    site: str = ""
    error: str = ""
    parent: int | None = None
    barrier: bool = False  # of a workflow: it only joins edges, and does not count
    waits: str = ""

    @property
    def started(self) -> float | None:
        """Return when the first attempt began, in seconds; None if none has."""
        return next((at for state, at in self.moves if state is State.RUNNING), None)

    @property
    def settled(self) -> float | None:
        """Return when the node settled, in seconds; None if it has not."""
        return self.moves[-1][1] if self.moves and self.moves[-1][0].final else None

    def spans(self, now: float) -> list[tuple[State, float, float]]:
        """Return each state with the seconds at which it began and ended; the last one ends at `now`."""
        ends = [at for _, at in self.moves[1:]] + [now]
        return [(state, at, max(at, end)) for (state, at), end in zip(self.moves, ends, strict=False)]

    def running(self, now: float) -> float:
        """Return the seconds spent in attempts, until `now` if one is under way."""
        return sum(end - at for state, at, end in self.spans(now) if state is State.RUNNING)

    @property
    def shown_as(self) -> State:
        """Return the state whose look the node has: parked while it only waits for something outside of the run."""
        return State.PARKED if self.waits and self.state is State.RUNNING else self.state

    def describe(self, now: float) -> str:
        """Return in words what became of the node: its state, how long it ran or waited until `now`, its attempts.

        >>> moves = (State.RUNNING, 0.0), (State.SUCCEEDED, 75.0)
        >>> GraphNode(1, "message", "message('PAYMENT')", State.SUCCEEDED, 1, moves, waits="message").describe(90.0)
        'succeeded, waited 1 min 15 s'
        """
        open_wait = self.shown_as is State.PARKED
        words = ["waits" if open_wait else str(self.state)]
        if self.started is not None:
            waited = "waited " if self.waits and not open_wait else ""
            words.append(f"{waited}{describe_seconds(self.running(now))}")
        if self.attempts > 1 and not self.waits:
            words.append(f"{self.attempts} attempts")
        return ", ".join(words)


class GraphEdge(NamedTuple):
    """Join an upstream node (`source`) and a downstream node (`target`) by their ids.

    `kind` is "endogenous" (the value is passed) or "exogenous" (only waited for); `settled` accepts any outcome.

    >>> from aiodag import plan, task
    >>> @task
    ... async def fetch(): ...
    >>> @task
    ... async def load(rows): ...
    >>> plan(lambda: load(fetch())).edges
    (GraphEdge(source=0, target=1, kind='endogenous', settled=False),)
    """

    source: int
    target: int
    kind: str
    settled: bool = False


def without_joints(nodes: "list[GraphNode]", edges: "list[GraphEdge]") -> "tuple[list[GraphNode], list[GraphEdge]]":
    """Leave out what bodies await to hear that several nodes have settled: it joins edges, and nothing comes after it."""
    sources = {edge.source for edge in edges}
    joints = {node.id for node in nodes if node.barrier and node.parent is not None and node.id not in sources}
    if not joints:
        return nodes, edges
    return [each for each in nodes if each.id not in joints], [each for each in edges if each.target not in joints]


class Graph:
    """The nodes and edges of one moment; `now` is that moment, in seconds since the run began.

    Raises `TypeError` for an id that is not an int of 0 or more, and `ValueError` if two nodes have one id, or an edge
    names a node that is not there.

    >>> from aiodag import Run, task
    >>> @task
    ... async def fetch(name): ...
    >>> @task
    ... async def load(*tables): ...
    >>> async with Run("etl") as run:
    ...     node = load(fetch("a1"), fetch("a2"))
    ...     print(run.graph().to_text())
    etl: 3 nodes, 1 waiting, 2 queued
    ├─ : fetch('a1') queued  → load
    └─ : fetch('a2') queued
       └─ · load     waiting
    >>> run.graph().counts()
    {<State.SUCCEEDED: 'succeeded'>: 3}
    """

    __slots__ = ("_by_id", "_incoming", "_outgoing", "edges", "name", "nodes", "now")

    def __init__(self, name: str, nodes: Iterable[GraphNode], edges: Iterable[GraphEdge], now: float = 0.0) -> None:
        """Take the nodes and edges, and index them."""
        self.name = name
        self.nodes = tuple(nodes)
        self.edges = tuple(edges)
        self.now = now
        for node in self.nodes:
            if type(node.id) is not int or node.id < 0:  # drawings name the nodes by their ids, without quotes
                raise TypeError(f"graph {name!r} has a node with the id {node.id!r}; an id is an int of 0 or more")
        self._by_id = {node.id: node for node in self.nodes}
        if len(self._by_id) < len(self.nodes):
            twice = [id_ for id_, count in Counter(node.id for node in self.nodes).items() if count > 1]
            raise ValueError(f"graph {name!r} has more than one node with the id {twice[0]}")
        self._outgoing: dict[int, list[GraphEdge]] = {id_: [] for id_ in self._by_id}
        self._incoming: dict[int, list[GraphEdge]] = {id_: [] for id_ in self._by_id}
        for edge in self.edges:
            if edge.source not in self._by_id or edge.target not in self._by_id:
                raise ValueError(f"graph {name!r} has no node for an end of the edge {edge.source} -> {edge.target}")
            self._outgoing[edge.source].append(edge)
            self._incoming[edge.target].append(edge)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.nodes)

    def __bool__(self) -> bool:
        """Be true, also without nodes."""
        return True

    def __repr__(self) -> str:
        """Return the name and the sizes."""
        sizes = count_text(len(self.nodes), "node"), count_text(len(self.edges), "edge")
        return f"<Graph {self.name!r}: {', '.join(sizes)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return bundle_of_graph(self)

    def upstream(self, id_: int, /) -> tuple[int, ...]:
        """Return the ids of the nodes that this one waits for. Raise `KeyError` for an unknown id."""
        return tuple(dict.fromkeys(edge.source for edge in self._incoming[id_]))

    def downstream(self, id_: int, /) -> tuple[int, ...]:
        """Return the ids of the nodes that wait for this one. Raise `KeyError` for an unknown id."""
        return tuple(dict.fromkeys(edge.target for edge in self._outgoing[id_]))

    def order(self) -> tuple[GraphNode, ...]:
        """Return the nodes, each after all of its upstreams. Raise `CycleError` if there is no such order."""
        missing = {id_: len(edges) for id_, edges in self._incoming.items()}
        ready = deque(id_ for id_, count in missing.items() if not count)
        found: list[GraphNode] = []
        while ready:
            id_ = ready.popleft()
            found.append(self._by_id[id_])
            for edge in self._outgoing[id_]:
                missing[edge.target] -= 1
                if not missing[edge.target]:
                    ready.append(edge.target)
        if len(found) < len(self.nodes):
            raise CycleError(self._cycle({id_ for id_, count in missing.items() if count}))
        return tuple(found)

    def _cycle(self, stuck: set[int]) -> list[str]:
        # Each stuck node has a stuck upstream, so a walk up must meet itself; a walk down could end in a leaf.
        walked: dict[int, int] = {}
        at = next(id_ for id_ in self._by_id if id_ in stuck)
        while at not in walked:
            walked[at] = len(walked)
            at = next(edge.source for edge in self._incoming[at] if edge.source in stuck)
        ring = [at, *reversed(list(walked)[walked[at] :])]
        return [printable(self._by_id[id_].name) for id_ in ring]

    def counts(self) -> dict[State, int]:
        """Return how many nodes are in each state, in the order of `State`, without the zeros and without barriers."""
        counted = Counter(node.state for node in self.nodes if not node.barrier)
        return {state: counted[state] for state in State if counted[state]}

    def critical_path(self) -> tuple[GraphNode, ...]:
        """Return the chain of nodes that decided when the run ended, the first to start first.

        It ends at the node that settled last, and goes back by the upstream that settled last before. Where that node
        called others, the chain leads through them: through what its body waited for. As long as no node has settled
        it is the longest chain. Raise `CycleError` for a cycle.
        """
        return critical_path(self)

    def to_dict(self) -> dict[str, Any]:
        """Return dicts, lists, texts and numbers only, ready for JSON; `from_dict` is the way back."""
        nodes = [node._asdict() | {"state": node.state.value, "moves": _plain(node.moves)} for node in self.nodes]
        return {"name": self.name, "now": self.now, "nodes": nodes, "edges": [edge._asdict() for edge in self.edges]}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Graph":
        """Make a graph of what `to_dict` returned. Raise `KeyError`, `TypeError` or `ValueError` for anything else."""
        nodes = [
            GraphNode(**node)._replace(state=State(node["state"]), moves=_moves(node["moves"]))
            for node in given["nodes"]
        ]
        return cls(given["name"], nodes, [GraphEdge(**edge) for edge in given["edges"]], given["now"])

    def to_json(self, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON in ASCII, `indent` spaces deep."""
        # Imported here: asyncio does not load json, and `import aiodag` loads nothing that asyncio does not.
        import json  # noqa: PLC0415 - see above

        return json.dumps(self.to_dict(), indent=indent)  # ASCII: a name may hold what has no encoding

    def to_mermaid(self, direction: str = "LR") -> str:
        """Return a Mermaid flowchart that runs LR, RL, TB, TD or BT. Raise `OptionError` for another direction.

        Exogenous edges are dashed, nested nodes hang on a line with a circle, and colours show the states.
        """
        return render.mermaid(self, direction)

    def to_dot(self) -> str:
        """Return the graph for Graphviz, drawn as `to_mermaid` draws it."""
        return render.dot(self)

    def to_text(self) -> str:
        """Return a tree that follows the edges; each node is printed once, under the last of its upstreams.

        Where it would have appeared before, `→ name` points down to it. Dashes (`├╌`, `⇢`) are exogenous edges,
        a circle (`├○`) leads to a node that was called inside another. A name in brackets and no more, `(all of pull)`,
        is a barrier of a workflow. A label that several nodes have is followed by
        the node's id: `parse #7` is what `upstream(7)`, Mermaid and JSON mean.
        """
        return render.tree_text(self)

    def timeline(self, width: int = 72) -> str:
        """Return a chart with a row for each node, in order of start, `width` columns wide (at least 40).

        After 40 rows the others are counted in one line.
        """
        return render.timeline_text(self, max(width, 40))


def _plain(moves: tuple[tuple[State, float], ...]) -> list[list[Any]]:
    return [[state.value, at] for state, at in moves]


def _moves(given: Iterable[tuple[str, float]]) -> tuple[tuple[State, float], ...]:
    return tuple((State(state), at) for state, at in given)
