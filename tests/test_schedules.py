"""Schedules: what is put, what becomes of each moment, and what is never lost or done twice."""

from datetime import date, datetime
from pathlib import Path

import pytest
from schedule_times import StoreClock, hour

from aiodag.errors import EntryError, OptionError, StoreError, TriggerError
from aiodag.records import Batch, Owner, Write
from aiodag.service import Service
from aiodag.service.scheduler import Scheduler
from aiodag.states import State

HOURLY = "0 * * * *"
DAY = "${{ release.logical_date | fmt('%Y-%m-%d %H') }}"
HERE = Owner.here()


@pytest.fixture
def clock(monkeypatch):
    return StoreClock(monkeypatch)


@pytest.fixture
def service(store, clock):
    return Service(store)


@pytest.fixture
def flow():
    return f"{Path(__file__).with_name('scheduled_flow.py')}:main"


@pytest.fixture
def said():
    return []


@pytest.fixture
def look(service, said):
    """What a worker does in its looks, without taking what is queued."""
    scheduler = Scheduler(service.store, said.append)

    def once():
        due = scheduler.look()
        service.store.take_queued(HERE, [], 0, lease=60)
        return due

    return once


def story(service, name="hourly"):
    """What became of each moment, in order: its hour, or from which to which, and its state."""
    return [
        (each.at.hour if each.until is None or each.count == 1 else (each.at.hour, each.until.hour), each.state)
        for each in sorted(service.firings(name), key=lambda each: each.at)
    ]


def end_all(service, state=State.SUCCEEDED):
    for taken in service.store.take_queued(HERE, ["default"], 1000, lease=3600):
        batch = Batch(state=state, at=0.0)
        assert service.store.write_all([Write(taken.claimed, taken.record.id, batch)]) == [None]


def parameters(service):
    return [run.entry["parameters"] for run in service.runs()]


# What is put


def test_each_moment_becomes_one_run_and_never_before_it_has_come(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, [f"day={DAY}"], overlap="allow")

    clock.set(12, 59, 59)
    due = look()
    before = service.runs()
    clock.set(13)
    look()
    look()

    assert (due, before) == (1.0, [])
    assert parameters(service) == [{"day": "2026-03-02 13"}]
    assert story(service) == [(13, "submitted")]


def test_the_run_knows_its_release(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, timezone="Asia/Kolkata", tags={"env": "test"})
    clock.set(12, 30)
    look()

    (run,) = service.runs()
    release = {"logical_date": "2026-03-02T18:00:00+05:30", "schedule": "hourly", "kind": "scheduled"}
    assert run.entry["release"] == release
    assert (run.schedule, run.tags["logical_date"], run.tags["env"]) == ("hourly", release["logical_date"], "test")
    assert service.firings("hourly")[0].run_id == run.id


def test_two_schedules_that_are_due_together_are_one_run_each(service, flow, clock, look):
    for name in ("first", "second"):
        service.put_schedule(name, flow, HOURLY)
    clock.set(13)
    look()

    assert sorted(run.schedule for run in service.runs()) == ["first", "second"]


def test_an_interval_and_a_moment_begin_runs_too(service, flow, clock, look):
    service.put_schedule("often", flow, {"every": 90}, overlap="allow")
    service.put_schedule("once", flow, {"at": "2026-03-02T12:01:00+00:00"})
    for _ in range(4):
        clock.advance(60)
        look()

    assert [(each.at.minute, each.at.second) for each in service.firings("often")] == [(1, 30), (3, 0)]
    assert [each.at.minute for each in service.firings("once")] == [1]
    assert (service.schedule("once").state, service.schedule("often").state) == ("ended", "active")


def test_a_second_schedule_of_the_name_takes_the_place_of_the_first(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, {"day": "first"})
    replaced = service.put_schedule("hourly", flow, "30 * * * *", {"day": "second"})
    clock.set(13, 30)
    look()

    assert [each.name for each in service.schedules()] == ["hourly"]
    assert replaced.trigger["cron"] == "30 * * * *"
    assert parameters(service) == [{"day": "second"}]


def test_put_again_with_the_same_trigger_it_catches_up_with_what_was_missed(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY)
    clock.set(15, 10)
    service.put_schedule("hourly", flow, HOURLY, {"day": "new"})
    look()

    assert story(service) == [((13, 14), "missed"), (15, "submitted")]


