"""The API of workflows, schedules, queues and messages: what it answers is what the command line prints of the same store."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from web_places import Place, bearer

from aiodag.records import WorkflowRecord
from aiodag.service import Service

HELLO = {"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}
DAYS = {
    "name": "days",
    "params": {
        "day": {"type": "date", "desc": "which"},
        "size": {"type": "choice", "options": ["s", "m"], "default": "s"},
    },
    "jobs": {"a": {"stages": [{"id": "say", "echo": "it is ${{ params.day }}"}]}},
}
ODD = "a/b ?<i>ü&#%2F"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("kept"))
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def ask(server):
    def ask(path, body=None, *, status=200, **more):
        answer = server.ask(f"/api/v1{path}", body, **more)
        assert answer.status == status, answer.text
        return answer.json() if answer.body else None

    return ask


@pytest.fixture
def printed(server):
    """What the command line prints of the store."""

    def printed(*words):
        command = [sys.executable, "-m", "aiodag", "--store", server.store, *words, "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    return printed


def service_of(server):
    return Service(server.store)


# Workflows


async def test_a_workflow_in_a_folder_is_shown_as_one_that_is_registered(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "days.json").write_text(json.dumps(DAYS))
    monkeypatch.chdir(tmp_path)
    place = Place()
    async with place.client(headers=bearer(place.operating)) as client:
        (listed,) = (await client.get("/api/v1/workflows")).json()
        one = (await client.get("/api/v1/workflows/days")).json()
        graph = (await client.get("/api/v1/workflows/days/graph.json")).json()
        gone = await client.delete("/api/v1/workflows/days")

    assert (one["name"], one["target"], one["registered_at"]) == ("days", listed["target"], None)
    assert (one["definition"], one["parameters"]["required"]) == (DAYS, ["day"])
    assert [node["name"] for node in graph["nodes"]] == ["a"]
    assert gone.status_code == 404
    assert "is not registered: it is" in gone.json()["detail"]


async def test_a_workflow_that_somebody_has_written_over_stops_no_other():
    place = Place()
    place.service.store.register(WorkflowRecord("torn", "torn.json", "{half", {}, datetime.now(UTC)))
    place.service.store.register(WorkflowRecord("whole", "", json.dumps(HELLO), {}, datetime.now(UTC)))
    async with place.client(headers=bearer(place.reading)) as client:
        listed = (await client.get("/api/v1/workflows")).json()
        shown = [await client.get(f"/api/v1/workflows/torn{rest}") for rest in ("", "/graph.json", "/graph.svg")]

    assert {each["name"]: each["definition"] for each in listed} == {"torn": {}, "whole": HELLO}
    assert [each.status_code for each in shown] == [200, 200, 200]


def test_a_workflow_is_registered_shown_and_forgotten(ask, printed):
    made = ask("/workflows", {"definition": DAYS, "name": "shown"}, status=201)
    listed, one = ask("/workflows"), ask("/workflows/shown")

    assert (made["name"], made["target"], made["definition"]) == ("shown", "", DAYS)
    assert listed == printed("list")
    assert {key: value for key, value in one.items() if key != "parameters"} in listed
    assert one["parameters"]["properties"]["day"] == {"type": "string", "format": "date", "description": "which"}
    assert one["parameters"]["properties"]["size"] == {"enum": ["s", "m"], "default": "s"}
    assert one["parameters"]["required"] == ["day"]
    assert [node["name"] for node in ask("/workflows/shown/graph.json")["nodes"]] == ["a"]
    assert len(ask("/workflows/shown/preview", {"parameters": {"day": "2026-01-31"}})["nodes"]) >= 1
    ask("/workflows/shown/preview", {"parameters": {"dya": "x"}}, status=422)
    ask("/workflows", {"definition": DAYS, "name": "shown"}, status=409)
    ask("/workflows", {"definition": DAYS, "name": "shown", "replace": True}, status=201)
    ask("/workflows/shown", method="DELETE", status=204)
    assert ask("/workflows/shwon", status=404)["error"] == "NotFound"


def test_all_that_is_wrong_with_a_definition_is_told_with_its_places(ask):
    problem = ask("/workflows", {"definition": {"tasks": {"a": {"comand": ["ls"]}, "b": {}}}}, status=422)

    assert problem["error"] == "WorkflowError"
    assert {each["place"] for each in problem["complaints"]} >= {"$.tasks.a.comand", "$.tasks.b"}


@pytest.mark.parametrize(("form", "begin"), [("svg", "<svg"), ("mermaid", "flowchart"), ("dot", "digraph")])
def test_the_graph_of_a_workflow_is_drawn_and_no_name_is_markup(server, ask, form, begin):
    tasks = {"<script>alert(1)</script>": {"command": ["ls"]}}
    ask("/workflows", {"definition": {"tasks": tasks}, "name": "drawn", "replace": True}, status=201)

    answer = server.ask(f"/api/v1/workflows/drawn/graph.{form}")

    assert answer.text.lstrip().startswith(begin)
    assert "<script>" not in answer.text or form == "dot"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    ask("/workflows/drawn/graph.gif", status=422)


def test_a_name_may_be_any_text(ask):
    ask("/workflows", {"definition": HELLO, "name": ODD}, status=201)

    assert ask(f"/workflows/{quote(ODD, safe='')}")["name"] == ODD
    near = ask(f"/workflows/{quote(ODD[:-1], safe='')}", status=404)
    assert near["near"] == ODD
    ask(f"/workflows/{quote(ODD, safe='')}", method="DELETE", status=204)
    ask("/workflows/..%2F..%2Fetc%2Fpasswd", status=404)


# Schedules


def test_a_schedule_is_put_shown_changed_run_and_dropped(ask, printed):
    ask("/workflows", {"definition": HELLO, "replace": True}, status=201)
    body = {"workflow": "hello", "trigger": "0 3 * * *", "overlap": "skip", "tags": {"team": "data"}}
    made = ask("/schedules/nightly", body, method="PUT")

    assert (made["name"], made["state"], made["overlap"], made["tags"]) == (
        "nightly",
        "active",
        "skip",
        {"team": "data"},
    )
    assert ask("/schedules") == printed("schedules")
    assert ask("/schedules/nightly") == printed("schedules", "nightly")
    assert len(ask("/schedules/nightly/next?number=5")) == 5
    assert ask("/schedules/nightly/pause", method="POST")["state"] == "paused"
    assert ask("/schedules/nightly/pause", method="POST", status=409)["error"] == "StoreError"
    assert ask("/schedules/nightly/resume", method="POST")["state"] == "active"
    begun = ask("/schedules/nightly/run", method="POST", status=202)
    assert ask(f"/runs/{begun['id']}")["schedule"] == "nightly"
    assert [each["run"] for each in ask("/schedules/nightly/firings")] == [begun["id"]]
    ask("/schedules/nightly", method="DELETE", status=204)
    assert ask("/schedules/nightly", status=404)["error"] == "NotFound"


def test_a_schedule_of_a_definition_has_its_name_and_parameters_of_the_moment_need_a_workflow(ask):
    named = ask("/schedules", {"definition": HELLO, "trigger": {"every": 3600}}, status=201)
    assert named["name"] == "hello"

    ask("/workflows", {"definition": DAYS, "replace": True}, status=201)
    body = {
        "workflow": "days",
        "trigger": "0 0 * * *",
        "parameters": {"day": "${{ release.logical_date | fmt('%Y-%m-%d') }}"},
    }
    assert ask("/schedules/daily", body, method="PUT")["parameters"] == body["parameters"]
    begun = ask("/schedules/daily/run", method="POST", status=202)
    assert len(ask(f"/runs/{begun['id']}")["entry"]["parameters"]["day"]) == 10
    ask("/schedules/other", {"definition": DAYS, **body, "workflow": None}, method="PUT", status=422)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"trigger": "0 3 * *"}, 422),
        ({"trigger": "61 3 * * *"}, 422),
        ({"trigger": {"every": -1}}, 422),
        ({"trigger": 5}, 422),
        ({"overlap": "never"}, 422),
        ({"workflow": "no such"}, 404),
        ({"workflow": "hello.json"}, 404),
        ({"workflow": None}, 422),
        ({"timezone": "Mars/Olympus"}, 422),
        ({"jitter": -1}, 422),
        ({"queue": "-x"}, 422),
        ({"name": "another"}, 422),
        ({"unknown": 1}, 422),
        ({"parameters": {"day": "x"}}, 422),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(ask, change, status):
    ask("/workflows", {"definition": HELLO, "replace": True}, status=201)

    ask("/schedules/wrong", {"workflow": "hello", "trigger": "0 3 * * *", **change}, method="PUT", status=status)

    ask("/schedules/wrong", status=404)


def test_a_backfill_is_begun_listed_and_ended(ask, printed):
    ask("/workflows", {"definition": HELLO, "replace": True}, status=201)
    ask("/schedules/filled", {"workflow": "hello", "trigger": "0 3 * * *"}, method="PUT")

    made = ask("/schedules/filled/backfills", {"start": "2026-01-01", "end": "2026-01-05", "limit": 2}, status=201)

    assert (made["schedule"], made["limit"], made["state"]) == ("filled", 2, "active")
    assert ask("/backfills?schedule=filled") == printed("backfill", "filled")
    assert ask(f"/backfills/{made['number']}/cancel", method="POST")["state"] == "cancelled"
    ask("/backfills/999999/cancel", method="POST", status=404)
    for start, end in (("soon", "2026-01-05"), ("2026-01-05", "2026-01-01"), ("2026-01-01T00:00", "2026-01-02")):
        ask("/schedules/filled/backfills", {"start": start, "end": end}, status=422)


# Queues and workers


def test_a_queue_is_added_paused_drained_and_opened(ask, printed):
    assert ask("/queues/slow", {"rate": 10, "per": 60}, method="PUT")["rate"] == 10
    assert ask("/queues/slow/pause", method="POST")["state"] == "paused"
    assert ask("/queues/slow/drain", method="POST")["state"] == "draining"
    ask("/runs", {"definition": HELLO, "queue": "slow"}, status=409)
    assert ask("/queues/slow/resume", method="POST")["state"] == "open"

    assert ask("/queues") == printed("queues")
    assert ask("/workers") == []
    assert ask("/queues/slwo/pause", method="POST", status=404)["near"] == "slow"
    for body in ({"rate": 0}, {"rate": 1.5}, {"per": 0}, {"per": "1"}, {"rat": 1}):
        ask("/queues/slow", body, method="PUT", status=422)


# Messages


def test_a_message_is_delivered_listed_and_known_again(ask, printed):
    body = {"key": "A17", "payload": {"amount": 3, "note": "<b>"}, "id": "m1", "headers": {"from": "test"}}
    first, again = ask("/messages/PAYMENT", body), ask("/messages/PAYMENT", body)

    assert (first, again["outcome"]) == ({"topic": "PAYMENT", "id": "m1", "outcome": "kept", "runs": []}, "duplicate")
    assert ask("/messages?topic=PAYMENT") == printed("messages", "--topic", "PAYMENT")
    assert ask("/topics") == printed("topics")
    assert ask("/waits") == printed("waits") == []
    assert ask("/messages?state=dead") == []
    assert ask("/messages/PAYMENT/redeliver", {"id": "m1"}, status=404)["error"] == "NotFound"
    ask("/messages/NOBODY", {"payload": 1, "strict": True}, status=404)
    for wrong in ({"ttl": -1}, {"to": "some"}, {"key": 3}, {"headers": {"a": 1}}, {"payloads": 1}):
        ask("/messages/PAYMENT", wrong, status=422)


def test_who_may_only_read_changes_nothing(server, ask):
    service = service_of(server)
    made = service.make_token("eyes", "read")
    service.close()
    token = made if isinstance(made, str) else made.token

    changes = [
        ("PUT", "/queues/q", {}),
        ("POST", "/queues/slow/pause", None),
        ("POST", "/workflows", {"definition": HELLO}),
        ("DELETE", "/workflows/hello", None),
        ("PUT", "/schedules/s", {"workflow": "hello", "trigger": "0 0 * * *"}),
        ("POST", "/schedules/s/run", None),
        ("POST", "/messages/PAYMENT", {}),
        ("POST", "/backfills/1/cancel", None),
    ]
    for method, path, body in changes:
        assert server.ask(f"/api/v1{path}", body, method=method, token=token).status == 403, path
        assert server.ask(f"/api/v1{path}", body, method=method, token=None).status == 401, path
    assert ask("/queues", token=token) == ask("/queues")
