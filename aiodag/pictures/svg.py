"""Draw a graph as SVG, with nothing but the standard library."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from math import dist, log10
from typing import NamedTuple

from aiodag._core.graph import Graph
from aiodag.looks import LOOKS
from aiodag.pictures.layout import Box, Layout, Route, layout
from aiodag.pictures.lettering import FONT, SIZE, SMALL, escape_xml, width
from aiodag.pictures.palette import colours_by_name, glyph, glyphs
from aiodag.pictures.scene import LOW, Card, Link, Scene, scene
from aiodag.states import State

MARGIN, HEAD = 20, 46  # pixels
_FOOT = 36
_DASH, _GAP = 6, 4  # pixels of an exogenous edge
_KINDS = {
    "exogenous": "exogenous: only waited for",
    "nested": "called inside",
    "failed": "the way of a failure",
}


class Elements(NamedTuple):
    """Hold elements of SVG, and the pixels that they need."""

    width: int
    height: int
    elements: list[str]


def svg(graph: Graph) -> str:
    """Return a picture of the graph: an SVG document that looks the same everywhere, on white.

    Colours and glyphs show the states, exogenous edges are dashed, thick red ones lead from what failed to what was
    skipped because of it. A graph of more than 1,000 nodes, or 10,000 edges, is drawn by task, with counts.

    >>> from aiodag import plan, task
    >>> from aiodag.pictures import svg
    >>> @task
    ... async def fetch(name): ...
    >>> svg(plan(fetch, "a1"))[:47]
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox'
    """
    return "\n".join([*sheet(graph).elements, ""])


def sheet(graph: Graph, *, merged: bool = False) -> Elements:
    """Draw the whole document of `svg`: its size, and its lines; if `merged`, what edges share is drawn once."""
    shown = scene(graph)
    drawn = drawing(shown, merged=merged)
    foot = _legend_elements(shown)
    wide = max(drawn.width, foot.width, headline_width(shown)) + 2 * MARGIN
    high = HEAD + drawn.height + (_FOOT + foot.height if drawn.elements else 0)
    body = [
        *_headline_elements(shown),
        f'<g transform="translate({MARGIN} {HEAD})">',
        *drawn.elements,
        f'</g><g transform="translate({MARGIN} {high - foot.height - 14})">',
        *foot.elements,
        "</g>",
    ]
    return svg_document(wide, high, f"{shown.name}: {shown.headline}", body)


def _headline_elements(shown: Scene) -> list[str]:
    """Draw the name of the run and its sizes."""
    sizes = f'<tspan class="dim" dx="10">{escape_xml(shown.headline)}</tspan>'
    return [f'<text class="name" x="{MARGIN}" y="30">{escape_xml(shown.name)}{sizes}</text>']


def headline_width(shown: Scene) -> int:
    """Return about how many pixels the headline is wide."""
    return round(width(shown.name, 16) + width(shown.headline)) + 20


def svg_document(wide: int, high: int, title: str, body: list[str]) -> Elements:
    """Draw a whole document on a white sheet with round corners."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img">',
        f"<title>{escape_xml(title)}</title>",
        f"<style>{style(colours_by_name('light'))}</style>",
        definitions(),
        '<rect class="page" width="100%" height="100%" rx="8"/>',
        *body,
        "</svg>",
    ]
    return Elements(wide, high, lines)


