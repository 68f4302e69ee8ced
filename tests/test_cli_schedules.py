"""Schedules are put, listed, shown and changed by command."""

import json
import sys
from pathlib import Path

import pytest
from schedule_times import StoreClock

from aiodag.cli.grammar import SHELLS
from aiodag.cli.program import main
from aiodag.records import Owner
from aiodag.service import Service
from aiodag.service.scheduler import Scheduler

FLOW = f"{Path(__file__).with_name('scheduled_flow.py')}:main"


@pytest.fixture
def clock(monkeypatch):
    return StoreClock(monkeypatch)


@pytest.fixture
def here(tmp_path, monkeypatch, clock):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", "runs.db")
    return tmp_path


@pytest.fixture
def command(here, capsys):
    """Type a command; return what it wrote, and its remarks."""

    def typed(*words, code=0):
        with pytest.raises(SystemExit) as ended:
            sys.exit(main(words))
        found = capsys.readouterr()
        assert (ended.value.code or 0) == code, found.err
        return found

    return typed


def look():
    service = Service("runs.db")
    Scheduler(service.store, print).look()
    service.store.take_queued(Owner.here(), [], 0, lease=60)
    service.close()


def test_a_schedule_is_put_with_its_next_moment_and_replaced_never_doubled(command):
    first = command("submit", FLOW, "--cron", "0 0 * * *", "--name", "TestJob", "-p", "day=monday")
    second = command("submit", FLOW, "--cron", "0 6 * * *", "--name", "TestJob", "--timezone", "Europe/Paris")

    assert first.out == "TestJob: 0 0 * * *, next 2026-03-03T00:00:00+00:00\n"
    assert "next 2026-03-03T06:00:00+01:00" in second.out
    assert [each["trigger"]["cron"] for each in json.loads(command("schedules", "--json").out)] == ["0 6 * * *"]


def test_without_a_name_it_has_that_of_its_target(command):
    assert command("submit", FLOW, "--every", "90s").out.startswith("main: every 90 s, next ")


def test_a_moment_and_a_name_are_a_schedule_of_one_run(command):
    command("submit", FLOW, "--at", "2026-03-02T18:00Z", "--name", "once")

    (found,) = json.loads(command("schedules", "--json").out)
    assert (found["next"], found["trigger"]["at"]) == (
        ["2026-03-02T18:00:00.000000+00:00"],
        "2026-03-02T18:00:00+00:00",
    )


def test_what_is_due_next_and_how_the_last_run_stands_is_listed(command, clock):
    command("submit", FLOW, "--cron", "0 * * * *", "--name", "hourly")
    clock.set(13)
    look()

    head, line = command("schedules").out.splitlines()
    assert head.split() == ["SCHEDULE", "WHEN", "STATE", "NEXT", "LAST", "TARGET"]
    assert line.split()[:1] == ["hourly"]
    assert "active  2026-03-02T14:00:00+00:00  queued" in line


def test_one_is_shown_with_what_became_of_its_moments(command, clock):
    command("submit", FLOW, "--cron", "0 * * * *", "--name", "hourly", "--catch-up", "latest", "-p", "day=monday")
    clock.set(16, 30)
    look()

    shown = command("schedules", "hourly").out
    assert "parameter  day=monday" in shown
    assert "2026-03-02 13:00:00.000Z to 2026-03-02 15:00:00.000Z, 3 moments  scheduled  missed" in shown
    document = json.loads(command("schedules", "hourly", "--json").out)
    assert [(each["state"], each["count"]) for each in document["firings"]] == [("missed", 3), ("submitted", 1)]
    assert document["last"]["id"] == document["firings"][1]["run"]
    assert len(document["next"]) == 3


def test_schedules_are_paused_resumed_run_and_deleted(command):
    for name in ("a", "b"):
        command("submit", FLOW, "--cron", "0 * * * *", "--name", name)

    assert command("schedules", "pause", "a", "b").out == "a: paused\nb: paused\n"
    assert command("schedules", "resume", "a").out == "a: active\n"
    run_id = command("schedules", "run", "b").out.strip()
    (run,) = json.loads(command("runs", "--json").out)
    assert (run["id"], run["entry"]["release"]["kind"]) == (run_id, "manual")
    assert command("schedules", "delete", "a", "b").out == "a: deleted\nb: deleted\n"
    assert command("schedules", "--json").out.strip() == "[]"


