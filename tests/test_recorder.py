"""Runs that survive: what is recalled, what runs again, and who may write."""

import asyncio
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psycopg
import pytest
from executions import execute
from programs import SECONDS

from aiodag import Run, RunFailed, Skip, State, current_node, settled, task
from aiodag.codec.text import decode, decode_error
from aiodag.errors import (
    LeaseLost,
    NoCodec,
    NoFingerprint,
    RunCancelled,
    RunOwned,
    StoreError,
    Undecodable,
    ValueTooLarge,
)
from aiodag.records import BARRIER, left_out, output_text
from aiodag.service import Service
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at
from aiodag.stores.rehearsal import Rehearsal
from aiodag.testing import run as virtual

PROGRAM = Path(__file__).with_name("durable_etl.py")
RAN = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()


@task
async def double(x):
    RAN[f"double {x}"] += 1
    return 2 * x


@task
async def add(*numbers):
    RAN["add"] += 1
    return sum(numbers)


@task
async def broken(x):
    RAN["broken"] += 1
    raise ValueError(x)


@dataclass(frozen=True)
class Source:
    name: str

    @task
    async def read(self, table):
        RAN["read"] += 1
        return f"{self.name}.{table}"


def states(store, run_id="r"):
    return {node.label: node.state for node in store.nodes(run_id)}


# Recall


def test_what_has_succeeded_is_recalled_and_gives_the_same_value(store):
    async def body():
        return await add(double(1), double(2))

    first = execute(store, body)
    ran = dict(RAN)

    assert execute(store, body) == first == 6
    assert ran == RAN
    assert [node.recalled for node in store.nodes("r")] == [True] * 3
    assert (store.run("r").state, store.run("r").execution) == (State.SUCCEEDED, 2)


def test_what_failed_and_what_was_skipped_runs_again_with_the_next_attempt(store):
    flaky = {"fail": True}

    @task
    async def sometimes(x):
        RAN["sometimes"] += 1
        if flaky["fail"]:
            raise ValueError("not yet")
        return x, current_node().attempt

    async def body():
        return add(double(3), 1), sometimes(double(3))

    with pytest.raises(RunFailed):
        execute(store, body)
    flaky["fail"] = False
    _, node = execute(store, body)

    assert node.result() == (6, 2)
    assert RAN == {"double 3": 2, "add": 1, "sometimes": 2}
    assert [(each.attempt, each.state) for each in store.attempts("r")] == [(1, State.FAILED)]


def test_a_body_that_exits_is_recorded_as_a_failure_and_runs_again(store):
    codes = [0]

    @task
    async def exits():
        if codes:
            sys.exit(codes.pop())
        return current_node().attempt

    async def body():
        return exits(), double(3)

    with pytest.raises(RunFailed, match="SystemExit: 0"):
        execute(store, body)
    failed = store.run("r").state, [each.state for each in store.nodes("r")]
    node, _ = execute(store, body)

    assert failed == (State.FAILED, [State.FAILED, State.SUCCEEDED])
    assert (node.result(), RAN) == (2, {"double 3": 1})


def test_identical_calls_are_two_nodes_and_stay_so_when_another_call_comes_between(store):
    keys = []

    async def before():
        keys.append([double(1).key, double(1).key])

    async def after():
        first = double(1)
        double(7)
        keys.append([first.key, double(1).key])

    execute(store, before)
    execute(store, after)

    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 2
    assert RAN == {"double 1": 2, "double 7": 1}


def test_gathered_values_come_back_to_their_own_nodes_when_the_order_differs(store):
    order = random.Random(3)

    @task
    async def late(number):
        RAN["late"] += 1
        for _ in range(order.randrange(9)):
            await asyncio.sleep(0)
        return number

    async def body():
        numbers = list(range(50))
        order.shuffle(numbers)
        values = await asyncio.gather(*map(late, numbers))
        return dict(zip(numbers, values, strict=True))

    assert execute(store, body) == execute(store, body) == {number: number for number in range(50)}
    assert RAN["late"] == 50


def test_a_new_version_runs_again_with_all_that_needs_it(store):
    def body_of(version):
        async def body():
            changed = double.with_options(version=version)
            return await add(changed(1), double(2)), await add(double(2))

        return body

    execute(store, body_of(1))
    RAN.clear()
    execute(store, body_of(2))

    assert RAN == {"double 1": 1, "add": 1}


def test_a_recalled_parent_is_not_entered(store):
    @task
    async def parent(x):
        RAN["parent"] += 1
        return await double(x) + await double(x)

    async def body():
        return await parent(4)

    assert execute(store, body) == execute(store, body) == 16
    assert RAN == {"parent": 1, "double 4": 2}


def test_the_children_of_a_parent_that_failed_are_recalled(store):
    fail = {"now": True}

    @task
    async def parent(x):
        value = await double(x)
        if fail["now"]:
            raise ValueError("not yet")
        return value

    async def body():
        return await parent(5)

    with pytest.raises(ValueError, match="not yet"):
        execute(store, body)
    fail["now"] = False

    assert execute(store, body) == 10
    assert RAN == {"double 5": 1}
    assert {node.label: node.parent for node in store.nodes("r")} == {"parent(5)": None, "double(5)": 0}


def test_what_was_not_recorded_runs_when_its_task_is_recorded_from_now_on(store):
    def body(*, journal):
        async def call():
            return await double.with_options(journal=journal)(1)

        return call

    assert execute(store, body(journal=False)) == execute(store, body(journal=True)) == 2
    assert execute(store, body(journal=True)) == 2
    assert RAN["double 1"] == 2


def test_a_task_without_journal_always_runs_and_what_needs_it_is_recalled(store):
    always = double.with_options(journal=False)

    async def body():
        return await add(always(1))

    execute(store, body)
    execute(store, body)

    assert RAN == {"double 1": 2, "add": 1}


