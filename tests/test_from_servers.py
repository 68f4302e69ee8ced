"""The tables "Over HTTP" of the pages for those who come from other servers: each call in them is made, of a real server."""

import json
import re

import pytest
from programs import ROOT

from aiodag.service import Service

PAGES = ("coming-from-daggyr.md", "coming-from-ddeutil-workflow.md", "coming-from-dagger.md")
CALL = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`]*)`(?: with `(\{[^`]*\})`)?")
JOB = {"tags": {"env": "test"}, "parameters": {"DAY": ["monday", "friday"]}, "tasks": [
    {"class": "Pull", "details": {"command": ["echo", "{{DAY}}"]}, "parents": []},
    {"class": "Report", "details": {"command": ["echo", "done"]}, "parents": ["Pull"]},
]}  # fmt: skip
FLOW = {"params": {"name": "str"}, "jobs": {"hello": {"stages": [{"echo": "hello ${{ params.name }}"}]}}}


def calls_of(page):
    """Give the calls of the right column of a page's table, with their bodies."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("\n## Over HTTP\n")[2]
    for row in re.findall(r"^\| `?[^|]*\| ([^|\n]*) \|$", text, re.MULTILINE):
        yield from CALL.findall(row)


CALLS = [(page, *call) for page in PAGES for call in calls_of(page)]
# What stands for something in a body, by how it is written there.
BODIES = {
    '{"definition": {"tags", "tasks", "parameters"}}': {"definition": JOB},
    '{"workflow": "{name}", "parameters": {...}}': {"workflow": "greeting", "parameters": {"name": "ann"}},
    '{"definition": {"jobs": {...}}}': {"definition": {"jobs": {"one": {"stages": [{"echo": "hello"}]}}}},
    '{"workflow": "{name}", "trigger": "*/5 * * * *"}': {
        "workflow": "greeting", "trigger": "*/5 * * * *", "name": "five", "parameters": {"name": "ann"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server, and its store."""
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"))
    store = Service(server.store)
    yield server.start(), store
    store.close()
    server.remove()


@pytest.fixture
def there(served, tmp_path):
    """A server with a run that has ended, a workflow and a schedule; what stands for them in an address."""
    server, store = served
    (tmp_path / "greeting.json").write_text(json.dumps(FLOW))
    (tmp_path / "job.json").write_text(json.dumps({"name": "job", **JOB}))
    store.register(str(tmp_path / "greeting.json"), name="greeting", replace=True)
    store.put_schedule("nightly", "greeting", "0 3 * * *", {"name": "ann"})
    if store.schedule("nightly").state == "paused":  # by the call of another page
        store.resume_schedule("nightly")
    run_id = store.submit(str(tmp_path / "job.json"))
    return server, store, {"{id}": run_id, "{name}": "greeting", "{schedule}": "nightly", "{node}": "Report"}


@pytest.mark.parametrize(("page", "method", "path", "body"), CALLS)
def test_each_call_of_the_page_is_answered(there, page, method, path, body):
    server, store, words = there
    needs_end = path.endswith(("/resume", "/plan")) or (method, path) == ("DELETE", "/api/v1/runs/{id}")
    if needs_end and "/runs/" in path:
        store.cancel(words["{id}"])
    if path == "/api/v1/schedules/{schedule}/resume":
        store.pause_schedule("nightly")
    sent = None if not body else BODIES[body] if body in BODIES else json.loads(body)
    for word, value in words.items():
        path = path.replace(word, value)
    if path.endswith("/nodes/Report"):
        path = path.replace("Report", "0")
        assert server.ask(path).status == 404  # it has not begun, and has no nodes
        return

    answer = server.ask(path, sent, method=method) if not path.endswith("/events") else None

    if answer is not None:
        assert answer.status in {200, 201, 202, 204}, answer.text


def test_a_specification_of_daggyr_becomes_a_run(there):
    server, store, _ = there
    answer = server.ask("/api/v1/runs", {"definition": JOB})

    run = store.run(answer.json()["id"])

    assert answer.headers["Location"].endswith(f"/api/v1/runs/{run.id}")
    assert (dict(run.tags), list(json.loads(run.definition)["tasks"])) == ({"env": "test"}, ["Pull", "Report"])


def test_what_is_wrong_is_told_at_once_with_places(there):
    server, _, _ = there
    wrong = {**JOB, "tasks": [{"class": "A", "parents": ["B"], "details": {"command": 3}}]}

    answer = server.ask("/api/v1/runs", {"definition": wrong})

    assert answer.status == 422
    assert len(answer.json()["complaints"]) == 3


def test_every_page_has_calls():
    assert {page for page, *_ in CALLS} == set(PAGES)
    assert len(CALLS) > 40
