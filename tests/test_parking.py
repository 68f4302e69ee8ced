"""Parking: a run that only waits costs rows and no process, and is woken by what it waits for, on any worker."""

from pathlib import Path

import pytest
from test_inbox import deliver, open_waits
from test_inbox import message as incoming
from test_queue import Moments
from test_worker import Working
from worker_processes import until

from aiodag import RunCancelled, RunFailed, State
from aiodag.service import Service

FLOW = str(Path(__file__).with_name("waiting_flow.py"))

pytestmark = pytest.mark.usefixtures("topics_forgotten")


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def service(request, tmp_path):
    postgres = request.param == "postgresql"
    if request.param == "memory":
        service = Service(f"memory:{tmp_path}")
    else:
        service = Service(request.getfixturevalue("postgres_address") if postgres else f"sqlite:///{tmp_path}/runs.db")
    yield service
    service.close()


@pytest.fixture
def in_memory(tmp_path):
    """For what no store has a say in."""
    service = Service(f"memory:{tmp_path}")
    yield service
    service.close()


@pytest.fixture
def moments(monkeypatch):
    return Moments(monkeypatch)


@pytest.fixture
def effects(tmp_path):
    return tmp_path / "effects"


def done(effects):
    """What bodies have done, without the id of the run."""
    return [line.partition(" ")[2] for line in effects.read_text().splitlines()] if effects.exists() else []


def submit(service, entry, effects, **more):
    return service.submit(f"{FLOW}:{entry}", {"file": str(effects), **more})


def working(service, **more):
    return Working(service, linger=0.0, **more)


async def in_state(service, run_id, state):
    await until(lambda: service.run(run_id).state is state, f"{run_id} is {state}")


async def parked(service, entry, effects, **more):
    """Submit a run, and return its id when it is parked."""
    run_id = submit(service, entry, effects, **more)
    async with working(service):
        await in_state(service, run_id, State.PARKED)
    return run_id


async def parked_here(service, entry, effects):
    """Submit a run to the worker that is there, and return its id when it is parked."""
    run_id = submit(service, entry, effects)
    await in_state(service, run_id, State.PARKED)
    return run_id


async def test_a_run_that_only_waits_is_parked_and_woken_by_its_message(service, effects):
    run_id = await parked(service, "order", effects)
    delivered = deliver(service.store, incoming(keys=[run_id]))
    woken = service.run(run_id).state
    async with working(service):
        value = await service.result(run_id)

    assert (delivered, woken, value) == (["taken"], State.QUEUED, "ship")
    assert done(effects) == ["entered", "charge", "entered", "ship {'amount': 3}"]
    assert service.store.waits() == []


async def test_a_worker_of_one_run_works_on_others_while_it_is_parked(service, effects):
    first, second = submit(service, "order", effects), submit(service, "order", effects)

    async with working(service, limit=1):
        await in_state(service, first, State.PARKED)
        await in_state(service, second, State.PARKED)
        deliver(service.store, incoming("m2", keys=[second]))
        deliver(service.store, incoming("m1", keys=[first]))

        assert [await service.result(each) for each in (first, second)] == ["ship", "ship"]


async def test_a_run_that_lingers_makes_room_for_who_waits_in_the_queue(service, effects):
    ids = [submit(service, "order", effects) for _ in range(3)]

    async with Working(service, limit=1, linger=3600):
        for each in ids:
            await in_state(service, each, State.PARKED)


async def test_a_run_that_lingers_goes_on_without_being_parked(service, effects):
    run_id = submit(service, "order", effects)

    async with Working(service, linger=3600):
        await until(lambda: len(open_waits(service.store)) == 1, "it waits")
        deliver(service.store, incoming(keys=[run_id]))
        value = await service.result(run_id)

    assert value == "ship"
    assert done(effects) == ["entered", "charge", "ship {'amount': 3}"]


async def test_a_worker_that_is_to_stop_parks_what_only_waits(service, effects):
    run_id = submit(service, "order", effects)

    async with Working(service, linger=3600, grace=3600) as work:
        await until(lambda: len(open_waits(service.store)) == 1, "it waits")
        work.worker.stop()
        await work.task

    assert service.run(run_id).state is State.PARKED


async def test_it_is_woken_when_its_moment_has_come(service, effects, moments):
    run_id = await parked(service, "nap", effects, seconds=3600)
    moments.advance(3601)
    async with working(service):
        value = await service.result(run_id)

    assert value == "woke"
    assert done(effects) == ["entered", "entered", "woke"]


async def test_a_sleep_lasts_from_its_first_registration_whoever_works_meanwhile(service, effects, moments):
    run_id = await parked(service, "nap", effects, seconds=10_000)
    moments.advance(3000)
    async with working(service):
        other = await parked_here(service, "order", effects)
        early = service.run(run_id).state
    moments.advance(7001)
    async with working(service):
        await service.result(run_id)

    assert early is State.PARKED
    assert service.run(other).state is State.PARKED
    assert done(effects).count("woke") == 1


async def test_a_sleep_that_is_over_for_long_ends_at_once_and_once(service, effects, moments):
    run_id = await parked(service, "nap", effects, seconds=10_000)
    moments.advance(20_000)
    async with working(service):
        await service.result(run_id)

    assert done(effects).count("woke") == 1


