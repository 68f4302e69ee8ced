"""A PostgreSQL server that goes away in the middle: runs wait for it, and nothing that is recorded is done twice."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from executions import claim_one
from poolers import Pooler
from programs import ROOT, SECONDS
from servers import PostgresServer

from aiodag import Run, State, task
from aiodag.errors import StoreUnreachable
from aiodag.happenings import Happening
from aiodag.records import Batch, Claim, Owner, Write
from aiodag.service import Service
from aiodag.stores.places import store_at
from aiodag.stores.watch import watch_store
from aiodag.submissions import Submission


@pytest.fixture(scope="module")
def durable():
    """A server that keeps what it has committed, as one in use would; to be ended and started at will."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def store(durable, schema):
    store = store_at(durable.address(schema))
    yield store
    store.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGQUIT], ids=["fast", "kill", "immediate"])
def test_a_run_goes_on_in_the_same_process_when_the_server_is_back(durable, store, how, caplog):
    """Fifty nodes in five chains; the server ends between two commits, or in one of them."""
    check_that_a_run_goes_on(durable, store, how)
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    said = [each for each in said if str(store) in each]

    assert any("wait with what they have to write" in line for line in said)
    assert any("is back after" in line for line in said)


def test_a_run_goes_on_when_the_server_behind_a_pooler_is_back(durable, schema):
    pooler = Pooler(durable, "transaction")
    store = store_at(pooler.address(schema))
    try:
        check_that_a_run_goes_on(durable, store, signal.SIGINT, away=0.3)  # the pooler waits, and tells nobody
    finally:
        store.close()
        pooler.remove()


class Missed(logging.Handler):
    """Has something done when runs wait for a store."""

    def __init__(self, store, act):
        super().__init__()
        self.store = str(store)
        self.act = act

    def emit(self, record):
        said = record.getMessage()
        if self.store in said and "wait with what they have to write" in said:
            self.act()


def check_that_a_run_goes_on(durable, store, how, away=None):
    """The server is back after so many seconds, or when the run has missed it."""
    ran, ended, log = Counter(), [], logging.getLogger("aiodag.stores")

    @task
    async def step(chain, place, before):
        ran[chain, place] += 1
        if sum(ran.values()) == 20:
            durable.stop(how)
            ended.append(True)
            if away is not None:
                asyncio.get_running_loop().call_later(away, start)
        return before + 1

    def start():
        if len(ended) == 1:
            ended.append(asyncio.get_running_loop().run_in_executor(None, durable.start))

    async def main():
        missed = Missed(store, partial(asyncio.get_running_loop().call_soon_threadsafe, start))
        log.addHandler(missed)
        try:
            async with Run("etl", store=store, id="monday"):
                nodes = [0] * 5
                for place in range(10):
                    nodes = [step(chain, place, before) for chain, before in enumerate(nodes)]
        finally:
            log.removeHandler(missed)
        await ended[1]
        return [node.result() for node in nodes]

    assert asyncio.run(main()) == [10] * 5
    assert set(ran.values()) == {1}
    assert len(ran) == 50
    assert store.run("monday").state is State.SUCCEEDED
    assert {(node.state, node.attempt) for node in store.nodes("monday")} == {(State.SUCCEEDED, 1)}


# The outcome of a commit


@pytest.fixture
def lost_commits(monkeypatch, schema):
    """Lose the connection with each commit that writes: before the server has got it, or behind it."""
    execute, losses, ours = psycopg.ClientCursor.execute, [], set()

    def lose(cursor, text, *args, **options):
        if schema.encode() in text:  # as each transaction begins: commits of another store are not to be lost
            ours.add(cursor.connection)
        if losses and cursor.connection in ours and b"set token" in text and text.endswith(b"commit"):
            if losses.pop() == "after":
                execute(cursor, text, *args, **options)
            cursor.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return execute(cursor, text, *args, **options)

    monkeypatch.setattr(psycopg.ClientCursor, "execute", lose)
    return losses


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_batch_is_written_once_whatever_became_of_the_first_commit(postgres_store, lost_commits, when):
    store = postgres_store
    claimed = claim_one(store, Claim("monday", "etl", None, Owner.here(), 60.0, 5.0))
    lines = [(6.5, None, "INFO", "etl", "once")]
    writes = [Write(claimed, "monday", Batch(logs=lines, state=State.SUCCEEDED, at=9.0))]
    lost_commits.append(when)

    with pytest.raises(StoreUnreachable):
        store.write_all(writes)
    assert store.write_all(writes) == [None]
    assert [line.text for line in store.logs("monday")] == ["once"]
    assert store.run("monday").state is State.SUCCEEDED


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_is_claimed_once_whatever_became_of_the_first_commit(postgres_store, lost_commits, when):
    claims = [Claim("monday", "etl", None, Owner.here(), 60.0, 5.0)]
    postgres_store.runs()
    lost_commits.append(when)

    with pytest.raises(StoreUnreachable):
        postgres_store.claim_all(claims)
    (claimed,) = postgres_store.claim_all(claims)
    assert claimed.execution == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_is_taken_once_whatever_became_of_the_first_commit(postgres_store, lost_commits, when):
    store, owner = postgres_store, Owner.here()
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", at=5.0))
    store.enrol(owner, ["default"], 1, at=5.0, lease=60.0)
    lost_commits.append(when)

    with pytest.raises(StoreUnreachable):
        store.take_queued(owner, ["default"], 1, lease=60.0)
    assert [taken.claimed.execution for taken in store.take_queued(owner, ["default"], 1, lease=60.0)] == [1]
    assert store.take_queued(owner, ["default"], 1, lease=60.0) == []


