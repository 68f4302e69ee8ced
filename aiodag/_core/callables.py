"""What can be a task, what it is called, and where it runs."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from aiodag._core.edges import is_awaitable
from aiodag._core.options import TaskOptions, executor_of, takes_async
from aiodag._core.search import close_coroutines
from aiodag.errors import NotATask, OptionError

# What decorates a method, cannot be called itself, and gives what can be when it is asked of an instance or a class.
DISPATCHED = (functools.singledispatchmethod, functools.partialmethod)
METHODS = (classmethod, staticmethod, *DISPATCHED)


def plain_of(fn: object) -> Any:
    """Return the function below what decorates a method."""
    if isinstance(fn, classmethod | staticmethod):
        return fn.__func__
    return fn.func if isinstance(fn, DISPATCHED) else fn


def innermost(fn: object) -> Any:
    """Return the function that a partial, a method or an object with `__call__` leads to."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) or inspect.isclass(fn) else type(fn).__call__


def check_callable(fn: object) -> None:
    """Refuse what cannot be a task. Raises `NotATask`."""
    target = plain_of(fn)
    if not callable(target):
        if is_awaitable(fn):
            close_coroutines(fn)
            raise NotATask(fn, "is awaitable already; pass it as an argument, or task the function that made it")
        raise NotATask(fn)
    inner = innermost(target)
    if inspect.isasyncgenfunction(inner):
        each = f"[work(item) async for item in {getattr(inner, '__name__', 'it')}()]"
        raise NotATask(fn, f"is an async generator function; call a task for each item in an async function: {each}")
    if inspect.isgeneratorfunction(inner):
        raise NotATask(fn, "is a generator function; return a list, or iterate inside an async function of your own")


def is_async(fn: Callable[..., Any]) -> bool:
    """Return True if calling `fn` gives a coroutine at once."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(innermost(fn))


def executor_for(fn: Callable[..., Any], options: TaskOptions) -> Any:
    """Return where a body runs: None for the loop itself."""
    if not is_async(fn):
        return options.executor or executor_of("thread")
    if options.executor is not None and not takes_async(options.executor):
        raise OptionError(
            "executor",
            options.given["executor"],
            f"a plain function, and {callable_name(fn)} is async: it runs on the loop",
        )
    return options.executor


def callable_name(fn: object) -> str:
    """Name a callable as people call it: a method with its class, without the function it was defined in."""
    while isinstance(fn, functools.partial) and not hasattr(fn, "__qualname__"):
        fn = fn.func
    name = getattr(fn, "__qualname__", None)
    if not isinstance(name, str):  # an object may have any attributes, or answer for each that it is asked for
        name = type(fn).__qualname__
    return name.rpartition("<locals>.")[2]


def take_over(wrapper: Any, fn: Any, descriptor: Any = None) -> None:
    """Give a wrapper the name, docstring and signature of a callable, and of a function its further attributes.

    Not those of an object, which are its state, nor those that would hide an attribute of the wrapper.
    """
    functools.update_wrapper(wrapper, fn, updated=())
    if inspect.isroutine(fn):
        for name, value in getattr(fn, "__dict__", {}).items():
            if not hasattr(wrapper, name):
                setattr(wrapper, name, value)
    if isinstance(descriptor, functools.singledispatchmethod):
        wrapper.register = descriptor.register
