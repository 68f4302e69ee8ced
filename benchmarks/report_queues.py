"""The part of docs/speed.md on queues, and on durable runs on two stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEADINGS = ("", "store", "aiodag", "DBOS", "aiodag ÷ DBOS")
HEADINGS_OF_WAITS = (*HEADINGS[:-1], "DBOS ÷ aiodag")


def introduction(result: dict[str, Any]) -> str:
    """Tell what was measured, and how."""
    return (
        "## Queues and stores\n\n"
        f"The same work in turns, each in processes of its own and on an empty database, DBOS {result['dbos']}, CPython "
        f"{result['python']}: median (range) of {result['rounds']} rounds. Bodies do nothing, and each value is written before what "
        "needs it begins. Durability is the same for both. SQLite: a write-ahead log and `synchronous=NORMAL`, which DBOS is given by an "
        f"engine of our own. PostgreSQL {result['postgresql']} on the same machine, with its settings as they are: `fsync=on`, "
        "`synchronous_commit=on`. DBOS polls its queues once a second, as it does by default.\n\n"
    )


def rows_of(result: dict[str, Any], what: str, case: str, key: str, unit: float = 1.0) -> Iterable[list[str]]:
    """Give a row for each store: a figure of both libraries, and how they compare."""
    for store, cases in result["cases"].items():
        if case in cases:
            ours, theirs = (cases[case][library][key] for library in ("aiodag", "DBOS"))
            ratio = ours["median"] / theirs["median"]
            ratio = 1 / ratio if unit != 1.0 else ratio  # of waits: how many times shorter
            yield [what, STORES[store], figure(ours, unit), figure(theirs, unit), f"{ratio:,.1f}"]


def figure(cell: dict[str, Any], unit: float) -> str:
    """Give a median with its range: of rates as they are, of waits in milliseconds."""
    low, middle, high = (value * unit for value in (cell["range"][0], cell["median"], cell["range"][1]))
    return (
        f"{middle:,.0f} ({low:,.0f} to {high:,.0f})" if unit == 1.0 else f"{middle:,.1f} ({low:,.1f} to {high:,.1f}) ms"
    )


def throughput_rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Give the rows of rates."""
    counts = result["counts"]
    yield from rows_of(result, f"nodes/s, one run, a chain of {counts['chain']:,}", "chain", "rate")
    yield from rows_of(result, f"nodes/s, one run, {counts['wide']:,} at once", "wide", "rate")
    yield from rows_of(result, f"nodes/s, {result['at_once']} runs at once, chains of ten", "many", "rate")
    yield from rows_of(
        result, f"runs/s, {counts['drain']:,} runs of {result['length']} nodes, 4 workers", "drain", "rate"
    )


def wait_rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Give the rows of waits."""
    yield from rows_of(result, "median", "latency", "p50", 1e3)
    yield from rows_of(result, "of a hundred, the second longest", "latency", "p99", 1e3)
