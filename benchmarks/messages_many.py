"""Very many parked orders in one store: what a worker takes beside them, and how many a second their messages wake.

    python -m benchmarks.messages_many [--orders 100000] [--messages 3000] [--store sqlite|postgresql] [--json FILE]

One order is begun, and waits; its rows are then written for all others, in one transaction. A worker that has nothing to do is
watched; then another process delivers messages, one call for each, and then in calls of a hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.queues import Place, places
from benchmarks.results import DROPPED, HERE, ROOT, save
from benchmarks.waiting import resident, used

ORDERS = HERE / "orders"
TARGET = f"{ORDERS / 'with_keys.py'}:fulfil"
SEED = "order-seed"
FIRST = 1_000  # the number of the first run that is written
TABLES = ("runs", "nodes", "edges", "functions", "waits")
AT_ONCE = 100  # runs that the worker works on
WATCHED = 10.0  # seconds of doing nothing
TOGETHER = 100  # messages of a call
LOOK = 0.05  # seconds

Columns = Sequence[str]
Row = tuple[Any, ...]


def environment(notes: Path) -> dict[str, str]:
    """Return the environment of a worker."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ORDERS)]), "ORDER_NOTES": str(notes)}


@contextmanager
def worker(address: str, notes: Path, linger: float = 0.1) -> Generator[subprocess.Popen[str]]:
    """Have a worker."""
    command = [sys.executable, "-P", "-m", "aiodag", "--quiet", "worker", "--store", address]
    options = ["--limit", str(AT_ONCE), "--linger", f"{linger}s"]
    with subprocess.Popen([*command, *options], env=environment(notes), text=True) as process:
        try:
            yield process
        finally:
            process.kill()


# The orders


def make_seed(address: str, notes: Path) -> None:
    """Begin one order, and wait until it waits."""
    from aiodag.service import Service

    service = Service(address)
    run_id = service.submit(TARGET, {"order": SEED})
    with worker(address, notes, linger=3600.0):
        while not service.store.waits(run_id=run_id):
            time.sleep(LOOK)
    service.close()


async def keys_of_waits(names: Sequence[str], enclosing: str) -> list[str]:
    """Return what the waits of orders are known by."""
    from aiodag.messages import message
    from aiodag.stores.arguments import TODAY
    from aiodag.stores.keys import Keys, digest_of_call

    keys, found = Keys(), []
    for name in names:
        node = message("PAYMENT", key=name)
        found.append(digest_of_call(keys.identity(node.task), node, (), enclosing, TODAY))
        node.cancel()
    return found


class Copies:
    """The rows of one order, as those of all others."""

    def __init__(self, count: int) -> None:
        self.names = [f"order-{number}" for number in range(count)]
        self.keys: list[str] = []

    def rows(self, table: str, columns: Columns, seed: Sequence[Row]) -> Iterator[Row]:
        """Yield the rows of a table."""
        if table == "nodes" and not self.keys:
            known = {row[columns.index("name")]: row[columns.index("key")] for row in seed}
            own, *self.keys = asyncio.run(keys_of_waits([SEED, *self.names], known["fulfil"]))
            if own != known["message"]:
                raise AssertionError(f"the wait of an order is known by {known['message']}, not by {own}")
        for number, name in enumerate(self.names):
            for row in seed:
                yield tuple(
                    self.value(column, value, row[columns.index("run")], number, name, row, columns)
                    for column, value in zip(columns, row, strict=True)
                )

    def value(self, column: str, value: Any, run: Any, number: int, name: str, row: Row, columns: Columns) -> Any:
        """Return what another order has in a column."""
        if column == "run":
            return FIRST + number
        if column == "key" and "label" in columns and row[columns.index("name")] == "message":
            return self.keys[number]
        if column == "id":
            return f"{value}-{number}"
        return value.replace(SEED, name) if isinstance(value, str) else value


PARKED = "update runs set state = 'parked', owner = null, leased_until = null"


