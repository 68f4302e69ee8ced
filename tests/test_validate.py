"""All that is wrong with files, said before anything of them runs."""

import json

import pytest

from aiodag.cli import main

RIGHT = "tasks: {a: {command: [echo, a]}}\n"
WRONG = "tasks:\n  a: {comand: [echo]}\n"
WRONG_IN_A_LINE = "{tasks: {a: {comand: [echo]}}}"
PYTHON = """
from aiodag.workflows import Workflow

right, wrong = Workflow("right"), Workflow("wrong")
right.add(print, name="a")
wrong.add(print, name="b", after=["c"])
"""


@pytest.fixture
def said(tmp_path, monkeypatch, capsys, modules_forgotten):
    """What `validate` prints of files that are written first, with its exit code."""
    monkeypatch.chdir(tmp_path)

    def validate(*words, **files):
        for name, text in files.items():
            path = tmp_path / (name if name.endswith(".py") else name.replace("__", "/").replace("_", "."))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        capsys.readouterr()
        code = main(["validate", *words])
        return code, *capsys.readouterr()

    return validate


def test_nothing_wrong_is_said_in_a_remark_alone(said):
    assert said("a.yaml", a_yaml=RIGHT) == (0, "", "1 workflow in 1 file: nothing wrong\n")


def test_all_faults_of_all_files_are_said_at_once(said):
    code, out, err = said(
        "a.yaml",
        "b.json",
        "flows_of_validate.py",
        "gone.yaml",
        "gone.py",
        a_yaml=WRONG,
        b_json="[1",
        **{"flows_of_validate.py": PYTHON},
    )

    assert code == 2
    assert [line.partition(": ")[0].rpartition("/")[2] for line in out.splitlines()] == [
        "a.yaml:2 $.tasks.a.comand",
        "b.json:1",
        "flows_of_validate.py:6",
        "gone.yaml",
        "gone.py",
    ]
    assert err == "3 workflows in 5 files: 5 complaints\n"


def test_one_of_a_file_is_validated_alone(said):
    files = {"a_yaml": f"one: {{{RIGHT.strip()}}}\ntwo: {{tasks: {{a: {{comand: [x]}}}}}}\n"}

    assert said("a.yaml:one", **files)[0] == 0
    assert said("a.yaml:two")[0] == 2
    assert "has no workflow 'three'" in said("a.yaml:three")[1]


def test_a_folder_is_looked_through_and_what_is_left_out_is_said(said):
    code, out, err = said(
        "conf",
        conf__a_yaml=f"flow: {{{RIGHT.strip()}}}\n",
        conf__b_yaml=f"flow: {{{RIGHT.strip()}}}\n",
        conf__c_json='{"a": 1}',
    )

    assert code == 2
    assert (
        out
        == "conf/b.yaml:1 $.flow: defines the workflow 'flow', as conf/a.yaml:1 $.flow does: a name is defined once\n"
    )
    assert err == "left out, since they define no workflow: conf/c.json\n2 workflows in 2 files: 1 complaint\n"


def test_triggers_that_stand_by_themselves_are_validated(said):
    code, out, _ = said("on.yaml", on_yaml="daily:\n  type: On\n  cron: 60 0 * * *\n  overlp: skip\n")

    assert code == 2
    assert out.splitlines() == [
        "on.yaml:3 $.daily.cron: cannot work: minute '60': 0 to 59",
        "on.yaml:4 $.daily.overlp: is a key that is not known here: did you mean 'overlap'?",
    ]


def test_schedules_and_their_policies_are_validated(said):
    text = """
flow:
  on: {cron: "0 0 * * *", overlap: sometimes}
  jobs: {a: {stages: [{echo: x}]}}
nightly:
  type: Schedule
  workflows:
    - {workflow: flow, on: dayly}
    - {workflow: flow, on: {cron: "0 0 * * *", priority: high}}
    - {on: {cron: "60 0 * * *"}}
"""
    code, out, _ = said("flow.yaml", flow_yaml=text)

    assert code == 2
    assert sorted(line.partition(": ")[0] for line in out.splitlines()) == [
        "flow.yaml:10 $.nightly.workflows[2]",
        "flow.yaml:3 $.flow.on",
        "flow.yaml:8 $.nightly.workflows[0].on",
        "flow.yaml:9 $.nightly.workflows[1].on",
    ]


def test_faults_as_json_have_file_line_path_and_text(said):
    code, out, _ = said("a.yaml", "--json", a_yaml=WRONG)

    assert code == 2
    assert json.loads(out) == [
        {
            "file": "a.yaml",
            "line": 2,
            "path": "$.tasks.a.comand",
            "text": "is a key that is not known here; did you mean 'command'?",
        }
    ]
    assert json.loads(said("b.yaml", "--json", b_yaml=RIGHT)[1]) == []


def test_nothing_of_what_is_validated_runs(said, tmp_path):
    assert said("a.yaml", a_yaml="tasks: {a: {shell: touch ran}}\n")[0] == 0
    assert not (tmp_path / "ran").exists()


def test_a_workflow_of_the_folders_is_validated_by_its_name(said):
    assert said("flow", conf__a_yaml=f"flow: {WRONG_IN_A_LINE}\nother: {WRONG_IN_A_LINE}\n")[:2] == (
        2,
        "conf/a.yaml:1 $.flow.tasks.a.comand: is a key that is not known here; did you mean 'command'?\n",
    )
    assert said("nope")[1].startswith("nope: is neither a file")


def test_a_file_that_a_stage_triggers_has_to_be_there(said):
    child = "jobs: {a: {stages: [{echo: a}]}}"
    flow = """
jobs:
  a:
    stages:
      - trigger: child.yaml
      - trigger: registered-somewhere
      - trigger: ${{ workflow.name }}.yaml
      - foreach: [1]
        stages:
          - {id: inner, trigger: chidl.yaml}
      - case: b
        match: [{case: b, stages: [{trigger: "child.py:main"}]}]
"""
    code, out, _ = said("conf/flow.yaml", conf__child_yaml=child, conf__flow_yaml=flow)
    assert (code, out.splitlines()) == (
        2,
        [
            "conf/flow.yaml:10 $.jobs.a.stages[3].stages[0].trigger: is 'chidl.yaml', and there is no such file next to this one",
            "conf/flow.yaml:12 $.jobs.a.stages[4].match[0].stages[0].trigger: is 'child.py:main', and there is no such file next to this one",
        ],
    )
