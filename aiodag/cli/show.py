"""Put records into words and into JSON. The keys of the JSON documents are stable; moments are ISO 8601, UTC."""

import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiodag._core.graph import Graph
from aiodag._core.states import State
from aiodag.cli.progress import seconds
from aiodag.errors import RecordedError
from aiodag.stores.codec import decode_error
from aiodag.stores.records import AttemptRecord, EdgeRecord, LogRecord, NodeRecord, RunRecord

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
        "owner": owner and {"host": owner.host, "pid": owner.pid, "gone": owner.gone()},
        "counts": {str(state): count for state, count in run.counts.items() if count},
        "error": told_error(run.error) or None,
    }


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
        "error": (told_error(node.error) if node.state is State.FAILED else node.error) or None,
        "attempts": [
            {
                "attempt": each.attempt,
                "state": str(each.state),
                "started_at": iso(each.started_at),
                "ended_at": iso(each.ended_at),
                "error": attempt_error(each) or None,
            }
            for each in attempts
        ],
    }


def edge_document(edge: EdgeRecord) -> dict[str, Any]:
    """Return an edge for JSON."""
    return {"up": edge.up, "down": edge.down, "exogenous": edge.exogenous, "tolerant": edge.tolerant}


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
    """Say the state of a run, and whether it only looks as if it ran."""
    return f"{run.state}, its process has gone" if is_orphan(run) else str(run.state)


def is_orphan(run: RunRecord) -> bool:
    """Tell whether a run is unfinished and nobody works on it."""
    return run.ended_at is None and (run.owner is None or run.owner.gone())


def counted(counts: Mapping[State, int]) -> str:
    """Say how many nodes are in which state."""
    return ", ".join(f"{counts[state]} {state}" for state in State if counts.get(state))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def run_text(
    run: RunRecord, graph: Graph, nodes: Sequence[NodeRecord], attempts: Mapping[int, Sequence[AttemptRecord]]
) -> str:
    """Show a run: what it is, its tree, every attempt."""
    facts = [("run", run.id), ("name", run.name), ("state", state_of(run))]
    if run.entry:
        given = "".join(f" {name}={value}" for name, value in (run.entry.get("parameters") or {}).items())
        facts.append(("entry", f"{run.entry.get('file')}:{run.entry.get('task')}{given}"))
    facts.append(("started", f"{moment(run.started_at)}{f', execution {run.execution}' if run.execution > 1 else ''}"))
    if run.ended_at is not None:
        facts.append(("ended", moment(run.ended_at)))
    elif run.owner is not None:
        facts.append(("owner", str(run.owner)))
    rows = [attempt_line(node, each) for node in nodes for each in attempts.get(node.number, ())]
    parts = [table(facts), graph.to_text()]
    if rows:
        parts.append(table([("NODE", "ATTEMPT", "STATE", "STARTED", "TOOK", ""), *rows]))
    return "\n\n".join(parts)


def attempt_line(node: NodeRecord, each: AttemptRecord) -> tuple[str, ...]:
    """Return an attempt as a row of a table."""
    took = ""
    if each.started_at is not None and each.ended_at is not None:
        took = seconds((each.ended_at - each.started_at).total_seconds())
    name = f"{node.label} #{node.number}{' (recalled)' if node.recalled else ''}"
    return name, str(each.attempt), str(each.state), moment(each.started_at), took, attempt_error(each)


def moment(at: datetime | None) -> str:
    """Return a moment for people, UTC, to the millisecond."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def attempt_error(each: AttemptRecord) -> str:
    """Say in one line why an attempt failed."""
    return told_error(each.error).partition("\n")[0] if each.state is State.FAILED else ""


def told_error(written: str) -> str:
    """Say what a recorded error was, as it says it itself."""
    if not written:
        return ""
    error = decode_error(written)
    if isinstance(error, RecordedError):
        kind, text = error.type_name.rpartition(":")[2], error.text
    else:
        kind, text = type(error).__name__, str(getattr(error, "message", error))
    return f"{kind}: {text}" if text else kind


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


def failure_document(each: AttemptRecord, nodes: Mapping[int, NodeRecord]) -> dict[str, Any]:
    """Return a failed attempt as a line of a log, for JSON."""
    return {
        "at": iso(each.ended_at),
        "node": each.number,
        "label": nodes[each.number].label if each.number in nodes else None,
        "level": "FAILED",
        "logger": "aiodag",
        "text": f"attempt {each.attempt}: {told_error(each.error)}",
    }


def log_text(document: Mapping[str, Any]) -> str:
    """Return a line of a log for people: at which moment, how grave, which node, what."""
    at = datetime.fromisoformat(document["at"])
    what = str(document["text"]).replace("\n", "\n    ")
    return f"{moment(at)} {document['level']:<7} {document['label'] or '-'}: {what}"
