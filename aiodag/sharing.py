"""Limits and capacities that all processes of a store share: what each of them has, and the seams on both sides of that.

    engine ──ticket──► SharedPool ──► keeper's thread ──settle──► Sharing: one transaction of the store

Each process says in the store all that it has of a pool, and what the first of its attempts that wait asks for. Who wants
more looks at what the others have, takes what is left, and writes that, in one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from aiodag._core.holdings import Ticket
    from aiodag.ownership import Owner


class Pool(NamedTuple):
    """What there is under a name, as one process was told: amounts in each place, in millionths, and how many attempts."""

    name: str
    totals: Sequence[Mapping[str, int]]
    limit: int | None


class Share(NamedTuple):
    """What one process has of a pool. `wanted` is what the first attempt that waits asks for, None if none does.

    `since` is the moment by the store's clock since which one waits without another having got something.
    """

    attempts: int
    places: Sequence[Mapping[str, int]]
    wanted: tuple[tuple[str, int], ...] | None
    since: float


# What a process does in a transaction: it sees what others have, and the store's clock, and says what it has itself from then
# on; None if that is nothing. What does not come to a commit is asked for again.
Settle = Callable[[Sequence[Share], float], Share | None]


class Sharing(Protocol):
    """What a store does for limits and capacities that several processes share, besides what `Runs` asks of it.

    Every method may block; each is one transaction.
    """

    def share(self, owner: "Owner", part: int, settles: Mapping[str, Settle]) -> None:
        """Settle pools by their names, with what processes have of them whose leases go on.

        `part` tells those apart that one process has opened under different addresses.
        """
        ...

    def next_start(self, name: str, interval: float) -> float:
        """Reserve the next start of those that are `interval` seconds apart; return when it is, by `time.monotonic`."""
        ...


class SharedPool(Protocol):
    """A pool of the store of a run, as the engine sees it."""

    def tell(self, ticket: "Ticket") -> None:
        """Take note of a ticket that asks, or leaves. From any thread."""
        ...

    async def next_start(self, interval: float) -> float:
        """Reserve the next start of those that are `interval` seconds apart; return when it is, by `time.monotonic`."""
        ...
