"""Find awaitables among arguments; put their results in their place.

An awaitable at any depth inside plain lists, tuples, sets and dicts is an edge. A container that holds
one is copied at the call into a `Template`, so that changing it later changes nothing; every other value
passes through as the same object.

Arguments are anything, so they are only asked for their type. `isinstance` would believe what an object says its
class is, as mocks and lazy proxies do.
"""

import inspect
from asyncio import AbstractEventLoop, Future, _get_running_loop, all_tasks
from collections.abc import Awaitable, Callable, Iterator
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiodag.errors import CycleError
from aiodag.secret import Secret, Veiled

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
    return value if type(value) is Opaque else cast("T", Opaque(value))


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


def is_edge(value: object) -> bool:
    """Tell whether something stands for its result, or is marked for how to pass it."""
    kind = type(value)
    return kind is Opaque or kind is Settled or kind is Veiled or is_awaitable(value)


def leaves(value: object) -> Iterator[Any]:
    """Yield what is neither plain nor a container, at any depth. Iterative: a container may hold itself, or be deep."""
    stack: list[Any] = [value]
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        kind = type(item)
        try:
            if kind in PLAIN:
                continue
            container = kind in CONTAINERS
        except TypeError:  # a class whose metaclass has no hash is none of those
            container = False
        if not container:
            yield item
        elif id(item) not in seen:
            seen.add(id(item))
            stack.extend(item)
            if kind is dict:
                stack.extend(item.values())


def items_of(container: Any) -> list[Any]:
    """Return what is in a container: of a dict, first the keys and then the values."""
    return [*container, *container.values()] if type(container) is dict else list(container)


def edged(container: Any) -> set[int]:
    """Return the ids of the containers that hold an edge, at any depth: of this one, and of those inside it."""
    holding: list[int] = []
    outer_of: dict[int, list[int]] = {id(container): []}
    stack = [container]
    while stack:
        outer = stack.pop()
        for item in items_of(outer):
            kind = type(item)
            try:
                if kind in PLAIN:
                    continue
                inner = kind in CONTAINERS
            except TypeError:  # as in leaves()
                inner = False
            if not inner:
                if is_edge(item):
                    holding.append(id(outer))
            elif id(item) in outer_of:
                outer_of[id(item)].append(id(outer))
            else:
                outer_of[id(item)] = [id(outer)]
                stack.append(item)
    found: set[int] = set()
    while holding:
        here = holding.pop()
        if here not in found:
            found.add(here)
            holding += outer_of[here]
    return found


class Template:
    """A copy of a container that holds edges, made at the call and filled when the body starts."""

    __slots__ = ("filled", "items", "kind", "open", "places")

    def __init__(self, container: Any) -> None:
        self.kind = type(container)
        self.items = items_of(container)
        self.places: list[int] = []  # of the items that something else stands for
        self.open = True  # until all that is inside has been copied
        self.filled: Any = None

    def fill(self) -> Any:
        """Return the container with results in it: one object in all places where one was given."""
        if self.filled is None:
            items = self.items
            for place in self.places:
                item = items[place]
                # One frame for each depth and no more, so that what could be copied can be filled.
                items[place] = item.fill() if type(item) is Template else fill(item)
            half = len(items) // 2
            self.filled = dict(zip(items[:half], items[half:], strict=True)) if self.kind is dict else self.kind(items)
        return self.filled


