"""How many attempts at once, and how many per second."""

import asyncio
from contextlib import suppress

import pytest

from aiodag import Limit, OptionError, Run, State, task
from aiodag.testing import run


def now():
    return asyncio.get_running_loop().time()


class Meter:
    """Counts the bodies that run at once."""

    def __init__(self):
        self.inside = self.most = 0
        self.starts = []
        self.order = []

    async def body(self, key=None, seconds=1.0):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.starts.append(now())
        self.order.append(key)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.inside -= 1
        return key


def metered(**options):
    meter = Meter()
    return task(meter.body, **options), meter


async def settle(*nodes):
    await asyncio.wait(nodes)
    for node in nodes:
        with suppress(asyncio.CancelledError):
            node.exception()


# Capacity


def test_no_more_bodies_run_than_the_limit_allows():
    work, meter = metered(limit=3)

    async def main():
        values = await asyncio.gather(*work.map(range(100)))
        return values, now()

    assert run(main()) == (list(range(100)), 34.0)
    assert meter.most == 3


def test_places_are_given_in_the_order_of_the_calls():
    work, meter = metered(limit=2)

    async def main():
        await asyncio.gather(*work.map(range(20)))

    run(main())

    assert meter.order == list(range(20))


def test_a_node_that_waits_for_a_place_is_queued():
    work, _ = metered(limit=1)

    async def main():
        nodes = work.map(range(2))
        await asyncio.sleep(0.5)
        states = [node.state for node in nodes]
        await asyncio.gather(*nodes)
        return states

    assert run(main()) == [State.RUNNING, State.QUEUED]


def test_a_limit_is_shared_by_all_tasks_that_name_it():
    limit, meter = Limit(2), Meter()
    first, second = task(meter.body, limit=limit), task(meter.body, limit=limit, name="second")

    async def main():
        await asyncio.gather(*first.map(range(5)), *second.map(range(5)))
        return now()

    assert run(main()) == 5.0
    assert meter.most == 2


def test_an_int_is_a_limit_of_the_task_alone():
    meter = Meter()
    first, second = task(meter.body, limit=1), task(meter.body, limit=1)

    async def main():
        await asyncio.gather(first(), second())
        return now()

    assert run(main()) == 1.0


@pytest.mark.parametrize(
    "again", [lambda work: work.with_options(name="again"), task, lambda work: work.after(asyncio.sleep(0))]
)
def test_a_task_made_from_another_shares_its_limit(again):
    work, meter = metered(limit=1)

    async def main():
        await asyncio.gather(*work.map(range(3)), again(work)())

    run(main())

    assert meter.most == 1


def test_methods_of_several_instances_share_the_limit():
    meter = Meter()

    class Client:
        @task(limit=1)
        async def fetch(self):
            await meter.body()

    async def main():
        await asyncio.gather(*[Client().fetch() for _ in range(3)])

    run(main())

    assert meter.most == 1


def test_failed_nodes_give_their_places_back():
    @task(limit=2)
    async def bad():
        await asyncio.sleep(1)
        raise ValueError

    async def main():
        await asyncio.gather(*[bad() for _ in range(6)], return_exceptions=True)
        return now()

    assert run(main()) == 3.0


def test_a_cancelled_body_gives_its_place_back_at_once():
    work, meter = metered(limit=1)

    async def main():
        first, second = work("first", 100), work("second")
        await asyncio.sleep(5)
        first.cancel()
        await settle(first, second)
        return second.state

    assert run(main()) is State.SUCCEEDED
    assert meter.starts == [0.0, 5.0]


def test_a_node_cancelled_while_it_waits_takes_no_place():
    work, meter = metered(limit=1)

    async def main():
        first, second, third = work.map(["first", "second", "third"])
        await asyncio.sleep(0.5)
        second.cancel()
        await settle(first, second, third)
        return second.state

    assert run(main()) is State.CANCELLED
    assert (meter.order, meter.starts) == (["first", "third"], [0.0, 1.0])


