"""Draw a graph: Mermaid, Graphviz, a tree of text, a timeline of text.

A label may hold anything, since it quotes arguments. Each drawing escapes it in one place (`_mermaid_label`,
`_dot_label`), after `printable` has made it one line that does nothing to a terminal.
"""

import re
from collections import Counter
from collections.abc import Iterator
from math import floor, log10
from typing import TYPE_CHECKING, NamedTuple

from aiodag.errors import OptionError
from aiodag.looks import LOOKS
from aiodag.states import State
from aiodag.wording import count_text, describe_seconds, printable

if TYPE_CHECKING:
    from aiodag._core.graph import Graph, GraphEdge, GraphNode

_DIRECTIONS = ("LR", "RL", "TB", "TD", "BT")
_MOST_INDENT = 24
_MOST_ALIGNED = 60
_MOST_NAMED = 5
_MOST_ROWS = 40

_BARS = {state: look.sign for state, look in LOOKS.items()} | {State.RUNNING: "█"}
_BAR_WORDS = {State.PARKED: "waited for something outside"}


def _title(node: "GraphNode") -> str:
    tries = f" ×{node.attempts}" if node.attempts > 1 and not node.waits else ""
    return f"{LOOKS[node.shown_as].sign} {printable(node.label)}{tries}"


def mermaid(graph: "Graph", direction: str) -> str:
    """Return a Mermaid flowchart."""
    if direction not in _DIRECTIONS:
        raise OptionError("direction", direction, "one of " + ", ".join(_DIRECTIONS))
    lines = [f"flowchart {direction}"]
    lines += [f"    n{node.id}{_mermaid_shape(node)}:::{node.shown_as}" for node in graph.nodes]
    lines += [f"    n{edge.source} {_mermaid_arrow(edge)} n{edge.target}" for edge in graph.edges]
    lines += [f"    n{parent} --o n{node.id}" for node, parent in _depths(graph)]
    shown = {node.shown_as for node in graph.nodes if not node.barrier}
    lines += [_mermaid_class(state) for state in State if state in shown]
    return "\n".join(lines) + "\n"


# Quotes end a label, but Mermaid does more to it than that: it reads Markdown ("1. x" becomes a list, "www.x" a link),
# icons ("fa:fa-car"), formulas ("$$") and HTML, and it cuts the ";" off "style...:...#...;". An entity is safe from all
# of these, so only what is known to be harmless stays as it is: "_", "-" and "." inside a word, and after "www" not even that.
_MERMAID_SAFE = re.compile(
    r"[^\x00-\x7f]|[A-Za-z0-9 (),=']|(?<=[A-Za-z0-9])(?<!www)[_.-](?=[A-Za-z0-9])", re.IGNORECASE
)


def _mermaid_label(text: str) -> str:
    return "".join(
        c if _MERMAID_SAFE.match(text, at) else f"#{ord(c)};"
        for at, c in enumerate(text)
    )  # fmt: skip


def _mermaid_shape(node: "GraphNode") -> str:
    if node.barrier:
        return "(( ))"
    begin, end = ("([", "])") if node.waits else ("[", "]")
    return f'{begin}"{_mermaid_label(_title(node))}"{end}'


def _mermaid_arrow(edge: "GraphEdge") -> str:
    arrow = "-.->" if edge.kind == "exogenous" else "-->"
    return f"{arrow}|settled|" if edge.settled else arrow


def _mermaid_class(state: State) -> str:
    fill, border = LOOKS[state].drawn
    return f"    classDef {state} fill:{fill},stroke:{border},color:#1f2328"


def dot(graph: "Graph") -> str:
    """Return a Graphviz digraph."""
    lines = [f'digraph "{_dot_label(printable(graph.name))}" {{', "    rankdir=LR"]
    lines += ['    node [shape=box, style="rounded,filled", fontname="sans-serif", fontcolor="#1f2328"]']
    lines += [f"    n{node.id} [{_dot_node(node)}]" for node in graph.nodes]
    lines += [f"    n{edge.source} -> n{edge.target}{_dot_edge(edge)}" for edge in graph.edges]
    lines += [f"    n{parent} -> n{node.id} [arrowhead=odot, color=gray]" for node, parent in _depths(graph)]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_label(text: str) -> str:
    # Graphviz reads HTML entities in plain labels too.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _dot_node(node: "GraphNode") -> str:
    fill, border = LOOKS[node.shown_as].drawn
    if node.barrier:
        return f'shape=point, color="{border}"'
    shape = "shape=oval, " * bool(node.waits)
    return f'{shape}label="{_dot_label(_title(node))}", fillcolor="{fill}", color="{border}"'


