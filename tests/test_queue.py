"""One contract for the queue of every store: what is taken, by whom, in which order, and what becomes of the rest."""

import time
from datetime import UTC, datetime
from itertools import count

import pytest
from executions import claim_one, row, write_one

from aiodag import QueueError, State
from aiodag.errors import LeaseLost, StoreError
from aiodag.queue_defaults import DEATHS
from aiodag.records import Claim, Owner, RunFilter
from aiodag.service import Service
from aiodag.stores.keeper import LEASE
from aiodag.submissions import Submission

HERE = Owner.here()
OTHER = Owner("another-host", 1, "1")
THIRD = Owner("another-host", 2, "2")
GONE = HERE._replace(pid=2**22 + 1)  # above what a system gives out
ENTRY = {"file": "/srv/etl.py", "task": "main", "parameters": {"day": "monday"}}
numbers = count(1)


class Moments:
    """The clock of a store, which a test puts forward: it decides leases and due moments."""

    def __init__(self, patch):
        self.patch = patch

    def advance(self, seconds):
        from aiodag.stores.sql.postgres import ServerSession

        here, there, together = time.time, ServerSession.now, ServerSession.perform_together

        def later(session, *asked):
            now, rows = together(session, *asked)
            return now + seconds, rows

        self.patch.setattr(time, "time", lambda: here() + seconds)
        self.patch.setattr(ServerSession, "now", lambda session: there(session) + seconds)
        self.patch.setattr(ServerSession, "perform_together", later)


@pytest.fixture
def moments(monkeypatch):
    return Moments(monkeypatch)


def submission_of(run_id=None, *, name="main", entry=ENTRY, target="/srv/etl.py:main", at=None, **more):
    at = time.time() if at is None else at
    return Submission(run_id or f"run{next(numbers)}", name, entry, target, at, **more)


def submit(store, run_id=None, **more):
    return store.submit(submission_of(run_id, **more))


def take(store, limit=100, *, owner=HERE, queues=("default",), lease=LEASE):
    return store.take_queued(owner, queues, limit, lease=lease)


def ids(taken):
    return [each.record.id for each in taken]


def state_of(store, run_id):
    return store.run(run_id).state


def why(store, run_id):
    """Why a run failed in its queue."""
    error = Service(store).error(run_id)
    assert isinstance(error, QueueError)
    assert state_of(store, run_id) is State.FAILED
    return str(error)


def end(store, taken, state=State.SUCCEEDED, **more):
    write_one(store, taken.claimed, taken.record.id, state=state, at=time.time(), **more)


def enrol(store, owner=HERE, queues=("default",), *, lease=LEASE):
    store.enrol(owner, queues, 10, at=time.time(), lease=lease)


# Submitting


def test_what_is_submitted_waits_and_is_nobodys(store):
    submit(store, "monday", priority=2, tags={"env": "test"})

    run = store.run("monday")
    assert (run.state, run.execution, run.started_at, run.owner) == (State.QUEUED, 0, None, None)
    assert (run.queue, run.priority, run.due_at, run.deaths) == ("default", 2, None, 0)
    assert (run.entry, run.tags, run.orphan) == (ENTRY, {"env": "test"}, False)


def test_the_oldest_run_that_could_begin_is_found_for_each_queue(store):
    now = time.time()
    submit(store, at=now - 30)
    submit(store, at=now - 20)
    submit(store, queue="other", at=now - 10)
    submit(store, queue="later", at=now - 50, starts_at=now + 1_000)
    take(store, 1)

    assert store.oldest_waiting() == {"default": pytest.approx(now - 20), "other": pytest.approx(now - 10)}


def test_the_definition_of_a_submitted_workflow_is_kept(store):
    submit(store, "monday", entry=None, definition='{"tasks": {}}')

    (taken,) = take(store)
    assert store.run("monday").definition == taken.record.definition == '{"tasks": {}}'
    assert store.definitions("monday") == [(1, '{"tasks": {}}')]


def test_the_same_key_is_the_same_run(store):
    first = submit(store, key="order-7")

    again = submit(store, key="order-7")

    assert again == first
    assert [run.id for run in store.runs()] == [first]


def test_a_key_is_that_of_its_run_after_that_has_ended(store):
    first = submit(store, key="order-7")
    end(store, take(store)[0])

    assert submit(store, key="order-7") == first
    assert take(store) == []


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"entry": {**ENTRY, "parameters": {"day": "friday"}}}, "main day=monday, not /srv/etl.py:main day=friday"),
        ({"target": "/srv/other.py:main"}, "/srv/etl.py:main day=monday, not /srv/other.py:main day=monday"),
        ({"name": "load"}, "key 'order-7'"),
    ],
)
def test_a_key_with_something_else_is_refused_and_both_are_named(store, other, named):
    submit(store, key="order-7")

    with pytest.raises(StoreError, match="use another key") as refused:
        submit(store, key="order-7", **other)

    assert named in str(refused.value)
    assert len(store.runs()) == 1


