"""Workers: what is submitted is run elsewhere, each effect once, whatever becomes of the worker."""

import asyncio
import json
import os
import sqlite3
import sys
import threading
import time

import pytest
from worker_processes import FLOW, PATIENCE, begun, lines_of, until

from aiodag import QueueError, State
from aiodag.cli.isolated import Children
from aiodag.errors import StoreError
from aiodag.service import Service
from aiodag.service.worker import QueueWorker


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request, tmp_path):
    postgres = request.param == "postgresql"
    service = Service(request.getfixturevalue("postgres_address") if postgres else f"sqlite:///{tmp_path}/runs.db")
    yield service
    service.close()


@pytest.fixture
def effects(tmp_path):
    return tmp_path / "effects"


class Working:
    """A worker in this process, inside."""

    def __init__(self, service, say=None, **options):
        self.said = []
        self.worker = QueueWorker(service, say=say or self.said.append, **options)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.worker.run())
        return self

    async def __aexit__(self, *error):
        self.worker.stop()
        self.worker.stop()
        await self.task


async def test_a_submitted_run_is_taken_and_its_value_comes_back(service, effects):
    run_id = service.submit(f"{FLOW}:five", {"file": str(effects)})

    async with Working(service) as working:
        value = await service.result(run_id, timeout=PATIENCE)
        await until(lambda: len(working.said) > 1, "it says so")

    assert value == 4
    assert [line[:2] for line in lines_of(effects)] == [[run_id, str(number)] for number in range(5)]
    assert service.run(run_id).execution == 1
    assert working.said[0] == f"{run_id}: begins"
    assert working.said[1].startswith(f"{run_id}: succeeded, after ")
    assert service.workers() == []


async def test_a_failure_is_the_runs_and_the_worker_goes_on(service, effects):
    first = service.submit(f"{FLOW}:fail", {"file": str(effects)})
    second = service.submit(f"{FLOW}:five", {"file": str(effects)})

    async with Working(service, limit=1):
        value = await service.result(second, timeout=PATIENCE)

    assert value == 4
    assert service.run(first).state is State.FAILED


async def test_no_more_runs_go_on_at_once_than_the_limit(service, effects):
    ids = [service.submit(f"{FLOW}:wait_for", {"file": str(effects)}) for _ in range(3)]

    async with Working(service, limit=2):
        await begun(effects, 2)
        service.cancel(ids[0])
        await begun(effects, 3)
        states = [service.run(each).state for each in ids]

    assert states == [State.CANCELLED, State.RUNNING, State.RUNNING]


async def test_a_document_runs_where_its_file_is_not(service, tmp_path):
    file = tmp_path / "hello.json"
    file.write_text(json.dumps({"tasks": {"greet": {"command": ["echo", "hello"]}}}))
    run_id = service.submit(str(file))
    file.unlink()

    async with Working(service):
        value = await service.result(run_id, timeout=PATIENCE)

    assert value["greet"].stdout == "hello\n"


@pytest.mark.parametrize(
    "text",
    ["raise OSError('no disk')", "import sys; sys.exit(3)", "def main(): pass"],
    ids=["raises", "exits", "other"],
)
async def test_a_run_whose_code_cannot_be_loaded_fails_with_the_reason_where_no_worker_can(service, tmp_path, text):
    file = tmp_path / f"flow{os.urandom(4).hex()}.py"
    file.write_text("async def load() -> int: return 1\n")
    run_id = service.submit(f"{file}:load")
    sys.modules.pop(file.stem)
    file.write_text(text)

    async with Working(service) as working:
        with pytest.raises(QueueError, match=file.stem):
            await service.result(run_id, timeout=PATIENCE)

    assert service.run(run_id).state is State.FAILED
    assert any("its code cannot be loaded here" in line for line in working.said)


@pytest.mark.parametrize("stem", ["flow", "flow.of.dots"])
async def test_two_tasks_of_a_file_can_be_the_first_at_the_same_moment(service, tmp_path, stem):
    file = tmp_path / f"{stem}{os.urandom(4).hex()}.py"
    body = "import time\ntime.sleep({})\nasync def load() -> int: return 1\nasync def unload() -> int: return 2\n"
    file.write_text(body.format(0))
    runs = [service.submit(f"{file}:load"), service.submit(f"{file}:unload")]
    sys.modules.pop(file.stem)
    file.write_text(body.format(0.3))

    async with Working(service):
        values = [await service.result(run_id, timeout=PATIENCE) for run_id in runs]

    assert values == [1, 2]


