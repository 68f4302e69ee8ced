"""One layered graph of no-op nodes with aiodag, aiodag 0.4, Dask, Parsl and Prefect, each in an environment of its own."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from typing import Any, NamedTuple

from benchmarks.envs import environment
from benchmarks.graphs import layered
from benchmarks.results import run_worker, save


class Neighbour(NamedTuple):
    """How one is run: its environment (none: this repository), its script and arguments, its repeats."""

    name: str
    place: str
    script: str
    arguments: tuple[str, ...]
    repeats: int


NEIGHBOURS = (
    Neighbour("aiodag", "", "worker_aiodag.py", (), 25),
    Neighbour("aiodag 0.4", "aiodag04", "worker_aiodag.py", (), 25),
    Neighbour("Dask, delayed", "dask", "worker_dask.py", ("delayed",), 9),
    Neighbour("Dask, distributed", "dask", "worker_dask.py", ("distributed",), 5),
    Neighbour("Parsl", "parsl", "worker_parsl.py", (), 5),
    Neighbour("Prefect", "prefect", "worker_prefect.py", (), 1),
)


def run(neighbour: Neighbour, graph: str, nodes: int) -> dict[str, Any]:
    """Give what one neighbour measured, or why it could not."""
    try:
        python = environment(neighbour.place) if neighbour.place else sys.executable
        row = run_worker(
            neighbour.script,
            *neighbour.arguments,
            neighbour.repeats,
            python=python,
            stdin=graph,
            own=not neighbour.place,
        )
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return {"name": neighbour.name, "error": type(error).__name__}
    by_hand = row["by_hand_seconds"] / nodes * 1e6 if "by_hand_seconds" in row else None
    return {
        "name": neighbour.name,
        "version": row["version"],
        "us": row["seconds"] / nodes * 1e6,
        "by_hand_us": by_hand,
        "repeats": neighbour.repeats,
    }


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--only", action="append", choices=[one.name for one in NEIGHBOURS])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    graph = json.dumps(layered(options.nodes))
    rows = []
    for neighbour in NEIGHBOURS:
        if not options.only or neighbour.name in options.only:
            rows.append(run(neighbour, graph, options.nodes))
            print("  ", rows[-1])
    save(options.json, {"python": platform.python_version(), "nodes": options.nodes, "rows": rows})


if __name__ == "__main__":
    main()
