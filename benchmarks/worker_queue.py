"""What passes through a queue, with aiodag: begin runs, submit them, work on them; print one JSON line.

    worker_queue.py chain|wide|many ADDRESS COUNT
    worker_queue.py latency|fill|drain ADDRESS COUNT

chain, wide: one run of COUNT nodes, one after the other or all at once. many: COUNT chains, some at once.
latency: submit COUNT runs of some nodes, one now and then, for a worker that is there already. fill: submit them all. drain:
wait until workers have done that.
The standard input has the rest as JSON. A run of a few nodes comes first and is not counted. Nodes do nothing, and each value
is written before the next node begins.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

from aiodag import Run, task


@task
async def step(value: float) -> float:
    """Give the moment at which the first one ran."""
    return value or time.time()


@task
async def entry(length: int) -> list[float]:
    """Run nodes, one after the other; give the moments of the first and of the last body."""
    node = step(0.0)
    for _ in range(length - 2):
        node = step(node)
    last = stamp(node)
    return [await node, await last]


@task
async def stamp(value: float) -> float:
    """Give the moment at which it ran."""
    return time.time()


async def chain(store: str, count: int, name: str | None = None) -> None:
    async with Run("chain", store=store, id=name):
        node = step(1.0)
        for _ in range(count - 1):
            node = step(node)
    node.result()


async def wide(store: str, count: int) -> None:
    async with Run("wide", store=store):
        nodes = step.map([1.0] * count)
    del nodes


async def many(store: str, count: int, load: dict[str, Any]) -> None:
    numbers = iter(range(count))

    async def follow() -> None:
        for number in numbers:
            await chain(store, load["chain"], f"many-{number}")

    await asyncio.gather(*[follow() for _ in range(load["at_once"])])


async def clocked(way: str, store: str, count: int, load: dict[str, Any]) -> dict[str, float]:
    """Give the seconds that it takes. Another run goes on meanwhile, as in a worker: opening the store is not counted."""
    end = asyncio.Event()

    @task(key=id, journal=False)
    async def rest(until: asyncio.Event) -> None:
        await until.wait()

    async with Run("warm", store=store):
        nodes = step.map([1.0] * load["warm"])
        rest(end)
        await asyncio.wait(nodes)
        start = time.perf_counter()
        await (many(store, count, load) if way == "many" else {"chain": chain, "wide": wide}[way](store, count))
        seconds = time.perf_counter() - start
        end.set()
    return {"seconds": seconds}


async def submitted(store: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Submit runs, one now and then; give in how many seconds the first body of each began."""
    from aiodag.service import Service

    service = Service(store)
    target = service.target(f"{__file__}:entry", [f"length={load['length']}"])
    await service.result(service.submit(target), timeout=60)  # the first one loads what is loaded late
    chance = random.Random(1)
    sent: list[tuple[str, float]] = []
    for _ in range(count):
        at = time.time()
        sent.append((service.submit(target), at))
        await asyncio.sleep(load["pause"] * (0.5 + chance.random()))
    return {"waits": sorted([(await service.result(each, timeout=600))[0] - at for each, at in sent])}


async def filled(store: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Submit runs that nobody works on yet; give their ids."""
    from aiodag.service import Service

    service = Service(store)
    target = service.target(f"{__file__}:entry", [f"length={load['length']}"])
    return {"ids": [service.submit(target) for _ in range(count)]}


async def drained(store: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Give the seconds from the first body of all runs to the last one."""
    from aiodag.service import Service

    service = Service(store)
    results = [await service.result(each, timeout=600) for each in load["ids"]]
    return {"seconds": max(last for _, last in results) - min(first for first, _ in results)}


if __name__ == "__main__":
    way, store, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    load = json.load(sys.stdin)
    queued = {"latency": submitted, "fill": filled, "drain": drained}
    work = queued[way](store, count, load) if way in queued else clocked(way, store, count, load)
    print(json.dumps(asyncio.run(work)))
