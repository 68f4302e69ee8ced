"""Children, generations and what bodies ask for: each node has the type of what it gives."""

from dataclasses import dataclass
from datetime import datetime
from typing import Never, assert_type
from uuid import UUID

from aiodag import Node, task
from aiodag.messages import Topic, begin, begin_again, now, overdue, random, uuid


@dataclass
class Order:
    name: str


orders = Topic("TYPED_ORDERS", value=Order)


@orders.starts
@task
async def ship(order: Order) -> str:
    return order.name


@orders.starts(queue="later")
async def later(order: Order) -> int:
    return len(order.name)


async def alert() -> None: ...


async def main() -> None:
    assert_type(begin(ship, Order("A17")), Node[str])
    assert_type(begin(later, Order("A17"), id="order-17", queue="later"), Node[int])
    assert_type(begin(ship, Order("A17"), on_parent="detach"), Node[str])
    assert_type(begin(later, Order("A17"), on_parent="detach"), Node[str])
    assert_type(await begin(later, Order("A17")), int)
    assert_type(ship(Order("A17")), Node[str])

    assert_type(now(), Node[datetime])
    assert_type(random(), Node[float])
    assert_type(uuid(), Node[UUID])
    assert_type(overdue(now(), after=60, call=alert), Node[bool])


def turn() -> Never:
    begin_again(month=2)
