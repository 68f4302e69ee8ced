"""One contract for every store: who owns a run, what is written, what can be read."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from executions import claim_one, row, write_one

from aiodag import State
from aiodag.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from aiodag.records import BARRIER, Claim, Owner, RunFilter, WorkflowRecord, left_out, output_text
from aiodag.service import Service
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at, usual_place
from aiodag.stores.sql.file_session import steps
from aiodag.stores.sql.migration import migrate
from aiodag.stores.sql.rows import owner_text
from aiodag.stores.sql.statements import Statements

HERE = Owner.here()
ELSEWHERE = Owner("another-host", 1, "1")
GONE = HERE._replace(pid=2**22 + 1)  # above what a system gives out


def claim_of(run_id="etl", *, name="etl", owner=HERE, lease=60.0, at=None, entry=None, **more):
    return Claim(run_id, name, entry, owner, lease, time.time() if at is None else at, **more)


def workflow(name, document="{}", **tags):
    return WorkflowRecord(name, "etl.json", document, tags, datetime(2024, 5, 1, tzinfo=UTC))


def many_runs(store):
    """Five runs: of two names, some with tags, all but the last ended."""
    states = [State.SUCCEEDED, State.FAILED, State.FAILED, State.SUCCEEDED, None]
    tags = [{"env": "test"}, {"env": "test"}, {}, {"who": "it's", "env": "test"}, {}]
    for place, run_id in enumerate(("one", "two", "three", "four", "five")):
        at = 1.0 + place
        claimed = claim_one(store, claim_of(run_id, name=("etl", "report")[place % 2], at=at, tags=tags[place]))
        if states[place] is not None:
            write_one(store, claimed, run_id, state=states[place], at=100.0 + at)


class StoreContract:
    """What every store promises."""

    @pytest.fixture
    def store(self):
        pytest.fail("each store of its own")

    @pytest.fixture
    def claimed(self, store):
        return claim_one(store, claim_of())

    def write(self, store, claimed, **batch):
        write_one(store, claimed, "etl", **batch)

    # Own a run

    def test_a_new_run_knows_nothing_and_runs(self, store, claimed):
        record = store.run("etl")

        assert claimed.known == {}
        assert (record.id, record.name, record.state, record.execution) == ("etl", "etl", State.RUNNING, 1)
        assert record.owner == HERE

    def test_a_run_that_is_owned_is_refused_and_says_by_whom(self, store):
        claim_one(store, claim_of(owner=ELSEWHERE))

        with pytest.raises(RunOwned, match="process 1 on another-host"):
            claim_one(store, claim_of())

    def test_a_run_whose_lease_has_run_out_is_taken_over(self, store):
        claim_one(store, claim_of(owner=ELSEWHERE, lease=-59.0))

        assert claim_one(store, claim_of()).execution == 2

    def test_a_run_whose_process_has_ended_is_taken_over_before_its_lease_runs_out(self, store):
        claim_one(store, claim_of(owner=GONE))

        assert claim_one(store, claim_of()).execution == 2

    def test_the_late_writes_of_a_former_owner_are_refused(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        claim_one(store, claim_of())

        with pytest.raises(LeaseLost, match="'etl' was taken over"):
            self.write(store, former, nodes=[row(0)])
        assert store.held_runs(HERE) == {former.run: (former.execution + 1, False)}
        assert store.nodes("etl") == []

    def test_a_run_of_another_name_is_refused(self, store, claimed):
        with pytest.raises(StoreError, match="one of 'etl', not of 'report'"):
            claim_one(store, claim_of(name="report", owner=HERE))

    def test_the_entry_of_the_first_execution_is_kept(self, store):
        claim_one(store, claim_of(owner=GONE, entry={"file": "etl.py"}))
        claim_one(store, claim_of())

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
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0), row(1, state=State.RUNNING, value=None)])
        claimed = claim_one(store, claim_of())

        assert claimed.known["key0"].state is State.SUCCEEDED
        assert claimed.known["key1"].attempt == 1
        assert store.known_nodes("etl") == claimed.known
        assert store.nodes("etl") == []  # of the new execution

    def test_what_is_recalled_is_of_the_execution_that_recalled_it(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0), row(1)])
        self.write(store, claim_one(store, claim_of()), recalled=[1])

        assert [(node.number, node.recalled) for node in store.nodes("etl")] == [(1, True)]

    def test_the_attempt_of_an_earlier_execution_is_kept_when_a_node_runs_again(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0, state=State.RUNNING, value=None)])
        self.write(store, claim_one(store, claim_of()), again=[0], nodes=[row(0, attempt=2)])

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
        assert claim_one(store, claim_of(owner=ELSEWHERE)).execution == 2

    def test_the_cache_is_of_all_runs(self, store, claimed):
        self.write(store, claimed, cache=[("k", "fetch", "json", "1", 100.0)])

        assert store.cached_value("k", 0.0) == ("json", "1")
        assert store.cached_value("k", 101.0) is None
        assert store.cached_value("other", 0.0) is None

    # Tags and definitions

    def test_tags_are_those_of_the_last_execution_that_gave_some(self, store):
        claim_one(store, claim_of(owner=GONE))
        without = store.run("etl").tags
        claim_one(store, claim_of(owner=GONE, tags={"env": "test", "ü'": ""}))
        claim_one(store, claim_of(owner=GONE))
        kept = store.run("etl").tags
        claim_one(store, claim_of(tags={"env": "live"}))

        assert (without, kept) == ({}, {"env": "test", "ü'": ""})
        assert [record.tags for record in store.runs()] == [{"env": "live"}]

    def test_each_definition_is_kept_with_the_execution_that_began_with_it(self, store):
        for definition in ("one", "one", None, "two", "one"):
            claim_one(store, claim_of(owner=GONE, definition=definition))

        assert store.definitions("etl") == [(1, "one"), (4, "two"), (5, "one")]
        assert store.run("etl").definition == "one"
        assert store.definitions("other") == []

    def test_the_list_of_all_runs_does_not_hold_their_definitions(self, store):
        claim_one(store, claim_of(definition="x" * 1000))

        assert [record.definition for record in store.runs()] == [None]

    # Facts

    def test_facts_belong_to_an_attempt_and_the_later_ones_stand(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)], facts=[(0, 1, '{"pid": 7}')])
        self.write(store, claimed, facts=[(0, 1, '{"pid": 7, "code": 0}')])

        assert [each.facts for each in store.attempts("etl", every=True)] == [{"pid": 7, "code": 0}]

    def test_an_attempt_that_fails_keeps_its_facts_when_the_next_one_begins(self, store, claimed):
        failed = (0, 1, State.FAILED, 1.0, 2.0, "")
        self.write(store, claimed, attempts=[failed], nodes=[row(0, attempt=2)], facts=[(0, 1, '{"code": 3}')])

        assert [(each.attempt, each.state, each.facts) for each in store.attempts("etl", every=True)] == [
            (1, State.FAILED, {"code": 3}),
            (2, State.SUCCEEDED, {}),
        ]
        assert [each.attempt for each in store.attempts("etl")] == [1]

    # Attempts

    def test_all_attempts_are_each_told_once(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0, state=State.FAILED, value=None), row(1)])
        waiting = row(0, state=State.WAITING, value=None, started=None)
        self.write(store, claim_one(store, claim_of()), again=[0], nodes=[waiting], recalled=[1])

        assert [(each.number, each.attempt, each.state) for each in store.attempts("etl", every=True)] == [
            (0, 1, State.FAILED),
            (1, 1, State.SUCCEEDED),
        ]

    def test_a_number_that_was_taken_on_is_no_attempt_before_the_node_starts(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0, state=State.SKIPPED, attempt=3, value=None, started=None)])
        self.write(store, claim_one(store, claim_of()), again=[0], nodes=[row(0, attempt=4)])

        assert [each.attempt for each in store.attempts("etl", every=True)] == [4]

    def test_the_last_attempt_of_each_task_is_known_by_its_name(self, store, claimed):
        nodes = [row(0), row(1, attempt=3), row(2, name="load", attempt=2), row(3, name="never", attempt=0)]
        self.write(store, claimed, nodes=nodes)

        assert store.attempts_by_task("etl") == {"fetch": 3, "load": 2}
        assert store.attempts_by_task("other") == {}

    # Output

    def test_output_comes_in_order_by_node_by_attempt_and_after_what_was_seen(self, store, claimed):
        rows = [(0, 1, "stdout", 0, 5.0, b"\0\xff"), (1, 1, "stderr", 0, 6.0, b"b"), (0, 2, "stdout", 0, 7.0, b"c")]
        self.write(store, claimed, output=rows[:2])
        self.write(store, claimed, output=rows[2:])
        parts = store.output("etl")

        assert [(part.number, part.attempt, part.stream, part.bytes) for part in parts] == [
            (0, 1, "stdout", b"\0\xff"),
            (1, 1, "stderr", b"b"),
            (0, 2, "stdout", b"c"),
        ]
        assert parts[0].at == datetime.fromtimestamp(5, UTC)
        assert store.output("etl", 0) == [parts[0], parts[2]]
        assert store.output("etl", 0, 2) == store.output("etl", 0, after=parts[0].part) == parts[2:]
        assert store.output("etl", None, 1) == store.output("etl", limit=2) == parts[:2]
        assert store.output("etl", after=parts[1].part) == parts[2:]
        assert store.output("other") == []

    def test_what_is_trimmed_goes_row_by_row_from_one_stream_of_one_attempt(self, store, claimed):
        starts = [0, 4, 8, 12]
        rows = [(0, attempt, name, start, 1.0, b"1234") for attempt in (1, 2) for name in "oe" for start in starts]
        self.write(store, claimed, output=rows, trimmed=[(0, 1, "o", 4, 13)])
        left = [part for part in store.output("etl", 0, 1) if part.stream == "o"]

        assert [part.start for part in left] == [0, 12]
        assert (left_out(left), output_text(left)) == (8, "1234\n[8 bytes are left out here]\n1234")
        assert len(store.output("etl")) == 14

    def test_who_has_seen_a_part_is_shown_what_comes_later_although_parts_go(self, store, claimed):
        self.write(store, claimed, output=[(0, 1, "stdout", 0, 1.0, b"a")])
        seen = store.output("etl")[-1].part
        self.write(store, claimed, output=[(0, 1, "stdout", 1, 1.0, b"b")], trimmed=[(0, 1, "stdout", 0, 2)])
        self.write(store, claimed, output=[(0, 1, "stdout", 2, 1.0, b"c")])

        assert [part.bytes for part in store.output("etl", after=seen)] == [b"c"]

    def test_a_former_owner_writes_neither_facts_nor_output(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        claim_one(store, claim_of())

        with pytest.raises(LeaseLost):
            self.write(store, former, output=[(0, 1, "stdout", 0, 1.0, b"a")], facts=[(0, 1, "{}")])
        assert store.output("etl") == []

    def test_counts_are_those_of_the_last_execution_before_and_after_its_end(self, store, claimed):
        self.write(store, claimed, nodes=[row(0), row(1, state="failed")], state=State.FAILED, at=9.0)
        ended = store.run("etl").counts
        again = claim_one(store, claim_of())
        begun = store.run("etl").counts
        self.write(store, again, nodes=[row(1)], recalled=[0])
        goes_on = store.run("etl").counts
        self.write(store, again, nodes=[row(2)], state=State.SUCCEEDED, at=10.0)

        assert ended == {State.SUCCEEDED: 1, State.FAILED: 1}
        assert (begun, goes_on) == ({}, {State.SUCCEEDED: 2})
        assert store.run("etl").counts == store.runs()[0].counts == {State.SUCCEEDED: 3}

    # Barriers

    def test_barriers_are_nodes_that_do_not_count(self, store):
        former = claim_one(store, claim_of(owner=GONE))
        self.write(store, former, nodes=[row(0), row(1, codec=BARRIER, name="join", value=None)])
        counts = store.run("etl").counts
        again = row(1, codec=BARRIER, name="join", value=None, attempt=2)
        self.write(store, claim_one(store, claim_of()), again=[1], nodes=[again], recalled=[0])

        assert counts == store.run("etl").counts == {State.SUCCEEDED: 1}
        assert [node.codec for node in store.nodes("etl")] == ["json", BARRIER]
        assert [each.number for each in store.attempts("etl", every=True)] == [0]
        assert "join" not in store.attempts_by_task("etl")

    # Workflows by name

    def test_workflows_are_kept_by_their_names(self, store):
        for record in (workflow("etl", '{"ü": 1}', env="test"), workflow("TestJob2"), workflow("TestJob")):
            store.register(record)

        assert [record.name for record in store.registered()] == ["TestJob", "TestJob2", "etl"]
        assert store.registered("etl") == [workflow("etl", '{"ü": 1}', env="test")]
        assert store.registered("Etl") == []
        assert store.runs() == []

    def test_a_second_workflow_of_a_name_is_refused_unless_it_is_to_replace_the_first(self, store):
        store.register(workflow("etl", "one"))

        with pytest.raises(StoreError, match=r"'etl' is registered in .* already"):
            store.register(workflow("etl", "two"))
        assert [record.document for record in store.registered()] == ["one"]
        store.register(workflow("etl", "two"), replace=True)
        assert [record.document for record in store.registered()] == ["two"]

    def test_forgetting_a_workflow_leaves_its_runs_and_others(self, store, claimed):
        for name in ("etl", "etl2"):
            store.register(workflow(name))

        assert [store.unregister("etl"), store.unregister("etl"), store.unregister("et%")] == [True, False, False]
        assert [record.name for record in store.registered()] == ["etl2"]
        assert len(store.runs()) == 1

    # Change from outside

    def test_a_cancellation_is_heard_by_the_owner(self, store, claimed):
        before = store.held_runs(HERE)

        assert store.cancel("etl") is True
        assert (before, store.held_runs(HERE)) == ({claimed.run: (1, False)}, {claimed.run: (1, True)})

    def test_an_ended_run_cannot_be_cancelled(self, store, claimed):
        self.write(store, claimed, state=State.SUCCEEDED)

        assert store.cancel("etl") is False

    def test_a_new_execution_is_not_cancelled_by_a_request_to_the_former(self, store):
        claim_one(store, claim_of(owner=ELSEWHERE, lease=-1.0))
        store.cancel("etl")
        claimed = claim_one(store, claim_of())

        assert store.held_runs(HERE) == {claimed.run: (2, False)}

    def test_an_unknown_run_names_a_near_miss(self, store, claimed):
        with pytest.raises(UnknownRun, match=r"no run 'elt' in .*Did you mean 'etl'"):
            store.run("elt")

    # List

    def listed(self, store, **wanted):
        more = {name: wanted.pop(name) for name in ("limit", "before") if name in wanted}
        return [record.id for record in store.runs(wanted=RunFilter(**wanted), **more)]

    def test_runs_are_listed_by_name_by_state_by_tags_and_by_when_they_began(self, store):
        many_runs(store)

        assert self.listed(store) == ["one", "two", "three", "four", "five"]
        assert self.listed(store, name="etl") == ["one", "three", "five"]
        assert self.listed(store, state="failed") == ["two", "three"]
        assert self.listed(store, name="etl", state="failed") == ["three"]
        assert self.listed(store, tags={"env": "test"}) == ["one", "two", "four"]
        assert self.listed(store, tags={"env": "test", "who": "it's"}) == ["four"]
        assert self.listed(store, tags={"env": "test"}, state="failed", name="report") == ["two"]
        assert self.listed(store, tags={"env": "production"}) == []

    def test_runs_are_listed_by_a_text_in_them_and_by_when_they_were_made(self, store):
        many_runs(store)
        claim_one(store, claim_of("a_b%!", name="odd", at=9.0, tags={"Where": "Here"}))

        assert self.listed(store, text="ETL") == ["one", "three", "five"]
        assert self.listed(store, text="o", limit=2) == ["four", "a_b%!"]
        assert self.listed(store, text="IT'S") == ["four"]
        assert self.listed(store, text="her") == ["a_b%!"]
        assert [self.listed(store, text=text) for text in ("_b", "b%", "%!", "a%!")] == [["a_b%!"]] * 3 + [[]]
        assert self.listed(store, text="etl", state="failed", tags={}, until=9.0) == ["three"]
        assert self.listed(store, until=3.0) == ["one", "two"]
        assert self.listed(store, since=2.0, until=4.0) == ["two", "three"]
        assert self.listed(store, tags={"env": "test"}, until=4.0, text="w") == ["two"]

    def test_a_run_that_was_begun_again_began_then_and_keeps_its_place(self, store):
        many_runs(store)
        claim_one(store, claim_of("one", owner=HERE, at=10.0, tags={"env": "test"}))

        assert self.listed(store, since=3.0) == ["one", "three", "four", "five"]
        assert self.listed(store, since=10.0) == ["one"]
        assert self.listed(store, since=3.0, name="etl", tags={"env": "test"}) == ["one"]
        assert self.listed(store, since=3.0, tags={"env": "test"}, limit=1) == ["four"]
        assert self.listed(store, since=3.0, before="four") == ["one", "three"]

    def test_a_limit_takes_the_newest_and_the_run_before_turns_the_page(self, store):
        many_runs(store)

        assert self.listed(store, limit=2) == ["four", "five"]
        assert self.listed(store, limit=2, before="four") == ["two", "three"]
        assert self.listed(store, limit=2, before="two") == ["one"]
        assert self.listed(store, tags={"env": "test"}, limit=1, before="four") == ["two"]
        assert self.listed(store, limit=0) == []
        with pytest.raises(UnknownRun, match="Did you mean 'four'"):
            store.runs(before="fuor")

    def test_the_tags_of_a_later_execution_take_the_place_of_the_former(self, store):
        many_runs(store)
        claim_one(store, claim_of("one", owner=HERE, at=10.0, tags={"env": "dev"}))

        assert self.listed(store, tags={"env": "dev"}) == ["one"]
        assert self.listed(store, tags={"env": "test"}) == ["two", "four"]

    def test_runs_of_a_name_are_counted_and_a_slip_is_near_to_one_of_them(self, store):
        many_runs(store)

        assert (store.count_runs("etl"), store.count_runs("train")) == (3, 0)
        assert {"etl", "report", "three"} <= set(store.near("thre"))

    def test_ended_runs_are_told_by_when_they_ended_and_by_how_many_are_newer(self, store):
        many_runs(store)

        assert sorted(store.ended_runs(before=103.5)) == ["one", "three", "two"]
        assert sorted(store.ended_runs(keep=1)) == ["one", "three", "two"]
        assert sorted(store.ended_runs(keep=2)) == ["one"]
        assert sorted(store.ended_runs(before=101.5, keep=1)) == ["one"]
        assert store.ended_runs(before=1.0) == []

    def test_some_nodes_and_their_attempts_and_lines_are_read_without_the_others(self, store, claimed):
        failed = row(2, state=State.FAILED)
        tries = [(each, 1, State.FAILED, 5.0 + each, 6.0 + each, "") for each in (0, 1)]
        lines = [(1.0, each, "INFO", "a", f"{each}") for each in (0, 1, 2, None)]
        self.write(store, claimed, nodes=[row(0, attempt=2), row(1, attempt=2), failed], attempts=tries, logs=lines)

        assert [each.number for each in store.nodes("etl", numbers=[2, 0, 7])] == [0, 2]
        assert [each.number for each in store.nodes("etl", state=State.FAILED)] == [2]
        assert [(each.number, each.attempt) for each in store.attempts("etl", every=True, numbers=[1])] == [
            (1, 1),
            (1, 2),
        ]
        assert [line.text for line in store.logs("etl", numbers=[2, 0])] == ["0", "2"]
        assert [line.text for line in store.logs("etl", 2)] == ["2", "None"]
        second = store.logs("etl")[1].part
        assert [line.text for line in store.logs("etl", beyond=second)] == ["2", "None"]
        assert [line.text for line in store.logs("etl", numbers=[0, 2], beyond=second)] == ["2"]
        assert [line.text for line in store.logs("etl", beyond=second, limit=1)] == ["2"]
        assert [line.text for line in store.logs("etl", 1, numbers=[0, 2, 1], limit=1)] == ["1"]
        assert store.last_parts("etl") == (store.logs("etl")[-1].part, 0)
        assert [each.number for each in store.failures("etl")] == [0, 1, 2]
        assert [each.number for each in store.failures("etl", since=6.5)] == [1, 2]

    def test_runs_are_counted_by_state_and_their_seconds_by_task(self, store, claimed):
        nodes = [row(0), row(1), row(2, name="save", state=State.FAILED), (*row(3)[:8], "barrier", *row(3)[9:])]
        self.write(store, claimed, nodes=nodes, state=State.FAILED, at=9.0)
        many_runs(store)
        fetch, save = ("etl", "fetch", "succeeded", 2, 2.0), ("etl", "save", "failed", 1, 1.0)

        assert store.counts_by_state()["failed"] >= 1
        assert sum(store.counts_by_state().values()) == len(store.runs())
        assert store.task_seconds(8.0, 9.5, 100) == (9.5, [fetch, save])
        assert store.task_seconds(9.0, 9.5, 100) == (9.5, [])
        assert store.task_seconds(8.0, 1e9, 1) == (9.0, [fetch, save])

    def test_where_the_nodes_of_the_last_execution_stand_is_read_without_their_values(self, store, claimed):
        barrier = (*row(3)[:8], "barrier", *row(3)[9:])
        waiting = (*row(1, state=State.WAITING, attempt=0)[:13], None, None, *row(1)[15:])
        running = (*row(2, state=State.RUNNING, attempt=2)[:14], None, *row(2)[15:])
        self.write(store, claimed, nodes=[running, row(0), barrier, waiting])

        assert store.last_moves("etl") == [
            (0, "succeeded", 1, row(0)[14]),
            (1, "waiting", 0, row(1)[12]),
            (2, "running", 2, row(2)[13]),
        ]
        assert store.last_moves("nobody") == []

    def test_a_word_stands_for_a_number_a_task_a_label_or_what_was_made_of_a_task(self, store, claimed):
        made = [row(0), row(1), row(2)]
        made = [
            (*each[:2], name, each[3], label, *each[5:])
            for each, name, label in zip(
                made, ("load[a]", "load[b]", "2"), ("load[a]", "the second", "last"), strict=True
            )
        ]
        self.write(store, claimed, nodes=made)

        def called(which):
            return [each.number for each in store.nodes_called("etl", which)]

        assert called("load") == [0, 1]
        assert (called("load[b]"), called("the second"), called("2"), called("1")) == ([1], [1], [2], [1])
        assert called("loa") == called("load[") == called("%") == []
        assert sorted(store.names_of_nodes("etl")) == ["2", "load[a]", "load[b]"]

    def test_deleting_a_run_takes_all_that_is_its_own_and_nothing_of_another(self, store, claimed):
        other = claim_one(store, claim_of("etl2"))
        self.write(store, claimed, nodes=[row(0)], edges=[(0, 0, True, False)], logs=[(1.0, 0, "INFO", "a", "b")])
        told = {"facts": [(0, 1, "{}")], "output": [(0, 1, "stdout", 0, 1.0, b"a")]}
        self.write(store, claimed, **told)
        write_one(store, other, "etl2", nodes=[row(0)], **told)

        assert store.delete(["etl"]) == 1
        assert [record.id for record in store.runs()] == ["etl2"]
        assert (store.nodes("etl"), store.edges("etl"), store.logs("etl"), store.output("etl")) == ([], [], [], [])
        assert len(store.nodes("etl2")) == len(store.output("etl2")) == 1

    def test_a_run_that_somebody_owns_in_that_moment_stays(self, store, claimed):
        claim_one(store, claim_of("gone", owner=GONE))
        claim_one(store, claim_of("stale", owner=ELSEWHERE, lease=-1.0))
        ended = claim_one(store, claim_of("ended"))
        write_one(store, ended, "ended", state=State.SUCCEEDED, at=7.0)

        assert [store.delete([run], unless_owned=True) for run in ("etl", "gone", "stale", "ended", "none")] == [
            0,
            1,
            1,
            1,
            0,
        ]
        assert [record.id for record in store.runs()] == ["etl"]

    def test_the_owner_of_a_deleted_run_is_told_that_it_was_deleted(self, store, claimed):
        store.delete(["etl"])

        with pytest.raises(LeaseLost, match="run 'etl' was deleted"):
            self.write(store, claimed, nodes=[row(0)])
        assert store.held_runs(HERE) == {}

    def test_a_run_of_the_same_id_is_not_the_deleted_one(self, store, claimed):
        store.delete(["etl"])
        claim_one(store, claim_of())

        with pytest.raises(LeaseLost, match="run 'etl' was deleted"):
            self.write(store, claimed, nodes=[row(0)])
        assert store.nodes("etl") == []

    def test_the_late_write_of_a_deleted_run_does_not_reach_the_next_one(self, store, claimed):
        store.delete(["etl"])
        claim_one(store, claim_of("next"))

        with pytest.raises(LeaseLost):
            self.write(store, claimed, nodes=[row(0)])
        assert store.nodes("next") == []

    @pytest.mark.parametrize("keep", [-1, True, "1", 1.5])
    def test_what_is_no_number_of_bytes_to_keep_is_refused(self, store, keep):
        with pytest.raises(StoreError, match="keep="):
            type(store)(**{"path": "runs.db"} if isinstance(store, SQLite) else {}, keep=keep)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return Memory()


def steps_of(store, look):
    """How many steps SQLite takes for a look: at least one for each row that it reads."""
    steps = []
    store.connection.set_progress_handler(lambda: steps.append(None), 1)
    look()
    store.connection.set_progress_handler(None, 0)
    return len(steps)


class DatabaseContract(StoreContract):
    """What stores that outlive their processes promise as well."""

    def test_a_run_whose_owner_has_gone_is_counted_when_it_is_cancelled(self, store):
        self.write(store, claim_one(store, claim_of(owner=GONE)), nodes=[row(0), row(1, state="running")])
        store.cancel("etl")

        assert store.run("etl").counts == {State.SUCCEEDED: 1, State.CANCELLED: 1}


class TestSQLite(DatabaseContract):
    @pytest.fixture
    def store(self, tmp_path):
        store = SQLite(tmp_path / "deep" / "runs.db")
        yield store
        store.close()

    def test_looking_makes_no_file(self, tmp_path):
        store = SQLite(tmp_path / "mistyped" / "runs.db")

        assert (store.runs(), store.nodes("etl")) == ([], [])
        assert (store.output("etl"), store.definitions("etl"), store.registered()) == ([], [], [])
        assert store.unregister("etl") is False
        with pytest.raises(UnknownRun):
            store.run("etl")
        assert list(tmp_path.iterdir()) == []

    def test_listing_a_run_that_has_ended_reads_none_of_its_nodes(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)], state=State.SUCCEEDED, at=9.0)
        few = steps_of(store, store.runs)
        again = claim_one(store, claim_of())
        self.write(store, again, nodes=[row(number) for number in range(1000)], state=State.SUCCEEDED, at=9.0)

        assert steps_of(store, store.runs) == few
        assert store.runs()[0].counts == {State.SUCCEEDED: 1000}

    def test_a_second_store_of_the_same_file_sees_what_is_committed(self, store, claimed, tmp_path):
        self.write(store, claimed, nodes=[row(0)])
        other = SQLite(tmp_path / "deep" / "runs.db")
        seen = other.nodes("etl")
        other.close()

        assert len(seen) == 1

    def test_nothing_of_a_batch_is_written_when_a_part_of_it_cannot_be(self, store, claimed):
        with pytest.raises(StoreError, match="cannot write to the store"):
            self.write(store, claimed, nodes=[row(0)], logs=[(1.0, 0, None, "a", "b")])

        assert store.nodes("etl") == []

    @pytest.mark.parametrize(
        ("wanted", "limit"),
        [
            ({}, 5),
            ({"name": "etl"}, 5),
            ({"state": "failed"}, 5),
            ({"name": "etl", "state": "failed"}, 5),
            ({"tags": {"env": "test"}}, 5),
            ({"tags": {"env": "none"}}, None),
            ({"tags": {"env": "test"}, "state": "failed", "since": 3990.0}, 5),
            ({"since": 3999.0}, None),
            ({"name": "etl", "since": 3990.0}, None),
        ],
    )
    def test_a_list_reads_what_is_listed_and_not_every_run(self, store, wanted, limit):
        with store.writing() as connection:
            for number in range(4000):
                state = "failed" if number % 10 == 0 else "succeeded"
                at = float(number)
                columns = "id, name, state, execution, created_at, started_at, ended_at, tags"
                values = (f"r{number}", "etl", state, 1, at, at, at, '{"env": "test"}')
                connection.execute(f"insert into runs ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?)", values)

        assert steps_of(store, lambda: store.runs(wanted=RunFilter(**wanted), limit=limit)) < 4000

    def test_nothing_that_looks_one_run_up_reads_every_run(self, store):
        with store.writing() as connection:
            columns = "id, name, state, execution, created_at, started_at, ended_at"
            rows = [(f"run-{number:05}", "etl", "succeeded", 1, 1.0, 1.0, float(number)) for number in range(4000)]
            connection.executemany(f"insert into runs ({columns}) values (?, ?, ?, ?, ?, ?, ?)", rows)

        def misspelled():
            with pytest.raises(UnknownRun, match="Did you mean 'run-01"):
                store.run("run-0123x")

        assert steps_of(store, lambda: store.run("run-01234")) < 4000
        assert steps_of(store, misspelled) < 4000
        assert steps_of(store, lambda: store.ended_runs(before=10.0)) < 4000
        assert steps_of(store, lambda: store.delete(["run-00001", "run-00002"])) < 4000

    def test_of_a_large_run_what_is_asked_for_is_read_and_not_every_node(self, store, claimed):
        rows = [row(number, name=f"part[{number}]") for number in range(4000)]
        rows[7] = row(7, name="part[7]", state=State.FAILED)
        output = [(number, 1, "stdout", 0, 1.0, b"a") for number in range(4000)]
        lines = [(1.0, number, "INFO", "a", "b") for number in range(4000)]
        self.write(store, claimed, nodes=rows, logs=lines, output=output)

        assert steps_of(store, lambda: store.nodes("etl", state=State.FAILED)) < 4000
        assert steps_of(store, lambda: store.nodes("etl", numbers=[1, 2], every=True)) < 4000
        assert steps_of(store, lambda: store.attempts("etl", numbers=[1, 2], every=True)) < 4000
        assert steps_of(store, lambda: store.logs("etl", numbers=[1, 2])) < 4000
        assert steps_of(store, lambda: store.output("etl", 7)) < 4000
        for which in ("7", "part[7]", "part[7](7)", "none"):
            assert steps_of(store, partial(store.nodes_called, "etl", which)) < 4000
        assert steps_of(store, lambda: store.failures("etl")) < 4000
        assert steps_of(store, lambda: store.head("etl")) < 4000

    def test_a_newer_version_is_refused(self, tmp_path):
        with sqlite3.connect(tmp_path / "runs.db") as connection:
            connection.execute("pragma user_version = 999")
        connection.close()

        with pytest.raises(StoreError, match="has version 999, made by a newer aiodag"):
            SQLite(tmp_path / "runs.db").runs()

    def test_a_version_below_zero_is_none_of_ours(self, tmp_path):
        path = tmp_path / "runs.db"
        store = SQLite(path)
        store.delete([])  # makes the file
        store.close()
        with sqlite3.connect(path) as connection:
            connection.execute("pragma user_version = -3")
        connection.close()

        with pytest.raises(StoreError, match="is a database, but not a store of aiodag"):
            SQLite(path).runs()
        with pytest.raises(StoreError, match="is a database, but not a store of aiodag"):
            SQLite(path).delete([])

    def test_a_database_of_something_else_is_refused_and_left_as_it_is(self, tmp_path):
        with sqlite3.connect(tmp_path / "runs.db") as connection:
            connection.execute("create table mine (x)")
        connection.close()

        with pytest.raises(StoreError, match="is a database, but not a store of aiodag"):
            SQLite(tmp_path / "runs.db").runs()

    def test_another_kind_of_file_is_refused_and_left_as_it_is(self, tmp_path):
        path = tmp_path / "runs.db"
        path.write_bytes(b"These are no runs. " * 100)

        with pytest.raises(StoreError, match=r"not a database\. It is some other file"):
            SQLite(path).runs()
        assert path.read_bytes() == b"These are no runs. " * 100

    @pytest.mark.parametrize("statements", [0, 1])
    def test_another_process_makes_the_same_file_meanwhile(self, tmp_path, statements, monkeypatch):
        monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
        path = tmp_path / "runs.db"
        seen = []

        def look(statement):
            if len(seen) == statements:
                other = SQLite(path)
                with suppress(StoreError):  # the file is ours by then: it has to wait
                    other.runs()
                other.close()
            seen.append(statement)

        connection = sqlite3.connect(path, isolation_level=None)
        connection.set_trace_callback(look)
        migrate(connection, path)
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
        connection.close()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_what_is_not_a_regular_file_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")

        for path in ("/dev/null", tmp_path / "pipe"):
            with pytest.raises(StoreError, match="not a regular file"):
                SQLite(path).runs()

    def test_a_directory_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="unable to open"):
            SQLite(tmp_path).runs()

    @pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux tells who holds a lock, other systems do not")
    def test_a_file_that_another_process_holds_is_refused_with_its_number(self, store, claimed, tmp_path, monkeypatch):
        monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
        hold = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('begin immediate')"
        )
        held = f"{hold}; print(flush=True); sys.stdin.read()"
        path = tmp_path / "deep" / "runs.db"
        with subprocess.Popen(
            [sys.executable, "-c", held, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            holder.stdout.readline()
            with pytest.raises(StoreError, match=rf"locked\. Another process, {holder.pid}, has held it"):
                self.write(store, claimed, nodes=[row(0)])
            holder.stdin.close()

    def test_a_file_that_another_connection_of_this_process_holds_is_refused(
        self, store, claimed, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
        store.close()
        holder = sqlite3.connect(tmp_path / "deep" / "runs.db", isolation_level=None)
        holder.execute("begin exclusive")

        who = "connection of this process" if Path("/proc/locks").exists() else "process"
        with pytest.raises(StoreError, match=rf"locked\. Another {who} has held it"):
            self.write(store, claimed, nodes=[row(0)])
        holder.rollback()
        holder.close()
        self.write(store, claimed, nodes=[row(0)])
        assert len(store.nodes("etl")) == 1

    def test_a_thread_of_this_process_that_holds_the_file_is_named(self, store, claimed, tmp_path, monkeypatch):
        monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
        (tmp_path / "linked").symlink_to(tmp_path / "deep")
        for place in ("deep", "linked"):
            other = SQLite(tmp_path / place / "runs.db")
            with (
                other.writing(),
                pytest.raises(StoreError, match=r"locked\. Another thread of this process has held it"),
            ):
                self.write(store, claimed, nodes=[row(0)])
            other.close()

    @pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux tells who holds a lock, other systems do not")
    def test_a_process_that_is_about_to_write_is_named(self, store, claimed, tmp_path, monkeypatch):
        monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.0)
        hold = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True)"
        path = tmp_path / "deep" / "runs.db-lock"
        with subprocess.Popen(
            [sys.executable, "-c", f"{hold}; sys.stdin.read()", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            holder.stdout.readline()
            with pytest.raises(StoreError, match=rf"locked\. Another process, {holder.pid}, has held it"):
                self.write(store, claimed, nodes=[row(0)])
            holder.stdin.close()

    def test_a_full_disk_is_told_and_what_was_committed_is_there(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)])
        pages = store.connection.execute("pragma page_count").fetchone()[0]
        store.connection.execute(f"pragma max_page_count = {pages}")

        with pytest.raises(StoreError, match=r"full\. Make room, then resume the run"):
            self.write(store, claimed, nodes=[row(1, value="x" * 1_000_000)])
        assert [node.number for node in store.nodes("etl")] == [0]

    def test_a_file_of_version_1_is_brought_up_to_date_with_all_that_is_in_it(self, tmp_path):
        with sqlite3.connect(tmp_path / "runs.db") as connection:
            connection.executescript(steps()[0])
            connection.executescript(VERSION_1)
        connection.close()
        store = SQLite(tmp_path / "runs.db")
        (record,) = store.runs()

        assert (record.id, record.tags, record.definition, record.entry) == ("old", {}, None, {"file": "etl.py"})
        assert [(each.number, each.attempt, each.facts) for each in store.attempts("old", every=True)] == [
            (0, 1, {}),
            (0, 2, {}),
        ]
        assert [node.value for node in store.nodes("old")] == ["42"]
        claimed = claim_one(store, claim_of("old", tags={"env": "test"}, definition="{}"))
        write_one(store, claimed, "old", recalled=[0], output=[(0, 2, "stdout", 0, 1.0, b"a")])
        assert (claimed.execution, claimed.known["k"].value, len(store.output("old"))) == (3, "42", 1)
        assert (store.run("old").tags, store.run("old").definition) == ({"env": "test"}, "{}")
        assert store.connection.execute("pragma user_version").fetchone() == (len(steps()),)
        assert store.delete(["old"]) == 1
        assert rows_in(store) == {}
        store.close()

    def test_the_statements_of_version_1_are_as_they_were_published(self):
        with sqlite3.connect(":memory:") as connection:
            connection.executescript(steps()[0])
            columns = {
                name: [row[1] for row in connection.execute(f"pragma table_info({name})")]
                for (name,) in connection.execute("select name from sqlite_master where name not like 'sqlite%'")
            }
        connection.close()

        assert columns["runs"][-3:] == ["owner", "leased_until", "cancel"]
        assert list(columns) == ["runs", "nodes", "edges", "attempts", "logs", "logs_of_run", "cache"]

    def test_deleting_leaves_nothing_of_a_run_in_any_table(self, store):
        claimed = claim_one(store, claim_of(definition="{}"))
        self.write(
            store,
            claimed,
            nodes=[row(0)],
            edges=[(0, 0, False, False)],
            attempts=[(0, 1, State.FAILED, 1.0, 2.0, "")],
            logs=[(1.0, 0, "INFO", "a", "b")],
            facts=[(0, 1, "{}")],
            output=[(0, 1, "stdout", 0, 1.0, b"a")],
        )
        before = rows_in(store)
        store.delete(["etl"])

        assert before == dict.fromkeys(
            ["runs", "nodes", "edges", "attempts", "logs", "definitions", "facts", "output"], 1
        )
        assert rows_in(store) == {}

    def test_a_large_run_is_deleted_in_portions_and_the_rest_of_a_killed_deletion_with_the_next(
        self, store, monkeypatch
    ):
        for name in ("one", "two"):
            claimed = claim_one(store, claim_of(name))
            rows = [row(number) for number in range(1200)]
            edges = [(number, 0, False, False) for number in range(1200)]
            write_one(store, claimed, name, nodes=rows, edges=edges)
        written, sizes = store.writing, []

        @contextmanager
        def counted(**more):
            with written(**more) as connection:
                before = connection.total_changes
                yield connection
                sizes.append(connection.total_changes - before)
                if len(sizes) == 4:
                    raise KeyboardInterrupt

        monkeypatch.setattr(store, "writing", counted)
        with pytest.raises(KeyboardInterrupt):
            store.delete(["one"])
        seen = [record.id for record in store.runs()]
        monkeypatch.undo()
        left = rows_in(store)["nodes"]
        store.delete(["two"])

        assert (seen, max(sizes)) == (["two"], 500)
        assert left > 1200
        assert rows_in(store) == {}

    COLUMNS = [
        (table, column)
        for table, columns in {
            "runs": "id name state execution entry error created_at started_at ended_at owner leased_until tags",
            "nodes": "number key name version label state attempt parent codec value error site created_at ended_at",
            "attempts": "number attempt state started_at ended_at error",
            "logs": "at number level logger text",
            "facts": "facts",
            "output": "number attempt part stream start at bytes",
            "definitions": "execution document",
            "workflows": "name target document tags registered_at",
        }.items()
        for column in columns.split()
    ]

    @pytest.mark.parametrize(("table", "column"), COLUMNS)
    def test_a_damaged_row_hides_no_other(self, store, table, column):
        told = {
            "nodes": [row(0), row(1)],
            "attempts": [(0, 1, State.FAILED, 1.0, 2.0, ""), (1, 1, State.FAILED, 1.0, 2.0, "")],
            "logs": [(1.0, 0, "INFO", "a", "b"), (1.0, 1, "INFO", "a", "b")],
            "facts": [(0, 1, "{}"), (1, 1, "{}")],
            "output": [(0, 1, "stdout", 0, 1.0, b"a"), (1, 1, "stdout", 0, 1.0, b"a")],
        }
        for name in ("etl", "etl2"):
            claimed = claim_one(store, claim_of(name, definition="{}", entry={}))
            write_one(store, claimed, name, **told)
            store.register(workflow(name))
        where = (
            "rowid = 1" if table in {"runs", "output", "logs", "definitions", "workflows"} else "run = 1 and number = 0"
        )
        for wrong in ("x", b"\xff\xfe", 1e300, 10**18, "{", "[]"):
            with suppress(StoreError), store.writing() as connection:  # some columns take no text
                connection.execute(f"update {table} set {column} = ? where {where}", (wrong,))
            service = Service(store)

            assert len(store.runs()) == len(store.registered()) == 2
            names = [record.id for record in store.runs() if record.id != "?"]
            assert "etl2" in names
            assert len(store.nodes("etl2")) == len(store.logs("etl2")) == len(store.output("etl2")) == 2
            assert [service.graph(name).nodes for name in names]
            assert [store.attempts(name, every=True) for name in names]
            assert [store.known_nodes(name) for name in names]
            assert [service.changes(name) is not None for name in names]

    def test_a_damaged_row_says_what_cannot_be_read(self, store, claimed):
        self.write(store, claimed, nodes=[row(0)])
        with store.writing() as connection:
            connection.execute("update runs set created_at = 'x', tags = '{'")
            connection.execute("update nodes set state = 'done'")

        assert store.run("etl").damaged == "created_at='x', tags='{'"
        assert store.nodes("etl")[0].damaged == "state='done'"
        assert store.nodes("etl")[0].label == "fetch(0)"


# What a store of version 1 held: a run in its second execution, whose owner has gone.
VERSION_1 = f"""
    insert into runs (id, name, state, execution, entry, created_at, started_at, owner, leased_until)
        values ('old', 'etl', 'running', 2, '{{"file": "etl.py"}}', 1.0, 2.0, '{owner_text(GONE)}', 3.0);
    insert into nodes values (1, 0, 2, 0, 'k', 'fetch', '', 'fetch(1)', 'succeeded', 2, null, 'json', '42', '', 'e:1',
        1.0, 2.0, 3.0);
    insert into attempts values (1, 0, 1, 'failed', 1.0, 2.0, '');
    insert into edges values (1, 0, 0, 0, 0);
    insert into logs values (1, 1.0, 0, 'INFO', 'app', 'line');
    pragma user_version = 1;