def test_a_key_of_a_workflow_without_a_file_stands_for_its_text(store):
    first = submit(store, key="k", entry=None, definition='{"tasks": {}}')

    assert submit(store, key="k", entry=None, definition='{"tasks": {}}') == first
    with pytest.raises(StoreError, match="another workflow 'main'"):
        submit(store, key="k", entry=None, definition='{"tasks": {"a": {}}}')


def test_an_id_is_submitted_once(store):
    submit(store, "monday")

    with pytest.raises(StoreError, match="there is a run 'monday'"):
        submit(store, "monday")


# Taking


def test_the_higher_priority_is_taken_first_then_first_in_first_out(store):
    for run_id, priority in (("a", 0), ("b", 5), ("c", 5), ("d", -1), ("e", 0)):
        submit(store, run_id, priority=priority)

    assert ids(take(store, 2)) == ["b", "c"]
    assert ids(take(store)) == ["a", "e", "d"]


def test_the_order_is_one_over_several_queues(store):
    submit(store, "a", queue="slow")
    submit(store, "b", queue="fast", priority=1)
    submit(store, "c", queue="fast")
    submit(store, "d", queue="other")

    assert ids(take(store, queues=("fast", "slow", "fast"))) == ["b", "a", "c"]


def test_no_run_is_taken_twice(store):
    submit(store, "a")

    (taken,) = take(store)

    assert take(store, owner=OTHER) == []
    assert state_of(store, "a") is State.RUNNING
    assert store.run("a").owner == HERE
    assert store.held_runs(HERE) == {taken.claimed.run: (1, False)}


def test_a_run_is_entered_with_the_claim_that_took_it(store):
    submit(store, "a", code="digest")

    (taken,) = take(store)

    assert (taken.claim.id, taken.claim.name, taken.claim.entry, taken.claim.owner) == ("a", "main", ENTRY, HERE)
    assert (taken.claimed.execution, taken.claimed.begun, taken.claimed.known) == (1, 1, {})
    assert (taken.target, taken.code, taken.cancel) == ("/srv/etl.py:main", "digest", False)
    write_one(store, taken.claimed, "a", nodes=[row(0)])
    assert store.run("a").started_at is not None


def test_nothing_is_taken_without_a_place(store):
    submit(store)

    assert take(store, 0) == []


def test_a_run_that_a_program_begins_is_never_taken(store):
    claim_one(store, Claim("own", "main", ENTRY, GONE, 1.0, time.time() - 10))

    assert take(store) == []
    assert state_of(store, "own") is State.RUNNING


# Moments


def test_a_run_is_not_taken_before_its_time(store):
    due = time.time() + 3600
    submit(store, "later", starts_at=due)

    assert take(store) == []
    assert store.run("later").due_at.timestamp() == pytest.approx(due)
    assert store.due_in() == pytest.approx(3600, abs=60)


def test_a_run_is_taken_when_its_time_has_come(store, moments):
    submit(store, "later", starts_at=time.time() + 3600)
    submit(store, "now")

    moments.advance(3601)

    assert ids(take(store)) == ["later", "now"]
    assert store.due_in() is None


def test_a_moment_in_the_past_is_now(store):
    submit(store, "late", starts_at=time.time() - 1)

    assert ids(take(store)) == ["late"]


def test_what_has_not_begun_in_time_fails_with_the_reason(store, moments):
    until = time.time() + 60
    submit(store, "late", expires_at=until)

    moments.advance(61)

    assert take(store) == []
    assert why(store, "late") == f"expired: it had not begun by {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S}Z"


def test_what_has_begun_does_not_expire(store, moments):
    submit(store, "a", expires_at=time.time() + 60)
    (taken,) = take(store)
    store.give_back([taken.claimed])

    moments.advance(61)

    assert ids(take(store)) == ["a"]


# Limits


def test_no_more_runs_of_a_name_go_on_than_its_limit_says(store):
    for run_id in "abc":
        submit(store, run_id, max_active=2)
    submit(store, "d", name="other")

    first = take(store)
    assert ids(first) == ["a", "b", "d"]
    assert take(store, owner=OTHER) == []
    end(store, first[0])
    assert ids(take(store, owner=OTHER)) == ["c"]