def test_put_again_after_its_last_moment_has_come_it_still_catches_up_with_that(service, flow, clock, look):
    once = {"at": "2026-03-02T13:00Z"}
    service.put_schedule("hourly", flow, once)
    clock.set(13, 10)
    again = service.put_schedule("hourly", flow, once, {"day": "new"})
    assert (again.state, again.reason) == ("active", "")
    look()

    assert (story(service), service.schedule("hourly").state) == ([(13, "submitted")], "ended")


def test_put_again_what_is_paused_stays_paused(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY)
    service.pause_schedule("hourly")
    service.put_schedule("hourly", flow, "30 * * * *")
    clock.set(15)
    look()

    assert (service.schedule("hourly").state, service.runs()) == ("paused", [])


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"trigger": "60 * * * *"}, TriggerError, "minute '60'"),
        ({"trigger": "0 0 30 2 *"}, TriggerError, "never"),
        ({"timezone": "Mars/Base"}, TriggerError, "Mars/Base"),
        ({"parameters": {"dya": "x"}}, EntryError, "dya"),
        ({"parameters": {"day": "${{ release.logical_dat }}"}}, Exception, "logical_date"),
        ({"parameters": {"day": "${{ params.day }}"}}, Exception, "params"),
        ({"parameters": {"day": "${{ release"}}, Exception, "}}"),
        ({"overlap": "wait"}, OptionError, "queue"),
        ({"catch_up": "yes"}, OptionError, "latest"),
        ({"grace": 0.1}, OptionError, "grace"),
        ({"jitter": -1}, OptionError, "jitter"),
        ({"name": "a\nb"}, OptionError, "printable"),
        ({"name": "x" * 501}, OptionError, "500"),
        ({"queue": "-"}, OptionError, "queue"),
        ({"target": "nowhere.py:main"}, EntryError, "nowhere.py"),
        ({"target": 5}, OptionError, "target"),
        ({"trigger": 5}, OptionError, "trigger"),
        ({"parameters": {"day": object()}}, EntryError, "plain JSON"),
        ({"parameters": {"day": 10**5000}}, EntryError, "plain JSON"),
        ({"parameters": ["day"]}, EntryError, "name=value"),
        ({"grace": 1e300}, OptionError, "year"),
        ({"jitter": 1e300}, OptionError, "year"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_recorded(service, flow, wrong, error, text):
    given = {"name": "hourly", "target": flow, "trigger": HOURLY, **wrong}

    with pytest.raises(error, match=text):
        service.put_schedule(given.pop("name"), given.pop("target"), given.pop("trigger"), **given)

    assert service.schedules() == []


# What nobody was there for


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", [((13, 15), "missed"), (16, "submitted")]),
        ("none", [((13, 16), "missed")]),
        ("all", [(13, "submitted"), (14, "submitted"), (15, "submitted"), (16, "submitted")]),
    ],
)
def test_what_was_missed_is_caught_up_as_the_schedule_says(service, flow, clock, look, catch_up, expected):
    service.put_schedule("hourly", flow, HOURLY, overlap="allow", catch_up=catch_up)
    clock.set(16, 30)
    look()

    assert story(service) == expected
    assert all(each.reason for each in service.firings("hourly") if each.state == "missed")


def test_a_moment_that_is_a_little_late_is_not_missed(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, catch_up="none", grace=120)
    clock.set(13, 2)
    look()

    assert story(service) == [(13, "submitted")]


def test_with_all_to_catch_up_and_one_at_a_time_nothing_is_lost(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, [f"day={DAY}"], catch_up="all")
    clock.set(17)
    for _ in range(8):
        look()
        end_all(service)

    assert story(service) == [(number, "submitted") for number in (13, 14, 15, 16, 17)]
    assert [each["day"][-2:] for each in parameters(service)] == ["13", "14", "15", "16", "17"]


# What goes on


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [(13, "submitted"), ((14, 16), "skipped")]),
        ("queue", [(13, "submitted"), (14, "waiting"), ((15, 16), "skipped")]),
        ("allow", [(13, "submitted"), (14, "submitted"), (15, "submitted"), (16, "submitted")]),
    ],
)
def test_what_comes_while_a_run_goes_on_is_as_the_schedule_says(service, flow, clock, look, overlap, expected):
    service.put_schedule("hourly", flow, HOURLY, overlap=overlap)
    for number in (13, 14, 15, 16):
        clock.set(number)
        look()

    assert story(service) == expected


