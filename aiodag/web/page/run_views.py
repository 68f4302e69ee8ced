"""Gather what the pages of one run show."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from aiodag import Graph, GraphNode
from aiodag.errors import StoreError
from aiodag.records import RunRecord, WaitRecord, output_text
from aiodag.service import Service
from aiodag.service.attempts import STREAMS
from aiodag.service.phrases import entry_text, wait_text
from aiodag.states import State
from aiodag.web.page.words import without_escapes
from aiodag.web.paths import path_part
from aiodag.wording import describe_seconds, first_line

MOST_FAILURES, MOST_LISTED_WAITS, MOST_SKIPPED_NAMES = 5, 10, 12
TAIL = 12  # lines of output under a failure
PAGE_OF_NODES = 100


class RunFailure(NamedTuple):
    """A node that failed: why, what it wrote last, and which nodes were skipped because of it."""

    node: GraphNode
    error: str
    tail: str
    skipped: Sequence[GraphNode]
    more: int


class TableQuery(NamedTuple):
    """What the table of nodes is asked for, and which groups of the graph are opened."""

    state: str = ""
    text: str = ""
    after: int = 0
    opened: tuple[str, ...] = ()

    def address(self, **changed: object) -> str:
        """Return the query with something changed, as it is in an address."""
        found = self._replace(**changed)  # type: ignore[arg-type]  # names of fields
        asked = [(name, str(value)) for name, value in zip(("state", "text", "after"), found, strict=False) if value]
        asked += [("open", key) for key in found.opened]
        return f"?{urlencode(asked)}" if asked else "?"

    def without(self, key: str) -> str:
        """Return the query in which a group is shut, as it is in an address."""
        return self.address(opened=tuple(each for each in self.opened if each != key))


class NodeRows(NamedTuple):
    """A page of the table of nodes: how many there are in all, and the addresses of the pages around it."""

    nodes: Sequence[GraphNode]
    total: int
    before: str
    after: str


def fits_query(node: GraphNode, query: TableQuery) -> bool:
    """Return True if a node is in the table."""
    if query.state and node.shown_as != query.state:
        return False
    text = query.text.casefold()
    return not text or text in node.label.casefold() or text in node.error.casefold() or text == str(node.id)


def node_rows(graph: Graph, query: TableQuery) -> NodeRows:
    """Return a page of the nodes of a graph: failed ones first, then those that run, then the others as they were called."""
    first = {State.FAILED: 0, State.RUNNING: 1, State.PARKED: 2}
    found = [node for node in graph.nodes if not node.barrier and fits_query(node, query)]
    found.sort(key=lambda node: first.get(node.shown_as, 3))
    begin = max(0, min(query.after, len(found) - 1))
    end = begin + PAGE_OF_NODES
    before = query.address(after=max(0, begin - PAGE_OF_NODES)) if begin else ""
    after = query.address(after=end) if end < len(found) else ""
    return NodeRows(found[begin:end], len(found), before, after)


def shown_counts(graph: Graph) -> dict[State, int]:
    """Return how many nodes look as if they were in which state: one that waits for the world is parked."""
    counted = Counter(node.shown_as for node in graph.nodes if not node.barrier)
    return {state: counted[state] for state in State if counted[state]}


def run_failures(service: Service, run: RunRecord, graph: Graph) -> Iterator[RunFailure]:
    """Yield the first nodes that failed, each with the end of its output."""
    for node in failed_nodes(graph)[:MOST_FAILURES]:
        skipped = list(skipped_for(graph, node.id))
        yield RunFailure(
            node,
            first_line(node.error),
            last_output(service, run.id, node.id),
            skipped[:MOST_SKIPPED_NAMES],
            max(0, len(skipped) - MOST_SKIPPED_NAMES),
        )


def failed_nodes(graph: Graph) -> list[GraphNode]:
    """Return the nodes that failed: first those that failed by themselves, then their callers, the nearest first."""
    failed = [node for node in graph.nodes if node.state is State.FAILED]
    callers = {node.parent for node in failed}
    culprits = [node for node in failed if node.id not in callers]
    return culprits + [node for node in reversed(failed) if node.id in callers]


def skipped_for(graph: Graph, failed: int) -> Iterator[GraphNode]:
    """Yield the nodes that were skipped because one failed, the nearest first."""
    nodes = {node.id: node for node in graph.nodes}
    seen = {failed}
    reached = [failed]
    for number in reached:
        for each in graph.downstream(number):
            node = nodes[each]
            if each not in seen and node.state is State.SKIPPED:
                seen.add(each)
                reached.append(each)
                if not node.barrier:
                    yield node


def last_output(service: Service, run_id: str, number: int) -> str:
    """Return the last lines that the last attempt of a node wrote: what went wrong is mostly there."""
    try:
        parts = service.output(run_id, number)
    except StoreError:
        return ""
    last = max((part.attempt for part in parts), default=0)
    for stream in reversed(STREAMS):
        said = output_text([part for part in parts if part.attempt == last and part.stream == stream])
        text = without_escapes(said).rstrip()
        if text:
            return "\n".join(text.split("\n")[-TAIL:])[-4000:]
    return ""


def run_facts(run: RunRecord) -> list[tuple[str, str]]:
    """Return what there is to say of a run in words; nothing of what it does not have."""
    owner = "" if run.owner is None or run.ended_at is not None else f"{run.owner.host}, process {run.owner.pid}"
    gone = ", which has gone" if run.orphan and owner else ""
    return [
        ("Execution", f"{run.execution}" if run.execution > 1 else ""),
        ("Run by", owner + gone),
        ("Queue", "" if run.queue is None else f"{run.queue}, priority {run.priority}" if run.priority else run.queue),
        ("Group", "" if run.group is None else f"{run.group}, where another run goes on" if run.is_held else run.group),
        ("Deaths of owners", str(run.deaths or "")),
        ("Generation", str(run.generation or "")),
        ("Began with", entry_text(run.entry) if run.entry else ""),
        ("Damaged", run.damaged),
    ]


def wait_lines(waits: Sequence[WaitRecord]) -> list[tuple[int, str, str]]:
    """Return what a run waits for: the number of each node, its label, and the words."""
    return [(each.number, each.label, wait_text(each)) for each in waits[:MOST_LISTED_WAITS]]


def held_up(service: Service, run: RunRecord) -> Iterator[str]:
    """Yield why a run does not go on, as far as the store knows: its group, its queue, no worker, a process that has gone."""
    if run.orphan:
        yield "Its process has gone. " + (
            "A worker of its queue takes it over." if run.queue else "Resume it to go on."
        )
    if run.queue is None or run.due_at is not None or not (run.orphan or run.state is State.QUEUED):
        return
    if run.is_held:
        yield f"Another run of the group {run.group} goes on; this one begins after it."
    if any(each.name == run.queue and each.state == "paused" for each in service.queues()):
        yield f"The queue {run.queue} is paused."
    if not any(run.queue in each.queues and each.state == "working" for each in service.workers()):
        yield f"No worker takes runs of the queue {run.queue}. One is started by: aiodag worker --queue {shlex.quote(run.queue)}"


def graph_address(address: str, query: TableQuery, key: int | str) -> str:
    """Return where a node of a picture leads to, or the group of a key: to where it is opened, or shut again."""
    if isinstance(key, int):
        return f"{address}/nodes/{key}"
    parts = key.partition("@")
    kept = tuple(each for each in query.opened if each == parts[0] or each.startswith(f"{parts[0]}@"))
    opened = tuple(each for each in kept if each != key) if key in kept else (*kept, key)
    return f"{address}{query.address(opened=opened)}#graph"


def node_times(run: RunRecord, node: GraphNode, now: float) -> tuple[str, str]:
    """Return when a node began, as a moment, and how long it ran."""
    began = run.started_at or run.created_at
    at = "" if node.started is None else f"{began + timedelta(seconds=node.started):%H:%M:%S}"
    return at, "" if node.started is None else describe_seconds(node.running(now))


def run_address(root: str, run_id: str) -> str:
    """Return the address of a run."""
    return f"{root}/runs/{path_part(run_id)}"


def may_cancel(run: RunRecord) -> bool:
    """Return True if there is something to cancel."""
    return run.ended_at is None and run.state in {State.QUEUED, State.RUNNING, State.PARKED}


def may_resume(run: RunRecord) -> bool:
    """Return True if a run can be queued again: it has ended, or its process has gone."""
    is_known = run.entry is not None or run.definition is not None
    return is_known and (run.ended_at is not None or run.orphan)
