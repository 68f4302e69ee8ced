"""Measure calls on a cluster beside what the cluster takes for them by itself.

    python -m benchmarks.clusters [--quick] [--json FILE]

A Dask scheduler and two workers with one thread each, all processes of this machine. No-ops by `client.map` and
`client.gather`, and by a task with `executor=Dask(...)`, by turns; then bodies that take a tenth of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from distributed import Client

from aiodag import task
from aiodag.executors.dask import Dask
from benchmarks.results import ROOT, save

WORKERS = 2
LOCAL = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
SLEEP = 0.1


class Taken(NamedTuple):
    """What something took: seconds, and seconds of the processor in all processes."""

    seconds: float
    processor: float


def nothing(number: int) -> None:
    """Do nothing."""


def sleeps(number: int) -> None:
    """Take a tenth of a second."""
    time.sleep(SLEEP)


@contextmanager
def dask_cluster() -> Iterator[tuple[str, list[Any]]]:
    """Start a scheduler and its workers; give its address, and its processes with this one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        options = ["--scheduler-file", str(file), *LOCAL]
        commands = [["dask_scheduler", "--port", "0", *options]]
        commands += [["dask_worker", *options, "--nthreads", "1", "--no-nanny", "--local-directory", folder]] * WORKERS
        started = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{name}", *arguments],
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT)},
                stderr=subprocess.DEVNULL,
            )
            for name, *arguments in commands
        ]
        try:
            while not (file.exists() and file.read_text()):
                time.sleep(0.05)
            yield (
                json.loads(file.read_text())["address"],
                [psutil.Process(each.pid) for each in started] + [psutil.Process()],
            )
        finally:
            for process in started:
                process.kill()
                process.wait()


async def by_dask(client: Any, calls: int) -> None:
    """Call in Dask's own way."""
    await client.gather(client.map(nothing, range(calls), pure=False))


async def by_tasks(executor: Any, body: Any, calls: int) -> None:
    """Do the same as nodes."""
    nodes = task(body, executor=executor).map(range(calls))
    for node in nodes:
        await node


async def taken(work: Awaitable[None], processes: list[Any]) -> Taken:
    """Give the seconds that something takes, and those of the processor in all processes."""
    before, start = processor(processes), time.perf_counter()
    await work
    return Taken(time.perf_counter() - start, processor(processes) - before)


def processor(processes: list[Any]) -> float:
    """Give the seconds of the processor that processes have used."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def measure(
    own: Callable[[int], Awaitable[None]], executor: Any, processes: list[Any], calls: int, sleeping: int, rounds: int
) -> dict[str, Any]:
    """Measure on a cluster, of which `own` is the way to call no-ops."""
    await own(calls // 10)
    await by_tasks(executor, nothing, calls // 10)
    theirs, tasks = [], []
    for _ in range(rounds):
        theirs.append(await taken(own(calls), processes))
        tasks.append(await taken(by_tasks(executor, nothing, calls), processes))
        print(f"  {executor}: by itself {theirs[-1]}, aiodag {tasks[-1]}", flush=True)
    slept = await taken(by_tasks(executor, sleeps, sleeping), processes)
    await executor.close()
    pairs = list(zip(tasks, theirs, strict=True))
    return {
        "calls": calls,
        "rounds": rounds,
        "own": statistics.median(each.seconds for each in theirs),
        "tasks": statistics.median(each.seconds for each in tasks),
        "ratio": statistics.median(ours.seconds / other.seconds for ours, other in pairs),
        "processor": statistics.median(ours.processor / other.processor for ours, other in pairs),
        "sleeping": sleeping,
        "busy": sleeping * SLEEP / WORKERS / slept.seconds,
    }


async def measure_dask(address: str, processes: list[Any], *sizes: int) -> dict[str, Any]:
    """Measure on a Dask cluster."""
    async with Client(address, asynchronous=True, set_as_default=False) as client:
        await client.wait_for_workers(WORKERS)
        return await measure(partial(by_dask, client), Dask(address), processes, *sizes)


def main() -> None:
    """Read the options, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    sizes = (1_000, 100, 3) if options.quick else (10_000, 1_000, 5)
    with dask_cluster() as (address, processes):
        found = asyncio.run(measure_dask(address, processes, *sizes))
    print(json.dumps(found, indent=1))
    save(
        options.json,
        {"python": sys.version.split()[0], "distributed": metadata.version("distributed"), "clusters": {"dask": found}},
    )


if __name__ == "__main__":
    main()
