"""Find awaitables among arguments; put their results in their place.

An awaitable at any depth inside containers is an edge. A container that holds one is copied at the call into a
`ContainerCopy`, so that changing it later changes nothing; every other value passes through as the same object.

Objects with fields are containers in which only nodes are edges, all the way down. An object may keep futures and
asyncio tasks of its own, such as the one that reads its connection: waiting for those could take for ever.

Arguments are anything, so they are only asked for their type. `isinstance` would believe what an object says its
class is, as mocks and lazy proxies do.
"""

import inspect
from asyncio import AbstractEventLoop, Future, _get_running_loop, all_tasks
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from types import CoroutineType, GeneratorType
from typing import Any

from aiodag._core.containers import EXACT, shape_of
from aiodag._core.context import node_of
from aiodag._core.edges import PLAIN, Opaque, Settled
from aiodag._core.held import HeldNode
from aiodag._core.node import Node
from aiodag.errors import CycleError
from aiodag.secret import Secret, Veiled

EDGE, ASK = "edge", "ask"  # what values of a type are: see Kinds
MOST_KINDS = 1_000
MOST_RETURNED = 1_000
result: Any = Future.result


class Kinds(dict[Any, Any]):
    """What the types of values are: None if plain, a `Shape` for a container, `EDGE`, `ASK` (the value), else False.

    Every value that is searched is looked up here, so that a type is asked only once.
    """

    def __init__(self) -> None:
        super().__init__(USUAL)

    def __missing__(self, kind: type) -> Any:
        if len(self) >= MOST_KINDS:  # classes that are made as the program runs must not stay for ever
            self.clear()
            self.update(USUAL)
        found = self[kind] = search_kind(kind)
        return found

    def of(self, value: object) -> Any:
        """Return what the type of a value is."""
        try:
            return self[type(value)]
        except TypeError:  # a class whose metaclass has no hash
            return search_kind(type(value))


def search_kind(kind: object) -> Any:
    """Return what values of a type are; see `Kinds`."""
    if kind is Opaque or kind is Settled or kind is Veiled or hasattr(kind, "__await__"):
        return EDGE
    return ASK if kind is GeneratorType else shape_of(kind) or False


OURS = frozenset({Node, HeldNode, Settled, Opaque, Secret, Veiled})  # what counts inside of objects
USUAL: Any = dict.fromkeys(PLAIN) | dict(EXACT) | {Node: EDGE, HeldNode: EDGE}


def leaves(value: object, *, objects: bool = False) -> Iterator[Any]:
    """Yield what is neither plain nor a container, at any depth. Iterative: a container may hold itself, or be deep.

    Objects with fields are searched if `objects` says so; otherwise they are leaves.
    """
    stack: list[Any] = [value]
    seen: set[int] = set()
    kinds = Kinds()
    while stack:
        item = stack.pop()
        found = kinds.of(item)
        if found is None:
            continue
        if found is False or found is EDGE or found is ASK or (found.objects and not objects):
            yield item
        elif id(item) not in seen:
            seen.add(id(item))
            stack.extend(found.items(item))


def name_of_search(container: object, *, nodes_only: bool) -> int:
    """Return what tells a container from others: searched for nodes only, it is another one."""
    return ~id(container) if nodes_only else id(container)


def holds_edge(container: object, look: "Search") -> bool:
    """Return True if a container holds an edge, at any depth."""
    kinds = look.kinds
    seen: set[int] = set()
    stack = [(container, False)]
    while stack:
        outer, nodes_only = stack.pop()
        shape = kinds.of(outer)
        nodes_only = nodes_only or shape.objects
        for item in shape.items(outer):
            try:
                found = kinds[type(item)]
            except TypeError:  # as in Kinds.of()
                found = search_kind(type(item))
            if not found:
                continue
            if found is EDGE or found is ASK:
                if look.is_edge(item, found, nodes_only=nodes_only):
                    return True
                continue
            known = name_of_search(item, nodes_only=nodes_only)
            if known not in seen:
                seen.add(known)
                stack.append((item, nodes_only))
    return False


