"""Put what was measured of very many schedules into the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MIB = 2**20
STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEADINGS = (
    "store",
    "memory",
    "of a core while none is due",
    "all are runs after",
    "of the processor",
    "late, median",
    "late, most",
)


def introduction(result: dict[str, Any]) -> str:
    """Return what was measured, and how."""
    return (
        f"{result['schedules']:,} schedules in one store and one worker, CPython {result['python']}: what it takes for ten seconds in which none is due; then all are due "
        "at the same second, and how long after that the last of them is recorded as a run, with the seconds of the processor that the worker used meanwhile, "
        "in which it also works on the first runs. Then 200 moments of one more schedule, a tenth of a second apart: how late each is recorded. "
        "Aimed at: below 5 % of a core, 2 s, 50 ms. "
        f"A workflow file with {result['stages']:,} stages is loaded in {result['loaded']:.1f} s (aimed at: 3 s).\n\n"
    )


def rows(result: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table."""
    for store, found in result["stores"].items():
        yield [
            STORES[store],
            f"{found['resident'] / MIB:,.0f} MiB",
            f"{found['busy'] * 100:.1f} %",
            f"{found['recorded']:.1f} s",
            f"{found['cpu']:.1f} s",
            f"{found['median'] * 1e3:.0f} ms",
            f"{found['most'] * 1e3:.0f} ms",
        ]
