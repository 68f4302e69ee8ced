"""Cancel a node: where it waits, and with what nothing else needs."""

from collections import deque
from typing import TYPE_CHECKING, Any

from aiodag._core.as_task import CALLED_OFF, EAGER, TASK, cancel_task, on_done
from aiodag._core.deadlock import needs
from aiodag._core.interrupts import put_back_wakeup
from aiodag._core.node import Node
from aiodag._core.waits import is_needed

if TYPE_CHECKING:
    from aiodag._core.engine import Engine


def cancel_node(engine: "Engine", node: Node[Any], message: str | None) -> bool:
    """Cancel a node: at once if its attempt has not started, else where it waits."""
    if node.driven:
        put_back_wakeup(engine.loop)
        if node.driven != TASK:
            node.driven = CALLED_OFF
        elif not EAGER:
            # Not eager, the attempt may not have had its first step: then it never has one to settle itself in.
            on_done(node, engine.ended, context=engine.context)
        return bool(cancel_task(node, message))
    engine.alive.discard(node)
    node.value = None  # of a body that has ended, and whose value is not written yet
    engine.stop(node, message)
    return True


def cancel_with_upstream(engine: "Engine", node: Node[Any], message: str | None) -> bool:
    """Cancel a node and, iteratively, what it waits for, unless something else needs that."""
    queue = deque(needs(node))
    cancelled = cancel_node(engine, node, message)
    while queue:
        up = queue.popleft()
        # In this order: what has been cancelled does not need its own upstream any more.
        if not up.state.final and not is_needed(up):
            queue.extend(needs(up))
            cancel_node(engine, up, f"{node.name}, which needed it, was cancelled")
    return cancelled
