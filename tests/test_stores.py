"""One contract for every store: who owns a run, what is written, what can be read."""

import sqlite3
import time

import pytest

from aiodag import State
from aiodag.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from aiodag.stores.memory import Memory
from aiodag.stores.places import store_at, usual_place
from aiodag.stores.records import Batch, Claim, Owner
from aiodag.stores.sqlite import SQLite, migrate

HERE = Owner.here()
ELSEWHERE = Owner("another-host", 1, "1")
GONE = HERE._replace(pid=2**22 + 1)  # above what a system gives out


def claim_of(run_id="etl", *, name="etl", owner=HERE, lease=60.0, at=None, entry=None):
    return Claim(run_id, name, entry, owner, lease, time.time() if at is None else at)


def row(number, *, key=None, name="fetch", state=State.SUCCEEDED, attempt=1, value="1", parent=None, error=""):
    key = key or f"key{number}"
    return (
        number,
        key,
        name,
        "",
        f"{name}({number})",
        state,
        attempt,
        parent,
        "json",
        value,
        error,
        "etl.py:1",
        5.0,
        6.0,
        7.0,
    )


class StoreContract:
    """What every store promises."""

    @pytest.fixture
    def store(self):
        pytest.fail("each store of its own")

    @pytest.fixture
    def claimed(self, store):
        return store.claim(claim_of())

    def write(self, store, claimed, **batch):
        store.write(claimed, Batch(**batch), time.time() + 60, "etl")

    # Own a run

    def test_a_new_run_knows_nothing_and_runs(self, store, claimed):
        record = store.run("etl")

        assert claimed.known == {}
        assert (record.id, record.name, record.state, record.execution) == ("etl", "etl", State.RUNNING, 1)
        assert record.owner == HERE

    def test_a_run_that_is_owned_is_refused_and_says_by_whom(self, store):
        store.claim(claim_of(owner=ELSEWHERE))

        with pytest.raises(RunOwned, match="process 1 on another-host"):
            store.claim(claim_of())

    def test_a_run_whose_lease_has_run_out_is_taken_over(self, store):
        store.claim(claim_of(owner=ELSEWHERE, lease=1.0, at=time.time() - 60))

        assert store.claim(claim_of()).execution == 2

    def test_a_run_whose_process_has_ended_is_taken_over_before_its_lease_runs_out(self, store):
        store.claim(claim_of(owner=GONE))

        assert store.claim(claim_of()).execution == 2

    def test_the_late_writes_of_a_former_owner_are_refused(self, store):
        former = store.claim(claim_of(owner=GONE))
        store.claim(claim_of())

        with pytest.raises(LeaseLost, match="'etl' was taken over"):
            self.write(store, former, nodes=[row(0)])
        with pytest.raises(LeaseLost):
            store.renew(former, time.time(), "etl")
        with pytest.raises(LeaseLost):
            store.wants_cancel(former, "etl")
        assert store.nodes("etl") == []

    def test_a_run_of_another_name_is_refused(self, store, claimed):
        with pytest.raises(StoreError, match="one of 'etl', not of 'report'"):
            store.claim(claim_of(name="report", owner=HERE))

    def test_the_entry_of_the_first_execution_is_kept(self, store):
        store.claim(claim_of(owner=GONE, entry={"file": "etl.py"}))
        store.claim(claim_of())

        assert store.run("etl").entry == {"file": "etl.py"}

    # Write and read

    def test_nodes_come_back_as_they_were_written(self, store, claimed):
        self.write(store, claimed, nodes=[row(1, value='"b"'), row(0, value=b"\0\xff", parent=None)])
        first, second = store.nodes("etl")

        assert (first.number, first.key, first.value, first.state) == (0, "key0", b"\0\xff", State.SUCCEEDED)
        assert (second.value, second.label, second.recalled) == ('"b"', "fetch(1)", False)
        assert first.started_at.timestamp() == 6.0
        assert first.started_at.tzinfo is not None

    def test_many_rows_at_once(self, store, claimed):
        self.write(store, claimed, nodes=[row(number) for number in range(1000)], edges=[(1, 0, True, False)] * 3)

        assert [node.number for node in store.nodes("etl")] == list(range(1000))
        assert [(edge.up, edge.down, edge.exogenous) for edge in store.edges("etl")] == [(0, 1, True)]

    def test_a_later_execution_knows_what_an_earlier_one_left(self, store):
        former = store.claim(claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0), row(1, state=State.RUNNING, value=None)])
        claimed = store.claim(claim_of())

        assert claimed.known["key0"].state is State.SUCCEEDED
        assert claimed.known["key1"].attempt == 1
        assert store.known("etl") == claimed.known
        assert store.nodes("etl") == []  # of the new execution

    def test_what_is_recalled_is_of_the_execution_that_recalled_it(self, store):
        former = store.claim(claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0), row(1)])
        self.write(store, store.claim(claim_of()), recalled=[1])

        assert [(node.number, node.recalled) for node in store.nodes("etl")] == [(1, True)]

    def test_the_attempt_of_an_earlier_execution_is_kept_when_a_node_runs_again(self, store):
        former = store.claim(claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0, state=State.RUNNING, value=None)])
        self.write(store, store.claim(claim_of()), again=[0], nodes=[row(0, attempt=2)])

        assert [(each.attempt, each.state) for each in store.attempts("etl")] == [(1, State.CANCELLED)]
        assert store.nodes("etl")[0].attempt == 2

    def test_lines_come_in_order(self, store, claimed):
        self.write(store, claimed, logs=[(2.0, 0, "INFO", "app", "two"), (1.0, None, "ERROR", "app", "one")])

        assert [(line.number, line.level, line.text) for line in store.logs("etl")] == [
            (0, "INFO", "two"),
            (None, "ERROR", "one"),
        ]
        assert [line.text for line in store.logs("etl", after=1)] == ["one"]

    def test_the_end_of_a_run_is_written_and_frees_it(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)], state=State.SUCCEEDED, at=9.0)
        record = store.run("etl")

        assert (record.state, record.owner, record.counts) == (State.SUCCEEDED, None, {State.SUCCEEDED: 1})
        assert record.ended_at.timestamp() == 9.0
        assert store.claim(claim_of(owner=ELSEWHERE)).execution == 2

    def test_the_cache_is_of_all_runs(self, store, claimed):
        self.write(store, claimed, cache=[("k", "fetch", "json", "1", 100.0)])

        assert store.cached("k", 0.0) == ("json", "1")
        assert store.cached("k", 101.0) is None
        assert store.cached("other", 0.0) is None

    # Change from outside

    def test_a_cancellation_is_heard_by_the_owner(self, store, claimed):
        heard = store.wants_cancel(claimed, "etl")

        assert store.cancel("etl") is True
        assert (heard, store.wants_cancel(claimed, "etl")) == (False, True)

    def test_an_ended_run_cannot_be_cancelled(self, store, claimed):
        self.write(store, claimed, state=State.SUCCEEDED)

        assert store.cancel("etl") is False

    def test_a_new_execution_is_not_cancelled_by_a_request_to_the_former(self, store):
        store.claim(claim_of(owner=ELSEWHERE, lease=1.0))
        store.cancel("etl")
        claimed = store.claim(claim_of(at=time.time() + 60))

        assert store.wants_cancel(claimed, "etl") is False

    def test_an_unknown_run_names_a_near_miss(self, store, claimed):
        with pytest.raises(UnknownRun, match=r"no run 'elt' in .*Did you mean 'etl'"):
            store.run("elt")

    def test_deleting_a_run_takes_all_that_is_its_own_and_nothing_of_another(self, store, claimed):
        other = store.claim(claim_of("etl2"))
        self.write(store, claimed, nodes=[row(0)], edges=[(0, 0, True, False)], logs=[(1.0, 0, "INFO", "a", "b")])
        store.write(other, Batch(nodes=[row(0)]), time.time() + 60, "etl2")

        assert store.delete(["etl"]) == 1
        assert [record.id for record in store.runs()] == ["etl2"]
        assert (store.nodes("etl"), store.edges("etl"), store.logs("etl")) == ([], [], [])
        assert len(store.nodes("etl2")) == 1


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return Memory()


