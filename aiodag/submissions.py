"""What passes through the queue of a store: runs that are submitted and taken, and what it knows of workers and queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.records import NO_TAGS, Claim, Claimed, Owner, RunRecord


class Submission(NamedTuple):
    """A run that is to be recorded as queued. Moments are seconds since the epoch.

    `target` is what code it needs, whatever its arguments; a worker that lacks it takes none of its runs. `code` is a digest
    of that code. `max_active` is how many runs of the name may go on at once, from now on; None leaves that as it is.
    `parent_run` and `parent_node` are the id of the run that begins this one, and the number of the node that does.

    Of a `group` one run goes on at a time, and one waits: it is cancelled when another one is submitted, which waits in its
    place. With `cancel_in_progress` the one that goes on is cancelled too. Runs of a backfill all wait for their turns:
    they neither replace nor cancel others, nor are replaced or cancelled by them. `schedule` and `backfill` are the name and the
    number of those that it is a run of.

    >>> import time
    >>> from aiodag.stores import Memory
    >>> from aiodag.submissions import Submission
    >>> entry = {"file": "/srv/etl.py", "task": "main", "parameters": {"day": "monday"}}
    >>> store = Memory()
    >>> store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", time.time(), key="etl-monday"))
    'monday'
    >>> store.submit(Submission("again", "main", entry, "/srv/etl.py:main", time.time(), key="etl-monday"))
    'monday'
    """

    id: str
    name: str
    entry: Mapping[str, Any] | None
    target: str
    at: float
    definition: str | None = None
    tags: Mapping[str, str] = NO_TAGS
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    starts_at: float | None = None
    expires_at: float | None = None
    key: str | None = None
    retries: int = 0
    max_active: int | None = None
    code: str | None = None
    parent_run: str | None = None
    parent_node: int | None = None
    group: str | None = None
    cancel_in_progress: bool = False
    schedule: str | None = None
    backfill: int | None = None


class Resubmission(NamedTuple):
    """A recorded run that is to be queued again: one that has ended, is parked, or was left by its process.

    A `queue` of None is the one that the run has, or "default". Where `entry`, `definition` or `code` are None, or `tags` are
    empty, what is recorded stays. `again` are the numbers of nodes that run again, whatever is recorded of them. With an `execution`, the
    run is queued only if that is still its last one: somebody who has looked at it, and decided by that, may be late.

    >>> from aiodag import Run
    >>> from aiodag.stores import Memory
    >>> from aiodag.submissions import Resubmission
    >>> store = Memory()
    >>> async with Run("main", store=store, id="monday"):
    ...     pass
    >>> store.resubmit(Resubmission("monday", "/srv/etl.py:main"))
    >>> store.run("monday").state.value, store.run("monday").queue
    ('queued', 'default')
    """

    id: str
    target: str
    queue: str | None = None
    entry: Mapping[str, Any] | None = None
    definition: str | None = None
    tags: Mapping[str, str] = NO_TAGS
    code: str | None = None
    again: Sequence[int] = ()
    execution: int | None = None


class Taken(NamedTuple):
    """A run that a worker has taken from a queue, and owns from then on.

    `claim` and `claimed` are what `Runs.claim_all` takes and answers: the run is entered with them. `cancel` is True if
    somebody wants it cancelled, who could not end it at once since it had begun before. `code` is the digest of its code when
    it was submitted.

    >>> import time
    >>> from aiodag.records import Owner
    >>> from aiodag.stores import Memory
    >>> from aiodag.submissions import Submission
    >>> entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    >>> store = Memory()
    >>> run_id = store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", time.time()))
    >>> [(taken.record.id, taken.claimed.execution) for taken in store.take_queued(Owner.here(), ["default"], 1, lease=15)]
    [('monday', 1)]
    """

    record: RunRecord
    claim: Claim
    claimed: Claimed
    target: str
    code: str | None = None
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as a store knows it: "working", or "ending", which takes no more. `runs` are the ids of what it works on.

    `seen_at` is when its process last renewed its lease.

    >>> import time
    >>> from aiodag.records import Owner
    >>> from aiodag.service import Service
    >>> service = Service("memory:worker-record")
    >>> service.store.enrol(Owner.here(), ["nightly"], 8, at=time.time(), lease=15)
    >>> [(worker.queues, worker.limit, worker.state, worker.runs) for worker in service.workers()]
    [(['nightly'], 8, 'working', [])]
    """

    owner: Owner
    queues: Sequence[str]
    limit: int
    state: str
    started_at: datetime
    seen_at: datetime
    runs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """A queue: "open", "paused" (nothing is taken from it) or "draining" (nothing is submitted to it).

    At most `rate` of its runs begin in `per` seconds. `waiting` and `running` are how many of its runs are queued, and
    go on.

    >>> from aiodag.service import Service
    >>> service = Service("memory:queue-record")
    >>> service.add_queue("nightly", rate=10, per=60)
    >>> service.queues()
    [QueueRecord(name='nightly', state='open', rate=10, per=60.0, waiting=0, running=0)]
    """

    name: str
    state: str = "open"
    rate: int | None = None
    per: float | None = None
    waiting: int = 0
    running: int = 0
