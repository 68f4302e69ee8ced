"""Files of older versions are looked at as they are, and brought to today's by the first write."""

import asyncio
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from executions import claim_one

import aiodag.commands  # noqa: F401 - the values name a class of it
from aiodag import Run, State, StoreError, task
from aiodag.records import Claim, Owner, RunFilter
from aiodag.service import Service
from aiodag.stores import SQLite
from aiodag.stores.places import store_at
from aiodag.stores.sql.file_session import steps

RECORDED = Path(__file__).with_name("recorded")
VERSION_1 = """
    insert into runs (id, name, state, execution, entry, created_at, started_at, ended_at, owner, leased_until) values
        ('old', 'etl', 'failed', 2, '{"file": "etl.py"}', 1.0, 2.0, 3.0, null, null),
        ('cut', 'etl', 'running', 1, null, 4.0, 4.0, null, '["a-host", 1, "1"]', 19.0);
    insert into nodes values
        (1, 0, 2, 0, 'k', 'fetch', '', 'fetch(1)', 'succeeded', 2, null, 'json', '42', '', 'e:1', 1.0, 2.0, 3.0),
        (1, 1, 2, 0, 'l', 'load', '', 'load(1)', 'failed', 1, null, '', null, '', 'e:2', 1.0, 2.0, 3.0);
    insert into attempts values (1, 0, 1, 'failed', 1.0, 2.0, '');
    insert into edges values (1, 1, 0, 0, 0);
    insert into logs values (1, 1.0, 0, 'INFO', 'app', 'line');
    insert into cache values ('key', 'fetch', 'json', '1', 2.0);
"""
VERSIONS = ["1.1", "v1.2.0-py3.11.db", "v1.3.0-py3.13.db", "1.5", "v1.6.0-py3.11.db", "v1.8.0-py3.13.db"]


@pytest.fixture(params=VERSIONS)
def older(request, tmp_path):
    """A store of each version, and that version."""
    path = tmp_path / "runs.db"
    if request.param == "1.5":
        shutil.copy(RECORDED / "v1.4.0-py3.13.db", path)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"{steps()[4]}; pragma user_version = 5")
    elif request.param != "1.1":
        shutil.copy(RECORDED / request.param, path)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(f"{steps()[0]}; {VERSION_1}; pragma user_version = 1")
    return path, version_in(path)