class TestSQLite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = SQLite(tmp_path / "deep" / "runs.db")
        yield store
        store.close()

    def test_looking_makes_no_file(self, tmp_path):
        store = SQLite(tmp_path / "mistyped" / "runs.db")

        assert (store.runs(), store.nodes("etl")) == ([], [])
        with pytest.raises(UnknownRun):
            store.run("etl")
        assert list(tmp_path.iterdir()) == []

    def test_a_second_store_of_the_same_file_sees_what_is_committed(self, store, claimed, tmp_path):
        self.write(store, claimed, nodes=[row(0)])
        other = SQLite(tmp_path / "deep" / "runs.db")
        seen = other.nodes("etl")
        other.close()

        assert len(seen) == 1

    def test_the_late_write_of_a_deleted_run_does_not_reach_the_next_one(self, store, claimed):
        store.delete(["etl"])
        store.claim(claim_of("next"))

        with pytest.raises(LeaseLost):
            self.write(store, claimed, nodes=[row(0)])
        assert store.nodes("next") == []

    def test_nothing_of_a_batch_is_written_when_a_part_of_it_cannot_be(self, store, claimed):
        with pytest.raises(StoreError, match="cannot write to the store"):
            self.write(store, claimed, nodes=[row(0)], logs=[(1.0, 0, None, "a", "b")])

        assert store.nodes("etl") == []

    def test_a_newer_version_is_refused(self, tmp_path):
        with sqlite3.connect(tmp_path / "runs.db") as connection:
            connection.execute("pragma user_version = 999")
        connection.close()

        with pytest.raises(StoreError, match="has version 999, made by a newer aiodag"):
            SQLite(tmp_path / "runs.db").runs()

    def test_a_database_of_something_else_is_refused_and_left_as_it_is(self, tmp_path):
        with sqlite3.connect(tmp_path / "runs.db") as connection:
            connection.execute("create table mine (x)")
        connection.close()

        with pytest.raises(StoreError, match="is a database of something else"):
            SQLite(tmp_path / "runs.db").runs()

    def test_another_kind_of_file_is_refused_and_left_as_it_is(self, tmp_path):
        path = tmp_path / "runs.db"
        path.write_bytes(b"These are no runs. " * 100)

        with pytest.raises(StoreError, match=r"not a database\. It is some other file"):
            SQLite(path).runs()
        assert path.read_bytes() == b"These are no runs. " * 100

    @pytest.mark.parametrize("statements", [0, 1])
    def test_another_process_makes_the_same_file_meanwhile(self, tmp_path, statements):
        path = tmp_path / "runs.db"
        seen = []

        def look(statement):
            if len(seen) == statements:
                other = SQLite(path)
                other.runs()
                other.close()
            seen.append(statement)

        connection = sqlite3.connect(path, isolation_level=None)
        connection.set_trace_callback(look)
        migrate(connection, path)
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
        connection.close()

    def test_a_directory_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="unable to open"):
            SQLite(tmp_path).runs()

    def test_a_file_that_another_process_holds_is_refused(self, store, claimed, tmp_path, monkeypatch):
        monkeypatch.setattr("aiodag.stores.sqlite.BUSY", 0.0)
        store.close()
        holder = sqlite3.connect(tmp_path / "deep" / "runs.db", isolation_level=None)
        holder.execute("begin exclusive")

        with pytest.raises(StoreError, match=r"locked\. Another process has held it"):
            self.write(store, claimed, nodes=[row(0)])
        holder.rollback()
        holder.close()
        self.write(store, claimed, nodes=[row(0)])
        assert len(store.nodes("etl")) == 1

    def test_a_full_disk_is_told_and_what_was_committed_is_there(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)])
        pages = store.connection.execute("pragma page_count").fetchone()[0]
        store.connection.execute(f"pragma max_page_count = {pages}")

        with pytest.raises(StoreError, match=r"full\. Make room, then resume the run"):
            self.write(store, claimed, nodes=[row(1, value="x" * 1_000_000)])
        assert [node.number for node in store.nodes("etl")] == [0]

    def test_deleting_leaves_nothing_of_a_run_in_any_table(self, store, claimed):
        self.write(
            store,
            claimed,
            nodes=[row(0)],
            edges=[(0, 0, False, False)],
            attempts=[(0, 1, State.FAILED, 1.0, 2.0, "")],
            logs=[(1.0, 0, "INFO", "a", "b")],
        )
        store.delete(["etl"])
        tables = ("runs", "nodes", "edges", "attempts", "logs")

        assert [store.connection.execute(f"select count(*) from {each}").fetchone()[0] for each in tables] == [0] * 5


