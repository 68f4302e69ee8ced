"""What the pages show of workflows, schedules, queues and messages, and of a run that is edited: without HTTP."""

import dataclasses
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aiodag import State, StoreError
from aiodag.records import Owner, WorkflowRecord
from aiodag.service import Service
from aiodag.web.page.beginning import begin_form, moment_typed, tags_typed, wanted_in_form
from aiodag.web.page.definition_diffs import LINES, MOST, definition_diff
from aiodag.web.page.message_views import LISTED, LONGEST, view_mail
from aiodag.web.page.queue_views import list_queues
from aiodag.web.page.resuming import (
    conflict_of,
    digest_of_text,
    is_same_definition,
    open_editor,
    preview_of,
    refusal_of_state,
)
from aiodag.web.page.run_views import may_resume
from aiodag.web.page.schedule_views import IN_LIST, list_schedules, view_schedule
from aiodag.web.page.workflow_views import list_workflows, view_workflow

JOBS = {
    "name": "etl",
    "description": "load a day",
    "params": {
        "day": {"type": "date"},
        "rows": {"type": "int", "default": 3},
        "full": {"type": "bool", "default": False},
        "kind": {"type": "choice", "options": ["new", "old"]},
        "queue": {"type": "str", "default": "first"},
        "more": {"type": "list", "default": [1, "b"]},
    },
    "jobs": {"load": {"stages": [{"name": "say", "echo": "hello"}]}},
}
TASKS = {
    "name": "plain",
    "parameters": {"day": ["mon", "tue"]},
    "tasks": {"load": {"command": ["echo", "{{day}}"]}, "done": {"command": ["echo", "done"], "parents": ["load"]}},
}


@pytest.fixture
def service(request):
    service = Service(f"memory:{request.node.name}")
    yield service
    service.close()


@pytest.fixture
def registered(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for document in (JOBS, TASKS):
        file = tmp_path / f"{document['name']}.json"
        file.write_text(json.dumps(document))
        service.register(str(file))
    return service


def fields(form):
    return {each.label: each for each in (*form.parameters, *form.wishes) if each.name.startswith("param-")}


# Workflows


def test_the_list_has_each_workflow_with_its_last_runs(registered):
    registered.submit("etl", {"day": "2024-01-31", "kind": "new"})

    rows = {row.name: row for row in list_workflows(registered).rows}

    assert (rows["etl"].size, rows["etl"].begun, rows["etl"].description) == (1, 1, "load a day")
    assert [run.state for run in rows["etl"].runs] == [State.QUEUED]
    assert (rows["plain"].size, rows["plain"].runs) == (2, [])


def test_the_list_can_be_searched_and_has_pages(registered, tmp_path):
    for number in range(55):
        registered.register(str(tmp_path / "plain.json"), name=f"weekly{number:02}")

    first = list_workflows(registered)
    second = list_workflows(registered, after=first.after)

    assert [row.name for row in first.rows][:3] == ["etl", "plain", "weekly00"]
    assert (len(first.rows), len(second.rows), second.after) == (50, 7, None)
    assert {row.name for row in first.rows}.isdisjoint(row.name for row in second.rows)
    found = list_workflows(registered, "Weekly1")
    assert [row.name for row in found.rows] == [f"weekly1{digit}" for digit in range(10)]


def test_what_no_store_keeps_of_a_workflow_in_a_folder_is_not_shown(service, tmp_path, monkeypatch):
    document = {"name": "hidden", "tasks": {"call": {"command": ["env"], "environment": {"TOKEN": "canary-7f3a"}}}}
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "hidden.json").write_text(json.dumps(document))
    (tmp_path / "conf" / "odd.json").write_text('{"name": "odd", "tasks": {"call": ["env"]}}')
    monkeypatch.chdir(tmp_path)

    view = view_workflow(service, "hidden")

    assert "canary-7f3a" not in repr(view)
    assert (view.row.size, view.row.is_registered) == (1, False)
    assert view_workflow(service, "odd").document == {}
    assert [row.name for row in list_workflows(service).rows] == ["hidden", "odd"]