def test_exogenous_edges_settled_edges_and_containers_are_part_of_what_a_node_is(store):
    @task
    async def look(node, table):
        RAN["look"] += 1
        return str(node.state), table

    async def body():
        first = double(1)
        return await look.after(double(2))(settled(first), {"rows": [first, 3]})

    assert execute(store, body) == execute(store, body) == ("succeeded", {"rows": [2, 3]})
    assert RAN["look"] == 1


def test_a_coroutine_object_as_argument_is_known_by_its_place(store):
    async def rows():
        RAN["rows"] += 1
        return 3

    async def body():
        return await double(rows())

    assert execute(store, body) == execute(store, body) == 6
    assert RAN == {"rows": 2, "double 3": 1}


def test_retries_count_anew_in_a_later_execution_and_attempts_go_on(store):
    @task(retries=1)
    async def never():
        RAN["never"] += 1
        raise ValueError(current_node().attempt)

    async def body():
        never()

    for _ in range(2):
        with pytest.raises(RunFailed):
            execute(store, body)

    assert RAN["never"] == 4
    assert store.nodes("r")[0].attempt == 4
    assert [(each.attempt, each.state) for each in store.attempts("r")] == [(n, State.FAILED) for n in (1, 2, 3)]
    assert decode_error(store.attempts("r")[0].error).args == (1,)


def test_what_a_coroutine_object_gives_need_not_be_storable(store):
    async def session():
        return Odd()

    @task
    async def use(session):
        return type(session).__name__

    async def body():
        return await use(session())

    assert execute(store, body) == "Odd"


def test_a_run_on_a_virtual_clock_waits_for_its_store_in_no_time(store):
    @task
    async def sleep():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    async def main():
        async with Run("test", store=store, id="r"):
            first = sleep()
            second = sleep.after(first)()
        return first.result(), second.result()

    assert virtual(main()) == (3600.0, 7200.0)


def test_partials_and_methods_are_known_by_what_they_carry(store):
    one, other = task(partial(double.fn, 1)), task(partial(double.fn, 2))

    def body_of(order):
        async def body():
            made = {label: call() for label, call in order}
            return {label: await node for label, node in sorted(made.items())}

        return body

    calls = [
        ("one", one),
        ("other", other),
        ("a", lambda: Source("a").read("t")),
        ("b", lambda: Source("b").read("t")),
    ]
    first = execute(store, body_of(calls))

    assert first == {"a": "a.t", "b": "b.t", "one": 2, "other": 4}
    assert execute(store, body_of(calls[::-1])) == first
    assert RAN == {"double 1": 1, "double 2": 1, "read": 2}


def test_what_took_a_failure_runs_again_when_that_ran_again(store):
    fail = {"now": True}

    @task
    async def sometimes():
        if fail["now"]:
            raise ValueError
        return 1

    @task
    async def look(node):
        return str(node.state)

    async def body():
        first = sometimes()
        looked.append((await look(settled(first)), await look(settled(double(1)))))
        await first

    looked = []
    for fail["now"] in (True, True, False, False):
        with suppress(ValueError):
            execute(store, body)

    assert looked == [("failed", "succeeded")] * 2 + [("succeeded", "succeeded")] * 2
    assert {node.label: node.attempt for node in store.nodes("r") if node.name == "sometimes"} == {"sometimes": 3}


def test_functions_of_one_name_in_two_modules_are_two_tasks(store):
    def made(module):
        async def run(x):
            return f"{module} {x}"

        run.__module__ = module
        return task(run)

    def body_of(*modules):
        async def body():
            return [await made(module)(1) for module in modules]

        return body

    assert execute(store, body_of("extract", "load")) == ["extract 1", "load 1"]
    assert execute(store, body_of("load", "extract")) == ["load 1", "extract 1"]


def test_what_stands_where_in_a_dict_is_part_of_what_a_node_is(store):
    @task
    async def ratio(parts):
        return parts["num"] / parts["den"]

    def body_of(*pairs):
        async def body():
            made = {1: double(1), 2: double(2)}
            return [await ratio({"num": made[num], "den": made[den]}) for num, den in pairs]

        return body

    assert execute(store, body_of((1, 2), (2, 1))) == [0.5, 2.0]
    assert execute(store, body_of((2, 1), (1, 2))) == [2.0, 0.5]


@dataclass
class Order:
    item: object
    count: int = 1


class Fare(NamedTuple):
    item: object
    price: int = 1


HOLDERS = [
    (Order, lambda x: Order(x, count=2)),
    (Fare, lambda x: Fare(x, price=2)),
    (lambda x: {"a": x}.values(), lambda x: {"a": x}.items()),
    (lambda x: deque([x], maxlen=3), lambda x: deque([x], maxlen=4)),
    (lambda x: OrderedDict(a=x, b=1), lambda x: OrderedDict(b=1, a=x)),
    (lambda x: defaultdict(list, a=x), lambda x: defaultdict(set, a=x)),
    (lambda x: partial(max, x), lambda x: partial(min, x)),
    (lambda x: SimpleNamespace(a=x), lambda x: SimpleNamespace(b=x)),
]


@pytest.mark.parametrize(("one", "other"), HOLDERS)
def test_a_node_inside_any_container_is_recalled_and_what_is_beside_it_counts(store, one, other):
    @task
    async def kind(given):
        RAN["kind"] += 1
        return type(given).__name__

    def body_of(build):
        async def body():
            return await kind(build(double(1)))

        return body

    first = execute(store, body_of(one))
    assert execute(store, body_of(one)) == first
    assert RAN == {"double 1": 1, "kind": 1}

    execute(store, body_of(other))
    assert RAN == {"double 1": 1, "kind": 2}


