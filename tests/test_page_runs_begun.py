"""Runs that are begun, and edited and resumed, from pages: behind a real server, without a script."""

import asyncio
import json
from contextlib import suppress
from html import unescape
from urllib.parse import quote

import pytest

from aiodag.service import Service
from tests.page_visitor import Markup, service, value_of_field, visitor

__all__ = ["service", "visitor"]  # fixtures

ETL = {
    "name": "etl",
    "params": {
        "day": {"type": "date", "description": "the day to load"},
        "rows": {"type": "int", "default": 3},
        "kind": {"type": "choice", "options": ["new", "old"], "default": "new"},
    },
    "jobs": {"load": {"stages": [{"name": "say", "echo": "hello"}]}},
}
STEPS = {
    "name": "steps",
    "tasks": {
        "one": {"command": ["true"]},
        "two": {"command": ["false"], "parents": ["one"]},
        "three": {"command": ["true"], "parents": ["two"]},
    },
}
RUN = "a/run #1 & <b>more</b>"


@pytest.fixture(scope="module")
def server(web_server):
    service = Service(web_server.store)
    for document in (ETL, STEPS):
        file = web_server.folder / f"{document['name']}.json"
        file.write_text(json.dumps(document))
        service.register(str(file), replace=True)
    service.close()
    return web_server


@pytest.fixture
def failed(server, service):
    """A run that has failed, at its second of three steps."""
    if service.store.runs(RUN):
        service.store.delete([RUN])
    with suppress(ExceptionGroup):
        asyncio.run(service.start(service.target(str(server.folder / "steps.json")), run_id=RUN))
    return f"/runs/{quote(RUN, safe='')}/edit"


def typed_in(page):
    """Return what stands in the form of a page on which a run is edited."""
    names = ("definition", "base", "execution", "seal", "again")
    return {name: value_of_field(page.text, name) for name in names}


def test_a_run_is_begun_from_the_form(visitor, service):
    fields = {"param-day": "2024-01-31", "param-rows": "3", "param-kind": "old", "priority": "2", "tags": "team=data"}

    answer = visitor.send("/workflows/etl/begin", fields, page="/workflows/etl")

    run = service.head(answer.headers["Location"].removeprefix("/runs/").partition("?")[0])
    assert (run.name, run.priority, run.tags) == ("etl", 2, {"team": "data"})
    assert run.entry["parameters"] == {"day": "2024-01-31", "kind": "old"}


def test_two_clicks_begin_one_run(visitor):
    page = visitor.open("/workflows/etl")
    fields = {"param-day": "2024-01-31", "key": value_of_field(page.text, "key")}

    answers = [visitor.send("/workflows/etl/begin", fields).headers["Location"] for _ in range(2)]

    assert answers[0] == answers[1]
    assert value_of_field(visitor.open("/workflows/etl").text, "key") != fields["key"]


def test_what_was_typed_wrong_comes_back_with_its_complaints_and_nothing_is_begun(visitor, service):
    before = len(service.runs(name="etl"))
    fields = {"param-day": "<monday>", "param-rows": "many", "param-kind": "newest", "at": "soon", "tags": "team"}

    page = visitor.send("/workflows/etl/begin", fields, status=422)

    assert {name: value_of_field(page.text, name) for name in fields} == fields
    wrong = [given.get("name") for _, given in Markup(page.text).tags if given.get("aria-invalid") == "true"]
    assert sorted(wrong) == sorted(fields)
    text = unescape(page.text)
    assert "'<monday>' is not a date" in text
    assert "is not a whole number" in text
    assert len(service.runs(name="etl")) == before


def test_a_parameter_that_is_missing_is_marked(visitor):
    page = visitor.send("/workflows/etl/begin", {"param-day": ""}, status=422)

    assert "has to be given" in page.text


def test_what_only_the_queue_refuses_is_said_on_the_form(visitor, service):
    service.add_queue("full")
    service.drain_queue("full")

    page = visitor.send("/workflows/etl/begin", {"param-day": "2024-01-31", "queue": "full"}, status=409)

    assert "draining" in page.text
    assert value_of_field(page.text, "param-day") == "2024-01-31"