"""


def rows_in(store):
    """How many rows there are in each table that has some, but for the leases, which are of processes."""
    names = "select name from sqlite_master where type = 'table' and name not like 'sqlite%' and name <> 'leases'"
    tables = [name for (name,) in store.connection.execute(names)]
    counts = {name: store.connection.execute(f"select count(*) from {name}").fetchone()[0] for name in tables}
    return {name: count for name, count in counts.items() if count}


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

    def test_options_after_a_plain_path_are_not_taken_for_a_part_of_its_name(self):
        with pytest.raises(StoreError, match=r"write 'sqlite:///runs.db\?keep=64'"):
            store_at("runs.db?keep=64")

        assert store_at("what?.db").path.name == "what?.db"

    def test_how_much_of_a_stream_is_kept(self):
        assert [store_at(f"sqlite:///runs.db{options}").keep for options in ("", "?keep=64", "?keep=0")] == [
            2**20,
            64,
            0,
        ]

    @pytest.mark.parametrize("keep", ["-1", "1k", "²"])
    def test_what_is_no_number_of_bytes_is_refused(self, keep):
        with pytest.raises(StoreError):
            store_at(f"sqlite:///runs.db?keep={keep}&synchronous=FULL")

    @pytest.mark.parametrize(
        "address",
        [
            "mysql://host/runs",
            "postgresql:runs",
            "sqlite:runs.db",
            "sqlite:///",
            "sqlite:///a?x=1",
            "sqlite:///a?synchronous=OFF",
            3,
            "",
            " ",
            ".",
            "runs/",
            "a\0b",
            ":memory:",
            "sqlite:///:memory:",
            "file:x?mode=memory",
            "file:runs.db",
            "sqlite:///file:x?mode=memory",
        ],
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


@pytest.mark.parametrize("place", ["~/runs.db", "sqlite:///~/runs.db"])
def test_a_tilde_in_the_place_of_a_store_is_the_home_directory(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert store_at(place).path == tmp_path / "runs.db"


def test_two_threads_that_ask_for_the_first_statement_at_once_get_the_same(monkeypatch):
    files = {"one.sql": {"hidden": "select 1"}, "two.sql": {"hidden": "select 2", "late": "select 3"}}
    reading, go = threading.Event(), threading.Event()

    def read(file, heading):
        if file == "two.sql" and not reading.is_set():
            reading.set()
            assert go.wait(60)
        return files[file]

    monkeypatch.setattr("aiodag.stores.sql.statements.sections", read)
    asked = Statements("one.sql", "two.sql")
    with ThreadPoolExecutor(1) as other:
        first = other.submit(asked.query, "hidden")
        assert reading.wait(60)
        found = asked.query("hidden"), asked.query("late")
        go.set()

        assert (found, first.result()) == (("select 2", "select 3"), "select 2")
