"""The page of one node: why it failed, each attempt with what it wrote and logged, its value, its neighbours."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from aiodag import Graph, GraphNode
from aiodag.errors import AiodagError
from aiodag.records import REFERENCE, LogRecord, NodeRecord, RunRecord, left_out, output_text
from aiodag.service import Service
from aiodag.service.attempts import AttemptStory, attempts_in
from aiodag.service.documents import attempt_error, plain_value, readable_value
from aiodag.service.feed_cursors import Cursor, cursor_now, read_cursor
from aiodag.service.phrases import attempt_state
from aiodag.service.recorded import error_text, recorded_traceback
from aiodag.service.values import readable_reference
from aiodag.states import State
from aiodag.web.access import Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.page.rendering import render
from aiodag.web.page.run import events_address, run_frame, write_page
from aiodag.web.page.run_views import skipped_for
from aiodag.web.page.words import size_words, span_words, whole_or_ends, without_escapes
from aiodag.web.paths import NodeName, RunId
from aiodag.wording import describe_seconds

node_pages = APIRouter()

MOST_NEIGHBOURS = 20
MOST_ATTEMPTS = 20  # the last ones
MOST_LOGGED = 500  # lines of one attempt
LARGEST_READ = 1_000_000  # characters of a value: a larger one takes seconds
PLAIN_FACTS = frozenset({"holds", "lost", "label"})  # said in other words, or of use to nobody here
FACT_NAMES = {"pid": "process", "code": "exit code"}
FACT_LONGEST = 2_000  # characters


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
    traceback: str
    streams: Sequence[tuple[str, str, int]]
    logs: Sequence[LogRecord]
    earlier: int
    follows: bool


class Neighbours(NamedTuple):
    """The nodes on one side of a node: the first, and how many there are besides."""

    title: str
    nodes: Sequence[GraphNode]
    more: int


def shown_attempt(story: AttemptStory, place: Cursor) -> ShownAttempt:
    """Return an attempt in words, with what it had written and logged up to a place: the rest comes as events."""
    attempt = story.attempt
    written: list[tuple[str, str, int]] = []
    for name, every in story.streams.items():
        parts = [part for part in every if part.part <= place.written]
        written.append((name, whole_or_ends(without_escapes(output_text(parts))), left_out(parts)))
    logs = [line for line in story.logs if line.part <= place.logged]
    return ShownAttempt(
        number=attempt.attempt,
        state=attempt_state(attempt),
        look=attempt.state,
        began=attempt.started_at,
        took="" if goes_on(story) else span_words(attempt.started_at, attempt.ended_at or attempt.started_at),
        reason=attempt_error(attempt),
        error=whole_or_ends(error_text(attempt.error)) if attempt.state is State.FAILED else "",
        facts=list(fact_words(attempt.facts)),
        traceback=whole_or_ends(recorded_traceback(attempt.error)) if attempt.state is State.FAILED else "",
        streams=written if goes_on(story) else [each for each in written if each[1]],
        logs=logs[-MOST_LOGGED:],
        earlier=max(0, len(logs) - MOST_LOGGED),
        follows=goes_on(story),
    )


def goes_on(story: AttemptStory) -> bool:
    """Return True if an attempt is under way."""
    return story.attempt.state in {State.RUNNING, State.PARKED} and story.attempt.ended_at is None


def fact_words(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an attempt told of itself, each fact in a line; nothing of what is 0 or empty but an exit code."""
    for name, value in facts.items():
        if name in PLAIN_FACTS or (value in (None, "", [], {}, 0) and name != "code"):
            continue
        if name == "command" and isinstance(value, list | tuple):
            yield "command", shlex.join(map(str, value))[:FACT_LONGEST]
        elif name == "cpu_seconds" and isinstance(value, int | float):
            yield "CPU time", describe_seconds(value)
        elif name.endswith(("_bytes", "_dropped")) and isinstance(value, int):
            yield name.replace("_", " ").removesuffix(" bytes"), size_words(value)
        else:
            plain = plain_value(value)
            words = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
            yield FACT_NAMES.get(name, name.replace("_", " ")), words[:FACT_LONGEST]


def value_words(service: Service, run: RunRecord, node: NodeRecord) -> str:
    """Return the value of a node as people read it, or why it cannot be shown."""
    if node.state is not State.SUCCEEDED:
        return ""
    if node.codec == "json" and len(str(node.value)) > LARGEST_READ:
        return whole_or_ends(node.value)  # as it is recorded
    try:
        if node.codec == REFERENCE and (size := readable_reference(node).size) > LARGEST_READ:
            return f"A value of {size_words(size)}, which is kept in a place of its own."
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


def node_page(name: str, request: Request, desk: Desk, run: RunRecord) -> Response:
    """Write the page of a node."""
    service = desk.service
    node = service.matching(run.id, name)[0]
    graph = desk.graphs.graph(run)
    drawn = next((each for each in graph.nodes if each.id == node.number), None)
    now = cursor_now(service.store, run.id)
    place = read_cursor(now)
    asked = request.query_params.get("before", "")[:9]
    until = int(asked) if asked.isascii() and asked.isdigit() else None
    stories = attempts_in(service, run, str(node.number), MOST_ATTEMPTS, until)
    attempts = [shown_attempt(story, place) for story in stories][::-1]
    look = drawn.shown_as if drawn is not None else node.state
    words = run_frame(request, desk, run, "")
    skipped = list(skipped_for(graph, node.number)) if node.state is State.FAILED else []
    if not look.final:
        words["events"] = events_address(request, run, "run,output,lines", f"&node={node.number}&after={now}")
    return render(
        request,
        "node.html",
        title=f"{node.label} of {run.name}",
        **words,
        node=node,
        look=look,
        error=whole_or_ends(error_text(node.error)) if node.state is State.FAILED else node.error,
        attempts=attempts,
        until=until,
        before=attempts[-1].number - 1 if len(attempts) == MOST_ATTEMPTS else 0,
        value=value_words(service, run, node),
        neighbours=list(neighbours_of(graph, node.number)),
        skipped=Neighbours("Skipped because of it", skipped[:MOST_NEIGHBOURS], max(0, len(skipped) - MOST_NEIGHBOURS)),
        waits_for=[text for number, _, text in words["waits"] if number == node.number],
        earlier=drawn is None,
        place=place,
    )


@node_pages.get("/runs/{run_id}/nodes/{node}")
async def show_node_page(request: Request, run_id: RunId, node: NodeName, desk: AtDesk, _: Reader) -> Response:
    """Show a node of a run."""
    return await write_page(partial(node_page, node), request, desk, run_id)