def fill_sqlite(file: str, copies: Copies) -> None:
    """Write all orders into a file."""
    with sqlite3.connect(file) as connection:
        connection.execute(PARKED)
        for table in TABLES:
            columns = [name for _, name, *_ in connection.execute(f"pragma table_info({table})") if name != "wait"]
            seed = connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f"insert into {table} ({', '.join(columns)}) values ({marks})", copies.rows(table, columns, seed)
            )
        connection.execute("analyze")
    connection.close()


def fill_postgresql(address: str, copies: Copies) -> None:
    """Write all orders into a schema of a server."""
    import psycopg

    conninfo, _, schema = address.partition("?schema=")
    with psycopg.connect(conninfo) as connection:
        connection.execute(f'set search_path to "{schema}"')
        connection.execute(PARKED)
        for table in TABLES:
            asked = "select column_name from information_schema.columns where table_schema = %s and table_name = %s"
            columns = [name for (name,) in connection.execute(asked, (schema, table)) if name != "wait"]
            seed = connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
            with connection.cursor().copy(f"copy {table} ({', '.join(columns)}) from stdin") as copy:
                for row in copies.rows(table, columns, seed):
                    copy.write_row(row)
        connection.execute(f"select setval(pg_get_serial_sequence('runs', 'run'), {FIRST + len(copies.names)})")
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze")


# What is measured


def watch(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return what a worker takes that does nothing: the first seconds, in which it begins, are left out."""
    time.sleep(3.0)
    before = used([process])
    time.sleep(WATCHED)
    return {"busy": (used([process]) - before) / WATCHED, "resident": resident([process])}


def shipped(notes: Path) -> int:
    """Return how many orders were shipped."""
    return notes.read_text("ascii").count("ship ")


def paid(
    address: str, notes: Path, names: Sequence[str], together: int, worker: subprocess.Popen[str]
) -> dict[str, float]:
    """Deliver messages; return how fast they were taken, and how fast the orders went on."""
    from aiodag.mail import Incoming
    from aiodag.service import Service

    service, there = Service(address), shipped(notes)
    began, cpu, busy = time.time(), time.process_time(), used([worker])
    for first in range(0, len(names), together):
        some = names[first : first + together]
        service.store.deliver([Incoming("PAYMENT", (name,), name, '"paid"') for name in some])
    delivered, cpu = time.time(), time.process_time() - cpu
    while shipped(notes) < there + len(names):
        time.sleep(LOOK)
    ended, busy = time.time(), used([worker]) - busy
    service.close()
    return {
        "delivered": len(names) / (delivered - began),
        "woken": len(names) / (ended - began),
        "cpu_of_message": cpu / len(names),
        "cpu_of_wake": busy / len(names),
    }


def measured(place: Place, count: int, messages: int, directory: Path) -> dict[str, Any]:
    """Return all figures of one store."""
    notes = directory / f"notes-{place.kind}"
    notes.touch()
    address = place.fresh("aiodag")
    make_seed(address, notes)
    copies = Copies(count)
    began = time.time()
    if place.kind == "sqlite":
        fill_sqlite(address.removeprefix("sqlite:///"), copies)
    else:
        fill_postgresql(address, copies)
    print(f"  {place.kind}: {count:,} orders written in {time.time() - began:.0f} s", flush=True)
    result: dict[str, Any] = {}
    with worker(address, notes) as process:
        result["idle"] = report(place, "idle", watch(process))
        for way, together in (("one", 1), ("hundred", TOGETHER)):
            names = [copies.names.pop() for _ in range(messages)]
            result[way] = report(place, way, paid(address, notes, names, together, process))
        result["after"] = resident([process])
    return result


def report(place: Place, way: str, found: dict[str, float]) -> dict[str, float]:
    cells = {key: round(value, 6 if value < 1 else 1) for key, value in found.items()}
    print(f"  {place.kind:10} {way:8} {cells}", flush=True)
    return found


def main() -> None:
    """Read the options, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=3_000)
    parser.add_argument("--store", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result: dict[str, Any] = {"python": platform.python_version(), "orders": options.orders, "stores": {}}
    with places(options.store or ["sqlite", "postgresql"]) as found, TemporaryDirectory() as directory:
        for place in found:
            result["stores"][place.kind] = measured(place, options.orders, options.messages, Path(directory))
    save(options.json, result | {"messages": options.messages})


if __name__ == "__main__":
    main()