def style(colour: dict[str, str]) -> str:
    """Return the rules of style for given colours, or for what stands in their place."""
    rules = [
        f"text{{font-family:{FONT};font-size:{SIZE}px;fill:{colour['ink']}}}",
        f".page{{fill:{colour['page']}}}",
        f".rule{{stroke:{colour['rule']}}}",
        f".name{{font-size:15px;font-weight:bold}} .name .dim{{font-size:{SIZE}px;font-weight:normal}}",
        f".dim{{fill:{colour['dim']}}} .below{{font-size:{SMALL}px;fill-opacity:.85}}",
        f".small,.axis{{font-size:{SMALL}px;fill:{colour['dim']}}}",
        f".edge{{fill:none;stroke:{colour['edge']};stroke-width:1.4;marker-end:url(#tip)}}",
        f".exogenous{{stroke-dasharray:{_DASH} {_GAP}}} .edge.nested{{stroke-dasharray:1.5 4;stroke-linecap:round;marker-end:url(#tip-nested)}}",
        f".edge.failed{{stroke:{colour['path']};stroke-width:3;marker-end:url(#tip-failed)}}",
        ".node rect{stroke-width:1.4}",
        f".group .back{{fill:{colour['page']};stroke-width:2}}",
        ".glyph{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}",
        f".tip{{fill:{colour['edge']}}} .tip.failed{{fill:{colour['path']}}}",
        f".ring{{fill:{colour['page']};stroke:{colour['edge']}}}",
        f".waits{{stroke:{colour['edge']};stroke-width:1.4;stroke-dasharray:1 5;stroke-linecap:round}} .crowd{{fill:{colour['running-line']};stroke:none}}",
        f".bar{{stroke-width:1.2}} .tried{{fill:{colour['page']};stroke:{colour['failed-line']};stroke-dasharray:4 2}}",
        f".critical{{fill:{colour['ink']}}} .bold{{font-weight:bold}}",
    ]
    for state, look in LOOKS.items():
        fill, line, ink = (colour[f"{state}-{part}"] for part in ("fill", "line", "ink"))
        broken = f";stroke-dasharray:{look.broken}" if look.broken else ""
        rules += [
            f".node.{state} .box,.bar.{state}{{fill:{fill};stroke:{line}{broken}}} .node.{state} text{{fill:{ink}}}",
            f".glyph.{state}{{stroke:{line}}} .node.{state} .glyph{{stroke:{ink}}}",
            f".group.{state} .back{{stroke:{line}}} .part.{state}{{fill:{line}}}",
        ]
    return "\n".join(rules)


