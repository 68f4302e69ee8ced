"""Behind PgBouncer everything works that works at the server itself; only notices do not come, in one of its modes."""

import asyncio
import logging

import pytest
from poolers import Pooler
from programs import SECONDS
from test_watch import claim, in_another_process

from aiodag import Run, State, task
from aiodag.happenings import Happening
from aiodag.service import Service
from aiodag.stores.places import store_at
from aiodag.stores.watch import watch_store


@pytest.fixture(scope="module")
def poolers(postgres):
    made = {}

    def pooler(mode):
        if mode not in made:
            made[mode] = Pooler(postgres, mode)
        return made[mode]

    yield pooler
    for each in made.values():
        each.remove()


@pytest.fixture
def address(poolers, schema):
    return poolers("transaction").address(schema)


def warnings(caplog, store):
    """What was said of a store, in a log that all of this process write to."""
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    return [each for each in said if str(store) in each]


def test_runs_are_written_and_resumed_through_a_pooler(address):
    ran = []

    @task
    async def step(before):
        ran.append(before)
        return before + 1

    async def main():
        async with Run("etl", store=address, id="monday"):
            node = step(step(0))
        async with Run("etl", store=address, id="monday"):
            again = step(step(0))
        return node.result(), again.result()

    assert asyncio.run(main()) == (2, 2)
    assert ran == [0, 1]
    store = store_at(address)
    assert store.run("monday").state is State.SUCCEEDED
    store.close()


def test_a_pooler_of_transactions_is_found_out_and_said_once(address, caplog):
    store = store_at(address)
    claim(store)
    for _ in range(2):
        with watch_store(store) as watch:
            # Nobody hears of the other process: whoever waits looks after its patience.
            in_another_process(address, "store.cancel('monday')")
            assert not watch.wait(0, 2.0, of={Happening.CANCEL})
    told = Service(store).about()["notices"]
    store.close()

    assert told == "none through this pooler: the store is looked at once a second"
    (warning,) = warnings(caplog, store)
    assert warning.startswith(f"the store {store} is behind a pooler that passes on no notices: it is looked at once")


def test_a_pooler_of_sessions_passes_notices_on(poolers, schema, caplog, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.server_listener.POOLED", SECONDS)  # it comes, and may take its time
    address = poolers("session").address(schema)
    store = store_at(address)
    claim(store)
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)
        ticket = watch.ticket()
        in_another_process(address, "store.cancel('monday')")

        assert watch.wait(ticket, SECONDS, of={Happening.CANCEL})
    store.close()
    assert warnings(caplog, store) == []
    assert Service(address).about()["notices"] == "from the server"
