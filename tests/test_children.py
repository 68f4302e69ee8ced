"""Runs that a body begins: each once, with an id, a state and a history of its own."""

import asyncio
from pathlib import Path

import pytest
from family_flow import lines_in
from test_worker import Working
from worker_processes import PATIENCE, Workers, until

from aiodag import LetGo, NotATask, OptionError, Run, RunCancelled, RunFailed, StoreError, task
from aiodag.messages import begin
from aiodag.records import Incoming, RunFilter
from aiodag.service import Service


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


async def test_what_took_the_value_of_a_child_is_not_run_again(store):
    done, broken = [], [True]

    async def step(x):
        done.append(x)
        if x == "end" and broken:
            raise OSError
        return f"after {x}"

    async def main():
        async with Run("day", store=store, id="day"):
            return await task(step, name="end")("end"), await task(step)(begin(order, "A17"))

    with pytest.raises(OSError):
        await main()
    broken.clear()

    assert await main() == ("after end", "after 2 x A17")
    assert sorted(done) == ["2 x A17", "end", "end"]


@pytest.mark.parametrize(("options", "value"), [({"journal": False}, "hidden"), ({}, object())])
async def test_a_value_that_a_child_does_not_keep_is_not_kept_with_its_parent_either(store, options, value):
    async def secretive():
        return value

    async with Run("day", store=store, id="day"):
        node = begin(task(secretive, **options))

    assert node.result() is value
    assert [each.codec for each in store.nodes("day")] == [""]


async def test_an_id_that_another_run_has_is_refused(store):
    async with Run("order", store=store, id="other"):
        pass

    with pytest.raises(StoreError, match=r"give begin\(id=...\) another id"):
        async with Run("day", store=store, id="day"):
            await begin(order, "A17", id="other")


async def test_an_id_that_another_child_of_the_same_parent_has_is_refused(store):
    async def refund(name):
        return f"refunded {name}"

    async def main():
        return await begin(order, "A17", id="same"), await begin(refund, "A17", id="same")

    with pytest.raises(StoreError, match=r"cannot begin 'refund': run 'same' is there, begun as 'order'; give begin"):
        async with Run("day", store=store, id="day"):
            await task(main)()


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


async def test_a_child_goes_on_where_it_was_when_its_parent_was_let_go_of(store):
    steps, waits = [], asyncio.Event()

    async def step(name):
        steps.append(name)

    @task(name="shipping")
    async def shipping():
        await task(step, name="charge")("charge")
        if len(steps) == 1:
            waits.set()
            await asyncio.Event().wait()
        await task(step, name="ship")("ship")
        return "shipped"

    with pytest.raises(LetGo):
        async with Run("day", store=store, id="day") as run:
            begin(shipping, id="child")
            await waits.wait()
            run.let_go()
    left = store.run("child")
    steps.append("again")
    async with Run("day", store=store, id="day"):
        node = begin(shipping, id="child")

    assert (left.ended_at, node.result()) == (None, "shipped")
    assert steps == ["charge", "again", "ship"]


# In the queue of a parent that was taken from one

FAMILY = str(Path(__file__).parent / "family_flow.py")


@pytest.fixture
def service(store):
    return Service(store)


@pytest.fixture
def done(tmp_path):
    return str(tmp_path / "done")


def submit(service, task, **parameters):
    return service.submit(f"{FAMILY}:{task}", parameters)


async def test_children_are_submitted_once_and_a_worker_with_one_place_does_them_all(service, done):
    parent = submit(service, "day", file=done, names=["A17", "B4"])

    async with Working(service, limit=1, linger=0.0):
        value = await service.result(parent, timeout=PATIENCE)

    assert value == ["A17 for 3 by order-A17", "B4 for 2 by order-B4"]
    assert sorted(lines_in(done)) == ["charge A17", "charge B4"]
    assert {each.id for each in service.store.runs(wanted=RunFilter(parent_run=parent))} == {"order-A17", "order-B4"}
    assert service.store.waits() == []


async def test_children_have_children(service, done):
    parent = submit(service, "grandmother", file=done)

    async with Working(service, limit=1, linger=0.0):
        value = await service.result(parent, timeout=PATIENCE)

    assert value == ["A17 for 3 by order-A17"]
    assert service.run("order-A17").parent_run == "day-1"
    assert service.run("day-1").parent_run == parent


async def test_the_failure_of_a_child_is_that_of_its_node_and_names_it(service, done):
    parent = submit(service, "day", file=done, names=["A17"], child="failing")

    async with Working(service):
        with pytest.raises(RunFailed) as caught:
            await service.result(parent, timeout=PATIENCE)

    assert caught.group_contains(RunFailed, match="run 'order-A17' of failing, which this one has begun, failed")
    assert caught.group_contains(OSError, match="no truck")


