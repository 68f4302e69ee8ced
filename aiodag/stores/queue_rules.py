"""What holds in the queue of every store: what makes a run poison, who may still take one, and the errors of runs that fail there."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiodag.errors import QueueError, RunQueued, StoreError
from aiodag.queue_defaults import DEATHS, DEFAULT_QUEUE
from aiodag.records import Owner
from aiodag.states import State
from aiodag.submissions import Resubmission, Submission

SHOWN = 200  # characters of arguments in a message
WITHOUT_WORKER = "no worker is left that has its code: {}"


def count_deaths(deaths: int, before: int, now: int) -> int:
    """Return how many owners of a run have died in a row, with one more: from 1 again where nodes have succeeded since.

    >>> count_deaths(2, before=7, now=7), count_deaths(2, before=7, now=8)
    (3, 1)
    """
    return 1 if now > before else deaths + 1


def is_poison(deaths: int) -> bool:
    """Return True if so many deaths in a row are the run's own doing."""
    return deaths >= DEATHS


def poison_text(deaths: int) -> str:
    """Return the recorded error of a run that kills its owners."""
    return queue_error(
        f"poison: {deaths} processes that worked on it died, one after the other, and no node succeeded in between"
    )


def expired_text(at: float) -> str:
    """Return the recorded error of a run that did not begin in time."""
    try:
        moment = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):  # somebody has written it by hand
        moment = f"{at!r}"
    return queue_error(f"expired: it had not begun by {moment}")


def refused_text(reason: str) -> str:
    """Return the recorded error of a run that no worker can run."""
    return queue_error(WITHOUT_WORKER.format(reason))


def damaged_text(damaged: str) -> str:
    """Return the recorded error of a run that cannot be read."""
    return queue_error(f"what is recorded of it cannot be read: {damaged}")


def queue_error(reason: str) -> str:
    """Return an error of a queue as it is recorded with a run."""
    from aiodag.stores.outcomes import record_exception  # noqa: PLC0415 - who only looks at a store needs no codec

    return record_exception(QueueError(reason))


def may_take(owner: Owner, until: float | None, now: float) -> bool:
    """Return True if a process is there, as far as can be known: its lease goes on, and it has not ended."""
    return until is not None and until > now and not owner.gone()


def refuse_other(
    submission: Submission, name: str, target: str | None, entry: Mapping[str, Any] | None, document: str | None
) -> None:
    """Refuse to submit something else under a key than what was submitted. Raises `StoreError`."""
    same = (name, target, as_json(entry)) == (submission.name, submission.target, as_json(submission.entry))
    # A workflow of a file is known by that; what has none is its text.
    if same and ((entry is not None and entry.get("file") != "") or document == submission.definition):
        return
    was, wanted = shown_entry(name, target, entry), shown_entry(submission.name, submission.target, submission.entry)
    what = f"{was}, not {wanted}" if was != wanted else f"another workflow {name!r}"
    msg = f"the key {submission.key!r} is that of a run which was submitted as {what}: use another key"
    raise StoreError(msg)


def as_json(entry: Mapping[str, Any] | None) -> str:
    """Return an entry as a text that equal ones share, from a store or from a program."""
    return json.dumps(entry, sort_keys=True)


def shown_entry(name: str, target: str | None, entry: Mapping[str, Any] | None) -> str:
    """Return what was submitted, for a message."""
    given: Any = {} if entry is None else entry.get("parameters") or {}
    pairs = " ".join(f"{key}={value}" for key, value in given.items()) if isinstance(given, Mapping) else str(given)
    if len(pairs) > SHOWN:
        pairs = f"{pairs[:SHOWN]}..."
    return f"{target or name} {pairs}".strip()


def refuse_draining(queue: str, place: object) -> StoreError:
    """Return the error for what is submitted to a queue that takes nothing."""
    return StoreError(
        f"queue {queue!r} of {place} is draining, and takes nothing new: `aiodag queues resume {queue}` opens it again"
    )


def queue_again_in(again: Resubmission, before: str | None) -> str:
    """Return the queue in which a run is queued again: the one that was asked for, that of the run, or the usual one."""
    return again.queue or before or DEFAULT_QUEUE


def refuse_queued(run_id: str, state: str, queue: str | None) -> None:
    """Refuse to queue a run that is queued already. Raises `RunQueued`."""
    if state == State.QUEUED:
        raise RunQueued(run_id, queue or DEFAULT_QUEUE)


def refuse_other_execution(again: Resubmission, execution: int) -> None:
    """Refuse to queue a run again that went on since somebody looked at it. Raises `StoreError`."""
    if again.execution not in {None, execution}:
        msg = (
            f"run {again.id!r} was resumed meanwhile: it is in execution {execution} now, and not in {again.execution}"
        )
        raise StoreError(msg)


def refuse_id(submission: Submission, place: object) -> StoreError:
    """Return the error for a second run of an id."""
    return StoreError(f"there is a run {submission.id!r} in {place} already: submit it under another id")


def reason_of_all(able: Iterable[Owner], refusals: Mapping[Owner, str]) -> str | None:
    """Return why none of those workers can run what they were asked for: the reason of one; None while one might.

    Without a worker nobody has refused.
    """
    reasons = [refusals.get(owner) for owner in able]
    return next(iter(reasons), None) if None not in reasons else None
