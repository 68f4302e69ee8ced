"""What a run writes next: what is in a hurry first, and never so much that others wait for long."""

import asyncio

import pytest
from executions import execute

from aiodag import State, task
from aiodag.records import ROW_COLUMNS
from aiodag.stores.changes import PORTION, Changes
from aiodag.stores.row import NUMBER, STATE, TURN


def row_of(number):
    row = [None] * len(ROW_COLUMNS)
    row[NUMBER], row[STATE] = number, State.RUNNING
    return row


def numbers(rows):
    return [row[NUMBER] for row in rows]


def test_the_places_of_a_row_are_those_of_its_columns():
    assert (ROW_COLUMNS[NUMBER], ROW_COLUMNS[STATE], ROW_COLUMNS[TURN]) == ("number", "state", "turn")


def test_what_only_waits_gives_way_to_what_is_in_a_hurry():
    changes = Changes(None)
    for number in range(3 * PORTION):
        changes.mark(row_of(number))
    for number in range(PORTION - 1):
        changes.hurry(row_of(number))
    first, _ = changes.take()
    second, _ = changes.take()

    assert numbers(first[:-1]) == list(range(PORTION - 1))
    assert len(first) == len(second) == PORTION
    assert bool(changes)
    assert sorted(numbers([*first, *second, *changes.take()[0]])) == list(range(3 * PORTION))
    assert not changes


@pytest.mark.virtual
async def test_very_many_rows_come_in_several_batches_and_each_success_with_its_row():
    loop = asyncio.get_running_loop()
    changes = Changes(None)
    waiters = {number: loop.create_future() for number in range(0, 20, 2)}
    for number in range(20):
        if number in waiters:
            changes.succeed(row_of(number), waiters[number])
        else:
            changes.hurry(row_of(number))
    batches = []
    while changes:
        rows, successes = changes.take(at_most=8)
        batches.append(numbers(rows))
        assert successes == [waiters[number] for number in numbers(rows) if number in waiters]

    assert batches == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


def test_a_success_that_waited_to_be_written_until_then_is_written_once():
    changes = Changes(None)
    row = row_of(7)
    changes.mark(row)
    changes.succeed(row, None)
    rows, _ = changes.take()

    assert numbers(rows) == [7]
    assert not changes


def test_a_run_of_more_nodes_than_a_batch_has_room_for_is_written_whole(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.recorder.MOST", 7)

    @task
    async def child(number):
        if number % 10 == 3:
            raise ValueError(number)
        return number

    @task(retries=1)
    async def parent():
        nodes = [child(number) for number in range(50)]
        await asyncio.gather(*nodes, return_exceptions=True)
        if len(seen) < 1:
            seen.append(1)
            raise RuntimeError
        return sum(node.result() for node in nodes if node.state is State.SUCCEEDED)

    async def body():
        return await parent()

    seen = []
    assert execute(store, body) == sum(number for number in range(50) if number % 10 != 3)
    found = store.nodes("r")
    assert len(found) == 51
    assert {node.name: node.attempt for node in found if node.state is State.FAILED} == {found[1].name: 2}
