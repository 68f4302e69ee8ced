"""Runs that are submitted in one process and worked on in others, on SQLite and on PostgreSQL, next to DBOS.

    python -m benchmarks.queues [--rounds 3] [--only CASE] [--store sqlite|postgresql] [--json FILE] [--quick]

Each round has every case, aiodag and DBOS in turns, each in processes of its own and on a database of its own that is empty.
SQLite: a write-ahead log and `synchronous=NORMAL` for both. PostgreSQL: a server that this starts, with its settings as they
are: fsync, and commits that wait for the disk. Where no server is installed, that half is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks.envs import environment
from benchmarks.results import DROPPED, HERE, ROOT, run_worker, save


class Case(NamedTuple):
    """What is measured: how many of what, on how many workers."""

    way: str
    count: int
    workers: int = 0


CASES = {
    "chain": Case("chain", 500),
    "wide": Case("wide", 1000),
    "many": Case("many", 200),
    "latency": Case("latency", 100, workers=1),
    "drain": Case("drain", 500, workers=4),
}
LENGTH = 5  # nodes of a run that is submitted
TEN = 10  # nodes of each of many runs
AT_ONCE = 100  # runs
PAUSE = 0.1  # seconds between two submissions to an idle worker: half as much to one and a half times that
LIBRARIES = ("aiodag", "DBOS")


class Place:
    """Makes empty databases on one kind of store."""

    def __init__(self, kind: str, directory: Path, server: Any = None) -> None:
        self.kind = kind
        self._directory = directory
        self._server = server
        self.version = "" if server is None else str(server.execute("show server_version")[0][0]).split()[0]

    def fresh(self, library: str) -> str:
        """Give the address of a database in which nothing is yet."""
        name = f"bench_{uuid4().hex}"
        if self.kind == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        if library == "aiodag":
            return str(self._server.address(name))
        self._server.execute(f"create database {name}")
        return f"postgresql://postgres@127.0.0.1:{self._server.port}/{name}"


@contextmanager
def places(kinds: Sequence[str]) -> Generator[list[Place]]:
    """Give the stores that there are here."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = [Place("sqlite", directory)] if "sqlite" in kinds else []
        if "postgresql" in kinds:
            sys.path.insert(0, str(ROOT / "tests"))
            from servers import PROGRAMS, PostgresServer  # type: ignore[import-not-found]  # of the tests

            if PROGRAMS:
                server = PostgresServer()
                stack.callback(server.remove)
                found.append(Place("postgresql", directory, server.start()))
        yield found


def versions(found: Sequence[Place]) -> dict[str, str]:
    """Give the versions of what is compared."""
    ask = "from importlib import metadata; print(metadata.version('dbos'))"
    dbos = subprocess.run([python_of("DBOS"), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    return {"dbos": dbos, "postgresql": next((each.version for each in found if each.version), "-")}


def python_of(library: str) -> str:
    return sys.executable if library == "aiodag" else environment("dbos")


def script_of(library: str) -> str:
    return "worker_queue.py" if library == "aiodag" else "worker_dbos.py"


@contextmanager
def working(library: str, address: str, count: int) -> Generator[None]:
    """Have workers that are ready."""
    command = [sys.executable, "-P", "-m", "aiodag", "worker", "--store", address, "--limit", str(AT_ONCE)]
    if library != "aiodag":
        command = [python_of(library), "-P", str(HERE / script_of(library)), "work", address, str(AT_ONCE)]
    outside = {name: value for name, value in os.environ.items() if name not in DROPPED}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**outside, "PYTHONPATH": str(ROOT)} if library == "aiodag" else outside,
            )
            started.append(process)
            if library != "aiodag":
                assert process.stdout is not None
                process.stdout.readline()  # one after the other: it makes the database
        if library == "aiodag" and count:
            wait_for_workers(address, started)
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def wait_for_workers(address: str, started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until the workers are there."""
    from aiodag.service import Service

    service = Service(address)
    while len(service.workers()) < len(started):
        if any(each.poll() is not None for each in started):
            raise RuntimeError("a worker has ended at once: `aiodag worker` says why")
        time.sleep(0.05)


def run_case(library: str, way: str, address: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Give what a process of its own says of one way."""
    python, script = python_of(library), script_of(library)
    row: dict[str, Any] = run_worker(
        script, way, address, count, python=python, stdin=json.dumps(load), own=library == "aiodag"
    )
    return row


def measured(case: Case, library: str, place: Place) -> dict[str, float]:
    """Give what one library takes for a case."""
    address = place.fresh(library)
    load: dict[str, Any] = {"warm": TEN, "chain": TEN, "length": LENGTH, "at_once": AT_ONCE, "pause": PAUSE}
    if case.way == "drain":  # before there are workers: else it is submitting that is measured
        load |= run_case(library, "fill", address, case.count, load)
    with working(library, address, case.workers):
        row = run_case(library, case.way, address, case.count, load)
    waits = row.pop("waits", ())
    if case.way == "latency":
        return {"p50": statistics.median(waits), "p99": statistics.quantiles(waits, n=100, method="inclusive")[98]}
    return {"rate": case.count * (TEN if case.way == "many" else 1) / row["seconds"]}


def in_turns(names: Sequence[str], place: Place, rounds: int, scale: int) -> dict[str, dict[str, Any]]:
    """Give medians and ranges of each case and library on one store."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {each: [] for each in LIBRARIES} for name in names}
    for number in range(rounds):
        for name in names:
            case = CASES[name]._replace(count=CASES[name].count // scale)
            for library in LIBRARIES if number % 2 else LIBRARIES[::-1]:
                found[name][library].append(measured(case, library, place))
                print(f"  {place.kind:10} {name:8} {library:6} {found[name][library][-1]}", flush=True)
    return {name: {each: summed_up(rows) for each, rows in found[name].items()} for name in names}


def summed_up(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Give the median of each figure, and its range."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return {
        key: {"median": statistics.median(values), "range": [min(values), max(values)]}
        for key, values in columns.items()
    }


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(CASES))
    parser.add_argument("--store", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs, one round")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    names = options.only or list(CASES)
    rounds = 1 if options.quick else options.rounds
    result: dict[str, Any] = {"python": platform.python_version(), "rounds": rounds, "cases": {}}
    with places(options.store or ["sqlite", "postgresql"]) as found:
        for place in found:
            result["cases"][place.kind] = in_turns(names, place, rounds, 10 if options.quick else 1)
    result |= versions(found)
    result |= {"counts": {name: CASES[name].count for name in CASES}, "length": LENGTH, "at_once": AT_ONCE}
    save(options.json, result)


if __name__ == "__main__":
    main()
