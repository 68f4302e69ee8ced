"""How many nodes of a run may run at once, and who is next.

A body that awaits another node gives its seat away meanwhile, for that node may need one. So does one that waits for nodes
through asyncio, as with `gather`: it comes back without waiting for a seat, for there is no place to make it wait.
"""

import asyncio.tasks
from asyncio import Future, get_running_loop
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from math import inf
from typing import Any

from aiodag._core.context import current_node
from aiodag._core.node import Node


class Seats:
    """The seats of one run: given by priority and in the order of asking, first to bodies that come back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.parked: list[tuple[float, int, Any]] = []  # a heap: nodes, and futures of bodies that come back
        self.came = 0

    def admit(self, node: Node[Any]) -> bool:
        """Return True if a node may start now; if not, it is kept until another has ended."""
        task = node.task
        # What only waits for the world, or for what it encloses, takes no seat: it would keep it while it waits for a limit.
        if not node._admitted and not task.waits and not task.encloses:
            if self.taken >= self.limit:
                self.came += 1
                heappush(self.parked, (-node.task.options.priority, self.came, node))
                return False
            self.taken += 1
            node._admitted = True
        return True

    def leave(self, node: Node[Any]) -> None:
        """Take back the seat of a node that has settled."""
        if node._admitted and not node._aside:
            self._give()

    def step_aside(self, node: Node[Any]) -> None:
        """Give the seat of a body away that begins to await."""
        node._aside += 1
        if node._aside == 1 and node._admitted:
            self._give()

    def come_back(self, node: Node[Any]) -> None:
        """Count a body as running again that awaits nothing any more."""
        node._aside -= 1
        if not node._aside and node._admitted and not node.state.final:
            self.taken += 1

    def readmit(self) -> Generator[Any, None, None]:
        """Wait in a body for a seat again, before the nodes that have not started."""
        while self.taken > self.limit:
            ticket: Future[None] = get_running_loop().create_future()
            self.taken -= 1
            self.came += 1
            heappush(self.parked, (-inf, -self.came, ticket))  # before those behind which it already stood once
            try:
                yield from ticket
            finally:
                self.taken += 1

    def watch(self, node: Node[Any], fn: "Callable[[Any], object]") -> "Callable[[Any], object]":
        """Return the callback to add to a node; if asyncio adds it for a body of the run, that gives its seat away."""
        body = current_node()
        if body is None or body.run is not node.run or not is_of_asyncio(fn):
            return fn
        self.step_aside(body)
        return Watch(fn, body, self)

    def unwatch(self, node: Node[Any], fn: "Callable[[Any], object]") -> None:
        """Give the seats back of bodies whose callback is removed from a node."""
        for callback, _ in node._watchers():
            if type(callback) is Watch and callback == fn:
                callback.end()

    def let_in(self) -> None:
        """Offer a free seat to the next that waits for one."""
        while self.parked and self.taken < self.limit:
            next_one = heappop(self.parked)[2]
            if next_one.done():
                continue
            if type(next_one) is Node:
                # From here on: until it starts, others that become ready would take its seat.
                self.taken += 1
                next_one._admitted = True
                next_one.engine.requeue(next_one)
            else:
                next_one.set_result(None)
            return

    def _give(self) -> None:
        self.taken -= 1
        self.let_in()


def is_of_asyncio(fn: "Callable[[Any], object]") -> bool:
    """Return True for the callbacks with which `asyncio.gather`, `wait` and the like wait for futures."""
    return getattr(getattr(fn, "func", fn), "__module__", None) == asyncio.tasks.__name__  # `wait_for` has a partial


class Watch:
    """A callback of asyncio on a node. Until it is called or removed, the body that has it added has no seat."""

    __slots__ = ("body", "fn", "seats")

    def __init__(self, fn: "Callable[[Any], object]", body: Node[Any], seats: Seats) -> None:
        self.fn = fn
        self.body: Node[Any] | None = body
        self.seats = seats

    def __call__(self, node: Node[Any]) -> None:
        self.end()
        self.fn(node)

    def __eq__(self, other: object) -> bool:
        """Return True for the callback that it stands for: asyncio removes it by that."""
        return self is other or self.fn == other

    def end(self) -> None:
        """Count the body as running again, if it waits for nothing else."""
        body, self.body = self.body, None
        if body is not None:
            self.seats.come_back(body)


class Aside:
    """Awaits a future in a body that gives its seat away meanwhile, as a body does that awaits a node."""

    __slots__ = ("future", "node", "seats")

    def __init__(self, future: "Future[Any]", node: Node[Any], seats: Seats) -> None:
        self.future = future
        self.node = node
        self.seats = seats

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            self.seats.step_aside(self.node)
            try:
                value = yield from self.future
            finally:
                self.seats.come_back(self.node)
            yield from self.seats.readmit()
            return value
        finally:
            del self  # the traceback of a cancel holds this frame
