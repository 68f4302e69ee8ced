"""A store that cannot be reached for a while ends no run: what goes on there waits, and nothing is done twice."""

import asyncio
import logging
import threading
from contextlib import contextmanager

import pytest
from executions import execute, rows
from family_flow import order
from programs import SECONDS

from aiodag import Run, State, task
from aiodag.errors import StoreUnreachable
from aiodag.messages import begin
from aiodag.service import Service
from aiodag.stores import Memory, SQLite
from aiodag.stores.keeper import KEEPERS, Keeper
from aiodag.stores.post import LoopPost
from aiodag.stores.sql.file import File
from aiodag.testing import run as virtual


def refusing(name):
    def refuse(self, *args, **options):
        if self.refusals > 0:  # two threads may be here at once
            self.refusals -= 1
            raise StoreUnreachable("cannot write to the store memory: connection refused")
        return getattr(Memory, name)(self, *args, **options)

    return refuse


class Away(Memory):
    """A store that cannot be reached for the next `refusals` times that somebody tries."""

    refusals = 0
    claim_all, write_all, renew, held_runs, release, runs, cached_value, functions, submit = map(
        refusing,
        ("claim_all", "write_all", "renew", "held_runs", "release", "runs", "cached_value", "functions", "submit"),
    )


FOR_EVER = 10**9


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("aiodag.stores.patience.PAUSES", (0.001,))


def warnings(caplog):
    found = [each for each in caplog.records if (each.name, each.levelno) == ("aiodag.stores", logging.WARNING)]
    return [each.getMessage() for each in found]


def test_runs_wait_for_a_store_that_is_away_and_go_on_with_nothing_done_twice(caplog):
    store, ran = Away(), []

    @task
    async def step(before):
        ran.append(before)
        store.refusals = 7
        return before + 1

    async def body():
        return await step(await step(step(0)))

    assert execute(store, body) == 3
    assert ran == [0, 1, 2]
    assert rows(store) == [("step", "succeeded", 1)] * 3
    assert store.run("r").state is State.SUCCEEDED
    first, second, *_ = warnings(caplog)
    assert first.startswith("cannot write to the store memory: connection refused. Runs go on here, and wait")
    assert second.startswith("the store memory: is back after ")
    assert len(warnings(caplog)) == 2 * 3


def test_bodies_go_on_meanwhile_and_only_what_needs_a_commit_waits():
    store, seen = Away(), []

    @task
    async def first():
        store.refusals = FOR_EVER
        return "first"

    @task
    async def other():
        await begun.wait()
        for _ in range(99):
            await asyncio.sleep(0)
        seen.append((waiting.state, second.state))
        store.refusals = 0

    @task
    async def after(value):
        return value

    async def main():
        nonlocal waiting, second, begun
        begun = asyncio.Event()
        async with Run("test", store=store, id="r"):
            beside = other()
            waiting = first()
            second = after(waiting)
            begun.set()
        assert beside.done()

    waiting = second = begun = None
    asyncio.run(main())

    assert seen == [(State.RUNNING, State.WAITING)]
    assert store.run("r").state is State.SUCCEEDED


def test_a_run_that_begins_while_another_goes_on_waits_too():
    store = Away()

    @task
    async def begin_another():
        store.refusals = 5
        async with Run("inner", store=store, id="inner"):
            pass

    async def body():
        return await begin_another()

    execute(store, body)

    assert {run.id: run.state for run in store.runs()} == {"r": State.SUCCEEDED, "inner": State.SUCCEEDED}


def test_a_store_that_was_never_reached_is_an_error_at_once():
    store = Away()
    store.refusals = 1

    async def body(): ...

    with pytest.raises(StoreUnreachable):
        execute(store, body)
    assert store.refusals == 0
    assert store.place not in KEEPERS


def test_it_is_one_too_where_the_keeper_has_waited_for_the_run_to_begin(monkeypatch):
    turn, claim, turned = Keeper._turn, LoopPost.claim, threading.Event()  # noqa: SLF001 - what the thread does again and again

    def noted(keeper):
        more = turn(keeper)
        turned.set()
        return more

    def late(post, writer):
        assert turned.wait(SECONDS)
        claim(post, writer)

    monkeypatch.setattr("aiodag.stores.keeper.LISTEN", 0.0)
    monkeypatch.setattr(Keeper, "_turn", noted)
    monkeypatch.setattr(LoopPost, "claim", late)
    test_a_store_that_was_never_reached_is_an_error_at_once()


def test_whoever_looks_hears_of_it_at_once():
    store = Away()
    store.refusals = 1

    with pytest.raises(StoreUnreachable):
        Service(store).runs()


def test_who_leaves_a_run_for_good_does_not_wait_for_a_store_that_stays_away():
    store = Away()

    @task
    async def step():
        store.refusals = FOR_EVER

    async def main():
        running = asyncio.create_task(whole())
        while not store.refusals:
            await asyncio.sleep(0)
        running.cancel()  # its end is to be written, which waits
        for _ in range(99):
            await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def whole():
        async with Run("test", store=store, id="r"):
            await step()

    asyncio.run(main())
    assert store.place not in KEEPERS


def test_a_cached_value_is_looked_up_when_the_store_is_back():
    store, computed = Away(), []

    @task(cache=True)
    async def compute(number):
        computed.append(number)
        return number

    async def body():
        await compute(1)
        store.refusals = 5
        return await compute(1)

    assert execute(store, body) == 1
    assert computed == [1]


def test_a_body_begins_a_run_when_the_store_is_back():
    store = Away()

    async def body():
        store.refusals = 7
        return await begin(order, "done", "A17", id="order-17", on_parent="detach")

    assert execute(store, body) == "order-17"
    assert (store.refusals, store.run("order-17").state) == (0, State.QUEUED)


def test_the_clock_of_a_test_stands_still_meanwhile():
    store = Away()

    @task
    async def step():
        store.refusals = 9

    async def body():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await step()
        return loop.time() - began

    assert execute(store, body, runner=virtual) == 0.0


def test_a_large_run_that_is_resumed_reads_on_when_its_store_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.past.WHOLE", 1)
    store, ran, losses, reading = SQLite(tmp_path / "runs.db"), [], [], File.reading

    @contextmanager
    def read_later(file, *, owner=False):
        if losses and owner:
            raise losses.pop()
        with reading(file, owner=owner) as session:
            yield session

    @task
    async def step(number):
        ran.append(number)
        return number

    async def body():
        losses.extend(StoreUnreachable("gone") for _ in range(resumed * 3))
        return [await step(number) for number in range(4)]

    resumed = 0
    execute(store, body)
    monkeypatch.setattr(File, "reading", read_later)
    resumed = 1
    losses.append(StoreUnreachable("gone"))

    assert execute(store, body) == [0, 1, 2, 3]
    assert (ran, losses) == ([0, 1, 2, 3], [])
    store.close()
