"""Run the graph given on stdin with the aiodag that is installed here; print one JSON line.

The same script measures this repository and the release before it, and says what the same graph costs by hand.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any

from aiodag import task

Upstreams = list[list[int]]


async def leaf(value: int) -> int:
    return value


async def merge(a: int, b: int, c: int) -> int:
    return (a + b + c) % 1000


async def merge_by_hand(a: Awaitable[int], b: Awaitable[int], c: Awaitable[int]) -> int:
    return (await a + await b + await c) % 1000


def spawn(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: asyncio.create_task(function(*args))


async def once(graph: Upstreams, leaf: Callable[..., Any], merge: Callable[..., Any]) -> float:
    """Give the seconds until every node has settled."""
    start = time.perf_counter()
    made: list[Any] = []
    for number, upstreams in enumerate(graph):
        made.append(merge(*[made[one] for one in upstreams]) if upstreams else leaf(number))
    for node in made:
        await node
    return time.perf_counter() - start


def measure(graph: Upstreams, repeats: int) -> dict[str, Any]:
    """Give median seconds with aiodag and by hand, the two taking turns; the first round is not counted."""
    by_hand = (spawn(leaf), spawn(merge_by_hand))
    with_aiodag = (task(leaf), task(merge))
    rounds = [(asyncio.run(once(graph, *by_hand)), asyncio.run(once(graph, *with_aiodag))) for _ in range(repeats + 1)][
        1:
    ]
    hand, ours = (statistics.median(times) for times in zip(*rounds, strict=True))
    return {"seconds": ours, "by_hand_seconds": hand}


def version() -> str:
    try:
        return metadata.version("aiodag")
    except metadata.PackageNotFoundError:
        return "this repository"


if __name__ == "__main__":
    print(json.dumps({"version": version(), **measure(json.load(sys.stdin), int(sys.argv[1]))}))
