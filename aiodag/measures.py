"""The seam of what a store counts for those who watch over it.

People import it from `aiodag.abc`.
"""

from typing import TYPE_CHECKING, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from aiodag.records import TaskSeconds


class Measures(Protocol):
    """What a store counts: each of it with few statements, for it is asked for every few seconds.

    >>> from aiodag.abc import Measures
    >>> from aiodag.stores import Memory
    >>> def counts(store: Measures) -> dict[str, int]:
    ...     return store.counts_by_state()
    >>> counts(Memory())
    {}
    """

    def counts_by_state(self) -> dict[str, int]:
        """Return how many runs are in which state."""
        ...

    def oldest_waiting(self) -> dict[str, float]:
        """Return for each queue when the oldest run was made that could begin now, in seconds since the epoch."""
        ...

    def task_seconds(self, since: float, until: float, limit: int) -> "tuple[float, list[TaskSeconds]]":
        """Return what the nodes of runs took that ended after a moment and no later than another one.

        Of those that ended first, up to `limit` or some more that ended in the same moment: also up to which end that is.
        """
        ...


publish("aiodag.abc", globals(), __name__)
