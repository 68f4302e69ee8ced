"""Runs are submitted, listed and waited for by command, and queues are looked after."""

import json
import os
import re
import subprocess
import sys

import pytest
from test_queue import submission_of

from aiodag import State
from aiodag.cli.program import main
from aiodag.records import Owner
from aiodag.service import Service
from aiodag.service.loading import import_modules

PROGRAM = """
from aiodag import task


@task
async def main(day: str):
    if day == "sunday":
        raise LookupError("no rows on a sunday")
    return day
"""
WORKER = """
import asyncio, sys
from aiodag.service import Service

service = Service("runs.db")
try:
    asyncio.run(service.resume(sys.argv[1]))
except Exception:
    pass
"""


@pytest.fixture
def here(tmp_path, monkeypatch, modules_forgotten):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", "runs.db")
    (tmp_path / "queued_by_command.py").write_text(PROGRAM)
    return tmp_path


def run_command(capsys, *words, code=0):
    """Type a command; return what it wrote, and its remarks."""
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(words))
    found = capsys.readouterr()
    assert (ended.value.code or 0) == code, found.err
    return found


def submit(capsys, *words, day="monday", **options):
    return run_command(capsys, "submit", "queued_by_command.py", "-p", f"day={day}", *words, **options).out.strip()


def test_submit_prints_the_id_of_a_run_that_waits(here, capsys):
    run_id = submit(capsys, "--queue", "slow", "--priority", "-2", "--tag", "env=test")

    run = Service("runs.db").run(run_id)
    assert (run.state, run.queue, run.priority, run.tags) == (State.QUEUED, "slow", -2, {"env": "test"})


def test_submit_as_json_is_the_document_of_the_run(here, capsys):
    document = json.loads(submit(capsys, "--json", "--at", "2100-01-01T00:00Z"))

    assert (document["state"], document["queue"], document["started_at"]) == ("queued", "default", None)
    assert document["due_at"] == "2100-01-01T00:00:00.000000+00:00"


def test_the_same_key_prints_the_same_id(here, capsys):
    first = submit(capsys, "--key", "k")

    assert submit(capsys, "--key", "k") == first
    assert (
        "use another key"
        in run_command(capsys, "submit", "queued_by_command.py", "-p", "day=friday", "--key", "k", code=2).err
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "2100-01-01T00:00"), "has no time zone"),
        (("--at", "tomorrow"), "is not a moment"),
        (("--priority", "high"), "'high' is not a whole number"),
        (("--expires", "soon"), "'soon' is not a duration"),
        (("--retries", "-1"), "'-1' is not a whole number"),
        (("--max-active", "0"), "'0' is not a whole number"),
        (("--queue", "slwo", "--strict"), "no queue 'slwo'"),
        (("-p", "color=red"), "color"),
    ],
)
def test_what_cannot_be_submitted_ends_with_code_2_and_is_not_recorded(here, capsys, words, said):
    assert said in run_command(capsys, "submit", "queued_by_command.py", "-p", "day=monday", *words, code=2).err

    assert Service("runs.db").runs() == []


def waited_for(here, day, *words):
    """What `submit --wait` prints and ends with, while another process works on the run."""
    command = [sys.executable, "-m", "aiodag", "submit", "queued_by_command.py", "-p", f"day={day}", "--wait", *words]
    waiting = subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    run_id = waiting.stderr.readline().split()[-1]
    subprocess.run([sys.executable, "-c", WORKER, run_id], cwd=here, check=True)
    out, err = waiting.communicate(timeout=60)
    return out, err, waiting.returncode


def test_who_waits_gets_the_value(here):
    out, _, code = waited_for(here, "monday")

    assert (out, code) == ("'monday'\n", 0)


def test_who_waits_for_a_run_that_fails_is_told_why(here):
    out, err, code = waited_for(here, "sunday", "--json")

    assert (json.loads(out)["state"], json.loads(out)["value"], code) == ("failed", None, 1)
    assert "LookupError: no rows on a sunday" in err


def test_runs_are_listed_by_queue_and_state(here, capsys):
    first = submit(capsys, "--queue", "slow")
    later = submit(capsys, "--queue", "slow", "--at", "2100-01-01T00:00Z")
    submit(capsys)

    lines = run_command(capsys, "runs", "--queue", "slow", "--state", "queued").out.splitlines()[1:]

    assert [line.split()[0] for line in lines] == [later, first]
    assert "queued, due 2100-01-01 00:00:00Z" in lines[0]


def test_a_run_that_waits_is_shown_and_cancelled(here, capsys):
    run_id = submit(capsys, "--queue", "slow", "--priority", "2")

    shown = run_command(capsys, "show", run_id).out
    assert "slow, priority 2" in shown
    assert "never" in shown
    assert f"run {run_id!r} is cancelled" in run_command(capsys, "cancel", run_id).out


def test_the_plan_of_a_run_that_never_began_has_all_of_it(here, capsys):
    run_id = submit(capsys)

    planned = run_command(capsys, "plan", run_id).out
    assert planned == "0 would run, 0 would be recalled\n"
    assert run_command(capsys, "plan", run_id, "--json").out.strip() == '{\n  "run": [],\n  "recalled": 0\n}'


def test_a_run_that_failed_in_its_queue_is_shown_with_the_reason(here, capsys, service_at):
    run_id = submit(capsys, "--expires", "1s")
    service = service_at("runs.db")
    with service.store.writing() as session:
        session.execute("update timers set due_at = 0.0")
    service.store.take_queued(Owner.here(), ["default"], 0, lease=15)

    assert "error    QueueError: expired: it had not begun by " in run_command(capsys, "show", run_id).out
    assert "  QueueError: expired: it had not begun by " in run_command(capsys, "runs").out
    assert json.loads(run_command(capsys, "runs", "--json").out)[0]["error"].startswith("QueueError: expired")


