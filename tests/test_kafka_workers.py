"""Workers receive from Kafka and send by it, whoever of them is killed, also where the broker starts again.

A group takes seconds to let somebody in, and more to notice that somebody has died; so each test waits for several things.
"""

import asyncio
import json
import signal
from contextlib import aclosing
from uuid import uuid4

import pytest
from kafka_servers import Broker
from programs import ROOT, write_program
from test_relaying import leave
from worker_processes import PATIENCE, Workers, until

from aiodag.messages.kafka import Kafka
from aiodag.messages.payloads import MESSAGE_LARGEST
from aiodag.records import Outgoing
from aiodag.service import relaying
from aiodag.service.relaying import Carrier
from aiodag.stores import Memory

ORDERS = 12
PAGE = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
PROGRAM = PAGE.partition("```python\n")[2].partition("```")[0]  # the first of the page


@pytest.fixture
def broker():
    broker = Broker()
    try:
        yield broker.start()
    finally:
        broker.remove()


@pytest.fixture
def workers(tmp_path):
    workers = Workers(f"sqlite:///{tmp_path}/runs.db", tmp_path)
    yield workers
    workers.end()


async def commands(broker, count):
    """Yield the ids of orders that somebody is to pay, each once."""
    transport = Kafka(broker.address, topics=["PAYMENT_COMMAND"], group="payments")
    seen = set()
    async with aclosing(transport.receive()) as batches:
        async for batch in batches:
            for each in batch:
                if each.id not in seen:
                    seen.add(each.id)
                    assert list(each.keys) == [json.loads(each.payload)["order"]]
                    yield each.keys[0]
            if len(seen) == count:
                return


@pytest.mark.usefixtures("modules_forgotten", "topics_forgotten")
async def test_orders_are_paid_by_way_of_kafka_while_workers_come_and_are_killed(broker, workers, tmp_path, service_at):
    """Nothing is lost while partitions go from one to another; what is not JSON is a dead letter."""
    file = write_program(tmp_path, PROGRAM.replace("broker.example:9092", broker.address))
    service = service_at(workers.address)
    runs = [service.submit(f"{file}:order", [f"id=A{number}"]) for number in range(ORDERS)]
    source = f"kafka://{broker.address}?group=orders&topics=PAYMENT&key=order"
    await broker.produce("PAYMENT", b"{")
    first = workers.start("--transport", source)

    paid = []
    async with asyncio.timeout(PATIENCE):
        async for order in commands(broker, ORDERS):
            await broker.produce("PAYMENT", json.dumps({"order": order, "amount": 5}).encode())
            paid.append(order)
            if len(paid) == ORDERS // 2:
                await until(lambda: any(service.run(each).ended_at for each in runs), "one is done")
                workers.start("--transport", source)
                first.send_signal(signal.SIGKILL)
    values = [await service.result(run_id, timeout=PATIENCE) for run_id in runs]

    assert values == [5] * ORDERS
    assert sorted(paid) == sorted(f"A{number}" for number in range(ORDERS))
    assert [("not JSON" in each.reason, each.payload) for each in service.store.messages(state="dead")] == [(True, "{")]


async def test_a_broker_that_starts_again_is_waited_for(broker, monkeypatch):
    """In both directions. And what is too large for any broker is a dead letter."""
    monkeypatch.setattr(relaying, "PAUSES", (0.1, 0.1))
    store, topic = Memory(), f"T{uuid4().hex}"
    source = Kafka(broker.address, topics=[topic], group="orders")

    def kept():
        return [each.id for each in store.messages(state="kept")]

    def outgoing(number, payload="null"):
        return Outgoing(topic, ("A17",), f"m{number}", payload, via=f"kafka://{broker.address}")

    async with Carrier(store, [source], [].append):
        leave(store, outgoing(0, f'"{"x" * 2 * MESSAGE_LARGEST}"'), outgoing(1))
        await until(lambda: kept() == ["m1"], "it has gone out and come in")
        broker.kill()
        leave(store, outgoing(2))
        await asyncio.to_thread(broker.start)
        await until(lambda: kept() == ["m1", "m2"], "the second, too")

    assert store.relays() == []
    assert [(each.id, "MessageSizeTooLarge" in each.reason) for each in store.messages(state="dead")] == [("m0", True)]
