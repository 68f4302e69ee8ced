"""Named resources: never more than there is, everybody's turn, and all of it back."""

import asyncio
import gc
import threading
from concurrent.futures import Future

import process_bodies
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import (
    Capacity,
    Limit,
    NoCapacity,
    OptionError,
    Run,
    State,
    WorkerDied,
    WorkflowError,
    current_node,
    plan,
    settled,
    task,
)
from aiodag.testing import run, shuffle
from aiodag.workflows import Workflow

PATIENCE = 30  # seconds that a thread waits for another before the test fails


def now():
    return asyncio.get_running_loop().time()


class Meter:
    """Notes what runs at once."""

    def __init__(self):
        self.inside = self.most = 0
        self.starts = {}
        self.places = {}

    async def body(self, key=None, seconds=1.0):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.starts[key] = now()
        self.places[key] = current_node().place
        try:
            await asyncio.sleep(seconds)
        finally:
            self.inside -= 1
        return key


def metered(**options):
    meter = Meter()
    return task(meter.body, name="work", **options), meter


async def all_free(capacity):
    """Take everything at once, place by place: it begins at once if nobody holds anything."""
    begun = now()
    async with Run(capacity=capacity):
        for place in capacity.places:
            task(asyncio.sleep, resources=place)(0)
        for _ in range((capacity.limit or 0) - len(capacity.places)):
            task(asyncio.sleep)(0)
    return now() == begun


# How much at once


def test_ten_sleeps_of_two_seconds_under_a_limit_of_five_take_four_seconds():
    work, meter = metered()

    async def main():
        async with Run(capacity=Capacity(limit=5)):
            for key in range(10):
                work(key, 2.0)
        return now()

    assert run(main()) == 4.0
    assert meter.most == 5


def test_no_more_is_held_than_there_is():
    work, meter = metered(resources={"cores": 3})

    async def main():
        async with Run(capacity=Capacity({"cores": 8})):
            work.map(range(6))
        return now()

    assert run(main()) == 3.0
    assert meter.most == 2


def test_every_resource_that_is_asked_for_counts():
    work, meter = metered(resources={"cores": 1, "license": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 8, "license": 1})):
            work.map(range(3))
        return now()

    assert run(main()) == 3.0
    assert meter.most == 1


def test_the_limit_bounds_attempts_whatever_they_ask_for():
    meter = Meter()
    tasks = [
        task(meter.body),
        task(meter.body, resources={"cores": 1}),
        task(meter.body, retries=1),
        task(meter.body, limit=9),
    ]

    async def main():
        async with Run(capacity=Capacity({"cores": 100}, limit=2)):
            for number, each in enumerate(tasks * 2):
                each(number)
        return now()

    assert run(main()) == 4.0
    assert meter.most == 2


def test_awaitables_of_others_do_not_count_for_the_limit():
    work, _ = metered()

    async def main():
        async with Run(capacity=Capacity(limit=1)):
            work(asyncio.sleep(1), 1.0)
            task(asyncio.sleep)(1)
        return now()

    assert run(main()) == 2.0


def test_a_run_without_a_limit_holds_back_no_task_that_asks_for_nothing():
    work, meter = metered()

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            nodes = work.map(range(10))
        return now(), nodes[0].task is work

    assert run(main()) == (1.0, True)
    assert meter.most == 10


def test_fractions_add_up_as_people_write_them():
    meter = Meter()
    thirds = [task(meter.body, resources={"cores": amount}) for amount in (0.1, 0.2)]
    sixth = task(meter.body, resources={"cores": 1 / 6})

    async def main():
        async with Run(capacity=Capacity({"cores": 0.3})):
            for number, each in enumerate(thirds):
                each(number)
        async with Run(capacity=Capacity({"cores": 0.1 + 0.2})):
            task(asyncio.sleep, resources={"cores": 0.3})(1)
        async with Run(capacity=Capacity({"cores": 1})):
            sixth.map(range(6))
        return now()

    assert run(main()) == 3.0


