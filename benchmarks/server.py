"""A server under load: pages that follow a run of many nodes, and lists that are read meanwhile, over a store of many runs.

`python -m benchmarks.server [--quick] [--json FILE]`. The server, the worker and the clients are processes of their own. The worker
does the same run without the server and with it, by turns: what it needs of the processor must not grow by being watched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from aiodag.service import Service
from benchmarks import listing
from benchmarks.results import HERE, ROOT, save

TOKEN = "the-token-of-a-server-that-is-measured-0123456789"
LISTS = 50  # a second
STREAMS, NODES, ROUNDS = 200, 10_000, 3
QUICK_STREAMS, QUICK_NODES = 20, 500
READS = 20
LARGE = "large"  # the run of the store that has ended, with very many nodes
FLOW = """
import asyncio
from aiodag import Limit, task

few = Limit(200)


@task(limit=few)
async def part(number):
    await asyncio.sleep(0.4)
    return number


@task
async def main(nodes: int):
    for node in [part(number) for number in range(nodes)]:
        await node
"""


class Server:
    """`aiodag serve` over a store."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "aiodag", "serve", "--port", "0"]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.address = ""
        while not self.address:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the server has ended")
            found = re.search(r"page at (\S+?)/?\s", line)
            self.address = found[1] if found else ""

    def read(self, path: str) -> tuple[float, int]:
        """Return the seconds of a request, and the bytes of its answer."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {TOKEN}"})
        began = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            size = len(answer.read())
        return time.perf_counter() - began, size

    def resident(self) -> int:
        """Return the bytes of memory that the server has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait()


def submit(folder: Path, environment: dict[str, str], nodes: int) -> str:
    """Submit a run; return its id."""
    with closing(Service(environment["AIODAG_STORE"])) as service:
        return service.submit(f"{folder / 'flow.py'}:main", [f"nodes={nodes}"])


def work(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], float]:
    """Begin a worker that ends after one run; return its process and when it began."""
    command = [sys.executable, "-m", "aiodag", "worker", "--once", "-q"]
    return subprocess.Popen(command, cwd=folder, env=environment), time.perf_counter()


def finish(process: subprocess.Popen[bytes], began: float) -> dict[str, float]:
    """Wait for a worker; return the seconds that went by, and those of the processor."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the worker ended with {process.returncode}")
    return {"wall": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}


def watched(folder: Path, environment: dict[str, str], nodes: int, streams: int) -> dict[str, Any]:
    """Return what a run takes that is watched, and what those who watch have found."""
    server = Server(folder, environment)
    try:
        run_id = submit(folder, environment, nodes)
        following = load("follow", server, run_id, streams, environment)
        assert following.stdout is not None
        following.stdout.readline()  # all of them follow
        worker, began = work(folder, environment)
        listing_runs = load("list", server, run_id, LISTS, environment)
        done = finish(worker, began)
        found: dict[str, Any] = {}
        for each in (following, listing_runs):
            found |= json.loads(each.communicate()[0].splitlines()[-1])
        return done | found | {"server_cpu": seconds_of(server.process.pid), "server_memory": server.resident()}
    finally:
        server.stop()


def load(kind: str, server: Server, run_id: str, number: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Begin the clients of a kind."""
    script = [sys.executable, "-P", str(HERE / "worker_pages.py")]
    command = [*script, kind, server.address, TOKEN, run_id, str(number)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def seconds_of(pid: int) -> float:
    """Return the seconds of the processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reads(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Return the seconds of single answers of an idle server, of the first time and of later ones."""
    paths = {
        "list": "/api/v1/runs?limit=50",
        "page of the list": "/runs",
        "list by state and tag": "/api/v1/runs?state=failed&tag=env%3Dtest&limit=50",
        "page of a large run": f"/runs/{LARGE}",
        "nodes of a large run": f"/api/v1/runs/{LARGE}/nodes?limit=100",
        "graph of a large run": f"/api/v1/runs/{LARGE}/graph.svg",
        "metrics": "/metrics",
    }
    server = Server(folder, environment)
    try:
        server.read("/live")
        return {name: one_read(server, path) for name, path in paths.items()}
    finally:
        server.stop()


def one_read(server: Server, path: str) -> dict[str, Any]:
    """Return what an answer takes the first time and, in the middle, later."""
    first, size = server.read(path)
    later = [server.read(path)[0] for _ in range(READS)]
    return {"first": first, "later": statistics.median(later), "bytes": size}


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure all of it in a folder."""
    (folder / "flow.py").write_text(FLOW)
    store = folder / "runs.db"
    runs, nodes, streams = (2_000, QUICK_NODES, QUICK_STREAMS) if quick else (100_000, NODES, STREAMS)
    listing.RUNS, listing.LARGE, listing.WITH_NODES = runs, nodes, runs // 200
    listing.make(store)
    environment = {
        **os.environ,
        "AIODAG_STORE": str(store),
        "AIODAG_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }
    alone, with_server = [], []
    for _ in range(1 if quick else ROUNDS):
        submit(folder, environment, nodes)
        worker, began = work(folder, environment)
        alone.append(finish(worker, began))
        with_server.append(watched(folder, environment, nodes, streams))
    return {
        "python": platform.python_version(),
        "runs": runs,
        "nodes": nodes,
        "streams": streams,
        "lists": LISTS,
        "alone": alone,
        "watched": with_server,
        "reads": reads(folder, environment),
    }


def main() -> None:
    """Read the options, measure, and save or print."""
    parser = argparse.ArgumentParser(description="A server under load.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aiodag-bench-") as folder:
        result = measure(Path(folder), quick=options.quick)
    save(options.json, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
