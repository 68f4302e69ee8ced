"""What holds wherever functions run: in threads, in processes, on clusters.

Ray runs these tests in a network of its own, see test_ray.py.
"""

import asyncio
import os
import pickle
from functools import partial
from threading import Lock

import cluster_bodies as bodies
import pytest
from worker_processes import until

from aiodag import AttemptLost, Limit, NotPicklable, Run, RunFailed, State, WorkerDied, settled, task
from aiodag.commands import command
from aiodag.stores import SQLite

PLACES = ["ray"] if os.environ.get("AIODAG_TESTS_WITH_RAY") else ["thread", "process", "dask"]
CLUSTERS = [each for each in PLACES if each not in {"thread", "process"}]
ELSEWHERE = [each for each in PLACES if each != "thread"]


@pytest.fixture(params=PLACES)
async def executor(request):
    """Where functions run, for one test."""
    async for each in opened_executor(request):
        yield each


@pytest.fixture(params=ELSEWHERE)
async def elsewhere(request):
    """The same, where they run in other processes."""
    async for each in opened_executor(request):
        yield each


@pytest.fixture(params=CLUSTERS)
async def cluster(request):
    """The same, where a cluster decides where they run."""
    async for each in opened_executor(request):
        yield each


async def opened_executor(request):
    name = request.param
    executor = name if name in {"thread", "process"} else request.getfixturevalue(f"{name}_executor")
    yield executor
    if not isinstance(executor, str):
        await executor.close()


def on(executor, fn, **options):
    return task(fn, executor=executor, **options)


async def test_values_come_back_and_arguments_arrive_as_they_are(executor):
    shown = on(executor, bodies.shown)

    assert await shown(1, b"x", [None, {"a": (2.5,)}], key={"ü"}) == ((1, b"x", [None, {"a": (2.5,)}]), {"key": {"ü"}})
    assert [await node for node in on(executor, bodies.squared).map(range(20))] == [x * x for x in range(20)]


async def test_values_pass_from_task_to_task(executor):
    squared = on(executor, bodies.squared)

    assert await on(executor, bodies.shown)([squared(2)], three=squared(squared(3))) == (([4],), {"three": 81})


async def test_an_exception_comes_back_with_its_type(executor):
    with pytest.raises(LookupError, match="no rows"):
        await on(executor, bodies.fails)("rows")


async def test_an_exception_shows_where_it_was_raised(elsewhere):
    with pytest.raises(LookupError) as caught:
        await on(elsewhere, bodies.fails)("rows")

    assert 'raise LookupError(f"no {x}")' in str(caught.value.__cause__)


async def test_what_ends_a_body_in_other_ways_ends_its_node_alone(executor):
    squared = on(executor, bodies.squared)(5)

    with pytest.raises(SystemExit):
        await on(executor, bodies.exits)(3)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await on(executor, bodies.stops)()
    skipped = on(executor, bodies.skips)()
    await asyncio.wait([skipped])
    assert (skipped.state, await squared) == (State.SKIPPED, 25)


async def test_what_cannot_travel_fails_its_node_alone(elsewhere):
    squared = on(elsewhere, bodies.squared)(5)

    with pytest.raises(NotPicklable, match="value of returns_what_cannot_travel"):
        await on(elsewhere, bodies.returns_what_cannot_travel)()
    with pytest.raises(NotPicklable, match="Picky: one"):
        await on(elsewhere, bodies.raises_what_cannot_travel)()
    with pytest.raises(NotPicklable, match="call of squared"):
        await on(elsewhere, bodies.squared)(Lock())
    assert await squared == 25


async def test_what_a_cluster_cannot_be_sent_is_named_with_what_to_do(cluster):
    with pytest.raises(NotPicklable, match=r"a worker of the cluster: its argument 2: .*lock.* Have bodies make locks"):
        await on(cluster, bodies.shown)(1, Lock())
    with pytest.raises(NotPicklable, match=r"a worker of the cluster: its argument key: .*lock"):
        await on(cluster, bodies.shown)(1, key=Lock())
    with pytest.raises(NotPicklable, match=r"a worker of the cluster: its function, or what that refers to: .*lock"):
        await on(cluster, lambda lock=Lock(): lock)()


