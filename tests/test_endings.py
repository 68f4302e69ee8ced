"""A run that goes on: continued where its process died, resumed where it had ended."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from executions import execute, rows, tries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodag import RecordedError, RunFailed, Skip, State, current_node, settled, task
from aiodag.errors import StoreError
from aiodag.records import Owner
from aiodag.stores import Memory, SQLite
from aiodag.stores.sql.rows import owner_text
from aiodag.testing import run as virtual

GONE = Owner.here()._replace(pid=2**22 + 1)  # above what a system gives out
PROGRAM = Path(__file__).with_name("durable_order.py")
RAN = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()


class DeclinedError(Exception):
    pass


class Cut(BaseException):
    """Ends a process, as far as its store can see: from here on nothing is written."""

    dead = False

    def __init__(self):
        Cut.dead = True


def cut_off(store, body, **options):
    """Execute a body that raises `Cut` somewhere, and leave the run as a killed process would."""
    write_all = store.write_all

    def while_alive(writes):
        if Cut.dead:
            raise StoreError("the process was killed")
        return write_all(writes)

    async def untold():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # nobody is there to be told
        return await body()

    store.write_all = while_alive
    try:
        with suppress(Cut, StoreError, asyncio.CancelledError):
            execute(store, untold, **options)
        assert Cut.dead
    finally:
        store.write_all, Cut.dead = write_all, False
    forget_owner(store)


def forget_owner(store):
    if isinstance(store, Memory):
        store.kept["r"].owner = GONE
    else:
        with store.writing() as connection:
            connection.execute("update runs set owner = ?", (owner_text(GONE),))


@task
async def written(turn=0):
    """Succeed: then all that was before is in the store."""


class Shop:
    """Tasks of an order, and a body that refunds what was declined."""

    def __init__(self):
        self.declines = True
        self.dies = True

        @task
        async def charge():
            RAN["charge"] += 1
            if self.declines:
                raise DeclinedError("card expired")

        @task
        async def refund():
            RAN["refund"] += 1

        @task
        async def ship():
            RAN["ship"] += 1

        self.charge, self.refund, self.ship = charge, refund, ship

    async def order(self):
        try:
            await self.charge()
        except DeclinedError:
            await self.refund()
            if self.dies:
                raise Cut from None
            return "refunded"
        await self.ship()
        return "shipped"


def test_a_body_that_handled_a_failure_takes_the_same_way_when_the_run_is_continued(store):
    shop = Shop()
    cut_off(store, shop.order)
    shop.declines = shop.dies = False

    assert execute(store, shop.order) == "refunded"
    assert RAN == {"charge": 1, "refund": 1}
    assert rows(store) == [("charge", "failed", 1), ("refund", "succeeded", 1)]
    assert store.run("r").state is State.SUCCEEDED


def test_in_the_body_of_a_task_too(store):
    shop = Shop()

    async def body():
        @task
        async def order():
            return await shop.order()

        return await order()

    cut_off(store, body)
    shop.declines = shop.dies = False

    assert execute(store, body) == "refunded"
    assert RAN == {"charge": 1, "refund": 1}


def test_a_failure_that_nobody_took_ends_the_continued_run_as_it_would_have_ended_it_before(store):
    shop = Shop()

    async def body():
        shop.charge()
        await shop.ship()
        if shop.dies:
            raise Cut

    cut_off(store, body)
    shop.declines = shop.dies = False

    with pytest.raises(RunFailed, match="card expired"):
        execute(store, body)
    assert RAN == {"charge": 1, "ship": 1}
    execute(store, body)  # and now it had ended: whoever begins it again wants it tried again
    assert RAN == {"charge": 2, "ship": 1}
    assert tries(store)["charge"] == ["failed", "succeeded"]


def test_a_recalled_error_that_cannot_be_rebuilt_is_a_recorded_one(store):
    dies = [True]

    async def body():
        class LocalError(Exception):
            pass

        @task
        async def charge():
            RAN["charge"] += 1
            raise LocalError("card expired")

        with pytest.raises(Exception, match="card expired") as caught:
            await charge()
        await written()
        if dies:
            raise Cut
        return caught.value

    cut_off(store, body)
    dies.clear()

    error = execute(store, body)
    assert isinstance(error, RecordedError)
    assert RAN == {"charge": 1}


def test_what_its_body_skipped_is_skipped_again_when_the_run_is_continued(store):
    dies = [True]

    @task
    async def fetch():
        RAN["fetch"] += 1
        raise Skip("no file on sundays")

    @task
    async def load(rows):
        RAN["load"] += 1

    async def body():
        with pytest.raises(Skip, match="no file on sundays"):
            await fetch()
        node = load(fetch())
        await asyncio.wait([node])
        await written()
        if dies:
            raise Cut
        return str(node.state)

    cut_off(store, body)
    dies.clear()

    assert execute(store, body) == "skipped"
    assert RAN == {"fetch": 2}


def test_what_was_cancelled_runs_when_the_run_is_continued(store):
    dies = [True]

    @task
    async def slow():
        RAN["slow"] += 1
        if dies:
            await asyncio.Event().wait()

    async def body():
        node = slow()
        if dies:
            while not RAN["slow"]:
                await asyncio.sleep(0)
            node.cancel()
            await asyncio.wait([node])
            await written()
            raise Cut
        await node

    cut_off(store, body)
    dies.clear()
    execute(store, body)

    assert RAN == {"slow": 2}


def test_of_a_run_that_failed_only_what_ended_it_runs_again_with_what_was_skipped_for_it(store):
    shop = Shop()
    shop.dies = False
    fails = [True]

    @task
    async def pack(order):
        RAN["pack"] += 1
        if fails:
            raise OSError("no box")

    @task
    async def send(parcel):
        RAN["send"] += 1

    async def body():
        send(pack(await shop.order()))

    with pytest.raises(RunFailed):
        execute(store, body)
    fails.clear()
    shop.declines = False
    execute(store, body)

    assert RAN == {"charge": 1, "refund": 1, "pack": 2, "send": 1}
    assert tries(store) == {
        "charge": ["failed"],
        "refund": ["succeeded"],
        "pack": ["failed", "succeeded"],
        "send": ["succeeded"],
    }


@pytest.mark.parametrize("way", ["awaited", "grouped", "caused"])
def test_bodies_that_failed_with_a_failure_run_again_with_it(store, way):
    shop = Shop()

    async def body():
        @task
        async def order():
            RAN["order"] += 1
            if way == "grouped":
                async with asyncio.TaskGroup() as group:
                    group.create_task(only(shop.charge()))
            try:
                await shop.charge()
            except DeclinedError as error:
                if way == "caused":
                    raise OSError("no order") from error
                raise

        @task
        async def day():
            RAN["day"] += 1
            await order()

        await day()

    with pytest.raises(Exception, match=r"card expired|no order|unhandled errors"):
        execute(store, body)
    shop.declines = False
    execute(store, body)

    assert {"charge": 2 if way != "grouped" else 3, "order": 2, "day": 2} == RAN
    assert {state for _, state, _ in rows(store)} == {"succeeded"}


async def only(node):
    await node


def test_a_failure_that_was_handled_before_another_one_ended_the_body_is_recalled(store):
    shop = Shop()

    async def body():
        @task
        async def order():
            RAN["order"] += 1
            try:
                await shop.charge()
            except DeclinedError:
                await shop.refund()
                if shop.dies:
                    raise OSError("no paper")
            return "refunded"

        return await order()

    with pytest.raises(OSError, match="no paper"):
        execute(store, body)
    shop.declines = shop.dies = False

    assert execute(store, body) == "refunded"
    assert RAN == {"charge": 1, "refund": 1, "order": 2}


def test_a_run_that_succeeded_takes_back_what_was_handled_when_it_is_begun_again(store):
    shop = Shop()
    shop.dies = False
    execute(store, shop.order)
    shop.declines = False

    assert execute(store, shop.order) == "refunded"
    assert RAN == {"charge": 1, "refund": 1}


def test_what_ended_a_run_is_to_run_again_until_it_has(store):
    """Resumed, and killed before it came to the failure: continued, it must not take that for an outcome of its own."""
    shop = Shop()

    async def body():
        await shop.ship()
        if RAN["ship"] and shop.dies is None:
            raise Cut
        await shop.charge()

    with pytest.raises(DeclinedError):
        execute(store, body)
    shop.dies = None
    cut_off(store, body)
    shop.dies, shop.declines = False, False
    execute(store, body)

    assert RAN == {"ship": 1, "charge": 2}


def test_attempts_that_failed_before_a_kill_count_against_the_retries(store):
    dies = [True]

    @task(retries=2, backoff=0)
    async def flaky():
        attempt = current_node().attempt
        await written(attempt)
        RAN[attempt] += 1
        if attempt == 3 and dies:
            raise Cut
        raise ConnectionError(attempt)

    async def body():
        await flaky()

    cut_off(store, body)
    dies.clear()
    with pytest.raises(ConnectionError, match="4"):
        execute(store, body)

    assert sorted(RAN) == [1, 2, 3, 4]
    assert tries(store)["flaky"][:2] + tries(store)["flaky"][3:] == ["failed"] * 3
    with pytest.raises(ConnectionError, match="7"):  # it had ended: whoever begins it again gives it all its retries
        execute(store, body)


def test_a_child_that_failed_in_an_attempt_that_failed_runs_again_after_a_kill_between_the_two(store):
    dies = [True]

    @task
    async def child():
        RAN["child"] += 1
        if RAN["child"] == 1:
            raise ConnectionError

    @task(retries=1, backoff=0)
    async def parent():
        RAN["parent"] += 1
        await written(RAN["parent"])
        if RAN["parent"] == 2 and dies:
            raise Cut
        await child()

    async def body():
        await parent()

    cut_off(store, body)
    dies.clear()
    execute(store, body)

    assert RAN == {"child": 2, "parent": 3}


def test_what_took_a_recalled_failure_is_recalled_with_it(store):
    dies = [True]

    @task
    async def broken():
        RAN["broken"] += 1
        raise ValueError

    @task
    async def after(value):
        RAN["after"] += 1

    @task
    async def look(node):
        RAN["look"] += 1
        return str(node.state)

    async def body():
        first = broken()
        found = await look(settled(first)), await look(settled(after(first)))
        if dies:
            raise Cut
        return found

    cut_off(store, body)
    dies.clear()

    assert execute(store, body) == ("failed", "skipped")
    assert RAN == {"broken": 1, "look": 2}


@pytest.mark.parametrize("when", ["refunded", "retried"])
def test_a_killed_process_is_continued_by_another_one(place, tmp_path, when):
    def order(*args):
        return subprocess.run(
            [sys.executable, str(PROGRAM), place, str(tmp_path / "effects"), *args],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    first, second = order(when), order()

    assert first.returncode == -signal.SIGKILL, first.stderr
    assert (second.returncode, second.stdout) == (0, "refunded after 4 tries\n" if when == "retried" else "refunded\n")
    effects = (tmp_path / "effects").read_text().split()
    assert effects.count("charge") == effects.count("refund") == 1
    assert "ship" not in effects


# Any program, killed at any commit


trees = st.recursive(
    st.fixed_dictionaries({"fails": st.booleans(), "catches": st.booleans(), "retries": st.integers(0, 1)}),
    lambda inner: st.fixed_dictionaries(
        {
            "fails": st.booleans(),
            "catches": st.booleans(),
            "retries": st.integers(0, 1),
            "calls": st.lists(inner, min_size=1, max_size=3),
        }
    ),
    max_leaves=8,
)


class BoomError(Exception):
    pass


class Program:
    """A tree of calls. Each body calls others in turn, handles what fails or not, and fails or not."""

    def __init__(self, tree):
        self.begun = Counter()

        @task
        async def work(path):
            spec = spec_of(tree, path)
            self.begun[path] += 1
            told = []
            for number in range(len(spec.get("calls", ()))):
                below = f"{path}.{number}"
                call = work.with_options(retries=spec_of(tree, below)["retries"], backoff=0)
                try:
                    told.append(await call(below))
                except BoomError as error:
                    if not spec["catches"]:
                        raise
                    told.append(await work(f"{below}.other") + str(error))
            if spec["fails"]:
                raise BoomError(f"{path} {told}")
            return f"{path} {told}"

        self.work = work

    async def main(self):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of runs that were cut off
        try:
            return await self.work("0")
        except BoomError as error:
            return str(error)


def spec_of(tree, path):
    """Return what a call is to do."""
    for step in path.split(".")[1:]:
        if step == "other":
            return {"fails": False, "catches": False, "retries": 0}
        tree = tree["calls"][int(step)]
    return tree


class Dying(Memory):
    """A store whose process is killed at a commit: before it, or right after it."""

    def __init__(self):
        super().__init__()
        self.left = None

    def write_all(self, writes):
        if self.left == 0:
            raise StoreError("the process was killed")
        self.left = None if self.left is None else self.left - 1
        return super().write_all(writes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_any_program_killed_at_any_commit_ends_as_if_it_had_not_been(tree, kills):
    expected = execute(Memory(), Program(tree).main, runner=virtual)
    store = Dying()
    committed = set()
    for store.left in [*kills, None]:
        program = Program(tree)
        with suppress(StoreError, asyncio.CancelledError):
            value = execute(store, program.main, runner=virtual)
        assert not committed & set(program.begun)
        if store.kept["r"].owner is None:
            break  # it came to its end
        store.kept["r"].owner = GONE
        committed = {path for path, state in outcomes(store) if not may_be_retried(tree, path, state)}

    assert value == expected


def outcomes(store):
    """Return the paths of all calls whose outcome is recorded, with the states."""
    settled_in = {State.SUCCEEDED, State.FAILED}
    return [(node.label[6:-2], node.state) for node in store.nodes("r", every=True) if node.state in settled_in]


def may_be_retried(tree, path, state):
    """Tell whether an enclosing body may be tried again: then what failed in it runs again."""
    steps = path.split(".")
    above = [".".join(steps[:length]) for length in range(2, len(steps))]
    return state is State.FAILED and any(spec_of(tree, each)["retries"] for each in above)


# What version 1.2 has recorded has no marks


def recorded_by_1_2(tmp_path, body):
    """Execute a body, and take from the store what version 1.2 did not write."""
    store = SQLite(tmp_path / "runs.db")
    with suppress(Exception):
        execute(store, body)
    with store.writing() as connection:
        connection.execute("update nodes set void = null, failures = 0, turn = 0")
    return store


def test_of_a_run_of_version_1_2_that_failed_what_its_error_tells_of_runs_again(tmp_path):
    shop = Shop()
    shop.dies = False

    async def body():
        told = await shop.order()

        @task
        async def pack():
            RAN["pack"] += 1
            if shop.declines:
                raise OSError("no box")
            return told

        return await pack()

    store = recorded_by_1_2(tmp_path, body)
    shop.declines = False

    assert execute(store, body) == "refunded"
    assert RAN == {"charge": 1, "refund": 1, "pack": 2}
    store.close()


def test_a_run_of_version_1_2_that_succeeded_takes_back_what_it_handled(tmp_path):
    shop = Shop()
    shop.dies = False
    store = recorded_by_1_2(tmp_path, shop.order)
    shop.declines = False

    assert execute(store, shop.order) == "refunded"
    assert RAN == {"charge": 1, "refund": 1}
    store.close()
