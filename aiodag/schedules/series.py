"""What all triggers share: a zone, a start, an end, what is left out, and the walk from one moment to the next."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from aiodag.errors import TriggerError
from aiodag.schedules.exclusions import Exclusion, Stretch, exclusion_of
from aiodag.schedules.points import EARLIEST, LATEST, day_end, day_of, day_start, point_of
from aiodag.schedules.zones import zone_of

IN_A_ROW = 10_000  # moments left out one by one, after which a trigger gives up
ONLY_EXCLUDED = f"{IN_A_ROW:,} of its moments in a row are excluded"


class Bounds(NamedTuple):
    """The zone of a trigger, its first and its last moment, and what is left out."""

    zone: ZoneInfo
    start: datetime
    end: datetime
    exclude: tuple[Exclusion, ...]

    def arguments(self) -> str:
        """Return the bounds as they are passed to a trigger, for its `repr`."""
        form = self.form()
        return "".join(f", {name}={form[name]!r}" for name in form if form[name] != "UTC")

    def form(self) -> dict[str, Any]:
        """Return the bounds as JSON, without those that are not there."""
        found: dict[str, Any] = {"timezone": self.zone.key}
        if self.start != EARLIEST:
            found["start"] = self.start.astimezone(self.zone).isoformat()
        if self.end != LATEST:
            found["end"] = self.end.astimezone(self.zone).isoformat()
        if self.exclude:
            found["exclude"] = [each.form() for each in self.exclude]
        return found


def read_bounds(timezone: object, start: object, end: object, exclude: object, faults: list[str]) -> Bounds:
    """Return the bounds that somebody wrote. What is wrong with them is added to `faults`."""
    try:
        zone = zone_of(timezone)
    except ValueError as fault:
        faults.append(str(fault))
        zone = ZoneInfo("UTC")
    first = read_bound("start", start, zone, faults) or EARLIEST
    last = read_bound("end", end, zone, faults) or LATEST
    if last < first:
        faults.append(f"it ends at {end}, before it starts at {start}")
    return Bounds(zone, first, last, tuple(read_exclusions(exclude, zone, faults)))


def read_bound(name: str, written: object, zone: ZoneInfo, faults: list[str]) -> datetime | None:
    """Return the moment of `start` or `end`. Of a day, it is the first or the last one."""
    if written is None:
        return None
    try:
        day = day_of(written)
        if day is None:
            return point_of(written, zone)
        return day_start(day, zone) if name == "start" else day_end(day, zone)
    except ValueError as fault:
        faults.append(f"{name} {fault}")
        return None


def read_exclusions(exclude: object, zone: ZoneInfo, faults: list[str]) -> Iterator[Exclusion]:
    """Give what is left out: one thing, or a list of them."""
    single = isinstance(exclude, str | bytes | Mapping) or not isinstance(exclude, Iterable)
    for written in [exclude] if single else cast("Iterable[object]", exclude):
        try:
            yield exclusion_of(written, zone)
        except ValueError as fault:
            faults.append(f"exclude {fault}")


class Series(ABC):
    """A trigger with a zone, a start, an end, and moments that are left out."""

    __slots__ = ("_bounds",)
    _bounds: Bounds

    @property
    def timezone(self) -> str:
        """The name of the zone in which the moments are given."""
        return self._bounds.zone.key

    def next(self, after: datetime | str, *, inclusive: bool = False) -> datetime | None:
        """Return the first moment after another one, or None if there is none. `inclusive`: that one itself, too.

        Text without an offset is on the wall clock of the trigger's zone. Raises `TriggerError` for a datetime without a zone.
        """
        limit, included = self._from_start(after, inclusive=inclusive)
        for _ in range(IN_A_ROW):
            found = self.first_after(limit, inclusive=included)
            if found is None or found > self._bounds.end:
                return None
            left_out = self._left_out(found)
            if left_out is None:
                return found.astimezone(self._bounds.zone)
            limit, included = left_out[1][1], False
        raise TriggerError(str(self), [ONLY_EXCLUDED])

    def prev(self, before: datetime | str, *, inclusive: bool = False) -> datetime | None:
        """Return the last moment before another one, or None if there is none. `inclusive`: that one itself, too."""
        limit, included = self._read(before), inclusive
        if limit > self._bounds.end:
            limit, included = self._bounds.end, True
        for _ in range(IN_A_ROW):
            found = self.last_before(limit, inclusive=included)
            if found is None or found < self._bounds.start:
                return None
            left_out = self._left_out(found)
            if left_out is None:
                return found.astimezone(self._bounds.zone)
            limit, included = left_out[1][0], False
        raise TriggerError(str(self), [ONLY_EXCLUDED])

    def iter(self, start: datetime | str, *, inclusive: bool = False) -> Iterator[datetime]:
        """Give each moment after `start`, in order, for as long as there are any. `inclusive`: `start` itself, too."""
        moment = self.next(start, inclusive=inclusive)
        while moment is not None:
            yield moment
            moment = self.next(moment)

    def marked(self, after: datetime | str, *, inclusive: bool = False) -> Iterator[tuple[datetime, str | None]]:
        """Give each moment after another one: with the reason if it is left out, else with None."""
        limit, included = self._from_start(after, inclusive=inclusive)
        while (found := self.first_after(limit, inclusive=included)) and found <= self._bounds.end:
            left_out = self._left_out(found)
            yield found.astimezone(self._bounds.zone), f"excluded: {left_out[0]}" if left_out else None
            limit, included = found, False

    @abstractmethod
    def first_after(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the first moment after another one, whatever the bounds."""

    @abstractmethod
    def last_before(self, moment: datetime, *, inclusive: bool) -> datetime | None:
        """Return the last moment before another one, whatever the bounds."""

    @abstractmethod
    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON that `trigger_of` reads back."""

    def _read(self, written: datetime | str) -> datetime:
        try:
            return point_of(written, self._bounds.zone)
        except ValueError as fault:
            raise TriggerError(str(self), [str(fault)]) from None

    def _from_start(self, after: datetime | str, *, inclusive: bool) -> tuple[datetime, bool]:
        moment = self._read(after)
        return (moment, inclusive) if moment >= self._bounds.start else (self._bounds.start, True)

    def _left_out(self, moment: datetime) -> tuple[Exclusion, Stretch] | None:
        for exclusion in self._bounds.exclude:
            if stretch := exclusion.stretch_at(moment):
                return exclusion, stretch
        return None

    def __eq__(self, other: object) -> bool:
        return self.form() == other.form() if isinstance(other, Series) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), str(self), self._bounds.zone.key))