async def test_a_node_itself_goes_nowhere_else(elsewhere):
    """Neither one whose value is here nor one whose value is held there."""
    for size in (1, 200_000):
        with pytest.raises(NotPicklable, match=r"<Node bytes .*it is a node.* Pass it without settled\(\)"):
            await on(elsewhere, bodies.shown)(settled(on(elsewhere, bytes)(size)))


def test_a_value_stays_on_a_cluster_from_its_bytes_on():
    shipped = pytest.importorskip("aiodag.executors.shipped", reason="cloudpickle is missing", exc_type=ImportError)
    value = b"x" * 1000
    size = len(pickle.dumps(value, 5))

    assert isinstance(shipped.packed_value(value, size), shipped.KeptValue)
    assert isinstance(shipped.packed_value(value, size + 1), shipped.Answer)


def test_a_worker_keeps_no_function_that_takes_much_memory():
    shipped = pytest.importorskip("aiodag.executors.shipped", reason="cloudpickle is missing", exc_type=ImportError)
    small, large = (pickle.dumps(partial(len, b"x" * size)) for size in (1000, shipped.LARGEST_KEPT))

    assert shipped.function_of(small) is shipped.function_of(small)
    assert shipped.function_of(large) is not shipped.function_of(large)
    assert shipped.function_of(large)() == shipped.LARGEST_KEPT


def test_a_function_counts_as_a_part_of_its_call(monkeypatch):
    shipping = pytest.importorskip("aiodag.executors.shipping", reason="cloudpickle is missing", exc_type=ImportError)
    monkeypatch.setattr(shipping, "MOST", 10_000)
    with pytest.raises(NotPicklable, match=r"call of it .*it takes 10,... bytes, and more than 10,000 do not go"):
        shipping.pack_call("it", partial(len, b"x" * 10_000), (), {})
    assert shipping.pack_call("it", partial(len, b"x" * 1_000), (b"x" * 8_000,), {}).held == []


async def test_a_large_value_that_cannot_be_read_here_spoils_no_other(cluster):
    unread, large = on(cluster, bodies.ReadableThere)(), on(cluster, bytes)(200_000)
    ends = await asyncio.gather(unread, large, on(cluster, bodies.Leaving)(), return_exceptions=True)

    assert [type(each) for each in ends] == [NotPicklable, bytes, NotPicklable]
    assert "another process" in str(ends[0])


async def test_a_failed_attempt_is_tried_again(executor, tmp_path):
    node = on(executor, bodies.fails_before, retries=2)(tmp_path, 3)

    assert (await node, node.attempt) == (3, 3)


async def test_a_limit_holds(executor, tmp_path):
    alone = on(executor, bodies.one_at_a_time, limit=Limit(1))

    assert [await node for node in alone.map([tmp_path] * 5)] == [None] * 5


async def test_an_attempt_that_takes_too_long_fails(executor, tmp_path):
    with pytest.raises(TimeoutError, match=r"took longer than 0\.3 s"):
        await on(executor, bodies.held_up, timeout=0.3)(tmp_path)

    (tmp_path / "go").touch()


async def test_a_cancelled_node_that_waits_for_its_limit_never_runs(executor, tmp_path):
    held_up = on(executor, bodies.held_up, limit=Limit(1))
    first, second = held_up(tmp_path, "first"), held_up(tmp_path, "second")
    await until(lambda: bodies.noted(tmp_path), "the first begins")

    second.cancel()
    (tmp_path / "go").touch()

    assert await first == "first"
    assert "second-begins" not in bodies.noted(tmp_path)


async def test_a_cancelled_body_keeps_its_limit_until_it_has_really_ended(executor, tmp_path):
    limit = Limit(1)
    node = on(executor, bodies.held_up, limit=limit)(tmp_path)
    await until(lambda: bodies.noted(tmp_path), "it begins")

    node.cancel()
    with pytest.raises(asyncio.CancelledError):
        await node
    after = on(executor, bodies.squared, limit=limit)(3)
    await asyncio.sleep(0)
    assert not after.done()
    ended = executor == "process" or type(executor).__name__ == "Ray"  # else it cannot be stopped
    if not ended:
        (tmp_path / "go").touch()

    assert await after == 9
    assert ("body-ends" in bodies.noted(tmp_path)) == (not ended)


