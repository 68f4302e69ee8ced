"""Cron expressions: what they say, what is refused, and what happens where a zone is put forward or back."""

import os
import pickle
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import ROOT

from aiodag import TriggerError
from aiodag.schedules import Cron

NEW_YORK, PARIS = "America/New_York", "Europe/Paris"


def moments(expression, start, count, *, zone="UTC", inclusive=False, **bounds):
    found = islice(Cron(expression, timezone=zone, **bounds).iter(start, inclusive=inclusive), count)
    return [moment.isoformat(timespec="minutes") for moment in found]


def days(expression, start, count):
    return [text[:10] for text in moments(expression, start, count)]


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("0 0 * * FRI-SUN", "2026-01-01", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-09"]),
        ("0 0 * * SAT-MON", "2026-01-01", ["2026-01-03", "2026-01-04", "2026-01-05", "2026-01-10"]),
        ("0 0 * * 5-7", "2026-01-01", ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-09"]),
        ("0 0 * * fri-mon/2", "2026-01-01", ["2026-01-02", "2026-01-04", "2026-01-09"]),
        ("0 0 * * 7", "2026-01-01", ["2026-01-04", "2026-01-11"]),
        ("0 0 * * 0", "2026-01-01", ["2026-01-04", "2026-01-11"]),
        ("0 0 1 JAN,jul *", "2026-01-01", ["2026-07-01", "2027-01-01"]),
        ("0 0 1 JAN-MAR *", "2026-01-01", ["2026-02-01", "2026-03-01", "2027-01-01"]),
        ("0 0 L * *", "2026-01-01", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 0 L-3 * *", "2026-01-01", ["2026-01-28", "2026-02-25", "2026-03-28"]),
        ("0 0 1,L * *", "2026-01-01", ["2026-01-31", "2026-02-01", "2026-02-28"]),
        ("0 0 15W * *", "2026-01-01", ["2026-01-15", "2026-02-16", "2026-03-16", "2026-04-15"]),
        ("0 0 1W * *", "2026-01-02", ["2026-02-02", "2026-03-02", "2026-04-01", "2026-05-01"]),
        ("0 0 1W 8 *", "2026-01-01", ["2026-08-03"]),  # a Saturday, whose Friday is in July
        ("0 0 31W * *", "2026-01-01", ["2026-01-30", "2026-03-31", "2026-05-29"]),
        ("0 0 LW * *", "2026-01-01", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("0 0 * * 5#3", "2026-01-01", ["2026-01-16", "2026-02-20"]),
        ("0 0 * * FRI#5", "2026-01-01", ["2026-01-30", "2026-05-29"]),
        ("0 0 * * 5L", "2026-01-01", ["2026-01-30", "2026-02-27"]),
        ("0 0 * * 7L", "2026-01-01", ["2026-01-25", "2026-02-22"]),
        ("0 0 ? * MON", "2026-01-01", ["2026-01-05", "2026-01-12"]),
        ("0 0 13 * ?", "2026-01-01", ["2026-01-13", "2026-02-13"]),
        ("0 0 13 * FRI", "2026-01-01", ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]),  # either
        ("0 0 */2 * MON", "2026-01-01", ["2026-01-05", "2026-01-19", "2026-02-09"]),  # both: it starts with *
        ("0 0 1-7 * */7", "2026-01-01", ["2026-01-04", "2026-02-01"]),
        ("0 0 29 2 *", "2023-01-01", ["2024-02-29", "2028-02-29", "2032-02-29"]),
        ("0 0 29 2 *", "2096-03-01", ["2104-02-29", "2108-02-29"]),
        ("0 0 29 2 */7", "2026-01-01", ["2032-02-29", "2060-02-29"]),
        ("0 0 1 1 * 2030-2032", "2026-01-01", ["2030-01-01", "2031-01-01", "2032-01-01"]),
        ("0 0 1 1 * 2026/2", "2026-01-01", ["2028-01-01", "2030-01-01"]),
        ("0 0 1 1 ? *", "2026-01-01", ["2027-01-01", "2028-01-01"]),
        ("@yearly", "2026-01-01", ["2027-01-01"]),
        ("@annually", "2026-01-01", ["2027-01-01"]),
        ("@monthly", "2026-01-01", ["2026-02-01"]),
        ("@weekly", "2026-01-01", ["2026-01-04"]),
        ("@Daily", "2026-01-01", ["2026-01-02"]),
        ("@midnight", "2026-01-01", ["2026-01-02"]),
    ],
)
def test_days_are_those_that_the_fields_name(expression, start, expected):
    assert days(expression, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5/15 9 * * *", ["09:05", "09:20", "09:35", "09:50"]),
        ("10-30/10 9 * * *", ["09:10", "09:20", "09:30"]),
        ("*/25 9 * * *", ["09:00", "09:25", "09:50"]),
        ("0 9,17-19/2 * * *", ["09:00", "17:00", "19:00"]),
        ("0 20/2 * * *", ["20:00", "22:00"]),
        ("*/60 */24 * * *", ["00:00"]),
        (" 0\t9  * * * ", ["09:00"]),
        ("@hourly", ["00:00", "01:00"]),
    ],
)
def test_times_are_those_that_the_fields_name(expression, expected):
    assert [text[11:16] for text in moments(expression, "2026-01-01", len(expected), inclusive=True)] == expected


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("60 * * * *", "minute '60': 0 to 59"),
        ("-1 * * * *", "minute '': 0 to 59"),
        ("* 24 * * *", "hour '24': 0 to 23"),
        ("0 0 0 * *", "day-of-month '0': 1 to 31"),
        ("0 0 32W * *", "day-of-month '32': 1 to 31"),
        ("0 0 * 13 *", "month '13': 1 to 12 or JAN to DEC"),
        ("0 0 * JANUARY *", "did you mean JAN"),
        ("0 0 * SPT *", "did you mean SEP"),
        ("0 0 * * 8", "day-of-week '8': 0 to 7 or SUN to SAT"),
        ("0 0 * * L5", "L follows a day"),
        ("0 0 * * L", "L follows a day"),
        ("0 0 * * 5#6", "1 to 5 follow the #"),
        ("0 0 * * 5#", "1 to 5 follow the #"),
        ("0 0 1 1 * 1969", "year '1969': 1970 to 2199"),
        ("? 0 * * *", "minute '?': 0 to 59"),
        ("0 22-4 * * *", "write 22-23,0-4"),
        ("*/0 * * * *", "minute step '0': 1 to 60"),
        ("*/90 * * * *", "Every(seconds)"),
        ("1,,2 * * * *", "minute '': 0 to 59"),
        ("1-2-3 * * * *", "minute '2-3': 0 to 59"),
        ("1.5 * * * *", "minute '1.5': 0 to 59"),
        ("٣ * * * *", "minute '٣': 0 to 59"),
        ("1" * 1000 + " * * * *", "1111…': 0 to 59"),
        ("0 0 30 2 *", "it never fires: no date has day-of-month 30 and month 2"),
        ("0 0 31 4,6 *", "it never fires"),
        ("0 0 29 2 * 2026-2027", "it never fires: no date has day-of-month 29 and month 2 and year 2026-2027"),
        ("0 0 30 2 */2", "it never fires"),
        ("0 0 * 2 1#5 2026", "it never fires"),
        ("@reboot", "is not a moment"),
        ("@dayly", "did you mean @daily?"),
        ("@never", "known are @yearly, @annually"),
        ("* * * *", "4 fields, and it takes five"),
        ("", "0 fields"),
        ("0 0 12 * * ?", "leave the field of the seconds out"),
        ("0 0 12 * * MON", "leave the field of the seconds out"),
        ("0 0 0 12 * ? 2026", "7 fields"),
        ("* " * 2000, "4,000 characters"),
        ("0 0 * * \x1b[2J", r"\x1b[2J"),
        (None, "None"),
        (5, "a text such as"),
        (b"* * * * *", "a text such as"),
    ],
)
def test_what_cannot_be_read_or_never_fires_is_refused_by_name(expression, text):
    with pytest.raises(TriggerError) as caught:
        Cron(expression)

    assert text in str(caught.value)
    assert str(caught.value).isprintable()


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(TriggerError) as caught:
        Cron("60,61 25 0 13 8", timezone="Europe/Pariss", start="soon", end="2026-13-01", exclude=["2026-01-01/x", 5])

    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "minute '60'",
        "minute '61'",
        "hour '25'",
        "day-of-month '0'",
        "month '13'",
        "day-of-week '8'",
        "timezone 'Europe/Pariss'",
        "start 'soon'",
        "end '2026-13-01'",
        "exclude '2026-01-01/x'",
        "exclude '5'",
    ]


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("asia/bangkok", "did you mean Asia/Bangkok"),
        ("Bangkok", "did you mean Asia/Bangkok"),
        ("new york", "did you mean America/New_York"),
        ("+07:00", "an offset knows no summer time"),
        ("../../../etc/passwd", "not in the zone database"),
        ("Europe", "not in the zone database"),
        ("", "not in the zone database"),
        ("a\0b", "not in the zone database"),
        ("right/Europe/Paris", "not in the zone database"),
        ("localtime", "not in the zone database$"),
        ("x" * 10_000, "not in the zone database"),
        (timezone(timedelta(hours=7)), "a name such as"),
        (7, "a name such as"),
    ],
)
def test_a_zone_that_is_not_one_of_the_database_is_refused(zone, text):
    with pytest.raises(TriggerError, match=text) as caught:
        Cron("0 0 * * *", timezone=zone)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        (NEW_YORK, "30 2 * * *", "2024-03-09", ["03-09T02:30-05:00", "03-10T03:00-04:00", "03-11T02:30-04:00"]),
        (NEW_YORK, "0,30 2,3 * * *", "2024-03-10", ["03-10T03:00-04:00", "03-10T03:30-04:00", "03-11T02:00-04:00"]),
        (NEW_YORK, "*/30 2 * * *", "2024-03-10", ["03-11T02:00-04:00"]),
        (NEW_YORK, "30 1 * * *", "2024-11-03", ["11-03T01:30-04:00", "11-04T01:30-05:00"]),
        (
            NEW_YORK,
            "*/30 * * * *",
            "2024-11-03 00:29",
            [f"11-03T{time}:00" for time in ("00:30-04", "01:00-04", "01:30-04", "01:00-05", "01:30-05", "02:00-05")],
        ),
        (NEW_YORK, "30 * * * *", "2024-11-03 01:45-04:00", ["11-03T01:30-05:00", "11-03T02:30-05:00"]),
        (PARIS, "30 2 * * *", "2024-03-31", ["03-31T03:00+02:00", "04-01T02:30+02:00"]),
        (
            PARIS,
            "0 * * * *",
            "2024-10-26 23:59",
            [f"10-27T{time}:00" for time in ("00:00+02", "01:00+02", "02:00+02", "02:00+01", "03:00+01")],
        ),
        ("Australia/Lord_Howe", "15 2 * * *", "2024-10-06", ["10-06T02:30+11:00", "10-07T02:15+11:00"]),
        ("Australia/Lord_Howe", "*/15 1 * * *", "2024-04-07 01:29", ["04-07T01:30+11:00", "04-07T01:45+11:00", "04-07T01:30+10:30"]),
        ("America/Sao_Paulo", "0 0 * * *", "2018-11-03 12:00", ["11-04T01:00-02:00", "11-05T00:00-02:00"]),
        ("America/Sao_Paulo", "30 23 * * *", "2018-02-17", ["02-17T23:30-02:00", "02-18T23:30-03:00"]),
        ("Europe/Dublin", "30 1 * * *", "2024-03-31", ["03-31T02:00+01:00", "04-01T01:30+01:00"]),
        ("Europe/Dublin", "30 1 * * *", "2024-10-27", ["10-27T01:30+01:00", "10-28T01:30+00:00"]),
        ("Pacific/Apia", "0 12 * * *", "2011-12-29", ["12-29T12:00-10:00", "12-31T00:00+14:00", "12-31T12:00+14:00"]),
        ("Pacific/Apia", "0 */12 * * *", "2011-12-29 01:00", ["12-29T12:00-10:00", "12-31T00:00+14:00"]),
        ("America/St_Johns", "*/15 23 * * *", "2010-11-06 23:44", ["11-06T23:45-02:30", "11-06T23:15-03:30", "11-06T23:30-03:30"]),
        ("America/St_Johns", "0 0 * * *", "2010-11-06 12:00", ["11-07T00:00-02:30", "11-08T00:00-03:30"]),
    ],
)  # fmt: skip
def test_fixed_times_fire_once_and_real_hours_each_time(zone, expression, start, expected):
    assert [text[5:] for text in moments(expression, start, len(expected), zone=zone)] == expected


