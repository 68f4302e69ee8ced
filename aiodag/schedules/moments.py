"""Single moments."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from aiodag.errors import TriggerError
from aiodag.schedules.points import point_of
from aiodag.schedules.series import Series, read_bounds


class Moments(Series):
    """These moments and no others: aware datetimes, or texts, which without an offset are on the wall clock of `timezone`.

    Their order does not matter, and each counts once. `start`, `end` and `exclude` are those of `Cron`. Raises `TriggerError` with all
    that is wrong.

    >>> from aiodag.schedules import Moments
    >>> releases = Moments(["2026-03-01 09:00", "2026-06-01 09:00"], timezone="Europe/Paris")
    >>> print(releases.next("2026-03-01 09:00"))
    2026-06-01 09:00:00+02:00
    """

    __slots__ = ("_moments",)

    def __init__(
        self,
        moments: Iterable[datetime | str],
        *,
        timezone: str | ZoneInfo = "UTC",
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        exclude: object = (),
    ) -> None:
        faults: list[str] = []
        self._bounds = read_bounds(timezone, start, end, exclude, faults)
        self._moments = read_moments(moments, self._bounds.zone, faults)
        if faults:
            raise TriggerError("moments", faults)

    def first_after(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the first moment after another one, whatever the bounds."""
        place = (bisect_left if inclusive else bisect_right)(self._moments, moment)
        return self._moments[place] if place < len(self._moments) else None

    def last_before(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the last moment before another one, whatever the bounds."""
        place = (bisect_right if inclusive else bisect_left)(self._moments, moment)
        return self._moments[place - 1] if place else None

    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON that `trigger_of` reads back."""
        return {"moments": self._written(), **self._bounds.form()}

    def _written(self) -> list[str]:
        return [moment.astimezone(self._bounds.zone).isoformat() for moment in self._moments]

    def __str__(self) -> str:
        first, *others = self._written()
        return f"at {first} and {len(others):,} more" if others else f"at {first}"

    def __repr__(self) -> str:
        return f"Moments({self._written()!r}{self._bounds.arguments()})"


class Once(Moments):
    """One moment: an aware datetime, or a text, which without an offset is on the wall clock of `timezone`.

    >>> from aiodag.schedules import Once
    >>> migration = Once("2026-03-01 09:00", timezone="Europe/Paris")
    >>> print(migration.next("2026-01-01"), migration.next("2026-03-01 09:00"))
    2026-03-01 09:00:00+01:00 None
    """

    __slots__ = ()

    def __init__(
        self,
        at: datetime | str,
        *,
        timezone: str | ZoneInfo = "UTC",
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        exclude: object = (),
    ) -> None:
        super().__init__([at], timezone=timezone, start=start, end=end, exclude=exclude)

    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON that `trigger_of` reads back."""
        return {"at": self._written()[0], **self._bounds.form()}

    def __repr__(self) -> str:
        return f"Once({self._written()[0]!r}{self._bounds.arguments()})"


def read_moments(written: object, zone: ZoneInfo, faults: list[str]) -> tuple[datetime, ...]:
    """Return moments in order, each once. What is wrong with them is added to `faults`."""
    if not isinstance(written, Iterable) or isinstance(written, str | bytes | Mapping):
        faults.append("a list of moments")
        return ()
    found: set[datetime] = set()
    for each in written:
        try:
            found.add(point_of(each, zone))
        except ValueError as fault:
            faults.append(str(fault))
    if not found and not faults:
        faults.append("a list with at least one moment")
    return tuple(sorted(found))
