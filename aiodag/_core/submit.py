"""Make the node of a call, and of every awaitable that is passed as an edge without being a node."""

import asyncio
import sys
from asyncio import _get_running_loop
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.context import RUN
from aiodag._core.edges import PLAIN, Search, close_coroutines
from aiodag._core.engine import Engine
from aiodag._core.node import Node
from aiodag._core.states import State
from aiodag.errors import ForeignLoop, NoLoop

if TYPE_CHECKING:
    from aiodag._core.task import Task

WAITING = State.WAITING
new_node: Any = Node.__new__


def submit(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node[Any]:
    """Make the node of a call. Called by what the user calls, so that the caller's frame is two up."""
    loop: Any = _get_running_loop()
    try:
        engine: Engine = loop.aiodag_engine
    except AttributeError:
        engine = engine_here(task, args, kwargs)
    if kwargs or not task.fewest <= len(args) <= task.most:
        check(task, args, kwargs)

    node: Node[Any] = new_node(Node)
    frame = sys._getframe(2)  # noqa: SLF001 - the one way to know the place of the call
    node.code = frame.f_code
    node.instruction = frame.f_lasti
    node.task = task
    node.engine = engine
    node.args = args
    node.kwargs = kwargs
    node.context = copy_context()
    node.downstream = None
    node.attempt = node.pending = 0
    node.driven = False
    node.state = WAITING
    node.run = run = RUN.get()
    if run is not None and run.loop is not loop:
        node.run = run = None  # a plain function that runs a loop of its own, in a thread with our context

    upstream: Any = ()
    node.edged = False
    if kwargs or task.special:
        upstream = search(engine, node)
    else:
        for value in args:
            kind = type(value)
            if kind is Node and value.engine is engine:
                upstream = (*upstream, (value, False))
                node.edged = True
            elif kind not in PLAIN:
                upstream = search(engine, node)
                break
    if run is not None:
        run.enter(node, upstream)
    if upstream:
        engine.connect(node, upstream)
    if not node.pending and node.state is WAITING:
        engine.release(node)
    if node.run is not None and node.run.stopping:
        node.cancel("its run is being cancelled")
    return node


def check(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call that does not fit the signature, before anything is scheduled."""
    try:
        task.check(args, kwargs)
    except TypeError:
        close_coroutines(args, kwargs)
        raise


def engine_here(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Engine:
    """Return the engine of the running loop. Raises `NoLoop` where none runs."""
    loop: Any = _get_running_loop()
    if loop is None:
        close_coroutines(args, kwargs)
        raise NoLoop(task.name)
    return engine_of(loop)


def engine_of(loop: Any) -> Engine:
    """Return the engine of a loop, made for the first call on it.

    It is kept on the loop itself: a table of loops would be shared by threads, and cost a lookup for each call.
    """
    engine: Engine | None = getattr(loop, "aiodag_engine", None)
    if engine is None:
        engine = loop.aiodag_engine = Engine(loop)
    return engine


class Adopted:
    """Stands for the task of an awaitable that was passed as an edge."""

    stands_in = True
    after_deps, raw, code, call = (), False, None, None

    def __init__(self, awaitable: Any) -> None:
        # Not of a done one: after an eager start get_coro() crashes on Python 3.12 (cpython issue 122332).
        coroutine = awaitable.get_coro() if isinstance(awaitable, asyncio.Task) and not awaitable.done() else awaitable
        self.name = getattr(coroutine, "__qualname__", type(awaitable).__name__)

    @staticmethod
    def fn(awaitable: Any) -> Any:
        """Return what the attempt drives."""
        return awaitable


def search(engine: Engine, node: Node[Any]) -> list[tuple[Node[Any], bool]]:
    """Find the edges of a call that is more than plain values and nodes: each with whether it takes any outcome."""
    task = node.task
    look = Search(partial(adopt, engine), engine.loop, raw=task.raw)
    try:
        for dep in task.after_deps:
            look.dependency(dep)
        args = tuple([look.argument(value) for value in node.args])
        kwargs = {key: look.argument(value) for key, value in node.kwargs.items()}
    except BaseException:
        close_coroutines(node.args, node.kwargs)
        raise
    node.args, node.kwargs = args, kwargs
    node.edged = True
    found = cast("list[tuple[Node[Any], bool]]", look.found)
    if found:
        node.after = tuple([up for up, _ in found])
    return found


def adopt(engine: Engine, awaitable: Any) -> Node[Any]:
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


def stand_in(engine: Engine, awaitable: Any) -> Node[Any]:
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
    node.driven = node.edged = False
    node.state = State.WAITING
    run = RUN.get()
    node.run = run if run is not None and run.loop is engine.loop else None
    if node.run is not None:
        node.run.enter(node, [])
    if future is None:
        engine.release(node)
    else:
        engine.follow(node, future)
    return node
