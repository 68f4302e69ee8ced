"""What all triggers share: bounds, exclusions, forms; and intervals and single moments."""

import json
import pickle
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag import TriggerError
from aiodag.schedules import Cron, Every, Moments, Once, trigger_of
from aiodag.schedules.forms import TRIGGER_KEYS

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def texts(found, count=10):
    return [f"{moment:%m-%d %H:%M:%S}" for moment in islice(found, count)]


def test_an_interval_counts_from_its_anchor_in_both_directions():
    every = Every(90, anchor=NEW_YEAR)

    assert texts(every.iter(NEW_YEAR, inclusive=True), 3) == ["01-01 00:00:00", "01-01 00:01:30", "01-01 00:03:00"]
    assert every.next(NEW_YEAR) == NEW_YEAR + timedelta(seconds=90)
    assert every.prev(NEW_YEAR) == NEW_YEAR - timedelta(seconds=90)
    assert every.prev(NEW_YEAR, inclusive=True) == every.next(NEW_YEAR, inclusive=True) == NEW_YEAR


def test_an_interval_is_the_same_in_every_process_and_counts_real_time():
    """Six hours in New York are six real hours, whatever the wall clock does."""
    every = Every(timedelta(hours=6), timezone="America/New_York")

    assert [moment.isoformat() for moment in islice(every.iter("2024-03-10 00:00"), 3)] == [
        "2024-03-10T01:00:00-05:00",
        "2024-03-10T08:00:00-04:00",
        "2024-03-10T14:00:00-04:00",
    ]
    assert every.next("2024-03-10 00:00") == Every(21600.0).next("2024-03-10 05:00")


@given(
    st.floats(0.1, 10**9) | st.integers(1, 10**9),
    st.datetimes(min_value=datetime(3, 1, 1), max_value=datetime(9900, 1, 1), timezones=st.just(UTC)),
    st.booleans(),
)
def test_next_and_prev_of_an_interval_enclose_a_moment(seconds, moment, inclusive):
    every = Every(seconds)
    before, after = every.prev(moment), every.next(moment, inclusive=inclusive)

    assert before is None or before < moment
    assert after is None or after > moment or (inclusive and after == moment)
    assert before is None or after is None or every.next(before) in {after, moment}


@pytest.mark.parametrize("period", [0, -5, 0.01, float("nan"), float("inf"), 10**30, "5", None, True, [1]])
def test_a_period_that_cannot_be_is_refused(period):
    with pytest.raises(TriggerError):
        Every(period)


def test_single_moments_are_sorted_and_count_once():
    moments = Moments(["2026-03-01 09:00", NEW_YEAR, "2026-01-01T01:00+01:00"], timezone="UTC")

    assert texts(moments.iter("2025-01-01")) == ["01-01 00:00:00", "03-01 09:00:00"]
    assert moments.prev(NEW_YEAR) is None
    assert Once(NEW_YEAR).next(NEW_YEAR) is None
    assert Once(NEW_YEAR).prev("2026-01-01 00:01") == NEW_YEAR


@pytest.mark.parametrize("moments", [[], "2026-01-01", None, [None], ["soon"], [datetime(2026, 1, 1)], {"a": 1}, [5]])
def test_moments_that_are_none_are_refused(moments):
    with pytest.raises(TriggerError):
        Moments(moments)


def test_a_moment_that_the_clock_skips_is_the_one_just_after_the_gap():
    assert (
        Once("2024-03-10 02:30", timezone="America/New_York").next("2024-01-01").isoformat()
        == "2024-03-10T03:00:00-04:00"
    )


def test_start_and_end_bound_the_moments_and_belong_to_them():
    daily = Cron("0 9 * * *", start="2026-01-02 09:00", end="2026-01-04 09:00")

    assert texts(daily.iter("2020-01-01")) == ["01-02 09:00:00", "01-03 09:00:00", "01-04 09:00:00"]
    assert texts(iter([daily.prev("2030-01-01"), daily.next("2020-01-01")])) == ["01-04 09:00:00", "01-02 09:00:00"]
    assert daily.prev("2026-01-02 09:00") is None
    assert daily.next("2026-01-04 09:00") is None


def test_a_day_as_a_bound_is_the_whole_day_in_the_zone_of_the_trigger():
    daily = Cron("0 0,23 * * *", timezone="Asia/Bangkok", start="2026-01-02", end=date(2026, 1, 2))

    assert [moment.isoformat() for moment in daily.iter("2020-01-01")] == [
        "2026-01-02T00:00:00+07:00",
        "2026-01-02T23:00:00+07:00",
    ]


