"""Put what was measured of clusters into the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NAMES = {"dask": "Dask: `client.map`, `client.gather`", "ray": "Ray: `.remote()` in a loop, `ray.get`"}
HEADINGS = ("cluster", "by itself", "aiodag", "times", "times the processor", "share of the ideal, bodies of 0.1 s")


def introduction(result: dict[str, Any]) -> str:
    """Return what was measured, and how."""
    return (
        f"Calls that do nothing on a cluster of two workers with one thread each, all on this machine, CPython {result['python']}: by the cluster's own means, and as nodes of tasks that run there, "
        "by turns; in seconds, and in seconds of the processor in all processes; then bodies that take a tenth of a second. The times are the median of the rounds, each compared with its neighbour. Aimed at: 1.2 times, and 90 % of the ideal.\n\n"
    )


def rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table."""
    for name, found in result["clusters"].items():
        yield [
            NAMES[name],
            f"{found['own'] / found['calls'] * 1e3:.2f} ms",
            f"{found['tasks'] / found['calls'] * 1e3:.2f} ms",
            f"{found['ratio']:.2f}",
            f"{found['processor']:.2f}",
            f"{found['busy'] * 100:.0f} %",
        ]
