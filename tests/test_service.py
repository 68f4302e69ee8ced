"""What the command line and the web page speak to."""

import asyncio
import json
import os
import sys
import time

import pytest

from aiodag import Run, RunFailed, State, task
from aiodag.commands import command, shell
from aiodag.errors import EntryError, OptionError, StoreError, UnknownRun, WorkflowError
from aiodag.service import Service
from aiodag.service.binding import entry_of
from aiodag.service.changes import definition_changes
from aiodag.service.entry import Entry
from aiodag.testing import MoveRecorder
from aiodag.workflows import Workflow

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


def test_what_a_run_goes_on_with_is_found_before_a_loop_runs(service, entry, effects, source):
    asyncio.run(service.start(entry, run_id="r"))
    forget(source.stem)
    source.write_text(f"{SOURCE}\nimport asyncio\nasync def own(): effect('own')\nasyncio.run(own())\n")

    again = service.again("r")

    assert effects()[-1] == "own"
    assert asyncio.run(service.plan(again)) == ([], 5)
    assert asyncio.run(service.resume(again)) == "AABB"


def test_a_run_that_was_resumed_from_another_file_is_said_to_have_run_with_that(service, entry, effects, source):
    other = source.with_stem(f"other_{source.stem}")
    other.write_text(SOURCE)
    asyncio.run(service.start(entry, run_id="r"))
    with pytest.raises(EntryError, match=r"run 'r' began with .*etl names"):
        asyncio.run(service.start(entry_of(f"{source}:join"), run_id="r"))

    asyncio.run(service.resume("r", source=f"{other}:etl"))

    with pytest.raises(EntryError, match=f"run 'r' was last run with {other.resolve()}:etl"):
        asyncio.run(service.start(entry, run_id="r"))
    forget(other.stem)


def test_a_description_changes_no_task_of_a_definition():
    texts = [
        json.dumps({"tasks": {"a": {"command": [name], "description": said}}}) for name, said in ("xy", "xz", "vz")
    ]

    found = definition_changes(enumerate(texts, 1))

    assert [each.changed for each in found] == [[], [], ["a"]]


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
            with pytest.raises(StoreError, match="'own' goes on in this process, process"):
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


@pytest.mark.parametrize(
    "wrong", [{"keep": -1}, {"keep": 1.5}, {"keep": True}, {"older": -60}, {"older": "1d"}], ids=str
)
def test_what_is_no_age_and_no_count_prunes_nothing(service, wrong):
    """Before: a negative one deleted all runs that had ended."""

    async def main():
        async with Run("etl", store=service.store, id="etl"):
            pass

    asyncio.run(main())
    with pytest.raises(OptionError):
        service.prune(**wrong)
    assert [run.id for run in service.runs()] == ["etl"]


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
    monkeypatch.setattr("time.time", lambda: now + 7200)
    assert service.prune(older=3600, keep=1) == ["etl2"]
    with pytest.raises(ValueError, match="say which runs may go"):
        service.prune()


def test_what_there_is(service):
    about = service.about()

    assert about["store"] == service.place
    assert about["python"].startswith(f"{sys.version_info.major}.")
    assert {"aiodag", "sqlite", "extra cli"} <= set(about)
    assert os.sep in about["store"]


# Workflows


def kept(path, tasks, **more):
    path.write_text(json.dumps({"tasks": tasks, **more}))
    return str(path)


def echo(word, *parents):
    return {"command": ["echo", word], "parents": list(parents)}


def begun(service, target, *given, **options):
    """Run what people would type, and return the words that its tasks wrote."""
    values = asyncio.run(service.start(service.target(target, given), **options))
    return {name: value.stdout.strip() for name, value in values.items()}


