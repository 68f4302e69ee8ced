"""Measure calls on Ray beside what Ray takes for them by itself: as `benchmarks.clusters` does on Dask.

    python -m benchmarks.clusters_ray [--quick] [--json FILE]

Ray listens on all addresses of a machine, so its cluster is in a network of its own, where this program starts itself again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from typing import Any

import psutil

from benchmarks.clusters import WORKERS, measure, nothing
from benchmarks.results import ROOT, save

INSIDE = "AIODAG_BENCHMARK_WITH_RAY"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}


def run_inside() -> int:
    """Start this again in a network of its own, and return its code."""
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    command = [*words, sys.executable, "-m", "benchmarks.clusters_ray", *sys.argv[1:]]
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), INSIDE: "yes"}
    return subprocess.run(command, env=environment, check=False).returncode


async def measure_ray(*sizes: int) -> dict[str, Any]:
    """Measure on the cluster of this process."""
    import ray

    from aiodag.executors.ray import Ray

    remote = ray.remote(max_retries=0)(nothing)

    async def own(calls: int) -> None:  # the quickest that Ray has
        ray.get([remote.remote(number) for number in range(calls)])

    async def awaited(calls: int) -> None:
        await asyncio.gather(*[remote.remote(number) for number in range(calls)])

    here = psutil.Process()
    await own(sizes[0] // 10)  # which starts the workers
    processes = [here, *here.children(recursive=True)]
    found = await measure(own, Ray(), processes, *sizes)
    return found | {"awaited": (await measure(awaited, Ray(), processes, *sizes))["ratio"]}


def main() -> None:
    """Read the options, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        sys.exit(run_inside())
    import ray

    folder = tempfile.mkdtemp(prefix="ray")  # short: the paths of its sockets have a limit
    try:
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
            configure_logging=False,
        )
        found = asyncio.run(measure_ray(*(1_000, 100, 3) if options.quick else (10_000, 1_000, 5)))
        ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=1))
    versions = {"python": sys.version.split()[0], "ray": metadata.version("ray")}
    save(options.json, {**versions, "clusters": {"ray": found}})


if __name__ == "__main__":
    main()