def themed_style() -> str:
    """Return the rules of style whose colours follow the reader's choice of light or dark, with a variable for each colour."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours_by_name(theme).items()) for theme in ("light", "dark")
    )
    themes = f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
    return "\n".join([themes, style({name: f"var(--{name})" for name in colours_by_name("light")})])


def definitions() -> str:
    """Return the glyphs, and the ends of edges."""
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="{back}" refY="4" markerWidth="{size}" markerHeight="{size}" '
        f'markerUnits="userSpaceOnUse" orient="auto">{shape}</marker>'
        for name, back, size, shape in (
            ("tip", 7.5, 8, '<path class="tip" d="M0 .5L8 4L0 7.5z"/>'),
            ("tip-failed", 7.5, 12, '<path class="tip failed" d="M0 .5L8 4L0 7.5z"/>'),
            ("tip-nested", 7, 8, '<circle class="ring" cx="4" cy="4" r="3"/>'),
        )
    )
    return f"<defs>{glyphs()}{tips}</defs>"


def drawing(
    shown: Scene, *, titles: bool = True, merged: bool = False, anchors: Sequence[tuple[str, str]] = ()
) -> Elements:
    """Draw the links and, over them, the cards; `titles` tell more of each, where a browser is pointed at it.

    `anchors` are the addresses that the cards lead to, each with the number by which a script knows the node, or "".
    """
    places = layout([card.size for card in shown.cards], [(link.source, link.target) for link in shown.links])
    reached = {link.target for link in shown.links if link.failed}
    shifts = _shifts(shown, places)
    elements: list[str] = []
    # What is drawn later covers what is below it: the way of a failure is to be seen.
    for failed in (False, True):
        for kind in ("nested", "exogenous", "endogenous"):
            links = [link for link in shown.links if link.failed is failed and link.kind == kind]
            solid = merged and kind == "endogenous" and not shown.groups
            lines = _draw_merged(links, places) if solid else [_line(link, places, shifts) for link in links]
            if lines:
                elements += [f'<g class="edge {kind}{" failed" * failed}">', *lines, "</g>"]
    for at, card in enumerate(shown.cards):
        box = places.boxes[at]
        kind = "barrier" if card.barrier else f"{'group' if card.counts else 'node'} {card.state}"
        open_, close = anchor_tags(anchors[at]) if anchors and not card.barrier else ("", "")
        elements.append(f'{open_}<g class="{kind}" data-node="{at}" transform="translate({box.x} {box.y})">')
        if titles:
            elements.append(f"<title>{escape_xml(card.told)}</title>")
        if card.barrier:
            elements.append(_barrier_dot(box, failed=at in reached))
        else:
            elements += _group_box(card, box) if card.counts else _node_box(card, box)
        elements.append(f"</g>{close}")
    return Elements(places.width, places.height, elements)


def anchor_tags(anchor: tuple[str, str]) -> tuple[str, str]:
    """Return the ends of a link around what is drawn: its address, and the number of its node or nothing."""
    address, number = anchor
    return f'<a href="{escape_xml(address)}" data-number="{escape_xml(number)}">', "</a>"


def _shifts(shown: Scene, places: Layout) -> dict[tuple[int, int], float]:
    """Return by how much dashes are moved along edges that come together before their end: one on another, or the trunk looks solid."""
    long = {(link.source, link.target) for link in shown.links if len(places.routes[link.source, link.target]) > 2}
    leaving, coming = Counter(source for source, _ in long), Counter(target for _, target in long)
    dashed = {(link.source, link.target) for link in shown.links if link.kind == "exogenous"} & long
    together = [edge for edge in dashed if leaving[edge[0]] < coming[edge[1]]]
    return {edge: -_length(places.routes[edge]) % (_DASH + _GAP) for edge in together}


def _length(route: Route) -> float:
    bends = sum(
        _length_of_bend(route[at + 1][0] - x, route[at + 1][1] - y) for at, (x, y) in enumerate(route) if not at % 2
    )
    return bends + sum(route[at + 1][0] - route[at][0] for at in range(1, len(route) - 1, 2))


@lru_cache(10_000)
def _length_of_bend(wide: int, up: int) -> float:
    if abs(up) <= 1:
        return wide
    half, steps = wide // 2, [at / 32 for at in range(33)]
    points = [(3 * t * (1 - t) * half + t**3 * wide, t * t * (3 - 2 * t) * up) for t in steps]
    return sum(dist(*pair) for pair in pairwise(points))


def _line(link: Link, places: Layout, shifts: dict[tuple[int, int], float]) -> str:
    route = places.routes[link.source, link.target]
    path = _bends(route) if route else _loop(places.boxes[link.source])
    shift = shifts.get((link.source, link.target)) if link.kind == "exogenous" else None
    phase = "" if shift is None else f' stroke-dashoffset="{shift:.1f}"'
    thick = f' stroke-width="{1.4 + log10(link.edges):.1f}"' if link.edges > 1 and not link.failed else ""
    words = [f"{link.edges:,} edges"] * (link.edges > 1) + ["settled: any outcome will do"] * link.settled
    head = f'<path data-edge="{link.source} {link.target}" d="{path}"{thick}{phase}'
    return f"{head}><title>{', '.join(words)}</title></path>" if words else f"{head}/>"


def _draw_merged(links: list[Link], places: Layout) -> list[str]:
    """Draw solid edges for what counts every line: a trunk of two hundred edges is one, and each has its own end."""
    trunks: dict[str, None] = {}
    ends: dict[str, None] = {}
    for link in links:
        route = places.routes[link.source, link.target]
        for at in range(1, len(route) - 1, 2):
            (x, y), to = route[at], route[at + 1]
            trunks[_bends(route[at - 1 : at + 1])] = trunks[f"M{x} {y}H{to[0]}"] = None
        ends[_bends(route[-2:]) if route else _loop(places.boxes[link.source])] = None
    trunk = [f'<path style="marker-end:none" d="{"".join(trunks)}"/>'] * bool(trunks)
    return trunk + [f'<path d="{path}"/>' for path in ends]


def _bends(route: tuple[tuple[int, int], ...]) -> str:
    x, y = route[0]
    parts = [f"M{x} {y}"]
    for at in range(1, len(route), 2):
        to_x, to_y = route[at]
        # An edge may pass a thousand layers: where it runs level, to a pixel, it is one line.
        if abs(to_y - y) > 1 or (at + 1 == len(route) and to_y != y):
            if route[at - 1][0] != x:
                parts.append(f"H{route[at - 1][0]}")
            x, up = route[at - 1][0], to_y - y
            half, wide = (to_x - x) // 2, to_x - x
            parts.append(f"c{half} 0 {half} {up} {wide} {up}")
            x, y = to_x, to_y
        elif at + 1 == len(route):
            parts.append(f"H{to_x}")
    return "".join(parts)


def _loop(box: Box) -> str:
    right, top = box.x + box.width, box.y
    return f"M{right} {top + 12}c26 0 26 -26 -14 -26c-14 0 -18 6 -18 14"


def _node_box(card: Card, box: Box) -> Iterator[str]:
    title, below = escape_xml(card.title), escape_xml(card.below)
    if card.size[1] == LOW:
        round_ = LOW // 2 if card.waits else 5
        yield f'<rect class="box" width="{box.width}" height="{box.height}" rx="{round_}"/>{glyph(card.state, 7, 6)}'
        yield f'<text x="24" y="16">{title}<tspan class="below" dx="7">{below}</tspan></text>'
    else:
        round_ = box.height // 2 if card.waits else 7
        yield f'<rect class="box" width="{box.width}" height="{box.height}" rx="{round_}"/>{glyph(card.state, 9, 8)}'
        yield f'<text x="27" y="18">{title}</text><text class="below" x="27" y="32">{below}</text>'


def _barrier_dot(box: Box, *, failed: bool) -> str:
    """Draw a barrier in the colour of the ends of edges, since it is no more than where they meet."""
    return f'<circle class="dot tip{" failed" * failed}" cx="{box.width / 2:g}" cy="{box.height / 2:g}" r="{box.height / 2 - 1:g}"/>'


def _group_box(card: Card, box: Box) -> Iterator[str]:
    yield f'<rect class="back" width="{box.width}" height="{box.height}" rx="7"/>'
    yield f'<text class="bold" x="12" y="19">{escape_xml(card.title)}</text>'
    yield f'<text class="small" x="{box.width - 12}" y="19" text-anchor="end">{escape_xml(card.below)}</text>'
    x, room, total = 12.0, box.width - 24, sum(card.counts.values())
    for state, count in card.counts.items():
        wide = room * count / total
        yield f'<rect class="part {state}" x="{x:.1f}" y="26" width="{max(wide, 1):.1f}" height="7"/>'
        x += wide
    yield from marks(card.counts, 12, 39)


def marks(counts: dict[State, int], x: float, y: float) -> Iterator[str]:
    """Yield a glyph and a count for each state."""
    for state, count in counts.items():
        yield glyph(state, x, y)
        yield f'<text class="small" x="{x + 15:.0f}" y="{y + 10:.0f}">{count:,}</text>'
        x += 22 + width(f"{count:,}", SMALL)


def _legend_elements(shown: Scene) -> Elements:
    """Draw the states with their counts, and what the lines mean."""
    elements: list[str] = []
    x = 0.0
    for state, count in shown.counts.items():
        words = f"{count:,} {state}"
        elements.append(f'<g class="node {state}"><rect class="box" x="{x:.0f}" y="0" width="18" height="18" rx="4"/>')
        elements.append(f'{glyph(state, x + 3, 3)}</g><text x="{x + 24:.0f}" y="13">{words}</text>')
        x += 24 + width(words) + 18
    lines = keys(shown, round(x))
    return Elements(lines.width, 18 if shown.counts else 0, [*elements, *lines.elements])


def keys(shown: Scene, x: int = 0) -> Elements:
    """Draw what the lines mean, from `x` on."""
    elements: list[str] = []
    if any(card.waits for card in shown.cards):
        words = "waits for something outside, or has waited"
        elements.append(f'<g class="node parked"><rect class="box" x="{x}" y="1" width="34" height="16" rx="8"/>')
        elements.append(f'{glyph(State.PARKED, x + 11, 3)}</g><text x="{x + 42}" y="13">{words}</text>')
        x += 60 + round(width(words))
    for kind, words in meanings(shown):
        elements.append(f'<path class="edge {kind}" d="M{x} 9h34"/><text x="{x + 42}" y="13">{words}</text>')
        x += 60 + round(width(words))
    return Elements(x, 18, elements)


def meanings(shown: Scene) -> Iterator[tuple[str, str]]:
    """Yield the kinds of links that there are and that need words, with those."""
    kinds = {link.kind for link in shown.links} | {"failed" for link in shown.links if link.failed}
    yield from ((kind, words) for kind, words in _KINDS.items() if kind in kinds)