def test_rows_that_somebody_has_written_over_stop_nothing(service):
    service.store.register(WorkflowRecord("torn", "torn.json", "{half", {}, datetime.now(UTC)))
    service.store.register(WorkflowRecord("odd", "odd.json", '{"tasks": [], "params": 7}', {}, datetime.now(UTC)))

    assert [row.size for row in list_workflows(service).rows] == [0, 0]
    assert [view_workflow(service, name).declarations for name in ("torn", "odd")] == [[], []]


def test_an_unknown_workflow_is_named_with_a_near_miss(registered):
    with pytest.raises(StoreError, match="did you mean 'etl'"):
        view_workflow(registered, "etk")


def test_each_parameter_has_the_field_of_its_type_with_its_default(registered):
    form = begin_form(registered, view_workflow(registered, "etl"))

    assert {name: (each.kind, each.value, each.required) for name, each in fields(form).items()} == {
        "day": ("date", "", True),
        "rows": ("number", "3", False),
        "full": ("select", "false", False),
        "kind": ("select", "", True),
        "queue": ("text", "first", False),
        "more": ("textarea", '[1, "b"]', False),
    }
    assert fields(form)["kind"].choices == ("", "new", "old")


def test_values_of_tasks_stand_one_in_each_line(registered):
    view = view_workflow(registered, "plain")

    assert fields(begin_form(registered, view))["day"].value == "mon\ntue"
    assert wanted_in_form(view, {"param-day": "mon\ntue"}).parameters == {}
    assert wanted_in_form(view, {"param-day": "wed\n\n thu "}).parameters == {"day": ["wed", "thu"]}


def test_what_is_left_as_it_was_is_not_given(registered):
    view = view_workflow(registered, "etl")
    form = begin_form(registered, view)
    typed = {each.name: each.value for each in (*form.parameters, *form.wishes)}

    wanted = wanted_in_form(view, {**typed, "param-day": "2024-01-31", "param-queue": "", "param-kind": "old"})

    assert wanted.parameters == {"day": "2024-01-31", "queue": "", "kind": "old"}
    assert wanted.complaints == {}


def test_what_was_typed_comes_back_with_the_complaint_at_its_field(registered):
    view = view_workflow(registered, "etl")
    typed = {
        "param-day": "monday",
        "param-rows": "many",
        "param-kind": "newest",
        "priority": "high",
        "at": "soon",
        "tags": "team",
        "key": "form-1",
    }

    wanted = wanted_in_form(view, typed)
    form = begin_form(registered, view, typed, wanted.complaints)
    by_name = {each.name: each for each in (*form.parameters, *form.wishes)}

    assert {name for name, each in by_name.items() if each.complaint} == set(typed) - {"key"}
    assert {name: by_name[name].value for name in typed if name != "key"} == {
        name: text for name, text in typed.items() if name != "key"
    }
    assert (form.key, form.complaints, by_name["param-day"].kind) == ("form-1", [], "text")


def test_how_it_is_submitted_is_read_from_the_form(registered):
    wanted = wanted_in_form(
        view_workflow(registered, "plain"),
        {"queue": "nightly", "priority": "-3", "at": "2024-01-31T08:30+01:00", "tags": "team=data\nwhy=a=b"},
    )

    assert wanted.wishes == {
        "key": None,
        "queue": "nightly",
        "priority": -3,
        "at": datetime(2024, 1, 31, 7, 30, tzinfo=UTC),
        "tags": {"team": "data", "why": "a=b"},
    }


def test_a_moment_without_a_zone_is_one_of_the_settings():
    assert moment_typed("2024-07-01T08:30", "Europe/Paris") == datetime(2024, 7, 1, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["=x", "nothing", " = "])
def test_a_tag_needs_a_name(text):
    with pytest.raises(ValueError, match="name=value"):
        tags_typed(text)


# Schedules


