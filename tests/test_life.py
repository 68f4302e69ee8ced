"""What is held and for how long; where a body is; on which loops it runs."""

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from aiodag import Run, State, current_node, current_run, task
from aiodag.testing import VirtualLoop, run

PLACE = ContextVar("place", default="nowhere")
MANY = 10_000
STEPS = 20_000
MIB = 2**20
PATIENCE = 30  # seconds that a thread waits for another before the test fails


class Value:
    """Something that can be watched while it goes."""


@task
async def same(x):
    return x


@task
async def wait(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


@task
async def make():
    return Value()


@task
async def bad(x=None):
    raise LookupError("bad")


@task
async def step(x):
    return x + 1


@task
async def slow_step(x):
    await asyncio.sleep(0)
    return x + 1


@task
def where():
    return PLACE.get(), current_node(), current_run()


# Held until settled


def test_nodes_that_wait_on_a_future_that_only_they_know_are_not_collected():
    ended = []

    @task
    async def note(x):
        ended.append(x)

    async def main():
        future = asyncio.get_running_loop().create_future()
        known = weakref.ref(future)
        for _ in range(MANY):
            note(future)
        del future
        gc.collect()
        await asyncio.sleep(1)
        gc.collect()
        known().set_result("x")
        await asyncio.sleep(1)

    run(main())

    assert ended == ["x"] * MANY


def test_bodies_that_wait_on_futures_that_only_they_know_are_not_collected():
    known, ended = [], []

    @task
    async def note(x):
        future = asyncio.get_running_loop().create_future()
        known.append(weakref.ref(future))
        await future
        ended.append(x)

    async def main():
        for x in range(MANY):
            note(same(x))
        await asyncio.sleep(1)
        gc.collect()
        for each in known:
            each().set_result(None)
        await asyncio.sleep(1)

    run(main())

    assert sorted(ended) == list(range(MANY))


def test_chain_that_nobody_holds_is_not_collected():
    ended = []

    @task
    async def note(x):
        ended.append(x)

    async def main():
        note(step(step(wait(1, 0))))
        gc.collect()
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(2)

    run(main())

    assert ended == [2]


# Free when settled


@pytest.mark.parametrize("seconds", [None, 1], ids=["at once", "later"])
def test_settled_node_is_held_by_nobody(seconds):
    async def main():
        node = same(1) if seconds is None else wait(seconds)
        known = weakref.ref(node)
        await node
        del node
        await asyncio.sleep(0)
        gc.collect()
        return known()

    assert run(main()) is None


def test_settled_node_goes_without_the_garbage_collector():
    async def main():
        node = wait(1)
        known = weakref.ref(node)
        await node
        del node
        await asyncio.sleep(0)
        return known()

    gc.disable()
    try:
        held = run(main())
    finally:
        gc.enable()

    assert held is None


def test_nodes_that_nobody_awaits_are_freed():
    async def main():
        known = [weakref.ref(same(step(x))) for x in range(10)]
        await asyncio.sleep(1)
        gc.collect()
        return [each() for each in known]

    assert run(main()) == [None] * 10


def test_settled_node_does_not_hold_its_upstream():
    async def main():
        upstream = make()
        known = weakref.ref(upstream)
        node = task(wait, upstream)(1, [upstream])
        del upstream
        await node
        await asyncio.sleep(0)
        node_holds = known() is not None and known() in gc.get_referrers(node)
        value = node.result()[0]
        del node
        gc.collect()
        return node_holds, known(), type(value)

    assert run(main()) == (False, None, Value)


def test_upstream_does_not_hold_what_needed_it():
    async def main():
        upstream = wait(1)
        known = weakref.ref(same(upstream))
        await upstream
        await asyncio.sleep(1)
        gc.collect()
        return known(), upstream.state

    assert run(main()) == (None, State.SUCCEEDED)


@pytest.mark.parametrize("failing", [False, True], ids=["cancelled", "skipped"])
def test_node_without_a_value_drops_its_arguments(failing):
    async def main():
        value = Value()
        known = weakref.ref(value)
        upstream = bad() if failing else wait(5)
        node = task(same, upstream)([value])
        del value
        if not failing:
            upstream.cancel()
        await asyncio.wait([node])
        state = node.state
        if failing:
            node.exception()
        gc.collect()
        return state, known()

    assert run(main()) == (State.SKIPPED if failing else State.CANCELLED, None)


@pytest.mark.parametrize("way", ["positional", "keyword"])
def test_arguments_are_dropped_when_the_body_starts(way):
    @task
    async def body(x):
        known = weakref.ref(x)
        del x
        return known()

    async def main():
        return await (body(Value()) if way == "positional" else body(x=Value()))

    assert run(main()) is None


def test_values_of_upstream_nodes_are_dropped_when_the_body_goes_on():
    @task
    async def body(x, rest):
        known = weakref.ref(x), weakref.ref(rest[0])
        del x, rest
        await asyncio.sleep(1)
        gc.collect()
        return [each() for each in known]

    async def main():
        return await body(make(), [make()])

    assert run(main()) == [None, None]


def test_arguments_are_freed_when_a_task_with_options_has_settled():
    @task(retries=2, timeout=5, limit=3)
    async def body(x):
        await asyncio.sleep(1)

    async def main():
        value = Value()
        known = weakref.ref(value)
        node = body([value, same(1)])
        del value
        await node
        await asyncio.sleep(0)
        gc.collect()
        return known(), node.state

    assert run(main()) == (None, State.SUCCEEDED)


def test_arguments_of_a_plain_function_are_freed():
    @task
    def body(x):
        return None

    async def main():
        value = Value()
        known = weakref.ref(value)
        node = body(value)
        del value
        await node
        # The pool's thread drops its call when it takes the next one.
        await task(lambda: None)()
        gc.collect()
        return known(), node.state

    assert run(main()) == (None, State.SUCCEEDED)


# Memory


async def grow(body, steps):
    """Return how many bytes the peak of `steps` more steps lies above that of the first thousand."""
    x = 0
    for _ in range(1_000):
        x = body(x)
        await x
    tracemalloc.reset_peak()
    base = tracemalloc.get_traced_memory()[0]
    for _ in range(steps):
        x = body(x)
        await x
    return tracemalloc.get_traced_memory()[1] - base


@pytest.fixture
def traced():
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("body", [step, slow_step], ids=["at once", "suspends"])
def test_endless_chain_needs_constant_memory(traced, body):
    assert run(grow(body, STEPS)) < MIB / 4


def test_endless_chain_of_large_values_needs_the_memory_of_a_few(traced):
    @task
    async def large(x):
        return bytes(MIB)

    assert run(grow(large, 1_000)) < 8 * MIB


def test_bodies_that_call_their_successor_need_constant_memory(traced):
    measured = []

    @task
    async def tick(left):
        if left == STEPS:
            measured.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.reset_peak()
        if left:
            tick(left - 1)

    async def main():
        tick(STEPS + 1_000)
        while tracemalloc.is_tracing() and asyncio.get_running_loop().time() < 100:
            await asyncio.sleep(1)
        return tracemalloc.get_traced_memory()[1] - measured[0]

    assert run(main()) < MIB / 4


# Context


@task
async def place(*upstream):
    return PLACE.get()


CALLS = {
    "free": lambda: place(),
    "waiting": lambda: place(wait(5)),
    "exogenous": lambda: place.after(wait(5))(),
    "retried": lambda: place.with_options(retries=1, limit=1, timeout=9)(wait(5)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_body_sees_the_context_variables_of_the_call(call):
    async def main():
        PLACE.set("call")
        node = call()
        PLACE.set("later")
        return await node

    assert run(main()) == "call"


def test_each_call_has_its_own_context():
    async def main():
        nodes = []
        for name in "abc":
            PLACE.set(name)
            nodes.append(place(wait(1)))
        return [await node for node in nodes]

    assert run(main()) == ["a", "b", "c"]


def test_body_does_not_change_the_context_of_its_caller_or_its_downstream():
    @task
    async def move():
        PLACE.set("moved")

    async def main():
        PLACE.set("call")
        after = place(move())
        return await after, PLACE.get()

    assert run(main()) == ("call", "call")


def test_body_keeps_its_context_over_suspension():
    @task
    async def body():
        PLACE.set("mine")
        await asyncio.sleep(1)
        return PLACE.get()

    async def main():
        return await asyncio.gather(body(), place(wait(2)))

    assert run(main()) == ["mine", "nowhere"]


def test_current_node_is_the_node_of_the_body():
    @task
    async def body():
        before = current_node()
        await asyncio.sleep(1)
        return before, current_node()

    async def main():
        node = body()
        before, after = await node
        return before is node, after is node, current_node()

    assert run(main()) == (True, True, None)


def test_current_node_of_nested_calls_is_the_innermost():
    @task
    async def inner():
        return current_node().name

    @task
    async def outer():
        return await inner(), current_node().name

    async def main():
        return await outer()

    inner_name, outer_name = run(main())

    assert inner_name.endswith("inner")
    assert outer_name.endswith("outer")


def test_current_node_is_known_in_asyncio_tasks_of_the_body():
    @task
    async def body():
        async def helper():
            return current_node()

        return await asyncio.create_task(helper()) is current_node()

    async def main():
        return await body()

    assert run(main()) is True


def test_current_node_and_run_are_known_in_a_thread():
    async def main():
        PLACE.set("call")
        async with Run("etl") as etl:
            node = where()
            place, here, owner = await node
        return place, here is node, owner is etl

    assert run(main()) == ("call", True, True)


def test_current_run_is_the_run_of_the_call():
    @task
    async def body():
        await asyncio.sleep(1)
        return current_run(), current_node().run

    async def main():
        async with Run("one") as one:
            first = body()
            async with Run("two") as two:
                second = body()
        outside = body()
        return await first == (one, one), await second == (two, two), await outside, current_run()

    assert run(main()) == (True, True, (None, None), None)


def test_outside_of_bodies_there_is_no_node_and_no_run():
    assert current_node() is None
    assert current_run() is None


# Loops


async def graph(seed):
    """A graph with every kind of edge and a thread; its value tells the seed."""
    PLACE.set(seed)
    first = [wait(at % 3 / 100, seed + at) for at in range(10)]
    sums = [step(each) for each in first]
    place, node, _ = await where()
    late = same.after(*first)({"sums": sums, "late": asyncio.sleep(0.01, seed)})
    got = await late
    return sum(got["sums"]) + got["late"], place, node.get_loop() is asyncio.get_running_loop()


def expected(seed):
    return sum(seed + at + 1 for at in range(10)) + seed, seed, True


LOOPS = {"asyncio": asyncio.new_event_loop, "virtual": VirtualLoop}


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_loops_one_after_another_use_the_same_tasks(factory):
    results = []
    for seed in range(3):
        with asyncio.Runner(loop_factory=factory) as runner:
            results.append(runner.run(graph(seed)))

    assert results == [expected(seed) for seed in range(3)]


def test_loops_in_turn_on_one_thread_keep_their_nodes_apart():
    with asyncio.Runner(loop_factory=VirtualLoop) as one, asyncio.Runner(loop_factory=VirtualLoop) as two:

        async def start(seed):
            return wait(1, seed), step(wait(2, seed))

        async def end(nodes):
            return [await node for node in nodes]

        first, second = one.run(start(1)), two.run(start(2))

        assert two.run(end(second)) == [2, 3]
        assert one.run(end(first)) == [1, 2]


def test_one_loop_per_thread_uses_the_same_tasks_at_once():
    threads = 4
    together = threading.Barrier(threads)

    def serve(seed):
        together.wait(PATIENCE)
        with asyncio.Runner() as runner:
            return [runner.run(graph(seed)) for _ in range(5)]

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(serve, range(threads)))

    assert results == [[expected(seed)] * 5 for seed in range(threads)]


def test_limit_of_a_task_is_kept_on_each_loop():
    @task(limit=1)
    async def alone(x):
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    async def main():
        return [await node for node in alone.map(range(3))]

    assert [run(main()), run(main())] == [[1, 2, 3]] * 2


def test_closed_loop_is_held_by_nobody():
    async def main():
        await graph(1)
        return weakref.ref(asyncio.get_running_loop())

    known = run(main())
    gc.collect()

    assert known() is None


@pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
def test_debug_mode_changes_nothing(factory):
    with asyncio.Runner(loop_factory=factory, debug=True) as runner:
        result = runner.run(graph(7))

    assert result == expected(7)


def eager(factory):
    def new_loop():
        loop = factory()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return new_loop


if sys.version_info >= (3, 12):

    @pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
    @pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
    def test_eager_task_factory_changes_nothing(factory, debug):
        with asyncio.Runner(loop_factory=eager(factory), debug=debug) as runner:
            result = runner.run(graph(7))

        assert result == expected(7)

    def test_eager_task_factory_runs_no_body_before_the_caller_gives_way():
        ran = []

        @task
        async def note(x):
            ran.append(x)

        async def body():
            ran.append("coroutine")

        async def main():
            nodes = [note(1), note(body()), note(asyncio.sleep(0))]
            before = list(ran)
            await asyncio.wait(nodes)
            return before

        with asyncio.Runner(loop_factory=eager(VirtualLoop)) as runner:
            before = runner.run(main())

        assert before == []
        assert len(ran) == 4

    def test_eager_task_factory_takes_done_tasks_as_edges():
        async def main():
            late = asyncio.create_task(same.fn("x"))
            return late.done(), await same([late])

        with asyncio.Runner(loop_factory=eager(VirtualLoop)) as runner:
            result = runner.run(main())

        assert result == (True, ["x"])


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_uvloop_changes_nothing(debug):
    uvloop = pytest.importorskip("uvloop")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop, debug=debug) as runner:
        result = runner.run(graph(7))

    assert result == expected(7)


def test_nodes_cancelled_while_they_wait_are_let_go_by_their_upstream():
    @task
    async def hold():
        await gate.wait()

    @task
    async def after(number, value):
        return number, value

    async def main():
        slow = hold()
        references = []
        for number in range(100):
            node = after(number, slow)
            references.append(weakref.ref(node))
            node.cancel()
        del node
        gc.collect()
        gone = sum(reference() is None for reference in references)
        gate.set()
        await slow
        return gone

    gate = asyncio.Event()
    assert run(main()) >= 99


def test_a_body_shows_its_own_frames():
    @task
    async def outer():
        await inner()

    async def inner():
        await asyncio.sleep(1)

    async def main():
        node = outer()
        name = node.get_name()
        await asyncio.sleep(0.5)
        frames = [frame.f_code.co_name for frame in node.get_stack()]
        return name, node.get_name(), frames[:2]

    name, later, frames = run(main())
    assert name == later
    assert frames == ["outer", "inner"]


# Watched before the start


async def test_callbacks_from_before_the_start_are_called_in_order_each_in_its_context():
    seen, colour = [], ContextVar("colour", default="none")
    node = same(1)
    colour.set("red")
    node.add_done_callback(lambda node: seen.append(("first", node.result(), colour.get())))
    colour.set("blue")
    node.add_done_callback(lambda node: seen.append(("second", node.result(), colour.get())))
    await node
    await asyncio.sleep(0)

    assert seen == [("first", 1, "red"), ("second", 1, "blue")]


async def test_a_callback_can_be_taken_back_before_the_start():
    seen = []
    node = same(1)
    node.add_done_callback(seen.append)
    node.add_done_callback(seen.append)

    assert node.remove_done_callback(seen.append) == 2
    await node
    await asyncio.sleep(0)
    assert seen == []


async def test_callbacks_from_before_the_start_are_called_for_a_node_that_never_starts():
    seen = []
    node = same(1)
    node.add_done_callback(seen.append)
    node.cancel()
    await asyncio.sleep(0)

    assert seen == [node]


async def test_a_node_that_has_not_started_has_no_result_yet():
    node = same(1)

    for look in (node.result, node.exception):
        with pytest.raises(asyncio.InvalidStateError):
            look()
    assert await node == 1
