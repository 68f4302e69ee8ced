"""Whatever somebody has written into a row of the inbox hurts that wait or that message alone, and nobody else."""

import sqlite3
import time
from contextlib import closing

import pytest
from executions import row, write_one
from test_inbox import begin, deliver, message, moments, node_of, open_waits, parked, wait, wait_row, waiting
from test_queue import HERE, take

from aiodag import State
from aiodag.records import Starter
from aiodag.stores import SQLite

assert moments  # a fixture


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def write_over(store, statement, *values):
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("pragma ignore_check_constraints = on")
        connection.execute(statement, values)
        connection.commit()


def works(store):
    """Whether a run that is woken by a message, and one by a moment, are what they should be."""
    take(store)  # what is woken already
    by_message, by_moment = parked(store, key="sound"), parked(store, kind="moment", topic="", seconds=-1.0)
    deliver(store, message("sound", keys=["sound"]))
    taken = {each.record.id for each in take(store)}
    assert {by_message.record.id, by_moment.record.id} <= taken
    assert node_of(store, by_message) == (State.SUCCEEDED, "message", '{"amount": 3}')
    assert node_of(store, by_moment)[0] is State.SUCCEEDED
    return True


WAITS = [
    ("due_at = ?", "soon"),
    ("due_at = ?", b"\xff"),
    ("due_at = ?", -1e300),
    ("since = ?", "long ago"),
    ("since = ?", 1e300),
    ("kind = ?", "something"),
    ("kind = ?", b"message"),
    ("topic = ?", b"PAID"),
    ("key = ?", 7),
    ("number = ?", "seven"),
    ("number = ?", -7),
    ("grouped = ?", "nine"),
    ("settled = ?", 1),
    ("settled = ?", "perhaps"),
    ("message = ?", 4711),
    ("run = ?", 4711),
]


@pytest.mark.parametrize(("assignment", "value"), WAITS)
def test_a_wait_that_somebody_has_written_over_stops_no_other(store, assignment, value):
    damaged = parked(store, "damaged", seconds=3600.0)
    write_over(store, f"update waits set {assignment}", value)

    deliver(store, message("m1"))
    assert works(store)

    store.waits()
    store.settled_waits(HERE)
    store.topics()
    store.due_in()
    store.cancel("damaged")
    take(store)
    assert store.delete([damaged.record.id]) == 1
    assert works_again(store)


def works_again(store):
    take(store)
    taken = waiting(store, key="again")
    deliver(store, message("again", keys=["again"]))
    return node_of(store, taken)[0] is State.SUCCEEDED


MESSAGES = [
    ("keys = ?", "not JSON"),
    ("keys = ?", '{"a": 1}'),
    ("keys = ?", "[" * 100_000),
    ("headers = ?", "[1]"),
    ("headers = ?", b"\xff"),
    ("expires_at = ?", "never"),
    ("forget_at = ?", b"never"),
    ("at = ?", 1e300),
    ("state = ?", "lost"),
    ("to_all = ?", "yes"),
    ("takers = ?", "many"),
    ("repeats = ?", "often"),
    ("payload = ?", b"\xff\x00"),
]


@pytest.mark.parametrize(("assignment", "value"), MESSAGES)
def test_a_message_that_somebody_has_written_over_stops_no_other(store, assignment, value):
    deliver(store, message("m1", keys=["damaged"]), message("m2", keys=["damaged"], payload="2"))
    write_over(store, f"update messages set {assignment} where id = 'm1'", value)

    taken = [waiting(store, key="damaged"), waiting(store, key="damaged")]
    assert "2" in [node_of(store, each)[2] for each in taken]
    assert works(store)

    store.messages()
    store.topics()
    deliver(store, message("m1", keys=["damaged"]))
    for each in taken:
        write_one(store, each.claimed, each.record.id, unwaits=[7])
    assert works_again(store)


def test_the_row_of_a_node_that_says_no_outcome_is_not_told_to_its_owner(store):
    taken = waiting(store)
    deliver(store)
    write_over(store, "update nodes set state = 'happy'")

    assert store.settled_waits(HERE) == []
    write_one(store, taken.claimed, taken.record.id, nodes=[row(7)], heard=[7])
    assert open_waits(store) == []


@pytest.mark.parametrize("entry", ["not JSON", "[]", '{"file": "/srv/shop.py"}', "[" * 100_000])
def test_a_starter_that_cannot_be_read_begins_nothing_and_the_message_is_kept(store, entry):
    store.put_starters(HERE, [Starter("ORDER", "t", {"parameters": {}}, "order", "default")])
    write_over(store, "update starters set entry = ?", entry)

    assert deliver(store, message(topic="ORDER")) == ["kept"]
    assert works(store)


def test_the_relay_of_a_holder_that_cannot_be_read_rests_until_its_lease_ends(store):
    store.lease_relay("OUT", HERE, 3600.0)
    write_over(store, "update relays set owner = 'nobody'")
    assert not store.lease_relay("OUT", HERE, 3600.0)

    write_over(store, "update relays set until = 'never'")
    assert store.lease_relay("OUT", HERE, 3600.0)


def test_a_wait_without_its_node_is_dropped_with_its_run(store):
    taken = begin(store, "monday")
    wait(store, taken, wait_row())
    write_over(store, "delete from nodes")

    deliver(store)
    write_one(store, taken.claimed, "monday", state=State.FAILED, error="", at=time.time())

    assert store.waits() == []
