"""Make durable calls one after the other, and all at once, with aiodag or by hand; print one JSON line.

    worker_durable.py {aiodag,hand} {NORMAL,FULL} CALLS

By hand: one thread, one INSERT and one commit per call, in a file with a write-ahead log. NORMAL and FULL are what SQLite
calls `synchronous`: FULL waits for the disk at every commit. Ten calls come first and are not counted.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiodag import Run, task

WARM = 10  # calls
Body = Callable[[int], Any]


async def step(value: int) -> int:
    return value


async def one_by_one(body: Body, calls: int) -> None:
    for number in range(calls):
        await body(number)


async def at_once(body: Body, calls: int) -> None:
    await asyncio.gather(*[body(number) for number in range(calls)])


SHAPES = {"sequential": one_by_one, "gathered": at_once}


async def with_aiodag(place: str, synchronous: str, calls: int) -> dict[str, float]:
    """Give the calls per second, opening and closing the run included."""
    body = task(step)
    store = f"sqlite:///{place}?synchronous={synchronous}"
    rates = {}
    for name, shape in SHAPES.items():
        for number in (WARM, calls):
            start = time.perf_counter()
            async with Run(name, store=store, id=f"{name} {number}"):
                await shape(body, number)
            rates[name] = number / (time.perf_counter() - start)
    return rates


async def by_hand(place: str, synchronous: str, calls: int) -> dict[str, float]:
    """Give the calls per second of the least that makes a call durable."""
    connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute(f"pragma synchronous = {synchronous}")
    connection.execute("create table calls (run text, number integer, value text, primary key (run, number))")
    loop = asyncio.get_running_loop()
    rates = {}
    with ThreadPoolExecutor(1) as thread:
        for name, shape in SHAPES.items():
            for number in (WARM, calls):
                run = f"{name} {number}"

                async def body(value: int) -> int:
                    answer = await step(value)
                    row = (run, value, json.dumps(answer))
                    await loop.run_in_executor(thread, connection.execute, "insert into calls values (?, ?, ?)", row)
                    return answer

                start = time.perf_counter()
                await shape(body, number)
                rates[name] = number / (time.perf_counter() - start)
    connection.close()
    return rates


WAYS = {"aiodag": with_aiodag, "hand": by_hand}
VERSIONS = {"aiodag": "this repository", "hand": sqlite3.sqlite_version}

if __name__ == "__main__":
    way, synchronous, calls = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        place = str(Path(directory) / "calls.db")
        print(json.dumps({"version": VERSIONS[way], **asyncio.run(WAYS[way](place, synchronous, int(calls)))}))
