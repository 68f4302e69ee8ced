"""Options that are functions of the attempt, and who goes first."""

import asyncio
import functools
from contextvars import ContextVar
from datetime import timedelta

import pytest

from aiodag import Backoff, Capacity, Limit, NoCapacity, OptionError, Run, State, current_node, task
from aiodag.testing import run


def now():
    return asyncio.get_running_loop().time()


class Busy(Exception):
    def __init__(self, retry_after):
        super().__init__(retry_after)
        self.retry_after = retry_after


def failing(times, error, **options):
    """A task that fails so many times, and returns when its attempts began."""
    begun = []

    @task(retries=times, **options)
    async def body():
        begun.append(now())
        if len(begun) <= times:
            raise error
        return begun

    return body


# A pause that knows what went wrong


class Polite:
    def __call__(self, attempt, error):
        return attempt * error.retry_after

    def method(self, attempt, error):
        return attempt * error.retry_after


FUNCTIONS = {
    "lambda": lambda attempt, error: attempt * error.retry_after,
    "object": Polite(),
    "method": Polite().method,
    "partial": functools.partial(lambda factor, attempt, error: factor * attempt * error.retry_after, 1),
    "timedelta": lambda attempt, error: timedelta(seconds=attempt * error.retry_after),
}


@pytest.mark.parametrize("backoff", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_pause_is_made_of_the_attempt_and_its_exception(backoff):
    async def main():
        return await failing(2, Busy(10), backoff=backoff)()

    assert run(main()) == [0, 10, 30]


OLD = {
    "one argument": lambda attempt: attempt,
    "a default of its own": lambda attempt, factor=1: attempt * factor,
    "any number": lambda attempt, *rest: attempt + len(rest),
    "keywords": lambda attempt, *, factor=1: attempt * factor,
    "Backoff": Backoff(first=1, factor=2, jitter=0),
}


@pytest.mark.parametrize("backoff", OLD.values(), ids=OLD)
def test_a_function_of_the_attempt_alone_is_called_with_that_alone(backoff):
    async def main():
        return await failing(2, Busy(10), backoff=backoff)()

    assert run(main()) == [0, 1, 3]


UNCALLABLE = {
    "none": lambda: 1,
    "three": lambda attempt, error, more: 1,
    "keyword": lambda attempt, *, must: 1,
}


@pytest.mark.parametrize("backoff", UNCALLABLE.values(), ids=UNCALLABLE)
def test_a_function_that_nobody_could_call_is_refused_at_once(backoff):
    with pytest.raises(OptionError, match=r"fn\(attempt\), fn\(attempt, error\)"):
        task(asyncio.sleep, backoff=backoff)


@pytest.mark.parametrize("pause", [-1, "1", None, float("nan"), float("inf"), True, timedelta(seconds=-1)])
def test_a_pause_that_cannot_be_fails_the_node_with_its_reason(pause):
    async def main():
        node = failing(1, Busy(1), backoff=lambda attempt, error: pause)()
        with pytest.raises(OptionError, match="backoff="):
            await node
        return node.state, node.attempt

    assert run(main()) == (State.FAILED, 1)


# A timeout for each attempt


def test_the_timeout_of_an_attempt_is_made_of_its_number():
    ended = []

    @task(retries=3, timeout=lambda attempt: attempt * 2)
    async def body():
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(now())

    async def main():
        await body()
        return ended

    assert run(main()) == [2, 6, 11]


def test_no_timeout_for_an_attempt_is_said_with_none():
    @task(retries=1, timeout=lambda attempt: 1 if attempt == 1 else None)
    async def body():
        await asyncio.sleep(100)
        return current_node().attempt

    async def main():
        return await body()

    assert run(main()) == 2


@pytest.mark.parametrize("timeout", [0, -1, "1", float("nan"), True])
def test_a_timeout_that_cannot_be_fails_the_node_with_its_reason(timeout):
    ran = []

    async def main():
        node = task(lambda: ran.append(1), timeout=lambda attempt: timeout)()
        with pytest.raises(OptionError, match="timeout="):
            await node
        return node.state, ran

    assert run(main()) == (State.FAILED, [])


# Resources for each attempt


def test_the_resources_of_an_attempt_are_made_of_its_number():
    held = []

    @task(retries=2, resources=lambda attempt: {"memory": 2**attempt})
    async def body():
        held.append(current_node().attempt)
        await asyncio.sleep(1)
        if len(held) < 3:
            raise MemoryError
        return held

    @task(resources={"memory": 8})
    async def other():
        return now()

    async def main():
        async with Run(capacity=Capacity({"memory": 8})):
            asking, beside = body(), other()
        return asking.result(), beside.result()

    assert run(main()) == ([1, 2, 3], 1)  # the other comes between, when all of it is free


def test_what_the_first_attempt_could_never_have_is_refused_at_the_call():
    async def main():
        async with Run(capacity=Capacity({"memory": 1})):
            with pytest.raises(NoCapacity, match="memory 2"):
                task(asyncio.sleep, resources=lambda attempt: {"memory": 2})(0)

    run(main())


def test_what_a_later_attempt_could_never_have_fails_the_node():
    @task(retries=1, resources=lambda attempt: {"memory": attempt})
    async def body():
        raise MemoryError

    async def main():
        async with Run(capacity=Capacity({"memory": 1})):
            node = body()
            with pytest.raises(NoCapacity, match="memory 2"):
                await node
        return node.state

    assert run(main()) is State.FAILED


@pytest.mark.parametrize("resources", [None, 3, {"memory": -1}, {"memory": "1"}, ["memory"]])
def test_resources_that_cannot_be_are_refused_at_the_call(resources):
    async def main():
        async with Run(capacity=Capacity({"memory": 1})):
            with pytest.raises(OptionError, match="resources"):
                task(asyncio.sleep, resources=lambda attempt: resources)(0)

    run(main())


async def one():
    return 1


@pytest.mark.parametrize("option", ["timeout", "resources", "backoff"])
@pytest.mark.parametrize("given", [one, int], ids=["async", "class"])
def test_a_function_that_gives_no_value_at_once_is_refused(option, given):
    with pytest.raises(OptionError, match=option):
        task(asyncio.sleep, **{option: given})


# Who goes first


def ordered(limited, calls, **run_options):
    """The order in which calls start, given as pairs of a name and a priority."""
    order = []

    async def body(name):
        order.append(name)
        await asyncio.sleep(1)

    async def main():
        async with Run(**run_options):
            for name, priority in calls:
                task(body, priority=priority, **limited)(name)
        return order

    return run(main())


CALLS = [("first", 0), ("low", -1), ("a", 0), ("high", 5), ("b", 0), ("higher", 9), ("also high", 5)]
ORDER = ["first", "higher", "high", "also high", "a", "b", "low"]
LIMITS = {
    "limit": lambda: ({"limit": Limit(1)}, {}),
    "rate": lambda: ({"limit": Limit(rate=1, per=2)}, {}),
    "run": lambda: ({}, {"limit": 1}),
    "capacity": lambda: ({"resources": {"cores": 1}}, {"capacity": Capacity({"cores": 1})}),
    "attempts": lambda: ({}, {"capacity": Capacity(limit=1)}),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_the_highest_priority_is_next_and_equals_come_in_the_order_of_asking(kind):
    limited, run_options = LIMITS[kind]()

    assert ordered(limited, CALLS, **run_options) == ORDER


def test_a_higher_priority_goes_first_also_with_other_resources():
    order = []

    async def body(name):
        order.append(name)
        await asyncio.sleep(1)

    async def main():
        async with Run(capacity=Capacity({"cores": 4})):
            for name, cores, priority in [("first", 4, 0), ("four", 4, 0), ("two", 2, 1), ("three", 3, 2)]:
                task(body, priority=priority, resources={"cores": cores})(name)
        return order

    assert run(main()) == ["first", "three", "two", "four"]


def test_a_seat_that_becomes_free_is_kept_for_who_is_next():
    order = []

    @task
    async def body(name):
        order.append(name)
        await asyncio.sleep(1)

    @task
    async def follows(*upstream):
        order.append("follows")

    async def main():
        async with Run(limit=1):
            first = body("first")
            body.with_options(priority=5)("high")
            follows(first)  # ready in the moment in which the seat becomes free
        return order

    assert run(main()) == ["first", "high", "follows"]


def test_who_is_cancelled_while_it_waits_takes_no_turn():
    async def main():
        limited = task(asyncio.sleep, limit=Limit(1))
        async with Run():
            first, second = limited(1), limited.with_options(priority=9)(1)
            third = limited(1)
            await asyncio.sleep(0.5)
            second.cancel()
        return first.state, third.state, now()

    assert run(main()) == (State.SUCCEEDED, State.SUCCEEDED, 2)


@pytest.mark.parametrize("priority", [1.5, "high", None, True])
def test_a_priority_is_a_whole_number(priority):
    with pytest.raises(OptionError, match="priority"):
        task(asyncio.sleep, priority=priority)


# Each attempt in the context of the call

SEEN = ContextVar("seen", default="nothing")


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"limit": 1}], ids=["plain", "timeout", "limit"])
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_an_attempt_sees_the_context_of_the_call_and_nothing_of_the_attempt_before(kind, options):
    seen = []

    def look():
        seen.append(SEEN.get())
        SEEN.set(f"attempt {len(seen)}")
        if len(seen) < 3:
            raise LookupError

    async def look_later():
        await asyncio.sleep(0)
        look()
        await asyncio.sleep(0)

    async def main():
        SEEN.set("the caller")
        await task(look_later if kind == "async" else look, retries=2, **options)()
        return seen, SEEN.get()

    assert asyncio.run(main()) == (["the caller"] * 3, "the caller")


