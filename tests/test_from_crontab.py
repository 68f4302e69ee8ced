"""What the page for those who come from crontab promises, row by row."""

import asyncio
import json
import os
import re

import pytest
from jobs_forms import flow_of
from page_rows import name_of, promises, rows
from programs import ROOT

from aiodag import RunFailed, TriggerError
from aiodag.cli import main
from aiodag.schedules import Cron, trigger_of
from aiodag.service import Service

PAGE = "coming-from-crontab.md"
TEXT = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
FILE = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1]
CELLS = dict(re.findall(r"^\| ([^|]+?) \| (.*) \|$", TEXT, re.MULTILINE))
ROWS = [row for row in rows(PAGE) if row != "crontab"]


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AIODAG_")]:
        monkeypatch.delenv(name)
    (tmp_path / "nightly.yaml").write_text(FILE)
    return tmp_path


def typed(capsys, *words, code=0):
    """Type a command; return the document that it prints."""
    capsys.readouterr()
    assert main(["--store", "runs.db", "--json", *words]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out or "null")


def bash(text, **keys):
    """Run a stage of bash; return what it wrote."""
    form = {"jobs": {"one": {"stages": [{"id": "it", "bash": text, **keys}]}}}

    async def begin():
        return await flow_of(json.dumps(form)).run()

    return asyncio.run(begin())["one"]["stages"]["it"]["outputs"]


def days(expression):
    moments = Cron(expression).iter("2026-01-01")
    return [next(moments).day for _ in range(3)]


def policy(here, key, value):
    """Add a schedule with a policy as the page writes it, and return what is recorded."""
    (here / "one.yaml").write_text(
        f"one:\n  on: {{cron: '@daily', {key}: {value}}}\n  jobs: {{one: {{stages: [{{echo: hello}}]}}}}\n"
    )
    assert main(["--store", "runs.db", "schedules", "add", "one.yaml"]) == 0
    service = Service("runs.db")
    try:
        return service.schedule("one")
    finally:
        service.close()


