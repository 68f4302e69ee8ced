"""A run that begins again: generation after generation under one id, each with a history of its own."""

import asyncio
import logging
from pathlib import Path

import pytest
from family_flow import lines_in
from test_worker import Working
from worker_processes import PATIENCE, Workers, until

from aiodag import Limit, Run, RunFailed, current_node, task
from aiodag.messages import begin_again
from aiodag.queue_defaults import DEATHS
from aiodag.service import Service
from aiodag.stores import SQLite


@task
async def double(x):
    return 2 * x


@task
async def count(n, last, seen=None):
    seen = [] if seen is None else seen
    seen.append(await double(n))
    if n < last:
        begin_again(n=n + 1, last=last, seen=seen)
    return seen


async def test_a_body_begins_again_with_other_arguments_and_gives_the_value_of_its_last_turn():
    assert await count(1, 3) == [2, 4, 6]


async def test_a_body_that_waits_for_nothing_begins_again_and_lets_the_loop_go_on():
    turns = []

    @task
    async def spin(n=0):
        turns.append(n)
        begin_again(n=n + 1)

    node = spin()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    while len(turns) < 3:
        await asyncio.sleep(0)
    node.cancel()
    with pytest.raises(asyncio.CancelledError):
        await node


@pytest.mark.parametrize("options", [{}, {"retries": 2}, {"timeout": 3600}, {"limit": Limit(1)}])
async def test_it_begins_again_in_a_run_whatever_its_options(options):
    async with Run("count") as run:
        node = count.with_options(**options)(1, 3)

    assert (node.result(), node.attempt) == ([2, 4, 6], 1)
    assert run.state == "succeeded"


async def test_what_a_turn_has_called_settles_before_the_next_one():
    order = []

    @task
    async def slow(n):
        await asyncio.sleep(0)
        order.append(f"slow {n}")

    @task
    async def turn(n=1):
        order.append(f"turn {n}")
        slow(n)
        if n < 2:
            begin_again(n=n + 1)

    async with Run("turns"):
        turn()

    assert order == ["turn 1", "slow 1", "turn 2", "slow 2"]


async def test_a_failure_of_a_turn_that_nobody_has_taken_ends_the_run_and_there_is_no_next_turn():
    turns = []

    @task
    async def wrong():
        raise OSError("disk full")

    @task
    async def turn(n=1):
        turns.append(n)
        wrong()
        begin_again(n=n + 1)

    with pytest.raises(RunFailed, match="disk full"):
        async with Run("turns"):
            turn()

    assert turns == [1]


async def test_a_failure_that_a_turn_has_handled_does_not_keep_the_next_one_from_beginning():
    @task
    async def wrong():
        raise OSError("disk full")

    @task
    async def turn(n=1):
        with pytest.raises(OSError, match="disk full"):
            await wrong()
        if n < 3:
            begin_again(n=n + 1)
        return n

    async with Run("turns"):
        node = turn()

    assert node.result() == 3


async def test_what_needs_a_body_waits_for_its_last_turn():
    async with Run("turns"):
        node = task(len)(count(1, 5))

    assert node.result() == 5


