"""A task of a workflow: what it calls, with which arguments, and after what. Nothing here runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from aiodag._core.containers import shape_of
from aiodag._core.edges import PLAIN, Settled, is_awaitable
from aiodag._core.failure import site_of
from aiodag._core.options import KNOWN
from aiodag._core.rules import NAMES, RULES, USUAL, Rule
from aiodag._core.search import leaves
from aiodag.errors import CycleError, OptionError
from aiodag.secret import Secret

if TYPE_CHECKING:
    from aiodag._core.task import Task

R = TypeVar("R")
Upstream: TypeAlias = "WorkflowTask[Any] | str | Iterable[WorkflowTask[Any] | str]"
Value: TypeAlias = str | int | float | bool
Group: TypeAlias = tuple[str, ...]  # names of parameters that walk together: one or several
TriggerRule: TypeAlias = Literal["all_success", "all_done", "all_failed", "one_failed", "one_success", "none_failed"]
SILENT: frozenset[Any] = PLAIN - {str}  # types of leaves that stand for nothing
NO_PARAMETERS: Mapping[str, Any] = {}
AFTER = frozenset({"parents", "upstream", "depends_on", "dependencies", "needs"})  # what others call it


class TaskHome(Protocol):
    """What a task knows of the workflow that it is in."""

    name: str

    def own(self, upstream: Iterable[Any], /) -> list[Any]:
        """Return tasks and names as they are. Raises for a task of another workflow, and for what is neither."""
        ...


class Parameter:
    """Stands, among the arguments of a task, for each value of a parameter in turn.

    >>> from aiodag import task
    >>> from aiodag.workflows import Parameter, Workflow
    >>> flow = Workflow("etl", parameters={"N": [1, 2, 3]})
    >>> square = flow.add(task(pow), Parameter("N"), 2)
    >>> (await flow.run())[square]
    [1, 4, 9]
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Parameter({self.name!r})"


