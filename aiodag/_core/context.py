"""Where a body is: its node and its run."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiodag._core.node import Node
    from aiodag._core.run import Run

# A weak proxy, which is made sooner than a weak reference: a node is the asyncio task that holds this context, and must
# not hold itself.
NODE: "ContextVar[Node[Any] | Attempted | None]" = ContextVar("aiodag.node", default=None)
SHIPPED: "ContextVar[bool]" = ContextVar("aiodag.shipped", default=False)  # whether a worker of a cluster calls this
RUN: "ContextVar[Run | None]" = ContextVar("aiodag.run", default=None)


class Attempted(ref["Node[Any]"]):
    """The node whose body this is, and which of several attempts: what an earlier one left running is told apart."""

    __slots__ = ("attempt",)

    attempt: int

    def _itself(self) -> "Node[Any]":
        """Return the node. Raises `ReferenceError` when it has gone, as a weak proxy does."""
        node = self()
        if node is None:
            raise ReferenceError
        return node


def attempt_here(node: "Node[Any]") -> int:
    """Return the number of the attempt of the current node that this is called in."""
    here = NODE.get()
    return here.attempt if type(here) is Attempted else node.attempt


def node_of(here: "Node[Any] | Attempted | None") -> "Node[Any] | None":
    """Return the node that a value of `NODE` stands for, None if there is none any more."""
    try:
        return None if here is None else here._itself()
    except ReferenceError:
        return None


def bodies_around(node: "Node[Any]") -> "Iterator[Node[Any]]":
    """Yield the nodes in whose bodies a call stands, innermost first."""
    around = node_of(node._caller)
    while around is not None:
        yield around
        around = node_of(around._caller)


def current_node() -> "Node[Any] | None":
    """Return the node whose body this is, or None outside a body. Works in threads and in tasks the body makes.

    >>> from aiodag import current_node, task
    >>> @task(retries=1)
    ... async def fetch():
    ...     if current_node().attempt == 1:
    ...         raise TimeoutError
    ...     return current_node().name
    >>> await fetch()
    'fetch'
    >>> current_node() is None
    True
    """
    return node_of(NODE.get())


def current_run() -> "Run | None":
    """Return the run that owns the nodes made here, or None outside a run.

    >>> from aiodag import Run, current_run
    >>> async with Run("etl"):
    ...     print(current_run().name)
    etl
    >>> current_run() is None
    True
    """
    return RUN.get()
