"""Measure the peak of what handled failures keep alive; print one JSON line.

    worker_handled.py {hand,aiodag} FAILURES [MEBIBYTES]

Each body holds so much in a variable, fails, and its caller handles that; the garbage collector runs as it would.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress

MEBIBYTE = 2**20


async def fail(size: int) -> int:
    held = bytearray(size)
    await asyncio.sleep(0)
    raise ValueError(len(held))


def submitter(variant: str) -> Callable[[int], Awaitable[int]]:
    if variant == "hand":
        return lambda size: asyncio.create_task(fail(size))
    from aiodag import task

    return task(fail)


async def measure(variant: str, failures: int, size: int) -> int:
    submit = submitter(variant)
    tracemalloc.start()
    for _ in range(failures):
        node = submit(size)
        with suppress(ValueError):
            await node
    return tracemalloc.get_traced_memory()[1]


def main() -> None:
    variant, failures, mebibytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 20
    print(json.dumps({"peak_bytes": asyncio.run(measure(variant, failures, mebibytes * MEBIBYTE))}))


if __name__ == "__main__":
    main()