async def test_who_resumes_a_parent_resumes_the_child_that_failed(service, done):
    parent = submit(service, "day", file=done, names=["A17"], child="failing")
    async with Working(service):
        with pytest.raises(RunFailed):
            await service.result(parent, timeout=PATIENCE)
    Path(f"{done}.truck").touch()

    service.store.submit_again(parent)
    async with Working(service):
        value = await service.result(parent, timeout=PATIENCE)

    assert value == ["A17 shipped"]
    assert lines_in(done) == ["charge A17"]


async def test_a_cancelled_child_is_the_failure_of_its_node(service, done):
    parent = submit(service, "day", file=done, names=["A17"], child="waiting")

    async with Working(service):
        await until(lambda: service.store.waits(topic="SHIPPED"), "the child waits")
        service.cancel("order-A17")
        with pytest.raises(RunFailed) as caught:
            await service.result(parent, timeout=PATIENCE)

    assert caught.group_contains(RunCancelled, match="'order-A17' was cancelled on request")
    assert lines_in(done) == ["A17 cancelled"]


async def test_cancelling_a_parent_cancels_its_children(service, done):
    parent = submit(service, "day", file=done, names=["A17", "B4"], child="waiting")

    async with Working(service):
        await until(lambda: len(service.store.waits(topic="SHIPPED")) == 2, "the children wait")
        service.cancel(parent)
        for run_id in (parent, "order-A17", "order-B4"):
            with pytest.raises(RunCancelled):
                await service.result(run_id, timeout=PATIENCE)

    assert sorted(lines_in(done)) == ["A17 cancelled", "B4 cancelled"]
    assert service.store.waits() == []


async def test_a_child_that_is_let_go_of_is_submitted_and_its_parent_ends(service, done):
    parent = submit(service, "letting_go", file=done)

    async with Working(service, limit=1):
        value = await service.result(parent, timeout=PATIENCE)
        later = await service.result("later", timeout=PATIENCE)

    assert (value, later) == ("later", "later for 5 by later")
    assert service.run("later").parent_run == parent


async def test_a_message_for_a_child_wakes_it_and_then_its_parent(service, done):
    parent = submit(service, "day", file=done, names=["A17"], child="waiting")

    async with Working(service, linger=0.0):
        await until(lambda: service.run(parent).state == "parked", "the parent is parked")
        await until(lambda: service.run("order-A17").state == "parked", "the child is parked")
        await asyncio.to_thread(service.store.deliver, [Incoming("SHIPPED", ["A17"], "m1", "null")])
        value = await service.result(parent, timeout=PATIENCE)

    assert value == ["A17 shipped"]


async def test_a_child_that_is_deleted_fails_its_node(service, done):
    parent = submit(service, "day", file=done, names=["A17"], child="waiting")

    async with Working(service, linger=0.0):
        await until(lambda: service.run(parent).state == "parked", "the parent is parked")
        await until(lambda: service.run("order-A17").state == "parked", "the child is parked")
        await asyncio.to_thread(service.store.delete, ["order-A17"])
        with pytest.raises(RunFailed) as caught:
            await service.result(parent, timeout=PATIENCE)

    assert caught.group_contains(StoreError, match="run 'order-A17', which this one has begun, was deleted")


async def test_the_death_of_a_worker_loses_no_child_and_begins_none_twice(tmp_path, done):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    names = [f"N{number}" for number in range(8)]
    parent = submit(service, "day", file=done, names=names)
    workers = Workers(f"sqlite:///{tmp_path}/runs.db", tmp_path)

    try:
        for killed in (1, 4):
            process = workers.start("--linger", "0s", "--limit", "2")
            await until(lambda before=killed: len(lines_in(done)) >= before, "a child has begun")
            process.kill()
        workers.start("--linger", "0s", "--limit", "1")
        value = await service.result(parent, timeout=PATIENCE)
        children = service.store.runs(wanted=RunFilter(parent_run=parent))
    finally:
        workers.end()
        service.close()

    assert value == [f"{name} for 2 by order-{name}" for name in names]
    assert len(children) == len(names)
    assert set(lines_in(done)) == {f"charge {name}" for name in names}


async def test_a_child_that_was_not_the_first_is_cancelled_although_its_parent_goes_on(service, done):
    parent = submit(service, "impatient", file=done)

    async with Working(service, linger=0.0):
        await until(lambda: service.run(parent).state == "parked", "the parent is parked")
        await until(lambda: service.run("order-A17").state == "parked", "the child is parked")
        await asyncio.to_thread(service.store.deliver, [Incoming("LATE", [""], "m1", "null")])
        with pytest.raises(RunCancelled):
            await service.result("order-A17", timeout=PATIENCE)
        await asyncio.to_thread(service.store.deliver, [Incoming("AFTERWARDS", [""], "m2", "7")])
        value = await service.result(parent, timeout=PATIENCE)

    assert (value, set(lines_in(done))) == (7, {"A17 cancelled", "late"})
