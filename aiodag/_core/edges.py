"""Find awaitables among arguments; put their results in their place.

An awaitable at any depth inside plain lists, tuples, sets and dicts is an edge. A container that holds
one is copied at the call into a `Template`, so that changing it later changes nothing; every other value
passes through as the same object.
"""

import inspect
from asyncio import AbstractEventLoop, Future, _get_running_loop
from collections.abc import Awaitable, Callable
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiodag.errors import CycleError

if TYPE_CHECKING:
    from aiodag._core.node import Node

T = TypeVar("T")

PLAIN = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), type, range, slice})
result: Any = Future.result
CONTAINERS = frozenset({list, tuple, set, frozenset, dict})


class Opaque:
    """Stands for a value that is passed as it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Settled:
    """Stands for an awaitable whose settled node is passed, whatever the outcome."""

    __slots__ = ("dep",)

    def __init__(self, dep: Any) -> None:
        self.dep = dep


def opaque(value: T) -> T:
    """Pass `value` to the body as it is: an awaitable is not waited for, a huge container is not searched.

    >>> import asyncio, aiodag
    >>> @aiodag.task
    ... async def kind(x: object) -> str:
    ...     return type(x).__name__
    >>> async def main() -> str:
    ...     node = kind(1)
    ...     return await kind(aiodag.opaque(node))
    >>> asyncio.run(main())
    'Node'
    """
    return cast("T", Opaque(value))


def settled(dep: Awaitable[T]) -> "Node[T]":
    """Wait for `dep` to settle, whatever its outcome; as an argument, pass the settled node itself.

    Raises `TypeError` for what is not awaitable.

    >>> import asyncio, aiodag
    >>> @aiodag.task
    ... async def fetch() -> int:
    ...     raise TimeoutError
    >>> @aiodag.task
    ... async def report(node: aiodag.Node[int]) -> str:
    ...     return str(node.state)
    >>> async def main() -> str:
    ...     return await report(aiodag.settled(fetch()))
    >>> asyncio.run(main())
    'failed'
    """
    if not is_awaitable(dep):
        msg = f"settled() got {dep!r}, which is not awaitable. Pass a node, a future or a coroutine"
        raise TypeError(msg)
    return cast("Node[T]", Settled(dep))


class Template:
    """A copy of a container that holds edges, made at the call and filled when the body starts."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: type, items: list[Any]) -> None:
        self.kind = kind
        self.items = items


def value_of(awaitable: Awaitable[T]) -> T:
    """Say to a type checker that `awaitable` stands for its value; return it unchanged.

    Use it where a node is passed as a keyword or inside a container: `upload(rows=value_of(node))`.

    >>> import asyncio, aiodag
    >>> @aiodag.task
    ... async def double(x: int) -> int:
    ...     return 2 * x
    >>> async def main() -> int:
    ...     return await double(x=aiodag.value_of(double(10)))
    >>> asyncio.run(main())
    40
    """
    return cast("T", awaitable)


def is_awaitable(value: object) -> bool:
    """Tell whether `await value` would work; the same answer as `inspect.isawaitable`, sooner."""
    kind = type(value)
    return hasattr(kind, "__await__") or (kind is GeneratorType and inspect.isawaitable(value))


def holds_edges(value: object) -> bool:
    """Tell whether an edge is anywhere inside. Iterative: a container may hold itself, or be very deep."""
    stack: list[Any] = [value]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in PLAIN:
            continue
        if kind in CONTAINERS:
            if id(item) not in seen:
                seen.add(id(item))
                stack.extend(item)
                if kind is dict:
                    stack.extend(item.values())
        elif kind is Opaque or kind is Settled or is_awaitable(item):
            return True
    return False


class Search:
    """One look at the arguments of one call.

    `adopt` gives the node of an awaitable. `found` collects `(node, tolerant)`, one for each place; a tolerant
    edge waits whatever the outcome and passes the node itself.
    """

    __slots__ = ("adopt", "found", "inside", "loop", "raw")

    def __init__(self, adopt: "Callable[[Any], Future[Any]]", loop: AbstractEventLoop, *, raw: bool) -> None:
        self.adopt = adopt
        self.loop = loop
        self.raw = raw
        self.found: list[tuple[Future[Any], bool]] = []
        self.inside: list[int] = []

    def dependency(self, dep: object) -> None:
        """Add an exogenous edge."""
        tolerant = type(dep) is Settled
        self.found.append((self.adopt(dep.dep if isinstance(dep, Settled) else dep), tolerant or self.raw))

    def argument(self, value: object) -> object:
        """Return what stands for an argument until the body starts."""
        if holds_edges(value):
            try:
                return self.template(value)
            except RecursionError:
                msg = "an argument holds nodes inside more nested containers than Python can walk; flatten it"
                raise ValueError(msg) from None
        return Opaque(self._done(value)) if self.raw and type(value) is not Opaque else value

    def _done(self, value: object) -> "Future[Any]":
        future: Future[Any] = Future(loop=self.loop)
        future.set_result(value)
        return future

    def template(self, value: Any) -> Any:
        """Copy the containers around the edges of `value`, and note the edges."""
        kind = type(value)
        if kind in PLAIN or kind is Opaque:
            return value
        if kind is Settled:
            node = self.adopt(value.dep)
            self.found.append((node, True))
            return Settled(node)
        if kind in CONTAINERS:
            return self._container(value) if holds_edges(value) else value
        if not is_awaitable(value):
            return value
        node = self.adopt(value)
        self.found.append((node, self.raw))
        return Settled(node) if self.raw else node

    def _container(self, value: Any) -> Template:
        if id(value) in self.inside:
            raise CycleError([f"a {type(value).__name__} with nodes", "itself"])
        self.inside.append(id(value))
        items = value.items() if type(value) is dict else value
        copy = Template(type(value), [item if type(item) in PLAIN else self.template(item) for item in items])
        self.inside.pop()
        return copy


def fill(value: Any) -> Any:
    """Put results in the place of edges."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is Template:
        return value.kind([fill(item) for item in value.items])
    if kind is Opaque:
        return value.value
    if kind is Settled:
        return delivered(value.dep)
    # Not value.result(), with which a node takes its failure: a body starts only when its upstream has succeeded.
    return result(value) if isinstance(value, Future) else value


def delivered(node: Any) -> Any:
    """Return a settled node to a body that asked for it: from here on its failure is the body's to handle."""
    if node.fault is not None:
        node.fault.report.taken = True
    return node


def close_coroutines(*arguments: object) -> None:
    """Close the coroutine objects of a call that was refused, so that none is left "never awaited"."""
    stack: list[Any] = list(arguments)
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is CoroutineType:
            if not in_use(item):
                item.close()
        elif kind in CONTAINERS and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item.values() if kind is dict else item)
        elif kind is Settled:
            stack.append(item.dep)


def in_use(coroutine: Any) -> bool:
    """Tell whether an earlier call has made a node of a coroutine object."""
    loop: Any = _get_running_loop()
    engine = getattr(loop, "aiodag_engine", None)
    return engine is not None and coroutine in engine.adopted
