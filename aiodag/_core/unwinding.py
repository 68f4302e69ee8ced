"""Cancel a run from outside so that its bodies can undo what they did: what they call meanwhile runs, and is recorded.

The cancel comes to the innermost nodes, those that await no other one, and travels from there as an exception does, from each
node to the body that awaits it. So a saga is undone from the inside outwards:

    order ──awaits──► ship ──awaits──► message("SHIPPED")  ◄── cancelled
      ▲                 └─ finally: release()   1
      └─ finally: refund()                      2

Cancelled all at once, `order` would refund while `ship` still has what it is about to release.
"""

from typing import TYPE_CHECKING, Any

from aiodag._core.as_task import TASK
from aiodag._core.parking import is_at_node
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run


def unwind(run: "Run") -> None:
    """Cancel what is unfinished, innermost first. What is not done within the grace of the run is cancelled as a whole."""
    spared = () if run.hooks is None else run.hooks.nodes
    for node in sorted(run.live, key=is_running):
        if node not in spared and not any(up.run is run and not up.state.final for up in node._awaits):
            node.cancel(f"run {run.name!r} is being cancelled")
    body = run._body
    if (
        body is not None
        and not body.done()
        and not run._leaving
        and not is_at_node(run, getattr(body, "_fut_waiter", None))
    ):
        run._stopped_body = True
        body.cancel()
    if run.hooks is not None:
        run.hooks.cancel()
    run._end_timer()
    run._timer = run.loop.call_later(run.grace, run.abort)


def is_moving(run: "Run") -> bool:
    """Return True if a body is about to go on, or its value is on its way to whoever awaits it."""
    return any(node.state is State.RUNNING and is_about_to_step(node) for node in run.live)


def is_about_to_step(node: "Node[Any]") -> bool:
    """Return True if a body that has begun waits for nothing."""
    if node.driven != TASK:
        return True  # its value is written, and the engine is about to settle it
    stands_at: Any = node._fut_waiter  # type: ignore[attr-defined]  # of an asyncio task
    return stands_at is None or stands_at.done()


def is_running(node: "Node[Any]") -> bool:
    """Return True for a node whose body has begun: the others are cancelled first, and begin no more."""
    return node.state is State.RUNNING
