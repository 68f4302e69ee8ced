"""Workflows of tasks that do nothing: seconds to write down, to check and to run them, and peak memory, up to a million."""

from __future__ import annotations

import argparse
import platform
from typing import Any

from benchmarks.results import run_worker, save

CASES = (
    ("wide", 100_000, "-"),
    ("wide", 1_000_000, "-"),
    ("chain", 100_000, "-"),
    ("barrier", 20_000, "-"),
    ("wide", 100_000, "sqlite"),
    ("wide", 1_000_000, "sqlite"),
    ("expanded", 1_000_000, "-"),
    ("resumed", 100_000, "sqlite"),
    ("resumed", 1_000_000, "sqlite"),
    ("file", 100_000, "-"),
    ("file", 1_000_000, "-"),
    ("stages", 10_000, "-"),
)
MANY = 100_000  # nodes; --quick leaves out what is larger


def rows(*, quick: bool) -> list[dict[str, Any]]:
    """Give a row for each case, each measured in a process of its own."""
    return [
        {"shape": shape, "store": store, **run_worker("worker_workflow.py", shape, nodes, store)}
        for shape, nodes, store in CASES
        if nodes <= MANY or not quick
    ]


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    for row in result["rows"]:
        times = ", ".join(f"{name} {row[name]:.2f} s" for name in ("write", "check", "graph", "run", "cpu"))
        where = "" if row["store"] == "-" else f" in {row['store']}"
        print(f"  {row['shape']:8} {row['nodes']:>9,} nodes{where}: {times}; {row['peak_bytes'] / 2**20:,.0f} MiB")


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no million")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result = {"python": platform.python_version(), "rows": rows(quick=options.quick)}
    show(result)
    save(options.json, result)


if __name__ == "__main__":
    main()
