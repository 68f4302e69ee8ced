"""Very many schedules in one store: what a worker takes while none is due, and how soon all are runs that are due at once.

    python -m benchmarks.schedules_many [--schedules 10000] [--stages 10000] [--store sqlite|postgresql] [--json FILE]

Two hundred moments of one more schedule, a tenth of a second apart, say how late they are released. And one workflow file with
as many stages is loaded.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.queues import Place, places
from benchmarks.results import ROOT, save
from benchmarks.waiting import resident, used

FLOW = "async def main(day: str = 'none') -> None: ..."
WATCHED = 10.0  # seconds of doing nothing
FIRINGS, APART = 200, 0.1  # moments of one schedule, and seconds between two
LOOK = 0.02  # seconds
STAGES_OF_JOB = 100


@contextmanager
def worker(address: str) -> Generator[subprocess.Popen[str]]:
    """Have a worker."""
    command = [sys.executable, "-P", "-m", "aiodag", "--quiet", "--store", address, "worker"]
    with subprocess.Popen(command, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as process:
        try:
            yield process
        finally:
            process.kill()


def fill(service: Any, place: Place, address: str, target: str, count: int, moment: datetime) -> None:
    """Put schedules that are all due at one moment, and a day later: one, whose row is then written for all others."""
    moments = [each.isoformat() for each in (moment, moment + timedelta(days=1))]
    service.put_schedule("s0", target, {"moments": moments})
    if place.kind == "sqlite":
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection, connection:
            columns = [name for _, name, *_ in connection.execute("pragma table_info(schedules)")]
            connection.execute(
                COPY.format(*names_and_values(columns), f"with recursive numbers(n) as ({COUNT})"), (count,)
            )
    else:
        import psycopg

        conninfo, _, schema = address.partition("?schema=")
        with psycopg.connect(conninfo) as connection:
            connection.execute(f'set search_path to "{schema}"')
            asked = "select column_name from information_schema.columns where table_schema = %s and table_name = 'schedules'"
            columns = [name for (name,) in connection.execute(asked, (schema,))]
            numbers = f"with numbers(n) as (select generate_series(1, {count - 1}))"
            connection.execute(COPY.format(*names_and_values(columns), numbers))


COUNT = "select 1 union all select n + 1 from numbers where n < ? - 1"
COPY = "insert into schedules ({0}) {2} select {1} from schedules, numbers"


def names_and_values(columns: Sequence[str]) -> tuple[str, str]:
    """Return the columns of a copied schedule, and what is in them: another name, and a number of its own."""
    own = [each for each in columns if each != "schedule"]
    return ", ".join(own), ", ".join("name || '-' || n" if each == "name" else each for each in own)


def recorded(service: Any, count: int, moment: datetime, process: subprocess.Popen[str]) -> dict[str, float]:
    """Return how many seconds after a moment all runs of it are on record, and those of the processor that the worker used."""
    time.sleep(max(0.0, moment.timestamp() - time.time()))
    before = used([process])
    while service.count_runs("main") < count:
        time.sleep(LOOK)
    return {"recorded": time.time() - moment.timestamp(), "cpu": used([process]) - before}


def lateness(service: Any, target: str) -> dict[str, float]:
    """Return how late, in seconds, the moments of one schedule are released."""
    first = datetime.now(UTC) + timedelta(seconds=2)
    moments = [(first + timedelta(seconds=APART * number)).isoformat() for number in range(FIRINGS)]
    service.put_schedule("often", target, {"moments": moments}, overlap="allow")
    while service.schedule("often").state != "ended":
        time.sleep(0.5)
    late = sorted((each.noted_at - each.at).total_seconds() for each in service.firings("often"))
    return {"early": float(late[0] < 0), "median": statistics.median(late), "most": late[-1], "count": len(late)}


def measured(place: Place, count: int, directory: Path) -> dict[str, Any]:
    """Return all figures of one store."""
    from aiodag.service import Service

    address, target = place.fresh("aiodag"), f"{directory / 'flow.py'}:main"
    service = Service(address)
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=WATCHED + 20)
    fill(service, place, address, target, count, moment)
    with worker(address) as process:
        time.sleep(4.0)  # in which it begins
        before = used([process])
        time.sleep(WATCHED)
        found = {"busy": (used([process]) - before) / WATCHED, "resident": resident([process])}
        found |= recorded(service, count, moment, process)
    with worker(address):
        time.sleep(3.0)
        found |= lateness(service, target)
    service.close()
    cells = {key: round(value, 4 if value < 1 else 2) for key, value in found.items()}
    print(f"  {place.kind:10} {cells}", flush=True)
    return found


def load_seconds(stages: int, directory: Path) -> float:
    """Return how long it takes to load a workflow file with so many stages."""
    from aiodag.workflows import load

    jobs = "".join(
        f"  job{job}:\n    stages:\n"
        + "".join(
            f'      - name: stage {each}\n        id: stage-{each}\n        echo: "${{{{ params.day }}}} {job}.{each}"\n'
            for each in range(STAGES_OF_JOB)
        )
        for job in range(stages // STAGES_OF_JOB)
    )
    file = directory / "many.yaml"
    file.write_text(f"params: {{day: str}}\njobs:\n{jobs}")
    began = time.perf_counter()
    load(file)
    return time.perf_counter() - began


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--stages", type=int, default=10_000)
    parser.add_argument("--store", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result: dict[str, Any] = {"python": platform.python_version(), "schedules": options.schedules, "stores": {}}
    with places(options.store or ["sqlite", "postgresql"]) as found, TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "flow.py").write_text(FLOW)
        result["stages"] = options.stages
        result["loaded"] = load_seconds(options.stages, directory)
        print(f"  {options.stages:,} stages loaded in {result['loaded']:.2f} s", flush=True)
        for place in found:
            result["stores"][place.kind] = measured(place, options.schedules, directory)
    save(options.json, result)


if __name__ == "__main__":
    main()
