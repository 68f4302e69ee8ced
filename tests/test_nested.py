"""A body that is tried again while what it has called goes on: one key, one row, one body."""

import asyncio
from collections import Counter

import pytest
from executions import execute, rows, tries

from aiodag import Run, RunFailed, State, current_node, settled, task
from aiodag.commands import command
from aiodag.testing import run as virtual


class Parcels:
    """Tasks of an order: `ship` waits for the gate, and notes how many of its bodies run at once."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.running = Counter()
        self.most = Counter()
        self.begun = Counter()
        self.given = []

        @task
        async def ship(what):
            await self.runs("ship", self.gate.wait())
            self.given.append(f"{what} {len(self.given)}")
            return self.given[-1]

        @task
        async def label(parcel):
            self.begun["label"] += 1
            return f"label of {parcel}"

        @task
        async def flaky():
            self.begun["flaky"] += 1
            if current_node().attempt == 1:
                raise ConnectionError("no printer")
            self.gate.set()

        self.ship, self.label, self.flaky = ship, label, flaky

    async def runs(self, name, work):
        self.begun[name] += 1
        self.running[name] += 1
        self.most[name] = max(self.most[name], self.running[name])
        try:
            await work
        finally:
            self.running[name] -= 1


def ordered(store, order, runner=virtual):
    """Execute `order(parcels)` as a task with one retry; return its value and the parcels."""

    async def body():
        parcels = Parcels()

        @task(retries=1, backoff=0)
        async def again():
            return await order(parcels)

        return await again(), parcels

    return execute(store, body, runner=runner)


def test_another_attempt_gets_the_node_that_the_first_one_left_running(store):
    seen = []

    async def order(parcels):
        parcel = parcels.ship("book")
        seen.append(parcel)
        await asyncio.gather(parcels.flaky(), parcels.label(parcel))
        return await parcel, await parcels.label(parcel)

    value, parcels = ordered(store, order)

    assert value == ("book 0", "label of book 0")
    assert seen[0] is seen[1]
    assert (parcels.begun, parcels.most["ship"]) == ({"ship": 1, "label": 2, "flaky": 2}, 1)
    assert len({node.key for node in store.nodes("r")}) == len(store.nodes("r"))
    assert tries(store)["ship"] == ["succeeded"]


def test_without_gather_too(store):
    async def order(parcels):
        parcel = parcels.ship("book")
        await parcels.flaky()
        return await parcels.label(parcel)

    value, parcels = ordered(store, order)

    assert value == "label of book 0"
    assert parcels.begun["ship"] == parcels.begun["label"] == 1


def test_what_the_first_attempt_has_finished_is_there_at_once_in_the_next_one(store):
    async def order(parcels):
        parcels.gate.set()
        parcel = await parcels.ship("book")
        await parcels.flaky()
        return parcel

    value, parcels = ordered(store, order)

    assert (value, parcels.begun["ship"]) == ("book 0", 1)
    assert tries(store)["ship"] == ["succeeded"]


def test_what_failed_in_the_first_attempt_runs_again_and_its_attempts_go_on(store):
    async def order(parcels):
        await parcels.flaky()
        return current_node().attempt

    value, parcels = ordered(store, order)

    assert (value, parcels.begun["flaky"]) == (2, 2)
    assert tries(store)["flaky"] == ["failed", "succeeded"]
    assert ("flaky", "succeeded", 2) in rows(store)


def test_a_failure_of_the_first_attempt_that_another_one_makes_good_does_not_fail_the_run(store):
    async def order(parcels):
        node = parcels.flaky()
        if current_node().attempt == 1:
            await asyncio.sleep(1)
            raise ConnectionError  # nobody has awaited it
        await node

    ordered(store, order)

    assert store.run("r").state is State.SUCCEEDED


def test_the_children_of_a_child_that_failed_are_the_same_nodes_too(store):
    async def order(parcels):
        @task
        async def packing():
            parcel = parcels.ship("book")
            await parcels.flaky()
            return await parcel

        return await packing()

    value, parcels = ordered(store, order)

    assert value == "book 0"
    assert parcels.begun["ship"] == 1
    assert len({node.key for node in store.nodes("r")}) == len(store.nodes("r")) == 4


def test_a_node_that_is_being_cancelled_is_waited_for_and_then_run_again(store):
    async def order(parcels):
        ended = asyncio.Event()

        @task
        async def slow():
            try:
                await parcels.runs("slow", asyncio.sleep(3600) if current_node().attempt == 1 else asyncio.sleep(0))
            except asyncio.CancelledError:
                await ended.wait()
                raise

        if current_node().attempt == 1:
            node = slow()
            await asyncio.sleep(0.01)
            node.cancel()
            asyncio.get_running_loop().call_later(0.05, ended.set)
            raise ConnectionError
        await slow()
        return "done"

    value, parcels = ordered(store, order)

    assert (value, parcels.begun["slow"], parcels.most["slow"]) == ("done", 2, 1)
    assert tries(store)["slow"] == ["cancelled", "succeeded"]
    assert ("slow", "succeeded", 2) in rows(store)


def test_what_was_cancelled_between_two_attempts_runs_again(store):
    async def order(parcels):
        node = parcels.ship("book")
        await asyncio.sleep(0)
        if current_node().attempt == 1:
            node.cancel()
            raise ConnectionError
        parcels.gate.set()
        return await node

    value, parcels = ordered(store, order)

    assert (value, parcels.most["ship"]) == ("book 0", 1)


def test_a_success_stays_one_behind_settled(store):
    taken = []

    async def order(parcels):
        @task
        async def note(parcel):
            taken.append(parcel.state)
            return str(parcel.state)

        noted = note(settled(parcels.ship("book")))
        await parcels.flaky()
        return await noted, await note(settled(parcels.ship("book")))

    value, parcels = ordered(store, order)

    assert value[0] == "succeeded"
    assert parcels.begun["ship"] == 2  # two equal calls in the second attempt, of which the first attempt made one
    assert len(taken) == 2


def test_what_took_a_failure_runs_again_when_the_next_attempt_runs_that_again(store):
    taken = []

    async def order(parcels):
        @task
        async def note(node):
            taken.append(str(node.state))
            return str(node.state)

        noted = await note(settled(parcels.flaky()))
        if noted == "failed":
            raise ConnectionError
        return noted

    value, _ = ordered(store, order)

    assert (value, taken) == ("succeeded", ["failed", "succeeded"])


def test_what_an_earlier_attempt_still_calls_is_its_own(store):
    async def order(parcels):
        async def later(what):
            await asyncio.sleep(0.01)
            return await parcels.ship(what)

        parcels.gate.set()
        found = asyncio.gather(later("book"), parcels.flaky())
        await found
        return found.result()[0]

    value, parcels = ordered(store, order)

    assert value == "book 0"
    assert parcels.begun["ship"] == 1
    assert [name for name, *_ in rows(store)].count("ship") == 1


def test_a_program_that_an_earlier_attempt_has_started_is_the_same_one(store, tmp_path):
    async def order(parcels):
        waiting = command("sh", "-c", f"echo begun >> {tmp_path}/log; until test -e {tmp_path}/go; do :; done")()
        while not (tmp_path / "log").exists():
            await asyncio.sleep(0)
        await parcels.flaky()
        (tmp_path / "go").touch()
        return (await waiting).code

    value, _ = ordered(store, order, asyncio.run)

    assert value == 0
    assert (tmp_path / "log").read_text() == "begun\n"


def test_a_success_of_an_earlier_execution_stays_one_when_a_parent_is_tried_again(store):
    fail = {"now": True}

    async def order(parcels):
        parcels.gate.set()
        parcel = parcels.ship("book")
        await parcel
        if fail["now"]:
            raise ConnectionError
        await parcels.flaky()
        return await parcel

    with pytest.raises(ConnectionError):
        ordered(store, order)
    fail["now"] = False
    value, parcels = ordered(store, order)

    assert (value, parcels.begun["ship"]) == ("book 0", 0)
    assert tries(store)["ship"] == ["succeeded"]


def test_many_attempts_leave_one_row_and_one_body_for_each_key(store):
    async def body():
        parcels = Parcels()

        @task(retries=5, backoff=0)
        async def order():
            made = [parcels.ship(what) for what in "abc"]
            await asyncio.sleep(0)
            if current_node().attempt < 5:
                raise ConnectionError
            parcels.gate.set()
            return [await each for each in made]

        await order()
        return parcels

    parcels = execute(store, body)

    assert parcels.begun["ship"] == 3
    assert [state for _, state, _ in rows(store)] == ["succeeded"] * 4


def test_without_a_store_each_attempt_makes_nodes_of_its_own():
    begun = []

    @task
    async def ship(what):
        begun.append(what)

    @task(retries=1, backoff=0)
    async def order():
        await ship("book")
        if current_node().attempt == 1:
            raise ConnectionError

    async def main():
        async with Run():
            order()

    asyncio.run(main())

    assert begun == ["book", "book"]


def test_a_parent_that_fails_for_good_fails_with_its_last_attempt(store):
    async def order(parcels):
        parcels.ship("book")
        parcels.gate.set()
        raise ConnectionError(current_node().attempt)

    async def body():
        ordered_by = Parcels()

        @task(retries=1, backoff=0)
        async def again():
            return await order(ordered_by)

        again()

    with pytest.raises(RunFailed, match="ConnectionError: 2"):
        execute(store, body)
    assert [state for _, state, _ in rows(store)] == ["failed", "succeeded"]
