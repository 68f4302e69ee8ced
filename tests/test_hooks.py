"""Hooks: what a run calls when it begins, and when it has succeeded or failed."""

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from aiodag import Capacity, OptionError, Run, RunFailed, RunSummary, Secret, Skip, State, WorkflowError, plan, task
from aiodag._core.posting import url_origin
from aiodag.commands import command, shell
from aiodag.errors import NoCapacity
from aiodag.stores import Memory, SQLite
from aiodag.testing import run as virtual
from aiodag.workflows import Workflow
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.load import load, loads

ROOT = Path(__file__).parent.parent


@task
async def good():
    return 1


@task
async def bad():
    raise ValueError("bad")


class Told:
    """Hooks that keep what they are told."""

    def __init__(self):
        self.summaries = []

    async def async_hook(self, summary):
        self.summaries.append(summary)

    def plain_hook(self, summary):
        self.summaries.append(summary)

    @property
    def options(self):
        return dict.fromkeys(["on_start", "on_success", "on_failure"], self.async_hook)

    @property
    def states(self):
        return [each.state for each in self.summaries]


@pytest.fixture
def reports():
    """What the loop is told, in place of a log: `left` has it told here."""
    global REPORTS
    REPORTS = []  # of this test alone: the loop of an earlier one may tell of what is collected now
    return REPORTS


REPORTS = []


async def left(run, *bodies):
    loop, reports = asyncio.get_running_loop(), REPORTS
    loop.set_exception_handler(lambda _loop, context: reports.append(context["message"]))
    try:
        async with run:
            for body in bodies:
                body()
    except RunFailed:
        pass
    return run


async def test_a_run_that_succeeds_calls_those_of_its_start_and_its_success():
    told = Told()

    run = await left(Run("etl", **told.options), good)

    assert told.states == ["running", "succeeded"]
    assert told.summaries[1] == RunSummary(id="", name="etl", state="succeeded", failures=(), begun=1)
    assert run.state is State.SUCCEEDED


async def test_a_run_that_fails_tells_what_failed_and_still_fails():
    told = Told()

    with pytest.raises(RunFailed) as failed:
        async with Run("etl", **told.options):
            bad()

    assert told.states == ["running", "failed"]
    assert told.summaries[1].failures == ("bad() failed: ValueError: bad",)
    assert len(failed.value.exceptions) == 1


async def test_hooks_end_before_their_run_does():
    ends = []

    @task
    async def slow(_summary):
        await asyncio.sleep(0)
        ends.append("hook")

    async with Run(on_success=slow):
        good()
    ends.append("run")

    assert ends == ["hook", "run"]


async def test_a_failure_that_somebody_took_is_a_success():
    told = Told()

    async with Run(**told.options):
        with suppress(ValueError):
            await bad()

    assert told.states == ["running", "succeeded"]


async def test_a_scope_that_is_left_by_an_exception_has_failed():
    told = Told()

    with pytest.raises(KeyError):
        async with Run(**told.options):
            raise KeyError("x")

    assert told.summaries[1].failures == ("KeyError: 'x'",)


async def test_fail_fast_cancels_no_hook():
    told = Told()

    @task
    async def hangs():
        await asyncio.Event().wait()

    run = await left(Run(fail_fast=True, **told.options), hangs, bad)

    assert told.states == ["running", "failed"]
    assert run.state is State.FAILED


def test_a_run_that_takes_too_long_has_failed():
    told = Told()

    async def main():
        with pytest.raises(TimeoutError):
            async with Run("etl", timeout=1, **told.options):
                await asyncio.sleep(5)

    virtual(main())

    assert told.summaries[1].failures == ("TimeoutError: run 'etl' took longer than 1 s",)


async def test_a_run_that_is_cancelled_calls_neither():
    told = Told()

    async def main():
        async with Run(**told.options):
            await asyncio.Event().wait()

    running = asyncio.ensure_future(main())
    while not told.summaries:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert told.states == ["running"]


