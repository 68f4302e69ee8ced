"""The graphs of runs that are kept for all who look."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aiodag import Graph, GraphNode, State
from aiodag.records import RunRecord
from aiodag.web import shelf
from aiodag.web.shelf import GraphShelf

BEGAN = datetime(2024, 1, 31, tzinfo=UTC)


def run_with(counts, state=State.RUNNING, ended_at=None, id="monday"):
    return RunRecord(id, "etl", state, 1, BEGAN, BEGAN, ended_at, None, None, "", counts)


class Reader:
    """A service that counts how often a graph is read; each takes some seconds of a clock that stands still otherwise."""

    def __init__(self, takes=0.0, nodes=1):
        self.reads = 0
        self.at = 0.0
        self.takes = takes
        self.nodes = nodes

    def monotonic(self):
        return self.at

    def graph(self, run_id):
        self.reads += 1
        self.at += self.takes
        return Graph(run_id, [GraphNode(at, "n", "n", State.RUNNING) for at in range(self.nodes)], [])


@pytest.fixture
def reader(monkeypatch):
    made = Reader()
    monkeypatch.setattr(shelf.time, "monotonic", made.monotonic)
    return made


def test_an_ended_run_is_read_once(reader):
    kept = GraphShelf(reader)
    run = run_with({State.SUCCEEDED: 1}, State.SUCCEEDED, BEGAN)

    first = kept.graph(run)
    reader.at += 10_000

    assert kept.graph(run) is first
    assert reader.reads == 1


def test_what_has_moved_is_never_answered_with_what_was_before(reader):
    """A page asks because it has heard of a move: it must see it, however soon it asks."""
    kept = GraphShelf(reader)
    kept.look(run_with({}))

    found = kept.look(run_with({State.RUNNING: 1}))

    assert reader.reads == 2
    assert found.again == 0


def test_a_run_in_which_nothing_moves_is_read_again_after_a_moment(reader):
    kept = GraphShelf(reader)
    run = run_with({State.RUNNING: 1})

    kept.graph(run)
    reader.at += shelf.FRESH / 2
    kept.graph(run)
    assert reader.reads == 1
    reader.at += shelf.FRESH
    kept.graph(run)
    assert reader.reads == 2


def test_a_large_graph_is_read_for_a_part_of_the_time_and_says_when_it_is_newer(reader):
    reader.takes = 2.0
    kept = GraphShelf(reader)
    kept.look(run_with({State.RUNNING: 1}))
    reader.at += 3.0

    found = kept.look(run_with({State.RUNNING: 2}))
    assert (reader.reads, found.again) == (1, 5.0)
    reader.at += found.again
    assert kept.look(run_with({State.RUNNING: 2})).again == 0
    assert reader.reads == 2


def test_another_execution_is_another_graph(reader):
    kept = GraphShelf(reader)
    run = run_with({State.SUCCEEDED: 1}, State.SUCCEEDED, BEGAN)

    kept.graph(run)
    kept.graph(replace(run, execution=2))

    assert reader.reads == 2


def test_what_is_kept_is_bounded(reader, monkeypatch):
    monkeypatch.setattr(shelf, "MOST_KEPT", 25)
    reader.nodes = 10
    kept = GraphShelf(reader)
    runs = [run_with({State.SUCCEEDED: 1}, State.SUCCEEDED, BEGAN, id=f"run-{at}") for at in range(4)]

    for each in runs:
        kept.graph(each)
    kept.graph(runs[3])
    assert reader.reads == 4
    kept.graph(runs[0])
    assert reader.reads == 5


def test_many_who_look_at_once_read_once(reader):
    kept = GraphShelf(reader)
    run = run_with({State.SUCCEEDED: 1}, State.SUCCEEDED, BEGAN)
    begin = threading.Barrier(8)

    def look():
        begin.wait()
        kept.graph(run)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert reader.reads == 1
