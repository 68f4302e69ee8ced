"""What a workflow is: its tasks, what they wait for, its parameters and settings. Nothing here runs or is checked."""

from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any, Self

from aiodag._core.capacity import Capacity
from aiodag._core.hooks import hooks_of
from aiodag._core.options import check_name, flag
from aiodag._core.rules import USUAL
from aiodag._core.search import close_coroutines, leaves
from aiodag._core.task import Task, make
from aiodag.errors import Complaint, OptionError, WorkflowError
from aiodag.workflows.machines import machines_of
from aiodag.workflows.model import (
    NO_PARAMETERS,
    Parameter,
    WorkflowTask,
    as_it_is,
    check_fitting,
    copies,
    each_of,
    needs_loop,
    no_command,
    replace_leaves,
    rule_of,
    stand_ins_among,
)

if TYPE_CHECKING:
    from aiodag._core.hooks import HookTypes
    from aiodag._core.signatures import ExecutorTypes
    from aiodag.abc import Host
    from aiodag.workflows.jobs.model import JobsDefinition
    from aiodag.workflows.model import Group, Upstream, Value


class Definition:
    """A named graph of tasks, as it is written down: in Python, in a file, or by a generator."""

    def __init__(
        self,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        parameters: "Mapping[str, Iterable[Value]] | None" = None,
        limit: int | None = None,
        capacity: object = None,
        paired: "Iterable[str | Iterable[str]]" = (),
        on_start: "HookTypes" = None,
        on_success: "HookTypes" = None,
        on_failure: "HookTypes" = None,
        hosts: "Mapping[str, Any] | None" = None,
        default_host: "str | Host | None" = None,
        executors: "Mapping[str, Any] | None" = None,
        executor: "ExecutorTypes | None" = None,
    ) -> None:
        given: Any = name
        if not isinstance(given, str) or not name:
            raise OptionError("name", given, "a string with at least one character")
        self.name = name
        self.tags = dict(tags or {})
        self.parameters = {} if parameters is None else declared(parameters)
        self.given: Mapping[str, Any] = {}  # values that were asked for in place of those that are declared
        self.limit = limit
        self.capacity = capacity_from(capacity)
        self.hook_forms: Mapping[str, Any] = {}  # as a file writes them
        self.hooks: Mapping[str, Any] = hooks_of(on_start=on_start, on_success=on_success, on_failure=on_failure)
        self.machines = machines_of(hosts, default_host, executors, executor)
        self.jobs: JobsDefinition | None = None  # what a form of jobs says, of which the tasks are made
        self.description: str | None = None  # for people, and of no effect
        self.paired = pairing_of(paired)
        self.literals: Mapping[str, str] = {}  # names of parameters by the texts that a generator writes for them
        self.entry: Mapping[str, Any] | None = None  # how to load it again, for its runs: a file
        self.kept: Mapping[str, str] = {}  # the text that a store has of it, by the one that it would be given today
        self.tasks: list[WorkflowTask[Any]] = []
        self._by_name: dict[str, WorkflowTask[Any]] = {}
        self._made: dict[Any, Task[..., Any]] = {}

    # What is in it

    def put(
        self, work: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, place: str, **options: Any
    ) -> WorkflowTask[Any]:
        """Add a call as `add` does, for readers of workflow files: with any keywords, and a place in that file."""
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
            check_fitting(task, args, kwargs)
        made: WorkflowTask[Any] = WorkflowTask.__new__(WorkflowTask)
        made.workflow, made.task, made.index = self, task, len(self.tasks)
        made.code, made.instruction, made.written, made.description = code, instruction, None, None
        made.name = task.name if name is None else check_name(name) or ""
        made.args, made.kwargs, made.passed, made.used = self._arguments(task, args, kwargs)
        made.waits_for = self.own(each_of(after)) if after else ()
        made.parameters = NO_PARAMETERS if parameters is None else declared(parameters)
        made.group = None if group is None else check_name(group)
        made.generator = generator if generator is False else flag("generator", generator)
        made.rule = None if trigger_rule is USUAL else rule_of(trigger_rule)
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
        found = stand_ins_among(args, kwargs)
        if not found:
            return args, kwargs or NO_KEYWORDS, (), ()
        passed = [each for each in found if type(each) is WorkflowTask]
        self.own(passed)
        used = [each.name for each in found if type(each) is Parameter]
        # Containers are looked at once, here: changing one later changes nothing.
        args = tuple([replace_leaves(value, as_it_is) for value in args])
        kwargs = {key: replace_leaves(value, as_it_is) for key, value in kwargs.items()}
        return args, kwargs, tuple(dict.fromkeys(passed)), tuple(dict.fromkeys(used))

    def _task_of(self, work: object) -> "Task[..., Any]":
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

    def but(self, name: str | None = None, *, parameters: "Mapping[str, Iterable[Value]] | None" = None) -> Self:
        """Return a copy with another name, or other values of parameters that it or one of its tasks declares.

        Raises `WorkflowError` for a parameter that nobody declares.
        """
        made = type(self)(name or self.name, tags=self.tags, parameters=self.parameters, limit=self.limit)
        made.hooks, made.hook_forms, made.paired = self.hooks, self.hook_forms, self.paired
        made.capacity, made.entry, made.given = self.capacity, self.entry, {**self.given, **(parameters or {})}
        made.description, made.literals, made.machines = self.description, self.literals, self.machines
        made.tasks = copies(self.tasks, made)
        own = made._by_name  # noqa: SLF001 - a copy of this
        own.update({task.name: made.tasks[task.index] for task in self._by_name.values()})
        known = {*self.parameters, *(each for task in self.tasks for each in task.parameters)}
        unknown = [each for each in parameters or {} if each not in known]
        if unknown:
            listed = ", ".join(map(repr, sorted(known))) or "none"
            raise WorkflowError(
                [Complaint("", f"there is no parameter {each!r}; declared are {listed}") for each in unknown]
            )
        made.parameters = {**self.parameters, **{key: made.given[key] for key in self.parameters if key in made.given}}
        return made

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


def pairing_of(given: object) -> "tuple[Group, ...]":
    """Return what is paired: from names, and lists of names. Raises `OptionError`."""
    if isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        found = [(each,) if isinstance(each, str) else tuple(each) for each in given if isinstance(each, Iterable)]
        names = [name for group in found for name in group]
        if all(found) and len(found) == len([*given]) and all(isinstance(name, str) for name in names):
            return tuple(found)
    raise OptionError("paired", given, 'names of parameters, and lists of such that walk together: ["DAY", ["A", "B"]]')


def capacity_from(given: Any) -> Capacity | None:
    """Return a capacity, also one that is told by its amounts."""
    return given if given is None or isinstance(given, Capacity) else Capacity(given)


NO_KEYWORDS: dict[str, Any] = {}  # one for all: a million empty ones would take 64 MB


def declared(parameters: object) -> dict[str, Any]:
    """Return parameters as a dict of their own. Raises `OptionError` for what is none; values are checked with the rest."""
    if not isinstance(parameters, Mapping):
        raise OptionError("parameters", parameters, "a dict of names and lists of their values")
    return dict(parameters)