def test_a_request_that_waits_is_queued():
    work, _ = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            nodes = work.map(range(2))
            await asyncio.sleep(0.5)
            return [node.state for node in nodes]

    assert run(main()) == [State.RUNNING, State.QUEUED]


def test_waiting_for_an_upstream_holds_nothing():
    work, meter = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            work(task(asyncio.sleep)(10, "late"))
            work("early")

    run(main())

    assert meter.starts == {"early": 0.0, "late": 10.0}


# Where


def test_an_attempt_runs_in_the_first_place_where_it_fits():
    meter = Meter()
    small, large, graphic = (
        task(meter.body, resources=each) for each in ({"cores": 1}, {"cores": 2}, {"cores": 1, "gpu": 1})
    )

    async def main():
        async with Run(capacity=Capacity([{"cores": 3}, {"cores": 2, "gpu": 1}])):
            large("a")
            graphic("b")
            small("c")
            small("d")

    run(main())

    assert meter.places == {"a": 0, "b": 1, "c": 0, "d": 1}
    assert set(meter.starts.values()) == {0.0}


def test_a_request_is_never_split_over_places():
    work, _ = metered(resources={"cores": 3})

    async def main():
        async with Run(capacity=Capacity([{"cores": 4}, {"cores": 2}])):
            work.map(range(2))
        return now()

    assert run(main()) == 2.0


def test_a_thread_can_read_where_it_is_too():
    async def main():
        async with Run(capacity=Capacity([{"cores": 1}, {"gpu": 1}])):
            node = task(lambda: current_node().place, resources={"gpu": 1})()
        return node.result(), task(asyncio.sleep)(0).place

    assert run(main()) == (1, None)


# Whose turn


def test_equal_requests_go_in_the_order_of_the_calls():
    work, meter = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 2})):
            work.map(range(20))

    run(main())

    assert list(meter.starts) == list(range(20))


def test_a_large_request_gets_its_turn_among_endless_small_ones():
    meter = Meter()
    small, large = (task(meter.body, resources={"cores": cores}) for cores in (1, 4))

    async def main():
        async with Run(capacity=Capacity([{"cores": 4}, {"cores": 3}])):
            for number in range(50):
                small(number)
                small(-number)
                if number == 10:
                    large("large", 1.0)
                await asyncio.sleep(0.25)

    run(main())

    assert meter.starts["large"] <= 4.0


def test_what_the_first_in_line_cannot_use_goes_to_others_meanwhile():
    meter = Meter()
    large, small, other = (task(meter.body, resources=each) for each in ({"cores": 4}, {"cores": 1}, {"license": 1}))

    async def main():
        async with Run(capacity=Capacity({"cores": 4, "license": 1})):
            small("running", 10)
            large("large")
            small("behind")
            other("other")

    run(main())

    assert meter.starts == {"running": 0.0, "other": 0.0, "large": 10.0, "behind": 11.0}


def test_a_small_request_overtakes_in_a_place_where_nothing_is_kept():
    meter = Meter()
    large, small = (task(meter.body, resources={"cores": cores}) for cores in (4, 1))

    async def main():
        async with Run(capacity=Capacity([{"cores": 4}, {"cores": 1}])):
            small("running", 10)
            large("large")
            small("overtakes")

    run(main())

    assert meter.starts == {"running": 0.0, "overtakes": 0.0, "large": 10.0}
    assert meter.places["overtakes"] == 1


def test_what_is_kept_for_a_request_is_free_when_that_is_cancelled():
    meter = Meter()
    large, small = (task(meter.body, resources={"cores": cores}) for cores in (4, 1))

    async def main():
        async with Run(capacity=Capacity({"cores": 4})):
            small("running", 10)
            waiting = large("large")
            small("behind")
            await asyncio.sleep(2)
            waiting.cancel()

    run(main())

    assert meter.starts == {"running": 0.0, "behind": 2.0}


def test_many_different_requests_all_get_their_turn():
    meter = Meter()

    async def main():
        capacity = Capacity({"cores": 10})
        async with Run(capacity=capacity):
            for number in range(200):
                task(meter.body, resources={"cores": 1 + number * 7 % 90 / 10})(number)
        return await all_free(capacity)

    assert run(main())
    assert len(meter.starts) == 200