async def test_it_is_parked_at_each_wait_and_recalls_what_was_before(service, effects):
    run_id = submit(service, "steps", effects)

    async with working(service):
        for number, topic in enumerate(["FIRST", "SECOND", "THIRD"]):
            await until(lambda: [each.topic for each in service.store.waits() if not each.settled] == [topic], topic)
            await in_state(service, run_id, State.PARKED)
            deliver(service.store, incoming(topic, topic=topic, payload=str(number)))
        value = await service.result(run_id)

    assert value == 2
    assert done(effects) == ["FIRST 0", "SECOND 1", "THIRD 2"]


async def test_a_wait_that_is_an_edge_is_woken_too(service, effects):
    run_id = await parked(service, "edges", effects)
    deliver(service.store)
    async with working(service):
        await service.result(run_id)

    assert done(effects) == ["ship {'amount': 3}"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("with_timeout", "a timeout around what it awaits, which no store knows"),
        ("with_gather", "it awaits asyncio.gather"),
        ("with_sleep", "it awaits something that is not a node"),
        ("with_foreign", "it awaits foreign, which is not of this run"),
    ],
)
async def test_what_holds_a_run_in_its_process_is_among_the_facts_of_its_node(in_memory, effects, entry, why):
    run_id = submit(in_memory, entry, effects)

    async with working(in_memory):
        await until(lambda: held(in_memory, run_id), "it is held")

        assert in_memory.run(run_id).state is State.RUNNING
        assert held(in_memory, run_id) == [why]


async def test_an_asyncio_task_that_a_body_has_made_holds_it(in_memory, effects):
    run_id = submit(in_memory, "with_helper", effects)

    async with Working(in_memory, limit=2, linger=3600):
        await until(lambda: len(open_waits(in_memory.store)) == 1, "it waits")
        others = [submit(in_memory, "order", effects) for _ in range(2)]
        await in_state(in_memory, others[0], State.PARKED)
        await in_state(in_memory, others[1], State.PARKED)

        assert in_memory.run(run_id).state is State.RUNNING


def held(service, run_id):
    return [each.facts["holds"] for each in service.store.attempts(run_id, every=True) if "holds" in (each.facts or {})]


# Cancelled


async def test_cancelling_a_parked_run_undoes_what_it_did_once_in_reverse(service, effects):
    run_id = await parked(service, "saga", effects)
    asked = service.cancel(run_id)
    async with working(service):
        with pytest.raises(RunCancelled):
            await service.result(run_id)
    late = deliver(service.store, incoming(topic="SHIPPED"))

    assert asked
    assert done(effects) == ["reserve", "charge", "refund", "release"]
    assert service.run(run_id).state is State.CANCELLED
    assert [node.label for node in service.store.nodes(run_id) if node.state is State.SUCCEEDED] != []
    assert (late, service.store.waits(), service.cancel(run_id)) == (["kept"], [], False)


async def test_a_cancel_comes_before_the_first_step_that_was_not_begun_when_it_was_asked_for(service, effects):
    run_id = await parked(service, "order", effects)
    deliver(service.store, incoming(keys=[run_id]))
    service.cancel(run_id)
    async with working(service):
        with pytest.raises(RunCancelled):
            await service.result(run_id)

    assert done(effects) == ["entered", "charge", "entered"]


async def test_a_run_that_lingers_is_undone_in_the_same_way(service, effects):
    run_id = submit(service, "saga", effects)

    async with Working(service, linger=3600):
        await until(lambda: len(open_waits(service.store)) == 1, "it waits")
        service.cancel(run_id)
        with pytest.raises(RunCancelled):
            await service.result(run_id)

    assert done(effects) == ["reserve", "charge", "refund", "release"]


async def test_parking_undoes_nothing(service, effects):
    await parked(service, "saga", effects)

    assert done(effects) == ["reserve", "charge"]


async def test_a_failure_that_was_caught_before_stays_caught(service, effects):
    run_id = await parked(service, "declined", effects)
    deliver(service.store)
    async with working(service):
        await service.result(run_id)

    assert done(effects) == ["charge", "refund"]


async def test_resuming_a_run_that_failed_after_a_wait_goes_on_from_the_failure(service, effects, tmp_path):
    gate = tmp_path / "gate"
    run_id = await parked(service, "fails_after", effects, gate=str(gate))
    deliver(service.store)
    async with working(service):
        with pytest.raises(RunFailed):
            await service.result(run_id)
    gate.touch()
    value = await service.resume(run_id)

    assert value == "shipped {'amount': 3}"
    assert done(effects) == ["ship", "ship"]


# Time limits of bodies


async def test_the_time_limit_of_a_body_goes_on_while_its_run_is_parked(service, effects, moments):
    run_id = await parked(service, "impatient", effects)
    moments.advance(3601)
    async with working(service):
        value = await service.result(run_id)

    assert value == "late"
    assert done(effects) == ["begins", "told", "late"]


async def test_a_body_that_is_in_time_ends_as_ever(service, effects, moments):
    run_id = await parked(service, "impatient", effects)
    moments.advance(1800)
    deliver(service.store)
    async with working(service):
        value = await service.result(run_id)

    assert value == {"amount": 3}
    assert done(effects) == ["begins"]
    assert service.store.waits() == []
