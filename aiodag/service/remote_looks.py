"""What a client may ask of the store of a server: each look by the name of the method, with arguments that are checked.

Only what reads records, and nothing that changes a store, begins something or opens a file is here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.errors import OptionError, StoreError
from aiodag.firings import BackfillRecord, Firing, ScheduleRecord
from aiodag.records import (
    REFERENCE,
    AttemptRecord,
    EdgeRecord,
    LastMove,
    LogRecord,
    MessageRecord,
    NodeRecord,
    OutputRecord,
    RunFilter,
    RunRecord,
    TopicRecord,
    WaitRecord,
    WorkflowRecord,
)
from aiodag.states import State
from aiodag.stores.references import open_reference, reference_of
from aiodag.submissions import QueueRecord, WorkerRecord
from aiodag.wording import is_utf8

if TYPE_CHECKING:
    from aiodag.abc import Runs

LARGEST = 2**63  # what every database has room for
LARGEST_CONTENT = 64 * 2**20  # bytes of a value that is sent
MOST_NUMBERS = 300  # nodes that are asked for at once: a query has 8 KiB
LONGEST = 10_000  # characters


def asked_text(given: object) -> str:
    """Check a text that a store can look for."""
    if isinstance(given, str) and len(given) <= LONGEST and "\0" not in given and is_utf8(given):
        return given
    raise ValueError(f"a text of at most {LONGEST:,} characters, without NUL and half surrogates")


def asked_int(given: object) -> int:
    """Check a number that a database takes."""
    if type(given) is int and -LARGEST <= given < LARGEST:
        return given
    raise ValueError("a whole number")


def asked_count(given: object) -> int:
    """Check a number of things."""
    if type(given) is int and 0 <= given < LARGEST:
        return given
    raise ValueError("a whole number of 0 or more")


def asked_seconds(given: object) -> float:
    """Check a moment, in seconds since the epoch."""
    if isinstance(given, int | float) and not isinstance(given, bool) and -1e11 < given < 1e11:
        return float(given)
    raise ValueError("seconds since the epoch")


def asked_flag(given: object) -> bool:
    """Check a word of two."""
    if isinstance(given, bool):
        return given
    raise ValueError("true or false")


def asked_state(given: object) -> State:
    """Check the state of a node."""
    try:
        return State(asked_text(given))
    except ValueError:
        raise ValueError(f"one of {', '.join(State)}") from None


def asked_numbers(given: object) -> list[int]:
    """Check numbers of nodes."""
    if isinstance(given, list) and len(given) <= MOST_NUMBERS:
        return [asked_int(each) for each in given]
    raise ValueError(f"a list of at most {MOST_NUMBERS:,} whole numbers")


def asked_filter(given: object) -> RunFilter:
    """Check which runs are wanted."""
    if not isinstance(given, dict) or given.keys() - FILTER.keys():
        raise ValueError(f"an object with some of {', '.join(FILTER)}")
    return RunFilter(**{name: FILTER[name](each) for name, each in given.items() if each is not None})


def asked_tags(given: object) -> dict[str, str]:
    """Check tags."""
    if isinstance(given, dict):
        return {asked_text(name): asked_text(each) for name, each in given.items()}
    raise ValueError("an object of text and text")


Checks = Mapping[str, Callable[[object], Any]]
FILTER: Checks = {
    "name": asked_text,
    "state": asked_text,
    "tags": asked_tags,
    "since": asked_seconds,
    "until": asked_seconds,
    "text": asked_text,
    "queue": asked_text,
    "parent_run": asked_text,
    "schedule": asked_text,
}


class StoreLook(NamedTuple):
    """A method of a store that reads: the records that it returns, None for plain values, its arguments, and those it needs.

    One that returns a single thing is `alone`.
    """

    kind: type | None
    takes: Checks
    needs: Sequence[str] = ()
    alone: bool = False


RUN: Checks = {"run_id": asked_text}
NODES: Checks = {**RUN, "every": asked_flag, "numbers": asked_numbers}
NAME: Checks = {"name": asked_text}
LOOKS: Mapping[str, StoreLook] = MappingProxyType(
    {
        "runs": StoreLook(RunRecord, {**RUN, "wanted": asked_filter, "limit": asked_count, "before": asked_text}),
        "head": StoreLook(RunRecord, RUN, ("run_id",), alone=True),
        "near": StoreLook(None, {"text": asked_text}, ("text",)),
        "count_runs": StoreLook(None, NAME, ("name",), alone=True),
        "nodes": StoreLook(NodeRecord, {**NODES, "state": asked_state}, ("run_id",)),
        "nodes_called": StoreLook(NodeRecord, {**RUN, "which": asked_text, "every": asked_flag}, ("run_id", "which")),
        "content": StoreLook(None, {**RUN, "number": asked_int}, ("run_id", "number"), alone=True),
        "names_of_nodes": StoreLook(None, RUN, ("run_id",)),
        "edges": StoreLook(EdgeRecord, RUN, ("run_id",)),
        "attempts": StoreLook(AttemptRecord, NODES, ("run_id",)),
        "failures": StoreLook(AttemptRecord, {**RUN, "since": asked_seconds}, ("run_id",)),
        "last_moves": StoreLook(LastMove, RUN, ("run_id",)),
        "last_parts": StoreLook(None, RUN, ("run_id",), alone=True),
        "output": StoreLook(
            OutputRecord,
            {
                **RUN,
                "number": asked_int,
                "attempt": asked_int,
                "after": asked_int,
                "limit": asked_count,
            },
            ("run_id",),
        ),
        "definitions": StoreLook(None, RUN, ("run_id",)),
        "logs": StoreLook(
            LogRecord,
            {**RUN, "after": asked_int, "numbers": asked_numbers, "beyond": asked_int, "limit": asked_count},
            ("run_id",),
        ),
        "registered": StoreLook(WorkflowRecord, NAME),
        "queues": StoreLook(QueueRecord, {}),
        "workers": StoreLook(WorkerRecord, {}),
        "waits": StoreLook(WaitRecord, {**RUN, "topic": asked_text, "limit": asked_count}),
        "messages": StoreLook(MessageRecord, {"topic": asked_text, "state": asked_text, "limit": asked_count}),
        "topics": StoreLook(TopicRecord, {}),
        "clock": StoreLook(None, {}, alone=True),
        "schedules": StoreLook(ScheduleRecord, {**NAME, "source": asked_text}),
        "firings": StoreLook(Firing, {"schedule": asked_text, "limit": asked_count}, ("schedule",)),
        "backfills": StoreLook(BackfillRecord, {"schedule": asked_text, "number": asked_int}),
    }
)


def look_at_store(store: "Runs", what: str, ask: str) -> list[Any]:
    """Return what a store has of what was asked for, with arguments as JSON. Raises `OptionError` and `StoreError`."""
    arguments = asked_arguments(what, ask)
    method: Callable[..., Any] | None = getattr(store, what, None)
    if what == "content":
        return [content_of_node(store, **arguments)]
    if method is None:
        msg = f"this store has no {what}: use one in a file, in PostgreSQL or in memory"
        raise StoreError(msg)
    found = method(**arguments)
    return [found] if LOOKS[what].alone else list(found)


def content_of_node(store: "Runs", run_id: str, number: int) -> bytes:
    """Return the bytes of a value that is kept in a place of its own. Raises `StoreError` and `ValueGone`."""
    for node in store.nodes(run_id, every=True, numbers=[number]):
        if node.codec == REFERENCE:
            found = reference_of(node.value)
            if found.size > LARGEST_CONTENT:
                msg = f"the value of {node.label!r} has {found.size:,} bytes, and at most {LARGEST_CONTENT:,} are sent over HTTP"
                raise StoreError(msg)
            return open_reference(found, bytes_of_content)  # type: ignore[no-any-return] # that returns bytes
    msg = f"run {run_id!r} has no node {number} whose value is kept in a place of its own"
    raise StoreError(msg)


def bytes_of_content(_: str, content: "str | bytes | bytearray") -> bytes:
    """Return what a place has kept as bytes."""
    return content.encode() if isinstance(content, str) else bytes(content)


def asked_arguments(what: str, ask: str) -> dict[str, Any]:
    """Check what is asked for. Raises `OptionError`."""
    if what not in LOOKS:
        raise OptionError("what", what[:200], f"one of {', '.join(LOOKS)}")
    look = LOOKS[what]
    try:
        given = json.loads(ask)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or given.keys() - look.takes.keys():
        wanted = ", ".join(look.takes) or "nothing"
        raise OptionError("ask", ask[:200], f"a JSON object with arguments of {what}: {wanted}")
    found: dict[str, Any] = {}
    for name, each in given.items():
        try:
            found[name] = look.takes[name](each)
        except ValueError as error:
            raise OptionError(name, str(each)[:200], str(error)) from None
    for name in look.needs:
        if name not in found:
            raise OptionError("ask", ask[:200], f"{name} in it: {what} needs that")
    return found