def test_an_end_before_the_start_is_refused():
    with pytest.raises(TriggerError, match="it ends at 2026-01-01, before it starts at 2026-01-02"):
        Every(60, start="2026-01-02", end="2026-01-01")


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("2026-01-02", ["01-01", "01-03", "01-04", "01-05"]),
        (date(2026, 1, 2), ["01-01", "01-03", "01-04", "01-05"]),
        ("2026-01-02/2026-01-04", ["01-01", "01-05", "01-06", "01-07"]),
        (["2026-01-02", "2026-01-04"], ["01-01", "01-03", "01-05", "01-06"]),
        ("* * * * SAT,SUN", ["01-01", "01-02", "01-05", "01-06"]),
        ("* 1-23 * * *", ["01-01", "01-02", "01-03", "01-04"]),
        ("@monthly", ["01-02", "01-03", "01-04", "01-05"]),
        ([Cron("0 0 2 * *")], ["01-01", "01-03", "01-04", "01-05"]),
        (Once(NEW_YEAR), ["01-02", "01-03", "01-04", "01-05"]),
        (NEW_YEAR, ["01-02", "01-03", "01-04", "01-05"]),
        ("2026-01-01 00:00", ["01-02", "01-03", "01-04", "01-05"]),
        ([], ["01-01", "01-02", "01-03", "01-04"]),
    ],
)
def test_what_is_excluded_is_passed_over_forth_and_back(exclude, expected):
    daily = Cron("0 0 * * *", start="2026-01-01", exclude=exclude)
    found = list(islice(daily.iter("2025-01-01"), 4))

    assert [f"{moment:%m-%d}" for moment in found] == expected
    assert [daily.prev(moment) for moment in found] == [None, *found[:3]]


def test_what_is_excluded_is_marked_with_the_reason():
    daily = Cron("0 0 * * *", exclude=["2026-01-02", "* * * * SUN", Once("2026-01-05")])

    assert [(moment.day, reason) for moment, reason in islice(daily.marked("2025-12-31"), 6)] == [
        (1, None),
        (2, "excluded: 2026-01-02"),
        (3, None),
        (4, "excluded: * * * * SUN"),
        (5, "excluded: at 2026-01-05T00:00:00+00:00"),
        (6, None),
    ]


def test_an_excluded_moment_of_an_hour_that_comes_twice_is_found():
    """Two zones never agree on such a moment unless they are compared in UTC."""
    hourly = Cron(
        "0 * * * *", timezone="America/New_York", exclude=[Every(3600, timezone="America/New_York")], end="2024-11-04"
    )

    assert [reason for _, reason in islice(hourly.marked("2024-11-03 00:00"), 4)] == ["excluded: every 3600 s"] * 4


def test_excluded_hours_leave_the_rest_of_the_day():
    every = Cron("0 */4 * * *", exclude="* 0-6 * * *")

    assert texts(every.iter(NEW_YEAR, inclusive=True), 5) == [
        f"01-{day} {hour}:00:00" for day, hour in [("01", "08"), ("01", 12), ("01", 16), ("01", 20), ("02", "08")]
    ]


def test_long_exclusions_are_passed_over_at_once():
    every = Cron("* * * * *", exclude=["2026-01-01/2199-12-31", "* * * 1-11 *"])

    assert every.next("2026-01-01").isoformat()[:10] == "2200-12-01"
    assert every.prev("2199-12-31").year == 2025


def test_a_whole_day_that_midnight_cuts_in_two_is_excluded():
    """At St. John's the clock went from 00:01 back to 23:01 of the day before."""
    every = Cron("*/30 * * * *", timezone="America/St_Johns", exclude="* * 6 11 *")

    assert [moment.isoformat() for moment in islice(every.iter("2010-11-06 12:00"), 2)] == [
        "2010-11-07T00:00:00-02:30",
        "2010-11-07T00:00:00-03:30",
    ]
    assert every.prev("2010-11-07T00:00-03:30").isoformat() == "2010-11-07T00:00:00-02:30"


def test_a_trigger_whose_every_moment_is_excluded_says_so():
    nothing = Cron("* * * * *", exclude=Every(60))

    for ask in (nothing.next, nothing.prev):
        with pytest.raises(TriggerError, match="10,000 of its moments in a row are excluded"):
            ask(NEW_YEAR)