def test_a_body_of_a_recorded_run_that_returns_a_node_is_told_to_await_it(store):
    @task
    async def body():
        return [double(1)]

    with pytest.raises(TypeError, match=r"return await double\("):
        execute(store, task(body))


def test_what_needs_a_node_that_ran_again_although_it_had_succeeded_runs_again(store):
    fail = {"now": True}

    @task
    async def sometimes():
        if fail["now"]:
            raise ValueError("no")
        return 1

    @task
    async def look(node):
        return str(node.state)

    @task
    async def publish(text):
        return f"published {text}"

    async def body():
        first = sometimes()
        published = await publish(publish(look(settled(first))))
        await first
        return published

    with pytest.raises(ValueError, match="no"):
        execute(store, body)
    fail["now"] = False
    assert execute(store, body) == "published published succeeded"


def test_children_keep_their_keys_when_their_parent_is_tried_again(store):
    keys = []

    @task
    async def pay(amount):
        keys.append(current_node().key)
        return amount

    @task(retries=2)
    async def order():
        paid = await pay(5) + await pay(5)
        if current_node().attempt < 3:
            raise ValueError
        return paid

    async def body():
        return await order()

    assert execute(store, body) == 10
    assert len(keys) == len(set(keys)) == 2
    assert [node.name for node in store.nodes("r")] == ["order", "pay", "pay"]


def test_the_cache_is_for_nodes_that_are_what_their_key_says(store):
    fail = {"now": True}
    cached = task(cache=True)

    @task
    async def sometimes():
        if fail["now"]:
            raise ValueError
        return 1

    @cached
    async def look(node):
        return str(node.state)

    @cached
    async def twice(x):
        return 2 * x

    async def load(x):
        return x

    def body_of(number):
        async def body():
            return await look(settled(sometimes())), await twice(load(number)), await twice(double(load(number)))

        return body

    assert execute(store, body_of(5), "one") == ("failed", 10, 20)
    fail["now"] = False
    assert execute(store, body_of(7), "two") == ("succeeded", 14, 28)


class Text(str):
    __slots__ = ()

    def __str__(self):
        return self


class Silent(Exception):
    def __str__(self):
        raise asyncio.CancelledError


@pytest.mark.parametrize(
    "error", [ValueError(Text("x")), Silent(), ValueError("caf\udce9")], ids=["subclass", "silent", "surrogate"]
)
def test_whatever_an_exception_does_its_node_settles_and_the_run_is_recorded(store, error):
    @task
    async def strange():
        raise error

    @task
    async def skipped():
        raise Skip("caf\udce9")

    async def body():
        logging.getLogger("app").error("caf\udce9")
        add(strange())
        skipped()

    with pytest.raises(RunFailed):
        execute(store, body)
    assert states(store) == {"strange": State.FAILED, "add": State.SKIPPED, "skipped": State.SKIPPED}
    assert store.run("r").state is State.FAILED


def test_a_run_that_lost_its_store_ends_also_where_bodies_swallow_cancellation(store):
    @task
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "partial"

    async def main():
        async with Run("test", store=store, id="r"):
            stubborn()
            await double(1)
            take_over(store)

    with pytest.raises(LeaseLost):
        asyncio.run(asyncio.wait_for(main(), 30))


def test_a_run_cancelled_from_outside_ends_also_where_bodies_never_do(store):
    async def main():
        @task
        async def stubborn():
            while not freed.is_set():
                with suppress(asyncio.CancelledError):
                    await freed.wait()

        freed = asyncio.Event()
        asyncio.get_running_loop().call_later(SECONDS, freed.set)  # a test that fails must not hang
        try:
            async with Run("test", store=store, id="r", grace=0.0):
                node = stubborn()
                await double(1)
                store.cancel("r")
        finally:
            assert not freed.is_set()
            freed.set()
            await asyncio.wait([node])
            assert isinstance(node.exception(), RunCancelled)

    with pytest.raises(RunCancelled):
        asyncio.run(main())
    assert store.run("r").state is State.CANCELLED


