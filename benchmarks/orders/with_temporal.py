"""An order with Temporal: an activity, a signal, an activity. Run as a program it is the worker: with_temporal.py ADDRESS CACHE."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from importlib import metadata

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from notes import note

QUEUE = "orders"
AT_ONCE = 50  # requests of the client
BOUND = timedelta(seconds=60)


@activity.defn
async def charge(order: str) -> float:
    return note("charge", order)


@activity.defn
async def ship(order: str, payment: str) -> float:
    return note("ship", order)


@workflow.defn
class Fulfil:
    """Ask for a payment, wait for it, ship."""

    def __init__(self) -> None:
        self.payment: str | None = None

    @workflow.signal
    def pay(self, payment: str) -> None:
        self.payment = payment

    @workflow.run
    async def run(self, order: str) -> float:
        await workflow.execute_activity(charge, order, start_to_close_timeout=BOUND)
        await workflow.wait_condition(lambda: self.payment is not None)
        return await workflow.execute_activity(ship, args=[order, self.payment], start_to_close_timeout=BOUND)


class Orders:
    """What begins orders and pays them."""

    version = metadata.version("temporalio")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connected: Client | None = None

    async def client(self) -> Client:
        self.connected = self.connected or await connect(self.address)
        return self.connected

    async def begin(self, names: list[str]) -> None:
        client = await self.client()
        room = asyncio.Semaphore(AT_ONCE)

        async def begin_one(name: str) -> None:
            async with room:
                await client.start_workflow(Fulfil.run, name, id=name, task_queue=QUEUE)

        await asyncio.gather(*map(begin_one, names))

    async def pay(self, names: list[str]) -> None:
        client = await self.client()
        room = asyncio.Semaphore(AT_ONCE)

        async def pay_one(name: str) -> None:
            async with room:
                await client.get_workflow_handle(name).signal(Fulfil.pay, "paid")

        await asyncio.gather(*map(pay_one, names))

    async def settle(self, count: int, *, parked: bool) -> None:
        """Wait until as many orders wait: here they do, as soon as they have charged."""


async def connect(address: str) -> Client:
    """Connect to a server that may have been started just now."""
    for _ in range(100):
        try:
            return await Client.connect(address)
        except RuntimeError:
            await asyncio.sleep(0.1)
    return await Client.connect(address)


async def main(address: str, cache: int) -> None:
    """Work until the standard input ends. `cache` is how many workflows stay in memory, which is 1,000 by default."""
    client = await connect(address)
    async with Worker(
        client, task_queue=QUEUE, workflows=[Fulfil], activities=[charge, ship], max_cached_workflows=cache
    ):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
