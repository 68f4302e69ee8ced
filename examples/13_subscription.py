"""A subscription that renews every 30 days for ten years, and keeps no history of that.

`begin_again` ends a turn and begins the next one, under the same id: the store holds one turn, and each turn has idempotency keys
of its own, so that a customer is charged for each month once. Ten years cost nothing here.

Output:

month 1: charged after 0 days
month 61: charged after 1800 days
month 121: charged after 3600 days
cancelled in month 122; charged under 122 keys
nodes in the store: 5
"""

import asyncio
from datetime import timedelta

from aiodag import Run, current_node, task
from aiodag.messages import Topic, begin_again, first_of, message, sleep
from aiodag.service import Service
from aiodag.testing import run

CANCELLED = Topic("CANCELLED")
MONTH = timedelta(days=30)
charged = []


@task
async def charge(customer):
    charged.append(current_node().key)  # what the bank would know this payment by
    if len(charged) % 60 == 1:
        print(f"month {len(charged)}: charged after {days()} days")


@task
async def subscription(customer: str, month: int = 1):
    await charge(customer)
    ended = await first_of(renewed=sleep(MONTH), cancelled=message(CANCELLED, key=customer))
    if ended.name == "renewed":
        begin_again(customer=customer, month=month + 1)
    return month


# The world


def days():
    return round(asyncio.get_running_loop().time() / 86_400)


async def cancel(service, customer, after):
    await asyncio.sleep(after.total_seconds())
    service.deliver(CANCELLED, customer)


async def main():
    service = Service("memory:subscriptions")
    cancelling = asyncio.create_task(cancel(service, "Ada", timedelta(days=3645)))
    async with Run("subscription", store=service.store, id="ada") as began:
        months = subscription("Ada")
    await cancelling
    print(f"cancelled in month {await months}; charged under {len({*charged})} keys")
    print(f"nodes in the store: {len(service.graph(began.id).nodes)}")
    service.close()


if __name__ == "__main__":
    run(main())
