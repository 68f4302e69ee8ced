"""Draw the pictures of the README: the graph of the demo's ETL in mid-run, and the timeline of the whole.

    python assets/make.py

The run is on a virtual clock, so its times are exact and the pictures are the same wherever they are drawn.
"""

# ruff: noqa: ANN001, ANN201 - a program, not an interface

import asyncio
import importlib.util
import sys
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from aiodag import Graph, Run, State, testing  # noqa: E402 - the path comes first

MOMENT = 4.75  # seconds: some nodes have succeeded, some run, some wait
COLOURS = {  # fill, line: as Graph.to_mermaid has them
    State.WAITING: ("#f6f8fa", "#8c959f"),
    State.QUEUED: ("#fff8c5", "#9a6700"),
    State.RUNNING: ("#ddf4ff", "#0969da"),
    State.SUCCEEDED: ("#dafbe1", "#1a7f37"),
    State.FAILED: ("#ffebe9", "#cf222e"),
    State.SKIPPED: ("#eaeef2", "#57606a"),
    State.CANCELLED: ("#fbefff", "#8250df"),
}
WIDTH, HEIGHT, ACROSS, DOWN, EDGE = 124, 34, 172, 54, 24  # pixels: a node, from node to node, the margin
LEGEND = 34
FONT = 'font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif" font-size="13"'


def demo():
    """Load the example without running it."""
    spec = importlib.util.spec_from_file_location("aiodag_demo", HERE.parent / "examples" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def run_etl(etl) -> tuple[Graph, Graph]:
    """Return the graph in mid-run and the graph at the end."""
    async with Run("etl") as run:
        etl.start()
        await asyncio.sleep(MOMENT)
        middle = run.graph()
    return middle, run.graph()


def layers(graph):
    """Put each node one layer after the last of its upstreams; a source beside what it leads to first."""
    layer = {}
    for node in graph.order():
        layer[node.id] = max((layer[up] + 1 for up in graph.upstream(node.id)), default=0)
    for node in reversed(graph.order()):
        if graph.downstream(node.id):  # as late as it can be: short edges
            layer[node.id] = min(layer[down] for down in graph.downstream(node.id)) - 1
    columns = [[] for _ in range(max(layer.values()) + 1)]
    for node in graph.nodes:
        columns[layer[node.id]].append(node.id)
    return columns


def places(graph):
    """Return {id: (x, y)} of the left upper corners: each node beside the middle of its neighbours, none on another."""
    columns = layers(graph)
    tall = max(map(len, columns))
    row = {id_: at + (tall - len(column)) / 2 for column in columns for at, id_ in enumerate(column)}
    for sweep in range(8):
        look = graph.upstream if sweep % 2 == 0 else graph.downstream
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wish = {id_: mean([row[near] for near in look(id_)], row[id_]) for id_ in column}
            row |= spread(sorted(column, key=lambda id_: (wish[id_], id_)), wish)
    top = min(row.values())
    return {
        id_: (EDGE + at * ACROSS, EDGE + (row[id_] - top) * DOWN) for at, column in enumerate(columns) for id_ in column
    }


def mean(values, otherwise):
    return sum(values) / len(values) if values else otherwise


def spread(ordered, wish):
    """Give each node its wish, or the next free row after it; then move all back by what that cost on average."""
    row, last = {}, float("-inf")
    for id_ in ordered:
        last = row[id_] = max(wish[id_], last + 1)
    shift = mean([row[id_] - wish[id_] for id_ in ordered], 0)
    return {id_: at - shift for id_, at in row.items()}


def graph_svg(graph):
    """Draw nodes in layers from left to right, edges as curves, exogenous ones dashed."""
    at = places(graph)
    width = max(x for x, _ in at.values()) + WIDTH + EDGE
    bottom = max(y for _, y in at.values()) + HEIGHT
    body = [curve(at, edge) for edge in graph.edges]
    for node in graph.nodes:
        body += box(*at[node.id], node.label, node.state)
    body += legend(graph.counts(), EDGE, bottom + 30)
    return svg(width, bottom + 30 + LEGEND, f"The graph of an ETL run after {graph.now:g} seconds", body)


def curve(at, edge):
    (x, y), (to_x, to_y) = at[edge.source], at[edge.target]
    x, y, to_x, to_y = x + WIDTH, y + HEIGHT / 2, to_x - 2, to_y + HEIGHT / 2
    bend = min(60, (to_x - x) / 2)
    dash = ' stroke-dasharray="5 4"' if edge.kind == "exogenous" else ""
    return (
        f'<path d="M{x:.1f} {y:.1f} C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}" '
        f'fill="none" stroke="#6e7781" stroke-width="1.5" marker-end="url(#arrow)"{dash}/>'
    )


def box(x, y, label, state):
    fill, line = COLOURS[state]
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="{line}" '
        'stroke-width="1.5"/>'
    )
    yield text(x + WIDTH / 2, y + HEIGHT / 2 + 4.5, label, 'text-anchor="middle"')


