"""Values that an executor holds: consumers there get the handle, all others the value, fetched once."""

import asyncio
import gc

import pytest

from aiodag import Run, RunFailed, ValueGone, settled, task
from aiodag.held_values import HeldValue
from aiodag.service import Service
from aiodag.workflows import Workflow


class Far(HeldValue):
    """A handle of the cluster below, which counts what is fetched and what is freed."""

    def __init__(self, executor, value):
        super().__init__(executor, size=100_000)
        executor.values[id(self)] = value

    async def fetch(self):
        await asyncio.sleep(0)
        return self.fetch_now()

    def fetch_now(self):
        self.executor.fetched += 1
        if id(self) not in self.executor.values:
            why = "its worker died"
            raise ValueGone(why)
        return self.executor.values[id(self)]

    async def apply(self, fn):
        self.executor.applied += 1
        return fn(self.executor.values[id(self)])

    def __del__(self):
        self.executor.values.pop(id(self), None)


class Cluster:
    """An executor that keeps each value, and takes handles at any depth."""

    def __init__(self):
        self.values = {}
        self.fetched = self.applied = 0

    async def run(self, fn, /, *args, **kwargs):
        await asyncio.sleep(0)
        args, kwargs = self.put(list(args)), self.put(kwargs)
        return Far(self, fn(*args, **kwargs))

    def put(self, value):
        if isinstance(value, Far):
            assert value.executor is self
            return self.values[id(value)]
        if isinstance(value, list):
            return [self.put(each) for each in value]
        return {name: self.put(each) for name, each in value.items()} if isinstance(value, dict) else value


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def double(cluster):
    return task(lambda x: 2 * x, name="double", executor=cluster)


@task
async def show(x, *more, **named):
    return (x, *more, *named.values())


async def test_a_chain_on_one_cluster_brings_nothing_home_but_its_end(cluster, double):
    node = double(1)
    for _ in range(9):
        node = double(node)

    assert (await node, cluster.fetched) == (1024, 1)


@pytest.mark.parametrize("in_run", [False, True])
async def test_a_value_is_freed_when_its_last_consumer_has_run(cluster, double, in_run):
    held = []
    grow = task(lambda x: held.append(len(cluster.values)) or x + 1, executor=cluster)

    async def chain():
        node = grow(0)
        for _ in range(20):
            node = grow(node)
        return await node

    if in_run:
        async with Run():
            assert await chain() == 21
    else:
        assert await chain() == 21

    await asyncio.sleep(0)
    assert max(held) <= 3
    assert cluster.values == {}


async def test_handles_arrive_in_containers_and_in_keywords(cluster, double):
    total = task(lambda xs, extra: sum(xs["of"]) + extra, executor=cluster)
    one = double(1)

    assert await total({"of": [one, double(one), 1]}, extra=one) == 2 + 4 + 1 + 2
    assert cluster.fetched == 1


async def test_a_body_here_gets_the_value_fetched_once_for_all(cluster, double):
    node = double(4)
    early = [show(node), show([node], y={"a": node})]
    shown = await asyncio.gather(*early)
    late = await show(node)

    assert shown == [(8,), ([8], {"a": 8})]
    assert late == (8,)
    assert (await node, node.result(), cluster.fetched) == (8, 8, 1)


async def test_consumers_there_and_here_each_get_their_own(cluster, double):
    node = double(4)
    here, there = show(node), double(node)

    assert (await here, await there) == ((8,), 16)
    assert cluster.fetched == 2


@pytest.mark.parametrize("late", [False, True])
async def test_another_cluster_gets_the_value(cluster, double, late):
    other = Cluster()
    node = double(4)
    if late:
        await show(double(node))

    assert await task(lambda x: x + 1, executor=other)(node) == 9


async def test_gather_and_callbacks_wait_until_the_value_is_here(cluster, double):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)
    heard = []
    node.add_done_callback(lambda done: heard.append(done.result()))

    assert cluster.fetched == 0
    assert await asyncio.gather(node, double(node)) == [8, 16]
    assert heard == [8]
    assert node.done()


async def test_wait_of_asyncio_sees_a_node_whose_value_is_here(cluster, double):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)

    done, pending = await asyncio.wait({node})

    assert (done, pending) == ({node}, set())
    assert node.result() == 8


async def test_nobody_who_looks_at_all_tasks_fetches_a_value(cluster, double):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(0)
    assert cluster.fetched == 0


async def test_a_settled_node_has_its_value_in_the_body(cluster, double):
    @task
    async def look(node):
        return node.result()

    node = double(4)

    assert await look(settled(node)) == 8
    assert await look(settled(node)) == 8


async def test_what_only_waits_fetches_nothing(cluster, double):
    node = double(4)

    await show.after(node)(1)
    await show.after(node)(2)

    assert cluster.fetched == 0


