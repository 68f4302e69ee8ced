"""What holds in the inbox of every store: how waits end whose moment has come, and what a message begins."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aiodag.errors import NotFound
from aiodag.mail import MESSAGE, MOMENT, Starter, describe_lateness
from aiodag.states import State
from aiodag.submissions import Submission

NOTHING = "null"  # the value of a wait for a moment, as JSON


class WaitEnd(NamedTuple):
    """How a node that waited ended, as its row has it."""

    state: State
    codec: str = ""
    value: str | bytes | None = None
    error: str = ""
    message: int | None = None


def outcome_of_message(payload: str, message: int) -> WaitEnd:
    """Return how a node ends that is given a message."""
    return WaitEnd(State.SUCCEEDED, MESSAGE, payload, message=message)


def outcome_of_moment(kind: str, topic: str, key: str, seconds: float) -> WaitEnd:
    """Return how a node ends whose moment has come, so many seconds after it began to wait."""
    if kind == "moment":
        return WaitEnd(State.SUCCEEDED, MOMENT, NOTHING)
    if kind == "deadline":
        return WaitEnd(State.RUNNING)
    from aiodag.stores.outcomes import record_exception  # noqa: PLC0415 - who only looks at a store needs no codec

    late = TimeoutError(describe_lateness(kind, topic, key, seconds))
    return WaitEnd(State.FAILED, MESSAGE, error=record_exception(late))  # no value; its codec has it drawn as a wait


NO_ANSWER = ("json", "null")  # of the run of a workflow: its tasks have values, and it has none itself


def end_of_child(run_id: str, name: str, state: State, error: str, codec: str, value: "str | bytes | None") -> WaitEnd:
    """Return how the node ends that waits for a run that has ended: as that did, with what its first node gave."""
    if state is State.SUCCEEDED and codec:
        return WaitEnd(state, codec, value)
    from aiodag.stores.children import child_error  # noqa: PLC0415 - as above
    from aiodag.stores.outcomes import record_exception  # noqa: PLC0415 - as above

    return WaitEnd(State.FAILED, error=record_exception(child_error(run_id, name, state, error)))


def read_keys(text: object) -> list[str]:
    """Return the keys of a message; none where somebody has written something else there."""
    try:
        found = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def started_run(
    topic: str, message_id: str, payload: str, starter: tuple[str, object, str, str, str], at: float
) -> Submission | None:
    """Return the run that a message begins; None where what is noted of that cannot be read.

    `starter` is a row: target, entry, name, queue, parameter. The same message begins the same run once.
    """
    target, entry_text, name, queue, parameter = starter
    try:
        entry: dict[str, Any] = json.loads(str(entry_text))
        given = {**entry["parameters"], parameter: json.loads(payload)} if parameter else entry["parameters"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    digest = hashlib.sha256(f"{topic}\n{message_id}\n{target}".encode("utf-8", "backslashreplace")).hexdigest()
    key = f"message {digest}"
    return Submission(f"{name}-{digest[:12]}", name, {**entry, "parameters": given}, target, at, queue=queue, key=key)


def starters_gone(
    there: Iterable[tuple[str, str, str]], given: Iterable[Starter], files: Collection[str]
) -> list[tuple[str, str]]:
    """Return which of the starters that are noted, as topic, target and file, some `files` do not declare any more.

    >>> starters_gone([("ORDER", "/a.py:order", "/a.py"), ("ORDER", "/b.py:order", "/b.py")], [], ["/a.py"])
    [('ORDER', '/a.py:order')]
    """
    now = {(each.topic, each.target) for each in given}
    return [(topic, target) for topic, target, file in there if file in files and (topic, target) not in now]


def headers_in(text: object) -> Mapping[str, str]:
    """Return the headers of a message; none where somebody has written something else there."""
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def no_dead_letter(topic: str, message_id: str, place: object) -> NotFound:
    """Return the error for a message that cannot be delivered again."""
    return NotFound(
        f"there is no dead letter {message_id!r} of {topic!r} in {place}: `aiodag messages --dead` lists those there are"
    )
