"""Refuse to use a node as if it were its value, and say what to do."""

import sys
from inspect import CO_ITERABLE_COROUTINE
from typing import TYPE_CHECKING, Any


class NoValue:
    """Makes iteration, items, `in`, `len()` and pickling a `TypeError`; truth and text stay those of an asyncio task.

    An asyncio task can be iterated: `yield from` is how a coroutine of `types.coroutine` awaits, and what an `__await__`
    may do. A loop over one calls the same method, and would get what only an event loop should see; of one that is
    done, nothing.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # to a checker a node has no items, and has to stay so

        def __iter__(self) -> Any:
            caller = sys._getframe(1).f_code
            if caller.co_flags & CO_ITERABLE_COROUTINE or caller.co_name == "__await__":
                return self.__await__()
            raise self._no_value("iterated")

        def __getitem__(self, key: object) -> Any:
            raise self._no_value("subscripted")

        def __contains__(self, item: object) -> bool:
            raise self._no_value("searched with `in`")

        def __len__(self) -> int:
            raise self._no_value("measured with len()")

        def __bool__(self) -> bool:
            return True  # in spite of __len__: `if job: job.cancel()` is an idiom

    def __reduce__(self) -> Any:
        msg = (
            f"{self!r} cannot be pickled or copied: it is a node, which the loop of this process settles. "
            "Pass it without settled(), raw or opaque(), and the body gets its value; "
            "or have a task that runs here look at its outcome"
        )
        raise TypeError(msg)

    def _no_value(self, verb: str) -> TypeError:
        return TypeError(
            f"{self!r} cannot be {verb}: it is a node, which stands for a value that may not be there yet. "
            f"Await it first, or pass it to a task, whose body gets the value"
        )
