"""Draw a graph in the format that somebody wants."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from aiodag._core.graph import Graph

if TYPE_CHECKING:
    from aiodag.pictures.fragments import GraphFragment, TimelineFragment


def drawing_of(graph: Graph, form: str) -> str | bytes:
    """Return a graph as txt, mmd, dot, json, svg, png or html. Raises `MissingExtra` where a picture needs one."""
    if form == "txt":
        has_run = any(node.started is not None for node in graph.nodes)
        return "\n\n".join([graph.to_text(), *([graph.timeline()] if has_run else [])])
    texts = {"mmd": graph.to_mermaid, "dot": graph.to_dot}
    if form in texts:
        return texts[form]()
    if form == "json":
        return graph.to_json(indent=2)
    return picture_of(graph, form)


def picture_of(graph: Graph, form: str) -> str | bytes:
    """Return a graph as a picture."""
    from aiodag import pictures  # noqa: PLC0415 - only who wants a picture loads what draws it

    if form == "png":
        return pictures.png(graph)
    return pictures.svg(graph) if form == "svg" else pictures.html(graph)


class PageDrawing:
    """What a page of many has of pictures: their style and definitions once, and of each run the graph and the timeline.

    `address` says where a node leads to, by its id, or a group of a large graph, by the key that opens it.
    """

    def __init__(self) -> None:
        from aiodag.pictures import fragments  # noqa: PLC0415 - as above
        from aiodag.pictures.svg import definitions, themed_style  # noqa: PLC0415 - as above

        self.style = themed_style()
        self.definitions = definitions()
        self._fragments = fragments

    def graph(self, graph: Graph, opened: Collection[str], address: Callable[[int | str], str]) -> "GraphFragment":
        """Return the picture of a graph with some of its groups opened."""
        return self._fragments.graph_fragment(graph, opened, address)

    def timeline(self, graph: Graph, address: Callable[[int | str], str]) -> "TimelineFragment | None":
        """Return when each node ran; None if nothing has."""
        return self._fragments.timeline_fragment(graph, address)
