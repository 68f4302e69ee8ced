"""Schedules that files say are added, changed and dropped with them: all of them, or none."""

import re
from pathlib import Path

import pytest
from schedule_times import StoreClock

from aiodag.errors import WorkflowError
from aiodag.records import Owner
from aiodag.service import Service
from aiodag.service.scheduler import Scheduler
from aiodag.stores import Memory

FLOW = """
on_every_5_min:
  type: on.On
  cron: "*/5 * * * *"
load:
  type: pipeline.Pipeline
  on: 'on_every_5_min'
  params: {table: {type: str, default: all}, day: {type: date, default: 2024-01-01}}
  jobs: {copy: {stages: [{name: s, echo: "${{ params.table }}"}]}}
"""
ENTRIES = """
nightly:
  type: Schedule
  workflows:
    - workflow: load
      on: '0 1 * * *'
      params: {table: users, day: "${{ release.logical_date | fmt('%Y-%m-%d') }}"}
    - pipeline: load
      on: {cronjob: '0 2 * * *', timezone: Asia/Bangkok, catch-up: all, grace: 5m}
      values: {table: orders}
"""
TWO = """
name: report
on:
  - cron: '0 3 * * *'
    overlap: skip
    params: {day: monday}
  - every: 1h
    paused: true
params: {day: {type: str, default: sunday}}
jobs: {a: {stages: [{name: s, echo: "${{ params.day }}"}]}}
"""


@pytest.fixture
def clock(monkeypatch):
    return StoreClock(monkeypatch)


@pytest.fixture
def service(clock):
    return Service(Memory())


