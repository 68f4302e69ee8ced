"""A run that is followed: each line once, in the order of time, and no more is read than is new."""

import threading
import time

import pytest
from executions import claim_one, write_one

from aiodag import State
from aiodag.errors import StoreError, UnknownRun
from aiodag.records import Claim, Owner
from aiodag.service import Service
from aiodag.stores import Memory, SQLite


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def claimed(store):
    return claim_one(store, Claim("monday", "etl", None, Owner.here(), 60.0, time.time()))


def node(number, name, state=State.SUCCEEDED, ended=7.0):
    return (number, f"key{number}", name, "", f"{name}({number})", state, 1, None, "json", "1", "", "", 5.0, 6.0, ended, 0, 0)  # fmt: skip


def line(number, text, at=6.5):
    return (at, number, "INFO", "etl", text)


def texts(follower):
    return [each["text"] for each in follower.look()]


def test_each_look_gives_what_is_new_and_the_last_one_says_so(store, claimed):
    follower = Service(store).follow("monday")
    write_one(store, claimed, "monday", nodes=[node(0, "load")], logs=[line(0, "one"), line(None, "two")])
    first = follower.look()
    write_one(store, claimed, "monday", logs=[line(0, "three")], output=[(0, 1, "stdout", 0, 7.0, b"four\nfi")])
    second, third = texts(follower), texts(follower)
    over = follower.over
    write_one(store, claimed, "monday", state=State.SUCCEEDED, at=9.0)

    assert [(each["text"], each["label"]) for each in first] == [("one", "load(0)"), ("two", None)]
    assert (second, third, over) == (["three", "four"], [], False)
    assert (texts(follower), follower.over) == (["fi"], True)


def test_a_task_is_followed_with_all_its_nodes_and_no_other(store, claimed):
    follower = Service(store).follow("monday", "load")
    write_one(store, claimed, "monday", nodes=[node(0, "load"), node(1, "save")], logs=[line(0, "a"), line(1, "no")])
    first = texts(follower)
    logs, output = [line(1, "no"), line(2, "b"), line(0, "c")], [(2, 1, "stdout", 0, 8.0, b"d\n")]
    write_one(store, claimed, "monday", nodes=[node(2, "load")], logs=logs, output=output)
    second = texts(follower)
    third = texts(follower)
    write_one(store, claimed, "monday", state=State.SUCCEEDED, at=9.0)

    assert first + second + third + texts(follower) == ["a", "b", "c", "d"]


def test_a_failure_is_told_once_although_its_end_was_written_late(store, claimed):
    follower = Service(store).follow("monday")
    write_one(store, claimed, "monday", nodes=[node(0, "load", State.FAILED, ended=100.0)])
    first = follower.look()
    write_one(store, claimed, "monday", nodes=[node(1, "load", State.FAILED, ended=99.0)])
    second = follower.look()
    write_one(store, claimed, "monday", state=State.FAILED, at=101.0)

    assert [(each["node"], each["level"]) for each in first + second] == [(0, "FAILED"), (1, "FAILED")]
    assert follower.look() == []


def test_a_run_that_ended_without_the_node_says_which_tasks_it_had(store, claimed):
    write_one(store, claimed, "monday", nodes=[node(0, "load")])
    follower = Service(store).follow("monday", "laod")
    assert follower.look() == []  # it may still be called
    write_one(store, claimed, "monday", state=State.SUCCEEDED, at=9.0)

    with pytest.raises(StoreError, match="no node 'laod'; its tasks are load"):
        follower.look()


def test_a_run_that_is_not_there_cannot_be_followed(store):
    with pytest.raises(UnknownRun):
        Service(store).follow("tuesday")


def test_a_look_that_finds_nothing_reads_neither_nodes_nor_lines(store, claimed):
    nodes = [node(number, "load") for number in range(3000)]
    output = [(number, 1, "stdout", 0, 7.0, b"x\n") for number in range(3000)]
    write_one(store, claimed, "monday", nodes=nodes, output=output)
    follower = Service(store).follow("monday")
    follower.look()
    steps = []
    store.connection.set_progress_handler(lambda: steps.append(None), 1)
    new = follower.look()
    store.connection.set_progress_handler(None, 0)

    assert (new, len(steps) < 1000) == ([], True)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_who_follows_is_woken_by_what_is_written_and_by_the_end(kind, tmp_path, monkeypatch):
    """Nobody's patience ends here: without being woken it would take hours."""
    monkeypatch.setattr("aiodag.service.follow.LEAST", 0.0)
    store = Memory() if kind == "memory" else SQLite(tmp_path / "runs.db")
    claimed = claim_one(store, Claim("monday", "etl", None, Owner.here(), 60.0, time.time()))
    write_one(store, claimed, "monday", nodes=[node(0, "load")], logs=[line(0, "one")])
    follower = Service(store).follow("monday")
    looks, found = follower.looks(patience=3600.0), []

    def write():
        write_one(store, claimed, "monday", logs=[line(0, "two")])
        write_one(store, claimed, "monday", logs=[line(0, "three")], state=State.SUCCEEDED, at=9.0)

    found += next(looks)
    found += next(looks)
    writing = threading.Thread(target=write)
    writing.start()
    for documents in looks:
        found += documents
    writing.join()
    store.close()

    assert [each["text"] for each in found] == ["one", "two", "three"]
    assert follower.over
