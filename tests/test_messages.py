"""Waits as nodes, in one process: the world is played by the test, and time is virtual."""

import asyncio
import gc
import logging
import sys
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from conftest import LOOPS

from aiodag import OptionError, PayloadRefused, Run, RunFailed, Stalled, State, plan, task
from aiodag.messages import First, Topic, first_of, message, now, send, sleep, sleep_until
from aiodag.testing import dead_letters, deliver, messages_kept, run

pytestmark = [pytest.mark.virtual, pytest.mark.usefixtures("topics_forgotten")]


@dataclass
class Payment:
    amount: int


@task
async def double(x):
    return 2 * x


@task
async def work(seconds):
    await asyncio.sleep(seconds)
    return "worked"


def clock():
    return asyncio.get_running_loop().time()


async def settle():
    """Let happen what needs no time: the clock goes on when nothing else is left to do."""
    await asyncio.sleep(0.001)


def kept():
    return [(each.topic, *each.keys, each.payload) for each in messages_kept()]


# A message


async def test_a_wait_is_a_node_that_is_awaited_or_passed_on_as_an_edge():
    async with Run("orders") as scope:
        doubled = double(message("AMOUNT", key="A17"))
        await settle()
        delivered = deliver("AMOUNT", "A17", 21)

        assert delivered.outcome == "taken"
        assert await doubled == 42
    names = [(each.name, each.state) for each in scope.graph().nodes]
    assert names == [("message", State.SUCCEEDED), ("double", State.SUCCEEDED)]


async def test_the_call_of_a_wait_stands_where_its_caller_wrote_it():
    nodes = [
        message("A"),
        send("A"),
        sleep(1),
        sleep_until(datetime.now(UTC)),
        first_of(sleep(1)),
        message("A", count=1),
    ]
    async with Run("orders") as scope:
        inside = first_of(message("A", timeout=1), sleep(2))
        with pytest.raises(TimeoutError):
            await inside

    assert {node.site.rpartition(":")[0] for node in [*nodes, inside]} == {__file__}
    assert {each.site.rpartition(":")[0] for each in scope.graph().nodes} == {__file__}
    await asyncio.sleep(2)
    deliver("A")
    assert await nodes[-1] == [None]


async def test_the_graph_marks_what_waits():
    async with Run("orders") as scope:
        nodes = [message("A"), sleep(1), double(1)]
        assert [each.waits for each in scope.graph().nodes] == ["message", "moment", ""]
        deliver("A")
    assert [node.task.waits for node in nodes] == ["message", "moment", ""]


def test_a_plan_shows_waits_and_waits_for_nothing():
    graph = plan(lambda: double(first_of(message("A", key="k"), sleep(5))))

    assert [each.label for each in graph.nodes] == ["message('A', 'k')", "sleep(5.0)", "first_of", "double"]
    assert len(graph.edges) == 3


# Correlation


async def test_a_message_reaches_whoever_waits_with_its_key_and_nobody_else():
    waits = {key: message("ORDER", key=key) for key in "ABC"}
    await settle()
    deliver("ORDER", "B", "for b")
    await settle()

    assert [key for key, node in waits.items() if node.state.final] == ["B"]
    assert await waits["B"] == "for b"
    assert waits["A"].cancel()
    assert waits["C"].cancel()


async def test_of_several_who_wait_for_a_key_the_oldest_is_given_the_message():
    first, second, third = (message("ORDER", key="A") for _ in range(3))
    await settle()
    for payload in range(3):
        deliver("ORDER", "A", payload)

    assert [await node for node in (first, second, third)] == [0, 1, 2]


async def test_each_key_of_a_message_has_one_receiver():
    nodes = [message("ORDER", key=key) for key in "AABBC"]
    await settle()
    deliver("ORDER", ["A", "B"], "both")
    await settle()

    assert [node.state.final for node in nodes] == [True, False, True, False, False]
    for node in nodes:
        node.cancel()


async def test_a_message_to_all_reaches_everybody_who_waits_for_one_of_its_keys_each_with_a_value_of_its_own():
    nodes = [message("ORDER", key=key) for key in "AABC"]
    await settle()
    assert deliver("ORDER", ["A", "B"], ["x"], to="all").outcome == "taken"

    values = [await node for node in nodes[:3]]
    assert values == [["x"]] * 3
    assert values[0] is not values[1]
    assert nodes[3].cancel()


