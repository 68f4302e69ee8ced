"""Groups of runs in a store in memory: of each, one goes on and one waits.

submitted ──► nobody goes on ──► it may begin
          └─► it is held, in place of one that was held before ──the other has ended──► it may begin
"""

from collections.abc import Iterable, Iterator

from aiodag.states import State
from aiodag.stores.firing_rules import replaced_text
from aiodag.stores.kept import KeptRun


def enter_group(runs: Iterable[KeptRun], kept: KeptRun, now: float) -> None:
    """Have a run go on, or wait, with the others of its group: from when it might begin."""
    place = kept.queued
    if place is None or place.submission.group is None:
        return
    others = [other for other in group_members(runs, place.submission.group) if other is not kept]
    for other in others if place.submission.backfill is None else ():
        if other.queued is not None and other.queued.submission.backfill is not None:
            continue  # one of a backfill waits for its turn: it neither replaces nor cancels others, nor they it
        if is_held(other):
            other.end(replaced_text(place.submission.group, kept.claim.id), now, State.CANCELLED)
        elif place.submission.cancel_in_progress:
            other.ask_to_cancel(now)
    place.held = any(other.ended_at is None for other in others)


def begin_held(runs: Iterable[KeptRun]) -> bool:
    """Have those begin whose groups nobody holds any more; return True if there were any."""
    groups: dict[str, list[KeptRun]] = {}
    for kept in list(runs):
        if is_held(kept) and kept.queued is not None and kept.queued.submission.group is not None:
            groups.setdefault(kept.queued.submission.group, []).append(kept)
    free = [waiting[0] for group, waiting in groups.items() if all(map(is_held, group_members(runs, group)))]
    for kept in free:
        if kept.queued is not None:
            kept.queued.held = False
    return bool(free)


def group_members(runs: Iterable[KeptRun], group: str) -> Iterator[KeptRun]:
    """Give the runs of a group that have not ended, but for those whose time has not come."""
    for kept in list(runs):
        place = kept.queued
        if place is not None and place.submission.group == group and kept.ended_at is None and place.due_at is None:
            yield kept


def is_held(kept: KeptRun) -> bool:
    """Return True for a run that waits until another one of its group has ended."""
    return kept.state is State.QUEUED and kept.queued is not None and kept.queued.held
