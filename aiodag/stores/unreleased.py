"""Let go of runs, now or later: where the store fails at that moment, it is tried again.

Nobody else can: a run is under the lease of its process, and that lease goes on as long as the process does.
"""

import os
import threading
from collections.abc import Container, Hashable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, cast

from aiodag.errors import LeaseLost, StoreError
from aiodag.records import Claimed, Owner

if TYPE_CHECKING:
    from aiodag.abc import Inbox, Queue, Runs

Leaving = Literal["store", "queue", "parked"]  # whoever comes, or a worker of its queue; or nobody before it is woken
Left = tuple[Claimed, Leaving]

UNRELEASED: dict[Hashable, list[Left]] = {}  # of this process, by the place of their store
lock = threading.Lock()


def leave_runs(store: "Runs", left: Sequence[Left]) -> None:
    """Let go of runs in a store; note those that it cannot let go of now."""
    try:
        if back := [claimed for claimed, place in left if place == "queue"]:
            cast("Queue", store).give_back(back)  # it has a queue: they were taken from it
        if other := [claimed for claimed, place in left if place == "store"]:
            store.release(other)
        for claimed in [claimed for claimed, place in left if place == "parked"]:
            park_run(cast("Inbox", store), claimed)
    except StoreError:  # what is done already is found not to be held, later
        keep_unreleased(store, left)


def park_run(store: "Inbox", claimed: Claimed) -> None:
    """Let go of a run that only waits."""
    with suppress(LeaseLost):  # deleted, or taken over meanwhile
        store.park(claimed)


def release_again(store: "Runs", owner: Owner, going: Container[int]) -> None:
    """Let go of the runs that could not be let go of before, if nobody has gone on with them.

    `going` has the numbers of runs that still have a task here. Those stay for later: the task is about to end.
    """
    with lock:
        kept = UNRELEASED.pop(store.place, [])
    try:
        held = store.held_runs(owner) if kept else {}
    except StoreError:
        keep_unreleased(store, kept)
        return
    still = [each for each in kept if each[0].execution == held.get(each[0].run, (0,))[0]]
    keep_unreleased(store, [each for each in still if each[0].run in going])
    leave_runs(store, [each for each in still if each[0].run not in going])


def keep_unreleased(store: "Runs", left: Sequence[Left]) -> None:
    """Note runs that could not be let go of."""
    if left:
        with lock:
            UNRELEASED.setdefault(store.place, []).extend(left)


def forget_unreleased() -> None:
    """Forget, in a forked process, what the parent has noted."""
    global lock  # another thread of the parent may have held it
    lock = threading.Lock()
    UNRELEASED.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_unreleased)