async def test_a_run_that_waits_for_another_key_afterwards_does_not_take_the_former_one_again():
    async def body():
        old = await message("ORDER", key="OLD")
        return old, await message("ORDER", key="NEW")

    node = task(body)()
    await settle()
    deliver("ORDER", "OLD", 1)
    await settle()
    deliver("ORDER", "OLD", 2)
    deliver("ORDER", "NEW", 3)

    assert await node == (1, 3)
    assert kept() == [("ORDER", "OLD", "2")]


async def test_a_kept_message_of_several_keys_is_taken_whole_by_the_first_who_waits():
    deliver("ORDER", ["A", "B"], 1)

    assert await message("ORDER", key="B") == 1
    with pytest.raises(TimeoutError):
        await message("ORDER", key="A", timeout=1)


# Early, late, twice


async def test_a_message_that_comes_early_is_kept_for_who_waits_later():
    deliver("ORDER", "A", 1)
    await asyncio.sleep(86_399)

    assert await message("ORDER", key="A") == 1
    assert messages_kept() == []


async def test_a_message_that_nobody_waited_for_in_time_is_a_dead_letter_that_says_so():
    short = Topic("SHORT", ttl=timedelta(hours=1))
    deliver(short, "A", 1)
    deliver("ORDER", "A", 2)
    await asyncio.sleep(3600)

    assert kept() == [("ORDER", "A", "2")]
    (dead,) = dead_letters()
    assert (dead.topic, dead.keys, dead.payload) == ("SHORT", ("A",), "1")
    assert dead.reason == "nobody waited for it within its time to live"
    with pytest.raises(TimeoutError):
        await message(short, key="A", timeout=1)


async def test_an_id_counts_once_during_the_step_and_after_the_end():
    node = message("ORDER", key="A")
    await settle()
    outcomes = [deliver("ORDER", "A", payload, id="m1").outcome for payload in (1, 2)]
    value = await node
    outcomes.append(deliver("ORDER", "A", 3, id="m1").outcome)

    assert (value, outcomes) == (1, ["taken", "duplicate", "duplicate"])
    assert messages_kept() == []
    assert deliver("OTHER", "A", 3, id="m1").outcome == "kept"  # an id is one of its topic


async def test_repeats_of_a_message_are_counted():
    for _ in range(3):
        deliver("ORDER", "A", 1, id="m1")

    assert [each.repeats for each in messages_kept()] == [2]


async def test_an_id_is_forgotten_after_the_time_that_its_topic_says():
    topic = Topic("ORDER", ttl=1, dedup=60)
    deliver(topic, "A", 1, id="m1")
    await asyncio.sleep(59)
    assert deliver(topic, "A", 1, id="m1").outcome == "duplicate"
    await asyncio.sleep(1)

    assert deliver(topic, "A", 1, id="m1").outcome == "kept"


async def test_messages_of_a_key_come_in_their_order():
    for number in range(5):
        deliver("ORDER", "A", number)

    assert [await message("ORDER", key="A") for _ in range(5)] == list(range(5))


async def test_several_messages_are_wanted_at_once():
    deliver("ORDER", "A", 1)
    node = message("ORDER", key="A", count=3)
    await settle()
    deliver("ORDER", "A", 2)
    await settle()
    assert not node.state.final
    deliver("ORDER", "A", 3)

    assert await node == [1, 2, 3]


async def test_several_messages_that_do_not_all_come_in_time_are_one_failure():
    async with Run("orders") as scope:
        node = message("ORDER", key="A", count=3, timeout=5)
        await settle()
        deliver("ORDER", "A", 1)
        with pytest.raises(TimeoutError, match="came within 5 s"):
            await node
    assert clock() == 5.0
    assert scope.state is State.SUCCEEDED


async def test_cancelling_one_who_wants_several_messages_takes_all_of_its_waits_away():
    node = message("ORDER", count=2)
    await settle()
    node.cancel()
    await settle()

    assert deliver("ORDER").outcome == "kept"


# Cancelled waits


