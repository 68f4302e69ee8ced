"""What each promise costs: the same small operation with and without it, each alone."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import platform
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

from aiodag import Run, current_node, task
from benchmarks.results import save

HERE: ContextVar[object] = ContextVar("here")
LOOPS = 20_000
NODES = 2_000


def nothing(a: int, b: int = 0) -> int:
    return a


SIGNATURE = inspect.signature(nothing)


@task
async def leaf(value: int) -> int:
    return value


@task(timeout=60)
async def leaf_with_timeout(value: int) -> int:
    return value


@task(retries=1)
async def leaf_with_retries(value: int) -> int:
    return value


@task
async def asking(value: int) -> object:
    return current_node()


def captured() -> object:
    return copy_context()


def call_site() -> tuple[Any, int]:
    frame = sys._getframe(1)  # noqa: SLF001 - as the engine does
    return frame.f_code, frame.f_lasti


def arity() -> bool:
    return 1 <= len((1,)) <= 2


OPERATIONS: dict[str, Callable[[], object]] = {
    "context variables of the call: copy_context()": captured,
    "current_node(): one variable set in a copied context": lambda: copy_context().run(HERE.set, None),
    "place of the call: sys._getframe() and the instruction": call_site,
    "signature: number of arguments compared": arity,
    "signature: inspect.signature().bind() instead (not what is done)": lambda: SIGNATURE.bind(1),
}


def alone(operation: Callable[[], object]) -> float:
    """Give the nanoseconds of one operation, the call of an empty function taken off."""
    best = min(timeit.repeat(operation, number=LOOPS, repeat=7))
    empty = min(timeit.repeat(lambda: None, number=LOOPS, repeat=7))
    return max(0.0, best - empty) / LOOPS * 1e9


async def plain(call: Callable[[int], Any]) -> None:
    await asyncio.wait([call(number) for number in range(NODES)])


async def recorded(call: Callable[[int], Any]) -> None:
    async with Run("benchmark"):
        await plain(call)


def clocked(build: Callable[[Callable[[int], Any]], Any], call: Callable[[int], Any]) -> float:
    """Give the nanoseconds per node of one wide build."""

    async def inside() -> float:
        start = time.perf_counter()
        await build(call)
        return (time.perf_counter() - start) / NODES * 1e9

    return asyncio.run(inside())


def added(repeats: int) -> dict[str, float]:
    """Give what a node costs, and what options, asking and recording add to it: medians, taking turns."""
    ways = {
        "a node, all told": (plain, leaf),
        "recording in a Run: added": (recorded, leaf),
        "timeout=60: added": (plain, leaf_with_timeout),
        "retries=1: added": (plain, leaf_with_retries),
        "a body that asks current_node(): added": (plain, asking),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            times[name].append(clocked(*way))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    base = medians["a node, all told"]
    return {name: value - base if name.endswith("added") else value for name, value in medians.items()}


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    costs = {name: alone(operation) for name, operation in OPERATIONS.items()} | added(options.repeats)
    for name, value in costs.items():
        print(f"  {value:8.0f} ns  {name}")
    save(options.json, {"python": platform.python_version(), "ns": costs})


if __name__ == "__main__":
    main()