def test_a_limit_holds_for_those_that_wait_already(store):
    submit(store, "a")
    submit(store, "b")
    submit(store, "c", max_active=1)

    assert ids(take(store)) == ["a"]


def test_what_waits_behind_a_full_name_is_not_held_up(store):
    for run_id in range(5):
        submit(store, f"full{run_id}", max_active=1, priority=1)
    submit(store, "free", name="other")

    assert ids(take(store, 2)) == ["full0", "free"]


def test_the_starts_of_a_queue_with_a_rate_are_evenly_spaced(store, moments):
    store.put_queue("default", rate=10, per=6000.0)
    for run_id in "abc":
        submit(store, run_id)

    assert ids(take(store, lease=1000)) == ["a"]
    assert take(store, owner=OTHER) == []
    assert store.due_in() == pytest.approx(600, abs=60)
    moments.advance(600)
    assert ids(take(store, owner=OTHER)) == ["b"]


def test_nothing_is_taken_from_a_paused_queue(store):
    submit(store, "a")
    submit(store, "b", queue="other")
    store.put_queue("default", state="paused")

    assert ids(take(store, queues=("default", "other"))) == ["b"]
    submit(store, "c")
    store.put_queue("default", state="open")
    assert ids(take(store)) == ["a", "c"]


def test_nothing_is_submitted_to_a_draining_queue_and_what_is_there_is_taken(store):
    submit(store, "a")
    store.put_queue("default", state="draining")

    with pytest.raises(StoreError, match=r"queue 'default' .* is draining"):
        submit(store, "b")
    assert ids(take(store)) == ["a"]


def test_a_key_is_found_in_a_draining_queue(store):
    first = submit(store, key="k")
    store.put_queue("default", state="draining")

    assert submit(store, key="k") == first


# Giving back


def test_what_is_given_back_is_continued_with_what_it_knows(store):
    submit(store, "a")
    (first,) = take(store)
    write_one(store, first.claimed, "a", nodes=[row(0, value="42"), row(1, state=State.RUNNING)])

    store.give_back([first.claimed])
    assert (state_of(store, "a"), store.run("a").owner) == (State.QUEUED, None)
    (again,) = take(store, owner=OTHER)

    assert (again.claimed.execution, again.claimed.begun) == (2, 1)
    assert again.claimed.known["key0"].value == "42"
    assert store.run("a").deaths == 0


def test_who_gave_a_run_back_cannot_write_to_it(store):
    submit(store, "a")
    (taken,) = take(store)
    store.give_back([taken.claimed])

    with pytest.raises(LeaseLost):
        write_one(store, taken.claimed, "a", nodes=[row(0)])


def test_only_who_has_a_run_gives_it_back(store):
    submit(store, "a")
    (first,) = take(store)
    store.give_back([first.claimed])
    take(store, owner=OTHER)

    store.give_back([first.claimed])

    assert store.run("a").owner == OTHER


def test_a_worker_takes_nothing_of_what_it_has_refused(store):
    enrol(store)
    enrol(store, OTHER)
    submit(store, "a")
    submit(store, "b")
    submit(store, "c", target="/srv/load.py:main")
    (taken,) = take(store, 1)

    store.give_back([taken.claimed], refusal="no such file")

    assert ids(take(store)) == ["c"]
    assert ids(take(store, owner=OTHER)) == ["a", "b"]


def test_a_run_that_every_worker_refuses_fails_with_the_reason(store):
    enrol(store)
    enrol(store, OTHER, ("default", "other"))
    enrol(store, THIRD, ("other",))
    for owner in (HERE, OTHER):
        submit(store, f"of {owner.host}")
    for owner in (HERE, OTHER):
        (taken,) = take(store, 1, owner=owner)
        store.give_back([taken.claimed], refusal="no such file: etl.py")

    for owner in (HERE, OTHER):
        assert why(store, f"of {owner.host}") == "no worker is left that has its code: no such file: etl.py"


def test_what_all_have_refused_fails_as_soon_as_it_is_submitted(store):
    enrol(store)
    submit(store, "a")
    store.give_back([take(store)[0].claimed], refusal="no such file")

    submit(store, "b")
    submit(store, "c", target="/srv/load.py:main")

    assert why(store, "b") == "no worker is left that has its code: no such file"
    assert state_of(store, "c") is State.QUEUED


def test_a_run_waits_for_a_worker_where_there_is_none(store):
    submit(store, "a")

    store.take_queued(HERE, ["other"], 10, lease=LEASE)

    assert state_of(store, "a") is State.QUEUED