async def test_a_message_for_a_wait_that_was_cancelled_is_kept_for_the_next():
    node = message("ORDER", key="A")
    await settle()
    node.cancel()
    await settle()

    assert deliver("ORDER", "A", 1).outcome == "kept"
    assert await message("ORDER", key="A") == 1


async def test_a_wait_that_was_cancelled_in_this_turn_of_the_loop_takes_nothing():
    node, other = message("ORDER", key="A"), message("ORDER", key="A")
    await settle()
    node.cancel()

    assert deliver("ORDER", "A", 1).outcome == "taken"
    assert await other == 1
    other = message("ORDER", key="A")
    await settle()
    other.cancel()
    assert deliver("ORDER", "A", 2).outcome == "kept"


async def test_a_message_whose_wait_is_cancelled_before_it_heard_goes_back_to_its_place():
    node = message("ORDER", key="A")
    await settle()
    deliver("ORDER", "A", 1)
    deliver("ORDER", "A", 2)
    node.cancel()  # in the same turn of the loop
    await settle()

    assert node.state is State.CANCELLED
    assert kept() == [("ORDER", "A", "1"), ("ORDER", "A", "2")]


async def test_a_message_whose_wait_is_cancelled_before_it_heard_goes_to_the_next_who_waits():
    node, other = message("ORDER", key="A"), message("ORDER", key="A")
    await settle()
    deliver("ORDER", "A", 1)
    node.cancel()

    assert await other == 1


async def test_who_stops_awaiting_a_wait_takes_it_away():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await message("ORDER", key="A")
    await settle()

    assert deliver("ORDER", "A").outcome == "kept"


# Types


async def test_a_topic_gives_values_of_its_type():
    payments = Topic("PAYMENT", value=Payment)
    send(payments, key="A", value=Payment(5))

    assert await message(payments, key="A") == Payment(5)


async def test_the_name_alone_means_the_topic_that_was_declared():
    Topic("PAYMENT", value=Payment)
    deliver("PAYMENT", "A", {"amount": 5})

    assert await message("PAYMENT", key="A") == Payment(5)


async def test_a_payload_that_does_not_fit_is_a_dead_letter_and_the_wait_goes_on_as_the_oldest():
    payments = Topic("PAYMENT", value=Payment)
    first, second = message(payments), message(payments)
    await settle()
    deliver(payments, payload={"amount": "five"})
    await settle()
    deliver(payments, payload={"amount": 5})
    deliver(payments, payload={"amount": 6})

    assert (await first, await second) == (Payment(5), Payment(6))
    assert [each.reason for each in dead_letters()] == ["payload.amount: 'five' is not an int"]


async def test_what_does_not_fit_moves_no_due_moment():
    payments = Topic("PAYMENT", value=Payment)
    node = message(payments, timeout=5)
    await asyncio.sleep(3)
    deliver(payments, payload="x")

    with pytest.raises(TimeoutError):
        await node
    assert clock() == 5.0


async def test_what_does_not_fit_is_refused_by_its_own_sender():
    payments = Topic("PAYMENT", value=Payment)

    with pytest.raises(PayloadRefused, match="payload: 5 is not a Payment"):
        send(payments, value=5)


# Sending


async def test_what_is_sent_reaches_who_waits_and_gives_its_id():
    node = message("ORDER", key="A")

    assert await send("ORDER", key="A", value=[1], id="m1") == "m1"
    assert await node == [1]


async def test_a_value_that_is_not_there_yet_is_an_edge():
    async with Run("orders") as scope:
        sent = send("ORDER", value={"amount": double(21)})
        assert await message("ORDER") == {"amount": 42}
        await sent
    assert [(edge.source, edge.target) for edge in scope.graph().edges] == [(0, 1)]


async def test_a_value_that_cannot_be_sent_fails_its_node_when_it_is_there():
    @task
    async def handle():
        return object()

    with pytest.raises(PayloadRefused, match="of type object"):
        await send("ORDER", value=handle())


async def test_messages_that_were_given_no_id_are_different_ones():
    ids = [await send("ORDER", value=1) for _ in range(2)]

    assert len(set(ids)) == 2
    assert len(messages_kept()) == 2


# The first of several


