"""Messages that begin runs: each id once, if nobody waits for it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_worker import Working
from worker_processes import PATIENCE, until

from aiodag import EntryError, NotATask, OptionError, State, task
from aiodag.messages import Topic, message, send
from aiodag.messages.local import local_inbox
from aiodag.records import Incoming, Owner, Starter
from aiodag.service import Service
from aiodag.service.starters import starters_here

FLOW = Path(__file__).parent / "starter_flow.py"
TOPIC = "STARTER_FLOW_PARCELS"


@pytest.fixture(autouse=True)
def _forgotten(topics_forgotten):
    """Begin and end without topics."""


@pytest.fixture
def flow():
    """The topics of the flow, declared as by a worker that has imported it."""
    import starter_flow

    from aiodag.messages import topics

    topics.DECLARED[TOPIC] = starter_flow.PARCELS


def parcel(message_id="m1", payload='{"name": "A17", "pieces": 2}', **more):
    return Incoming(TOPIC, [""], message_id, payload, **more)


# Without a store


async def test_a_message_that_nobody_waits_for_begins_a_run_on_the_loop():
    begun = asyncio.Queue()
    orders = Topic("ORDER")

    @orders.starts
    async def order(name):
        begun.put_nowait(name)

    await send(orders, value="A17", id="m1")
    await send(orders, value="A17", id="m1")
    await send(orders, value="B4", id="m2")

    assert [await begun.get(), await begun.get()] == ["A17", "B4"]
    assert begun.empty()


async def test_who_waits_comes_before_what_begins():
    begun = []
    orders = Topic("ORDER", value=str)

    @orders.starts(queue="orders")
    async def order(name: str):
        begun.append(name)

    node = message(orders)
    await asyncio.sleep(0)
    await send(orders, value="A17")

    assert (await node, begun) == ("A17", [])


@dataclass
class Parcel:
    name: str


async def test_each_run_is_given_the_payload_of_the_type_that_its_task_says_as_by_a_worker():
    begun = asyncio.Queue()
    parcels = Topic("PARCEL", value=dict)

    @parcels.starts
    async def pack(parcel: Parcel):
        begun.put_nowait(parcel)

    @parcels.starts
    async def weigh(parcel):
        begun.put_nowait(parcel)

    await send(parcels, value={"name": "A17"})

    assert [await begun.get(), await begun.get()] == [Parcel("A17"), {"name": "A17"}]


def test_a_payload_that_is_not_what_its_task_says_fails_the_run():
    parcels = Topic("PARCEL")

    @parcels.starts
    async def pack(parcel: Parcel):
        raise AssertionError

    with pytest.raises(EntryError, match=r"parameter parcel=\{'weight': 3\} of pack is not"):
        parcels.begins["pack"].call({"weight": 3})


async def test_what_does_not_fit_begins_nothing_and_is_kept():
    orders = Topic("ORDER", value=int)

    @orders.starts
    async def order(pieces: int):
        raise AssertionError

    delivered = local_inbox().deliver(Incoming("ORDER", [""], "m1", '"many"'))

    assert delivered.outcome == "kept"


def test_what_cannot_begin_with_a_payload_alone_is_refused():
    orders = Topic("ORDER")

    async def two(name, pieces): ...

    with pytest.raises(TypeError, match=r"a message begins .*two with its payload alone: .*'pieces'"):
        orders.starts(two)
    with pytest.raises(NotATask, match=r"starts\(\) got .*print.*Pass a task or an async function"):
        orders.starts(print)


@pytest.mark.parametrize("queue", ["", 5, "a\n"])
def test_what_cannot_be_a_queue_is_refused_where_it_is_written(queue):
    with pytest.raises(OptionError, match="cannot work"):
        Topic("ORDER").starts(queue=queue)


def test_a_function_within_another_begins_nothing_in_workers(caplog):
    orders = Topic("ORDER")

    @orders.starts
    async def order(name): ...

    assert starters_here() == []
    assert "not at the top of a file" in caplog.text


# In a store


def test_a_worker_knows_what_the_files_say_that_it_has_imported(flow):
    (starter,) = starters_here()

    assert starter == Starter(
        TOPIC,
        f"{FLOW}:ship",
        {"file": str(FLOW), "task": "ship", "parameters": {}},
        "ship",
        "default",
        "parcel",
        str(FLOW),
    )


async def test_a_message_begins_a_run_once_for_its_id_with_the_value_of_its_type(store, flow):
    service = Service(store)

    async with Working(service):
        await until(lambda: [topic for topic in store.topics() if topic.starts], "the store knows the starter")
        first, again = await asyncio.to_thread(store.deliver, [parcel(), parcel()])
        value = await service.result(first.runs[0], timeout=PATIENCE)

    assert (first.outcome, again.outcome) == ("started", "duplicate")
    assert value == "2 x A17"
    assert len(store.runs()) == 1


def test_a_message_that_was_kept_before_begins_a_run_when_somebody_says_so(store, flow):
    (kept,) = store.deliver([parcel()])

    store.put_starters(Owner.here(), starters_here())

    assert kept.outcome == "kept"
    assert [(run.name, run.state) for run in store.runs()] == [("ship", State.QUEUED)]
    assert [each.state for each in store.messages()] == ["started"]
    assert store.deliver([parcel("m1")])[0].outcome == "duplicate"


def test_what_a_file_says_no_more_begins_nothing(store):
    old, new, other = (
        Starter(topic, target, {"file": target[:2], "task": "t", "parameters": {}}, "t", "default", "", declared_in)
        for topic, target, declared_in in (("OLD", "/a:t", "/a"), ("NEW", "/a:u", "/a"), ("OTHER", "/a:v", "/b"))
    )

    def begin():
        return sorted(topic.name for topic in store.topics() if topic.starts)

    store.put_starters(Owner.here(), [old, other], ["/a", "/b"])
    store.put_starters(Owner.here(), [new], ["/a"])
    later = begin()
    store.put_starters(Owner.here(), [], ["/a", "/c"])

    assert (later, begin()) == (["NEW", "OTHER"], ["OTHER"])


async def test_a_worker_whose_file_declares_no_starter_any_more_forgets_it(store, flow):
    service, ship = Service(store), Starter("OLD", f"{FLOW}:ship", {}, "ship", "default", "", str(FLOW))
    store.put_starters(Owner.here(), [ship])

    async with Working(service):
        await until(
            lambda: [topic.name for topic in store.topics() if topic.starts] == [TOPIC], "it has said what it has"
        )


async def test_a_run_whose_payload_does_not_fit_fails_and_says_why(store, flow):
    service = Service(store)
    store.put_starters(Owner.here(), starters_here())
    (delivered,) = store.deliver([parcel(payload='{"name": "A17"}')])

    async with Working(service):
        with pytest.raises(Exception, match="pieces"):
            await service.result(delivered.runs[0], timeout=PATIENCE)

    assert service.run(delivered.runs[0]).state is State.FAILED


async def test_a_run_that_was_begun_may_begin_again(store):
    service = Service(store)
    run_id = service.submit(f"{FLOW}:countdown", {"left": 3})

    async with Working(service):
        value = await service.result(run_id, timeout=PATIENCE)

    assert (value, service.run(run_id).generation) == ("started", 3)
    assert service.run(run_id).entry["parameters"] == {"left": 3}


def test_starts_gives_the_task_back():
    @task
    async def order(name): ...

    assert Topic("ORDER").starts(order) is order
