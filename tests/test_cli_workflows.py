"""Workflows of commands on the command line: run, edited, resumed, kept by name, looked at while they run."""

import json
import os
import re
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from typed_in import Place, Terminal, ended, line_with

from aiodag.cli.attempts import size
from aiodag.cli.rich import fit_lines
from aiodag.records import OutputRecord
from aiodag.service.written import LONGEST, WrittenLines

ODD = "wörk \"a\"/b: 'c' ✓ " + "x" * 182  # 200 characters


def said(word):
    return {"command": ["echo", word]}


ETL = {
    **{f"Pull_{each}": said(f"Pull_{each}") for each in "ABC"},
    **{f"Transform_{each}": {**said(f"Transform_{each}"), "parents": [f"Pull_{each}"]} for each in "ABC"},
    "Derive_AB": {**said("Derive_AB"), "parents": ["Transform_A", "Transform_B"]},
    "Derive_ABC": {**said("Derive_ABC"), "parents": ["Derive_AB", "Transform_C"]},
    "Report": {**said("Report"), "parents": ["Derive_ABC"]},
}
BROKEN = {**ETL, "Transform_B": {"shell": "test -e marker && echo Transform_B", "parents": ["Pull_B"]}}
JOB = {
    "Sync Data": said("synced"),
    "Feature Engineering1": {**said("one"), "parents": ["Sync Data"]},
    "Feature Engineering2": {**said("two"), "parents": ["Sync Data"]},
    "Machine Learning": {**said("learnt"), "parents": ["Feature Engineering1", "Feature Engineering2"]},
    "Send Email": {**said("sent"), "parents": ["Machine Learning"]},
}
# One task that fails and skips another, one that runs until somebody writes to the gate, and one that waits for it.
HELD = {
    "quick": said("done"),
    "broken": {"shell": "echo out; echo err >&2; exit 3"},
    "after broken": {**said("never"), "parents": ["broken"]},
    "held": {"shell": "echo begun; read line < gate; echo $line", "parents": ["quick"]},
    "later": {**said("later"), "parents": ["held"]},
}
FLOW = """
from aiodag import task
from aiodag.commands import command
from aiodag.workflows import Parameter, Workflow

@task
async def fetch(day: str) -> str:
    return day * 2

@task
async def total(parts: list[str], by: int = 1) -> str:
    return "".join(parts) * by

flow = Workflow("flow", tags={"env": "test"}, parameters={"DAY": ["x"], "BY": [1]})
parts = flow.add(fetch, Parameter("DAY"))
flow.add(total, parts, Parameter("BY"), name="total")
flow.add(command("echo", "end"), name="end", after=["total"])
"""


@pytest.fixture
def aiodag(tmp_path):
    return Place(tmp_path)


def keep(place, file, tasks, **more):
    place.write(file, json.dumps({"tasks": tasks, **more}))


def states(place, run):
    return {node["name"]: node["state"] for node in place.json("show", run)["nodes"]}


def attempts(place, run, task):
    return place.json("log", run, "--task", task)


def streams(place, run, task):
    return [(each["stdout"], each["stderr"]) for each in attempts(place, run, task)]


# Run


def test_a_workflow_of_a_file_runs_and_prints_no_value(aiodag):
    keep(aiodag, "etl.json", ETL)

    out, err = aiodag("run", "etl.json", "--id", "one")

    assert out == ""
    assert err.splitlines()[-1].startswith("run one succeeded: 9 succeeded, after ")
    assert states(aiodag, "one") == dict.fromkeys(ETL, "succeeded")
    assert [streams(aiodag, "one", name) for name in ETL] == [[(f"{name}\n", "")] for name in ETL]


def test_json_of_a_workflow_has_the_values_by_name(aiodag):
    aiodag.write("flow.py", FLOW)

    document = aiodag.json("run", "flow.py", "-p", "DAY=a", "-p", "DAY=b", "-p", "BY=2")

    assert document["value"]["total"] == ["aabbaabb"]  # of a task that uses a parameter, a list
    assert document["value"]["end"]["stdout"] == "end\n"
    assert document["counts"] == {"succeeded": 4}


@pytest.mark.parametrize(
    ("given", "value"),
    [([], "xx"), (["-p", "DAY=z"], "zz"), (["-p", 'DAY=["a", "b"]'], "aabb"), (["-p", "DAY=[x"], "[x[x")],
)
def test_a_parameter_of_a_workflow_is_a_value_several_or_a_list(aiodag, given, value):
    aiodag.write("flow.py", FLOW)

    assert aiodag.json("run", "flow.py:flow", *given)["value"]["total"] == [value]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["run", "flow.py", "-p", "DYA=z"], "has no parameter 'DYA'; did you mean 'DAY'?"),
        (["run", "flow.py", "-p", "BY=many"], "parameter BY='many' is not int"),
        (["run", "flow.py", "-p", "DAY"], "write name=value"),
        (["run", "flow.py:folw"], "did you mean 'flow'?"),
        (["run", "nowhere.json"], "no such file"),
        (["run", "flwo"], "flwo: no workflow in sqlite:///runs.db has this name. Give FILE.py, "),
        (["run", "flow.py", "--tag", "env"], "'env' is not NAME=VALUE"),
        (["run", "flow.py", "--tag", "a=1", "--tag", "a=2"], "there is a=1"),
        (["run", "flow.py", "--capacity", "cores"], "'cores' is not"),
        (["run", "flow.py", "--capacity", "cores=0"], "cores"),
        (["register", "flow.py:fetch"], "is a task, not a workflow"),
        (["register", "nowhere.py"], "no such file"),
        (["log", "flow"], "no run 'flow'"),
        (["plan", "flow"], "no run 'flow'"),
        (["plan", "flow.py", "--from", "flow.py"], "a run that is to be resumed"),
        (["delete", "flow"], "no run 'flow'"),
        (["log", "flow", "--style", "round"], "--style cannot be 'round'"),
        (["log", "flow", "x", "--task", "y"], "cannot be combined with the node 'x'. Leave one of them out"),
    ],
)
def test_bad_input_is_one_line_and_nothing_has_run(aiodag, typed, answer):
    aiodag.write("flow.py", FLOW)

    out, err = aiodag(*typed, code=2)

    assert out == ""
    assert err.startswith("aiodag: ")
    assert err.count("\n") == 1
    assert answer in err
    assert aiodag.json("runs") == []


