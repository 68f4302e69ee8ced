"""The tasks of a workflow's nodes, each under the name of its node; and barriers, which only join edges."""

from collections.abc import Callable
from copy import copy
from functools import partial
from inspect import isroutine
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from aiodag._core.callables import executor_for
from aiodag._core.edges import settled
from aiodag._core.middleware import compose
from aiodag._core.options import TaskOptions
from aiodag._core.rules import Rule
from aiodag._core.task import Task, task
from aiodag.workflows.generators import Defining
from aiodag.workflows.model import WorkflowTask
from aiodag.workflows.parameters import is_command

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run


class Named(Task[..., Any]):
    """A task under the name of one node, with what that waits for. Everything else is asked of the task, not copied.

    There may be a million: what every call looks at is at hand, the rest is asked of the task.
    """

    def __init__(self, of: Task[..., Any], name: str, after: tuple[Any, ...], rule: Rule | None = None) -> None:
        self.of = of
        self.name = name
        self.after_deps = after if rule is None else tuple(map(settled, after))
        self._special = bool(after) or of._special
        if rule is not None:
            self.rule = rule
            self._special = True
        if of.encloses:
            self.encloses, self.may_fail = True, of.may_fail
        self.fn, self.call, self.options = of.fn, of.call, of.options
        self.fewest, self.most, self._exactly = of.fewest, of.most, of._exactly

    def __getattr__(self, name: str) -> Any:
        if name == "of":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.of, name)

    def accepts(self, value: object) -> bool:
        """Return whether the task that this is a name for accepts a recorded value."""
        return self.of.accepts(value)

    def _but(self, after: tuple[Any, ...], options: TaskOptions) -> Task[..., Any]:
        return self.of._but(after, options)

    def without_resources(self) -> Task[..., Any]:
        """Return this task with `resources={}`, under the same name and with all that makes its node what it is."""
        made = copy(self)
        made.of = self.of.without_resources()
        made.call, made.options = made.of.call, made.of.options
        made._special = True
        return made

    @property
    def _waits(self) -> bool:
        """Whether the body of the last call waited: of any node of the task."""
        return self.of._waits

    @_waits.setter
    def _waits(self, waited: bool) -> None:
        self.of._waits = waited


class Generating(Named):
    """A generator under the name of its node, of which each attempt ends with a definition."""

    def __init__(
        self, of: Task[..., Any], name: str, after: tuple[Any, ...], rule: Rule | None, define: Callable[[Any], Any]
    ) -> None:
        super().__init__(of, name, after, rule)
        self._inner = (Defining(define),)
        self.call = compose_middleware(of, self._inner)

    def without_resources(self) -> Task[..., Any]:
        """Return this generator with `resources={}`."""
        made: Any = super().without_resources()
        made.call = compose_middleware(made.of, self._inner)
        return made  # type: ignore[no-any-return]  # a copy of this


def compose_middleware(of: Task[..., Any], inner: tuple[Defining, ...]) -> Any:
    """Return what runs the body of a task with middleware of its own."""
    return compose(of.options, of.fn, executor_for(of.fn, of.options), inner=inner)


class Barrier(Named):
    """Joins edges, and has no part in counts: it runs in every execution, and is never recorded."""

    barrier = True


class Adding(Task[..., Any]):
    """Adds what a generator has given."""

    barrier = True


@task(name="barrier", journal=False)
async def joined(values: object = None) -> object:
    """Pass on what came together."""
    return values


def in_order(after: "list[Node[Any]]") -> "tuple[Node[Any], ...]":
    """Return nodes by their names, each once: in which order they were declared plays no part in a key."""
    return tuple(sorted(dict.fromkeys(after), key=lambda node: node.name)) if len(after) > 1 else tuple(after)


def known_by_name(given: WorkflowTask[Any], of: Task[..., Any], *, renamed: bool, module: str) -> Task[..., Any]:
    """Return a task that is known by its name in the workflow.

    But what a function is called elsewhere, and its module, play a part, as its version: if you have a name call another
    function has edited the workflow, and so has who makes it a generator, or gives it another trigger rule.
    """
    words = [module] * bool(module) + [of.name] * (renamed and isroutine(of.fn)) + ["generator"] * given.generator
    words += [] if given.rule is None else [given.rule.name]
    options: dict[str, Any] = {}
    if words:
        version = getattr(of, "given_version", of.options.version)  # that of a command has a digest, too
        options["version"] = " ".join([*([] if version in {None, ""} else [str(version)]), *words])
    if of.options.name is None:
        options["name"] = of.name
    if is_command(of):
        return of.with_options(**options) if options else of
    made = of.with_options(**options)
    version = of.options.version
    # Whether its module counts may be otherwise than when something was recorded of it: journals look for both.
    vars(made)["around_module"] = [version] * bool(version), words[bool(module) :]
    return made


def module_of_function(of: Task[..., Any], run: "Run") -> str:
    """Return the module of a function; nothing for that which the run begins in: a program may be renamed."""
    fn = of.fn
    while isinstance(fn, partial):
        fn = fn.func
    module = "" if is_command(of) else getattr(fn, "__module__", None) or ""
    home = "" if run.entry is None else PurePath(str(run.entry["file"])).stem
    return "" if module in {"__main__", home} else module
