"""One contract for the inbox of every store: who is given a message, what a wait ends with, and what becomes of the rest."""

import re
import time
from datetime import UTC, datetime

import pytest
from executions import incompressible, row, write_one
from test_queue import HERE, OTHER, Moments, submit, take
from worker_processes import PATIENCE

from aiodag import State
from aiodag.codec.text import decode_error
from aiodag.errors import LeaseLost, StoreError
from aiodag.mail import PORTION
from aiodag.messages.payloads import LARGEST_NAME
from aiodag.records import Batch, Generation, Incoming, Outgoing, Starter, Write
from aiodag.stores import SQLite
from aiodag.stores.places import store_at
from aiodag.stores.sql.postgres_text import server_steps

WAITING = 7  # the number of a node that waits


@pytest.fixture
def moments(monkeypatch):
    """The clock of a store, which a test puts forward."""
    return Moments(monkeypatch)


def begin(store, run_id=None, *, owner=HERE):
    """A run that a worker has taken."""
    submit(store, run_id)
    (taken,) = take(store, 1, owner=owner)
    return taken


def node(number, state=State.RUNNING, **more):
    return row(number, name="message", state=state, codec="", value=None, **more)


def wait_row(number=WAITING, topic="PAID", key="", *, kind="message", seconds=None, group=None, since=None):
    since = time.time() if since is None else since
    return (number, kind, topic, key, since, None if seconds is None else since + seconds, group)


def wait(store, taken, *rows):
    """Register waits, each with the row of its node."""
    write_one(store, taken.claimed, taken.record.id, nodes=[node(each[0]) for each in rows], waits=list(rows))


def waiting(store, run_id=None, *, key="", topic="PAID", **more):
    """A run that was taken, and waits."""
    taken = begin(store, run_id)
    wait(store, taken, wait_row(topic=topic, key=key, **more))
    return taken


def parked(store, run_id=None, **more):
    taken = waiting(store, run_id, **more)
    assert store.park(taken.claimed) is State.PARKED
    return taken


def message(id_="m1", topic="PAID", keys=("",), payload='{"amount": 3}', **more):
    return Incoming(topic, keys, id_, payload, **more)


def deliver(store, *messages):
    return [each.outcome for each in store.deliver(messages or [message()])]


def node_of(store, taken, number=WAITING):
    (found,) = store.nodes(taken.record.id, every=True, numbers=[number])
    return found.state, found.codec, found.value


def states(store):
    return {each.id: each.state for each in store.messages()}


def open_waits(store):
    return [(each.run, each.number) for each in store.waits() if not each.settled]


# Taken


def test_a_message_settles_the_wait_for_its_topic_and_key(store):
    other = waiting(store, "other", key="B")
    taken = waiting(store, "ours", key="A")

    delivered = store.deliver([message(keys=["A"])])

    assert delivered == [("m1", "taken", ["ours"])]
    assert node_of(store, taken) == (State.SUCCEEDED, "message", '{"amount": 3}')
    assert node_of(store, other)[0] is State.RUNNING
    assert [(each.run, each.settled) for each in store.waits()] == [("other", False), ("ours", True)]
    assert states(store) == {"m1": "taken"}


def test_the_oldest_wait_of_a_key_is_served_first(store):
    runs = [waiting(store, name) for name in ("first", "second", "third")]

    delivered = store.deliver([message("m1"), message("m2")])

    assert [each.runs for each in delivered] == [["first"], ["second"]]
    assert [node_of(store, each)[0] for each in runs] == [State.SUCCEEDED, State.SUCCEEDED, State.RUNNING]


def test_a_message_for_all_is_given_to_every_wait_of_its_keys(store):
    runs = [waiting(store, name, key=key) for name, key in (("a", "A"), ("also", "A"), ("b", "B"), ("c", "C"))]

    (delivered,) = store.deliver([message(keys=["A", "B"], to_all=True)])

    assert (delivered.outcome, delivered.runs) == ("taken", ["a", "also", "b"])
    assert [node_of(store, each)[0] for each in runs] == [State.SUCCEEDED] * 3 + [State.RUNNING]