def test_the_moments_of_a_day_are_filled_in(command):
    command("submit", FLOW, "--cron", "0 */6 * * *", "--name", "often", "--timezone", "Asia/Bangkok")
    made = command("backfill", "often", "--from", "2026-01-01", "--to", "2026-01-02", "--limit", "9", "-p", "day=x")
    look()

    assert made.out.startswith("backfill 2 of often") or made.out.startswith("backfill 1 of often")
    (found,) = json.loads(command("backfill", "--json").out)
    assert (found["start"], found["submitted"]) == ("2025-12-31T17:00:00.000000+00:00", 4)
    assert "ended" in command("backfill", "often").out
    assert "has ended already" in command("backfill", "--cancel", str(found["number"])).out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["submit", FLOW, "--cron", "61 * * * *"], "minute '61'"),
        (["submit", FLOW, "--cron", "* * * * *", "--every", "5s"], "not allowed with"),
        (["submit", FLOW, "--cron", "* * * * *", "--key", "k"], "--key"),
        (["submit", FLOW, "--cron", "* * * * *", "--at", "2026-03-02T18:00Z"], "--at"),
        (["submit", FLOW, "--cron", "* * * * *", "--wait"], "--wait"),
        (["submit", FLOW, "--cron", "* * * * *", "--timezone", "Mars/Base"], "Mars/Base"),
        (["submit", FLOW, "--name", "x"], "--cron"),
        (["submit", FLOW, "--overlap", "skip"], "--cron"),
        (["schedules", "hourly"], "no schedule 'hourly'"),
        (["schedules", "pause"], "schedules pause nightly"),
        (["schedules", "puase", "hourly"], "pause"),
        (["schedules", "delete", "nothing"], "no schedule 'nothing'"),
        (["backfill", "nothing", "--from", "2026-01-01", "--to", "2026-01-02"], "no schedule 'nothing'"),
        (["backfill", "x", "--from", "2026-01-01"], "--to"),
        (["backfill", "x", "--from", "01.02.2026", "--to", "2026-01-02"], "2026-01-31T06:00Z"),
        (["backfill", "--cancel", "7"], "no backfill 7"),
    ],
)
def test_what_is_typed_wrong_ends_in_one_line_that_says_what_works(command, words, text):
    found = command(*words, code=2)

    assert text in found.err
    assert found.err.count("\n") == 1
    assert "Traceback" not in found.err


def test_a_backfill_of_what_is_to_come_is_refused_with_the_day_as_it_was_typed(command):
    command("submit", FLOW, "--cron", "0 * * * *", "--name", "hourly", "-p", "day=monday")
    refused = command("backfill", "hourly", "--from", "2026-01-01", "--to", "2027-01-01", code=2)

    assert refused.err.startswith("aiodag: end=2027-01-01 cannot work: end takes a moment after the start")


def test_delete_takes_the_schedule_of_a_name_with_its_runs(command, clock):
    command("submit", FLOW, "--cron", "0 * * * *", "--name", "TestJob")
    command("submit", FLOW, "--cron", "0 * * * *", "--name", "main")
    run_id = command("submit", FLOW).out.strip()

    assert command("delete", "TestJob").out == "deleted schedule TestJob\n"
    assert command("delete", "main").out == f"deleted {run_id}\ndeleted schedule main\n"
    assert json.loads(command("schedules", "--json").out) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_schedules_complete(command, shell):
    command("submit", FLOW, "--cron", "0 0 * * *", "--name", "TestJob", "-p", "day=monday")

    assert command("completion", "--words", "schedules").out == "TestJob\n"
    script = command("completion", shell).out
    assert script.count("schedules") >= 4  # the command, and what schedules, next and backfill ask for
