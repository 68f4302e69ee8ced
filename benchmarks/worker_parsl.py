"""Run the graph given on stdin with Parsl, on its thread executor; print one JSON line."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

import parsl
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


@parsl.python_app
def nothing(*upstreams: Any) -> int:
    return 0


def once(graph: list[list[int]]) -> float:
    """Give the seconds from the first call until every future is done."""
    start = time.perf_counter()
    made: list[Any] = []
    for upstreams in graph:
        made.append(nothing(*[made[one] for one in upstreams]))
    for future in made:
        future.result()
    return time.perf_counter() - start


def measure(graph: list[list[int]], repeats: int) -> list[float]:
    """Give the seconds of each repeat; the first is not counted."""
    with (
        tempfile.TemporaryDirectory() as place,
        parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir=place)),
    ):
        return [once(graph) for _ in range(repeats + 1)][1:]


if __name__ == "__main__":
    seconds = statistics.median(measure(json.load(sys.stdin), int(sys.argv[1])))
    print(json.dumps({"version": metadata.version("parsl"), "seconds": seconds}))
