"""Runs that are parked at every wait, on a virtual clock: what is done once, and what is done again."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Stalled, task
from aiodag.messages import First, Topic, first_of, message, now, send, sleep, sleep_until
from aiodag.testing import dead_letters, deliver, messages_kept, park_at_every_wait, run

pytestmark = [pytest.mark.virtual, pytest.mark.usefixtures("topics_forgotten")]


@dataclass
class Payment:
    amount: int


@pytest.fixture
def done():
    return []


@pytest.fixture
def effect(done):
    @task
    async def effect(name):
        done.append(name)
        return name

    return effect


def clock():
    return asyncio.get_running_loop().time()


def started(entry, *args):
    return asyncio.ensure_future(park_at_every_wait(entry, *args))


def test_a_run_that_waits_for_ever_is_said_to_and_does_not_hang(strangers_known):
    async def body():
        return await message("NEVER")

    async def main():
        return await park_at_every_wait(body)

    with pytest.raises(Stalled, match="nothing can go on"):
        run(main())


async def test_what_a_body_does_around_its_nodes_is_done_again_and_what_its_nodes_do_is_not(done, effect):
    async def order():
        done.append("around")
        await effect("charge")
        await message("PAID")
        await effect("ship")

    running = started(order)
    await asyncio.sleep(1)
    assert done == ["around", "charge"]
    deliver("PAID")
    await running
    assert done == ["around", "charge", "around", "ship"]


async def test_timers_go_on_from_their_first_moment_whatever_is_entered_again():
    async def body():
        moment = await now()
        await sleep(10)
        await message("EARLY", timeout=100)
        await sleep_until(moment + timedelta(hours=1))
        try:
            await message("NEVER", timeout=5)
        except TimeoutError as error:
            return str(error), (await now() - moment).total_seconds()
        return None

    running = started(body)
    await asyncio.sleep(3)
    deliver("EARLY")
    text, seconds = await running
    assert text == "no message of 'NEVER' came within 5 s"
    assert seconds == pytest.approx(3605, abs=60)  # what the store needs is real time
    assert clock() == pytest.approx(3605, abs=60)


async def test_a_first_of_decides_the_same_when_it_is_entered_again(done, effect):
    async def order():
        for turn in range(3):
            won = await first_of(paid=message("PAID", key="A"), cancelled=message("CANCELLED"), late=sleep(60))
            await effect(f"{turn} {won.name} {won.value}")
            await sleep(1)
        return won

    running = started(order)
    await asyncio.sleep(5)
    deliver("CANCELLED", payload=1)
    await asyncio.sleep(5)
    deliver("PAID", "A", payload=2)
    assert await running == First("late", None)
    assert done == ["0 cancelled 1", "1 paid 2", "2 late None"]


async def test_a_loser_takes_no_message_when_its_body_is_entered_again():
    async def order():
        await first_of(message("A"), sleep(1))
        await sleep(10)
        return await message("A")

    running = started(order)
    await asyncio.sleep(5)
    deliver("A", payload=1)
    await asyncio.sleep(1)
    assert [each.payload for each in messages_kept()] == ["1"]
    assert await running == 1


async def test_a_loser_that_something_else_needs_goes_on_over_all_that():
    @task
    async def double(x):
        return 2 * x

    async def order():
        paid = message("PAID")
        doubled = double(paid)
        won = await first_of(paid=paid, late=sleep(1))
        await sleep(10)
        return won.name, await doubled

    running = started(order)
    await asyncio.sleep(20)
    deliver("PAID", payload=21)
    assert await running == ("late", 42)


async def test_values_have_their_type_when_they_are_taken_back_and_what_does_not_fit_is_put_away():
    payments = Topic("PAYMENT", value=Payment)

    async def order():
        first = await message(payments)
        rest = await message(payments, count=2)
        await sleep(1)
        return [first, *rest]

    running = started(order)
    await asyncio.sleep(1)
    deliver(payments, payload={"amount": "x"})
    for amount in range(3):
        deliver(payments, payload=Payment(amount))
    assert await running == [Payment(0), Payment(1), Payment(2)]


async def test_what_is_sent_is_sent_once():
    async def shop():
        await send("ORDERED", key="A", value=1)
        await sleep(5)
        await send("ORDERED", key="B", value=2)
        await sleep(5)

    running = started(shop)
    await asyncio.sleep(8)
    assert [(list(each.keys), each.repeats) for each in messages_kept()] == [(["A"], 0), (["B"], 0)]
    await running


async def test_runs_send_to_each_other():
    async def one():
        await send("PING", value=1)
        return await message("PONG")

    async def other():
        value = await message("PING")
        await send("PONG", value=value + 1)

    assert await asyncio.gather(started(one), started(other)) == [2, None]


async def test_messages_that_came_before_are_there():
    deliver("PAID", payload=1, id="m1")

    async def order():
        return await message("PAID")

    running = started(order)
    await asyncio.sleep(1)
    assert await running == 1


async def test_a_failure_is_raised_by_its_own_type():
    async def order():
        await sleep(1)
        msg = "no cover"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="no cover"):
        await park_at_every_wait(order)


async def test_dead_letters_are_those_of_the_parked_runs():
    amounts = Topic("AMOUNT", value=int)

    async def order():
        return await message(amounts)

    running = started(order)
    await asyncio.sleep(1)
    deliver(amounts, payload="x")
    await asyncio.sleep(1)
    assert [each.reason for each in dead_letters()] == ["payload: 'x' is not an int"]
    deliver(amounts, payload=1)
    assert await running == 1


# Parked or not, it is the same run

# Seconds between two timers. Each message comes at another fraction of that, so that nothing is decided by a tie; real time
# goes by meanwhile, and is too short to count.
UNIT = 10_000.0
sure = st.one_of(
    st.tuples(st.just("message"), st.sampled_from("AB"), st.none()), st.tuples(st.just("sleep"), st.integers(0, 4))
)
waits = sure | st.tuples(st.just("message"), st.sampled_from("AB"), st.integers(1, 4))
others = sure.filter(lambda wait: wait[1] != "A")  # two waits of one key that both have their message would be a tie
steps = st.one_of(
    waits,
    st.tuples(st.just("first"), st.lists(waits, min_size=1, max_size=3)),
    st.tuples(st.just("both"), st.lists(sure, min_size=1, max_size=3)),
    st.tuples(st.just("count"), st.sampled_from("AB"), st.integers(1, 3), st.integers(1, 6)),
    st.tuples(st.just("send"), st.sampled_from("AB")),
    st.tuples(st.just("held"), st.lists(sure, min_size=1, max_size=3), st.integers(0, 3)),
    st.tuples(st.just("needed"), st.just(("message", "A", None)), st.lists(others, min_size=1, max_size=2)),
    st.tuples(st.just("inner"), st.lists(waits, min_size=1, max_size=2)),
)
deliveries = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("AB"), st.sampled_from(["one", "all"])), max_size=8)


def wait_for(kind, *how):
    if kind == "sleep":
        return sleep(how[0] * UNIT)
    topic, timeout = how
    return message(topic, timeout=None if timeout is None else timeout * UNIT)


@task
async def paired(*values):
    return list(values)


@task
async def inside(program):
    return [await outcome(wait_for(*each)) for each in program]


async def outcome(node):
    try:
        return await node
    except TimeoutError as error:
        return str(error)


async def take_step(step, number):
    kind, *how = step
    if kind == "first":
        return await outcome(first_of(**{f"n{place}": wait_for(*each) for place, each in enumerate(how[0])}))
    if kind == "both":
        return await outcome(paired(*[wait_for(*each) for each in how[0]]))
    if kind == "count":
        return await outcome(message(how[0], count=how[1], timeout=how[2] * UNIT))
    if kind == "send":
        await send(how[0], value=f"sent {number}")
        return None
    if kind == "held":  # its waits have begun before anybody takes the first
        nodes = [wait_for(*each) for each in how[0]]
        await outcome(sleep(how[1] * UNIT))
        return await outcome(first_of(*nodes))
    if kind == "needed":  # a loser that something else needs
        wanted = wait_for(*how[0])
        pair = paired(wanted)
        return await outcome(first_of(wanted, *[wait_for(*each) for each in how[1]])), await outcome(pair)
    if kind == "inner":
        return await inside(how[0])
    return await outcome(wait_for(*step))


def outcome_of(program, delivered, *, parked):
    """Return what a program of waits answers, in order, what it has done, and which messages nobody got."""
    effects = []

    @task
    async def note(number):
        effects.append(number)

    async def body():
        answers = []
        for number, step in enumerate(program):
            answers.append(await take_step(step, number))
            await note(number)
        return answers

    async def main():
        for name in "AB":
            Topic(name, ttl=1e9)  # as long as a run of this takes at most
        running = asyncio.ensure_future(park_at_every_wait(body)) if parked else task(body)()
        for number, (at, topic, to) in enumerate(sorted(delivered)):
            await asyncio.sleep((at + (number + 1) / 200) * UNIT - clock())
            deliver(topic, payload=f"{topic}{number}", to=to)
        for number in range(60):  # until the last wait without an end has what it waits for
            await asyncio.sleep((60 + number * 10 + (number + 50) / 200) * UNIT - clock())
            if running.done():
                break
            deliver("AB"[number % 2], payload=f"late {number}")
        return await running

    return run(main()), effects


@given(st.lists(steps, min_size=1, max_size=4), deliveries)
@settings(max_examples=25, derandomize=True)
def test_a_run_answers_the_same_whether_it_is_parked_or_not(program, delivered):
    assert outcome_of(program, delivered, parked=True) == outcome_of(program, delivered, parked=False)
