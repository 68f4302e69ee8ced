"""What can be a task, what it is called, and where it runs."""

import inspect
from collections.abc import Callable
from typing import Any

from aiodag._core.edges import close_coroutines, is_awaitable
from aiodag._core.options import EXECUTORS, Options, executor_of
from aiodag.errors import NotATask, OptionError


def plain_of(fn: Any) -> Any:
    """Return the function below a classmethod or staticmethod."""
    return fn.__func__ if isinstance(fn, classmethod | staticmethod) else fn


def innermost(fn: Any) -> Any:
    """Return the function that a partial, a method or an object with `__call__` leads to."""
    while hasattr(fn, "func") and not hasattr(fn, "__qualname__"):  # a partial
        fn = fn.func
    return fn if inspect.isroutine(fn) or inspect.isclass(fn) else type(fn).__call__


def check_callable(fn: Any) -> None:
    """Refuse what cannot be a task. Raises `NotATask`."""
    target = plain_of(fn)
    if not callable(target):
        if is_awaitable(fn):
            close_coroutines(fn)
            raise NotATask(fn, "is awaitable already; pass it as an argument, or task the function that made it")
        raise NotATask(fn)
    inner = innermost(target)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise NotATask(fn, "is a generator function; return a list, or iterate inside an async function of your own")


def is_async(fn: Callable[..., Any]) -> bool:
    """Tell whether calling `fn` gives a coroutine at once."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(innermost(fn))


def executor_for(fn: Callable[..., Any], options: Options) -> Any:
    """Return where a body runs: None for the loop itself."""
    if not is_async(fn):
        return options.executor or executor_of("thread")
    if options.given.get("executor") in EXECUTORS:
        raise OptionError(
            "executor", options.given["executor"], f"a plain function, and {name_of(fn)} is async: it runs on the loop"
        )
    return options.executor


def name_of(fn: Any) -> str:
    """Name a callable as people call it: a method with its class, without the function it was defined in."""
    while hasattr(fn, "func") and not hasattr(fn, "__qualname__"):  # a partial
        fn = fn.func
    name: str = getattr(fn, "__qualname__", type(fn).__qualname__)
    return name.rpartition("<locals>.")[2]
