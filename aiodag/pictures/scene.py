"""What a picture of a graph shows: cards with words and a state, and the links between them.

Cards and links go by their place in the graph, never by the id of a node, which may be anything.
"""

from collections import Counter, deque
from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag.errors import CycleError
from aiodag.pictures.groups import Group, group_nodes, too_large
from aiodag.pictures.lettering import SMALL, line, shorten_to, width
from aiodag.states import State
from aiodag.wording import count_text, describe_seconds

_NARROWEST, _WIDEST = 96, 230  # pixels of a card
_HIGH, _GROUP_HIGH = 40, 58
LOW = 24  # pixels of a card whose words are in one line
_MOST_HIGH = 100  # nodes that have the room of two lines each
_DOT = 10, 10  # pixels of a barrier
_MOST_JOINED = 3  # nodes that the words of a barrier name on each side
_BESIDE_WORDS, _BETWEEN_WORDS = 36, 7  # pixels: the glyph and the margins; between two words in one line


class Card(NamedTuple):
    """Show a node or a group: a title, a line below, what there is to say at length; a group also has its counts.

    A barrier only joins links: it is a dot, and its words are not on the picture. What `waits` for something outside of the
    run, or has waited, has round ends.
    """

    state: State
    title: str
    below: str
    told: str
    size: tuple[int, int]
    counts: dict[State, int]
    barrier: bool = False
    waits: bool = False


class Link(NamedTuple):
    """Lead from one card to another. `kind` is "endogenous", "exogenous" or "nested" (called inside); it stands for `edges` edges."""

    source: int
    target: int
    kind: str
    settled: bool = False
    failed: bool = False
    edges: int = 1


class Scene(NamedTuple):
    """Hold what is drawn. There are groups if nodes are too many. The run ended, or was looked at, `until` seconds after it began."""

    nodes: tuple[GraphNode, ...]
    now: float
    name: str
    headline: str
    counts: dict[State, int]
    cards: tuple[Card, ...]
    links: tuple[Link, ...]
    groups: tuple[Group, ...]
    critical: tuple[int, ...]
    until: float
    of_node: tuple[int, ...] = ()


def scene(graph: Graph) -> Scene:
    """Choose what to show of a graph: its nodes, or its tasks if there are too many nodes."""
    graph = _finite(graph)
    until = _until(graph)
    place = {node.id: at for at, node in enumerate(graph.nodes)}
    failed = _failed_edges(graph)
    critical = tuple(place[node.id] for node in _critical(graph))
    groups: tuple[Group, ...] = ()
    of_node: tuple[int, ...] = ()  # the group of each node
    if too_large(graph):
        groups, of_node = group_nodes(graph, until)
        cards = [_group_card(group) for group in groups]
        links = _merge_links(graph, dict(zip(place, of_node, strict=True)), failed)
        critical = tuple(dict.fromkeys(of_node[at] for at in critical))
    else:
        low = len(graph.nodes) > _MOST_HIGH
        label = {node.id: node.label for node in graph.nodes}
        cards = [
            _barrier(node, graph, label) if node.barrier else _node_card(node, graph.now, low=low)
            for node in graph.nodes
        ]
        links = [
            Link(place[edge.source], place[edge.target], _kind(edge), edge.settled, edge in failed)
            for edge in graph.edges
        ]
        links += [Link(place[parent], place[id_], "nested") for parent, id_ in _innermost_ids(graph)]
    return Scene(
        nodes=graph.nodes,
        now=graph.now,
        name=line(graph.name, 100),
        headline=headline_of(graph, sum(not group.barrier for group in groups), until),
        counts=graph.counts(),
        cards=tuple(cards),
        links=tuple(links),
        groups=groups,
        critical=critical,
        until=until,
        of_node=of_node,
    )


def headline_of(graph: Graph, tasks: int, until: float) -> str:
    """Return the sizes of a graph, as how many tasks it is shown if it is, and how long it took."""
    sizes = [count_text(sum(graph.counts().values()), "node"), count_text(len(graph.edges), "edge")]
    sizes += [f"shown as {count_text(tasks, 'task')}"] * bool(tasks)
    sizes += [describe_seconds(until)] * bool(until)
    return ", ".join(sizes)


def _finite(graph: Graph) -> Graph:
    """Drop moments that are not numbers: a graph may have been read from a file, and they have no place on an axis."""
    if isfinite(graph.now) and all(isfinite(at) for node in graph.nodes for _, at in node.moves):
        return graph
    kept = (node._replace(moves=tuple(move for move in node.moves if isfinite(move[1]))) for node in graph.nodes)
    return Graph(graph.name, kept, graph.edges, graph.now if isfinite(graph.now) else 0.0)


def _until(graph: Graph) -> float:
    if all(node.started is None and node.settled is None for node in graph.nodes):
        return 0.0  # a plan: time means nothing there
    return max([graph.now, *(node.moves[-1][1] for node in graph.nodes if node.moves)])


def _critical(graph: Graph) -> tuple[GraphNode, ...]:
    try:
        return graph.critical_path()
    except CycleError:
        return ()


def _kind(edge: GraphEdge) -> str:
    return "exogenous" if edge.kind == "exogenous" else "endogenous"