async def test_a_plain_function_a_list_and_a_task_with_options_will_do():
    told, tries = Told(), []

    @task(retries=2, name="flaky")
    async def flaky(_summary):
        tries.append(1)
        if len(tries) < 3:
            raise OSError

    run = await left(Run(on_success=[told.plain_hook, flaky, told.async_hook]), good)

    assert told.states == ["succeeded", "succeeded"]
    names = [node.name for node in run.graph().nodes]
    assert names == ["good", "on_success Told.plain_hook", "on_success flaky", "on_success Told.async_hook"]
    assert run.graph().nodes[2].attempts == 3
    assert all(node.site.startswith(f"{__file__}:") for node in run.graph().nodes)


@pytest.mark.parametrize("event", ["on_start", "on_success", "on_failure"])
@pytest.mark.parametrize("options", [{}, {"fail_fast": True}, {"capacity": 1}, {"limit": 1}])
async def test_a_hook_that_fails_is_reported_and_changes_nothing(event, options, reports):
    @task
    async def broken(_summary):
        raise RuntimeError("of the hook")

    store = Memory()
    options = {**options, "capacity": Capacity(limit=1)} if "capacity" in options else options
    run = Run("etl", store=store, id="r", **{event: broken}, **options)

    await left(run, bad if event == "on_failure" else good)

    assert run.state is (State.FAILED if event == "on_failure" else State.SUCCEEDED)
    assert reports == [f"on_{event[3:]} {broken.name}, a hook of run 'etl', failed"]
    (node,) = [node for node in store.nodes("r") if node.name.startswith(event)]
    assert node.state is State.FAILED
    assert "of the hook" in node.error


async def test_what_a_hook_calls_changes_nothing_either(reports):
    called = []

    @task
    async def lost():
        called.append(1)
        raise RuntimeError

    @task
    async def calls(_summary):
        lost()

    run = await left(Run("etl", on_success=calls, fail_fast=True), good)

    assert (run.state, called) == (State.SUCCEEDED, [1])
    (report,) = reports
    assert "called in a hook of run 'etl', failed" in report


async def test_a_hook_that_skips_itself_or_is_cancelled_changes_nothing(reports):
    @task
    async def skips(_summary):
        raise Skip("quiet hours")

    run = await left(Run(on_success=skips), good)

    assert (run.state, reports) == (State.SUCCEEDED, [])


async def test_to_cancel_a_run_while_it_tells_how_it_ended_cancels_the_hook():
    begun = asyncio.Event()

    @task
    async def hangs(_summary):
        begun.set()
        await asyncio.Event().wait()

    run = Run(on_success=hangs)
    running = asyncio.ensure_future(left(run, good))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [node.state for node in run.graph().nodes] == [State.SUCCEEDED, State.CANCELLED]


def test_a_plan_calls_none():
    told = Told()

    async def main():
        async with Run(**told.options):
            good()

    assert [node.name for node in plan(main).nodes] == ["good"]
    assert told.summaries == []


# What can be a hook


@pytest.mark.parametrize("given", [3, "echo alarm", "ftp://example.org", [None], "https://", object()])
def test_what_cannot_be_a_hook_is_refused(given):
    with pytest.raises(OptionError, match=r"on_failure=.*a URL"):
        Run(on_failure=given)


def test_a_function_that_takes_no_summary_is_refused():
    async def nothing():
        pass

    async def more(_summary, _other):
        pass

    for given in (nothing, more, good):
        with pytest.raises(OptionError, match=r"on_start=.*a RunSummary"):
            Workflow("w", on_start=given)


def test_a_line_is_no_hook_but_what_it_could_be_is_said():
    with pytest.raises(OptionError, match=r"Write shell\('echo alarm'\)"):
        Run(on_failure="echo alarm")


async def test_a_command_gets_the_summary_as_variables_and_stdin(tmp_path):
    hook = shell('echo "$AIODAG_RUN $AIODAG_RUN_NAME $AIODAG_RUN_STATE"; cat', cwd=tmp_path)
    own = command("cat", stdin="own", name="own")
    store = Memory()

    with pytest.raises(RunFailed):
        async with Run("etl", store=store, id="r", on_failure=[hook, own]):
            bad()

    nodes = {node.name: node for node in store.nodes("r")}
    first = nodes[f"on_failure {hook.name}"]
    said = "".join(part.bytes.decode() for part in store.output("r", first.number))
    head, _, rest = said.partition("\n")
    assert head == "r etl failed"
    assert json.loads(rest) == {
        "id": "r",
        "name": "etl",
        "state": "failed",
        "failures": ["bad() failed: ValueError: bad"],
        "begun": 1,
    }
    assert [part.bytes for part in store.output("r", nodes["on_failure own"].number)] == [b"own"]


