"""An order with aiodag: a task, a message, a task. Its worker is `aiodag worker`."""

from __future__ import annotations

import asyncio
from importlib import metadata

from notes import note

from aiodag import State, task
from aiodag.mail import Incoming
from aiodag.messages import message
from aiodag.service import Service

LOOK = 0.3  # seconds between two looks at what is parked


@task
async def charge(order: str) -> float:
    return note("charge", order)


@task
async def ship(order: str, payment: object) -> float:
    return note("ship", order)


@task
async def fulfil(order: str) -> float:
    """Ask for a payment, wait for it, ship."""
    await charge(order)
    return await ship(order, message("PAYMENT", key=order))


class Orders:
    """What begins orders and pays them."""

    version = metadata.version("aiodag")

    def __init__(self, address: str) -> None:
        self.service = Service(address)

    async def begin(self, names: list[str]) -> None:
        for name in names:
            self.service.submit(f"{__file__}:fulfil", {"order": name})

    async def pay(self, names: list[str]) -> None:
        self.service.store.deliver([Incoming("PAYMENT", (name,), name, '"paid"') for name in names])

    async def settle(self, count: int, *, parked: bool) -> None:
        """Wait until as many orders wait, or are parked."""
        state = State.PARKED if parked else State.RUNNING
        while len(self.service.runs(state=state)) < count:
            await asyncio.sleep(LOOK)
