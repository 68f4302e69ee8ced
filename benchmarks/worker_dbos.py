"""Make durable steps one after the other, and all at once, with DBOS on SQLite; print one JSON line.

    worker_dbos.py {usual,NORMAL} STEPS

usual: SQLite as DBOS opens it. NORMAL: the same with a write-ahead log and `synchronous=NORMAL`, through an engine of our
own. A workflow of ten steps comes first and is not counted. On Python 3.12 and newer DBOS asks SQLite for milliseconds,
which SQLite knows from 3.42 on; on Python 3.11 any SQLite does.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy
from dbos import DBOS

WARM = 10  # steps
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


if __name__ == "__main__":
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
