"""Give bodies the text of the secrets among their arguments, read when an attempt starts and not before."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiodag._core.arity import shown_signature
from aiodag._core.callables import executor_for
from aiodag._core.edges import Opaque
from aiodag._core.middleware import compose
from aiodag._core.search import Kinds, Search, fill_results, leaves
from aiodag.secret import Secret, Veiled

if TYPE_CHECKING:
    from aiodag._core.task import Task
    from aiodag.abc import Executor


def with_secrets(
    task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with the secrets that its task declares as defaults: `password=Secret("PASSWORD")`."""
    declared: tuple[inspect.Parameter, ...] = getattr(task, "secrets", ())
    if not declared:
        return args, kwargs
    try:
        bound = shown_signature(task.fn).bind(*args, **kwargs)
    except TypeError:  # a decorator supplies arguments that nobody sees here, the secrets perhaps among them
        return args, kwargs
    missing = [each for each in declared if each.name not in bound.arguments]
    if any(each.kind is each.POSITIONAL_ONLY for each in missing):
        bound.apply_defaults()
        return bound.args, bound.kwargs
    return args, {**kwargs, **{each.name: each.default for each in missing}}


def unveiling(task: "Task[..., Any]") -> "Task[..., Any]":
    """Return a task whose attempts begin by reading the secrets among their arguments.

    All else is that of the task. A command reads its own, since it must not show them in its line.
    """
    if getattr(type(task.fn), "reads_secrets", False) or getattr(task, "unveils", False):
        return task
    made: Task[..., Any] = object.__new__(type(task))  # not copy(), which may take a task for its name
    vars(made).update(vars(task), unveils=True)
    executor = Unveiling(executor_for(task.fn, task.options), raw=task.raw)
    made.call = compose(task.options, task.fn, executor, inner=task._inner)
    return made


class Unveiling:
    """Runs attempts where another executor does, or on the loop, with the secrets among their arguments read."""

    def __init__(self, executor: "Executor | None", *, raw: bool) -> None:
        self.executor = executor
        self.plain = executor is None or getattr(executor, "plain", False)
        self.raw = raw

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)`. Raises `NoSecret` before anything of it runs."""
        args, kwargs = await unveil_arguments(args, kwargs, raw=self.raw)
        return await (fn(*args, **kwargs) if self.executor is None else self.executor.run(fn, *args, **kwargs))


async def unveil_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], *, raw: bool = False
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with the text of each secret among them in its place. Raises `NoSecret`."""
    texts: dict[Secret, str] = {}
    for each in leaves((args, dict(kwargs)), objects=True):
        if type(each) is Veiled and each.secret not in texts:
            texts[each.secret] = await each.secret
    look = Unveiled(texts, raw=raw)
    named = {name: fill_results(look.argument(each)) for name, each in kwargs.items()}
    return tuple([fill_results(look.argument(each)) for each in args]), named


async def unveiled_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function outside of a node as an attempt would: with the text of the secrets that it is given."""
    look = Veiling(raw=False)
    veiled = [look.argument(each) for each in args], {name: look.argument(each) for name, each in kwargs.items()}
    args, kwargs = await unveil_arguments(
        tuple(map(fill_results, veiled[0])), {name: fill_results(each) for name, each in veiled[1].items()}
    )
    return fn(*args, **kwargs)


def no_node(awaitable: object) -> Any:
    """Stand for what makes nodes of awaitables: there is nothing left to make."""


class Veiling(Search):
    """One look at arguments that finds secrets alone."""

    __slots__ = ()

    passes_values = False

    def __init__(self, *, raw: bool) -> None:
        super().__init__(no_node, asyncio.get_running_loop(), Kinds(), raw=raw)

    def is_edge(self, value: object, found: object, *, nodes_only: bool) -> bool:
        """Return True for a secret."""
        return type(value) is Secret

    def edge(self, value: Any) -> Any:
        """Return what stands for a secret."""
        return Opaque(Veiled(value))

    def passed(self, value: object) -> Any:
        """Return what stands for an argument without a secret."""
        return Opaque(value)


class Unveiled(Veiling):
    """One look at the arguments of an attempt, with the text of each secret."""

    __slots__ = ("texts",)

    def __init__(self, texts: Mapping[Secret, str], *, raw: bool) -> None:
        super().__init__(raw=raw)
        self.texts = texts

    def is_edge(self, value: object, found: object, *, nodes_only: bool) -> bool:
        """Return True for what stands for a secret."""
        return type(value) is Veiled

    def edge(self, value: Any) -> Any:
        """Return what stands for the text of a secret."""
        return Opaque(self.texts[value.secret])

    def argument(self, value: object) -> Any:
        """Return what stands for an argument: for one of a raw task, a future of its text."""
        if self.raw and type(value) is Veiled:
            return Opaque(self._finish(self.texts[value.secret]))
        return super().argument(value)