@pytest.mark.parametrize("expression", ["30 1 * * *", "0-59 1 * * *", "*/30 * * * *", "* * * * *", "0 2 * * *"])
@pytest.mark.parametrize("minutes", range(0, 120, 7))
def test_inside_the_second_pass_the_answer_is_never_in_the_past(expression, minutes):
    """Asked from a repeated hour, a trigger that compares wall clocks goes back to the first pass."""
    after = datetime(2024, 11, 3, 5, 30, tzinfo=UTC) + timedelta(minutes=minutes)  # 01:30-04:00 and on
    cron = Cron(expression, timezone=NEW_YORK)

    assert cron.prev(after) < after < cron.next(after)
    assert cron.next(after.astimezone(ZoneInfo("Asia/Tokyo"))) == cron.next(after)


def test_inclusive_counts_the_moment_itself_in_both_directions():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    cron = Cron("0 12 * * *")

    assert cron.next(noon, inclusive=True) == cron.prev(noon, inclusive=True) == noon
    assert cron.next(noon) == noon + timedelta(days=1)
    assert cron.prev(noon) == noon - timedelta(days=1)
    assert cron.next(noon + timedelta(microseconds=1), inclusive=True) == noon + timedelta(days=1)
    assert cron.prev(noon + timedelta(microseconds=1)) == noon