def test_the_plan_is_shown_first_and_what_was_planned_is_resumed(visitor, service, failed):
    fields = typed_in(visitor.open(failed))
    document = json.loads(fields["definition"])
    document["tasks"]["two"]["command"] = ["true"]
    fields["definition"] = json.dumps(document, indent=2)

    page = visitor.send(failed, {**fields, "step": "resume"}, status=200)

    text = Markup(page.text).text
    assert service.head(RUN).state.value == "failed"
    assert "two is edited" in text
    assert '- "false"' in text
    assert '+ "true"' in text

    answer = visitor.send(failed, {**typed_in(page), "step": "resume"})

    assert answer.headers["Location"] == f"/runs/{quote(RUN, safe='')}?done=resumed"
    assert service.head(RUN).state.value == "queued"


def test_what_was_changed_after_the_plan_is_planned_anew(visitor, service, failed):
    page = visitor.send(failed, {**typed_in(visitor.open(failed)), "step": "plan"}, status=200)

    page = visitor.send(failed, {**typed_in(page), "again": "one", "step": "resume"}, status=200)

    assert "not what was planned before" in page.text
    assert "one is asked for" in Markup(page.text).text
    assert service.head(RUN).state.value == "failed"


def test_a_definition_with_faults_comes_back_with_their_places(visitor, service, failed):
    fields = typed_in(visitor.open(failed))
    fields["definition"] = fields["definition"].replace('"command"', '"comand"', 1)

    page = visitor.send(failed, {**fields, "step": "plan"}, status=422)

    assert "did you mean" in page.text
    assert "tasks.one.comand" in page.text
    assert value_of_field(page.text, "definition") == fields["definition"]
    assert visitor.send(failed, {**fields, "definition": "{half", "step": "plan"}, status=422)
    assert "no node 'nobody'" in unescape(
        visitor.send(failed, {**typed_in(visitor.open(failed)), "again": "nobody"}, status=422).text
    )
    assert service.head(RUN).state.value == "failed"


def test_a_definition_of_megabytes_is_edited(visitor, failed):
    fields = typed_in(visitor.open(failed))
    document = json.loads(fields["definition"])
    document["description"] = "x" * 3_000_000

    page = visitor.send(failed, {**fields, "definition": json.dumps(document), "step": "plan"}, status=200)

    assert "two failed" in Markup(page.text).text
    assert len(page.body) < 7_000_000


def test_of_two_people_the_second_sees_what_the_first_has_changed(server, visitor, service, failed):
    mine = typed_in(visitor.open(failed))
    document = json.loads(mine["definition"])
    document["tasks"]["two"]["command"] = ["echo", "theirs"]
    (server.folder / "theirs.json").write_text(json.dumps(document))
    asyncio.run(service.resume(RUN, source=str(server.folder / "theirs.json")))

    document["tasks"]["two"]["command"] = ["echo", "mine"]
    page = visitor.send(failed, {**mine, "definition": json.dumps(document), "step": "resume"}, status=409)

    text = Markup(page.text).text
    assert "Somebody was faster" in text
    assert '+ "theirs"' in text
    assert json.loads(value_of_field(page.text, "definition"))["tasks"]["two"]["command"] == ["echo", "mine"]
    assert (service.head(RUN).execution, service.head(RUN).state.value) == (2, "succeeded")


def test_a_run_that_waits_in_its_queue_is_not_resumed(visitor, service):
    run_id = service.submit("steps")

    page = visitor.open(f"/runs/{run_id}/edit")
    assert "queued already" in page.text
    assert (
        "queued already" in visitor.send(f"/runs/{run_id}/edit", {**typed_in(page), "step": "resume"}, status=409).text
    )


def test_a_run_that_is_not_there_is_not_edited(visitor):
    visitor.open("/runs/nobody/edit", 404)
    visitor.send("/runs/nobody/edit", {"step": "resume"}, status=404)


def test_the_graph_of_a_workflow_is_drawn_before_anything_runs(visitor):
    page = visitor.open("/workflows/steps")

    assert 'aria-label="The graph of steps"' in page.text
    assert [name for name in ("one", "two", "three") if f">{name}<" in page.text] == ["one", "two", "three"]


def test_who_reloads_what_came_of_a_form_is_led_back_to_it(visitor):
    assert visitor.open("/workflows/etl/begin", 303).headers["Location"] == "/workflows/etl"