def test_each_key_of_a_message_has_one_wait(store):
    for name, key in (("a", "A"), ("also", "A"), ("b", "B")):
        waiting(store, name, key=key)

    (delivered,) = store.deliver([message(keys=["A", "B"])])

    assert delivered.runs == ["a", "b"]
    assert open_waits(store) == [("also", WAITING)]


# Kept


def test_a_message_that_comes_before_its_wait_is_kept_for_it(store):
    assert deliver(store) == ["kept"]

    taken = waiting(store)

    assert node_of(store, taken) == (State.SUCCEEDED, "message", '{"amount": 3}')
    assert states(store) == {"m1": "taken"}


def test_kept_messages_of_a_key_are_taken_in_the_order_in_which_they_came(store):
    deliver(store, message("m1", payload="1"), message("m2", payload="2"), message("m3", keys=["else"], payload="3"))

    runs = [waiting(store) for _ in range(3)]

    assert [node_of(store, each)[2] for each in runs] == ["1", "2", None]
    assert states(store) == {"m1": "taken", "m2": "taken", "m3": "kept"}


def test_a_message_that_one_of_its_keys_has_led_to_is_gone_for_the_others(store):
    deliver(store, message(keys=["A", "B"]))

    runs = [waiting(store, key="B"), waiting(store, key="A")]

    assert [node_of(store, each)[0] for each in runs] == [State.SUCCEEDED, State.RUNNING]


def test_a_message_that_nobody_waits_for_in_time_is_dead_and_can_be_delivered_again(store, moments):
    deliver(store, message(ttl=60.0))
    moments.advance(61)
    late = waiting(store)  # taking a run looks after what is due for all

    (dead,) = store.messages(state="dead")
    assert (dead.id, dead.reason) == ("m1", "nobody waited for it within its time to live")
    assert node_of(store, late)[0] is State.RUNNING

    assert store.redeliver("PAID", "m1") == ("m1", "taken", [late.record.id])
    assert node_of(store, late)[0] is State.SUCCEEDED


def test_a_wait_is_not_given_a_message_whose_time_has_passed_even_before_it_is_buried(store, moments):
    taken = begin(store)
    deliver(store, message(ttl=60.0))
    moments.advance(61)

    wait(store, taken, wait_row())

    assert node_of(store, taken)[0] is State.RUNNING


