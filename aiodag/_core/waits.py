"""Await a node without owning it: who awaits, on whose behalf, and whether anybody still does."""

from asyncio import AbstractEventLoop, Future, _get_running_loop, current_task
from typing import Any

from aiodag._core.as_task import AsTask
from aiodag._core.context import current_node
from aiodag._core.deadlock import find_cycle
from aiodag._core.node import Node, Onlooker, Waiter
from aiodag.errors import Deadlock, ForeignLoop


def wait_for_node(loop: AbstractEventLoop, node: Node[Any], kind: type[Waiter] = Waiter) -> Waiter:
    """Note that somebody awaits a node. Raises `Deadlock` in a body for which the node waits."""
    if _get_running_loop() is not loop:
        raise ForeignLoop(node, closed=loop.is_closed())
    waiter = kind(loop=loop)
    waiter.awaited = node
    waiter.body = waiter.seats = waiter.stands_for = None
    # Only the body itself: an asyncio task that it made may await what waits for the body, which goes on.
    body = current_task()
    if type(body) is Node:
        cycle = [each.name for each in find_cycle(body, node)]
        if cycle:
            del node, waiter, body  # the failure's traceback holds this frame, and they hold the failure
            raise Deadlock(cycle)
        if kind is Waiter:  # else a cancel that goes upstream would come to it
            waiter.body = body
            body._awaits = (*body._awaits, node)
    run = node.run
    if run is not None and run.seats is not None:
        waits = current_node()
        if waits is not None and waits.run is run:
            waiter.seats = run.seats
            waiter.stands_for = waits
            run.seats.step_aside(waits)
    if node._downstream is None:
        node._downstream = []
    node._downstream.append(waiter)
    return waiter


def held_back(node: Node[Any]) -> "Future[None] | None":
    """Return what a node is to wait for before its body begins, None for nothing."""
    held = (each.hold() for each in node._downstream or () if isinstance(each, Waiter))
    return next((each for each in held if each is not None), None)


def is_needed(node: Node[Any]) -> bool:
    """Return True if anything waits for a node, or has ended already."""
    entries = node._downstream or []
    # Only the end is looked at, and dropped when it is done: constant time for each of many awaiters.
    while entries and entries[-1].done():
        entries.pop()
    # From there: what is behind an onlooker may be done as well.
    others = (each for each in reversed(entries) if type(each) is not Onlooker)
    return any(not each.done() for each in others) or node._is_watched() or AsTask.done(node)
