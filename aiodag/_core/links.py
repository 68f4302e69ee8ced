"""The edges between nodes: made at the call, and cut when a node that waits settles."""

from typing import Any

from aiodag._core.as_task import SUCCEEDED
from aiodag._core.deadlock import needs
from aiodag._core.node import Node, Tolerant


def connect(node: Node[Any], upstream: list[tuple[Node[Any], bool]]) -> None:
    """Make the edges of a new node. An upstream that has settled counts at once."""
    for up, tolerant in upstream:
        state = up.state
        if state is SUCCEEDED:
            continue
        if not state.final:
            node.pending += 1
            entry = Tolerant(node) if tolerant else node
            if up.downstream is None:
                up.downstream = [entry]
            else:
                up.downstream.append(entry)
        elif not tolerant:
            node.engine.follow_down(node, up)
            return


def connect_plain(node: Node[Any], upstream: tuple[Node[Any], ...]) -> None:
    """Make the edges of a new node that all need a success."""
    for up in upstream:
        if up.state is SUCCEEDED:
            continue
        if up.state.final:
            node.engine.follow_down(node, up)
            return
        node.pending += 1
        if up.downstream is None:
            up.downstream = [node]
        else:
            up.downstream.append(node)


def cut_upstream(node: Node[Any]) -> None:
    """Have the upstream nodes that are unfinished let go of one that waits no longer.

    Whole lists are cleared of such when half of one has settled: removing each at once would take the square of
    the time, and keeping them until the upstream settles would hold what nobody needs, and its failure untold.
    """
    for up in needs(node):
        if up.downstream:
            up.stale += 1
            if up.stale * 2 >= len(up.downstream):
                up.downstream = [entry for entry in up.downstream if entry is not node and not entry.done()]
                up.stale = 0
