"""Runs that a body begins: each once, with an id, a state and a history of its own."""

import asyncio

import pytest

from aiodag import NotATask, OptionError, Run, RunCancelled, RunFailed, StoreError, task
from aiodag.messages import begin
from aiodag.records import RunFilter


@task
async def double(x):
    return 2 * x


@task
async def order(name, pieces=1):
    return f"{await double(pieces)} x {name}"


# Without a store


async def test_a_child_is_a_run_of_its_own_and_gives_its_value():
    async with Run("day") as run:
        node = begin(order, "A17", pieces=2)

    assert node.result() == "4 x A17"
    assert [each.name for each in run.graph().nodes] == ["begin"]


async def test_a_child_takes_values_of_nodes():
    async with Run("day"):
        node = begin(order, "A17", double(2))

    assert node.result() == "8 x A17"


async def test_a_child_that_fails_fails_its_node_with_the_failure_of_the_run():
    @task
    async def wrong():
        raise OSError("disk full")

    async def main():
        await double(await begin(wrong))

    with pytest.raises(RunFailed) as caught:
        async with Run("day"):
            await begin(main)

    assert caught.group_contains(OSError, match="disk full")


async def test_cancelling_the_node_cancels_the_child():
    begun, stopped = asyncio.Event(), []

    async def endless():
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("stopped")
            raise

    async with Run("day"):
        node = begin(endless)
        await begun.wait()
        node.cancel()

    assert (node.state, stopped) == ("cancelled", ["stopped"])


async def test_a_child_that_is_let_go_of_goes_on_when_its_parent_has_ended():
    go_on, done = asyncio.Event(), asyncio.Event()

    async def later():
        await go_on.wait()
        done.set()

    async with Run("day"):
        node = begin(later, id="later-1", on_parent="detach")

    assert (node.result(), done.is_set()) == ("later-1", False)
    go_on.set()
    await done.wait()


# Refused at the call


async def test_what_cannot_begin_a_run_is_refused_at_the_call():
    with pytest.raises(NotATask):
        begin(len, [1])
    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        begin(order)
    with pytest.raises(OptionError, match="'cancel' or 'detach'"):
        begin(order, "A17", on_parent="keep")
    with pytest.raises(OptionError, match="name=''"):
        begin(order, "A17", queue="")
    with pytest.raises(OptionError, match="id"):
        begin(order, "A17", id="-x")


# In the store of a parent that a program has begun


async def test_the_child_is_recorded_with_the_run_that_has_begun_it(store):
    async with Run("day", store=store, id="day"):
        node = begin(order, "A17", id="order-17")

    child = store.run("order-17")
    assert (node.result(), child.state, child.parent_run) == ("2 x A17", "succeeded", "day")
    assert [each.name for each in store.nodes("order-17")] == ["order", "double"]
    assert [each.id for each in store.runs(wanted=RunFilter(parent_run="day"))] == ["order-17"]
    assert store.runs(wanted=RunFilter(parent_run="order-17")) == []


async def test_a_parent_that_is_resumed_resumes_the_child_that_failed_and_begins_no_other(store):
    done, broken = [], [True]

    async def step(name):
        done.append(name)
        if name == "ship" and broken:
            raise OSError("no truck")
        return name

    @task(name="shipping")
    async def shipping():
        charged = await task(step, name="charge")("charge")
        return [charged, await task(step, name="ship")("ship")]

    async def main():
        async with Run("day", store=store, id="day"):
            return await begin(shipping)

    with pytest.raises(RunFailed, match="no truck"):
        await main()
    broken.clear()

    assert await main() == ["charge", "ship"]
    assert done == ["charge", "ship", "ship"]
    assert len(store.runs()) == 2


async def test_an_id_that_another_run_has_is_refused(store):
    async with Run("order", store=store, id="other"):
        pass

    with pytest.raises(StoreError, match=r"give begin\(id=...\) another id"):
        async with Run("day", store=store, id="day"):
            await begin(order, "A17", id="other")


async def test_a_child_that_was_cancelled_on_request_fails_its_node(store):
    begun = asyncio.Event()

    async def endless():
        begun.set()
        await asyncio.Event().wait()

    async def main():
        with pytest.raises(RunCancelled, match="'endless-1' was cancelled on request"):
            await begin(endless, id="endless-1")
        return "went on"

    async with Run("day", store=store, id="day"):
        node = task(main)()
        await begun.wait()
        await asyncio.to_thread(store.cancel, "endless-1")

    assert node.result() == "went on"
    assert store.run("endless-1").state == "cancelled"
