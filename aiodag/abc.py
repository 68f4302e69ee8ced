"""The seams: what a layer, or your own code, can put into aiodag.

A *middleware* wraps the call of a node. An *observer* is told of every move and cannot interfere.
An *executor* is where an attempt runs.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.states import State


class Move(NamedTuple):
    """One move of one node, as an observer sees it. `at` is in seconds of the loop's clock."""

    node: "Node[Any]"
    previous: "State | None"
    state: "State"
    at: float
    attempt: int


class Observer(Protocol):
    """Is told of every move of every node of a run, in order, at once.

    An observer that raises is reported through the loop's exception handler; the run goes on.
    """

    def moved(self, move: Move, /) -> object:
        """Take note of a move. Must not block."""
        ...


class Executor(Protocol):
    """Where an attempt runs.

    The one method gets the task's function and its finished arguments, and returns or raises as the function did.
    Cancelling it must end the attempt, or leave it and say so with `Node.abandon`.
    """

    async def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn(*args, **kwargs)` somewhere and return its value."""
        ...


class Middleware(Protocol):
    """Wraps the call of a node: does something, awaits `call_next()`, does something."""

    async def __call__(self, node: "Node[Any]", call_next: Callable[[], Awaitable[Any]], /) -> Any:
        """Return what the node's body returned, or something in its place."""
        ...