class Search:
    """One look at the arguments of one call.

    `adopt` gives the node of an awaitable. `found` collects `(node, tolerant)`, one for each place; a tolerant
    edge waits whatever the outcome and passes the node itself.
    """

    __slots__ = ("adopt", "copies", "edged", "found", "loop", "outermost", "raw", "veiled")

    def __init__(self, adopt: "Callable[[Any], Future[Any]]", loop: AbstractEventLoop, *, raw: bool) -> None:
        self.adopt = adopt
        self.loop = loop
        self.raw = raw
        self.found: list[tuple[Future[Any], bool]] = []
        self.copies: dict[int, Template] = {}  # by the id of the container, so that each is copied once
        self.outermost: Any = None
        self.edged: set[int] | None = None
        self.veiled = False  # whether there is a secret among the arguments

    def edge(self, value: Any) -> Any:
        """Add an edge and return what stands for its result until the body starts; return None for any other value."""
        kind = type(value)
        if kind is Opaque:
            return value
        if kind is Secret:
            self.veiled = True
            return Veiled(value)
        if kind is not Settled and not is_awaitable(value):
            return None
        tolerant = self.raw or kind is Settled
        node = self.adopt(value.dep if kind is Settled else value)
        self.found.append((node, tolerant))
        return Settled(node) if tolerant else node

    def argument(self, value: Any) -> Any:
        """Return what stands for an argument until the body starts."""
        stand_in = self.edge(value)
        if stand_in is not None:
            return stand_in
        try:
            container = type(value) in CONTAINERS
        except TypeError:  # as in leaves(); the engine would look the type up, too
            return Opaque(self._done(value) if self.raw else value)
        if container and any(map(is_edge, leaves(value))):
            return self._outermost(value)
        return Opaque(self._done(value)) if self.raw else value

    def _done(self, value: object) -> "Future[Any]":
        future: Future[Any] = Future(loop=self.loop)
        future.set_result(value)
        return future

    def _outermost(self, container: Any) -> Template:
        self.outermost, self.edged = container, None
        try:
            return self._template(container)
        except RecursionError:
            msg = "an argument holds nodes inside more nested containers than Python can walk; flatten it"
            raise ValueError(msg) from None

    def _template(self, container: Any) -> Template:
        """Copy a container with edges, once, and those inside it that have some."""
        known = self.copies.get(id(container))
        if known is not None:
            if known.open:
                raise CycleError([f"a {known.kind.__name__} with nodes", "itself"])
            return known
        copy = self.copies[id(container)] = Template(container)
        for place, item in enumerate(copy.items):
            kind = type(item)
            try:
                if kind in PLAIN:
                    continue
                inner = kind in CONTAINERS
            except TypeError:  # as in leaves()
                inner = False
            stand_in = None
            if not inner:
                stand_in = self.edge(item)
            elif self._is_edged(item):
                stand_in = self._template(item)
            if stand_in is not None:
                copy.items[place] = stand_in
                copy.places.append(place)
        copy.open = False
        return copy

    def _is_edged(self, container: Any) -> bool:
        # Found for all at once: to look inside each container at each depth would take quadratic time.
        if self.edged is None:
            self.edged = edged(self.outermost)
        return id(container) in self.edged


def fill(value: Any) -> Any:
    """Put results in the place of edges."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is Template:
        return value.fill()
    if kind is Opaque:
        return value.value
    if kind is Settled:
        return delivered(value.dep)
    # Not value.result(), with which a node takes its failure: a body starts only when its upstream has succeeded.
    return result(value) if issubclass(kind, Future) else value


def delivered(node: Any) -> Any:
    """Return a settled node to a body that asked for it: from here on its failure is the body's to handle."""
    if node.fault is not None:
        node.fault.report.taken = True
    return node


def close_coroutines(*arguments: object) -> None:
    """Close the coroutine objects of a call that was refused, so that none is left "never awaited".

    Not those that somebody else has: that have started, or are to be run by an earlier call or an asyncio task.
    """
    given = (leaf.dep if type(leaf) is Settled else leaf for leaf in leaves(arguments))
    fresh = [
        each for each in given if type(each) is CoroutineType and inspect.getcoroutinestate(each) == "CORO_CREATED"
    ]
    if not fresh:
        return
    loop: Any = _get_running_loop()
    adopted = loop.aiodag_engine.adopted if hasattr(loop, "aiodag_engine") else ()
    # Of those that are not done: after an eager start get_coro() crashes on Python 3.12 (cpython issue 122332).
    owned = set() if loop is None else {id(each.get_coro()) for each in all_tasks(loop) if not each.done()}
    for coroutine in fresh:
        if coroutine not in adopted and id(coroutine) not in owned:
            coroutine.close()