def test_a_bad_definition_tells_all_complaints_with_their_places_and_nothing_is_recorded(aiodag):
    keep(aiodag, "bad.json", {"a": {**said("x"), "parents": ["b"]}, "b": {**said("x"), "parents": ["a", "nobody"]}})
    keep(aiodag, "worse.json", {"a": {"comand": ["x"]}, "b": {"command": "x"}})

    for command in ("run", "register", "plan", "graph"):
        _, err = aiodag(command, "bad.json", code=2)
        assert "a" in err
        assert "nobody" in err
        assert "$.tasks.b" in err
        assert err.count("\n") >= 2
    _, err = aiodag("run", "worse.json", code=2)

    assert "did you mean" in err.lower()
    assert "worse.json:1 $.tasks.b" in err
    assert aiodag.json("runs") == []
    assert aiodag.json("list") == []


# Resume, edit


def test_a_failed_workflow_is_resumed_and_only_what_had_not_succeeded_runs(aiodag):
    keep(aiodag, "etl.json", BROKEN)

    _, err = aiodag("run", "etl.json", "--id", "one", code=1)
    after = states(aiodag, "one")
    failed = attempts(aiodag, "one", "Transform_B")
    (aiodag.path / "etl.json").unlink()  # it goes on as it was recorded
    aiodag.write("marker", "")
    planned = aiodag.json("plan", "one")
    aiodag("resume", "one")

    assert "Transform_B failed: CommandFailed: /bin/sh -c 'test -e marker && echo Transform_B'" in err
    assert [after[name] for name in ("Pull_B", "Transform_A", "Transform_B", "Derive_AB", "Report")] == [
        "succeeded",
        "succeeded",
        "failed",
        "skipped",
        "skipped",
    ]
    assert [each["facts"]["code"] for each in failed] == [1]
    assert planned == {"run": ["Transform_B", "Derive_AB", "Derive_ABC", "Report"], "recalled": 5}
    assert set(states(aiodag, "one").values()) == {"succeeded"}
    assert {name: len(attempts(aiodag, "one", name)) for name in ETL} == {
        **dict.fromkeys(ETL, 1),
        "Transform_B": 2,
    }


def test_an_edited_workflow_goes_on_and_the_record_has_both(aiodag):
    keep(aiodag, "etl.json", BROKEN)
    aiodag("run", "etl.json", "--id", "one", code=1)
    keep(aiodag, "new.json", {**ETL, "Notify": {**said("Notify"), "parents": ["Report"]}})

    before = aiodag.json("runs")
    planned = aiodag.json("plan", "one", "--from", "new.json")
    assert aiodag.json("runs") == before
    _, err = aiodag("resume", "one", "--from", "new.json")
    tries = attempts(aiodag, "one", "Transform_B")
    shown = aiodag.json("show", "one")

    assert planned["run"] == ["Transform_B", "Derive_AB", "Derive_ABC", "Report", "Notify"]
    assert err.splitlines()[0] == "run one: resumed from new.json, in sqlite:///runs.db"
    assert [(each["attempt"], each["state"], each["facts"]["command"][0]) for each in tries] == [
        (1, "failed", "/bin/sh"),
        (2, "succeeded", "echo"),
    ]
    assert shown["definitions"] == [
        {"execution": 1, "tasks": 9, "changed": [], "added": [], "removed": []},
        {"execution": 2, "tasks": 10, "changed": ["Transform_B"], "added": ["Notify"], "removed": []},
    ]
    text = aiodag("show", "one")[0]
    assert "definition  of execution 2: changed Transform_B; added Notify" in text
    assert "(earlier)" in text
    # From here on the new definition is the one that is recorded.
    assert aiodag.json("plan", "one") == {"run": [], "recalled": 10}


def test_an_edited_task_that_had_succeeded_runs_again_with_what_needs_it(aiodag):
    keep(aiodag, "etl.json", ETL)
    aiodag("run", "etl.json", "--id", "one")
    keep(aiodag, "etl.json", {**ETL, "Pull_C": said("other")})

    planned = aiodag.json("plan", "one", "--from", "etl.json")
    aiodag("resume", "one", "--from", "etl.json")

    assert planned["run"] == ["Pull_C", "Transform_C", "Derive_ABC", "Report"]
    assert streams(aiodag, "one", "Pull_C") == [("Pull_C\n", ""), ("other\n", "")]
    assert aiodag.json("runs")[0]["counts"] == {"succeeded": 9}


