"""`aiodag next`: when an expression, a file, a schedule or a trigger of a folder is due."""

import json
import re

import pytest

from aiodag.cli import main
from aiodag.service import Service

FLOWS = """
every_five:
  type: on.On
  cron: "*/5 * * * *"
pipe:
  type: pipeline.Pipeline
  on:
    - cronjob: '0 6 * * MON-FRI'
      timezone: Asia/Bangkok
      overlap: skip
  jobs:
    one:
      stages:
        - echo: hello
twice:
  type: Schedule
  entries:
    - workflow: quiet
      on: {cron: "0 12 * * *"}
    - workflow: quiet
      on: {every: 1h}
quiet:
  jobs:
    one:
      stages:
        - echo: hello
"""


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "CONFIG", "TIMEZONE", "CONF"):
        monkeypatch.delenv(f"AIODAG_{name}", raising=False)
    (tmp_path / "flows.yaml").write_text(FLOWS)
    return tmp_path


def moments(capsys, *typed, code=0):
    assert main(["--store", "runs.db", "next", "--json", *typed]) == code
    return {each["name"]: each["moments"] for each in json.loads(capsys.readouterr().out)}


def said(capsys, *typed):
    assert main(["--store", "runs.db", "next", *typed]) == 2
    return capsys.readouterr().err


def test_an_expression_is_read_in_its_zone_from_a_moment_on(capsys):
    typed = ("30 2 * * *", "--timezone", "America/New_York", "--from", "2024-03-09 00:00")

    assert moments(capsys, *typed) == {
        None: ["2024-03-09T02:30:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"]
    }


def test_the_zone_of_the_settings_stands_in(capsys, monkeypatch):
    monkeypatch.setenv("AIODAG_TIMEZONE", "Asia/Bangkok")

    assert moments(capsys, "@daily", "-n", "1", "--from", "2026-01-01 12:00") == {None: ["2026-01-02T00:00:00+07:00"]}


def test_people_see_the_day_and_how_far_away_it_is(capsys):
    assert main(["--store", "runs.db", "next", "0 0 1 1 * 2199", "-n", "1"]) == 0
    assert re.fullmatch(r"Tue 2199-01-01 00:00:00\+00:00  in \d+ d \d+ h\n", capsys.readouterr().out)

    assert main(["--store", "runs.db", "next", "0 0 1 1 *", "-n", "2", "--from", "2020-06-01"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Fri 2021-01-01 00:00:00+00:00",
        "Sat 2022-01-01 00:00:00+00:00",
    ]


def test_a_file_shows_each_trigger_and_one_workflow_its_own(capsys):
    start = ("-n", "1", "--from", "2026-01-01 12:00")

    assert moments(capsys, "flows.yaml", *start) == {
        "every_five": ["2026-01-01T12:05:00+00:00"],
        "pipe": ["2026-01-02T06:00:00+07:00"],
        "twice/quiet": ["2026-01-02T12:00:00+00:00"],
        "twice/quiet/2": ["2026-01-01T13:00:00+00:00"],
    }
    assert [*moments(capsys, "flows.yaml:quiet", *start)] == ["twice/quiet", "twice/quiet/2"]
    assert moments(capsys, "flows.yaml:pipe", *start) == {"pipe": ["2026-01-02T06:00:00+07:00"]}


def test_a_schedule_of_the_store_is_known_by_its_name(capsys, here):
    (here / "hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    service = Service("runs.db")
    service.put_schedule("nightly", "hello.json", "0 3 * * *", timezone="Europe/Paris")
    service.close()

    assert moments(capsys, "nightly", "-n", "1", "--from", "2026-01-01") == {"nightly": ["2026-01-01T03:00:00+01:00"]}


def test_triggers_and_workflows_of_folders_are_known_by_their_names(capsys, here):
    (here / "conf").mkdir()
    (here / "flows.yaml").rename(here / "conf" / "flows.yaml")
    start = ("-n", "1", "--from", "2026-01-01 12:00")

    assert moments(capsys, "every_five", *start) == {"every_five": ["2026-01-01T12:05:00+00:00"]}
    assert moments(capsys, "pipe", *start) == {"pipe": ["2026-01-02T06:00:00+07:00"]}


def test_no_other_moment_is_said(capsys):
    assert main(["--store", "runs.db", "next", "0 0 1 1 * 2020"]) == 0

    answer = capsys.readouterr()
    assert (answer.out, answer.err) == ("", "0 0 1 1 * 2020: no other moment\n")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["60 * * * *"], "minute '60': 0 to 59"),
        (["* * *"], "3 fields, and it takes five"),
        (["@dayly"], "did you mean @daily?"),
        (["0 0 * * *", "--timezone", "Paris"], "did you mean Europe/Paris?"),
        (["0 0 * * *", "--from", "soon"], "'soon': not a moment"),
        (["flows.yaml:gone"], "flows.yaml:gone: does not say when it begins; it has every_five, pipe, twice"),
        (["flow.py"], "only files in YAML and JSON"),
        (["gone.yaml"], "gone.yaml: no such file"),
        (["nightly"], "write an expression in quotes"),
        (["\x1b[2J"], r"\x1b[2J"),
    ],
)
def test_what_says_no_moments_is_one_line(capsys, typed, text):
    answer = said(capsys, *typed)

    assert text in answer
    assert answer.startswith("aiodag: ")
    assert answer.count("\n") == 1
