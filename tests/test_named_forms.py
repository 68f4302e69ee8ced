"""Files with several workflows, the folders they are found in, and triggers that are named there."""

import json
import os

import pytest

from aiodag.cli import main
from aiodag.errors import EntryError, WorkflowError
from aiodag.service import Service
from aiodag.workflows.files.folders import look_through
from aiodag.workflows.files.load import load, loads
from aiodag.workflows.files.named_forms import named_forms
from aiodag.workflows.files.named_triggers import NamedTriggers
from aiodag.workflows.files.sources import document_in_text

TWO = """
.defaults: &defaults {retries: 2}
every-5:
  type: on.On
  cron: "*/5 * * * *"
one:
  type: ddeutil.workflow.pipeline.Pipeline
  tasks:
    a: {<<: *defaults, command: [echo, a]}
two:
  tasks:
    b: {command: [echo, b]}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaints(text, **options):
    with pytest.raises(WorkflowError) as caught:
        loads(text, "flow.yaml", **options)
    return [str(each) for each in caught.value.complaints]


def kinds(text):
    return {each.name: each.kind for each in named_forms(document_in_text(text, "flow.yaml")).found}


# What a file has


def test_a_file_has_workflows_and_triggers_by_their_names():
    assert kinds(TWO) == {"every-5": "trigger", "one": "workflow", "two": "workflow"}
    assert loads(TWO, "flow.yaml", name="one").document() == {
        "name": "one",
        "tasks": {"a": {"command": ["echo", "a"], "retries": 2}},
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("pipeline.Pipeline", "workflow"),
        ("Workflow", "workflow"),
        ("workflow.Workflow", "workflow"),
        ("on.On", "trigger"),
        ("Crontab", "trigger"),
        ("schedule.Schedule", "schedule"),
    ],
)
def test_the_last_word_of_a_type_says_what_it_is(given, kind):
    assert kinds(f"a: {{type: {given}, tasks: {{}}}}") == {"a": kind}


def test_a_file_that_is_a_workflow_itself_has_only_that():
    assert kinds("tasks: {a: {shell: exit 0}}") == {"": "workflow"}


def test_which_workflow_is_meant_must_be_said_where_there_are_several():
    assert complaints(TWO) == ["flow.yaml: has the workflows one, two: say which, such as flow.yaml:one"]
    assert complaints(TWO, name="on") == ["flow.yaml: has no workflow 'on'; did you mean 'one'? it has one, two"]
    assert complaints("tasks: {a: {shell: exit 0}}", name="a") == [
        "flow.yaml: is one workflow, and has none that is called 'a'"
    ]


def test_all_that_is_wrong_with_the_entries_is_said_at_once():
    text = "a: {type: workflw.Piepline}\nb: 3\nc: {type: 3}\nd: {cron: x}\n'e:f': {tasks: {}}\ng: {tasks: {}}\n"

    assert complaints(text, name="g") == [
        (
            "flow.yaml:1 $.a.type: is 'workflw.Piepline', and types are Workflow, Pipeline, On, Cron and Schedule; "
            "did you mean 'Pipeline'?"
        ),
        "flow.yaml:2 $.b: takes the definition of a workflow, a trigger or a schedule; this is the number 3",
        "flow.yaml:3 $.c.type: takes text, one of Workflow, Pipeline, On, Cron and Schedule; this is the number 3",
        'flow.yaml:4 $.d: has no "type", and neither "jobs" nor "tasks"; types are Workflow, Pipeline, On, Cron and Schedule. Anchors alone stand under a name that begins with a dot',
        'flow.yaml:5 $["e:f"]: cannot be a name: one is text without control characters and colons',
    ]


def test_complaints_of_one_workflow_have_its_path_in_the_file():
    assert complaints("one: {tasks: {}}\ntwo:\n  tasks:\n    b: {comand: [x]}\n", name="two") == [
        "flow.yaml:4 $.two.tasks.b.comand: is a key that is not known here; did you mean 'command'?"
    ]


# Triggers by name


def filled(on, *, own="", folder=None):
    members = named_forms(document_in_text(f"flow: {{tasks: {{}}, on: {json.dumps(on)}}}\n{own}", "flow.yaml"))
    triggers = NamedTriggers(members.of_kind("trigger"), lambda: look_through([str(folder)]))
    form, faults = triggers.fill(members.of_kind("workflow")["flow"].form)
    return form["on"], [text for _, text in faults]


def test_a_trigger_is_taken_from_the_same_file_first_and_else_from_folders(tmp_path):
    tmp_path.joinpath("on.yaml").write_text("daily: {type: On, cron: 0 0 * * *}\nhourly: {type: On, cron: 0 * * * *}\n")
    own = "daily: {type: On, cron: 5 0 * * *}\n"

    assert filled("daily", own=own, folder=tmp_path) == ({"cron": "5 0 * * *"}, [])
    assert filled("hourly", own=own, folder=tmp_path) == ({"cron": "0 * * * *"}, [])
    assert filled(["daily", {"cron": "1 1 * * *"}], folder=tmp_path) == (
        [{"cron": "0 0 * * *"}, {"cron": "1 1 * * *"}],
        [],
    )


def test_a_named_trigger_may_have_policies_of_its_own():
    assert filled(
        [{"name": "daily", "overlap": "skip"}], own="daily: {type: On, cron: 5 0 * * *, overlap: queue}\n"
    ) == (
        [{"cron": "5 0 * * *", "overlap": "skip"}],
        [],
    )


def test_a_name_that_no_trigger_has_is_a_fault_with_the_near_miss(tmp_path):
    on, faults = filled(
        ["dayly", "0 0 * * *", "@daily", "workflow_dispatch"], own="daily: {type: On, cron: x}\n", folder=tmp_path
    )

    assert on == ["0 0 * * *", "@daily", "workflow_dispatch"]
    assert faults == [
        "is 'dayly', and no trigger has that name in this file or in the folders of definitions; did you mean 'daily'?"
    ]


def test_a_trigger_that_two_files_define_is_a_fault_with_both_places(tmp_path):
    for name in ("a", "b"):
        tmp_path.joinpath(f"{name}.yaml").write_text("\ndaily: {type: On, cron: 0 0 * * *}\n")

    _, (fault,) = filled("daily", folder=tmp_path)

    assert fault == f"is 'daily', which {tmp_path}/a.yaml:2 $.daily and {tmp_path}/b.yaml:2 $.daily define"


# Folders


@pytest.mark.parametrize(("command", "folder"), [("validate", "link"), ("validate", "conf"), ("schedules add", "conf")])
def test_a_folder_with_two_paths_defines_its_names_once(here, capsys, monkeypatch, command, folder):
    monkeypatch.setenv("AIODAG_STORE", str(here / "runs.db"))
    conf = here / "conf"
    conf.mkdir()
    (conf / "moments.yaml").write_text("nightly: {type: Cron, cron: '0 6 * * *'}")
    (conf / "flow.yaml").write_text("flow: {on: nightly, jobs: {a: {stages: [{echo: a}]}}}")
    (here / "link").symlink_to(conf)
    for path in (folder, here / folder):  # the settings have conf
        assert main([*command.split(), f"{path}/flow.yaml"]) == 0, capsys.readouterr().err


def test_folders_have_what_their_files_define_and_say_what_is_wrong(tmp_path):
    tmp_path.joinpath("a.yaml").write_text(TWO)
    tmp_path.joinpath("below").mkdir()
    tmp_path.joinpath("below", "b.json").write_text('{"name": "nightly", "tasks": {}}')
    tmp_path.joinpath("below", "c.yml").write_text("\none: {tasks: {}}\n")
    tmp_path.joinpath("broken.yaml").write_text("a: [\n")
    tmp_path.joinpath("numbers.json").write_text("[1, 2]")
    tmp_path.joinpath("notes.txt").write_text("a")

    found = look_through([str(tmp_path)])

    assert found.names("workflow") == ["one", "two", "nightly"]
    assert [each.target for each in found.named("workflow", "nightly")] == [f"{tmp_path}/below/b.json"]
    broken, doubled = found.complaints
    assert str(broken).startswith(f"{tmp_path}/broken.yaml:2: is not valid YAML")
    assert str(doubled) == (
        f"{tmp_path}/below/c.yml:2 $.one: defines the workflow 'one', as {tmp_path}/a.yaml:6 $.one does: a name is defined once"
    )


def test_a_folder_that_is_not_there_has_nothing(tmp_path):
    assert look_through([str(tmp_path / "gone")]).kept == []


# In a service


def test_a_workflow_of_the_folder_is_begun_by_its_name(here, service_at):
    here.joinpath("conf").mkdir()
    here.joinpath("conf", "flow.yaml").write_text(TWO)
    service = service_at("memory:")

    target = service.target("one")

    assert target.name == "one"
    assert target.entry == {"file": str(here / "conf" / "flow.yaml"), "task": "one", "parameters": {}}
    with pytest.raises(EntryError, match="Did you mean 'two'"):
        service.target("twoo")


def test_a_name_that_two_files_define_is_refused_with_both(here, service_at):
    here.joinpath("conf").mkdir()
    for name in ("a", "b"):
        here.joinpath("conf", f"{name}.yaml").write_text(TWO)

    with pytest.raises(EntryError, match=r"conf/a.yaml:one and conf/b.yaml:one define a workflow of this name"):
        service_at("memory:").target("one")


def test_a_workflow_of_a_collection_is_registered_and_resumed_without_its_file(here, service_at):
    here.joinpath("flow.yaml").write_text(TWO)
    service = service_at("sqlite:///runs.db")
    record = service.register("flow.yaml:one")
    target = service.target("flow.yaml:two")
    here.joinpath("flow.yaml").unlink()

    assert record.target == f"{here}/flow.yaml:one"
    assert service.target("one").document()["tasks"]["a"]["command"] == ["echo", "a"]
    assert target.entry["task"] == "two"


def test_the_command_line_takes_yaml_wherever_it_takes_json(here, capsys):
    here.joinpath("flow.yaml").write_text(
        "name: etl\ntasks: {a: {command: [echo, a]}, b: {command: [echo, b], parents: [a]}}\n"
    )

    for words in (
        ["plan", "flow.yaml"],
        ["graph", "flow.yaml"],
        ["run", "flow.yaml", "--id", "monday"],
        ["plan", "monday", "--from", "flow.yaml"],
        ["resume", "monday", "--from", "flow.yaml"],
        ["register", "flow.yaml"],
        ["submit", "flow.yaml"],
        ["export", "-o", "exported.json"],
        ["import", "exported.json", "--replace"],
    ):
        assert main(["--store", "runs.db", *words]) == 0, capsys.readouterr().err


def test_load_finds_the_file_of_its_own_folder(here):
    here.joinpath("flow.yaml").write_text(TWO)

    assert load("flow.yaml", name="two").entry == {"file": str(here / "flow.yaml"), "task": "two", "parameters": {}}
    assert Service("memory:").target("flow.yaml:two").name == "two"


def listed(capsys, *words):
    capsys.readouterr()
    assert main(["--store", "runs.db", "list", *words]) == 0
    return capsys.readouterr()


def test_the_list_has_what_folders_define_and_says_what_is_wrong_there(here, capsys):
    here.joinpath("conf").mkdir()
    here.joinpath("conf", "flow.yaml").write_text(TWO)
    here.joinpath("conf", "broken.yaml").write_text("a: [\n")
    assert main(["--store", "runs.db", "run", "one"]) == 0
    assert main(["--store", "runs.db", "register", "two"]) == 0

    found = listed(capsys)
    documents = json.loads(listed(capsys, "--json").out)

    assert [line.split()[:2] for line in found.out.splitlines()[1:]] == [["two", "1"], ["one", "1"]]
    assert "conf/broken.yaml:2: is not valid YAML" in found.err
    assert [(each["name"], each["registered_at"] is None, each["runs"]) for each in documents] == [
        ("two", False, 0),
        ("one", True, 1),
    ]
    assert main(["completion", "--words", "names"]) == 0
    assert {"one", "two"} <= set(capsys.readouterr().out.split())


def test_a_list_is_imported_without_what_nobody_has_registered(here, capsys):
    here.joinpath("conf").mkdir()
    here.joinpath("conf", "flow.yaml").write_text(TWO)
    main(["--store", "runs.db", "register", "two"])
    here.joinpath("listed.json").write_text(listed(capsys, "--json").out)

    assert main(["--store", "other.db", "import", "listed.json"]) == 0
    assert "registered two" in capsys.readouterr().out


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    tmp_path.joinpath("flow.yaml").write_text("tasks: {}\n")

    assert look_through([str(tmp_path)]).names("workflow") == ["flow"]


def test_the_folders_are_read_once_for_all_names_that_a_file_does_not_have(tmp_path):
    members = named_forms(
        document_in_text("".join(f"w{n}: {{on: t{n}, tasks: {{}}}}\n" for n in range(100)), "flow.yaml")
    )
    read = []
    triggers = NamedTriggers({}, lambda: read.append(1) or look_through([str(tmp_path)]))

    for each in members.found:
        triggers.fill(each.form)

    assert read == [1]


def test_a_run_is_resumed_from_the_workflow_of_its_name_in_an_edited_file(here, capsys):
    here.joinpath("flow.yaml").write_text(TWO)
    main(["--store", "runs.db", "run", "flow.yaml:two", "--id", "monday"])
    here.joinpath("flow.yaml").write_text(TWO.replace("echo, b", "echo, edited"))
    capsys.readouterr()

    assert main(["--store", "runs.db", "resume", "monday", "--from", "flow.yaml"]) == 0
    assert "b | edited" in capsys.readouterr().err


def test_a_workflow_of_tasks_has_no_trigger_and_says_what_to_write():
    text = "daily: {type: On, cron: 0 6 * * *}\nflow:\n  on: daily\n  tasks: {a: {shell: exit 0}}\n"

    (only,) = complaints(text)

    assert only.startswith("flow.yaml:3 $.flow.on: is for workflows of jobs. Write a Schedule")
