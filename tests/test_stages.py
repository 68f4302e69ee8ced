"""What all stages have in common that run programs, and those that run none."""

import asyncio
import logging
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from stage_forms import node_of, outputs, written_by

from aiodag import Run, RunFailed, Secret, StageFailed, State, task
from aiodag.errors import EntryError
from aiodag.stores import Memory, SQLite
from aiodag.testing import park_at_every_wait
from aiodag.testing import run as virtual
from aiodag.workflows import hook
from aiodag.workflows.jobs.stages import echo

# The end of programs


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def appears(path):
    for _ in range(3000):
        if path.exists():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(path)


START_TWO = """
import os, subprocess, time
for group in (None, 0):
    print(subprocess.Popen(["sleep", "600"], process_group=group).pid)
open(os.environ["READY"], "w").close()
time.sleep(600)  # real time: until the stage is ended
"""
GRANDCHILDREN = {
    "run": START_TWO,
    "bash": 'sleep 600 & echo $!; set -m; sleep 600 & echo $!; echo > "$READY"; sleep 600',
}


@pytest.mark.parametrize("kind", GRANDCHILDREN)
async def test_a_stage_that_is_cancelled_ends_all_that_it_has_started(kind, tmp_path):
    ready = tmp_path / "ready"
    store = Memory()
    async with Run("flow", store=store) as run:
        node = node_of({kind: GRANDCHILDREN[kind], "env": {"READY": str(ready)}})
        await appears(ready)
        node.cancel("enough")

    pids = [int(word) for word in written_by(store, run).split()]
    assert (node.state, len(pids)) == (State.CANCELLED, 2)
    assert not any(map(alive, pids))


@pytest.mark.parametrize("kind", GRANDCHILDREN)
async def test_a_timeout_ends_all_that_a_stage_has_started_and_is_recorded(kind, tmp_path):
    ready = tmp_path / "ready"
    for timeout in (0.5, 2, 8, 32):  # a busy machine may take longer to start them
        store = Memory()
        with pytest.raises(RunFailed):
            async with Run("flow", store=store) as run:
                node = node_of({kind: GRANDCHILDREN[kind], "env": {"READY": str(ready)}}, timeout=timeout)
        if ready.exists():
            break
    (record,) = store.nodes(run.id)

    pids = [int(word) for word in written_by(store, run).split()]
    assert (record.state, type(node.exception()), len(pids)) == (State.FAILED, TimeoutError, 2)
    assert not any(map(alive, pids))


async def test_each_attempt_of_a_stage_is_a_process_of_its_own(tmp_path):
    script = 'echo x >> "$FILE"; test $(wc -l < "$FILE") -ge 3'
    node = node_of({"bash": script, "env": {"FILE": str(tmp_path / "tries")}}, retries=3)

    assert (await node)["return_code"] == 0
    assert (node.attempt, (tmp_path / "tries").read_text()) == (3, "x\nx\nx\n")


# Secrets


async def test_a_secret_is_itself_in_a_stage_and_hidden_everywhere_else(tmp_path, monkeypatch, secrets_forgotten):
    monkeypatch.setenv("TOKEN", "hunter22-7f")
    secret = {"secrets": {"TOKEN": Secret("TOKEN")}}
    forms = [
        {"run": "size = len(t)\nheader = 'Bearer ' + t\nprint(t)", "vars": {"t": "${{ secrets.TOKEN }}"}},
        {"run": "size = len(${{ secrets.TOKEN }})\nkept = '<${{ secrets.TOKEN }}>'"},
        {"bash": "echo ${{ secrets.TOKEN }} ${#OWN}", "env": {"OWN": "${{ secrets.TOKEN }}"}},
        {
            "bash": "echo 'got ${{ secrets.TOKEN }}' >&2; echo t=$OWN > $AIODAG_OUTPUT",
            "env": {"OWN": "x${{ secrets.TOKEN }}"},
        },
        {"echo": "with ${{ secrets.TOKEN }}"},
    ]
    store = SQLite(tmp_path / "runs.db")
    async with Run("flow", store=store):
        nodes = [node_of(form, secret) for form in forms]
    kept = [each.read_bytes() for each in tmp_path.iterdir()]
    store.close()

    assert [node.result() for node in nodes] == [
        {"size": 11, "header": "Bearer ***"},
        {"size": 11, "kept": "<***>"},
        {"return_code": 0, "stdout": "*** 11\n", "stderr": ""},
        {"t": "x***", "return_code": 0, "stdout": "", "stderr": "got ***\n"},
        {"message": "with ***"},
    ]
    assert not [each for each in kept if b"hunter22-7f" in each]


# uses


