"""Wall clocks and real time: zones, the hours that a zone skips, and those that it repeats.

A zone is put forward: the wall clock goes from 02:00 to 03:00, and 02:30 does not exist (a *gap*). It is put back: 01:30 comes twice,
in a first and in a second *pass*. Real time (UTC) knows nothing of this, so everything is compared there.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from aiodag.schedules.fields import shown_text, shown_thing

MACHINE_ONLY = (
    "localtime",
    "posixrules",
    "posix/",
    "right/",
)  # what a machine has under this name differs, or counts leap seconds
OFFSET = re.compile(r"[+-]\d")
SECOND = timedelta(seconds=1)
# The largest change that a zone ever made is a whole day: Alaska repeated one in 1867, Samoa skipped one in 2011.
LARGEST_CHANGE = timedelta(hours=25)


def zone_of(zone: object) -> ZoneInfo:
    """Return a zone of the IANA database by its name, such as "Europe/Paris". Raises ValueError for any other."""
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone
    if zone is UTC:
        return ZoneInfo("UTC")
    if not isinstance(zone, str):
        what = shown_thing(zone)
        raise ValueError(f"timezone {what}: a name such as 'Europe/Paris', or a ZoneInfo with one")  # noqa: TRY004 - one kind for all
    try:
        found = None if zone.startswith(MACHINE_ONLY) else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        found = None
    if found is None:
        raise ValueError(f"timezone {shown_text(zone)}: not in the zone database{near_zone(zone)}")
    return found


def near_zone(zone: str) -> str:
    """Return a suggestion for a name that is not a zone."""
    names = {name for name in available_timezones() if not name.startswith(MACHINE_ONLY)}
    if not names:
        return ", which is missing here: pip install tzdata"
    if not zone.isascii() or len(zone) > 100:
        return ""
    by_end = {name.lower().replace("_", " ").rpartition("/")[2]: name for name in sorted(names)}
    lower = {name.lower(): name for name in names}
    asked = zone.lower()
    near = lower.get(asked) or by_end.get(asked.replace("_", " "))
    close = [near] if near else [lower[each] for each in get_close_matches(asked, lower, 1, 0.75)]
    if close:
        return f"; did you mean {close[0]}?"
    return "; an offset knows no summer time, write a name such as Europe/Paris" if OFFSET.search(zone) else ""


def wall_clock(moment: datetime, zone: tzinfo) -> datetime:
    """Return what the wall clock of a zone shows at a moment, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def moments_at_wall(wall: datetime, zone: tzinfo) -> list[datetime]:
    """Return the moments at which the wall clock of a zone shows `wall`: one, two where it is put back, none in a gap."""
    first, second = offsets_of(wall, zone)
    early, late = (wall - first).replace(tzinfo=UTC), (wall - second).replace(tzinfo=UTC)
    if first == second:
        return [early]
    return [early, late] if first > second else []


def first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first moment at which the wall clock shows `wall`, or the end of the gap that it lies in."""
    if found := moments_at_wall(wall, zone):
        return found[0]
    before, after = offsets_of(wall, zone)
    return moment_of_change(zone, (wall - after).replace(tzinfo=UTC) - SECOND, (wall - before).replace(tzinfo=UTC))


def offsets_of(wall: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offset of a wall clock as PEP 495 gives it, for its first and for its second pass."""
    local = wall.replace(tzinfo=zone)
    return local.utcoffset() or timedelta(), local.replace(fold=1).utcoffset() or timedelta()


def offset_at(moment: datetime, zone: tzinfo) -> timedelta:
    """Return the offset of a zone at a moment."""
    return moment.astimezone(zone).utcoffset() or timedelta()


def moment_of_change(zone: tzinfo, start: datetime, end: datetime) -> datetime:
    """Return the moment after `start` and not after `end` from which on a zone has the offset that it has at `end`."""
    last = offset_at(end, zone)
    span = int((end - start) / SECOND)
    before, after = 0, span
    while after - before > 1:
        middle = (before + after) // 2
        if offset_at(start + middle * SECOND, zone) == last:
            after = middle
        else:
            before = middle
    return start + after * SECOND


def put_back_between(zone: tzinfo, start: datetime, end: datetime) -> datetime | None:
    """Return when a zone is put back after `start` and not after `end`, at most a day apart; None if it is not."""
    return moment_of_change(zone, start, end) if offset_at(end, zone) < offset_at(start, zone) else None
