"""What a queue takes and gives, as checkers see it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from aiodag.abc import Queue, Runs
from aiodag.service import Service
from aiodag.stores import Memory, SQLite
from aiodag.submissions import QueueRecord, WorkerRecord


def seams(memory: Memory, sqlite: SQLite) -> tuple[Runs, Queue, Runs, Queue]:
    return memory, memory, sqlite, sqlite


async def submitted(service: Service, values: Mapping[str, object]) -> None:
    run_id: str = service.submit("etl.py:main", values, queue="slow", priority=2, key="k", strict=True)
    service.submit(
        "etl.json", ["day=monday"], at=datetime.now(UTC), expires=timedelta(hours=1), retries=1, max_active=2
    )
    service.submit(service.target("etl.json"), tags={"env": "test"})
    print(await service.result(run_id, timeout=1.5))
    queues: list[QueueRecord] = service.queues()
    workers: list[WorkerRecord] = service.workers()
    print(queues, workers)