@pytest.mark.parametrize("leaves", ["dismissed", "ending", "dead"])
def test_a_refused_run_fails_when_the_last_worker_leaves_that_might_have_taken_it(store, leaves):
    enrol(store)
    last = GONE if leaves == "dead" else OTHER
    submit(store, "a")
    enrol(store, OTHER)
    store.give_back([take(store)[0].claimed], refusal="no such file")
    if leaves == "dead":
        enrol(store, GONE)
        store.dismiss(OTHER)

    if leaves != "dead":
        store.dismiss(last, ending=leaves == "ending")
    take(store, 0)

    assert why(store, "a") == "no worker is left that has its code: no such file"


# Deaths


def test_the_run_of_a_dead_worker_goes_on_at_another(store):
    submit(store, "a")
    (first,) = take(store, owner=GONE)

    (again,) = take(store)

    assert (again.record.id, again.claimed.execution) == ("a", 2)
    assert store.run("a").deaths == 1
    with pytest.raises(LeaseLost):
        write_one(store, first.claimed, "a", nodes=[row(0)])


def test_the_run_of_a_worker_elsewhere_goes_on_when_its_lease_is_over(store, moments):
    submit(store, "a")
    take(store, owner=OTHER, lease=1000)

    moments.advance(900)
    assert take(store) == []
    moments.advance(101)

    assert ids(take(store)) == ["a"]


def test_a_worker_without_a_place_hands_on_the_runs_of_the_dead(store):
    submit(store, "a")
    take(store, owner=GONE)

    assert take(store, 0) == []

    assert state_of(store, "a") is State.QUEUED


def test_a_run_that_kills_its_owners_is_poison(store):
    submit(store, "a")
    for _ in range(DEATHS):
        assert ids(take(store, owner=GONE)) == ["a"]

    assert take(store) == []
    assert why(store, "a").startswith("poison: 5 processes that worked on it died")
    assert store.run("a").deaths == DEATHS


def test_who_resumes_poison_begins_to_count_anew(store):
    submit(store, "a")
    for _ in range(DEATHS):
        take(store, owner=GONE)
    take(store, 0)

    claim_one(store, Claim("a", "main", None, GONE, LEASE, time.time()))

    assert ids(take(store)) == ["a"]
    assert store.run("a").deaths == 1


def test_deaths_count_from_the_last_success_on(store):
    submit(store, "a")
    for number in range(DEATHS * 2):
        (taken,) = take(store, owner=GONE)
        write_one(store, taken.claimed, "a", nodes=[row(number)])

    assert ids(take(store)) == ["a"]
    assert store.run("a").deaths == 1


def test_a_run_that_was_left_without_an_end_goes_back_to_its_queue(store):
    submit(store, "a")
    (taken,) = take(store)

    store.release([taken.claimed])

    assert state_of(store, "a") is State.QUEUED
    assert store.run("a").deaths == 1


# Ends


def test_a_failed_run_begins_again_as_often_as_it_may(store):
    submit(store, "a", retries=1)
    (first,) = take(store)
    end(store, first, State.FAILED, error="{}")

    assert (state_of(store, "a"), store.run("a").ended_at, store.run("a").error) == (State.QUEUED, None, "")
    (again,) = take(store)
    assert (again.claimed.execution, again.claimed.begun) == (2, 2)
    end(store, again, State.FAILED, error="{}")
    assert state_of(store, "a") is State.FAILED


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED])
def test_only_a_failed_run_begins_again(store, state):
    submit(store, "a", retries=3)

    end(store, take(store)[0], state)

    assert state_of(store, "a") is state


def test_a_cancelled_run_that_never_began_never_begins(store):
    submit(store, "a")

    assert store.cancel("a")

    assert state_of(store, "a") is State.CANCELLED
    assert take(store) == []
    assert not store.cancel("a")


def test_the_cancel_of_a_run_that_was_given_back_is_for_who_takes_it(store):
    submit(store, "a")
    store.give_back([take(store)[0].claimed])

    assert store.cancel("a")

    assert state_of(store, "a") is State.QUEUED
    (taken,) = take(store)
    assert taken.cancel
    assert store.held_runs(HERE)[taken.claimed.run] == (2, True)


def test_the_cancel_of_a_running_run_is_for_its_owner(store):
    submit(store, "a")
    (taken,) = take(store)

    assert store.cancel("a")

    assert store.held_runs(HERE)[taken.claimed.run] == (1, True)


def test_a_cancel_outlives_the_owner_that_did_not_hear_of_it(store):
    submit(store, "a")
    take(store, owner=GONE)

    assert store.cancel("a")

    (taken,) = take(store)
    assert taken.cancel


