"""Begin orders, wait until all of them wait, and pay them, with one library; print one JSON line.

    client.py LIBRARY latency|wakes|flow|wait ADDRESS COUNT parked|held

latency: pay one now and then; give in how many seconds each was shipped. wakes: pay all of them at once; give the seconds
until the last one is shipped. flow: begin and pay all at once; give the seconds from the first request to the last shipment.
wait: begin them, wait until they wait, and go. An order comes first that is not counted.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import time
from typing import Any

from notes import noted

PAUSE = 0.1  # seconds between two payments to an idle worker: half as much to one and a half times that
LOOK = 0.02  # seconds between two looks at the notes
REST = 1.0  # seconds in which the last order comes to wait


async def until(step: str, names: list[str]) -> dict[str, float]:
    """Return when a step of each order ran, as soon as it has for all of them."""
    while not noted(step).keys() >= set(names):
        await asyncio.sleep(LOOK)
    return noted(step)


async def waiting(orders: Any, names: list[str], *, parked: bool) -> None:
    """Have orders that wait."""
    await orders.begin(names)
    await until("charge", names)
    await orders.settle(len(names), parked=parked)
    await asyncio.sleep(REST)


async def latency(orders: Any, names: list[str], *, parked: bool) -> dict[str, Any]:
    await waiting(orders, names, parked=parked)
    chance = random.Random(1)
    paid: dict[str, float] = {}
    for name in names:
        paid[name] = time.time()
        await orders.pay([name])
        await asyncio.sleep(PAUSE * (0.5 + chance.random()))
    shipped = await until("ship", names)
    return {"waits": sorted(shipped[name] - at for name, at in paid.items())}


async def wakes(orders: Any, names: list[str], *, parked: bool) -> dict[str, Any]:
    await waiting(orders, names, parked=parked)
    began = time.time()
    await orders.pay(names)
    delivered = time.time()
    shipped = await until("ship", names)
    return {"seconds": max(shipped.values()) - began, "delivering": delivered - began}


async def flow(orders: Any, names: list[str], *, parked: bool) -> dict[str, Any]:
    began = time.time()
    await orders.begin(names)
    await orders.pay(names)
    shipped = await until("ship", names)
    return {"seconds": max(shipped.values()) - began}


async def wait(orders: Any, names: list[str], *, parked: bool) -> dict[str, Any]:
    await waiting(orders, names, parked=parked)
    return {}


async def measured(library: str, way: str, address: str, count: int, *, parked: bool) -> dict[str, Any]:
    """Measure one way; an order before it loads what is loaded late."""
    orders = importlib.import_module(f"with_{library}").Orders(address)
    await orders.begin(["first"])
    await orders.pay(["first"])
    await until("ship", ["first"])
    names = [f"order-{number}" for number in range(count)]
    ways = {"latency": latency, "wakes": wakes, "flow": flow, "wait": wait}
    return {"version": orders.version, **await ways[way](orders, names, parked=parked)}


if __name__ == "__main__":
    library, way, address, count, kept = sys.argv[1:]
    print(json.dumps(asyncio.run(measured(library, way, address, int(count), parked=kept == "parked"))))
