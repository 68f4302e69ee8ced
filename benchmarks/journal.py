"""Durable runs: written, resumed, beside runs without a store and beside DBOS; how they grow, and what they hold."""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiodag import Run, task
from benchmarks.envs import environment
from benchmarks.graphs import Bodies, layers, step, total
from benchmarks.results import run_worker, save
from benchmarks.worker_journal import WAVE

SIZES = (10_000, 100_000, 1_000_000)
NAPS = (0.01, 0.1)  # seconds that a body sleeps
LETTERS = (0, 1000)  # of a value that is weighed


class Maker(NamedTuple):
    """Who makes calls durable: its environment (none: this repository), its script and arguments."""

    name: str
    place: str
    script: str
    arguments: tuple[str, ...]


MAKERS = (
    Maker("aiodag", "", "worker_durable.py", ("aiodag", "NORMAL")),
    Maker("aiodag, `synchronous=FULL`", "", "worker_durable.py", ("aiodag", "FULL")),
    Maker("`sqlite3` by hand", "", "worker_durable.py", ("hand", "NORMAL")),
    Maker("`sqlite3` by hand, `synchronous=FULL`", "", "worker_durable.py", ("hand", "FULL")),
    Maker("DBOS, write-ahead log, `synchronous=NORMAL`", "dbos", "worker_dbos.py", ("NORMAL",)),
    Maker("DBOS, as it opens SQLite", "dbos", "worker_dbos.py", ("usual",)),
)


def spread(values: list[float]) -> dict[str, Any]:
    """Give median and range."""
    return {"median": statistics.median(values), "range": [min(values), max(values)]}


def turns(things: Iterable[Any], number: int) -> list[Any]:
    """Give the order of a round: every second one goes backwards."""
    return list(things)[::-1] if number % 2 else list(things)


