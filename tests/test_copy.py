"""Copies of runs: all of a run, in another store, as a whole or not at all."""

import logging
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from executions import claim_one, execute, write_one

from aiodag import RunFailed, State, copies, current_node, task
from aiodag.commands import command
from aiodag.errors import RunOwned, StoreError, UnknownRun
from aiodag.firings import ScheduleRecord
from aiodag.records import Claim, Owner, WorkflowRecord
from aiodag.service import Service
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at
from aiodag.submissions import Submission

PAIRS = [
    ("sqlite", "sqlite"),
    ("sqlite", "memory"),
    ("memory", "sqlite"),
    ("sqlite", "postgresql"),
    ("postgresql", "sqlite"),
    ("postgresql", "postgresql"),
]
HERE = Owner.here()
GONE = HERE._replace(pid=2**22 + 1)  # above what a system gives out
LOOKS = ["run", "nodes", "edges", "attempts", "logs", "output", "definitions", "functions", "known_nodes"]


def made(kind, request):
    """A new store of a kind."""
    name = f"copy_{os.urandom(8).hex()}"
    if kind == "postgresql":
        return store_at(request.getfixturevalue("postgres").address(name))
    return Memory() if kind == "memory" else SQLite(request.getfixturevalue("tmp_path") / f"{name}.db")


@pytest.fixture(params=PAIRS, ids=" to ".join)
def stores(request):
    """A store to copy from and one to copy to."""
    pair = [made(kind, request) for kind in request.param]
    yield pair
    for store in pair:
        store.close()


@pytest.fixture
def source(stores):
    return stores[0]


@pytest.fixture
def target(stores):
    return stores[1]


RAN = []


@task(retries=1)
async def flaky(text):
    RAN.append("flaky")
    node = current_node()
    node.run.journal.facts(node, {"rows": 3})
    if node.attempt == 1:
        raise ConnectionError("no answer")
    return text


@task
async def both(*parts):
    RAN.append("both")
    if parts == ("late",):
        logging.getLogger("etl").warning("late")
    return {"parts": parts, "when": datetime(2026, 1, 2, tzinfo=UTC)}


@task(codec="pickle")
async def pickled(value):
    RAN.append("pickled")
    return {value, 1.5}


@task
async def decline(value):
    RAN.append("decline")
    raise ValueError(f"declined {value}")


async def everything():
    first = flaky("one")
    return [both(first, "two"), pickled(3), command("echo", "hello")(), both.after(first)("late")]


def with_everything(store, run_id="monday"):
    """Make a run that has rows of every kind."""
    execute(store, everything, run_id, tags={"env": "test"})
    claim = Claim(run_id, "test", {"file": "a.py"}, HERE, 60.0, time.time(), definition='{"tasks": {}}')
    write_one(store, claim_one(store, claim), run_id, state=State.SUCCEEDED, at=time.time())
    execute(store, everything, run_id)


def everything_of(store, run_id="monday"):
    """Return what a store tells of a run, but for the places of lines and output, and the order of functions."""
    told = {look: getattr(store, look)(run_id) for look in LOOKS}
    told["every node"] = store.nodes(run_id, every=True)
    told["every attempt"] = store.attempts(run_id, every=True)
    told["functions"] = sorted(told["functions"])
    told["logs"] = [(line.at, line.number, line.text) for line in told["logs"]]
    told["output"] = [(part.number, part.stream, part.start, part.at, part.bytes) for part in told["output"]]
    return told


def ended(store, run_id, name="etl", state=State.SUCCEEDED):
    claimed = claim_one(store, Claim(run_id, name, None, HERE, 60.0, time.time()))
    write_one(store, claimed, run_id, state=state, at=time.time())


def test_a_copied_run_is_the_same_in_every_look(source, target):
    with_everything(source)

    Service(source).copy_to(target)

    assert everything_of(target) == everything_of(source)
    assert [run.id for run in Service(target).runs(tags={"env": "test"}, name="test", state="succeeded")] == ["monday"]
    assert [line.text for line in target.logs("monday")] == ["late"]
    assert {part.bytes for part in target.output("monday")} == {b"hello\n"}


def test_a_copied_run_is_resumed_with_nothing_run_again(source, target):
    execute(source, everything)
    Service(source).copy_to(target)
    RAN.clear()

    execute(target, everything)

    assert RAN == []
    assert target.run("r").execution == 2
    assert all(node.recalled for node in target.nodes("r"))


