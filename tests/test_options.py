"""Every option of a task: what it does at exact times, and what it refuses."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from aiodag import Backoff, Limit, OptionError, Run, Skip, State, UnknownOption, task
from aiodag.testing import MoveRecorder, run

HUGE = 10**400  # more than a float can be


def now():
    return asyncio.get_running_loop().time()


def failing(times, error=ValueError, **options):
    """A task that notes when each attempt starts, and fails the first `times` of them."""
    starts = []

    @task(**options)
    async def flaky():
        starts.append(now())
        if len(starts) <= times:
            raise error("again")
        return "value"

    return flaky, starts


def outcome(flaky):
    """Run one call of a task; return its value or error, its state and its number of attempts."""

    async def main():
        node = flaky()
        (result,) = await asyncio.gather(node, return_exceptions=True)
        return result, node.state, node.attempt

    return run(main())


# Retries


def test_without_retries_the_first_failure_is_final():
    flaky, starts = failing(1)

    result, state, attempts = outcome(flaky)

    assert isinstance(result, ValueError)
    assert (state, attempts, starts) == (State.FAILED, 1, [0.0])


def test_retries_are_the_attempts_after_the_first():
    flaky, starts = failing(2, retries=2)

    assert outcome(flaky) == ("value", State.SUCCEEDED, 3)
    assert starts == [0.0, 0.0, 0.0]


def test_the_last_failure_is_the_failure_of_the_node():
    seen = []

    @task(retries=2)
    async def flaky():
        seen.append(ValueError(len(seen)))
        raise seen[-1]

    result, state, attempts = outcome(flaky)

    assert result is seen[2]
    assert (state, attempts) == (State.FAILED, 3)


def test_backoff_in_seconds_is_the_same_pause_each_time():
    flaky, starts = failing(3, retries=3, backoff=1.5)
    outcome(flaky)

    assert starts == [0.0, 1.5, 3.0, 4.5]


def test_backoff_takes_a_timedelta():
    flaky, starts = failing(1, retries=1, backoff=timedelta(minutes=1))
    outcome(flaky)

    assert starts == [0.0, 60.0]


def test_backoff_as_a_function_gets_the_number_of_the_failed_attempt():
    asked = []

    def pause(attempt):
        asked.append(attempt)
        return 10 * attempt

    flaky, starts = failing(2, retries=2, backoff=pause)
    outcome(flaky)

    assert asked == [1, 2]
    assert starts == [0.0, 10.0, 30.0]


def test_backoff_object_grows_up_to_its_maximum():
    flaky, starts = failing(4, retries=4, backoff=Backoff(first=1, factor=2, maximum=5, jitter=0))
    outcome(flaky)

    assert starts == [0.0, 1.0, 3.0, 7.0, 12.0]


def test_no_pause_follows_the_last_attempt():
    async def main():
        flaky, _ = failing(9, retries=1, backoff=5)
        with pytest.raises(ValueError, match="again"):
            await flaky()
        return now()

    assert run(main()) == 5.0


def test_dependents_wait_for_the_attempt_that_succeeds():
    flaky, _ = failing(1, retries=1, backoff=2)

    @task
    async def after(value):
        return value, now()

    async def main():
        return await after(flaky())

    assert run(main()) == ("value", 2.0)


def test_each_attempt_gets_the_arguments_of_the_call():
    seen = []

    @task(retries=1)
    async def flaky(x, *, y):
        seen.append((x, y))
        if len(seen) == 1:
            raise ValueError

    async def main():
        await flaky(1, y=task(asyncio.sleep)(0, 2))

    run(main())

    assert seen == [(1, 2), (1, 2)]


def test_a_plain_function_is_tried_again_too():
    seen = []

    @task(retries=1, backoff=3)
    def flaky():
        seen.append(1)
        if len(seen) == 1:
            raise ValueError
        return "value"

    assert outcome(flaky) == ("value", State.SUCCEEDED, 2)


def test_a_node_is_queued_during_the_pause():
    flaky, _ = failing(1, retries=1, backoff=10)

    async def main():
        node = flaky()
        await asyncio.sleep(5)
        paused = node.state, node.attempt
        await node
        return paused

    assert run(main()) == (State.QUEUED, 1)


def test_cancel_during_the_pause_stops_at_once():
    flaky, starts = failing(9, retries=9, backoff=10)

    async def main():
        node = flaky()
        await asyncio.sleep(15)
        node.cancel()
        await asyncio.wait([node])
        return node.state, now()

    assert run(main()) == (State.CANCELLED, 15.0)
    assert starts == [0.0, 10.0]


def test_a_cancelled_attempt_is_not_tried_again():
    starts = []

    @task(retries=3)
    async def slow():
        starts.append(now())
        await asyncio.sleep(10)

    async def main():
        node = slow()
        await asyncio.sleep(1)
        node.cancel()
        await asyncio.wait([node])
        return node.state, now()

    assert run(main()) == (State.CANCELLED, 1.0)
    assert starts == [0.0]


def test_skip_is_not_tried_again():
    flaky, starts = failing(9, error=Skip, retries=3)

    _, state, attempts = outcome(flaky)

    assert (state, attempts, len(starts)) == (State.SKIPPED, 1, 1)


# Which failures are worth another attempt


@pytest.mark.parametrize(
    "retry_on",
    [KeyError, LookupError, (OSError, KeyError), lambda error: error.args == ("again",)],
    ids=["type", "base type", "tuple", "predicate"],
)
def test_retry_on_lets_a_matching_failure_be_tried_again(retry_on):
    flaky, _ = failing(1, error=KeyError, retries=1, retry_on=retry_on)

    assert outcome(flaky) == ("value", State.SUCCEEDED, 2)


@pytest.mark.parametrize(
    "retry_on", [OSError, (OSError, ValueError), lambda error: False], ids=["type", "tuple", "predicate"]
)
def test_retry_on_makes_any_other_failure_final(retry_on):
    flaky, starts = failing(1, error=KeyError, retries=5, retry_on=retry_on)

    result, state, _ = outcome(flaky)

    assert isinstance(result, KeyError)
    assert (state, starts) == (State.FAILED, [0.0])


def test_a_predicate_that_raises_fails_the_node_with_its_error():
    flaky, starts = failing(1, retries=5, retry_on=lambda error: error.missing)

    result, state, _ = outcome(flaky)

    assert isinstance(result, AttributeError)
    assert (state, len(starts)) == (State.FAILED, 1)


@pytest.mark.parametrize("bad", [-1, "soon", None, True, float("nan")])
def test_a_backoff_function_with_a_bad_answer_fails_the_node(bad):
    flaky, starts = failing(1, retries=5, backoff=lambda _: bad)

    result, state, _ = outcome(flaky)

    assert isinstance(result, OptionError)
    assert "seconds, 0 or more" in str(result)
    assert (state, len(starts)) == (State.FAILED, 1)


def test_grace_of_a_run_is_checked_like_any_time():
    with pytest.raises(OptionError, match=r"^grace="):
        Run(grace=HUGE)


def test_a_backoff_function_that_raises_fails_the_node_by_a_legal_move():
    flaky, _ = failing(1, retries=5, backoff=lambda _: 1 / 0)
    recorder = MoveRecorder()

    async def main():
        async with Run(observers=[recorder]):
            with pytest.raises(ZeroDivisionError):
                await flaky()

    run(main())

    recorder.check()
    assert recorder.states("flaky")[-1] is State.FAILED


# Timeout


def slow_task(**options):
    starts = []

    @task(**options)
    async def slow(seconds):
        starts.append(now())
        await asyncio.sleep(seconds)
        return now()

    return slow, starts


@pytest.mark.parametrize("timeout", [2, 2.0, timedelta(seconds=2)])
def test_timeout_ends_an_attempt_at_the_exact_time(timeout):
    slow, _ = slow_task(timeout=timeout)

    async def main():
        with pytest.raises(TimeoutError, match=r"attempt 1 of .*slow took longer than 2 s"):
            await slow(10)
        return now()

    assert run(main()) == 2.0


def test_an_attempt_within_its_timeout_succeeds():
    slow, _ = slow_task(timeout=2)

    async def main():
        return await slow(1.5)

    assert run(main()) == 1.5


def blocking_task(**options):
    @task(**options)
    async def block(seconds):
        asyncio.get_running_loop().now += seconds  # the clock goes on, and the loop does not
        return seconds

    return block


def test_an_attempt_that_blocks_the_loop_beyond_its_timeout_fails():
    block = blocking_task(timeout=0.2)

    async def main():
        with pytest.raises(TimeoutError, match=r"attempt 1 of .*block took 0.6 s, longer than .* 0.2 s, .* blocked"):
            await block(0.6)
        return await block(0.2)

    assert run(main()) == 0.2


def test_an_attempt_that_blocks_the_loop_beyond_its_timeout_is_tried_again():
    block = blocking_task(timeout=0.2, retries=1)

    async def main():
        node = block(0.6)
        await asyncio.wait([node])
        return node.attempt, type(node.exception())

    assert run(main()) == (2, TimeoutError)


def test_what_a_body_answers_to_the_end_of_its_timeout_is_its_value():
    @task(timeout=1)
    async def partial():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "as far as it got"

    async def main():
        return await partial()

    assert run(main()) == "as far as it got"


def test_timeout_counts_as_a_failed_attempt_and_starts_anew_for_the_next():
    slow, starts = slow_task(timeout=2, retries=2, backoff=1)

    async def main():
        node = slow(10)
        with pytest.raises(TimeoutError):
            await node
        return now(), node.attempt

    assert run(main()) == (8.0, 3)
    assert starts == [0.0, 3.0, 6.0]


def test_timeout_is_seen_by_retry_on():
    slow, starts = slow_task(timeout=2, retries=2, retry_on=ValueError)

    async def main():
        with pytest.raises(TimeoutError):
            await slow(10)

    run(main())

    assert starts == [0.0]


def test_waiting_for_an_upstream_does_not_count_for_the_timeout():
    slow, _ = slow_task(timeout=2)

    async def main():
        return await slow(task(asyncio.sleep)(100, 1))

    assert run(main()) == 101.0


def test_waiting_for_a_limit_does_not_count_for_the_timeout():
    slow, _ = slow_task(timeout=2, limit=1)

    async def main():
        return await asyncio.gather(*slow.map([1.5, 1.5, 1.5]))

    assert run(main()) == [1.5, 3.0, 4.5]


def test_a_timeout_error_of_the_body_itself_stays_as_it_is():
    flaky, _ = failing(1, error=TimeoutError, timeout=5)

    result, _, _ = outcome(flaky)

    assert result.args == ("again",)


def test_cancelling_a_body_with_a_timeout_is_a_cancel():
    slow, _ = slow_task(timeout=5, retries=3)

    async def main():
        node = slow(10)
        await asyncio.sleep(1)
        node.cancel()
        await asyncio.wait([node])
        return node.state

    assert run(main()) is State.CANCELLED


# Backoff values


def test_backoff_grows_by_its_factor_up_to_its_maximum():
    pause = Backoff(first=0.5, factor=3, maximum=10, jitter=0)

    assert [pause(attempt) for attempt in (1, 2, 3, 4, 5)] == [0.5, 1.5, 4.5, 10.0, 10.0]


def test_backoff_of_a_huge_attempt_is_its_maximum():
    assert Backoff(jitter=0)(100_000) == 60.0


def test_backoff_has_usable_defaults():
    assert [Backoff(jitter=0)(attempt) for attempt in (1, 2, 3)] == [0.1, 0.2, 0.4]


def test_backoff_takes_timedeltas():
    pause = Backoff(first=timedelta(seconds=2), maximum=timedelta(seconds=3), jitter=0)

    assert [pause(1), pause(2)] == [2.0, 3.0]


def test_jitter_takes_off_at_most_its_share():
    pauses = [Backoff(first=10, jitter=0.25)(1) for _ in range(200)]

    assert all(7.5 <= pause <= 10 for pause in pauses)
    assert len(set(pauses)) > 1


@pytest.mark.parametrize(
    "bad",
    [
        {"first": -1},
        {"first": "1"},
        {"first": True},
        {"first": float("nan")},
        {"first": float("inf")},
        {"first": HUGE},
        {"factor": HUGE},
        {"maximum": HUGE},
        {"factor": 0.5},
        {"factor": "2"},
        {"factor": True},
        {"maximum": -1},
        {"maximum": None},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": "some"},
        {"jitter": None},
        {"jitter": True},
        {"jitter": float("nan")},
    ],
    ids=lambda bad: str(bad)[:40],
)
def test_backoff_refuses_what_cannot_work_and_says_what_would(bad):
    (option,) = bad

    with pytest.raises(OptionError, match=f"{option}=.* cannot work: {option} takes .*"):
        Backoff(**bad)


# Names


def test_a_node_is_named_by_the_option():
    @task(name="load the rows")
    async def load():
        pass

    async def main():
        node = load()
        await node
        return node.name

    assert (load.name, run(main())) == ("load the rows", "load the rows")


def test_with_options_changes_some_and_keeps_the_rest():
    flaky, starts = failing(1, retries=1, backoff=7)
    other = flaky.with_options(name="other")

    assert outcome(other) == ("value", State.SUCCEEDED, 2)
    assert starts == [0.0, 7.0]
    assert (flaky.name, other.name) == ("flaky", "other")


def test_wrapping_again_keeps_the_options():
    flaky, starts = failing(1, retries=1, backoff=7)

    async def main():
        return await task(flaky, asyncio.sleep(1))()

    assert run(main()) == "value"
    assert starts == [1.0, 8.0]


# What is refused


async def asks(_):
    return False


class Asks:
    async def __call__(self, _):
        return False


BAD = [
    ("name", "", "a string with at least one character"),
    ("name", 5, "a string"),
    ("name", True, "a string"),
    ("retries", -1, "an int of 0 or more"),
    ("retries", 1.5, "an int of 0 or more"),
    ("retries", "3", "an int of 0 or more"),
    ("retries", True, "an int of 0 or more"),
    ("retries", None, "an int of 0 or more"),
    ("backoff", -1, "seconds, 0 or more, a timedelta, a Backoff, or a function that is not async"),
    ("backoff", "1s", "seconds"),
    ("backoff", True, "seconds"),
    ("backoff", None, "seconds"),
    ("backoff", float("nan"), "seconds"),
    ("backoff", float("inf"), "seconds"),
    ("backoff", timedelta(seconds=-1), "seconds"),
    ("backoff", timedelta, "seconds"),
    ("backoff", Backoff, "seconds"),
    ("backoff", HUGE, "seconds"),
    ("backoff", asks, "seconds"),
    ("backoff", Asks(), "seconds"),
    ("retry_on", 5, "an exception type, a tuple of them, or a function"),
    ("retry_on", int, "an exception type"),
    ("retry_on", (), "an exception type"),
    ("retry_on", (ValueError, int), "an exception type"),
    ("retry_on", [ValueError], "an exception type"),
    ("retry_on", None, "an exception type"),
    ("retry_on", asks, "that is not async"),
    ("retry_on", Asks(), "that is not async"),
    ("retry_on", partial(asks), "that is not async"),
    ("timeout", 0, "seconds above 0"),
    ("timeout", -1, "seconds above 0, a timedelta, or a function of the attempt's number"),
    ("timeout", "5", "seconds"),
    ("timeout", True, "seconds"),
    ("timeout", float("nan"), "seconds"),
    ("timeout", float("inf"), "seconds"),
    ("timeout", timedelta(0), "seconds above 0"),
    ("timeout", timedelta, "seconds"),
    ("timeout", HUGE, "seconds"),
    ("limit", 0, "an int of 1 or more, or a Limit"),
    ("limit", -3, "an int of 1 or more"),
    ("limit", 2.5, "an int of 1 or more"),
    ("limit", "3", "an int of 1 or more"),
    ("limit", True, "an int of 1 or more"),
    ("executor", "gpu\n", "a name that the run has"),
    ("executor", "", "'thread', 'process', a name that the run has, a pool of concurrent.futures, or an object"),
    ("executor", 5, "'thread', 'process', a name that the run has, a pool of concurrent.futures, or an object"),
    ("executor", True, "'thread', 'process', a name that the run has, a pool of concurrent.futures, or an object"),
    ("executor", object(), "'thread', 'process', a name that the run has, a pool of concurrent.futures, or an object"),
    ("raw", 1, "True or False"),
    ("raw", None, "True or False"),
]
bad_options = pytest.mark.parametrize(("option", "value", "works"), BAD)


def body():
    raise AssertionError("must not run")


@bad_options
@pytest.mark.parametrize("how", ["decorator", "call", "with_options"])
def test_a_bad_value_is_refused_and_the_message_says_what_works(option, value, works, how):
    ways = {
        "decorator": lambda: task(**{option: value})(body),
        "call": lambda: task(body, **{option: value}),
        "with_options": lambda: task(body).with_options(**{option: value}),
    }

    with pytest.raises(OptionError) as caught:
        ways[how]()

    assert str(caught.value).startswith(f"{option}={value!r} cannot work: {option} takes ")
    assert works in str(caught.value)


@bad_options
def test_a_bad_value_is_a_value_error(option, value, works):
    with pytest.raises(ValueError, match="cannot work"):
        task(body, **{option: value})


@bad_options
def test_nothing_is_scheduled_by_a_refused_option(option, value, works):
    async def main():
        with pytest.raises(OptionError):
            task(body, **{option: value})()
        await asyncio.sleep(0)
        return asyncio.all_tasks() == {asyncio.current_task()}

    assert run(main())


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("retires", "retries"),
        ("time_out", "timeout"),
        ("backof", "backoff"),
        ("limits", "limit"),
        ("retryon", "retry_on"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_that_is_one(wrong, near):
    with pytest.raises(UnknownOption, match=f"no option '{wrong}'; did you mean '{near}'"):
        task(body, **{wrong: 1})


def test_an_unknown_option_that_is_near_to_nothing_lists_them_all():
    with pytest.raises(TypeError) as caught:
        task(xyzzy=1)

    assert "did you mean" not in str(caught.value)
    assert (
        "backoff, cache, codec, executor, former, journal, key, limit, lost_retries, middleware, name, priority, raw, resources, retries, retry_on, timeout, version"
        in str(caught.value)
    )


def test_with_options_refuses_an_unknown_option_too():
    with pytest.raises(UnknownOption, match="did you mean 'timeout'"):
        task(body).with_options(timeouts=1)


def test_none_means_no_name_no_timeout_and_no_limit():
    @task(name=None, timeout=None, limit=None, executor=None)
    async def fetch():
        return 1

    assert outcome(fetch) == (1, State.SUCCEEDED, 1)


def test_options_can_be_taken_back():
    slow, _ = slow_task(timeout=1, limit=1)

    async def main():
        return await asyncio.gather(*slow.with_options(timeout=None, limit=None).map([2, 2]))

    assert run(main()) == [2.0, 2.0]


@pytest.mark.parametrize("limit", [Limit(2), 2])
def test_a_limit_is_an_int_or_a_limit(limit):
    slow, _ = slow_task(limit=limit)

    async def main():
        return await asyncio.gather(*slow.map([1, 1, 1]))

    assert run(main()) == [1.0, 1.0, 2.0]


@pytest.mark.parametrize("option", ["name", "version", "former"])
def test_a_text_that_no_store_takes_is_refused_before_anything_runs(option):
    with pytest.raises(OptionError, match=rf"{option}='load\\ud800' cannot work"):
        task(failing, **{option: "load\ud800"})