class WorkflowTask(Generic[R]):
    """A task in a workflow, made by `Workflow.add`. Pass it to other tasks for its value, or order them with `>>`.

    `args` and `kwargs` are its arguments, `after` the names of what else it waits for, `parameters` its own
    parameters, `group` the name of several tasks together, and `place` where it was added.

    >>> from aiodag.commands import command
    >>> from aiodag.workflows import Workflow
    >>> flow = Workflow("etl")
    >>> pull = flow.add(command("echo", "rows"), name="pull")
    >>> report = flow.add(command("wc", "-c"), name="report", stdin=pull)
    >>> pull >> flow.add(command("rm", "-f", "rows"), name="clean")
    <WorkflowTask 'clean' at ...>
    """

    __slots__ = (
        "args",
        "code",  # of the caller of `add`, with `instruction`; or the place as a text
        "description",  # for people, and of no effect
        "generator",
        "group",
        "index",  # among the tasks of the workflow
        "instruction",
        "kwargs",
        "name",
        "parameters",
        "passed",  # the tasks among the arguments
        "rule",  # when it runs, if that is not when all that it waits for has succeeded
        "task",
        "used",  # the names of the parameters among the arguments
        "waits_for",  # tasks and names, as given
        "workflow",
        "written",  # how a file calls the function
    )

    workflow: TaskHome
    index: int
    name: str
    task: "Task[..., R]"
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    waits_for: "Sequence[WorkflowTask[Any] | str]"
    parameters: Mapping[str, Any]
    group: str | None
    generator: bool
    code: CodeType | str | None
    instruction: int
    passed: "tuple[WorkflowTask[Any], ...]"
    rule: Rule | None
    used: tuple[str, ...]
    written: str | None
    description: str | None

    @property
    def after(self) -> tuple[str, ...]:
        """The names of the tasks and groups that it waits for, without those whose values it takes."""
        names = [each if isinstance(each, str) else each.name for each in self.waits_for]
        return tuple(dict.fromkeys(names))

    @property
    def trigger_rule(self) -> str:
        """When it runs, such as "all_success" or "one_failed"."""
        return USUAL if self.rule is None else self.rule.name

    @property
    def apart(self) -> bool:
        """Whether it goes on whatever the outcomes are: a barrier before it would settle at the first failure."""
        return self.task.raw or self.rule is not None

    @property
    def place(self) -> str:
        """Where it was added, such as `etl.py:12`."""
        return site_of(self.code, self.instruction)

    def set_upstream(self, *tasks: "WorkflowTask[Any] | str") -> None:
        """Make this task wait for tasks, or for groups by their names."""
        self.waits_for = [*self.waits_for, *self.workflow.own(tasks)]

    def set_downstream(self, *tasks: "WorkflowTask[Any]") -> None:
        """Make tasks wait for this one. Raises `TypeError` for a name, which may be that of a group or of a task added later."""
        for each in tasks:
            (task,) = self.workflow.own((each,))
            if isinstance(task, str):
                msg = (
                    f"{task!r} is to wait for {self.name!r}, and a name cannot wait. Pass what add() returned: "
                    f"flow[{task!r}] if it is there already, or say after={self.name!r} when you add it"
                )
                raise TypeError(msg)
            task.set_upstream(self)

    # The operators return the other side, so that a >> b >> c is a chain. A list has no such operators: between two lists
    # there must be a task, or a group.

    def __rshift__(self, other: object) -> Any:
        """Have a task, or a list of them, wait for this one."""
        self.set_downstream(*each_of(other))
        return other

    def __rrshift__(self, other: object) -> "WorkflowTask[R]":
        """Wait for a list of tasks."""
        self.set_upstream(*each_of(other))
        return self

    def __lshift__(self, other: object) -> Any:
        """Wait for a task, or for a list of them."""
        self.set_upstream(*each_of(other))
        return other

    def __rlshift__(self, other: object) -> "WorkflowTask[R]":
        """Have a list of tasks wait for this one."""
        self.set_downstream(*each_of(other))
        return self

    def __repr__(self) -> str:
        return f"<WorkflowTask {self.name!r} at {self.place}>"


