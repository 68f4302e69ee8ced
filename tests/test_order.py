"""The order workflow in earnest: in a store, on workers that are killed, with answers from outside."""

from collections import Counter

import pytest
from programs import ROOT
from worker_processes import PATIENCE, until

from aiodag import State
from aiodag.service import Service

ENTRY = f"{ROOT / 'examples' / '12_order.py'}:order_workflow"


@pytest.fixture
def service(address, modules_forgotten, topics_forgotten):
    service = Service(address)
    yield service
    service.close()


def submit(service, order):
    return service.submit(ENTRY, {"order_number": order, "customer_name": "Ada"})


def keys_of(service, topic):
    """Count how often a command was sent for each order."""
    return Counter(key for each in service.messages(topic=topic) for key in each.keys for _ in range(1 + each.repeats))


async def sent(service, topic, count):
    await until(lambda: keys_of(service, topic).total() >= count, f"{count} of {topic} are sent")


def pay(service, order):
    service.deliver("PAYMENT", order, {"amount": 40}, id=f"payment of {order}")


def ship(service, order):
    service.deliver("SHIPPING", order, "tomorrow", id=f"shipping of {order}")


async def test_an_order_whose_worker_is_killed_while_it_waits_goes_on_in_another(service, workers):
    first = workers.start()
    run_id = submit(service, "A17")
    await sent(service, "PAYMENT_COMMAND", 1)

    first.kill()
    first.wait()
    pay(service, "A17")
    workers.start()
    await sent(service, "SHIPPING_COMMAND", 1)
    ship(service, "A17")

    assert await service.result(run_id, timeout=PATIENCE) == "order A17: 40 paid, arrives tomorrow"
    assert keys_of(service, "PAYMENT_COMMAND") == {"A17": 1}
    assert keys_of(service, "SHIPPING_COMMAND") == {"A17": 1}


async def test_an_order_that_is_parked_is_held_by_no_worker(service, workers):
    first = workers.start("--linger", "0s")
    run_id = submit(service, "A17")
    await until(lambda: service.run(run_id).state is State.PARKED, "it is parked")
    assert [list(each.runs) for each in service.workers()] == [[]]

    first.kill()
    first.wait()
    pay(service, "A17")
    ship(service, "A17")
    workers.start("--linger", "0s")

    await service.result(run_id, timeout=PATIENCE)
    assert keys_of(service, "PAYMENT_COMMAND") == {"A17": 1}


async def test_each_of_many_orders_ships_once_though_a_worker_is_killed(service, workers):
    orders = [f"A{number}" for number in range(20)]
    first = workers.start("--linger", "0s")
    workers.start("--linger", "0s")
    ids = [submit(service, order) for order in orders]
    await sent(service, "PAYMENT_COMMAND", len(orders))
    for order in orders:
        pay(service, order)
    await sent(service, "SHIPPING_COMMAND", len(orders) // 2)

    first.kill()
    for order in orders:
        ship(service, order)

    for run_id in ids:
        await service.result(run_id, timeout=PATIENCE)
    assert keys_of(service, "PAYMENT_COMMAND") == dict.fromkeys(orders, 1)
    assert keys_of(service, "SHIPPING_COMMAND") == dict.fromkeys(orders, 1)
