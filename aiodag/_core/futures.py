"""Have a node settle as a future of somebody else does."""

from asyncio import CancelledError, Task
from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.node import Node

if TYPE_CHECKING:
    from aiodag._core.engine import Engine


def follow_future(engine: "Engine", node: Node[Any], future: Any) -> None:
    """Settle a node when a future does."""
    engine.release(node)
    engine.begin(node)
    node._source = future
    engine.alive.add(node)
    future.add_done_callback(partial(settle_with_future, engine, node), context=engine.context)


def stop_with_future(engine: "Engine", node: Node[Any], future: Any) -> None:
    """Settle a node whose future was cancelled, or is a task that ended in a `CancelledError` of its own making."""
    try:
        future.result()
    except CancelledError as error:
        if not isinstance(future, Task) or is_asked(future, error):
            engine.stop(node, None)
        else:
            engine.fail(node, as_failure(node.name, error))
    finally:
        del node, future  # the failure's traceback holds this frame


def settle_with_future(engine: "Engine", node: Node[Any], future: Any) -> None:
    """Settle a node as its future has ended."""
    engine.alive.discard(node)
    node._source = None  # else the table of what was adopted, which holds the node, would hold the future
    if node.state.final:
        return
    if future.cancelled():
        stop_with_future(engine, node, future)
    elif (error := future.exception()) is not None:
        engine.fail(node, error)
    else:
        node.value = future.result()
        engine.succeed(node)