def test_a_copied_run_that_failed_runs_again_what_had_ended_it(source, target):
    async def failing():
        return [decline(pickled(1)), flaky("x")]

    with pytest.raises(RunFailed):
        execute(source, failing)
    Service(source).copy_to(target)
    RAN.clear()

    with pytest.raises(RunFailed):
        execute(target, failing)

    assert RAN == ["decline"]


def note_unpickling():
    RAN.append("unpickled")


class Trap:
    """Says so when somebody unpickles it."""

    def __reduce__(self):
        return (note_unpickling, ())


def test_values_are_copied_unread(source, target):
    @task(codec="pickle")
    async def trapped():
        return Trap()

    async def body():
        return [trapped()]

    execute(source, body)
    RAN.clear()
    Service(source).copy_to(target)
    (copied,) = target.nodes("r")

    assert RAN == []
    assert copied.value == source.nodes("r")[0].value
    pickle.loads(copied.value)
    assert RAN == ["unpickled"]


def test_by_default_what_has_ended_is_copied_and_every_workflow(source, target):
    ended(source, "one")
    ended(source, "two", state=State.FAILED)
    claim_one(source, Claim("three", "etl", None, HERE, 60.0, time.time()))
    source.register(WorkflowRecord("nightly", "etl.json", "{}", {"env": "test"}, datetime(2026, 1, 2, tzinfo=UTC)))

    copied = Service(source).copy_to(target)

    assert (sorted(copied.runs), copied.skipped, copied.workflows) == (["one", "two"], [], ["nightly"])
    assert copied.unfinished == ["three"]
    assert {run.id: str(run.state) for run in target.runs()} == {"one": "succeeded", "two": "failed"}
    assert target.registered() == source.registered()


def test_values_for_all_runs_are_copied_with_all_runs(source, target):
    @task(cache=True)
    async def square(number):
        RAN.append("square")
        return number * number

    async def body():
        return square.map([2, 3])

    execute(source, body, "one")
    Service(source).copy_to(target)
    RAN.clear()

    execute(target, body, "two")

    assert RAN == []


def test_a_name_stands_for_its_runs_and_its_workflow(source, target):
    for run_id, name in (("one", "etl"), ("two", "etl"), ("three", "report")):
        ended(source, run_id, name)

    assert Service(source).copy_to(target, "etl", "one").runs == ["one", "two"]
    assert Service(source).copy_to(target, "three").runs == ["three"]


def test_a_run_that_is_there_is_refused_by_its_id_before_anything_is_copied(source, target):
    for run_id in ("one", "two"):
        ended(source, run_id)
    ended(target, "two", "other")

    with pytest.raises(StoreError, match=r"run 'two' is in .* already\. Nothing was copied"):
        Service(source).copy_to(target)

    assert [run.name for run in target.runs()] == ["other"]


def test_a_run_that_is_there_can_be_skipped(source, target):
    for run_id in ("one", "two"):
        ended(source, run_id)
    ended(target, "two", "other")

    copied = Service(source).copy_to(target, skip_existing=True)

    assert (copied.runs, copied.skipped) == (["one"], ["two"])
    assert {run.id: run.name for run in target.runs()} == {"one": "etl", "two": "other"}


def test_another_workflow_of_a_name_is_refused_before_anything_is_copied(source, target):
    ended(source, "one")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    source.register(WorkflowRecord("nightly", "etl.json", '{"tasks": {}}', {}, at))
    target.register(WorkflowRecord("nightly", "etl.json", "{}", {}, at))

    with pytest.raises(StoreError, match="a workflow 'nightly' is registered in"):
        Service(source).copy_to(target)
    assert target.runs() == []

    assert Service(source).copy_to(target, skip_existing=True).workflows == []
    assert target.registered()[0].document == "{}"


def test_a_run_that_goes_on_is_refused(source, target):
    claim_one(source, Claim("one", "etl", None, HERE, 60.0, time.time()))

    with pytest.raises(RunOwned, match="run 'one' is owned by this process"):
        Service(source).copy_to(target, "one")

    assert target.runs() == []


