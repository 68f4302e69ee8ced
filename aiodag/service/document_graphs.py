"""The graph that the document of a workflow says: a node for each task or job. Nothing is imported, and nothing is expanded."""

from collections.abc import Iterator, Mapping
from typing import Any

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag.service.documents import Document
from aiodag.states import State
from aiodag.workflows.files.reading import values_in

WAITED_FOR = ("parents", "needs")


def graph_of_document(document: Document) -> Graph:
    """Return the graph of a document: its tasks or jobs, and what each of them waits for.

    >>> graph = graph_of_document({"name": "etl", "jobs": {"load": {}, "report": {"needs": "load"}}})
    >>> [node.label for node in graph.nodes], [(edge.source, edge.target) for edge in graph.edges]
    (['load', 'report'], [(0, 1)])
    """
    found = document.get("tasks", document.get("jobs"))
    forms: Mapping[str, Any] = found if isinstance(found, dict) else {}
    numbers = {name: number for number, name in enumerate(forms)}
    nodes = [GraphNode(number, name, name, State.WAITING) for name, number in numbers.items()]
    edges = {
        GraphEdge(numbers[up], numbers[down], kind): None
        for name, form in forms.items()
        for up, down, kind in edges_of_form(name, form)
        if up in numbers and down in numbers and up != down
    }
    return Graph(str(document.get("name", "")), nodes, [*edges], now=0.0)


def edges_of_form(name: str, form: object) -> Iterator[tuple[str, str, str]]:
    """Yield what a task or a job waits for, and what is to wait for it: upstream, downstream, and the kind of the edge."""
    if not isinstance(form, dict):
        return
    values = values_in(form.get("arguments") or {})
    for each in values:
        yield each, name, "endogenous"
    for key in WAITED_FOR:
        for each in names_under(form, key):
            if each not in values:
                yield each, name, "exogenous"
    for each in names_under(form, "children"):
        yield name, each, "exogenous"


def names_under(form: Mapping[str, Any], key: str) -> list[str]:
    """Return the name or the names under a key of a form."""
    found = form.get(key) or []
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)]