@pytest.mark.parametrize("zone", [NEW_YORK, PARIS, "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "0 0 * * *", "*/30 * * * *", "0 * * * *"])
def test_each_moment_is_the_next_and_the_last_from_itself_also_where_the_clock_is_changed(zone, expression):
    cron = Cron(expression, timezone=zone)
    begins = [f"{year}-{month:02}-01" for year, month in ((2011, 12), (2024, 3), (2024, 4), (2024, 10), (2024, 11))]
    for moment in [each.astimezone(UTC) for begin in begins for each in islice(cron.iter(begin), 40)]:
        little = timedelta(seconds=0.3)
        found = [cron.next(moment, inclusive=True), cron.prev(moment, inclusive=True)]
        found += [cron.next(moment - little), cron.prev(moment + little)]
        # In UTC: a moment of a repeated hour is never equal to one of another zone.
        assert [each.astimezone(UTC) for each in found] == [moment] * 4


def test_just_after_a_gap_and_in_a_second_pass_nothing_is_left_out():
    nightly, hourly = Cron("30 2 * * *", timezone=NEW_YORK), Cron("0 * * * *", timezone=NEW_YORK)

    gap = datetime(2024, 3, 10, 7, tzinfo=UTC)
    assert nightly.next(gap, inclusive=True) == next(nightly.marked(gap, inclusive=True))[0] == gap
    second = datetime(2024, 11, 3, 6, tzinfo=UTC)
    assert hourly.next(second - timedelta(seconds=1799.7)).astimezone(UTC) == second


def test_a_datetime_without_a_zone_is_refused_and_a_text_is_on_the_wall_clock_of_the_trigger():
    cron = Cron("0 12 * * *", timezone="Asia/Bangkok")

    assert cron.next("2026-01-01 11:59").isoformat() == "2026-01-01T12:00:00+07:00"
    assert cron.next("2026-01-01T11:59Z").isoformat() == "2026-01-02T12:00:00+07:00"
    for wrong in (datetime(2026, 1, 1), "today", 5, None, date(2026, 1, 1)):
        with pytest.raises(TriggerError):
            cron.next(wrong)


def test_the_ends_of_time_are_no_trouble():
    """A question from far away is answered, or has no answer; nothing overflows."""
    cron = Cron("0 0 29 2 *", timezone="Pacific/Kiritimati")
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))

    assert cron.next(first).year == 4
    assert cron.prev(first) is None
    assert cron.next(last) is None
    assert cron.prev(last).year == 9996
    assert Cron("* * * * * 2199").next("2199-12-31 23:59") is None
    assert Cron("* * * * * 1970").prev("1970-01-01 00:00") is None
    assert Cron("0 0 1 1 * 2030").next("1500-01-01").year == 2030