async def test_a_pinned_worker_refuses_other_code_than_that_which_was_submitted(service, tmp_path):
    file = tmp_path / f"flow{os.urandom(4).hex()}.py"
    file.write_text("async def load() -> int: return 1\n")
    run_id = service.submit(f"{file}:load")
    file.write_text("async def load() -> int: return 2\n")

    async with Working(service, pinned=True):
        with pytest.raises(QueueError, match="other code here than when the run was submitted"):
            await service.result(run_id, timeout=PATIENCE)


async def test_a_run_whose_row_was_edited_into_nonsense_fails_alone(effects, tmp_path):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    broken = service.submit(f"{FLOW}:five", {"file": str(effects)})
    sound = service.submit(f"{FLOW}:five", {"file": str(effects)})
    connection = sqlite3.connect(tmp_path / "runs.db")
    with connection:
        connection.execute("update runs set entry = '{\"what\": 1}' where id = ?", (broken,))
    connection.close()

    async with Working(service):
        value = await service.result(sound, timeout=PATIENCE)
        await until(lambda: service.run(broken).ended_at is not None, "it fails")

    assert value == 4
    assert service.run(broken).state is State.FAILED
    service.close()


async def test_who_stops_gives_back_what_does_not_end_in_time_to_be_continued(service, effects):
    run_id = service.submit(f"{FLOW}:wait_for", {"file": str(effects)})
    working = Working(service, grace=0.05)
    task = asyncio.create_task(working.worker.run())
    await begun(effects)

    working.worker.stop()
    await task

    run = service.run(run_id)
    assert (run.state, run.deaths) == (State.QUEUED, 0)
    assert [line[1] for line in lines_of(effects)] == ["begins", "LetGo"]
    assert f"{run_id}: given back, to be continued" in working.said


async def test_who_is_cancelled_while_it_takes_a_run_gives_it_back(service, effects, monkeypatch):
    took, go = threading.Event(), threading.Event()
    take = service.store.take_queued

    def take_slowly(*args, **options):
        taken = take(*args, **options)
        took.set()
        go.wait(PATIENCE)
        return taken

    monkeypatch.setattr(service.store, "take_queued", take_slowly)
    run_id = service.submit(f"{FLOW}:wait_for", {"file": str(effects)})
    working = asyncio.create_task(QueueWorker(service, say=str).run())
    await asyncio.to_thread(took.wait, PATIENCE)
    working.cancel()
    await asyncio.sleep(0)
    go.set()

    with pytest.raises(asyncio.CancelledError):
        await working
    run = service.run(run_id)
    assert (run.state, run.deaths, lines_of(effects)) == (State.QUEUED, 0, [])
    assert service.workers() == []


async def test_who_stops_lets_runs_end_and_takes_no_more(service, effects, tmp_path):
    gate = tmp_path / "gate"
    first = service.submit(f"{FLOW}:wait_for", {"file": str(effects)})
    working = Working(service, limit=1, grace=60)
    task = asyncio.create_task(working.worker.run())
    await begun(effects)
    second = service.submit(f"{FLOW}:wait_once", {"file": str(effects), "gate": str(gate)})

    working.worker.stop()
    await until(lambda: [each.state for each in service.workers()] == ["ending"], "it says so")
    service.cancel(first)
    await task

    assert service.run(first).state is State.CANCELLED
    assert service.run(second).state is State.QUEUED


async def test_old_runs_are_deleted_by_a_worker_that_keeps_them_for_a_while(service, effects):
    old = service.submit(f"{FLOW}:five", {"file": str(effects)})
    async with Working(service):
        await service.result(old, timeout=PATIENCE)
    async with Working(service, keep=0.0):
        await until(lambda: service.runs() == [], "it goes")


async def test_runs_go_on_when_a_store_that_failed_all_of_them_works_again(service, effects, monkeypatch):
    """As when the disk is full for a while: not even the end of a run, or that it is let go of, can be written."""

    def fail(*_):
        msg = "the disk is full"
        raise StoreError(msg)

    ids = [service.submit(f"{FLOW}:five", {"file": str(effects)}) for _ in range(3)]
    store = type(service.store)
    with monkeypatch.context() as full:
        for what in ("release", "give_back", "write_all"):  # put back from the end: who takes a run again can write it
            full.setattr(store, what, fail)
        working = Working(service)
        await working.__aenter__()
        await until(lambda: sum("the disk is full" in line for line in working.said) == 3, "all of them end")
    values = [await service.result(each, timeout=PATIENCE) for each in ids]
    await working.__aexit__()

    assert values == [4, 4, 4]
    assert {service.run(each).execution for each in ids} == {2}
    with service.store.reading() as session:
        assert session.execute("select max(deaths) from runs").fetchone() == (0,)