def test_queues_are_added_paused_drained_and_resumed(here, capsys):
    run_command(capsys, "queues", "add", "slow", "--rate", "10/60s")
    submit(capsys, "--queue", "slow")

    states = [
        json.loads(run_command(capsys, "queues", action, "slow", "--json").out)[0]
        for action in ("pause", "drain", "resume")
    ]

    assert [each["state"] for each in states] == ["paused", "draining", "open"]
    assert states[0] | {"state": ""} == {
        "name": "slow",
        "state": "",
        "rate": 10,
        "per": 60.0,
        "waiting": 1,
        "running": 0,
    }
    assert run_command(capsys, "queues").out.splitlines()[1].split()[:2] == ["slow", "open"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause",), "QUEUE takes the name of a queue"),
        (("pause", "slow"), "no queue 'slow'"),
        (("list", "slow"), "QUEUE takes effect with an action"),
        (
            ("pause", "default", "--rate", "1/1s"),
            "--rate='1/1s' cannot work: --rate takes effect with `aiodag queues add QUEUE` alone",
        ),
        (("add", "slow", "--rate", "10"), "is not a rate"),
        (("add", "slow", "--rate", "0/1s"), "is not a rate"),
        (("stop", "slow"), "stop"),
    ],
)
def test_what_cannot_be_done_with_a_queue_ends_with_code_2(here, capsys, words, said):
    assert said in run_command(capsys, "queues", *words, code=2).err


def test_a_worker_imports_what_lies_in_the_current_directory(here, monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])  # as it is where a script was started

    import_modules(["queued_by_command"])

    assert sys.modules["queued_by_command"].__file__ == str(here / "queued_by_command.py")


def test_a_parameter_without_its_option_is_told_how_it_is_given(here, capsys):
    said = run_command(capsys, "submit", "queued_by_command.py", "day=friday", code=2).err

    assert "does not take 'day=friday'; a parameter is given as -p day=friday" in said


def test_runs_of_a_schedule_and_of_a_group_are_told(here, capsys):
    store = Service("runs.db").store
    for place, run_id in enumerate(("first", "second")):
        store.submit(submission_of(run_id, schedule="nightly" if place else None, group="deploy"))

    assert run_command(capsys, "runs", "--schedule", "nightly").out.splitlines()[1].startswith("second")
    assert "no such runs" in run_command(capsys, "runs", "--schedule", "weekly").err
    shown = re.sub(" +", " ", run_command(capsys, "show", "second").out)
    assert "schedule nightly\n" in shown
    assert "group deploy, where another run goes on\n" in shown
    runs = {run["id"]: run for run in json.loads(run_command(capsys, "runs", "--json").out)}
    assert [(runs[each].get("schedule"), runs[each]["group"], runs[each]["held"]) for each in ("first", "second")] == [
        (None, "deploy", False),
        ("nightly", "deploy", True),
    ]


# Queue again


FLOW = {"tasks": {"pull": {"command": ["echo", "rows"]}, "load": {"command": ["false"], "parents": ["pull"]}}}


@pytest.fixture
def failed(here, capsys):
    """A run of a workflow that has failed outside of queues."""
    (here / "flow.json").write_text(json.dumps(FLOW))
    run_command(capsys, "run", "flow.json", "--id", "monday", "-q", code=1)
    return here


def test_a_run_is_queued_again_with_an_edited_definition(failed, capsys):
    edited = {"tasks": {**FLOW["tasks"], "load": {"command": ["echo", "loaded"], "parents": ["pull"]}}}
    (failed / "flow.json").write_text(json.dumps(edited))

    said = run_command(capsys, "resume", "monday", "--queue", "slow", "--from", "flow.json", "--again", "pull").out
    run_command(capsys, "worker", "--queue", "slow", "--once")

    service = Service("runs.db")
    assert said == "run 'monday' waits in the queue 'slow', to be resumed from flow.json\n"
    assert {node.name: node.attempt for node in service.nodes("monday")} == {"pull": 2, "load": 2}
    assert (service.run("monday").state, service.run("monday").queue) == (State.SUCCEEDED, "slow")


def test_without_a_name_it_goes_into_its_own_queue_or_default_and_json_is_its_document(failed, capsys):
    document = json.loads(run_command(capsys, "resume", "monday", "--queue", "--json").out)

    assert (document["id"], document["state"], document["queue"]) == ("monday", "queued", "default")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--limit", "2"], "--limit"),
        (["--capacity", "gpu=1"], "--capacity"),
        (["--host", "hpc"], "--host"),
        (["--executor", "thread"], "--executor"),
        (["--values", "values"], "--values"),
        (["--fail-fast"], "--fail-fast"),
        (["--again", "nobody"], "nobody"),
        (["--from", "gone.json"], "gone.json"),
    ],
)
def test_what_a_worker_decides_or_cannot_be_is_refused_and_nothing_is_queued(failed, capsys, words, text):
    assert text in run_command(capsys, "resume", "monday", "--queue", *words, code=2).err

    assert Service("runs.db").run("monday").state is State.FAILED


def test_a_run_that_waits_already_is_not_queued_twice(failed, capsys):
    run_command(capsys, "resume", "monday", "--queue")

    assert "waits in the queue 'default' already" in run_command(capsys, "resume", "monday", "--queue", code=2).err
