"""Count the bytes of one waiting node; print one JSON line.

    worker_waiting.py {hand,aiodag} {wide,chain} NODES

tracemalloc counts every allocation exactly, so no resident-set noise; the list that holds the nodes is
counted too. This script runs with any version of aiodag, 0.4 included.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any


async def step(value: int) -> int:
    return value


async def step_by_hand(upstream: Awaitable[int]) -> int:
    return await upstream


def submitter(variant: str) -> Callable[[Any], Any]:
    """Give the function that makes a node which waits for one upstream."""
    if variant == "hand":
        return lambda upstream: asyncio.create_task(step_by_hand(upstream))
    from aiodag import task

    return task(step)


def hang(shape: str, submit: Callable[[Any], Any], first: Any, nodes: int) -> list[Any]:
    """Make the nodes: all behind the first, or each behind the one before."""
    made = [first]
    for _ in range(nodes):
        made.append(submit(first if shape == "wide" else made[-1]))
    return made


async def settle_loop() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()


async def measure(variant: str, shape: str, nodes: int) -> float:
    """Give the bytes per node while all of them wait behind one that holds."""
    submit = submitter(variant)
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    first = submit(gate)
    await submit(asyncio.ensure_future(step(0)))  # warm every code path before counting
    await settle_loop()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = hang(shape, submit, first, nodes)
    await settle_loop()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    gate.set_result(1)
    await made[-1]
    return held / nodes


if __name__ == "__main__":
    variant, shape, nodes = sys.argv[1:]
    print(json.dumps({"bytes": asyncio.run(measure(variant, shape, int(nodes)))}))
