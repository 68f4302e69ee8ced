"""Waits of a run with a store: settled by whoever has what they wait for, recorded once, and recalled when the run goes on."""

import asyncio
from dataclasses import dataclass

import pytest
from test_inbox import deliver, open_waits, states
from test_inbox import message as incoming
from test_queue import HERE, Moments

from aiodag import LetGo, Run, RunCancelled, RunFailed, State, WaitLost, current_run, task
from aiodag.messages import Topic, first_of, message, send, sleep
from aiodag.stores import Memory
from aiodag.testing import run as virtual

pytestmark = pytest.mark.usefixtures("topics_forgotten")


@pytest.fixture
def moments(monkeypatch):
    return Moments(monkeypatch)


@dataclass
class Payment:
    amount: int


class Effects(list):
    """What bodies have done, in order."""

    def step(self, name, *, failing=()):
        @task(name=name, key=lambda *args: (name, *map(str, args)))
        async def body(*args):
            self.append((name, *args))
            if name in failing:
                raise ValueError(name)
            return name

        return body


@pytest.fixture
def effects():
    return Effects()


class Waiting:
    """A run that is entered, and whose store knows so many waits of it."""

    def __init__(self, store, body, *, waits=1, run_id="r"):
        self.store, self.body, self.waits, self.run_id = store, body, waits, run_id

    async def __aenter__(self):
        self.entered, self.registered = asyncio.Event(), asyncio.Event()
        self.working = asyncio.create_task(self.work())
        await self.entered.wait()
        return self

    async def work(self):
        async with Run("test", store=self.store, id=self.run_id) as self.run:
            self.run.journal.registered = self.hear
            self.node = task(self.body, name="order", key="order")()
            self.entered.set()
        return self.node.result()

    async def waits_for_it(self):
        """Wait until the store knows of the waits; a run that ends before raises why."""
        registered = asyncio.create_task(self.registered.wait())
        await asyncio.wait([registered, self.working], return_when=asyncio.FIRST_COMPLETED)
        registered.cancel()
        assert self.registered.is_set(), await self.working

    def hear(self):
        if len(open_waits(self.store)) >= self.waits:
            self.registered.set()

    async def __aexit__(self, kind, *error):
        if kind is not None:
            self.run.stop()
        await asyncio.wait([self.working])


async def let_go(store, body, *, waits=1):
    """Enter a run, and let go of it when it waits."""
    async with Waiting(store, body, waits=waits) as waiting:
        await waiting.waits_for_it()
        waiting.run.let_go()
    with pytest.raises(LetGo):
        await waiting.working


async def go_on(store, body):
    """Enter a run and return what its body gives."""
    async with Waiting(store, body) as waiting:
        pass
    return await waiting.working


def ordered(order, *args):
    async def body():
        return await order(*args)

    return body


def names(store, state):
    return sorted(node.name for node in store.nodes("r", every=True) if node.state is state)


async def test_a_message_that_comes_while_the_run_waits_is_its_value(store, effects):
    charge, ship = effects.step("charge"), effects.step("ship")

    async def order():
        await charge("A17")
        payment = await message("PAID", key="A17")
        return await ship(payment["amount"])

    async with Waiting(store, order) as waiting:
        await waiting.waits_for_it()
        outcome = deliver(store, incoming(keys=["A17"]))

    assert outcome == ["taken"]
    assert await waiting.working == "ship"
    assert effects == [("charge", "A17"), ("ship", 3)]
    assert names(store, State.SUCCEEDED) == ["charge", "message", "order", "ship"]
    assert store.waits() == []


async def test_a_message_that_came_before_is_taken_at_once(store):
    async def order():
        return await message("PAID", key="A17")

    deliver(store, incoming(keys=["A17"]))

    assert await go_on(store, order) == {"amount": 3}
    assert states(store) == {"m1": "taken"}


async def test_what_is_delivered_to_a_run_that_nobody_works_on_is_there_when_it_goes_on(store, effects):
    charge, ship = effects.step("charge"), effects.step("ship")

    async def order():
        await charge("A17")
        payment = await message("PAID", key="A17")
        return await ship(payment["amount"])

    await let_go(store, order)
    deliver(store, incoming(keys=["A17"]))

    assert await go_on(store, order) == "ship"
    assert effects == [("charge", "A17"), ("ship", 3)]
    assert store.waits() == []


async def test_a_run_that_goes_on_waits_on_and_has_no_other_attempt(store):
    async def order():
        return await message("PAID")

    await let_go(store, order)
    async with Waiting(store, order) as waiting:
        await waiting.waits_for_it()
        before = open_waits(store)
        deliver(store)

    assert await waiting.working == {"amount": 3}
    assert len(before) == 1
    assert [node.attempt for node in store.nodes("r", every=True) if node.name == "message"] == [1]


