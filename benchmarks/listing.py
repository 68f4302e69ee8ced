"""How long it takes to look at a store of very many runs, in which nearly all have ended.

`python -m benchmarks.listing [FILE]` makes the store once, by plain inserts, and prints the processor time of each
command beyond that of `python -c pass`. The store holds 200,000 runs, 1,000 of them with ten nodes, and one more run
of 200,000 nodes.
"""

import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from aiodag.records import WorkflowRecord, utc_moment
from aiodag.stores import SQLite

RUNS, WITH_NODES, NODES, LARGE = 200_000, 1_000, 10, 200_000
NAMES, STATES, PLACES = ("etl", "report", "nightly", "train"), ("succeeded",) * 9 + ("failed",), ("test", "prod", "dev")
ERROR = json.dumps({"error": "ValueError", "args": ["no such day"]})
COMMANDS: dict[str, tuple[str, ...]] = {
    "runs -n 20": ("runs", "-n", "20"),
    "runs --state failed --tag env=test --since 1d": (
        "runs",
        "--state",
        "failed",
        "--tag",
        "env=test",
        "--since",
        "1d",
    ),
    "runs --tag env=none": ("runs", "--tag", "env=none"),
    "show RUN": ("show", "etl-000196000"),
    "show of a misspelled run": ("show", "etl-00019600x"),
    "log NAME": ("log", "etl"),
    "list": ("list",),
    "completion of runs": ("completion", "--words", "runs"),
    "delete of 100 runs": ("delete", *(f"{NAMES[each % 4]}-{each:09}" for each in range(199_100, 199_200))),
    "large: show --failed": ("show", "large", "--failed"),
    "large: log --task": ("log", "large", "--task", "part[7]"),
    "large: log NODE": ("log", "large", "part[7]"),
    "large: log -f": ("log", "large", "part[7]", "-f"),
    "prune --older 29d": ("delete", "--older", "29d"),
}


def make(path: Path) -> None:
    """Make the store."""
    with closing(SQLite(path)) as store:
        for name in NAMES:
            store.register(WorkflowRecord(name, f"/srv/{name}.json", '{"tasks": {}}', {}, utc_moment(0.0)))
        with store.writing() as connection:
            fill(connection, time.time())


def fill(connection: sqlite3.Connection, now: float) -> None:
    """Insert the runs, the oldest thirty days ago."""
    chance = random.Random(1)
    columns = "id, name, state, execution, entry, error, created_at, started_at, ended_at, tags"
    runs: list[tuple[Any, ...]] = []
    for each in range(RUNS):
        name, at = NAMES[each % 4], now - 30 * 86_400 * (1 - each / RUNS)
        state, tags = chance.choice(STATES), json.dumps({"env": chance.choice(PLACES)})
        error = ERROR if state == "failed" else ""
        runs.append((f"{name}-{each:09}", name, state, 1, None, error, at, at, at + 5, tags))
    runs.append(("large", "large", "failed", 1, None, ERROR, now - 60, now - 60, now - 1, "{}"))
    connection.executemany(f"insert into runs ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", runs)
    numbers = dict(connection.execute("select id, run from runs"))
    small = [numbers[run[0]] for run in runs[RUNS - WITH_NODES * 10 : RUNS : 10]]
    nodes = (row for run in small for row in node_rows(run, NODES, now))
    put_nodes(connection, nodes)
    put_nodes(connection, node_rows(numbers["large"], LARGE, now))
    lines = ((numbers["large"], now, each, "INFO", "etl", f"line of {each}") for each in range(LARGE))
    connection.executemany("insert into logs (run, at, number, level, logger, text) values (?, ?, ?, ?, ?, ?)", lines)
    output = ((numbers["large"], each, 1, "stdout", 0, now, b"written\n") for each in range(LARGE))
    columns = "run, number, attempt, stream, start, at, bytes"
    connection.executemany(f"insert into output ({columns}) values (?, ?, ?, ?, ?, ?, ?)", output)
    connection.execute("update runs set ended_at = ended_at")  # as the end of a run does: its nodes are counted


def node_rows(run: int, count: int, now: float) -> Iterator[tuple[Any, ...]]:
    """Give the rows of the nodes of a run, ten of which failed in a large one."""
    for each in range(count):
        failed = count > NODES and each % (count // 10) == 0
        state, error = ("failed", ERROR) if failed else ("succeeded", "")
        name = f"part[{each}]"
        key = f"{name}|{each:064x}"
        yield run, each, 1, 0, key, name, "", name, state, 1, None, "json", "1", error, "etl.py:7", now, now, now


def put_nodes(connection: sqlite3.Connection, rows: Iterator[tuple[Any, ...]]) -> None:
    """Insert nodes."""
    columns = (
        "run, number, execution, recalled, key, name, version, label, state, attempt, parent, codec, value, error, site, "
        "created_at, started_at, ended_at"
    )
    connection.executemany(f"insert into nodes ({columns}) values ({', '.join('?' * 18)})", rows)


def cost(store: Path, *arguments: str) -> tuple[float, int]:
    """Return the seconds of processor time that a program takes, and the lines that it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "AIODAG_STORE": str(store)}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken, len((done.stdout + done.stderr).splitlines())


def main(path: Path) -> None:
    """Make the store if it is not there, and print a line for each command."""
    if not path.exists():
        make(path)
    idle = min(cost(path, "-c", "pass")[0] for _ in range(3))
    for title, arguments in COMMANDS.items():
        rounds = 1 if "delete" in arguments else 2
        taken, lines = min(cost(path, "-m", "aiodag", *arguments) for _ in range(rounds))
        print(f"{title:<48}{taken - idle:8.3f} s {lines:8} lines")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as directory:
            main(Path(directory) / "runs.db")
