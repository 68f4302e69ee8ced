"""A graph that is written down before it runs."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from importlib import import_module
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiodag._core.capacity import Capacity
from aiodag._core.context import RUN
from aiodag._core.hooks import hooks_of
from aiodag._core.options import flag, name_of
from aiodag._core.rules import USUAL
from aiodag._core.run import Run
from aiodag._core.search import close_coroutines, leaves
from aiodag._core.task import Task, make
from aiodag.errors import Complaint, OptionError, WorkflowError
from aiodag.workflows.build import Building, built, drawn
from aiodag.workflows.check import checked
from aiodag.workflows.model import (
    NO_PARAMETERS,
    Parameter,
    WorkflowTask,
    as_it_is,
    copies,
    each_of,
    fitting,
    needs_loop,
    no_command,
    replaced,
    rule_of,
    stand_ins,
)
from aiodag.workflows.paired import pairing_of
from aiodag.workflows.private import stored_text

if TYPE_CHECKING:
    from functools import partial
    from os import PathLike
    from typing import Unpack

    from aiodag._core.graph import Graph
    from aiodag._core.hooks import HookTypes
    from aiodag.abc import Observer, Store
    from aiodag.workflows.build import Values
    from aiodag.workflows.check import Checked
    from aiodag.workflows.model import TriggerRule, Upstream, Value
    from aiodag.workflows.signatures import Function, RunTypes


R = TypeVar("R")


class Workflow:
    """A named graph of tasks, checked as a whole before it runs.

    `tags` are kept with its runs, to find them by. `parameters` are names with lists of values: a task that uses some of
    them is there once for each combination. Tasks that use the same `paired` parameter meet value by value, and names in
    a list there walk together: `paired=["DAY", ["A", "B"]]`. `limit` bounds how many nodes run at once, and `capacity` is what the
    `resources` of tasks are taken from. `on_start`, `on_success` and `on_failure` are the hooks of its runs, as of a `Run`.

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

    def __init__(
        self,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        limit: int | None = None,
        capacity: Any = None,
        paired: "Iterable[str | Iterable[str]]" = (),
        on_start: "HookTypes" = None,
        on_success: "HookTypes" = None,
        on_failure: "HookTypes" = None,
    ) -> None:
        given: Any = name
        if not isinstance(given, str) or not name:
            raise OptionError("name", given, "a string with at least one character")
        self.name = name
        self.tags = dict(tags or {})
        self.parameters = dict(parameters or {})
        self.given: Mapping[str, Any] = {}  # values that were asked for in place of those that are declared
        self.limit = limit
        self.capacity = capacity_from(capacity)
        self.hook_forms: Mapping[str, Any] = {}  # as a file writes them
        self.hooks: Mapping[str, Any] = hooks_of(on_start=on_start, on_success=on_success, on_failure=on_failure)
        self.description: str | None = None  # for people, and of no effect
        self.paired = pairing_of(paired)
        self.literals: Mapping[str, str] = {}  # names of parameters by the texts that a generator writes for them
        self.entry: Mapping[str, Any] | None = None  # how to load it again, for its runs: a file
        self.tasks: list[WorkflowTask[Any]] = []
        self._by_name: dict[str, WorkflowTask[Any]] = {}
        self._made: dict[Any, Task[..., Any]] = {}

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
        `after` are tasks, names or groups to wait for; names may be of what is added later. `name` is that of the task
        unless given. `parameters` are its own, beside those of the workflow. `group` is a name that several tasks share.
        What a `generator` prints or returns are more tasks, which run before what comes after it. `trigger_rule` says by
        which outcomes of what it waits for it runs: "all_success", "all_done", "all_failed", "none_failed" (succeeded or
        skipped), and "one_failed" or "one_success", which wait for no others.

        Raises `TypeError` for arguments that do not fit. What else is wrong is told by `check`.
        """
        frame = sys._getframe(1)  # noqa: SLF001 - the one way to know the place of the call
        own = {key: given.pop(key) for key in OWN if key in given}
        return self._put(self._task_of(work), args, given, frame.f_code, frame.f_lasti, **own)

    def put(
        self, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, place: str, **options: Any
    ) -> WorkflowTask[Any]:
        """Add a call as `add` does, for who reads workflows from a file: with any keywords, and a place in that file."""
        return self._put(self._task_of(work), args, kwargs, place, 0, **options)

    def _put(
        self,
        task: "Task[..., Any]",
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        code: CodeType | str,
        instruction: int,
        *,
        name: str | None = None,
        after: "Upstream" = (),
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        group: str | None = None,
        generator: bool = False,
        trigger_rule: str = USUAL,
    ) -> WorkflowTask[Any]:
        if kwargs or not task.fewest <= len(args) <= task.most:
            fitting(task, args, kwargs)
        made: WorkflowTask[Any] = WorkflowTask.__new__(WorkflowTask)
        made.workflow, made.task, made.index = self, task, len(self.tasks)
        made.code, made.instruction, made.written, made.description = code, instruction, None, None
        made.name = task.name if name is None else name_of(name) or ""
        made.args, made.kwargs, made.passed, made.used = self._arguments(task, args, kwargs)
        made.waits_for = self.own(each_of(after)) if after else ()
        made.parameters = NO_PARAMETERS if parameters is None else dict(parameters)
        made.group = name_of(group)
        made.generator = flag("generator", generator)
        made.rule = rule_of(trigger_rule)
        self.tasks.append(made)
        self._by_name.setdefault(made.name, made)
        return made

    def _arguments(self, task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Return arguments, and what is in them: tasks, and names of parameters."""
        if not args and not kwargs:
            return args, NO_KEYWORDS, (), ()
        if any(map(needs_loop, leaves((args, kwargs)))):
            close_coroutines(args, kwargs)
            msg = f"{task.name} got an awaitable, which belongs to a loop that runs now. Pass what add() returned"
            raise TypeError(msg)
        found = stand_ins(args, kwargs)
        if not found:
            return args, kwargs or NO_KEYWORDS, (), ()
        passed = [each for each in found if type(each) is WorkflowTask]
        self.own(passed)
        used = [each.name for each in found if type(each) is Parameter]
        # Containers are looked at once, here: changing one later changes nothing.
        args = tuple([replaced(value, as_it_is) for value in args])
        kwargs = {key: replaced(value, as_it_is) for key, value in kwargs.items()}
        return args, kwargs, tuple(dict.fromkeys(passed)), tuple(dict.fromkeys(used))

    def _task_of(self, work: Any) -> "Task[..., Any]":
        """Return the task of what is to be called, one for a function however often it is added."""
        if isinstance(work, Task):
            task: Task[..., Any] = work
            if task.after_deps:
                msg = f"{task.name} waits for {task.after_deps[0]!r}, which belongs to a loop. Say after= in add()"
                raise TypeError(msg)
            return task
        if isinstance(work, str | list | tuple):
            raise TypeError(no_command(work))
        try:
            known = self._made.get(work)
        except TypeError:  # an object without a hash
            return make(work, (), {})
        if known is None:
            known = self._made[work] = make(work, (), {})
        return known

    def own(self, upstream: Iterable[Any]) -> list[Any]:
        """Return tasks and names as they are. Raises for a task of another workflow, and for what is neither."""
        given = list(upstream)
        for each in given:
            if type(each) is WorkflowTask:
                if each.workflow is not self:
                    msg = (
                        f"{each.name!r} is a task of another workflow, {each.workflow.name!r}, and not of {self.name!r}"
                    )
                    raise ValueError(msg)
            elif not isinstance(each, str):
                msg = f"workflow {self.name!r} got {each!r} to wait for. Pass what add() returned, or a name"
                raise TypeError(msg)
        return given

    # What becomes of it

    def check(self, capacity: Any = None) -> None:
        """Look for all that is wrong, also for another `capacity` than its own. Raises `WorkflowError`."""
        self._checked(self.capacity if capacity is None else capacity_from(capacity))

    def _checked(self, capacity: Any, *, runs: bool = False) -> "Checked":
        """Return what a check finds out; `runs` if there is no other capacity to come than this one."""
        return checked(self, capacity=capacity, runs=runs)

    def graph(self) -> "Graph":
        """Return the nodes and edges that it will have, all waiting; of generators without what they will add."""
        return drawn(self._checked(None))

    def document(self) -> dict[str, Any]:
        """Return its JSON form. Python tasks are named there, to look at and compare."""
        document: dict[str, Any] = import_module("aiodag.workflows.files.document").document_of(self)
        return document

    def but(self, name: str | None = None, *, parameters: "Mapping[str, Iterable[Value]] | None" = None) -> "Workflow":
        """Return a copy with another name, or other values of parameters that it or one of its tasks declares.

        Raises `WorkflowError` for a parameter that nobody declares.
        """
        made = Workflow(name or self.name, tags=self.tags, parameters=self.parameters, limit=self.limit)
        made.hooks, made.hook_forms, made.paired = self.hooks, self.hook_forms, self.paired
        made.capacity, made.entry, made.given = self.capacity, self.entry, {**self.given, **(parameters or {})}
        made.description, made.literals = self.description, self.literals
        made.tasks = copies(self.tasks, made)
        made._by_name = {task.name: made.tasks[task.index] for task in self._by_name.values()}
        known = {*self.parameters, *(each for task in self.tasks for each in task.parameters)}
        unknown = [each for each in parameters or {} if each not in known]
        if unknown:
            listed = ", ".join(map(repr, sorted(known))) or "none"
            raise WorkflowError(
                [Complaint("", f"there is no parameter {each!r}; declared are {listed}") for each in unknown]
            )
        made.parameters = {**self.parameters, **{key: made.given[key] for key in self.parameters if key in made.given}}
        return made

    async def build(self) -> "Building":
        """Make its nodes in the run that is entered here, and return them; `values()` of them when the run has ended.

        Raises `WorkflowError`, and `RuntimeError` outside a run.
        """
        run = RUN.get()
        if run is None:
            msg = f"workflow {self.name!r} is to be built where no run is entered. Write: async with Run(...) as run:"
            raise RuntimeError(msg)
        return await built(self._checked(run.capacity, runs=True), run)

    async def run(
        self,
        store: "str | PathLike[str] | Store | None" = None,
        id: str | None = None,  # noqa: A002 - the word of the field
        *,
        limit: int | None = None,
        fail_fast: bool = False,
        observers: "Iterable[Observer]" = (),
        capacity: Any = None,
        tags: Mapping[str, str] | None = None,
        opened: "Callable[[Run], object] | None" = None,
    ) -> "Values":
        """Run it, and return the values of its tasks. Options are those of a `Run`.

        With a `store` it is recorded, and an `id` that is there already is resumed. `opened(run)` is called when the run
        has begun. Raises `WorkflowError` before anything runs, and what leaving a `Run` raises, such as `RunFailed`.
        """
        given = self.capacity if capacity is None else capacity_from(capacity)
        found = self._checked(given, runs=True)
        run = Run(
            self.name,
            limit=self.limit if limit is None else limit,
            capacity=given,
            fail_fast=fail_fast,
            observers=observers,
            store=store,
            id=id,
            tags={**self.tags, **(tags or {})},
            **self.hooks,
        )
        run.entry = self.entry
        if store is not None:
            run.definition = stored_text(self.document())
        made: list[Building] = []
        async with run:
            if opened is not None:
                opened(run)
            made.append(await built(found, run))
        return made[0].values()

    async def resume(
        self,
        id: str,  # noqa: A002 - as above
        store: "str | PathLike[str] | Store",
        **options: "Unpack[RunTypes]",
    ) -> "Values":
        """Run what has not succeeded in a run, or has another definition now; take the rest from its records.

        Options are those of `run`. Raises `UnknownRun`, and what `run` raises.
        """
        # By name: layers never import each other.
        place: Store = import_module("aiodag.stores.places").store_at(store)
        try:
            await asyncio.to_thread(place.run, id)
            return await self.run(place, id, **options)
        finally:
            if place is not store:
                place.close()

    def __getitem__(self, name: str) -> WorkflowTask[Any]:
        """Return a task by its name. Raises `KeyError`."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[WorkflowTask[Any]]:
        """Go through the tasks as they were added."""
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        """Be true, also without tasks."""
        return True

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self.tasks)} task{'s' * (len(self.tasks) != 1)}>"


def capacity_from(given: Any) -> Capacity | None:
    """Return a capacity, also one that is told by its amounts."""
    return given if given is None or isinstance(given, Capacity) else Capacity(given)


NO_KEYWORDS: dict[str, Any] = {}  # one for all: a million empty ones would take 64 MB
OWN = ("name", "after", "parameters", "group", "generator", "trigger_rule")