class Server:
    """Keeps what is posted, and answers with a status."""

    def __init__(self, status=204):
        kept = self.posted = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                kept.append((self.path, self.headers["Content-Type"], json.loads(content)))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/T0/secret-part?key=1"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


async def test_a_url_gets_the_summary_as_json():
    with Server() as server:
        run = await left(Run("etl", on_success=server.url), good)

    ((path, kind, summary),) = server.posted
    assert (path, kind) == ("/T0/secret-part?key=1", "application/json")
    assert (summary["name"], summary["state"]) == ("etl", "succeeded")
    assert "secret-part" not in run.graph().to_json()


async def test_a_url_can_be_a_secret(monkeypatch, secrets_forgotten):
    with Server() as server:
        monkeypatch.setenv("HOOK_URL", server.url)
        run = await left(Run(on_success=Secret("HOOK_URL")), good)

    assert len(server.posted) == 1
    assert run.graph().nodes[1].name == "on_success secret HOOK_URL"


async def test_a_url_that_refuses_is_named_without_what_gives_access(reports):
    store = Memory()
    with Server(status=403) as server:
        await left(Run("etl", store=store, id="r", on_success=server.url), good)

    errors = [node.error for node in store.nodes("r") if node.state is State.FAILED]
    assert len(errors) == len(reports) == 1
    assert "answered 403" in errors[0]
    assert "secret-part" not in errors[0] + reports[0]


async def test_a_url_that_nobody_answers_is_a_failed_hook(reports):
    with socket.socket() as held:  # a port that is nobody else's, and where nobody listens
        held.bind(("127.0.0.1", 0))
        run = await left(Run(on_success=f"http://127.0.0.1:{held.getsockname()[1]}/x"), good)

    assert (run.state, len(reports)) == (State.SUCCEEDED, 1)


def test_of_a_url_only_the_host_is_shown():
    assert url_origin("https://user:pass@example.org/a?b#c") == "https://example.org"
    assert url_origin("https:// x") == url_origin("https://a\nb") == url_origin("https:///x") == ""


# Records


async def test_each_time_that_a_run_is_begun_has_its_own():
    told, store = Told(), Memory()
    broken = [True]

    @task
    async def load():
        if broken[0]:
            raise ValueError

    for _ in range(2):
        await left(Run("etl", store=store, id="r", **told.options), load)
    broken[0] = False
    await left(Run("etl", store=store, id="r", **told.options), load)
    await left(Run("etl", store=store, id="r", **told.options), load)

    assert told.states == ["running", "failed", "running", "failed", "running", "succeeded", "running", "succeeded"]
    assert [each.begun for each in told.summaries] == [1, 1, 2, 2, 3, 3, 4, 4]


PROGRAM = """
import asyncio, os, signal, sys
from aiodag import Run, task

@task
async def load():
    raise ValueError("no rows")

async def alert(summary):
    print(summary.state, summary.begun, flush=True)
    child()

@task
async def child():
    print("called", flush=True)

async def killed(summary):
    if "kill" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with Run("etl", store="runs.db", id="r", on_start=alert, on_failure=[alert, task(killed, name="killed")]):
        load()

try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def test_a_run_that_goes_on_after_a_crash_recalls_the_hooks_that_have_succeeded(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def executed(*args):
        line = [sys.executable, "-W", "error", str(program), *args]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    first = executed("kill")
    assert first.returncode == -signal.SIGKILL
    assert first.stdout.split("\n")[:1] == ["running 1"]
    second = executed().stdout.split("\n")
    assert "RunFailed" in second
    assert "running 1" not in second
    third = executed().stdout.split("\n")
    assert third.count("running 2") == third.count("failed 2") == 1
    assert third.count("called") == 2
    store = SQLite(tmp_path / "runs.db")
    assert store.run("r").state is State.FAILED
    store.close()


# Of workflows


async def test_a_workflow_has_hooks_of_its_runs():
    told, store = Told(), Memory()
    flow = Workflow("etl", **told.options)
    flow.add(good)

    await flow.run(store, "r")
    await flow.but("copy").run()

    assert [(each.name, each.id, each.state) for each in told.summaries] == [
        ("etl", "r", "running"),
        ("etl", "r", "succeeded"),
        ("copy", "", "running"),
        ("copy", "", "succeeded"),
    ]


FILE = """
async def told(summary):
    with open("told", "a") as file:
        print("function", summary.state, summary.id, file=file)
