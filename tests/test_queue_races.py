"""Who takes a run, while others do something with it: whatever the order, one of them has it, and the rest is told so."""

import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import permutations

import hypothesis.strategies as st
import pytest
from both_stores import answer_alike
from executions import write_one
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from test_queue import GONE, HERE, OTHER, THIRD, ids, state_of, submission_of, submit, take

from aiodag import State
from aiodag.errors import LeaseLost
from aiodag.records import Batch, Write
from aiodag.stores import Memory, SQLite
from aiodag.stores.places import store_at

WORKERS = (HERE, OTHER, THIRD)
LEASE = 3600.0  # seconds: no worker loses a run because the machine has something else to do


@pytest.fixture(params=["sqlite", "postgresql"])
def connect(request, tmp_path, monkeypatch):
    """What connects to one and the same store, each time anew."""
    place = request.getfixturevalue("postgres_address") if request.param == "postgresql" else tmp_path / "runs.db"
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    stores = []

    def connected():
        stores.append(store_at(place))
        return stores[-1]

    yield connected
    for store in stores:
        store.close()


def at_once(*works):
    """Do several things at the same time, each in a thread of its own; return what they answer."""
    start = threading.Barrier(len(works))

    def begin(work):
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(begin, work) for work in works]]


def take_all(store, owner, some=7):
    taken = []
    while found := store.take_queued(owner, ["default"], some, lease=LEASE):
        taken += ids(found)
    return taken


def test_two_claimers_on_two_connections_never_take_the_same_run(connect):
    store = connect()
    for number in range(200):
        submit(store, f"r{number}", priority=number % 3)

    first, second = at_once(partial(take_all, connect(), OTHER), partial(take_all, connect(), THIRD))

    assert Counter(first + second) == {f"r{number}": 1 for number in range(200)}


def test_two_claimers_take_no_more_of_a_name_than_go_on_at_once(connect):
    store = connect()
    for number in range(50):
        submit(store, f"r{number}", max_active=3)

    first, second = at_once(partial(take_all, connect(), OTHER, 1), partial(take_all, connect(), THIRD, 1))

    assert len(first + second) == 3


def test_two_claimers_begin_one_run_of_a_queue_with_a_rate(connect):
    store = connect()
    store.put_queue("default", rate=1, per=3600.0)
    for number in range(20):
        submit(store, f"r{number}")

    first, second = at_once(partial(take_all, connect(), OTHER), partial(take_all, connect(), THIRD))

    assert len(first + second) == 1


def test_submitters_of_one_key_at_once_have_one_run(connect):
    def work(store):
        return [submit(store, key=f"k{number}") for number in range(20)]

    store = connect()
    submit(store, "first")

    found = at_once(*[partial(work, connect()) for _ in range(3)])

    assert found[0] == found[1] == found[2]
    assert len(store.runs()) == 21


def test_what_is_cancelled_while_it_is_taken_is_one_of_both(connect):
    store, other = connect(), connect()
    names = [f"r{number}" for number in range(60)]
    for name in names:
        submit(store, name)

    taken, cancelled = at_once(
        partial(take_all, store, OTHER, 1), lambda: [name for name in names[::-1] if other.cancel(name)]
    )

    ended = {run.id for run in store.runs() if run.state is State.CANCELLED}
    assert set(taken) | ended == set(cancelled) == set(names)
    assert set(taken) & ended == set()
    wanted = dict(store.held_runs(OTHER).values())
    assert len(taken) == len(store.held_runs(OTHER))
    assert all(wanted.values())


def test_two_who_look_at_once_count_a_death_once(connect):
    store = connect()
    for number in range(20):
        submit(store, f"r{number}")
    take(store, owner=GONE)

    at_once(*[partial(take, connect(), 0, owner=owner) for owner in (HERE, OTHER, THIRD)])

    assert {run.deaths for run in store.runs()} == {1}


MOVES = {
    "take": lambda store: take(store, owner=OTHER),
    "cancel": lambda store: store.cancel("a"),
    "expire": lambda store: take(store, 0),
}


@pytest.mark.parametrize("order", list(permutations(MOVES)), ids="-".join)
def test_a_run_that_is_taken_cancelled_and_expires_goes_one_way(store, order):
    """The first of them decides, whichever it is: what was taken never expires, what has ended is never taken."""
    now = time.time()
    submit(store, "a", at=now - 10, expires_at=now - 1 if order[0] == "expire" else now + 3600)

    answers = {move: MOVES[move](store) for move in order}

    if order[0] == "take":  # only its owner can end it now
        assert (ids(answers["take"]), state_of(store, "a")) == (["a"], State.RUNNING)
    else:
        ended = State.CANCELLED if order[0] == "cancel" else State.FAILED
        assert (ids(answers["take"]), state_of(store, "a")) == ([], ended)


@pytest.mark.parametrize("end_first", [True, False])
def test_a_death_and_an_end_of_one_run_leave_one_of_them(store, end_first):
    submit(store, "a", retries=0)
    (taken,) = take(store, owner=GONE)
    batch = Write(taken.claimed, "a", Batch(state=State.SUCCEEDED, at=time.time()))

    if end_first:
        assert store.write_all([batch]) == [None]
    again = take(store)
    (error,) = [None] if end_first else store.write_all([batch])

    assert (ids(again), state_of(store, "a")) == (([], State.SUCCEEDED) if end_first else (["a"], State.RUNNING))
    assert end_first or isinstance(error, LeaseLost)


