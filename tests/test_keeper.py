"""Many runs in one process: they share what writes to their store, and one run's trouble is its own."""

import asyncio
import gc
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from contextlib import ExitStack
from pathlib import Path

import pytest
from executions import claim_one
from programs import ROOT, SECONDS, open_files

from aiodag import Run, State, task
from aiodag._core.ledger import Ledger
from aiodag._core.submit import engine_of
from aiodag.errors import LeaseLost, RunCancelled, RunOwned, StoreError
from aiodag.processes import surroundings
from aiodag.records import Claim, Owner
from aiodag.stores import Memory, SQLite
from aiodag.stores.keeper import KEEPERS
from aiodag.stores.lines import LINES
from aiodag.stores.places import DOORS, ENTERING
from aiodag.testing import run as virtual

LINUX = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux says what a process has open")


@task
async def step(before):
    return before


def chain(start, length=5):
    node = step(start)
    for _ in range(length - 1):
        node = step(node)
    return node


async def chained(store, run_id, *, meanwhile=None, **options):
    async with Run("chain", store=store, id=run_id, **options) as run:
        node = chain(run_id)
        if meanwhile is not None:
            await meanwhile(run)
    return node.result()


def keeper_threads(directory):
    """The threads of keepers of stores there: that of another test may still be about to end."""
    names = "aiodag keeper", str(directory)
    return [thread for thread in threading.enumerate() if all(name in thread.name for name in names)]


def keepers(directory):
    return [keeper for keeper in list(KEEPERS.values()) if str(directory) in str(keeper.store)]


def states_of(path):
    store = SQLite(path)
    found = {run.id: run.state for run in store.runs()}
    store.close()
    return found


# One thread for all


def test_many_runs_at_once_all_succeed_and_share_a_thread(tmp_path):
    path, seen = tmp_path / "runs.db", set()

    async def main():
        async def look(run):
            seen.add(len(keeper_threads(tmp_path)))

        return await asyncio.gather(*(chained(path, f"r{number}", meanwhile=look) for number in range(300)))

    assert asyncio.run(main()) == [f"r{number}" for number in range(300)]
    assert set(states_of(path).values()) == {State.SUCCEEDED}
    assert seen == {1}


@LINUX
def test_the_last_run_lets_go_of_the_thread_and_of_the_file(tmp_path):
    async def main():
        await asyncio.gather(*(chained(tmp_path / "runs.db", f"r{number}") for number in range(9)))
        return open_files(tmp_path), keepers(tmp_path)

    assert asyncio.run(main()) == ([], [])
    for thread in keeper_threads(tmp_path):
        thread.join(SECONDS)  # it has said that it is about to end
    assert keeper_threads(tmp_path) == []


@LINUX
def test_a_run_that_goes_on_keeps_the_file_for_the_next(tmp_path):
    async def main():
        async with Run("first", store=tmp_path / "runs.db", id="first"):
            before = open_files(tmp_path)
            for number in range(20):
                await chained(tmp_path / "runs.db", f"r{number}")
            return len(keeper_threads(tmp_path)), before == open_files(tmp_path)

    assert asyncio.run(main()) == (1, True)


@LINUX
def test_a_store_that_its_user_has_closed_is_not_left_open_by_runs_that_went_on(tmp_path):
    mine = SQLite(tmp_path / "runs.db")

    async def main():
        async def close(run):
            async with Run("first", store=mine, id="first"):
                pass
            mine.close()

        async with Run("before", store=mine, id="before"):
            await chained(tmp_path / "runs.db", "second", meanwhile=close)
        return open_files(tmp_path)

    assert asyncio.run(main()) == []
    assert set(states_of(tmp_path / "runs.db").values()) == {State.SUCCEEDED}


