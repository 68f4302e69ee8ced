"""A worker on a server keeps few connections, however many runs it works on, and is told of what happens on one of them."""

import asyncio
from pathlib import Path

from worker_processes import PATIENCE, until

from aiodag import State
from aiodag.happenings import Happening
from aiodag.service import Service
from aiodag.service.worker import QueueWorker
from aiodag.stores.watch import watch_store

FLOW = Path(__file__).with_name("worker_flow.py")
RUNS = 200


async def until_running(service, count):
    """Wait until so many runs go on."""
    with watch_store(service.store) as watch:
        async with asyncio.timeout(PATIENCE):
            while sum(run.state is State.RUNNING for run in service.runs()) < count:
                await watch.changed(watch.ticket(), 0.25, of={Happening.QUEUED})


async def test_a_worker_with_two_hundred_runs_has_three_connections(postgres, postgres_address, schema, tmp_path):
    def connections():
        return postgres.execute("select count(*) from pg_stat_activity where application_name = %s", (schema,))[0][0]

    service = Service(f"{postgres_address}&application_name={schema}")
    for _ in range(RUNS):
        service.submit(f"{FLOW}:wait_for", [f"file={tmp_path / 'effects'}"])
    worker = QueueWorker(service, limit=RUNS)
    working = asyncio.create_task(worker.run())
    await until_running(service, RUNS)
    await asyncio.to_thread(service.runs)  # who looks has one of its own
    await until(lambda: connections() > 2, "a thread listens")
    found = connections()
    worker.stop()
    worker.stop()
    await working
    service.close()

    assert found == 3
