"""Secrets in workflows that are written down; and what of them no store has."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from aiodag import EntryError, Run, RunFailed, Secret, WorkflowError, task
from aiodag.commands import command, shell
from aiodag.errors import StoreError
from aiodag.service import Service
from aiodag.workflows import Workflow, loads

TOKEN = "t0p-secret-of-files"
SECRET = {"$secret": "APP_TOKEN"}


@pytest.fixture(autouse=True)
def token(monkeypatch, secrets_forgotten):
    monkeypatch.setenv("APP_TOKEN", TOKEN)


def written(tmp_path, tasks, name="job.json"):
    file = tmp_path / name
    file.write_text(json.dumps({"name": "job", "tasks": tasks}))
    return str(file)


def in_store(store):
    """All that a store holds, as bytes; what a connection has not closed yet, too."""
    return b"".join(file.read_bytes() for file in store.parent.glob(f"{store.name}*"))


@task
async def login(user, tokens, *, extra=None):
    return len(tokens["main"]), extra


DOCUMENT = {
    "tasks": {
        "a": {
            "command": ["sh", "-c", "true", "sh", SECRET],
            "environment": {"TOKEN": SECRET, "OTHER": {"$secret": "B_TOKEN", "file": "/run/secrets/b"}, "GONE": None},
            "stdin": SECRET,
        },
        "b": {"shell": "cat", "arguments": {"stdin": SECRET, "env": {"TOKEN": SECRET}}, "parents": ["a"]},
        "c": {"shell": "true", "arguments": ["x", SECRET]},
        "d": {"task": "test_private:login", "arguments": {"user": "anna", "tokens": {"main": SECRET}}},
    }
}


def test_a_document_with_secrets_reads_the_same_again():
    flow = loads(json.dumps(DOCUMENT))

    assert flow["a"].task.fn.args[-1] == Secret("APP_TOKEN")
    assert flow["a"].task.fn.env["OTHER"] == Secret("B_TOKEN", file="/run/secrets/b")
    assert flow["d"].kwargs["tokens"] == {"main": Secret("APP_TOKEN")}
    assert flow.document()["tasks"] == {**DOCUMENT["tasks"], "c": {**DOCUMENT["tasks"]["c"]}}


def test_the_schema_takes_it():
    jsonschema = pytest.importorskip("jsonschema")
    from importlib.resources import files

    schema = json.loads(files("aiodag.workflows.files").joinpath("schema.json").read_text())

    jsonschema.Draft202012Validator(schema).validate(DOCUMENT)


@pytest.mark.parametrize(
    "wrong",
    [{"$secret": ""}, {"$secret": 7}, {"$secret": "A=B"}, {"$secret": "A", "file": ""}, {"$secret": "A", "x": 1}],
)
@pytest.mark.parametrize(
    "task",
    [
        lambda wrong: {"command": ["true", wrong]},
        lambda wrong: {"command": ["true"], "environment": {"A": wrong}},
        lambda wrong: {"command": ["true"], "stdin": wrong},
        lambda wrong: {"task": "test_private:login", "arguments": ["anna", {"main": wrong}]},
    ],
    ids=["command", "environment", "stdin", "arguments"],
)
def test_a_secret_that_cannot_be_is_refused_in_its_place(task, wrong):
    with pytest.raises(WorkflowError, match=r"tasks\.a\..*\$secret"):
        loads(json.dumps({"tasks": {"a": task(wrong)}}))


@pytest.mark.parametrize("key", ["environment", "stdin"])
def test_no_complaint_shows_what_may_be_a_secret(key):
    wrong = {"A": "hunter2\0"} if key == "environment" else "hunter2\ud800"

    with pytest.raises(WorkflowError) as caught:
        loads(json.dumps({"tasks": {"a": {"command": ["true"], key: wrong}}}))

    assert "hunter2" not in str(caught.value)


def test_tasks_of_a_file_get_the_text(tmp_path, service_at):
    test = 'test "$1$TOKEN$(cat)" = "$EXPECTED"'
    tasks = {
        "a": {
            "shell": test,
            "arguments": [SECRET],
            "environment": {"TOKEN": SECRET, "EXPECTED": TOKEN * 3},
            "stdin": SECRET,
        },
        "d": {"task": "test_private:login", "arguments": {"user": "anna", "tokens": {"main": SECRET}, "extra": 1}},
    }
    service = service_at(tmp_path / "runs.db")

    values = asyncio.run(service.start(service.target(written(tmp_path, tasks)), run_id="r"))

    assert values["a"].code == 0
    assert values["d"] == (len(TOKEN), 1)
    assert TOKEN.encode() not in in_store(tmp_path / "runs.db")


def test_a_generator_can_give_tasks_with_secrets(tmp_path, service_at):
    given = json.dumps(
        {"made": {"shell": 'test "$TOKEN" = "$1"', "arguments": [SECRET], "environment": {"TOKEN": SECRET}}}
    )
    tasks = {"gen": {"command": ["printf", "%s", given], "generator": True}}
    service = service_at(tmp_path / "runs.db")

    values = asyncio.run(service.start(service.target(written(tmp_path, tasks))))

    assert values["made"].code == 0


def test_a_function_that_generates_gets_the_text():
    async def tasks_for(token):
        return {"made": {"command": ["echo", str(len(token))]}}

    flow = Workflow("job")
    flow.add(tasks_for, Secret("APP_TOKEN"), generator=True)

    values = asyncio.run(flow.run())

    assert values["made"].stdout == f"{len(TOKEN)}\n"


def test_a_parameter_chooses_which_secret_a_command_gets(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "token-of-a")
    monkeypatch.setenv("B_TOKEN", "token-of-b")
    secret = {"$secret": "{{SITE}}_TOKEN"}
    task = {
        "shell": 'test "$1$TOKEN$(cat)" = "$EXPECTED"',
        "arguments": [secret],
        "environment": {"TOKEN": secret, "EXPECTED": "{{WORD}}{{WORD}}{{WORD}}"},
        "stdin": secret,
        "parameters": {"SITE": ["A"], "WORD": ["token-of-a"]},
    }
    other = {**task, "parameters": {"SITE": ["B"], "WORD": ["token-of-b"]}}

    values = asyncio.run(loads(json.dumps({"tasks": {"a": task, "b": other}})).run())

    assert [each.code for each in (*values["a"], *values["b"])] == [0, 0]


# What no store has

PLAIN = {
    "a": {"shell": "exit 3", "environment": {"TOKEN": "hunter22", "LEVEL": 2, "NONE": None, "DAY": "{{DAY}}"}},
    "b": {"command": ["cat"], "stdin": "hunter22", "parents": ["a"]},
    "c": {"command": ["cat"], "arguments": {"stdin": "hunter22", "env": {"TOKEN": "hunter22"}}},
}


@pytest.fixture
def failed(tmp_path, service_at):
    """A run of a file with plain values, which has failed."""
    tasks = {**PLAIN, "a": {**PLAIN["a"], "parameters": {"DAY": ["mon"]}}}
    service = service_at(tmp_path / "runs.db")
    with pytest.raises(Exception, match="exit code 3"):
        asyncio.run(service.start(service.target(written(tmp_path, tasks)), run_id="r"))
    return service


def test_the_definition_of_a_run_has_marks_for_variables_and_stdin(failed, tmp_path):
    tasks = json.loads(failed.run("r").definition)["tasks"]

    assert tasks["a"]["environment"] == {"TOKEN": "***", "LEVEL": "***", "NONE": None, "DAY": "{{DAY}}"}
    assert tasks["b"]["stdin"] == tasks["c"]["arguments"]["stdin"] == tasks["c"]["arguments"]["env"]["TOKEN"] == "***"
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        kept = [str(row) for row in connection.execute("select * from definitions")]
    assert "hunter22" not in "".join(kept)


def test_a_run_goes_on_with_the_values_of_its_file(failed, tmp_path):
    plan = asyncio.run(failed.plan("r"))

    with pytest.raises(Exception, match="exit code 3"):
        asyncio.run(failed.resume("r"))

    assert (plan.run, plan.recalled) == (["a[DAY=mon]", "b"], 1)
    assert len(failed.definitions("r")) == 1


@pytest.mark.parametrize("change", ["gone", "edited"])
def test_a_run_whose_values_are_gone_is_refused_and_says_what_to_do(failed, tmp_path, change):
    file = tmp_path / "job.json"
    why = "has other ones now"
    if change == "gone":
        file.unlink()
        why = "there is no workflow in .* any more"
    else:
        file.write_text(file.read_text().replace('"TOKEN": "hunter22", "LEVEL"', '"TOKEN": "hunter33", "LEVEL"'))

    with pytest.raises(
        EntryError, match=rf"task 'a' needs values of its environment or stdin.*{why}.*--from.*\$secret"
    ) as caught:
        asyncio.run(failed.resume("r"))

    assert "hunter" not in str(caught.value)


def test_an_edited_variable_is_a_change_that_can_be_seen(failed, tmp_path):
    file = tmp_path / "job.json"
    file.write_text(file.read_text().replace('"TOKEN": "hunter22", "LEVEL"', '"TOKEN": "hunter33", "LEVEL"'))

    with pytest.raises(Exception, match="exit code 3"):
        asyncio.run(failed.resume("r", source=str(file)))

    assert failed.changes("r")[-1].changed == ["a"]


def test_a_run_without_plain_values_needs_no_file(tmp_path, service_at):
    tasks = {
        "a": {
            "shell": f"test -e {tmp_path}/go",
            "environment": {"TOKEN": SECRET, "NONE": None},
            "stdin": {"file": "/dev/null"},
        }
    }
    file = written(tmp_path, tasks)
    service = service_at(tmp_path / "runs.db")
    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(service.start(service.target(file), run_id="r"))
    (tmp_path / "job.json").unlink()
    (tmp_path / "go").touch()

    asyncio.run(service.resume("r"))

    assert str(service.run("r").state) == "succeeded"


def test_a_registered_workflow_has_marks_and_runs_with_the_values_of_its_file(tmp_path, service_at):
    tasks = {"a": {"shell": 'test "$TOKEN" = hunter22', "environment": {"TOKEN": "hunter22"}}}
    file = written(tmp_path, tasks)
    service = service_at(tmp_path / "runs.db")
    record = service.register(file)

    values = asyncio.run(service.start(service.target("job")))

    assert values["a"].code == 0
    assert "hunter22" not in record.document.replace("= hunter22", "")
    (tmp_path / "job.json").unlink()
    with pytest.raises(EntryError, match="task 'a' needs values"):
        service.target("job")


def test_the_definition_of_a_workflow_in_python_has_marks(tmp_path, service_at):
    flow = Workflow("job")
    flow.add(command("true", env={"TOKEN": "hunter22"}, stdin="hunter22"), name="a")
    flow.add(shell("true"), name="b", env={"TOKEN": "hunter22"}, stdin=b"hunter22")
    flow.add(login, "anna", {"main": Secret("APP_TOKEN")})

    asyncio.run(flow.run(store=str(tmp_path / "runs.db"), id="r"))

    text = service_at(tmp_path / "runs.db").run("r").definition
    assert "hunter22" not in text
    assert json.loads(text)["tasks"]["login"]["arguments"] == ["anna", {"main": SECRET}]
    assert flow.document()["tasks"]["a"]["stdin"] == "hunter22"


def test_a_run_of_1_2_0_whose_definition_hides_nothing_goes_on_without_its_file(tmp_path, service_at):
    tasks = {"a": {"shell": f"test -e {tmp_path}/go", "environment": {"LEVEL": "high"}}}
    file = written(tmp_path, tasks)
    service = service_at(tmp_path / "runs.db")
    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(service.start(service.target(file), run_id="r"))
    plain = json.dumps({"name": "job", "tasks": tasks})
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        connection.execute("update definitions set document = ?", (plain,))
    (tmp_path / "job.json").unlink()
    (tmp_path / "go").touch()

    asyncio.run(service.resume("r"))

    assert str(service.run("r").state) == "succeeded"
    assert service.changes("r")[-1].changed == []


def test_a_run_of_1_2_0_goes_on_without_its_file_as_often_as_it_takes(tmp_path, service_at):
    tasks = {"a": {"shell": 'test -e "$GO"', "environment": {"GO": f"{tmp_path}/go"}}}
    service = service_at(tmp_path / "runs.db")
    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(service.start(service.target(written(tmp_path, tasks)), run_id="r"))
    plain = json.dumps({"name": "job", "tasks": tasks})
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        connection.execute("update definitions set document = ?", (plain,))
    (tmp_path / "job.json").unlink()
    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(service.resume("r"))
    (tmp_path / "go").touch()

    asyncio.run(service.resume("r"))

    assert str(service.run("r").state) == "succeeded"
    assert [text for _, text in service.definitions("r")] == [plain]


def test_a_workflow_of_1_2_0_that_is_changed_before_it_goes_on_is_recorded_as_it_is(tmp_path, service_at):
    tasks = {"a": {"shell": "exit $CODE", "environment": {"CODE": "1"}}}
    service = service_at(tmp_path / "runs.db")
    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(service.start(service.target(written(tmp_path, tasks)), run_id="r"))
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        connection.execute("update definitions set document = ?", (json.dumps({"name": "job", "tasks": tasks}),))
    flow = service.again("r").target
    flow.add(command("true"), name="b")

    with pytest.raises(Exception, match="exit code 1"):
        asyncio.run(flow.run(service.store, "r"))

    assert json.loads(service.run("r").definition)["tasks"].keys() == {"a", "b"}


async def test_labels_of_a_run_without_a_workflow_hide_secrets_too(tmp_path, service_at):
    async with Run("etl", store=str(tmp_path / "runs.db"), id="r"):
        await login("anna", {"main": Secret("APP_TOKEN")}, extra=Secret("APP_TOKEN").name)

    assert [node.label for node in service_at(tmp_path / "runs.db").nodes("r")] == ["login('anna', …)"]


def hooked(tmp_path, url):
    file = tmp_path / "job.json"
    hooks = {"on_success": {"command": ["true"]}, "on_failure": [{"url": url, "retries": 0}, {"shell": "true"}]}
    file.write_text(json.dumps({"name": "job", **hooks, "tasks": {"a": {"shell": "exit 3"}}}))
    return str(file)


def test_no_store_has_the_url_of_a_hook_and_runs_and_registered_workflows_find_it_again(tmp_path):
    path = "services/T0/who-has-this-may-post"
    file, store = hooked(tmp_path, f"http://127.0.0.1:9/{path}"), tmp_path / "runs.db"
    service = Service(str(store))
    service.register(file)
    for target in (file, "job"):
        with pytest.raises(RunFailed):
            asyncio.run(service.start(service.target(target), run_id=f"r{len(target)}"))
    again = service.again("r3").target

    assert path.encode() not in in_store(store)
    assert [each.fn.url for each in again.hooks["on_failure"][:1]] == [f"http://127.0.0.1:9/{path}"]

    with pytest.raises(StoreError, match=r"no workflow 'jib' is registered in .*; there is 'job'"):
        service.export("jib")
    copy = Service(str(tmp_path / "copy.db"))
    copy.take_in(json.dumps(service.export()))
    assert copy.target("job")

    hooked(tmp_path, "http://127.0.0.1:9/another")
    with pytest.raises(EntryError, match=r"on_failure needs its URLs, which no store has, and .* has other ones now"):
        service.target("job")
    service.store.close()
    copy.store.close()
