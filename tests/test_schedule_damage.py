"""Whatever somebody has written into a row of schedules hurts that schedule or that moment alone, and nobody else."""

import pytest
from test_inbox_damage import write_over
from test_queue import end, ids, submit, take
from test_schedule_store import backfill, due_backfills, moment, names, put, read, release, told

from aiodag.stores import SQLite

RUBBISH = ["soon", b"\xff", -1e300, 1e300, -7, "\0", "{", "[]", "null", '"text"', '{"a": ' * 500, 7, 7.5, "9" * 5000]


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def works(store):
    """Whether another schedule releases its moments, and what waits is submitted."""
    if not store.schedules("sound"):
        put(store, "sound")
    place = 1000 + len(store.firings("sound"))
    assert "sound" in names(store.due_schedules(100))
    assert release(store, place, name="sound", run="sound", next_at=1.0) == [("submitted", f"sound{place}")]
    assert release(store, place + 1, name="sound", run="sound", next_at=1.0) == [("waiting", None)]
    for wanted in (f"sound{place}", f"sound{place + 1}"):
        taken = {each.record.id: each for each in take(store)}
        end(store, taken[wanted])
        take(store, 0)
    assert store.schedules()
    store.next_due()
    due_backfills(store)
    return True


def columns_of(store, table):
    with store.reading() as session:
        return [row[1] for row in session.execute(f"pragma table_info({table})") if row[1] != table.removesuffix("s")]


@pytest.mark.parametrize("value", RUBBISH, ids=lambda value: repr(value)[:12])
def test_a_schedule_that_was_written_over_hurts_no_other(store, value):
    works(store)
    for column in columns_of(store, "schedules"):
        put(store, column)
        if column == "name":
            write_over(store, "update schedules set name = ? where name = 'name'", value)
        else:
            write_over(store, f"update schedules set {column} = ? where name = ?", value, column)

    assert works(store)


@pytest.mark.parametrize(
    "column", ["form", "submission", "params", "overlap", "catch_up", "jitter", "grace", "version"]
)
def test_a_schedule_that_cannot_be_read_is_broken_with_the_reason(store, column):
    put(store)
    put(store, "other")
    write_over(store, f"update schedules set {column} = 'rubbish' where name = 'nightly'")

    assert names(store.due_schedules(10)) == ["other"]

    found = read(store)
    assert (found.state, found.next_at) == ("broken", None)
    assert found.reason.startswith("what is recorded of it cannot be read: ")
    assert told(store) == [("refused", 1)]
    assert store.firings("nightly")[0].reason == found.reason
    if column != "version":
        put(store)
        assert sorted(names(store.due_schedules(10))) == ["nightly", "other"]


@pytest.mark.parametrize("value", RUBBISH, ids=lambda value: repr(value)[:12])
def test_a_firing_that_was_written_over_hurts_no_other(store, value):
    works(store)
    for column in set(columns_of(store, "firings")) - {"schedule"}:
        put(store, column)
        release(store, 0, 1, name=column, run=column)
        number = read(store, column).number
        write_over(store, f"update firings set {column} = ? where schedule = ? and state = 'waiting'", value, number)
        assert len(store.firings(column)) == 2
        end(store, *[each for each in take(store) if each.record.id == f"{column}0"])

    assert works(store)


def test_what_waits_and_cannot_be_read_is_refused_with_the_reason(store):
    put(store)
    release(store, 0, 1)
    write_over(store, "update firings set submission = 'rubbish' where state = 'waiting'")
    end(store, *take(store))

    assert ids(take(store)) == []
    refused = store.firings("nightly")[1]
    assert refused.state == "refused"
    assert refused.reason.startswith("what is recorded of it cannot be read: ")


@pytest.mark.parametrize("value", RUBBISH, ids=lambda value: repr(value)[:12])
def test_a_backfill_that_was_written_over_hurts_no_other(store, value):
    put(store)
    for column in set(columns_of(store, "backfills")) - {"schedule"}:
        number = backfill(store)
        write_over(store, f"update backfills set {column} = ? where backfill = ?", value, number)
    sound = backfill(store)

    assert sound in [each.number for each in store.due_backfills(100)]
    assert all(each.damaged or each.state for each in store.backfills())
    assert works(store)


@pytest.mark.parametrize("value", RUBBISH, ids=lambda value: repr(value)[:12])
def test_a_run_of_which_the_schedule_or_group_was_written_over_hurts_no_other(store, value):
    for column in ("schedule", "backfill", "concurrency", "held", "cancels"):
        submit(store, column, group=column)
        submit(store, f"{column}2", group=column)
        write_over(store, f"update runs set {column} = ? where id = ?", value, column)

    assert {run.id for run in store.runs()} >= {"held", "held2"}
    for each in take(store):
        end(store, each)
    assert works(store)


@pytest.mark.parametrize("value", RUBBISH, ids=lambda value: repr(value)[:12])
def test_rubbish_among_what_was_freed_is_forgotten(store, value):
    put(store)
    release(store, 0, 1)
    write_over(
        store, "insert into freed (kind, name) values (?, ?), ('schedule', ?), ('group', ?)", value, *[value] * 3
    )
    take(store, 0)

    with store.reading() as session:
        assert session.execute("select count(*) from freed").fetchone() == (0,)
    assert works(store)


def test_a_moment_far_away_is_told_all_the_same(store):
    put(store)
    write_over(store, "update firings set at = 1e300")
    write_over(store, "update schedules set next_at = 1e18")

    assert store.due_schedules(10) == []
    assert read(store).damaged
    assert moment(0)