def test_a_workflow_of_a_file_is_started_with_its_parameters(service, tmp_path):
    path = kept(tmp_path / "job.json", {"a": echo("{{DAY}}"), "b": echo("b", "a")}, parameters={"DAY": ["monday"]})

    target = service.target(path, ["DAY=friday"])
    values = asyncio.run(service.start(target, run_id="r"))

    assert (values["a"][0].stdout, values["b"].stdout) == ("friday\n", "b\n")
    assert service.run("r").entry == {"file": path, "task": "", "parameters": {"DAY": ["friday"]}}
    assert [node.name for node in service.nodes("r")] == ["a[DAY=friday]", "b"]
    assert [part.bytes for part in service.output("r", "a")] == [b"friday\n"]
    assert [part.bytes for part in service.output("r")] == [b"friday\n", b"b\n"]


def test_an_entry_that_leads_to_a_workflow_starts_it(service, tmp_path):
    path = kept(tmp_path / "job.json", {"a": echo("{{DAY}}")}, parameters={"DAY": ["monday"]})

    values = asyncio.run(service.start(Entry(path, "", {"DAY": ["friday", "sunday"]})))

    assert [each.stdout for each in values["a"]] == ["friday\n", "sunday\n"]


def test_a_workflow_with_faults_is_refused_and_nothing_is_recorded(service, tmp_path):
    path = kept(tmp_path / "job.json", {"a": echo("a", "b"), "b": echo("b", "a", "nobody")})

    for call in (service.target, service.register):
        with pytest.raises(WorkflowError, match="nobody"):
            call(path)
    assert service.runs() == []
    assert service.workflows() == []


def test_a_workflow_of_a_program_is_resumed_from_its_definition(service, tmp_path):
    """The program need not run again: what a workflow of commands runs is in the record."""
    flow = Workflow("own")
    first = flow.add(command("echo", "first"), name="first")
    first >> flow.add(shell(f"test -e {tmp_path / 'marker'}"), name="second")
    with pytest.raises(RunFailed):
        asyncio.run(flow.run(service.store, "r"))
    (tmp_path / "marker").touch()

    asyncio.run(service.resume("r"))

    assert {node.name: node.attempt for node in service.nodes("r")} == {"first": 1, "second": 2}
    assert service.run("r").state is State.SUCCEEDED


def test_functions_beside_a_file_are_found_when_the_file_has_gone(service, tmp_path, request):
    name = f"beside_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text("def word(times):\n    return 'word ' * times\n")
    path = kept(tmp_path / "job.json", {"a": {"task": f"{name}.py:word", "arguments": {"times": 2}}})
    asyncio.run(service.start(service.target(path), run_id="r"))
    service.register(path)
    (tmp_path / "job.json").unlink()

    assert asyncio.run(service.plan("r")) == ([], 1)
    assert asyncio.run(service.resume("r"))["a"] == "word word "
    assert asyncio.run(service.start(service.target("job")))["a"] == "word word "
    forget(name)


def test_a_run_goes_on_with_an_edited_workflow_and_keeps_both_definitions(service, tmp_path):
    path = kept(tmp_path / "job.json", {"a": echo("a"), "b": echo("b", "a"), "c": echo("c")})
    begun(service, path, run_id="r")
    edited = kept(tmp_path / "edited.json", {"a": echo("a"), "b": echo("new", "a"), "d": echo("d", "b")})

    plan = asyncio.run(service.plan("r", source=edited))
    asyncio.run(service.resume("r", source=edited))

    assert plan == (["b", "d"], 1)
    assert [change[2:] for change in service.changes("r")] == [([], [], []), (["b"], ["d"], ["c"])]
    assert [json.loads(text)["tasks"].keys() for _, text in service.definitions("r")] == [
        {"a": 0, "b": 0, "c": 0}.keys(),
        {"a": 0, "b": 0, "d": 0}.keys(),
    ]
    assert service.value("r", "b").stdout == "new\n"
    assert asyncio.run(service.plan("r")) == ([], 3)


def test_a_task_of_python_goes_on_from_another_file(service, entry, effects, source):
    asyncio.run(service.start(entry, run_id="r"))
    other = source.with_stem(f"other_{source.stem}")
    other.write_text(SOURCE.replace("text.upper()", "text.title()"))
    before = len(effects())

    assert asyncio.run(service.resume("r", source=f"{other}:etl")) == "AABB"
    assert len(effects()) == before
    forget(other.stem)


