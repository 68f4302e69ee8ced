"""An order whose nodes are known by their names alone: what is known of one order can be written for any other."""

from __future__ import annotations

from notes import note

from aiodag import task
from aiodag.messages import message


@task(key="charge")
async def charge(order: str) -> float:
    return note("charge", order)


@task(key="ship")
async def ship(order: str, payment: object) -> float:
    return note("ship", order)


@task(key="fulfil")
async def fulfil(order: str) -> float:
    """Ask for a payment, wait for it, ship."""
    await charge(order)
    return await ship(order, message("PAYMENT", key=order))
