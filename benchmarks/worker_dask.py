"""Run the graph given on stdin with Dask; print one JSON line.

    worker_dask.py {delayed,distributed} REPEATS

delayed: one graph of `dask.delayed` calls on the threaded scheduler. distributed: one `submit` per node to a
scheduler and one worker in this process, so no network is charged to it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib import metadata
from typing import Any

import dask
from distributed import Client, wait


def nothing(*upstreams: Any) -> int:
    return 0


def with_delayed(graph: list[list[int]]) -> float:
    """Give the seconds to build and compute the whole graph."""
    start = time.perf_counter()
    call = dask.delayed(nothing, pure=False)
    made: list[Any] = []
    for upstreams in graph:
        made.append(call(*[made[one] for one in upstreams]))
    dask.compute(*made, scheduler="threads")
    return time.perf_counter() - start


def with_client(client: Any, graph: list[list[int]]) -> float:
    """Give the seconds from the first submit until every future is done."""
    start = time.perf_counter()
    made: list[Any] = []
    for upstreams in graph:
        made.append(client.submit(nothing, *[made[one] for one in upstreams], pure=False))
    wait(made)
    return time.perf_counter() - start


def measure(way: str, graph: list[list[int]], repeats: int) -> list[float]:
    """Give the seconds of each repeat; the first is not counted."""
    if way == "delayed":
        return [with_delayed(graph) for _ in range(repeats + 1)][1:]
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        return [with_client(client, graph) for _ in range(repeats + 1)][1:]


if __name__ == "__main__":
    seconds = statistics.median(measure(sys.argv[1], json.load(sys.stdin), int(sys.argv[2])))
    print(json.dumps({"version": metadata.version("dask"), "seconds": seconds}))