def throughput(nodes: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Give nodes per second by shape: without a store, written, and taken back by another process."""
    shapes = ("wide", "chain")
    rows: dict[str, dict[str, list[Any]]] = {shape: {"no store": [], "written": [], "recalled": []} for shape in shapes}
    for number in range(rounds):
        for shape in turns(shapes, number):
            with tempfile.TemporaryDirectory() as directory:
                store = Path(directory) / "runs.db"
                for name, way, place in (
                    ("no store", "write", ""),
                    ("written", "write", store),
                    ("recalled", "resume", store),
                ):
                    rows[shape][name].append(run_worker("worker_journal.py", way, shape, nodes, place))
    return {shape: {name: rate(found) for name, found in ways.items()} for shape, ways in rows.items()}


def rate(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Give nodes per second, and the median of the peak memory."""
    rates = spread([row["nodes"] / row["seconds"] for row in rows])
    return {**rates, "peak_bytes": statistics.median(row["peak_bytes"] for row in rows)}


def weighed(nodes: int) -> dict[str, dict[str, float]]:
    """Give the bytes per node beyond its value, by shape: without a store, and recalled with values of two sizes."""
    table: dict[str, dict[str, float]] = {}
    for shape in ("wide", "waves"):
        table[shape] = {"no store": run_worker("worker_journal.py", "write", shape, nodes, "", 0)["bytes"]}
        for letters in LETTERS:
            with tempfile.TemporaryDirectory() as directory:
                run = (shape, nodes, Path(directory) / "runs.db", letters)
                run_worker("worker_journal.py", "write", *run)
                table[shape][f"recalled, {letters}"] = run_worker("worker_journal.py", "resume", *run)["bytes"]
    return table


def growth(sizes: tuple[int, ...]) -> dict[str, list[dict[str, float]]]:
    """Give time and peak memory per size, each in a process of its own, and the size of the file."""
    table: dict[str, list[dict[str, float]]] = {"wide": [], "waves": []}
    for shape, rows in table.items():
        for nodes in sizes:
            with tempfile.TemporaryDirectory() as directory:
                rows.append(run_worker("worker_journal.py", "write", shape, nodes, Path(directory) / "runs.db"))
    return table


def sleeping(nodes: int, rounds: int) -> list[dict[str, Any]]:
    """Give the seconds of a layered graph whose bodies sleep, with a store and without, in turn, and their ratio."""
    return [napping(nap, nodes, rounds) for nap in NAPS]


def napping(nap: float, nodes: int, rounds: int) -> dict[str, Any]:
    """Measure bodies that sleep so many seconds."""
    times: dict[str, list[float]] = {"no store": [], "store": []}
    for number in range(rounds + 1):
        for name in turns(times, number):
            with tempfile.TemporaryDirectory() as directory:
                store = str(Path(directory) / "runs.db") if name == "store" else None
                gc.collect()
                times[name].append(asyncio.run(slept(nap, nodes, store)))
    found = {name: spread(values[1:]) for name, values in times.items()}
    return {"nap": nap, **found, "ratio": found["store"]["median"] / found["no store"]["median"]}


async def slept(nap: float, nodes: int, store: str | None) -> float:
    """Give the seconds of one run."""

    async def leaf(value: int) -> int:
        await asyncio.sleep(nap)
        return value

    async def merge(a: int, b: int, c: int) -> int:
        await asyncio.sleep(nap)
        return (a + b + c) % 1000

    bodies = Bodies(*map(task, (leaf, step, merge, total)))
    start = time.perf_counter()
    async with Run("benchmark", store=store):
        await layers(bodies, nodes)
    return time.perf_counter() - start


def durable(calls: int, rounds: int) -> list[dict[str, Any]]:
    """Give durable calls per second of each maker; they take turns."""
    rows: dict[str, list[dict[str, Any]]] = {maker.name: [] for maker in MAKERS}
    for number in range(rounds):
        for maker in turns(MAKERS, number):
            if not any("error" in row for row in rows[maker.name]):
                rows[maker.name].append(made(maker, calls))
    return [row_of(name, found) for name, found in rows.items()]


def made(maker: Maker, calls: int) -> dict[str, Any]:
    """Give what one maker measured, or why it could not."""
    try:
        python = environment(maker.place) if maker.place else sys.executable
        row: dict[str, Any] = run_worker(maker.script, *maker.arguments, calls, python=python, own=not maker.place)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return {"error": type(error).__name__}
    return row


def row_of(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the row of one maker."""
    errors = [row["error"] for row in found if "error" in row]
    if errors:
        return {"name": name, "error": errors[0]}
    rates = {shape: spread([row[shape] for row in found]) for shape in ("sequential", "gathered")}
    return {"name": name, "version": found[0]["version"], **rates}


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    for shape, ways in result["throughput"].items():
        for name, cell in ways.items():
            print(f"  {shape:6} {name:9} {cell['median']:9,.0f} nodes/s  {cell['peak_bytes'] / 2**20:6.0f} MiB")
    for shape, cells in result["weighed"].items():
        print(f"  {shape:6} bytes per node:", {name: round(value) for name, value in cells.items()})
    for shape, rows in result["growth"].items():
        for row in rows:
            size, memory = row["file_bytes"] / 2**20, row["peak_bytes"] / 2**20
            print(
                f"  {shape:6} {row['nodes']:>9,} nodes {row['seconds']:7.2f} s {memory:6.0f} MiB, file {size:.0f} MiB"
            )
    for row in result["sleeping"]:
        print(f"  bodies that sleep {row['nap']} s: with a store {row['ratio']:.3f} times the time")
    for row in result["durable"]:
        rates = {shape: round(row[shape]["median"]) for shape in ("sequential", "gathered") if shape in row}
        print(f"  {row['name']}: durable calls per second:", rates or "could not run")


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the nodes, three rounds, no million, no DBOS")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    nodes, rounds = (options.nodes // 10, min(options.rounds, 3)) if options.quick else (options.nodes, options.rounds)
    result = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "nodes": nodes,
        "rounds": rounds,
        "wave": WAVE,
        "throughput": throughput(nodes, rounds),
        "weighed": weighed(nodes),
        "growth": growth(SIZES[:2] if options.quick else SIZES),
        "sleeping": sleeping(1000, rounds),
        "calls": 1000,
        "durable": [] if options.quick else durable(1000, rounds),
    }
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