def test_many_equal_requests_are_cancelled_in_any_order_and_leave_nothing():
    work, _ = metered(resources={"cores": 1})

    async def main():
        capacity = Capacity({"cores": 1})
        async with Run(capacity=capacity):
            nodes = work.map(range(5_000))
            await asyncio.sleep(0.5)
            for node in nodes[1::2] + nodes[:0:-1]:
                node.cancel()
        return await all_free(capacity)

    assert run(main())


# Given back


def test_a_failed_attempt_gives_everything_back():
    @task(resources={"cores": 1})
    async def bad():
        await asyncio.sleep(1)
        raise ValueError

    async def main():
        async with Run(capacity=Capacity({"cores": 2})):
            await asyncio.gather(*[bad() for _ in range(6)], return_exceptions=True)
        return now()

    assert run(main()) == 3.0


def test_a_cancelled_body_gives_everything_back_at_once():
    work, meter = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            first = work("first", 100)
            work("second")
            await asyncio.sleep(5)
            first.cancel()

    run(main())

    assert meter.starts == {"first": 0.0, "second": 5.0}


def test_a_node_cancelled_while_it_waits_holds_nothing():
    work, meter = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            _, second, _ = work.map(["first", "second", "third"])
            await asyncio.sleep(0.5)
            second.cancel()

    run(main())

    assert meter.starts == {"first": 0.0, "third": 1.0}


def test_a_node_cancelled_as_its_turn_comes_passes_it_on():
    work, meter = metered(resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            first, second, _ = work.map(["first", "second", "third"])
            first.add_done_callback(lambda _: second.cancel())

    run(main())

    assert list(meter.starts)[-1] == "third"


def test_an_attempt_that_takes_too_long_gives_everything_back():
    work, meter = metered(resources={"cores": 1}, timeout=3)

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            slow = work("slow", 100)
            task(lambda _: None)(settled(slow))
            work("next")
            with pytest.raises(TimeoutError):
                await slow

    run(main())

    assert meter.starts == {"slow": 0.0, "next": 3.0}


def test_waiting_for_resources_does_not_count_towards_the_timeout():
    work, _ = metered(resources={"cores": 1}, timeout=1.5)

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            nodes = work.map(range(5))
        return {node.state for node in nodes}

    assert run(main()) == {State.SUCCEEDED}


def test_the_pause_before_a_retry_holds_nothing():
    starts = []

    @task(resources={"cores": 1}, retries=1, backoff=10)
    async def flaky(key):
        starts.append((key, now()))
        await asyncio.sleep(1)
        if len(starts) == 1:
            raise ValueError

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            flaky("a")
            flaky("b")

    run(main())

    assert starts == [("a", 0.0), ("b", 1.0), ("a", 11.0)]


async def test_a_thread_that_is_left_behind_holds_on_until_it_really_ends():
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    order = []

    @task(resources={"cores": 1})
    def slow():
        loop.call_soon_threadsafe(begun.set)
        go.wait(PATIENCE)
        order.append("ended")

    @task(resources={"cores": 1})
    async def after():
        order.append("after")

    async with Run(capacity=Capacity({"cores": 1})):
        left = slow()
        await begun.wait()
        left.cancel()
        after()
        for _ in range(10):
            await asyncio.sleep(0)
        assert order == []
        go.set()

    assert order == ["ended", "after"]


async def test_a_process_that_is_killed_gives_everything_back():
    capacity = Capacity({"cores": 1})
    dies = task(process_bodies.dies, executor="process", resources={"cores": 1})
    async with Run(capacity=capacity):
        with pytest.raises(WorkerDied):
            await dies()
        node = task(asyncio.sleep, resources={"cores": 1})(0, "ran")

    assert node.result() == "ran"


def test_who_waits_for_a_limit_holds_no_resources():
    meter = Meter()
    limited, other = task(meter.body, limit=1, resources={"cores": 1}), task(meter.body, resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 2})):
            limited("a")
            limited("b")
            other("other")

    run(main())

    assert meter.starts == {"a": 0.0, "other": 0.0, "b": 1.0}