def test_a_name_is_registered_once_replaced_and_forgotten(service, tmp_path):
    path = kept(tmp_path / "job.json", {"Feature": echo("one"), "Feature1": echo("two")})
    record = service.register(path)
    with pytest.raises(StoreError, match="a workflow 'job' is registered already, from"):
        service.register(path)
    assert begun(service, "job") == {"Feature": "one", "Feature1": "two"}
    kept(tmp_path / "job.json", {"Feature": echo("three")})
    service.register(path, replace=True)

    assert (record.name, record.target) == ("job", path)
    assert begun(service, "job") == {"Feature": "three"}
    assert [each.name for each in service.workflows()] == ["job"]
    assert service.unregister("job")
    assert not service.unregister("job")
    assert len(service.newest("job")) == 2
    with pytest.raises(EntryError, match=r"no workflow in .* has this name"):
        service.target("job")


def test_names_are_exact_and_runs_come_newest_first(service, tmp_path):
    for name in ("TestJob", "TestJob2"):
        service.register(kept(tmp_path / f"{name}.json", {"a": echo("a")}))
        begun(service, name, run_id=f"{name} one")
        begun(service, name, run_id=f"{name} two")

    assert [run.id for run in service.newest("TestJob")] == ["TestJob two", "TestJob one"]
    assert [run.id for run in service.newest("TestJob", 1)] == ["TestJob two"]
    assert [run.id for run in service.newest("TestJob one")] == ["TestJob one"]
    with pytest.raises(UnknownRun, match="Did you mean 'TestJob'"):
        service.delete("TestJob", "TestJob3")
    assert service.delete("TestJob") == 2
    assert [each.name for each in service.workflows()] == ["TestJob2"]
    assert [run.id for run in service.runs(name="TestJob2")] == ["TestJob2 one", "TestJob2 two"]


def test_a_workflow_that_has_not_run_has_no_runs_but_a_name(service, tmp_path):
    service.register(kept(tmp_path / "job.json", {"a": echo("a")}))

    assert service.newest("job") == []
    assert service.delete("job") == 0
    with pytest.raises(UnknownRun):
        service.newest("job")


def test_a_name_of_a_task_with_parameters_stands_for_its_nodes(service, tmp_path):
    tasks = {"a": echo("{{DAY}}"), "a2": echo("{{DAY}}")}
    begun_at = kept(tmp_path / "job.json", tasks, parameters={"DAY": ["x", "y"]})
    asyncio.run(service.start(service.target(begun_at), run_id="r"))

    assert [node.name for node in service.matching("r", "a")] == ["a[DAY=x]", "a[DAY=y]"]
    assert [node.name for node in service.matching("r", "a[DAY=y]")] == ["a[DAY=y]"]


def test_runs_are_found_by_tags_and_by_when_they_began(service, monkeypatch):
    async def main(run_id, **tags):
        async with Run("own", store=service.store, id=run_id, tags=tags):
            pass

    asyncio.run(main("one", env="test"))
    asyncio.run(main("two", env="test", team="a"))
    now = time.time()

    assert [run.id for run in service.runs(tags={"env": "test"})] == ["one", "two"]
    assert [run.id for run in service.runs(tags={"env": "test", "team": "a"})] == ["two"]
    assert service.runs(tags={"env": "tes"}) == []
    monkeypatch.setattr("time.time", lambda: now + 3600)
    assert len(service.runs(since=7200)) == 2
    assert service.runs(since=1800) == []


def test_a_preview_has_the_nodes_of_a_workflow_or_of_a_task(service, tmp_path, entry, effects):
    path = kept(tmp_path / "job.json", {"a": echo("a"), "b": echo("b", "a")})

    assert [node.name for node in service.preview(service.target(path)).nodes] == ["a", "b"]
    assert "join" in [node.name for node in service.preview(entry).nodes]
    assert effects() == []
    assert service.runs() == []
