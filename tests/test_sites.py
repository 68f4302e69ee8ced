"""Where tasks run by name: names in a file, a program, the settings and on the command line; what nobody has is refused."""

import asyncio
import json
import os

import pytest

from aiodag import OptionError, WorkflowError, task
from aiodag.cli import main
from aiodag.commands import command
from aiodag.programs import ProgramEnd
from aiodag.service import Service
from aiodag.workflows import Workflow, document_of, loads


class Moon:
    """A host that says its name, and has two cores."""

    def __init__(self, name="moon"):
        self.name = name
        self.closed = 0

    async def run(self, request, watch, /):
        watch.wrote("stdout", f"{self.name}: {' '.join(request.args)}".encode())
        watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))

    def refuse(self, resources, /):
        return f"{self.name} has 2 cores" if resources.get("cores", 0) > 2 else ""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Work in an empty directory with a store of its own, in which nothing names a host."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.delenv("AIODAG_DEFAULT_HOST", raising=False)


def written(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


LAB = '[hosts.lab]\ntype = "local"\nname = "lab bench"\n'
ECHO = {"command": ["echo", "hello"]}


def hosts_of(run_id):
    """Where the attempts of a run ran, as its records say."""
    service = Service()
    labels = {node.number: node.label for node in service.nodes(run_id)}
    return {labels[each.number]: each.facts["host"] for each in service.attempts(run_id)}


def test_a_workflow_has_hosts_by_name_and_one_for_commands_that_name_none():
    flow = Workflow("etl", hosts={"moon": Moon(), "sun": Moon("sun")}, default_host="sun")
    flow.add(command("sync", host="moon"), name="named")
    flow.add(command("sync"), name="unnamed")
    flow.add(command("echo", "here", host="local"), name="here")
    values = asyncio.run(flow.run())

    assert [values[name].stdout.strip() for name in ("named", "unnamed", "here")] == ["moon: sync", "sun: sync", "here"]


def test_who_runs_a_workflow_may_have_other_hosts_for_its_names():
    flow = Workflow("etl", hosts={"moon": Moon()}, default_host="moon")
    flow.add(command("sync"), name="sync")
    values = asyncio.run(flow.run(hosts={"moon": Moon("test")}))

    assert values["sync"].stdout == "test: sync"


def test_executors_are_named_the_same_way():
    here = []

    @task(executor="gpu")
    def named():
        here.append("named")

    @task
    def unnamed():
        here.append("unnamed")

    flow = Workflow("etl", executors={"gpu": "thread"}, executor="gpu")
    flow.add(named)
    flow.add(unnamed)
    asyncio.run(flow.run())

    assert sorted(here) == ["named", "unnamed"]


def test_names_that_nobody_has_are_refused_all_at_once_with_their_places(tmp_path):
    written(tmp_path / "aiodag.toml", LAB)
    document = {
        "hosts": {"hpc": {"type": "local"}},
        "default_host": "hcp",
        "executor": "gpo",
        "executors": {"gpu": "thread"},
        "tasks": {
            "a": {**ECHO, "host": "lob"},
            "b": {"task": "os:getcwd", "executor": "tread"},
            "c": {**ECHO, "host": "lab"},
        },
    }
    flow = loads(json.dumps(document, indent=1), "etl.json")
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(flow.run())

    assert [tuple(each) for each in caught.value.complaints] == [
        ("", "default_host is 'hcp', and no host has that name; did you mean 'hpc'?"),
        ("", "executor is 'gpo', and no executor has that name; did you mean 'gpu'?"),
        ("etl.json $.tasks.a", "'a' is to run on the host 'lob', and no host has that name; did you mean 'lab'?"),
        (
            "etl.json $.tasks.b",
            "'b' is to run on the executor 'tread', and no executor has that name; did you mean 'thread'?",
        ),
    ]


def test_what_a_host_can_never_have_is_refused_and_the_capacity_of_the_run_is_not_asked():
    flow = Workflow("etl", hosts={"moon": Moon()}, default_host="moon", capacity={"memory_mb": 1})
    flow.add(command("sync", resources={"cores": 2}), name="fits")
    flow.add(command("sync", resources={"cores": 3}), name="large")
    flow.add(command("sync", resources={"cores": 1}, host="local"), name="here")
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(flow.run())

    assert [each.text for each in caught.value.complaints] == [
        "'large' asks for cores 3, and moon has 2 cores",
        "'here' asks for cores 1, and there is no 'cores'. There are at most memory_mb 1",
    ]


@pytest.mark.parametrize(
    "given",
    [{"hosts": {"local": Moon()}}, {"executors": {"thread": "process"}}, {"hosts": ["moon"]}, {"hosts": {"": Moon()}}],
)
def test_a_name_that_is_taken_or_no_name_is_refused_where_a_workflow_is_made(given):
    with pytest.raises(OptionError):
        Workflow("etl", **given)


def test_the_command_line_says_where_commands_run_and_a_resume_goes_on_there(tmp_path, capsys):
    written(tmp_path / "aiodag.toml", LAB)
    file = written(tmp_path / "etl.json", {"tasks": {"a": {"shell": "test -e there"}, "b": {**ECHO, "host": "local"}}})

    assert main(["run", file, "--id", "one", "--host", "lab"]) == 1
    (tmp_path / "there").touch()
    assert main(["resume", "one"]) == 0
    assert hosts_of("one")["a"] == "lab bench" != hosts_of("one")["b"]
    main(["show", "one"])
    assert "--host lab" in capsys.readouterr().out


def test_a_default_host_of_the_settings_counts_where_a_workflow_names_none(monkeypatch, tmp_path):
    written(tmp_path / "aiodag.toml", f'default_host = "lab"\n{LAB}[hosts.other]\ntype = "local"\nname = "other"\n')
    plain = written(tmp_path / "plain.json", {"tasks": {"a": ECHO}})
    own = written(tmp_path / "own.json", {"default_host": "other", "tasks": {"a": ECHO}})
    assert main(["run", plain, "--id", "plain"]) == main(["run", own, "--id", "own"]) == 0
    assert main(["run", own, "--id", "typed", "--host", "local"]) == 0
    monkeypatch.setenv("AIODAG_DEFAULT_HOST", "local")
    assert main(["run", plain, "--id", "variable"]) == 0

    found = [hosts_of(run)["a"] for run in ("plain", "own", "typed", "variable")]
    assert found[:2] == ["lab bench", "other"]
    assert found[2] == found[3] not in found[:2]


@pytest.mark.parametrize("suffix", ["json", "py"])
@pytest.mark.parametrize("option", [["--host", "lob"], ["--executor", "gpu"]])
def test_a_wrong_name_on_the_command_line_ends_in_one_line_and_records_nothing(tmp_path, capsys, suffix, option):
    target = f"wants_{option[1]}.{suffix}"  # a module of its own: others are loaded already
    written(tmp_path / f"wants_{option[1]}.json", {"tasks": {"a": ECHO}})
    written(tmp_path / f"wants_{option[1]}.py", "from aiodag import task\n@task\nasync def main(): pass\n")

    assert main(["run", target, *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{option[0]} is '{option[1]}', and no" in line
    assert Service().runs() == []


def test_a_wrong_name_for_a_run_that_goes_on_is_told_as_it_was_typed(tmp_path, capsys):
    file = written(tmp_path / "etl.json", {"tasks": {"a": ECHO}})
    assert main(["run", file, "--id", "one"]) == 0
    capsys.readouterr()

    assert main(["resume", "one", "--host", "lob"]) == 2
    assert "--host is 'lob', and no host has that name" in capsys.readouterr().err


def test_a_python_entry_runs_its_commands_on_the_host_that_was_typed(tmp_path):
    written(tmp_path / "aiodag.toml", LAB)
    text = "from aiodag import task\nfrom aiodag.commands import command\n@task\nasync def main():\n    return (await command('echo')()).host\n"
    written(tmp_path / "lab_entry.py", text)

    assert main(["run", "lab_entry.py", "--id", "one", "--host", "lab"]) == 0
    assert Service().entry("one").host == "lab"
    assert asyncio.run(Service().result("one")) == "lab bench"


def test_a_submitted_run_has_the_hosts_of_its_document_and_else_those_of_the_worker(tmp_path, capsys):
    own = {"hosts": {"lab": {"type": "local", "name": "of the document"}}, "tasks": {"a": {**ECHO, "host": "lab"}}}
    file = written(tmp_path / "own.json", own)
    other = written(tmp_path / "other.json", {"tasks": {"a": ECHO, "b": {**ECHO, "host": "lab"}}})
    main(["submit", file])
    main(["submit", other, "--host", "lab"])  # which nobody knows yet
    first, second = capsys.readouterr().out.split()
    written(tmp_path / "aiodag.toml", LAB.replace("lab bench", "of the worker"))
    for _ in range(2):
        assert main(["worker", "--once"]) == 0

    assert hosts_of(first) == {"a": "of the document"}
    assert hosts_of(second) == {"a": "of the worker", "b": "of the worker"}


def test_what_a_submitted_run_asks_of_a_host_is_for_its_worker_to_check(tmp_path, capsys):
    tasks = {"a": {**ECHO, "host": "lab", "resources": {"cores": 1}}}
    file = written(tmp_path / "etl.json", {"tasks": tasks})

    assert main(["submit", file]) == 0
    run_id = capsys.readouterr().out.strip()
    written(tmp_path / "aiodag.toml", LAB)
    main(["worker", "--once"])
    main(["show", run_id])
    assert "'a' asks for cores 1, and the workflow has no capacity" in capsys.readouterr().out


def test_a_run_whose_worker_does_not_know_a_name_fails_with_all_of_them(tmp_path, capsys):
    file = written(tmp_path / "etl.json", {"tasks": {"a": {**ECHO, "host": "lob"}, "b": {**ECHO, "host": "lib"}}})
    main(["submit", file])
    run_id = capsys.readouterr().out.strip()
    main(["worker", "--once"])
    main(["show", run_id])

    assert all(f"the host '{name}', and no host has that name" in capsys.readouterr().out for name in ("lob",))
    assert Service().run(run_id).state.value == "failed"


def test_a_program_without_a_file_records_where_it_was_sent():
    flow = Workflow("etl", hosts={"lab": {"type": "local", "name": "bench"}})
    flow.add(command("echo"), name="a")
    service = Service("memory:sites")
    target = service.elsewhere(flow, host="lab")
    asyncio.run(service.start(target, run_id="one"))

    assert document_of(target)["default_host"] == "lab"
    assert json.loads(service.run("one").definition)["default_host"] == "lab"


def test_relative_paths_of_a_document_are_those_of_its_file(tmp_path):
    document = {"hosts": {"lab": {"type": "ssh", "address": "node1", "key": "keys/id"}}, "tasks": {}}
    flow = loads(json.dumps(document), f"{tmp_path}/flows/etl.json")

    assert document_of(flow)["hosts"]["lab"]["key"] == f"{tmp_path}/flows/keys/id"


def test_hosts_are_listed_with_what_they_have_and_one_that_is_down_is_told(tmp_path, capsys):
    text = """[hosts.lab]
type = "pool"
targets = [{ type = "local", name = "a", resources = { cores = 2 } }, { type = "local", name = "b" }]
[hosts.far]
type = "agent"
address = "http://127.0.0.1:1"
token_file = "token"
"""
    written(tmp_path / "aiodag.toml", text)
    (tmp_path / "token").write_text("one-of-many-secrets")
    (tmp_path / "token").chmod(0o600)

    assert main(["hosts", "lab"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [["lab", "local", "a", "ready", "-", "cores=2"], ["lab", "local", "b", "ready", "-", "-"]]
    assert main(["hosts", "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert [(each["host"], each["state"]) for each in found] == [
        ("local", "ready"),
        ("lab", "ready"),
        ("lab", "ready"),
        ("far", "unreachable"),
    ]
    assert "127.0.0.1:1" in shown.err
    assert main(["hosts", "lob"]) == 2
    assert "did you mean 'lab'" in capsys.readouterr().err


def test_names_of_hosts_and_executors_are_completed(tmp_path, capsys):
    written(tmp_path / "aiodag.toml", f'{LAB}[executors]\ngpu = "thread"\n')
    main(["completion", "--words", "hosts"])
    main(["completion", "--words", "executors"])

    assert capsys.readouterr().out.split() == ["local", "lab", "thread", "process", "gpu"]


def test_a_capacity_is_not_asked_for_what_runs_on_a_host_that_counts_itself(tmp_path):
    """Also where only the settings or the command line say where it runs: the file alone would be refused."""
    pool = '[hosts.lab]\ntype = "pool"\ntargets = [{ type = "local", name = "a", resources = { cores = 64 } }]\n'
    document = {"capacity": {"cores": 1}, "tasks": {"a": {**ECHO, "resources": {"cores": 64}}}}
    file = written(tmp_path / "etl.json", document)
    written(tmp_path / "aiodag.toml", pool)

    assert main(["run", file]) == 2
    assert main(["run", file, "--id", "typed", "--host", "lab"]) == 0
    assert main(["resume", "typed", "--again", "a"]) == 0
    written(tmp_path / "aiodag.toml", f'default_host = "lab"\n{pool}')
    assert main(["run", file, "--id", "set"]) == 0
    assert hosts_of("typed") == hosts_of("set") == {"a": "a"}


def test_show_says_where_attempts_ran_if_that_is_not_where_their_run_is(tmp_path, capsys):
    written(tmp_path / "aiodag.toml", LAB)
    file = written(tmp_path / "etl.json", {"tasks": {"a": {**ECHO, "host": "lab"}, "b": ECHO}})
    main(["run", file, "--id", "one"])
    main(["run", written(tmp_path / "here.json", {"tasks": {"a": ECHO}}), "--id", "two"])
    capsys.readouterr()
    main(["show", "one"])
    here = os.uname().nodename
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    found = [[cell.strip() for cell in row if cell][5:] for row in rows if "#" in row[0]]
    main(["show", "two"])

    assert found == [["lab bench"], [here]]
    assert "WHERE" not in capsys.readouterr().out


BAD = """[hosts.far]
type = "agent"
address = "http://127.0.0.1:1"
token_file = "gone"
"""


def test_a_host_that_cannot_be_used_is_told_before_anything_runs_and_runs_without_it_go_on(tmp_path, capsys):
    far = {"type": "agent", "address": "http://127.0.0.1:1", "token_file": "gone"}
    used = {"hosts": {"far": far}, "tasks": {"a": {**ECHO, "host": "far"}, "b": ECHO}}
    assert main(["run", written(tmp_path / "used.json", used)]) == 2
    assert "'a' is to run on the host 'far', which cannot be used: " in capsys.readouterr().err
    assert Service().runs() == []
    unused = {"hosts": {"far": far}, "executors": {"gpu": {"type": "dask", "address": "x"}}, "tasks": {"a": ECHO}}
    assert main(["run", written(tmp_path / "unused.json", unused)]) == 0
    written(tmp_path / "aiodag.toml", BAD)
    assert main(["run", written(tmp_path / "plain.json", {"tasks": {"a": ECHO}})]) == 0
    capsys.readouterr()
    assert main(["run", written(tmp_path / "plain.json", {"tasks": {"a": {**ECHO, "host": "far"}}})]) == 2
    assert "which cannot be used" in capsys.readouterr().err
