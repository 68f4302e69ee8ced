"""Where calls stand that are made on behalf of another call: in the code of whoever waits."""

from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiodag._core.node import Node


def called_in(frame: FrameType, node: "Node[Any]") -> "Node[Any]":
    """Have a node say that its call stands where ours does: in the code of who waits."""
    run = node.run
    if run is None:
        node.code, node.instruction = frame.f_code, frame.f_lasti
        return node
    run.ledger.site(node, frame.f_code, frame.f_lasti)
    if node.task.waits:
        run.ledger.waits[node.number] = node.task.waits
    return node
