"""Have a node settle as a future of somebody else does."""

from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag._core.node import Node, set_value

if TYPE_CHECKING:
    from aiodag._core.engine import Engine


def follow(engine: "Engine", node: Node[Any], future: Any) -> None:
    """Settle a node when a future does."""
    engine.release(node)
    engine.begin(node)
    node.source = future
    engine.alive.add(node)
    future.add_done_callback(partial(followed, engine, node), context=engine.context)


def followed(engine: "Engine", node: Node[Any], future: Any) -> None:
    """Settle a node as its future has ended."""
    engine.alive.discard(node)
    node.source = None  # else the table of what was adopted, which holds the node, would hold the future
    if node.state.final:
        return
    if future.cancelled():
        engine.stop(node, None)
    elif (error := future.exception()) is not None:
        engine.fail(node, error)
    else:
        node.initialise()
        set_value(node, future.result())
        engine.succeed(node)