def test_a_later_attempt_is_a_body_like_any():
    """What it awaits, is cancelled by, times out with and calls is as in the first one."""
    log = []

    @task
    async def child(x):
        return x, current_node().name

    @task(retries=3, name="parent")
    async def body():
        node = current_node()
        log.append((node.attempt, asyncio.current_task() is node))
        if node.attempt == 1:
            raise LookupError
        if node.attempt == 2:
            async with asyncio.timeout(1):
                await asyncio.sleep(60)
        if node.attempt == 3:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(1))
                raise LookupError
        return await child(await asyncio.create_task(asyncio.sleep(1, "value")))

    async def main():
        node = body()
        await asyncio.sleep(0.5)
        assert [frame.f_code.co_name for frame in node.get_stack()][-2:] == ["body", "sleep"]
        return await node

    assert run(main()) == ("value", "child")
    assert log == [(1, True), (2, True), (3, True), (4, True)]


def test_a_later_attempt_can_be_cancelled_where_it_waits():
    @task(retries=1)
    async def body():
        if current_node().attempt == 1:
            raise LookupError
        await asyncio.sleep(60)

    async def main():
        node = body()
        asyncio.get_running_loop().call_later(1, node.cancel)
        with pytest.raises(asyncio.CancelledError):
            await node
        return node.state, node.attempt, now()

    assert run(main()) == (State.CANCELLED, 2, 1)