def containers_with_edges(container: object, look: "Search") -> set[int]:
    """Return the containers that hold an edge, at any depth: this one, and those inside it, by `name_of_search`."""
    kinds = look.kinds
    holding: list[int] = []
    first = name_of_search(container, nodes_only=kinds.of(container).objects)
    outer_of: dict[int, list[int]] = {first: []}
    stack = [(container, first, False)]
    while stack:
        outer, name, nodes_only = stack.pop()
        shape = kinds.of(outer)
        nodes_only = nodes_only or shape.objects
        for item in shape.items(outer):
            found = kinds.of(item)
            if not found:
                continue
            if found is EDGE or found is ASK:
                if look.is_edge(item, found, nodes_only=nodes_only):
                    holding.append(name)
                continue
            inner = name_of_search(item, nodes_only=nodes_only or found.objects)
            if inner in outer_of:
                outer_of[inner].append(name)
            else:
                outer_of[inner] = [name]
                stack.append((item, inner, nodes_only))
    names: set[int] = set()
    while holding:
        here = holding.pop()
        if here not in names:
            names.add(here)
            holding += outer_of[here]
    return names


class ContainerCopy:
    """A copy of a container that holds edges, made at the call and filled when the body starts."""

    __slots__ = ("copy", "filled", "items", "kind", "open", "places", "shape")

    def __init__(self, container: Any, shape: Any) -> None:
        self.kind = type(container)
        self.shape = shape
        try:
            self.items = shape.items(container)
            self.copy = shape.copy(container)
        except RecursionError:
            raise
        except Exception as error:
            raise TypeError(
                f"an argument holds a node inside a {self.kind.__qualname__}, of which no copy can be made that has "
                f"the value in its place: {error}. Await the node first, or pass the object as opaque(...)"
            ) from error
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
                if type(item) is Node:
                    items[place] = item.value
                else:
                    items[place] = item.fill() if type(item) is ContainerCopy else fill_results(item)
            self.filled = self.shape.build(self.copy, items)
        return self.filled


class Search:
    """One look at the arguments of one call.

    `adopt` gives the node of an awaitable. `found` collects `(node, tolerant)`, one for each place; a tolerant
    edge waits whatever the outcome and passes the node itself.
    """

    __slots__ = ("adopt", "away", "copies", "edged", "found", "kinds", "loop", "outermost", "raw", "veiled")

    passes_values = True  # whether a node stands for its value

    def __init__(
        self, adopt: "Callable[[Any], Future[Any]]", loop: AbstractEventLoop, kinds: Kinds, *, raw: bool
    ) -> None:
        self.adopt = adopt
        self.loop = loop
        self.kinds = kinds
        self.raw = raw
        self.found: list[tuple[Future[Any], bool]] = []
        self.copies: dict[int, ContainerCopy] = {}  # by the name of the container, so that each is copied once
        self.outermost: Any = None
        self.edged: set[int] | None = None
        self.veiled = False  # whether there is a secret among the arguments
        self.away = False  # whether there is a node whose value is elsewhere

    def is_edge(self, value: object, found: object, *, nodes_only: bool) -> bool:
        """Return True if something else is to stand for a value; `found` is what its type is, see `Kinds`."""
        return type(value) in OURS if nodes_only else found is EDGE or inspect.isawaitable(value)

    def edge(self, value: Any) -> Any:
        """Add an edge and return what stands for its result until the body starts."""
        kind = type(value)
        if kind is Opaque or kind is Veiled:
            return value
        if kind is Secret:
            self.veiled = True
            return Veiled(value)
        tolerant = self.raw or kind is Settled
        node = self.adopt(value.dep if kind is Settled else value)
        self.away = self.away or type(node) is HeldNode
        self.found.append((node, tolerant))
        return Settled(node) if tolerant else node

    def argument(self, value: object) -> Any:
        """Return what stands for an argument until the body starts."""
        found = self.kinds.of(value)
        if found is EDGE or found is ASK:
            return self.edge(value) if self.is_edge(value, found, nodes_only=False) else self.passed(value)
        return self._outermost(value) if found and holds_edge(value, self) else self.passed(value)

    def passed(self, value: object) -> Any:
        """Return what stands for an argument that has no edge."""
        if self.raw:
            return Opaque(self._finish(value))
        try:
            hash(type(value))
        except TypeError:  # as in Kinds.of(); the engine would look the type up, too
            return Opaque(value)
        return value

    def _finish(self, value: object) -> "Future[Any]":
        future: Future[Any] = Future(loop=self.loop)
        future.set_result(value)
        return future

    def _outermost(self, container: object) -> ContainerCopy:
        self.outermost, self.edged = container, None
        try:
            return self._template(container, nodes_only=False)
        except RecursionError:
            msg = "an argument holds nodes inside more nested containers than Python can walk; flatten it"
            raise ValueError(msg) from None

    def _template(self, container: object, *, nodes_only: bool) -> ContainerCopy:
        """Copy a container with edges, once, and those inside it that have some."""
        shape = self.kinds.of(container)
        nodes_only = nodes_only or shape.objects
        name = name_of_search(container, nodes_only=nodes_only)
        known = self.copies.get(name)
        if known is not None:
            if known.open:
                raise CycleError([f"a {known.kind.__name__} with nodes", "itself"])
            return known
        copy = self.copies[name] = ContainerCopy(container, shape)
        takes_nodes = self.passes_values and not self.raw
        for place, item in enumerate(copy.items):
            if (
                type(item) is Node and takes_nodes and item.engine.loop is self.loop
            ):  # as edge(), for long lists of nodes
                self.found.append((item, False))
                copy.places.append(place)
                continue
            found = self.kinds.of(item)
            if not found:
                continue
            if found is EDGE or found is ASK:
                if not self.is_edge(item, found, nodes_only=nodes_only):
                    continue
                stand_in = self.edge(item)
            elif self._is_edged(item, nodes_only=nodes_only or found.objects):
                stand_in = self._template(item, nodes_only=nodes_only)
            else:
                continue
            copy.items[place] = stand_in
            copy.places.append(place)
        copy.open = False
        return copy

    def _is_edged(self, container: object, *, nodes_only: bool) -> bool:
        # Found for all at once: to look inside each container at each depth would take quadratic time.
        if self.edged is None:
            self.edged = containers_with_edges(self.outermost, self)
        return name_of_search(container, nodes_only=nodes_only) in self.edged


