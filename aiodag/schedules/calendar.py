"""The minutes that an expression names, on a wall clock that knows neither zones nor summer time."""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, date, datetime, time, timedelta
from typing import NamedTuple

from aiodag.schedules.days import DayRule, days_of

CYCLE = 400  # years, after which days of months fall on the same weekdays again
MINUTE = timedelta(minutes=1)


class Calendar(NamedTuple):
    """The minutes, hours, days, months and years of an expression, each in order. No `years`: every year.

    `wild` says that the minute or the hour starts with `*`: it counts real hours, and not those of the wall clock.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: DayRule
    months: tuple[int, ...]
    years: tuple[int, ...]
    wild: bool

    def following(self, wall: datetime) -> datetime | None:
        """Return the first minute that is named, not before `wall`."""
        at = first_time(self, wall.hour, wall.minute)
        if at and self.names_day(wall):
            return datetime.combine(wall, at)
        day = next(days_from(self, wall.year, wall.month, wall.day + 1), None)
        return datetime.combine(day, time(self.hours[0], self.minutes[0])) if day else None

    def preceding(self, wall: datetime) -> datetime | None:
        """Return the last minute that is named, not after `wall`."""
        at = last_time(self, wall.hour, wall.minute)
        if at and self.names_day(wall):
            return datetime.combine(wall, at)
        day = next(days_back(self, wall.year, wall.month, wall.day - 1), None)
        return datetime.combine(day, time(self.hours[-1], self.minutes[-1])) if day else None

    def names_day(self, day: date) -> bool:
        """Return True if a day is one of those that are named."""
        return (
            day.month in self.months
            and (not self.years or day.year in self.years)
            and day.day in days_of_month(self, day.year, day.month)
        )

    @property
    def names_whole_days(self) -> bool:
        """Return True if every minute of a day is named that is named at all."""
        return len(self.minutes) == 60 and len(self.hours) == 24

    def names_minute(self, wall: datetime) -> bool:
        """Return True if the minute of `wall` is one of those that are named."""
        return wall.minute in self.minutes and wall.hour in self.hours and self.names_day(wall)


def days_of_month(calendar: Calendar, year: int, month: int) -> tuple[int, ...]:
    """Return the days of a month that are named, if the month itself is."""
    first, length = monthrange(year, month)
    return days_of(calendar.days, (first + 1) % 7, length)


def first_time(calendar: Calendar, hour: int, minute: int) -> time | None:
    """Return the first time of a day that is named, not before a time."""
    hours, minutes = calendar.hours, calendar.minutes
    place = bisect_left(hours, hour)
    if place < len(hours) and hours[place] == hour:
        later = bisect_left(minutes, minute)
        if later < len(minutes):
            return time(hour, minutes[later])
        place += 1
    return time(hours[place], minutes[0]) if place < len(hours) else None


def last_time(calendar: Calendar, hour: int, minute: int) -> time | None:
    """Return the last time of a day that is named, not after a time."""
    hours, minutes = calendar.hours, calendar.minutes
    place = bisect_right(hours, hour) - 1
    if place >= 0 and hours[place] == hour:
        earlier = bisect_right(minutes, minute) - 1
        if earlier >= 0:
            return time(hour, minutes[earlier])
        place -= 1
    return time(hours[place], minutes[-1]) if place >= 0 else None


def days_from(calendar: Calendar, year: int, month: int, day: int) -> Iterator[date]:
    """Give the days that are named, in order, from a day on. One beyond the end of its month is the next month's first."""
    for each in calendar.years[bisect_left(calendar.years, year) :] or years_on(calendar, year):
        for of_year in calendar.months:
            if (each, of_year) >= (year, month):
                found = days_of_month(calendar, each, of_year)
                start = bisect_left(found, day) if (each, of_year) == (year, month) else 0
                yield from (date(each, of_year, number) for number in found[start:])


def days_back(calendar: Calendar, year: int, month: int, day: int) -> Iterator[date]:
    """Give the days that are named, latest first, from a day back."""
    for each in reversed(calendar.years[: bisect_right(calendar.years, year)]) if calendar.years else years_back(year):
        for of_year in reversed(calendar.months):
            if (each, of_year) <= (year, month):
                found = days_of_month(calendar, each, of_year)
                end = bisect_right(found, day) if (each, of_year) == (year, month) else len(found)
                yield from (date(each, of_year, number) for number in reversed(found[:end]))


def years_on(calendar: Calendar, year: int) -> range:
    """Return the years to look at from one on: if no day of a whole cycle is named, no day ever is."""
    return range(0) if calendar.years else range(year, min(year + CYCLE + 1, MAXYEAR))


def years_back(year: int) -> range:
    """Return the years to look at from one back."""
    return range(year, max(year - CYCLE - 1, 1), -1)
