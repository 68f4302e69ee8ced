"""Programs that outlive the owner of their run: left running when it goes on elsewhere, found by whoever continues it."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiodag import LetGo, Run, RunFailed, State
from aiodag.commands import command, shell
from aiodag.programs import HostUnreachable, ProgramEnd, ProgramLost, ProgramNotFound
from aiodag.stores import SQLite
from tests.detached_host import Detached

SECONDS = 60  # after which something hangs
WAITS = 'echo started >> "$1/starts"; while [ ! -e "$1/go" ]; do sleep 0.02; done; echo rows'

OWNER = """
import asyncio, sys
from aiodag import Run
from aiodag.commands import shell
from tests.detached_host import Detached

async def main(folder, notes):
    sync = shell(open(f"{folder}/line").read(), name="sync", host="away")
    async with Run("etl", store=f"sqlite:///{folder}/runs.db", id="monday", hosts={"away": Detached(folder + "/jobs", notes=notes)}):
        sync(folder)

asyncio.run(main(sys.argv[1], sys.argv[2] == "notes"))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "line").write_text(WAITS)
    return tmp_path


@pytest.fixture
def disk(folder):
    store = SQLite(folder / "runs.db")
    yield store
    store.close()


class Script:
    """A host that finds programs as it is told, and notes what it was asked."""

    def __init__(self, *ends, name="away"):
        self.ends, self.name = list(ends), name
        self.asked, self.met = [], []
        self.stands = asyncio.Event()

    async def run(self, request, watch, /):
        self.asked.append("run")
        watch.note_start({"job": len(self.asked)})
        await self.go_on(watch)

    async def find(self, facts, request, watch, /):
        self.asked.append(("find", dict(facts), request.label))
        await self.go_on(watch)

    async def go_on(self, watch):
        end = self.ends.pop(0) if self.ends else 0
        if isinstance(end, Exception):
            raise end
        if end == "stays":
            self.stands.set()
            try:
                await asyncio.Event().wait()
            except BaseException as error:
                self.met.append(type(error))
                raise
        watch.note_end(ProgramEnd(code=end, started_at=0.0, ended_at=1.0, host="node7"))


async def execute(store, host, **options):
    async with Run("etl", store=store, id="monday", hosts={"away": host}):
        return command("sync", name="sync", host="away", **options)()


async def leave(store, host, **options):
    """Start a program, and let go of its run while it runs."""
    with pytest.raises(LetGo):
        async with Run("etl", store=store, id="monday", hosts={"away": host}) as run:
            command("sync", name="sync", host="away", **options)()
            await host.stands.wait()
            run.let_go()


def facts(store):
    return [dict(each.facts) for each in store.attempts("monday", every=True)]


async def until(met):
    async with asyncio.timeout(SECONDS):
        while not met():
            await asyncio.sleep(0.02)  # real time: another process is waited for


@pytest.mark.parametrize("notes", ["notes", "by label"])
async def test_a_program_whose_owner_was_killed_is_taken_up_and_not_started_again(folder, disk, notes):
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder), notes], cwd=Path(__file__).parent.parent)
    try:
        await until((folder / "starts").exists)
        await until(lambda: facts(disk) and ("folder" in facts(disk)[0]) == (notes == "notes"))
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    (folder / "go").touch()
    away = Detached(folder / "jobs")

    async with Run("etl", store=disk, id="monday", hosts={"away": away}):
        node = shell(WAITS, name="sync", host="away")(str(folder))

    assert (folder / "starts").read_text() == "started\n"
    assert (node.result().stdout, node.attempt) == ("rows\n", 2)
    (noted, label) = away.found[0]
    assert (noted.keys() == {"folder", "pid"}) == (notes == "notes")
    assert label == facts(disk)[0]["label"]


async def test_it_is_left_running_when_the_run_goes_on_elsewhere(folder, store):
    away = Detached(folder / "jobs")
    with pytest.raises(LetGo):
        async with Run("etl", store=store, id="monday", hosts={"away": away}) as run:
            shell(WAITS, name="sync", host="away")(str(folder))
            await until(lambda: facts(store) and "pid" in facts(store)[0])
            run.let_go()

    (folder / "go").touch()
    async with Run("etl", store=store, id="monday", hosts={"away": away}):
        node = shell(WAITS, name="sync", host="away")(str(folder))

    assert (folder / "starts").read_text() == "started\n"
    assert node.result().stdout == "rows\n"


async def test_a_cancel_ends_it(folder, store):
    away = Detached(folder / "jobs")
    async with Run("etl", store=store, id="monday", hosts={"away": away}):
        node = shell(WAITS, name="sync", host="away")(str(folder))
        await until(lambda: facts(store) and "pid" in facts(store)[0])
        node.cancel()
        await asyncio.wait([node])

    (only,) = facts(store)
    assert only["signal"] == "SIGTERM"
    assert (Path(only["folder"]) / "code").read_text() == "-15"


async def test_a_timeout_ends_it(store):
    away = Script("stays")

    with pytest.raises(RunFailed):
        await execute(store, away, timeout=1)

    assert away.met == [asyncio.CancelledError]


async def test_the_host_gets_a_let_go_and_no_cancel(store):
    away = Script("stays")

    await leave(store, away)

    assert away.met == [LetGo]
    assert "code" not in facts(store)[0]


async def test_who_finds_it_gets_what_its_host_has_noted_and_the_label_of_that_attempt(store):
    before, after = Script("stays"), Script(0)
    await leave(store, before)

    node = await execute(store, after)

    (first, second) = facts(store)
    assert after.asked == [("find", {"job": 1}, first["label"])]
    assert (second["label"], second["found"], second["code"]) == (first["label"], 1, 0)
    assert (node.result().host, second["host"]) == ("node7", "node7")


