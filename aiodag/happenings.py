"""What may happen in a store that somebody else waits for, and the seam of what hears of it."""

from collections.abc import Collection
from enum import StrEnum
from typing import Protocol


class Happening(StrEnum):
    """What others may wait for in a store.

    >>> from aiodag.happenings import Happening
    >>> Happening("queued") is Happening.QUEUED
    True
    """

    QUEUED = "queued"  # a run waits in a queue, or there is room for one
    ENDED = "ended"  # a run has ended
    CANCEL = "cancel"  # somebody wants a run cancelled
    PLACES = "places"  # a process asks for, or leaves, places of a shared limit
    LINES = "lines"  # a run has logged or written something
    WOKEN = "woken"  # what a run waits for has come: a message, a moment, the end of another run
    SCHEDULED = "scheduled"  # a schedule or a backfill is there, or another one
    OUTGOING = "outgoing"  # a message is to leave by a transport


EVERYTHING = frozenset(Happening)


class Listener(Protocol):
    """Hears of what others commit to a store. One thread waits with it.

    >>> from aiodag.abc import Listener
    >>> from aiodag.happenings import Happening
    >>> from aiodag.stores import Memory
    >>> class Nearby:
    ...     def wait(self): return {Happening.QUEUED}
    ...     def interrupt(self): ...
    ...     def close(self): ...
    >>> class Told(Memory):
    ...     def listener(self) -> Listener:
    ...         return Nearby()
    >>> Told().listener().wait()
    {<Happening.QUEUED: 'queued'>}
    """

    def wait(self) -> Collection[Happening]:
        """Block until something may have happened, and return what; nothing after `interrupt`.

        Raises `StoreError` when nothing can be heard any more.
        """
        ...

    def interrupt(self) -> None:
        """End the wait, this one or the next. Called in any thread."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