def test_a_node_cancelled_as_its_place_comes_free_passes_it_on():
    work, meter = metered(limit=1)

    async def main():
        first, second, third = work.map(["first", "second", "third"])
        first.add_done_callback(lambda _: second.cancel())
        await settle(first, second, third)
        return third.state

    assert run(main()) is State.SUCCEEDED
    assert meter.order[-1] == "third"


def test_a_node_cancelled_before_it_starts_takes_no_place():
    work, meter = metered(limit=1)

    async def main():
        work("never").cancel()
        await work("next")

    run(main())

    assert (meter.order, meter.starts) == (["next"], [0.0])


def test_waiting_for_an_upstream_takes_no_place():
    work, meter = metered(limit=1)

    async def main():
        late = work(task(asyncio.sleep)(10, "late"))
        await asyncio.gather(late, work("early"))

    run(main())

    assert (meter.order, meter.starts) == (["early", "late"], [0.0, 10.0])


def test_the_pause_before_a_retry_takes_no_place():
    starts = []

    @task(limit=1, retries=1, backoff=10)
    async def flaky(key):
        starts.append((key, now()))
        await asyncio.sleep(1)
        if starts.count(("a", 0.0)) and len(starts) == 1:
            raise ValueError

    async def main():
        await asyncio.gather(flaky("a"), flaky("b"))

    run(main())

    assert starts == [("a", 0.0), ("b", 1.0), ("a", 11.0)]


def test_limits_on_two_loops_are_two():
    work, _meter = metered(limit=1)

    async def main():
        await asyncio.gather(*work.map(range(2)))
        return now()

    assert [run(main()), run(main())] == [2.0, 2.0]


def test_a_loop_that_ended_in_the_middle_leaves_no_place_taken_on_the_next():
    work, _meter = metered(limit=1)

    async def leave():
        work("left", 1000)
        await asyncio.sleep(1)

    async def main():
        await work("next")
        return now()

    run(leave())

    assert run(main()) == 1.0


def test_a_node_cancelled_while_it_waits_for_a_limit_gives_its_place_in_the_run_back():
    work, _ = metered(limit=1)

    async def main():
        async with asyncio.timeout(100), Run(limit=2):
            first, second = work.map(["first", "second"])
            await asyncio.sleep(0.5)
            second.cancel()
            other = [task(asyncio.sleep)(1) for _ in range(2)]
            await asyncio.gather(first, *other)
        return now()

    assert run(main()) == 2.0


# Rate


def test_a_rate_spaces_the_starts_evenly():
    work, meter = metered(limit=Limit(rate=10))

    async def main():
        await asyncio.gather(*work.map(range(21)))

    run(main())

    assert meter.starts == pytest.approx([i / 10 for i in range(21)], abs=1e-9)
    assert meter.order == list(range(21))


def test_the_rate_does_not_drift():
    work, meter = metered(limit=Limit(rate=10))

    async def main():
        await asyncio.gather(*work.map(range(1001)))

    run(main())

    assert meter.starts[-1] == pytest.approx(100, abs=1e-9)


def test_a_rate_counts_for_any_number_of_seconds():
    work, meter = metered(limit=Limit(rate=3, per=60))

    async def main():
        await asyncio.gather(*work.map(range(4)))

    run(main())

    assert meter.starts == [0.0, 20.0, 40.0, 60.0]


def test_time_that_passed_unused_is_not_saved_up():
    work, meter = metered(limit=Limit(rate=1))

    async def main():
        await work(seconds=0)
        await asyncio.sleep(100)
        await asyncio.gather(*work.map(range(3)))

    run(main())

    assert meter.starts == [0.0, 100.0, 101.0, 102.0]


def test_a_rate_is_shared_by_all_tasks_that_name_it():
    limit, meter = Limit(rate=2), Meter()

    async def main():
        await asyncio.gather(task(meter.body, limit=limit)("a"), task(meter.body, limit=limit)("b"))

    run(main())

    assert meter.starts == [0.0, 0.5]


