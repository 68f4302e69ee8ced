"""Leave the value of a node where it was made, and bring it here for those who need it here.

A node that takes such values gets another task, as one with secrets does: its call waits for them before its body starts.
"""

import asyncio
from asyncio import _unregister_task
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.as_task import TASK, on_done
from aiodag._core.context import RUN
from aiodag._core.edges import Settled
from aiodag._core.held import HeldNode, WayHome
from aiodag._core.letting_go import leavable
from aiodag._core.named import NamedExecutor, executor_named
from aiodag._core.node import Node, Tolerant, Waiter
from aiodag._core.search import ContainerCopy, fill_results

if TYPE_CHECKING:
    from aiodag._core.task import Task
    from aiodag.held_values import HeldValue


async def leave_there(node: Node[Any], held: "HeldValue") -> Any:
    """Have the value of a node stay where it is, and return its handle; the value, if somebody here waits for it already."""
    if node.driven != TASK:
        await asyncio.sleep(0)  # from here on the node is an asyncio task, and settled by itself
    node._drop_call()
    away: Any = node
    away.__class__ = HeldNode
    away._held, away._way = held, None
    wanted = node._is_watched()
    # To asyncio it is not done before its value is here: among its tasks that go on, its end would be waited for.
    on_done(node, _unregister_task, context=node.engine.context)
    for entry in node._downstream or ():
        if type(entry) is Waiter:
            wanted = wanted or not entry.done()
        elif isinstance(entry, Tolerant):
            wait_for_values(entry.node)
        elif isinstance(entry, Node):
            wait_for_values(entry)
    if not wanted:
        return held
    await away.way_home()
    return away.way_home().value()


def wait_for_values(node: Node[Any]) -> None:
    """Have a node that was called wait for the values that it needs here, before its body starts."""
    if node.args is None:
        return
    if not node.after:
        node.after = tuple([each for each in node.args if isinstance(each, Node)])
    node._plain = node._edged = False
    node.task = fetching(node.task)


def fetching(task: "Task[..., Any]") -> "Task[..., Any]":
    """Return a task whose attempts begin when the values that they need here have come."""
    if getattr(task, "fetched", None) is not None:
        return task
    made: Task[..., Any] = object.__new__(type(task))  # not copy(), which may take a task for its name
    vars(made).update(vars(task), fetched=task)

    async def call(node: Node[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        try:
            here = executor_under(node)
            for way in ways_home([*args, *kwargs.values()], here):
                await way
            node.engine.filling_for = here
            args = [fill_results(value) for value in args]
            kwargs = {name: fill_results(value) for name, value in kwargs.items()}
            if task.call is not None:
                body: Any = task.call(node, args, kwargs)
            else:
                node.engine.begin(node)
                body = leavable(node, task.fn(*args, **kwargs))
            del args, kwargs  # the body's from here on
            return await body
        finally:
            del node  # a failure's traceback holds this frame

    made.call = call
    return made


def beneath(task: "Task[..., Any]", change: "Callable[[Task[..., Any]], Task[..., Any]]") -> "Task[..., Any]":
    """Return a task changed; one whose attempts wait for values does so before all that the change adds."""
    fetched = getattr(task, "fetched", None)
    return change(task) if fetched is None else fetching(change(fetched))


def executor_under(node: Node[Any]) -> Any:
    """Return the executor that the body of a node runs on."""
    executor = node.task.there or node.task.options.executor
    return executor_named(executor.name, RUN.get()) if type(executor) is NamedExecutor else executor


def ways_home(values: list[Any], executor: object) -> "list[WayHome]":
    """Set out to fetch all values that a body needs which runs on an executor; return their ways home."""
    return [node.way_home() for node, asked in held_among(values) if asked or node._held.executor is not executor]  # type: ignore[union-attr]  # as held_among() says


def held_among(values: list[Any]) -> "Iterator[tuple[HeldNode[Any], bool]]":
    """Yield the nodes among filled-in-later arguments whose values are elsewhere, each with whether the node itself is passed."""
    stack = list(values)
    seen: set[int] = set()
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is HeldNode and item._held is not None:
            yield item, False
        elif kind is Settled and type(item.dep) is HeldNode and item.dep._held is not None:
            yield item.dep, True
        elif kind is ContainerCopy and id(item) not in seen:
            seen.add(id(item))
            stack += [item.items[place] for place in item.places]