def test_expressions_without_end_do_not_take_long():
    began = time.process_time()
    for text in ("0 0 29 2 */7", "0 0 L-28 2 */7", "0 0 * 2 1#5", "0 0 29 2 */2 1970-2199/7"):
        cron = Cron(text)
        cron.next("2096-03-01")
        cron.prev("2096-03-01")
    for refused in ("0 0 30 2 *", "0 0 30,31 2 */2", "0 0 31 2,4,6,9,11 *"):
        with pytest.raises(TriggerError):
            Cron(refused)

    assert time.process_time() - began < 2


def test_two_that_say_the_same_are_equal_and_come_through_pickle():
    cron = Cron(
        "0  9 * * MON-FRI", timezone=PARIS, start="2026-01-01", end="2026-12-31", exclude=["2026-12-24/2026-12-31"]
    )

    assert pickle.loads(pickle.dumps(cron)) == cron == eval(repr(cron))
    assert hash(cron) == hash(eval(repr(cron)))
    assert cron != Cron("0 9 * * MON-FRI", timezone=PARIS)
    assert cron != "0 9 * * MON-FRI"
    assert str(cron) == "0 9 * * MON-FRI"
    assert cron.timezone == PARIS


@given(st.text(alphabet="0123456789*/-,#?LWSUNMOJAFEB @\x00é", max_size=40))
def test_any_text_is_a_trigger_or_an_error(text):
    try:
        cron = Cron(text)
    except TriggerError as error:
        assert error.faults
    else:
        moment = cron.next("2026-01-01")
        assert moment is None or cron.prev(moment, inclusive=True) == moment


ASKED = """
from aiodag.schedules import Cron
for zone in ("America/New_York", "Europe/Paris", "Pacific/Apia", "UTC"):
    for text in ("30 2 * * *", "*/30 1 * * *", "0 0 1 * *"):
        cron = Cron(text, timezone=zone)
        for start in ("2011-12-29", "2024-03-09", "2024-11-02 23:00", "2024-10-27 01:30"):
            print(cron.next(start), cron.prev(start))
"""


def test_the_zone_of_the_process_changes_nothing():
    answers = {
        subprocess.run(
            [sys.executable, "-c", ASKED],
            env={**os.environ, "TZ": zone},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("UTC", "Pacific/Apia", "America/New_York")
    }

    assert len(answers) == 1
    assert next(iter(answers)).count("\n") == 48
