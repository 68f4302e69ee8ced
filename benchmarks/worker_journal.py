"""Run nodes that do nothing, written to a store or taken back from it; print one JSON line.

    worker_journal.py {write,resume} {wide,waves,chain} NODES STORE [LETTERS]

STORE is the path of a SQLite file; with an empty one the run has no store. It gives seconds and peak resident memory.
With LETTERS it gives in their place the peak of what Python allocates, counted by tracemalloc, in bytes per node beyond
the node's value, which is a text of so many letters, or None. A run of 100 nodes comes first and is not counted.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from aiodag import Run, Task, task
from benchmarks.worker_wide import peak_bytes

WARM = 100  # nodes
WAVE = 1000  # nodes
RAN = count()  # bodies that ran, and who asked

Build = Callable[[int], Any]
Measured = dict[str, float]


@task
async def number(value: int) -> int:
    next(RAN)
    return value


def value_of_length(letters: int) -> str | None:
    return "x" * letters or None


def text_of(letters: int) -> Task[..., Any]:
    """Give a task whose value has so many letters."""

    async def text(value: object) -> str | None:
        next(RAN)
        return value_of_length(letters)

    return task(text)


# The shapes. What they return is held until the run has been left.


async def wide(body: Task[..., Any], nodes: int) -> Any:
    return [body(one) for one in range(nodes)]


async def waves(body: Task[..., Any], nodes: int) -> None:
    for start in range(0, nodes, WAVE):
        for node in [body(one) for one in range(start, min(start + WAVE, nodes))]:
            await node


async def chain(body: Task[..., Any], nodes: int) -> Any:
    last: Any = 0
    for _ in range(nodes):
        last = body(last)
    return last


SHAPES = {"wide": wide, "waves": waves, "chain": chain}


async def whole(build: Build, nodes: int, store: str, name: str) -> None:
    """Make one run, from before its store is opened until all is written."""
    async with Run(name, store=store or None, id=name):
        held = await build(nodes)
    del held


async def clocked(build: Build, nodes: int, store: str) -> Measured:
    """Give seconds and peak resident memory, and how much of that the run has added."""
    before = peak_bytes()
    start = time.perf_counter()
    await whole(build, nodes, store, "benchmark")
    seconds = time.perf_counter() - start
    return {"nodes": nodes, "seconds": seconds, "peak_bytes": peak_bytes(), "grown_bytes": peak_bytes() - before}


async def weighed(letters: int, build: Build, nodes: int, store: str) -> Measured:
    """Give the bytes per node beyond its value at the worst moment; a value of None has none of its own."""
    value = value_of_length(letters)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await whole(build, nodes, store, "benchmark")
    grown = tracemalloc.get_traced_memory()[1] - before
    return {"nodes": nodes, "bytes": grown / nodes - (0 if value is None else sys.getsizeof(value))}


async def measure(way: str, shape: Callable[..., Any], nodes: int, store: str, letters: int | None) -> Measured:
    """Warm up, measure, and see that every body ran, or none."""
    build = partial(shape, number if letters is None else text_of(letters))
    look = clocked if letters is None else partial(weighed, letters)
    await whole(build, WARM, store, "warm")
    gc.collect()
    before = next(RAN)
    row = await look(build, nodes, store)
    ran = next(RAN) - before - 1
    if ran != (nodes if way == "write" else 0):
        raise AssertionError(f"{way}: {ran} of {nodes} bodies ran")
    return {**row, "file_bytes": Path(store).stat().st_size if store else 0}


if __name__ == "__main__":
    way, shape, nodes, store, *letters = sys.argv[1:]
    length = int(letters[0]) if letters else None
    print(json.dumps(asyncio.run(measure(way, SHAPES[shape], int(nodes), store, length))))
