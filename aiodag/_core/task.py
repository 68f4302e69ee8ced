"""`@task` and `Task`: what a decorated function becomes."""

from functools import partial
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Generic, cast, overload

from aiodag._core.arity import check_fit, real_signature
from aiodag._core.callables import (
    METHODS,
    callable_name,
    check_callable,
    executor_for,
    plain_of,
    take_over,
)
from aiodag._core.edges import Settled, is_awaitable
from aiodag._core.fan_out import calls_of
from aiodag._core.function_like import FunctionLike
from aiodag._core.middleware import compose
from aiodag._core.named import NamedExecutor
from aiodag._core.options import NO_OPTIONS, TaskOptions
from aiodag._core.search import close_coroutines
from aiodag._core.signatures import P, R
from aiodag._core.submit import submit, submit_all
from aiodag.errors import NotATask
from aiodag.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Protocol, Self, Unpack

    from aiodag._core.node import Node
    from aiodag._core.signatures import (
        A1,
        A2,
        A3,
        A4,
        A5,
        A6,
        A7,
        A8,
        Given,
        OptionTypes,
        Q,
        T,
        Takes1,
        Takes2,
        Takes3,
        Takes4,
        Takes5,
        Takes6,
        Takes7,
        Takes8,
    )

    class Decorator(Protocol):
        """What `task(**options)` gives: it takes what `task` takes."""

        @overload
        def __call__(self, fn: "Task[P, R]", /) -> "Task[P, R]": ...
        @overload
        def __call__(self, fn: "Callable[P, Coroutine[Any, Any, R]]", /) -> "Task[P, R]": ...
        @overload
        def __call__(self, fn: "Callable[P, R]", /) -> "Task[P, R]": ...


