"""Many durable runs in one process, each five tasks in a chain that sleep 10 ms, all in one SQLite file.

    python -m benchmarks.runs [--runs 3000] [--follow 20000] [--json FILE] [--quick]

First all at once, beside the same runs without a store: runs per second, how long the loop stood still at worst, and how many
threads there were. A pause is what a task that sleeps 1 ms again and again sees beyond that; the worst one without a store is
that of making all runs in one turn of the loop. Then others one after the other, 100 at a time: resident memory as they go by.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiodag import Run, task
from benchmarks.results import save

NAP = 0.01  # seconds
LENGTH = 5  # tasks
AT_ONCE = 100
TICK = 0.001  # seconds


@task
async def step(before: int) -> int:
    """Sleep, and pass a number on."""
    await asyncio.sleep(NAP)
    return before


async def chained(number: int, store: Path | None) -> None:
    """Run a chain of tasks."""
    async with Run("benchmark", store=store, id=f"run-{number}"):
        node = step(number)
        for _ in range(LENGTH - 1):
            node = step(node)
    if node.result() != number:
        raise AssertionError(f"run {number}: {node.result()}")


async def ticks(pauses: list[float], threads: list[int]) -> None:
    """Note how long the loop stands still, and how many threads there are."""
    last = time.perf_counter()
    while True:
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        pauses.append(now - last - TICK)
        threads.append(threading.active_count())
        last = now


async def at_once(runs: int, store: Path | None) -> dict[str, Any]:
    """Run all at once; give runs per second, pauses and threads."""
    pauses: list[float] = []
    threads: list[int] = []
    ticking = asyncio.create_task(ticks(pauses, threads))
    await asyncio.sleep(0)
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[chained(number, store) for number in range(runs)])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    ticking.cancel()
    pauses.sort()
    return {
        "runs_per_second": runs / seconds,
        "cpu_per_run": cpu / runs,
        "longest_pauses": pauses[:-6:-1],
        "threads": max(threads),
    }


async def one_after_the_other(runs: int, store: Path) -> dict[str, Any]:
    """Run so many at a time; give runs per second, and resident bytes at ten moments."""
    numbers = iter(range(runs))
    resident: list[int] = []

    async def follow(mine: Iterable[int]) -> None:
        for number in mine:
            await chained(number, store)
            if number % (runs // 10) == runs // 10 - 1:
                resident.append(resident_bytes())

    start = time.perf_counter()
    await asyncio.gather(*[follow(numbers) for _ in range(AT_ONCE)])
    return {"runs_per_second": runs / (time.perf_counter() - start), "resident_bytes": resident}


def resident_bytes() -> int:
    """Give the memory of this process; where the system does not tell, the most that it has had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * os.sysconf("SC_PAGESIZE")


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    for name in ("no_store", "sqlite"):
        row = result[name]
        pauses = ", ".join(f"{pause * 1000:.0f}" for pause in row["longest_pauses"])
        print(
            f"  {name:9} {row['runs_per_second']:7,.0f} runs/s, {row['cpu_per_run'] * 1e6:5.0f} µs CPU a run, "
            f"{row['threads']} threads, longest pauses {pauses} ms"
        )
    memory = ", ".join(f"{size / 2**20:.0f}" for size in result["follow"]["resident_bytes"])
    print(
        f"  {AT_ONCE} at a time: {result['follow']['runs_per_second']:,.0f} runs/s, memory as they go by {memory} MiB"
    )


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--follow", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    runs, follow = (size // 10 if options.quick else size for size in (options.runs, options.follow))
    with tempfile.TemporaryDirectory() as directory:
        result = {
            "python": platform.python_version(),
            "sqlite_version": sqlite3.sqlite_version,
            "runs": runs,
            "no_store": asyncio.run(at_once(runs, None)),
            "sqlite": asyncio.run(at_once(runs, Path(directory) / "at-once.db")),
            "follow": asyncio.run(one_after_the_other(follow, Path(directory) / "follow.db")),
        }
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
