"""Put records into words and into JSON. The keys of the JSON documents are stable; moments are ISO 8601, UTC."""

import dataclasses
import enum
import json
import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiodag._core.graph import Graph
from aiodag.cli.output import brief
from aiodag.cli.progress import seconds
from aiodag.cli.written import Line
from aiodag.errors import Undecodable
from aiodag.records import CUT_OFF, AttemptRecord, EdgeRecord, LogRecord, NodeRecord, RunRecord
from aiodag.service import Service
from aiodag.service.entry import Entry, told
from aiodag.service.recorded import error_text
from aiodag.service.registry import Change
from aiodag.states import State
from aiodag.wording import printable

# JSON


def run_document(run: RunRecord) -> dict[str, Any]:
    """Return a run for JSON."""
    owner = run.owner
    return {
        "id": run.id,
        "name": run.name,
        "state": str(run.state),
        "execution": run.execution,
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "entry": plain_value(run.entry),
        "tags": dict(run.tags),
        "owner": owner and {"host": owner.host, "pid": owner.pid, "gone": owner.gone()},
        "counts": {str(state): count for state, count in run.counts.items() if count},
        "error": error_text(run.error) or None,
        **damage(run),
    }


def damage(record: RunRecord | NodeRecord) -> dict[str, str]:
    """Return what of a record cannot be read, if anything."""
    return {"damaged": record.damaged} if record.damaged else {}


def node_document(node: NodeRecord, attempts: Iterable[AttemptRecord]) -> dict[str, Any]:
    """Return a node with its attempts for JSON."""
    return {
        "number": node.number,
        "name": node.name,
        "label": node.label,
        "version": node.version or None,
        "key": node.key,
        "state": str(node.state),
        "recalled": node.recalled,
        "parent": node.parent,
        "site": node.site or None,
        "created_at": iso(node.created_at),
        "started_at": iso(node.started_at),
        "ended_at": iso(node.ended_at),
        "error": (error_text(node.error) if node.state is State.FAILED else node.error) or None,
        "attempts": [attempt_document(each) | {"facts": plain_value(each.facts)} for each in attempts],
        **damage(node),
    }


def attempt_document(each: AttemptRecord) -> dict[str, Any]:
    """Return an attempt for JSON."""
    return {
        "attempt": each.attempt,
        "state": str(each.state),
        "started_at": iso(each.started_at),
        "ended_at": iso(each.ended_at),
        "error": (CUT_OFF if each.error == CUT_OFF else attempt_error(each)) or None,
    }


def edge_document(edge: EdgeRecord) -> dict[str, Any]:
    """Return an edge for JSON."""
    return {"up": edge.up, "down": edge.down, "exogenous": edge.exogenous, "tolerant": edge.tolerant}


def whole(service: Service, run: RunRecord) -> dict[str, Any]:
    """Return all that is remembered of a run for JSON, but for what it logged and wrote."""
    attempts = tries(service, run.id)
    nodes = service.nodes(run.id)
    there = {node.number for node in nodes}
    earlier = [node for node in service.nodes(run.id, every=True) if node.number not in there]
    return {
        "run": run_document(run),
        "definitions": [change._asdict() for change in service.changes(run.id)],
        "nodes": [node_document(node, attempts[node.number]) for node in nodes],
        "earlier": [node_document(node, attempts[node.number]) for node in earlier],
        "edges": [edge_document(each) for each in service.edges(run.id)],
    }


def some(service: Service, run: RunRecord, nodes: Iterable[NodeRecord]) -> list[dict[str, Any]]:
    """Return some nodes of a run for JSON."""
    attempts = tries(service, run.id)
    return [node_document(node, attempts[node.number]) for node in nodes]


def value_of(service: Service, run: RunRecord, node: str) -> Any:
    """Return the value of a node; as it is recorded, where a class of it is not loaded here."""
    try:
        return service.value(run.id, node)
    except Undecodable:
        (found, *_) = service.matching(run.id, node)
        return json.loads(str(found.value))


