"""Run the graph given on stdin with Prefect and its own temporary server; print one JSON line."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from importlib import metadata
from typing import Any

SETTINGS = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


def measure(graph: list[list[int]], repeats: int) -> list[float]:
    """Give the seconds of each repeat; starting the server, in a first flow of one node, is not counted."""
    from prefect import flow, task  # reads the settings when it is imported

    @task
    def nothing(*upstreams: Any) -> int:
        return 0

    @flow
    def whole(graph: list[list[int]]) -> None:
        made: list[Any] = []
        for upstreams in graph:
            made.append(nothing.submit(*[made[one] for one in upstreams]))
        for future in made:
            future.result()

    def once(graph: list[list[int]]) -> float:
        start = time.perf_counter()
        whole(graph)
        return time.perf_counter() - start

    once([[]])
    return [once(graph) for _ in range(repeats)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        os.environ.update(SETTINGS, PREFECT_HOME=place)
        seconds = statistics.median(measure(json.load(sys.stdin), int(sys.argv[1])))
    print(json.dumps({"version": metadata.version("prefect"), "seconds": seconds}))