def fill_results(value: Any) -> Any:
    """Put results in the place of edges."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is ContainerCopy:
        return value.fill()
    if kind is Opaque:
        return value.value
    if kind is Settled:
        return deliver_settled(value.dep)
    # Not value.result(), with which a node takes its failure: a body starts only when its upstream has succeeded.
    if kind is Node:
        return value.value
    if kind is HeldNode:
        return value.value_for(value.engine.filling_for)
    return result(value) if issubclass(kind, Future) else value


def deliver_settled(node: Any) -> Any:
    """Return a settled node to a body that asked for it: from here on its failure is the body's to handle."""
    if node._fault is not None:
        node._fault.report.take()
    return node


def check_returned(node: Any, value: Any) -> None:
    """Refuse a value that holds a node which the body has called: it was not awaited. Raises `TypeError`.

    Nodes that the body was given, with `settled`, `raw` or `opaque`, may be returned. Looks at the first thousand things
    in the value, so that a large one costs little: where there are nodes, there is mostly nothing else.
    """
    try:
        if type(value) in PLAIN:
            return
    except TypeError:  # as in Kinds.of()
        return
    queue: deque[Any] = deque([value])
    left = MOST_RETURNED
    while queue and left:
        item = queue.popleft()
        left -= 1
        found = node.engine.kinds.of(item)
        if not found or found is ASK:
            continue
        if found is not EDGE:
            with suppress(Exception):  # such as of a dict that a thread changes: what cannot be read is let through
                queue.extend(islice(found.values(item), left))
        elif type(item) is Node and called_by(item, node):
            msg = (
                f"{node.name} returned {item!r}, a node that it has called, in place of its value. "
                f"Await it: `return await {item.name}(...)`; several with `await asyncio.gather(*nodes)`"
            )
            del node, value, queue, item  # the traceback of a failure holds this frame
            raise TypeError(msg)


def called_by(node: Node[Any], other: object) -> bool:
    """Return True if a node was called in the body of another."""
    return node_of(node._caller) is other


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