def tries(service: Service, run_id: str) -> dict[int, list[AttemptRecord]]:
    """Return the attempts of a run by the numbers of their nodes."""
    attempts: dict[int, list[AttemptRecord]] = defaultdict(list)
    for each in service.attempts(run_id):
        attempts[each.number].append(each)
    return attempts


def iso(at: datetime | None) -> str | None:
    """Return a moment for JSON, always with microseconds."""
    return None if at is None else at.isoformat(timespec="microseconds")


def plain_value(value: Any) -> Any:
    """Return a value as JSON can say it: what has no word there becomes a text.

    >>> plain_value({"at": {1}, 2: float("nan"), "id": b"x"})
    {'at': [1], '2': 'nan', 'id': "b'x'"}
    """
    if isinstance(value, enum.Enum):
        return plain_value(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_value(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_value(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return repr(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


# Words


def run_line(run: RunRecord) -> tuple[str, ...]:
    """Return a run as a row of a table."""
    took = "" if run.ended_at is None else seconds((run.ended_at - run.started_at).total_seconds())
    return run.id, run.name, state_of(run), f"{run.started_at:%Y-%m-%d %H:%M:%S}Z", took, counted(run.counts)


HEAD = ("RUN", "NAME", "STATE", "STARTED", "TOOK", "NODES")


def state_of(run: RunRecord) -> str:
    """Return the state of a run, whether it only looks as if it ran, and whether its row is damaged."""
    if run.damaged:
        return "damaged"
    return f"{run.state}, its process has gone" if is_orphan(run) else str(run.state)


def is_orphan(run: RunRecord) -> bool:
    """Return True if a run is unfinished and nobody works on it."""
    return run.ended_at is None and (run.owner is None or run.owner.gone())


def counted(counts: Mapping[State, int]) -> str:
    """Return how many nodes are in which state."""
    return ", ".join(f"{counts[state]} {state}" for state in State if counts.get(state))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned, each in one line whatever names are in it."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def run_text(run: RunRecord, graph: Graph, service: Service) -> str:
    """Show a run: what it is, its tree, every attempt."""
    facts = [("run", run.id), ("name", run.name), ("state", state_of(run))]
    facts += [("damaged", run.damaged)] if run.damaged else []
    if run.entry:
        facts.append(("entry", entry_text(run.entry)))
    facts += [("tag", f"{name}={value}") for name, value in run.tags.items()]
    facts.append(("started", f"{moment(run.started_at)}{f', execution {run.execution}' if run.execution > 1 else ''}"))
    if run.ended_at is not None:
        facts.append(("ended", moment(run.ended_at)))
    elif run.owner is not None:
        facts.append(("owner", str(run.owner)))
    facts += [("definition", change_text(each)) for each in service.changes(run.id)]
    attempts = tries(service, run.id)
    there = {node.id for node in graph.nodes}
    nodes = service.nodes(run.id, every=True)
    rows = [attempt_line(node, each, there=node.number in there) for node in nodes for each in attempts[node.number]]
    parts = [table(facts), with_brief_errors(graph).to_text()]
    if rows:
        parts.append(table([("NODE", "ATTEMPT", "STATE", "STARTED", "TOOK", ""), *rows]))
    return "\n\n".join(parts)


def nodes_text(service: Service, run: RunRecord, nodes: Iterable[NodeRecord]) -> str:
    """Show some nodes of a run: every attempt, and the whole of each error."""
    attempts = tries(service, run.id)
    rows = [(node, each) for node in nodes for each in attempts[node.number]]
    if not rows:
        return ""
    lines = [attempt_line(node, each, there=True) for node, each in rows]
    errors = [
        f"{printable(node.label)}: " + error_text(node.error).replace("\n", "\n    ")
        for node in nodes
        if node.state is State.FAILED
    ]
    return "\n\n".join([table([("NODE", "ATTEMPT", "STATE", "STARTED", "TOOK", ""), *lines]), *errors])


def with_brief_errors(graph: Graph) -> Graph:
    """Return a graph whose errors fit in a line."""
    nodes = [node._replace(error=brief(node.error)) if node.error else node for node in graph.nodes]
    return Graph(graph.name, nodes, graph.edges, graph.now)


def entry_text(entry: Mapping[str, Any]) -> str:
    """Return what a run began with."""
    return told(Entry(entry.get("file", ""), entry.get("task", ""), entry.get("parameters") or {}))


def change_text(change: Change) -> str:
    """Return which execution brought which definition, with the one before it."""
    lists = (("changed", change.changed), ("added", change.added), ("removed", change.removed))
    told = [f"{word} {', '.join(names)}" for word, names in lists if names]
    return f"of execution {change.execution}: {'; '.join(told) or how_many(change.tasks)}"


def how_many(tasks: int) -> str:
    """Return how many tasks there are.

    >>> how_many(1), how_many(2)
    ('1 task', '2 tasks')
    """
    return f"{tasks} task{'s' * (tasks != 1)}"


def attempt_line(node: NodeRecord, each: AttemptRecord, *, there: bool) -> tuple[str, ...]:
    """Return an attempt as a row of a table; the last execution of its run may not have the node any more."""
    took = ""
    if each.started_at is not None and each.ended_at is not None:
        took = seconds((each.ended_at - each.started_at).total_seconds())
    # Of several attempts only the last can have succeeded, and that is what was recalled.
    recalled = node.recalled and each.state is State.SUCCEEDED
    mark = " (earlier)" if not there else " (recalled)" if recalled else ""
    name = f"{node.label} #{node.number}{mark}"
    return name, str(each.attempt), attempt_state(each), moment(each.started_at), took, attempt_error(each)


def moment(at: datetime | None) -> str:
    """Return a moment for people, UTC, to the millisecond."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def attempt_error(each: AttemptRecord) -> str:
    """Return in one line why an attempt failed."""
    if each.error == CUT_OFF:
        return CUT_OFF.partition(": ")[2]
    return brief(error_text(each.error)) if each.state is State.FAILED else ""


def attempt_state(each: AttemptRecord) -> str:
    """Return how an attempt ended: nobody has cancelled one whose process ended before it."""
    return CUT_OFF.partition(":")[0] if each.error == CUT_OFF else str(each.state)


# Lines of a log


def log_document(line: LogRecord, nodes: Mapping[int, NodeRecord]) -> dict[str, Any]:
    """Return a line that a body logged for JSON."""
    return {
        "at": iso(line.at),
        "node": line.number,
        "label": None if line.number is None or line.number not in nodes else nodes[line.number].label,
        "level": line.level,
        "logger": line.logger,
        "text": line.text,
    }


def written_document(line: Line, nodes: Mapping[int, NodeRecord]) -> dict[str, Any]:
    """Return a line that a command wrote for JSON."""
    return {
        "at": iso(line.at),
        "node": line.number,
        "label": nodes[line.number].label if line.number in nodes else None,
        "level": line.stream,
        "logger": "command",
        "text": line.text,
    }


def command_line(command: Sequence[str]) -> str:
    """Return a command as a shell would read it."""
    if tuple(command[:2]) == ("/bin/sh", "-c") and tuple(command[3:]) == ("sh",):
        command = command[:3]  # of what `shell` runs without arguments: its $0 tells nobody anything
    return shlex.join(map(str, command))


def failure_document(each: AttemptRecord, nodes: Mapping[int, NodeRecord]) -> dict[str, Any]:
    """Return a failed attempt as a line of a log, for JSON."""
    return {
        "at": iso(each.ended_at),
        "node": each.number,
        "label": nodes[each.number].label if each.number in nodes else None,
        "level": "FAILED",
        "logger": "aiodag",
        "text": f"attempt {each.attempt}: {error_text(each.error)}",
    }


def log_text(document: Mapping[str, Any]) -> str:
    """Return a line of a log for people: at which moment, how grave, which node, what."""
    at = datetime.fromisoformat(document["at"])
    what = str(document["text"]).replace("\n", "\n    ")
    return f"{moment(at)} {printable(document['level']):<7} {printable(document['label'] or '-')}: {what}"
