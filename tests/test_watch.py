"""Who waits for something to happen in a store is woken, whoever has done it, and misses nothing between a look and the wait."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from executions import claim_one, write_one
from programs import ROOT, SECONDS, open_files

from aiodag import Run, State, task
from aiodag.errors import StoreError
from aiodag.happenings import EVERYTHING, Happening
from aiodag.records import Claim, Owner
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at
from aiodag.stores.watch import AGAIN, WATCHES, StoreWatch, note_happening, watch_store
from aiodag.testing import run as virtual

LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux says what a process has open")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """The address of a store that other processes can write to."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    return request.getfixturevalue("postgres_address")


def claim(store, run_id="monday"):
    return claim_one(store, Claim(run_id, "etl", None, Owner.here(), 60.0, time.time()))


def in_another_process(address, statement):
    """Have another process do something to a store."""
    program = (
        f"from aiodag.stores.places import store_at\nstore = store_at({str(address)!r})\n{statement}\nstore.close()"
    )
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, cwd=ROOT, timeout=SECONDS)


# Nothing is missed


def test_what_happens_between_a_look_and_the_wait_ends_the_wait_at_once():
    async def main():
        watch = StoreWatch()
        ticket = watch.ticket()
        watch.note({Happening.ENDED})
        return await watch.changed(ticket, 3600.0), watch.wait(ticket, 3600.0), asyncio.get_running_loop().time()

    assert virtual(main()) == (True, True, 0.0)


def test_a_wait_without_news_ends_after_its_patience():
    async def main():
        watch = StoreWatch()
        watch.note({Happening.ENDED})
        return await watch.changed(watch.ticket(), 7.0), asyncio.get_running_loop().time()

    assert virtual(main()) == (False, 7.0)


def test_only_those_are_woken_who_wait_for_what_has_happened():
    async def main():
        watch = StoreWatch()
        ticket = watch.ticket()
        watch.note({Happening.LINES})
        queued = await watch.changed(ticket, 7.0, of={Happening.QUEUED, Happening.CANCEL})
        return queued, await watch.changed(ticket, 7.0, of={Happening.LINES})

    assert virtual(main()) == (False, True)


def test_of_many_changes_from_many_threads_the_last_one_is_seen_by_all():
    """Each waiter has seen the last number without ever having had to wait for its patience to end."""
    watch, done = StoreWatch(), [0, 0, 0]

    def change(place):
        for number in range(1, 401):
            done[place] = number
            watch.note(EVERYTHING)

    def look(in_vain):
        while sum(done) < 1200 and not in_vain:
            ticket = watch.ticket()
            if sum(done) < 1200 and not watch.wait(ticket, SECONDS):
                in_vain.append(sum(done))

    async def wait(in_vain):
        while sum(done) < 1200 and not in_vain:
            ticket = watch.ticket()
            if sum(done) < 1200 and not await watch.changed(ticket, SECONDS):
                in_vain.append(sum(done))

    async def main():
        in_vain = []
        threads = [threading.Thread(target=change, args=(place,)) for place in range(3)]
        threads += [threading.Thread(target=look, args=(in_vain,)) for _ in range(2)]
        waiting = [asyncio.create_task(wait(in_vain)) for _ in range(2)]
        for each in threads:
            each.start()
        await asyncio.gather(*waiting)
        for each in threads:
            await asyncio.to_thread(each.join)
        return in_vain

    assert asyncio.run(main()) == []


def test_a_loop_that_was_closed_while_somebody_waited_on_it_keeps_nobody_else_from_being_woken():
    watch, loop = StoreWatch(), asyncio.new_event_loop()
    waiting = watch.changed(watch.ticket(), SECONDS)
    loop.call_soon(waiting.send, None)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    ticket = watch.ticket()
    watch.note({Happening.ENDED})

    assert watch.wait(ticket, 0.0)
    with pytest.raises(asyncio.CancelledError):
        waiting.throw(asyncio.CancelledError)


# Who wakes


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_commit_of_this_process_wakes_at_once_with_what_it_was(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.file_listener.LOOK", (3600.0, 3600.0))
    store = Memory() if kind == "memory" else SQLite(tmp_path / "runs.db")
    claimed = claim(store)
    with watch_store(store) as watch:
        assert kind == "memory" or watch.wait(0, SECONDS)  # what has happened before it listened
        before = watch.ticket()
        store.cancel("monday")
        cancel = watch.wait(before, SECONDS, of={Happening.CANCEL})
        ticket = watch.ticket()
        write_one(store, claimed, "monday", state=State.SUCCEEDED, at=9.0)

        assert (cancel, watch.wait(ticket, SECONDS, of={Happening.ENDED})) == (True, True)
        assert not watch.wait(before, 0.0, of={Happening.LINES})
    store.close()


def test_a_commit_of_another_process_wakes(address):
    store = store_at(address)
    claim(store)
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)  # it listens
        ticket = watch.ticket()
        in_another_process(address, "store.cancel('monday')")

        assert watch.wait(ticket, SECONDS, of={Happening.CANCEL})
    store.close()