def _failed_edges(graph: Graph) -> set[GraphEdge]:
    """Return the edges along which failures were passed on: from failed nodes to all that was skipped because of them."""
    nodes = {node.id: node for node in graph.nodes}
    outgoing: dict[int, list[GraphEdge]] = {}
    for edge in graph.edges:
        if nodes[edge.target].state is State.SKIPPED and not edge.settled:
            outgoing.setdefault(edge.source, []).append(edge)
    reached = deque(node.id for node in graph.nodes if node.state is State.FAILED)
    seen = set(reached)
    found: set[GraphEdge] = set()
    while reached:
        for edge in outgoing.get(reached.popleft(), ()):
            cause, skipped = nodes[edge.source].settled, nodes[edge.target].settled
            if cause is not None and skipped is not None and cause > skipped:
                continue  # it had been skipped before, for another reason
            found.add(edge)
            if edge.target not in seen:
                seen.add(edge.target)
                reached.append(edge.target)
    return found


def _innermost_ids(graph: Graph) -> Iterator[tuple[int, int]]:
    """Yield the ids of a node and of one that was called inside it, but for those that others inside lead to."""
    known = {node.id for node in graph.nodes}
    inside = [
        (parent, node.id)
        for node in graph.nodes
        if (parent := node.parent) is not None and parent in known and parent != node.id
    ]
    if inside:
        parents = {id_: parent for parent, id_ in inside}
        led = {edge.target for edge in graph.edges if parents.get(edge.source) == parents.get(edge.target)}
        yield from ((parent, id_) for parent, id_ in inside if id_ not in led)


def _merge_links(graph: Graph, group: dict[int, int], failed: set[GraphEdge]) -> list[Link]:
    """Return the links between groups; one is dashed if all of its edges are."""
    solid = Counter((group[edge.source], group[edge.target]) for edge in graph.edges if edge.kind != "exogenous")
    dashed = Counter((group[edge.source], group[edge.target]) for edge in graph.edges if edge.kind == "exogenous")
    red = {(group[edge.source], group[edge.target]) for edge in failed}
    counted = solid + dashed
    links = [
        Link(*ends, "endogenous" if ends in solid else "exogenous", failed=ends in red, edges=count)
        for ends, count in counted.items()
    ]
    inside = Counter((group[parent], group[id_]) for parent, id_ in _innermost_ids(graph))
    return links + [Link(*ends, "nested", edges=count) for ends, count in inside.items() if ends not in counted]


def outcome(node: GraphNode) -> str:
    """Return one word for the outcome of a node: its state, "recalled" if it succeeded without running, or that it waits."""
    recalled = (
        node.state is State.SUCCEEDED and node.started is None and any(state is State.QUEUED for state, _ in node.moves)
    )
    if node.shown_as is State.PARKED:
        return "waits"
    return "recalled" if recalled else str(node.state)


def _node_card(node: GraphNode, now: float, *, low: bool) -> Card:
    ran = node.started is not None
    words = [outcome(node)] * (not ran or node.state is not State.SUCCEEDED)
    words += [describe_seconds(node.running(now))] * ran
    words += [f"{node.attempts} attempts"] * (node.attempts > 1 and not node.waits)
    below = node.error.partition(":")[0] if node.state is State.FAILED and node.error else ", ".join(words)
    room = _WIDEST - _BESIDE_WORDS
    below = shorten_to(below, room / 2 if low else room, SMALL)
    title = shorten_to(node.label, room - width(below, SMALL) - _BETWEEN_WORDS if low else room)
    told = [f"{line(node.label)}: {outcome(node)}"]
    told += [time_text(node, now)] * ran
    told += [line(node.error)] * bool(node.error)
    parts = width(title), width(below, SMALL)
    wide = _BESIDE_WORDS + (sum(parts) + _BETWEEN_WORDS if low else max(parts))
    size = max(_NARROWEST, round(wide)), LOW if low else _HIGH
    return Card(node.shown_as, title, below, "\n".join(told), size, {}, waits=bool(node.waits))


def time_text(node: GraphNode, now: float) -> str:
    """Return how long a node ran and in how many attempts, or how long it waited for something outside of the run."""
    seconds = describe_seconds(node.running(now))
    if node.waits:
        return f"{'waits' if node.shown_as is State.PARKED else 'waited'} {seconds} for a {node.waits}"
    return f"ran {seconds} in {count_text(node.attempts, 'attempt')}"


def _barrier(node: GraphNode, graph: Graph, label: dict[int, str]) -> Card:
    before, behind = ([label[id_] for id_ in ids] for ids in (graph.upstream(node.id), graph.downstream(node.id)))
    return _barrier_card(node.state, f"({line(node.label)}) joins {_some(before)} with {_some(behind)}")


def _some(labels: list[str]) -> str:
    named = ", ".join(line(each) for each in labels[:_MOST_JOINED]) or "nothing"
    more = len(labels) - _MOST_JOINED
    return f"{named} and {more:,} more" if more > 0 else named


def _barrier_card(state: State, told: str) -> Card:
    return Card(state, "", "", told, _DOT, {}, barrier=True)


def _group_card(group: Group) -> Card:
    if group.barrier:
        return _barrier_card(group.state, f"({line(group.name)}) only joins edges")
    title, below = shorten_to(group.name, _WIDEST - _BESIDE_WORDS), count_text(group.size, "node")
    told = [f"{line(group.name)}: {below}", *(f"{count:,} {state}" for state, count in group.counts.items())]
    told += [f"{count:,} × {line(error)}" for error, count in group.errors]
    marks = sum(20 + width(f"{count:,}", SMALL) for count in group.counts.values())
    wide = _BESIDE_WORDS + max(width(title) + width(below, SMALL), marks)
    return Card(group.state, title, below, "\n".join(told), (max(150, round(wide)), _GROUP_HIGH), group.counts)