def test_parameters_and_tags_of_a_run_stay_when_it_is_edited(aiodag):
    tasks = {"say": {"command": ["echo", "{{DAY}}"]}}
    keep(aiodag, "say.json", tasks, parameters={"DAY": ["monday"]}, tags={"env": "test", "team": "a"})
    aiodag("run", "say.json", "--id", "one", "-p", "DAY=friday", "--tag", "env=mine", "--tag", "who=me")
    tasks = {"say": {"command": ["echo", "on", "{{DAY}}"]}}
    keep(aiodag, "say.json", tasks, parameters={"DAY": ["monday"]}, tags={"env": "test", "team": "b"})

    aiodag("resume", "one", "--from", "say.json")
    run = aiodag.json("runs")[0]

    assert [each[0] for each in streams(aiodag, "one", "say")] == ["friday\n", "on friday\n"]
    assert run["tags"] == {"env": "mine", "team": "b", "who": "me"}
    aiodag("resume", "one")
    assert aiodag.json("runs")[0]["tags"] == run["tags"]


def test_a_workflow_of_python_is_resumed_from_its_file(aiodag):
    aiodag.write("flow.py", FLOW.replace("return day * 2", "raise ValueError(day)"))
    aiodag("run", "flow.py", "--id", "one", "-p", "DAY=a", code=1)
    aiodag.write("flow.py", FLOW)

    assert aiodag.json("resume", "one")["value"]["total"] == ["aa"]
    assert aiodag.json("plan", "one") == {"run": [], "recalled": 3}


@pytest.mark.parametrize("typed", ["resume one", "plan one", "resume one --from flow.py", "plan one --from flow.py"])
def test_a_file_that_runs_itself_is_imported_alike_by_every_command(aiodag, typed):
    aiodag.write("flow.py", f"{FLOW}\nimport asyncio\nasyncio.run(asyncio.sleep(0))\n")
    aiodag("run", "flow.py", "--id", "one")

    out, err = aiodag(*typed.split())

    assert "0 would run, 3 would be recalled" in out or "3 of them recalled" in err
    assert "Warning" not in err


def test_a_run_says_what_of_a_file_it_took(aiodag):
    aiodag.write("flow.py", f"{FLOW}\n@task\nasync def main() -> None: pass\n")
    keep(aiodag, "job.json", JOB)
    aiodag("register", "flow.py:flow", "--name", "kept")

    for typed, taken in [
        ("flow.py", "flow.py:main"),
        ("flow.py:flow", "flow.py:flow"),
        ("job.json", "job.json"),
        ("kept", "kept"),
    ]:
        assert aiodag("run", typed, "--id", typed)[1].startswith(f"run {typed}: {taken}, in sqlite:///runs.db\n")


def test_a_run_with_the_id_of_another_workflow_is_refused(aiodag):
    keep(aiodag, "etl.json", ETL)
    keep(aiodag, "job.json", JOB)
    aiodag("run", "etl.json", "--id", "one")

    assert "began with" in aiodag("run", "job.json", "--id", "one", code=2)[1]
    assert "9 of them recalled" in aiodag("run", "etl.json", "--id", "one")[1]


# By name


def test_a_registered_workflow_runs_by_its_name_without_its_file(aiodag):
    keep(aiodag, "TestJob.json", JOB, tags={"env": "test"})

    out, _ = aiodag("register", "TestJob.json")
    runs = aiodag.json("runs")
    (aiodag.path / "TestJob.json").unlink()
    aiodag("run", "TestJob", "--id", "one")
    listed = aiodag.json("list")

    assert out == f"registered TestJob: 5 tasks, of {aiodag.path.resolve() / 'TestJob.json'}\n"
    assert runs == []
    assert [(each["name"], each["runs"], each["tags"], each["last"]["id"]) for each in listed] == [
        ("TestJob", 1, {"env": "test"}, "one")
    ]
    assert states(aiodag, "one") == dict.fromkeys(JOB, "succeeded")
    assert aiodag("list")[0].splitlines()[1].split()[:2] == ["TestJob", "5"]
    aiodag("resume", "one")


def test_a_second_definition_of_a_name_is_refused_or_replaces_the_first(aiodag):
    keep(aiodag, "TestJob.json", {"say": said("old")})
    aiodag("register", "TestJob.json")
    keep(aiodag, "TestJob.json", {"say": said("new")})

    _, err = aiodag("register", "TestJob.json", code=2)
    aiodag("run", "TestJob", "--id", "one")
    aiodag("register", "TestJob.json", "--name", "other")
    aiodag("register", "TestJob.json", "--replace")
    aiodag("run", "TestJob", "--id", "two")

    assert "--replace" in err
    assert aiodag("register", "TestJob.json", "--name", "third")[0].startswith("registered third: 1 task, of ")
    assert aiodag("delete", "third")[0] == "deleted workflow third\n"
    assert streams(aiodag, "one", "say") == [("old\n", "")]
    assert streams(aiodag, "two", "say") == [("new\n", "")]
    assert [each["name"] for each in aiodag.json("list")] == ["TestJob", "other"]