def test_a_store_that_cannot_be_closed_fails_no_run_and_says_that_it_stays_open(tmp_path, monkeypatch, caplog):
    other, path = SQLite(tmp_path / "runs.db"), tmp_path / "runs.db"
    close, held, left_open = SQLite.close, ExitStack(), []

    def close_while_another_writes(store):
        left_open.append(store)
        held.enter_context(other.writing())
        monkeypatch.setattr(SQLite, "close", close)
        store.close()

    monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
    monkeypatch.setattr(SQLite, "close", close_while_another_writes)
    with held:
        assert asyncio.run(chained(path, "first")) == "first"
    for store in (other, *left_open):
        store.close()
    said = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    (warning,) = [line for line in said if str(path) in line]  # what is left of another test may warn, too
    assert warning.startswith(
        f"the store stays open: cannot close the store {path}: database is locked. Another thread"
    )
    assert states_of(path) == {"first": State.SUCCEEDED}


@LINUX
def test_a_run_that_is_cancelled_while_it_is_opened_has_let_go_of_the_file_when_it_raises(tmp_path, monkeypatch):
    other, claim_all, asked = SQLite(tmp_path / "runs.db"), SQLite.claim_all, threading.Event()

    def ask(*args, **options):
        asked.set()
        return claim_all(*args, **options)

    monkeypatch.setattr(SQLite, "claim_all", ask)

    async def main():
        with other.writing():  # the run cannot be claimed meanwhile
            opening = asyncio.create_task(chained(tmp_path / "runs.db", "first"))
            while not asked.is_set():  # nobody waits for a claim that is given up before
                await asyncio.sleep(0)
            opening.cancel()
            for _ in range(9):
                await asyncio.sleep(0)
            assert not opening.done()
        other.close()
        with pytest.raises(asyncio.CancelledError):
            await opening
        return open_files(tmp_path), keepers(tmp_path)

    assert asyncio.run(main()) == ([], [])


def test_a_virtual_clock_goes_on_after_a_run_that_was_cancelled_while_its_end_was_written():
    asked, goes_on = threading.Event(), threading.Event()

    class Held(Memory):
        def write_all(self, writes):
            if any(write.batch.state for write in writes):
                asked.set()
                goes_on.wait(SECONDS)
            return super().write_all(writes)

    async def main():
        running = asyncio.create_task(chained(Held(), "first"))
        while not asked.is_set():
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        goes_on.set()
        clock = engine_of(asyncio.get_running_loop()).real_time
        until = time.monotonic() + SECONDS
        while clock.count and time.monotonic() < until:
            await asyncio.to_thread(time.sleep, 0.001)
        return clock.count

    assert virtual(main()) == 0


def test_runs_that_are_cancelled_before_their_turn_to_begin_keep_no_other_from_it(tmp_path):
    async def main():
        runs = [asyncio.create_task(chained(tmp_path / "runs.db", f"run-{number}")) for number in range(4 * ENTERING)]
        await asyncio.sleep(0)
        for each in runs[::2]:
            each.cancel()
        ends = await asyncio.gather(*runs, return_exceptions=True)
        return ends, DOORS[asyncio.get_running_loop()]

    ends, doors = asyncio.run(main())

    assert {type(each) for each in ends[::2]} == {asyncio.CancelledError}
    assert ends[1::2] == [f"run-{number}" for number in range(1, 4 * ENTERING, 2)]
    assert doors == {}


def test_a_file_has_one_keeper_whatever_its_stores_call_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path)
    own = SQLite(tmp_path / "runs.db")
    places = ["runs.db", "sqlite:///runs.db", tmp_path / "linked" / "runs.db", own, "sqlite:///./runs.db?keep=0"]

    async def main():
        async def look(run):
            seen.add(len(KEEPERS.keys() - before))

        seen, before = set(), set(KEEPERS)
        await asyncio.gather(*(chained(place, f"r{number}", meanwhile=look) for number, place in enumerate(places)))
        return seen

    assert asyncio.run(main()) == {1}
    assert len(states_of("runs.db")) == 5
    own.close()


def test_two_stores_and_a_run_inside_a_run_each_have_their_own(tmp_path):
    @task
    async def inside():
        return await chained(tmp_path / "a.db", "inner")

    async def main():
        async with Run("outer", store=tmp_path / "a.db", id="outer"):
            async with Run("other", store=tmp_path / "b.db", id="other"):
                node = inside()
                await node
                return node.result(), len(keepers(tmp_path))

    assert asyncio.run(main()) == ("inner", 2)
    assert states_of(tmp_path / "a.db") == {"outer": State.SUCCEEDED, "inner": State.SUCCEEDED}
    assert states_of(tmp_path / "b.db") == {"other": State.SUCCEEDED}