async def test_a_value_that_is_gone_fails_who_needs_it_here(cluster, double):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)
    cluster.values.clear()

    with pytest.raises(ValueGone, match="its worker died"):
        await show(node)
    with pytest.raises(ValueGone):
        await node
    assert cluster.fetched == 1


async def test_a_handle_that_cannot_be_fetched_at_once_says_to_await_the_node(double, monkeypatch):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)
    monkeypatch.setattr(Far, "fetch_now", HeldValue.fetch_now)

    with pytest.raises(asyncio.InvalidStateError, match="await node"):
        node.result()
    assert await show(1) == (1,)


async def test_middleware_sees_the_value(cluster):
    seen = []

    async def watch(node, call_next):
        seen.append(await call_next())
        return seen[-1]

    assert await task(lambda: [1], executor=cluster, middleware=[watch])() == [1]
    assert seen == [[1]]


async def test_a_late_consumer_in_a_run_that_is_sent_there_gets_the_handle(cluster, double):
    async with Run(executor=cluster):
        node = double(1)
        await task(lambda x: x)(node)  # from here on the node has ended
        cluster.fetched = 0
        late = task(lambda xs: xs["of"][0] + 1)({"of": [node]})
        settled_late = task(lambda found: found.result() + 2, executor="thread")(settled(node))

        assert (await late, await settled_late) == (3, 4)


async def test_the_middleware_of_a_run_is_around_a_late_consumer(cluster, double):
    seen = []

    async def watch(node, call_next):
        seen.append(node.name)
        return await call_next()

    node = double(1)
    await node
    async with Run(middleware=[watch]):
        assert await show(node) == (2,)

    assert seen == ["show"]


async def test_an_awaiter_that_is_cancelled_leaves_the_value_to_the_others(cluster, double):
    node = double(4)
    while not node.state.final:
        await asyncio.sleep(0)

    async def wait():
        return await node

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 8
    assert (first.cancelled(), cluster.fetched) == (True, 1)


async def test_a_journal_without_a_place_brings_the_value_home(cluster, double):
    async with Run("etl", store="memory:", id="monday"):
        node = double(double(4))
        assert await node == 16

    async with Run("etl", store="memory:", id="monday"):
        again = double(double(4))
        assert await again == 16


async def test_a_journal_with_a_place_has_the_value_written_where_it_is(cluster, double, tmp_path):
    text = task(lambda n: "x" * n, name="text", executor=cluster)
    size = task(len, name="size", executor=cluster)

    async def flow():
        async with Run("etl", store="memory:", id="monday", values=tmp_path):
            return await size(text(100_000))

    assert (await flow(), cluster.fetched, cluster.applied) == (100_000, 1, 1)
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) == 100_002

    assert (await flow(), cluster.applied) == (100_000, 1)


async def test_nothing_of_a_held_value_waits_for_the_garbage_collector(cluster, double):
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await show(double(1))
        await asyncio.sleep(0)
        assert cluster.values == {}
    finally:
        gc.enable()


class Distant(Far):
    """A handle whose value comes home to a coroutine alone, as those of Dask."""

    fetch_now = HeldValue.fetch_now

    async def fetch(self):
        await asyncio.sleep(0)
        return Far.fetch_now(self)


class DistantCluster(Cluster):
    """A cluster whose handles are of that kind."""

    async def run(self, fn, /, *args, **kwargs):
        await asyncio.sleep(0)
        return Distant(self, fn(*self.put(list(args)), **self.put(kwargs)))


async def test_the_values_of_a_workflow_come_home_from_an_executor_that_cannot_be_asked_at_once(tmp_path):
    cluster = DistantCluster()
    flow = Workflow("doubled", executor=cluster)
    once = flow.add(task(lambda x: 2 * x), 1, name="once")
    flow.add(task(lambda x: 2 * x), once, name="twice")

    assert dict(await flow.run()) == {"once": 2, "twice": 4}
    assert dict(await flow.run(tmp_path / "runs.db")) == {"once": 2, "twice": 4}


async def test_a_held_value_that_cannot_be_recorded_is_no_value_of_its_workflow(tmp_path):
    flow = Workflow("lost")
    flow.add(task(object, executor=DistantCluster()), name="odd")
    with pytest.raises(RunFailed):
        async with Run("lost", store=tmp_path / "runs.db"):
            building = await flow.build()

    assert dict(building.values()) == {}


KEPT = """
from aiodag import task
from aiodag.held_values import HeldValue


class Shelf:
    async def run(self, fn, /):
        kept = Kept(self, size=4)
        kept.value = fn()
        return kept


class Kept(HeldValue):
    async def fetch(self):
        return self.value


@task(executor=Shelf())
def main():
    return "rows"
"""


async def test_an_entry_whose_own_value_is_held_returns_it(tmp_path):
    (tmp_path / "etl.py").write_text(KEPT, encoding="utf-8")
    service = Service(tmp_path / "runs.db")

    assert await service.start(service.target(f"{tmp_path}/etl.py:main")) == "rows"
