"""A call for help if something takes too long: once, and what takes long goes on."""

import asyncio

import pytest
from family_flow import lines_in
from test_worker import Working
from worker_processes import PATIENCE, until

from aiodag import NotATask, OptionError, Run, RunFailed, task
from aiodag.messages import first_of, message, overdue, send, sleep
from aiodag.records import Incoming
from aiodag.service import Service
from aiodag.testing import run

FLOW = __file__.replace("test_overdue", "overdue_flow")

pytestmark = pytest.mark.usefixtures("topics_forgotten")


class Alerts:
    def __init__(self):
        self.calls = 0

    async def alert(self):
        self.calls += 1


@task
async def pack(seconds):
    await asyncio.sleep(seconds)
    return "packed"


@pytest.mark.parametrize(("seconds", "late"), [(90, True), (30, False)])
def test_it_is_called_once_if_the_node_has_not_settled_and_the_node_goes_on(seconds, late):
    alerts = Alerts()

    async def main():
        async with Run("day"):
            packing = pack(seconds)
            watched = overdue(packing, after=60, call=alerts.alert)
        return packing.result(), watched.result(), asyncio.get_running_loop().time()

    assert run(main()) == ("packed", late, float(seconds))
    assert alerts.calls == late


def test_a_failure_in_time_is_no_matter_of_it():
    alerts = Alerts()

    @task
    async def wrong():
        raise OSError("no box")

    async def main():
        async with Run("day"):
            overdue(wrong(), after=60, call=alerts.alert)

    with pytest.raises(RunFailed, match="1 failed"):
        run(main())
    assert alerts.calls == 0


def test_a_plain_function_is_called_too():
    calls = []

    async def main():
        node = pack(90)
        late = overdue(node, after=60, call=lambda: calls.append("late"))
        return await node, await late

    assert run(main()) == ("packed", True)
    assert calls == ["late"]


def test_looking_after_a_node_does_not_keep_it_from_being_cancelled():
    async def main():
        node = pack(90)
        late = overdue(node, after=60, call=print)
        first = await first_of(packed=node, gave_up=sleep(10))
        return first.name, await late, node.state

    assert run(main()) == ("gave_up", False, "cancelled")


@pytest.mark.parametrize("first", ["awaiter", "onlooker"])
def test_a_node_that_nobody_else_awaits_any_more_is_cancelled_whoever_came_first(first):
    async def wait_for(node):
        await node

    async def main():
        node = pack(90)
        if first == "onlooker":
            overdue(node, after=60, call=Alerts().alert)
        await asyncio.sleep(1)
        waiter = asyncio.create_task(wait_for(node))
        await asyncio.sleep(1)
        if first == "awaiter":
            overdue(node, after=60, call=Alerts().alert)
        await asyncio.sleep(1)
        waiter.cancel()
        await asyncio.sleep(1)
        return node.state

    assert run(main()) == "cancelled"


def test_cancelling_it_does_not_cancel_the_node():
    async def main():
        node = pack(90)
        late = overdue(node, after=60, call=print)
        await asyncio.sleep(1)
        late.cancel()
        return await node

    assert run(main()) == "packed"


async def test_what_cannot_work_is_refused_at_the_call():
    node = message("PAYMENT")
    with pytest.raises(OptionError, match="after"):
        overdue(node, after=-1, call=print)
    with pytest.raises(NotATask):
        overdue(node, after=1, call=7)
    with pytest.raises(TypeError, match="is not a node"):
        overdue(asyncio.sleep, after=1, call=print)
    with pytest.raises(TypeError, match="missing"):
        overdue(node, after=1, call=pack)
    await send("PAYMENT")
    await node


async def test_a_run_that_is_parked_calls_once_and_goes_on(store, tmp_path):
    service, done = Service(store), str(tmp_path / "done")
    run_id = service.submit(f"{FLOW}:order", {"file": done})

    async with Working(service, linger=0.0):
        await until(lambda: lines_in(done) == ["late"], "the alert is called")
        await until(lambda: service.run(run_id).state == "parked", "the run is parked")
        await asyncio.to_thread(store.deliver, [Incoming("OVERDUE_PAID", [""], "m1", "7")])
        value = await service.result(run_id, timeout=PATIENCE)

    assert (value, lines_in(done)) == ([7, True], ["late"])