FORMS = [
    {"cron": "*/5 * * * *", "timezone": "Asia/Bangkok"},
    {"cron": "0 0 * * *", "timezone": "UTC", "start": "2026-01-01T00:00:00+00:00", "end": "2026-12-31T00:00:00+00:00"},
    {"cron": "0 0 * * *", "timezone": "UTC", "exclude": ["2026-01-02", "2026-02-01/2026-02-03", "* * * * SUN", "2026-01-05T00:00:00+00:00"]},
    {"cron": "0 0 * * *", "timezone": "UTC", "exclude": [{"every": 60, "timezone": "UTC"}]},
    {"every": 300, "timezone": "UTC"},
    {"every": 0.5, "anchor": "2026-01-01T00:00:00+00:00", "timezone": "UTC"},
    {"at": "2026-03-01T09:00:00+01:00", "timezone": "Europe/Paris"},
    {"moments": ["2026-03-01T09:00:00+01:00"], "timezone": "Europe/Paris"},
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: next(iter(form)))
def test_a_form_says_all_and_is_read_back(form):
    trigger = trigger_of(form)

    assert json.loads(json.dumps(trigger.form())) == form
    assert trigger_of(trigger.form()) == trigger == pickle.loads(pickle.dumps(trigger))
    assert repr(trigger).startswith(type(trigger).__name__)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("0 9 * * *", Cron("0 9 * * *", timezone="Europe/Paris")),
        ({"cronjob": "0 9 * * *"}, Cron("0 9 * * *", timezone="Europe/Paris")),
        ({"cronjob": "0 9 * * *", "tz": "UTC"}, Cron("0 9 * * *")),
        ({"interval": 60, "timezone": None}, Every(60, timezone="Europe/Paris")),
        ({"once": "2026-01-01 01:00"}, Once("2026-01-01T00:00Z", timezone="Europe/Paris")),
        ({"every": 60, "exclude": "2026-01-01"}, Every(60, timezone="Europe/Paris", exclude=[date(2026, 1, 1)])),
    ],
)
def test_other_spellings_mean_the_same_and_the_zone_stands_in(form, expected):
    assert trigger_of(form, timezone="Europe/Paris") == expected


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "one of cron, every, at, moments says when, and here it is none of them"),
        ({"cron": "* * * * *", "every": 5}, "here it is cron and every"),
        ({"crom": "* * * * *"}, "'crom': is a key that is not known here; did you mean cron?"),
        ({"cron": "* * * * *", "cronjob": "* * * * *"}, "cronjob: says again what cron says"),
        ({"cron": "* * * * *", "anchor": "2026-01-01"}, "anchor: only every has one"),
        ({"cron": "* * * * *", "exclude": [{"crom": "x"}]}, "did you mean cron?"),
        ({"cron": "* * * * *", "exclude": {"cron": "61 * * * *"}}, "minute '61'"),
        ({5: 1, "cron": "* * * * *"}, "'5': is a key that is not known here"),
        ([1], "'[1]': a cron expression, or a mapping"),
        (None, "a cron expression, or a mapping"),
        ({"cron": {"a": 1}}, "a text such as"),
        ({"every": "5"}, "a number of seconds"),
        ({"cron": "* * * * *", "timezone": 5}, "timezone '5'"),
        ({"cron": "* * * * *", "exclude": 5}, "exclude '5'"),
    ],
)
def test_a_form_that_says_nothing_or_too_much_is_refused(form, text):
    with pytest.raises(TriggerError) as caught:
        trigger_of(form)

    assert text in str(caught.value)


def test_exclusions_within_exclusions_have_an_end():
    form = {"every": 60}
    for _ in range(100_000):
        form = {"every": 60, "exclude": form}

    with pytest.raises(TriggerError, match="more than 5 levels deep"):
        trigger_of(form)
    assert trigger_of({"every": 60, "exclude": {"every": 120, "exclude": {"every": 240}}}).next(NEW_YEAR).minute == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda huge: Every(huge),
        lambda huge: Cron(huge),
        lambda huge: Cron("* * * * *", timezone=huge, start=huge, end=huge, exclude=huge),
        lambda huge: Moments([huge]),
        lambda huge: Once(huge),
        lambda huge: trigger_of(huge),
        lambda huge: trigger_of({"every": huge}),
        lambda huge: Cron("* * * * *").next(huge),
    ],
)
@pytest.mark.parametrize(
    "huge",
    [10**5000, "9" * 10**6, "1 " * 10**6, "\ud800", "\x00", [[]] * 10**5],
    ids=["digits", "number", "fields", "surrogate", "nul", "list"],
)
def test_hostile_values_are_refused_in_one_short_line(make, huge):
    with pytest.raises(TriggerError) as caught:
        make(huge)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000


def test_the_keys_of_forms_are_those_that_are_read():
    assert {
        "cron",
        "cronjob",
        "timezone",
        "tz",
        "every",
        "interval",
        "at",
        "once",
        "moments",
        "start",
        "end",
        "exclude",
        "anchor",
    } == TRIGGER_KEYS
