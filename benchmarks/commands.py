"""Commands: how many programs a second, beside asyncio's own subprocesses, and how long the loop stands still for them."""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiodag import Run
from aiodag.commands import command
from benchmarks.results import save

TRUE = shutil.which("true") or "/bin/true"
AT_ONCE = (8, 32)
NAP = 0.001  # seconds that the loop should sleep between two looks at the clock

Way = Callable[[int, int], Awaitable[None]]


async def with_aiodag(number: int, at_once: int) -> None:
    """Run commands as nodes."""
    true = command(TRUE, limit=at_once)
    for node in [true() for _ in range(number)]:
        await node


async def with_store(number: int, at_once: int) -> None:
    """Run commands in a run that writes down their output, their facts and their results."""
    with tempfile.TemporaryDirectory() as place:
        async with Run("commands", store=Path(place) / "runs.db"):
            await with_aiodag(number, at_once)


async def by_hand(number: int, at_once: int) -> None:
    """Run subprocesses as asyncio has them, with the same streams."""
    places = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with places:
            process = await asyncio.create_subprocess_exec(
                TRUE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            await process.communicate()

    await asyncio.gather(*[one() for _ in range(number)])


async def measured(way: Way, number: int, at_once: int) -> dict[str, float]:
    """Give programs per second, and the longest time for which the loop did nothing else."""
    await way(1, 1)
    pauses = [0.0]

    async def look() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(NAP)
            pauses.append(time.perf_counter() - start - NAP)

    looking = asyncio.create_task(look())
    start = time.perf_counter()
    await way(number, at_once)
    seconds = time.perf_counter() - start
    looking.cancel()
    return {"rate": number / seconds, "pause": statistics.quantiles(pauses, n=100)[98]}


def by_the_shell(number: int) -> float:
    """Give programs per second of a loop in a shell, one after the other: what the machine takes for them."""
    start = time.perf_counter()
    line = f'i=0; while [ $i -lt {number} ]; do "$1"; i=$((i+1)); done'
    subprocess.run(["/bin/sh", "-c", line, "sh", TRUE], check=True)
    return number / (time.perf_counter() - start)


def spread(values: list[float]) -> dict[str, Any]:
    """Give median and range."""
    return {"median": statistics.median(values), "range": [min(values), max(values)]}


def rows(number: int, rounds: int) -> list[dict[str, Any]]:
    """Give a row for each way and number at once; they take turns."""
    ways: dict[str, Way] = {"aiodag": with_aiodag, "with a store": with_store, "asyncio": by_hand}
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    shell: list[float] = []
    for _ in range(rounds):
        shell.append(by_the_shell(number))
        for at_once in AT_ONCE:
            for name, way in ways.items():
                found.setdefault((name, at_once), []).append(asyncio.run(measured(way, number, at_once)))
    table: list[dict[str, Any]] = [{"way": "a shell", "at_once": 1, "rate": spread(shell)}]
    for (name, at_once), cells in found.items():
        figures = {figure: spread([cell[figure] for cell in cells]) for figure in ("rate", "pause")}
        table.append({"way": name, "at_once": at_once, **figures})
    return table


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    for row in result["rows"]:
        low, high = row["rate"]["range"]
        pause = f", the loop stood still for {row['pause']['median'] * 1000:5.1f} ms (p99)" if "pause" in row else ""
        rate = f"{row['rate']['median']:7,.0f} programs/s ({low:,.0f} to {high:,.0f})"
        print(f"  {row['way']:12} {row['at_once']:3} at once {rate}{pause}")


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the programs")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    number = options.number // 10 if options.quick else options.number
    result = {"python": platform.python_version(), "number": number, "rows": rows(number, options.rounds)}
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
