"""Large runs are resumed in slices: few of their rows are held at a time, and nothing runs again."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from executions import execute

from aiodag import Run, RunFailed, State, current_node, task
from aiodag.stores import SQLite
from aiodag.stores.past import Remembered
from aiodag.stores.sql import past
from aiodag.stores.sql.file_session import FileSession, query
from aiodag.workflows import Parameter, Workflow, lead

ROOT = Path(__file__).parent.parent
MANY = 1_000
SLICE = 16


@pytest.fixture
def small_slices(monkeypatch):
    """Runs are read in small slices, of any store."""
    monkeypatch.setattr(past, "WHOLE", 0)
    monkeypatch.setattr(past, "SLICE", SLICE)
    monkeypatch.setattr(past, "NEAR", 2)
    monkeypatch.setattr(lead, "LEAD", 64)
    monkeypatch.setattr(lead, "SOME", 8)


@pytest.fixture
def sliced_file(small_slices, tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture(params=["sliced_file", "postgres_store"])
def sliced(request, small_slices):
    return request.getfixturevalue(request.param)


@pytest.fixture
def reads(monkeypatch):
    """How many rows each read has found, and the most that were held at a time: unread ones, and those of nodes."""
    found, held = [], [0]
    add, take = past.SlicedPast.read_rows, Remembered.take

    def counted_add(self, connection, first, below):
        before = len(self._slice)
        add(self, connection, first, below)
        found.append(below - first)
        held[0] = max(held[0], before, len(self._slice))

    def counted_take(self, key):
        known = take(self, key)
        held[0] = max(held[0], len(self._held))
        return known

    monkeypatch.setattr(past.SlicedPast, "read_rows", counted_add)
    monkeypatch.setattr(Remembered, "take", counted_take)
    return found, held


class Calls:
    """A task that notes what it was called with."""

    def __init__(self):
        self.ran = []

        @task(name="square")
        async def square(number):
            self.ran.append(number)
            return number**2

        self.square = square

    def again(self):
        ran, self.ran = self.ran, []
        return sorted(ran)


@pytest.fixture
def calls():
    return Calls()


def call_all(store, calls, numbers):
    """Execute a run that calls the task with numbers in an order; return the values in that order, and what ran."""

    async def body():
        return [calls.square(number) for number in numbers]

    return [node.result() for node in execute(store, body)], calls.again()


async def test_few_rows_are_held_while_a_large_run_is_resumed(sliced, calls, reads):
    flow = Workflow("many", parameters={"N": range(MANY)})
    numbers = flow.add(calls.square, Parameter("N"))
    await flow.run(store=sliced, id="many")
    assert calls.again() == list(range(MANY))

    values = await flow.run(store=sliced, id="many")

    found, held = reads
    assert calls.again() == []
    assert values[numbers] == [number**2 for number in range(MANY)]
    assert found == [SLICE] * -(-MANY // SLICE)
    assert held[0] < 2 * lead.LEAD
    assert {node.recalled for node in sliced.nodes("many")} == {True}


def test_nothing_runs_again_in_whatever_order_it_is_called(sliced, calls, reads):
    numbers = list(range(200))
    call_all(sliced, calls, numbers)
    random.Random(1).shuffle(numbers)

    values, ran = call_all(sliced, calls, numbers)

    assert (values, ran) == ([number**2 for number in numbers], [])
    assert sum(reads[0]) < 4 * len(numbers)
    assert [node.number for node in sliced.nodes("r")] == list(range(200))


def test_nodes_that_are_called_in_the_same_order_from_another_place_on_are_read_in_slices(sliced, calls, reads):
    call_all(sliced, calls, range(200))

    values, ran = call_all(sliced, calls, [*range(100, 200), *range(100)])

    assert (values[0], ran) == (100**2, [])
    assert len(reads[0]) < 40


def test_what_is_new_runs_and_what_is_gone_is_not_held(sliced, calls, reads):
    call_all(sliced, calls, range(200))

    values, ran = call_all(sliced, calls, [each for number in range(0, 200, 4) for each in (number, 1_000 + number)])

    assert ran == list(range(1_000, 1_200, 4))
    assert values[:4] == [0, 1_000**2, 16, 1_004**2]
    assert reads[1][0] <= 50 + 2 * SLICE  # the nodes are there all the time
    assert {node.number for node in sliced.nodes("r")} == {*range(0, 200, 4), *range(200, 250)}


def test_equal_calls_are_told_apart(sliced, calls):
    call_all(sliced, calls, [7] * 100)

    values, ran = call_all(sliced, calls, [7] * 101)

    assert (values, ran) == ([49] * 101, [7])


def test_failures_run_again_and_count_as_the_attempts_before(sliced):
    broken = {3, 50, 99}

    @task
    async def fragile(number):
        if number in broken:
            raise ValueError(number)
        return current_node().attempt

    async def body():
        return [fragile(number) for number in range(100)]

    with pytest.raises(RunFailed):
        execute(sliced, body)
    again = sorted(broken)
    broken.clear()
    nodes = execute(sliced, body)

    assert [number for number, node in enumerate(nodes) if node.attempt == 2] == again
    assert {nodes[number].result() for number in again} == {2}
    assert len(sliced.attempts("r", every=True)) == 103


def test_what_a_body_has_called_is_recalled_in_its_next_attempt(sliced, calls):
    @task(retries=1, backoff=0)
    async def around():
        first = [await calls.square(number) for number in range(40)]
        if current_node().attempt == 1:
            raise ConnectionError
        return sum(first) + await calls.square(100)

    async def body():
        return around()

    assert execute(sliced, body).result() == sum(number**2 for number in range(40)) + 100**2
    assert calls.again() == [*range(40), 100]
    sliced.void("r", [0])
    assert execute(sliced, body).result() == sum(number**2 for number in range(40)) + 100**2
    assert calls.again() == []


def test_a_task_is_found_under_its_former_name(sliced):
    async def run_as(name, **options):
        ran = []

        @task(name=name, **options)
        async def same(number):
            ran.append(number)
            return number

        async with Run("test", store=sliced, id="r"):
            same.map(range(60))
        return ran

    assert len(asyncio.run(run_as("old"))) == 60
    assert asyncio.run(run_as("new", former="old")) == []


async def test_attempts_of_an_edited_task_go_on_counting(sliced):
    """Under its name, although the call is another one: whoever reads its log finds both."""

    async def run_as(version):
        @task(name="same", version=version)
        async def same(number):
            return current_node().attempt

        flow = Workflow("many", parameters={"N": range(40)})
        numbers = flow.add(same, Parameter("N"))
        other = flow.add(same, 0, name="other" if version == 1 else "new")
        values = await flow.run(store=sliced, id="many")
        return values[numbers], values[other]

    assert await run_as(1) == ([1] * 40, 1)
    assert await run_as(2) == ([2] * 40, 1)
    assert await run_as(2) == ([2] * 40, 1)


async def test_what_is_called_very_often_has_its_last_attempt_looked_up_once(sliced_file, calls, monkeypatch):
    """Before: at each call, and each time all rows of that name were read, on the loop."""
    asked, numbers = [], range(20)

    @task
    async def call_many():
        values = [await calls.square(number) for number in numbers]
        if numbers.start == 0:
            raise RuntimeError
        return values

    def noted(session, name, *args, **options):
        asked.append(name)
        return perform(session, name, *args, **options)

    perform = FileSession.perform

    flow = Workflow("many")
    flow.add(call_many)
    with pytest.raises(RunFailed):
        await flow.run(store=sliced_file, id="many")
    monkeypatch.setattr(FileSession, "perform", noted)
    numbers = range(40, 0, -1)
    await flow.resume("many", store=sliced_file)

    assert calls.again() == sorted([*range(20), *range(20, 41)])
    assert asked.count("last_attempt") == 2  # of `call_many`, and of `square`


def test_the_last_attempt_of_a_task_is_found_without_reading_the_others(sliced_file):
    """Before: by the primary key, so all rows of the run were read for each new name, 3 ms of 10,000."""
    with sliced_file.writing() as connection:
        ((*_, how),) = connection.execute("explain query plan " + query("last_attempt"), (1, "square")).fetchall()

    assert "nodes_by_name (run=? AND name=?)" in how


def test_a_damaged_row_runs_again(sliced_file, calls):
    call_all(sliced_file, calls, range(60))
    with sliced_file.writing() as connection:
        connection.execute("update nodes set state = 'lost' where number = 30")
        connection.execute("update nodes set key = x'00' where number = 31")
        connection.execute("update nodes set number = -3 where number = 32")
        connection.execute("update nodes set turn = 'late' where number = 59")

    values, ran = call_all(sliced_file, calls, range(60))

    assert (values, ran) == ([number**2 for number in range(60)], [30, 31, 32, 59])


PROGRAM = """
import asyncio, os, signal, sys
from aiodag import State, task
from aiodag.stores import SQLite
from aiodag.stores.sql import past
from aiodag.workflows import Parameter, Workflow, lead

