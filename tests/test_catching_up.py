"""What becomes of the moments of a schedule that have come."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag.service.catching_up import decide

START = datetime(2026, 1, 1, tzinfo=UTC)
EXCLUDED = "a holiday"


def minute(number):
    return START + timedelta(minutes=number)


def minutes(numbers, excluded=()):
    return [(minute(each), EXCLUDED if each in excluded else "") for each in numbers]


def expected(numbers, excluded, now, catch_up, grace):
    """Return what becomes of each minute, one by one: the rule as the documentation has it."""
    come = [each for each in numbers if each <= now]
    meant = [each for each in come if each not in excluded]
    late = [each for each in meant if now - each > grace]
    on_time = [each for each in meant if each not in late]
    caught_up = {"all": late, "none": [], "latest": [] if on_time else late[-1:]}[catch_up]
    states = {each: "skipped" for each in come if each in excluded}
    states |= {each: "missed" for each in late if each not in caught_up}
    return [each for each in come if each not in states], states


@st.composite
def situations(draw):
    numbers = sorted(draw(st.sets(st.integers(0, 30), max_size=20)))
    excluded = draw(st.sets(st.sampled_from(numbers))) if numbers else set()
    return numbers, excluded, draw(st.integers(0, 35))


@given(situations(), st.sampled_from(["all", "latest", "none"]), st.integers(1, 10))
def test_each_moment_that_has_come_is_released_or_has_passed_as_the_policy_says(situation, catch_up, grace):
    numbers, excluded, now = situation

    found = decide(minutes(numbers, excluded), minute(now), catch_up=catch_up, grace=grace * 60.0)

    released, states = expected(numbers, excluded, now, catch_up, grace)
    assert found.released == [minute(each) for each in released]
    assert found.next_at == next((minute(each) for each in numbers if each > now), None)
    rows = {
        each: row.state for row in found.passed for each in numbers if row.at <= minute(each).timestamp() <= row.until
    }
    assert rows == states
    assert sum(row.number for row in found.passed) == len(states)


@given(situations(), st.sampled_from(["all", "latest", "none"]), st.integers(1, 10), st.integers(1, 5))
def test_in_portions_nothing_is_left_out_and_the_latest_is_released(situation, catch_up, grace, most):
    numbers, excluded, now = situation
    at, released, count = (minute(numbers[0]) if numbers else None), [], 0
    while at is not None and at <= minute(now):
        rest = [each for each in minutes(numbers, excluded) if each[0] >= at]
        found = decide(rest, minute(now), catch_up=catch_up, grace=grace * 60.0, most=most)
        released += found.released
        count += sum(row.number for row in found.passed)
        assert found.next_at is None or found.next_at > at
        at = found.next_at

    meant, _ = expected(numbers, excluded, now, catch_up, grace)
    assert {minute(each) for each in meant} <= set(released)
    assert len(released) == len(set(released))
    assert len(released) + count == sum(each <= now for each in numbers)
    if catch_up != "latest" or not excluded:
        assert released == [minute(each) for each in meant]


def test_moments_in_a_row_that_passed_for_one_reason_are_one_row():
    found = decide(minutes(range(100), {50}), minute(99), catch_up="latest", grace=60.0)

    assert [(row.state, row.number) for row in found.passed] == [("missed", 50), ("skipped", 1), ("missed", 47)]
    assert found.released == [minute(98), minute(99)]


def test_a_moment_is_late_once_its_grace_is_over():
    on_time = decide(minutes([0]), minute(1), catch_up="none", grace=60.0)
    late = decide(minutes([0]), minute(1) + timedelta(microseconds=1), catch_up="none", grace=60.0)

    assert (len(on_time.released), len(late.released)) == (1, 0)


@pytest.mark.parametrize("catch_up", ["latest", "none"])
def test_a_million_moments_are_decided_on_a_thousand_at_a_time(catch_up):
    asked = []

    def seconds():
        for number in range(10**6):
            asked.append(number)
            yield START + timedelta(seconds=number), ""

    found = decide(seconds(), START + timedelta(days=30), catch_up=catch_up, grace=60.0)

    assert (found.released, [row.number for row in found.passed]) == ([], [1000])
    assert found.next_at == START + timedelta(seconds=1000)
    assert len(asked) == 1001
