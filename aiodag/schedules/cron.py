"""Cron expressions in a zone, by the rule of Debian's cron where the zone is put forward or back."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiodag.errors import TriggerError
from aiodag.schedules.calendar import MINUTE, Calendar
from aiodag.schedules.expressions import read_expression
from aiodag.schedules.fields import shown_thing
from aiodag.schedules.series import Series, read_bounds
from aiodag.schedules.zones import LARGEST_CHANGE, SECOND, first_moment, moments_at_wall, put_back_between, wall_clock


class Cron(Series):
    """Moments by a cron expression: minute, hour, day of the month, month, day of the week, and perhaps a year.

    The wall clock is that of `timezone`, a name of the IANA database. `start` and `end` bound the moments, `exclude` leaves some out:
    dates, `"FIRST/LAST"` dates, cron expressions, or other triggers. Day of the month and day of the week together mean
    either, as in Debian's cron. Where the clock is put forward or back, an expression with a fixed time fires once; one whose
    minute or hour starts with `*` fires every real hour. Raises `TriggerError` with all that is wrong.

    >>> from aiodag.schedules import Cron
    >>> every_five = Cron("*/5 * * * *", timezone="Asia/Bangkok")
    >>> print(every_five.next("2022-01-01 00:00:00"))
    2022-01-01 00:05:00+07:00
    >>> Cron("60 * * * *")
    Traceback (most recent call last):
    aiodag.TriggerError: cron '60 * * * *': minute '60': 0 to 59
    """

    __slots__ = ("_calendar", "_expression")

    def __init__(
        self,
        expression: str,
        *,
        timezone: str | ZoneInfo = "UTC",
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        exclude: object = (),
    ) -> None:
        faults: list[str] = []
        calendar = read_text(expression, faults)
        self._bounds = read_bounds(timezone, start, end, exclude, faults)
        if calendar is None or faults:
            raise TriggerError(f"cron {shown_thing(expression)}", faults)
        self._calendar = calendar
        self._expression = " ".join(expression.split())

    def first_after(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the first moment after another one, whatever the bounds."""
        whole = moment.replace(microsecond=0)  # as all moments are
        # At the end of a gap the wall clock is past all that fires there: so it is read a second before.
        moment = whole - SECOND if inclusive and whole == moment else whole
        wall = wall_clock(moment, self._bounds.zone)
        found = self._from_wall(next_minute(wall), moment, inclusive=False)
        # The hour that comes twice lies between: what is before `wall` in its first pass is after it in the second.
        if self._calendar.wild:
            soon = min(found or moment + LARGEST_CHANGE, moment + LARGEST_CHANGE)
            if back := put_back_between(self._bounds.zone, moment, soon):
                return self._from_wall(wall_clock(back, self._bounds.zone), back, inclusive=True)
        return found

    def last_before(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the last moment before another one, whatever the bounds."""
        whole = moment.replace(microsecond=0)
        moment, inclusive = whole, inclusive or whole != moment
        wall = wall_clock(moment, self._bounds.zone)
        found = self._back_from_wall(last_minute(wall, inclusive=inclusive), moment, inclusive=inclusive)
        soon = max(found or moment - LARGEST_CHANGE, moment - LARGEST_CHANGE)
        if back := put_back_between(self._bounds.zone, soon, moment):
            wall = wall_clock(back - datetime.resolution, self._bounds.zone)
            earlier = self._back_from_wall(last_minute(wall, inclusive=True), back, inclusive=False)
            return max(filter(None, (earlier, found)), default=None)
        return found

    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON that `trigger_of` reads back."""
        return {"cron": self._expression, **self._bounds.form()}

    def _from_wall(self, wall: datetime, after: datetime, *, inclusive: bool) -> datetime | None:
        while named := self._calendar.following(wall):
            for moment in self._fired_at(named):
                if moment > after or (inclusive and moment == after):
                    return moment
            wall = named + MINUTE
        return None

    def _back_from_wall(self, wall: datetime, before: datetime, *, inclusive: bool) -> datetime | None:
        while named := self._calendar.preceding(wall):
            for moment in reversed(self._fired_at(named)):
                if moment < before or (inclusive and moment == before):
                    return moment
            wall = named - MINUTE
        return None

    def _fired_at(self, wall: datetime) -> list[datetime]:
        zone = self._bounds.zone
        return moments_at_wall(wall, zone) if self._calendar.wild else [first_moment(wall, zone)]

    def __str__(self) -> str:
        return self._expression

    def __repr__(self) -> str:
        return f"Cron({self._expression!r}{self._bounds.arguments()})"


def read_text(expression: object, faults: list[str]) -> Calendar | None:
    """Return the calendar of what should be the text of an expression."""
    if isinstance(expression, str):
        return read_expression(expression, faults)
    faults.append(f"{shown_thing(expression)}: a text such as '*/5 * * * *'")
    return None


def next_minute(wall: datetime) -> datetime:
    """Return the first whole minute after a time."""
    return wall.replace(second=0, microsecond=0) + MINUTE


def last_minute(wall: datetime, *, inclusive: bool) -> datetime:
    """Return the last whole minute before a time, or that time itself."""
    whole = wall.replace(second=0, microsecond=0)
    return whole - MINUTE if wall == whole and not inclusive else whole
