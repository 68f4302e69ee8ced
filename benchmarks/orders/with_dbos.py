"""An order with DBOS: a step, `recv`, a step. Run as a program it is the worker: with_dbos.py ADDRESS."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient
from dbos._sys_db import SendMessage
from notes import note

NAME = "orders"
PRAGMAS = ("busy_timeout = 30000", "foreign_keys = on", "journal_mode = wal", "synchronous = normal")
PATIENCE = 3600  # seconds


@DBOS.step()
async def charge(order: str) -> float:
    return note("charge", order)


@DBOS.step()
async def ship(order: str, payment: str) -> float:
    return note("ship", order)


@DBOS.workflow()
async def fulfil(order: str) -> float:
    """Ask for a payment, wait for it, ship."""
    await charge(order)
    payment = await DBOS.recv_async("PAYMENT", timeout_seconds=PATIENCE)
    return await ship(order, payment)


OPTIONS: Any = {"queue_name": NAME, "workflow_name": fulfil.__qualname__, "app_version": "1"}


def set_up(connection: Any, record: object) -> None:
    """Open a connection as DBOS does, and with a write-ahead log."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in PRAGMAS:
        connection.execute(f"pragma {pragma}")


def engine_of(address: str) -> Any:
    """Return an engine of our own for SQLite, and none for PostgreSQL."""
    if not address.startswith("sqlite"):
        return None
    engine = sqlalchemy.create_engine(address)
    sqlalchemy.event.listen(engine, "connect", set_up)
    return engine


class Orders:
    """What begins orders and pays them."""

    version = metadata.version("dbos")

    def __init__(self, address: str) -> None:
        self.client = DBOSClient(
            system_database_url=address, system_database_engine=engine_of(address), application_name=NAME
        )

    async def begin(self, names: list[str]) -> None:
        for name in names:
            self.client.enqueue({**OPTIONS, "workflow_id": name}, name)

    async def pay(self, names: list[str]) -> None:
        self.client.send_bulk([SendMessage(name, "paid", "PAYMENT") for name in names])

    async def settle(self, count: int, *, parked: bool) -> None:
        """Wait until as many orders wait: here they do, as soon as they have charged."""


def main(address: str) -> None:
    """Work until the standard input ends."""
    config: Any = {"name": NAME, "system_database_url": address, "log_level": "ERROR", "application_version": "1"}
    engine = engine_of(address)
    if engine is not None:
        config["system_database_engine"] = engine
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(NAME)
    print("ready", flush=True)
    sys.stdin.read()
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1])
