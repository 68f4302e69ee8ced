"""The queue of a store in memory."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from aiodag.happenings import Happening
from aiodag.records import NO_TAGS, Claim, Claimed, Owner, utc_moment
from aiodag.states import State
from aiodag.stores.kept import NOBODY, ZERO, KeptPlace, KeptRun, kept_run_record, known_from_kept
from aiodag.stores.kept_groups import enter_group
from aiodag.stores.kept_runs import KeptRuns
from aiodag.stores.queue_rules import (
    count_deaths,
    expired_text,
    is_poison,
    may_take,
    poison_text,
    reason_of_all,
    refuse_draining,
    refuse_id,
    refuse_other,
    refused_text,
)
from aiodag.stores.watch import note_happening
from aiodag.submissions import QueueRecord, Submission, Taken, WorkerRecord


class KeptQueue(KeptRuns):
    """What waits in a store in memory, and who works on it."""

    def __init__(self) -> None:
        super().__init__()
        self._leases: dict[Owner, float] = {}
        self._queues: dict[str, QueueRecord] = {}
        self._turns: dict[str, float] = {}  # of queues with a rate: when the next run may begin
        self._names: dict[str, int] = {}  # how many runs of a name may go on
        self._workers: dict[Owner, WorkerRecord] = {}
        self._refusals: dict[str, dict[Owner, str]] = {}  # by target

    # Submit

    def submit(self, submission: Submission) -> str:
        """Record a run as queued, or find the one that was submitted under the same key; return its id."""
        with self._changing(Happening.QUEUED, Happening.ENDED):
            for kept, place in self._places():
                if submission.key is not None and place.submission.key == submission.key:
                    refuse_other(
                        submission, kept.claim.name, place.submission.target, kept.claim.entry, kept.definition
                    )
                    return kept.claim.id
            if self._queue(submission.queue).state == "draining":
                raise refuse_draining(submission.queue, self)
            if submission.id in self.kept:
                raise refuse_id(submission, self)
            self._add(submission)
            self._fail_refused([(submission.queue, submission.target)], time.time())
            return submission.id

    def _add(self, submission: Submission) -> None:
        # As a store in a file gives it back.
        entry = None if submission.entry is None else json.loads(json.dumps(submission.entry))
        tags = submission.tags or NO_TAGS
        claim = Claim(submission.id, submission.name, entry, NOBODY, 0.0, submission.at, tags)
        later = submission.starts_at is not None and submission.starts_at > time.time()
        place = KeptPlace(
            submission, submission.starts_at if later else None, submission.expires_at, submission.retries
        )
        kept = KeptRun(next(self._numbers), claim, submission.at, 0.0, execution=0, state=State.QUEUED, queued=place)
        kept.parent_run, kept.parent_node = submission.parent_run, submission.parent_node
        if submission.definition is not None:
            kept.definitions.append((1, submission.definition))
        self.kept[submission.id] = kept
        if not later:
            enter_group(self.kept.values(), kept, time.time())
        if submission.max_active is not None:
            self._names[submission.name] = submission.max_active

    def submit_again(self, run_id: str) -> bool:
        """Put a run of a queue that has ended there again, to be resumed; return whether it had."""
        with self._changing(Happening.QUEUED):
            kept = self.kept.get(run_id)
            again = kept is not None and kept.submit_again()
            if kept is not None and again:
                enter_group(self.kept.values(), kept, time.time())
            return again

    def _places(self) -> Iterator[tuple[KeptRun, KeptPlace]]:
        """Give the runs that were submitted, in the order in which they were."""
        for kept in list(self.kept.values()):
            if kept.queued is not None:
                yield kept, kept.queued

    def _queue(self, name: str) -> QueueRecord:
        return self._queues.get(name) or QueueRecord(name)

    # Take

    def take_queued(self, owner: Owner, queues: Sequence[str], limit: int, *, lease: float) -> list[Taken]:
        """Take up to `limit` runs for `lease` seconds, after what there is to do for all."""
        taken: list[Taken] = []
        with self._lock:
            now = time.time()
            changed = self._hand_on(now)
            for kept, place in self._next(owner, queues):
                if len(taken) >= limit:
                    break
                if self._has_room(kept.claim.name) and self._takes_turn(place.submission.queue, now):
                    taken.append(take_kept(kept, place, owner, now, lease))
            if taken:
                self._leases[owner] = max(now + lease, self._leases.get(owner, 0.0))
        if changed:  # else who looks would wake itself by that
            note_happening(self, (Happening.QUEUED, Happening.ENDED))
        return taken

    def _next(self, owner: Owner, queues: Sequence[str]) -> list[tuple[KeptRun, KeptPlace]]:
        """Return what a worker may take, the first ones first."""
        some = [
            (kept, place)
            for kept, place in self._places()
            if kept.state is State.QUEUED
            and place.due_at is None
            and not place.held
            and place.submission.queue in queues
            and self._queue(place.submission.queue).state != "paused"
            and owner not in self._refusals.get(place.submission.target, {})
        ]
        return sorted(some, key=lambda each: (-each[1].submission.priority, each[0].number))

    def _has_room(self, name: str) -> bool:
        if name not in self._names:
            return True
        return (
            sum(kept.state is State.RUNNING for kept, _ in self._places() if kept.claim.name == name)
            < self._names[name]
        )

    def _takes_turn(self, queue: str, now: float) -> bool:
        record = self._queue(queue)
        if record.rate is None or record.per is None:
            return True
        if self._turns.get(queue, 0.0) > now:
            return False
        self._turns[queue] = now + record.per / record.rate
        return True

    # What is done for all

    def _hand_on(self, now: float) -> bool:
        """Do what is due for all; return True if that changed anything."""
        before = [(kept.state, place.due_at) for kept, place in self._places()]
        for kept, place in self._places():
            if place.due_at is not None and place.due_at <= now:
                place.due_at = None
            expired = place.expires_at
            if expired is not None and expired <= now:
                place.expires_at = None
                if kept.state is State.QUEUED and kept.execution == 0:
                    kept.fail(expired_text(expired), now)
            if kept.state is State.RUNNING and kept.owner is not None and not self._is_there(kept.owner, now):
                requeue_dead(kept, place, now)
        gone = [owner for owner in self._workers if not self._is_there(owner, now)]
        for owner in gone:
            self._drop_worker(owner)
        if gone:
            self._fail_refused(self._all_refused(), now)
        return before != [(kept.state, place.due_at) for kept, place in self._places()]

    def _is_there(self, owner: Owner, now: float) -> bool:
        return may_take(owner, self._leases.get(owner), now)

    def _drop_worker(self, owner: Owner) -> None:
        del self._workers[owner]
        for refusals in self._refusals.values():
            refusals.pop(owner, None)

    def _all_refused(self) -> list[tuple[str, str]]:
        return [(place.submission.queue, place.submission.target) for _, place in self._places()]

    def _fail_refused(self, pairs: Iterable[tuple[str, str]], now: float) -> None:
        """Fail the runs that every worker of their queue has refused."""
        for queue, target in dict.fromkeys(pairs):
            able = [
                worker.owner
                for worker in self._workers.values()
                if queue in worker.queues and worker.state == "working" and self._is_there(worker.owner, now)
            ]
            reason = reason_of_all(able, self._refusals.get(target, {}))
            if reason is None:
                continue
            for kept, place in self._places():
                same = (place.submission.queue, place.submission.target) == (queue, target)
                if same and kept.state is State.QUEUED:
                    kept.fail(refused_text(reason), now)

    # Give back

    def give_back(self, claimed: Sequence[Claimed], *, refusal: str = "") -> None:
        """Put runs back into their queues; with a reason, note that this worker cannot run their targets."""
        executions = {each.run: each.execution for each in claimed}
        with self._changing(Happening.QUEUED, Happening.ENDED):
            refused: list[tuple[str, str]] = []
            for kept, place in self._places():
                if kept.owner is None or executions.get(kept.number) != kept.execution:
                    continue
                if refusal:
                    self._refusals.setdefault(place.submission.target, {})[kept.owner] = refusal
                    refused.append((place.submission.queue, place.submission.target))
                kept.requeue()
            self._fail_refused(refused, time.time())

    def requeue_left(self, kept: KeptRun, now: float) -> None:
        """Put a run back that was left without an end, if it belongs to a queue."""
        if kept.queued is not None and kept.state is State.RUNNING:
            requeue_dead(kept, kept.queued, now)

    # Who is there, and what waits

    def enrol(self, owner: Owner, queues: Sequence[str], limit: int, *, at: float, lease: float) -> None:
        """Note a worker, and that its process is there for `lease` seconds."""
        with self._lock:
            now, since = time.time(), utc_moment(at) or ZERO
            self._workers[owner] = WorkerRecord(owner, list(queues), limit, "working", since, utc_moment(now) or ZERO)
            self._leases[owner] = max(now + lease, self._leases.get(owner, 0.0))

    def dismiss(self, owner: Owner, *, ending: bool = False) -> None:
        """Forget a worker; or, if it is `ending`, note that it takes no more."""
        with self._lock:
            if owner in self._workers and ending:
                self._workers[owner] = replace(self._workers[owner], state="ending")
            elif owner in self._workers:
                self._drop_worker(owner)
            self._fail_refused(self._all_refused(), time.time())

    def workers(self) -> list[WorkerRecord]:
        """Return the workers that are alive."""
        with self._lock:
            return [
                replace(worker, runs=[kept.claim.id for kept in self.kept.values() if kept.owner == owner])
                for owner, worker in self._workers.items()
                if self._is_there(owner, time.time())
            ]

    def queues(self) -> list[QueueRecord]:
        """Return the queues that were named, or have runs that wait or go on."""
        with self._lock:
            found = {name: replace(record, waiting=0, running=0) for name, record in self._queues.items()}
            count_queues(found, self._places())
            return [found[name] for name in sorted(found)]

    def put_queue(
        self, name: str, *, state: str | None = None, rate: int | None = None, per: float | None = None
    ) -> None:
        """Make a queue, or change what is given of it; a rate of 0 takes the rate away."""
        with self._changing(Happening.QUEUED):
            before = self._queue(name)
            self._queues[name] = QueueRecord(
                name,
                before.state if state is None else state,
                before.rate if rate is None else rate or None,
                before.per if per is None else per,
            )

    def due_in(self) -> float | None:
        """Return in how many seconds the next thing becomes due, or None."""
        with self._lock:
            now = time.time()
            waiting = {
                place.submission.queue
                for kept, place in self._places()
                if kept.state is State.QUEUED and place.due_at is None
            }
            turns = [at for queue, at in self._turns.items() if queue in waiting and at > now]
            due = [at for _, place in self._places() for at in (place.due_at, place.expires_at) if at is not None]
            return min((at - now for at in (*turns, *due)), default=None)


def count_queues(found: dict[str, QueueRecord], places: Iterable[tuple[KeptRun, KeptPlace]]) -> None:
    """Count the runs of queues that wait and go on."""
    for kept, place in places:
        if kept.state.final:
            continue
        record = found.setdefault(place.submission.queue, QueueRecord(place.submission.queue))
        waits, goes_on = kept.state is State.QUEUED, kept.state is State.RUNNING
        found[record.name] = replace(record, waiting=record.waiting + waits, running=record.running + goes_on)


def take_kept(kept: KeptRun, place: KeptPlace, owner: Owner, now: float, lease: float) -> Taken:
    """Give a run to a worker."""
    record = kept_run_record(kept, kept.definition)
    known = {row["key"]: known_from_kept(row) for row in kept.nodes.values()}
    claim = kept.take(owner, now, lease)._replace(definition=kept.definition)
    claimed = Claimed(kept.number, kept.execution, known, begun=kept.begun, generation=kept.generation, turn=kept.turn)
    return Taken(record, claim, claimed, place.submission.target, place.submission.code, cancel=kept.cancel)


def requeue_dead(kept: KeptRun, place: KeptPlace, now: float) -> None:
    """Put a run back whose owner has died, or fail it as what kills them."""
    place.deaths = count_deaths(place.deaths, place.successes, kept.successes)
    place.successes = kept.successes
    kept.requeue()
    if is_poison(place.deaths):
        kept.fail(poison_text(place.deaths), now)