def test_a_workflow_of_python_is_registered_with_its_place(aiodag):
    aiodag.write("flow.py", FLOW)
    aiodag("register", "flow.py", "--name", "nightly")

    document = aiodag.json("run", "nightly", "-p", "DAY=b")

    assert (document["name"], document["value"]["total"]) == ("nightly", ["bb"])
    assert aiodag.json("resume", document["id"])["recalled"] == 3
    assert aiodag.json("list")[0]["target"].endswith("flow.py:flow")


def test_a_file_wins_over_a_name_only_if_it_ends_like_one(aiodag):
    keep(aiodag, "there.json", {"say": said("file")})
    keep(aiodag, "other.json", {"say": said("name")})
    aiodag.write("plain", "")
    for name in ("there.json", "plain", "gone.json"):
        aiodag("register", "other.json", "--name", name)

    for name, word in (("there.json", "file"), ("plain", "name"), ("gone.json", "name")):
        aiodag("run", name, "--id", f"run of {name}")
        assert streams(aiodag, f"run of {name}", "say") == [(f"{word}\n", "")]


def test_deleting_a_name_takes_its_runs_and_leaves_a_longer_name_whole(aiodag):
    for name in ("TestJob", "TestJob2"):
        keep(aiodag, f"{name}.json", {f"task {number}": said(number) for number in map(str, range(60))})
        aiodag("register", f"{name}.json")
        for number in range(2):
            aiodag("run", name, "--id", f"{name} {number}", "-q")

    assert "Did you mean 'TestJob'" in aiodag("delete", "TestJub", code=2)[1]
    assert "Did you mean" in aiodag("delete", "TestJob", "TestJub", code=2)[1]
    assert len(aiodag.json("runs")) == 4
    out, _ = aiodag("delete", "TestJob")

    assert out == "deleted TestJob 0\ndeleted TestJob 1\ndeleted workflow TestJob\n"
    assert [each["id"] for each in aiodag.json("runs")] == ["TestJob2 0", "TestJob2 1"]
    assert [each["name"] for each in aiodag.json("list")] == ["TestJob2"]
    assert len(states(aiodag, "TestJob2 1")) == 60


def test_the_id_of_a_run_comes_before_a_name(aiodag):
    keep(aiodag, "job.json", JOB)
    aiodag("run", "job.json", "--id", "job")
    aiodag("run", "job.json", "--id", "two")
    aiodag("register", "job.json")

    assert aiodag.json("delete", "job") == {"deleted": ["job"], "workflows": []}
    assert aiodag.json("delete", "job") == {"deleted": ["two"], "workflows": ["job"]}


def test_names_of_any_kind_work_everywhere(aiodag):
    assert len(ODD) == 200
    keep(aiodag, "odd.json", {ODD: said(ODD), "b": {**said("b"), "parents": [ODD]}}, name=ODD)

    aiodag("register", "odd.json")
    document = aiodag.json("run", ODD)
    aiodag("graph", document["id"], "-o", "odd.svg")
    aiodag("graph", ODD, "-o", "odd.dot")

    assert (document["name"], document["state"]) == (ODD, "succeeded")
    assert ODD in aiodag("list")[0]
    assert f"✓ {ODD}" in aiodag("log", ODD)[0]
    assert ODD in aiodag("log", ODD, "--style", "tree")[0]
    assert ODD in aiodag("show", document["id"])[0]
    assert streams(aiodag, ODD, ODD) == [(f"{ODD}\n", "")]
    assert aiodag.json("delete", ODD)["workflows"] == [ODD]
    assert aiodag.json("runs") == []


# Look


def test_runs_are_found_by_tags_and_age(aiodag):
    keep(aiodag, "job.json", {"say": said("x")}, tags={"env": "test"})
    aiodag("run", "job.json", "--id", "one")
    aiodag("run", "job.json", "--id", "two", "--tag", "team=a")
    aiodag("run", "job.json", "--id", "three", "--tag", "env=live", "--tag", "team=a")

    def ids(*typed):
        return [run["id"] for run in aiodag.json("runs", *typed)]

    assert ids("--tag", "env=test") == ["one", "two"]
    assert ids("--tag", "env=test", "--tag", "team=a") == ["two"]
    assert ids("--tag", "team=a", "--since", "1d", "--state", "succeeded", "-n", "1") == ["three"]
    assert ids("--since", "0s") == []
    assert ids("--tag", "env=tes") == []
    assert re.search("^tag +team=a$", aiodag("show", "two")[0], re.MULTILINE)


def test_the_log_of_a_name_has_its_newest_three_runs_newest_first(aiodag):
    keep(aiodag, "TestJob.json", JOB)
    for number in range(4):
        aiodag("run", "TestJob.json", "--id", f"run{number}", "-q")

    blocks = aiodag("log", "TestJob")[0].split("\n\n")
    heads = [block.splitlines()[0].split()[:2] for block in blocks]

    assert heads == [["run3", "succeeded"], ["run2", "succeeded"], ["run1", "succeeded"]]
    assert [line.split("  ")[0].strip() for line in blocks[0].splitlines()[1:]] == [f"✓ {name}" for name in JOB]
    assert len(aiodag("log", "TestJob", "-n", "1")[0].split("\n\n")) == 1
    assert [each["run"]["id"] for each in aiodag.json("log", "TestJob")] == ["run3", "run2", "run1"]
    assert [node["name"] for node in aiodag.json("log", "TestJob", "-n", "1")[0]["nodes"]] == list(JOB)


