"""Limits and capacities that hold for all processes of a store."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial

import pytest
from executions import claim_one
from programs import ROOT, SECONDS, write_program

from aiodag import Capacity, Limit, OptionError, Run, RunFailed, StoreError, StoreUnreachable, task
from aiodag._core.holdings import Ticket
from aiodag._core.shared import TURN, SharedHoldings
from aiodag.records import Claim, Owner
from aiodag.sharing import Pool, Share
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at
from aiodag.stores.sharing import SHARES
from aiodag.testing import run as virtual

HERE = Owner.here()
ELSEWHERE = Owner("another-host", 1, "1")
GONE = HERE._replace(pid=2**22 + 1)  # above what a system gives out
ONE = Share(1, [{}], None, 0.0)


def keyed(fn=None, **options):
    """A task that is known by its name, and not by what it holds."""
    return task(fn, name="work", key=len_of, **options) if fn else partial(keyed, **options)


def len_of(*args):
    return len(args)


class Meter:
    """Counts the bodies that run at once."""

    def __init__(self):
        self.inside = self.most = 0

    async def body(self, key=None):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(1)
        self.inside -= 1
        return key


def shares_in(store):
    """What each process has of each pool, as the store knows it."""
    with store.reading() as session:
        return session.execute("select name, owner, held, wanted from shared_places").fetchall()


# In one process


def test_a_shared_limit_bounds_bodies_of_several_runs(store):
    meter = Meter()
    work = keyed(meter.body, limit=Limit(3, shared="api"))

    async def one(run_id):
        async with Run("etl", store=store, id=run_id):
            work.map(range(10))

    async def main():
        await asyncio.gather(one("a"), one("b"))
        return asyncio.get_running_loop().time()

    assert (virtual(main()), meter.most) == (7.0, 3)


def test_a_shared_capacity_bounds_bodies_of_several_runs_by_what_they_ask_for(store):
    meter = Meter()
    work = keyed(meter.body, resources={"cores": 2})

    async def one(run_id):
        async with Run("etl", store=store, id=run_id, capacity=Capacity({"cores": 7}, shared="cluster")):
            work.map(range(6))

    async def main():
        await asyncio.gather(one("a"), one("b"))

    virtual(main())

    assert meter.most == 3


def test_loops_of_several_threads_share_a_limit(store):
    inside, most, lock = 0, 0, threading.Lock()

    @keyed(limit=Limit(2, shared="api"))
    async def work(key):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        await asyncio.sleep(0.001)
        async with asyncio.timeout(SECONDS):
            while most < 2:  # a commit may take longer than a body, and then one would come after the other
                await asyncio.sleep(0.001)
        with lock:
            inside -= 1

    async def main(run_id):
        async with Run("etl", store=store, id=run_id):
            work.map(range(20))

    threads = [threading.Thread(target=lambda key=key: asyncio.run(main(f"run{key}"))) for key in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 2


def test_what_waits_for_a_shared_limit_goes_by_priority_and_then_in_the_order_of_the_calls(store):
    order = []

    async def body(key):
        order.append(key)
        await asyncio.sleep(1)

    limit = Limit(1, shared="api")
    plain, urgent = keyed(body, limit=limit), keyed(body, limit=limit, priority=1)

    async def main():
        async with Run("etl", store=store, id="a"):
            plain("before")
            await asyncio.sleep(0.5)
            plain.map(range(3))
            urgent("first")

    virtual(main())

    assert order == ["before", "first", 0, 1, 2]


def test_without_a_store_a_shared_limit_is_as_any_other():
    meter = Meter()
    work = keyed(meter.body, limit=Limit(2, shared="api"), resources={"cores": 1})

    async def main():
        async with Run("etl", capacity=Capacity({"cores": 8}, shared="cluster")):
            work.map(range(4))
        return asyncio.get_running_loop().time()

    assert (virtual(main()), meter.most) == (2.0, 2)


def test_a_node_that_is_cancelled_while_it_waits_holds_nothing(store):
    limit = Limit(1, shared="api")

    @keyed(limit=limit)
    async def work(until):
        await until.wait()

    async def main():
        until = asyncio.Event()
        async with Run("etl", store=store, id="a"):
            _first, second, third = work(until), work(until), work(until)
            await asyncio.sleep(1)
            second.cancel()
            await asyncio.wait([second])
            until.set()
            await third
        return second.cancelled()

    assert virtual(main())


@pytest.fixture
def file(tmp_path):
    """A store in a file, closed in the end: what a run is given is not closed by it."""
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def test_nothing_is_left_in_the_store_when_nobody_holds_or_waits(file):
    work = keyed(Meter().body, limit=Limit(1, shared="api"))

    async def main():
        async with Run("etl", store=file, id="a"):
            work.map(range(3))
            await asyncio.sleep(0.5)
            return shares_in(file)

    ((name, _, held, wanted),) = virtual(main())

    assert (name, json.loads(held), wanted) == ("limit:api", {"attempts": 1, "places": [{}]}, "[]")
    assert shares_in(file) == []
    assert file.place not in SHARES


def test_a_cancelled_function_holds_its_place_until_its_thread_ends(store):
    started, end = threading.Event(), threading.Event()
    limit = Limit(1, shared="api")

    @keyed(limit=limit)
    def blocks():
        started.set()
        end.wait()

    @keyed(limit=limit)
    async def after():
        return end.is_set()

    async def main():
        async with Run("etl", store=store, id="a"):
            node = blocks()
            await asyncio.to_thread(started.wait)
            node.cancel()
            other = after()
            with suppress(asyncio.CancelledError):
                await node
            await asyncio.sleep(0)
            end.set()
        return other.result()

    assert asyncio.run(main())


def test_what_a_closed_loop_held_goes_to_others(file):
    limit = Limit(1, shared="api")

    @keyed(limit=limit)
    async def forever(begun):
        begun.set()
        await asyncio.Event().wait()

    @keyed(limit=limit)
    async def after():
        return 1

    async def stay():
        begun = asyncio.Event()
        run = Run("etl", store=file, id="a")
        await run.__aenter__()
        forever(begun)
        await begun.wait()

    async def main():
        async with Run("etl", store=file, id="b"):
            return await after()

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a task is destroyed that is pending
    loop.run_until_complete(stay())
    loop.close()

    assert asyncio.run(main()) == 1
    # It has to find first that the loop is closed: not in the middle of the next test.
    for thread in threading.enumerate():
        if thread.name == f"aiodag keeper of {file}":
            thread.join(SECONDS)


def test_one_name_for_two_sizes_is_refused_while_the_other_is_in_use(store):
    three = keyed(Meter().body, limit=Limit(3, shared="api"))
    five = keyed(Meter().body, limit=Limit(5, shared="api"))

    async def main(*tasks):
        async with Run("etl", store=store):
            for each in tasks:
                each()
                await asyncio.sleep(0.5)

    with pytest.raises(RunFailed) as failed:
        virtual(main(three, five))
    (error,) = failed.value.exceptions

    assert isinstance(error, OptionError)
    assert "a name for each size: in this process a limit of another size is in use under it" in str(error)
    virtual(main(three))
    virtual(main(five))


def test_a_store_that_shares_nothing_says_so():
    class Plain(Memory):
        share = property()  # nothing of that name

    work = keyed(Meter().body, limit=Limit(3, shared="api"))

    async def main():
        async with Run("etl", store=Plain()):
            work()

    with pytest.raises(RunFailed) as failed:
        virtual(main())

    assert isinstance(failed.value.exceptions[0], StoreError)


@pytest.mark.parametrize("name", ["", 3, b"api", "\ud800"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(OptionError, match="shared"):
        Limit(3, shared=name)
    with pytest.raises(OptionError, match="shared"):
        Capacity({"cores": 3}, shared=name)


def test_the_name_is_shown():
    assert repr(Limit(3, rate=2, shared="api")) == "Limit(3, rate=2, shared='api')"
    assert repr(Capacity({"cores": 3}, shared="cluster")) == "Capacity({'cores': 3}, shared='cluster')"


# Rates


def test_starts_are_reserved_one_after_the_other(pool):
    _, store = pool

    first, second, third = (store.next_start("limit:api", 100.0) for _ in range(3))

    # As exactly as two clocks can be read at once, on a machine that does other things too.
    assert (second - first, third - second) == (pytest.approx(100, abs=10), pytest.approx(100, abs=10))


def test_a_shared_rate_spaces_the_starts_of_several_runs():
    starts, dues, reserved = [], [], []

    async def body(key):
        starts.append(time.monotonic())

    class Noting(Memory):
        def next_start(self, name, interval):
            dues.append(super().next_start(name, interval))
            # As the store has it: by the time that it has read the other clock, a moment has gone by, or many.
            reserved.append(self._starts[name])
            return dues[-1]

    store = Noting()

    work = keyed(body, limit=Limit(rate=50, shared="api"))

    async def one(run_id):
        async with Run("etl", store=store, id=run_id):
            work.map(range(3))

    async def main():
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(main())

    assert [later - sooner > 0.0199 for sooner, later in itertools.pairwise(reserved)] == [True] * 5
    # As exactly as a loop sleeps.
    assert all(start >= due - 0.001 for start, due in zip(starts, sorted(dues), strict=True))


# Whose share counts


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """The address of a store that several processes can have, of each kind."""
    return (
        f"sqlite:///{tmp_path / 'runs.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_address")
    )


@pytest.fixture
def pool(address, monkeypatch):
    if address.startswith("postgresql"):
        # The server has just started, and for a while no lease would run out.
        monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    store = store_at(address)
    yield partial(seen_of, store), store
    store.close()


def seen_of(store, owner=HERE, share=None, part=1):
    """Settle a pool with a share, and return what others have."""
    seen = []

    def settle(others, now):
        seen.extend(others)
        return share

    store.share(owner, part, {"limit:api": settle})
    return seen


def lease_of(store, owner, seconds):
    claim_one(store, Claim(owner.host + str(owner.pid), "etl", None, owner, seconds, time.time()))


def test_what_a_process_has_counts_as_long_as_its_lease(pool):
    seen, store = pool
    lease_of(store, ELSEWHERE, 60)
    seen(ELSEWHERE, ONE)

    assert seen() == [ONE]
    with store.writing() as session:
        session.execute("update leases set until = 0")
    assert seen() == []


def test_what_a_process_had_that_is_known_to_be_gone_counts_no_longer(pool):
    seen, store = pool
    lease_of(store, GONE, 60)
    seen(GONE, ONE)

    assert seen() == []
    assert shares_in(store) == []


def test_a_process_counts_apart_for_each_address_of_the_store(pool):
    seen, store = pool
    lease_of(store, HERE, 60)
    seen(HERE, ONE, 1)

    assert seen(HERE, None, 2) == [ONE]
    assert seen(HERE, ONE, 1) == []


@pytest.mark.parametrize(
    "held", ["", "{}", "[]", '{"attempts": "many", "places": []}', '{"attempts": 1, "places": [3]}']
)
def test_a_row_that_somebody_has_damaged_counts_for_nothing(pool, held):
    seen, store = pool
    lease_of(store, ELSEWHERE, 60)
    seen(ELSEWHERE, ONE)
    with store.writing() as session:
        session.execute("update shared_places set held = ?", (held,))

    assert seen() == []


def test_looking_without_a_change_writes_nothing(file):
    share = Share(1, [{"cores": 2}], (("cores", 2),), 5.0)
    lease_of(file, HERE, 60)
    seen_of(file, HERE, share)
    with file.reading() as session:
        before = session.execute("select total_changes()").fetchone()
    seen_of(file, HERE, share)
    with file.reading() as session:
        after = session.execute("select total_changes()").fetchone()

    assert before == after  # else whoever waits would wake all others that do, and they it


# Who is next


class Process:
    """What one process has of a pool."""

    def __init__(self, loop, totals=({},), limit=None):
        self.loop = loop
        self.holdings = SharedHoldings(Pool("limit:api", totals, limit))
        self.share = None

    def ask(self, request=()):
        ticket = Ticket(request, self.loop)
        self.holdings.change(ticket)
        return ticket

    def leave(self, ticket):
        ticket.leaving = True
        self.holdings.change(ticket)

    def settle(self, *others, now=0.0):
        self.share = self.holdings.settle([each.share for each in others if each.share is not None], now)
        return self.holdings.take_let()


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_process_that_got_nothing_for_long_goes_before_those_that_did(loop):
    quick, slow = (Process(loop, limit=1) for _ in range(2))
    first, second, third = (quick.ask() for _ in range(3))
    quick.settle(slow)
    waiting = slow.ask()
    slow.settle(quick)

    quick.leave(first)
    assert quick.settle(slow, now=TURN / 2) == [second]  # a moment: the other one would have to hear of it first
    quick.leave(second)
    assert quick.settle(slow, now=TURN * 2) == []
    assert slow.settle(quick, now=TURN * 2) == [waiting]
    slow.leave(waiting)
    slow.settle(quick, now=TURN * 3)
    assert quick.settle(slow, now=TURN * 3) == [third]


def test_room_is_kept_for_what_a_process_asks_for_that_waits_longer(loop):
    totals = ({"cores": 4},)
    quick, slow = (Process(loop, totals) for _ in range(2))
    quick.ask((("cores", 3),))
    quick.settle(slow)
    large = slow.ask((("cores", 2),))
    slow.settle(quick)

    small = quick.ask((("cores", 1),))
    assert quick.settle(slow, now=TURN * 2) == []  # the last core is kept for the other one
    assert not small.gone
    assert slow.settle(quick, now=TURN * 2) == []
    assert large.place is None


def test_what_others_have_beyond_the_size_of_this_process_is_no_room(loop):
    small, large = Process(loop, limit=1), Process(loop, limit=3)
    for _ in range(3):
        large.ask()
    large.settle(small)

    small.ask()

    assert small.settle(large) == []


def test_who_was_let_in_without_a_commit_waits_again_where_it_stood(loop):
    process, other = (Process(loop, limit=1) for _ in range(2))
    first, second = process.ask(), process.ask()
    process.holdings.settle([], 0.0)  # the transaction is rolled back
    other.share = ONE

    assert process.settle(other) == []
    other.share = None
    assert process.settle(other) == [first]
    process.leave(first)
    assert process.settle(other) == [second]


# In several processes

WORKER = """
    import asyncio, fcntl, sys, time
    from aiodag import Limit, Run, task

    def count(change):
        with open("inside", "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            inside = int(file.read()) + change
            file.seek(0)
            file.write(f"{inside:6}")
        return inside

    @task(limit=Limit(2, shared="api"))
    async def work(key):
        with open("seen", "a") as file:
            print(count(1), sys.argv[1], file=file)
        await asyncio.sleep(0.002)
        count(-1)

    async def main():
        async with Run("etl", store=sys.argv[2], id=sys.argv[1]):
            work.map(range(30))

    asyncio.run(main())
"""
HOLDER = """
    import asyncio, sys, time
    from aiodag import Limit, Run, task
    from aiodag.stores import keeper
    from aiodag.stores.places import store_at

    keeper.LEASE = 600.0  # far more than the test takes

    @task(limit=Limit(1, shared="api"))
    async def hold():
        with store_at(sys.argv[2]).reading() as session:
            print(*session.execute("select count(*) from leases where until > ?", (time.time(),)).fetchone(), flush=True)
        if sys.argv[1] == "first":
            await asyncio.Event().wait()

    async def main():
        async with Run("etl", store=sys.argv[2], id=sys.argv[1]):
            hold()
            print("waits", flush=True)

    asyncio.run(main())
"""


@pytest.fixture
def start(tmp_path, address):
    """Start programs in one directory and with one store; none of them outlives the test."""
    started = []

    def start(source, name):
        program = write_program(tmp_path, source)
        command = [sys.executable, "-W", "error", program.name, name, address]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, encoding="utf-8")
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_no_more_bodies_run_at_once_in_all_processes_than_a_shared_limit_allows(start, tmp_path):
    (tmp_path / "inside").write_text("     0")
    workers = [start(WORKER, name) for name in "abc"]
    for worker in workers:
        worker.communicate(timeout=3 * SECONDS)  # each body is two commits, of many processes
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]

    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert {inside for inside, _ in seen} <= {"1", "2"}
    assert len(seen) == 90


def test_what_a_killed_process_held_goes_to_others_before_its_lease_ends(start):
    first = start(HOLDER, "first")
    assert [first.stdout.readline() for _ in range(2)] == ["waits\n", "1\n"]
    second = start(HOLDER, "second")
    assert second.stdout.readline() == "waits\n"

    first.send_signal(signal.SIGKILL)
    told, _ = second.communicate(timeout=SECONDS)

    assert told == "2\n"  # leases: that of the one who was killed has not ended


# A store that is away


class Away(Memory):
    """A store that cannot be reached, a few times."""

    def __init__(self, times):
        super().__init__()
        self.left = times

    def reach(self):
        if self.left:
            self.left -= 1
            raise StoreUnreachable("cannot reach the store")

    def share(self, owner, part, settles):
        super().share(owner, part, settles)
        self.reach()  # whether that was committed, nobody knows

    def next_start(self, name, interval):
        self.reach()
        return super().next_start(name, interval)


@pytest.mark.parametrize("limit", [Limit(1, shared="api"), Limit(rate=1000, shared="api")])
def test_attempts_wait_for_a_store_that_cannot_be_reached(limit):
    store, meter = Away(2), Meter()
    work = keyed(meter.body, limit=limit)

    async def main():
        async with Run("etl", store=store, id="a"):
            work.map(range(3))

    virtual(main())

    assert store.left == 0
    assert meter.most == (1 if limit.capacity else 3)
