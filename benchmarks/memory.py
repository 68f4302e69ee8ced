"""Bytes per waiting node, what handled failures keep alive, and time and peak memory of fan-out/fan-in up to a million nodes."""

from __future__ import annotations

import argparse
import platform
from typing import Any

from benchmarks.envs import environment
from benchmarks.results import run_worker, save

SIZES = (10_000, 100_000, 1_000_000)


def waiting(nodes: int, *, old: bool) -> dict[str, dict[str, float]]:
    """Give the bytes per waiting node by variant and shape; `old` adds aiodag 0.4."""
    table = {
        variant: {shape: run_worker("worker_waiting.py", variant, shape, nodes)["bytes"] for shape in ("wide", "chain")}
        for variant in ("hand", "aiodag")
    }
    if old:
        python = environment("aiodag04")
        table["aiodag 0.4"] = {
            shape: run_worker("worker_waiting.py", "aiodag", shape, nodes, python=python, own=False)["bytes"]
            for shape in ("wide", "chain")
        }
    return table


def handled(failures: int = 60) -> dict[str, float]:
    """Give the peak bytes of bodies with 20 MiB each that fail and are handled, and the ratio to asyncio's tasks."""
    peaks = {
        variant: run_worker("worker_handled.py", variant, failures)["peak_bytes"] for variant in ("hand", "aiodag")
    }
    return {**peaks, "ratio": peaks["aiodag"] / peaks["hand"]}


def growth(sizes: tuple[int, ...]) -> dict[str, list[dict[str, float]]]:
    """Give time and peak memory per size, each in a process of its own."""
    return {variant: [run_worker("worker_wide.py", variant, size) for size in sizes] for variant in ("hand", "aiodag")}


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    peaks = result["handled"]
    print(
        f"  60 handled failures of 20 MiB: hand {peaks['hand'] / 2**20:.0f} MiB, aiodag {peaks['aiodag'] / 2**20:.0f} MiB, "
        f"ratio {peaks['ratio']:.2f}"
    )
    for variant, row in result["waiting"].items():
        print(f"  {variant:12} bytes per waiting node:", {shape: round(value) for shape, value in row.items()})
    for variant, rows in result["growth"].items():
        for row in rows:
            print(
                f"  {variant:12} {row['nodes']:>9,} nodes {row['seconds']:7.2f} s {row['peak_bytes'] / 2**20:7.0f} MiB"
            )


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=10_000, help="for the bytes of a waiting node")
    parser.add_argument("--quick", action="store_true", help="no million, no aiodag 0.4")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result = {
        "python": platform.python_version(),
        "nodes": options.nodes,
        "handled": handled(),
        "waiting": waiting(options.nodes, old=not options.quick),
        "growth": growth(SIZES[:2] if options.quick else SIZES),
    }
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