def version_in(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("pragma user_version").fetchone()[0]


def all_of(path):
    """What people can see of a store."""
    store = SQLite(path)
    service = Service(store)
    seen = []
    for run in store.runs():
        seen += [
            store.run(run.id),
            store.nodes(run.id, every=True),
            store.edges(run.id),
            store.attempts(run.id, every=True),
            store.failures(run.id),
            store.logs(run.id),
            store.output(run.id),
            store.definitions(run.id),
            store.functions(run.id),
            store.attempts_by_task(run.id),
            store.known_nodes(run.id),
            service.graph(run.id).nodes,
        ]
    seen += [store.registered(), store.cached_value("key", 0.0)]
    seen += [[run.id for run in service.runs(tags={"kind": "test"})]]
    seen += [[run.id for run in service.runs(state="failed")]]
    store.close()
    return seen


def test_looking_at_an_older_store_shows_all_of_it_and_changes_nothing(older, tmp_path):
    path, version = older
    before = path.read_bytes()
    seen = all_of(path)

    assert path.read_bytes() == before
    assert version_in(path) == version < len(steps())
    assert sorted(each.name for each in tmp_path.glob("*.bak*")) == []

    store = SQLite(path)
    store.delete([])  # a write
    store.close()
    assert version_in(path) == len(steps())
    assert all_of(path) == seen


def test_looking_at_an_older_store_leaves_nothing_next_to_it(older, tmp_path):
    for _ in range(2):
        store = SQLite(older[0])
        assert store.runs()
        store.close()

    assert list(tmp_path.iterdir()) == [older[0]]


def test_the_first_write_keeps_a_copy_of_what_was_there(older):
    path, version = older
    copy = path.with_name(f"runs.db.v{version}.bak")
    seen = all_of(path)

    async def main():
        async with Run("new", store=path, id="new"):
            task(sum)([1, 2])

    asyncio.run(main())
    assert version_in(path) == len(steps())
    assert version_in(copy) == version
    assert all_of(copy) == seen
    assert copy.stat().st_mode & 0o077 == 0


def test_a_copy_replaces_nothing(older):
    path, version = older
    kept = path.with_name(f"runs.db.v{version}.bak")
    kept.write_text("somebody's")
    store = SQLite(path)
    store.delete([])
    store.close()

    assert kept.read_text() == "somebody's"
    assert version_in(path.with_name(f"runs.db.v{version}.bak2")) == version


def test_whoever_wants_no_copy_says_so(older, tmp_path):
    path, _ = older
    store = store_at(f"sqlite:///{path}?backup=no")
    store.delete([])
    store.close()

    assert version_in(path) == len(steps())
    assert list(tmp_path.glob("*.bak*")) == []
    with pytest.raises(StoreError, match="backup is yes or no, not 'never'"):
        store_at("sqlite:///runs.db?backup=never")


def test_a_store_in_which_a_process_owns_a_run_stays_as_it_is(older, tmp_path):
    path, version = older
    with closing(sqlite3.connect(path)) as connection, connection:
        owner = json.dumps(["another-host", 7, "1"])
        values = (owner, time.time() + 60)
        connection.execute(
            "insert into runs (id, name, state, execution, created_at, started_at, owner, leased_until) "
            "values ('goes on', 'etl', 'running', 1, 1.0, 1.0, ?, ?)",
            values,
        )
    store = SQLite(path)

    with pytest.raises(
        StoreError,
        match=r"version . to .*: run 'goes on' is owned by process 7 on another-host, .* another [1-6]?\d s",
    ):
        claim_one(store, Claim("new", "new", None, Owner.here(), lease=15, at=time.time()))
    assert store.run("goes on").state is State.RUNNING
    assert version_in(path) == version
    assert list(tmp_path.glob("*.bak*")) == []

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update runs set leased_until = 1.0 where id = 'goes on'")
    assert claim_one(store, Claim("new", "new", None, Owner.here(), lease=15, at=time.time())).execution == 1
    assert version_in(path) == len(steps())
    store.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(older, monkeypatch):
    path, version = older
    seen = all_of(path)
    broken = [*steps()[:-1], f"{steps()[-1]}; create table runs (x)"]
    monkeypatch.setattr("aiodag.stores.sql.migration.steps", lambda: broken)
    store = SQLite(path)

    with pytest.raises(StoreError, match="table runs already exists"):
        store.delete([])
    store.close()
    monkeypatch.undo()
    assert version_in(path) == version
    assert all_of(path) == seen
    assert list(path.parent.glob("*.bak*")) == []


def test_without_room_for_a_copy_nothing_changes_and_the_way_out_is_told(older, monkeypatch):
    path, version = older

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("aiodag.stores.sql.migration.copy_to", full)
    store = SQLite(path)
    with pytest.raises(StoreError, match=r"is full\. Make room for it, or do without one: sqlite:///.*\?backup=no"):
        store.delete([])
    store.close()
    assert version_in(path) == version


def test_a_copy_that_was_never_finished_is_not_in_the_way_of_the_next(older):
    path, version = older
    left = [path.with_name(name) for name in (f".runs.db.v{version}.bak.{os.getpid()}", f".copy.db.{os.getpid()}")]
    for each in left:
        each.write_text("somebody's")
    store = SQLite(path)
    store.delete([])
    store.backup(path.with_name("copy.db"))
    store.close()

    assert version_in(path.with_name(f"runs.db.v{version}.bak")) == version
    assert version_in(path.with_name("copy.db")) == len(steps())
    assert sorted(each for each in path.parent.iterdir() if each.name.startswith(".")) == sorted(left)
    assert {each.read_text() for each in left} == {"somebody's"}


def test_a_store_whose_bytes_an_older_one_has_replaced_is_to_be_opened_anew(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    store.delete([])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("pragma user_version = 3")

    with pytest.raises(StoreError, match=r"has version 3 again, and had . when it was opened here.*open it anew"):
        store.delete([])
    store.close()


def test_tags_that_an_older_aiodag_writes_into_a_store_of_today_are_found(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    store.delete([])
    # As 1.3 has them, which had the file open before it was brought up to date.
    add = """
        insert into runs (id, name, state, execution, entry, created_at, started_at, owner, leased_until, tags)
        values ('old', 'etl', 'running', 1, null, 1.0, 1.0, null, null, ?)
    """
    take = """
        update runs set state = 'running', execution = execution + 1, tags = case :tags when '{}' then tags else :tags end
        where id = 'old'
    """

    def found(**tags):
        return [run.id for run in store.runs(wanted=RunFilter(tags=tags))]

    with closing(sqlite3.connect(store.path, isolation_level=None)) as older:
        older.execute(add, ('{"env": "test", "kind": "daily"}',))
        assert (found(env="test", kind="daily"), found(env="live")) == (["old"], [])
        older.execute(take, {"tags": "{}"})
        assert found(env="test", kind="daily") == ["old"]
        older.execute(take, {"tags": '{"env": "live"}'})
        assert (found(env="test"), found(kind="daily"), found(env="live")) == ([], [], ["old"])
    claim_one(store, Claim("old", "etl", None, Owner.here(), lease=15, at=time.time(), tags={"env": "next"}))
    assert (found(env="live"), found(env="next")) == ([], ["old"])
    store.close()


def test_a_run_that_ended_before_its_store_was_brought_up_to_date_is_counted(older):
    store = SQLite(older[0])
    before = {run.id: run.counts for run in store.runs()}
    store.delete([])

    assert {run.id: run.counts for run in store.runs()} == before
    assert any(before.values())
    store.close()


def test_who_looks_goes_on_when_somebody_brings_the_store_up_to_date(older):
    path, _ = older
    looking = SQLite(path)
    before = looking.runs()
    other = SQLite(path)
    claim_one(other, Claim("new", "new", None, Owner.here(), lease=15, at=time.time()))
    other.close()

    assert [run.id for run in looking.runs()] == [*(run.id for run in before), "new"]
    looking.close()


def test_who_has_a_store_open_does_not_write_to_one_of_a_newer_version(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    store.delete([])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("pragma user_version = 999")

    with pytest.raises(StoreError, match="has version 999, made by a newer aiodag; this one knows"):
        claim_one(store, Claim("new", "new", None, Owner.here(), lease=15, at=time.time()))
    store.close()
    with pytest.raises(StoreError, match="has version 999, made by a newer aiodag; this one knows"):
        store.runs()
    store.close()


def test_an_empty_file_is_a_store_without_runs(tmp_path):
    (tmp_path / "runs.db").touch()
    store = SQLite(tmp_path / "runs.db")

    assert store.runs() == []
    assert (tmp_path / "runs.db").stat().st_size == 0
    claim_one(store, Claim("new", "new", None, Owner.here(), lease=15, at=time.time()))
    assert [run.id for run in store.runs()] == ["new"]
    assert list(tmp_path.glob("*.bak*")) == []
    store.close()
