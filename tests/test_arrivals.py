"""What other threads bring to a loop, many at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from aiodag.executors.arrivals import WINDOW, Batches


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_values_and_exceptions_come_to_those_who_wait_for_them(thread):
    def look(things, number):
        return {each: (None, ValueError(each)) if each % 10 == 3 else (2 * each, None) for each in things[:number]}

    batches = Batches(thread.submit, look)
    outcomes = await asyncio.gather(*map(batches.bring, range(1000)), return_exceptions=True)

    for each, outcome in enumerate(outcomes):
        if each % 10 == 3:
            assert isinstance(outcome, ValueError)
            assert outcome.args == (each,)
        else:
            assert outcome == 2 * each
    assert not batches.wanted


async def test_what_was_sent_first_keeps_nobody_waiting(thread):
    late = set(range(2 * WINDOW))

    def look(things, number):
        return {each: (each, None) for each in things if each not in late}

    batches = Batches(thread.submit, look)
    firsts = [asyncio.ensure_future(batches.bring(each)) for each in sorted(late)]

    assert await batches.bring("quick") == "quick"
    late.clear()
    assert await asyncio.gather(*firsts) == list(range(2 * WINDOW))


async def test_who_is_cancelled_is_not_waited_for(thread):
    batches = Batches(thread.submit, lambda things, number: {each: (each, None) for each in things if each != "never"})
    never = asyncio.ensure_future(batches.bring("never"))
    assert await batches.bring("now") == "now"

    never.cancel()
    await asyncio.wait([never])

    assert never.cancelled()
    assert await batches.bring("later") == "later"
    assert not batches.wanted


async def test_a_look_that_fails_fails_those_who_wait(thread):
    def look(things, number):
        raise ConnectionError("the cluster is away")

    batches = Batches(thread.submit, look)

    assert [str(each) for each in await asyncio.gather(batches.bring(1), batches.bring(2), return_exceptions=True)] == [
        "the cluster is away"
    ] * 2