async def test_a_message_that_comes_before_the_body_is_at_its_wait_again_is_not_lost(store, effects):
    gate = asyncio.Event()
    gate.set()

    async def order():
        await gate.wait()
        return await message("PAID")

    await let_go(store, order)
    gate.clear()
    async with Waiting(store, order) as waiting:
        deliver(store)
        gate.set()

    assert await waiting.working == {"amount": 3}
    assert names(store, State.SUCCEEDED) == ["message", "order"]


async def test_a_recorded_message_is_recalled_as_its_type(store):
    paid = Topic("PAID", value=Payment)

    async def order():
        first = await message(paid)
        second = await message("OTHER")
        return first, second

    deliver(store)
    await let_go(store, order)
    deliver(store, incoming("m2", topic="OTHER"))

    assert await go_on(store, order) == (Payment(3), {"amount": 3})


@pytest.mark.parametrize("here", [True, False], ids=["while it waits", "while nobody works on it"])
async def test_what_does_not_fit_is_a_dead_letter_and_the_run_waits_on(store, here):
    paid = Topic("PAID", value=int)

    async def order():
        return await message(paid)

    if not here:
        await let_go(store, order)
        deliver(store, incoming("m1", payload='"five"'))
    async with Waiting(store, order) as waiting:
        if here:
            await waiting.waits_for_it()
            deliver(store, incoming("m1", payload='"five"'))
        deliver(store, incoming("m2", payload="5"))

    assert await waiting.working == 5
    assert states(store) == {"m1": "dead", "m2": "taken"}
    assert "five" in next(each.reason for each in store.messages() if each.id == "m1")


async def test_two_equal_waits_are_told_apart_and_served_in_their_order(store):
    async def order():
        first, second = message("PAID"), message("PAID")
        return [await first, await second]

    await let_go(store, order, waits=2)
    deliver(store, incoming("m1", payload="1"), incoming("m2", payload="2"))

    assert await go_on(store, order) == [1, 2]


async def test_a_wait_that_is_cancelled_takes_nothing(store):
    async def order():
        node = message("PAID")
        await message("GO")
        node.cancel()
        return await message("END")

    async with Waiting(store, order, waits=2) as waiting:
        await waiting.waits_for_it()
        deliver(store, incoming("go", topic="GO"), incoming("end", topic="END"))

    assert await waiting.working == {"amount": 3}
    assert deliver(store) == ["kept"]
    assert store.waits() == []


async def test_a_message_that_nobody_has_seen_goes_back_when_its_wait_is_cancelled(store):
    both = asyncio.Event()

    async def order():
        node = message("PAID")
        await both.wait()
        node.cancel()
        return await message("PAID")

    await let_go(store, order)
    deliver(store)
    both.set()

    assert await go_on(store, order) == {"amount": 3}
    assert states(store) == {"m1": "taken"}


async def test_the_first_of_several_takes_the_others_away(store, effects):
    ship = effects.step("ship")

    async def order():
        which = await first_of(paid=message("PAID"), refused=message("REFUSED"))
        await ship(which.name)
        return await message("END")

    await let_go(store, order, waits=2)
    deliver(store)
    late = deliver(store, incoming("m2", topic="REFUSED"))
    await let_go(store, order)
    deliver(store, incoming("m3", topic="END"))
    value = await go_on(store, order)

    assert late == ["kept"]
    assert value == {"amount": 3}
    assert effects == [("ship", "paid")]


@pytest.mark.parametrize("here", [True, False], ids=["while it waits", "while nobody works on it"])
async def test_what_does_not_fit_is_the_first_of_nothing(store, here):
    paid = Topic("PAID", value=int)

    async def order():
        return await first_of(paid=message(paid), refused=message("REFUSED"), late=sleep(3600))

    if not here:
        await let_go(store, order, waits=3)
        deliver(store, incoming("m1", payload='"five"'))
    async with Waiting(store, order, waits=3) as waiting:
        await waiting.waits_for_it()
        if here:
            waiting.registered.clear()
            deliver(store, incoming("m1", payload='"five"'))
            await waiting.waits_for_it()
        outcome = deliver(store, incoming("m2", topic="REFUSED"))

    assert outcome == ["taken"]
    assert (await waiting.working).name == "refused"
    assert states(store) == {"m1": "dead", "m2": "taken"}


