"""The part of docs/speed.md on the server and its page."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

MIB = 2**20
HEADINGS = ("", "without a server", "watched", "aimed at")
READ = ("answer of an idle server", "first", "later", "size")


def introduction(result: dict[str, Any]) -> str:
    """Return what was measured, and how."""
    return (
        "## The server\n\n"
        f"A run of {result['nodes']:,} nodes on a worker, over a SQLite store of {result['runs']:,} runs: by itself, and while "
        f"{result['streams']} clients follow it and others read {result['lists']} lists a second, by turns. Server, worker and clients "
        f"are processes of this machine, CPython {result['python']}: medians of {len(result['alone'])} rounds.\n\n"
    )


def rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the first table."""
    alone, watched = result["alone"], result["watched"]
    cpu = middle(alone, "cpu"), middle(watched, "cpu")
    yield ["the run", f"{middle(alone, 'wall'):.1f} s", f"{middle(watched, 'wall'):.1f} s", ""]
    growth = f"{cpu[1]:.2f} s ({cpu[1] / cpu[0] - 1:+.0%})"
    yield ["processor time of the worker", f"{cpu[0]:.2f} s", growth, "at most 10 % more"]
    yield ["a list, median", "", f"{middle(watched, 'p50') * 1e3:.0f} ms", ""]
    yield ["a list, 99 of 100", "", f"{middle(watched, 'p99') * 1e3:.0f} ms", "below 300 ms"]
    yield ["clients that saw the end", "", f"{min(each['seen_end'] for each in watched)} of {result['streams']}", "all"]
    yield ["sent to them", "", f"{middle(watched, 'streamed') / MIB:,.0f} MiB", ""]
    yield ["processor time of the server", "", f"{middle(watched, 'server_cpu'):.1f} s", ""]
    yield ["memory of the server", "", f"{middle(watched, 'server_memory') / MIB:,.0f} MiB", ""]


def middle(found: list[dict[str, Any]], name: str) -> float:
    """Return the median of a figure."""
    return median(each[name] for each in found)


def read_rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table of single answers."""
    for name, found in result["reads"].items():
        title = name.replace("large run", f"run of {result['nodes']:,} nodes")
        size = f"{found['bytes'] / 1024:,.0f} KiB"
        yield [title, f"{found['first'] * 1e3:,.0f} ms", f"{found['later'] * 1e3:,.1f} ms", size]
