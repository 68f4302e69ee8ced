"""Run one fan-out/fan-in of NODES leaves; print seconds of CPU and peak resident memory as one JSON line.

worker_wide.py {hand,aiodag} NODES
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from functools import partial

from benchmarks.graphs import BY_HAND, TASKS, Build, fan_out, fan_out_by_hand


def peak_bytes() -> int:
    """Give the peak resident memory of this process; macOS counts it in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def measure(build: Build, nodes: int) -> dict[str, float]:
    """Return seconds of CPU, and bytes of peak memory above what the process had before."""
    await build(100)
    before = peak_bytes()
    start = time.process_time()
    await build(nodes)
    seconds = time.process_time() - start
    return {"nodes": nodes, "seconds": seconds, "peak_bytes": peak_bytes(), "grown_bytes": peak_bytes() - before}


if __name__ == "__main__":
    build = {"hand": partial(fan_out_by_hand, BY_HAND), "aiodag": partial(fan_out, TASKS)}[sys.argv[1]]
    print(json.dumps(asyncio.run(measure(build, int(sys.argv[2])))))