async def test_a_worker_takes_a_rest_from_a_store_that_fails_its_runs(service, effects, monkeypatch):
    def fail(*_):
        msg = "the disk is full"
        raise StoreError(msg)

    begins = []

    def say(line):
        if "begins" in line or "goes on" in line:
            begins.append(time.monotonic())

    service.submit(f"{FLOW}:five", {"file": str(effects)})
    monkeypatch.setattr(type(service.store), "write_all", fail)
    async with Working(service, say=say):
        await until(lambda: begins and begins[-1] - begins[0] >= 1.5, "it is tried again")

    # Rests of 0.5 and 1 s; a look that was under way when one began may still have taken the run, once for each.
    assert sum(each - begins[0] < 1.5 for each in begins) <= 4


async def test_deleting_many_old_runs_holds_up_nobody(service, effects, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(service, "prune", lambda **_: go.wait(PATIENCE) and [])
    run_id = service.submit(f"{FLOW}:five", {"file": str(effects)})

    async with Working(service, keep=0.0):
        assert await service.result(run_id, timeout=PATIENCE) == 4
    assert not go.is_set()
    go.set()


async def test_old_runs_that_cannot_be_deleted_are_said_and_the_worker_goes_on(service, effects, monkeypatch):
    def fail(**_):
        msg = "the disk is full"
        raise StoreError(msg)

    monkeypatch.setattr(service, "prune", fail)
    async with Working(service, keep=0.0) as working:
        await until(lambda: any("the disk is full" in line for line in working.said), "it says so")
        run_id = service.submit(f"{FLOW}:five", {"file": str(effects)})
        assert await service.result(run_id, timeout=PATIENCE) == 4


async def test_a_process_that_cannot_be_started_is_said_and_tried_again_after_a_pause(tmp_path, monkeypatch, capsys):
    tries = []

    async def fail(*_, **__):
        tries.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("asyncio.create_subprocess_exec", fail)
    monkeypatch.setattr("aiodag.cli.isolated.AGAIN", 0.05)
    children = Children(f"sqlite:///{tmp_path}/runs.db", [], 1)
    working = asyncio.create_task(children.run())
    await until(lambda: len(tries) > 1, "it tries again")
    children.stop()

    assert await working == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "cannot start a process for a run" in line]
    assert len(said) == len(tries) < 100


async def test_code_that_blocks_when_it_is_imported_holds_up_neither_other_runs_nor_the_end(service, effects, tmp_path):
    file = tmp_path / f"flow{os.urandom(4).hex()}.py"
    file.write_text("async def load() -> int: return 1\n")
    blocked = service.submit(f"{file}:load")
    sys.modules.pop(file.stem)
    begun, go = tmp_path / "importing", tmp_path / "go"
    os.mkfifo(go)
    file.write_text(f"open({str(begun)!r}, 'w').close()\nopen({str(go)!r}).close()\n")
    other = service.submit(f"{FLOW}:five", {"file": str(effects)})

    async with Working(service):
        value = await service.result(other, timeout=PATIENCE)
        await until(begun.exists, "the import begins")

    assert value == 4
    assert (service.run(blocked).state, service.run(blocked).deaths) == (State.QUEUED, 0)
    go.open("w").close()


@pytest.mark.parametrize("moment", ["loading", "entering", "running"])
def test_a_program_that_ends_without_stopping_its_worker_gives_all_runs_back(effects, tmp_path, moment):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    runs = [service.submit(f"{FLOW}:wait_for", {"file": str(effects)}) for _ in range(20)]

    async def program():
        working = asyncio.create_task(QueueWorker(service, say=str).run())
        if moment == "running":
            await begun(effects, len(runs))
        else:
            await until(lambda: service.run(runs[-1]).state is State.RUNNING, "they are taken")
            await asyncio.sleep(0 if moment == "loading" else 0.005)
        return working  # for a task that nobody holds is not there any more

    asyncio.run(program())

    found = [service.run(run_id) for run_id in runs]
    service.close()
    assert {(run.state, run.execution, run.error) for run in found} == {(State.QUEUED, 1, "")}
