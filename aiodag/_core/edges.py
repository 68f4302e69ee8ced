"""What is passed to a call: awaitables, which are edges, and marks that say how to pass one."""

import inspect
from collections.abc import Awaitable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from aiodag._core.node import Node

T = TypeVar("T")

PLAIN = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), type, range, slice})


class Opaque:
    """Stands for a value that is passed as it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Settled:
    """Stands for an awaitable whose settled node is passed, whatever the outcome."""

    __slots__ = ("dep",)

    def __init__(self, dep: Any) -> None:
        self.dep = dep


def opaque(value: T) -> T:
    """Pass `value` to the body as it is: an awaitable is not waited for, a huge container is not searched.

    >>> from aiodag import opaque, task
    >>> @task
    ... async def kind(x):
    ...     return type(x).__name__
    >>> node = kind(1)
    >>> await kind(node), await kind(opaque(node))
    ('str', 'Node')
    """
    return value if type(value) is Opaque else cast("T", Opaque(value))


def settled(dep: Awaitable[T]) -> "Node[T]":
    """Wait for `dep` to settle, whatever its outcome; as an argument, pass the settled node itself.

    Raises `TypeError` for what is not awaitable.

    >>> from aiodag import settled, task
    >>> @task
    ... async def fetch():
    ...     raise TimeoutError
    >>> @task
    ... async def report(node):
    ...     return str(node.state)
    >>> await report(settled(fetch()))
    'failed'
    """
    if not is_awaitable(dep):
        msg = f"settled() got {dep!r}, which is not awaitable. Pass a node, a future or a coroutine"
        raise TypeError(msg)
    return cast("Node[T]", Settled(dep))


def value_of(awaitable: Awaitable[T]) -> T:
    """Tell a type checker that `awaitable` stands for its value; return it unchanged.

    Use it where a node is passed as a keyword or inside a container.

    >>> from aiodag import task, value_of
    >>> @task
    ... async def double(x: int) -> int:
    ...     return 2 * x
    >>> await double(x=value_of(double(10)))
    40
    """
    return cast("T", awaitable)


def is_awaitable(value: object) -> bool:
    """Return True if `await value` would work; the same answer as `inspect.isawaitable`, sooner."""
    kind = type(value)
    return hasattr(kind, "__await__") or (kind is GeneratorType and inspect.isawaitable(value))
