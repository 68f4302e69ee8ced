"""This checkout beside another version of aiodag: CPU time of both, interleaved in one process.

    python -m benchmarks.versions REVISION [--repeats 15] [--case WORDS]

REVISION is anything that git knows, such as a commit: its files are copied into a temporary directory. Both versions
run the same cases in turn. The two sets of modules take each other's place in `sys.modules`, so that an import inside a
function finds its own version.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results import ROOT, save

NODES = 3_000
COMMANDS = 60
RUNS = 200
QUEUED = """\
from aiodag import task

@task
async def step(before):
    return before

async def main():
    return await step(await step(1))
"""


class Version:
    """One version of aiodag, and the cases bound to it."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.place = place
        self.modules: dict[str, ModuleType] = {}
        with self.loaded():
            self.cases = cases()
        if not str(self.modules["aiodag"].__file__).startswith(str(place)):
            raise AssertionError(f"{name}: {self.modules['aiodag'].__file__} was loaded instead of {place}")

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Make this version the `aiodag` of the process."""
        sys.path.insert(0, str(self.place))
        sys.modules.update(self.modules)
        try:
            yield
        finally:
            sys.path.remove(str(self.place))
            self.modules = {name: sys.modules.pop(name) for name in list(sys.modules) if is_versioned(name)}

    def cpu_time(self, case: str) -> float:
        """Return the seconds of CPU, of this process and its children, that one case takes."""
        with self.loaded(), tempfile.TemporaryDirectory() as directory:
            gc.collect()
            before = used()
            asyncio.run(self.cases[case](Path(directory)))
            return used() - before


def is_versioned(name: str) -> bool:
    return name.partition(".")[0] == "aiodag" or name == "benchmarks.graphs"


def used() -> float:
    """Return the seconds of CPU that this process and its ended children have used."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def cases() -> dict[str, Callable[[Path], Any]]:
    """Return the cases, bound to the version that is loaded."""
    graphs = importlib.import_module("benchmarks.graphs")
    found: dict[str, Callable[[Path], Any]] = {}
    for shape, builds in graphs.SHAPES.items():
        for way in ("aiodag", "in a Run"):
            found[f"{shape}, {way}"] = lambda _, build=builds[way]: build(NODES)
    return found | options(graphs) | stores(graphs) | workflows() | {"runs from a queue, in SQLite": work_off}


def options(graphs: ModuleType) -> dict[str, Callable[[Path], Any]]:
    """Return cases of tasks with options, each in a fan-out."""
    from aiodag import Limit

    def threaded(value: int) -> int:
        return value

    chosen: dict[str, dict[str, Any]] = {
        "timeout=60": {"timeout": 60},
        "retries=1": {"retries": 1},
        "limit of 100": {"limit": Limit(100)},
    }
    found: dict[str, Callable[[Path], Any]] = {}
    for name, given in chosen.items():
        tasks = graphs.TASKS._replace(leaf=graphs.TASKS.leaf.with_options(**given))
        found[name] = lambda _, tasks=tasks: graphs.fan_out(tasks, NODES)
    plain = graphs.TASKS._replace(leaf=graphs.task(threaded))
    return {**found, "plain functions in threads": lambda _: graphs.fan_out(plain, NODES // 3)}


def stores(graphs: ModuleType) -> dict[str, Callable[[Path], Any]]:
    """Return cases of runs that are written, and taken back."""
    from aiodag import Run

    async def written(directory: Path, build: Any, executions: int) -> None:
        for _ in range(executions):
            async with Run("stored", store=directory / "runs.db", id="stored"):
                await build(graphs.TASKS, NODES)

    return {
        "written to SQLite, fan-out": lambda directory: written(directory, graphs.fan_out, 1),
        "written to SQLite, layered": lambda directory: written(directory, graphs.layers, 1),
        "written, then recalled, fan-out": lambda directory: written(directory, graphs.fan_out, 2),
    }


def workflows() -> dict[str, Callable[[Path], Any]]:
    """Return cases of workflows, of functions and of commands."""
    from aiodag.commands import command
    from aiodag.workflows import Workflow

    async def nothing() -> None:
        return None

    async def functions(_: Path) -> None:
        workflow = Workflow("functions")
        for number in range(NODES):
            workflow.add(nothing, name=f"task{number}")
        await workflow.run()

    async def programs(directory: Path) -> None:
        workflow = Workflow("programs")
        for number in range(COMMANDS):
            workflow.add(command("true"), name=f"task{number}")
        await workflow.run(store=directory / "runs.db")

    return {"a workflow of functions": functions, f"{COMMANDS} programs, with a store": programs}


async def work_off(directory: Path) -> None:
    """Submit runs, and work on them."""
    from aiodag.service import Service
    from aiodag.service.worker import QueueWorker

    file = directory / "queued.py"
    file.write_text(QUEUED)
    service = Service(directory / "runs.db")
    target = service.target(f"{file}:main")
    ids = [service.submit(target) for _ in range(RUNS)]
    worker = QueueWorker(service)
    working = asyncio.create_task(worker.run())
    await service.result(ids[-1])
    worker.stop()
    await working
    service.close()
    del sys.modules["queued"]


def compare(before: Version, after: Version, repeats: int, words: str) -> dict[str, dict[str, Any]]:
    """Return median and range of each version, and the ratio of the medians, by case. The versions take turns."""
    table: dict[str, dict[str, Any]] = {}
    for case in (name for name in after.cases if words in name):
        times: dict[str, list[float]] = {before.name: [], after.name: []}
        for number in range(repeats + 1):
            order = (before, after) if number % 2 else (after, before)
            for version in order:
                times[version.name].append(version.cpu_time(case))
        kept = {name: values[1:] for name, values in times.items()}  # the first round warms up
        medians = {name: statistics.median(values) for name, values in kept.items()}
        table[case] = {
            "median_ms": {name: 1e3 * value for name, value in medians.items()},
            "range_ms": {name: [1e3 * min(values), 1e3 * max(values)] for name, values in kept.items()},
            "ratio": medians[after.name] / medians[before.name],
            "ratio of minima": min(kept[after.name]) / min(kept[before.name]),
        }
        print(row_text(case, table[case]), flush=True)
    return table


def row_text(case: str, row: dict[str, Any]) -> str:
    """Return the line of one case."""
    cells = [
        f"{name} {value:8.2f} ms ({row['range_ms'][name][0]:.2f} to {row['range_ms'][name][1]:.2f})"
        for name, value in row["median_ms"].items()
    ]
    return f"  {case:34} {'   '.join(cells)}   {row['ratio']:.3f} (minima {row['ratio of minima']:.3f})"


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Make the package as it was at a revision, in a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        archive = subprocess.run(["git", "archive", revision, "aiodag"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", directory], input=archive.stdout, check=True)
        yield Path(directory)


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--case", default="", help="only cases with these words in their names")
    parser.add_argument("--json", metavar="FILE")
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {chosen.repeats} repeats, CPU time: {chosen.revision}, this checkout")
    with checked_out(chosen.revision) as place:
        before, after = Version(chosen.revision, place), Version("here", ROOT)
        table = compare(before, after, chosen.repeats, chosen.case)
    result = {"python": platform.python_version(), "repeats": chosen.repeats, "cases": table}
    mean = statistics.geometric_mean(row["ratio"] for row in table.values())
    print(f"  geometric mean {mean:.3f}, worst {max(row['ratio'] for row in table.values()):.3f}")
    save(chosen.json, result)


if __name__ == "__main__":
    main()