async def test_the_first_settles_and_the_losers_are_cancelled():
    async with Run("orders") as scope:
        paid, late = message("PAYMENT", key="A"), sleep(60)
        node = first_of(paid, late)
        await settle()
        deliver("PAYMENT", "A", 5)

        assert await node == 5
    assert late.state is State.CANCELLED
    assert scope.state is State.SUCCEEDED
    assert clock() < 1


async def test_nodes_with_names_say_which_was_first():
    won = await first_of(paid=message("PAYMENT"), late=sleep(60))

    assert won == First("late", None)
    assert (won.name, clock()) == ("late", 60.0)


async def test_a_message_for_a_loser_is_nobodys_from_the_moment_on_in_which_another_was_first():
    node = first_of(message("A"), message("B"))
    await settle()
    outcomes = deliver("B", payload=2).outcome, deliver("A", payload=1).outcome

    assert outcomes == ("taken", "kept")
    assert await node == 2


async def test_what_does_not_fit_is_the_first_of_nothing():
    payments = Topic("PAYMENT", value=Payment)
    node = first_of(paid=message(payments), refused=message("REFUSED"), late=sleep(10))
    await asyncio.sleep(4)
    deliver(payments, payload="x")

    assert (await node).name == "late"
    assert clock() == 10.0


async def test_a_wait_that_began_before_its_first_of_is_one_of_the_group():
    paid = message("PAYMENT")
    await settle()
    node = first_of(paid, message("REFUSED"))
    await settle()
    outcomes = deliver("PAYMENT", payload=1).outcome, deliver("REFUSED", payload=2).outcome

    assert outcomes == ("taken", "kept")
    assert await node == 1


async def test_of_two_whose_moments_come_at_once_the_one_that_was_called_first_counts():
    for _ in range(5):
        won = await first_of(**{f"n{number}": sleep(60) for number in range(5)})
        assert won.name == "n0"


async def test_of_two_that_have_come_already_one_is_taken():
    deliver("A", payload=1)
    deliver("B", payload=2)

    assert await first_of(message("B"), message("A")) == 2
    assert kept() == [("A", "", "1")]


async def test_what_has_settled_before_is_the_first():
    done = double(1)
    await done
    other = message("A")

    assert await first_of(other, done) == 2
    await settle()
    assert other.state is State.CANCELLED


async def test_the_failure_of_the_first_is_a_failure_and_never_a_success():
    async with Run("orders") as scope:
        loser = message("B")
        node = first_of(message("A", timeout=5), loser)
        with pytest.raises(TimeoutError):
            await node
    assert (node.state, loser.state, clock()) == (State.FAILED, State.CANCELLED, 5.0)
    assert scope.state is State.SUCCEEDED  # for somebody took the failure


async def test_a_loser_that_something_else_needs_goes_on():
    async with Run("orders"):
        loser = message("A")
        doubled, node = double(loser), first_of(loser, sleep(5))
        await node
        assert loser.state is State.RUNNING
        deliver("A", payload=3)
        assert await doubled == 6


async def test_a_loser_that_something_needs_by_then_waits_on_although_its_wait_was_taken_away():
    async with Run("orders"):
        loser, other = message("A", timeout=60), message("B")
        node = first_of(loser, other)
        await settle()
        doubled = double(loser)
        deliver("B")
        await node
        deliver("A", payload=3)
        assert await doubled == 6

    begun = clock()
    with pytest.raises(RunFailed, match=r"message.'A'. failed: TimeoutError: .* came within 1 min 0 s"):
        async with Run("orders"):
            loser = message("A", timeout=60)
            node = first_of(loser, message("B"))
            await settle()
            doubled = double(loser)
            deliver("B")
            await asyncio.sleep(30)
    assert clock() == pytest.approx(begun + 60)


async def test_losers_may_be_anything_that_is_awaitable():
    async def coroutine():
        await asyncio.sleep(1)
        return "coroutine"

    worked, inner = work(60), first_of(message("A"), message("B"))
    assert await first_of(worked, inner, coroutine()) == "coroutine"
    await settle()
    assert (worked.state, inner.state) == (State.CANCELLED, State.CANCELLED)
    assert [deliver(topic).outcome for topic in "AB"] == ["kept", "kept"]  # what only a loser needed has gone too


async def test_cancelling_a_first_of_cancels_what_nothing_else_needs():
    wanted = message("B")
    doubled = double(wanted)
    node = first_of(message("A"), wanted)
    await settle()
    node.cancel(upstream=True)
    await settle()

    assert deliver("A").outcome == "kept"
    deliver("B", payload=2)
    assert await doubled == 4


