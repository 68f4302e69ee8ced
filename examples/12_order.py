"""An order that waits for the world: a command is sent, its answer is waited for, and the next process begins.

Here the bank and the warehouse are two tasks, and an hour costs nothing. In earnest they are somebody else's, and the order
waits in a store, held by no process:

    aiodag submit 12_order.py:order_workflow -p order_number=A17 -p customer_name=Ada
    aiodag worker &
    aiodag send PAYMENT --key A17 --payload '{"amount": 40}'
    aiodag send SHIPPING --key A17 --payload '"tomorrow"'

Output:

0 h: the bank is asked for the money of Ada
1 h: paid: 40
1 h: the warehouse is asked to ship
3 h: order A17: 40 paid, arrives tomorrow
"""

import asyncio
from dataclasses import dataclass

from aiodag import Run, task
from aiodag.messages import Topic, message, send, sleep
from aiodag.testing import run


@dataclass
class Payment:
    amount: int


PAYMENT_COMMAND = Topic("PAYMENT_COMMAND", value=dict[str, str])
PAYMENT = Topic("PAYMENT", value=Payment)
SHIPPING_COMMAND = Topic("SHIPPING_COMMAND", value=dict[str, int])
SHIPPING = Topic("SHIPPING", value=str)


@task
async def payment(order, customer):
    await send(PAYMENT_COMMAND, key=order, value={"customer": customer})
    return await message(PAYMENT, key=order)


@task
async def shipping(order, paid):
    await send(SHIPPING_COMMAND, key=order, value={"amount": paid.amount})
    return await message(SHIPPING, key=order)


@task
async def order_workflow(order_number: str, customer_name: str):
    paid = payment(order_number, customer_name)
    arrives = await shipping(order_number, paid)
    return f"order {order_number}: {(await paid).amount} paid, arrives {arrives}"


# The world


def say(words):
    print(f"{asyncio.get_running_loop().time() / 3600:.0f} h: {words}")


@task
async def bank(order):
    command = await message(PAYMENT_COMMAND, key=order)
    say(f"the bank is asked for the money of {command['customer']}")
    await sleep(3600)
    await send(PAYMENT, key=order, value=Payment(40))
    say("paid: 40")


@task
async def warehouse(order):
    await message(SHIPPING_COMMAND, key=order)
    say("the warehouse is asked to ship")
    await sleep(2 * 3600)
    await send(SHIPPING, key=order, value="tomorrow")


async def main():
    async with Run("orders"):
        bank("A17")
        warehouse("A17")
        say(await order_workflow("A17", "Ada"))


if __name__ == "__main__":
    run(main())