def legend(states, x, y):
    """Name the colours, and the dashes."""
    for state in states:
        fill, line = COLOURS[state]
        yield f'<rect x="{x}" y="{y}" width="13" height="13" rx="3" fill="{fill}" stroke="{line}"/>'
        yield text(x + 19, y + 11, state.value)
        x += 104
    yield f'<path d="M{x} {y + 6.5} h26" stroke="#6e7781" stroke-width="1.5" stroke-dasharray="5 4"/>'
    yield text(x + 32, y + 11, "exogenous: only waited for")


def timeline_svg(graph):
    """Draw a row for each node: when it waited, queued and ran."""
    left, scale, row = 150, 56, 24
    bottom = EDGE + len(graph) * row
    body = []
    for second in range(int(graph.now) + 1):
        x = left + second * scale
        body.append(f'<path d="M{x} {EDGE - 6} V{bottom}" stroke="#d8dee4"/>')
        body.append(text(x, bottom + 16, f"{second} s", 'text-anchor="middle" fill="#57606a"'))
    for place, node in enumerate(graph.nodes):
        y = EDGE + place * row
        body.append(text(left - 10, y + 14, node.label, 'text-anchor="end"'))
        body += [bar(left, scale, y, *span) for span in node.spans(graph.now) if not span[0].final]
    body += legend_of_bars(left, bottom + 34)
    return svg(left + graph.now * scale + EDGE + 10, bottom + 34 + LEGEND, "The timeline of an ETL run", body)


def bar(left, scale, y, state, begin, end):
    x, width = left + begin * scale, (end - begin) * scale
    if not width:
        return ""
    if state is State.WAITING:
        return f'<path d="M{x:.1f} {y + 9.5} h{width:.1f}" stroke="#8c959f" stroke-dasharray="1 4"/>'
    fill, line = COLOURS[State.SUCCEEDED if state is State.RUNNING else state]
    return (
        f'<rect x="{x:.1f}" y="{y + 1}" width="{width:.1f}" height="17" rx="3" fill="{fill}" stroke="{line}" '
        f'stroke-width="1.2"/>'
    )


def legend_of_bars(x, y):
    yield f'<path d="M{x} {y + 6.5} h26" stroke="#8c959f" stroke-dasharray="1 4"/>'
    yield text(x + 32, y + 11, "waiting")
    for place, (state, word) in enumerate([(State.QUEUED, "queued: a limit or a backoff"), (State.SUCCEEDED, "ran")]):
        fill, line = COLOURS[state]
        at = x + 110 + place * 210
        yield f'<rect x="{at}" y="{y}" width="26" height="13" rx="3" fill="{fill}" stroke="{line}"/>'
        yield text(at + 32, y + 11, word)


def text(x, y, words, more=""):
    more = more if "fill=" in more else f'{more} fill="#1f2328"'.strip()
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words, quote=False)}</text>'


def svg(width, height, title, body):
    arrow = (
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#6e7781"/></marker>'
    )
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" {FONT} role="img">'
        ),
        f"<title>{escape(title)}</title>",
        f"<defs>{arrow}</defs>",
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
        *filter(None, body),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def pictures():
    """Return {file name: SVG}."""
    middle, end = testing.run(run_etl(demo().Etl()))
    return {"etl-graph.svg": graph_svg(middle), "etl-timeline.svg": timeline_svg(end)}


if __name__ == "__main__":
    for name, drawn in pictures().items():
        (HERE / name).write_text(drawn, encoding="utf-8")
        print(f"wrote assets/{name}")