def test_loops_of_several_threads_share_the_keeper_of_their_store(tmp_path):
    everybody, found = threading.Barrier(4), {}

    def work(name):
        async def main():
            async def meet(run):
                await asyncio.to_thread(everybody.wait, SECONDS)
                seen.append(len(keeper_threads(tmp_path)))
                await asyncio.to_thread(everybody.wait, SECONDS)

            seen = []
            await asyncio.gather(
                chained(tmp_path / "runs.db", f"{name}-0", meanwhile=meet),
                *(chained(tmp_path / "runs.db", f"{name}-{number}") for number in range(1, 20)),
            )
            found[name] = seen

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {name: [1] for name in "abcd"}
    assert list(states_of(tmp_path / "runs.db").values()) == [State.SUCCEEDED] * 80


@LINUX
def test_a_loop_that_dies_with_its_runs_leaves_neither_a_thread_nor_a_lease(tmp_path, monkeypatch):
    path, detach, detached = tmp_path / "runs.db", LINES.detach, []

    def note(runs):  # of which thread: that of another test may still have runs, too
        detached.append((threading.current_thread(), runs))
        detach(runs)

    monkeypatch.setattr(LINES, "detach", note)

    async def enter():
        await Run("left", store=path, id="left").__aenter__()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(enter())
    loop.close()
    (thread,) = keeper_threads(tmp_path)
    thread.join(SECONDS)

    assert not thread.is_alive()
    assert open_files(tmp_path) == []
    assert [runs for by, runs in detached if by is thread] == [1]  # nor what keeps lines
    assert asyncio.run(chained_as("left", path)) == "left"  # its process lives on, and would have kept it


async def chained_as(name, path):
    async with Run(name, store=path, id=name):
        node = chain(name)
    return node.result()


def test_a_process_that_ends_in_the_middle_of_its_runs_does_not_hang(tmp_path):
    program = """
        import asyncio, sys
        from aiodag import Run

        async def main():
            for number in range(3):
                await Run("left", store="runs.db", id=f"r{number}").__aenter__()
            sys.exit(7)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_keeper_of_its_parent(tmp_path):
    program = """
        import asyncio, os, sys, threading
        from aiodag import Run, StoreError, task
        from aiodag.stores.keeper import KEEPERS

        @task
        async def step(): return 1

        async def child_run(store):
            async with Run("child", store=store, id="child"):
                return await step()

        def child():
            assert not KEEPERS
            assert asyncio.new_event_loop().run_until_complete(child_run("other.db")) == 1
            try:
                asyncio.new_event_loop().run_until_complete(child_run("runs.db"))
            except StoreError as error:
                assert "was forked" in str(error), error
                os._exit(0)
            os._exit(3)

        async def main():
            async with Run("parent", store="runs.db", id="parent") as run:
                await step()
                # In the middle of a commit the thread has locks of SQLite itself, which nobody would release in the child.
                store, rests, goes_on = KEEPERS[run.journal.store.place].store, threading.Event(), threading.Event()
                held_runs = store.held_runs
                store.held_runs = lambda owner: (rests.set(), goes_on.wait(), held_runs(owner))[-1]
                rests.wait()
                pid = os.fork()
                if not pid:
                    asyncio._set_running_loop(None)
                    try:
                        child()
                    finally:
                        os._exit(4)
                goes_on.set()
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)
    assert states_of(tmp_path / "runs.db") == {"parent": State.SUCCEEDED}
    assert states_of(tmp_path / "other.db") == {"child": State.SUCCEEDED}


# Trouble


class Picky:
    """A codec of values that SQLite does not take."""

    name = "picky"

    def encode(self, value):
        return "x" * 2_000_000 if value == "large" else value

    def decode(self, stored):
        return stored


@task(codec=Picky())
async def picky(value):
    return value


