"""What an executor returns in place of a large value: a handle to the value, which stays where it was made."""

from asyncio import InvalidStateError
from collections.abc import Callable
from typing import Any

from aiodag.errors import ValueGone


class HeldValue:
    """A value that stays where it was made: what `run` of an executor may return in place of the value itself.

    A node whose body ends with one succeeds, and its value stays there. A task that runs on the same `executor` gets the
    handle wherever the value stands among its arguments, at any depth, and `run` of the executor puts there what the cluster
    understands. All others get the value: it is fetched once, before their bodies start, or when somebody awaits the node.

    The value may be freed when nothing refers to the handle any more: a node lets go of it with itself, and a consumer when
    its attempt has ended. So a class of handles frees it in `__del__`, which can be called in any thread, or has an
    attribute that does, such as a future of Dask or a reference of Ray. Handles refer to nothing that refers to them.

    `size` is in bytes.

    >>> from aiodag import task
    >>> from aiodag.held_values import HeldValue
    >>> class Parked(HeldValue):
    ...     async def fetch(self):
    ...         print("fetched")
    ...         return self.value
    >>> class Elsewhere:
    ...     async def run(self, fn, /, *args, **kwargs):
    ...         args = [each.value if isinstance(each, Parked) else each for each in args]
    ...         held = Parked(self, size=100_000)
    ...         held.value = fn(*args, **kwargs)
    ...         return held
    >>> elsewhere = Elsewhere()
    >>> words = task(str.split, executor=elsewhere)("to be or not")
    >>> await task(len, executor=elsewhere)(words)
    fetched
    4
    """

    def __init__(self, executor: object, size: int) -> None:
        self.executor = executor
        self.size = size

    async def fetch(self) -> Any:
        """Return the value, brought here. Raises `ValueGone` if it is nowhere any more."""
        raise ValueGone(f"{type(self).__name__} has no way to fetch it")

    def fetch_now(self) -> Any:
        """Return the value as `fetch` does, and block until it is here: `node.result()` calls it.

        Raises `asyncio.InvalidStateError` if that cannot be: whoever has the node awaits it instead.
        """
        msg = f"the value stays on {self.executor!r} until somebody asks for it in a coroutine: `await node`"
        raise InvalidStateError(msg)

    async def apply(self, fn: Callable[[Any], Any], /) -> Any:
        """Return `fn(value)`, called where the value is if that is possible: what writes a large value there.

        `fn` can be pickled, and what it returns is small. Without a method of its own, the value is fetched.
        """
        return fn(await self.fetch())
