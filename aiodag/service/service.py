"""Join the layers: what the command line speaks to, and your own code may."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from aiodag._core.graph import Graph
from aiodag._core.options import name_of
from aiodag.abc import Observer, Runs
from aiodag.codec.text import decode, decode_error
from aiodag.commands.finished import Finished
from aiodag.errors import EntryError, StoreError
from aiodag.installed import extras, versions
from aiodag.records import (
    BARRIER,
    AttemptRecord,
    EdgeRecord,
    LogRecord,
    NodeRecord,
    OutputRecord,
    RunFilter,
    RunRecord,
    WorkflowRecord,
)
from aiodag.service import exchange, registry, starting, targets
from aiodag.service.entry import Entry, told
from aiodag.service.recorded import among, cut_off, graph_of, run_again
from aiodag.service.registry import Change
from aiodag.service.starting import Opened, Options, Resumption
from aiodag.service.targets import Again, Target
from aiodag.states import State
from aiodag.stores.places import store_at
from aiodag.workflows.private import stored

OF_OURS = (Finished,)  # classes that recorded values are of: they are read where they are loaded


class Service:
    r"""The runs of one store: `AIODAG_STORE` or a file in the user's state directory when none is named.

    Raises `StoreError` for a store that cannot be used.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> service = Service("sqlite:///runs.db")
    >>> values = await service.start(service.target("hello.json"), run_id="monday")
    >>> [(run.id, run.state.value) for run in service.runs()]
    [('monday', 'succeeded')]
    >>> service.value("monday", "greet").stdout
    'hello\n'
    >>> service.close()
    """

    def __init__(self, store: Any = None) -> None:
        self.store: Runs = store_at(store)

    @property
    def place(self) -> str:
        """The address of the store."""
        return str(self.store)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    # Look

    def runs(
        self,
        *,
        name: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        tags: Mapping[str, str] | None = None,
        since: float | None = None,
        before: str | None = None,
    ) -> list[RunRecord]:
        """Return the runs, oldest first; with a limit, the newest.

        All `tags` must be there; `since` takes what began no longer ago than so many seconds. `before` takes those that were
        made before the run of that id: with a limit, the next page. Raises `UnknownRun` if there is none.
        """
        after = None if since is None else time.time() - since
        return self.store.runs(wanted=RunFilter(name, state, tags or {}, after), limit=limit, before=before)

    def newest(self, which: str, limit: int | None = None) -> list[RunRecord]:
        """Return the run of an id, or the newest runs of exactly a name, newest first. Raises `UnknownRun`.

        A registered workflow that has not run yet has none.
        """
        return registry.meant(self.store, which, limit).runs[::-1]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, naming a near miss."""
        return self.store.run(run_id)

    def nodes(self, run_id: str, *, every: bool = False) -> list[NodeRecord]:
        """Return the nodes of a run's last execution, or of every one, in the order of their first calls.

        Without barriers, which only join edges.
        """
        self.run(run_id)
        return [node for node in self.store.nodes(run_id, every=every) if node.codec != BARRIER]

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        self.run(run_id)
        return self.store.edges(run_id)

    def attempts(self, run_id: str) -> list[AttemptRecord]:
        """Return every attempt of every node, those of earlier executions included, with what its body told of it."""
        run = self.run(run_id)
        return cut_off(self.store.attempts(run_id, every=True), run, self.store.nodes(run_id))

    def logs(self, run_id: str, node: str | None = None, after: int = 0) -> list[LogRecord]:
        """Return the lines that bodies logged, of all nodes or of one: by its number, its task or its label."""
        lines = self.store.logs(self.run(run_id).id, after)
        if node is None:
            return lines
        numbers = {each.number for each in self.matching(run_id, node)}
        return [line for line in lines if line.number in numbers]

    def output(
        self, run_id: str, node: str | int | None = None, attempt: int | None = None, after: int = 0
    ) -> list[OutputRecord]:
        """Return the parts of what commands wrote, in order: of all nodes or of one, of all its attempts or of one.

        `after` is the `part` of the last one that was seen. A number that is not a string is taken for one of the run.
        """
        if isinstance(node, int):
            return self.store.output(run_id, node, attempt, after)
        run_id = self.run(run_id).id
        if node is None:
            return self.store.output(run_id, None, attempt, after)
        numbers = {each.number for each in self.matching(run_id, node)}
        return [each for each in self.store.output(run_id, None, attempt, after) if each.number in numbers]

    def matching(self, run_id: str, node: str) -> list[NodeRecord]:
        """Return the nodes that a number, a task or a label stands for. Raises `StoreError` when there is none.

        The name of a task of a workflow that has parameters stands for all nodes that were made of it.
        """
        nodes = self.nodes(run_id, every=True)
        found = among(nodes, node)
        if not found:
            names = ", ".join(sorted({each.name for each in nodes})) or "none"
            msg = f"run {run_id!r} has no node {node!r}; its tasks are {names}"
            raise StoreError(msg)
        return found

    def _one(self, run_id: str, node: str) -> NodeRecord:
        """Return one node, of the last execution if that had it: an edited task has others of its name."""
        return (among(self.nodes(run_id), node) or self.matching(run_id, node))[0]

    def definitions(self, run_id: str) -> list[tuple[int, str]]:
        """Return the texts that a run was built from, oldest first, each with the first execution that had it."""
        return self.store.definitions(self.run(run_id).id)

    def changes(self, run_id: str) -> list[Change]:
        """Return what each definition of a run has changed, by the names of tasks."""
        return registry.changes(self.definitions(run_id))

    def value(self, run_id: str, node: str) -> Any:
        """Return the value of a node that succeeded. Pickled ones are not read: only their task may ask for that."""
        found = self._one(run_id, node)
        if found.state is not State.SUCCEEDED or found.value is None:
            why = f"has no value: its state is {found.state}"
            if found.state is State.SUCCEEDED:
                why = "succeeded, but its value is not recorded: it runs again in each execution"
            msg = f"node {found.label!r} of run {run_id!r} {why}"
            raise StoreError(msg)
        if found.codec == "json":
            return decode(str(found.value))
        how = "is pickled, and reading it could run anything"
        if found.codec != "pickle":
            how = f"is in the codec {found.codec!r}, which only its task knows"
        msg = f"the value of {found.label!r} {how}: resume the run to have it"
        raise StoreError(msg)

    def error(self, run_id: str, node: str | None = None) -> BaseException | None:
        """Return why a run or a node failed, as an exception of the type that was raised where that can be rebuilt."""
        if node is None:
            text = self.run(run_id).error
            return decode_error(text) if text else None
        found = self._one(run_id, node)
        return decode_error(found.error) if found.state is State.FAILED and found.error else None

    def graph(self, run_id: str) -> Graph:
        """Return the graph of a run as its records have it, in seconds since its last execution began."""
        return graph_of(self.store, self.run(run_id))

    # Change

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        return self.store.cancel(run_id)

    def delete(self, *which: str) -> int:
        """Delete runs and all that belongs to them, each in a transaction of its own, and return how many there were.

        An id stands for one run; a name for all runs of exactly that name, and for the workflow that is registered under it.
        Raises `UnknownRun`, and `StoreError` for a run that goes on, before it deletes any.
        """
        return len(self.forget(*which).runs)

    def forget(self, *which: str) -> registry.Meant:
        """Delete what ids and names stand for, as `delete` does, and return it: the runs, and the workflows."""
        return registry.delete(self.store, which)

    def prune(self, *, older: float | None = None, keep: int | None = None) -> list[str]:
        """Delete ended runs: those that ended more than `older` seconds ago, of each name all but the newest `keep`."""
        if older is None and keep is None:
            msg = "say which runs may go: older=seconds, keep=count, or both"
            raise ValueError(msg)
        before = None if older is None else time.time() - older
        return registry.delete_ended(self.store, self.store.ended_runs(before=before, keep=keep))

    def backup(self, path: str | PathLike[str]) -> None:
        """Copy the store to a new file, whole and as of one moment, also while runs go on. Raises `StoreError`."""
        self.store.backup(path)

    # By name

    def target(self, text: str, given: Sequence[str] = (), *, capacity: Mapping[str, float] | None = None) -> Target:
        """Return what people typed to begin with: FILE.py[:NAME], FILE.json or a registered name, and name=value.

        Raises `EntryError` and `WorkflowError`.
        """
        return targets.target_of(self.store, text, given, capacity)

    def find(
        self, text: str, given: Sequence[str] = (), *, capacity: Mapping[str, float] | None = None
    ) -> RunRecord | Target:
        """Return the run of an id, or else what `target` does. Raises `UnknownRun` too."""
        return targets.run_or_target(self.store, text, given, capacity)

    def parameters(self, text: str) -> dict[str, str]:
        """Return the parameters of what people typed to begin with, each with what it takes; nothing runs.

        Raises `EntryError` and `WorkflowError`.
        """
        return targets.parameters_of_target(self.store, text)

    def register(self, text: str, *, name: str | None = None, replace: bool = False) -> WorkflowRecord:
        """Keep the workflow of FILE.json or FILE.py[:NAME] under its name or another; all of it is checked, nothing runs.

        A JSON file is kept as text, so the file may go; of a Python file the place is kept, and each run reads it again.
        Raises `StoreError` if the name is taken, unless it is to be replaced; `EntryError` and `WorkflowError`.
        """
        workflow = targets.to_register(text, name_of(name))
        place = f"{workflow.entry['file']}:{workflow.entry['task']}" if workflow.entry else text
        return registry.register(
            self.store,
            workflow.name,
            place.removesuffix(":"),
            stored(workflow.document()),
            workflow.tags,
            replace=replace,
        )

    def workflows(self, name: str | None = None) -> list[WorkflowRecord]:
        """Return the registered workflows by their names, or the one of a name."""
        return self.store.registered(name)

    def export(self, *names: str) -> list[dict[str, Any]]:
        """Return registered workflows for JSON, those of the names or all. Raises `StoreError`."""
        return exchange.exported(self.store, names)

    def take_in(self, text: str, source: str = "", *, replace: bool = False) -> list[WorkflowRecord]:
        """Register the workflows in a text of `export`, or none. Raises `WorkflowError`; `StoreError` for taken names."""
        return exchange.imported(self.store, text, source, replace=replace)

    def unregister(self, name: str) -> bool:
        """Forget a workflow and keep its runs; return whether there was one."""
        return self.store.unregister(name)

    # Run

    async def start(
        self,
        target: Target,
        *,
        run_id: str | None = None,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: Opened | None = None,
        capacity: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Run an entry, or a workflow, in a run of its own and return its value: of a workflow its `Values`.

        `opened(run)` is called when this process owns the run. `tags` are added to those of a workflow; `capacity` comes in
        place of its own. Raises `EntryError`, `WorkflowError`, `RunFailed`, `RunCancelled` and `StoreError`.
        """
        target = targets.ready(target)
        if run_id is not None:
            self.check(targets.entry_of_target(target), run_id)
        options = Options(run_id, observers, limit, fail_fast, opened, capacity, tags)
        return await starting.begin(self.store, target, options)

    def check(self, entry: Entry | None, run_id: str) -> None:
        """Refuse to go on with a run that began otherwise: its records would be taken for those of another."""
        for record in self.store.runs(run_id):
            began = Entry(**record.entry) if record.entry is not None else entry
            if began != entry and began is not None:
                how = "began with" if record.execution == 1 else "was last run with"  # resuming may have changed it
                msg = f"run {run_id!r} {how} {told(began)}, not with {told(entry)}: use another id, or resume it"
                raise EntryError(msg)

    def again(self, run_id: str, *, source: str | None = None, capacity: Mapping[str, float] | None = None) -> Again:
        """Return what a recorded run goes on with, to pass to `resume` or `plan` in place of its id.

        This reads and imports its file, which is better done before a loop runs: a file may run a loop of its own.
        """
        return targets.again(self.run(run_id), source, capacity)

    async def resume(
        self,
        run_id: str | Again,
        *,
        source: str | None = None,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: Opened | None = None,
        capacity: Mapping[str, float] | None = None,
        again: Sequence[str] = (),
    ) -> Any:
        """Go on with a recorded run: what has succeeded is recalled, the rest runs.

        Where its process died, what had failed before is recalled too. Where it had ended, what ended it runs again. So do
        nodes that `again` names, by number, task or label, also of a run that succeeded: with all that their bodies call,
        and what needs them.

        A workflow of a JSON file goes on as it was recorded, without that file; all else as its Python file has it now.
        `source`, FILE.json or FILE.py[:NAME], is an edited definition, with the parameters that the run began with: what
        it has changed runs again, and what needs that.
        """
        found = await self._again(run_id, source, capacity)
        numbers = await asyncio.to_thread(self._numbers, found.id, again)
        if numbers:
            await asyncio.to_thread(self.store.void, found.id, numbers)
        options = Options(found.id, observers, limit, fail_fast, opened, capacity, found.tags)
        return await starting.begin(self.store, found.target, options)

    async def _again(self, run_id: str | Again, source: str | None, capacity: Mapping[str, float] | None) -> Again:
        if isinstance(run_id, Again):
            return run_id
        return targets.again(await asyncio.to_thread(self.run, run_id), source, capacity)

    def _numbers(self, run_id: str, again: Sequence[str]) -> list[int]:
        """Return the numbers of what is to run again. Raises `StoreError` for a name that no node has."""
        chosen = [each for name in again for each in self.matching(run_id, name)]
        return run_again(self.nodes(run_id, every=True), chosen) if chosen else []

    def entry(self, run_id: str) -> Entry:
        """Return what a run began with, or was resumed from. Raises `EntryError` for one that a program of its own made."""
        return targets.began(self.run(run_id))

    async def plan(
        self,
        run_id: str | Again,
        *,
        source: str | None = None,
        capacity: Mapping[str, float] | None = None,
        again: Sequence[str] = (),
    ) -> Resumption:
        """Return what resuming a run would run, in the order of the calls, as far as recorded values tell.

        The entry itself runs, since it makes the graph; nothing that it calls does, and nothing is written. `source` is an
        edited definition and `again` what is to run again, as for `resume`; `capacity` is what there would be. Raises `WorkflowError` for a workflow that
        asks for resources which there are not.
        """
        found = await self._again(run_id, source, capacity)
        starting.refuse(found.target, capacity)
        numbers = await asyncio.to_thread(self._numbers, found.id, again)
        return await starting.rehearse(self.store, found.id, found.target, numbers)

    def preview(self, target: Target) -> Graph:
        """Return the graph of what could be run, before anything does, as far as it does not depend on values."""
        return starting.preview(target)

    def refuse(self, target: Target, capacity: Mapping[str, float] | None = None) -> None:
        """Refuse a workflow that asks for resources which there are not, as `start` does. Raises `WorkflowError`."""
        starting.refuse(target, capacity)

    def spelled(self, text: str, target: Target) -> str:
        """Return what people typed, with the name of what was taken in a Python file where they gave none."""
        return targets.spelled(text, target)

    def about(self) -> dict[str, str]:
        """Return what there is: versions, where the store is, which extras are installed."""
        return {**versions(), "store": self.place, **extras()}
