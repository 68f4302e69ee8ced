"""Settle a node with what its journal knows of it, in place of an attempt."""

from typing import TYPE_CHECKING, Any

from aiodag._core.node import Node
from aiodag.abc import NOTHING, Raised

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag.abc import Journal


def take_back(engine: "Engine", node: Node[Any], journal: "Journal") -> bool:
    """Settle a node with what it gave or raised in an earlier execution of its run, if that is known."""
    value = journal.recall(node)
    if value is NOTHING:
        return node.state.final  # cancelled, by what was held until now
    if type(value) is Raised:
        node._note_label(node.args)
        engine.fail(node, value.error)
        return True
    node._drop_call()
    node.value = value
    engine.succeed(node)
    return True