class TestPlaces:
    @pytest.mark.parametrize(
        ("address", "path"),
        [("sqlite:///runs.db", "runs.db"), ("sqlite:////tmp/runs.db", "/tmp/runs.db"), ("runs.db", "runs.db")],
    )
    def test_addresses(self, address, path):
        assert str(store_at(address).path) == path

    def test_full_synchronous(self, tmp_path):
        store = store_at(f"sqlite:///{tmp_path}/runs.db?synchronous=full")
        store.delete([])
        level = store.connection.execute("pragma synchronous").fetchone()[0]
        store.close()

        assert level == 2

    @pytest.mark.parametrize(
        "address",
        ["postgres://host/runs", "sqlite:runs.db", "sqlite:///", "sqlite:///a?x=1", "sqlite:///a?synchronous=OFF", 3],
    )
    def test_what_is_no_address_is_refused(self, address):
        with pytest.raises(StoreError):
            store_at(address)

    def test_the_usual_place_is_what_the_environment_says(self, monkeypatch):
        monkeypatch.setenv("AIODAG_STORE", "sqlite:///mine.db")

        assert usual_place() == "sqlite:///mine.db"

    def test_the_usual_place_is_in_the_state_directory(self, monkeypatch, tmp_path):
        monkeypatch.delenv("AIODAG_STORE", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

        assert usual_place() == f"sqlite:///{tmp_path}/aiodag/runs.db"

    def test_a_relative_state_directory_is_not_one(self, monkeypatch, tmp_path):
        monkeypatch.delenv("AIODAG_STORE", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", "state")
        monkeypatch.setenv("HOME", str(tmp_path))

        assert usual_place() == f"sqlite:///{tmp_path}/.local/state/aiodag/runs.db"
