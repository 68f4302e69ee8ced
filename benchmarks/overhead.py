"""CPU time per node beside hand-written `create_task`/`await`, in one process, repeats interleaved."""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import statistics
import time
from typing import Any

from benchmarks.graphs import SHAPES, Build
from benchmarks.results import save


async def timed(build: Build, nodes: int) -> float:
    """Return the microseconds of CPU per node of one build; what the build leaves behind is freed inside the time."""
    start = time.thread_time()
    await build(nodes)
    return (time.thread_time() - start) / nodes * 1e6


def sample(build: Build, nodes: int, *, collect: bool) -> float:
    """Time one build on a loop of its own, from a clean heap; `collect` leaves the collector on meanwhile."""
    gc.collect()
    if not collect:
        gc.disable()
    try:
        return asyncio.run(timed(build, nodes))
    finally:
        gc.enable()


def check(shape: str, nodes: int) -> None:
    """Run every variant once, which also warms it up, and see that they agree."""

    async def answer(build: Build) -> int:
        return await build(nodes)

    answers = {name: asyncio.run(answer(build)) for name, build in SHAPES[shape].items()}
    if len(set(answers.values())) != 1:
        raise AssertionError(f"{shape}: the variants differ: {answers}")


def measure(shape: str, nodes: int, repeats: int, *, collect: bool) -> dict[str, Any]:
    """Time the variants of a shape in turn; every second round goes backwards."""
    check(shape, nodes)
    times: dict[str, list[float]] = {name: [] for name in SHAPES[shape]}
    for number in range(repeats):
        order = list(SHAPES[shape].items())
        for name, build in order[::-1] if number % 2 else order:
            times[name].append(sample(build, nodes, collect=collect))
    return summary(times)


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """Give median and range per variant, and the ratio of its median to that by hand."""
    base = statistics.median(times["by hand"])
    return {
        name: {
            "median_us": statistics.median(values),
            "range_us": [min(values), max(values)],
            "ratio": statistics.median(values) / base,
        }
        for name, values in times.items()
    }


def means(shapes: dict[str, Any]) -> dict[str, float]:
    """Give the geometric mean of the ratios over the shapes, per variant."""
    return {
        name: statistics.geometric_mean(shape[name]["ratio"] for shape in shapes.values())
        for name in ("same bodies", "aiodag", "in a Run")
    }


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    print(f"Python {result['python']}, {result['nodes']} nodes, {result['repeats']} repeats, us per node (ratio)")
    for shape, row in result["shapes"].items():
        cells = (f"{name} {cell['median_us']:6.2f} ({cell['ratio']:.2f})" for name, cell in row.items())
        print(f"  {shape:20}", "   ".join(cells))
    print("  geometric mean:     ", {name: round(value, 3) for name, value in result["mean"].items()})


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--shape", action="append", choices=list(SHAPES), help="only this one; may be repeated")
    parser.add_argument("--gc", choices=["on", "off"], default="on", help="the collector while timing, for all alike")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    shapes = {
        shape: measure(shape, options.nodes, options.repeats, collect=options.gc == "on")
        for shape in options.shape or SHAPES
    }
    result = {
        "python": platform.python_version(),
        "nodes": options.nodes,
        "repeats": options.repeats,
        "gc": options.gc,
        "shapes": shapes,
        "mean": means(shapes),
    }
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
