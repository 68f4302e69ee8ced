"""Whatever somebody has written into a row of the queue fails that run, with a reason; never a worker, nor other runs."""

import sqlite3
import time
from contextlib import closing

import pytest
from test_queue import HERE, enrol, ids, state_of, submit, take, why

from aiodag import State
from aiodag.service import Service
from aiodag.stores import SQLite


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def write_over(store, run_id, assignment, *values):
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("pragma ignore_check_constraints = on")
        connection.execute(f"update runs set {assignment} where id = ?", (*values, run_id))
        connection.commit()


@pytest.mark.parametrize(
    ("assignment", "values", "told"),
    [
        ("entry = ?", ["{not json"], "entry='{not json'"),
        ("entry = ?", ["[1, 2]"], "entry='[1, 2]'"),
        ("entry = ?", [b"\xff\x00"], "entry="),
        ("entry = null", [], "neither an entry nor a definition"),
        ("entry = ?", ['{"file": "etl.py"}'], "entry={'file': 'etl.py'}"),
        ("entry = ?", ["[" * 100_000], "entry="),
        ("name = ?", [b"etl"], "name="),
        ("priority = ?", ["very high"], "priority='very high'"),
        ("priority = ?", [2.5], "priority=2.5"),
        ("priority = ?", ["x" * 10_000_000], "priority="),
        ("execution = ?", ["often"], "execution='often'"),
        ("execution = ?", [-3], "execution=-3"),
        ("deaths = ?", ["many"], "deaths='many'"),
        ("tags = ?", ["none"], "tags='none'"),
        ("tags = ?", ['{"env": 1}'], "tags="),
        ("target = null", [], "target=None"),
        ("target = ?", [b"etl"], "target="),
        ("begun = ?", ["twice"], "begun='twice'"),
        ("created_at = ?", ["yesterday"], "created_at='yesterday'"),
        ("created_at = ?", [1e300], "created_at="),
    ],
)
def test_a_row_that_cannot_be_read_fails_its_run_alone(store, assignment, values, told):
    submit(store, "before")
    submit(store, "damaged")
    submit(store, "after")
    write_over(store, "damaged", assignment, *values)

    assert ids(take(store)) == ["before", "after"]

    error = str(Service(store).error("damaged"))
    assert "what is recorded of it cannot be read" in error
    assert told in error
    assert len(error) < 1000
    assert raw(store, "damaged") == [("failed", None, 1)]
    assert take(store) == []


def raw(store, run_id):
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(
            "select state, owner, ended_at is not null from runs where id = ?", (run_id,)
        ).fetchall()


@pytest.mark.parametrize(
    ("assignment", "values"),
    [
        ("state = ?", ["nonsense"]),
        ("state = ?", [7]),
        ("queue = ?", ["q" * 10_000_000]),
        ("queue = ?", [b"default"]),
        ("queue = ?", [3]),
        ("ready = ?", ["soon"]),
        ("ready = ?", [7]),
    ],
)
def test_what_no_worker_is_asked_for_holds_up_nobody(store, assignment, values):
    submit(store, "before")
    submit(store, "damaged")
    submit(store, "after")
    write_over(store, "damaged", assignment, *values)

    assert ids(take(store)) == ["before", "after"]
    assert len(store.runs()) == 3
    assert store.queues()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("insert into timers (due_at, kind, run) values (?, ?, ?)", ["soon", "start", 1]),
        ("insert into timers (due_at, kind, run) values (?, ?, ?)", [0.0, "explode", 1]),
        ("insert into timers (due_at, kind, run) values (?, ?, ?)", [0.0, "start", 999]),
        ("insert into timers (due_at, kind, run) values (?, ?, ?)", [0.0, "expire", "first"]),
        ("insert into names (name, max_active) values (?, ?)", ["main", "few"]),
        ("insert into names (name, max_active) values (?, ?)", ["main", 1.5]),
        ("insert into queues (name, state, rate, per) values (?, ?, ?, ?)", ["default", "strange", "fast", "always"]),
        ("insert into queues (name, state, rate, per) values (?, ?, ?, ?)", ["default", "open", 0, 0.0]),
        ("insert into queues (name, state, rate, per) values (?, ?, ?, ?)", ["default", "open", -1, 1.0]),
        (
            "insert into workers (owner, queues, most, started_at, lease) values (?, ?, ?, ?, ?)",
            ["me", "all", "x", "y", "z"],
        ),
        ("insert into refusals (owner, target, reason) values (?, ?, ?)", ["me", "/srv/etl.py:main", 17]),
        ("insert into leases (owner, until) values (?, ?)", ["me", "later"]),
    ],
)
def test_other_rows_of_the_queue_that_make_no_sense_hold_up_nobody(store, statement, values):
    enrol(store)
    submit(store, "a")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute(statement, values)
        connection.commit()

    assert ids(take(store)) == ["a"]
    assert [worker.owner for worker in store.workers()] == [HERE]
    assert [queue.name for queue in store.queues()] == ["default"]
    store.due_in()
    submit(store, "b")


def test_a_run_expires_at_a_moment_that_no_calendar_has(store):
    submit(store, "a")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("insert into timers (due_at, kind, run) select -1e300, 'expire', run from runs")
        connection.commit()

    assert take(store) == []
    assert why(store, "a") == "expired: it had not begun by -1e+300"


def test_who_waits_for_a_damaged_run_is_told(store):
    submit(store, "a")
    write_over(store, "a", "entry = ?", "{not json")
    take(store)

    assert "entry='{not json'" in why(store, "a")
    assert state_of(store, "a") is State.FAILED


def test_a_key_of_a_damaged_row_is_refused_and_not_read_as_another(store):
    submit(store, "a", key="k")
    write_over(store, "a", "entry = ?", "{not json")

    with pytest.raises(Exception, match="use another key"):
        submit(store, "b", key="k", at=time.time())