def test_a_run_whose_opening_is_cancelled_is_given_up(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    store.delete([])
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    holder.execute("begin exclusive")

    async def main():
        async def enter():
            async with Run("test", store=tmp_path / "runs.db", id="r"):
                pass

        entering = asyncio.create_task(enter())
        for _ in range(9):
            await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        holder.rollback()
        holder.close()
        for thread in threading.enumerate():
            if thread.name == f"aiodag keeper of {store}":
                await asyncio.to_thread(thread.join, SECONDS)

    asyncio.run(main())
    assert [(run.state, run.owner) for run in store.runs()] in ([(State.CANCELLED, None)], [])
    store.close()


def test_a_set_of_nodes_is_known_whatever_its_order(store):
    async def body():
        return await add_all({double(number) for number in range(9)})

    @task
    async def add_all(numbers):
        RAN["add_all"] += 1
        return sum(numbers)

    assert execute(store, body) == execute(store, body) == 72
    assert RAN["add_all"] == 1


def test_a_huge_int_is_an_argument_like_any_other(store):
    @task
    async def bits(number):
        RAN["bits"] += 1
        return number.bit_length()

    async def again():
        return await bits(10**5000), await bits(number=10**5000)

    assert execute(store, again, "s") == execute(store, again, "s") == (16610, 16610)
    assert RAN["bits"] == 2


def test_a_key_may_be_a_node(store):
    @task(key=lambda rows, session: rows)
    async def load(rows, session):
        RAN["load"] += 1
        return rows

    async def body():
        return await load(double(2), Odd())

    assert execute(store, body) == execute(store, body) == 4
    assert RAN == {"double 2": 1, "load": 1}


def test_a_task_without_journal_may_have_a_cache(store):
    cached = double.with_options(journal=False, cache=True)

    async def body():
        return await cached(1)

    assert execute(store, body) == execute(store, body) == 2
    assert RAN == {"double 1": 1}


def test_a_run_that_was_drained_is_recorded_as_cancelled(store):
    async def main():
        async with Run("test", store=store, id="r") as scope:
            first = double(1)
            add(wait_for_ever())
            await first
            scope.stop()
        return scope.state

    @task
    async def wait_for_ever():
        await asyncio.Event().wait()

    assert asyncio.run(main()) is State.CANCELLED
    assert store.run("r").state is State.CANCELLED


def test_the_end_of_a_run_that_cannot_be_written_is_told(store):
    async def main():
        async with Run("test", store=store, id="r"):
            await double(1)
            store.delete(["r"])

    with pytest.raises(LeaseLost):
        asyncio.run(main())


def test_why_a_body_skipped_is_written(store):
    @task
    async def skip():
        raise Skip("no new rows")

    async def body():
        skip()

    execute(store, body)
    assert [node.error for node in store.nodes("r")] == ["no new rows"]


# What is written


def test_states_and_errors_are_written(store):
    @task
    async def skip():
        raise Skip("nothing to do")

    async def body():
        return add(broken("x")), skip(), double(1)

    with pytest.raises(RunFailed):
        execute(store, body)
    record = store.run("r")
    nodes = {node.name: node for node in store.nodes("r")}

    assert states(store) == {
        "broken('x')": State.FAILED,
        "add": State.SKIPPED,
        "skip": State.SKIPPED,
        "double(1)": State.SUCCEEDED,
    }
    assert decode_error(nodes["broken"].error).args == ("x",)
    assert nodes["add"].error == "add skipped: broken('x') failed: ValueError: x"
    assert record.state is State.FAILED
    assert "broken('x') failed" in str(decode_error(record.error))


def test_a_success_is_written_before_what_needs_it_starts(store):
    @task
    async def look(_):
        return [node.state for node in store.nodes("r") if node.name == "double"]

    async def body():
        return await look(double(1))

    assert execute(store, body) == [State.SUCCEEDED]


def test_what_runs_can_be_seen(store):
    gate = asyncio.Event()

    @task
    async def wait():
        await gate.wait()

    async def body():
        node = wait()
        while not store.nodes("r") or store.nodes("r")[0].state is not State.RUNNING:
            await asyncio.sleep(0)
        gate.set()
        await node

    execute(store, body)
    assert states(store) == {"wait": State.SUCCEEDED}


def test_what_waits_can_be_seen(store):
    gate = asyncio.Event()

    @task
    async def wait():
        await gate.wait()

    async def body():
        last = add.after(wait())(double(1))
        while len(store.nodes("r")) < 3:
            await asyncio.sleep(0)
        seen = states(store)
        gate.set()
        await last
        return seen["add"]

    assert execute(store, body) is State.WAITING


def test_edges_are_written_with_their_kinds(store):
    async def body():
        await add.after(double(1))(double(2))

    execute(store, body)

    assert [(edge.up, edge.down, edge.exogenous) for edge in store.edges("r")] == [(0, 2, True), (1, 2, False)]


def test_a_value_that_is_too_large_for_a_store_fails_its_node_and_not_the_run(store, monkeypatch):
    monkeypatch.setattr(store, "largest", 10_000)

    @task
    async def letters(count, letter="x"):
        return letter * count

    @task(codec="pickle")
    async def pickled(count):
        return b"x" * count

    async def body():
        for large in (letters(10_001), letters(3_000, "\U0001f600"), pickled(10_001)):
            with pytest.raises(ValueTooLarge, match="a store keeps at most 10,000: write it to a file"):
                await large
        assert len(await letters(9_000)) == 9_000

    execute(store, body)

    assert [str(node.state) for node in store.nodes("r")] == ["failed", "failed", "failed", "succeeded"]


def test_errors_and_lines_that_are_too_large_for_a_store_are_cut(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.outcomes.LARGEST", 10_000)
    log = logging.getLogger("app")

    @task
    async def verbose():
        log.error("l" * 20_000)
        raise ValueError("e" * 20_000)

    async def body():
        with pytest.raises(ValueError, match="e"):
            await verbose()

    execute(store, body)

    (line,) = [line for line in store.logs("r") if line.logger == "app"]
    assert line.text == "l" * 1_000 + "… (19,000 characters left out)"
    assert "(19,000 characters left out)" in store.nodes("r")[0].error
    assert len(store.nodes("r")[0].error) < 10_000


def test_lines_that_bodies_log_are_kept_with_their_nodes(store):
    log = logging.getLogger("app")

    @task
    async def noisy(x):
        log.warning("in the body of %s", x)

    @task
    def threaded():
        log.warning("in a thread")

    async def body():
        log.warning("outside")
        await noisy(1)
        await threaded()

    execute(store, body)
    log.warning("afterwards")

    assert [(line.number, line.level, line.text) for line in store.logs("r") if line.logger == "app"] == [
        (None, "WARNING", "outside"),
        (0, "WARNING", "in the body of 1"),
        (1, "WARNING", "in a thread"),
    ]


def test_a_body_knows_its_idempotency_key(store):
    @task
    async def pay():
        return current_node().key

    async def body():
        node = pay()
        return node.key, await node

    key, seen = execute(store, body)
    assert key == seen == store.nodes("r")[0].key


def test_a_run_without_a_store_has_no_keys():
    async def main():
        async with Run():
            node = double(1)
        return node.key

    assert asyncio.run(main()) == ""


# Beside the outcome: facts and output


def tell(**facts):
    """What a command does: tell of its own attempt."""
    node = current_node()
    node.run.journal.facts(node, facts)


def write(chunk, stream="stdout"):
    node = current_node()
    node.run.journal.output(node, stream, chunk)


def written(store, stream="stdout", **which):
    return [part for part in store.output("r", **which) if part.stream == stream]


def test_facts_are_added_up_for_each_attempt_whatever_its_outcome(store):
    @task(retries=1)
    async def program():
        tell(pid=current_node().attempt, code=None)
        await asyncio.sleep(0)
        tell(code=current_node().attempt - 1)
        if current_node().attempt == 1:
            raise ValueError

    @task(timeout=0.01)
    async def late():
        try:
            await asyncio.sleep(60)
        finally:
            tell(signal=15)

    async def body():
        program()
        late()

    with pytest.raises(RunFailed):
        execute(store, body)

    assert {(each.number, each.attempt): each.facts for each in store.attempts("r", every=True)} == {
        (0, 1): {"pid": 1, "code": 0},
        (0, 2): {"pid": 2, "code": 1},
        (1, 1): {"signal": 15},
    }


def test_the_facts_of_a_cancelled_attempt_are_kept(store):
    @task
    async def program():
        try:
            await asyncio.Event().wait()
        finally:
            tell(signal=15)
            write(b"partial")

    async def body():
        node = program()
        await asyncio.sleep(0.01)
        node.cancel()

    execute(store, body)
    (attempt,) = store.attempts("r", every=True)

    assert (attempt.state, attempt.facts) == (State.CANCELLED, {"signal": 15})
    assert [part.bytes for part in store.output("r")] == [b"partial"]


def test_facts_that_are_no_json_are_refused_where_they_are_told(store):
    @task
    async def program():
        with pytest.raises(TypeError):
            tell(code={1, 2})
        with pytest.raises(ValueError, match="JSON"):
            tell(cpu_seconds=float("nan"))
        tell(command=["\udcff"])

    async def body():
        program()

    execute(store, body)

    assert store.attempts("r", every=True)[0].facts == {"command": ["\udcff"]}


def test_output_is_kept_by_attempt_and_stream_in_order(store):
    @task(retries=1)
    async def program():
        number = current_node().attempt
        for chunk in (b"one\n", b"two\xff\0\n"):
            write(b"%d %s" % (number, chunk))
            write(b"oops\n", "stderr")
            await asyncio.sleep(0)
        if number == 1:
            raise ValueError

    async def body():
        program()

    execute(store, body)

    for attempt in (1, 2):
        text = b"".join(part.bytes for part in written(store, number=0, attempt=attempt))
        assert text == b"%d one\n%d two\xff\0\n" % (attempt, attempt)
        assert output_text(written(store, "stderr", attempt=attempt)) == "oops\noops\n"
    assert [part.part for part in store.output("r")] == sorted(part.part for part in store.output("r"))


def test_output_can_be_read_while_the_attempt_goes_on(store):
    @task
    async def program():
        seen = 0
        for number in range(3):
            write(b"%d\n" % number)
            while not (parts := store.output("r", after=seen)):
                await asyncio.sleep(0.001)
            assert [part.bytes for part in parts] == [b"%d\n" % number]
            seen = parts[-1].part

    async def body():
        await program()

    execute(store, body)

    assert output_text(written(store)) == "0\n1\n2\n"


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_of_a_long_stream_the_head_and_the_tail_are_kept_and_what_is_left_out_is_known(store, size):
    store.keep = 100
    whole = b"".join(b"%05d " % number for number in range(1000))

    @task
    async def program():
        for start in range(0, len(whole), size):
            write(whole[start : start + size])
            if start % 70 == 0:
                await asyncio.sleep(0)
        write(b"short", "stderr")

    async def body():
        program()

    execute(store, body)
    parts = written(store)
    kept = b"".join(part.bytes for part in parts)

    assert whole.startswith(kept[:50])
    assert whole.endswith(kept[50:])
    assert 100 <= len(kept) <= 200
    assert left_out(parts) == len(whole) - len(kept)
    assert f"[{left_out(parts):,} bytes are left out here]" in output_text(parts)
    assert output_text(written(store, "stderr")) == "short"


def test_a_store_that_keeps_no_output_keeps_none(store):
    store.keep = 0

    @task
    async def program():
        write(b"one\n" * 1000)

    async def body():
        program()

    execute(store, body)

    assert store.output("r") == []


def test_a_flood_of_output_fills_neither_memory_nor_the_file(tmp_path):
    chunk = bytes(2**16)

    @task
    async def program():
        for _ in range(1000):
            write(chunk)
            await asyncio.sleep(0)

    async def body():
        program()

    store = SQLite(tmp_path / "runs.db")
    tracemalloc.start()
    execute(store, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = sum(len(part.bytes) for part in store.output("r"))
    store.close()

    assert 2**20 <= kept <= 2**20 + 2**16
    assert peak < 10 * 2**20
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10 * 2**20


def test_many_streams_at_once_are_written_bit_by_bit(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.outputs.PORTION", 10)
    gate = asyncio.Event

    @task
    async def program(number, wait):
        write(b"%d" % number * 6)
        await wait.wait()

    async def body():
        wait = gate()
        nodes = [program.with_options(key=str(number))(number, wait) for number in range(9)]
        while len(store.output("r")) < 9:
            await asyncio.sleep(0.001)
        wait.set()
        await asyncio.gather(*nodes)

    execute(store, body)

    assert [part.bytes for part in store.output("r")] == [b"%d" % number * 6 for number in range(9)]


def test_what_a_node_tells_after_it_has_settled_is_ignored(store):
    made = []

    @task
    async def program():
        made.append(current_node())

    async def body():
        node = program()
        await node
        node.run.journal.output(node, "stdout", b"late")
        node.run.journal.facts(node, {"late": 1})

    execute(store, body)

    assert store.output("r") == []
    assert store.attempts("r", every=True)[0].facts == {}


def test_output_of_a_run_that_lost_its_store_goes_nowhere(store):
    @task
    async def program():
        node = current_node()
        try:
            await asyncio.Event().wait()
        finally:
            node.run.journal.output(node, "stdout", b"late")
            node.run.journal.facts(node, {"late": 1})

    async def body():
        program()
        await asyncio.sleep(0.01)
        store.delete(["r"])
        double(1)
        await asyncio.Event().wait()

    with pytest.raises(LeaseLost):
        execute(store, body)
    assert store.runs() == []


# Tags and definitions


def defined(store, body, definition, **options):
    """As execute, in a run that is built from a text."""

    async def main():
        run = Run("test", store=store, id="r", **options)
        run.definition = definition
        async with run:
            await body()

    asyncio.run(main())


def test_tags_and_the_definition_are_recorded(store):
    async def body():
        double(1)

    defined(store, body, "one", tags={"env": "test"})
    defined(store, body, "two")
    record = store.run("r")

    assert (record.tags, record.definition) == ({"env": "test"}, "two")
    assert store.definitions("r") == [(1, "one"), (2, "two")]


def body_of(version, fail=()):
    async def sometimes(name):
        RAN[name] += 1
        if name in fail:
            raise ValueError(name)
        return current_node().attempt

    async def body():
        pull = task(sometimes, name="pull")("pull")
        clean = task(sometimes, pull, name="clean", version=version)("clean")
        task(sometimes, clean, name="report")("report")

    return body


def test_an_edited_task_goes_on_with_the_attempts_of_its_name_and_its_former_ones_stay(store):
    with pytest.raises(RunFailed):
        defined(store, body_of(1, fail=["clean"]), "one")
    defined(store, body_of(2), "two")
    nodes = {node.number: node for node in store.nodes("r", every=True)}
    attempts = [
        (nodes[each.number].name, nodes[each.number].version, each.attempt, each.state)
        for each in store.attempts("r", every=True)
    ]

    assert attempts == [
        ("pull", "", 1, State.SUCCEEDED),
        ("clean", "1", 1, State.FAILED),
        ("clean", "2", 2, State.SUCCEEDED),
        ("report", "", 1, State.SUCCEEDED),
    ]
    assert RAN == {"pull": 1, "clean": 2, "report": 1}


def test_attempts_go_on_when_an_edit_is_taken_back(store):
    for version, fail in ((1, ["clean"]), (2, ["clean"]), (1, [])):
        with suppress(RunFailed):
            defined(store, body_of(version, fail), str(version))

    attempts = [each.attempt for each in store.attempts("r", every=True)]

    assert store.attempts_by_task("r") == {"pull": 1, "clean": 3, "report": 1}
    assert sorted(attempts) == [1, 1, 1, 2, 3]


def test_without_a_definition_a_changed_task_is_a_new_one(store):
    for version in (1, 2):
        execute(store, body_of(version))

    assert store.attempts_by_task("r") == {"pull": 1, "clean": 1, "report": 1}


# Barriers


@task(journal=False)
async def join():
    RAN["join"] += 1


join.barrier = True


def test_a_barrier_always_runs_is_never_counted_and_what_waits_for_it_is_recalled(store):
    async def body():
        joined = join.after(double(1), double(2))()
        for number in (3, 4):
            double.after(joined)(number)

    execute(store, body)
    execute(store, body)

    assert RAN == {"join": 2, "double 1": 1, "double 2": 1, "double 3": 1, "double 4": 1}
    assert store.run("r").counts == {State.SUCCEEDED: 4}
    assert [(node.codec, node.value) for node in store.nodes("r") if node.name == "join"] == [(BARRIER, None)]
    assert len(store.edges("r")) == 4
    assert [each.number for each in store.attempts("r", every=True)] == [0, 1, 3, 4]


def test_what_waits_behind_a_barrier_for_a_node_that_ran_again_runs_again(store):
    fail = {"now": True}

    @task
    async def sometimes():
        if fail["now"]:
            raise ValueError

    @task
    async def look(node):
        RAN["look"] += 1
        return str(node.state)

    async def body():
        first = sometimes()
        looked = look(settled(first))
        await double.after(join.after(looked)())(1)
        await first

    for now in (True, True, False, False):
        fail["now"] = now
        with suppress(ValueError):
            execute(store, body)
        ran = dict(RAN)

    assert (ran["look"], ran["double 1"]) == (3, 3)


def test_a_plan_passes_barriers_and_shows_what_would_run_behind_them(store):
    def made(version):
        joined = join.after(double(1), double(2))()
        double.after(joined)(3)
        double.with_options(version=version).after(joined)(4)

    async def body():
        made("one")

    async def planned():
        run = Run("test", id="r", grace=1.0)
        await run.__aenter__()
        run.journal = rehearsal = Rehearsal(run, store)
        await rehearsal.open()
        made("two")
        await rehearsal.quiet()
        graph = run.graph()
        run.stop()
        await run.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
        return {node.label: str(node.state) for node in graph.nodes}

    execute(store, body)
    before = store.nodes("r")
    done = dict.fromkeys(["double(1)", "double(2)", "join", "double(3)"], "succeeded")

    assert asyncio.run(planned()) == {**done, "double(4)": "queued"}
    assert store.nodes("r") == before


def test_people_see_a_barrier_only_where_it_joins_the_graph(store):
    async def body():
        double.after(join.after(double(1))())(2)

    execute(store, body)
    service = Service(store)
    graph = service.graph("r")

    assert [node.label for node in service.nodes("r")] == ["double(1)", "double(2)"]
    assert [each.number for each in service.attempts("r")] == [0, 2]
    assert [node.barrier for node in graph.nodes] == [False, True, False]
    assert graph.counts() == {State.SUCCEEDED: 2}
    assert len(graph.edges) == 2


# Values


@dataclass
class Row:
    name: str
    cells: tuple[int, ...]


class Odd:
    """Has no codec."""


def test_values_come_back_with_their_types(store):
    @task
    async def row():
        return Row("a", (1, 2)), {3, 4}, b"\0"

    async def body():
        return await row()

    assert execute(store, body) == execute(store, body) == (Row("a", (1, 2)), {3, 4}, b"\0")


def test_a_value_without_codec_fails_its_node_and_says_what_would_work(store):
    @task
    async def odd():
        return Odd()

    async def body():
        return await odd()

    with pytest.raises(NoCodec, match=r'odd.*Odd.*Return something.*codec="pickle"'):
        execute(store, body)
    assert states(store) == {"odd": State.FAILED}


def test_pickle_where_it_is_asked_for(store):
    @task(codec="pickle")
    async def odd():
        RAN["odd"] += 1
        return Odd()

    async def body():
        return await odd()

    assert isinstance(execute(store, body), Odd)
    assert isinstance(execute(store, body), Odd)
    assert RAN["odd"] == 1


def test_nothing_is_unpickled_where_nobody_asked_for_it(tmp_path):
    store = SQLite(tmp_path / "runs.db")

    async def body():
        return await double(1)

    execute(store, body)
    hostile = b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR."
    connection = sqlite3.connect(tmp_path / "runs.db")
    with connection:
        connection.execute("update nodes set codec = 'pickle', value = ?", (hostile,))
    connection.close()

    with pytest.raises(Undecodable, match="does not ask for that"):
        execute(store, body)
    store.close()
    assert not (tmp_path / "owned").exists()


def test_an_argument_without_fingerprint_is_refused_at_the_call(store):
    async def body():
        with pytest.raises(NoFingerprint, match="key="):
            double(Odd())
        return await double(1)

    assert execute(store, body) == 2
    assert states(store) == {"double(1)": State.SUCCEEDED}


def test_a_key_stands_for_arguments_without_fingerprint(store):
    @task(key=lambda session, url: url)
    async def fetch(session, url):
        RAN[url] += 1
        return url

    async def body():
        return await fetch(Odd(), "a"), await fetch(Odd(), "b")

    assert execute(store, body) == execute(store, body) == ("a", "b")
    assert RAN == {"a": 1, "b": 1}


def test_a_value_cached_by_another_run_is_taken(store):
    cached = double.with_options(cache=True)

    async def body():
        return await cached(1), await cached(2)

    assert execute(store, body, "one") == execute(store, body, "two") == (2, 4)
    assert RAN == {"double 1": 1, "double 2": 1}


def test_a_cached_value_that_is_too_old_is_computed_again(store, monkeypatch):
    cached = double.with_options(cache=3600)

    async def body():
        return await cached(1)

    execute(store, body, "one")
    now = __import__("time").time
    monkeypatch.setattr("aiodag.stores.recorder.time.time", lambda: now() + 7200)
    execute(store, body, "two")

    assert RAN == {"double 1": 2}


# Ownership


def test_a_run_is_owned_by_one_process(store):
    async def main():
        async with Run("test", store=store, id="r"):
            with pytest.raises(RunOwned, match=f"process {os.getpid()} on"):
                async with Run("test", store=store, id="r"):
                    pass
        return store.run("r").state

    assert asyncio.run(main()) is State.SUCCEEDED


def test_the_late_writes_of_a_run_that_was_taken_over_are_refused_and_its_nodes_stop(store):
    @task
    async def wait():
        await asyncio.Event().wait()

    async def main():
        async with Run("test", store=store, id="r"):
            node = wait()
            await double(1)
            take_over(store)
            await node

    with pytest.raises(LeaseLost, match="'r' was taken over"):
        asyncio.run(main())
    assert store.run("r").execution == 2
    assert store.run("r").state is State.RUNNING  # the new owner's


def take_over(store):
    if isinstance(store, Memory):
        store.kept["r"].execution += 1
    else:
        with store.apart().writing() as session:
            session.execute("update runs set execution = execution + 1")


def test_a_run_can_be_cancelled_from_outside(store):
    @task
    async def wait():
        await asyncio.Event().wait()

    async def body():
        node = wait()
        await double(1)
        store.cancel("r")
        await node

    with pytest.raises(RunCancelled, match="'r' was cancelled on request"):
        execute(store, body)
    assert store.run("r").state is State.CANCELLED
    assert states(store) == {"wait": State.CANCELLED, "double(1)": State.SUCCEEDED}


def test_a_body_that_blocks_the_loop_does_not_lose_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.stores.keeper.LEASE", 0.3)
    store = SQLite(tmp_path / "runs.db")

    async def body():
        @task
        async def block():
            before = leased_until(store)
            while leased_until(store) == before:  # renewed by the thread, while the loop is blocked here
                pass
            return True

        return await block()

    assert execute(store, body) is True
    store.close()


def test_a_lease_is_renewed_whatever_somebody_sets_the_clock_to(monkeypatch):
    monkeypatch.setattr("aiodag.stores.keeper.LEASE", 0.3)
    now, renewed = time.time, []

    class Renewed(Memory):
        def renew(self, owner, lease):
            renewed.append(owner)

    async def body():
        @task
        async def wait():
            monkeypatch.setattr("aiodag.stores.keeper.time.time", lambda: now() - 3600)
            while not renewed:
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), 30)

    execute(Renewed(), body)
    assert renewed


def leased_until(store):
    connection = sqlite3.connect(store.path)
    until = connection.execute("select until from leases").fetchone()[0]
    connection.close()
    return until


def test_a_store_that_fails_in_the_middle_ends_the_run_and_keeps_what_was_committed(tmp_path):
    store = SQLite(tmp_path / "runs.db")

    @task
    async def fill():
        pages = store.connection.execute("pragma page_count").fetchone()[0]
        store.connection.execute(f"pragma max_page_count = {pages}")
        return "x" * 1_000_000

    async def body():
        await double(1)
        return await add(fill())

    with pytest.raises(StoreError, match="full"):
        execute(store, body)
    kept = [node for node in store.nodes("r") if node.state is State.SUCCEEDED]
    store.close()

    assert [(node.label, decode(node.value)) for node in kept] == [("double(1)", 2)]
    assert RAN["add"] == 0


def test_a_store_that_cannot_be_opened_fails_before_anything_runs(tmp_path):
    async def body():
        double(1)

    (tmp_path / "runs.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        execute(tmp_path / "runs.db", body)
    assert not RAN


# Killed


def program(store, effects, **environment):
    environment = {**os.environ, "EFFECTS": str(effects), "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.Popen(
        [sys.executable, PROGRAM, store],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines_of(effects):
    return [line.split() for line in effects.read_text().splitlines()] if effects.exists() else []


def nodes_of(place):
    store = store_at(place)
    nodes = {node.key: node for node in store.nodes("etl")}
    store.close()
    return nodes


def killed(place, effects, inside, after):
    """Run the program and kill it inside of a body, when so many others have ended."""
    process = program(place, effects, PAUSE="0.05", HANGS=inside)
    while process.poll() is None:
        words = [line[:2] for line in lines_of(effects)]
        if ["begin", inside] in words and sum(word == "end" for word, _ in words) >= after:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for_a_server(place)


def wait_for_a_server(place):
    """Wait until it has done what killed processes have asked it for: a commit that it has got, it makes."""
    if place.startswith("sqlite"):
        return
    name = place.rpartition("application_name=")[2]
    with psycopg.connect(place.partition("?")[0], autocommit=True) as connection:
        query = "select count(*) from pg_stat_activity where application_name = %s"
        while connection.execute(query, (name,)).fetchone() != (0,):
            pass


def test_a_killed_run_is_resumed_by_a_fresh_process(place, tmp_path):
    effects = tmp_path / "effects.log"
    killed(place, effects, inside="clean-ccc", after=4)
    store = store_at(place)
    known = store.known_nodes("etl")
    recorded = {key for key, each in known.items() if each.state is State.SUCCEEDED}
    store.close()
    before = len(lines_of(effects))
    output, _ = program(place, effects).communicate(timeout=60)
    later = lines_of(effects)[before:]

    assert output == "12 rows\n"
    assert not recorded & {key for word, _, key, _ in later if word == "begin"}
    nodes = nodes_of(place)
    assert len(nodes) == 9
    assert {node.state for node in nodes.values()} == {State.SUCCEEDED}
    cut_off = {key for word, _, key, _ in lines_of(effects)[:before] if word == "begin"} - recorded
    assert cut_off
    # A body does not wait for the record of its beginning: killed at once, an attempt may not be on file.
    assert {key: nodes[key].attempt for key in cut_off} == {key: known[key].attempt + 1 for key in cut_off}


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_moments_always_ends_well(place, tmp_path, seed):
    """`KILLS` sets how many, 10 for each seed otherwise."""
    effects = tmp_path / "effects.log"
    moments = random.Random(seed)
    for _ in range(int(os.environ.get("KILLS", "10"))):
        recorded = recorded_in(place)
        before = len(lines_of(effects))
        process = program(place, effects, PAUSE="0.02")
        try:
            process.communicate(timeout=moments.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        begun = {key for word, _, key, _ in lines_of(effects)[before:] if word == "begin"}
        assert not begun & recorded, "a recorded success ran again"
    process = program(place, effects)
    process.communicate(timeout=60)

    assert process.returncode == 0
    assert is_sound(place)
    assert {node.state for node in nodes_of(place).values()} == {State.SUCCEEDED}


def is_sound(place):
    if not place.startswith("sqlite"):
        return True  # a server looks after itself
    with closing(sqlite3.connect(place.removeprefix("sqlite:///"))) as connection:
        return connection.execute("pragma integrity_check").fetchall() == [("ok",)]


def recorded_in(place):
    store = store_at(place)
    try:
        return {key for key, known in store.known_nodes("etl").items() if known.state is State.SUCCEEDED}
    finally:
        store.close()


def stop_outside_a_write(process, place, monkeypatch):
    """Stop the owner of a run beyond its lease: a process that is stopped in a write keeps what it writes to locked."""
    monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # all of its threads
        store = store_at(place)
        try:
            with store.writing() as session:
                if not place.startswith("sqlite"):
                    session.execute("set local lock_timeout to '10ms'")
                session.execute("update runs set leased_until = 0.0")  # instead of waiting for the lease to run out
        except StoreError:
            os.kill(process.pid, signal.SIGCONT)
        else:
            return
        finally:
            store.close()


def test_a_stopped_owner_loses_its_run_and_stops_when_it_goes_on(place, tmp_path, monkeypatch):
    effects = tmp_path / "effects.log"
    first = program(place, effects, PAUSE="0.5")
    while not lines_of(effects):
        pass
    stop_outside_a_write(first, place, monkeypatch)
    second = program(place, effects)
    output, _ = second.communicate(timeout=60)
    done = nodes_of(place)
    os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=60)

    assert output.endswith("rows\n")
    assert first.returncode != 0
    assert nodes_of(place) == done


def test_two_processes_that_resume_at_once_are_told_apart(place, tmp_path):
    effects = tmp_path / "effects.log"
    both = [program(place, effects, HANGS="upload") for _ in range(2)]
    until = time.monotonic() + SECONDS
    while all(process.poll() is None for process in both):  # one goes on, until the other has been told
        assert time.monotonic() < until
        os.sched_yield()
    for process in both:
        process.stdin.close()
    codes = sorted(process.wait(SECONDS) for process in both)
    for process in both:
        process.stdout.close()

    assert codes == [0, 1]
    assert Counter(line[0] for line in lines_of(effects)) == {"begin": 9, "end": 9}