async def test_all_of_several_are_edges():
    @task
    async def total(*amounts):
        return sum(amounts)

    node = total(message("A"), message("B"), sleep_and_return(5))
    await settle()
    deliver("B", payload=2)
    deliver("A", payload=1)
    assert await node == 8


@task
async def sleep_and_return(value):
    await sleep(value)
    return value


async def test_a_first_of_holds_nothing_when_it_is_over():
    async def once():
        node = first_of(message("A"), sleep(1))
        await node
        return weakref.ref(node)

    reference = await once()
    await settle()
    gc.collect()
    assert reference() is None


# Time


async def test_a_sleep_lasts_as_long_as_it_says_on_any_clock():
    assert await sleep(30 * 86_400.0) is None
    assert clock() == 30 * 86_400.0
    await sleep(timedelta(minutes=1))
    assert clock() == 30 * 86_400.0 + 60
    await sleep(0)
    assert clock() == 30 * 86_400.0 + 60


async def test_far_sleepers_do_not_hold_up_near_ones():
    async with Run("sleepers"):
        far = [sleep(10_000 + number) for number in range(500)]
        near = [sleep(number + 1) for number in range(100)]
        assert [await node for node in near] == [None] * 100
        assert clock() == 100.0
        for node in far:
            node.cancel()


async def test_a_moment_is_one_of_the_clock_on_the_wall():
    moment = await now() + timedelta(days=365)
    await sleep_until(moment)

    assert await now() == moment
    await sleep_until(moment - timedelta(days=1))
    assert await now() == moment


async def test_a_message_that_does_not_come_in_time_fails_the_wait():
    async def body():
        try:
            return await message("ORDER", key="A", timeout=5)
        except TimeoutError as error:
            return str(error), clock()

    assert await task(body)() == ("no message of 'ORDER' with the key 'A' came within 5 s", 5.0)
    assert deliver("ORDER", "A").outcome == "kept"


async def test_a_message_in_time_counts_whatever_comes_afterwards():
    node = message("ORDER", timeout=5)
    await asyncio.sleep(4.9)
    deliver("ORDER", payload=1)
    await asyncio.sleep(1)

    assert await node == 1


@task(timeout=5)
async def polled(until):
    """Ask every second until something is true."""
    asked = 0
    while True:
        asked += 1
        if until(asked):
            return asked
        await sleep(1)


async def test_a_poll_goes_on_as_soon_as_it_is_true():
    assert await polled(lambda asked: asked == 3) == 3
    assert clock() == 2.0


async def test_a_poll_that_is_never_true_ends_at_its_deadline_and_asks_no_more():
    asked = []
    with pytest.raises(TimeoutError):
        await polled(asked.append)
    assert clock() == 5.0
    await sleep(10)
    assert asked == [1, 2, 3, 4, 5]


# Bad input


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: message(""), "topic='' cannot work"),
        (lambda: message(5), "topic=5 cannot work"),
        (lambda: message("a\nb"), "without control characters"),
        (lambda: message("x" * 1001), "1 to 1,000 characters"),
        (lambda: message("A", key=17), "key=17 cannot work"),
        (lambda: message("A", key=["a"]), "key=.'a'. cannot work"),
        (lambda: message("A", timeout=0), "timeout=0 cannot work"),
        (lambda: message("A", timeout=float("nan")), "timeout=nan cannot work"),
        (lambda: message("A", count=0), "count=0 cannot work"),
        (lambda: message("A", count=True), "count=True cannot work"),
        (lambda: sleep(-1), "seconds=-1 cannot work"),
        (lambda: sleep(float("nan")), "seconds=nan cannot work"),
        (lambda: sleep("1"), "seconds='1' cannot work"),
        (lambda: sleep_until(datetime(2030, 1, 1)), "a datetime with a time zone"),
        (lambda: sleep_until(5), "moment=5 cannot work"),
        (lambda: send("A", key=[]), r"key=\[\] cannot work"),
        (lambda: send("A", key=["a", 1]), "key=1 cannot work"),
        (lambda: send("A", to="some"), "to='some' cannot work"),
        (lambda: send("A", to=["all"]), "to=.'all'. cannot work"),
        (lambda: send("A", id=""), "id='' cannot work"),
        (lambda: send("A", headers={"a": 1}), "headers="),
        (lambda: Topic("A", ttl=-1), "ttl=-1 cannot work"),
        (lambda: Topic("A", via="kafka"), "via='kafka' cannot work"),
        (lambda: message(Topic("A", value=asyncio.Lock)), "value=<class 'asyncio.locks.Lock'> cannot work"),
    ],
)
async def test_what_cannot_work_is_refused_at_the_call(call, says):
    async with Run("orders") as scope:
        with pytest.raises(OptionError, match=says):
            call()
    assert len(scope.graph()) == 0


