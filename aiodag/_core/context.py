"""Where a body is: its node and its run."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run

# A weak reference: a node is the asyncio task that holds this context, and must not hold itself.
NODE: "ContextVar[ref[Node[Any]] | None]" = ContextVar("aiodag.node", default=None)
RUN: "ContextVar[Run | None]" = ContextVar("aiodag.run", default=None)


def current_node() -> "Node[Any] | None":
    """Return the node whose body this is, or None outside of one. Works in threads and in tasks the body makes.

    >>> current_node() is None
    True
    """
    here = NODE.get()
    return None if here is None else here()


def current_run() -> "Run | None":
    """Return the run that owns the nodes made here, or None outside of one.

    >>> current_run() is None
    True
    """
    return RUN.get()
