"""Decide what becomes of the moments of a schedule that have come: which are released, and which have passed, and why.

It is a function of the moments and the time alone, and knows no store. Moments come one after the other; those that nobody
looked at for longer than the grace of the schedule are late, and its policy says what becomes of them:

    all       each of them is released
    latest    the last of them is released, unless one that is not late has come as well
    none      they have passed
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from aiodag.firings import Passed

NOBODY_LOOKED = "no worker looked at it in time"
MISSED = {"latest": f"{NOBODY_LOOKED}, and a later one is caught up", "none": f"{NOBODY_LOOKED}, and none is caught up"}


class Decision(NamedTuple):
    """The moments that are released, those that are not, and the first on which nothing is decided; None if there is none."""

    released: list[datetime]
    passed: list[Passed]
    next_at: datetime | None


class Verdict(NamedTuple):
    """What becomes of one moment: it is released where `state` is empty."""

    at: datetime
    state: str = ""
    reason: str = ""


def decide(
    moments: Iterable[tuple[datetime, str]], now: datetime, *, catch_up: str, grace: float, most: int = 1000
) -> Decision:
    """Decide on the moments until now: each comes with the reason why it is excluded, or with an empty one.

    At most `most` of them at once: where more have come, `next_at` is one of those.

    >>> from datetime import UTC
    >>> hours = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(24)]
    >>> found = decide([(each, "") for each in hours], hours[3], catch_up="none", grace=60)
    >>> [each.hour for each in found.released], [each.number for each in found.passed], found.next_at.hour
    ([3], [3], 4)
    """
    verdicts: list[Verdict] = []
    held: int | None = None  # where the last late one is, as long as it may be the latest
    late_until = now - timedelta(seconds=grace)
    next_at: datetime | None = None
    for at, excluded in moments:
        if at > now or len(verdicts) >= most:
            next_at = at
            # Where there are more of them than are looked at here, a late one that may be the latest is released.
            if at <= now and not excluded and catch_up == "latest":
                pass_over(verdicts, held)
            break
        if excluded:
            verdicts.append(Verdict(at, "skipped", excluded))
            continue
        is_late = at < late_until
        if catch_up == "latest":
            pass_over(verdicts, held)
            held = len(verdicts) if is_late else None
        missed = is_late and catch_up == "none"
        verdicts.append(Verdict(at, "missed", MISSED["none"]) if missed else Verdict(at))
    released = [each.at for each in verdicts if not each.state]
    return Decision(released, list(in_rows(verdicts)) if len(released) < len(verdicts) else [], next_at)


def pass_over(verdicts: list[Verdict], held: int | None) -> None:
    """Note that a late moment is not the latest, if there is one."""
    if held is not None:
        verdicts[held] = verdicts[held]._replace(state="missed", reason=MISSED["latest"])


def in_rows(verdicts: Iterable[Verdict]) -> Iterator[Passed]:
    """Give the moments that are not released, those in a row with the same reason as one."""
    for (state, reason), row in groupby(verdicts, key=itemgetter(1, 2)):
        some = list(row)
        if state:
            yield Passed(some[0].at.timestamp(), some[-1].at.timestamp(), len(some), state, reason)