class Task(FunctionLike, Generic[P, R]):
    """A definition: call it on a running loop to make a `Node`, which runs by itself.

    Every awaitable among the arguments is an edge. Raises `NoLoop` without a running loop and `TypeError` for
    arguments that do not fit, both at the call. Works as a method, too.

    >>> from aiodag import task
    >>> @task(retries=2)
    ... async def double(x):
    ...     return 2 * x
    >>> await double(double(10))
    40
    """

    stands_in = barrier = False  # True: for an awaitable that was passed as an edge; for a node that only joins edges
    encloses = False  # whether its nodes only run others, as jobs do: what they are recorded with is made of those
    there: Any = None  # the executor of its run, where that is where it runs
    at_home = False  # whether it runs here, whatever the run says: of hooks
    may_fail = False  # whether a run that ends with its first failure goes on after one of this
    _exactly = -1  # positional arguments of most calls, which need no further look: see arity.py
    _arity: Any = None  # the real signature, once a call has needed it; ... where there is none
    rule: Any = None  # of tasks in workflows: when they run, if that is not when all upstream has succeeded
    _inner: Any = ()  # middleware of its own, which decides how an attempt ends: inside the retry
    firm = False  # whether its recorded outcome stands, whatever has become since of what it has waited for
    waits = ""  # of tasks of `aiodag.messages`: what their nodes wait for, "message", "moment" or "run"
    fit: Any = None  # of those, fit(node, plain): what plain JSON that came from outside becomes

    if TYPE_CHECKING:

        @property
        def _signature(self) -> "Callable[P, R]": ...

    def __init__(
        self, fn: "Callable[..., Any]", after: tuple[Any, ...] = (), options: TaskOptions = NO_OPTIONS
    ) -> None:
        self._descriptor: Any = fn if isinstance(fn, METHODS) else None  # kept for __get__, and unwrapped for the rest
        plain = plain_of(fn)
        take_over(self, plain, self._descriptor)
        self._prepare(plain, after, options)
        self._bounds()

    def _prepare(self, fn: "Callable[..., Any]", after: tuple[Any, ...], options: TaskOptions) -> None:
        self.fn, self.after_deps, self.options = fn, after, options
        # Whether the body of the last call waited: the next starts as an asyncio task then. Set here for every task: Python
        # finds attributes sooner where all objects of a class have the same.
        self._waits = False
        self.name: str = options.name or callable_name(fn)
        self.raw = options.raw
        # Whether edges can be anywhere but among plain arguments, or there is more to check at the call.
        named = type(options.executor) is NamedExecutor or getattr(type(fn), "on_host", False)
        self._special = bool(after or options.raw or options.resources or named or getattr(self, "secrets", ()))
        self.code = getattr(unwrap(fn) if not hasattr(fn, "__code__") else fn, "__code__", None)
        self.call = compose(options, fn, executor_for(fn, options))

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse arguments that do not fit what Python will call."""
        if self._arity is None:
            self._arity = real_signature(self.fn) or ...
        if self._arity is not ...:
            check_fit(self.name, self.fn, self._arity, args, kwargs)

    def without_resources(self) -> "Task[P, R]":
        """Return this task with `resources={}`: it asks for nothing, and counts for the limit of a capacity."""
        return self.with_options(resources={})

    def _hook_call(self, summary: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with which a run calls this as a hook."""
        return (summary,), {}

    def accepts(self, value: Any) -> bool:
        """Return whether a recorded value is still one that this task would return; if not, its node runs again."""
        return True

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    @overload
    def __call__(self, /, *args: "P.args", **kwargs: "P.kwargs") -> "Node[R]": ...
    @overload
    def __call__(self: "Takes1[A1, Q, R]", a1: "Given[A1]", /, *args: "Q.args", **kwargs: "Q.kwargs") -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes2[A1, A2, Q, R]", a1: "Given[A1]", a2: "Given[A2]", /, *args: "Q.args", **kwargs: "Q.kwargs"
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes3[A1, A2, A3, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes4[A1, A2, A3, A4, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        a4: "Given[A4]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes5[A1, A2, A3, A4, A5, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        a4: "Given[A4]",
        a5: "Given[A5]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes6[A1, A2, A3, A4, A5, A6, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        a4: "Given[A4]",
        a5: "Given[A5]",
        a6: "Given[A6]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes7[A1, A2, A3, A4, A5, A6, A7, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        a4: "Given[A4]",
        a5: "Given[A5]",
        a6: "Given[A6]",
        a7: "Given[A7]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    @overload
    def __call__(
        self: "Takes8[A1, A2, A3, A4, A5, A6, A7, A8, Q, R]",
        a1: "Given[A1]",
        a2: "Given[A2]",
        a3: "Given[A3]",
        a4: "Given[A4]",
        a5: "Given[A5]",
        a6: "Given[A6]",
        a7: "Given[A7]",
        a8: "Given[A8]",
        /,
        *args: "Q.args",
        **kwargs: "Q.kwargs",
    ) -> "Node[R]": ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make the node of one call."""

    if not TYPE_CHECKING:
        __call__ = submit  # and not a method that calls it: one frame less for each node

    @overload
    def __get__(self: "Takes1[type[T], Q, R]", instance: "T | None", owner: "type[T]", /) -> "Task[Q, R]": ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> "Self": ...
    @overload
    def __get__(self: "Takes1[A1, Q, R]", instance: "A1", owner: type, /) -> "Task[Q, R]": ...
    @overload
    def __get__(self, instance: object, owner: type, /) -> "Self": ...
    def __get__(self, instance: object, owner: type, /) -> Any:
        """Bind to an instance or a class, as a function does."""
        if self._descriptor is not None:
            bound = self._descriptor.__get__(instance, owner)
        elif instance is None or not hasattr(self.fn, "__get__"):
            return self
        else:
            bound = self.fn.__get__(instance, owner)
        return self if bound is self.fn else self._bind(bound)

    def after(self, /, *after: "Awaitable[object]") -> "Task[P, R]":
        """Return this task with more to wait for: exogenous edges, whose values are not passed."""
        return self._but(self.after_deps + checked_dependencies(after), self.options)

    def with_options(self, /, **options: "Unpack[OptionTypes]") -> "Task[P, R]":
        """Return this task with some options changed."""
        return self._but(self.after_deps, self.options.but(**options))

    def _but(self, after: tuple[Any, ...], options: TaskOptions) -> "Task[P, R]":
        task: Task[P, R] = object.__new__(Task)
        task.__dict__.update(self.__dict__)
        task._prepare(self.fn, after, options)
        return task

    @overload
    def map(
        self: "Takes1[A1, Q, R]", i1: "Iterable[Given[A1]]", /, *args: "Q.args", **constants: "Q.kwargs"
    ) -> "list[Node[R]]": ...
    @overload
    def map(
        self: "Takes2[A1, A2, Q, R]",
        i1: "Iterable[Given[A1]]",
        i2: "Iterable[Given[A2]]",
        /,
        *args: "Q.args",
        **constants: "Q.kwargs",
    ) -> "list[Node[R]]": ...
    @overload
    def map(
        self: "Takes3[A1, A2, A3, Q, R]",
        i1: "Iterable[Given[A1]]",
        i2: "Iterable[Given[A2]]",
        i3: "Iterable[Given[A3]]",
        /,
        *args: "Q.args",
        **constants: "Q.kwargs",
    ) -> "list[Node[R]]": ...
    @overload
    def map(
        self: "Takes4[A1, A2, A3, A4, Q, R]",
        i1: "Iterable[Given[A1]]",
        i2: "Iterable[Given[A2]]",
        i3: "Iterable[Given[A3]]",
        i4: "Iterable[Given[A4]]",
        /,
        *args: "Q.args",
        **constants: "Q.kwargs",
    ) -> "list[Node[R]]": ...
    def map(self, /, *iterables: "Iterable[Any]", **constants: Any) -> Any:
        """Call the task once for each item. Several iterables are walked in step; keywords are the same for all calls.

        Raises, before any call, `TypeError` without iterables or for what is not iterable, and `ValueError` for different
        lengths.

        >>> from aiodag import task
        >>> @task
        ... async def add(x, y):
        ...     return x + y
        >>> [await node for node in add.map([1, 2], [10, 20])]
        [11, 22]
        """
        calls = calls_of(self, iterables, constants)
        try:
            return submit_all(self, calls, constants)
        except BaseException:
            close_coroutines(calls)
            raise


@overload
def task(fn: "Task[P, R]", /, *after: "Awaitable[object]", **options: "Unpack[OptionTypes]") -> "Task[P, R]": ...
@overload
def task(
    fn: "Callable[P, Coroutine[Any, Any, R]]", /, *after: "Awaitable[object]", **options: "Unpack[OptionTypes]"
) -> "Task[P, R]": ...
@overload
def task(
    fn: "partial[Node[R]]", /, *after: "Awaitable[object]", **options: "Unpack[OptionTypes]"
) -> "Task[..., R]": ...
@overload
def task(fn: "Callable[P, R]", /, *after: "Awaitable[object]", **options: "Unpack[OptionTypes]") -> "Task[P, R]": ...
@overload
def task(**options: "Unpack[OptionTypes]") -> "Decorator": ...
def task(fn: Any = None, /, *after: "Awaitable[object]", **options: Any) -> Any:
    """Turn a function into a `Task`: as `@task`, `@task(**options)` or `task(fn, *after, **options)`.

    `fn` is an async function, a plain function (it runs in a thread), a method, a `functools.partial`, an object with
    an async `__call__`, or a `Task`, which keeps what it has. `after` are awaitables that its nodes wait for without
    their values. Options: `name`; `retries`, `backoff` (seconds, a function of the attempt or of that and
    its exception, or `Backoff`) and `retry_on`; `timeout` (seconds of one attempt) and `resources`, or functions of the
    attempt that return them; `limit`; `priority`; `middleware` (around the body of each attempt); `executor` ("thread", "process", a pool of `concurrent.futures`, or an
    object); `raw`. In runs that have a store: `version`, `former`, `key`, `journal`, `cache`, `codec`.

    Raises `TypeError` for what cannot be a task or an unknown option, and `OptionError` for a value that cannot work.

    >>> from aiodag import task
    >>> @task(retries=2, timeout=10)
    ... async def fetch(name):
    ...     return [name]
    >>> @task
    ... async def join(left, right):
    ...     return left + right
    >>> await join(fetch("a1"), fetch("a2"))
    ['a1', 'a2']
    """
    if fn is None:
        if after:
            raise NotATask(fn)
        checked = TaskOptions(**options)
        return lambda given: make(given, (), checked.given)
    return make(fn, checked_dependencies(after), options)


def make(fn: Any, after: tuple[Any, ...], given: dict[str, Any]) -> "Task[..., Any]":
    """Return the task of anything that can be one."""
    if isinstance(fn, Task):
        return cast("Task[..., Any]", fn)._but(fn.after_deps + after, fn.options.but(**given))
    if isinstance(fn, partial) and isinstance(fn.func, Task):  # that task, with some arguments bound
        inner = make(fn.func, after, given)
        return Task(partial(inner.fn, *fn.args, **fn.keywords), inner.after_deps, inner.options)
    check_callable(fn)
    return Task(fn, after, TaskOptions(**given))


def checked_dependencies(deps: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what to wait for; refuse what cannot be awaited."""
    for dep in deps:
        if (type(dep) is not Settled and not is_awaitable(dep)) or type(dep) is Secret:
            close_coroutines(deps)
            msg = f"task() got {dep!r} to wait for, which is not awaitable. Pass nodes, futures or coroutines"
            if isinstance(dep, Task):
                msg = f"task() got {dep!r} to wait for, which has not been called. Pass a node: {dep.name}(...)"
            raise TypeError(msg)
    return deps
