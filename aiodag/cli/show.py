"""Put records into words: tables, trees and lines."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiodag import Graph, State
from aiodag.records import AttemptRecord, NodeRecord, RunRecord, WaitRecord
from aiodag.service import Service
from aiodag.service.documents import attempt_error
from aiodag.service.phrases import (
    attempt_state,
    change_text,
    entry_text,
    moment_text,
    parked_counts,
    run_state,
    state_counts,
    took_text,
    wait_text,
)
from aiodag.service.recorded import attempts_by_node, error_text
from aiodag.wording import count_text, describe_seconds, first_line, printable

MOST_WAITS, MOST_CHILDREN = 20, 20  # of a run, that are shown


def run_line(run: RunRecord) -> tuple[str, ...]:
    """Return a run as a row of a table."""
    # What failed without a node, in its queue, says why.
    nodes = state_counts(parked_counts(run)) or (first_line(error_text(run.error)) if run.error else "")
    return run.id, run.name, run_state(run), begin_text(run), took_text(run), nodes


def begin_text(run: RunRecord) -> str:
    """Return when the last execution of a run began; empty for one that never did."""
    return "" if run.started_at is None else f"{run.started_at:%Y-%m-%d %H:%M:%S}Z"


HEAD = ("RUN", "NAME", "STATE", "STARTED", "TOOK", "NODES")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned, each in one line whatever names are in it."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def run_text(run: RunRecord, graph: Graph, service: Service) -> str:
    """Return a run as text: what it is, its tree, every attempt."""
    facts = [("run", run.id), ("name", run.name), ("state", run_state(run))]
    facts += [("damaged", run.damaged)] if run.damaged else []
    if run.entry:
        facts.append(("entry", entry_text(run.entry)))
    facts += [("tag", f"{name}={value}") for name, value in run.tags.items()]
    facts += queue_facts(run) + family_facts(run, service)
    began = moment_text(run.started_at) or "never"
    facts.append(("started", f"{began}{f', execution {run.execution}' if run.execution > 1 else ''}"))
    if run.ended_at is not None:
        facts.append(("ended", moment_text(run.ended_at)))
    elif run.owner is not None:
        facts.append(("owner", str(run.owner)))
    if run.error and not any(node.state is State.FAILED for node in graph.nodes):
        facts.append(("error", first_line(error_text(run.error))))  # else the nodes say it
    facts += wait_facts(service.waits_of(run))
    facts += [("definition", change_text(each)) for each in service.changes(run.id)]
    attempts = attempts_by_node(service.attempts(run.id))
    facts += holding_facts(run, service.nodes(run.id), attempts)
    there = {node.id for node in graph.nodes}
    nodes = service.nodes(run.id, every=True)
    rows = [attempt_line(node, each, there=node.number in there) for node in nodes for each in attempts[node.number]]
    parts = [table(facts), with_brief_errors(graph).to_text()]
    if rows:
        head = ("NODE", "ATTEMPT", "STATE", "STARTED", "TOOK", "")
        where = [each.facts.get("host") for node in nodes for each in attempts[node.number]]
        parts.append(table(with_hosts([head, *rows], where, run)))
    return "\n\n".join(parts)


def with_hosts(rows: Sequence[tuple[str, ...]], where: Sequence[object], run: RunRecord) -> Sequence[tuple[str, ...]]:
    """Return rows of attempts with where each ran, before the last column, if that was not always where the run is."""
    home = {run.owner.host} if run.owner is not None else set[object]()
    known = {each for each in where if each is not None}
    if known <= home or (not home and len(known) < 2):
        return rows
    cells = ["WHERE", *("" if each is None else str(each) for each in where)]
    return [(*row[:-1], cell, row[-1]) for row, cell in zip(rows, cells, strict=True)]


def queue_facts(run: RunRecord) -> list[tuple[str, str]]:
    """Return what a queue knows of a run that was submitted."""
    if run.queue is None:
        return []
    facts = [("queue", f"{run.queue}, priority {run.priority}" if run.priority else run.queue)]
    facts += [("schedule", run.schedule)] if run.schedule is not None else []
    facts += [("due", moment_text(run.due_at))] if run.due_at is not None else []
    if run.group is not None:
        facts.append(("group", f"{run.group}, where another run goes on" if run.is_held else run.group))
    return facts + ([("deaths", f"{count_text(run.deaths, 'owner')} died")] if run.deaths else [])


def wait_facts(waits: Sequence[WaitRecord]) -> list[tuple[str, str]]:
    """Return what a run waits for, since when and until when: the first, and how many others there are."""
    facts = [("waits", f"{each.label} #{each.number}: {wait_text(each)}") for each in waits[:MOST_WAITS]]
    more = len(waits) - MOST_WAITS
    return facts + ([("waits", f"and {more:,} more: aiodag waits {waits[0].run}")] if more > 0 else [])


def holding_facts(
    run: RunRecord, nodes: Iterable[NodeRecord], attempts: Mapping[int, Sequence[AttemptRecord]]
) -> list[tuple[str, str]]:
    """Return what keeps the process of a run that waits from letting go of it."""
    if run.state is not State.RUNNING:
        return []
    last = [(node, attempts[node.number][-1]) for node in nodes if attempts.get(node.number)]
    return [
        ("held by", f"{node.label} #{node.number}: {each.facts['holds']}")
        for node, each in last
        if each.state is State.RUNNING and each.facts.get("holds")
    ]


def family_facts(run: RunRecord, service: Service) -> list[tuple[str, str]]:
    """Return which run has begun a run, how often that has begun again, and which runs it has begun: the newest."""
    facts = [] if run.parent_run is None else [("parent", run.parent_run)]
    facts += [("generation", f"{run.generation}: it has begun again that often")] if run.generation else []
    children = service.runs(parent=run.id, limit=MOST_CHILDREN + 1)
    facts += [("child", f"{each.id}, {run_state(each)}") for each in children[-MOST_CHILDREN:]]
    more = [("child", f"and more: aiodag runs --parent {run.id}")]
    return facts + more * (len(children) > MOST_CHILDREN)


def nodes_text(service: Service, run: RunRecord, nodes: Iterable[NodeRecord]) -> str:
    """Return some nodes of a run as text: every attempt, and the whole of each error."""
    nodes = list(nodes)
    attempts = attempts_by_node(service.attempts(run.id, [node.number for node in nodes]))
    lines = []
    for node in nodes:
        lines += [attempt_line(node, each, there=True) for each in attempts[node.number]] or [unbegun_line(node)]
    if not lines:
        return ""
    errors = [
        f"{printable(node.label)}: " + error_text(node.error).replace("\n", "\n    ")
        for node in nodes
        if node.state is State.FAILED
    ]
    return "\n\n".join([table([("NODE", "ATTEMPT", "STATE", "STARTED", "TOOK", ""), *lines]), *errors])


def with_brief_errors(graph: Graph) -> Graph:
    """Return a graph whose errors fit in a line."""
    nodes = [node._replace(error=first_line(node.error)) if node.error else node for node in graph.nodes]
    return Graph(graph.name, nodes, graph.edges, graph.now)


def attempt_line(node: NodeRecord, each: AttemptRecord, *, there: bool) -> tuple[str, ...]:
    """Return an attempt as a row of a table; the last execution of its run may not have the node any more."""
    took = ""
    if each.started_at is not None and each.ended_at is not None:
        took = describe_seconds(max(0, (each.ended_at - each.started_at).total_seconds()))
    # Of several attempts only the last can have succeeded, and that is what was recalled.
    recalled = node.recalled and each.state is State.SUCCEEDED
    mark = " (earlier)" if not there else " (recalled)" if recalled else ""
    name = f"{node.label} #{node.number}{mark}"
    return name, str(each.attempt), attempt_state(each), moment_text(each.started_at), took, attempt_error(each)


def unbegun_line(node: NodeRecord) -> tuple[str, ...]:
    """Return a node that has had no attempt as a row of a table, with why it was skipped if it was."""
    why = first_line(error_text(node.error) if node.state is State.FAILED else node.error)
    return f"{node.label} #{node.number}", "", str(node.state), "", "", why


def command_line(command: Sequence[str]) -> str:
    """Return a command as a shell would read it."""
    if tuple(command[:2]) == ("/bin/sh", "-c") and tuple(command[3:]) == ("sh",):
        command = command[:3]  # of what `shell` runs without arguments: its $0 tells nobody anything
    return shlex.join(map(str, command))


def log_text(document: Mapping[str, Any]) -> str:
    """Return a line of a log for people: at which moment, how grave, which node, what."""
    at = datetime.fromisoformat(document["at"])
    what = str(document["text"]).replace("\n", "\n    ")
    return f"{moment_text(at)} {printable(document['level']):<7} {printable(document['label'] or '-')}: {what}"
