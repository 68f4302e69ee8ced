"""Moments that are the same time apart."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiodag.errors import TriggerError
from aiodag.schedules.fields import shown_thing
from aiodag.schedules.points import point_of
from aiodag.schedules.series import Series, read_bounds
from aiodag.wording import read_duration

SHORTEST, LONGEST = timedelta(seconds=0.1), timedelta(days=36525)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Every(Series):
    """Moments with the same interval of real time between them, in seconds, counted from `anchor`, before it and after it alike.

    The anchor is 1970-01-01 in UTC unless said otherwise, so every process and every restart gives the same moments:
    `Every(300)` is every full five minutes. `timezone` says in which zone they are given. `start`, `end` and `exclude` are those
    of `Cron`. Raises `TriggerError` with all that is wrong.

    >>> from aiodag.schedules import Every
    >>> print(Every(90, anchor="2026-01-01 00:00").next("2026-01-01 00:02"))
    2026-01-01 00:03:00+00:00
    """

    __slots__ = ("_anchor", "_period")

    def __init__(
        self,
        period: float | timedelta,
        *,
        anchor: datetime | str | None = None,
        timezone: str | ZoneInfo = "UTC",
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        exclude: object = (),
    ) -> None:
        faults: list[str] = []
        self._period = read_period(period, faults)
        self._bounds = read_bounds(timezone, start, end, exclude, faults)
        self._anchor = EPOCH
        try:
            self._anchor = EPOCH if anchor is None else point_of(anchor, self._bounds.zone)
        except ValueError as fault:
            faults.append(f"anchor {fault}")
        if faults:
            raise TriggerError(f"every {shown_thing(period)}", faults)

    def first_after(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the first moment after another one, whatever the bounds."""
        since = moment - self._anchor
        count = since // self._period
        if not inclusive or since % self._period:
            count += 1
        return self._at(count)

    def last_before(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the last moment before another one, whatever the bounds."""
        since = moment - self._anchor
        count = since // self._period
        if not inclusive and not since % self._period:
            count -= 1
        return self._at(count)

    def _at(self, count: int) -> datetime | None:
        try:
            return self._anchor + count * self._period
        except OverflowError:
            return None

    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON that `trigger_of` reads back."""
        anchor = {} if self._anchor == EPOCH else {"anchor": self._anchor.isoformat()}
        return {"every": period_seconds(self._period), **anchor, **self._bounds.form()}

    def __str__(self) -> str:
        return f"every {period_seconds(self._period)} s"

    def __repr__(self) -> str:
        anchor = "" if self._anchor == EPOCH else f", anchor={self._anchor.isoformat()!r}"
        return f"Every({period_seconds(self._period)}{anchor}{self._bounds.arguments()})"


def read_period(period: object, faults: list[str]) -> timedelta:
    """Return a period of seconds, or a text such as 90s or 1h, as a duration."""
    found = (read_duration(period) or period) if isinstance(period, str) else period
    period = found
    if isinstance(period, int | float) and not isinstance(period, bool):
        can_be = abs(period) <= LONGEST.total_seconds()  # which nan is not
        found = timedelta(seconds=period) if can_be else timedelta.max
    if not isinstance(found, timedelta):
        faults.append(f"{shown_thing(period)}: a number of seconds, a text such as 90s or 1h, or a timedelta")
    elif not SHORTEST <= found <= LONGEST:
        faults.append(f"the shortest is {SHORTEST.total_seconds()} s, the longest {LONGEST.days:,} days")
    else:
        return found
    return LONGEST


def period_seconds(period: timedelta) -> float:
    """Return the seconds of a duration: a whole number if it is one."""
    seconds = period.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds
