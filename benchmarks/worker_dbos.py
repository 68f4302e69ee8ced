"""Make durable steps one after the other, and all at once, with DBOS; print one JSON line.

    worker_dbos.py {usual,NORMAL} STEPS
    worker_dbos.py {chain,wide,many,latency,fill,drain} ADDRESS COUNT
    worker_dbos.py work ADDRESS AT_ONCE

usual: SQLite as DBOS opens it. NORMAL: the same with a write-ahead log and `synchronous=NORMAL`, through an engine of our
own. A workflow of ten steps comes first and is not counted. chain and so on are what they are in worker_queue.py, on SQLite as
with NORMAL. work: be a worker, until the standard input ends; queues are polled once a second, as they are by default.

On Python 3.12 and newer DBOS asks SQLite for milliseconds,
which SQLite knows from 3.42 on; on Python 3.11 any SQLite does.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient

WARM = 10  # steps
NAME = "benchmark"
PRAGMAS = ("busy_timeout = 30000", "foreign_keys = on", "journal_mode = wal", "synchronous = normal")


@DBOS.step()
async def step(value: int) -> int:
    return value


@DBOS.workflow()
async def sequential(steps: int) -> None:
    for number in range(steps):
        await step(number)


@DBOS.workflow()
async def gathered(steps: int) -> None:
    await asyncio.gather(*[step(number) for number in range(steps)])


def set_up(connection: Any, record: object) -> None:
    """Open a connection as DBOS does, and with a write-ahead log."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in PRAGMAS:
        connection.execute(f"pragma {pragma}")


def configuration(way: str, place: Path) -> Any:
    """Give what DBOS is configured with."""
    config: dict[str, Any] = {
        "name": "benchmark",
        "system_database_url": f"sqlite:///{place}",
        "log_level": "ERROR",
    }
    if way != "usual":
        config["system_database_engine"] = engine = sqlalchemy.create_engine(config["system_database_url"])
        sqlalchemy.event.listen(engine, "connect", set_up)
    return config


async def measure(steps: int) -> dict[str, float]:
    """Give the steps per second of both workflows."""
    rates = {}
    for workflow in (sequential, gathered):
        await workflow(WARM)
        start = time.perf_counter()
        await workflow(steps)
        rates[workflow.__name__] = steps / (time.perf_counter() - start)
    return rates


# Of queues


@DBOS.step()
async def moment(value: float) -> float:
    return value or time.time()


@DBOS.step()
async def stamp(value: float) -> float:
    return time.time()


@DBOS.workflow()
async def chained(length: int) -> list[float]:
    """Make steps one after the other; give the moments of the first and of the last one."""
    value = await moment(0.0)
    for _ in range(length - 2):
        value = await moment(value)
    return [value, await stamp(value)]


async def many(count: int, load: dict[str, Any]) -> None:
    numbers = iter(range(count))

    async def follow() -> None:
        for _ in numbers:
            await sequential(load["chain"])

    await asyncio.gather(*[follow() for _ in range(load["at_once"])])


def engine_of(address: str) -> Any:
    """Give an engine of our own for SQLite, and none for PostgreSQL."""
    if not address.startswith("sqlite"):
        return None
    engine = sqlalchemy.create_engine(address)
    sqlalchemy.event.listen(engine, "connect", set_up)
    return engine


def launch(address: str) -> None:
    config: dict[str, Any] = {
        "name": NAME,
        "system_database_url": address,
        "log_level": "ERROR",
        "application_version": "1",
    }
    engine = engine_of(address)
    if engine is not None:
        config["system_database_engine"] = engine
    DBOS(config=config)
    DBOS.launch()


async def clocked(way: str, count: int, load: dict[str, Any]) -> dict[str, float]:
    await sequential(load["warm"])
    start = time.perf_counter()
    await (many(count, load) if way == "many" else {"chain": sequential, "wide": gathered}[way](count))
    return {"seconds": time.perf_counter() - start}


def submitted(address: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Enqueue workflows, one now and then; give in how many seconds the first step of each began."""
    client = client_of(address)
    client.enqueue(OPTIONS, load["length"]).get_result()
    chance = random.Random(1)
    sent: list[tuple[Any, float]] = []
    for _ in range(count):
        at = time.time()
        sent.append((client.enqueue(OPTIONS, load["length"]), at))
        time.sleep(load["pause"] * (0.5 + chance.random()))
    return {"waits": sorted(handle.get_result()[0] - at for handle, at in sent)}


def filled(address: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Enqueue workflows that nobody works on yet; give their ids."""
    launch(address)  # which makes the tables
    DBOS.destroy()
    client = client_of(address)
    return {"ids": [client.enqueue(OPTIONS, load["length"]).workflow_id for _ in range(count)]}


def drained(address: str, count: int, load: dict[str, Any]) -> dict[str, Any]:
    """Give the seconds from the first step of all workflows to the last one."""
    client = client_of(address)
    results: list[Any] = [client.retrieve_workflow(each).get_result() for each in load["ids"]]
    return {"seconds": max(last for _, last in results) - min(first for first, _ in results)}


def client_of(address: str) -> Any:
    return DBOSClient(system_database_url=address, system_database_engine=engine_of(address), application_name=NAME)


OPTIONS: Any = {"queue_name": NAME, "workflow_name": chained.__qualname__, "app_version": "1"}


def queued(way: str, address: str, count: int) -> None:
    """Do one of the ways of queues."""
    outside = {"latency": submitted, "fill": filled, "drain": drained}
    if way in outside:
        print(json.dumps(outside[way](address, count, json.load(sys.stdin))))
        return
    launch(address)
    if way == "work":
        DBOS.register_queue(NAME, worker_concurrency=count)
        print("ready", flush=True)
        sys.stdin.read()
    else:
        print(json.dumps(asyncio.run(clocked(way, count, json.load(sys.stdin)))))
    DBOS.destroy()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        queued(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        sys.exit()
    way, steps = sys.argv[1:]
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42):
        sys.exit(
            f"DBOS needs SQLite 3.42 or newer on this Python, not {sqlite3.sqlite_version}; on Python 3.11 it does not"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        DBOS(config=configuration(way, Path(directory) / "steps.db"))
        DBOS.launch()
        rates = asyncio.run(measure(int(steps)))
        DBOS.destroy()
    print(json.dumps({"version": metadata.version("dbos"), **rates}))