def test_fencing_tokens_only_increase(store):
    submit(store, "a")
    seen = []
    for owner in (GONE, HERE, GONE, OTHER):
        (taken,) = take(store, owner=owner)
        seen.append(taken.claimed.execution)
        write_one(store, taken.claimed, "a", state=None)
        if owner is not GONE:
            store.give_back([taken.claimed])

    assert seen == [1, 2, 3, 4]


def test_a_worker_that_looks_writes_nothing_where_there_is_nothing_to_do(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    submit(store, "a", starts_at=time.time() + 3600)
    take(store)
    with closing(sqlite3.connect(store.path)) as other:
        before = other.execute("pragma data_version").fetchone()

        take(store)

        assert other.execute("pragma data_version").fetchone() == before
    store.close()


class QueueModel(RuleBasedStateMachine):
    """The queue in memory is the model of the one in SQL: both are told the same, and answer the same."""

    runs = Bundle("runs")
    owned = Bundle("owned")

    def __init__(self):
        super().__init__()
        self.stores = [Memory(), SQLite(self.directory / f"{id(self)}-{time.monotonic_ns()}.db", synchronous="NORMAL")]
        self.count = 0

    def teardown(self):
        for store in self.stores:
            store.close()

    def both(self, ask):
        return answer_alike(self.stores, ask)

    @rule(
        target=runs,
        name=st.sampled_from(["a", "b"]),
        queue=st.sampled_from(["default", "slow"]),
        priority=st.integers(-1, 1),
        key=st.sampled_from([None, None, "k", "l"]),
        retries=st.integers(0, 1),
        most=st.sampled_from([None, None, 1, 2]),
        late=st.sampled_from([None, None, 3600]),
        expired=st.sampled_from([None, None, None, -1]),
    )
    def submit(self, name, queue, priority, key, retries, most, late, expired):
        self.count += 1
        now = time.time()
        submission = submission_of(
            f"r{self.count}",
            name=name,
            target=f"/srv/{name}.py:main",
            queue=queue,
            priority=priority,
            key=key,
            retries=retries,
            max_active=most,
            starts_at=None if late is None else now + late,
            expires_at=None if expired is None else now + expired,
        )
        found = self.both(lambda store: store.submit(submission))
        return found if found.startswith("r") else multiple()

    @rule(owner=st.sampled_from(WORKERS), queues=st.sampled_from([["default"], ["slow", "default"]]))
    def enrol(self, owner, queues):
        at = time.time()
        self.both(lambda store: store.enrol(owner, queues, 2, at=at, lease=LEASE))

    @rule(owner=st.sampled_from(WORKERS), ending=st.booleans())
    def dismiss(self, owner, ending):
        self.both(lambda store: store.dismiss(owner, ending=ending))

    @rule(
        target=owned,
        owner=st.sampled_from([*WORKERS, GONE]),
        queues=st.sampled_from([["default"], ["slow", "default"], ["other"]]),
        limit=st.integers(0, 3),
    )
    def take(self, owner, queues, limit):
        found = self.both(
            lambda store: [
                (each.record.id, each.claimed.execution, each.claimed.begun, each.cancel)
                for each in store.take_queued(owner, queues, limit, lease=LEASE)
            ]
        )
        return multiple(*((run_id, execution) for run_id, execution, *_ in found))

    def claimed(self, store, run):
        run_id, execution = run
        kept = store.kept.get(run_id) if isinstance(store, Memory) else None
        if kept is not None:
            return kept.number, execution
        if isinstance(store, Memory):
            return 0, execution
        with store.reading() as session:
            found = session.execute("select run from runs where id = ?", (run_id,)).fetchone()
        return (0 if found is None else found[0]), execution

    def claims(self, store, run):
        from aiodag.records import Claimed

        return Claimed(*self.claimed(store, run), {})

    @rule(run=consumes(owned), refusal=st.sampled_from(["", "", "no such file"]))
    def give_back(self, run, refusal):
        self.both(lambda store: store.give_back([self.claims(store, run)], refusal=refusal))

    @rule(run=consumes(owned))
    def leave(self, run):
        self.both(lambda store: store.release([self.claims(store, run)]))

    @rule(run=consumes(owned), state=st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELLED]))
    def end(self, run, state):
        batch = Batch(state=state, at=time.time(), error="{}" if state is State.FAILED else "")
        self.both(lambda store: type(store.write_all([Write(self.claims(store, run), run[0], batch)])[0]))

    @rule(run=runs)
    def cancel(self, run):
        self.both(lambda store: store.cancel(run))

    @rule(run=consumes(runs))
    def delete(self, run):
        self.both(lambda store: store.delete([run], unless_owned=True))

    @rule(queue=st.sampled_from(["default", "slow"]), state=st.sampled_from(["open", "paused", "draining"]))
    def set_queue(self, queue, state):
        self.both(lambda store: store.put_queue(queue, state=state))

    @invariant()
    def the_runs_are_alike(self):
        self.both(
            lambda store: [
                (
                    run.id,
                    str(run.state),
                    run.execution,
                    run.owner,
                    run.deaths,
                    bool(run.error),
                    run.ended_at is None,
                    run.due_at,
                )
                for run in sorted(store.runs(), key=lambda run: run.id)
            ]
        )

    @invariant()
    def what_people_see_is_alike(self):
        self.both(lambda store: (store.queues(), store.due_in() is None))
        self.both(
            lambda store: sorted(
                (each.owner, tuple(each.queues), each.state, sorted(each.runs)) for each in store.workers()
            )
        )


def test_a_queue_in_sql_is_what_the_one_in_memory_is(tmp_path):
    class Here(QueueModel):
        directory = tmp_path

    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Here, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
