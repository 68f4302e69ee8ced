"""Schedulers, ends of runs and submissions that meet on several connections: each moment once, and nothing waits for nobody."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from test_inbox_races import connect  # noqa: F401 - a fixture
from test_queue import OTHER, end, ids, submission_of, submit, take
from test_schedule_store import START, put, read, release_of
from worker_processes import PATIENCE

from aiodag import State
from aiodag.firings import BackfillRecord, BackfillStep, PlannedRun
from aiodag.stores.places import store_at

ROUNDS = {"sqlite": 15, "postgresql": 25}
KINDS = pytest.mark.parametrize("kind", ROUNDS)
LEASE = 1e6


def at_once(*acts):
    """What several calls return that begin at one moment, each in a thread of its own."""
    barrier = threading.Barrier(len(acts))

    def act(one):
        barrier.wait(PATIENCE)
        return one()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [each.result(PATIENCE) for each in [pool.submit(act, one) for one in acts]]


def take_all(store, owner=OTHER):
    return take(store, 100, owner=owner, lease=LEASE)


@KINDS
def test_of_several_schedulers_one_releases_a_moment(connect, kind):  # noqa: F811 - the fixture
    stores = [connect(kind) for _ in range(3)]
    put(stores[0], overlap="allow")
    for place in range(ROUNDS[kind]):
        record = read(stores[0])
        releases = [release_of(record, place, run=f"by{number}-") for number in range(3)]

        found = at_once(*(lambda s=s, r=r: s.release_moments([r])[0] for s, r in zip(stores, releases, strict=True)))

        assert sum(each is not None for each in found) == 1
    firings = stores[0].firings("nightly")
    assert sorted(ids(take_all(stores[0]))) == sorted(each.run_id for each in firings)
    assert len({each.at for each in firings}) == len(firings) == ROUNDS[kind]


@KINDS
def test_a_moment_that_is_due_as_the_run_ends_is_lost_by_nobody(connect, kind):  # noqa: F811 - the fixture
    first, second = connect(kind), connect(kind)
    put(first)
    first.release_moments([release_of(read(first), 0)])
    for place in range(1, ROUNDS[kind]):
        (taken,) = take_all(first)
        release = release_of(read(second), place)

        at_once(
            lambda taken=taken: end(first, taken),
            lambda release=release: second.release_moments([release]),
            lambda: take(second, 0),
        )

        take(second, 0)
        states = [each.state for each in first.firings("nightly")]
        assert states == ["submitted"] * (place + 1)


@KINDS
def test_what_waits_is_submitted_once_whoever_looks(connect, kind):  # noqa: F811 - the fixture
    stores = [connect(kind) for _ in range(3)]
    put(stores[0])
    stores[0].release_moments([release_of(read(stores[0]), 0)])
    for place in range(1, ROUNDS[kind]):
        (taken,) = take_all(stores[0])
        stores[0].release_moments([release_of(read(stores[0]), place)])
        end(stores[0], taken)

        at_once(*(lambda store=store: take(store, 0) for store in stores))

        assert [run.id for run in stores[0].runs() if run.ended_at is None] == [f"run{place}"]


@KINDS
def test_a_schedule_and_a_backfill_make_one_run_of_a_moment(connect, kind):  # noqa: F811 - the fixture
    first, second = connect(kind), connect(kind)
    put(first, overlap="allow")
    moments = datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 1e6, UTC)
    number = first.put_backfill(BackfillRecord("nightly", *moments, limit=100))
    for place in range(ROUNDS[kind]):
        release = release_of(read(first), place)
        (record,) = second.backfills()
        planned = [PlannedRun(START + place * 60.0, submission_of(f"past{place}"))]
        step = BackfillStep(number, record.version, None, planned)

        at_once(
            lambda release=release: first.release_moments([release]), lambda step=step: second.advance_backfills([step])
        )

    made = [run.id for run in first.runs()]
    assert sorted(name.removeprefix("past").removeprefix("run") for name in made) == sorted(
        str(place) for place in range(ROUNDS[kind])
    )


@KINDS
def test_of_a_group_one_goes_on_and_one_waits_however_many_come_at_once(connect, kind):  # noqa: F811 - the fixture
    stores = [connect(kind) for _ in range(4)]
    for place in range(ROUNDS[kind]):
        group = f"g{place}"

        at_once(*(lambda store=store, group=group: submit(store, group=group) for store in stores))

        there = [run for run in stores[0].runs() if run.group == group]
        assert sorted((str(run.state), run.is_held) for run in there) == [
            ("cancelled", False),
            ("cancelled", False),
            ("queued", False),
            ("queued", True),
        ]


@KINDS
@pytest.mark.parametrize("cancels", [False, True])
def test_who_is_submitted_as_the_other_ends_begins(connect, kind, cancels):  # noqa: F811 - the fixture
    first, second = connect(kind), connect(kind)
    submit(first, "run0", group="deploy")
    for place in range(1, ROUNDS[kind]):
        (taken,) = take_all(first)

        at_once(
            lambda taken=taken: end(first, taken, State.CANCELLED),
            lambda place=place: submit(second, f"run{place}", group="deploy", cancel_in_progress=cancels),
            lambda: take(second, 0),
        )

        take(second, 0)
        assert [(run.id, run.is_held) for run in first.runs() if run.ended_at is None] == [(f"run{place}", False)]


def test_schedules_that_share_groups_are_released_by_several_at_once(postgres_address, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    stores = [store_at(f"{postgres_address}&application_name=c{number}") for number in range(2)]
    names = [f"s{place}" for place in range(6)]
    for name in names:
        put(stores[0], name, overlap="allow")
    for place in range(10):
        releases = [
            release_of(read(stores[0], name), place, run=f"{name}-", group=f"g{number % 2}")
            for number, name in enumerate(names)
        ]

        found = at_once(
            lambda releases=releases: stores[0].release_moments(releases),
            lambda releases=releases: stores[1].release_moments(releases[::-1]),
            lambda: take(stores[1], 1, owner=OTHER, lease=LEASE),
        )

        assert sum(each is not None for some in found[:2] for each in some) == len(names)
    runs = [run for run in stores[0].runs() if run.ended_at is None]
    for group in ("g0", "g1"):
        assert sorted(run.is_held for run in runs if run.group == group) == [False, True]
    for store in stores:
        store.close()


@KINDS
def test_a_run_whose_time_has_come_enters_its_group_once_whoever_looks(connect, kind):  # noqa: F811 - the fixture
    first, second = connect(kind), connect(kind)
    for place in range(ROUNDS[kind]):
        group = f"g{place}"
        submit(first, group=group)
        submit(first, group=group, starts_at=time.time() + 0.001)

        at_once(lambda: take(first, 0), lambda: take(second, 0), lambda group=group: submit(second, group=group))

        take(first, 0)
        there = [run for run in first.runs() if run.group == group]
        assert sorted((str(run.state), run.is_held) for run in there) == [
            ("cancelled", False),
            ("queued", False),
            ("queued", True),
        ]
