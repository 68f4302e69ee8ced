"""The page of one node: why it failed, each attempt with what it wrote and logged, its value, its neighbours."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiodag import Graph, GraphNode
from aiodag.errors import AiodagError
from aiodag.records import LogRecord, NodeRecord, RunRecord, left_out, output_text
from aiodag.service import Service
from aiodag.service.attempts import AttemptStory, attempts_in
from aiodag.service.documents import attempt_error, plain_value, readable_value
from aiodag.service.phrases import attempt_state
from aiodag.service.recorded import error_text
from aiodag.states import State
from aiodag.web.access import Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.page.rendering import render, root_path
from aiodag.web.page.run import run_frame
from aiodag.web.page.run_views import skipped_for
from aiodag.web.page.words import span_words, whole_or_ends
from aiodag.web.paths import NodeName, RunId, path_part

node_pages = APIRouter()

MOST_NEIGHBOURS = 20
MOST_LOGGED = 500  # lines of one attempt
PLAIN_FACTS = frozenset({"holds", "lost"})  # said in other words


class ShownAttempt(NamedTuple):
    """An attempt in words: how it ended, its facts, its whole error, what it wrote and logged."""

    number: int
    state: str
    look: State
    began: Any
    took: str
    reason: str
    error: str
    facts: Sequence[tuple[str, str]]
    streams: Sequence[tuple[str, str, int]]
    logs: Sequence[LogRecord]
    earlier: int


class Neighbours(NamedTuple):
    """The nodes on one side of a node: the first, and how many there are besides."""

    title: str
    nodes: Sequence[GraphNode]
    more: int


def shown_attempt(story: AttemptStory) -> ShownAttempt:
    """Return an attempt in words."""
    attempt = story.attempt
    written = [(name, whole_or_ends(output_text(parts)), left_out(parts)) for name, parts in story.streams.items()]
    return ShownAttempt(
        number=attempt.attempt,
        state=attempt_state(attempt),
        look=attempt.state,
        began=attempt.started_at,
        took=span_words(attempt.started_at, attempt.ended_at or (None if goes_on(story) else attempt.started_at)),
        reason=attempt_error(attempt),
        error=whole_or_ends(error_text(attempt.error)) if attempt.state is State.FAILED else "",
        facts=list(fact_words(attempt.facts)),
        streams=[each for each in written if each[1]],
        logs=story.logs[-MOST_LOGGED:],
        earlier=max(0, len(story.logs) - MOST_LOGGED),
    )


def goes_on(story: AttemptStory) -> bool:
    """Return True if an attempt is under way."""
    return story.attempt.state in {State.RUNNING, State.PARKED} and story.attempt.ended_at is None


def fact_words(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a body told of itself, each fact in a line."""
    for name, value in facts.items():
        if name not in PLAIN_FACTS and value not in (None, "", [], {}):
            plain = plain_value(value)
            yield (
                name.replace("_", " "),
                plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)[:2000],
            )


def value_words(service: Service, run: RunRecord, node: NodeRecord) -> str:
    """Return the value of a node as people read it, or why it cannot be shown."""
    if node.state is not State.SUCCEEDED:
        return ""
    try:
        value = plain_value(readable_value(service, run, str(node.number)))
        return whole_or_ends(json.dumps(value, indent=2, ensure_ascii=False))
    except AiodagError as error:
        return str(error)
    except (ValueError, RecursionError):
        return "This value cannot be shown here."


def neighbours_of(graph: Graph, number: int) -> Iterator[Neighbours]:
    """Yield the nodes around one: what it needs, what needs it, what it is inside of, what it has called."""
    nodes = {node.id: node for node in graph.nodes}
    if number not in nodes:
        return
    parent = nodes[number].parent
    sides = (
        ("Called by", [] if parent is None or parent not in nodes else [parent]),
        ("Needs", graph.upstream(number)),
        ("Needed by", graph.downstream(number)),
        ("Calls", [node.id for node in graph.nodes if node.parent == number]),
    )
    for title, numbers in sides:
        found = [nodes[each] for each in numbers if not nodes[each].barrier]
        if found:
            yield Neighbours(title, found[:MOST_NEIGHBOURS], max(0, len(found) - MOST_NEIGHBOURS))


def node_page(request: Request, desk: Desk, run_id: str, name: str) -> Response:
    """Write the page of a node."""
    service = desk.service
    run = service.run(run_id)
    node = service.matching(run.id, name)[0]
    graph = desk.graphs.graph(run)
    drawn = next((each for each in graph.nodes if each.id == node.number), None)
    attempts = [shown_attempt(story) for story in attempts_in(service, run, str(node.number))][::-1]
    look = drawn.shown_as if drawn is not None else node.state
    words = run_frame(request, desk, run, "")
    skipped = list(skipped_for(graph, node.number)) if node.state is State.FAILED else []
    events = f"{root_path(request)}/api/v1/runs/{path_part(run.id)}/events"
    return render(
        request,
        "node.html",
        title=f"{node.label} of {run.name}",
        **words,
        node=node,
        look=look,
        error=whole_or_ends(error_text(node.error)) if node.state is State.FAILED else node.error,
        attempts=attempts,
        value=value_words(service, run, node),
        neighbours=list(neighbours_of(graph, node.number)),
        skipped=Neighbours("Skipped because of it", skipped[:MOST_NEIGHBOURS], max(0, len(skipped) - MOST_NEIGHBOURS)),
        waits_for=[text for number, _, text in words["waits"] if number == node.number],
        earlier=drawn is None,
        follow=f"{events}?kinds=output,lines&node={node.number}" if not look.final and run.ended_at is None else "",
    )


@node_pages.get("/runs/{run_id}/nodes/{node}")
async def show_node(request: Request, run_id: RunId, node: NodeName, desk: AtDesk, _: Reader) -> Response:
    """Show a node of a run."""
    return await desk.draw(node_page, request, desk, run_id, node)
