"""Moments as people write them: with a zone, or as the wall clock of a trigger shows them."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from aiodag.schedules.fields import shown_text, shown_thing
from aiodag.schedules.zones import first_moment

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)


def point_of(written: object, zone: tzinfo) -> datetime:
    """Return the moment, in UTC, of an aware datetime, or of an ISO text, which without an offset is on the zone's wall clock.

    Raises ValueError for anything else: a datetime without a zone could mean anybody's.
    """
    moment = moment_of_text(written, zone) if isinstance(written, str) else written
    if not isinstance(moment, datetime):
        what = shown_thing(written)
        raise ValueError(f"{what}: an aware datetime, or a text such as '2026-01-31 08:00'")  # noqa: TRY004 - one kind for all
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{written}: has no zone, and means another moment in each; give it one: .replace(tzinfo=...)")
    return in_reach(moment)


def moment_of_text(text: str, zone: tzinfo) -> datetime:
    """Return the moment of an ISO text."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{shown_text(text)}: not a moment; write it as '2026-01-31 08:00' or with an offset"
        ) from None
    if moment.tzinfo is None:
        moment = first_moment(moment, zone) if EARLIEST.year < moment.year < LATEST.year else moment.replace(tzinfo=UTC)
    return moment


def in_reach(moment: datetime) -> datetime:
    """Return a moment in UTC, where every zone can still say what its wall clock shows."""
    try:
        return min(max(moment.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if moment.year < EARLIEST.year else LATEST


def day_of(written: object) -> date | None:
    """Return the day of a date, or of a text such as `2026-12-24`; None for anything else. Raises ValueError for the 30th of February."""
    if isinstance(written, date) and not isinstance(written, datetime):
        return written
    if not isinstance(written, str) or not DAY.fullmatch(written.strip()):
        return None
    try:
        return date.fromisoformat(written.strip())
    except ValueError:
        raise ValueError(f"{shown_text(written)}: not a day of the calendar") from None


def day_start(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day in a zone, in UTC."""
    return in_reach(first_moment(datetime.combine(day, time()), zone)) if day.year > EARLIEST.year else EARLIEST


def day_end(day: date, zone: tzinfo) -> datetime:
    """Return the last moment of a day in a zone, in UTC."""
    return day_start(day + timedelta(days=1), zone) - datetime.resolution if day.year < LATEST.year else LATEST
