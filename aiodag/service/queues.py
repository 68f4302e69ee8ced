"""Submit runs to be worked on elsewhere, wait for what becomes of them, and look after queues.

What submits loads what reads files and workflows; what looks does not.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.limits import above_zero
from aiodag._core.options import check_seconds
from aiodag.errors import NotFound, OptionError, RunCancelled, StoreError, StoreUnreachable
from aiodag.happenings import Happening
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.records import BARRIER, NodeRecord, RunRecord
from aiodag.service.changes import tasks_in
from aiodag.service.edit import Editing
from aiodag.service.look import Looking
from aiodag.states import State
from aiodag.stores.watch import watch_store
from aiodag.submissions import QueueRecord, WorkerRecord
from aiodag.wording import describe_seconds

if TYPE_CHECKING:
    from aiodag.abc import Queue, Runs
    from aiodag.service.entry import Target

LOOK = 1.0  # seconds until who waits for a run looks again, heard of something or not


class Queueing(Editing):
    """What can be submitted to the queues of a store, and who works on it."""

    @property
    def _queue(self) -> "Queue":
        return queue_of_store(self.store)

    def submit(
        self,
        target: "str | Target",
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        at: datetime | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires: float | timedelta | None = None,
        retries: int = 0,
        max_active: int | None = None,
        strict: bool = False,
    ) -> str:
        """Record a run for a worker to take, and return its id. Nothing of it runs here, but its file is imported and checked.

        `target` is FILE.py[:TASK], FILE.json, FILE.yaml[:NAME] or the name of a workflow, and `parameters` are name=value or
        values by name; or it is what `target` returns. Higher priorities begin first, others in the order in which they
        were submitted; none before `at`. A second submission under one `key` returns the id of the first.

        `expires` is after how many seconds, from now or from `at`, it fails if it has not begun; `retries` how often the
        whole run begins again after a failure. `max_active` is how many runs of its name go on at once over all workers:
        the last one given counts, for all of them. With `strict`, the queue must be one that `queues` or a worker knows.

        Raises `EntryError`, `WorkflowError`, `OptionError`, and `StoreError` for a key that is that of something else,
        and for a queue that takes nothing.
        """
        from aiodag.service import submitting

        wishes = submitting.Wishes(queue, priority, at, key, tags, expires, retries, max_active)
        wishes = submitting.checked_wishes(wishes)  # before a file is imported
        submission = submitting.submission_of(submitting.target_to_submit(self.store, target, parameters), wishes)
        if strict:
            self.refuse_unknown_queue(queue)
        return self._queue.submit(submission)

    async def result(self, run_id: str, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - a clear error, which says the state
        """Wait until a run has ended, and return its value: of a task what it returned, of a workflow a dict by task.

        Where the store goes away for a while, it waits for that too. Raises what the run failed with: `RunFailed`,
        `QueueError`, or a `RecordedError` where that cannot be rebuilt; `RunCancelled`; and `TimeoutError` after `timeout`
        seconds, which change nothing about the run.
        """
        seconds = None if timeout is None else check_seconds("timeout", timeout)
        until = None if seconds is None else time.monotonic() + seconds
        with watch_store(self.store) as watch:
            ticket = watch.ticket()
            run = await asyncio.to_thread(self.head, run_id)
            while not is_over(run):
                left = LOOK if until is None else min(LOOK, until - time.monotonic())
                if seconds is not None and left <= 0:
                    msg = f"run {run_id!r} has not ended within {describe_seconds(seconds)}: it is {run.state}"
                    raise TimeoutError(msg)
                await watch.changed(ticket, left, of={Happening.ENDED})
                ticket = watch.ticket()
                with suppress(StoreUnreachable):  # the run waits for its store too
                    run = await asyncio.to_thread(self.head, run_id)
        return await asyncio.to_thread(self._outcome, run)

    def _outcome(self, run: RunRecord) -> Any:
        """Return the value of a run that has ended, or raise why it has none."""
        if run.state is State.SUCCEEDED:
            return value_of_workflow(self, run) if run.definition is not None else value_of_entry(self, run)
        if run.state is State.CANCELLED:
            raise RunCancelled(run.id)
        error = self.error(run.id)
        if error is not None:
            raise error
        msg = f"run {run.id!r} failed, and why is not recorded{run.damaged and f': {run.damaged}'}"
        raise StoreError(msg)

    # Queues

    def queues(self) -> list[QueueRecord]:
        """Return the queues that were added, or have runs that wait or go on."""
        return self._queue.queues()

    def workers(self) -> list[WorkerRecord]:
        """Return the workers that are there: those whose process has not ended, and has renewed its lease."""
        return self._queue.workers()

    def add_queue(self, name: str, *, rate: int | None = None, per: float = 1.0) -> None:
        """Make a queue, or change its rate: at most `rate` of its runs begin in `per` seconds, evenly spaced. None: any number."""
        from aiodag.service import submitting

        if rate is not None and (type(rate) is not int or rate < 1):
            raise OptionError("rate", rate, "an int of 1 or more: the runs that begin in each `per` seconds")
        above_zero("per", per, "seconds")
        self._queue.put_queue(submitting.checked_queue(name), rate=rate or 0, per=float(per))

    def pause_queue(self, name: str) -> None:
        """Have no worker take runs from a queue. What was taken goes on. Raises `StoreError` for a queue that is not known."""
        self._set_queue(name, "paused")

    def resume_queue(self, name: str) -> None:
        """Have a queue take and give runs again. Raises `StoreError` for a queue that is not known."""
        self._set_queue(name, "open")

    def drain_queue(self, name: str) -> None:
        """Refuse what is submitted to a queue from now on; what waits is worked off. Raises `StoreError` for one that is not known."""
        self._set_queue(name, "draining")

    def _set_queue(self, name: str, state: str) -> None:
        self.refuse_unknown_queue(name)
        self._queue.put_queue(name, state=state)

    def refuse_unknown_queue(self, name: str) -> None:
        """Refuse a queue that nobody has added, and no worker serves. Raises `NotFound`, with a near miss."""
        known = {DEFAULT_QUEUE, *(each.name for each in self.queues())}
        known |= {queue for worker in self.workers() for queue in worker.queues}
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            there = ", ".join(sorted(known))
            msg = f"no queue {name!r} in {self.place}, only {there}: {hint}`aiodag queues add {name}` adds one"
            raise NotFound(msg, near=near[0] if near else None)


def queue_of_store(store: "Runs") -> "Queue":
    """Return the queue of a store. Raises `StoreError` for a store that has none."""
    if callable(getattr(store, "take_queued", None)):
        return cast("Queue", store)
    msg = f"{store} has no queue: submit to a store in a file, in PostgreSQL or in memory"
    raise StoreError(msg)


def is_over(run: RunRecord) -> bool:
    """Return True if a run has ended; also for one whose state nobody can read, which never will."""
    return run.ended_at is not None or (bool(run.damaged) and run.state is State.FAILED)


def value_of_entry(service: Looking, run: RunRecord) -> Any:
    """Return what the task of an entry has returned; None for a run that a program made, which has no such task."""
    return service.value(run.id, "0") if run.entry is not None else None


def value_of_workflow(service: Looking, run: RunRecord) -> dict[str, Any]:
    """Return the values of the tasks of a workflow by name; of a task with parameters the list of them, in order."""
    tasks = tasks_in(run.definition or "{}")
    found: dict[str, Any] = {}
    for node in top_nodes(service.store.nodes(run.id)):
        value = service.value(run.id, str(node.number))
        name = node.name.partition("[")[0]
        if node.name in tasks or name not in tasks:
            found[node.name] = value
        else:
            found.setdefault(name, []).append(value)
    return found


def top_nodes(nodes: Iterable[NodeRecord]) -> list[NodeRecord]:
    """Return the nodes that no other node has called, and that have a value."""
    return [
        each
        for each in nodes
        if each.parent is None and each.codec != BARRIER and each.state is State.SUCCEEDED and each.value is not None
    ]