async def test_a_wait_that_began_before_its_first_of_is_one_of_the_group(store, effects):
    reserve = effects.step("reserve")

    async def order():
        paid = message("PAID")
        await reserve("A17")
        return await first_of(paid=paid, refused=message("REFUSED"))

    await let_go(store, order, waits=2)
    outcomes = deliver(store, incoming(), incoming("m2", topic="REFUSED"))

    assert (await go_on(store, order)).name == "paid"
    assert outcomes == ["taken", "kept"]
    assert states(store) == {"m1": "taken", "m2": "kept"}


async def test_what_has_lost_does_not_begin_again(store):
    begun = []

    @task(name="work", key="work")
    async def work():
        begun.append("work")
        await asyncio.Event().wait()

    async def order():
        which = await first_of(work=work(), paid=message("PAID"))
        return which.name, await message("END")

    await let_go(store, order)
    deliver(store)
    await let_go(store, order)
    deliver(store, incoming("m2", topic="END", payload="1"))

    assert await go_on(store, order) == ("paid", 1)
    assert begun == ["work"]


async def test_what_is_held_waits_on_where_what_came_first_does_not_fit(store):
    paid = Topic("PAID", value=int)

    async def order():
        return await first_of(refused=message("REFUSED"), paid=message(paid))

    await let_go(store, order, waits=2)
    deliver(store, incoming("m1", payload='"five"'))
    async with Waiting(store, order, waits=2) as waiting:
        await waiting.waits_for_it()
        outcome = deliver(store, incoming("m2", topic="REFUSED"))

    assert outcome == ["taken"]
    assert (await waiting.working).name == "refused"


async def test_a_loser_that_something_else_needs_waits_on(store):
    async def order():
        refused = message("REFUSED")
        which = first_of(paid=message("PAID"), refused=refused)
        other = task(lambda value: value, name="note", key=str)(refused)
        return (await which).name, await other

    async with Waiting(store, order, waits=2) as waiting:
        await waiting.waits_for_it()
        deliver(store)
        deliver(store, incoming("m2", topic="REFUSED", payload='"no"'))

    assert await waiting.working == ("paid", "no")


async def test_the_moment_of_a_wait_is_recorded_and_so_is_that_it_has_passed(store, moments, effects):
    late = effects.step("late")

    async def order():
        try:
            await message("PAID", timeout=3600)
        except TimeoutError:
            await late()
        return await message("END")

    await let_go(store, order)
    moments.advance(3601)
    store.take_queued(HERE, ["default"], 0, lease=3600)
    await let_go(store, order)
    outcomes = deliver(store), deliver(store, incoming("end", topic="END"))
    await go_on(store, order)

    assert outcomes == (["kept"], ["taken"])
    assert effects == [("late",)]


async def test_the_first_moment_of_a_sleep_stands(store, moments):
    async def order(seconds):
        await sleep(seconds)
        return "woke"

    await let_go(store, ordered(order, 3600))
    (before,) = store.waits()
    await let_go(store, ordered(order, 7200))
    (after,) = store.waits()
    moments.advance(3601)

    assert after == before
    assert await go_on(store, ordered(order, 7200)) == "woke"


async def test_a_moment_that_comes_while_the_run_goes_on_is_heard_of(store, moments):
    async def order():
        await sleep(3600)
        return "woke"

    async with Waiting(store, order) as waiting:
        await waiting.waits_for_it()
        moments.advance(3601)
        store.take_queued(HERE, ["default"], 0, lease=3600)

    assert await waiting.working == "woke"


async def test_a_failure_that_was_caught_stays_caught(store, effects):
    charge, refund = effects.step("charge", failing=("charge",)), effects.step("refund")

    async def order():
        try:
            await charge()
        except ValueError:
            await refund()
        return await message("PAID")

    await let_go(store, order)
    deliver(store)

    assert await go_on(store, order) == {"amount": 3}
    assert effects == [("charge",), ("refund",)]


async def test_resuming_a_run_that_failed_after_its_wait_does_not_ask_for_the_message_again(store, effects):
    failing = {"ship"}
    ship = effects.step("ship", failing=failing)

    async def order():
        payment = await message("PAID")
        return await ship(payment["amount"])

    deliver(store)
    with pytest.raises(RunFailed):
        await go_on(store, order)
    failing.clear()

    assert await go_on(store, order) == "ship"
    assert effects == [("ship", 3), ("ship", 3)]


async def test_another_attempt_of_a_body_takes_what_the_first_was_given(store, effects):
    attempts = []

    @task(retries=1, key="flaky")
    async def flaky():
        value = await message("PAID")
        attempts.append(value)
        if len(attempts) == 1:
            raise ValueError
        return value

    deliver(store)
    value = await go_on(store, ordered(flaky))

    assert value == {"amount": 3}
    assert attempts == [{"amount": 3}] * 2
    assert states(store) == {"m1": "taken"}


