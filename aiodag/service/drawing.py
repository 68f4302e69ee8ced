"""Draw a graph in the format that somebody wants."""

from aiodag._core.graph import Graph


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