def check_fitting(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that do not fit, and say where those belong that are none. Raises `TypeError`."""
    try:
        task.check(args, kwargs)
    except TypeError as error:
        waits = [f"{key}= is written as after=" for key in kwargs if key in AFTER]
        options = ", ".join(f"{key}={kwargs[key]!r:.100}" for key in kwargs if key in KNOWN)
        hints = waits + [f"options are those of the task: {task.name}.with_options({options})"] * bool(options)
        if not hints:
            raise
        msg = f"{error}. In add(), {'; '.join(hints)}"
        raise TypeError(msg) from None


def rule_of(given: Any) -> Rule | None:
    """Return a rule by its name, None for the usual one. Raises `OptionError`."""
    if given in NAMES:
        return RULES.get(given)
    raise OptionError("trigger_rule", given, f"one of {', '.join(NAMES)}")


def no_command(work: Any) -> str:
    """Return the message for a text or a list, which cannot be called, with what it could be."""
    if isinstance(work, str):
        meant = f"shell({work!r:.100})" + (f" or command({', '.join(map(repr, work.split()))})" if work.split() else "")
    else:
        meant = f"command({', '.join(map(repr, work))})"
    return f"add() takes a task, a function or a command, not {work!r:.100}. Write {meant:.300}"


def copies(tasks: "Sequence[WorkflowTask[Any]]", workflow: TaskHome) -> "list[WorkflowTask[Any]]":
    """Return tasks as those of another workflow, which wait for each other as they do."""
    made: list[WorkflowTask[Any]] = [WorkflowTask.__new__(WorkflowTask) for _ in tasks]

    def there(leaf: object) -> Any:
        return made[leaf.index] if type(leaf) is WorkflowTask else KEEP

    def own(value: object) -> Any:
        if type(value) is WorkflowTask:  # quickly: most stand alone, and there may be a million
            return made[value.index]
        return replace_leaves(value, there) if is_container(value) else value

    for task, new in zip(tasks, made, strict=True):
        for name in WorkflowTask.__slots__:
            setattr(new, name, getattr(task, name))
        new.workflow = workflow
        if task.waits_for:
            new.waits_for = [each if isinstance(each, str) else made[each.index] for each in task.waits_for]
        if task.passed:
            new.passed = tuple([made[each.index] for each in task.passed])
            new.args = tuple([own(value) for value in task.args])
            new.kwargs = {key: own(value) for key, value in task.kwargs.items()} if task.kwargs else task.kwargs
    return made


def each_of(given: object) -> tuple[Any, ...]:
    """Return one task or several as a tuple."""
    return tuple(given) if isinstance(given, list | tuple | set | frozenset) else (given,)


def stand_ins_among(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """Return the tasks and parameters among arguments, at any depth, each as often as it is there."""
    given = (*args, *kwargs.values())
    return [leaf for value in given for leaf in leaves(value, objects=True) if is_stand_in(leaf)]


def is_stand_in(value: object) -> bool:
    """Return True if an argument stands for a value: that of a task, or of a parameter."""
    kind = type(value)
    return kind is WorkflowTask or kind is Parameter


def needs_loop(value: object) -> bool:
    """Return True for what belongs to a loop that runs. A secret does not: it is read when an attempt starts."""
    kind = type(value)
    return kind is Settled or (kind is not Secret and is_awaitable(value))


def is_container(value: object) -> bool:
    """Return True if an argument is looked into."""
    return not is_one_of(type(value), PLAIN) and shape_of(type(value)) is not None


def is_one_of(kind: type, kinds: frozenset[Any]) -> bool:
    """Return True if a type is among some."""
    try:
        return kind in kinds
    except TypeError:  # a class whose metaclass has no hash is none of those
        return False


KEEP: Any = object()  # what `replaced` is told of a leaf that is to stay


def replace_leaves(value: object, stands_for: Callable[[Any], Any]) -> Any:
    """Return an argument with leaves replaced, at any depth: `stands_for(leaf)` gives what comes there, or `KEEP`.

    A container in which nothing is replaced is the same object, any other a new one. Iterative: a container may be deep.
    Raises `CycleError` for one that holds itself.
    """
    done: dict[int, Any] = {}  # by the id of what was there: what comes there, or KEEP
    opened: set[int] = set()
    stack = [value]
    while stack:
        item = stack[-1]
        if id(item) in done:
            stack.pop()
        elif not is_container(item):
            done[id(item)] = KEEP if is_one_of(type(item), SILENT) else stands_for(item)
        elif id(item) not in opened:
            opened.add(id(item))
            stack += [each for each in items_of(item) if id(each) not in done]
        else:
            done[id(item)] = refill_container(item, done)
    new = done[id(value)]
    return value if new is KEEP else new


def as_it_is(leaf: object) -> Any:
    """Have containers copied that hold tasks or parameters."""
    return leaf if is_stand_in(leaf) else KEEP


def items_of(container: object) -> list[Any]:
    """Return what is in a container: of a dict, first the keys and then the values."""
    shape: Any = shape_of(type(container))
    return shape.items(container)  # type: ignore[no-any-return]  # a list


def refill_container(container: object, done: Mapping[int, Any]) -> Any:
    """Return a container with the new items, or `KEEP` if there are none."""
    old = items_of(container)
    if any(id(each) not in done for each in old):
        raise CycleError([f"a {type(container).__name__} with tasks", "itself"])
    if all(done[id(each)] is KEEP for each in old):
        return KEEP
    new = [each if done[id(each)] is KEEP else done[id(each)] for each in old]
    shape: Any = shape_of(type(container))
    return shape.build(shape.copy(container), new)