def test_a_value_that_is_too_large_fails_its_run_alone(tmp_path):
    store = SQLite(tmp_path / "runs.db")

    async def one(value, number):
        async with Run("values", store=store, id=f"r{number}"):
            await picky(value)

    async def main():
        async with Run("first", store=store, id="first"):
            store.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
            values = ["large" if number == 3 else "small" for number in range(9)]
            return await asyncio.gather(*map(one, values, range(9)), return_exceptions=True)

    ends = asyncio.run(main())

    assert [type(end) for end in ends] == [StoreError if number == 3 else type(None) for number in range(9)]
    assert "too big" in str(ends[3])
    found = states_of(tmp_path / "runs.db")
    assert found.pop("r3") is State.RUNNING  # its end could not be told apart from what could not be written
    assert set(found.values()) == {State.SUCCEEDED}
    store.close()  # the limit is the connection's
    asyncio.run(one("small", 3))
    assert states_of(tmp_path / "runs.db")["r3"] is State.SUCCEEDED
    store.close()


def test_a_codec_that_fails_fails_its_run_alone(tmp_path):
    class Broken(Picky):
        name = "broken"

        def encode(self, value):
            raise ZeroDivisionError(value)

    broken = task(codec=Broken())(abs)

    async def one(number):
        async with Run("values", store=tmp_path / "runs.db", id=f"r{number}"):
            (broken if number == 3 else step)(number)

    async def main():
        return await asyncio.gather(*(one(number) for number in range(9)), return_exceptions=True)

    assert [number for number, end in enumerate(asyncio.run(main())) if end is not None] == [3]
    assert [run for run, state in states_of(tmp_path / "runs.db").items() if state is not State.SUCCEEDED] == ["r3"]


def test_a_run_that_is_lost_is_lost_alone(tmp_path):
    store = SQLite(tmp_path / "runs.db")

    async def one(number):
        async with Run("lost", store=store, id=f"r{number}"):
            await everybody.wait()
            if number == 3:
                with sqlite3.connect(store.path, timeout=SECONDS) as other:
                    other.execute("update runs set execution = execution + 1 where id = 'r3'")
                other.close()
            return await step(number)

    everybody = asyncio.Barrier(9)

    async def main():
        return await asyncio.gather(*(one(number) for number in range(9)), return_exceptions=True)

    ends = asyncio.run(main())
    store.close()
    assert isinstance(ends.pop(3), LeaseLost)
    assert ends == [0, 1, 2, 4, 5, 6, 7, 8]


def test_a_full_disk_fails_all_runs_with_its_reason_and_all_go_on_when_there_is_room(tmp_path):
    store, everybody = SQLite(tmp_path / "runs.db"), asyncio.Barrier(9)

    async def one(number, *, full):
        async with Run("full", store=store, id=f"r{number}"):
            await step(number)
            if full and await everybody.wait() == 0:
                pages = store.connection.execute("pragma page_count").fetchone()[0]
                store.connection.execute(f"pragma max_page_count = {pages}")
            return len(await step("x" * 100_000))

    async def main(*, full):
        return await asyncio.gather(*(one(number, full=full) for number in range(9)), return_exceptions=True)

    ends = asyncio.run(main(full=True))
    store.close()  # a limit of the connection

    assert {type(end) for end in ends} == {StoreError}
    assert all("full. Make room, then resume the run" in str(end) for end in ends)
    assert len({id(end) for end in ends}) == 9
    assert asyncio.run(main(full=False)) == [100_000] * 9
    assert set(states_of(store.path).values()) == {State.SUCCEEDED}
    store.close()


def test_a_run_that_another_of_the_same_claims_has_is_said_to_be_owned_for_no_longer_than_a_lease(tmp_path):
    async def main():
        return await asyncio.gather(*[chained(tmp_path / "runs.db", "same") for _ in range(3)], return_exceptions=True)

    refused = [each for each in asyncio.run(main()) if isinstance(each, RunOwned)]

    assert len(refused) == 2
    seconds = [re.search(r"owned by this process, process .* for another (\d+) s", str(each))[1] for each in refused]
    assert all(0 < int(each) <= 15 for each in seconds)


