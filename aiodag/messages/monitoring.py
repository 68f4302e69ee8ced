"""Say once that something takes too long, and let it go on."""

import sys
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag._core.edges import opaque
from aiodag._core.generations import Settlement
from aiodag._core.node import Node
from aiodag._core.options import check_seconds
from aiodag._core.task import Task, task
from aiodag.errors import NotATask
from aiodag.messages.call_sites import called_in
from aiodag.messages.group import first_of
from aiodag.messages.waits import sleep

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


class OverdueTask(Task[..., Any]):
    """The task of a node that looks after another one, and what that calls."""

    alert: Task[..., Any]


async def until_settled(watched: Node[Any]) -> None:
    """Wait until a node has settled, whatever its outcome, which is not ours."""
    if not watched.state.final:
        await Settlement(watched)


async def watch_node(watched: Node[Any], after: float) -> bool:
    """Call for help if a node has not settled after so many seconds; return whether that was so."""
    made: Any = current_node()
    alert: Task[..., Any] = made.task.alert
    first = await first_of(settled=UNTIL_SETTLED(opaque(watched)), late=sleep(after))
    if first.name == "settled":
        return False
    await alert()
    return True


UNTIL_SETTLED = task(until_settled, name="settled")
OVERDUE = task(watch_node, name="overdue", key=lambda watched, after: watched)  # noqa: ARG005 - never by its seconds


def overdue(node: "Node[Any]", *, after: "float | timedelta", call: "Callable[[], object]") -> "Node[bool]":
    """Call something once if a node has not settled `after` seconds (or a `timedelta`) from now: the node of whether that was so.

    `call` is a task or function without arguments, such as one that sends a message; it is a node of the run, and so done
    once. The node that is looked after goes on, and is neither needed nor cancelled by this. If it settles in time, nothing
    is called.

    Raises `OptionError` for what cannot be a time, and `TypeError` for what is not a node or cannot be called without arguments.

    >>> import asyncio
    >>> from aiodag import task
    >>> from aiodag.messages import overdue
    >>> from aiodag.testing import run
    >>> @task
    ... async def pack():
    ...     await asyncio.sleep(90)
    ...     return "packed"
    >>> @task
    ... async def alert():
    ...     print("packing takes long")
    >>> async def main():
    ...     packing = pack()
    ...     late = overdue(packing, after=60, call=alert)
    ...     return await packing, await late
    >>> run(main())
    packing takes long
    ('packed', True)
    """
    seconds = check_seconds("after", after)
    given: Any = node
    if not isinstance(given, Node):
        msg = f"overdue() got {node!r:.80} to look after, which is not a node: pass what the call of a task gives"
        raise TypeError(msg)
    if not callable(call):
        raise NotATask(call, taker="overdue")
    made: Any = object.__new__(OverdueTask)
    vars(made).update(vars(OVERDUE))
    made.alert = call if isinstance(call, Task) else task(call)
    made.alert.check((), {})
    return called_in(sys._getframe(1), made(opaque(node), seconds))  # noqa: SLF001 - as for the call of any task
