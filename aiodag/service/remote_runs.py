"""The store of a server, as far as it is looked at: what is asked of it there is what is asked of a store here.

So all that reads records, and makes graphs, tables, values and errors of them, is the same for both.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiodag.errors import UnknownRun
from aiodag.service.remote_forms import LINES, records_of_lines
from aiodag.service.remote_http import WebLink, api_path
from aiodag.service.remote_listener import RemoteListener
from aiodag.service.remote_looks import LOOKS, MOST_NUMBERS
from aiodag.service.remote_problems import not_ours

if TYPE_CHECKING:
    from aiodag.firings import BackfillRecord, Firing, ScheduleRecord
    from aiodag.mail import MessageRecord, TopicRecord, WaitRecord
    from aiodag.records import (
        AttemptRecord,
        EdgeRecord,
        LastMove,
        LogRecord,
        NodeRecord,
        OutputRecord,
        RunFilter,
        RunRecord,
        WorkflowRecord,
    )
    from aiodag.service.remote_address import WebAddress
    from aiodag.states import State
    from aiodag.submissions import QueueRecord, WorkerRecord

QUEUE_ACTIONS = {"paused": "pause", "open": "resume", "draining": "drain"}


class RemoteRuns:
    """What a server has in its store. The methods are those of stores that read; each asks the server once."""

    def __init__(self, address: "WebAddress", token: str | None) -> None:
        self.link = WebLink(address, token)
        self.closed = False

    def __str__(self) -> str:
        return self.link.place

    @property
    def place(self) -> str:
        """What tells servers apart."""
        return self.link.place

    def close(self) -> None:
        """Close the connections. They are opened again when something is asked."""
        self.closed = True
        self.link.close()

    def listener(self) -> RemoteListener:
        """Return what hears of changes. Raises `StoreError`."""
        return RemoteListener(self.link, api_path("records", "happenings"))

    def _ask(self, what: str, **arguments: Any) -> list[Any]:
        """Return what the server has of something. What is None is not said: that is what it is without."""
        given = {name: each for name, each in arguments.items() if each is not None}
        query = {"ask": json.dumps(given, separators=(",", ":"))} if given else None
        answer = self.link.look(api_path("records", what), query, accept=LINES)
        if answer.kind != LINES:
            raise not_ours(answer, self.place)
        return records_of_lines(LOOKS[what].kind, answer.body.splitlines(), self.place)

    def _ask_of_nodes(self, what: str, numbers: Iterable[int] | None, **arguments: Any) -> list[Any]:
        """Return what the server has of some nodes; of very many, by asking for all of them."""
        wanted = None if numbers is None else list(dict.fromkeys(numbers))
        if wanted is None or len(wanted) <= MOST_NUMBERS:
            return self._ask(what, numbers=wanted, **arguments)
        chosen = frozenset(wanted)
        return [each for each in self._ask(what, **arguments) if each.number in chosen]

    # Runs

    def runs(
        self,
        run_id: str | None = None,
        *,
        wanted: "RunFilter | None" = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> "list[RunRecord]":
        """Return the run of an id, or those that are wanted, oldest first; with a limit, the newest. Raises `UnknownRun`."""
        form = None if wanted is None else {name: each for name, each in wanted._asdict().items() if each}
        if form and wanted is not None and wanted.tags:
            form["tags"] = dict(wanted.tags)
        try:
            return self._ask("runs", run_id=run_id, wanted=form or None, limit=limit, before=before)
        except UnknownRun:
            raise self._unknown(before or "") from None

    def run(self, run_id: str) -> "RunRecord":
        """Return one run. Raises `UnknownRun`."""
        found = self.runs(run_id)
        if not found:
            raise self._unknown(run_id)
        return found[0]

    def head(self, run_id: str) -> "RunRecord":
        """Return one run without the counts of its nodes. Raises `UnknownRun`."""
        try:
            (found,) = self._ask("head", run_id=run_id)
        except UnknownRun:
            raise self._unknown(run_id) from None
        return found  # type: ignore[no-any-return] # as the table of looks says

    def _unknown(self, run_id: str) -> UnknownRun:
        return UnknownRun(run_id, self.near(run_id), str(self))

    def near(self, text: str) -> list[str]:
        """Return some names and ids of runs that a mistyped text may have meant."""
        return self._ask("near", text=text)

    def count_runs(self, name: str) -> int:
        """Return how many runs of a name there are."""
        return int(self._ask("count_runs", name=name)[0])

    # What is in them

    def nodes(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None, state: "State | None" = None
    ) -> "list[NodeRecord]":
        """Return the nodes of the last execution of a run, or of every one: all, those of some numbers, or in a state."""
        return self._ask_of_nodes("nodes", numbers, run_id=run_id, every=every, state=state)

    def nodes_called(self, run_id: str, which: str, *, every: bool = True) -> "list[NodeRecord]":
        """Return the nodes of a number, a task or a label; else those of a task with parameters that has the name."""
        return self._ask("nodes_called", run_id=run_id, which=which, every=every)

    def content(self, run_id: str, number: int) -> bytes:
        """Return the bytes of a value that the server keeps in a place of its own. Raises `ValueGone` and `StoreError`."""
        return bytes(self._ask("content", run_id=run_id, number=number)[0])

    def names_of_nodes(self, run_id: str) -> list[str]:
        """Return the names of the tasks that a run has called."""
        return self._ask("names_of_nodes", run_id=run_id)

    def edges(self, run_id: str) -> "list[EdgeRecord]":
        """Return the edges of a run."""
        return self._ask("edges", run_id=run_id)

    def attempts(
        self, run_id: str, *, every: bool = False, numbers: Iterable[int] | None = None
    ) -> "list[AttemptRecord]":
        """Return the attempts before the last one of each node, or all of them, by node and attempt."""
        return self._ask_of_nodes("attempts", numbers, run_id=run_id, every=every)

    def failures(self, run_id: str, since: float = 0.0) -> "list[AttemptRecord]":
        """Return the attempts of all executions that failed, from a moment on, in the order of their ends."""
        return self._ask("failures", run_id=run_id, since=since)

    def last_moves(self, run_id: str) -> "list[LastMove]":
        """Return where each node of the last execution of a run stands, by number, without its value."""
        return self._ask("last_moves", run_id=run_id)

    def last_parts(self, run_id: str) -> tuple[int, int]:
        """Return the part of the last line that a run has logged, and of the last output; 0 where there is none."""
        ((logged, written),) = self._ask("last_parts", run_id=run_id)
        return logged, written

    def output(
        self,
        run_id: str,
        number: int | None = None,
        attempt: int | None = None,
        after: int = 0,
        *,
        limit: int | None = None,
    ) -> "list[OutputRecord]":
        """Return the parts of what programs wrote, in order: of all nodes or one, of all attempts or one."""
        return self._ask("output", run_id=run_id, number=number, attempt=attempt, after=after, limit=limit)

    def logs(
        self,
        run_id: str,
        after: int = 0,
        *,
        numbers: Iterable[int] | None = None,
        beyond: int = 0,
        limit: int | None = None,
    ) -> "list[LogRecord]":
        """Return the lines that bodies logged, in order, after so many: of all nodes, or of some; beyond a part."""
        found = self._ask_of_nodes("logs", numbers, run_id=run_id, after=after, beyond=beyond, limit=limit)
        return found if limit is None else found[:limit]

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the definitions of a run, oldest first, each with the first execution that was built from it."""
        return self._ask("definitions", run_id=run_id)

    # What else is there

    def registered(self, name: str | None = None) -> "list[WorkflowRecord]":
        """Return the workflows by name, or the one of a name."""
        return self._ask("registered", name=name)

    def queues(self) -> "list[QueueRecord]":
        """Return the queues that were named, or have runs that wait or go on."""
        return self._ask("queues")

    def put_queue(
        self, name: str, *, state: str | None = None, rate: int | None = None, per: float | None = None
    ) -> None:
        """Make a queue, or change what is given of it; a rate of 0 takes the rate away."""
        if state is not None:
            self.link.change("POST", api_path("queues", name, QUEUE_ACTIONS[state]))
        if rate is not None:
            self.link.change("PUT", api_path("queues", name), {"rate": rate or None, "per": per})

    def workers(self) -> "list[WorkerRecord]":
        """Return the workers that are alive."""
        return self._ask("workers")

    def waits(
        self, *, run_id: str | None = None, topic: str | None = None, limit: int | None = None
    ) -> "list[WaitRecord]":
        """Return what runs wait for, oldest first."""
        return self._ask("waits", run_id=run_id, topic=topic, limit=limit)

    def messages(
        self, *, topic: str | None = None, state: str | None = None, limit: int | None = None
    ) -> "list[MessageRecord]":
        """Return the messages that are remembered, oldest first; with a limit, the newest."""
        return self._ask("messages", topic=topic, state=state, limit=limit)

    def topics(self) -> "list[TopicRecord]":
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        return self._ask("topics")

    def clock(self) -> float:
        """Return the moment by the clock that decides what is due, in seconds since the epoch."""
        return float(self._ask("clock")[0])

    def schedules(self, name: str | None = None, *, source: str | None = None) -> "list[ScheduleRecord]":
        """Return the schedules by name, the one of a name, or those of a source."""
        return self._ask("schedules", name=name, source=source)

    def firings(self, schedule: str, *, limit: int | None = None) -> "list[Firing]":
        """Return what became of the moments of a schedule, oldest first; with a limit, the newest."""
        return self._ask("firings", schedule=schedule, limit=limit)

    def backfills(self, schedule: str | None = None, *, number: int | None = None) -> "list[BackfillRecord]":
        """Return the backfills, oldest first: all of them, those of a schedule, or that of a number."""
        return self._ask("backfills", schedule=schedule, number=number)