def test_of_many_runs_that_begin_at_once_those_that_cannot_be_made_are_refused_alone(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    claim_one(store, Claim("of another name", "other", None, here, lease=15, at=time.time()))
    claims = [
        Claim(run_id, "etl", None, here, lease=15, at=time.time())
        for run_id in ("first", "\ud800", "of another name", "last")
    ]

    first, unwritable, other, last = store.claim_all(claims)
    again = store.claim_all(claims[::3])
    states = {run.id: run.execution for run in store.runs()}
    store.close()

    assert (first.execution, last.execution) == (1, 1)
    assert isinstance(unwritable, StoreError)
    assert "is one of 'other', not of 'etl'" in str(other)
    assert [type(each) for each in again] == [RunOwned, RunOwned]
    assert states == {"of another name": 1, "first": 1, "last": 1}


@pytest.mark.parametrize("others", [False, True])
def test_a_run_that_could_not_be_let_go_of_is_free_when_the_store_can_be_written_to_again(
    tmp_path, monkeypatch, others
):
    path = tmp_path / "runs.db"
    monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)

    async def main():
        async def lock(_):
            blocker.execute("begin immediate")

        with sqlite3.connect(path, isolation_level=None) as blocker:
            with pytest.raises(StoreError, match="locked"):
                await chained(path, "a", meanwhile=lock)
            while keeper_threads(tmp_path):
                await asyncio.sleep(0.01)
            blocker.rollback()
        blocker.close()
        if others:  # it is let go of with whatever run comes next
            await chained(path, "b")
        return await chained(path, "a")

    assert asyncio.run(main()) == "a"


def test_a_fault_of_a_store_ends_its_runs_and_none_waits_for_ever():
    class Faulty(Memory):
        faults = False

        def release(self, claimed):
            raise ZeroDivisionError

        def write_all(self, writes):
            if self.faults:
                return []  # not an answer for each
            return super().write_all(writes)

    store = Faulty()

    async def one(number):
        async with Run("faulty", store=store, id=f"r{number}"):
            await step(number)
            store.faults = True
            await step("next")

    async def main():
        return await asyncio.wait_for(asyncio.gather(*map(one, range(5)), return_exceptions=True), SECONDS)

    assert {type(end) for end in asyncio.run(main())} == {ValueError}


def test_a_fault_while_rows_are_written_out_ends_its_run_alone(tmp_path, monkeypatch):
    label_of = Ledger.label_of

    def fail_for_one(ledger, node):
        if node.run.id == "r3":
            raise ZeroDivisionError
        return label_of(ledger, node)

    async def one(number):
        async with Run("faulty", store=tmp_path / "runs.db", id=f"r{number}"):
            return await step(number)

    async def main():
        ends = await asyncio.wait_for(asyncio.gather(*map(one, range(5)), return_exceptions=True), SECONDS)
        return ends, engine_of(asyncio.get_running_loop()).real_time.count

    monkeypatch.setattr(Ledger, "label_of", fail_for_one)
    ends, away = asyncio.run(main())
    assert isinstance(ends.pop(3), ZeroDivisionError)
    assert (ends, away) == ([0, 1, 2, 4], 0)
    found = states_of(tmp_path / "runs.db")
    assert found.pop("r3") is State.RUNNING
    assert set(found.values()) == {State.SUCCEEDED}


def test_a_claim_for_less_does_not_shorten_the_lease_of_its_process(tmp_path):
    store, now = SQLite(tmp_path / "runs.db"), time.time()
    first, late = (Claim(name, "r", None, here, lease=lease, at=now) for name, lease in (("a", 60.0), ("b", 10.0)))

    def until():
        with store.reading() as connection:
            ((until,),) = connection.execute("select until from leases").fetchall()
        return until

    store.claim_all([first, late])
    longest = until()
    assert longest >= now + 60
    claim_one(store, late._replace(id="c"))
    assert until() == longest
    store.renew(here, 10)
    assert until() == longest
    store.renew(here, 90)
    assert until() >= longest + 30
    store.close()


def test_runs_are_cancelled_one_by_one(tmp_path):
    path, everybody = tmp_path / "runs.db", asyncio.Barrier(4)

    async def one(number):
        async with Run("cancelled", store=path, id=f"r{number}"):
            if await everybody.wait() == 0:
                other = SQLite(path)
                await asyncio.to_thread(other.cancel, "r2")
                other.close()
            if number == 2:
                await asyncio.Event().wait()
            return await step(number)

    async def main():
        return await asyncio.gather(*(one(number) for number in range(4)), return_exceptions=True)

    ends = asyncio.run(main())
    assert isinstance(ends.pop(2), RunCancelled)
    assert ends == [0, 1, 3]


