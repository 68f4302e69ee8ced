"""Draw when each node waited, was queued and ran: a row for each, in order of start, what was called inside a node below it."""

from collections.abc import Iterator, Sequence
from math import floor, log10
from typing import NamedTuple

from aiodag._core.graph import Graph, GraphNode
from aiodag.pictures.lettering import SMALL, escape_xml, shorten_to, width
from aiodag.pictures.palette import glyph
from aiodag.pictures.scene import Scene, outcome, scene
from aiodag.pictures.svg import HEAD, MARGIN, Elements, _headline_elements, anchor_tags, headline_width, svg_document
from aiodag.states import State
from aiodag.wording import describe_seconds

ROW = 24  # pixels
_WIDE, _RIGHT = 660, 92  # pixels for the whole run, and for the times written behind it
_WIDEST_LABEL, _INDENT, _MOST_INDENT = 210, 14, 6
_TICKS = 8


class Row(NamedTuple):
    """Show a node or a group, by its number in the scene; `depth` nodes are around it."""

    number: int
    depth: int


def timeline(graph: Graph) -> str:
    """Return a chart of the run as an SVG document: a row for each node, in order of start, on white.

    Bars are attempts, hollow ones those that were tried again; a thin bar is a node that was queued, a dotted line one
    that waited; a low one with round ends is a wait for something outside of the run. A black line under bars is the critical path. With more than 1,000 nodes there is a row for each task,
    which shows how many attempts were under way.

    >>> from aiodag import plan, task
    >>> from aiodag.pictures import timeline
    >>> @task
    ... async def fetch(name): ...
    >>> "nothing has run yet" in timeline(plan(fetch, "a1"))
    True
    """
    shown = scene(graph)
    rows = rows_of(shown)
    names = labels(shown, rows)
    left = MARGIN + names.width
    high = len(rows) * ROW
    foot = HEAD + high + 40
    body = [
        *_headline_elements(shown),
        f'<g transform="translate({MARGIN} {HEAD})">',
        *names.elements,
        f'</g><svg x="{left}" y="{HEAD}" width="{_WIDE}" height="{high + 30}" overflow="visible">',
        *rules(shown.until, high),
        *bars(shown, rows),
        f'<svg y="{high}" overflow="visible">{"".join(axis(shown.until))}</svg></svg>',
        f'<g transform="translate({left} {foot})">{"".join(_bar_legend(shown))}</g>',
    ]
    wide = max(left + _WIDE + _RIGHT, headline_width(shown) + 2 * MARGIN)
    drawn = svg_document(wide, foot + 30, f"{shown.name}: when each node ran", body)
    return "\n".join([*drawn.elements, ""])


def rows_of(shown: Scene) -> list[Row]:
    """Return the rows in order of start; what was called inside a node comes below it, indented. Barriers have none."""
    own = [at for at, card in enumerate(shown.cards) if not card.barrier]
    if shown.groups:
        order = sorted(own, key=lambda at: _first(shown.groups[at].started, shown.until))
        return [Row(at, 0) for at in order]
    place = {shown.nodes[at].id: at for at in own}
    inside: dict[int | None, list[int]] = {}
    for at in sorted(own, key=lambda at: _start_of(shown.nodes[at])):
        parent = shown.nodes[at].parent
        inside.setdefault(None if parent is None else place.get(parent), []).append(at)
    rows: list[Row] = []
    seen: set[int] = set()
    # What is its own parent, by some way round, hangs on nothing: it comes last.
    stack = [Row(at, 0) for at in reversed(own)]
    stack += [Row(at, 0) for at in reversed(inside.get(None, []))]
    while stack:
        row = stack.pop()
        if row.number not in seen:
            seen.add(row.number)
            rows.append(row)
            stack += [Row(at, row.depth + 1) for at in reversed(inside.get(row.number, []))]
    return rows


def _first(at: float | None, until: float) -> float:
    return until if at is None else at


def _start_of(node: GraphNode) -> tuple[bool, float, float]:
    started = node.started
    return started is None, started or 0.0, node.moves[0][1] if node.moves else 0.0


def labels(shown: Scene, rows: list[Row], anchors: Sequence[tuple[str, str]] = ()) -> Elements:
    """Draw the names of the rows; those on the critical path are bold. `anchors` are for the cards, as `drawing` takes them."""
    critical = set(shown.critical)
    elements: list[str] = []
    widest = 0.0
    for rank, (number, depth) in enumerate(rows):
        name = shown.groups[number].name if shown.groups else shown.nodes[number].label
        bold = number in critical
        text = shorten_to(name, _WIDEST_LABEL)
        x = min(depth, _MOST_INDENT) * _INDENT
        y = rank * ROW
        elements.append(f'<g data-row="{number}">{glyph(shown.cards[number].state, x, y + 6)}')
        strong = ' class="bold"' if bold else ""
        open_, close = anchor_tags(anchors[number]) if anchors else ("", "")
        elements.append(f'{open_}<text{strong} x="{x + 18}" y="{y + 16}">{escape_xml(text)}</text>{close}</g>')
        widest = max(widest, x + 18 + width(text) * (1.06 if bold else 1))
    return Elements(round(widest) + 14, len(rows) * ROW, elements)


def bars(shown: Scene, rows: list[Row]) -> Iterator[str]:
    """Yield the bars, along a width of 100 %."""
    if shown.until <= 0:
        yield '<text class="dim" x="8" y="16">nothing has run yet</text>'
        return
    critical = set(shown.critical)
    for rank, (number, _) in enumerate(rows):
        yield f'<g data-row="{number}">'
        if shown.groups:
            yield from _crowd(shown.groups[number].busy, rank * ROW)
        else:
            yield from _bar_of(shown.nodes[number], shown, rank * ROW, critical=number in critical)
        yield "</g>"


