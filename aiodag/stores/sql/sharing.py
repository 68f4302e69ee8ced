"""Limits and capacities that all processes of a store share, as rows: one for what each process has of one."""

import json
import time
from collections.abc import Mapping
from typing import Any

from aiodag.records import Owner, live_owner
from aiodag.sharing import Settle, Share
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.rows import owner_of, owner_text
from aiodag.stores.sql.session import Session


class SharedPools(Database):
    """The shared limits and capacities of a store."""

    def share(self, owner: Owner, part: int, settles: Mapping[str, Settle]) -> None:
        """Settle pools by their names, with what processes have of them whose leases go on."""
        ours = owner_text(owner), part
        with self.writing(owner=True) as session:
            for name in sorted(settles):  # in this order everywhere: they are locked one after the other
                settle_pool(session, name, ours, settles[name])

    def next_start(self, name: str, interval: float) -> float:
        """Reserve the next start of those that are `interval` seconds apart; return when it is, by `time.monotonic`."""
        with self.writing(owner=True) as session:
            session.put_each("lock_pool", [(name,)])
            now, due = session.perform("next_start", {"name": name}).fetchone()
            here = time.monotonic()
            at = now if due is None else max(due, now)
            session.put_each("put_start", [(name, at + interval)])
            found: float = here + at - now
            return found


def settle_pool(session: Session, name: str, ours: tuple[str, int], settle: Settle) -> None:
    """Show a process what others have of a pool, and write what it has then. Where nothing changes, nothing is written.

    From the lock on no other process sees or changes the pool, until the transaction ends.
    """
    session.put_each("lock_pool", [(name,)])
    now = 0.0
    before: tuple[Any, ...] | None = None
    others: list[Share] = []
    for now, owner, part, *row, until in session.perform("shares_of_pool", {"name": name}).fetchall():
        if owner is None:  # the row that has the moment, where there is no other
            continue
        there = share_from_row(*row)
        if (owner, part) == ours:
            before = tuple(row)
        elif there is not None and live_owner(owner_of(owner), until, now) is not None:
            others.append(there)
        else:
            session.put_each("drop_share", [(name, owner, part)])
    share = settle(others, now)
    if share is None and before is not None:
        session.put_each("drop_share", [(name, *ours)])
    elif share is not None and row_of_share(share) != before:
        session.put_each("put_share", [(name, *ours, *row_of_share(share))])


def row_of_share(share: Share) -> tuple[str, str | None, float]:
    """Return what a process has of a pool as a row."""
    held = json.dumps({"attempts": share.attempts, "places": share.places})
    return held, None if share.wanted is None else json.dumps(share.wanted), share.since


def share_from_row(held: str, wanted: str | None, since: float) -> Share | None:
    """Return what a process has of a pool from its row; None if that is damaged."""
    try:
        there = json.loads(held)
        request = None if wanted is None else tuple((str(name), int(amount)) for name, amount in json.loads(wanted))
        places = [{str(name): int(amount) for name, amount in place.items()} for place in there["places"]]
        return Share(int(there["attempts"]), places, request, float(since))
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
