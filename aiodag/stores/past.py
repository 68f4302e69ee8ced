"""What earlier executions of a run have left of its nodes, taken as the run comes to them."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag.abc import Runs
    from aiodag.records import Claim, Claimed, Known, Past


class WholePast:
    """All that is known of a run, at once: of one with few nodes, or in memory anyway."""

    def __init__(self, known: "dict[str, Known]") -> None:
        self._left = known
        self.last = max((each.number for each in known.values()), default=-1)
        self.turn = max((each.turn for each in known.values()), default=0)
        self.successes = sum(each.state is State.SUCCEEDED for each in known.values())

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, key: object) -> bool:
        return key in self._left

    def take(self, key: str) -> "Known | None":
        """Return what is known of a node, and forget it."""
        return self._left.pop(key, None)


def past_of(claimed: "Claimed") -> "Past | WholePast":
    """Return what is known of a run that is claimed."""
    return WholePast(claimed.known) if claimed.past is None else claimed.past


def last_attempts(store: "Runs", claim: "Claim", claimed: "Claimed") -> Mapping[str, int]:
    """Return the last attempts of a run by task, where tasks are known by their names."""
    if claim.definition is None:
        return claimed.tried
    return store.attempts_by_task(claim.id) if claimed.past is None else claimed.past.attempts


async def opened_past(claimed: "Claimed") -> "Claimed":
    """Return a run that is claimed when what is known of it can be read: not in the keeper's thread, which keeps leases."""
    if claimed.past is not None:
        await asyncio.to_thread(claimed.past.open)
    return claimed


async def close_past(past: "Past | WholePast", engine: "Engine") -> None:
    """Let go of what is open, which takes real time: a virtual clock stands still meanwhile."""
    if isinstance(past, WholePast):
        return
    with engine.real_time:
        await asyncio.to_thread(past.close)


class Remembered:
    """What is known of nodes by their keys: of those that are made and have not taken it, and, unread, of all others."""

    def __init__(self, past: "Past | WholePast") -> None:
        self.past = past
        self._held: dict[str, Known] = {}

    def __len__(self) -> int:
        return len(self._held) + len(self.past)

    def __contains__(self, key: object) -> bool:
        return key in self._held or key in self.past

    def take(self, key: str) -> "Known | None":
        """Return what is known of a node that is made now, and hold it."""
        known = self._held.get(key)
        if known is None and self.past:
            known = self.past.take(key)
            if known is not None:
                self._held[key] = known
        return known

    def get(self, key: str) -> "Known | None":
        """Return what is held of a node."""
        return self._held.get(key)

    def hold(self, key: str, known: "Known") -> None:
        """Hold what is known of a node from now on."""
        self._held[key] = known

    def drop(self, key: str) -> None:
        """Hold nothing of a node any more: nobody will ask for it."""
        self._held.pop(key, None)
