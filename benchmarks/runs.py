"""Many durable runs in one process, each five tasks in a chain that sleep 10 ms, all in one SQLite file.

    python -m benchmarks.runs [--runs 3000] [--rounds 3] [--follow 20000] [--left] [--json FILE] [--quick]

First all at once, in turns with the same runs without a store: runs per second, microseconds of CPU for each run, how long the
loop stood still, and how many threads there were. A pause is what a task that sleeps 1 ms again and again sees beyond that. The
one in which all runs are made, in one turn of the loop, is the program's own and stands apart; so does the longest pause of the
garbage collector. Then others one after the other, 100 at a time: resident memory as they go by, what is left after them, and
whether anything stays open. `--left` says where what is left was made (slow: it traces every allocation).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import resource
import sqlite3
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Generator, Iterable
from contextlib import contextmanager
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


@contextmanager
def collections() -> Generator[list[float]]:
    """Give the pauses of the garbage collector."""
    found: list[float] = []
    began = 0.0

    def heard(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            found.append(time.perf_counter() - began)

    gc.callbacks.append(heard)
    try:
        yield found
    finally:
        gc.callbacks.remove(heard)


async def at_once(runs: int, store: Path | None) -> dict[str, Any]:
    """Run all at once; give runs per second, pauses and threads."""
    pauses: list[float] = []
    threads: list[int] = []
    ticking = asyncio.create_task(ticks(pauses, threads))
    await asyncio.sleep(10 * TICK)
    pauses.clear()
    start, cpu = time.perf_counter(), time.process_time()
    with collections() as collected:
        await asyncio.gather(*[chained(number, store) for number in range(runs)])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    ticking.cancel()
    return {
        "runs_per_second": runs / seconds,
        "cpu_per_run": cpu / runs,
        "making": max(pauses[:2]),
        "longest_pauses": sorted(pauses[2:])[:-6:-1],
        "longest_collection": max(collected, default=0.0),
        "threads": max(threads),
    }


def in_turns(runs: int, rounds: int, directory: Path) -> dict[str, dict[str, Any]]:
    """Measure without a store and with one in turns; give the median round of each, by CPU time."""
    places: dict[str, list[dict[str, Any]]] = {"no_store": [], "sqlite": []}
    for number in range(-1, rounds):
        for name, found in places.items():
            store = None if name == "no_store" else directory / f"at-once-{number}.db"
            gc.collect()
            measured = asyncio.run(at_once(runs if number >= 0 else 1, store))
            if number >= 0:  # the first one loads what is loaded late
                found.append(measured)
    return {
        name: sorted(found, key=lambda each: each["cpu_per_run"])[len(found) // 2] for name, found in places.items()
    }


async def one_after_the_other(runs: int, store: Path, *, traced: bool) -> dict[str, Any]:
    """Run so many at a time; give runs per second, resident bytes at ten moments, and what is left of the last nine tenths."""
    numbers = iter(range(runs))
    resident: list[int] = []

    async def follow(mine: Iterable[int]) -> None:
        for number in mine:
            await chained(number, store)
            if number % (runs // 10) == runs // 10 - 1:
                resident.append(resident_bytes())
                if len(resident) == 1:
                    gc.collect()
                    before.append(len(gc.get_objects()))
                    if traced:
                        tracemalloc.start()

    before: list[int] = []
    start = time.perf_counter()
    await asyncio.gather(*[follow(numbers) for _ in range(AT_ONCE)])
    seconds = time.perf_counter() - start
    gc.collect()
    return {
        "runs_per_second": runs / seconds,
        "resident_bytes": resident,
        "objects_left": len(gc.get_objects()) - before[0],
        "left": [str(each) for each in tracemalloc.take_snapshot().statistics("lineno")[:10]] if traced else [],
        "threads": [each.name for each in threading.enumerate() if each is not threading.main_thread()],
        "open_files": open_files(store.parent),
    }


def open_files(directory: Path) -> list[str]:
    """Give the files in a directory that this process has open, where the system tells."""
    found: list[str] = []
    for each in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            found.append(str(each.readlink()))
        except FileNotFoundError:  # the descriptor that lists them
            continue
    return sorted(name for name in found if name.startswith(str(directory)))


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
            f"{row['threads']} threads; pauses: making the runs {row['making'] * 1000:.0f}, then {pauses} ms; "
            f"longest of the collector {row['longest_collection'] * 1000:.0f} ms"
        )
    follow = result["follow"]
    memory = ", ".join(f"{size / 2**20:.0f}" for size in follow["resident_bytes"])
    print(f"  {AT_ONCE} at a time: {follow['runs_per_second']:,.0f} runs/s, memory as they go by {memory} MiB")
    print(
        f"  after them: {follow['objects_left']:+,} objects, against those at the first tenth, when {AT_ONCE} runs went on; "
        f"threads {follow['threads']}, open files {follow['open_files']}"
    )
    for line in follow["left"]:
        print(f"    {line}")


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--follow", type=int, default=20_000)
    parser.add_argument("--left", action="store_true", help="say where what is left was made")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    runs, follow = (size // 10 if options.quick else size for size in (options.runs, options.follow))
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        result = {
            "python": platform.python_version(),
            "sqlite_version": sqlite3.sqlite_version,
            "runs": runs,
            **in_turns(runs, options.rounds, place),
            "follow": asyncio.run(one_after_the_other(follow, place / "follow.db", traced=options.left)),
        }
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
