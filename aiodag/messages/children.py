"""Begin a run out of a body: a child, which has an id, a state and a history of its own.

    parent has no store ──► the child is a run on this loop
    parent was begun by a program or `aiodag run` ──► the child is one too, in the same store
    parent is of a queue, or `queue=` is given ──► the child is submitted, and the node waits for its end

The last one is a wait as for a message: whoever ends the child settles it, and a parent that does nothing else is parked.
"""

import sys
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from aiodag._core.context import current_node
from aiodag._core.doors import open_door
from aiodag._core.run import Run
from aiodag._core.run_options import id_of
from aiodag._core.task import Task, task
from aiodag.errors import NotATask, OptionError
from aiodag.messages.call_sites import called_in
from aiodag.messages.starters import run_alone, run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiodag._core.node import Node

T = TypeVar("T")
ENDINGS = ("cancel", "detach")


class ChildTask(Task[..., Any]):
    """The task of a node that begins a run: what that begins with, and where."""

    entry: Task[..., Any]
    queue: str | None
    detached: bool


async def begin_child(
    name: str,  # noqa: ARG001 - of what it begins, in the key of the node
    run_id: str,
    /,
    *args: object,
    **kwargs: object,
) -> object:
    """Begin a run and return its value; of one that is let go of, its id."""
    node: Any = current_node()
    try:
        made: ChildTask = node.task
        if node.run is not None and node.run.journal is not None:
            return await open_door("children").begin_recorded(node, made, run_id, args, kwargs)
        if made.detached:
            engine, own_id = node.engine, run_id or id_of(None, made.entry.name)
            run_alone(engine.loop, engine.alive, Run(made.entry.name, id=own_id), made.entry, *args, **kwargs)
            return own_id
        return await run_here(Run(made.entry.name, id=run_id or None), made.entry, args, kwargs)
    finally:
        del node  # a failure's traceback holds this frame


BEGIN = task(begin_child, name="begin")


@overload
def begin(
    entry: "Task[..., T] | Callable[..., Coroutine[Any, Any, T]]",
    /,
    *args: object,
    id: str | None = None,
    queue: str | None = None,
    on_parent: Literal["cancel"] = "cancel",
    **kwargs: object,
) -> "Node[T]": ...
@overload
def begin(
    entry: "Task[..., Any] | Callable[..., Coroutine[Any, Any, Any]]",
    /,
    *args: object,
    id: str | None = None,
    queue: str | None = None,
    on_parent: Literal["detach"],
    **kwargs: object,
) -> "Node[str]": ...
def begin(
    entry: "Task[..., Any] | Callable[..., Coroutine[Any, Any, Any]]",
    /,
    *args: object,
    id: str | None = None,  # noqa: A002 - the word of the field
    queue: str | None = None,
    on_parent: str = "cancel",
    **kwargs: object,
) -> "Node[Any]":
    """Begin a run of its own, once, with a task or an async function and its arguments: the node of the run's value.

    The run has `id`, or one that is made of that of its parent. In a run of a queue it is submitted to `queue`, or to that of
    its parent, and the parent holds no process while it only waits for it. Then `entry` must be at the top of a file, and
    arguments plain JSON. Elsewhere the run is one on this loop, in the store of its parent, unless a `queue` is given.

    The node fails with `RunFailed` or `RunCancelled` as the run does; cancelled, as with its parent, it cancels the run.
    `on_parent="detach"` lets the run go instead: the node is that of its id, as soon as it is recorded, and whatever becomes of
    the parent, the run goes on.

    Raises `NotATask`, `OptionError`, and `TypeError` for arguments that do not fit, all at the call.

    >>> from aiodag import Run, task
    >>> from aiodag.messages import begin
    >>> @task
    ... async def order(name):
    ...     return f"{name} shipped"
    >>> async with Run("day") as run:
    ...     orders = [begin(order, name) for name in ("A17", "B4")]
    >>> [node.result() for node in orders]
    ['A17 shipped', 'B4 shipped']
    """
    if not isinstance(entry, Task) and not iscoroutinefunction(entry):
        raise NotATask(entry, "begins no run", taker="begin", wanted="a task or an async function")
    if on_parent not in ENDINGS:
        raise OptionError(
            "on_parent", on_parent, "'cancel' or 'detach': what becomes of the run with the one that begins it"
        )
    if queue is not None:
        queue = open_door("children").queue_for_children(queue)
    made: Any = object.__new__(ChildTask)
    vars(made).update(vars(BEGIN))
    made.entry = entry if isinstance(entry, Task) else Task(entry)
    taken = made.entry.options
    if taken.given:  # what is kept of the child's value, and how, is for the child to say
        made.options = BEGIN.options.but(codec=taken.codec, journal=taken.journal)
    made.queue, made.detached = queue, on_parent == "detach"
    made.waits = "" if made.detached else "run"
    made.entry.check(args, kwargs)
    node = made(made.entry.name, "" if id is None else id_of(id, ""), *args, **kwargs)
    return called_in(sys._getframe(1), node)  # noqa: SLF001 - as for the call of any task
