"""The root of the errors, and how a copy of one is made."""

from typing import Any

from aiodag.faces import publish


class AiodagError(Exception):
    """The base of every error that aiodag itself finds. What a body raises keeps its own type.

    >>> from aiodag import AiodagError, task
    >>> try:
    ...     task(print, retires=3)
    ... except AiodagError as error:
    ...     print(type(error).__name__)
    UnknownOption
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args), vars(self) or None


def remade(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Make a copy of an error, from pickle or `copy`, with its finished text: `__init__` would build another one.

    >>> from aiodag.errors import Skip, remade
    >>> remade(Skip, ("no new rows today",))
    Skip('no new rows today')
    """
    return kind.__new__(kind, *args)


# A pickled error names `remade`, and must find it by the same path wherever that is written.
publish("aiodag.errors", globals(), __name__)