def test_the_tree_follows_the_edges_and_prints_a_join_once(aiodag):
    keep(aiodag, "TestJob.json", {**JOB, "Feature Engineering2": {"shell": "exit 1", "parents": ["Sync Data"]}})
    aiodag("run", "TestJob.json", "--id", "one", code=1)

    lines = aiodag("log", "TestJob", "--style", "tree")[0].splitlines()[1:]

    begun = [line.lstrip("│├└─╌○ ") for line in lines]
    assert [re.split(" +(?:succeeded|failed|skipped)", line)[0] for line in begun] == [
        "✓ Sync Data",
        "✓ Feature Engineering1",
        "✗ Feature Engineering2",
        "» Machine Learning",
        "» Send Email",
    ]
    assert lines[1].endswith("⇢ Machine Learning")
    depths = [len(line) - len(each) for line, each in zip(lines, begun, strict=True)]
    assert depths[0] < depths[1] == depths[2] < depths[3] < depths[4]
    assert aiodag("log", "one", "--style", "tree")[0].splitlines()[1:] == lines


def test_a_task_shows_both_streams_how_it_ended_and_what_it_took(aiodag):
    keep(aiodag, "job.json", {"t": {"shell": "echo one; echo two >&2; exit 3", "retries": 1}, "t2": said("no")})
    aiodag("run", "job.json", "--id", "one", code=1)

    out, _ = aiodag("log", "job", "--task", "t")
    document = attempts(aiodag, "one", "t")

    assert [block.splitlines()[0] for block in out.split("\n\n")] == [
        "one  t  attempt 1  failed, exit code 3",
        "one  t  attempt 2  failed, exit code 3",
    ]
    assert "  stdout\n    one\n  stderr\n    two" in out
    for word in ("command", "started", "took", "host", "cpu", "peak"):
        assert f"\n  {word} " in out
    assert [(each["stdout"], each["stderr"], each["facts"]["code"]) for each in document] == [("one\n", "two\n", 3)] * 2
    assert document[0]["facts"]["peak_bytes"] > 0
    assert document[0]["started_at"] < document[0]["ended_at"]


def test_a_task_shows_the_line_of_a_shell_and_no_process_where_none_started(aiodag):
    keep(aiodag, "job.json", {"t": {"shell": "echo 'a b'"}, "none": {"command": ["no such program"]}})
    aiodag("run", "job.json", "--id", "one", code=1)

    line = aiodag("log", "one", "--task", "t")[0].splitlines()[1]
    none = aiodag("log", "one", "--task", "none")[0]

    assert line.split(None, 1) == ["command", """/bin/sh -c 'echo '"'"'a b'"'"''"""]
    assert "process" not in none
    assert attempts(aiodag, "one", "t")[0]["facts"]["command"] == ["/bin/sh", "-c", "echo 'a b'", "sh"]


def test_a_task_is_shown_of_the_runs_that_have_it(aiodag):
    keep(aiodag, "job.json", {"old": said("x")})
    aiodag("run", "job.json", "--id", "one")
    keep(aiodag, "job.json", {"broken": {"shell": "exit 1"}, "new": {**said("x"), "parents": ["broken"]}})
    aiodag("run", "job.json", "--id", "two", code=1)

    assert [each["run"] for each in attempts(aiodag, "job", "old")] == ["one"]
    assert aiodag("log", "job", "--task", "new") == ("", "'new' has had no attempt\n")
    assert "run 'two' has no node 'nobody'" in aiodag("log", "job", "--task", "nobody", code=2)[1]


def test_a_task_with_parameters_shows_all_nodes_that_were_made_of_it(aiodag):
    tasks = {"t": {"command": ["echo", "{{DAY}}"]}, "t2": said("no")}
    keep(aiodag, "job.json", tasks, parameters={"DAY": ["a", "b"]})
    aiodag("run", "job.json", "--id", "one")

    assert sorted(each[0] for each in streams(aiodag, "one", "t")) == ["a\n", "b\n"]
    assert streams(aiodag, "one", "t[DAY=b]") == [("b\n", "")]


def test_the_lines_of_a_run_have_what_commands_wrote(aiodag):
    keep(aiodag, "job.json", {"t": {"shell": "printf 'a\\n\\033[31mb'; echo c >&2"}})
    aiodag("run", "job.json", "--id", "one")

    lines = [line.split(" ", 2)[2] for line in aiodag("log", "one")[0].splitlines()]
    document = aiodag.json("log", "one", "t")

    assert sorted(lines) == ["stderr  t: c", "stdout  t: \\x1b[31mb", "stdout  t: a"]
    assert [each["text"] for each in document if each["level"] == "stdout"] == ["a", "\x1b[31mb"]


def test_a_graph_and_a_plan_of_a_workflow_before_it_runs(aiodag):
    keep(aiodag, "TestJob.json", JOB)
    aiodag("register", "TestJob.json", "--name", "kept")

    assert "· Machine Learning" in aiodag("graph", "TestJob.json")[0]
    assert len(aiodag.json("graph", "kept")["nodes"]) == 5
    assert aiodag.json("plan", "TestJob.json") == {"run": list(JOB), "recalled": 0}
    assert aiodag("plan", "kept")[0].endswith("5 would run, 0 would be recalled\n")
    assert aiodag.json("runs") == []


