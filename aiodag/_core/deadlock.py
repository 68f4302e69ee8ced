"""Find the cycle that a body closes by awaiting a node that waits for that body."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from aiodag._core.node import Node, Tolerant
from aiodag.states import State

CameFrom = dict[Node[Any], Node[Any] | None]


def find_cycle(body: Node[Any], awaited: Node[Any]) -> list[Node[Any]]:
    """Return the cycle that `body` closes by awaiting `awaited`, from `body` round to itself, or nothing.

    Two searches in step, up from what is awaited and down from what awaits: the one that ends first decides. A huge
    graph on one side costs nothing where the other side is small, as it nearly always is.
    """
    for (up, ups), (down, downs) in zip(walk(awaited, needs), walk(body, needed_by), strict=False):
        if up is body:
            return [body, *reversed(way_back(up, ups))]
        if down is awaited:
            return [body, *way_back(down, downs)]
    return []


def walk(
    start: Node[Any], neighbours: Callable[[Node[Any]], Iterator[Node[Any]]]
) -> Iterator[tuple[Node[Any], CameFrom]]:
    """Yield every unfinished node that can be reached, nearest first, with the way it was reached."""
    came_from: CameFrom = {start: None}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        yield node, came_from
        for other in neighbours(node):
            if other not in came_from and not other.state.final:
                came_from[other] = node
                queue.append(other)


def needs(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield what a node waits for: its upstream before it starts, what its body awaits afterwards."""
    if node.state is State.WAITING:
        yield from node.after or [value for value in node.args if type(value) is Node]
    yield from node._awaits


def needed_by(node: Node[Any]) -> Iterator[Node[Any]]:
    """Yield what waits for a node: downstream nodes, and the bodies that await it."""
    for entry in node._downstream or ():
        if type(entry) is Node:
            yield entry
        elif isinstance(entry, Tolerant):
            yield entry.node
        elif entry.body is not None:
            yield entry.body


def way_back(node: Node[Any], came_from: CameFrom) -> list[Node[Any]]:
    """Return the nodes from one that was reached back to where the search began."""
    way = [node]
    while (previous := came_from[way[-1]]) is not None:
        way.append(previous)
    return way
