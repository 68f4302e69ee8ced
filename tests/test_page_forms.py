"""The pages of workflows, schedules, queues, messages and audit lines, behind a real server, without a script."""

import json
import re
from html import unescape
from urllib.parse import quote

import pytest

from aiodag.mail import Incoming
from aiodag.service import Service
from tests.page_visitor import Markup, Visitor, service, value_of_field, visitor

__all__ = ["service", "visitor"]  # fixtures

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
DOCUMENT = {
    "name": "etl",
    "params": {"day": {"type": "date"}, "rows": {"type": "int", "default": 3}},
    "jobs": {"load": {"stages": [{"name": "say", "echo": "hello"}]}},
}


@pytest.fixture(scope="module")
def server(web_server):
    """A server over a store in which something is."""
    service = Service(web_server.store)
    for name, document in (("etl", DOCUMENT), (HOSTILE, DOCUMENT | {"name": "other", "description": HOSTILE})):
        file = web_server.folder / f"{document['name']}.json"
        file.write_text(json.dumps(document))
        service.register(str(file), name=name, replace=True)
    service.put_schedule("nightly", "etl", "0 3 * * *", {"day": "2024-01-31"}, timezone="Europe/Paris")
    service.put_schedule(HOSTILE, "etl", "@daily", {"day": "2024-01-31"}, tags={HOSTILE: HOSTILE})
    service.run_schedule(HOSTILE)
    service.add_queue(HOSTILE[:60])
    service.add_queue("slow", rate=3, per=60)
    service.deliver(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, id=HOSTILE)
    service.store.deliver([Incoming("PAYMENT", ["A17"], "m1", "3", dead="nobody waited")])
    service.close()
    return web_server


@pytest.fixture(scope="module")
def reader(server):
    service = Service(server.store)
    token = service.make_token("a-reader", "read")
    service.close()
    return Visitor(server, token)


PAGES = [
    "/workflows",
    "/workflows/etl",
    "/schedules",
    "/schedules/nightly",
    "/queues",
    "/workers",
    "/messages",
    "/messages?state=dead",
    "/audit",
]


@pytest.mark.parametrize("path", [*PAGES, f"/workflows/{'%s'}", f"/schedules/{'%s'}"])
def test_a_name_is_never_markup(visitor, path):

    page = visitor.open(path.replace("%s", quote(HOSTILE, safe="")))
    found = Markup(page.text)

    scripts = [given for tag, given in found.tags if tag == "script"]
    assert len(scripts) == 1
    assert scripts[0]["src"].startswith("/static/")
    assert not [given for tag, given in found.tags if tag == "img" and not given["src"].startswith("/")]
    assert not [given for _, given in found.tags if any(name.startswith("on") for name in given)]
    assert not [given for _, given in found.tags if "style" in given]


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/audit"])
def test_who_may_only_read_sees_no_button_that_changes(reader, path):
    forms = [given for given, _ in Markup(reader.open(path).text).forms if given.get("method") == "post"]

    assert [form["action"] for form in forms] == ["/logout"]


@pytest.mark.parametrize(
    "path", ["/schedules/nightly/pause", "/queues/slow/pause", "/queues", "/messages", "/workflows/etl/begin"]
)
def test_who_may_only_read_changes_nothing(reader, service, path):
    reader.send(path, {"topic": "X", "name": "made"}, status=403)

    assert service.schedule("nightly").state == "active"
    assert {each.name: each.state for each in service.queues()}["slow"] == "open"
    assert "made" not in {each.name for each in service.queues()}


def test_a_form_of_nobody_changes_nothing(visitor, service):
    visitor.post("/schedules/nightly/pause", [("form", "guessed")], status=403)
    visitor.post("/schedules/nightly/pause", [], status=403)

    assert service.schedule("nightly").state == "active"


def test_a_schedule_is_paused_and_goes_on_and_the_page_says_so(visitor, service):
    page = visitor.arrive(visitor.send("/schedules/nightly/pause"))
    assert "The schedule is paused" in page.text
    assert service.schedule("nightly").state == "paused"

    refused = visitor.send("/schedules/nightly/pause", status=409)
    assert "only an active one can be paused" in refused.text

    page = visitor.arrive(visitor.send("/schedules/nightly/resume", {"back": "list"}))
    assert "<h1>Schedules</h1>" in page.text
    assert "goes on with its next moment" in page.text
    assert service.schedule("nightly").state == "active"


def test_a_schedule_is_run_now(visitor, service):
    answer = visitor.send("/schedules/nightly/run")

    (run,) = service.runs(schedule="nightly")
    assert answer.headers["Location"] == f"/runs/{run.id}?done=submitted"
    assert run.id in visitor.open("/schedules/nightly").text


