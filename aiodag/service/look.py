"""Look at the runs of a store: what is recorded of them, as people and programs ask for it."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from aiodag._core.graph import Graph
from aiodag.abc import Runs
from aiodag.errors import NotFound, StoreError
from aiodag.mail import MESSAGE, MOMENT
from aiodag.records import (
    BARRIER,
    REFERENCE,
    AttemptRecord,
    EdgeRecord,
    LogRecord,
    NodeRecord,
    OutputRecord,
    RunFilter,
    RunRecord,
    WaitRecord,
)
from aiodag.service import changes, registry
from aiodag.service.changes import Change
from aiodag.service.recorded import cut_off, recorded_error, recorded_graph
from aiodag.states import State

FEW = 64  # nodes that are asked for one by one
NAMED = 20  # tasks that a message names


class Looking:
    """What is recorded of runs. Each method reads of the store what it returns, and not more."""

    def __init__(self, store: Runs) -> None:
        self.store = store

    @property
    def place(self) -> str:
        """The address of the store."""
        return str(self.store)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def runs(
        self,
        *,
        name: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        since: float | datetime | None = None,
        before: str | None = None,
        queue: str | None = None,
        parent: str | None = None,
        schedule: str | None = None,
        until: datetime | None = None,
        text: str | None = None,
    ) -> list[RunRecord]:
        """Return the runs, oldest first; with a limit, the newest.

        They were submitted to `queue`, were begun by the run `parent` or by `schedule`, have all `tags`, began at most `since`
        seconds ago, or at that moment or later, and were made before `until`. `text` is a part of the id, the name or a tag; it has no index, so where few runs
        have it, all are read. `before` selects those that were made before the run of
        that id: with a limit, the next page. Raises `UnknownRun` if there is no such run.
        """
        began = since.timestamp() if isinstance(since, datetime) else None if since is None else time.time() - since
        made = None if until is None else until.timestamp()
        wanted = RunFilter(name, state, tags or {}, began, queue, parent, schedule, made, text)
        return self.store.runs(wanted=wanted, limit=limit, before=before)

    def newest(self, which: str, limit: int | None = None) -> list[RunRecord]:
        """Return the run of an id, or the newest runs of exactly a name, newest first. Raises `UnknownRun`.

        A registered workflow that has not run yet has none.
        """
        return registry.find_meant(self.store, which, limit).runs[::-1]

    def count_runs(self, name: str) -> int:
        """Return how many runs of exactly a name there are."""
        return self.store.count_runs(name)

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, which suggests what was meant."""
        return self.store.run(run_id)

    def head(self, run_id: str) -> RunRecord:
        """Return one run without the counts of its nodes, which take long to read where they are very many."""
        return self.store.head(run_id)

    def nodes(self, run_id: str, *, every: bool = False, state: State | None = None) -> list[NodeRecord]:
        """Return the nodes of a run's last execution, or of every one, in the order of their first calls.

        All of them, or those in a state; without barriers, which only join edges.
        """
        return without_barriers(self.store.nodes(self.head(run_id).id, every=every, state=state))

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        return self.store.edges(self.head(run_id).id)

    def attempts(self, run_id: str, numbers: Iterable[int] | None = None) -> list[AttemptRecord]:
        """Return every attempt of every node, or of some, those of earlier executions included, with their facts."""
        run = self.head(run_id)
        found = self.store.attempts(run_id, every=True, numbers=numbers)
        running = [each.number for each in found if each.state is State.RUNNING]
        there = self.store.nodes(run_id, numbers=running) if running else ()
        return cut_off(found, run, there, self.waits_of(run) if running else ())

    def waits_of(self, run: RunRecord) -> list[WaitRecord]:
        """Return what a run that has not ended waits for; nothing where its store knows of no messages."""
        waits: Callable[..., list[WaitRecord]] | None = getattr(self.store, "waits", None)
        return [] if waits is None or run.ended_at is not None else waits(run_id=run.id)

    def logs(self, run_id: str, node: str | None = None, after: int = 0) -> list[LogRecord]:
        """Return the lines that bodies logged, for all nodes or for one, given by its number, task or label.

        `after` is how many lines of the run to leave out: those already seen.
        """
        if node is None:
            return self.store.logs(self.head(run_id).id, after)
        numbers = {each.number for each in self.matching(run_id, node)}
        if not after:
            return self.store.logs(run_id, numbers=numbers)
        return [line for line in self.store.logs(run_id, after) if line.number in numbers]

    def output(
        self, run_id: str, node: str | int | None = None, attempt: int | None = None, after: int = 0
    ) -> list[OutputRecord]:
        """Return the parts of what commands wrote, in order: of all nodes or of one, of all its attempts or of one.

        `after` is the `part` of the last one that was seen. A number that is not a string is taken for one of the run.
        """
        if isinstance(node, int):
            return self.store.output(run_id, node, attempt, after)
        if node is None:
            return self.store.output(self.head(run_id).id, None, attempt, after)
        return output_of_nodes(
            self.store, run_id, {each.number for each in self.matching(run_id, node)}, attempt, after
        )

    def matching(self, run_id: str, node: str) -> list[NodeRecord]:
        """Return the nodes that a number, a task or a label stands for. Raises `StoreError` when there is none.

        The name of a workflow task with parameters stands for all nodes that were made from it.
        """
        found = without_barriers(self.store.nodes_called(run_id, node))
        if not found:
            names = sorted(self.store.names_of_nodes(self.head(run_id).id))
            others = f" and {len(names) - NAMED} others" if len(names) > NAMED else ""
            there = ", ".join(names[:NAMED]) or "none"
            msg = f"run {run_id!r} has no node {node!r}; its tasks are {there}{others}"
            raise NotFound(msg)
        return found

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the texts that a run was built from, oldest first, each with the first execution that had it."""
        return self.store.definitions(self.head(run_id).id)

    def changes(self, run_id: str) -> list[Change]:
        """Return what each definition of a run changed, as names of tasks."""
        return changes.definition_changes(self.definitions(run_id))

    def value(self, run_id: str, node: str) -> Any:
        """Return the value of a node that succeeded. Pickled values are not read: only their own task may do that.

        Raises `StoreError` where there is none, and where the name stands for several nodes.
        """
        found = one_node(self, run_id, node)
        if found.state is not State.SUCCEEDED or found.value is None:
            why = f"has no value: its state is {found.state}"
            if found.state is State.SUCCEEDED:
                why = "succeeded, but its value is not recorded: it runs again in each execution"
            msg = f"node {found.label!r} of run {run_id!r} {why}"
            raise StoreError(msg)
        if found.codec in {"json", MOMENT}:
            from aiodag.service.values import read_value  # noqa: PLC0415 - who lists runs needs no codec

            return read_value(str(found.value))
        if found.codec == REFERENCE:
            from aiodag.service.values import read_elsewhere  # noqa: PLC0415 - as above

            return read_elsewhere(found)
        if found.codec == MESSAGE:
            return json.loads(str(found.value))  # without tags: what others have sent makes nothing but plain values
        from aiodag.service.values import unreadable  # noqa: PLC0415 - as above

        raise unreadable(found.label, found.codec)

    def error(self, run_id: str, node: str | None = None) -> BaseException | None:
        """Return why a run or a node failed: the exception that was raised, if it can be rebuilt."""
        if node is None:
            text = self.head(run_id).error
            return recorded_error(text) if text else None
        last = without_barriers(self.store.nodes_called(run_id, node, every=False))
        found = (last or self.matching(run_id, node))[0]
        return recorded_error(found.error) if found.state is State.FAILED and found.error else None

    def graph(self, run_id: str) -> Graph:
        """Return the graph of a run as its records have it, in seconds since its last execution began."""
        run = self.head(run_id)
        return recorded_graph(self.store, run, self.waits_of(run))


def one_node(service: "Looking", run_id: str, node: str) -> NodeRecord:
    """Return one node, of the last execution if that had it: an edited task has others of its name.

    Raises `StoreError` where the last execution had several.
    """
    last = without_barriers(service.store.nodes_called(run_id, node, every=False))
    if len(last) > 1:
        labels = [f"{each.label} #{each.number}" for each in last[:NAMED]]
        others = f" and {len(last) - NAMED} others" if len(last) > NAMED else ""
        msg = f"run {run_id!r} has {len(last)} nodes {node!r}: {', '.join(labels)}{others}. Give the number of one"
        raise StoreError(msg)
    return (last or service.matching(run_id, node))[0]


def without_barriers(nodes: Iterable[NodeRecord]) -> list[NodeRecord]:
    """Return nodes without those that only join edges."""
    return [node for node in nodes if node.codec != BARRIER]


def output_of_nodes(
    store: Runs, run_id: str, numbers: Iterable[int], attempt: int | None = None, after: int = 0
) -> list[OutputRecord]:
    """Return the parts of what some nodes wrote, in order."""
    wanted = set(numbers)
    if len(wanted) > FEW:
        return [each for each in store.output(run_id, None, attempt, after) if each.number in wanted]
    parts = [each for number in wanted for each in store.output(run_id, number, attempt, after)]
    return sorted(parts, key=lambda each: each.part)