@pytest.fixture
def tried(hooks_forgotten):
    """Functions that stages can call, and what one of them was called with."""
    tried = []

    @hook("tests/add@plain")
    def add(first, second=1):
        return {"sum": first + second, "thread": threading.current_thread() is threading.main_thread()}

    @hook("tests/wait@async")
    async def wait(value):
        await asyncio.sleep(0)
        return value

    @hook("tests/fetch@task")
    @task(retries=2)
    async def fetch(token):
        tried.append(token)
        if len(tried) < 3:
            raise ConnectionError(token)
        return ["row"]

    return tried


async def test_a_stage_calls_plain_and_async_functions(tried):
    found = await outputs({"uses": "tests/add@plain", "with": {"first": "${{ params.n }}"}}, params={"n": 2})
    assert found == {"sum": 3, "thread": False}

    assert await outputs({"uses": "tests/wait@async", "with": {"value": {"rows": 3}}}) == {"rows": 3}
    assert await outputs({"uses": "tests/wait@async", "with": {"value": None}}) == {}
    assert await outputs({"uses": "tests/wait@async", "with": {"value": [1]}}) == {"result": [1]}


async def test_a_task_that_a_stage_calls_keeps_its_options_and_is_a_node(tried, monkeypatch, secrets_forgotten):
    monkeypatch.setenv("TOKEN", "hunter22-7f")
    secret = {"secrets": {"TOKEN": Secret("TOKEN")}}
    store = Memory()
    async with Run("flow", store=store) as run:
        node = node_of({"uses": "tests/fetch@task", "with": {"token": "${{ secrets.TOKEN }}"}}, secret)

    assert (node.result(), tried) == ({"result": ["row"]}, ["hunter22-7f"] * 3)
    assert [(each.name, each.attempt) for each in store.nodes(run.id)][1:] == [("fetch", 3)]


async def test_functions_that_are_not_there_or_do_not_fit_are_refused(tried):
    with pytest.raises(EntryError, match="tests/add@plain"):
        await outputs({"uses": "tests/ad@plain"})
    with pytest.raises(
        StageFailed, match=r"tests/add@plain cannot be called: add takes no 'frist'.*; add needs 'first'"
    ):
        await outputs({"uses": "tests/add@plain", "with": {"frist": 1}})
    with pytest.raises(TypeError, match="can only concatenate str"):
        await outputs({"uses": "tests/add@plain", "with": {"first": "a"}})


# echo, raise, sleep


async def test_echo_writes_a_line_to_the_record_or_to_the_log(caplog):
    store = Memory()
    async with Run("flow", store=store) as run:
        node_of({"echo": "loaded ${{ params.n }} rows"}, {"params": {"n": 3}})
    with caplog.at_level(logging.INFO, "aiodag.stage"):
        found = await outputs({"name": "Nothing but a name"})

    assert (written_by(store, run), found) == ("loaded 3 rows\n", {"message": "Nothing but a name"})
    assert "Nothing but a name" in caplog.text


async def test_raise_fails_with_its_message():
    with pytest.raises(StageFailed, match=r"^no rows for 2024-01-01"):
        await outputs({"raise": "no rows for ${{ params.day }}"}, params={"day": date(2024, 1, 1)})


@pytest.mark.parametrize("given", [30 * 86400, "30d", "720h", "${{ params.n }}"])
def test_sleep_waits_without_holding_anything_up(given):
    async def main():
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await outputs({"sleep": given}, params={"n": 30 * 86400})
        return loop.time() - begun

    assert virtual(main()) == pytest.approx(30 * 86400)


async def test_sleep_waits_for_a_moment():
    assert await outputs({"sleep": "2020-01-01T00:00:00Z"}) == {}
    assert await outputs({"sleep": "${{ params.at }}"}, params={"at": datetime(2020, 1, 1, tzinfo=UTC)}) == {}


@pytest.mark.parametrize(
    "given", ["soon", -1, "-5", "nan", "inf", 1e300, 10**400, True, None, [1], datetime(2020, 1, 1)]
)
async def test_sleep_takes_no_other_thing(given):
    with pytest.raises(
        StageFailed, match=r"sleep takes seconds, a duration such as 90s or 1\.5h, or a moment with a time zone"
    ):
        await outputs({"sleep": "${{ params.n }}"}, params={"n": given})


def test_a_line_before_a_pause_is_written_once_however_often_the_run_is_parked(monkeypatch):
    written = []
    monkeypatch.setattr(echo, "write_line", written.append)

    async def body():
        return await outputs({"echo": "before", "sleep": "30d"})

    assert virtual(park_at_every_wait(body)) == {"message": "before"}
    assert written == ["before"]