def _dot_edge(edge: "GraphEdge") -> str:
    marks = ["style=dashed"] * (edge.kind == "exogenous") + ['label="settled"'] * edge.settled
    return f" [{', '.join(marks)}]" if marks else ""


def _depths(graph: "Graph") -> "Iterator[tuple[GraphNode, int]]":
    known = {node.id for node in graph.nodes}
    return ((node, node.parent) for node in graph.nodes if node.parent is not None and node.parent in known)


class _Link(NamedTuple):
    """A line of the tree from one node to the next."""

    target: int
    branch: str
    arrow: str
    settled: bool = False


_ROOT = _Link(-1, "─", "→")


class _Row(NamedTuple):
    """A node that is next in the tree: how it is reached, and what is drawn to the left of it."""

    id: int
    link: _Link
    left: str
    last: bool
    depth: int


def tree_text(graph: "Graph") -> str:
    """Return a tree of lines; each node comes after all that lead to it."""
    nodes = {node.id: node for node in graph.nodes}
    names = _names(graph)
    rows: list[tuple[str, str, str]] = []
    for id_, lead, links in _walk(graph):
        node, pointers = nodes[id_], _pointers(links, names)
        if node.barrier:  # no more than a fork of the tree
            rows.append((f"{lead}{names[id_]}", "", pointers))
        else:
            rows.append((f"{lead}{LOOKS[node.shown_as].sign} {names[id_]}", _node_note(node, graph.now), pointers))
    width = max((len(left) for left, _, _ in rows if len(left) <= _MOST_ALIGNED), default=0)
    lines = [f"{left:<{width}} {told}{pointers}" if told else f"{left}{pointers}" for left, told, pointers in rows]
    return "\n".join([_headline(graph), *lines])


def _walk(graph: "Graph") -> Iterator[tuple[int, str, list[_Link]]]:
    """Yield each node once, with what is drawn before it and the links to nodes that come later by another way."""
    links = _links(graph)
    missing = dict.fromkeys(links, 0)
    for ways in links.values():
        for link in ways:
            missing[link.target] += 1
    # After the roots come all others, last: only nodes on a cycle are still unseen then.
    roots = [id_ for id_, count in missing.items() if not count]
    rest = [id_ for id_, count in missing.items() if count]
    seen: set[int] = set()
    for start in (roots, rest):
        fresh = [id_ for id_ in start if id_ not in seen]
        stack = [_Row(id_, _ROOT, "", id_ == fresh[-1], 1) for id_ in reversed(fresh)]
        while stack:
            row = stack.pop()
            if row.id in seen:
                continue
            seen.add(row.id)
            here: list[_Link] = []
            later: list[_Link] = []
            for link in links[row.id]:
                missing[link.target] -= 1
                (later if missing[link.target] or link.target in seen else here).append(link)
            below = row.left + ("   " if row.last else "│  ") if row.depth < _MOST_INDENT else row.left
            stack += [_Row(link.target, link, below, link is here[-1], row.depth + 1) for link in reversed(here)]
            yield row.id, _lead(row), later


def _links(graph: "Graph") -> dict[int, list[_Link]]:
    """Return what hangs on each node: its downstream, and the nodes called inside it that nothing else there leads to."""
    found: dict[int, dict[int, _Link]] = {node.id: {} for node in graph.nodes}
    parents = {node.id: node.parent for node in graph.nodes}
    led: set[int] = set()
    for edge in graph.edges:
        exogenous = edge.kind == "exogenous"
        link = _Link(edge.target, "╌" if exogenous else "─", "⇢" if exogenous else "→", edge.settled)
        if not exogenous or edge.target not in found[edge.source]:
            found[edge.source][edge.target] = link
        if parents[edge.source] == parents[edge.target]:
            led.add(edge.target)
    for node, parent in _depths(graph):
        if node.id not in led:
            found[parent].setdefault(node.id, _Link(node.id, "○", "⊸"))
    return {id_: list(ways.values()) for id_, ways in found.items()}


def _lead(row: _Row) -> str:
    corner = "└" if row.last else "├"
    deep = f"{row.depth}: " if row.depth > _MOST_INDENT else ""
    settled = "settled " if row.link.settled else ""
    return f"{row.left}{corner}{row.link.branch} {deep}{settled}"


def _pointers(links: list[_Link], names: dict[int, str]) -> str:
    shown = "".join(
        f" {link.arrow} {'settled ' if link.settled else ''}{names[link.target]}" for link in links[:_MOST_NAMED]
    )
    more = f" and {len(links) - _MOST_NAMED} more" if len(links) > _MOST_NAMED else ""
    return f" {shown}{more}" if shown else ""