@pytest.fixture
def write(tmp_path):
    def written(text, name="flow.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def names(service):
    return [each.name for each in service.schedules()]


def test_a_workflow_is_scheduled_by_the_trigger_that_it_names(service, write):
    found = service.add_schedules(write(FLOW))

    (load,) = service.schedules()
    assert (found.added, load.trigger["cron"]) == (["load"], "*/5 * * * *")
    assert load.submission.entry["task"] == "load"


def test_several_entries_of_one_workflow_have_their_own_moments_and_params(service, write, clock):
    service.add_schedules(write(FLOW + ENTRIES))
    clock.advance(86_400)
    Scheduler(service.store, print).look()

    runs = {run.schedule: run.entry["parameters"] for run in service.runs()}
    assert runs["nightly/load"] == {"table": "users", "day": "2026-03-03"}
    assert runs["nightly/load/2"] == {"table": "orders"}
    assert runs["load"] == {}
    assert service.schedule("nightly/load/2").catch_up == "all"
    assert service.schedule("nightly/load/2").grace == 300


def test_of_several_triggers_each_is_a_schedule_with_its_own_policy(service, write):
    service.add_schedules(write(TWO))

    first, second = service.schedules()
    assert [(each.name, each.overlap, each.state) for each in (first, second)] == [
        ("report", "skip", "active"),
        ("report/2", "queue", "paused"),
    ]


def test_added_again_they_stay_as_they_are_and_what_the_file_no_longer_says_is_dropped(service, write):
    path = write(FLOW + ENTRIES)
    service.add_schedules(path)
    before = service.schedules()
    again = service.add_schedules(path)
    after = service.schedules()
    write(FLOW.replace("*/5", "*/10"))
    changed = service.add_schedules(path)

    assert (again.unchanged, before) == (["load", "nightly/load", "nightly/load/2"], after)
    assert (changed.changed, changed.dropped) == (["load"], ["nightly/load", "nightly/load/2"])
    assert names(service) == ["load"]


def test_of_a_folder_what_lay_in_a_file_that_is_gone_is_dropped(service, write, tmp_path):
    first, _ = write(FLOW), write(TWO, "report.yaml")
    service.add_schedules(str(tmp_path))
    (tmp_path / "report.yaml").unlink()
    found = service.add_schedules(str(tmp_path))

    assert found.dropped == ["report", "report/2"]
    assert names(service) == ["load"]
    assert service.schedule("load").source == first


def test_what_is_paused_by_hand_stays_paused(service, write):
    path = write(FLOW)
    service.add_schedules(path)
    service.pause_schedule("load")
    service.add_schedules(path)
    write(FLOW.replace("*/5", "*/10"))
    service.add_schedules(path)

    assert (service.schedule("load").state, service.schedule("load").trigger["cron"]) == ("paused", "*/10 * * * *")


def test_the_same_forms_may_be_json(service, write):
    service.add_schedules(write('{"on": {"cron": "@daily"}, "jobs": {"a": {"stages": [{"name": "s"}]}}}', "daily.json"))

    assert names(service) == ["daily"]


def test_all_that_is_wrong_is_said_at_once_with_file_and_line_and_nothing_is_changed(service, write, tmp_path):
    good = write(FLOW, "a_good.yaml")
    bad = write(
        ENTRIES.replace("'0 1 * * *'", "'61 1 * * *'")
        .replace("cronjob: '0 2 * * *'", "cronjob: '0 2 * * *', ovrlap: skip")
        .replace("workflow: load", "workflow: laod"),
        "b_bad.yaml",
    )

    with pytest.raises(WorkflowError) as refused:
        service.add_schedules(str(tmp_path))

    text = str(refused.value)
    assert f"{bad}:" in text
    assert "laod" in text
    assert "ovrlap" in text
    assert good not in text
    assert names(service) == []


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("- {on: '@daily'}", "workflow: NAME"),
        ("- {workflow: load}", "does not say when"),
        ("- {workflow: load, pipeline: load, on: '@daily'}", "one of them"),
        ("- {workflow: load, on: '@daily', params: 3}", "params by their names"),
        ("- {workflow: load, on: '@daily', params: {tabel: x}}", "tabel"),
        ("- {workflow: load, on: {cron: '@daily', jitter: soon}}", "90s"),
        ("- {workflow: load, on: {cron: '@daily', overlap: maybe}}", "overlap"),
        ("- {workflow: load, on: {cron: '@daily', queue: 3}}", "queue"),
        ("- {workflow: load, on: nothing_there}", "nothing_there"),
        ("- {workflow: load, on: '60 * * * *'}", "minute '60'"),
        ("- {workflow: load, on: 5}", "takes"),
        ("- 7", "workflow: NAME"),
        ("{}", "a list of entries"),
    ],
)
def test_an_entry_that_cannot_work_is_refused_where_it_stands(service, write, entry, text):
    path = write(f"{FLOW}\nnightly:\n  type: Schedule\n  workflows:\n    {entry}\n")

    with pytest.raises(WorkflowError, match=text) as refused:
        service.add_schedules(path)

    assert str(refused.value).startswith(f"{path}:")
    assert names(service) == []


def test_a_name_that_another_file_has_is_refused(service, write):
    service.add_schedules(write(FLOW))

    with pytest.raises(WorkflowError, match=r"there already, from .*flow\.yaml"):
        service.add_schedules(write(FLOW, "other.yaml"))


def test_the_group_of_a_run_is_that_of_its_params_and_its_moment(service, write, clock):
    text = (
        TWO
        + "concurrency: {group: \"${{ params.day }}-${{ release.logical_date | fmt('%H') }}\", cancel-in-progress: true}\n"
    )
    service.add_schedules(write(text))
    clock.advance(86_400)
    Scheduler(service.store, print).look()
    service.store.take_queued(Owner.here(), [], 0, lease=60)

    (run,) = service.runs()
    assert run.group == "monday-03"
    assert service.run(service.submit(f"{write(text)}", {"day": "sunday"})).group.startswith("sunday-")


def test_the_file_of_the_documentation_works_as_it_stands(service, write, clock):
    page = Path(__file__).parents[1].joinpath("docs", "schedules.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = service.add_schedules(write(text))
    clock.advance(86_400)
    Scheduler(service.store, print).look()

    assert found.added == ["nightly/load_table", "nightly/load_table/2"]
    assert sorted(run.entry["parameters"]["day"] for run in service.runs()) == ["2026-03-03", "2026-03-03"]
