"""What the command line and the web page speak to."""

import asyncio
import os
import sys
import time

import pytest

from aiodag import Run, RunFailed, State, task
from aiodag.entry import entry_of
from aiodag.errors import EntryError, StoreError, UnknownRun
from aiodag.service import Service
from aiodag.testing import MoveRecorder

SOURCE = """
import os
from aiodag import task

def effect(word):
    with open(os.environ["EFFECTS"], "a") as log:
        log.write(word + "\\n")

@task
async def fetch(name: str) -> str:
    effect(f"fetch {name}")
    return name * 2

@task(version=os.environ.get("VERSION", "1"))
async def clean(text: str) -> str:
    effect(f"clean {text}")
    if os.environ.get("BROKEN"):
        raise ValueError("broken by request")
    return text.upper()

@task
async def join(*texts: str) -> str:
    effect("join")
    return "".join(texts)

@task
async def etl(names: list[str]) -> str:
    return await join(*[clean(fetch(name)) for name in names])
"""


@pytest.fixture
def effects(tmp_path, monkeypatch):
    path = tmp_path / "effects.log"
    path.touch()
    monkeypatch.setenv("EFFECTS", str(path))
    monkeypatch.delenv("BROKEN", raising=False)
    return lambda: path.read_text().splitlines()


@pytest.fixture
def source(tmp_path, request):
    name = f"flow_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    yield tmp_path / f"{name}.py"
    forget(name)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


def forget(name):
    """Forget a module, as a new process has."""
    sys.modules.pop(name, None)


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path / "runs.db")
    yield service
    service.store.close()


@pytest.fixture
def entry(source):
    return entry_of(f"{source}:etl", ['names=["a", "b"]'])


def test_a_started_run_gives_its_value_and_is_recorded(service, entry, effects):
    value = asyncio.run(service.start(entry, run_id="r"))
    record = service.run("r")

    assert value == "AABB"
    assert (record.name, record.state, record.entry["task"]) == ("etl", State.SUCCEEDED, "etl")
    assert sorted(node.label for node in service.nodes("r")) == [
        "clean", "clean", "etl", "fetch('a')", "fetch('b')", "join",
    ]  # fmt: skip
    assert len(effects()) == 5


def test_a_failed_run_is_resumed_where_it_failed(service, entry, effects, monkeypatch):
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(RunFailed, match=r"clean.*broken by request"):
        asyncio.run(service.start(entry, run_id="r"))
    assert service.run("r").state is State.FAILED
    assert isinstance(service.error("r"), RunFailed)
    assert isinstance(service.error("r", "clean"), ValueError)
    monkeypatch.delenv("BROKEN")
    before = len(effects())

    assert asyncio.run(service.resume("r")) == "AABB"
    assert sorted(effects()[before:]) == ["clean aa", "clean bb", "join"]
    assert [each.attempt for each in service.attempts("r") if each.state is State.FAILED] == [1, 1, 1]


def test_a_plan_says_what_would_run_and_runs_nothing(service, entry, effects, monkeypatch, source):
    asyncio.run(service.start(entry, run_id="r"))
    before = effects()
    record = service.run("r")

    assert asyncio.run(service.plan("r")) == ([], 5)
    monkeypatch.setenv("VERSION", "2")
    forget(source.stem)
    plan = asyncio.run(service.plan("r"))

    assert (plan.run, plan.recalled) == (["clean", "clean", "join"], 2)
    assert effects() == before
    assert service.run("r") == record
    asyncio.run(service.resume("r"))
    assert sorted(effects()[len(before) :]) == ["clean aa", "clean bb", "join"]


@pytest.mark.parametrize("change", [{"task": "join"}, {"file": "other.py"}, {"parameters": {"names": '["z"]'}}])
def test_a_run_goes_on_only_with_what_it_began_with(service, entry, effects, source, change):
    asyncio.run(service.start(entry, run_id="r"))
    if "file" in change:
        change = {"file": str(source.with_stem("other_" + source.stem))}
        source.with_stem("other_" + source.stem).write_text(SOURCE)
    if "task" in change:
        change = {"task": "join", "parameters": {}}
    before = effects()

    with pytest.raises(EntryError, match=r"'r' began with .*:etl names=\["):
        asyncio.run(service.start(entry._replace(**change), run_id="r"))
    assert effects() == before
    assert asyncio.run(service.start(entry, run_id="r")) == "AABB"


