"""Messages: what whoever waits gets has the type of its topic."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from aiodag import Node, task
from aiodag.messages import First, Topic, first_of, message, send, sleep, sleep_until
from aiodag.testing import dead_letters, deliver, messages_kept


@dataclass
class Payment:
    amount: int


@task
async def ship(order: str, payment: Payment) -> str:
    return f"{order}: {payment.amount}"


@task
async def charge() -> Payment:
    return Payment(5)


payments = Topic("PAYMENT", value=Payment, ttl=timedelta(days=2))
assert_type(payments, Topic[Payment])
lists = Topic("LISTS", list[Payment])
assert_type(lists, Topic[list[Payment]])
anything = Topic("ANYTHING")
assert_type(anything, Topic[Any])


async def main() -> None:
    assert_type(message(payments, key="A17"), Node[Payment])
    assert_type(message(payments, key="A17", timeout=5), Node[Payment])
    assert_type(message(payments, count=2), Node[list[Payment]])
    assert_type(message(anything), Node[Any])
    assert_type(message("ANYTHING"), Node[Any])
    assert_type(message("ANYTHING", count=2), Node[list[Any]])
    assert_type(await message(lists), list[Payment])

    assert_type(sleep(5), Node[None])
    assert_type(sleep(timedelta(days=30)), Node[None])
    assert_type(sleep_until(datetime(2030, 1, 1, tzinfo=UTC)), Node[None])

    assert_type(ship("A17", message(payments, key="A17")), Node[str])

    assert_type(send(payments, key=["A17", "A18"], value=Payment(5), to="all"), Node[str])
    assert_type(send(payments, value=charge()), Node[str])
    assert_type(send("ANYTHING", value={"amount": 5}, headers={"source": "shop"}), Node[str])

    assert_type(first_of(message(payments), sleep(5)), Node[Payment | None])
    assert_type(first_of(message(payments), charge()), Node[Payment])
    assert_type(first_of(message(payments), sleep(5), ship("A17", charge())), Node[Payment | None | str])
    assert_type(first_of(*[charge() for _ in range(3)]), Node[Payment])
    won = await first_of(paid=message(payments), charged=charge())
    assert_type(won, First[Payment])
    assert_type(won.value, Payment)
    assert_type(won.name, str)

    assert_type(deliver(payments, "A17", {"amount": 5}).outcome, str)
    print(messages_kept(), dead_letters())


asyncio.run(main())