def test_a_deleted_run_never_begins(store, moments):
    submit(store, "a", starts_at=time.time() + 60)

    assert store.delete(["a"], unless_owned=True) == 1

    moments.advance(61)
    assert take(store) == []
    assert store.due_in() is None


def test_a_run_that_waits_is_kept_by_who_deletes_what_has_ended(store):
    run_id = submit(store)

    assert store.delete([run_id], unless_owned=True, if_ended=True) == 0
    assert [run.id for run in store.runs(run_id)] == [run_id]
    assert store.delete([run_id], unless_owned=True) == 1


def test_a_run_that_waits_is_not_pruned(store):
    submit(store, "a", at=1.0)

    assert store.ended_runs(before=time.time()) == []
    assert store.ended_runs(keep=0) == []


def test_who_begins_a_waiting_run_itself_takes_it_from_the_queue(store):
    submit(store, "a")

    claimed = claim_one(store, Claim("a", "main", None, OTHER, LEASE, time.time()))

    assert claimed.execution == 1
    assert take(store) == []


# Who is there, and what waits


def test_the_workers_that_are_there(store):
    enrol(store, OTHER, ("default", "slow"))
    submit(store, "a")
    take(store, owner=OTHER)

    (worker,) = store.workers()

    assert (worker.owner, list(worker.queues), worker.limit) == (OTHER, ["default", "slow"], 10)
    assert (worker.state, list(worker.runs)) == ("working", ["a"])
    assert worker.seen_at.timestamp() == pytest.approx(time.time(), abs=60)


def test_a_worker_that_ends_says_so(store):
    enrol(store)

    store.dismiss(HERE, ending=True)

    assert [worker.state for worker in store.workers()] == ["ending"]


def test_workers_vanish(store, moments):
    enrol(store, GONE)
    enrol(store, OTHER, lease=1000)
    enrol(store, HERE)
    assert [worker.owner for worker in store.workers()] == [OTHER, HERE]

    store.dismiss(HERE)
    moments.advance(1001)

    assert store.workers() == []


def test_a_worker_stays_while_its_lease_is_renewed(store, moments):
    enrol(store, OTHER, lease=1000)
    moments.advance(800)

    store.renew(OTHER, 1000)
    moments.advance(800)

    assert [worker.owner for worker in store.workers()] == [OTHER]


def test_the_queues_that_were_named_or_have_runs(store):
    store.put_queue("slow", rate=1, per=10.0)
    store.put_queue("empty", state="paused")
    for queue in ("default", "slow", "slow"):
        submit(store, queue=queue)
    take(store, 1, queues=("slow",))

    found = [(each.name, each.state, each.rate, each.per, each.waiting, each.running) for each in store.queues()]

    assert found == [
        ("default", "open", None, None, 1, 0),
        ("empty", "paused", None, None, 0, 0),
        ("slow", "open", 1, 10.0, 1, 1),
    ]


def test_what_is_not_given_of_a_queue_stays(store):
    store.put_queue("slow", rate=1, per=10.0)

    store.put_queue("slow", state="paused")

    assert [(each.rate, each.per, each.state) for each in store.queues()] == [(1, 10.0, "paused")]


def test_a_run_that_waited_long_is_found_by_when_it_began_or_by_when_it_was_submitted(store):
    now = time.time()
    submit(store, "began", at=now - 7200)
    take(store)
    submit(store, "waits", at=now - 60)
    submit(store, "waits for long", at=now - 7200)

    assert [run.id for run in store.runs(wanted=RunFilter(since=now - 3600))] == ["began", "waits"]


def test_runs_are_found_by_their_queue_and_state(store):
    submit(store, "a")
    submit(store, "b", queue="slow")
    submit(store, "c", queue="slow")
    take(store, 1, queues=("slow",))

    assert [run.id for run in store.runs(wanted=RunFilter(queue="slow"))] == ["b", "c"]
    assert [run.id for run in store.runs(wanted=RunFilter(queue="slow", state="queued"))] == ["c"]


def test_no_worker_is_taken_for_dead_because_its_server_was_away(postgres_store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 1e6)
    enrol(postgres_store)
    enrol(postgres_store, OTHER, lease=-1.0)  # it could not renew its lease meanwhile
    submit(postgres_store, "a")

    postgres_store.give_back([take(postgres_store)[0].claimed], refusal="no such file")
    take(postgres_store, 0)

    assert state_of(postgres_store, "a") is State.QUEUED
    assert {worker.owner for worker in postgres_store.workers()} == {HERE, OTHER}
    assert ids(take(postgres_store, owner=OTHER)) == ["a"]
