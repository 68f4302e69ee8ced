"""Put records into JSON. The keys of these documents are stable; moments are ISO 8601, UTC."""

import base64
import dataclasses
import enum
import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiodag.access import AuditRecord, TokenRecord
from aiodag.errors import Undecodable
from aiodag.records import (
    CUT_OFF,
    AttemptRecord,
    Delivered,
    EdgeRecord,
    LogRecord,
    MessageRecord,
    NodeRecord,
    OutputRecord,
    RunRecord,
    TopicRecord,
    WaitRecord,
    WorkflowRecord,
)
from aiodag.service.look import Looking, one_node
from aiodag.service.recorded import attempts_by_node, error_text
from aiodag.service.resumption import Resumption
from aiodag.service.written import WrittenLine
from aiodag.states import State
from aiodag.submissions import QueueRecord, WorkerRecord
from aiodag.wording import first_line

if TYPE_CHECKING:
    from aiodag.service.folders import InFolder

Document = dict[str, Any]


def run_document(run: RunRecord) -> Document:
    """Return a run for JSON."""
    owner = run.owner
    return {
        "id": run.id,
        "name": run.name,
        "state": str(run.state),
        "execution": run.execution,
        "created_at": iso_moment(run.created_at),
        "started_at": iso_moment(run.started_at),
        "ended_at": iso_moment(run.ended_at),
        "entry": plain_value(run.entry),
        "tags": dict(run.tags),
        "owner": owner and {"host": owner.host, "pid": owner.pid, "gone": owner.gone()},
        **queue_document(run),
        **family_document(run),
        "counts": {str(state): count for state, count in run.counts.items() if count},
        "error": error_text(run.error) or None,
        **damage_of(run),
    }


def queue_document(run: RunRecord) -> Document:
    """Return what a queue knows of a run that was submitted; nothing of one that its own process began."""
    if run.queue is None:
        return {}
    due = iso_moment(run.due_at)
    document: Document = {"queue": run.queue, "priority": run.priority, "due_at": due, "deaths": run.deaths}
    document |= {} if run.schedule is None else {"schedule": run.schedule}
    return document | ({} if run.group is None else {"group": run.group, "held": run.is_held})


def family_document(run: RunRecord) -> Document:
    """Return which run has begun another, and how often that has begun again; nothing of most runs."""
    parent = {} if run.parent_run is None else {"parent": run.parent_run}
    return parent | ({"generation": run.generation} if run.generation else {})


def queue_documents(queues: Iterable[QueueRecord]) -> list[Document]:
    """Return queues for JSON."""
    return [dataclasses.asdict(each) for each in queues]


def worker_documents(workers: Iterable[WorkerRecord]) -> list[Document]:
    """Return workers for JSON."""
    return [
        {
            "host": each.owner.host,
            "pid": each.owner.pid,
            "state": each.state,
            "queues": list(each.queues),
            "limit": each.limit,
            "runs": list(each.runs),
            "started_at": iso_moment(each.started_at),
            "seen_at": iso_moment(each.seen_at),
        }
        for each in workers
    ]


def wait_documents(waits: Iterable[WaitRecord]) -> list[Document]:
    """Return what runs wait for, for JSON."""
    return [each._asdict() | {"since": iso_moment(each.since), "due_at": iso_moment(each.due_at)} for each in waits]


def message_documents(messages: Iterable[MessageRecord]) -> list[Document]:
    """Return messages for JSON: each payload as the value that it is, or as text where that is not JSON."""
    return [
        each._asdict()
        | {
            "keys": list(each.keys),
            "payload": value_of_payload(each.payload),
            "headers": dict(each.headers),
            "at": iso_moment(each.at),
            "expires_at": iso_moment(each.expires_at),
        }
        for each in messages
    ]


def topic_documents(topics: Iterable[TopicRecord]) -> list[Document]:
    """Return topics for JSON."""
    return [each._asdict() | {"starts": list(each.starts)} for each in topics]


def delivered_document(topic: str, delivered: Delivered) -> Document:
    """Return for JSON what became of a message."""
    return {"topic": topic, "id": delivered.id, "outcome": delivered.outcome, "runs": list(delivered.runs)}


def value_of_payload(payload: str) -> Any:
    """Return the plain value of a payload, or its text: a dead letter may be anything."""
    try:
        return plain_value(json.loads(payload))
    except (ValueError, RecursionError):
        return payload


def damage_of(record: RunRecord | NodeRecord | TokenRecord | AuditRecord) -> dict[str, str]:
    """Return what of a record cannot be read, if anything."""
    return {"damaged": record.damaged} if record.damaged else {}


def node_document(node: NodeRecord, attempts: Iterable[AttemptRecord]) -> Document:
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
        "created_at": iso_moment(node.created_at),
        "started_at": iso_moment(node.started_at),
        "ended_at": iso_moment(node.ended_at),
        "error": (error_text(node.error) if node.state is State.FAILED else node.error) or None,
        "attempts": [attempt_document(each) | {"facts": plain_value(each.facts)} for each in attempts],
        **damage_of(node),
    }