async def test_another_attempt_waits_anew_where_the_first_was_cut_off(store):
    attempts = []

    @task(retries=1, key="flaky")
    async def flaky():
        node = message("PAID")
        attempts.append(node)
        if len(attempts) == 1:
            await message("FIRST")
            node.cancel()
            raise ValueError
        return await node

    async with Waiting(store, ordered(flaky), waits=2) as waiting:
        await waiting.waits_for_it()
        deliver(store, incoming("first", topic="FIRST"))
        await asyncio.wait([waiting.working], timeout=0)
        deliver(store)

    assert await waiting.working == {"amount": 3}


async def test_a_run_that_does_not_come_to_its_wait_again_fails_and_the_message_is_back(store):
    async def order():
        return await message("PAID")

    async def edited():
        return await message("OTHER")

    await let_go(store, order)
    deliver(store)
    with pytest.raises(WaitLost, match="'r' was woken, and did not come to what has woken it"):
        await go_on(store, edited)

    assert store.run("r").state is State.FAILED
    assert states(store) == {"m1": "kept"}
    assert await go_on(store, order) == {"amount": 3}


async def test_what_a_run_sends_leaves_once_and_is_not_sent_again(store):
    async def order():
        await send("COMMAND", key="A17", value={"amount": 5})
        return await message("PAID")

    await let_go(store, order)
    deliver(store)
    await go_on(store, order)

    assert [(each.topic, each.payload, each.repeats) for each in store.messages() if each.topic == "COMMAND"] == [
        ("COMMAND", '{"amount":5}', 0)
    ]


async def test_a_run_takes_no_message_of_a_key_that_it_waits_for_no_longer(store):
    async def order():
        await message("PAID", key="OLD")
        return await message("PAID", key="NEW")

    deliver(store, incoming("m1", keys=["OLD"]))
    await let_go(store, order)
    outcome = deliver(store, incoming("m2", keys=["OLD"])), deliver(store, incoming("m3", keys=["NEW"], payload="7"))

    assert outcome == (["kept"], ["taken"])
    assert await go_on(store, order) == 7


async def test_the_limit_of_a_run_is_not_used_up_by_waits(store):
    async def order():
        return await message("PAID")

    @task(key="other")
    async def other():
        return "done"

    async with Run("test", store=store, id="r", limit=1):
        waits = task(order, key="order")()
        assert await other() == "done"
        deliver(store)

    assert waits.result() == {"amount": 3}


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancel_does_not_take_away_a_step_that_has_just_succeeded(store, effects, turns):
    """Whenever it comes: what is done is known to be done, and undone."""

    def cancel_after(run, turns):
        run.loop.call_soon(cancel_after if turns else run.journal.cancel, *((run, turns - 1) if turns else ()))

    @task(key=str)
    async def book(number):
        effects.append(("book", number))
        if number == 1:
            cancel_after(current_run(), turns)

    @task(key=str)
    async def unbook(number):
        effects.append(("unbook", number))

    async def saga():
        booked = []
        try:
            for number in range(50):
                await book(number)
                booked.append(number)
        except asyncio.CancelledError:
            for number in reversed(booked):
                await unbook(number)
            raise

    with pytest.raises(RunCancelled):
        await go_on(store, saga)
    made = [number for what, number in effects if what == "book"]

    assert len(made) < 50
    assert effects[len(made) :] == [("unbook", number) for number in reversed(made)]


def test_on_a_virtual_clock_each_moment_comes_when_it_is_due():
    woke = []

    @task(key=str)
    async def nap(seconds):
        await sleep(seconds)
        woke.append((seconds, round(asyncio.get_running_loop().time(), 3)))

    @task(key="poll")
    async def poll():
        for _ in range(3):
            await sleep(15)
        woke.append(("poll", round(asyncio.get_running_loop().time(), 3)))

    async def main():
        async with Run("test", store=Memory(), id="r"):
            nodes = [nap(20), nap(10), nap(86_400 * 365), poll()]
        return [node.state for node in nodes]

    assert virtual(main()) == [State.SUCCEEDED] * 4
    assert woke == [(10, 10), (20, 20), ("poll", 45), (86_400 * 365, 86_400 * 365)]


@pytest.mark.parametrize(("here", "outcome"), [(5, "paid"), (15, "late")])
def test_a_timeout_on_a_virtual_clock_is_that_of_the_wait(here, outcome):
    async def order():
        try:
            await message("PAID", timeout=10)
        except TimeoutError:
            return "late"
        return "paid"

    async def main():
        store = Memory()
        async with Run("test", store=store, id="r"):
            node = task(order, key="order")()
            await asyncio.sleep(here)
            deliver(store)
        return node.result()

    assert virtual(main()) == outcome