class Rows:
    def the_five_fields(self, here, capsys):
        assert days("0 0 * * 0") == days("0 0 * * 7") == days("0 0 * * sun") == [4, 11, 18]
        assert days("0 0 1-9/4,20 * *") == [5, 9, 20]
        with pytest.raises(TriggerError, match="minute '60'"):
            Cron("60 * * * *")

    def day_of_the_month_and_day_of_the_week(self, here, capsys):
        assert days("0 0 13 * FRI") == [2, 9, 13]
        assert days("0 0 */2 * FRI") == [9, 23, 13]

    def daily_hourly(self, here, capsys):
        assert Cron("@daily").next("2026-01-01 12:00") == Cron("0 0 * * *").next("2026-01-01 12:00")
        assert Cron("@hourly").next("2026-01-01 12:00") == Cron("0 * * * *").next("2026-01-01 12:00")

    def reboot(self, here, capsys):
        with pytest.raises(TriggerError, match="is not a moment"):
            Cron("@reboot")

    def the_clock_is_put_forward_or_back(self, here, capsys):
        fixed = Cron("30 2 * * *", timezone="America/New_York").iter("2024-03-09 12:00")
        assert [f"{next(fixed):%d %H:%M}" for _ in range(2)] == ["10 03:00", "11 02:30"]
        hourly = Cron("0 * * * *", timezone="America/New_York").iter("2024-11-03 00:30")
        assert [f"{next(hourly):%H:%M}" for _ in range(3)] == ["01:00", "01:00", "02:00"]

    def CRON_TZ_TZ(self, here, capsys, monkeypatch):
        monkeypatch.setenv("TZ", "America/New_York")
        assert str(Cron("@daily", timezone="Asia/Bangkok").next("2026-01-01")) == "2026-01-02 00:00:00+07:00"
        assert str(trigger_of("@daily").next("2026-01-01")) == "2026-01-02 00:00:00+00:00"
        monkeypatch.setenv("AIODAG_TIMEZONE", "Asia/Bangkok")
        assert typed(capsys, "next", "@daily", "--from", "2026-01-01", "-n", "1")[0]["moments"] == [
            "2026-01-02T00:00:00+07:00"
        ]

    def PATH_and_other_variables(self, here, capsys, monkeypatch):
        monkeypatch.setenv("OF_WORKER", "worker")
        found = bash("echo $OF_STAGE $OF_WORKER; echo $PATH", env={"OF_STAGE": "stage", "PATH": "/usr/bin:/bin"})
        assert found["stdout"].split() == ["stage", "worker", "/usr/bin:/bin"]

    def SHELL_bin_sh(self, here, capsys):
        assert bash("echo ${BASH_VERSION:+bash}")["stdout"].strip() == "bash"
        assert bash("ps -o comm= -p $$ || echo sh", shell="sh")["stdout"].strip() in {"sh", "dash"}

    def _(self, here, capsys):
        assert bash("date +%% -d now; cat <<EOF\n100%\nEOF")["stdout"].split() == ["%", "100%"]

    def MAILTO(self, here, capsys):
        (here / "bad.yaml").write_text(
            "jobs:\n  one:\n    stages:\n      - bash: echo broken >&2; exit 3\n      - if: failure()\n        bash: echo sent > mail\n"
        )
        typed(capsys, "run", "bad.yaml", "--id", "monday", "-q", code=1)
        assert [run["id"] for run in typed(capsys, "runs", "--state", "failed")] == ["monday"]
        assert (here / "mail").read_text() == "sent\n"
        assert main(["--store", "runs.db", "log", "monday"]) == 0
        assert "broken" in capsys.readouterr().out

    def dev_null_2_1(self, here, capsys):
        assert bash("echo much")["stdout"] == "much\n"

    def cd_DIR(self, here, capsys):
        (here / "there").mkdir()
        assert bash("pwd", workdir=str(here / "there"))["stdout"].strip() == str(here / "there")

    def the_exit_code(self, here, capsys):
        with pytest.raises(RunFailed):
            bash("exit 3")

    def flock_n(self, here, capsys):
        assert policy(here, "overlap", "skip").overlap == "skip"
        assert policy(here, "queue", "default").overlap == "queue"

    def the_machine_was_off_anacron(self, here, capsys):
        assert policy(here, "catch-up", "all").catch_up == "all"
        assert policy(here, "queue", "default").catch_up == "latest"

    def sleep_RANDOM_300(self, here, capsys):
        assert policy(here, "jitter", "5m").jitter == 300

    def more_often_than_every_minute(self, here, capsys):
        assert f"{trigger_of({'every': 10}).next('2026-01-01 00:00:01'):%S}" == "10"

    def the_user_field_etc_crontab(self, here, capsys):
        assert policy(here, "queue", "etl").submission.queue == "etl"

    def etc_cron_d(self, here, capsys):
        (here / "cron.d").mkdir()
        (here / "nightly.yaml").rename(here / "cron.d" / "nightly.yaml")
        typed(capsys, "schedules", "add", "cron.d")
        assert sorted(each["name"] for each in typed(capsys, "schedules")) == ["load", "sync"]

    def run_parts_etc_cron_daily(self, here, capsys):
        (here / "cron.daily").mkdir()
        for name in ("one", "two"):
            (here / "cron.daily" / f"{name}.yaml").write_text(
                "on: {cron: '@daily'}\njobs: {one: {stages: [{echo: hello}]}}"
            )
        typed(capsys, "schedules", "add", "cron.daily")
        assert sorted(each["name"] for each in typed(capsys, "schedules")) == ["one", "two"]

    def crontab_l(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        assert sorted(each["name"] for each in typed(capsys, "schedules")) == ["load", "sync"]
        assert len(typed(capsys, "next", "load", "-n", "5")[0]["moments"]) == 5

    def crontab_e(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        (here / "nightly.yaml").write_text(FILE.replace("30 2 * * *", "45 3 * * *"))
        typed(capsys, "schedules", "add", "nightly.yaml")
        assert len(typed(capsys, "schedules")) == 2
        assert "T03:45:00" in typed(capsys, "next", "load")[0]["moments"][0]

    def crontab_r(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        typed(capsys, "schedules", "delete", "load")
        assert [each["name"] for each in typed(capsys, "schedules")] == ["sync"]

    def before_a_line(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        typed(capsys, "schedules", "pause", "load")
        assert {each["name"]: each["state"] for each in typed(capsys, "schedules")} == {
            "load": "paused",
            "sync": "active",
        }
        typed(capsys, "schedules", "resume", "load")
        assert {each["state"] for each in typed(capsys, "schedules")} == {"active"}

    def run_it_now_to_try(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        typed(capsys, "schedules", "run", "load")
        assert [run["state"] for run in typed(capsys, "runs")] == ["queued"]

    def the_log_of_cron(self, here, capsys):
        typed(capsys, "schedules", "add", "nightly.yaml")
        typed(capsys, "schedules", "run", "load")
        shown = json.dumps(typed(capsys, "schedules", "load"))
        assert typed(capsys, "runs")[0]["id"] in shown


def test_the_line_of_the_page_without_a_file_puts_and_replaces_a_schedule(here, capsys):
    (here / "sync.yaml").write_text("jobs: {sync: {stages: [{bash: ./sync}]}}")
    for _ in range(2):
        typed(capsys, "submit", "sync.yaml", "--cron", "*/15 * * * *", "--name", "sync")

    assert [each["name"] for each in typed(capsys, "schedules")] == ["sync"]


def test_the_page_and_the_rows_of_this_file_are_the_same():
    assert promises(Rows) | {"_"} == {name_of(row) or "_" for row in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_row(row, here, capsys, monkeypatch):
    row_method = getattr(Rows(), name_of(row) or "_")
    more = {"monkeypatch": monkeypatch} if "monkeypatch" in row_method.__code__.co_varnames else {}
    row_method(here=here, capsys=capsys, **more)
