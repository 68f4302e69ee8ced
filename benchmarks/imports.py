"""Time `import aiodag` on top of `import asyncio`: a fresh process each, median of 20."""

from __future__ import annotations

import argparse
import platform
import statistics
from typing import Any

from benchmarks.results import run_worker, save


def measure(repeats: int = 20) -> dict[str, Any]:
    """Give the milliseconds of the import; the first process, which may compile, is not counted."""
    times = [run_worker("worker_import.py")["ms"] for _ in range(repeats + 1)][1:]
    return {
        "python": platform.python_version(),
        "repeats": repeats,
        "median_ms": statistics.median(times),
        "range_ms": [min(times), max(times)],
    }


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result = measure(options.repeats)
    print(f"import aiodag: {result['median_ms']:.1f} ms on top of asyncio (Python {result['python']})")
    save(options.json, result)


if __name__ == "__main__":
    main()