"""
DOCUMENT = {
    "name": "etl",
    "on_start": {"task": "told_by_hooks.py:told", "retries": 1},
    "on_failure": [{"shell": "cat >> told"}, {"command": ["sh", "-c", "echo command >> told"]}],
    "tasks": {"load": {"command": ["false"]}},
}


@pytest.fixture
def written(tmp_path, modules_forgotten):
    (tmp_path / "told_by_hooks.py").write_text(FILE)
    (tmp_path / "etl.json").write_text(json.dumps(DOCUMENT))
    return tmp_path


def aiodag(directory, *args):
    line = [sys.executable, "-W", "error", "-m", "aiodag", *args]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIODAG_STORE": f"sqlite:///{directory}/runs.db"}
    return subprocess.run(line, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_hooks_of_a_file_are_called_and_go_on_from_the_record(written):
    told = written / "told"
    assert aiodag(written, "plan", "etl.json").returncode == 0
    assert not told.exists()

    assert aiodag(written, "run", "etl.json", "--id", "r").returncode == 1
    lines = told.read_text().splitlines()
    assert lines[0] == "function running r"
    assert sorted(line.split('"begun"')[0] for line in lines[1:])[0] == "command"
    assert any(line.startswith('{"id": "r", "name": "etl", "state": "failed"') for line in lines)
    shown = aiodag(written, "show", "r").stdout
    assert "on_start told" in shown
    assert "on_failure cat >> told" in shown

    told.unlink()
    assert aiodag(written, "resume", "r").returncode == 1
    assert len(told.read_text().splitlines()) == 3


def test_hooks_are_written_as_they_were_read(written):
    flow = load(written / "etl.json")

    assert document_of(flow)["on_start"] == DOCUMENT["on_start"]
    assert document_of(flow.but("other"))["on_failure"] == DOCUMENT["on_failure"]
    made = Workflow("w", on_start="https://example.org/a", on_success=[shell("x", retries=2), Secret("URL"), shown])
    assert document_of(made) == {
        "name": "w",
        "on_start": {"url": "https://example.org/a"},
        "on_success": [
            {"shell": "x", "retries": 2},
            {"url": {"$secret": "URL"}},
            {"task": "test_hooks:shown"},
        ],
        "tasks": {},
    }


async def shown(summary):
    return summary


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ({"comand": ["x"]}, "$.on_failure.comand: is a key that is not known here; did you mean 'command'?"),
        ({"retries": 1}, "$.on_failure: has nothing to call: it takes one of command, shell, task or url"),
        ({"url": "x"}, "$.on_failure.url: takes a URL"),
        ({"url": "https://x", "cwd": "."}, "$.on_failure.cwd: is a key of other hooks, and this one is a URL"),
        ({"task": "no_such_module:f"}, "$.on_failure.task: 'no_such_module:f' cannot be loaded"),
        ({"task": "os:getcwd"}, "on_failure="),
        ([{"shell": "x"}, 3], "$.on_failure[1]: takes an object"),
        ([{"shell": "x"}, {"shell": " "}], "$.on_failure[1].shell: takes a line"),
        ("echo", 'takes an object, such as {"url": "https://..."}, or a list of them'),
    ],
)
def test_what_is_wrong_with_a_hook_in_a_file_is_said_with_its_place(hook, told):
    with pytest.raises(WorkflowError) as refused:
        loads(json.dumps({"on_failure": hook, "tasks": {}}))

    assert told in str(refused.value)


async def test_a_run_whose_first_hook_is_refused_is_left(tmp_path):
    @task(resources={"gpu": 1})
    async def tell(summary):
        pass

    store = str(tmp_path / "runs.db")
    run = Run("etl", store=store, id="monday", capacity=Capacity({"cores": 1}), on_start=tell)
    with pytest.raises(NoCapacity):
        async with run:
            pytest.fail("it is entered")
    assert run.state is State.FAILED
    async with Run("etl", store=store, id="monday"):  # nobody owns it
        assert await good() == 1
