"""Forms of jobs wherever a workflow is named: by file, by name in a file, by registered name, by folder."""

import json

import pytest

from aiodag.cli import main
from aiodag.errors import EntryError, WorkflowError
from aiodag.service.worker import QueueWorker
from aiodag.workflows.files.load import load, loads, workflow_from_document

COLLECTION = """
every-5: {type: on.On, cron: "*/5 * * * *"}
greet:
  type: Pipeline
  on: every-5
  params:
    who: {type: str, description: whom to greet}
    times: {type: int, default: 1}
  jobs:
    first:
      stages:
        - name: Say it
          echo: "hello ${{ params.who }}"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("flow.yaml").write_text(COLLECTION)
    return tmp_path


def said(capsys, *words, code=0):
    """What a command prints, and what it writes for people."""
    capsys.readouterr()
    assert main(["--store", "runs.db", *words]) == code, capsys.readouterr().err
    return capsys.readouterr()


def message(document):
    return document["value"]["first"]["stages"]["say-it"]["outputs"]["message"]


def test_a_form_of_jobs_is_read_with_its_triggers_and_its_name(here):
    flow = load("flow.yaml")

    assert (flow.name, [task.name for task in flow]) == ("greet", ["first"])
    assert flow.document()["on"] == {"cron": "*/5 * * * *"}
    assert workflow_from_document(json.loads(json.dumps(flow.document()))).document() == flow.document()


def test_params_are_typed_and_kept_as_they_were_typed(here, capsys):
    found = said(capsys, "run", "flow.yaml", "-p", "who=Ada", "--id", "monday", "--json")

    assert message(json.loads(found.out)) == "hello Ada"
    assert "who=Ada" in said(capsys, "show", "monday").out


def test_params_that_are_wrong_or_missing_are_said_at_once_before_anything_runs(here, capsys):
    err = said(capsys, "run", "flow.yaml", "-p", "times=often", "-p", "woh=Ada", code=2).err

    assert "params.woh" in err
    assert "did you mean 'who'?" in err
    assert "params.times" in err
    assert "params.who: is missing" in err
    assert json.loads(said(capsys, "runs", "--json").out) == []


def test_a_param_that_is_typed_twice_is_refused(here, capsys):
    assert (
        "parameter 'who' is given twice" in said(capsys, "run", "flow.yaml", "-p", "who=a", "-p", "who=b", code=2).err
    )


def test_help_lists_the_params_with_type_default_and_description(here, capsys):
    out = said(capsys, "run", "flow.yaml", "--help").out

    assert "-p who=VALUE  str, required: whom to greet" in out
    assert "-p times=VALUE  int, default 1" in out
    assert said(capsys, "completion", "--words", "parameters", "--of", "flow.yaml").out == "who=\ntimes=\n"


def test_a_registered_form_of_jobs_runs_without_its_file(here, capsys):
    said(capsys, "register", "flow.yaml")
    here.joinpath("flow.yaml").unlink()

    found = json.loads(said(capsys, "run", "greet", "-p", "who=Bob", "--json").out)

    assert message(found) == "hello Bob"


def test_what_is_exported_is_imported_elsewhere(here, capsys):
    said(capsys, "register", "flow.yaml")
    said(capsys, "export", "-o", "exported.json")

    assert main(["--store", "other.db", "import", "exported.json"]) == 0


def test_a_run_is_resumed_with_its_params_from_its_record_and_from_an_edited_file(here, capsys):
    said(capsys, "run", "flow.yaml", "-p", "who=Ada", "--id", "monday")
    again = json.loads(said(capsys, "resume", "monday", "--json").out)
    here.joinpath("flow.yaml").write_text(COLLECTION.replace("hello", "goodbye"))
    planned = said(capsys, "plan", "monday", "--from", "flow.yaml").out

    edited = json.loads(said(capsys, "resume", "monday", "--from", "flow.yaml", "--json").out)

    assert message(again) == "hello Ada"
    assert "say-it" in planned
    assert message(edited) == "goodbye Ada"


def test_plan_and_graph_show_jobs_and_stages_without_any_params(here, capsys):
    assert "say-it" in said(capsys, "plan", "flow.yaml").out
    assert "say-it" in said(capsys, "graph", "flow.yaml").out


def test_a_form_of_jobs_in_the_folder_is_submitted_by_its_name(here, service_at):
    here.joinpath("conf").mkdir()
    here.joinpath("flow.yaml").rename(here / "conf" / "flow.yaml")
    service = service_at("sqlite:///runs.db")

    run_id = service.submit("greet", {"who": "Ada"})

    assert service.head(run_id).entry["parameters"] == {"who": "Ada"}
    with pytest.raises((EntryError, WorkflowError), match="who"):
        service.submit("greet")


def test_all_faults_of_a_form_of_jobs_come_with_those_of_its_text():
    with pytest.raises(WorkflowError) as caught:
        loads("jobs:\n  a:\n    stages:\n      - {echo: x, ecoh: y}\n  a: {}\non: dayly\n", "flow.yaml")

    lines = [str(each) for each in caught.value.complaints]

    assert [line.partition(" ")[0] for line in lines] == ["flow.yaml:5", "flow.yaml:6", "flow.yaml:4"]
    assert "no trigger has that name" in lines[1]


def test_moments_that_cannot_be_are_refused_when_the_file_is_loaded_with_their_lines():
    text = 'on:\n  - cron: "60 * * * *"\n  - cron: "0 0 30 2 *"\n  - every: -5\njobs: {a: {stages: [{echo: x}]}}\n'

    with pytest.raises(WorkflowError) as caught:
        loads(text, "flow.yaml")

    assert [str(each).partition(": cannot work: ") for each in caught.value.complaints][:2] == [
        ("flow.yaml:2 $.on[0].cron", ": cannot work: ", "minute '60': 0 to 59"),
        (
            "flow.yaml:3 $.on[1].cron",
            ": cannot work: ",
            "it never fires: no date has day-of-month 30 and month 2",
        ),
    ]
    assert len(caught.value.complaints) == 3


async def test_a_run_of_a_program_is_resumed_with_the_params_that_it_was_given(here, service_at):
    flow = load("flow.yaml").but(parameters={"who": "Ada"})
    await flow.run("runs.db", "of a file")
    await (
        loads(COLLECTION.replace("Pipeline", "Workflow"), "flow.yaml")
        .but(parameters={"who": "Bob"})
        .run("runs.db", "of a text")
    )
    service = service_at("runs.db")

    again = [service.again(run_id).target for run_id in ("of a file", "of a text")]

    assert [each.given for each in again] == [{"who": "Ada"}, {"who": "Bob"}]


async def test_a_form_of_jobs_that_no_file_has_is_submitted_and_done_by_a_worker(here, service_at):
    service = service_at("runs.db")
    run_id = service.submit(loads(COLLECTION, "flow.yaml").but(parameters={"who": "Ada"}))
    here.joinpath("flow.yaml").unlink()

    await QueueWorker(service, once=True, say=str).run()

    assert service.value(run_id, "say-it")["message"] == "hello Ada"


def test_jobs_that_were_forgotten_or_typed_wrong_are_what_is_wrong():
    with pytest.raises(WorkflowError) as caught:
        loads("params: {type: str}\njob: {a: {stages: [{echo: x}]}}\n", "flow.yaml")

    assert [str(each).partition(":")[2] for each in caught.value.complaints] == [
        "1 $: has no jobs: write jobs: {NAME: {stages: [...]}}",
        "2 $.job: is a key that is not known here: did you mean 'jobs'?",
    ]