async def test_a_whole_run_can_be_sent_there(executor):
    async with Run("etl", executor=executor) as run:
        nodes = task(bodies.squared).map(range(5))

    assert (run.state.value, [node.result() for node in nodes]) == ("succeeded", [0, 1, 4, 9, 16])


async def test_a_name_that_the_run_resolves(executor):
    async with Run("etl", executors={"gpu": executor}):
        node = task(bodies.squared, executor="gpu")(7)

    assert node.result() == 49


async def test_recorded_values_are_recalled(executor, tmp_path):
    async def entry():
        rows = on(executor, bodies.fails_before)(tmp_path, 1)
        return await on(executor, bodies.fails)(rows)

    store = SQLite(tmp_path / "runs.db")
    for _ in range(2):
        with pytest.raises(RunFailed):
            async with Run("etl", store=store, id="monday"):
                task(entry)()
    store.close()

    assert bodies.noted(tmp_path) == ["called"]


async def test_a_task_called_in_a_body_is_a_plain_call(elsewhere):
    assert await on(elsewhere, bodies.calls_tasks)(3) == 12


async def test_methods_and_partials_go_there(executor):
    scaled = bodies.Scaled(10)

    assert await scaled.times.with_options(executor=executor)(3) == 30
    assert await on(executor, bodies.Scaled.name)() == "Scaled"
    assert await on(executor, partial(bodies.shown, 1, key=2))(3) == ((1, 3), {"key": 2})


async def test_what_no_worker_can_import_goes_there_as_it_is(cluster):
    factor = 3

    class Local:
        def __init__(self, x):
            self.x = x

    made = await on(cluster, lambda x: Local(factor * x))(5)

    assert type(made) is Local
    assert made.x == 15


async def test_a_body_takes_the_commands_along_that_it_calls(cluster):
    say = command("echo", retries=1)

    async def said(word):
        return (await say(word)).stdout

    assert await on(cluster, said)("there") == "there\n"


async def test_an_async_body_runs_on_a_loop_of_its_worker(cluster):
    assert await on(cluster, bodies.awaits_tasks)(3) == 18


async def test_an_async_body_is_cancelled(cluster, tmp_path):
    node = on(cluster, bodies.held_up_async)(tmp_path)
    await until(lambda: bodies.noted(tmp_path), "it begins")

    node.cancel()
    with pytest.raises(asyncio.CancelledError):
        await node

    await until(lambda: bodies.noted(tmp_path) == ["begins", "cancelled"], "it is told")
    await until(lambda: not node.abandoned, "nothing of it runs any more")


async def test_an_async_body_that_takes_too_long_is_cancelled(cluster, tmp_path):
    for seconds in (0.3, 3, 30):  # a busy machine may need longer to begin
        folder = tmp_path / str(seconds)
        folder.mkdir()
        with pytest.raises(TimeoutError):
            await on(cluster, bodies.held_up_async, timeout=seconds)(folder)
        if bodies.noted(folder):
            break

    await until(lambda: bodies.noted(folder) == ["begins", "cancelled"], "it is told")


async def test_a_worker_that_dies_fails_its_attempt_alone(elsewhere, tmp_path):
    if isinstance(elsewhere, str):
        with pytest.raises(WorkerDied):
            await on(elsewhere, bodies.dies_once)(tmp_path)
    else:
        with pytest.raises(AttemptLost, match="has died"):
            await on(elsewhere, bodies.dies_once, lost_retries=0)(tmp_path)

    assert await on(elsewhere, bodies.squared)(4) == 16
    assert bodies.noted(tmp_path) == ["called"]


async def test_a_lost_attempt_is_tried_again_without_retries(cluster, tmp_path):
    node = on(cluster, bodies.dies_once)(tmp_path)

    assert (await node, node.attempt) == (2, 2)


async def test_many_at_once(executor):
    nodes = on(executor, bodies.squared).map(range(100))

    assert sum([await node for node in nodes]) == sum(x * x for x in range(100))