def test_the_list_of_schedules_has_their_next_moments_and_strips(registered):
    registered.put_schedule("nightly", "plain", "0 3 * * *", timezone="Europe/Paris")
    run_id = registered.run_schedule("nightly")

    (row,) = list_schedules(registered).rows

    assert row.zone == "Europe/Paris"
    assert [each.astimezone(ZoneInfo("Europe/Paris")).hour for each in row.coming] == [3]
    assert [(tick.state, tick.run, tick.kind) for tick in row.strip] == [(State.QUEUED, run_id, "manual")]


def test_the_list_of_schedules_has_pages(registered):
    for number in range(IN_LIST + 2):
        registered.put_schedule(f"s{number:02}", "plain", "@daily")

    first = list_schedules(registered)

    assert (len(first.rows), first.after) == (IN_LIST, f"s{IN_LIST - 1}")
    assert [row.record.name for row in list_schedules(registered, after=first.after).rows] == ["s50", "s51"]


def test_a_run_that_was_deleted_stays_in_the_strip(registered):
    registered.put_schedule("nightly", "plain", "@daily")
    run_id = registered.run_schedule("nightly")
    registered.cancel(run_id)
    registered.delete(run_id)

    (tick,) = view_schedule(registered, "nightly").row.strip

    assert (tick.run, tick.what) == (None, "its run was deleted")


def test_a_paused_schedule_says_so_and_nothing_comes(registered):
    registered.put_schedule("nightly", "plain", "@daily", tags={"a": "b"}, priority=3)
    registered.pause_schedule("nightly")

    view = view_schedule(registered, "nightly")

    assert (view.row.record.state, view.row.coming) == ("paused", [])
    assert dict(view.facts)["priority"] == "3"


# Queues


def test_a_queue_whose_runs_nobody_would_take_is_marked(registered):
    registered.submit("plain", queue="lonely")
    registered.submit("plain", queue="busy")
    registered.store.enrol(Owner.here(), ["busy", "idle"], 8, at=datetime.now(UTC).timestamp(), lease=15)
    registered.pause_queue("idle")

    rows = {row.record.name: row for row in list_queues(registered)}

    assert {name: (row.workers, row.is_stuck) for name, row in rows.items()} == {
        "busy": (1, False),
        "idle": (1, False),
        "lonely": (0, True),
    }
    assert (rows["busy"].can, rows["idle"].can) == (("pause", "drain"), ("resume", "drain"))


# Messages


def test_messages_are_shown_newest_first_and_bounded(service):
    for number in range(LISTED + 5):
        service.deliver("PAYMENT", str(number), {"text": "x" * 5000}, id=f"m{number}")

    mail = view_mail(service, "PAYMENT")

    assert (len(mail.messages), mail.more_messages) == (LISTED, True)
    assert mail.messages[0].record.id == f"m{LISTED + 4}"
    assert len(mail.messages[0].payload) == LONGEST
    assert mail.messages[0].is_cut
    assert [topic.name for topic in mail.topics] == ["PAYMENT"]


# Definitions that are edited


def test_a_diff_names_each_task_that_changes():
    after = json.loads(json.dumps(TASKS)) | {"description": "new"}
    after["tasks"]["more"] = {"command": ["echo", "more"]}
    after["tasks"]["load"]["retries"] = 2
    del after["tasks"]["done"]

    diff = definition_diff(json.dumps(TASKS), json.dumps(after))

    assert [(part.name, part.what) for part in diff.parts] == [
        ("", "changed"),
        ("load", "changed"),
        ("more", "added"),
        ("done", "removed"),
    ]
    assert diff.counts == {"changed": 1, "added": 1, "removed": 1}
    signs = {part.name: {line.sign for line in part.lines} - {"@", " "} for part in diff.parts}
    assert signs == {"": {"+"}, "load": {"+"}, "more": {"+"}, "done": {"-"}}


def test_the_same_definition_laid_out_otherwise_is_no_change():
    text = json.dumps(TASKS, indent=4)

    assert definition_diff(json.dumps(TASKS), text).is_empty
    assert is_same_definition(text, json.dumps(TASKS))
    assert not is_same_definition(text.replace("tue", "wed"), json.dumps(TASKS))


