"""Runs that begin, go on and end over HTTP: with a worker in the server, which runs them."""

import json
import time

import pytest
from web_servers import PATIENCE

from aiodag.service import Service

pytest.importorskip("fastapi")

RUNS = "/api/v1/runs"
HELLO = {"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a worker, and a workflow that is registered."""
    from web_servers import WebServer

    folder = tmp_path_factory.mktemp("begin")
    (folder / "kept.json").write_text(json.dumps({**HELLO, "name": "kept"}))
    made = WebServer(folder, "--worker")
    service = Service(made.store)
    service.register(str(folder / "kept.json"))
    service.close()
    try:
        yield made.start()
    finally:
        made.remove()


def ended(server, run_id):
    end = time.monotonic() + PATIENCE
    while (found := server.ask(f"{RUNS}/{run_id}").json())["ended_at"] is None:
        assert time.monotonic() < end, found
        time.sleep(0.05)  # real time: a worker is another process
    return found


def begun(server, body, **more):
    answer = server.ask(RUNS, body, **more)
    assert answer.status == 202, answer.text
    return answer.json()["id"]


def test_a_definition_runs_and_its_address_is_told(server):
    answer = server.ask(RUNS, {"definition": HELLO, "tags": {"from": "http"}, "priority": 3})
    run = ended(server, answer.json()["id"])

    assert answer.status == 202
    assert answer.headers["Location"] == f"{RUNS}/{run['id']}"
    assert (run["state"], run["tags"], run["priority"], run["queue"]) == ("succeeded", {"from": "http"}, 3, "default")
    assert server.ask(f"{RUNS}/{run['id']}/output").json()[0]["text"] == "hello\n"


def test_a_registered_workflow_runs_by_its_name(server):
    run = ended(server, begun(server, {"workflow": "kept"}))

    assert (run["name"], run["state"]) == ("kept", "succeeded")


def test_a_workflow_in_yaml_is_a_body_of_its_own(server):
    text = "name: plain\ntasks:\n  greet:\n    command: [echo, hello]\n"
    headers = {"Content-Type": "application/yaml"}
    run = ended(server, begun(server, text, headers=headers))
    answer = server.ask(f"{RUNS}?tag=a=b&priority=2", text, headers=headers)

    assert (run["name"], run["state"]) == ("plain", "succeeded")
    found = ended(server, answer.json()["id"])
    assert (found["tags"], found["priority"]) == ({"a": "b"}, 2)


def test_a_key_begins_one_run_however_often_it_is_sent(server):
    key = {"Idempotency-Key": "monday"}
    first = begun(server, {"definition": HELLO}, headers=key)
    other = server.ask(RUNS, {"definition": {**HELLO, "name": "other"}}, headers=key)

    assert begun(server, {"definition": HELLO}, headers=key) == first
    assert other.status == 409
    assert "'monday'" in other.json()["detail"]


def test_all_that_is_wrong_with_a_definition_is_said_at_once_and_nothing_is_recorded(server):
    before = server.ask(f"{RUNS}?limit=1").json()
    wrong = {"name": "x", "tasks": {"a": {"comand": ["ls"]}, "b": {"command": ["ls"], "parents": ["c"]}}}
    document = server.ask(RUNS, {"definition": wrong}).json()

    assert document["status"] == 422
    assert {each["place"] for each in document["complaints"]} >= {"$.tasks.a.comand"}
    assert server.ask(f"{RUNS}?limit=1").json() == before


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 422, "either"),
        ({"workflow": "kept", "definition": HELLO}, 422, "either"),
        ({"workflow": "kpet"}, 404, "did you mean 'kept'"),
        ({"workflow": "kept", "queue": ""}, 422, "queue"),
        ({"workflow": "kept", "queue": "q" * 201}, 422, "queue"),
        ({"workflow": "kept", "queue": "nowhere", "strict": True}, 404, "no queue 'nowhere'"),
        ({"workflow": "kept", "priority": 2**31}, 422, "$.priority"),
        ({"workflow": "kept", "retries": -1}, 422, "$.retries"),
        ({"workflow": "kept", "expires": 0}, 422, "$.expires"),
        ({"workflow": "kept", "expires": 1e400}, 400, "JSON"),
        ({"workflow": "kept", "at": "tomorrow"}, 422, "$.at"),
        ({"workflow": "kept", "at": 1_800_000_000}, 422, "$.at"),
        ({"workflow": "kept", "at": "0001-01-01T00:00:00+23:59"}, 422, "years 1 to 9999"),
        ({"workflow": "kept", "tags": {"a": 1}}, 422, "$.tags.a"),
        ({"workflow": "kept", "parameters": {"day": 1}}, 422, "day"),
        ({"workflow": "kept", "priorty": 1}, 422, "did you mean 'priority'"),
        ({"definition": "tasks: ["}, 422, ""),
        ({"definition": ""}, 422, ""),
        ({"definition": {}}, 422, ""),
    ],
)
def test_what_cannot_begin_says_why(server, body, status, word):
    answer = server.ask(RUNS, body)

    assert (answer.status, word in answer.text) == (status, True), answer.text


def test_what_is_edited_runs_again_once_its_plan_was_seen(server):
    failing = {
        "name": "edited",
        "tasks": {"one": {"command": ["echo", "1"]}, "two": {"command": ["false"], "parents": ["one"]}},
    }
    mended = {**failing, "tasks": {**failing["tasks"], "two": {"command": ["echo", "2"], "parents": ["one"]}}}
    run_id = begun(server, {"definition": failing})
    assert ended(server, run_id)["state"] == "failed"

    plan = server.ask(f"{RUNS}/{run_id}/plan", {"definition": mended})
    resumed = server.ask(f"{RUNS}/{run_id}/resume", {"definition": mended})

    assert plan.json()["run"] == ["two"]
    assert (resumed.status, resumed.json()["id"]) == (202, run_id)
    run = ended(server, run_id)
    assert (run["state"], run["execution"]) == ("succeeded", 2)
    assert [each["changed"] for each in server.ask(f"{RUNS}/{run_id}/changes").json()] == [[], ["two"]]


def test_a_run_that_waits_is_cancelled_and_one_that_has_ended_is_not(server):
    run_id = begun(server, {"workflow": "kept", "at": "2100-01-01T00:00:00Z"})

    assert server.ask(f"{RUNS}/{run_id}/resume", {}).status == 409
    assert server.ask(f"{RUNS}/{run_id}/cancel", method="POST").json()["asked"] is True
    assert ended(server, run_id)["state"] == "cancelled"
    assert server.ask(f"{RUNS}/{run_id}/cancel", method="POST").json()["asked"] is False


def test_a_run_that_goes_on_is_neither_deleted_nor_queued_again(server):
    run_id = begun(server, {"definition": {"name": "long", "tasks": {"wait": {"command": ["sleep", "60"]}}}})
    end = time.monotonic() + PATIENCE
    while server.ask(f"{RUNS}/{run_id}").json()["state"] != "running":
        assert time.monotonic() < end
        time.sleep(0.05)  # real time: a worker is another process

    assert server.ask(f"{RUNS}/{run_id}", method="DELETE").status == 409
    assert server.ask(f"{RUNS}/{run_id}/resume", {}).json()["error"] == "RunOwned"
    server.ask(f"{RUNS}/{run_id}/cancel", method="POST")
    assert ended(server, run_id)["state"] == "cancelled"
