"""Show graphs, runs and nodes in a notebook, which asks for them in several formats and takes the best it can show.

Nothing here runs anything, and what it returns is bounded: a notebook keeps it in its file.
"""

from typing import TYPE_CHECKING, Any

from aiodag._core.doors import open_door
from aiodag.looks import LOOKS
from aiodag.wording import printable

if TYPE_CHECKING:
    from aiodag._core.graph import Graph
    from aiodag._core.node import Node

Bundle = dict[str, Any]  # texts by their MIME type

_MOST_LINES = 60  # of a tree of text
_MOST_DRAWN = 20_000  # nodes: beyond them a picture takes more than a moment
_MOST_LETTERS = 1_000_000  # of a picture


def bundle_of_graph(graph: "Graph", head: str = "") -> Bundle:
    """Return a graph as text, and as a picture if it has any node and is not too large."""
    lines = graph.to_text().splitlines() if len(graph) <= _MOST_DRAWN else [repr(graph)]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"⋮ {len(lines) - _MOST_LINES} more nodes"]
    bundle = {"text/plain": "\n".join([*filter(None, [head]), *lines])}
    if graph.nodes and len(graph) <= _MOST_DRAWN:
        picture = open_door("svg").svg(graph)
        if len(picture) <= _MOST_LETTERS:
            bundle["image/svg+xml"] = picture
    return bundle


def bundle_of_node(node: "Node[Any]") -> Bundle:
    """Return what a node is, and how it went; not its value, which is shown by `await node`."""
    from html import escape  # noqa: PLC0415 - asyncio does not load it, and `import aiodag` loads nothing else

    failure = "" if node.failure is None else printable(str(node.failure))
    look = LOOKS[node.state]
    mark, (fill, border) = look.sign, look.drawn
    style = f"border:1px solid {border};border-radius:6px;background:{fill};color:#1f2328;padding:2px 8px"
    words = f"{mark} <b>{escape(printable(node.name))}</b> {node.state}, called at {escape(node.site)}"
    html = f'<span style="{style}">{words}</span>' + (f"<pre>{escape(failure)}</pre>" if failure else "")
    return {"text/plain": "\n".join(filter(None, [repr(node), failure])), "text/html": html}