def test_the_first_that_waits_begins_when_the_run_before_has_ended(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, [f"day={DAY}"])
    for number in (13, 14, 15):
        clock.set(number)
        look()
    end_all(service)
    look()

    assert [each["day"][-2:] for each in parameters(service)] == ["13", "14"]
    assert story(service) == [(13, "submitted"), (14, "submitted"), (15, "skipped")]


def test_a_start_is_put_off_by_the_same_time_in_every_process(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, jitter=600, overlap="allow")
    starts = []
    for _ in range(2):
        clock.set(13)
        look()
        starts.append(service.runs()[-1].due_at)

    assert hour(13) < starts[0] < hour(13, 10)
    assert starts[0] == starts[1]


# Pause, resume, end


def test_what_comes_during_a_pause_is_never_caught_up(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, catch_up="all", overlap="allow")
    clock.set(13)
    look()
    service.pause_schedule("hourly")
    clock.set(16, 30)
    look()
    service.resume_schedule("hourly")
    look()
    clock.set(17)
    look()

    assert story(service) == [(13, "submitted"), ((14, 16), "skipped"), (17, "submitted")]
    assert "paused" in service.firings("hourly")[1].reason


def test_what_nobody_had_looked_at_before_a_pause_is_on_record_too(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, catch_up="all", overlap="allow")
    clock.set(14, 30)
    service.pause_schedule("hourly")
    clock.set(16, 30)
    service.put_schedule("hourly", flow, HOURLY, {"day": "another"})
    assert service.next_moments("hourly") == [hour(17)]
    clock.set(17, 30)
    service.resume_schedule("hourly")
    look()

    assert (story(service), service.runs()) == ([((13, 17), "skipped")], [])


def test_only_what_is_active_is_paused_and_only_what_is_paused_resumed(service, flow):
    service.put_schedule("hourly", flow, HOURLY)

    with pytest.raises(StoreError, match="only a paused one"):
        service.resume_schedule("hourly")
    service.pause_schedule("hourly")
    with pytest.raises(StoreError, match="only an active one"):
        service.pause_schedule("hourly")


def test_a_schedule_ends_with_its_last_moment(service, flow, clock, look):
    service.put_schedule("hourly", flow, {"cron": HOURLY, "end": "2026-03-02T14:00Z"}, overlap="allow")
    clock.set(18)
    look()

    assert service.schedule("hourly").state == "ended"
    assert service.next_moments("hourly") == []
    assert story(service) == [(13, "missed"), (14, "submitted")]


def test_an_excluded_moment_is_on_record_with_the_reason(service, flow, clock, look):
    trigger = {"cron": HOURLY, "exclude": ["* 14 * * *"]}
    service.put_schedule("hourly", flow, trigger, overlap="allow", catch_up="all")
    clock.set(15)
    look()

    assert story(service) == [(13, "submitted"), (14, "skipped"), (15, "submitted")]
    assert "14" in service.firings("hourly")[1].reason


# By hand


def test_a_run_by_hand_is_made_whatever_goes_on(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, overlap="skip")
    clock.set(13)
    look()
    clock.set(13, 20)
    run_id = service.run_schedule("hourly")

    (firing,) = [each for each in service.firings("hourly") if each.kind == "manual"]
    assert (firing.run_id, firing.at, firing.state) == (run_id, hour(13, 20), "submitted")
    assert service.run(run_id).entry["release"]["kind"] == "manual"
    assert service.next_moments("hourly") == [hour(14)]


def test_a_moment_that_comes_while_a_run_by_hand_goes_on_overlaps(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, overlap="skip")
    clock.set(12, 50)
    run_id = service.run_schedule("hourly")
    clock.set(13)
    look()

    assert service.firings("hourly")[-1].reason == f"run {run_id} had not ended"


def test_a_dropped_schedule_leaves_its_runs(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY)
    clock.set(13)
    look()
    service.drop_schedule("hourly")
    clock.set(14)
    look()

    assert (len(service.runs()), service.schedules()) == (1, [])


def test_an_unknown_name_is_answered_with_the_nearest(service, flow):
    service.put_schedule("hourly", flow, HOURLY)

    for ask in (service.schedule, service.firings, service.pause_schedule, service.drop_schedule, service.run_schedule):
        with pytest.raises(StoreError, match="did you mean 'hourly'"):
            ask("hourlly")


# One that cannot go on stops no other


