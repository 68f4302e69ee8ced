"""The part of docs/speed.md on orders that wait for a payment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.report_queues import STORES

LIBRARIES = ("aiodag", "DBOS", "Temporal")
HEADINGS = ("", "store", *LIBRARIES)
MIB = 2**20

Write = Callable[[float], str]


def introduction(result: dict[str, Any]) -> str:
    """Return what was measured, and how."""
    counts = result["counts"]
    return (
        "## Waiting for the world\n\n"
        "An order charges, waits for the message that it is paid, and ships; both steps do nothing. One worker; another process "
        "begins and pays. The libraries take turns, each in processes of its own and on an empty database, CPython "
        f"{result['python']}: median (range) of {result['rounds']} rounds. DBOS {result['dbos']}: `recv` and `send`; on SQLite with "
        "a write-ahead log and `synchronous=NORMAL`, as aiodag has it, where it looks for messages and at its queues once a second, "
        "as by default. "
        f"Temporal {result['temporal']} with its dev server ({result['server']}) and its SQLite file: a signal and activities. "
        f"PostgreSQL {result['postgresql']}: `fsync=on`, `synchronous_commit=on`.\n\n"
        "*In memory*: the worker still has the order when the message comes. *Parked*: it has let go of it; with Temporal, its cache "
        "has no room, and the workflow is replayed. DBOS keeps what waits in memory. What a waiting order takes is the memory of the "
        f"worker, and of the dev server, with {counts['waiting']:,} orders beyond that with one; of aiodag it is what having "
        "begun them leaves behind, for the table below has no more with very many of them.\n\n"
    )


def milliseconds(value: float) -> str:
    return f"{value * 1e3:,.1f}"


def plain(value: float) -> str:
    return f"{value:,.0f}"


def kibibytes(value: float) -> str:
    return f"{max(value, 0) / 1024:,.1f}"


def per_cent(value: float) -> str:
    return f"{value * 100:.1f}"


def figure(cell: dict[str, Any] | None, write: Write, unit: str) -> str:
    """Return a median with its range."""
    if cell is None:
        return "-"
    low, high = cell["range"]
    if low == high:
        return f"{write(low)}{unit}"
    return f"{write(cell['median'])} ({write(low)} to {write(high)}){unit}"


def rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table."""
    counts = result["counts"]
    wanted: list[tuple[str, str, str, Write, str]] = [
        ("from the message to the next body, median, in memory", "held", "p50", milliseconds, " ms"),
        ("of a hundred, the second longest", "held", "p99", milliseconds, " ms"),
        ("from the message to the next body, median, parked", "parked", "p50", milliseconds, " ms"),
        ("of a hundred, the second longest", "parked", "p99", milliseconds, " ms"),
        (f"orders/s, {counts['wakes']:,} wait, then all are paid", "wakes", "rate", plain, ""),
        (f"orders/s, {counts['flow']:,} begun and paid at once", "flow", "rate", plain, ""),
        ("memory of a waiting order", "waiting", "each", kibibytes, " KiB"),
        (f"of a core, while {counts['waiting']:,} orders wait", "waiting", "busy", per_cent, " %"),
    ]
    for what, case, key, write, unit in wanted:
        for store, cases in result["cases"].items():
            found = cases.get(case, {})
            if found:
                cells = [figure(found.get(each, {}).get(key), write, unit) for each in LIBRARIES]
                yield [what, STORES[store], *cells]


def many(result: dict[str, Any]) -> str:
    """Return what was measured of very many parked orders, and how."""
    return (
        f"{result['orders']:,} such orders parked in one store, and one worker, 100 runs at once: what it takes while nothing happens; "
        f"then, with {result['messages']:,} messages from another process, the time of the processor for each message and for each "
        "woken order, and how many orders were woken in a second. Aimed at: below 200 MiB and 2 % of a core, and 300 orders/s.\n\n"
    )


MANY = ("store", "memory", "of a core", "a message alone", "of a hundred in one call", "a woken order", "orders/s")


def many_rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table of very many parked orders."""
    for store, found in result["stores"].items():
        together = found["hundred"]
        yield [
            STORES[store],
            f"{found['idle']['resident'] / MIB:,.0f} MiB",
            f"{found['idle']['busy'] * 100:.1f} %",
            f"{found['one']['cpu_of_message'] * 1e3:.2f} ms",
            f"{together['cpu_of_message'] * 1e3:.2f} ms",
            f"{together['cpu_of_wake'] * 1e3:.2f} ms",
            f"{together['woken']:,.0f}",
        ]
