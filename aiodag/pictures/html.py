"""Draw a graph as one HTML page that needs nothing else: no network, no server, no other file."""

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiodag._core.graph import Graph, GraphNode
from aiodag.pictures.groups import Group
from aiodag.pictures.lettering import escape_xml, line, lines
from aiodag.pictures.palette import glyph
from aiodag.pictures.scene import Scene, scene
from aiodag.pictures.svg import definitions, drawing, keys, themed_style
from aiodag.pictures.timeline import ROW, axis, bars, labels, rows_of, rules
from aiodag.states import State

_HERE = Path(__file__).parent
_STATES = tuple(State)
_LONGEST = 300  # characters of a label or a place; an error may have more
_LONGEST_ERROR = 1_000
_MOST_FAILED = 500  # failed nodes that a page of groups has


def html(graph: Graph) -> str:
    """Return a page with the graph and its timeline.

    The graph can be moved and zoomed, searched, and filtered by state. Pointing at a node shows its attempts, times, error
    and place in the source; a click keeps them on the screen. Failures are listed by name. Colours follow the reader's
    choice of light or dark. With more than 1,000 nodes, or 10,000 edges, the page shows tasks instead, with counts.

    >>> from aiodag import plan, task
    >>> from aiodag.pictures import html
    >>> @task
    ... async def fetch(name): ...
    >>> html(plan(fetch, "a1"))[:15]
    '<!doctype html>'
    """
    shown = scene(graph)
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    drawn = drawing(shown, titles=False)
    model = _model(shown, drawn.width, drawn.height)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        # Only the script of this page runs, whatever a name holds, and nothing is fetched.
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape_xml(shown.name)}: {escape_xml(shown.headline)}</title>",
        f'<style>{_style()}</style></head><body class="{"idle" * (shown.until <= 0)}">',
        *_header(shown),
        f'<main id="graph"><svg id="picture" role="img" aria-label="The graph of {escape_xml(shown.name)}">{definitions()}<g id="view">',
        *drawn.elements,
        "</g></svg>",
        *_keys(shown),
        '<div id="side"><section id="overview"></section>',
        '<aside id="details" aria-live="polite" hidden><button id="close" aria-label="Close">✕</button></aside></div></main>',
        '<div id="split" role="separator" aria-label="Move the border"></div>',
        *_chart(shown),
        f'<script type="application/json" id="model">{_inert(model)}</script>',
        f"<script>{script}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _policy(script: str) -> str:
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _style() -> str:
    return "\n".join([themed_style(), (_HERE / "page.css").read_text(encoding="utf-8")])


def _header(shown: Scene) -> list[str]:
    chips = [
        f'<button class="chip" aria-pressed="false" data-state="{state}"><svg viewBox="0 0 12 12">{glyph(state, 0, 0)}</svg>'
        f"{count:,} {state}</button>"
        for state, count in shown.counts.items()
    ]
    critical = '<button id="critical" aria-pressed="false">critical path</button>'
    return [
        f'<header><h1>{escape_xml(shown.name)}</h1><span class="quiet">{escape_xml(shown.headline)}</span>',
        f'<div class="tools">{"".join(chips)}</div>',
        '<div class="tools far"><span id="found" class="quiet" aria-live="polite"></span>',
        '<input id="search" type="search" placeholder="Search ( / )" aria-label="Search names, states, errors and places">',
        critical,
        '<button data-tool="out" aria-label="Zoom out">&minus;</button><button data-tool="in" aria-label="Zoom in">+</button>',
        '<button data-tool="fit">fit</button></div></header>',
    ]


def _keys(shown: Scene) -> list[str]:
    drawn = keys(shown)
    if not drawn.elements:
        return []
    return [f'<svg class="keys" width="{drawn.width}" height="20">', *drawn.elements, "</svg>"]


def _chart(shown: Scene) -> list[str]:
    if shown.until <= 0:
        return ['<section id="chart"><p class="empty quiet">Nothing has run yet.</p></section>']
    rows = rows_of(shown)
    names = labels(shown, rows)
    high = len(rows) * ROW
    return [
        '<section id="chart" aria-label="Timeline"><div class="sheet">',
        '<div class="names top"><button data-tool="narrower" aria-label="Narrower">&minus;</button>',
        '<button data-tool="wider" aria-label="Wider">+</button></div>',
        f'<div class="tracks top"><svg height="24">{"".join(axis(shown.until))}</svg></div>',
        f'<div class="names"><svg width="{names.width}" height="{high}">',
        *names.elements,
        f'</svg></div><div class="tracks"><svg height="{high}">',
        *rules(shown.until, high),
        *bars(shown, rows),
        '</svg></div><div class="strip" hidden></div></div></section>',
    ]


def _inert(model: dict[str, Any]) -> str:
    # ASCII, so that lone surrogates are escaped; without "<" it cannot end the element that holds it.
    return json.dumps(model, separators=(",", ":")).replace("<", "\\u003c")


def _model(shown: Scene, width: int, height: int) -> dict[str, Any]:
    """Return what the script of the page tells of the nodes, by their place in the graph: a list for each column."""
    rows = [_group_row(group) for group in shown.groups] or [_node_row(node) for node in shown.nodes]
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    model: dict[str, Any] = {}
    if not shown.groups:
        place = {node.id: at for at, node in enumerate(shown.nodes) if not node.barrier}
        columns["parent"] = [-1 if node.parent is None else place.get(node.parent, -1) for node in shown.nodes]
        # Many nodes share a task and a place in the source.
        for name, texts in (
            ("task", [node.name for node in shown.nodes]),
            ("site", [node.site for node in shown.nodes]),
        ):
            known = {text: at for at, text in enumerate(dict.fromkeys(texts))}
            columns[name] = [known[text] for text in texts]
            model[f"{name}s"] = [line(text, _LONGEST) for text in known]
    return model | {
        "failed": _failed_in_groups(shown),
        "width": width,
        "height": height,
        "now": shown.now,
        "row": ROW,
        "states": [str(state) for state in _STATES],
        "columns": columns,
        "rows": [row.number for row in rows_of(shown)],
        "critical": shown.critical,
        "barriers": [at for at, card in enumerate(shown.cards) if card.barrier],
    }


def _failed_in_groups(shown: Scene) -> list[dict[str, Any]]:
    """Return the nodes that failed, where groups are shown in place of nodes: they must be found all the same."""
    failed = [at for at, node in enumerate(shown.nodes) if node.state is State.FAILED] if shown.groups else []
    return [
        _node_row(node) | {"group": shown.of_node[at], "site": line(node.site, _LONGEST)}
        for at in failed[:_MOST_FAILED]
        for node in (shown.nodes[at],)
    ]


def _node_row(node: GraphNode) -> dict[str, Any]:
    return {
        "label": line(node.label, _LONGEST),
        "state": _STATES.index(node.state),
        "attempts": node.attempts,
        "waits": node.waits,
        "moves": [part for state, at in node.moves for part in (_STATES.index(state), round(at, 6))],
        "errors": [lines(node.error, _LONGEST_ERROR)] * bool(node.error),
    }


def _group_row(group: Group) -> dict[str, Any]:
    return {
        "label": line(group.name, _LONGEST),
        "state": _STATES.index(group.state),
        "counts": {str(state): count for state, count in group.counts.items()},
        "attempts": group.attempts,
        "seconds": group.seconds,
        "started": group.started,
        "settled": group.settled,
        "errors": [f"{count:,} × {lines(error, _LONGEST_ERROR)}" for error, count in group.errors],
    }
