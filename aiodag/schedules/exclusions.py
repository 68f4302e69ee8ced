"""Moments that a trigger leaves out: days, minutes of a cron expression, single moments, those of another trigger."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, cast
from zoneinfo import ZoneInfo

from aiodag.abc import Trigger
from aiodag.schedules.calendar import MINUTE, Calendar
from aiodag.schedules.expressions import read_expression
from aiodag.schedules.fields import shown_text, shown_thing
from aiodag.schedules.points import day_end, day_of, day_start, point_of
from aiodag.schedules.zones import wall_clock

Stretch = tuple[datetime, datetime]


class Exclusion(Protocol):
    """Some moments that are left out."""

    def stretch_at(self, moment: datetime) -> Stretch | None:
        """Return the first and the last moment of what is left out around `moment`; None if that is not left out."""
        ...

    def form(self) -> Any:
        """Return how it is written, as JSON."""
        ...

    def __str__(self) -> str: ...


class ExcludedDays(NamedTuple):
    """Whole days of a zone, from the first to the last moment, and how they are written."""

    first: datetime
    last: datetime
    written: str

    def stretch_at(self, moment: datetime) -> Stretch | None:
        """Return the days, if a moment is in them."""
        return (self.first, self.last) if self.first <= moment <= self.last else None

    def form(self) -> str:
        """Return the days as text: `2026-12-24`, or `2026-12-24/2027-01-02`."""
        return self.written

    def __str__(self) -> str:
        return self.written


class ExcludedMinutes(NamedTuple):
    """The minutes at which the wall clock of a zone shows what an expression names, both passes of a repeated hour included."""

    calendar: Calendar
    zone: ZoneInfo
    written: str

    def stretch_at(self, moment: datetime) -> Stretch | None:
        """Return the minute of a moment, if the expression names it, or its whole day, if the expression names all of that."""
        wall = wall_clock(moment, self.zone)
        if not self.calendar.names_minute(wall):
            return None
        if self.calendar.names_whole_days:
            day = (day_start(wall.date(), self.zone), day_end(wall.date(), self.zone))
            # Where midnight comes twice, the last hour of a day goes on after the next one began.
            if day[0] <= moment <= day[1]:
                return day
        first = moment - (wall - wall.replace(second=0, microsecond=0))
        return first, first + MINUTE - datetime.resolution

    def form(self) -> str:
        """Return the expression."""
        return self.written

    def __str__(self) -> str:
        return self.written


class ExcludedMoments(NamedTuple):
    """The moments of another trigger."""

    trigger: Trigger

    def stretch_at(self, moment: datetime) -> Stretch | None:
        """Return the moment itself, if the trigger has it."""
        found = self.trigger.next(moment, inclusive=True)
        # In UTC: two zones never agree on a moment of an hour that comes twice (PEP 495).
        return (moment, moment) if found and found.astimezone(UTC) == moment else None

    def form(self) -> Mapping[str, Any]:
        """Return the form of the trigger."""
        return self.trigger.form()

    def __str__(self) -> str:
        return str(self.trigger)


class ExcludedMoment(NamedTuple):
    """One moment."""

    moment: datetime

    def stretch_at(self, moment: datetime) -> Stretch | None:
        """Return the moment, if it is this one."""
        return (moment, moment) if moment == self.moment else None

    def form(self) -> str:
        """Return the moment as text."""
        return self.moment.isoformat()

    def __str__(self) -> str:
        return self.form()


def exclusion_of(written: object, zone: ZoneInfo) -> Exclusion:
    """Return what is left out, as somebody wrote it. Raises ValueError for what cannot be left out."""
    if isinstance(written, str) and is_expression(written):
        faults: list[str] = []
        if calendar := read_expression(written, faults):
            return ExcludedMinutes(calendar, zone, " ".join(written.split()))
        raise ValueError(f"{shown_text(written)}: {'; '.join(faults)}")
    if days := excluded_days(written, zone):
        return days
    if isinstance(written, str | datetime):
        return ExcludedMoment(point_of(written, zone).astimezone(UTC))
    if callable(getattr(written, "next", None)) and callable(getattr(written, "form", None)):
        return ExcludedMoments(cast("Trigger", written))
    raise ValueError(f"{shown_thing(written)}: a date, 'FIRST/LAST' dates, a cron expression or a trigger")


def is_expression(text: str) -> bool:
    """Return True if a text can only be meant as a cron expression."""
    return len(text.split()) > 2 or text.strip().startswith("@")


def excluded_days(written: object, zone: ZoneInfo) -> ExcludedDays | None:
    """Return the days of a date, or of a text such as `2026-12-24` or `2026-12-24/2027-01-02`."""
    ends = written.split("/") if isinstance(written, str) else [written]
    days = [day_of(end) for end in ends]
    first, last = days[0], days[-1]
    if first is None or last is None or len(days) > 2:
        return None
    if last < first:
        raise ValueError(f"{shown_text(str(written))}: ends before it starts")
    text = first.isoformat() if len(days) == 1 else f"{first.isoformat()}/{last.isoformat()}"
    return ExcludedDays(day_start(first, zone), day_end(last, zone), text)