def test_the_graph_of_a_run_shows_its_retries(service, effects):
    @task(retries=1)
    async def second_time():
        if not retried:
            retried.append(1)
            raise ValueError

    retried = []

    async def main():
        async with Run("own", store=service.store, id="own"):
            second_time()

    asyncio.run(main())
    states = [str(state) for state, _ in service.graph("own").nodes[0].moves]

    assert states == ["waiting", "running", "queued", "running", "succeeded"]
    assert effects() == []


def test_a_plan_of_a_run_whose_code_has_gone_is_refused(service, entry, effects, source):
    asyncio.run(service.start(entry, run_id="r"))
    forget(source.stem)
    source.write_text("from aiodag import task")

    with pytest.raises(EntryError, match="has no task 'etl'"):
        asyncio.run(service.plan("r"))
    with pytest.raises(EntryError, match="has no task 'etl'"):
        asyncio.run(service.resume("r"))
    assert service.run("r").state is State.SUCCEEDED
    assert effects()


def test_a_run_of_a_program_cannot_be_resumed_by_name(service):
    async def main():
        async with Run("own", store=service.store, id="own"):
            pass

    asyncio.run(main())
    with pytest.raises(EntryError, match="was made by a program: run that again"):
        asyncio.run(service.resume("own"))


def test_observers_and_who_waits_for_the_run_are_told(service, entry, effects):
    recorder, opened = MoveRecorder(), []
    asyncio.run(service.start(entry, run_id="r", observers=[recorder], opened=opened.append))

    assert [run.id for run in opened] == ["r"]
    assert recorder.states("join")[-1] is State.SUCCEEDED
    assert effects()


def test_values_and_graph_are_read_from_the_records(service, entry, effects):
    asyncio.run(service.start(entry, run_id="r"))
    graph = service.graph("r")

    assert service.value("r", "join") == "AABB"
    assert service.value("r", "fetch('b')") == "bb"
    assert len(graph.nodes) == 6
    assert len(graph.edges) == 4
    assert {node.state for node in graph.nodes} == {State.SUCCEEDED}
    assert "join" in graph.to_text()
    assert effects()
    with pytest.raises(StoreError, match="has no node 'nope'; its tasks are clean, etl, fetch, join"):
        service.value("r", "nope")


def test_unknown_runs_name_a_near_miss_and_nothing_is_deleted(service, entry, effects):
    asyncio.run(service.start(entry, run_id="report"))

    for call in (service.run, service.nodes, service.edges, service.logs, service.graph, service.cancel):
        with pytest.raises(UnknownRun, match="Did you mean 'report'"):
            call("reprot")
    with pytest.raises(UnknownRun):
        service.delete("report", "reprot")
    assert service.delete("report") == 1
    assert service.runs() == []
    assert effects()


def test_a_run_that_goes_on_is_not_deleted(service):
    async def main():
        async with Run("own", store=service.store, id="own"):
            with pytest.raises(StoreError, match="'own' goes on in process"):
                service.delete("own")

    asyncio.run(main())
    assert service.delete("own") == 1


def test_runs_are_found_by_name_and_state(service):
    @task
    async def broken():
        raise ValueError

    async def main():
        for number in range(3):
            async with Run("good", store=service.store, id=f"good{number}"):
                pass
        with pytest.raises(RunFailed):
            async with Run("bad", store=service.store, id="bad"):
                broken()

    asyncio.run(main())

    assert [run.id for run in service.runs(name="good", limit=2)] == ["good1", "good2"]
    assert [run.id for run in service.runs(state="failed")] == ["bad"]


def test_old_runs_are_pruned_by_age_and_count(service, monkeypatch):
    async def main(run_id):
        async with Run(run_id[:3], store=service.store, id=run_id):
            pass

    for run_id in ("etl", "etl2", "etl3", "sum1"):
        asyncio.run(main(run_id))
    assert service.prune(keep=2) == ["etl"]
    assert [run.id for run in service.runs()] == ["etl2", "etl3", "sum1"]
    assert service.prune(older=3600) == []
    now = time.time()
    monkeypatch.setattr("aiodag.service.time.time", lambda: now + 7200)
    assert service.prune(older=3600, keep=1) == ["etl2"]
    with pytest.raises(ValueError, match="say which runs may go"):
        service.prune()


def test_what_there_is(service):
    about = service.about()

    assert about["store"] == service.place
    assert about["python"].startswith(f"{sys.version_info.major}.")
    assert {"aiodag", "sqlite", "extra cli"} <= set(about)
    assert os.sep in about["store"]