def _bar_of(node: GraphNode, shown: Scene, y: int, *, critical: bool) -> Iterator[str]:
    spans = [(state, begin, end) for state, begin, end in node.spans(shown.now) if not state.final]
    last = max((at for at, (state, _, _) in enumerate(spans) if state is State.RUNNING), default=-1)
    for at, (state, begin, end) in enumerate(spans):
        x, wide = _percent(begin, shown.until), _percent(end - begin, shown.until)
        if state is State.WAITING and end > begin:
            to = _percent(end, shown.until)
            yield f'<line class="waits" x1="{x}%" y1="{y + 12}" x2="{to}%" y2="{y + 12}"/>'
        elif state is State.QUEUED and end > begin:
            yield f'<rect class="bar queued" x="{x}%" y="{y + 9}" width="{wide}%" height="6"/>'
        elif state is State.RUNNING and (node.waits or node.shown_as is State.PARKED):
            yield f'<rect class="bar {node.shown_as}" x="{x}%" y="{y + 8}" width="{wide}%" height="8" rx="4"/>'
        elif state is State.RUNNING:
            kind = str(node.state if node.state.final else state) if at == last else "tried"
            yield f'<rect class="bar {kind}" x="{x}%" y="{y + 4}" width="{wide}%" height="15" rx="3"/>'
    if critical and last >= 0:
        begin, end = node.started or 0.0, spans[last][2]
        x, wide = _percent(begin, shown.until), _percent(end - begin, shown.until)
        yield f'<rect class="critical" x="{x}%" y="{y + 20}" width="{wide}%" height="3"/>'
    if node.settled is not None:
        words = describe_seconds(node.running(shown.now)) if last >= 0 else outcome(node)
        x = _percent(node.settled, shown.until)
        if last < 0:
            yield f'<g transform="translate(3 0)">{_glyph(node.state, x, y + 6)}</g>'
        yield f'<text class="small" x="{x}%" y="{y + 15.5}" dx="{6 if last >= 0 else 20}">{words}</text>'


def _glyph(state: State, percent: str, y: int) -> str:
    return f'<use href="#glyph-{state}" class="glyph {state}" x="{percent}%" y="{y}"/>'


def _crowd(busy: tuple[float, ...], y: int) -> Iterator[str]:
    """Show how many attempts were under way as a hill, whose top is written on it."""
    most = max(busy, default=0)
    if most <= 0:
        return
    high = ROW - 8
    levels = [high - round(high * level / most) for level in busy]
    steps = [f"M0 {high}"]
    for at, level in enumerate(levels):
        if not at or level != levels[at - 1]:
            steps.append(f"H{at}V{level}" if at else f"V{level}")
    path = "".join([*steps, f"H{len(levels)}V{high}z"])
    yield (
        f'<svg class="bar running" y="{y + 5}" width="100%" height="{high}" viewBox="0 0 {len(levels)} {high}" '
        f'preserveAspectRatio="none"><path class="crowd" d="{path}"/></svg>'
    )
    words = f"{most:,.0f} at once" if most >= 1 else ""
    yield f'<text class="small" x="100%" dx="6" y="{y + 16}">{words}</text>'


def rules(until: float, high: int) -> Iterator[str]:
    """Yield a line for each mark of the axis."""
    for _, x in _marks(until):
        yield f'<line class="rule" x1="{x}%" y1="0" x2="{x}%" y2="{high}"/>'


def axis(until: float) -> Iterator[str]:
    """Yield the marks of the axis, in seconds."""
    for mark, x in _marks(until):
        yield f'<text class="small" x="{x}%" y="15" text-anchor="middle">{mark}</text>'


def _marks(until: float) -> list[tuple[str, str]]:
    if until <= 0:
        return []
    power = 10.0 ** floor(log10(until / _TICKS))
    step = next((power * digit for digit in (1, 2, 5) if power * digit * _TICKS >= until), power * 10)
    return [(f"{tick * step:.12g} s", _percent(tick * step, until)) for tick in range(floor(until / step + 1e-9) + 1)]


def _percent(at: float, until: float) -> str:
    return f"{min(max(at / until, 0.0), 1.0) * 100:.2f}".rstrip("0").rstrip(".")


def _bar_legend(shown: Scene) -> Iterator[str]:
    """Yield what the bars mean."""
    if shown.until <= 0 or shown.groups:
        return
    nodes = [node for node in shown.nodes if not node.barrier]
    spans = {state for node in nodes for state, begin, end in node.spans(shown.now) if end > begin}
    x = 0.0
    samples = [
        (State.WAITING in spans, "waited", '<line class="waits" x1="{x}" y1="9" x2="{to}" y2="9"/>'),
        (
            any(node.waits for node in nodes if node.started is not None),
            "waited for something outside",
            '<rect class="bar parked" x="{x}" y="5" width="26" height="8" rx="4"/>',
        ),
        (
            State.QUEUED in spans,
            "queued: a limit or a pause before a retry",
            '<rect class="bar queued" x="{x}" y="6" width="26" height="6"/>',
        ),
        (
            any(node.attempts > 1 for node in nodes),
            "tried, and tried again",
            '<rect class="bar tried" x="{x}" y="2" width="26" height="14" rx="3"/>',
        ),
        (bool(shown.critical), "critical path", '<rect class="critical" x="{x}" y="8" width="26" height="3"/>'),
    ]
    for there, words, sample in samples:
        if there:
            yield sample.format(x=round(x), to=round(x) + 26)
            yield f'<text class="small" x="{x + 33:.0f}" y="13">{words}</text>'
            x += 33 + width(words, SMALL) + 18