def test_a_file_that_is_made_while_somebody_waits_wakes_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.file_listener.WHOLE", 3600.0)
    store = SQLite(tmp_path / "runs.db")
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)
        ticket = watch.ticket()
        in_another_process(store, "store.put_queue('default')")

        assert watch.wait(ticket, SECONDS)
    store.close()


def test_a_file_that_is_replaced_while_somebody_waits_wakes(tmp_path):
    store, other = SQLite(tmp_path / "runs.db"), SQLite(tmp_path / "other.db")
    for each in (store, other):
        claim(each)
        each.close()
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)
        ticket = watch.ticket()
        other.path.rename(store.path)

        assert watch.wait(ticket, SECONDS)


def test_a_file_that_nobody_changes_wakes_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.file_listener.LOOK", (0.0, 0.0))
    monkeypatch.setattr("aiodag.stores.sql.file_listener.WHOLE", 0.0)
    store = SQLite(tmp_path / "runs.db")
    claim(store)
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)
        assert not watch.wait(watch.ticket(), 0.1)  # some hundred looks
    store.close()


def test_what_this_process_has_told_a_server_itself_wakes_once(postgres_address):
    store = store_at(postgres_address)
    claim(store)
    with watch_store(store) as watch:
        assert watch.wait(0, SECONDS)
        before = watch.ticket()
        store.cancel("monday")
        here = watch.ticket()
        in_another_process(postgres_address, "store.register")  # which changes nothing
        in_another_process(postgres_address, "store.put_queue('default')")  # comes after our own notice

        assert watch.wait(here, SECONDS, of={Happening.QUEUED})
        assert (here, watch.ticket()) == (before + 1, before + 2)
    store.close()


def test_a_server_is_told_of_commits_that_others_wait_for_and_of_no_other(postgres_address, schema):
    """Fifty nodes in a chain are a hundred commits, of which one is the end of the run."""

    @task
    async def step(before):
        return before + 1

    async def main():
        async with Run("etl", store=postgres_address, id="monday"):
            node = step(0)
            for _ in range(49):
                node = step(node)

    with psycopg.connect(postgres_address.partition("?")[0], autocommit=True) as connection:
        connection.execute(f'listen "{schema}"')
        asyncio.run(main())
        connection.execute("select pg_notify(%s, 'last')", (schema,))
        notices = [each.payload.split(" ") for each in connection.notifies(timeout=SECONDS, stop_after=2)]

    assert [what for _, *what in notices] == [["ended"], []]


# One for all, while somebody waits


@LINUX
def test_all_who_wait_share_a_thread_and_the_last_one_lets_go_of_it(tmp_path, monkeypatch):
    def threads():
        return [each.name for each in threading.enumerate() if each.name == f"aiodag watch of {store}"]

    monkeypatch.setattr("aiodag.stores.watch.ENDING", SECONDS)  # the thread may be slow to end
    store, other = SQLite(tmp_path / "runs.db"), SQLite(tmp_path / "runs.db")
    claim(store)
    store.close()
    with watch_store(store) as first:
        assert first.wait(0, SECONDS)
        alone = open_files(tmp_path)
        with watch_store(other) as second:
            assert first is second
            assert (open_files(tmp_path), len(threads())) == (alone, 1)
        assert len(threads()) == 1

    assert (open_files(tmp_path), threads(), store.place in WATCHES) == ([], [], False)


def test_a_listener_that_has_lost_its_store_is_made_anew_and_says_that_anything_may_have_happened(monkeypatch):
    monkeypatch.setattr("aiodag.stores.watch.AGAIN", (0.0, *AGAIN[1:]))

    class Lost:
        def wait(self):
            raise StoreError("the connection is lost")

        def close(self): ...

    class Shaky(Memory):
        listeners = iter([Lost(), StoreError("refused"), Lost(), None])

        def listener(self):
            found = next(self.listeners)
            if isinstance(found, StoreError):
                raise found
            return found

    with watch_store(Shaky()) as watch:
        assert all(watch.wait(number, SECONDS) for number in range(2))


def test_nobody_is_told_where_nobody_waits():
    assert note_happening(uuid4().hex, EVERYTHING) is None