def test_capacity_is_given_or_missed_before_anything_runs(aiodag):
    keep(aiodag, "job.json", {"t": {**said("x"), "resources": {"license": 1}}})

    _, err = aiodag("run", "job.json", code=2)
    assert "license" in err
    assert aiodag.json("runs") == []
    aiodag("run", "job.json", "--capacity", "license=1", "--capacity", "cores=2.5")
    assert "license" in aiodag("run", "job.json", "--capacity", "license=0.5", code=2)[1]


def test_a_plan_is_refused_what_the_run_would_be_refused(aiodag):
    keep(aiodag, "job.json", {"t": {**said("x"), "resources": {"license": 1}}})

    assert "'t' asks for license 1" in aiodag("plan", "job.json", code=2)[1]
    assert "license" in aiodag("plan", "job.json", "--capacity", "license=0.5", code=2)[1]
    assert aiodag.json("plan", "job.json", "--capacity", "license=1") == {"run": ["t"], "recalled": 0}
    aiodag("run", "job.json", "--capacity", "license=1", "--id", "one")
    assert "license" in aiodag("plan", "one", code=2)[1]
    assert aiodag.json("plan", "one", "--capacity", "license=1") == {"run": [], "recalled": 1}
    assert "·" in aiodag("graph", "job.json")[0]  # a picture needs no resources


def test_the_schema_is_printed(aiodag):
    document = json.loads(aiodag("schema")[0])

    assert {"tasks", "parameters", "tags"} <= set(document["properties"])


def test_output_that_was_left_out_is_told(aiodag):
    aiodag.env["AIODAG_STORE"] = "sqlite:///runs.db?keep=100"
    keep(aiodag, "job.json", {"t": {"shell": "i=0; while [ $i -lt 99 ]; do echo line $i; i=$((i+1)); done"}})
    aiodag("run", "job.json", "--id", "one")

    out, _ = aiodag("log", "job", "--task", "t")
    lines = [each["text"] for each in aiodag.json("log", "one")]

    assert re.search(r"^  stdout \([\d,]+ bytes were left out\)\n    line 0$", out, re.MULTILINE)
    assert out.endswith("line 98\n")
    assert lines[0] == "line 0"
    assert any(re.fullmatch(r"\[[\d,]+ bytes are left out here\]", line) for line in lines)
    assert lines[-1] == "line 98"


def part(number, text, start, stream="stdout", attempt=1):
    return OutputRecord(0, attempt, number, stream, start, datetime.now(UTC), text)


def test_lines_are_put_together_of_parts_and_given_when_they_end():
    written = WrittenLines()

    def texts(*parts, last=False):
        return [(line.stream, line.text) for line in written.lines(parts, last=last)]

    assert texts(part(1, b"on", 0), part(2, b"err", 0, "stderr")) == []
    assert texts(part(3, b"e\ntw\xc3", 2)) == [("stdout", "one")]
    assert written.after == 3
    assert texts(part(4, b"\xb6\n\nthree", 7)) == [("stdout", "twö"), ("stdout", "")]
    assert texts(last=True) == [("stderr", "err"), ("stdout", "three")]
    assert texts(last=True) == []


def test_a_gap_in_what_was_written_is_a_line_of_its_own():
    parts = [part(1, b"head", 0), part(2, b"tail\n", 1004)]

    lines = [line.text for line in WrittenLines().lines(parts, last=True)]

    assert lines == ["head", "[1,000 bytes are left out here]", "tail"]


def test_what_never_ends_a_line_is_given_in_pieces():
    written = WrittenLines()

    (line,) = written.lines([part(1, b"x" * (LONGEST + 1), 0)], last=False)

    assert len(line.text) == LONGEST + 1
    assert written.lines([], last=True) == []


def test_what_does_not_fit_on_a_terminal_is_counted():
    lines = ["head", "✓ a succeeded", "▸ b running", *["· c waiting"] * 5, "✗ d failed", "▸ e running"]

    assert fit_lines(lines, 5) == ["head", "▸ b running", "✗ d failed", "▸ e running", "and 6 other nodes"]
    assert fit_lines(lines, 3) == ["head", "▸ b running", "and 8 other nodes"]


def test_sizes_have_words():
    assert [size(count) for count in (0, 999, 1000, 123_456_789, 5 * 10**9)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "123.5 MB",
        "5.0 GB",
    ]


# While it runs


@contextmanager
def going_on(place, *typed):
    """A command that goes on, but not for longer than the test."""
    with place.start(*typed) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def held(aiodag):
    """A run in which one task runs, one waits, one has failed, one was skipped; with the process, and what lets it end."""
    os.mkfifo(aiodag.path / "gate")
    keep(aiodag, "TestJob.json", HELD)
    with going_on(aiodag, "run", "TestJob.json", "--id", "one") as process:

        def open_gate():
            # Not in a way that waits for a reader: if there will be none, this test fails and does not hang.
            gate = os.open(aiodag.path / "gate", os.O_RDWR)
            os.write(gate, b"through\n")
            result = ended(process)
            os.close(gate)
            return result

        open_gate.process_ended = lambda: ended(process)
        line_with(process.stderr, "broken failed")
        yield open_gate


