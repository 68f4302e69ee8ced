"""Awaitables that are not nodes, passed as edges: each becomes a node, always the same one."""

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.context import RUN
from aiodag._core.edges import Search, close_coroutines
from aiodag._core.node import Node
from aiodag._core.states import State
from aiodag.errors import ForeignLoop

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.task import Task


class Adopted:
    """Stands for the task of an awaitable that was passed as an edge."""

    after_deps, raw, code, call = (), False, None, None

    def __init__(self, awaitable: Any) -> None:
        coroutine = awaitable.get_coro() if isinstance(awaitable, asyncio.Task) else awaitable
        self.name = getattr(coroutine, "__qualname__", type(awaitable).__name__)

    @staticmethod
    def fn(awaitable: Any) -> Any:
        """Return what the attempt drives."""
        return awaitable


def search(engine: "Engine", node: Node[Any]) -> list[tuple[Node[Any], bool]]:
    """Find the edges of a call that is more than plain values and nodes: each with whether it takes any outcome."""
    task = node.task
    look = Search(lambda awaitable: adopt(engine, awaitable), engine.loop, raw=task.raw)
    try:
        for dep in task.after_deps:
            look.dependency(dep)
        args = tuple([look.argument(value) for value in node.args])
        kwargs = {key: look.argument(value) for key, value in node.kwargs.items()}
    except BaseException:
        close_coroutines(node.args, node.kwargs)
        raise
    node.args, node.kwargs = args, kwargs
    found = cast("list[tuple[Node[Any], bool]]", look.found)
    if found:
        node.after = tuple([up for up, _ in found])
    return found


def adopt(engine: "Engine", awaitable: Any) -> Node[Any]:
    """Return the node that stands for an awaitable: the same coroutine or future gives the same node."""
    if type(awaitable) is Node:
        if awaitable.engine is not engine:
            raise ForeignLoop(awaitable, closed=awaitable.engine.loop.is_closed())
        return awaitable
    try:
        known = engine.adopted.get(awaitable)
    except TypeError:  # not hashable, or without weak references: it cannot be known again
        return stand_in(engine, awaitable)
    if known is None:
        known = stand_in(engine, awaitable)
        engine.adopted[awaitable] = known
    return known


def stand_in(engine: "Engine", awaitable: Any) -> Node[Any]:
    """Make a node that runs a coroutine, or follows a future."""
    future = awaitable if asyncio.isfuture(awaitable) else None
    if future is not None and future.get_loop() is not engine.loop:
        raise ForeignLoop(future, closed=future.get_loop().is_closed())
    node: Node[Any] = Node.__new__(Node)
    node.code, node.instruction = None, 0
    node.task, node.engine = cast("Task[..., Any]", Adopted(awaitable)), engine
    node.args, node.kwargs = (awaitable,), {}
    node.context = copy_context()
    node.downstream = None
    node.attempt = node.pending = 0
    node.state = State.WAITING
    node.run = RUN.get()
    if node.run is not None:
        node.run.enter(node, [])
    if future is None:
        engine.release(node)
    else:
        engine.follow(node, future)
    return node