past.WHOLE, past.SLICE, lead.LEAD, lead.SOME = 0, 16, 32, 4
store, effects, last = SQLite(sys.argv[1]), sys.argv[2], int(sys.argv[3])

@task
async def note(number):
    with open(effects, "a") as lines:
        lines.write(f"{number}\\n")
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0)
    return number

flow = Workflow("many", parameters={"N": range(400)})
numbers = flow.add(note, Parameter("N"))
values = asyncio.run(flow.run(store=store, id="many"))
assert values[numbers] == list(range(400))
"""


def test_a_run_that_was_killed_several_times_goes_on_where_it_was(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    effects, store = tmp_path / "effects", SQLite(tmp_path / "runs.db")

    def execute_until(last):
        effects.write_text("")
        before = {node.label for node in store.nodes("many", every=True) if node.state is State.SUCCEEDED}
        command = [sys.executable, "-W", "error", "program.py", "runs.db", "effects", str(last)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
        )
        assert done.returncode == (0 if last < 0 else -signal.SIGKILL), done.stderr
        ran = {int(line) for line in effects.read_text().split()}
        succeeded = {int(label.partition("(")[2].strip(")")) for label in before}
        assert not ran & succeeded
        return ran, succeeded

    execute_until(150)
    _, first = execute_until(300)
    ran, second = execute_until(-1)

    assert 0 < len(first) < len(second) < 400
    assert ran == set(range(400)) - second
    assert {node.state for node in store.nodes("many")} == {State.SUCCEEDED}
    store.close()
