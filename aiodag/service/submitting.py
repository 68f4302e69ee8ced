"""What is submitted to a queue: checked as a whole before anything is recorded."""

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from aiodag._core.options import check_name, check_seconds, retries_of
from aiodag._core.run_options import id_of, tags_of
from aiodag.errors import EntryError, OptionError
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.service.binding import as_task, load_entry
from aiodag.service.entry import Entry, Target
from aiodag.service.parameters import Given
from aiodag.service.run_groups import group_of_target
from aiodag.service.starting import refuse_resources
from aiodag.service.targets import entry_of_target, ready, target_of
from aiodag.submissions import Submission
from aiodag.workflows.files.document import recorded_text
from aiodag.workflows.jobs.building import check_params
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.abc import Runs

MOST = 2**31 - 1  # what every database has room for
LONGEST_KEY, LONGEST_QUEUE = 500, 200  # characters: they are in indexes, of which a server takes some 2,700 bytes


class Wishes(NamedTuple):
    """How something is submitted, as it was asked for."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    at: datetime | None = None
    key: str | None = None
    tags: Mapping[str, str] | None = None
    expires: float | timedelta | None = None
    retries: int = 0
    max_active: int | None = None


def target_to_submit(store: "Runs", target: "str | Target", given: Given) -> Target:
    """Return what is to be submitted, checked with its parameters. Raises `EntryError` and `WorkflowError`."""
    if isinstance(target, str):
        target = target_of(store, target, given)
    elif given:
        msg = f"parameters={given!r}: the target has its own; give FILE.py[:TASK], FILE.json, FILE.yaml or a name with them"
        raise EntryError(msg)
    target = ready(target)
    refuse_resources(target, None, elsewhere=True)
    if isinstance(target, Workflow) and target.jobs is not None:
        check_params(target.jobs, target.given)  # what is missing is said here, and not by a worker
    entry = entry_of_target(target)
    for name, value in ({} if entry is None else entry.parameters).items():
        refuse_unwritable(name, value)
    return target


def refuse_unwritable(name: str, value: object) -> None:
    """Refuse a parameter that another process cannot be given. Raises `EntryError`."""
    try:
        same = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        same = False
    if not same:
        msg = f"parameter {name}={value!r:.200}: what is submitted must be plain JSON; give it as text, as it would be typed"
        raise EntryError(msg)


def submission_of(target: Target, wishes: Wishes) -> Submission:
    """Return what is recorded of a target that is submitted, as it was asked for, once that is checked."""
    now = time.time()
    expires = None if wishes.expires is None else check_seconds("expires", wishes.expires)
    starts_at = None if wishes.at is None else wishes.at.timestamp()
    name = target.name if isinstance(target, Workflow) else as_task(load_entry(target)).name
    tags = {**(target.tags if isinstance(target, Workflow) else {}), **tags_of(wishes.tags)}
    entry = entry_of_target(target)
    return Submission(
        id=id_of(None, name),
        name=name,
        entry=None if entry is None else entry.recorded(),
        target=name if entry is None else code_of_entry(entry) or name,
        at=now,
        definition=definition_to_submit(target) if isinstance(target, Workflow) else None,
        tags=tags,
        queue=wishes.queue,
        priority=wishes.priority,
        starts_at=starts_at,
        expires_at=None if expires is None else max(now, starts_at or 0.0) + expires,
        key=wishes.key,
        retries=wishes.retries,
        max_active=wishes.max_active,
        code=None if entry is None else digest_of_code(entry),
        **group_of_target(target),
    )


def definition_to_submit(workflow: Workflow) -> str:
    """Return the text that a run of a workflow is built from."""
    text = recorded_text(workflow)
    return workflow.kept.get(text, text)


def code_of_entry(entry: Entry) -> str:
    """Return which code an entry needs, whatever its parameters.

    >>> code_of_entry(Entry("/srv/etl.py", "main", {"day": "monday"})), code_of_entry(Entry("/srv/etl.json", "", {}))
    ('/srv/etl.py:main', '/srv/etl.json')
    """
    return f"{entry.file}:{entry.task}" if entry.task else entry.file


def digest_of_code(entry: Entry) -> str | None:
    """Return a digest of the file that an entry is in; None if it cannot be read now."""
    try:
        with open(entry.file, "rb") as file:  # noqa: PTH123 - the path as it is recorded
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def checked_wishes(wishes: Wishes) -> Wishes:
    """Check how something is to be submitted; return it with `expires` in seconds."""
    if type(wishes.priority) is not int or abs(wishes.priority) > MOST:
        wanted = f"an int from {-MOST:,} to {MOST:,}; higher ones begin first"
        raise OptionError("priority", wishes.priority, wanted)
    most = wishes.max_active
    if most is not None and (type(most) is not int or not 1 <= most <= MOST):
        raise OptionError("max_active", most, f"an int from 1 to {MOST:,}: the runs of the name that go on at once")
    expires = (
        None if wishes.expires is None else check_seconds("expires", wishes.expires, "seconds above 0, or a timedelta")
    )
    if expires == 0:
        raise OptionError("expires", wishes.expires, "seconds above 0, or a timedelta")
    if retries_of(wishes.retries) > MOST:
        raise OptionError("retries", wishes.retries, f"an int up to {MOST:,}: the executions after the first")
    at = checked_moment(wishes.at)
    return wishes._replace(queue=checked_queue(wishes.queue), at=at, key=checked_key(wishes.key), expires=expires)


def checked_moment(given: object) -> datetime | None:
    """Check the moment before which a run does not begin."""
    if given is None or (isinstance(given, datetime) and given.utcoffset() is not None):
        return given
    raise OptionError("at", given, "a datetime with a time zone, such as datetime.now(UTC) + timedelta(hours=1)")


def checked_queue(given: object) -> str:
    """Check the name of a queue."""
    plain = isinstance(given, str) and given.isprintable() and given == given.strip()
    if isinstance(given, str) and plain and not given.startswith("-") and len(given) <= LONGEST_QUEUE:
        name = check_name(given)
        if name:
            return name
    wanted = (
        f"a name of up to {LONGEST_QUEUE} printable characters, without spaces around it, that does not begin with -"
    )
    raise OptionError("queue", given, wanted)


def checked_key(given: object) -> str | None:
    """Check the key of a submission."""
    if given is None or (isinstance(given, str) and given.isprintable() and 0 < len(given) <= LONGEST_KEY):
        return given
    raise OptionError("key", given, f"a string of up to {LONGEST_KEY} printable characters")
