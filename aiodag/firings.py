"""Schedules as a store keeps them, and what became of each of their moments.

    active ──► paused ──► active       ended: its trigger has no further moment
       └─────► ended, broken           broken: what is recorded of it cannot be read

A *firing* is one moment of a schedule, or several in a row that were passed over for one reason:

    submitted   a run was made of it
    waiting     a run will be, once the schedule's run before has ended
    skipped     a run of the schedule went on, and the schedule says to skip
    missed      nobody was there in time, and the schedule says not to catch up
    refused     no run could be made of it: `reason` says why

Moments are seconds since the epoch in what a store is given, and aware `datetime` objects in the records that it gives back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiodag.submissions import Submission

ZERO = datetime.fromtimestamp(0, UTC)
KEPT_FIRINGS = 10_000  # of each schedule: the oldest rows go first


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule: when runs begin, and which.

    `trigger` is the form of a trigger, as `trigger_of` reads it back. `submission` is what each run is submitted as, but for
    its id and moments; `params` are values, or templates, that it gets for each moment. `jitter` is the most seconds by which
    a start is put off, and `grace` how late a moment may be before it counts as missed. `source` is the file that says so.

    A store sets `number`, `version` and the moments. The version is another one after each change: whoever releases moments
    names the one that was seen. `next_at` is the first moment on which nothing is decided, also of one that is paused; None once it has ended. `is_held` is True while moments wait for
    a run to end, of one that catches up with all.

    >>> from aiodag.firings import ScheduleRecord
    >>> from aiodag.stores import Memory
    >>> from aiodag.submissions import Submission
    >>> entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    >>> nightly = ScheduleRecord("nightly", {"cron": "0 0 * * *"}, Submission("", "main", entry, "/srv/etl.py:main", 0.0))
    >>> store = Memory()
    >>> store.put_schedule(nightly)
    True
    >>> [(record.name, record.state, record.version) for record in store.schedules()]
    [('nightly', 'active', 1)]
    """

    name: str
    trigger: Mapping[str, Any]
    submission: Submission
    params: Mapping[str, Any] = field(default_factory=dict)
    overlap: str = "queue"
    catch_up: str = "latest"
    jitter: float = 0.0
    grace: float = 60.0
    source: str = ""
    state: str = "active"
    reason: str = ""
    next_at: datetime | None = None
    number: int = 0
    version: int = 0
    is_held: bool = False
    created_at: datetime = ZERO
    changed_at: datetime = ZERO
    last_run: str | None = None
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class Firing:
    """What became of a moment of a schedule; of `count` moments in a row, from `at` to `until`, where they were passed over.

    `kind` is "scheduled", "backfill" or "manual".
    """

    schedule: str
    at: datetime
    kind: str
    state: str
    reason: str = ""
    run_id: str | None = None
    until: datetime | None = None
    count: int = 1
    noted_at: datetime = ZERO
    damaged: str = ""


class PlannedRun(NamedTuple):
    """The run that is to be made of a moment: its `schedule` is set by the store."""

    at: float
    submission: Submission


class Passed(NamedTuple):
    """Moments in a row of which no run is made: from one to another, their number, and why.

    `state` is "missed", "skipped" or "refused".
    """

    at: float
    until: float
    number: int
    state: str
    reason: str


class Release(NamedTuple):
    """What is to be done with due moments of one schedule, planned from its record of a `version`.

    `next_at` is the moment after these, None where there is no other. `planned` are submitted as the schedule's overlap says;
    `passed` are noted as they are. Both are in the order of their moments. `holds` is True for a schedule that must lose no
    moment to an overlap: then the first that can be neither submitted nor wait is its next one, which is due when what waits
    has been submitted. `state` is what the schedule is then, "" for as it was. With the kind "manual" nothing overlaps, and
    neither `next_at` nor `state` is changed.
    """

    schedule: str
    number: int
    version: int
    next_at: float | None = None
    planned: Sequence[PlannedRun] = ()
    passed: Sequence[Passed] = ()
    holds: bool = False
    state: str = ""
    reason: str = ""
    kind: str = "scheduled"


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """Moments of the past of which runs are made: those of a schedule from `start` to before `end`, each once.

    At most `limit` of its runs are unfinished at once. `cursor` is where it stands: moments before that are done, or those
    after it where the `newest_first` comes first; None before the first. `state` is "active", "ended" or "cancelled". A store
    sets `number`, `version`, `unfinished` and the counts: `submitted` runs, and `known`, which the schedule had already
    released.
    """

    schedule: str
    start: datetime
    end: datetime
    limit: int = 4
    newest_first: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    cursor: datetime | None = None
    state: str = "active"
    reason: str = ""
    number: int = 0
    version: int = 0
    unfinished: int = 0
    submitted: int = 0
    known: int = 0
    created_at: datetime = ZERO
    damaged: str = ""

    @property
    def room(self) -> int:
        """How many more runs may go on now."""
        return max(self.limit - self.unfinished, 0)


class BackfillStep(NamedTuple):
    """What is to be done next of a backfill, planned from its record of a `version`; `cursor` is where it stands then."""

    number: int
    version: int
    cursor: float | None
    planned: Sequence[PlannedRun] = ()
    passed: Sequence[Passed] = ()
    state: str = "active"
    reason: str = ""
