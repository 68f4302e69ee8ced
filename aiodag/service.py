"""Join the layers: what the command line and the web page speak to, and your own code may.

A service speaks of the runs of one store. It reads records, also of runs that go on in other processes; it starts and
resumes runs in this one.
"""

import asyncio
import platform
import sqlite3
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag._core.run import Run
from aiodag._core.states import State
from aiodag.abc import Observer, Store
from aiodag.entry import Entry, as_task, bind, call, loaded
from aiodag.errors import EntryError, StoreError
from aiodag.stores.codec import decode, decode_error
from aiodag.stores.places import store_at
from aiodag.stores.records import AttemptRecord, EdgeRecord, LogRecord, NodeRecord, RunRecord
from aiodag.stores.rehearsal import Rehearsal

if TYPE_CHECKING:
    from aiodag._core.node import Node

EXTRAS = {"cli": "rich", "draw": "resvg_py", "otel": "opentelemetry"}
Opened = Callable[[Run], object]


class Plan(NamedTuple):
    """What resuming a run would do: the labels of the nodes that would run, and how many would be recalled."""

    run: list[str]
    recalled: int


class Service:
    """The runs of one store: `AIODAG_STORE` or a file in the user's state directory when none is named."""

    def __init__(self, store: Any = None) -> None:
        self.store: Store = store_at(store)

    @property
    def place(self) -> str:
        """The address of the store."""
        return str(self.store)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    # Look

    def runs(self, *, name: str | None = None, state: str | None = None, limit: int | None = None) -> list[RunRecord]:
        """Return the runs, oldest first; with a limit, the newest."""
        found = [
            each
            for each in self.store.runs()
            if (name is None or each.name == name) and (state is None or each.state == state)
        ]
        return found if limit is None else found[max(len(found) - limit, 0) :]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, naming a near miss."""
        return self.store.run(run_id)

    def nodes(self, run_id: str, *, every: bool = False) -> list[NodeRecord]:
        """Return the nodes of a run's last execution, or of every one, in the order of their first calls."""
        self.run(run_id)
        return self.store.nodes(run_id, every=every)

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        self.run(run_id)
        return self.store.edges(run_id)

    def attempts(self, run_id: str) -> list[AttemptRecord]:
        """Return every attempt of every node, those of earlier executions included."""
        last = [
            AttemptRecord(node.number, node.attempt, node.state, node.started_at, node.ended_at, node.error)
            for node in self.nodes(run_id, every=True)
            if node.attempt
        ]
        return sorted(self.store.attempts(run_id) + last, key=lambda each: (each.number, each.attempt))

    def logs(self, run_id: str, node: str | None = None, after: int = 0) -> list[LogRecord]:
        """Return the lines that bodies logged, of all nodes or of one: by its number, its task or its label."""
        lines = self.store.logs(self.run(run_id).id, after)
        if node is None:
            return lines
        numbers = {each.number for each in self.matching(run_id, node)}
        return [line for line in lines if line.number in numbers]

    def matching(self, run_id: str, node: str) -> list[NodeRecord]:
        """Return the nodes that a number, a task or a label stands for. Raises `StoreError` when there is none."""
        nodes = self.nodes(run_id, every=True)
        found = [each for each in nodes if node in {str(each.number), each.name, each.label}]
        if not found:
            names = ", ".join(sorted({each.name for each in nodes})) or "none"
            msg = f"run {run_id!r} has no node {node!r}; its tasks are {names}"
            raise StoreError(msg)
        return found

    def value(self, run_id: str, node: str) -> Any:
        """Return the value of a node that succeeded. Pickled ones are not read: only their task may ask for that."""
        found = self.matching(run_id, node)[0]
        if found.state is not State.SUCCEEDED or found.value is None:
            msg = f"node {found.label!r} of run {run_id!r} has no value: it is {found.state}"
            raise StoreError(msg)
        if found.codec == "json":
            return decode(str(found.value))
        msg = f"the value of {found.label!r} is pickled, and reading it could run anything: resume the run to have it"
        raise StoreError(msg)

    def error(self, run_id: str, node: str | None = None) -> BaseException | None:
        """Return why a run or a node failed, as an exception of the type that was raised where that can be rebuilt."""
        if node is None:
            text = self.run(run_id).error
            return decode_error(text) if text else None
        found = self.matching(run_id, node)[0]
        return decode_error(found.error) if found.state is State.FAILED and found.error else None

    def graph(self, run_id: str) -> Graph:
        """Return the graph of a run as its records have it, in seconds since its last execution began."""
        record = self.run(run_id)
        origin = record.started_at.timestamp()
        nodes = self.nodes(run_id)
        there = {node.number for node in nodes}
        edges = [
            GraphEdge(each.up, each.down, "exogenous" if each.exogenous else "endogenous", each.tolerant)
            for each in self.store.edges(run_id)
            if each.up in there and each.down in there
        ]
        earlier: dict[int, list[AttemptRecord]] = {}
        for each in self.store.attempts(run_id):
            if each.started_at is not None and each.started_at >= record.started_at:
                earlier.setdefault(each.number, []).append(each)
        made = [shown(node, origin, there, earlier.get(node.number, [])) for node in nodes]
        last = max([at for node in made for _, at in node.moves], default=0.0)
        now = last if record.owner is None or record.owner.gone() else time.time() - origin
        return Graph(record.name, made, edges, now=max(now, last))

    # Change

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        return self.store.cancel(run_id)

    def delete(self, *run_ids: str) -> int:
        """Delete runs and all that belongs to them, in one transaction.

        Raises `UnknownRun`, and `StoreError` for a run that goes on, before it deletes any.
        """
        for run_id in run_ids:
            owner = self.run(run_id).owner
            if owner is not None and not owner.gone():
                msg = f"run {run_id!r} goes on in {owner}: cancel it first, with `aiodag cancel {run_id}`"
                raise StoreError(msg)
        return self.store.delete(run_ids)

    def prune(self, *, older: float | None = None, keep: int | None = None) -> list[str]:
        """Delete ended runs: those that ended more than `older` seconds ago, of each name all but the newest `keep`."""
        if older is None and keep is None:
            msg = "say which runs may go: older=seconds, keep=count, or both"
            raise ValueError(msg)
        gone: list[str] = []
        newer: dict[str, int] = {}
        for record in reversed(self.store.runs()):
            newer[record.name] = newer.get(record.name, 0) + 1
            if record.ended_at is None or (keep is not None and newer[record.name] <= keep):
                continue
            if older is None or time.time() - record.ended_at.timestamp() > older:
                gone.append(record.id)
        self.store.delete(gone)
        return gone

    # Run

    async def start(
        self,
        entry: Entry,
        *,
        run_id: str | None = None,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: Opened | None = None,
    ) -> Any:
        """Run an entry in a run of its own and return its value.

        `opened(run)` is called when this process owns the run. Raises `EntryError`, `RunFailed`, `RunCancelled` and
        `StoreError`.
        """
        found = loaded(entry)
        bind(entry, found)
        if run_id is not None:
            self.check(entry, run_id)
        name = as_task(found).name
        run = Run(name, store=self.store, id=run_id, observers=observers, limit=limit, fail_fast=fail_fast)
        run.entry = entry._asdict()
        made: list[Node[Any]] = []
        async with run:
            if opened is not None:
                opened(run)
            made.append(call(entry, found))
        return made[0].result()

    def check(self, entry: Entry, run_id: str) -> None:
        """Refuse to go on with a run that began otherwise: its records would be taken for those of another."""
        for record in self.store.runs(run_id):
            began = Entry(**record.entry) if record.entry is not None else entry
            if began != entry:
                msg = f"run {run_id!r} began with {told(began)}, not with {told(entry)}: use another id, or resume it"
                raise EntryError(msg)

    async def resume(
        self,
        run_id: str,
        *,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: Opened | None = None,
    ) -> Any:
        """Run the entry of a recorded run again: what has succeeded is recalled, the rest runs."""
        entry = await asyncio.to_thread(self.entry, run_id)
        return await self.start(
            entry, run_id=run_id, observers=observers, limit=limit, fail_fast=fail_fast, opened=opened
        )

    def entry(self, run_id: str) -> Entry:
        """Return what a run began with. Raises `EntryError` for a run that a program of its own made."""
        record = self.run(run_id)
        if record.entry is None:
            msg = f"run {run_id!r} was made by a program: run that again, with Run({record.name!r}, id={run_id!r}, ...)"
            raise EntryError(msg)
        return Entry(**record.entry)

    async def plan(self, run_id: str) -> Plan:
        """Return what resuming a run would run, in the order of the calls, as far as recorded values tell.

        The entry itself runs, since it makes the graph; nothing that it calls does, and nothing is written.
        """
        entry = await asyncio.to_thread(self.entry, run_id)
        found = loaded(entry)
        run = Run(as_task(found).name, id=run_id, grace=1.0)
        run.entry = entry._asdict()
        await run.__aenter__()
        rehearsal = Rehearsal(run, self.store)
        await rehearsal.open()
        run.journal = rehearsal
        try:
            rehearsal.entry = node = call(entry, found)
            await rehearsal.quiet()
            graph = run.graph()
        finally:
            run.stop()
            await run.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
        others = [each for each in graph.nodes if each.id != node.number]
        again = [each.label for each in others if not each.state.final]
        return Plan(again, sum(each.state is State.SUCCEEDED for each in others))

    def about(self) -> dict[str, str]:
        """Return what there is: versions, where the store is, which extras are installed."""
        try:
            own = version("aiodag")
        except PackageNotFoundError:
            own = "not installed"
        return {
            "aiodag": own,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "store": self.place,
            **{f"extra {extra}": "installed" if find_spec(module) else "missing" for extra, module in EXTRAS.items()},
        }