def test_starts_are_spaced_when_they_also_wait_for_resources():
    work, meter = metered(limit=Limit(rate=1), resources={"cores": 1})

    async def main():
        async with Run(capacity=Capacity({"cores": 4})):
            task(asyncio.sleep, resources={"cores": 4})(10)
            work.map(range(3))

    run(main())

    assert meter.starts == {0: 10.0, 1: 11.0, 2: 12.0}


# Anything at all, in any order

AMOUNT = st.sampled_from([0.1, 0.3, 1, 1.5, 2, 3])
REQUEST = st.dictionaries(st.sampled_from(["cores", "gpu", "license"]), AMOUNT, max_size=3)
WAYS = st.sampled_from(["succeeds", "fails", "times out", "is cancelled", "tries again"])
CALL = st.tuples(REQUEST, WAYS, st.sampled_from([0.0, 0.5, 1.0, 2.5]), st.sampled_from([0.0, 0.5, 3.0]))
PLACES = st.lists(st.dictionaries(st.sampled_from(["cores", "gpu", "license"]), AMOUNT, min_size=1), min_size=1)


class Books:
    """Counts, beside the capacity, what bodies hold."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.held = [{} for _ in capacity.places]
        self.running = 0

    def change(self, place, request, sign):
        self.running += sign
        for name, amount in request.items():
            self.held[place][name] = round(self.held[place].get(name, 0) + sign * amount, 6)

    def check(self):
        for place, held in zip(self.capacity.places, self.held, strict=True):
            for name, amount in held.items():
                assert amount <= place.get(name, 0)
        assert self.capacity.limit is None or self.running <= self.capacity.limit

    def call(self, request, way, seconds):
        async def body():
            node = current_node()
            self.change(node.place, request, 1)
            self.check()
            try:
                await asyncio.sleep(100 if way in {"times out", "is cancelled"} else seconds)
                if way == "fails" or (way == "tries again" and node.attempt == 1):
                    raise LookupError
            finally:
                self.change(node.place, request, -1)

        return task(body, resources=request, timeout=10, retries=int(way == "tries again"), backoff=0.5)()


@settings(deadline=None, max_examples=200)
@given(PLACES, st.none() | st.integers(1, 4), st.lists(CALL, max_size=25), st.integers(0, 99))
def test_never_is_more_held_than_there_is_and_all_of_it_comes_back(places, limit, calls, seed):
    async def main():
        shuffle(seed)
        capacity = Capacity(places, limit=limit)
        books, nodes, refused = Books(capacity), [], 0
        async with asyncio.timeout(10_000), Run(capacity=capacity):
            for request, way, seconds, pause in calls:
                try:
                    nodes.append(books.call(request, way, seconds))
                except NoCapacity:
                    refused += 1
                    continue
                if way == "is cancelled":
                    asyncio.get_running_loop().call_later(seconds, nodes[-1].cancel)
                await asyncio.sleep(pause)
            await asyncio.wait([*nodes, asyncio.create_task(asyncio.sleep(0))])
            for node in nodes:
                node.cancelled() or node.exception()
        assert books.running == 0
        assert len(nodes) + refused == len(calls)
        assert all(node.state.final for node in nodes)
        if capacity.limit is None or capacity.limit >= len(capacity.places):
            assert await all_free(capacity)

    run(main())


# Shared


def test_runs_of_one_loop_share_what_there_is():
    work, meter = metered(resources={"cores": 1})

    async def one(capacity, keys):
        async with Run(capacity=capacity):
            work.map(keys)

    async def main():
        capacity = Capacity({"cores": 2})
        await asyncio.gather(one(capacity, "abc"), one(capacity, "def"))
        return now()

    assert run(main()) == 3.0
    assert meter.most == 2


def test_loops_in_several_threads_share_what_there_is():
    capacity, lock = Capacity({"cores": 3}, limit=2), threading.Lock()
    counts = {"inside": 0, "most": 0, "ran": 0}

    @task(resources={"cores": 1})
    async def work():
        with lock:
            counts["inside"] += 1
            counts["ran"] += 1
            counts["most"] = max(counts["most"], counts["inside"])
        await asyncio.sleep(0)
        with lock:
            counts["inside"] -= 1

    async def main():
        async with Run(capacity=capacity):
            for _ in range(200):
                work()

    threads = [threading.Thread(target=asyncio.run, args=(main(),), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert counts["ran"] == 800
    assert (counts["inside"], counts["most"] <= 2) == (0, True)


def test_a_loop_is_woken_by_another_one_that_gives_back():
    capacity, held, go = Capacity({"cores": 1}), threading.Event(), threading.Event()

    @task(resources={"cores": 1})
    async def hold():
        held.set()
        await asyncio.to_thread(go.wait, PATIENCE)

    async def first():
        async with Run(capacity=capacity):
            hold()

    async def second():
        async with Run(capacity=capacity):
            node = task(asyncio.sleep, resources={"cores": 1})(0, "ran")
            await asyncio.sleep(0)
            go.set()
        return node.result()

    other = threading.Thread(target=asyncio.run, args=(first(),), daemon=True)
    other.start()
    assert held.wait(PATIENCE)

    assert asyncio.run(asyncio.wait_for(second(), PATIENCE)) == "ran"
    other.join(PATIENCE)


def abandoned(capacity, *, seconds, nodes=3):
    """Return a loop that was closed while attempts ran and waited."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    work = task(asyncio.sleep, resources={"cores": 1})

    async def main():
        await Run(capacity=capacity).__aenter__()
        made = work.map([seconds] * nodes)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return made

    return loop, loop.run_until_complete(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_closed_in_the_middle_takes_nothing_with_it():
    capacity = Capacity({"cores": 1})
    loop, _nodes = abandoned(capacity, seconds=1000)
    loop.close()

    async def main():
        async with Run(capacity=capacity):
            node = task(asyncio.sleep, resources={"cores": 1})(0, "ran")
        return node.result(), await all_free(capacity)

    assert run(main()) == ("ran", True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_closed_loop_waited_for_goes_to_others():
    capacity = Capacity({"cores": 1})

    async def main():
        async with Run(capacity=capacity):
            task(asyncio.sleep, resources={"cores": 1})(1)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(left_waiting)
            task(asyncio.sleep, resources={"cores": 1})(1)
        return now(), await all_free(capacity)

    def left_waiting():
        loop, nodes = abandoned(capacity, seconds=0)
        waiting.extend(nodes)
        loop.close()

    waiting = []

    assert run(main()) == (2.0, True)
    assert {node.state for node in waiting} == {State.QUEUED}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_forgotten_gives_back_what_it_holds():
    capacity = Capacity({"cores": 1})

    kept = []

    async def main():
        async with Run(capacity=capacity):
            node = task(asyncio.sleep, resources={"cores": 1})(0)
            await asyncio.sleep(1)
            before = node.state
            kept.pop().close()
            gc.collect()
            await asyncio.sleep(1)
        return before, node.state

    kept.append(abandoned(capacity, seconds=1000, nodes=1)[0])

    assert run(main()) == (State.QUEUED, State.SUCCEEDED)


def test_a_thread_goes_on_holding_when_its_loop_is_closed():
    capacity, ended = Capacity({"cores": 1}), Future()

    class Leaves:
        async def run(self, fn, /, *args, **kwargs):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                current_node().abandon(ended)
                raise

    async def leave():
        async with Run(capacity=capacity):
            node = task(int, executor=Leaves(), resources={"cores": 1})()
            await asyncio.sleep(1)
            node.cancel()

    async def main():
        async with Run(capacity=capacity):
            node = task(asyncio.sleep, resources={"cores": 1})(0)
            await asyncio.sleep(1)
            before = node.state
            ended.set_result(None)
        return before, node.state

    run(leave())

    assert run(main()) == (State.QUEUED, State.SUCCEEDED)


# What is refused


ONE = Capacity({"cores": 8, "license": 1})
TWO = Capacity([{"cores": 4}, {"cores": 2, "gpu": 1}])


@pytest.mark.parametrize(
    ("capacity", "resources", "why"),
    [
        (ONE, {"licence": 2}, r"asks for licence 2, and there is no 'licence'. Did you mean 'license'\?"),
        (ONE, {"cores": 1, "memory": 2}, "there is no 'memory'. There are at most cores 8, license 1"),
        (ONE, {"cores": 8.5}, "asks for cores 8.5, and no place has more than 8"),
        (TWO, {"cores": 5}, "asks for cores 5, and no place has more than 4"),
        (TWO, {"cores": 3, "gpu": 1}, r"no place has all of that: there are cores 4 \| cores 2, gpu 1"),
        (
            ONE,
            {"memory": 2, "gpu": 1},
            "there is no 'gpu', and there is no 'memory'. There are at most cores 8, license 1",
        ),
        (
            ONE,
            {"core": 9, "license": 2},
            r"there is no 'core', and no place has more than 1 license. Did you mean 'cores'\?",
        ),
        (TWO, {"cores": 5, "gpu": 3}, "no place has more than 4 cores, and no place has more than 1 gpu"),
        (Capacity(limit=2), {"cores": 1}, "there is no 'cores'. There are at most none"),
        (None, {"cores": 1}, r"asks for cores 1, .*: Run\(capacity=Capacity\(\{'cores': 1\}\)\)"),
    ],
)
def test_what_can_never_be_had_is_refused_at_the_call(capacity, resources, why):
    work, meter = metered(resources=resources)

    async def main():
        async with Run(capacity=capacity) as this:
            with pytest.raises(NoCapacity, match=f"^work .*{why}"):
                work(asyncio.sleep(0))  # nobody awaits it, and nothing warns
            await asyncio.sleep(1)
            return len(this.graph())

    assert run(main()) == 0
    assert meter.starts == {}


def test_resources_are_refused_outside_a_run():
    work, _ = metered(resources={"cores": 1})

    async def main():
        work()

    with pytest.raises(NoCapacity, match=r"^work asks for cores 1, and there is no run with a capacity around it"):
        run(main())


def test_a_run_that_the_command_line_began_is_told_of_its_option():
    work, _ = metered(resources={"cores": 1, "gpu": 2})

    async def main():
        this = Run()
        this.entry = {"file": "etl.py", "task": "main", "parameters": {}}
        async with this:
            work()

    with pytest.raises(NoCapacity, match="and the run has no capacity: --capacity cores=1 --capacity gpu=2"):
        run(main())


def test_a_workflow_in_python_is_told_of_its_own_option():
    work, _ = metered(resources={"cores": 1})
    flow = Workflow("w")
    flow.add(work)

    with pytest.raises(
        WorkflowError, match=r"no capacity: Workflow\(\.\.\., capacity=\{'cores': 1\}\), or --capacity cores=1"
    ):
        asyncio.run(flow.run())


def test_no_resources_are_had_anywhere():
    work, meter = metered(resources={})

    async def main():
        await work("outside")
        await work.with_options(resources=None)("none")

    run(main())

    assert list(meter.starts) == ["outside", "none"]


def test_a_task_made_from_another_asks_for_the_same():
    asked = {"cores": 9}
    work, _ = metered(resources=asked)
    asked["cores"] = 1

    async def main():
        async with Run(capacity=ONE):
            for each in (work, work.with_options(name="again"), work.after(), task(work)):
                with pytest.raises(NoCapacity):
                    each()

    run(main())


class Shop:
    @task(resources={"cores": 1})
    async def counted(self):
        await asyncio.sleep(1)

    @task
    async def plain(self):
        await asyncio.sleep(1)


def test_methods_hold_resources_as_functions_do():
    async def main():
        async with Run(capacity=Capacity({"cores": 1}, limit=1)):
            Shop().counted()
            Shop().plain()
        return now()

    assert run(main()) == 2.0


NOT_AMOUNTS = [0, -1, 1e-7, True, None, "1", float("nan"), float("inf"), 10**400]


@pytest.mark.parametrize("amount", NOT_AMOUNTS, ids=lambda amount: str(amount)[:20])
def test_what_is_no_amount_is_refused_where_it_is_written(amount):
    wrong = "cannot work: .* takes a finite number above 0"

    with pytest.raises(OptionError, match=rf"^resources\['cores'\]=.* {wrong}"):
        task(int, resources={"cores": amount})
    with pytest.raises(OptionError, match=rf"^capacity\['cores'\]=.* {wrong}"):
        Capacity({"cores": amount})


@pytest.mark.parametrize("given", ["cores", 3, [], None, ["cores"], [3], {1: 1}, {"": 1}, [{"cores": 1}, 2]], ids=repr)
def test_what_is_no_capacity_is_refused(given):
    with pytest.raises(OptionError, match=r"^capacity=.* cannot work: capacity takes a dict of names and amounts"):
        Capacity(given)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", True])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(OptionError, match=r"^limit="):
        Capacity({"cores": 1}, limit=limit)


@pytest.mark.parametrize("given", [{"cores": 1}, 5, "cores"])
def test_a_run_takes_a_capacity_and_nothing_else(given):
    with pytest.raises(OptionError, match=r"^capacity=.* takes a Capacity, such as Capacity\("):
        Run(capacity=given)


@pytest.mark.parametrize("given", ["cores", 3, ["cores"], {1: 1}])
def test_what_cannot_be_asked_for_is_refused_when_the_task_is_made(given):
    with pytest.raises(OptionError, match=r"^resources=.* takes a dict of names and amounts"):
        task(int, resources=given)


def test_a_capacity_shows_what_it_has():
    shown = Capacity({"cores": 8}), Capacity([{"cores": 8}, {"gpu": 0.5}], limit=5), Capacity(limit=1)

    assert list(map(repr, shown)) == [
        "Capacity({'cores': 8})",
        "Capacity([{'cores': 8}, {'gpu': 0.5}], limit=5)",
        "Capacity(limit=1)",
    ]
    assert ([dict(each) for each in shown[1].places], shown[1].limit) == ([{"cores": 8}, {"gpu": 0.5}], 5)


# Before anything runs


@task(resources={"cores": 2})
async def heavy(x):
    return x


def test_plan_shows_tasks_with_resources_without_a_capacity():
    async def etl():
        await heavy(heavy(1))

    assert (len(plan(etl)), len(plan(heavy, 1))) == (2, 1)


def test_plan_refuses_what_a_run_inside_would_refuse():
    async def etl(capacity):
        async with Run(capacity=capacity):
            await heavy(heavy(1))

    assert len(plan(etl, Capacity({"cores": 2}, limit=1))) == 2
    with pytest.raises(NoCapacity):
        plan(etl, Capacity({"cores": 1}))


@pytest.mark.parametrize("options", [{"resources": {"license": 1}}, {"limit": Limit(1)}], ids=["capacity", "limit"])
@pytest.mark.parametrize("ending", ["fails", "is cancelled", "is late", "is tried again"])
def test_what_an_attempt_held_is_given_back_when_its_end_has_been_noted(options, ending):
    noted = []

    class Notes:
        def moved(self, move):
            if move.state is State.RUNNING:
                noted.append("begin")
            elif move.previous is State.RUNNING:
                noted.append("end")

    @task(**options, timeout=1 if ending == "is late" else None, retries=1 if ending == "is tried again" else 0)
    async def licensed(number):
        if ending == "is cancelled":
            current_node().cancel()
        if ending in {"is cancelled", "is late"}:
            await asyncio.Event().wait()
        raise ValueError(number)

    async def main():
        async with Run("lab", capacity=Capacity({"license": 1}), observers=[Notes()]):
            nodes = [licensed(number) for number in range(5)]
            await asyncio.wait(nodes)
            [node.cancelled() or node.exception() for node in nodes]

    run(main())

    assert noted == ["begin", "end"] * (len(noted) // 2)
    assert len(noted) >= 10
