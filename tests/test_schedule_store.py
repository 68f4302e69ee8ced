"""One contract for the schedules of every store: which moments become runs, what becomes of the others, and who is second."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from test_queue import Moments, end, ids, submission_of, submit, take, why

from aiodag import State
from aiodag.errors import StoreError
from aiodag.firings import (
    BackfillRecord,
    BackfillStep,
    Passed,
    PlannedRun,
    Release,
    ScheduleRecord,
)
from aiodag.records import RunFilter
from aiodag.stores import Memory, SQLite

START = 1_800_000_000.0  # a moment of the triggers, not of the clock
MINUTE = 60.0
CRON = {"cron": "* * * * *"}


@pytest.fixture
def moments(monkeypatch):
    """The clock of a store, which a test puts forward."""
    return Moments(monkeypatch)


def moment(place):
    return datetime.fromtimestamp(START + place * MINUTE, UTC)


def put(store, name="nightly", *, next_at=None, **more):
    """A schedule, as it is read again."""
    next_at = next_at or datetime.now(UTC) - timedelta(seconds=1)
    store.put_schedule(ScheduleRecord(name, CRON, submission_of("template"), next_at=next_at, **more))
    return read(store, name)


def read(store, name="nightly"):
    (found,) = store.schedules(name)
    return found


def planned(*places, run="run", **more):
    return [PlannedRun(START + place * MINUTE, submission_of(f"{run}{place}", **more)) for place in places]


def release_of(record, *places, next_at=None, **more):
    at = next_at if next_at is not None else START + (max(places, default=0) + 1) * MINUTE
    made = {key: more.pop(key) for key in ("run", "queue", "group", "entry") if key in more}
    return Release(record.name, record.number, record.version, at, planned(*places, **made), **more)


def release(store, *places, name="nightly", **more):
    """What became of some moments of a schedule."""
    (found,) = store.release_moments([release_of(read(store, name), *places, **more)])
    return None if found is None else [(each.state, each.run_id) for each in found]


def told(store, name="nightly", **more):
    """What is noted of a schedule: states and numbers of moments, in order."""
    return [(each.state, each.count) for each in store.firings(name, **more)]


def names(records):
    return [each.name for each in records]


def work(store):
    """Take all that waits, and end it."""
    taken = take(store)
    for each in taken:
        end(store, each)
    return ids(taken)


# Put and read


def test_a_schedule_is_read_as_it_was_put(store):
    template = submission_of(
        "template", tags={"env": "test"}, priority=3, retries=2, definition='{"jobs": {}}', group="g"
    )
    record = ScheduleRecord(
        "nightly",
        {"cron": "0 0 * * *", "timezone": "Asia/Bangkok"},
        template,
        params={"day": "${{ release.logical_date }}"},
        overlap="skip",
        catch_up="all",
        jitter=1.5,
        grace=5.0,
        source="/srv/etl.yaml",
        next_at=moment(0),
    )

    assert store.put_schedule(record)

    found = read(store)
    assert (found.name, found.trigger, found.submission, found.params) == (
        "nightly",
        record.trigger,
        template,
        record.params,
    )
    assert (found.overlap, found.catch_up, found.jitter, found.grace, found.source) == (
        "skip",
        "all",
        1.5,
        5.0,
        "/srv/etl.yaml",
    )
    assert (found.state, found.next_at, found.version, found.is_held, found.damaged) == (
        "active",
        moment(0),
        1,
        False,
        "",
    )
    assert abs(found.created_at.timestamp() - time.time()) < 60


def test_a_schedule_replaces_the_one_of_its_name_and_keeps_what_that_has_done(store):
    put(store)
    release(store, 0)

    again = store.put_schedule(ScheduleRecord("nightly", {"every": 60}, submission_of("other"), next_at=moment(5)))

    found = read(store)
    assert not again
    assert (found.trigger, found.submission.id, found.next_at) == ({"every": 60}, "other", moment(5))
    assert told(store) == [("submitted", 1)]
    assert names(store.schedules()) == ["nightly"]


def test_a_schedule_that_must_be_new_is_refused_if_there_is_one(store):
    put(store)

    with pytest.raises(StoreError, match="there is a schedule 'nightly' in"):
        store.put_schedule(ScheduleRecord("nightly", CRON, submission_of("other")), replace=False)


def test_schedules_are_listed_by_name_and_found_by_source(store):
    for name, source in (("b", "/srv/etl.yaml"), ("a", ""), ("c", "/srv/etl.yaml")):
        put(store, name, source=source)

    assert names(store.schedules()) == ["a", "b", "c"]
    assert names(store.schedules(source="/srv/etl.yaml")) == ["b", "c"]
    assert store.schedules("d") == []


def test_a_schedule_is_dropped_with_its_firings_and_its_runs_stay(store):
    put(store)
    release(store, 0)
    number = store.put_backfill(BackfillRecord("nightly", moment(0), moment(9)))

    assert store.drop_schedule("nightly")

    assert not store.drop_schedule("nightly")
    assert (store.schedules(), store.firings("nightly"), store.backfills(number=number)) == ([], [], [])
    assert store.run("run0").schedule == "nightly"


# Due


def test_schedules_are_due_when_their_moment_has_come_the_longest_due_first(store):
    now = datetime.now(UTC)
    for name, seconds in (("a", -5), ("b", -50), ("c", 500), ("d", -500)):
        put(store, name, next_at=now + timedelta(seconds=seconds))
    store.set_schedule_state("d", "paused", None)

    assert names(store.due_schedules(10)) == ["b", "a"]
    assert names(store.due_schedules(1)) == ["b"]
    assert store.next_due() <= -50 + 1


def test_the_next_schedule_is_due_in_as_many_seconds(store, moments):
    assert store.next_due() is None
    put(store, next_at=datetime.now(UTC) + timedelta(seconds=500))

    assert 490 < store.next_due() <= 500
    moments.advance(600)
    assert names(store.due_schedules(10)) == ["nightly"]


def test_a_paused_schedule_is_never_due_and_goes_on_with_the_moment_that_is_given(store):
    put(store)

    assert store.set_schedule_state("nightly", "paused", None, "the disk is full")
    paused = read(store)
    assert (paused.state, paused.reason, paused.next_at, store.due_schedules(10)) == (
        "paused",
        "the disk is full",
        None,
        [],
    )

    assert store.set_schedule_state("nightly", "active", START)
    assert (read(store).state, read(store).next_at) == ("active", moment(0))
    assert not store.set_schedule_state("another", "paused", None)


@pytest.mark.parametrize("change", ["released", "paused", "dropped"])
def test_of_a_schedule_that_has_changed_since_it_was_seen_nothing_is_replaced(store, change):
    seen = put(store)
    if change == "released":
        release(store, 0)
    elif change == "paused":
        store.set_schedule_state("nightly", "paused", None)
    else:
        store.drop_schedule("nightly")
    before = store.schedules("nightly")

    assert store.put_schedule(seen) is None
    assert store.schedules("nightly") == before
    assert not before or store.put_schedule(before[0]) is False


# Released


def test_a_moment_becomes_a_run_and_the_next_one_is_noted(store):
    put(store)

    assert release(store, 0) == [("submitted", "run0")]

    run, found = store.run("run0"), read(store)
    (firing,) = store.firings("nightly")
    assert (run.state, run.schedule) == (State.QUEUED, "nightly")
    assert (found.next_at, found.version, found.last_run) == (moment(1), 2, "run0")
    assert (firing.at, firing.kind, firing.state, firing.run_id) == (moment(0), "scheduled", "submitted", "run0")
    assert ids(take(store)) == ["run0"]


def test_a_run_is_taken_with_the_release_that_its_entry_tells(store):
    put(store)
    entry = {
        "file": "/srv/etl.py",
        "task": "main",
        "parameters": {},
        "release": {"logical_date": "2027-01-15T08:00:00Z"},
    }
    release(store, 0, entry=entry)

    (taken,) = take(store)
    assert taken.claim.entry == entry


def test_who_is_second_releases_nothing(store):
    record = put(store)
    both = [release_of(record, 0, run="first"), release_of(record, 0, run="second")]

    assert [found is None for found in store.release_moments(both)] == [False, True]
    assert store.release_moments([release_of(record, 1)]) == [None]
    assert ids(take(store)) == ["first0"]


@pytest.mark.parametrize("change", ["replaced", "paused", "dropped", "made again"])
def test_what_was_planned_before_a_change_is_not_released(store, change):
    record = put(store)
    if change == "replaced":
        put(store)
    elif change == "paused":
        store.set_schedule_state("nightly", "paused", None)
    else:
        store.drop_schedule("nightly")
        if change == "made again":
            put(store)

    assert store.release_moments([release_of(record, 0)]) == [None]
    assert take(store) == []


def test_several_schedules_are_released_at_once(store):
    records = [put(store, name) for name in "abc"]

    found = store.release_moments([release_of(each, 0, run=each.name) for each in records])

    assert [[each.run_id for each in some] for some in found] == [["a0"], ["b0"], ["c0"]]
    assert sorted(ids(take(store))) == ["a0", "b0", "c0"]


def test_a_moment_is_released_once_whoever_asks(store):
    put(store, overlap="allow")
    release(store, 0, 1)

    assert release(store, 0, 1, 2, run="again") == [("submitted", "again2")]
    assert sorted(work(store)) == ["again2", "run0", "run1"]


def test_what_a_release_says_of_the_schedule_holds(store):
    put(store)

    release(store, 0, state="ended", reason="its end date has come")

    found = read(store)
    assert (found.state, found.reason, found.next_at) == ("ended", "its end date has come", None)


def test_a_paused_schedule_is_released_to_go_on(store):
    put(store)
    store.set_schedule_state("nightly", "paused", None)
    passed = [Passed(START, START + 3 * MINUTE, 4, "skipped", "paused")]

    (found,) = store.release_moments(
        [release_of(read(store), next_at=START + 4 * MINUTE, passed=passed, state="active")]
    )

    assert [(each.state, each.count, each.at, each.until) for each in found] == [("skipped", 4, moment(0), moment(3))]
    assert (read(store).state, read(store).next_at) == ("active", moment(4))


def test_a_run_by_hand_overlaps_and_changes_no_moment(store):
    record = put(store, overlap="skip")
    release(store, 0)

    assert release(store, 5, kind="manual") == [("submitted", "run5")]
    assert read(store).next_at == moment(1)
    assert [each.kind for each in store.firings("nightly")] == ["scheduled", "manual"]
    assert read(store).number == record.number


def test_runs_are_found_by_their_schedule(store):
    put(store)
    put(store, "other")
    release(store, 0)
    release(store, 0, name="other", run="theirs")
    submit(store, "nobodys")

    assert [run.id for run in store.runs(wanted=RunFilter(schedule="nightly"))] == ["run0"]
    assert [run.id for run in store.runs(wanted=RunFilter(schedule="other", name="main", state="queued"))] == [
        "theirs0"
    ]


def test_a_queue_that_takes_nothing_refuses_with_the_reason(store):
    store.put_queue("slow", state="draining")
    put(store)

    assert release(store, 0, queue="slow") == [("refused", None)]
    assert [each.reason for each in store.firings("nightly")] == ["queue 'slow' is draining"]
    assert store.runs() == []


# Overlap


def test_with_allow_every_moment_becomes_a_run(store):
    put(store, overlap="allow")

    release(store, 0, 1)
    release(store, 2)

    assert told(store) == [("submitted", 1)] * 3


@pytest.mark.parametrize("state", ["queued", "running", "parked"])
def test_with_skip_a_run_that_goes_on_skips_what_comes(store, state):
    put(store, overlap="skip")
    release(store, 0)
    if state != "queued":
        (taken,) = take(store)
    if state == "parked":
        from test_inbox import wait, wait_row

        wait(store, taken, wait_row())
        assert store.park(taken.claimed) is State.PARKED

    assert release(store, 1, 2) == [("skipped", None)]

    (_, skipped) = store.firings("nightly")
    assert (skipped.count, skipped.at, skipped.until, skipped.reason) == (
        2,
        moment(1),
        moment(2),
        "run run0 had not ended",
    )
    assert store.run("run0").state == state


def test_with_queue_the_first_waits_and_later_ones_are_skipped(store):
    put(store)
    release(store, 0)

    assert release(store, 1, 2, 3) == [("waiting", None), ("skipped", None)]
    assert release(store, 4) == [("skipped", None)]

    assert told(store) == [("submitted", 1), ("waiting", 1), ("skipped", 3)]
    assert [each.reason for each in store.firings("nightly")][1:] == [
        "until run run0 has ended",
        f"{moment(1).isoformat()} waited already",
    ]


def test_what_waits_is_submitted_when_the_run_has_ended(store):
    put(store)
    release(store, 0, 1)
    assert work(store) == ["run0"]

    assert work(store) == ["run1"]
    assert told(store) == [("submitted", 1), ("submitted", 1)]
    assert store.run("run1").schedule == "nightly"
    assert work(store) == []


@pytest.mark.parametrize("way", ["cancelled", "deleted"])
def test_what_waits_is_submitted_when_the_run_has_gone(store, way):
    put(store)
    release(store, 0, 1)
    assert take(store, 0) == []

    if way == "cancelled":
        store.cancel("run0")
    else:
        store.delete(["run0"])

    assert ids(take(store)) == ["run1"]


def test_what_waits_goes_on_waiting_while_the_run_begins_again_by_itself(store):
    put(store)
    release(store, 0)
    release(store, 1)
    (taken,) = take(store)
    store.give_back([taken.claimed])

    assert ids(take(store)) == ["run0"]
    assert told(store) == [("submitted", 1), ("waiting", 1)]


def test_what_waits_for_runs_of_several_schedules_begins_together(store):
    for name in "abc":
        put(store, name)
        release(store, 0, 1, name=name, run=name)

    assert sorted(work(store)) == ["a0", "b0", "c0"]
    assert sorted(work(store)) == ["a1", "b1", "c1"]


def test_nothing_that_waits_begins_while_its_schedule_is_paused(store):
    put(store)
    release(store, 0, 1)
    store.set_schedule_state("nightly", "paused", None)
    assert work(store) == ["run0"]
    assert work(store) == []

    store.set_schedule_state("nightly", "active", START + 2 * MINUTE)

    assert work(store) == ["run1"]


def test_what_waits_begins_when_a_paused_schedule_has_come_to_its_end(store):
    put(store)
    release(store, 0, 1)
    store.set_schedule_state("nightly", "paused", None)
    work(store)
    assert work(store) == []

    release(store, state="ended")

    assert work(store) == ["run1"]


def test_what_waits_for_a_draining_queue_is_refused(store):
    put(store)
    release(store, 0, 1)
    store.put_queue("default", state="draining")
    work(store)

    assert work(store) == []
    assert told(store) == [("submitted", 1), ("refused", 1)]


def test_with_a_run_that_has_ended_the_next_moment_is_submitted(store):
    put(store, overlap="skip")
    release(store, 0)
    work(store)

    assert release(store, 1) == [("submitted", "run1")]


def test_a_schedule_that_loses_nothing_holds_what_can_neither_run_nor_wait(store):
    put(store, catch_up="all")
    release(store, 0, 1, 2, 3, holds=True)

    held = read(store)
    assert told(store) == [("submitted", 1), ("waiting", 1)]
    assert (held.next_at, held.is_held, store.due_schedules(10), store.next_due()) == (moment(2), True, [], None)

    work(store)
    assert work(store) == ["run1"]
    assert (read(store).next_at, read(store).is_held) == (moment(2), False)
    assert names(store.due_schedules(10)) == ([] if time.time() < START else ["nightly"])
    assert store.next_due() is not None


def test_a_schedule_that_holds_moments_does_not_end_before_them(store):
    put(store, catch_up="all")
    release(store, 0, 1, 2, holds=True, state="ended", reason="no other moment")

    held = read(store)
    assert (held.state, held.reason, held.next_at, held.is_held) == ("active", "", moment(2), True)


# Passed over


def test_moments_in_a_row_that_are_passed_over_for_one_reason_are_one_row(store):
    put(store)
    for place in (0, 2, 4):
        passed = [Passed(START + place * MINUTE, START + (place + 1) * MINUTE, 2, "missed", "nobody was there")]
        release(store, next_at=START + (place + 2) * MINUTE, passed=passed)
    release(store, passed=[Passed(START + 6 * MINUTE, START + 6 * MINUTE, 1, "missed", "excluded")])

    found = store.firings("nightly")
    assert [(each.state, each.count, each.reason) for each in found] == [
        ("missed", 6, "nobody was there"),
        ("missed", 1, "excluded"),
    ]
    assert (found[0].at, found[0].until, found[1].until) == (moment(0), moment(5), None)


def test_a_run_in_between_ends_the_row(store):
    put(store, overlap="skip")
    release(store, 0)
    release(store, 1)
    work(store)
    release(store, 2)
    release(store, 3)

    assert told(store) == [("submitted", 1), ("skipped", 1)] * 2


def test_missed_moments_come_before_the_one_that_is_caught_up(store):
    put(store)

    found = release(store, 3, passed=[Passed(START, START + 2 * MINUTE, 3, "missed", "late")])

    assert found == [("missed", None), ("submitted", "run3")]


def test_the_newest_firings_are_given_in_the_order_in_which_they_were_noted(store):
    put(store, overlap="allow")
    release(store, *range(5))

    assert [each.run_id for each in store.firings("nightly", limit=2)] == ["run3", "run4"]
    assert [each.run_id for each in store.firings("nightly")] == [f"run{place}" for place in range(5)]


def test_a_firing_stays_when_its_run_is_deleted(store):
    put(store)
    release(store, 0)
    work(store)

    store.delete(["run0"])

    assert [(each.state, each.run_id) for each in store.firings("nightly")] == [("submitted", "run0")]
    assert read(store).last_run is None
    assert release(store, 0, run="again") == []


def test_firings_do_not_pile_up(store, monkeypatch):
    for module in ("kept_schedules", "sql.firings"):
        monkeypatch.setattr(f"aiodag.stores.{module}.KEPT_FIRINGS", 20)
    put(store, overlap="allow")

    for place in range(0, 300, 50):
        release(store, *range(place, place + 50))

    there = store.firings("nightly")
    assert 20 <= len(there) < 150
    assert there[-1].run_id == "run299"


# Backfills


def backfill(store, *, first=0, last=10, **more):
    return store.put_backfill(BackfillRecord("nightly", moment(first), moment(last), **more))


def advance(store, number, *places, state="active", **more):
    (record,) = store.backfills(number=number)
    cursor = START + (max(places, default=0) + 1) * MINUTE
    (found,) = store.advance_backfills(
        [BackfillStep(number, record.version, cursor, planned(*places, run="past"), state=state, **more)]
    )
    return None if found is None else [(each.state, each.run_id) for each in found]


def due_backfills(store):
    return [(each.number, each.room) for each in store.due_backfills(10)]


def test_a_backfill_is_due_while_it_has_room(store):
    put(store)
    number = backfill(store, limit=2, params={"day": "1"})
    (record,) = store.backfills("nightly")
    assert (record.start, record.end, record.cursor, record.params, record.state) == (
        moment(0),
        moment(10),
        None,
        {"day": "1"},
        "active",
    )
    assert due_backfills(store) == [(number, 2)]

    assert advance(store, number, 0, 1) == [("submitted", "past0"), ("submitted", "past1")]

    (record,) = store.backfills(number=number)
    assert (record.cursor, record.unfinished, record.submitted, due_backfills(store)) == (moment(2), 2, 2, [])
    assert [each.kind for each in store.firings("nightly")] == ["backfill", "backfill"]
    assert store.run("past0").schedule == "nightly"
    work(store)
    assert due_backfills(store) == [(number, 2)]


def test_a_backfill_makes_a_run_of_each_moment_once(store):
    put(store)
    release(store, 1)
    number = backfill(store)

    assert advance(store, number, 0, 1, 2) == [("submitted", "past0"), ("submitted", "past2")]
    second = backfill(store)
    assert advance(store, second, 0, 1, 2, 3) == [("submitted", "past3")]

    assert [(each.submitted, each.known) for each in store.backfills()] == [(2, 1), (1, 3)]
    assert sorted(work(store)) == ["past0", "past2", "past3", "run1"]


def test_who_is_second_advances_no_backfill(store):
    put(store)
    number = backfill(store)
    (record,) = store.backfills()
    steps = [BackfillStep(number, record.version, None, planned(place, run=f"by{place}")) for place in (0, 1)]

    assert [found is None for found in store.advance_backfills(steps)] == [False, True]


def test_a_backfill_that_has_ended_or_was_cancelled_is_not_due(store):
    put(store)
    done, cancelled = backfill(store), backfill(store)

    advance(store, done, 0, state="ended", reason="all its moments are done")
    assert store.cancel_backfill(cancelled)

    assert not store.cancel_backfill(cancelled)
    assert due_backfills(store) == []
    assert [(each.state, each.reason) for each in store.backfills()] == [
        ("ended", "all its moments are done"),
        ("cancelled", ""),
    ]


def test_runs_of_a_backfill_do_not_hold_up_the_schedule(store):
    put(store, overlap="skip")
    advance(store, backfill(store), 0)

    assert release(store, 1) == [("submitted", "run1")]


def test_a_backfill_of_a_schedule_that_is_not_there_is_refused(store):
    with pytest.raises(StoreError, match="there is no schedule 'nightly'"):
        backfill(store)


# Groups


def grouped(store, run_id, **more):
    return submit(store, run_id, group="deploy", **more)


def held(store):
    return sorted(run.id for run in store.runs() if run.is_held)


def test_of_a_group_one_run_goes_on_and_one_waits(store):
    grouped(store, "first")
    grouped(store, "second")
    submit(store, "alone")

    assert (store.run("second").group, held(store)) == ("deploy", ["second"])
    taken = take(store)
    assert ids(taken) == ["first", "alone"]
    end(store, taken[0])
    assert work(store) == ["second"]


def test_a_newer_run_takes_the_place_of_the_one_that_waits(store):
    for name in ("first", "second", "third"):
        grouped(store, name)

    second = store.run("second")
    assert (second.state, held(store)) == (State.CANCELLED, ["third"])
    assert "run 'third' of the group 'deploy' waits in its place" in second.error
    assert work(store) == ["first"]
    assert work(store) == ["third"]


def test_a_newer_run_cancels_the_one_that_goes_on_where_it_says_so(store):
    grouped(store, "first")
    (taken,) = take(store)

    grouped(store, "second", cancel_in_progress=True)

    assert store.held_runs(taken.claim.owner)[taken.claimed.run][1]
    assert (take(store), held(store)) == ([], ["second"])
    end(store, taken, State.CANCELLED)
    assert work(store) == ["second"]


def test_a_run_that_never_began_is_cancelled_at_once_and_leaves_its_place(store):
    grouped(store, "first")

    grouped(store, "second", cancel_in_progress=True)

    assert (store.run("first").state, held(store)) == (State.CANCELLED, [])
    assert work(store) == ["second"]


@pytest.mark.parametrize("way", ["cancelled", "deleted"])
def test_who_waits_for_its_group_goes_on_when_the_other_has_gone(store, way):
    grouped(store, "first")
    grouped(store, "second")

    if way == "cancelled":
        store.cancel("first")
    else:
        store.delete(["first"])

    assert ids(take(store)) == ["second"]


def test_a_run_that_waits_for_its_group_can_be_cancelled_and_deleted(store):
    grouped(store, "first")
    grouped(store, "second")
    store.cancel("second")
    assert (store.run("second").state, held(store)) == (State.CANCELLED, [])

    grouped(store, "third")
    store.delete(["third"])

    assert work(store) == ["first"]
    assert work(store) == []


def test_a_run_whose_time_has_not_come_holds_up_nobody(store, moments):
    grouped(store, "later", starts_at=time.time() + 500)
    grouped(store, "first")
    assert held(store) == []
    (taken,) = take(store, lease=1e6)

    moments.advance(600)

    assert take(store) == []
    assert held(store) == ["later"]
    end(store, taken)
    assert work(store) == ["later"]


def test_a_run_that_is_begun_again_enters_its_group_again(store):
    grouped(store, "first")
    work(store)
    grouped(store, "second")
    assert store.submit_again("first")

    assert held(store) == ["first"]
    assert work(store) == ["second"]
    assert work(store) == ["first"]


def test_a_run_that_fails_and_has_retries_keeps_its_place(store):
    grouped(store, "first", retries=1)
    grouped(store, "second")
    (taken,) = take(store)

    end(store, taken, State.FAILED, error="{}")

    assert ids(take(store)) == ["first"]
    assert held(store) == ["second"]


def test_a_run_that_waits_for_its_group_expires(store, moments):
    grouped(store, "first")
    grouped(store, "second", expires_at=time.time() + 500)
    take(store)
    moments.advance(600)
    take(store, 0)

    assert "had not begun by" in why(store, "second")
    assert held(store) == []


def test_groups_do_not_hold_up_each_other(store):
    submit(store, "a", group="A")
    submit(store, "b", group="B")

    assert ids(take(store)) == ["a", "b"]


def test_runs_of_a_backfill_wait_for_their_turns(store):
    put(store)
    number = backfill(store, limit=4)
    (record,) = store.backfills()
    grouped(store, "first")
    runs = planned(0, 1, 2, run="past", group="deploy", cancel_in_progress=True)
    store.advance_backfills([BackfillStep(number, record.version, None, runs)])
    assert held(store) == ["past0", "past1", "past2"]

    grouped(store, "newer", cancel_in_progress=True)
    assert (store.run("first").state, held(store)) == (State.CANCELLED, ["newer", "past0", "past1", "past2"])

    assert [work(store) for _ in range(5)] == [["past0"], ["past1"], ["past2"], ["newer"], []]


def test_runs_of_schedules_are_of_groups_too(store):
    for name in ("a", "b"):
        put(store, name)
        release(store, 0, name=name, run=name, group="deploy")

    assert held(store) == ["b0"]
    assert work(store) == ["a0"]
    assert work(store) == ["b0"]


# By an index

LOOKS = {
    "next_due": (),
    "due_schedules": (1.0, 100),
    "freed_there": (),
    "unfinished_of_schedules": ("nightly",),
    "waiting_of_schedules": (1,),
    "released_between": (1, 0.0, 1.0),
    "last_firings": (1,),
    "lock_schedules": (1,),
    "unfinished_of_group": ("deploy", 1),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_releases_moments_is_found_by_an_index(tmp_path, name):
    store = SQLite(tmp_path / "runs.db")
    with store.writing() as session:
        statement = session.query(name).replace("?...", "?")
        plan = session.execute(f"explain query plan {statement}", LOOKS[name]).fetchall()
    store.close()

    assert [step for *_, step in plan if step.startswith("SCAN")] == []


def test_thousands_of_schedules_are_released_in_a_store_in_memory():
    store = Memory()
    for place in range(3000):
        put(store, f"s{place}")

    found = store.release_moments([release_of(each, 0, run=each.name) for each in store.schedules()])

    assert len(found) == len(take(store, 5000)) == 3000
