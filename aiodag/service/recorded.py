"""Make a graph from the records of a run, and words from a recorded error."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from aiodag._core.graph import Graph, GraphEdge, GraphNode, without_joints
from aiodag.errors import RecordedError
from aiodag.mail import MESSAGE, MOMENT
from aiodag.records import BARRIER, CUT_OFF, WAS_PARKED, AttemptRecord, NodeRecord, RunRecord, WaitRecord
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag.abc import Runs

WAITS = frozenset({"message", "moment", "run"})  # kinds of waits that are nodes; a deadline is that of a body


def run_again(nodes: Iterable[NodeRecord], chosen: Iterable[NodeRecord]) -> list[int]:
    """Return the numbers of what has to run again so that the chosen nodes do.

    A body is recalled as a whole, and runs again as a whole: with a node goes all that its body has called. The bodies
    around it are entered again, and what else they have called is recalled. What needs a node follows by itself.
    """
    every = list(nodes)
    parents = {each.number: each.parent for each in every}
    inside: dict[int | None, list[int]] = {}
    for each in every:
        inside.setdefault(each.parent, []).append(each.number)
    found: set[int] = set()
    stack = [each.number for each in chosen]
    around = [parents[number] for number in stack]
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack += inside.get(number, ())
    while around:
        parent = around.pop()
        if parent is not None and parent not in found:
            found.add(parent)
            around.append(parents.get(parent))
    return sorted(found)


def cut_off(
    attempts: Iterable[AttemptRecord], run: RunRecord, there: Iterable[NodeRecord], waits: Iterable[WaitRecord] = ()
) -> list[AttemptRecord]:
    """Return attempts with those that seem to run, and whose process has ended or has let go of them, as what they are.

    `there` are the nodes of the last execution: what it has not come to, no process works on. What was parked did not fail by
    that: it goes on when its run is woken. Nor did `waits` that are open: they stand in the store, whoever has the run.
    """
    parked = {each.number for each in waits}
    goes_on = run.owner is not None and not run.owner.gone()
    numbers = {each.number for each in there} if goes_on else set[int]()

    def as_it_is(each: AttemptRecord) -> AttemptRecord:
        seems_to_run = each.state is State.RUNNING and each.number not in numbers
        if each.error == WAS_PARKED or (seems_to_run and (run.state is State.PARKED or each.number in parked)):
            return replace(each, state=State.PARKED, error="")
        return replace(each, state=State.CANCELLED, error=CUT_OFF) if seems_to_run else each

    return [as_it_is(each) for each in attempts]


def attempts_by_node(attempts: Iterable[AttemptRecord]) -> dict[int, list[AttemptRecord]]:
    """Return attempts by the numbers of their nodes."""
    found: dict[int, list[AttemptRecord]] = defaultdict(list)
    for each in attempts:
        found[each.number].append(each)
    return found


def recorded_graph(store: "Runs", record: RunRecord, waits: Iterable[WaitRecord] = ()) -> Graph:
    """Return the graph of a run as its records have it, in seconds since its last execution began."""
    waiting = {each.number: each.kind for each in waits if each.kind in WAITS}
    began = record.started_at or record.created_at  # a run that waits has no nodes
    origin = began.timestamp()
    # With barriers, for what they join would lie in pieces; not with damaged rows that have no number.
    nodes = [node for node in store.nodes(record.id) if node.number >= 0]
    there = {node.number for node in nodes}
    edges = [
        GraphEdge(each.up, each.down, "exogenous" if each.exogenous else "endogenous", each.tolerant)
        for each in store.edges(record.id)
        if each.up in there and each.down in there
    ]
    earlier: dict[int, list[AttemptRecord]] = {}
    entered = Counter[int]()  # how often a body was parked: it goes on with the attempt that it was in
    for each in store.attempts(record.id):
        entered[each.number] += each.error == WAS_PARKED
        if each.started_at is not None and each.started_at >= began:
            earlier.setdefault(each.number, []).append(each)
    made = [graph_node(node, origin, there, earlier.get(node.number, []), waiting) for node in nodes]
    made = [node._replace(attempts=max(node.attempts - entered[node.id], min(node.attempts, 1))) for node in made]
    if record.state in UNHELD:
        made = [unheld(record, node) if node.state is State.RUNNING else node for node in made]
    last = max([at for node in made for _, at in node.moves], default=0.0)
    goes_on = record.state is State.PARKED or (record.owner is not None and not record.owner.gone())
    now = time.time() - origin if goes_on else last
    return Graph(record.name, *without_joints(made, edges), now=max(now, last))


UNHELD = (State.PARKED, State.QUEUED)
"""The states of runs that no process has: nothing of them runs, whatever the last one that had them has left."""


def unheld(run: RunRecord, node: GraphNode) -> GraphNode:
    """Return a node that its run goes on with once a process has it: it waits for the world, or to be entered again."""
    if node.waits or run.state is State.PARKED:
        return node._replace(state=State.PARKED)
    parked = len(node.moves) > 1 and node.moves[-1][1] == node.moves[-2][1] and node.moves[-2][0] is State.QUEUED
    return node._replace(state=State.QUEUED, moves=node.moves[:-1] if parked else node.moves)


def graph_node(
    node: NodeRecord, origin: float, there: set[int], earlier: list[AttemptRecord], waiting: Mapping[int, str]
) -> GraphNode:
    """Return a recorded node as a graph shows it, with the earlier attempts of the same execution."""
    moves = [(State.WAITING, node.created_at)]
    if node.recalled:  # it ran in an earlier execution, and took no time in this one
        moves += [(State.QUEUED, node.created_at), (node.state, node.created_at)]
    else:
        for each in earlier:
            moves += [
                (State.RUNNING, each.started_at or node.created_at),
                (State.QUEUED, each.ended_at or node.created_at),
            ]
        over = bool(earlier) and earlier[-1].attempt == node.attempt  # let go of, or failed: it is listed already
        if node.started_at is not None and not over:
            moves.append((State.RUNNING, node.started_at))
        if node.state is not moves[-1][0]:
            moves.append((node.state, node.ended_at or moves[-1][1]))
    return GraphNode(
        id=node.number,
        name=node.name,
        label=node.label,
        state=node.state,
        attempts=node.attempt,
        moves=tuple((state, max(at.timestamp() - origin, 0.0)) for state, at in moves),
        site=node.site,
        error=error_text(node.error) if node.state is State.FAILED else "",
        parent=node.parent if node.parent in there else None,
        barrier=node.codec == BARRIER,
        waits=waiting.get(node.number, node.codec if node.codec in {MESSAGE, MOMENT} else ""),
    )


def error_text(written: str) -> str:
    """Return what a recorded error was, as it says it itself: the name of its type, and its text."""
    if not written:
        return ""
    error = recorded_error(written)
    if isinstance(error, RecordedError):
        kind, text = error.type_name.rpartition(":")[2], error.text
    else:
        kind, text = type(error).__name__, str(getattr(error, "message", error))
    return f"{kind}: {text}" if text else kind


def recorded_error(written: str) -> BaseException:
    """Return a recorded error as an exception, of the type that was raised if that can be made again."""
    from aiodag.service.values import read_error  # noqa: PLC0415 - who lists runs needs no codec

    return read_error(written)


def recorded_traceback(written: str) -> str:
    """Return the traceback that was recorded with an error, as Python prints it; empty where there is none."""
    try:
        record = json.loads(written)
    except (ValueError, RecursionError):  # a row that somebody, or a disk, has written over
        return ""
    found = record.get("traceback") if isinstance(record, dict) else None
    return found if isinstance(found, str) else ""
