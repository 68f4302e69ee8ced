"""Cron expressions by chance: against Debian's rule minute by minute at every zone, against cronsim, and against croniter."""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest

from aiodag.schedules import Cron

MINUTE = timedelta(minutes=1)
WEEK = timedelta(days=7)
ZONES = sorted(zone for zone in available_timezones() if zone not in {"localtime", "Factory", "posixrules"})
RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


class Chance(random.Random):
    """Draws fields together with the numbers that they name, so that nobody has to read them."""

    def part(self, low, high):
        kind = self.randrange(5)
        if kind == 0:
            step = min(self.choice([1, 2, 3, 5, 7, 10, 15]), high - low + 1)
            return f"*/{step}", {*range(low, high + 1, step)}
        start, end = sorted([self.randint(low, high), self.randint(low, high)])
        if kind == 1 or start == end:  # both of the others take 5-5/2 for 5/2
            return str(start), {start}
        if kind == 2:
            return f"{start}-{end}", {*range(start, end + 1)}
        step = self.randint(1, min(10, high - low + 1))
        if kind == 3 or high == 6:  # cronsim counts a week from a day up to 7, Sunday again
            return f"{start}-{end}/{step}", {*range(start, end + 1, step)}
        return f"{start}/{step}", {*range(start, high + 1, step)}

    def field(self, low, high, open_to_all):
        if self.random() < open_to_all:
            return "*", {*range(low, high + 1)}
        parts = [self.part(low, high) for _ in range(self.choice([1, 1, 1, 2, 3]))]
        return ",".join(text for text, _ in parts), set().union(*(numbers for _, numbers in parts))

    def expression(self, open_days=0.6):
        chances = [0.1, 0.5, open_days, open_days, open_days]
        fields = [self.field(*bounds, chance) for bounds, chance in zip(RANGES, chances, strict=True)]
        return " ".join(text for text, _ in fields), [numbers for _, numbers in fields]


def names(text, numbers, wall):
    """Return True if an expression names a minute, in the words of crontab(5)."""
    _, _, day, _, weekday = text.split()
    in_month, in_week = wall.day in numbers[2], wall.isoweekday() % 7 in numbers[4]
    both = day.startswith("*") or weekday.startswith("*")
    return (
        wall.minute in numbers[0]
        and wall.hour in numbers[1]
        and wall.month in numbers[3]
        and (in_month and in_week if both else in_month or in_week)
    )


def fired(text, numbers, walls):
    """Give the minutes of real time at which Debian's cron begins a job, looking at the wall clock each minute.

    A job with a fixed time runs for minutes that the clock skipped as well, and for none that it shows again.
    """
    wild = any(field.startswith("*") for field in text.split()[:2])
    done = walls[0][1] - MINUTE
    for moment, wall in walls:
        if wild:
            if names(text, numbers, wall):
                yield moment
        else:
            due = False
            while done < wall:
                done += MINUTE
                due |= names(text, numbers, done)
            if due:
                yield moment


@cache
def changes(zone, first=1973, last=2037):
    """Return the weeks in which a zone changes, found by looking at it once a week."""
    key = ZoneInfo(zone)
    moments = [datetime(first, 1, 1, tzinfo=UTC) + n * WEEK for n in range((last - first) * 52)]
    offsets = [moment.astimezone(key).utcoffset() for moment in moments]
    pairs = zip(moments, pairwise(offsets), strict=False)
    return [halved(key, start) for start, (before, after) in pairs if before != after]


def halved(zone, start):
    """Return a whole minute at which a zone has just changed, in the week after `start`."""
    first, last = start, start + WEEK
    while last - first > MINUTE:
        middle = first + (last - first) // 2
        same = middle.astimezone(zone).utcoffset() == start.astimezone(zone).utcoffset()
        first, last = (middle, last) if same else (first, middle)
    return last.replace(second=0, microsecond=0)


def walls_around(change, zone):
    """Return the minutes of most of a day around a change, and what the wall clock shows then."""
    start = change - timedelta(hours=8)
    moments = [start + n * MINUTE for n in range(20 * 60)]
    return [(moment, moment.astimezone(zone).replace(tzinfo=None)) for moment in moments]


def forward(cron, first):
    """Give the moments from one on, in UTC: two zones never agree on a moment of an hour that comes twice (PEP 495)."""
    return (moment.astimezone(UTC) for moment in cron.iter(first, inclusive=True))


def back(cron, last):
    moment = cron.prev(last, inclusive=True)
    while moment:
        yield moment.astimezone(UTC)
        moment = cron.prev(moment)


@pytest.mark.parametrize("share", range(4))
def test_every_zone_at_its_changes_is_as_debians_cron_does_it_minute_by_minute(share):
    chance, checked = Chance(share), 0
    for zone in ZONES[share::4]:
        found = changes(zone)
        for change in chance.sample(found, min(1, len(found))):
            walls = walls_around(change, ZoneInfo(zone))
            for _ in range(2):
                text, numbers = chance.expression(open_days=0.8)
                try:
                    cron = Cron(text, timezone=zone)
                except ValueError:
                    continue
                expected = list(fired(text, numbers, walls))
                first, last = walls[0][0], walls[-1][0]

                assert list(takewhile(lambda at: at <= last, forward(cron, first))) == expected, (zone, text)
                assert list(takewhile(lambda at: at >= first, back(cron, last))) == expected[::-1], (zone, text)
                checked += 2 * len(expected)

    assert checked > 10_000


def starts(chance, zone):
    """Return a moment by chance that is not in the second pass of an hour, from where cronsim goes back in time."""
    start = datetime(1975, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(60 * 365 * 86400))
    return start.astimezone(zone).replace(fold=0)


def test_cronsim_gives_the_same_moments():
    cronsim = pytest.importorskip("cronsim")
    chance, checked = Chance(17), 0
    while checked < 25_000:
        text, _ = chance.expression()
        zone = ZoneInfo(chance.choice(ZONES))
        start = starts(chance, zone)
        try:
            cron, other = Cron(text, timezone=zone), cronsim.CronSim(text, start)
        except (ValueError, cronsim.CronSimError):
            continue
        for expected, moment in zip(islice(other, 40), cron.iter(start), strict=False):
            assert (moment.replace(tzinfo=None), moment.utcoffset()) == (
                expected.replace(tzinfo=None),
                expected.utcoffset(),
            ), (text, zone.key, start)
            checked += 1


def test_croniter_gives_the_same_moments_back_and_forth():
    croniter = pytest.importorskip("croniter").croniter
    chance, checked = Chance(18), 0
    while checked < 25_000:
        text, _ = chance.expression()
        start = starts(chance, UTC)
        try:
            cron = Cron(text)
        except ValueError:
            continue
        other = croniter(text, start, implement_cron_bug=True)
        expected = [other.get_next(datetime) for _ in range(40)]
        assert list(islice(cron.iter(start), 40)) == expected, (text, start)
        assert [other.get_prev(datetime) for _ in range(39)] == list(islice(back(cron, expected[-2]), 39)), (
            text,
            start,
        )
        checked += 79