def test_states_have_their_colours_while_a_run_goes_on(aiodag, held):
    """Green, red, blue and yellow for succeeded, failed, running and waiting; what was skipped is dim."""
    coloured = [
        (32, "✓", "quick"),
        (31, "✗", "broken"),
        (34, "▸", "held"),
        (33, "·", "later"),
        (2, "»", "after broken"),
    ]
    for style in ("flat", "tree"):
        follow = Terminal(aiodag, "log", "TestJob", "-f", "--style", style)
        # The run may still be on its way there. What is drawn here is in the store.
        for colour, sign, name in coloured:
            follow.until(f"\x1b[{colour}m{sign} {name}")
        drawn = Terminal(aiodag, "log", "TestJob", "--style", style)
        assert drawn.end() == 0
        follow.leave()

        for colour, sign, name in coloured:
            assert f"\x1b[{colour}m{sign} {name}" in drawn.drawn
    assert held()[0] == 1


def test_following_a_name_on_a_terminal_draws_the_states_until_the_end(aiodag, held):
    terminal = Terminal(aiodag, "log", "TestJob", "-f")
    terminal.until("\x1b[34m▸ held")
    terminal.until("begun")
    held()

    assert terminal.end() == 0
    last = terminal.drawn[terminal.drawn.rindex("one  ") :]
    assert "\x1b[32m✓ later" in last
    assert "▸" not in last
    assert "through" in terminal.drawn


def test_following_prints_what_commands_write_as_it_comes(aiodag, held):
    with going_on(aiodag, "log", "TestJob", "--follow") as log:
        line_with(log.stdout, "held: begun")  # the run goes on: nobody has opened the gate
        held()
        code, out, _ = ended(log)

    assert code == 0
    assert "held: through\n" in out
    assert "✓ later" in out


def test_following_a_task_gives_its_lines_alone(aiodag, held):
    with going_on(aiodag, "log", "TestJob", "--task", "held", "-f", "--json") as log:
        seen = [json.loads(log.stdout.readline())]
        held()
        code, out, _ = ended(log)

    seen += [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(each["label"], each["level"], each["text"]) for each in seen] == [
        ("held", "stdout", "begun"),
        ("held", "stdout", "through"),
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_workflow_is_drained_and_stopped_by_signals_and_goes_on(aiodag, number, code):
    os.mkfifo(aiodag.path / "gate")
    keep(aiodag, "TestJob.json", {name: HELD[name] for name in ("quick", "held", "later")})
    with going_on(aiodag, "run", "TestJob.json", "--id", "one") as run:
        line_with(run.stderr, "run one: ")
        with going_on(aiodag, "log", "one", "held", "-f") as log:
            line_with(log.stdout, "held: begun")
            run.send_signal(number)
            line_with(run.stderr, "nothing more starts")
            run.send_signal(number)
            result = ended(run)
            assert ended(log)[0] == 0

    assert result[:2] == (code, "")
    assert "run 'one' was interrupted; `aiodag resume one`" in result[2]
    assert states(aiodag, "one") == {"quick": "succeeded", "held": "cancelled", "later": "cancelled"}
    (tried,) = attempts(aiodag, "one", "held")
    assert (tried["state"], tried["stdout"], tried["facts"]["signal"]) == ("cancelled", "begun\n", "SIGTERM")
    assert aiodag.json("plan", "one")["run"] == ["held", "later"]


def test_a_workflow_is_cancelled_from_another_process(aiodag, held):
    aiodag("cancel", "one")

    code, _, err = held.process_ended()

    assert code == 1
    assert "aiodag: run 'one' was cancelled on request" in err


def test_a_name_is_not_deleted_while_one_of_its_runs_goes_on(aiodag, held):
    aiodag("register", "TestJob.json")

    _, err = aiodag("delete", "TestJob", code=2)

    assert "'one' goes on in process" in err
    assert [each["name"] for each in aiodag.json("list")] == ["TestJob"]
    held()
    assert aiodag.json("delete", "TestJob") == {"deleted": ["one"], "workflows": ["TestJob"]}


def test_a_tree_of_ten_thousand_nodes_is_printed(aiodag):
    code = """
import asyncio
from aiodag.cli import main
from aiodag import Run, task

@task
async def one(*_): ...

async def fill():
    async with Run("wide", store="runs.db"):
        first = one()
        for number in range(5000):
            one(one(first))

asyncio.run(fill())
"""
    aiodag.write("fill.py", code)
    process = aiodag.start(python=("fill.py",))
    assert ended(process)[0] == 0

    terminal = Terminal(aiodag, "log", "wide", "--style", "tree")

    assert terminal.end() == 0
    assert terminal.drawn.count("\x1b[32m✓ one") == 10_001
    assert sys.getrecursionlimit() < 10_001


# What ends everything, and what is not to be had


EXITS = """
import sys
from aiodag import task
from aiodag.workflows import Workflow

@task
async def there() -> None:
    sys.exit(0)

@task(executor="thread")
def aside() -> None:
    sys.exit("enough")

flow = Workflow("flow")
flow.add(there)
"""


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("exits.py:there", "there() failed: SystemExit: 0"),
        ("exits.py:aside", "aside() failed: SystemExit: enough"),
        ("exits.py:flow", "there() failed: SystemExit: 0"),
    ],
)
def test_a_task_that_calls_exit_has_failed_and_is_told(aiodag, target, text):
    aiodag.write("exits.py", EXITS)

    _, err = aiodag("run", target, "--id", "one", code=1)
    document = aiodag.json("resume", "one", code=1)

    assert text in err
    assert (document["state"], document["value"]) == ("failed", None)
    assert text.partition(": ")[2] in document["error"]
    assert aiodag.json("runs")[0]["state"] == "failed"