def test_one_lease_keeps_all_runs_of_a_process(tmp_path):
    path = tmp_path / "runs.db"

    async def look(run):
        await everybody.wait()

    async def main():
        return await asyncio.gather(*(chained(path, f"r{number}", meanwhile=look) for number in range(5)), rows())

    async def rows():
        await everybody.wait()
        connection = sqlite3.connect(path)
        found = connection.execute("select owner from leases").fetchall()
        owners = connection.execute("select count(distinct owner), count(*) from runs").fetchone()
        connection.close()
        return found, owners

    everybody = asyncio.Barrier(6)
    (leases, owners) = asyncio.run(main())[-1]

    assert owners == (1, 5)
    assert [json.loads(owner)[1] for (owner,) in leases] == [os.getpid()]


def test_a_run_that_has_ended_is_let_go_of_without_the_garbage_collector(tmp_path):
    async def main():
        async with Run("keeps the file open", store=tmp_path / "runs.db", id="outer"):
            gc.collect()
            gc.disable()
            try:
                for number in range(3):
                    await chained(tmp_path / "runs.db", f"run-{number}", meanwhile=note)
                return [each() for each in seen[:4]]  # the thread may still hold the last one, for a moment
            finally:
                gc.enable()

    async def note(run):
        seen.append(weakref.ref(run))
        seen.append(weakref.ref(run.journal))

    seen = []

    assert asyncio.run(main()) == [None] * 4


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="counts what this collector counts")
def test_runs_that_come_and_go_leave_nothing_in_memory(tmp_path):
    def objects():
        gc.collect()
        return len(gc.get_objects())

    async def follow(numbers):
        for number in numbers:
            await chained(tmp_path / "runs.db", f"run-{number}")

    async def main():
        async with Run("keeps the file open", store=tmp_path / "runs.db", id="outer"):
            await follow(range(20))  # what is made once: statements, caches
            before = objects()
            numbers = iter(range(20, 419))
            await asyncio.gather(*[follow(numbers) for _ in range(20)])
            await follow([419])  # the thread may still hold what it has written last, which is up to 20 runs
            return objects() - before

    assert asyncio.run(main()) < 400  # less than one object for each run


# Who is gone

here = Owner.here()


@pytest.mark.skipif(not surroundings(), reason="the system does not say where its process ids count")
@pytest.mark.parametrize("make", [Memory, None], ids=["memory", "sqlite"])
@pytest.mark.parametrize(
    ("owner", "free"),
    [
        (here._replace(pid=2**22 + 1), True),
        (here._replace(began=here.began.replace(here.began.split()[0], "1", 1)), True),  # its id is another's now
        (here._replace(pid=2**22 + 1, began=f"1 another-boot {here.began.split()[2]}"), False),
        (here._replace(pid=2**22 + 1, began=f"1 {here.began.split()[1]} pid:[1]"), False),
        (here._replace(pid=2**22 + 1, began="1"), False),  # as 1.3 wrote it
        (here, False),
    ],
    ids=["ended", "followed", "other boot", "other namespace", "of 1.3", "alive"],
)
def test_an_owner_is_gone_only_where_its_id_is_one_of_this_system(tmp_path, make, owner, free):
    store = SQLite(tmp_path / "runs.db") if make is None else make()
    now = 1e9
    claim_one(store, Claim("r", "r", None, owner, lease=60.0, at=now))
    again = Claim("r", "r", None, here, lease=60.0, at=now + 1)
    try:
        if free:
            assert claim_one(store, again).execution == 2
        else:
            with pytest.raises(RunOwned):
                claim_one(store, again)
    finally:
        store.close()


async def test_a_keeper_whose_thread_cannot_be_started_is_joined_by_nobody(tmp_path, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    store = str(tmp_path / "runs.db")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            await chained(store, "first")
    assert keepers(tmp_path) == []
    assert await asyncio.wait_for(chained(store, "second"), SECONDS) == "second"
