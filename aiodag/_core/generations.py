"""Begin the body of a node again, as the next generation of its run: the history of what it called ends with this one.

A body calls `begin_again`, which raises `BegunAgain` out of it. What drives the body asks here for the next generation, and
goes on in the same asyncio task, under the same node:

    body ──► raises BegunAgain ──► all that it has called settles ──► a journal forgets that ──► body, with other arguments
     ▲                                                                                             │
     └──────────────────────────────────── as often as it likes ◄──────────────────────────────────┘
"""

from asyncio import sleep
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node, node_of
from aiodag._core.node import Node, Onlooker
from aiodag._core.waits import wait_for_node
from aiodag.errors import BegunAgain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiodag._core.run import Run


def beginning_node(arguments: "Mapping[str, object]") -> Node[Any]:
    """Return the node whose body begins again here. Raises `RuntimeError` and `TypeError` where none can."""
    node = current_node()
    if node is None:
        msg = "begin_again() was called outside of a body: call it in the body of the task that is to begin again"
        raise RuntimeError(msg)
    around = node_of(node._caller)
    if around is not None and around.run is node.run:
        msg = f"begin_again() was called in {node.name}, which {around.name} has called: what begins again is the body that nothing encloses"
        raise RuntimeError(f"{msg}. Return what is to come next, and call it there")
    for name, value in arguments.items():
        if isinstance(value, Node):
            msg = f"begin_again({name}={value!r}): the next generation is given values; await the node first"
            raise TypeError(msg)
    node.task.check((), dict(arguments))
    return node


async def next_generation(node: Node[Any], again: BegunAgain) -> Any:
    """Run the body of a node another time. Raises what it raises, and `BegunAgain` if that was not the last time."""
    arguments: Any = again.arguments
    again.__traceback__ = again.__context__ = None  # they hold the frames of what is over
    del again
    run = node.run
    try:
        await sleep(0)  # a body that waits for nothing must not stop the loop
        if run is not None:
            await end_generation(node, run, arguments)
        node.engine.anew(node)
        journal = None if run is None else run._journal
        if journal is not None:
            return await journal(node, (), arguments)
        if node.task.call is not None:
            return await node.task.call(node, (), arguments)
        node.engine.begin(node)
        return await node.task.fn(**arguments)
    finally:
        del node, run, arguments  # a failure's traceback holds this frame


async def end_generation(node: Node[Any], run: "Run", arguments: "Mapping[str, Any]") -> None:
    """Wait for what a body has called, and have it forgotten.

    Raises a failure of that which nobody has taken: then there is no next one.
    """
    try:
        while below := [each for each in run.live if is_below(each, node)]:
            await Settlement(below.pop())
        for failure in run.untaken.values():
            raise failure.exception
        if run._journal is not None:
            await run._journal.begin_again(node, arguments)
    finally:
        del node, run, arguments  # as above


def is_below(node: Node[Any], body: Node[Any]) -> bool:
    """Return True if a node was called in a body, or in one that was called there."""
    around = node_of(node._caller)
    while around is not None and around is not body:
        around = node_of(around._caller)
    return around is not None


class Settlement:
    """Await that a node has settled, whatever its outcome, which stays with whoever wants it."""

    __slots__ = ("node",)

    def __init__(self, node: Node[Any]) -> None:
        self.node = node

    def __await__(self) -> Generator[Any, None, None]:
        node = self.node
        waiter = wait_for_node(node.engine.loop, node, Onlooker)
        try:
            yield from waiter
        finally:
            waiter.forget()
        if waiter.seats is not None:
            yield from waiter.seats.readmit()