@pytest.mark.parametrize("target", ["leaves.py", "leaves.json", "module.json"])
@pytest.mark.parametrize("typed", ["run", "plan", "graph", "register"])
def test_a_file_that_ends_the_process_while_it_is_loaded_is_told(aiodag, typed, target):
    aiodag.write("leaves.py", "import sys; sys.exit(3)")
    keep(aiodag, "leaves.json", {"a": {"task": "leaves.py:a"}})
    keep(aiodag, "module.json", {"a": {"task": "leaves:a"}})

    out, err = aiodag(typed, target, code=2)

    assert out == ""
    assert err.startswith("aiodag: ")
    assert "SystemExit: 3" in err or "sys.exit(3)" in err


NO_UTF_8 = os.fsdecode(b"n\xff")


@pytest.mark.parametrize(
    "typed",
    [
        ("run", "say.json", "--id", NO_UTF_8),
        ("run", "say.json", "-p", f"DAY={NO_UTF_8}"),
        ("run", NO_UTF_8),
        ("log", NO_UTF_8),
        ("show", NO_UTF_8),
        ("delete", NO_UTF_8),
        ("register", "say.json", "--name", NO_UTF_8),
        ("register", "say.json", "--name="),
    ],
)
def test_what_is_no_text_is_bad_input(aiodag, typed):
    keep(aiodag, "say.json", {"say": {"command": ["echo", "{{DAY}}"]}}, parameters={"DAY": ["x"]})

    out, err = aiodag(*typed, code=2)

    assert out == ""
    assert err.count("\n") == 1
    assert "--traceback" not in err
    assert "not valid UTF-8" in err or "surrogate" in err or "at least one character" in err
    assert aiodag.json("runs") == aiodag.json("list") == []


def test_a_workflow_without_a_name_that_can_be_recorded_is_refused_before_it_runs(aiodag):
    aiodag.write(
        "odd.py",
        """
from aiodag.commands import command
from aiodag.workflows import Workflow
flow = Workflow("flow")
flow.add(command("echo"), name="a\\ud800")
""",
    )

    _, err = aiodag("run", "odd.py", code=2)

    assert "name='a\\ud800' cannot work" in err
    assert "half of a surrogate pair" in err
    assert aiodag.json("runs") == []


def test_a_run_of_a_name_that_begins_like_an_option_can_be_resumed(aiodag):
    keep(aiodag, "odd.json", {"say": said("x")}, name="-rf\u2028")
    run = aiodag.json("run", "odd.json")["id"]

    assert run.startswith("rf_-")
    assert aiodag.json("resume", run)["recalled"] == 1


# Another definition


def test_a_run_does_not_go_on_with_a_file_that_says_it_is_another(aiodag):
    keep(aiodag, "etl.json", {"say": said("etl")}, name="etl")
    keep(aiodag, "job.json", {"say": said("job")}, name="job")
    aiodag.write("flow.py", FLOW)
    aiodag("run", "etl.json", "--id", "one")
    before = aiodag.json("show", "one")

    for typed in (["resume"], ["plan"]):
        for source, name in [("job.json", "job"), ("flow.py:flow", "flow"), ("flow.py:fetch", "fetch")]:
            _, err = aiodag(*typed, "one", "--from", source, code=2)
            assert f"{source} is {name!r}, and run 'one' is one of 'etl'" in err
    assert aiodag.json("show", "one") == before


def test_a_run_goes_on_with_a_file_that_has_its_name_or_none_or_is_its_own(aiodag):
    keep(aiodag, "etl.json", {"say": said("etl")}, name="etl")
    keep(aiodag, "same.json", {"say": said("same")}, name="etl")
    keep(aiodag, "none.json", {"say": said("none")})
    aiodag("register", "etl.json", "--name", "nightly")
    aiodag("run", "nightly", "--id", "two")
    aiodag("run", "etl.json", "--id", "one")

    aiodag("resume", "one", "--from", "same.json")
    aiodag("resume", "one", "--from", "none.json")
    keep(aiodag, "etl.json", {"say": said("edited")}, name="etl")
    aiodag("resume", "two", "--from", "etl.json")

    assert [each[0] for each in streams(aiodag, "one", "say")] == ["etl\n", "same\n", "none\n"]
    assert [each[0] for each in streams(aiodag, "two", "say")] == ["etl\n", "edited\n"]
    assert [each["name"] for each in aiodag.json("runs")] == ["nightly", "etl"]


def test_a_hook_that_fails_is_told_in_one_line(aiodag):
    keep(aiodag, "etl.json", {"a": {"command": ["true"]}}, on_success={"shell": "echo no post >&2; exit 3"})

    _, err = aiodag("run", "etl.json")
    _, quiet = aiodag("run", "etl.json", "--quiet")
    _, whole = aiodag.start("run", "etl.json", "--traceback").communicate()

    failed = re.compile(r"^on_success .* failed: CommandFailed: .* ended with exit code 3: no post$", re.MULTILINE)
    assert len(failed.findall(err)) == 1
    assert "Traceback" not in err + quiet
    assert re.fullmatch(r"aiodag: on_success .*, a hook of run 'etl', failed: CommandFailed: .*: no post\n.*\n?", quiet)
    assert "Traceback" in whole