async def test_the_error_of_a_later_turn_shows_nothing_of_the_turns_before():
    @task
    async def turn(n=1):
        if n < 3:
            begin_again(n=n + 1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full") as caught:
        await turn()

    assert caught.value.__context__ is None


async def test_an_except_of_exceptions_does_not_see_that_a_body_begins_again():
    @task
    async def turn(n=1):
        try:
            if n < 2:
                begin_again(n=n + 1)
        except Exception:  # noqa: BLE001 - what bodies do that handle all that fails
            return "caught"
        return n

    assert await turn() == 2


# In a store


class Ledger:
    """What bodies have done, in this process, and where one of them stops."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.done = []
        self.keys = []


def renewing(ledger, **options):
    """A task that renews something for three months, and pays each month."""

    @task(name="pay")
    async def pay(month):
        logging.getLogger("app").warning("paid for %d", month)
        ledger.keys.append(current_node().key)
        if month == ledger.stop_at:
            raise OSError("the bank is closed")
        ledger.done.append(month)
        return month

    @task(name="book")
    async def book(paid):
        return f"booked {paid}"

    @task(name="renew", **options)
    async def renew(month=1, paid=None):
        booked = await book(pay(month))
        if month < 3:
            begin_again(month=month + 1, paid=[*(paid or []), booked])
        return [*(paid or []), booked]

    return renew


MONTHS = ["booked 1", "booked 2", "booked 3"]


async def test_the_store_has_the_last_generation_and_nothing_of_those_before(store):
    ledger = Ledger()

    async with Run("renewals", store=store, id="r") as run:
        node = renewing(ledger)()

    assert node.result() == MONTHS
    assert [(each.name, each.state) for each in store.nodes("r", every=True)] == [
        ("renew", "succeeded"),
        ("pay", "succeeded"),
        ("book", "succeeded"),
    ]
    assert [(edge.up, edge.down) for edge in store.edges("r")] == [(5, 6)]
    assert [line.text for line in store.logs("r")] == ["paid for 3"]
    assert run.state == "succeeded"


async def test_the_same_call_has_another_key_in_each_generation(store):
    ledger = Ledger()

    @task(name="same")
    async def same():
        ledger.keys.append(current_node().key)

    @task(name="turns")
    async def turns(n=0):
        ledger.keys.append(current_node().key)
        await same()
        if n < 2:
            begin_again(n=n + 1)

    async with Run("turns", store=store, id="r"):
        turns()

    assert len(set(ledger.keys)) == 6


async def test_a_run_that_failed_goes_on_with_its_last_generation(store):
    broken, mended = Ledger(stop_at=2), Ledger()

    with pytest.raises(RunFailed, match="the bank is closed"):
        async with Run("renewals", store=store, id="r"):
            renewing(broken)()
    async with Run("renewals", store=store, id="r"):
        node = renewing(mended)()

    assert node.result() == MONTHS
    assert (broken.done, mended.done) == ([1], [2, 3])
    assert broken.keys[1] == mended.keys[0]


async def test_a_run_that_has_ended_is_recalled_with_the_value_of_its_last_generation(store):
    first, second = Ledger(), Ledger()

    async with Run("renewals", store=store, id="r"):
        renewing(first)()
    async with Run("renewals", store=store, id="r"):
        node = renewing(second)()

    assert (node.result(), second.done) == (MONTHS, [])


async def test_a_body_that_is_tried_again_begins_its_attempts_anew_in_each_generation(store):
    tries = []

    @task(name="turns", retries=1)
    async def turns(n=1):
        tries.append((n, current_node().attempt))
        if len(tries) in {2, 4}:
            raise OSError("not now")
        if n < 3:
            begin_again(n=n + 1)

    async with Run("turns", store=store, id="r"):
        turns()

    assert tries == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]


async def test_what_others_have_called_stays_on_record(store):
    ledger = Ledger()

    @task(name="around")
    async def around():
        await task(name="inside")(abs)(-1)

    async with Run("renewals", store=store, id="r"):
        await around()
        renewing(ledger)()

    assert {each.name for each in store.nodes("r", every=True)} == {"around", "inside", "renew", "pay", "book"}


async def test_a_second_body_of_a_run_does_not_begin_again(store):
    @task(name="turns")
    async def turns(which, n=1):
        if n < 2:
            begin_again(which=which, n=n + 1)

    with pytest.raises(RunFailed, match="turns cannot begin again: another body of run 'r' has"):
        async with Run("turns", store=store, id="r"):
            await turns("a")
            turns("b")


async def test_arguments_that_cannot_be_stored_fail_the_node_and_change_nothing(store):
    @task(name="turns")
    async def turns(n=1):
        begin_again(n=object())

    with pytest.raises(RunFailed, match="object"):
        async with Run("turns", store=store, id="r"):
            turns()

    assert [each.state for each in store.nodes("r")] == ["failed"]


async def test_the_file_of_a_store_does_not_grow_with_the_generations(tmp_path):
    @task(name="turns")
    async def turns(last, n=0):
        await task(name="work")(str)(n)
        if n < last:
            begin_again(last=last, n=n + 1)

    sizes = []
    for last in (20, 200):
        path = tmp_path / f"{last}.db"
        store = SQLite(path)
        async with Run("turns", store=store, id="r"):
            turns(last)
        store.close()
        sizes.append(path.stat().st_size)

    assert sizes[1] <= sizes[0] + 4096


# In workers

FAMILY = str(Path(__file__).parent / "family_flow.py")


async def test_a_run_that_begins_again_is_parked_and_woken_in_each_generation(store, tmp_path):
    service, done = Service(store), str(tmp_path / "done")
    run_id = service.submit(f"{FAMILY}:months", {"file": done, "last": 5})

    async with Working(service, linger=0.0):
        value = await service.result(run_id, timeout=PATIENCE)

    assert (value, service.run(run_id).generation) == (5, 4)
    assert [line.split()[0] for line in lines_in(done)] == ["1", "2", "3", "4", "5"]
    assert store.waits() == []


async def test_a_run_that_begins_again_survives_kills_at_any_moment(tmp_path):
    """More of them than would be poison, if a generation did not count as getting on."""
    service, done = Service(f"sqlite:///{tmp_path}/runs.db"), str(tmp_path / "done")
    run_id = service.submit(f"{FAMILY}:months", {"file": done, "last": 8 * (DEATHS + 1)})
    workers = Workers(f"sqlite:///{tmp_path}/runs.db", tmp_path)

    try:
        for _ in range(DEATHS + 1):
            before = len(lines_in(done))
            process = workers.start("--linger", "0s")
            # So many that one generation is on record, whatever was cut off before; or all of them, before this looks.
            await until(
                lambda before=before: len(lines_in(done)) > before + 2 or service.run(run_id).state.final, "it goes on"
            )
            process.kill()
            process.wait()
        workers.start("--linger", "0s")
        value = await service.result(run_id, timeout=PATIENCE)
    finally:
        workers.end()
        service.close()

    paid = [line.split() for line in lines_in(done)]
    keys = {month: {key for each, key in paid if each == month} for month, _ in paid}
    assert value == 8 * (DEATHS + 1)
    assert list(keys) == [str(month) for month in range(1, value + 1)]
    assert [len(each) for each in keys.values()] == [1] * value
    assert len(set.union(*keys.values())) == value


# What is refused


async def test_arguments_that_do_not_fit_are_refused_where_they_are_given():
    @task
    async def turn(n=1):
        begin_again(m=n + 1)

    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        await turn()


async def test_a_node_is_refused_for_an_argument():
    @task
    async def turn(n=1):
        begin_again(n=double(n))

    with pytest.raises(TypeError, match="await the node first"):
        await turn()


async def test_a_body_that_another_one_has_called_does_not_begin_again():
    @task
    async def outer():
        await inner()

    @task
    async def inner():
        assert current_node().name.endswith("inner")
        begin_again()

    with pytest.raises(RuntimeError, match=r"inner, which .*outer has called"):
        await outer()


async def test_it_is_refused_outside_of_a_body():
    with pytest.raises(RuntimeError, match="outside of a body"):
        begin_again()