def test_a_moment_that_cannot_become_a_run_is_refused_with_the_reason(service, flow, clock, look):
    late = "${{ 100 / (16 - int(release.logical_date | fmt('%H'))) }}"
    service.put_schedule("hourly", flow, HOURLY, {"day": late}, overlap="allow")
    service.put_schedule("other", flow, HOURLY, overlap="allow")
    for number in (15, 16, 17):
        clock.set(number)
        look()

    assert [state for _, state in story(service)][-3:] == ["submitted", "refused", "submitted"]
    assert [state for _, state in story(service, "other")][-1] == "submitted"
    assert "divided by 0" in next(each.reason for each in service.firings("hourly") if each.state == "refused")


def test_a_draining_queue_takes_no_run_and_that_is_on_record(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, queue="nightly")
    service.add_queue("nightly")
    service.drain_queue("nightly")
    clock.set(13)
    look()

    assert story(service) == [(13, "refused")]
    assert "draining" in service.firings("hourly")[0].reason


# Backfills


def test_a_backfill_makes_a_run_of_each_moment_once_and_no_more_at_once_than_it_may(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, [f"day={DAY}"])
    backfill = service.backfill("hourly", hour(2), hour(9), limit=3)
    at_once = []
    for _ in range(5):
        look()
        at_once.append(sum(not run.state.final for run in service.runs()))
        end_all(service)

    assert max(at_once) == 3
    assert [each["day"][-2:] for each in parameters(service)] == ["02", "03", "04", "05", "06", "07", "08"]
    assert {run.entry["release"]["kind"] for run in service.runs()} == {"backfill"}
    assert service.backfill_numbered(backfill.number).state == "ended"


def test_a_backfill_may_begin_with_the_newest(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, [f"day={DAY}"])
    service.backfill("hourly", hour(2), hour(5), limit=1, newest_first=True)
    for _ in range(5):
        look()
        end_all(service)

    assert [each["day"][-2:] for each in parameters(service)] == ["04", "03", "02"]


def test_a_backfill_makes_no_second_run_of_a_moment(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY, overlap="allow", catch_up="none")
    clock.set(13)
    look()
    clock.set(17, 30)
    look()
    for _ in range(2):
        service.backfill("hourly", hour(12), hour(17), {"day": "again"}, limit=10)
        look()

    runs = sorted(run.entry["release"]["logical_date"][11:13] for run in service.runs())
    assert runs == ["12", "13", "14", "15", "16"]
    assert [each.known for each in service.backfills()] == [1, 5]


def test_a_backfill_loses_no_moment_to_the_group_of_its_workflow(service, tmp_path, clock, look):
    path = tmp_path / "grouped.json"
    path.write_text('{"concurrency": "one", "jobs": {"a": {"stages": [{"name": "s"}]}}}')
    service.put_schedule("hourly", str(path), HOURLY)
    service.backfill("hourly", hour(2), hour(6), limit=4)
    for _ in range(6):
        look()
        end_all(service)

    assert [run.state for run in service.runs()] == [State.SUCCEEDED] * 4


def test_days_of_a_backfill_begin_in_the_time_zone_of_the_schedule(service, flow, clock, look):
    service.put_schedule("daily", flow, "0 0 * * *", [f"day={DAY}"], timezone="Asia/Bangkok")
    service.backfill("daily", date(2026, 2, 1), date(2026, 2, 3))
    look()

    assert [each["day"] for each in parameters(service)] == ["2026-02-01 00", "2026-02-02 00"]


def test_a_backfill_that_is_cancelled_makes_no_more_runs(service, flow, clock, look):
    service.put_schedule("hourly", flow, HOURLY)
    backfill = service.backfill("hourly", hour(2), hour(9), limit=1)
    look()
    cancelled = service.cancel_backfill(backfill.number)
    end_all(service)
    look()

    assert (cancelled, service.cancel_backfill(backfill.number)) == (True, False)
    assert len(service.runs()) == 1


@pytest.mark.parametrize(
    ("start", "end", "more", "text"),
    [
        (hour(5), hour(5), {}, "after the start"),
        (hour(5), hour(15), {}, "no later than now"),
        (datetime(2026, 1, 1), hour(5), {}, "time zone"),
        (hour(5, 10), hour(5, 20), {}, "no"),
        (hour(5), hour(7), {"limit": 0}, "limit"),
        (hour(5), hour(7), {"parameters": {"dya": 1}}, "dya"),
    ],
)
def test_a_backfill_that_cannot_work_is_refused(service, flow, start, end, more, text):
    service.put_schedule("hourly", flow, HOURLY)

    with pytest.raises((OptionError, EntryError), match=text):
        service.backfill("hourly", start, end, **more)

    assert service.backfills() == []