def test_a_commit_in_doubt_is_known_behind_another_of_the_same_process(postgres_store, lost_commits):
    store, owner = postgres_store, Owner.here()
    claimed = claim_one(store, Claim("monday", "etl", None, owner, 60.0, 5.0))
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    store.submit(Submission("tuesday", "main", entry, "/srv/etl.py:main", at=5.0))
    lines = [(6.5, None, "INFO", "etl", "once")]
    writes = [Write(claimed, "monday", Batch(logs=lines, state=State.SUCCEEDED, at=9.0))]
    lost_commits.append("after")

    with pytest.raises(StoreUnreachable):
        store.write_all(writes)
    assert [taken.record.id for taken in store.take_queued(owner, ["default"], 1, lease=60.0)] == ["tuesday"]
    assert store.write_all(writes) == [None]
    assert [line.text for line in store.logs("monday")] == ["once"]


def test_a_commit_that_is_still_under_way_is_waited_for(postgres, postgres_store, schema, lost_commits, monkeypatch):
    store, token = postgres_store, UUID(int=7)
    monkeypatch.setattr("aiodag.stores.sql.server.uuid4", lambda: token)
    claimed = claim_one(store, Claim("monday", "etl", None, Owner.here(), 60.0, 5.0))
    writes = [Write(claimed, "monday", Batch(logs=[(6.5, None, "INFO", "etl", "again")]))]
    lost_commits.append("before")
    with pytest.raises(StoreUnreachable):
        store.write_all(writes)

    with psycopg.connect(postgres.address(schema).partition("?")[0]) as connection, ThreadPoolExecutor() as pool:
        connection.execute(f"update {schema}.leases set token = %s", (token.hex,))
        answer = pool.submit(store.write_all, writes)
        assert not wait([answer], 0.3).done
        connection.commit()
        assert answer.result(SECONDS) == [None]
    assert list(store.logs("monday")) == []


def test_runs_of_a_whole_process_survive_commits_that_are_lost_after_the_server_has_done_them(
    postgres_store, lost_commits, monkeypatch
):
    monkeypatch.setattr("aiodag.stores.patience.PAUSES", (0.001,))
    ran = Counter()

    @task
    async def step(before):
        ran[before] += 1
        lost_commits.append("after" if before % 2 else "before")
        return before + 1

    async def main():
        async with Run("etl", store=postgres_store, id="monday"):
            node = step(0)
            for _ in range(5):
                node = step(node)
        return node.result()

    assert asyncio.run(asyncio.wait_for(main(), SECONDS)) == 6
    assert set(ran.values()) == {1}
    assert postgres_store.run("monday").state is State.SUCCEEDED


# Workers


FLOW = Path(__file__).with_name("worker_flow.py")


@pytest.fixture
def worker(durable, schema, tmp_path):
    """A worker in a process of its own, which nobody starts again."""
    program = [sys.executable, "-m", "aiodag", "--store", durable.address(schema), "worker", "--limit", "4"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(program, stdout=log, stderr=log, cwd=ROOT)
    process.log = tmp_path / "worker.log"
    yield process
    process.kill()
    process.wait()


def wait_for_ends(store, count):
    """Wait until so many runs have ended."""
    with watch_store(store) as watch:
        while True:
            ticket = watch.ticket()
            ended = sum(run.ended_at is not None for run in store.runs())
            if ended >= count:
                return
            assert watch.wait(ticket, SECONDS, of={Happening.ENDED}), f"{ended} of {count} runs have ended"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["fast", "kill"])
def test_a_worker_goes_on_when_the_server_is_back_with_each_effect_once(durable, store, worker, tmp_path, how):
    service, effects = Service(store), tmp_path / "effects"
    submitted = [service.submit(f"{FLOW}:five", [f"file={effects}"]) for _ in range(60)]
    wait_for_ends(store, 6)
    durable.stop(how)
    durable.start()
    values = [asyncio.run(asyncio.wait_for(service.result(each), SECONDS)) for each in submitted]
    once = Counter(effects.read_text().splitlines())

    assert values == [4] * 60, worker.log.read_text()
    assert set(once.values()) == {1}
    assert len(once) == 60 * 5
    assert {run.execution for run in store.runs()} == {1}
    assert worker.poll() is None