def told(entry: Entry) -> str:
    """Say what a run begins with."""
    parameters = "".join(f" {name}={value}" for name, value in entry.parameters.items())
    return f"{entry.file}:{entry.task}{parameters}"


def shown(node: NodeRecord, origin: float, there: set[int], earlier: list[AttemptRecord]) -> GraphNode:
    """Return a recorded node as a graph shows it, with the earlier attempts of the same execution."""
    moves = [(State.WAITING, node.created_at)]
    if node.recalled:  # it ran in an earlier execution, and took no time in this one
        moves += [(State.QUEUED, node.created_at), (node.state, node.created_at)]
    else:
        for each in earlier:
            moves += [
                (State.RUNNING, each.started_at or node.created_at),
                (State.QUEUED, each.ended_at or node.created_at),
            ]
        if node.started_at is not None:
            moves.append((State.RUNNING, node.started_at))
        if node.state is not moves[-1][0]:
            moves.append((node.state, node.ended_at or moves[-1][1]))
    error = decode_error(node.error) if node.state is State.FAILED and node.error else None
    return GraphNode(
        id=node.number,
        name=node.name,
        label=node.label,
        state=node.state,
        attempts=node.attempt,
        moves=tuple((state, max(at.timestamp() - origin, 0.0)) for state, at in moves),
        site=node.site,
        error="" if error is None else f"{type(error).__name__}: {error}",
        parent=node.parent if node.parent in there else None,
    )