def attempt_document(each: AttemptRecord) -> Document:
    """Return an attempt for JSON."""
    return {
        "attempt": each.attempt,
        "state": str(each.state),
        "started_at": iso_moment(each.started_at),
        "ended_at": iso_moment(each.ended_at),
        "error": (CUT_OFF if each.error == CUT_OFF else attempt_error(each)) or None,
    }


def edge_document(edge: EdgeRecord) -> Document:
    """Return an edge for JSON."""
    return {"up": edge.up, "down": edge.down, "exogenous": edge.exogenous, "tolerant": edge.tolerant}


def plan_document(planned: Resumption) -> Document:
    """Return what resuming a run would do, for JSON."""
    document: Document = {"run": planned.run, "recalled": planned.recalled}
    document |= {"failed": planned.failed} if planned.failed else {}
    return document | ({"continues": True} if planned.continues else {})


def whole_document(service: Looking, run_id: str) -> Document:
    """Return all that is remembered of a run for JSON, but for what it logged and wrote."""
    run = service.run(run_id)
    every = service.nodes(run.id, every=True)
    there = {node.number for node in service.nodes(run.id)}
    attempts = attempts_by_node(service.attempts(run.id))
    return {
        "run": run_document(run),
        "definitions": [change._asdict() for change in service.changes(run.id)],
        "nodes": [node_document(node, attempts[node.number]) for node in every if node.number in there],
        "earlier": [node_document(node, attempts[node.number]) for node in every if node.number not in there],
        "edges": [edge_document(each) for each in service.edges(run.id)],
        "waits": wait_documents(service.waits_of(run)),
    }


def node_documents(service: Looking, run: RunRecord, nodes: Iterable[NodeRecord]) -> list[Document]:
    """Return some nodes of a run for JSON."""
    nodes = list(nodes)
    attempts = attempts_by_node(service.attempts(run.id, [node.number for node in nodes]))
    return [node_document(node, attempts[node.number]) for node in nodes]


def workflow_document(record: WorkflowRecord, runs: int, last: RunRecord | None) -> Document:
    """Return a registered workflow for JSON, with how many runs it has had, and the last."""
    return {
        "name": record.name,
        "target": record.target,
        "tags": dict(record.tags),
        "registered_at": iso_moment(record.registered_at),
        "runs": runs,
        "last": None if last is None else run_document(last),
        "definition": document_of_record(record),
    }


def document_of_record(record: WorkflowRecord) -> Document:
    """Return the document of a registered workflow; an empty one where somebody has written over it."""
    try:
        found = json.loads(record.document)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def folder_document(found: "InFolder", runs: int, last: RunRecord | None) -> Document:
    """Return a workflow that a folder defines for JSON: nobody has registered it."""
    return {
        "name": found.name,
        "target": found.target,
        "tags": {},
        "registered_at": None,
        "runs": runs,
        "last": None if last is None else run_document(last),
    }


def readable_value(service: Looking, run: RunRecord, node: str) -> Any:
    """Return the value of a node; as it is recorded, where a class of it is not loaded here."""
    try:
        return service.value(run.id, node)
    except Undecodable:
        return json.loads(str(one_node(service, run.id, node).value))


def attempt_error(each: AttemptRecord) -> str:
    """Return in one line why an attempt failed."""
    if each.error == CUT_OFF:
        return CUT_OFF.partition(": ")[2]
    return first_line(error_text(each.error)) if each.state is State.FAILED else ""


def iso_moment(at: datetime | None) -> str | None:
    """Return a moment for JSON, always with microseconds."""
    return None if at is None else at.isoformat(timespec="microseconds")


def plain_value(value: object) -> Any:
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


# Lines of a log


def log_document(line: LogRecord, labels: Mapping[int, str]) -> Document:
    """Return a line that a body logged for JSON."""
    return line_document(line.at, line.number, labels, line.level, line.logger, line.text)


def written_document(line: WrittenLine, labels: Mapping[int, str]) -> Document:
    """Return a line that a command wrote for JSON."""
    return line_document(line.at, line.number, labels, line.stream, "command", line.text)


def failure_document(each: AttemptRecord, labels: Mapping[int, str]) -> Document:
    """Return a failed attempt as a line of a log, for JSON."""
    text = f"attempt {each.attempt}: {error_text(each.error)}"
    return line_document(each.ended_at, each.number, labels, "FAILED", "aiodag", text)


def line_document(
    at: datetime | None, number: int | None, labels: Mapping[int, str], level: str, logger: str, text: str
) -> Document:
    """Return a line of a log for JSON, with the label of its node if it has one."""
    label = None if number is None else labels.get(number)
    return {"at": iso_moment(at), "node": number, "label": label, "level": level, "logger": logger, "text": text}


def output_document(part: OutputRecord) -> Document:
    """Return a part of what a command wrote for JSON; its bytes as base64 too, where they are not whole text."""
    document: Document = {
        "node": part.number,
        "attempt": part.attempt,
        "stream": part.stream,
        "part": part.part,
        "start": part.start,
        "at": iso_moment(part.at),
        "text": part.bytes.decode(errors="replace"),
    }
    try:
        part.bytes.decode()
    except UnicodeDecodeError:
        document["base64"] = base64.b64encode(part.bytes).decode()
    return document | ({"damaged": part.damaged} if part.damaged else {})