@pytest.mark.parametrize(
    "value", [float("nan"), object(), b"\xff" * 2**20, "\ud800", {"a": 1, 1: 2, "1": 3}, [10**5000]]
)
async def test_what_no_message_can_carry_is_refused_at_the_call(value):
    async with Run("orders") as scope:
        with pytest.raises(PayloadRefused):
            send("A", value=value)
    assert len(scope.graph()) == 0


@pytest.mark.parametrize("call", [first_of, lambda: first_of(sleep(1), late=sleep(2)), lambda: first_of(5)])
async def test_a_first_of_nothing_or_of_what_is_no_node_is_a_type_error(call):
    with pytest.raises(TypeError):
        call()


async def test_a_topic_has_one_type_and_one_transport_in_a_process():
    Topic("PAYMENT", value=Payment)
    Topic("PAYMENT", value=Payment)  # as when a file is imported again

    with pytest.raises(OptionError, match=r"there is Topic.'PAYMENT', value=Payment. already"):
        Topic("PAYMENT", value=int)
    with pytest.raises(OptionError, match="one transport"):
        Topic("PAYMENT", value=Payment, via="kafka://broker:9092")


async def test_a_run_with_a_store_is_not_delivered_to_by_way_of_the_loop():
    async with Run("orders", store="memory:"):
        with pytest.raises(RuntimeError, match="waits in its store"):
            deliver("A")


# The end of a loop


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, "aiodag.messages")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "aiodag.messages"]


def test_a_wait_that_ends_with_its_loop_says_so(said):
    async def main():
        message("ORDER", key="A17")
        sleep(60)
        await asyncio.sleep(5)

    run(main())
    (told,) = said()
    assert told == (
        "2 waits ended with this loop: a message of 'ORDER' with the key 'A17', for 5 s; a moment, for 5 s. "
        "In a run with a store they would go on"
    )


def test_losers_say_nothing_when_the_loop_ends(said):
    async def main():
        with pytest.raises(TimeoutError):
            await first_of(message("ORDER", timeout=3), message("OTHER"), sleep(5))
        assert deliver("OTHER").outcome == "kept"

    run(main())
    assert said() == []


def test_a_wait_that_somebody_cancels_says_nothing(said):
    async def main():
        node = message("ORDER")
        await settle()
        node.cancel()
        await asyncio.sleep(1)

    run(main())
    assert said() == []


def test_a_test_that_waits_for_ever_says_for_what(strangers_known):
    async def main():
        await message("ORDER", key="A17")

    with pytest.raises(Stalled, match=r"message \(running, for a message of 'ORDER' with the key 'A17', called at"):
        run(main())


@pytest.mark.parametrize("loop", [each for each in LOOPS if each != "eager" or sys.version_info >= (3, 12)])
def test_messages_and_timers_work_on_every_loop(loop):
    async def main():
        losing, won = message("A"), first_of(message("B", timeout=3600), sleep(3600))
        await sleep(0)
        sent = await send("B", value=5, id="m1")
        both = await won, await double(first_of(losing, double(1)))
        return sent, both, await message("C", count=2), losing.cancelled()

    async def outside():
        node = task(main)()
        deliver("C", payload=1)
        await asyncio.sleep(0)
        deliver("C", payload=2)
        return await node

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(outside()) == ("m1", (5, 4), [1, 2], True)


def test_each_loop_has_an_inbox_of_its_own():
    async def early():
        deliver("ORDER", payload=1)

    async def late():
        return messages_kept()

    run(early())
    assert run(late()) == []
