"""A graph that is written down before it runs."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiodag._core.context import RUN
from aiodag._core.doors import open_door
from aiodag._core.run import Run
from aiodag.workflows.build import Building, build_nodes, draw_workflow, generates
from aiodag.workflows.check import check_workflow
from aiodag.workflows.definition import Definition, capacity_from
from aiodag.workflows.expressions.values import plain_copy
from aiodag.workflows.files.document import document_of, recorded_text
from aiodag.workflows.jobs.building import check_params, note_beginning, workflow_of_jobs
from aiodag.workflows.jobs.drawing import draw_jobs
from aiodag.workflows.machines import Machines
from aiodag.workflows.model import WorkflowTask

if TYPE_CHECKING:
    from functools import partial
    from os import PathLike
    from typing import Unpack

    from aiodag._core.graph import Graph
    from aiodag._core.signatures import ExecutorTypes, Wraps
    from aiodag._core.task import Task
    from aiodag.abc import Host, Observer, Runs
    from aiodag.workflows.build import Values
    from aiodag.workflows.check import Checked
    from aiodag.workflows.model import TriggerRule, Upstream, Value
    from aiodag.workflows.signatures import Function, RunTypes


R = TypeVar("R")
OWN = ("name", "after", "parameters", "group", "generator", "trigger_rule")


class Workflow(Definition):
    """A named graph of tasks, checked as a whole before it runs.

    `tags` are kept with its runs, to find them by. `parameters` are names with lists of values: a task that uses some of
    them becomes one instance for each combination. Tasks that use the same `paired` parameter meet value by value, and names in
    a list there walk together: `paired=["DAY", ["A", "B"]]`. `limit` bounds how many nodes run at once, and `capacity` is what the
    `resources` of tasks are taken from. `on_start`, `on_success` and `on_failure` are the hooks of its runs, as of a `Run`;
    `hosts`, `default_host`, `executors` and `executor` say where they run, as there, also by the forms that files write.

    >>> from aiodag import task
    >>> from aiodag.workflows import Parameter, Workflow
    >>> @task
    ... async def fetch(day):
    ...     return len(day)
    >>> @task
    ... async def total(counts):
    ...     return sum(counts)
    >>> flow = Workflow("etl", parameters={"DAY": ["monday", "friday"]})
    >>> report = flow.add(total, flow.add(fetch, Parameter("DAY")))
    >>> (await flow.run())[report]
    12
    """

    # What is in it

    @overload
    def add(
        self,
        work: "Task[..., R]",
        /,
        *args: Any,
        name: str | None = None,
        after: "Upstream" = (),
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        group: str | None = None,
        generator: bool = False,
        trigger_rule: "TriggerRule" = "all_success",
        **kwargs: Any,
    ) -> WorkflowTask[R]: ...
    @overload
    def add(
        self,
        work: "Function[Coroutine[Any, Any, R]] | partial[Coroutine[Any, Any, R]]",
        /,
        *args: Any,
        name: str | None = None,
        after: "Upstream" = (),
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        group: str | None = None,
        generator: bool = False,
        trigger_rule: "TriggerRule" = "all_success",
        **kwargs: Any,
    ) -> WorkflowTask[R]: ...
    @overload
    def add(
        self,
        work: "Function[R] | partial[R]",
        /,
        *args: Any,
        name: str | None = None,
        after: "Upstream" = (),
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        group: str | None = None,
        generator: bool = False,
        trigger_rule: "TriggerRule" = "all_success",
        **kwargs: Any,
    ) -> WorkflowTask[R]: ...
    def add(self, work: Any, /, *args: Any, **given: Any) -> Any:
        """Add a call of a task, a function or a command, and return what stands for it.

        A task of this workflow among the arguments, at any depth in containers, is an upstream: its value arrives.
        `after` are tasks, names or groups to wait for; names may be those of tasks added later. `name` is that of the task
        unless given. `parameters` are its own, in addition to those of the workflow. `group` is a name that several tasks share.
        What a `generator` prints or returns are more tasks, which run before what comes after it. `trigger_rule` says by
        which outcomes of what it waits for it runs: "all_success", "all_done", "all_failed", "none_failed" (succeeded or
        skipped), and "one_failed" or "one_success", which wait for no others.

        Raises `TypeError` for arguments that do not fit. What else is wrong is told by `check`.
        """
        frame = sys._getframe(1)  # noqa: SLF001 - the one way to know the place of the call
        own = {key: given.pop(key) for key in OWN if key in given}
        return self._put(self._task_of(work), args, given, frame.f_code, frame.f_lasti, **own)

    # What becomes of it

    def check(self, capacity: Any = None) -> None:
        """Look for all that is wrong, also for another `capacity` than its own. Raises `WorkflowError`."""
        self._check(self.capacity if capacity is None else capacity_from(capacity))

    def _check(self, capacity: Any, *, runs: bool = False, machines: Machines | None = None) -> "Checked":
        """Return what a check finds out; `runs` if there is no other capacity to come than this one, nor other hosts."""
        if runs and self.jobs is not None:
            check_params(self.jobs, self.given)
        return check_workflow(self, capacity=capacity, runs=runs, machines=machines)

    def graph(self) -> "Graph":
        """Return the nodes and edges that it will have, all waiting; of generators without what they will add."""
        checked = self._check(None)
        return draw_workflow(checked) if self.jobs is None else draw_jobs(self.jobs, self.given, self.name)

    def document(self) -> dict[str, Any]:
        """Return its JSON form. Python tasks are named there, to look at and compare."""
        return document_of(self) if self.jobs is None else dict(self.jobs.document)

    def but(self, name: str | None = None, *, parameters: Mapping[str, Any] | None = None) -> "Workflow":
        """Return a copy with another name, or other values: of parameters, or of the params of a form of jobs.

        Raises `WorkflowError` for one that nobody declares, and for values that a param cannot take.
        """
        if self.jobs is None:
            return super().but(name, parameters=parameters)
        given: Any = {**self.given, **(parameters or {})}
        if parameters:
            check_params(self.jobs, given)
            given = plain_copy(given)  # as a store has it: moments as texts, which params read
        made = workflow_of_jobs(type(self), self.jobs, given, name or self.name)
        made.entry = self.entry
        if parameters:
            # A run is continued with what it was given, also one of a workflow that no file has.
            made.entry = {**(self.entry or {"file": "", "task": ""}), "parameters": given}
        return made

    async def build(self) -> "Building":
        """Make its nodes in the run that is entered here, and return them; `values()` of them when the run has ended.

        Raises `WorkflowError`, and `RuntimeError` outside a run.
        """
        run = RUN.get()
        if run is None:
            msg = f"workflow {self.name!r} is to be built where no run is entered. Write: async with Run(...) as run:"
            raise RuntimeError(msg)
        found = self._check(run.capacity, runs=True)
        if self.jobs is not None:
            await note_beginning(self.jobs, run)
        return await build_nodes(found, run)

    async def run(
        self,
        store: "str | PathLike[str] | Runs | None" = None,
        id: str | None = None,  # noqa: A002 - the word of the field
        *,
        limit: int | None = None,
        fail_fast: bool = False,
        observers: "Iterable[Observer]" = (),
        middleware: "Sequence[Wraps]" = (),
        capacity: Any = None,
        tags: Mapping[str, str] | None = None,
        opened: "Callable[[Run], object] | None" = None,
        parent: "tuple[str, int] | tuple[()]" = (),
        hosts: "Mapping[str, Any] | None" = None,
        default_host: "str | Host | None" = None,
        executors: "Mapping[str, Any] | None" = None,
        executor: "ExecutorTypes | None" = None,
    ) -> "Values":
        """Run it, and return the values of its tasks. Options are those of a `Run`.

        With a `store` it is recorded, and an `id` that is there already is resumed. `opened(run)` is called when the run
        has begun. `parent` is the id of the run that begins it, in the same store, and the number of the node that does. Raises `WorkflowError` before anything runs, and what leaving a `Run` raises, such as `RunFailed`.
        """
        given = self.capacity if capacity is None else capacity_from(capacity)
        wanted = {"hosts": hosts, "default_host": default_host, "executors": executors, "executor": executor}
        machines = self.machines.changed(wanted)
        found = self._check(given, runs=True, machines=machines)
        run = Run(
            self.name,
            limit=self.limit if limit is None else limit,
            capacity=given,
            fail_fast=fail_fast,
            observers=observers,
            middleware=middleware,
            store=store,
            id=id,
            tags={**self.tags, **(tags or {})},
            **self.hooks,
            **machines.options(self.tasks),
        )
        run.entry, run.parent = self.entry, parent
        if store is not None:
            text = recorded_text(self)
            run.definition = self.kept.get(text, text)
        made: list[Building] = []
        async with run:
            if opened is not None:
                opened(run)
            if self.jobs is not None:
                await note_beginning(self.jobs, run)
            made.append(building := Building(found, run))
            await (building.make() if generates(found) else building.make_ahead())
        await made[0].bring_home()
        return made[0].values()

    async def resume(
        self,
        id: str,  # noqa: A002 - as above
        store: "str | PathLike[str] | Runs",
        **options: "Unpack[RunTypes]",
    ) -> "Values":
        """Run what has not succeeded in a run, or has another definition now; take the rest from its records.

        Options are those of `run`. Raises `UnknownRun`, and what `run` raises.
        """
        place: Runs = open_door("places").store_at(store)  # late: a run without a store loads none
        try:
            await asyncio.to_thread(place.run, id)
            return await self.run(place, id, **options)
        finally:
            if place is not store:
                place.close()