def test_the_largest_names_that_there_may_be_are_taken_by_every_store(store):
    name = incompressible(LARGEST_NAME // 3)
    waiting(store, topic=name, key=name)
    first, second = store.deliver([Incoming(name, [name], each + name[1:], "1") for each in "ab"])

    assert (first.outcome, second.outcome) == ("taken", "kept")


@pytest.mark.parametrize("seconds", [1e12, 1e300])
def test_what_is_due_after_the_last_moment_that_there_is_shows_that(store, seconds):
    waiting(store, seconds=seconds)
    store.deliver([Incoming("KEPT", [""], "m1", "1", ttl=seconds)])

    assert store.waits()[0].due_at == store.messages()[0].expires_at == datetime.max.replace(tzinfo=UTC)


def test_a_dead_letter_that_nobody_waits_for_is_kept_again_for_as_long(store, moments):
    deliver(store, message(ttl=7200.0))
    moments.advance(7201)
    take(store)

    assert store.redeliver("PAID", "m1").outcome == "kept"

    moments.advance(3600)
    assert node_of(store, waiting(store))[0] is State.SUCCEEDED


def test_what_is_no_dead_letter_is_not_delivered_again(store):
    deliver(store)

    for name in ("m1", "m2"):
        with pytest.raises(StoreError, match=rf"there is no dead letter '{name}' of 'PAID' in .*--dead"):
            store.redeliver("PAID", name)


def test_a_message_may_be_dead_from_the_start(store):
    waiting(store)

    assert deliver(store, message(payload="not \ud800 JSON", dead="it is no JSON")) == ["dead"]

    (dead,) = store.messages()
    assert (dead.state, dead.reason, dead.payload) == ("dead", "it is no JSON", "not \\ud800 JSON")
    assert len(open_waits(store)) == 1


# Duplicates


def test_an_id_that_comes_again_is_counted_and_nothing_else(store):
    taken = waiting(store)

    outcomes = deliver(store, message(), message(payload="2")) + deliver(store)

    assert outcomes == ["taken", "duplicate", "duplicate"]
    assert [(each.id, each.state, each.repeats) for each in store.messages()] == [("m1", "taken", 2)]
    assert node_of(store, taken)[2] == '{"amount": 3}'
    assert node_of(store, waiting(store))[0] is State.RUNNING


def test_an_id_is_that_of_its_topic(store):
    assert deliver(store, message(), message(topic="SHIPPED")) == ["kept", "kept"]


def test_an_id_is_remembered_for_as_long_as_its_message_says(store, moments):
    waiting(store)
    deliver(store, message(dedup=7200.0))
    moments.advance(3600)
    assert deliver(store) == ["duplicate"]

    moments.advance(3601)
    take(store)

    assert store.messages() == []
    assert deliver(store) == ["kept"]


def test_an_id_is_forgotten_in_time_even_if_nobody_has_swept(store, moments):
    waiting(store)
    deliver(store, message(dedup=60.0))
    moments.advance(61)

    assert deliver(store) == ["kept"]


# Woken


def test_a_parked_run_is_nobodys_until_its_message_comes(store):
    taken = parked(store, "monday")
    run = store.run("monday")
    assert (run.state, run.owner, take(store)) == (State.PARKED, None, [])
    assert [(queue.waiting, queue.running) for queue in store.queues()] in ([], [(0, 0)])

    deliver(store)

    assert store.run("monday").state is State.QUEUED
    (again,) = take(store, owner=OTHER)
    assert again.claimed.execution == taken.claimed.execution + 1
    assert again.claimed.waits == {WAITING: (True, None)}
    assert again.claimed.known[row(WAITING)[1]].value == '{"amount": 3}'


def test_a_run_is_not_parked_where_its_wait_was_settled_before(store):
    taken = waiting(store)
    deliver(store)

    assert store.park(taken.claimed) is State.QUEUED
    assert [each.record.id for each in take(store)] == [taken.record.id]


def test_a_run_without_a_wait_is_not_parked(store):
    taken = begin(store)

    assert store.park(taken.claimed) is State.QUEUED


def test_who_has_lost_a_run_cannot_park_it(store):
    taken = parked(store, "monday")

    with pytest.raises(LeaseLost, match="monday"):
        store.park(taken.claimed)
    store.delete(["monday"])
    with pytest.raises(LeaseLost):
        store.park(taken.claimed)


def test_the_owner_hears_how_its_waits_ended_until_it_says_so(store):
    taken = waiting(store)
    assert store.settled_waits(HERE) == []
    deliver(store)

    number = taken.claimed.run
    told = (number, WAITING, "message", State.SUCCEEDED, "message", '{"amount": 3}', "")
    assert store.settled_waits(HERE) == [told]
    assert store.settled_waits(OTHER) == []

    write_one(store, taken.claimed, taken.record.id, heard=[WAITING])
    assert (store.settled_waits(HERE), store.waits()) == ([], [])
    assert node_of(store, taken)[0] is State.SUCCEEDED


def test_cancelling_a_parked_run_wakes_it(store):
    parked(store, "monday")

    assert store.cancel("monday")

    (taken,) = take(store)
    assert taken.cancel
    assert open_waits(store) == [("monday", WAITING)]  # it registers them again, and drops them itself


def test_a_run_that_somebody_wants_cancelled_is_not_parked(store):
    taken = waiting(store, "monday")
    store.cancel("monday")

    assert store.park(taken.claimed) is State.QUEUED


# Given back


def test_a_message_that_its_run_has_not_seen_goes_to_who_is_next(store):
    first, second = waiting(store), waiting(store)
    deliver(store)

    write_one(store, first.claimed, first.record.id, unwaits=[WAITING])

    assert node_of(store, second) == (State.SUCCEEDED, "message", '{"amount": 3}')
    assert [each.run for each in store.messages()] == [second.record.id]


def test_a_message_that_its_run_has_not_seen_goes_back_before_younger_ones(store):
    first = waiting(store)
    deliver(store, message("m1", payload="1"), message("m2", payload="2"))

    write_one(store, first.claimed, first.record.id, unwaits=[WAITING])

    assert states(store) == {"m1": "kept", "m2": "kept"}
    assert [node_of(store, waiting(store))[2] for _ in range(2)] == ["1", "2"]


def test_what_goes_back_is_not_given_to_a_wait_that_is_given_up_with_it(store):
    taken, numbers = begin(store), range(1, 12)
    wait(store, taken, *map(wait_row, numbers))
    deliver(store)

    write_one(store, taken.claimed, taken.record.id, unwaits=[*numbers])

    assert states(store) == {"m1": "kept"}
    assert {node_of(store, taken, number) for number in numbers[1:]} == {(State.RUNNING, "", None)}


def test_a_dead_letter_is_remembered_from_when_it_was_buried_and_not_from_a_look_at_it(store, moments):
    deliver(store, message(ttl=1.0, dedup=5.0))
    moments.advance(2)
    assert states(store) == {"m1": "dead"}
    moments.advance(6)

    take(store, 0)

    assert states(store) == {"m1": "dead"}


def test_a_message_that_is_forgotten_does_not_go_back(store, moments):
    first, second = waiting(store), waiting(store, topic="OTHER")
    deliver(store, message(ttl=1000.0, dedup=1.0))
    moments.advance(3)
    take(store, 0)
    wait(store, second, wait_row(WAITING + 1))

    write_one(store, first.claimed, first.record.id, unwaits=[WAITING])

    assert states(store) == {}
    assert node_of(store, second, WAITING + 1) == (State.RUNNING, "", None)


def test_a_message_for_all_goes_back_when_nobody_has_it_any_more(store):
    runs = [waiting(store), waiting(store)]
    deliver(store, message(to_all=True))

    for taken, expected in zip(runs, ("taken", "kept"), strict=True):
        write_one(store, taken.claimed, taken.record.id, unwaits=[WAITING])
        assert states(store) == {"m1": expected}


def test_what_a_run_was_given_and_has_heard_of_does_not_go_back(store):
    taken = waiting(store)
    deliver(store)
    write_one(store, taken.claimed, taken.record.id, heard=[WAITING])

    write_one(store, taken.claimed, taken.record.id, unwaits=[WAITING], state=State.SUCCEEDED, at=time.time())

    assert states(store) == {"m1": "taken"}


def test_a_body_that_begins_again_gives_back_what_it_has_not_heard_of_and_nothing_else(store):
    taken = begin(store)
    body, first, second = node(0), node(1, parent=0), node(2, parent=0)
    waits = [wait_row(1), wait_row(2)]
    write_one(store, taken.claimed, taken.record.id, nodes=[body, first, second], waits=waits)
    deliver(store, message("heard"), message("unheard"))

    # With one batch: the store was busy when both happened.
    write_one(store, taken.claimed, taken.record.id, heard=[1], generation=Generation(1, 0, "{}"))

    assert states(store) == {"heard": "taken", "unheard": "kept"}
    assert store.waits() == []


@pytest.mark.parametrize("way", ["ends", "deleted"])
def test_the_end_of_a_run_drops_its_waits_and_gives_back_what_it_has_not_seen(store, way):
    taken = begin(store, "monday")
    wait(store, taken, wait_row(1), wait_row(2, "SHIPPED"))
    deliver(store)
    later = waiting(store, "later")

    if way == "ends":
        write_one(store, taken.claimed, "monday", state=State.FAILED, error="", at=time.time())
    else:
        store.delete(["monday"])

    assert [each.run for each in store.waits()] == ["later"]
    assert node_of(store, later)[0] is State.SUCCEEDED
    assert deliver(store, message("m2", "SHIPPED")) == ["kept"]


def test_a_wait_that_is_begun_and_given_up_in_one_batch_leaves_nothing(store):
    deliver(store)
    taken = begin(store)
    waits = [wait_row()]

    write_one(store, taken.claimed, taken.record.id, nodes=[node(WAITING)], waits=waits, unwaits=[WAITING])

    assert (store.waits(), states(store)) == ([], {"m1": "kept"})


def test_a_message_that_does_not_fit_is_dead_and_its_node_takes_the_next(store):
    taken = waiting(store)
    deliver(store, message("m1", payload="1"), message("m2", payload="2"), message("m3", payload="3"))

    write_one(store, taken.claimed, taken.record.id, rejects=[(WAITING, "it is no payment")])
    assert node_of(store, taken) == (State.SUCCEEDED, "message", "2")
    assert [(each.id, each.state, each.reason) for each in store.messages(state="dead")] == [
        ("m1", "dead", "it is no payment")
    ]

    for _ in range(2):
        write_one(store, taken.claimed, taken.record.id, rejects=[(WAITING, "it is no payment")])
    assert node_of(store, taken) == (State.RUNNING, "", None)
    deliver(store, message("m4", payload="4"))
    assert node_of(store, taken) == (State.SUCCEEDED, "message", "4")


# Groups


def test_the_first_of_a_group_drops_the_others(store):
    taken = begin(store)
    wait(store, taken, wait_row(1, "PAID", group=5), wait_row(2, "CANCELLED", group=5), wait_row(3, "CANCELLED"))

    assert deliver(store, message()) == ["taken"]

    assert open_waits(store) == [(taken.record.id, 3)]
    assert [node_of(store, taken, number)[0] for number in (1, 2)] == [State.SUCCEEDED, State.RUNNING]


def test_of_a_group_whose_messages_are_all_there_one_is_taken(store):
    deliver(store, message("p", "PAID"), message("c", "CANCELLED"))
    taken = begin(store)

    wait(store, taken, wait_row(1, "PAID", group=5), wait_row(2, "CANCELLED", group=5))

    assert states(store) == {"p": "taken", "c": "kept"}
    assert [each.number for each in store.waits()] == [1]


def test_of_a_group_whose_moments_have_all_come_the_oldest_is_first_however_its_owner_says_so(store):
    taken, numbers = begin(store), range(11, 0, -1)
    wait(store, taken, *(wait_row(number, kind="moment", seconds=0.0, group=7) for number in numbers))

    write_one(store, taken.claimed, taken.record.id, due=sorted(numbers))

    assert [each.number for each in store.waits() if each.settled] == [11]


def test_the_moment_of_one_of_a_group_ends_the_others(store, moments):
    taken = begin(store)
    wait(store, taken, wait_row(1, group=5), wait_row(2, kind="moment", topic="", seconds=60.0, group=5))
    moments.advance(61)
    take(store)

    assert node_of(store, taken, 2)[0] is State.SUCCEEDED
    assert deliver(store) == ["kept"]


def test_what_does_not_fit_has_its_whole_group_wait_on_until_the_moments_that_were_first(store, moments):
    taken = begin(store)
    group = wait_row(1, group=5), wait_row(2, "CANCELLED", group=5)
    wait(store, taken, *group, wait_row(3, kind="moment", topic="", seconds=60.0, group=5))
    moments.advance(50)
    deliver(store)
    assert [each.number for each in store.waits()] == [1]

    again = [*group, wait_row(3, kind="moment", topic="", seconds=60.0, group=5)]
    write_one(store, taken.claimed, taken.record.id, rejects=[(1, "it is no payment")], waits=again)
    assert sorted(number for _, number in open_waits(store)) == [1, 2, 3]
    moments.advance(11)
    take(store)

    assert node_of(store, taken, 3)[0] is State.SUCCEEDED
    assert deliver(store, message("m2"), message("c", "CANCELLED")) == ["kept", "kept"]


def test_what_has_lost_is_forgotten_with_what_was_first(store):
    taken = begin(store)
    wait(store, taken, wait_row(1, group=5), wait_row(2, "CANCELLED", seconds=60.0, group=5))
    deliver(store)

    write_one(store, taken.claimed, taken.record.id, heard=[1])
    write_one(store, taken.claimed, taken.record.id, waits=[wait_row(2, "CANCELLED")])

    assert [(each.number, each.due_at) for each in store.waits()] == [(2, None)]


@pytest.mark.parametrize("later", [True, False], ids=["which becomes one then", "that there was"])
def test_who_joins_a_group_of_which_one_was_settled_takes_nothing(store, later):
    taken = begin(store)
    wait(store, taken, wait_row(1, group=None if later else 5))
    deliver(store, message(), message("c", "CANCELLED"))

    wait(store, taken, *[wait_row(1, group=5)] * later, wait_row(2, "CANCELLED", group=5))

    assert [each.number for each in store.waits()] == [1]
    assert states(store) == {"m1": "taken", "c": "kept"}
    assert deliver(store, message("d", "CANCELLED")) == ["kept"]


def test_a_wait_that_has_lost_its_group_can_begin_anew(store):
    taken = begin(store)
    wait(store, taken, wait_row(1, group=5), wait_row(2, "CANCELLED", group=5))
    deliver(store)
    deliver(store, message("c", "CANCELLED"))

    write_one(store, taken.claimed, taken.record.id, waits=[wait_row(2, "CANCELLED")])

    assert node_of(store, taken, 2)[0] is State.SUCCEEDED


# Moments


def test_a_moment_settles_its_wait_once_it_has_come(store, moments):
    taken = parked(store, "monday", kind="moment", topic="", seconds=7200.0)
    assert 0 < store.due_in() <= 7200
    moments.advance(3600)
    assert (take(store), node_of(store, taken)[0]) == ([], State.RUNNING)

    moments.advance(3700)

    (again,) = take(store)
    assert node_of(store, taken) == (State.SUCCEEDED, "moment", "null")
    ((_, seen),) = again.claimed.waits.items()
    assert seen.settled
    assert seen.seconds_left == pytest.approx(-100.0, abs=PATIENCE / 2)  # what this took is counted, too


def test_a_message_that_does_not_come_in_time_fails_its_node_with_a_timeout(store, moments):
    taken = parked(store, key="A17", seconds=60.0)
    moments.advance(61)
    take(store)

    state, codec, value = node_of(store, taken)
    (failed,) = store.nodes(taken.record.id, every=True, numbers=[WAITING])
    assert (state, codec, value) == (State.FAILED, "message", None)
    error = decode_error(failed.error)
    assert type(error) is TimeoutError
    assert str(error) == "no message of 'PAID' with the key 'A17' came within 1 min 0 s"
    assert deliver(store, message(keys=["A17"])) == ["kept"]


def test_a_message_in_time_is_not_followed_by_a_timeout(store, moments):
    taken = parked(store, seconds=60.0)
    deliver(store)
    moments.advance(61)
    take(store)

    assert node_of(store, taken)[0] is State.SUCCEEDED


def test_the_owner_says_that_a_moment_has_come(store):
    taken = waiting(store, kind="moment", topic="", seconds=3600.0)

    write_one(store, taken.claimed, taken.record.id, due=[WAITING])

    assert node_of(store, taken)[0] is State.SUCCEEDED
    assert [each.number for each in store.settled_waits(HERE)] == [WAITING]


def test_the_first_recorded_moment_stands(store, moments):
    taken = parked(store, kind="moment", topic="", seconds=60.0)
    store.cancel(taken.record.id)  # as one way to have it woken
    (again,) = take(store)

    wait(store, again, wait_row(kind="moment", topic="", seconds=7200.0))

    (found,) = store.waits()
    assert (found.due_at - found.since).total_seconds() == pytest.approx(60.0)


def test_a_deadline_wakes_its_run_and_writes_no_node(store, moments):
    taken = parked(store, kind="deadline", topic="", seconds=60.0)
    moments.advance(61)

    (again,) = take(store)

    assert node_of(store, taken)[0] is State.RUNNING
    assert again.claimed.waits[WAITING].seconds_left < 0
    assert store.settled_waits(HERE) == []


def test_a_run_that_goes_on_is_not_disturbed_by_a_moment(store, moments):
    taken = waiting(store, kind="moment", topic="", seconds=60.0)
    moments.advance(61)
    take(store)

    assert store.run(taken.record.id).state is State.RUNNING
    assert [each.number for each in store.settled_waits(HERE)] == [WAITING]


# What a message begins


STARTER = Starter(
    "ORDER",
    "/srv/shop.py:order",
    {"file": "/srv/shop.py", "task": "order", "parameters": {"eu": True}},
    "order",
    "shop",
    "order",
)


def test_a_message_that_nobody_waits_for_begins_the_run_of_its_topic_once(store):
    store.put_starters(HERE, [STARTER])

    (delivered,) = store.deliver([message(topic="ORDER", payload='{"id": 7}')])

    assert delivered.outcome == "started"
    assert deliver(store, message(topic="ORDER", payload='{"id": 7}')) == ["duplicate"]
    (taken,) = take(store, queues=["shop"])
    assert [taken.record.id] == list(delivered.runs)
    assert (taken.record.name, taken.target) == ("order", "/srv/shop.py:order")
    assert taken.record.entry["parameters"] == {"eu": True, "order": {"id": 7}}
    assert states(store) == {"m1": "started"}


def test_a_message_that_somebody_waits_for_begins_nothing(store):
    store.put_starters(HERE, [STARTER])
    waiting(store, topic="ORDER")

    assert deliver(store, message(topic="ORDER")) == ["taken"]


def test_an_id_that_was_forgotten_begins_its_run_no_second_time(store, moments):
    store.put_starters(HERE, [STARTER])
    (first,) = store.deliver([message(topic="ORDER", dedup=60.0)])
    moments.advance(61)

    (second,) = store.deliver([message(topic="ORDER")])

    assert (second.outcome, second.runs) == ("started", first.runs)
    assert len(store.runs()) == 1


# Sent


def test_what_is_sent_goes_with_the_batch_to_who_waits_in_the_same_store(store):
    sender, taken = begin(store), waiting(store)

    write_one(
        store,
        sender.claimed,
        sender.record.id,
        nodes=[node(1, State.SUCCEEDED)],
        outbox=[Outgoing("PAID", [""], "m1", "3")],
    )

    assert node_of(store, taken)[2] == "3"


def test_what_was_sent_and_comes_again_is_a_duplicate(store):
    sender = begin(store)
    for _ in range(2):
        write_one(store, sender.claimed, sender.record.id, outbox=[Outgoing("PAID", [""], "m1", "3")])
        write_one(store, sender.claimed, sender.record.id, outbox=[Outgoing("OUT", ["A"], "o1", "3", via="test://")])

    assert [(each.id, each.repeats) for each in store.messages()] == [("m1", 1)]
    assert len(store.outgoing("OUT", 10)) == 1


def test_what_leaves_by_a_transport_waits_in_order_until_it_has_left(store):
    sender = begin(store)
    headers = {"trace": "7"}
    sent = [
        Outgoing("OUT", ["A", "B"], f"o{place}", str(place), to_all=True, headers=headers, via="test://")
        for place in range(3)
    ]
    write_one(store, sender.claimed, sender.record.id, outbox=sent)
    assert store.messages() == []
    assert store.relays() == [("OUT", "test://")]

    first, second = store.outgoing("OUT", 2)
    assert (first.id, first.keys, first.payload, first.to_all, dict(first.headers)) == (
        "o0",
        ["A", "B"],
        "0",
        True,
        headers,
    )
    store.sent("OUT", [first.number, second.number])

    assert [each.id for each in store.outgoing("OUT", 10)] == ["o2"]
    store.sent("OUT", [each.number for each in store.outgoing("OUT", 10)])
    assert store.relays() == []


def test_what_leaves_together_is_bounded_by_its_size(store):
    sender = begin(store)
    sent = [Outgoing("OUT", [""], f"o{place}", f'"{"x" * (PORTION // 2)}"', via="test://") for place in range(4)]
    write_one(store, sender.claimed, sender.record.id, outbox=sent)

    assert [each.id for each in store.outgoing("OUT", 10)] == ["o0", "o1"]
    assert [each.id for each in store.outgoing("OUT", 1)] == ["o0"]


def test_one_process_at_a_time_passes_on_what_leaves_under_a_topic(store, moments):
    assert store.lease_relay("OUT", HERE, 60.0)
    assert store.lease_relay("OUT", HERE, 60.0)
    assert not store.lease_relay("OUT", OTHER, 60.0)
    assert store.lease_relay("ELSE", OTHER, 60.0)

    moments.advance(61)
    assert store.lease_relay("OUT", OTHER, 60.0)
    assert not store.lease_relay("OUT", HERE, 60.0)
    assert store.lease_relay("OUT", OTHER, 0.0)
    assert store.lease_relay("OUT", HERE, 60.0)


# Seen


def test_waits_and_messages_and_topics_are_listed(store):
    store.put_starters(HERE, [STARTER])
    taken = waiting(store, "monday", key="A17", seconds=60.0)
    deliver(store, message("m1", keys=["B"], headers={"trace": "7"}), message("m2", "SHIPPED", dead="no JSON"))

    (found,) = store.waits(run_id="monday")
    assert (found.label, found.kind, found.topic, found.key, found.group) == (
        "message(7)",
        "message",
        "PAID",
        "A17",
        None,
    )
    assert (found.due_at - found.since).total_seconds() == pytest.approx(60.0)
    assert store.waits(topic="SHIPPED") == store.waits(run_id="tuesday") == store.waits(limit=0) == []
    (kept,) = store.messages(topic="PAID")
    assert (kept.keys, kept.payload, kept.state, dict(kept.headers)) == (["B"], '{"amount": 3}', "kept", {"trace": "7"})
    assert [each.id for each in store.messages(limit=1)] == ["m2"]
    topics = {
        each.name: (each.waits, each.kept, each.dead, each.outgoing, list(each.starts)) for each in store.topics()
    }
    assert topics == {"ORDER": (0, 0, 0, 0, ["order"]), "PAID": (1, 1, 0, 0, []), "SHIPPED": (0, 0, 1, 0, [])}
    assert taken.claimed.waits == {}


# Stores of 1.5


def test_a_server_of_1_5_is_brought_up_to_date_by_who_asks_for_it_and_its_queue_goes_on(postgres_address, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("aiodag.stores.sql.server.server_steps", lambda: server_steps()[:1])
        older = store_at(postgres_address)
        assert older.migrate() == (0, 1)
        older.close()
    store = store_at(postgres_address)

    with pytest.raises(StoreError, match=r"has version 1, and this aiodag needs \d+: run `aiodag migrate"):
        store.topics()
    assert store.migrate() == (1, len(server_steps()))
    taken = parked(store, "monday")
    deliver(store)
    assert (node_of(store, taken)[0], [each.record.id for each in take(store)]) == (State.SUCCEEDED, ["monday"])
    store.close()


def test_a_backup_has_what_is_waited_for_and_what_is_kept(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    taken = parked(store, "monday")
    deliver(store, message("m2", "SHIPPED"))
    store.backup(tmp_path / "copy.db")
    copy = SQLite(tmp_path / "copy.db")

    assert (copy.waits(), states(copy)) == (store.waits(), {"m2": "kept"})
    deliver(copy)
    assert node_of(copy, taken)[0] is State.SUCCEEDED
    assert node_of(store, taken)[0] is State.RUNNING
    for each in (store, copy):
        each.close()


# What must not read all that there is, with its values: each is asked whenever a message comes or a worker looks.
LOOKS = {
    "open_waits_of_key": ("PAID", "", 1),
    "first_kept": ("PAID", "", 1.0),
    "waits_due": (1.0,),
    "next_timer": (),
    "messages_expired": (1.0,),
    "settled_of_owner": ("",),
    "seen_waits": (1,),
    "lock_group": (1, 9),
    "forget_message": ("PAID", "m1", 1.0),
    "forget_messages": (1.0,),
    "starters_of_topic": ("PAID",),
    "outgoing": ("OUT", 9, 9),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_every_look_asks_is_found_by_an_index(tmp_path, name):
    store = SQLite(tmp_path / "runs.db")
    with store.writing() as session:
        plan = session.execute(f"explain query plan {session.query(name)}", LOOKS[name]).fetchall()
    store.close()

    # "scan waits using index" walks the whole of one, but where that has only what is asked for, in the order in which it is.
    scans = [step for *_, step in plan if step.startswith("SCAN") and not re.search(PARTIAL, step)]
    assert scans == []


PARTIAL = r"due_waits|settled_waits|open_waits|kept_messages|messages_to_forget|runs_of_owner|CONSTANT|SUBQUERY|subquery|first_ones|portion"


def test_a_batch_that_comes_too_late_registers_nothing(store):
    taken = parked(store)
    deliver(store)
    take(store, owner=OTHER)

    (error,) = store.write_all([Write(taken.claimed, taken.record.id, Batch(waits=[wait_row(9)], unwaits=[WAITING]))])

    assert isinstance(error, LeaseLost)
    assert [(each.number, each.settled) for each in store.waits()] == [(WAITING, True)]