def test_a_diff_of_ten_thousand_tasks_is_bounded():
    before = {"tasks": {f"t{number}": {"command": ["a"]} for number in range(10_000)}}
    after = {"tasks": {name: {"command": ["b"] * (LINES * 2)} for name in before["tasks"]}}

    diff = definition_diff(json.dumps(before), json.dumps(after))

    assert len(diff.parts) == MOST
    assert diff.rest == "and 9,800 more tasks, not shown here"
    assert max(len(part.lines) for part in diff.parts) <= LINES + 10


async def ended(service):
    document = {
        "name": "steps",
        "tasks": {
            "one": {"command": ["true"]},
            "two": {"command": ["false"], "parents": ["one"]},
            "three": {"command": ["true"], "parents": ["two"]},
            "aside": {"command": ["true"]},
        },
    }
    Path("steps.json").write_text(json.dumps(document))
    with suppress(ExceptionGroup):
        await service.start(service.target("steps.json"), run_id="monday")
    return document


async def test_what_would_run_is_shown_with_its_reason(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = await ended(service)
    document["tasks"]["aside"] = {"command": ["echo", "edited"]}
    document["tasks"]["new"] = {"command": ["true"], "parents": ["aside"]}
    plan = {"run": ["one", "two", "three", "aside", "new"], "recalled": 0}

    shown = preview_of(service, "monday", plan, json.dumps(document), ["one"])

    assert [tuple(node) for node in shown.nodes] == [
        ("one", "is asked for"),
        ("two", "failed"),
        ("three", "was skipped"),
        ("aside", "is edited"),
        ("new", "is new"),
    ]
    assert [(part.name, part.what) for part in shown.diff.parts] == [("aside", "changed"), ("new", "added")]


async def test_what_succeeded_says_which_of_its_upstreams_makes_it_run(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = await ended(service)
    document["tasks"]["two"] = {"command": ["true"], "parents": ["one"]}
    (tmp_path / "steps.json").write_text(json.dumps(document))
    await service.resume("monday", source="steps.json")

    shown = preview_of(service, "monday", {"run": ["one", "two", "three"]}, None, ["one"])

    assert [tuple(node) for node in shown.nodes] == [
        ("one", "is asked for"),
        ("two", "needs one"),
        ("three", "needs two"),
    ]
    assert shown.diff is None


async def test_an_editor_sees_what_somebody_else_did_meanwhile(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = await ended(service)
    editor = open_editor(service, "monday")
    assert conflict_of(service, editor, editor.base, 1) is None

    document["tasks"]["two"] = {"command": ["echo", "two"], "parents": ["one"]}
    (tmp_path / "steps.json").write_text(json.dumps(document))
    await service.resume("monday", source="steps.json")
    conflict = conflict_of(service, open_editor(service, "monday"), editor.base, 1)

    assert "execution 2 now, and succeeded" in conflict.text
    assert [(part.name, part.what) for part in conflict.diff.parts] == [("two", "changed")]


async def test_a_definition_is_edited_as_it_is_recorded(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await ended(service)

    editor = open_editor(service, "monday")

    assert is_same_definition(editor.text, service.definitions("monday")[-1][1])
    assert editor.text.startswith('{\n  "name": "steps",\n')
    assert editor.base == digest_of_text(service.definitions("monday")[-1][1])
    assert refusal_of_state(editor.run) == ""


async def test_a_run_of_a_definition_is_resumed_wherever_that_came_from(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await ended(service)
    run = service.run("monday")

    assert may_resume(run)
    assert may_resume(dataclasses.replace(run, entry=None))
    assert not may_resume(dataclasses.replace(run, entry=None, definition=None))


def test_a_queued_run_is_not_resumed(registered):
    run_id = registered.submit("plain", at=datetime.now(UTC) + timedelta(hours=1))

    assert "queued already" in refusal_of_state(registered.head(run_id))
