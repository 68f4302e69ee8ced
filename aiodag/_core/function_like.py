"""What makes others take a task for the async function that it stands for.

Libraries ask a callable what it is before they call it: whether to await what comes back, whether it is a method or
a field of a class, how to find it again in another process. They ask with `inspect`, `isinstance` and `pickle`, which
know functions by their type. So a task answers as the function below it would, as the proxies of `wrapt` do.
"""

import sys
from functools import partial
from importlib import import_module
from inspect import CO_COROUTINE
from operator import attrgetter
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from aiodag._core.arity import bounds, exactly, shown_parameters
from aiodag._core.callables import DISPATCHED, executor_for, is_async
from aiodag._core.middleware import compose
from aiodag._core.options import TaskOptions
from aiodag.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


async def lend_code(*_args: object, **_kwargs: object) -> None:
    """Lend its code to tasks of what has none, such as a builtin."""


class FunctionLike:
    """The attributes of a function, and how functions are copied and pickled."""

    fn: Any
    after_deps: tuple[Any, ...]
    options: TaskOptions
    name: str
    call: Any
    fewest: int  # positional arguments that fit, and `most`, which may be infinite
    most: float
    secrets: tuple[Any, ...]
    _exactly: int
    _special: bool
    _descriptor: Any

    if not TYPE_CHECKING:  # to a checker a task has its own type alone

        @property
        def __class__(self) -> type:
            return FunctionType

        if sys.version_info >= (3, 14):  # before, update_wrapper copies them

            @property
            def __annotations__(self) -> dict[str, Any]:
                return getattr(self.fn, "__annotations__", {})

    @property
    def __code__(self) -> CodeType:
        # Never run: it says that a call gives an awaitable, also where the body is a plain function in a thread.
        code = function_shown_by(self.fn).__code__
        return code.replace(co_flags=code.co_flags | CO_COROUTINE)

    @property
    def __defaults__(self) -> Any:
        return function_shown_by(self.fn).__defaults__

    @property
    def __kwdefaults__(self) -> Any:
        return function_shown_by(self.fn).__kwdefaults__

    @property
    def __closure__(self) -> Any:
        return function_shown_by(self.fn).__closure__

    @property
    def __globals__(self) -> dict[str, Any]:
        return function_shown_by(self.fn).__globals__

    def __reduce__(self) -> "str | tuple[Any, ...]":
        return reduce_task(self)

    def __copy__(self) -> "Self":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Self":
        fn = self.fn
        if not isinstance(fn, MethodType):
            return self
        # Looked up here, as pickle below: `import aiodag` loads nothing that asyncio does not.
        copied = self._rebound(MethodType(fn.__func__, import_module("copy").deepcopy(fn.__self__, memo)))
        if copied.call is not None:
            copied.call = compose(self.options, copied.fn, executor_for(copied.fn, self.options))
        return copied

    def _bounds(self) -> None:
        """Note how many positional arguments fit, so that most calls need no look at the signature."""
        self.fewest, self.most = bounds(self.fn)
        self._exactly = exactly(self.fewest, self.most)
        secrets = tuple([each for each in shown_parameters(self.fn) if type(each.default) is Secret])
        if secrets:
            self._special, self.secrets = True, secrets

    def _bind(self, fn: "Callable[..., Any]") -> "Self":
        """Return this task with a function that Python has bound to an instance or a class."""
        task = self._rebound(fn)
        task._descriptor = None
        if task.call is not None or (self._descriptor is not None and not is_async(fn)):
            task.call = compose(self.options, fn, executor_for(fn, self.options))
        if isinstance(self._descriptor, DISPATCHED):
            task._bounds()
        elif self.fewest <= self.most:  # else every call is checked against the signature
            task.fewest, task.most = max(self.fewest - 1, 0), self.most - 1
            task._exactly = exactly(task.fewest, task.most)
        return task

    def _rebound(self, fn: object) -> "Self":
        """Return this task with another function in the place of its own."""
        made = object.__new__(type(self))
        vars(made).update(vars(self), fn=fn, __wrapped__=fn)
        vars(made).pop("_arity", None)
        return made


def function_shown_by(fn: object) -> FunctionType:
    """Return the function of a method, and one that stands for what is none, such as an object or a builtin."""
    inner = fn.__func__ if isinstance(fn, MethodType) else fn
    return inner if type(inner) is FunctionType else lend_code  # type: ignore[return-value]  # a function, too


def reduce_task(task: Any) -> "str | tuple[Any, ...]":
    """Return how pickle finds a task again: by its name, as a function, or from another that has one."""
    fn = task.fn
    found: Any = found_by_name(fn)
    if found is task:
        return str(fn.__qualname__)
    if isinstance(fn, MethodType):
        found = getattr(fn.__self__, fn.__name__, None)
        if type(found) is type(task) and found.fn == fn:
            base = getattr, (fn.__self__, fn.__name__)
            return (
                base if found.options is task.options else (change_task, (found, task.after_deps, task.options.given))
            )
    elif type(found) is type(task) and found.fn is fn:
        return change_task, (found, task.after_deps[len(found.after_deps) :], task.options.given)
    elif isinstance(fn, partial):
        return made_of_partial, (
            type(task),
            sendable(fn.func),
            fn.args,
            fn.keywords,
            task.after_deps,
            task.options.given,
        )
    elif found is fn or type(fn) is not FunctionType:
        return made_again, (type(task), fn, task.after_deps, task.options.given)
    module, name = getattr(fn, "__module__", "?"), getattr(fn, "__qualname__", task.name)
    msg = (
        f"cannot pickle the task {task.name}: {module}.{name} does not lead back to it. "
        "Define it where its name is found: at the top of a module, or in a class there"
    )
    raise import_module("pickle").PicklingError(msg)


def found_by_name(fn: Any) -> Any:
    """Return what the module and the qualified name of a function mean now."""
    try:
        return attrgetter(fn.__qualname__)(sys.modules[fn.__module__])
    except (AttributeError, KeyError, TypeError):
        return None


def sendable(fn: object) -> Any:
    """Return what pickle finds again in the place of a function: its task, where its name means that.

    `body_of` is the way back.
    """
    if isinstance(fn, partial):
        return partial(sendable(fn.func), *fn.args, **fn.keywords)
    found = found_by_name(fn)
    return found if isinstance(found, FunctionLike) and found.fn is fn else fn


def body_to_call(fn: object) -> Any:
    """Return the function to call where `sendable` has arrived."""
    if isinstance(fn, partial):
        return partial(body_to_call(fn.func), *fn.args, **fn.keywords)
    return fn.fn if isinstance(fn, FunctionLike) else fn


def change_task(base: Any, after: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Return a task with other options."""
    return base._but(base.after_deps + after, base.options.but(**given))


def made_again(kind: Any, fn: Any, after: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """Return the task of a function with some options."""
    return kind(fn, after, TaskOptions(**given))


def made_of_partial(
    kind: Any,
    fn: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    after: tuple[Any, ...],
    given: dict[str, Any],
) -> Any:
    """Return the task of a function, or of the function of a task, with some arguments bound."""
    return kind(partial(body_to_call(fn), *args, **kwargs), after, TaskOptions(**given))