def test_next_moments_are_those_of_the_zone(visitor):
    page = Markup(visitor.open("/schedules/nightly").text)

    assert len(re.findall(r"\d{4}-\d\d-\d\d 03:00:00 CES?T", page.text)) == 10


def test_a_backfill_is_put_from_a_form_and_ended(visitor, service):
    wrong = visitor.send("/schedules/nightly/backfill", {"start": "monday", "end": "2024-02-01"}, status=422)
    assert value_of_field(wrong.text, "start") == "monday"
    assert "a day or a moment" in wrong.text

    visitor.send("/schedules/nightly/backfill", {"start": "2024-01-01", "end": "2024-02-01", "limit": "2"})
    (backfill,) = service.backfills("nightly")
    assert (backfill.start.isoformat(), backfill.limit, backfill.state) == ("2023-12-31T23:00:00+00:00", 2, "active")

    visitor.send(f"/backfills/{backfill.number}/cancel")
    assert service.backfill_numbered(backfill.number).state == "cancelled"


@pytest.mark.parametrize("change", ["pause", "resume", "drain"])
def test_a_queue_is_changed(visitor, service, change):
    page = visitor.arrive(visitor.send(f"/queues/slow/{change}"))

    assert 'class="notice' in page.text
    states = {"pause": "paused", "resume": "open", "drain": "draining"}
    assert {each.name: each.state for each in service.queues()}["slow"] == states[change]
    service.resume_queue("slow")


def test_what_cannot_be_done_with_a_queue_is_not_found(visitor):
    assert "pause, resume, drain" in visitor.send("/queues/slow/delete", status=404).text
    assert "did you mean" in visitor.send("/queues/slw/pause", status=404).text


def test_a_queue_is_added_from_a_form(visitor, service):
    wrong = visitor.send("/queues", {"name": "added", "rate": "many", "per": "60"}, status=422)
    assert value_of_field(wrong.text, "rate") == "many"
    wrong = visitor.send("/queues", {"name": "added", "rate": "5", "per": "a minute"}, status=422)
    assert "is not a number of seconds" in wrong.text

    visitor.send("/queues", {"name": "added", "rate": "5", "per": "60"})
    assert [(each.rate, each.per) for each in service.queues() if each.name == "added"] == [(5, 60.0)]


def test_a_message_is_delivered_from_a_form(visitor, service):
    wrong = visitor.send("/messages", {"topic": "ORDER", "payload": "{half"}, status=422)
    assert value_of_field(wrong.text, "payload") == "{half"

    page = visitor.arrive(visitor.send("/messages", {"topic": "ORDER", "key": "7", "payload": '{"n": 1}', "id": "o1"}))
    assert "kept: nobody waits" in page.text
    assert [(each.id, each.payload) for each in service.messages("ORDER")] == [("o1", '{"n":1}')]
    assert (
        "counted, and delivered to nobody"
        in visitor.arrive(visitor.send("/messages", {"topic": "ORDER", "id": "o1"})).text
    )


def test_a_dead_letter_is_delivered_again(visitor, service):
    page = visitor.open("/messages?state=dead")
    assert "nobody waited" in page.text

    visitor.send("/messages/redeliver", {"topic": "PAYMENT", "id": "m1"})
    assert [each.state for each in service.messages("PAYMENT")] == ["kept"]
    assert visitor.send("/messages/redeliver", {"topic": "PAYMENT", "id": "m1"}, status=404)


def test_what_was_changed_is_in_the_audit_and_a_token_is_revoked_there(server, visitor, service):
    token = service.make_token("to-go", "operate")
    gone = Visitor(server, token)
    visitor.send("/queues/slow/pause")
    visitor.send("/queues/slow/resume")

    page = Markup(visitor.open("/audit?about=slow").text)
    assert "change_queue_state slow 303" in page.text

    visitor.send("/tokens/to-go/revoke")
    assert gone.server.ask("/queues", headers={"Cookie": gone.cookie}, token=None).status in {303, 401}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/schedules/nightlx", 404),
        ("/workflows/etk", 404),
        ("/schedules?text=%00", 422),
        ("/messages?topic=%00", 422),
        ("/messages?state=lost", 422),
        ("/audit?before=-1", 422),
        ("/audit?before=99999999999999999999", 422),
        ("/workflows/..%2F..%2Fetc%2Fpasswd", 404),
        (f"/workflows?text={'x' * 501}", 422),
    ],
)
def test_what_is_not_there_or_cannot_be_asked_for_is_said(visitor, path, status):
    visitor.open(path, status)


def test_a_near_miss_is_suggested(visitor):
    assert "did you mean 'nightly'" in unescape(visitor.open("/schedules/nightlx", 404).text)