def test_each_attempt_takes_its_turn_of_the_rate():
    starts = []

    @task(limit=Limit(rate=0.5), retries=2)
    async def flaky():
        starts.append(now())
        if len(starts) < 3:
            raise ValueError

    async def main():
        await flaky()

    run(main())

    assert starts == [0.0, 2.0, 4.0]


def test_a_node_cancelled_while_it_waits_for_its_turn_leaves_it_to_the_next():
    work, meter = metered(limit=Limit(rate=1))

    async def main():
        nodes = work.map(["a", "b", "c"])
        await asyncio.sleep(0.5)
        nodes[1].cancel()
        await settle(*nodes)

    run(main())

    assert (meter.order, meter.starts) == (["a", "c"], [0.0, 1.0])


# Both


def test_capacity_and_rate_hold_together():
    work, meter = metered(limit=Limit(2, rate=1))

    async def main():
        await asyncio.gather(*[work(i, 3.0) for i in range(5)])

    run(main())

    assert meter.most == 2
    assert meter.starts == [0.0, 1.0, 3.0, 4.0, 6.0]


def test_a_node_cancelled_while_it_waits_for_its_turn_gives_its_place_back():
    work, meter = metered(limit=Limit(1, rate=0.1))

    async def main():
        await work("a")
        second = work("b")
        await asyncio.sleep(1)
        second.cancel()
        await settle(second)
        await work("c")

    run(main())

    assert (meter.order, meter.starts) == (["a", "c"], [0.0, 10.0])


# What is refused


@pytest.mark.parametrize(
    ("args", "options", "option"),
    [
        ((), {}, "limit"),
        ((None,), {}, "limit"),
        ((0,), {}, "limit"),
        ((-1,), {}, "limit"),
        ((1.5,), {}, "limit"),
        (("2",), {}, "limit"),
        ((True,), {}, "limit"),
        ((), {"rate": 0}, "rate"),
        ((), {"rate": -1}, "rate"),
        ((), {"rate": "10"}, "rate"),
        ((), {"rate": True}, "rate"),
        ((), {"rate": float("nan")}, "rate"),
        ((), {"rate": 10**400}, "rate"),
        ((), {"rate": 1e-320}, "rate"),
        ((), {"rate": 0.1, "per": 1e308}, "rate"),
        ((), {"rate": 1, "per": 10**400}, "per"),
        ((), {"rate": 1, "per": 0}, "per"),
        ((), {"rate": 1, "per": -1}, "per"),
        ((), {"rate": 1, "per": None}, "per"),
        ((), {"rate": 1, "per": True}, "per"),
        ((), {"rate": 1, "per": float("inf")}, "per"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_limit_that_cannot_work_is_refused_and_the_message_says_what_works(args, options, option):
    with pytest.raises(OptionError, match=f"^{option}=.* cannot work: {option} takes "):
        Limit(*args, **options)


def test_a_limit_prints_as_it_is_written():
    limits = Limit(3), Limit(rate=10), Limit(2, rate=100, per=60)

    assert list(map(repr, limits)) == ["Limit(3)", "Limit(rate=10)", "Limit(2, rate=100, per=60)"]


@pytest.mark.virtual
async def test_nodes_of_different_tasks_get_their_turn_in_the_order_of_the_calls():
    """Also after a body of one of the tasks has waited, which the engine remembers."""
    order = []
    limit = Limit(1)

    @task(limit=limit)
    async def fetch(name):
        order.append(name)
        await asyncio.sleep(1)

    @task(limit=limit)
    async def store(name):
        order.append(name)

    await fetch("first")
    await asyncio.gather(fetch("a"), fetch("b"), store("c"), fetch("d"), store("e"))

    assert order == ["first", "a", "b", "c", "d", "e"]