async def test_an_attempt_is_in_the_store_before_its_program_can_be_anywhere(folder, disk):
    seen = []

    class Looking(Script):
        async def run(self, request, watch, /):
            other = SQLite(folder / "runs.db")
            seen.extend(
                (str(each.state), each.facts.get("label") == request.label)
                for each in other.attempts("monday", every=True)
            )
            other.close()
            await super().run(request, watch)

    await execute(disk, Looking(0))

    assert seen == [("running", True)]


async def test_labels_are_readable_and_no_two_are_alike(store):
    away = Script(3, 3, 0)

    await execute(store, away, retries=2)

    labels = [each["label"] for each in facts(store)]
    assert [label.rpartition(".")[0] for label in labels] == ["monday.sync.1", "monday.sync.2", "monday.sync.3"]
    assert len({label.rpartition(".")[2] for label in labels}) == 3


async def test_what_is_surely_not_there_is_started_anew_with_another_label(store):
    await leave(store, Script("stays"))
    after = Script(ProgramNotFound("no such job"), 0)

    await execute(store, after)

    (first, second) = facts(store)
    assert [each if each == "run" else each[0] for each in after.asked] == ["find", "run"]
    assert second["label"] != first["label"]


async def test_what_was_found_and_has_failed_is_started_anew_by_the_next_attempt(store):
    await leave(store, Script("stays"), retries=1)
    after = Script(3, 0)

    node = await execute(store, after, retries=1)

    assert [each if each == "run" else each[0] for each in after.asked] == ["find", "run"]
    assert node.attempt == 3


async def test_what_was_found_and_lost_is_started_anew(store):
    await leave(store, Script("stays"))
    after = Script(ProgramLost("was lost", reason="node failure"), 0)

    node = await execute(store, after)

    assert [each if each == "run" else each[0] for each in after.asked] == ["find", "run"]
    assert (node.attempt, facts(store)[1]["lost"]) == (3, "node failure")


async def test_while_nobody_can_look_nothing_is_started(store):
    await leave(store, Script("stays"))
    down = Script(HostUnreachable("did not start: down"), HostUnreachable("did not start: down"))
    with pytest.raises(RunFailed):
        await execute(store, down, retries=1)
    back = Script(0)

    await execute(store, back)

    label = facts(store)[0]["label"]
    assert down.asked == [("find", {"job": 1}, label)] * 2
    assert back.asked == [("find", {}, label)]


async def test_found_twice_after_two_crashes(store):
    first, second, third = Script("stays"), Script("stays"), Script(0)
    await leave(store, first)
    await leave(store, second)

    await execute(store, third)

    assert [each[2] for each in (*second.asked, *third.asked)] == [facts(store)[0]["label"]] * 2


async def test_what_has_ended_in_any_way_is_not_looked_for(store):
    for end in (3, HostUnreachable("did not start: down")):
        with pytest.raises(RunFailed):
            await execute(store, Script(end))
    after = Script(0)

    await execute(store, after)

    assert after.asked == ["run"]


async def test_what_was_started_on_another_host_of_the_run_is_found_there(store):
    await leave(store, Script("stays", name="away"))
    old, new = Script(0, name="away"), Script(0, name="new")

    async with Run("etl", store=store, id="monday", hosts={"away": new, "old": old}):
        command("sync", name="sync", host="away")()

    assert (len(old.asked), new.asked) == (1, [])


@pytest.mark.parametrize("host", ["new", "local"])
async def test_what_was_started_on_a_host_of_the_settings_is_found_there(store, monkeypatch, host):
    await leave(store, Script("stays", name="away"))
    old, new = Script(0, name="away"), Script(0, name="new")
    monkeypatch.setattr("aiodag.service.hosts.made_from_settings", lambda _, name: {"away": old}.get(name))

    async with Run("etl", store=store, id="monday", hosts={"new": new} if host == "new" else None):
        node = command("sync", name="sync", host=host)()

    assert (len(old.asked), new.asked) == (1, [])
    assert node.result().host == "node7"


async def test_what_was_started_on_a_host_that_the_run_has_no_more_is_started_anew_with_a_warning(store, caplog):
    await leave(store, Script("stays", name="away"))
    new = Script(0, name="new")

    await execute(store, new)

    assert new.asked == ["run"]
    assert "sync was started on away, which the run does not have now: it may still run there" in caplog.text


async def test_a_cancel_that_comes_before_the_search_ends_what_was_left(store):
    await leave(store, Script("stays"))
    after = Script("stays")

    async with Run("etl", store=store, id="monday", hosts={"away": after}) as run:
        read = run.journal.recall_facts

        async def recall_facts(node):
            asyncio.get_running_loop().call_soon(node.cancel)
            await asyncio.sleep(0)
            return await read(node)

        run.journal.recall_facts = recall_facts
        node = command("sync", name="sync", host="away")()
        await asyncio.wait([node])

    assert node.state is State.CANCELLED
    assert (len(after.asked), after.met) == (1, [asyncio.CancelledError])


async def test_what_is_noted_at_the_start_is_in_the_store_while_it_runs(folder, disk):
    away = Script("stays")

    async def read():
        with_job = SQLite(folder / "runs.db")
        try:
            return [dict(each.facts) for each in with_job.attempts("monday", every=True)]
        finally:
            with_job.close()

    async with Run("etl", store=disk, id="monday", hosts={"away": away}):
        node = command("sync", name="sync", host="away")()
        await away.stands.wait()
        async with asyncio.timeout(SECONDS):
            while "job" not in (seen := await read())[0]:
                await asyncio.sleep(0.02)  # real time: a thread writes it
        node.cancel()

    assert json.loads(json.dumps(seen))[0]["job"] == 1
