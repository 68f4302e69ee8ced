"""How many nodes of a run may run at once, and who is next.

A body that awaits another node gives its seat away meanwhile, for that node may need one.
"""

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Generator
from typing import Any

from aiodag._core.node import Node


class Seats:
    """The seats of one run: given in the order of asking, first to bodies that come back."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.parked: deque[Any] = deque()  # nodes, and futures of bodies that come back

    def admit(self, node: Node[Any]) -> bool:
        """Tell whether a node may start now; if not, it is kept until another has ended."""
        if self.taken < self.limit:
            self.taken += 1
            node.admitted = True
            return True
        self.parked.append(node)
        return False

    def leave(self, node: Node[Any]) -> None:
        """Take back the seat of a node that has settled."""
        if node.admitted and not node.aside:
            self._give()

    def step_aside(self, node: Node[Any]) -> None:
        """Give the seat of a body away that begins to await."""
        node.aside += 1
        if node.aside == 1 and node.admitted:
            self._give()

    def come_back(self, node: Node[Any]) -> None:
        """Count a body as running again that awaits nothing any more."""
        node.aside -= 1
        if not node.aside and node.admitted and not node.state.final:
            self.taken += 1

    def readmit(self) -> Generator[Any, None, None]:
        """Wait in a body for a seat again, before the nodes that have not started."""
        while self.taken > self.limit:
            ticket: Future[None] = get_running_loop().create_future()
            self.taken -= 1
            self.parked.appendleft(ticket)
            try:
                yield from ticket
            finally:
                self.taken += 1

    def let_in(self) -> None:
        """Offer a free seat to the next that waits for one."""
        while self.parked and self.taken < self.limit:
            next_one = self.parked.popleft()
            if next_one.done():
                continue
            if type(next_one) is Node:
                next_one.engine.requeue(next_one)
            else:
                next_one.set_result(None)
            return

    def _give(self) -> None:
        self.taken -= 1
        self.let_in()