def test_a_run_that_another_host_owns_is_refused(source, target):
    claim_one(source, Claim("one", "etl", None, Owner("another-host", 1, "1"), 60.0, time.time()))

    with pytest.raises(RunOwned, match="process 1 on another-host"):
        Service(source).copy_to(target, "one")


def test_a_run_of_another_host_is_copied_when_its_lease_has_run_out(source, target, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    claim = Claim("one", "etl", None, Owner("another-host", 1, "1"), 60.0, time.time())
    source.release([claim_one(source, claim)])

    assert Service(source).copy_to(target, "one").runs == ["one"]


def test_a_run_whose_process_has_died_is_copied_by_its_id_and_continued_there(source, target):
    claimed = claim_one(source, Claim("one", "etl", None, GONE, 60.0, time.time()))

    Service(source).copy_to(target, "one")
    again = claim_one(target, Claim("one", "etl", None, HERE, 60.0, time.time()))

    assert (again.execution, again.begun) == (claimed.execution + 1, 1)


def submitted(store, run_id="one"):
    entry = {"file": "etl.py", "task": "main", "parameters": {}}
    store.submit(Submission(run_id, "etl", entry, "etl.py:main", time.time(), queue="nightly", priority=7, key="today"))


def test_a_run_that_waits_in_a_queue_is_refused(source, target):
    submitted(source)
    with pytest.raises(StoreError, match="run 'one' is one of queue 'nightly', whose workers go on with it"):
        Service(source).copy_to(target, "one")

    source.take_queued(GONE, ["nightly"], 1, lease=60.0)
    with pytest.raises(StoreError, match="run 'one' is one of queue 'nightly', whose workers go on with it"):
        Service(source).copy_to(target, "one")

    assert target.runs() == []


def test_a_copied_run_tells_which_queue_it_was_in(source, target):
    submitted(source)
    ((_, _, claimed, *_),) = source.take_queued(HERE, ["nightly"], 1, lease=60.0)
    write_one(source, claimed, "one", state=State.SUCCEEDED, at=time.time())

    Service(source).copy_to(target)

    assert (target.run("one").queue, target.run("one").priority) == ("nightly", 7)
    assert target.run("one") == source.run("one")


def test_schedules_are_copied_with_everything_and_paused(source, target):
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    template = Submission("", "main", entry, "/srv/etl.py:main", 0.0)
    source.put_schedule(ScheduleRecord("nightly", {"cron": "0 0 * * *"}, template, overlap="skip"))
    claim_one(source, Claim("monday", "main", entry, HERE, 15.0, time.time()))

    copied = Service(source).copy_to(target)

    (found,) = target.schedules()
    assert copied.schedules == ["nightly"]
    assert (found.trigger, found.submission, found.overlap, found.state) == (
        {"cron": "0 0 * * *"},
        template,
        "skip",
        "paused",
    )
    assert source.schedules()[0].state == "active"
    assert Service(source).copy_to(target, skip_existing=True).schedules == []
    with pytest.raises(StoreError, match="there is a schedule 'nightly' in"):
        Service(source).copy_to(target)


def test_a_copied_run_tells_its_schedule_and_its_group(source, target):
    submission = Submission(
        "monday", "main", None, "main", time.time(), definition="{}", schedule="nightly", group="deploy"
    )
    source.submit(submission)
    source.cancel("monday")

    Service(source).copy_to(target)

    assert (target.run("monday").schedule, target.run("monday").group) == ("nightly", "deploy")


def test_a_key_of_a_submission_is_known_in_the_other_store_too(source, target):
    submitted(source)
    ((_, _, claimed, *_),) = source.take_queued(HERE, ["nightly"], 1, lease=60.0)
    write_one(source, claimed, "one", state=State.SUCCEEDED, at=time.time())
    Service(source).copy_to(target)

    submitted(target, "two")

    assert [run.id for run in target.runs()] == ["one"]


def test_a_run_whose_key_is_that_of_another_run_is_refused(source, target):
    submitted(source)
    ((_, _, claimed, *_),) = source.take_queued(HERE, ["nightly"], 1, lease=60.0)
    write_one(source, claimed, "one", state=State.SUCCEEDED, at=time.time())
    submitted(target, "two")

    with pytest.raises(StoreError, match="run 'one' was submitted with the key 'today', as was run 'two' in "):
        Service(source).copy_to(target)
    assert [run.id for run in target.runs()] == ["two"]


def test_an_unknown_run_is_refused_with_a_near_miss(source, target):
    ended(source, "monday")

    with pytest.raises(UnknownRun, match="Did you mean 'monday'"):
        Service(source).copy_to(target, "mondy")


def test_a_store_that_has_nothing_to_copy_says_so(source, target):
    with pytest.raises(StoreError, match=r"there is nothing to copy in .*: no run there has ended"):
        Service(source).copy_to(target)


def test_a_store_is_not_copied_to_itself(source):
    with pytest.raises(StoreError, match=r"cannot copy .* to itself"):
        Service(source).copy_to(source)


# Large runs


@pytest.fixture
def in_small_portions(monkeypatch):
    """Cut copies into portions of two rows."""
    monkeypatch.setattr(copies, "MOST_ROWS", 2)


class Stopped(Exception):
    """Stands for whatever ends a copy in the middle."""


def stopped_after(portions, count, meanwhile=lambda: None):
    for number, portion in enumerate(portions):
        if number == count:
            meanwhile()
            raise Stopped
        yield portion


@pytest.mark.usefixtures("in_small_portions")
def test_nobody_sees_half_of_a_run(source, target):
    with_everything(source)
    seen = []

    def watched():
        for portion in source.portions_of("monday"):
            seen.append([target.runs(), target.nodes("monday", every=True), target.count_runs("test")])
            yield portion

    target.add_run(watched())

    assert len(seen) > 5
    assert all(look == [[], [], 0] for look in seen)
    assert everything_of(target) == everything_of(source)


@pytest.mark.usefixtures("in_small_portions")
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_copy_that_ends_in_the_middle_leaves_nothing_to_see_and_can_be_made_again(source, target, count):
    with_everything(source)

    with pytest.raises(Stopped):
        target.add_run(stopped_after(source.portions_of("monday"), count))
    assert target.runs() == []
    target.add_run(source.portions_of("monday"))

    assert everything_of(target) == everything_of(source)


@pytest.mark.usefixtures("in_small_portions")
def test_deleting_runs_leaves_a_copy_alone_that_goes_on(source, target):
    with_everything(source)
    ended(target, "old")
    deleted = []

    def with_deletions():
        for portion in source.portions_of("monday"):
            yield portion
            deleted.append(target.delete(["old"]))

    target.add_run(with_deletions())

    assert sum(deleted) == 1
    assert everything_of(target) == everything_of(source)


@pytest.mark.usefixtures("in_small_portions")
def test_a_run_that_changes_while_it_is_copied_is_not_copied(source, target):
    with_everything(source)

    def with_a_change():
        portions = source.portions_of("monday")
        yield next(portions)
        claimed = claim_one(source, Claim("monday", "test", None, HERE, 60.0, time.time()))
        write_one(source, claimed, "monday", state=State.FAILED, at=time.time())
        yield from portions

    if isinstance(source, Memory):  # which is read at the first portion, as it is then
        before = everything_of(source)
        target.add_run(with_a_change())
        assert everything_of(target) == before
        return
    with pytest.raises(StoreError, match="run 'monday' has changed while it was copied"):
        target.add_run(with_a_change())
    assert target.runs() == []


@pytest.mark.usefixtures("in_small_portions")
def test_of_two_copies_of_a_run_at_once_one_is_refused(source, target):
    with_everything(source)

    def with_another():
        target.add_run(source.portions_of("monday"))
        yield from source.portions_of("monday")

    with pytest.raises(StoreError, match=r"run 'monday' is in .* already"):
        target.add_run(with_another())
    assert everything_of(target) == everything_of(source)


# In a file


def rows_left(path):
    """Count the rows of all tables that belong to no run."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(
                f"select count(*) from {table} where run not in (select run from runs)"
            ).fetchone()[0]
            for table in [*copies.TABLES, "tags", "deleted"]
        }


@pytest.mark.usefixtures("in_small_portions")
def test_what_a_killed_copy_leaves_is_swept_when_it_has_been_silent_for_long(tmp_path):
    source, target = Memory(), SQLite(tmp_path / "runs.db")
    with_everything(source)
    with pytest.raises(Stopped):
        target.add_run(stopped_after(source.portions_of("monday"), 4))
    left = rows_left(target.path)
    target.delete([])

    assert left["deleted"] == 1
    assert sum(left.values()) > 5
    assert rows_left(target.path) == left

    with closing(sqlite3.connect(target.path, isolation_level=None)) as connection:
        connection.execute("update deleted set until = 1.0")
    target.delete([])

    assert sum(rows_left(target.path).values()) == 0
    target.close()


@pytest.mark.usefixtures("in_small_portions")
def test_a_copy_that_was_suspended_until_its_rows_were_swept_is_refused(tmp_path):
    source, target = Memory(), SQLite(tmp_path / "runs.db")
    with_everything(source)

    def suspended():
        portions = source.portions_of("monday")
        yield next(portions)
        with closing(sqlite3.connect(target.path, isolation_level=None)) as connection:
            connection.execute("update deleted set until = 1.0")
        target.delete([])
        yield from portions

    with pytest.raises(StoreError, match="the copy of run 'monday' was suspended for so long"):
        target.add_run(suspended())
    assert sum(rows_left(target.path).values()) == 0
    target.close()


KILLED = """
import os, signal, sys
from aiodag import copies
from aiodag.cli.program import main
from aiodag.stores.sql.copying import RecordedCopies

add, added = RecordedCopies.add_run, []

def counted(portions):
    for portion in portions:
        if len(added) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        added.append(portion)
        yield portion

copies.MOST_ROWS = 2
RecordedCopies.add_run = lambda store, portions: add(store, counted(portions))
main(["copy", "from.db", "to.db"])
"""


def test_a_copy_that_was_killed_is_begun_again_and_skips_what_is_there(tmp_path):
    with closing(SQLite(tmp_path / "from.db")) as source:
        ended(source, "first")
        with_everything(source)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment, check=False)
    with closing(Service(tmp_path / "to.db")) as service:
        half = [run.id for run in service.runs()]

    with closing(Service(tmp_path / "from.db")) as service:
        copied = service.copy_to(tmp_path / "to.db", skip_existing=True)

    assert killed.returncode == -signal.SIGKILL
    assert (half, copied.runs, copied.skipped) == (["first"], ["monday"], ["first"])
    with closing(SQLite(tmp_path / "from.db")) as source, closing(SQLite(tmp_path / "to.db")) as target:
        assert everything_of(target) == everything_of(source)


def test_a_damaged_run_is_copied_as_it_is_from_file_to_file(tmp_path):
    source, target = SQLite(tmp_path / "from.db"), SQLite(tmp_path / "to.db")
    execute(source, everything)
    with closing(sqlite3.connect(source.path, isolation_level=None)) as connection:
        connection.execute("update runs set tags = 'x', entry = 12")
        connection.execute("update nodes set state = 'odd', number = 'two' where number = 2")

    Service(source).copy_to(target)

    assert everything_of(target, "r") == everything_of(source, "r")
    assert "tags='x'" in target.run("r").damaged
    source.close()
    target.close()


def test_a_damaged_run_is_refused_by_a_store_that_can_keep_only_sound_ones(tmp_path):
    source, target = SQLite(tmp_path / "from.db"), Memory()
    ended(source, "sound")
    execute(source, everything)
    with closing(sqlite3.connect(source.path, isolation_level=None)) as connection:
        connection.execute("update nodes set state = 'odd' where number = 2")

    said = r"run 'r' could not be copied: .* is damaged, and cannot be copied to memory:.* 1 run went before it: go on with --skip"
    with pytest.raises(StoreError, match=said):
        Service(source).copy_to(target, "sound", "r")
    assert [run.id for run in target.runs()] == ["sound"]
    source.close()


def test_a_large_run_is_read_and_written_some_rows_at_a_time(tmp_path):
    source, target = SQLite(tmp_path / "from.db"), SQLite(tmp_path / "to.db")

    @task
    async def large(number):
        return number * "x"

    async def body():
        return large.map([1_000_000 + number for number in range(16)])

    execute(source, body)
    sizes = [
        sum(copies.size_of_row(row) for rows in portion.rows.values() for row in rows)
        for portion in source.portions_of("r")
    ]
    target.add_run(source.portions_of("r"))

    assert len(sizes) > 3
    assert max(sizes) <= copies.MOST_BYTES
    assert everything_of(target, "r") == everything_of(source, "r")
    source.close()
    target.close()
