"""Runs that wait, on workers that are killed: each step once, each message to who waits for it, whoever goes on."""

import asyncio
import signal
from collections import Counter

import pytest
from test_inbox import deliver, open_waits
from test_inbox import message as incoming
from test_parking import FLOW, done
from worker_processes import PATIENCE, Workers, until

from aiodag import RunCancelled, State
from aiodag.service import Service


@pytest.fixture
def service(place):
    service = Service(place)
    yield service
    service.close()


@pytest.fixture
def workers(place, tmp_path):
    workers = Workers(place, tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def effects(tmp_path):
    return tmp_path / "effects"


def submit(service, entry, effects, **more):
    return service.submit(f"{FLOW}:{entry}", {"file": str(effects), **more})


def kill(worker):
    worker.send_signal(signal.SIGKILL)
    worker.wait()


async def waits(service, count=1):
    await until(lambda: len(open_waits(service.store)) == count, f"{count} wait")


async def in_state(service, run_id, state):
    await until(lambda: service.run(run_id).state is state, f"it is {state}")


async def test_an_order_whose_worker_is_killed_while_it_waits_is_shipped_once(service, workers, effects):
    first = workers.start("--linger", "1h")
    run_id = submit(service, "order", effects)
    await waits(service)
    kill(first)
    deliver(service.store, incoming(keys=[run_id]))
    workers.start()
    value = await service.result(run_id, timeout=PATIENCE)

    assert value == "ship"
    assert done(effects) == ["entered", "charge", "entered", "ship {'amount': 3}"]


async def test_a_message_that_the_killed_worker_has_not_heard_of_is_not_lost(service, workers, effects):
    first = workers.start("--linger", "1h")
    run_id = submit(service, "order", effects)
    await waits(service)
    first.send_signal(signal.SIGSTOP)
    delivering = asyncio.create_task(asyncio.to_thread(deliver, service.store, incoming(keys=[run_id])))
    # A worker that was stopped in a transaction of its own holds its locks until it is killed.
    await asyncio.wait([delivering], timeout=1)
    kill(first)
    delivered = await delivering
    workers.start()
    value = await service.result(run_id, timeout=PATIENCE)

    assert (delivered, value) == (["taken"], "ship")
    assert Counter(done(effects)) == {"entered": 2, "charge": 1, "ship {'amount': 3}": 1}


@pytest.mark.parametrize("point", ["before", "after"])
async def test_an_order_whose_process_dies_before_or_after_its_wait_goes_on_there(
    service, workers, effects, tmp_path, point
):
    workers.start("--linger", "0s")
    workers.start("--linger", "0s")
    run_id = submit(service, "fragile_order", effects, gate=str(tmp_path / "gate"), point=point)
    await in_state(service, run_id, State.PARKED)
    deliver(service.store, incoming(keys=[run_id]))
    value = await service.result(run_id, timeout=PATIENCE)
    sent = [(each.topic, each.repeats) for each in service.store.messages() if each.topic == "COMMAND"]

    assert value == "ship"
    assert sent == [("COMMAND", 0)]
    assert Counter(done(effects)) == {"charge": 1, "dies": 2, "ship {'amount': 3}": 1}


async def test_a_sleep_whose_worker_is_killed_ends_on_another_one(service, workers, effects):
    first = workers.start("--linger", "1h")
    run_id = submit(service, "nap", effects, seconds=86_400)
    await waits(service)
    kill(first)
    with service.store.writing() as session:
        session.execute("update waits set due_at = since")  # as if a day had gone by
    workers.start()
    await service.result(run_id, timeout=PATIENCE)

    assert done(effects).count("woke") == 1


async def test_a_saga_whose_worker_is_killed_while_it_is_undone_is_undone_once(service, workers, effects, tmp_path):
    workers.start("--linger", "0s")
    workers.start("--linger", "0s")
    run_id = submit(service, "fragile_saga", effects, gate=str(tmp_path / "gate"))
    await in_state(service, run_id, State.PARKED)
    service.cancel(run_id)
    with pytest.raises(RunCancelled):
        await service.result(run_id, timeout=PATIENCE)

    assert done(effects) == ["charge", "refund", "release", "release"]
    assert service.run(run_id).state is State.CANCELLED
    assert service.store.waits() == []


async def test_of_many_orders_each_is_shipped_once_though_a_worker_is_killed(service, workers, effects):
    ids = [submit(service, "order", effects) for _ in range(40)]
    first = workers.start("--linger", "0s")
    workers.start("--linger", "0s")
    await waits(service, 40)
    for number, each in enumerate(ids):
        if number == 20:
            kill(first)
        deliver(service.store, incoming(each, keys=[each], payload=f'"{number}"'))
    for each in ids:
        await service.result(each, timeout=PATIENCE)

    # What the killed worker was in the middle of is done again, under the same key.
    shipped = {line.split()[0] for line in effects.read_text().splitlines() if " ship " in line}
    nodes = [
        (each, node.key) for each in ids for node in service.store.nodes(each, every=True) if node.name == "effect"
    ]
    assert shipped == set(ids)
    assert len(nodes) == len(set(nodes)) == 80
