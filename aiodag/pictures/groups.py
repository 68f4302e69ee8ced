"""Put the nodes of a graph too large to draw into groups: one for each task, with counts."""

from collections import Counter
from typing import NamedTuple

from aiodag._core.graph import Graph, GraphNode
from aiodag.states import State

MOST_NODES = 1_000
MOST_EDGES = 10_000
_MOST_GROUPS = 400
_MOST_ERRORS = 3
_BINS = 120
_OTHERS = "other tasks"

# What is worst shows first: one failed node in a thousand is what the reader looks for.
_WORST = (
    State.FAILED,
    State.CANCELLED,
    State.RUNNING,
    State.PARKED,
    State.QUEUED,
    State.WAITING,
    State.SKIPPED,
    State.SUCCEEDED,
)


class Group(NamedTuple):
    """Tell of all nodes of one task: how many in each state, when they ran, what went wrong most often.

    `busy` has how many attempts were under way on average, in each of equal parts of the run. A group is a `barrier` if
    it has nothing but barriers, which count nowhere else.
    """

    name: str
    counts: dict[State, int]
    attempts: int
    seconds: float
    started: float | None
    settled: float | None
    errors: tuple[tuple[str, int], ...]
    busy: tuple[float, ...]
    barrier: bool = False

    @property
    def state(self) -> State:
        """Return the worst state that a node of the group is in."""
        return next(state for state in _WORST if state in self.counts)

    @property
    def size(self) -> int:
        """Return how many nodes there are."""
        return sum(self.counts.values())


class Grouped(NamedTuple):
    """Hold the groups, and the group of each node by the place of the node in the graph."""

    groups: tuple[Group, ...]
    of_node: tuple[int, ...]


def too_large(graph: Graph) -> bool:
    """Return True if the graph is drawn by task."""
    return len(graph.nodes) > MOST_NODES or len(graph.edges) > MOST_EDGES


class Tasks(NamedTuple):
    """The tasks of a graph: the name of each, the places of its nodes, and the task of each node."""

    names: tuple[str, ...]
    members: tuple[list[int], ...]
    of_node: tuple[int, ...]


def group_nodes(graph: Graph, until: float) -> Grouped:
    """Put nodes with one name in one group; the smallest groups share one if there are too many. The run ends at `until`."""
    tasks = tasks_of_graph(graph)
    named = zip(tasks.names, tasks.members, strict=True)
    groups = (_group_of(name, [graph.nodes[at] for at in places], graph.now, until) for name, places in named)
    return Grouped(tuple(groups), tasks.of_node)


def tasks_of_graph(graph: Graph) -> Tasks:
    """Return the nodes of a graph by their names; the smallest tasks stand together if there are too many."""
    sizes = Counter(node.name for node in graph.nodes)
    barriers = {node.name for node in graph.nodes if node.barrier}
    kept = {name for name, _ in sizes.most_common(_MOST_GROUPS)} if len(sizes) > _MOST_GROUPS + 1 else set(sizes)
    number: dict[str | None, int] = {}
    members: list[list[int]] = []
    of_node: list[int] = []
    for place, node in enumerate(graph.nodes):
        at = number.setdefault(node.name if node.name in kept else None, len(members))
        if at == len(members):
            members.append([])
        members[at].append(place)
        of_node.append(at)
    others = f"{len(sizes.keys() - kept - barriers):,} {_OTHERS}"
    return Tasks(tuple(others if name is None else name for name in number), tuple(members), tuple(of_node))


def _group_of(name: str, members: list[GraphNode], now: float, until: float) -> Group:
    nodes = [node for node in members if not node.barrier] or members
    spans = [(begin, end) for node in nodes for state, begin, end in node.spans(now) if state is State.RUNNING]
    return counted_group(name, members)._replace(
        seconds=sum(end - begin for begin, end in spans),
        started=min((begin for begin, _ in spans), default=None),
        settled=max((node.moves[-1][1] for node in nodes if node.state.final and node.moves), default=None),
        busy=_busy(spans, until),
    )


def counted_group(name: str, members: list[GraphNode]) -> Group:
    """Return a group of nodes without what it says of times, which takes long for very many."""
    nodes = [node for node in members if not node.barrier] or members
    counted = Counter(node.state for node in nodes)
    return Group(
        name=name,
        counts={state: counted[state] for state in State if counted[state]},
        attempts=sum(node.attempts for node in nodes),
        seconds=0.0,
        started=None,
        settled=None,
        errors=tuple(Counter(node.error for node in nodes if node.error).most_common(_MOST_ERRORS)),
        busy=(),
        barrier=nodes[0].barrier,
    )


def _busy(spans: list[tuple[float, float]], until: float) -> tuple[float, ...]:
    if until <= 0 or not spans:
        return ()
    each = until / _BINS
    # What begins in a part adds its share to it and 1 to all after; what ends takes that back. So long spans cost no more.
    steps = [0.0] * (_BINS + 2)
    for begin, end in spans:
        for at, sign in ((begin, 1), (end, -1)):
            place = min(max(at, 0.0) / each, _BINS)
            whole = int(place)
            steps[whole] += sign * (whole + 1 - place)
            steps[whole + 1] += sign * (place - whole)
    level = 0.0
    levels: list[float] = []
    for step in steps[:_BINS]:
        level += step
        levels.append(round(level, 6))
    return tuple(levels)