def _names(graph: "Graph") -> dict[int, str]:
    """Return a name for each node that no other has: its label, with its number where several have it."""
    labels = {node.id: f"({printable(node.name)})" if node.barrier else printable(node.label) for node in graph.nodes}
    count = Counter(labels.values())
    return {id_: f"{label} #{id_}" if count[label] > 1 else label for id_, label in labels.items()}


def _node_note(node: "GraphNode", now: float) -> str:
    told = node.describe(now)
    return f"{told}: {printable(node.error)}" if node.error else told


def _headline(graph: "Graph") -> str:
    after = [f"after {describe_seconds(graph.now)}"] if graph.now and _has_run(graph) else []
    counts = graph.counts()
    return f"{printable(graph.name)}: " + ", ".join(
        [count_text(sum(counts.values()), "node"), *_count_states(counts), *after]
    )


def _has_run(graph: "Graph") -> bool:
    """Return True if time means anything here, as it does not in a plan."""
    return any(node.started is not None or node.settled is not None for node in graph.nodes if not node.barrier)


def _count_states(counts: dict[State, int]) -> list[str]:
    return [f"{count} {state}" for state, count in counts.items()]


def timeline_text(graph: "Graph", width: int) -> str:
    """Return a chart of rows, an axis in seconds and a legend."""
    rows = sorted((node for node in graph.nodes if node.moves and not node.barrier), key=_start_order)
    until = max([graph.now, *(node.moves[-1][1] for node in rows)])
    if not _has_run(graph):
        return f"{_headline(graph)}\nnothing has run yet"
    if until <= 0:
        return f"{_headline(graph)}\nno time has passed"
    names = _names(graph)
    shown = rows[:_MOST_ROWS]
    room = min(max(len(names[node.id]) for node in shown), width // 3)
    # One column more than the scale has: what settles at the very end has its mark there.
    columns = width - room - 4
    lines = [f"{_cut(names[node.id], room)} │ {_draw_bar(node, graph.now, until / columns, columns)}" for node in shown]
    if len(rows) > _MOST_ROWS:
        lines.append(f"{'⋮':<{room}} │ {len(rows) - _MOST_ROWS} more nodes")
    axis = f"{'seconds':>{room}} └─{_axis(until, columns)}"
    spans = (span for node in shown for span in _shown_spans(node, graph.now))
    used = {state for state, begin, end in spans if state.final or end > begin}
    legend = "  ".join(f"{_BARS[state]} {_BAR_WORDS.get(state, state)}" for state in State if state in used)
    return "\n".join([_headline(graph), *(line.rstrip() for line in lines), axis, legend])


def _shown_spans(node: "GraphNode", now: float) -> list[tuple[State, float, float]]:
    """Return what a bar shows of a node: where it waited for something outside of the run, nothing ran."""
    runs = State.PARKED if node.waits or node.shown_as is State.PARKED else State.RUNNING
    return [(runs if state is State.RUNNING else state, begin, end) for state, begin, end in node.spans(now)]


def _start_order(node: "GraphNode") -> tuple[bool, float, float, int]:
    started = node.started
    return started is None, started or 0.0, node.moves[0][1], node.id


def _cut(name: str, room: int) -> str:
    return name.ljust(room) if len(name) <= room else name[: room - 1] + "…"


def _draw_bar(node: "GraphNode", now: float, scale: float, columns: int) -> str:
    cells = [" "] * (columns + 1)
    for state, begin, end in _shown_spans(node, now):
        if begin == end and not state.final:
            continue
        # The small number keeps 0.3 / 0.1 from being 2. A span shorter than a column is drawn all the same.
        first, last = (floor(at / scale + 1e-9) for at in (begin, end))
        if state.final:
            last = first + 1
        for column in range(min(first, columns), min(max(last, first + 1), columns + 1)):
            cells[column] = _BARS[state]
    return "".join(cells)


def _axis(end: float, columns: int) -> str:
    step = _step(end * 8 / columns)
    line = ["─"] * (columns + 1)
    for tick in range(floor(end / step + 1e-9) + 1):
        mark = f"{tick * step:.12g}"
        at = floor(tick * step * columns / end + 1e-9)
        at = min(at, columns + 1 - len(mark))
        line[at : at + len(mark)] = mark
    return "".join(line)


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... (or 0.1, 0.2, ...) that is not below `least`."""
    power: float = 10.0 ** floor(log10(least))
    return next((power * digit for digit in (1, 2, 5) if power * digit >= least), power * 10)
