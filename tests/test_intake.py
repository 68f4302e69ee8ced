"""What comes over HTTP: what it may name, where it is thought through, and what is recorded of it."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from worker_processes import PATIENCE

from aiodag import State
from aiodag.errors import (
    DefinitionRefused,
    EntryError,
    NotFound,
    OptionError,
    PlanFailed,
    PlanningBusy,
    RunQueued,
    StoreError,
    WorkflowError,
)
from aiodag.service import Service, thinkers
from aiodag.service.intake import Intake
from aiodag.service.narrowing import Narrowing
from aiodag.service.worker import QueueWorker

HELLO = {"name": "hello", "tasks": {"first": {"command": ["echo", "1"]}, "greet": {"command": ["false"]}}}
MENDED = {**HELLO, "tasks": {**HELLO["tasks"], "greet": {"command": ["echo", "hello"]}}}
SQUARE = {"name": "square", "tasks": {"root": {"task": "math:sqrt", "arguments": [4]}}}
DAYS = {
    "name": "days",
    "params": {"day": "str"},
    "jobs": {"a": {"stages": [{"id": "say", "echo": "it is ${{ params.day }}"}]}},
}


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    service = Service(f"sqlite:///{tmp_path / 'runs.db'}")
    yield service
    service.close()


@pytest.fixture
def taking(service):
    """What makes an intake, which is closed in the end."""
    made = []

    def take(of=service, *, at_once=2, seconds=PATIENCE, **narrowing):
        made.append(Intake(of, Narrowing(**narrowing), at_once=at_once, seconds=seconds))
        return made[-1]

    yield take
    for each in made:
        each.close()


@pytest.fixture
def intake(taking):
    return taking()


def imported_here(name):
    """Whether this process has imported a module."""
    return name in sys.modules


def write_module(tmp_path, name, text):
    (tmp_path / f"{name}.py").write_text(text)
    return {"name": "other", "tasks": {"a": {"task": f"{name}:main"}}}


async def work(service, *run_ids):
    worker = QueueWorker(service, grace=0.0)
    working = asyncio.create_task(worker.run())
    try:
        return [await service.result(each, timeout=PATIENCE) for each in run_ids]
    finally:
        worker.stop()
        await working


# What is taken in


@pytest.mark.parametrize(
    "given", [MENDED, json.dumps(MENDED), "name: hello\ntasks:\n  greet: {command: [echo, hello]}\n"]
)
async def test_a_definition_is_submitted_as_json_or_as_a_text(service, intake, given):
    run_id = intake.submit(definition=given, tags={"env": "test"}, queue="default", priority=3)

    run = service.run(run_id)
    assert (run.name, run.state, run.tags, run.priority) == ("hello", State.QUEUED, {"env": "test"}, 3)
    ((values,)) = [await work(service, run_id)]
    assert values[0]["greet"].stdout == "hello\n"


async def test_a_definition_is_given_its_parameters(service, intake):
    run_id = intake.submit(definition=DAYS, parameters={"day": "monday"})
    await work(service, run_id)

    assert any("it is monday" in repr(node.value) for node in service.nodes(run_id))
    assert service.entry(run_id).parameters == {"day": "monday"}


def test_one_of_several_workflows_is_taken_by_its_name(service, intake):
    several = {"one": {"type": "Workflow", **HELLO}, "two": {"type": "Workflow", **MENDED}}
    for form in several.values():
        del form["name"]

    assert service.run(intake.submit(definition=several, member="two")).name == "two"
    with pytest.raises(WorkflowError, match="two"):
        intake.submit(definition=several)


def test_the_same_key_is_the_same_run_and_another_text_is_refused(intake):
    first = intake.submit(definition=HELLO, key="k")

    assert intake.submit(definition=HELLO, key="k") == first
    with pytest.raises(StoreError, match="the key 'k' is that of a run"):
        intake.submit(definition=MENDED, key="k")


async def test_a_function_is_imported_elsewhere(service, intake, tmp_path):
    form = write_module(tmp_path, "imported_elsewhere", "async def main(): return 4\n")

    run_id = intake.submit(definition=form)

    assert service.run(run_id).state is State.QUEUED
    assert not imported_here("imported_elsewhere")


def test_all_that_is_wrong_is_told_also_of_what_was_read_elsewhere(intake):
    form = {"tasks": {"a": {"task": "no_such_module:main"}, "b": {"comand": ["ls"]}}}

    with pytest.raises(WorkflowError) as caught:
        intake.submit(definition=form)

    places = [each.place for each in caught.value.complaints]
    assert any("$.tasks.a.task" in place for place in places)
    assert any("$.tasks.b" in place for place in places)


def test_a_workflow_is_registered_and_submitted_by_its_name(service, intake):
    record = intake.register(HELLO, name="morning")
    run = service.run(intake.submit(workflow="morning"))

    assert (record.name, record.target, run.name) == ("morning", "", "morning")
    with pytest.raises(StoreError, match=r"'morning' is registered already\. "):
        intake.register(HELLO, name="morning")
    intake.register(MENDED, name="morning", replace=True)
    assert '"echo", "hello"' in service.workflows("morning")[0].document


def test_a_registered_python_file_is_imported_elsewhere(service, intake, tmp_path):
    text = "from aiodag.commands import command\nfrom aiodag.workflows import Workflow\n"
    text += "flow = Workflow('flow')\nflow.add(command('echo'), name='say')\n"
    (tmp_path / "kept_flow.py").write_text(text)
    program = "from aiodag.service import Service; Service('runs.db').register('kept_flow.py')"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)

    run_id = intake.submit(workflow="flow")

    assert service.run(run_id).entry["file"].endswith("kept_flow.py")
    assert [node["name"] for node in intake.preview(workflow="flow")["nodes"]] == ["say"]
    assert not imported_here("kept_flow")


def test_a_name_is_never_a_file(service, intake, tmp_path):
    (tmp_path / "hello.json").write_text(json.dumps(HELLO))
    intake.register(HELLO)

    for name in ("hello.json", str(tmp_path / "hello.json"), "../hello.json", "hello.py:main", "\0", "x" * 600):
        with pytest.raises(NotFound):
            intake.submit(workflow=name)
    with pytest.raises(NotFound) as caught:
        intake.submit(workflow="helo")
    assert caught.value.near == "hello"


async def test_a_schedule_is_put_of_a_definition_or_of_a_name(service, intake):
    intake.register(DAYS)
    parameters = {"day": "${{ release.logical_date | fmt('%Y') }}"}

    intake.put_schedule("yearly", "0 0 1 1 *", workflow="days", parameters=parameters)
    intake.put_schedule("hourly", {"every": 3600}, definition=MENDED, overlap="skip")

    assert {each.name: each.overlap for each in service.schedules()} == {"yearly": "queue", "hourly": "skip"}
    yearly, hourly = service.run_schedule("yearly"), service.run_schedule("hourly")
    assert len(await work(service, yearly, hourly)) == 2
    assert any("it is 20" in repr(node.value) for node in service.nodes(yearly))
    with pytest.raises(OptionError, match="depend on the moment"):
        intake.put_schedule("daily", "0 0 * * *", definition=DAYS, parameters=parameters)


# Plans, and going on


async def test_a_run_is_planned_and_continued_with_an_edited_definition(service, intake):
    run_id = intake.submit(definition=HELLO)
    with pytest.raises(ExceptionGroup):
        await work(service, run_id)

    planned = await asyncio.to_thread(intake.plan, run_id, definition=MENDED)
    record = intake.requeue(run_id, definition=MENDED)

    assert (planned, record.state) == ({"run": ["greet"], "recalled": 1}, State.QUEUED)
    with pytest.raises(RunQueued):
        intake.requeue(run_id)
    ((values,)) = [await work(service, run_id)]
    assert values[0]["greet"].stdout == "hello\n"


async def test_a_plan_imports_elsewhere_and_runs_nothing(service, intake):
    run_id = intake.submit(definition=SQUARE)
    await work(service, run_id)

    planned = await asyncio.to_thread(intake.plan, run_id, again=["root"])

    assert planned == {"run": ["root(4)"], "recalled": 0}
    with pytest.raises(StoreError, match="nobody"):
        await asyncio.to_thread(intake.plan, run_id, again=["nobody"])


# What it may name


def test_only_registered_workflows_run_where_that_is_said(service, taking):
    taking().register(HELLO)
    intake = taking(only_registered=True)
    run_id = intake.submit(workflow="hello")
    service.cancel(run_id)

    for refused in (
        lambda: intake.submit(definition=HELLO),
        lambda: intake.register(HELLO, replace=True),
        lambda: intake.put_schedule("s", "0 0 * * *", definition=HELLO),
        lambda: intake.preview(definition=HELLO),
        lambda: intake.plan(run_id, definition=HELLO),
        lambda: intake.requeue(run_id, definition=HELLO),
    ):
        with pytest.raises(DefinitionRefused):
            refused()


BODIES = [
    {"tasks": {"a": {"command": ["ls"]}}},
    {"tasks": {"params": {"shell": "ls"}}},
    {"tasks": {"a": {"task": "os:system", "arguments": ["ls"]}}},
    {"tasks": [{"id": "a", "details": {"command": ["ls"]}}]},
    {"tasks": {"a": {"details": {"command": ["ls"]}, "is_generator": True}}},
    {"tasks": {"a": {"command": ["ls"]}}, "on_failure": [{"shell": "ls"}]},
    {"jobs": {"env": {"stages": [{"bash": "ls"}]}}},
    {"jobs": {"a": {"stages": [{"run": "1"}]}}},
    {"jobs": {"a": {"stages": [{"uses": "tasks/hello@1"}]}}},
    {"jobs": {"a": {"stages": [{"parallel": {"with": [{"bash": "ls"}]}}]}}},
    {"jobs": {"a": {"stages": [{"foreach": [1], "stages": [{"bash": "ls"}]}]}}},
    {"jobs": {"a": {"stages": [{"case": "x", "match": [{"case": "x", "stages": [{"run": "1"}]}]}]}}},
    {"jobs": {"a": {"stages": [{"until": "item > 2", "item": 1, "stages": [{"bash": "ls"}]}]}}},
    {"params": {"p": "str"}, "jobs": {"a": {"stages": [{"trigger": "${{ params.p }}"}]}}},
]


@pytest.mark.parametrize("form", BODIES, ids=lambda form: json.dumps(form)[:60])
def test_nothing_that_runs_code_is_taken_where_that_is_said(service, taking, form):
    intake = taking(no_commands=True)

    for given in (form, {"env": {"type": "Workflow", **form}}):
        with pytest.raises(WorkflowError) as caught:
            intake.submit(definition=given)
        assert any("--no-commands" in each.text for each in caught.value.complaints) or "uses" in str(caught.value)

    assert service.runs() == []


def test_what_runs_no_code_is_taken_all_the_same(taking):
    assert taking(no_commands=True).submit(definition=DAYS, parameters={"day": "monday"})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"jobs": {"a": {"stages": [{"echo": "${HOME}"}]}}}, "'HOME' is a variable that this server does not list"),
        ({"env": {"run": "${HOME}"}, "jobs": {"a": {"stages": [{"echo": "x"}]}}}, "'HOME' is a variable"),
        ({"env": {"x": "a ${HOME:-b}"}, "jobs": {"a": {"stages": [{"echo": "x"}]}}}, "'HOME' is a variable"),
        ({"secrets": ["HOME"], "jobs": {"a": {"stages": [{"echo": "x"}]}}}, "'HOME' is a variable"),
        ({"secrets": {"T": {"env": "HOME"}}, "jobs": {"a": {"stages": [{"echo": "x"}]}}}, "'HOME' is a variable"),
        ({"secrets": {"T": {"file": "/etc/passwd"}}, "jobs": {"a": {"stages": [{"echo": "x"}]}}}, "names no files"),
        ({"tasks": {"a": {"shell": "x", "environment": {"T": {"$secret": "HOME"}}}}}, "'HOME' is a variable"),
        (
            {"tasks": {"a": {"shell": "x", "environment": {"T": {"$secret": "OK", "file": "/etc/passwd"}}}}},
            "names no files",
        ),
        ({"tasks": {"a": {"shell": "x", "environment": {"MODE": "fast"}}}}, "is kept by no store"),
        ({"tasks": {"a": {"shell": "x", "stdin": "text"}}}, "is kept by no store"),
        ({"tasks": {"a": {"shell": "x"}}, "on_failure": {"url": "http://10.0.0.1/"}}, "is kept by no store"),
        (
            {"tasks": {"a": {"shell": "x"}}, "hosts": {"h": {"type": "ssh", "name": "10.0.0.1"}}},
            "those of the settings",
        ),
        ({"tasks": {"a": {"task": "/srv/etl.py:main"}}}, "names a function as module:function"),
        ({"jobs": {"a": {"stages": [{"trigger": "/srv/etl.yaml"}]}}}, "is '/srv/etl.yaml'"),
    ],
    ids=lambda each: json.dumps(each)[:50] if isinstance(each, dict) else "",
)
def test_what_only_a_file_may_name_is_refused(taking, form, text):
    intake = taking(environment=("OK",))

    with pytest.raises(WorkflowError, match=text):
        intake.submit(definition=form)


def test_variables_that_the_server_lists_and_those_of_scripts_are_taken(taking):
    form = {"jobs": {"a": {"stages": [{"echo": "${OK} $${HOME}"}, {"bash": "echo ${HOME}"}]}}, "secrets": ["OK"]}

    assert taking(environment=("OK",)).submit(definition=form)


@pytest.mark.parametrize("named", ["HIDDEN", "@/etc/passwd", "@/nowhere", "${{ release.schedule }}", "NOPE"])
def test_a_secret_of_a_function_is_no_other_variable_and_no_file(service, taking, tmp_path, monkeypatch, named):
    monkeypatch.setenv("HIDDEN", "x")
    monkeypatch.setenv("LISTED", "y")
    text = "from aiodag import Secret, task\n\n@task\nasync def main(key: Secret, day=''):\n    pass\n"
    module = f"keyed_{len(named)}"
    (tmp_path / f"{module}.py").write_text(text)
    service.put_schedule("daily", f"{module}.py:main", "0 0 * * *", {"key": "HIDDEN"})
    intake = taking(environment=("LISTED",))
    days = "daily", "2026-01-01", "2026-01-02"

    with pytest.raises(EntryError, match=r"key is a secret: over HTTP .* --env lists LISTED"):
        intake.backfill(*days, {"key": named})

    assert service.backfills() == []
    assert intake.backfill(*days, {"key": "LISTED"}) == 1
    assert intake.backfill(*days, {"day": "monday"}) == 2


@pytest.mark.parametrize(
    "given",
    [
        "",
        "[",
        "null",
        "[1, 2]",
        '{"tasks": 3}',
        '{"tasks": {"a": 3}}',
        '{"jobs": []}',
        '{"tasks": {"a": {"command": "\\ud800"}}}',
        "\0",
        "[" * 50_000,
        '{"a": ' * 5_000,
        "a: &a [*a]",
        '{"tasks": {"a": {"command": ["ls"], "retries": 1e999}}}',
        '{"tasks": {"a": {"command": ["ls"], "retries": ' + "9" * 5_000 + "}}}",
        "!!python/object/apply:os.system [ls]",
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_what_is_no_definition_is_refused_with_a_reason(service, taking, given):
    for intake in (taking(), taking(no_commands=True)):
        with pytest.raises((WorkflowError, EntryError)):
            intake.submit(definition=given)

    assert service.runs() == []


def test_either_a_name_or_a_definition_is_wanted(intake):
    with pytest.raises(OptionError):
        intake.submit()
    with pytest.raises(OptionError):
        intake.submit(workflow="hello", definition=HELLO)


# Processes


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1000)\n",
        "import os\nos._exit(0)\n",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    ],
    ids=["blocks", "exits", "is killed"],
)
def test_code_that_blocks_or_ends_its_process_is_an_error_and_nothing_is_recorded(service, taking, tmp_path, text):
    form = write_module(tmp_path, "bad_code", text)

    # real time: the limit of a process that blocks
    with pytest.raises(PlanFailed, match="took longer than 3 s, or ended the process"):
        taking(seconds=3.0).submit(definition=form)

    assert service.runs() == []


def test_what_code_prints_and_leaves_running_is_not_in_the_answer(service, taking, tmp_path):
    text = "import os, sys, threading, time\nprint('{' * 100_000)\nos.write(1, b'[]')\nsys.stderr.write('x')\n"
    text += "threading.Thread(target=time.sleep, args=[1000]).start()\nasync def main(): ...\n"

    assert taking().submit(definition=write_module(tmp_path, "loud_code", text))


def test_code_that_raises_says_so(taking, tmp_path):
    with pytest.raises(WorkflowError, match="ZeroDivisionError"):
        taking().submit(definition=write_module(tmp_path, "raising_code", "1 / 0\n"))


def test_a_bounded_number_of_processes_think_and_end_with_the_intake(service, taking, tmp_path):
    form = write_module(
        tmp_path, "endless_code", f"open({str(tmp_path / 'there')!r}, 'w')\nimport time\ntime.sleep(1000)\n"
    )
    intake = taking(at_once=1)
    told = []

    def ask():
        try:
            intake.submit(definition=form)
        except PlanFailed as error:
            told.append(error)

    first = threading.Thread(target=ask)
    first.start()
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "there").exists():
        assert time.monotonic() < end
        time.sleep(0.01)  # real time: another process gets there
    second = threading.Thread(target=ask)
    second.start()

    intake.close()
    first.join(PATIENCE)
    second.join(PATIENCE)

    assert {type(each) for each in told} == {PlanFailed, PlanningBusy}
    assert not first.is_alive()
    assert not second.is_alive()


def test_a_process_has_all_of_its_time_however_long_it_was_waited_for(monkeypatch):
    now, ends = [0.0], []
    processes = thinkers.ThinkingProcesses(1, 30.0)

    def wait_long(timeout):
        now[0] += 0.9 * timeout
        return True

    def answer(process, request, until):
        ends.append(until)
        return b'{"thought": 1}'

    monkeypatch.setattr(thinkers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(thinkers, "exchange", answer)
    monkeypatch.setattr(processes, "_places", SimpleNamespace(acquire=wait_long, release=lambda: None))
    monkeypatch.setattr(processes, "_process", nullcontext)

    assert (processes.think({}), ends) == (1, [57.0])


def test_a_short_text_that_stands_for_millions_of_nodes_is_drawn_elsewhere(taking):
    values = {name: list(range(50)) for name in "abcd"}
    form = {"tasks": {"a": {"command": ["echo", *(f"{{{{{name}}}}}" for name in values)], "parameters": values}}}
    intake = taking(seconds=2.0)

    with pytest.raises((PlanFailed, EntryError)):
        intake.preview(definition=form)
    assert intake.submit(definition=form)


def test_a_process_finds_the_store_whatever_that_is(address, taking):
    service = Service(address)
    intake = taking(service)
    run_id = intake.submit(definition=SQUARE)
    service.cancel(run_id)

    assert intake.plan(run_id) == {"run": ["root(4)"], "recalled": 0}
    assert intake.requeue(run_id, definition={**SQUARE, "description": "again"}).state is State.QUEUED
    service.close()


def test_a_store_in_memory_takes_what_is_harmless(taking):
    intake = taking(Service("memory:intake-test"))

    assert intake.submit(definition=HELLO)
    with pytest.raises(StoreError, match="in the memory of this process"):
        intake.submit(definition=SQUARE)
