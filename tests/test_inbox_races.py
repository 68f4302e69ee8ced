"""Messages, waits, cancels, moments and crashes that meet on two connections: nothing is lost, and nothing is taken twice."""

import threading
import time
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, permutations

import pytest
from executions import write_one
from test_inbox import WAITING, begin, deliver, message, node, parked, wait, wait_row, waiting
from test_queue import GONE, submit, take
from worker_processes import PATIENCE

from aiodag import State
from aiodag.errors import LeaseLost
from aiodag.stores.places import store_at


def problems(store):
    """What must not be, whoever came first: one waits for a message that is there, or is parked although it need not wait."""
    now, waits = time.time(), store.waits()
    kept = {
        (each.topic, key)
        for each in store.messages(state="kept")
        if each.expires_at.timestamp() > now
        for key in each.keys
    }
    wanted = {(each.topic, each.key) for each in waits if each.kind == "message" and not each.settled}
    settled, parked_runs = (
        {each.run for each in waits if each.settled},
        {run.id for run in store.runs() if run.state == "parked"},
    )
    return {
        "lost": kept & wanted,
        "parked though settled": parked_runs & settled,
        "parked for nothing": parked_runs - {each.run for each in waits},
        "taken by none or by several": [each.id for each in store.messages(state="taken") if holders(store, each) != 1],
        "kept and held": [each.id for each in store.messages(state="kept") if holders(store, each)],
    }


def holders(store, found):
    """How many nodes have a message, whose payload is its own."""
    return sum(each.value == found.payload for run in store.runs() for each in store.nodes(run.id, every=True))


def sound(store):
    return not any(problems(store).values())


@pytest.fixture
def connect(request, tmp_path, monkeypatch):
    """What connects to one and the same store of a kind, each time by a connection of its own."""
    monkeypatch.setattr("aiodag.stores.sql.postgres.GRACE", 0.0)
    stores = []

    def connected(kind):
        if kind == "sqlite":
            place = tmp_path / "runs.db"
        else:  # stores at one address share their connections
            place = f"{request.getfixturevalue('postgres_address')}&application_name=c{len(stores)}"
        stores.append(store_at(place))
        return stores[-1]

    yield connected
    for store in stores:
        store.close()


# Whole transactions, in every order, on two connections

STEPS = ("deliver", "wait", "cancel", "expire", "crash")


class Story:
    """One run that waits twice for the same, while several things happen in some order."""

    def __init__(self, first, second):
        self.stores = [first, second]
        self.taken = begin(first, "ours", owner=GONE)
        wait(first, self.taken, wait_row(1, seconds=5.0, since=time.time() - 10))  # it is due, and nobody has looked

    def deliver(self, store):
        deliver(store, message("m1", payload='"m1"'))

    def wait(self, store):
        self.write(store, nodes=[node(2)], waits=[wait_row(2)])

    def cancel(self, store):
        self.write(store, unwaits=[1])

    def expire(self, store):
        take(store, 0)

    def crash(self, store):
        found = take(store, 1)  # whoever had it has gone, and somebody else goes on with it
        self.taken = found[0] if found else self.taken

    def write(self, store, **batch):
        try:
            write_one(store, self.taken.claimed, "ours", **batch)
        except LeaseLost:
            self.taken = take(store, 1)[0]
            write_one(store, self.taken.claimed, "ours", **batch)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_in_every_order_a_message_is_taken_once_or_kept(connect, kind):
    first, second = connect(kind), connect(kind)
    # A server takes ten times as long for each, and its own races are below.
    for steps in list(permutations(STEPS))[:: 1 if kind == "sqlite" else 7]:
        story = Story(first, second)
        for place, step in enumerate(steps):
            getattr(story, step)(story.stores[place % 2])
            assert sound(first), (steps, step, problems(first))
        # The second wait is there whatever came first, and whoever cancels the first one has given back what that was given.
        assert {each.number for each in first.waits()} == {2}, steps
        assert [(each.state, each.run) for each in second.messages()] == [("taken", "ours")], steps
        for each in (first, second):
            each.delete([run.id for run in each.runs()])
        forget_messages(first)


def forget_messages(store):
    with store.writing() as session:
        for table in ("message_keys", "messages"):
            session.execute(f"delete from {table}")


# Two transactions of a server, one of which stops before each of its statements


class Gate:
    """Stops a thread before one of the messages that it sends to the server."""

    def __init__(self, left):
        self.left = left
        self.news = threading.Event()  # it is there, or has ended without coming to it
        self.reached = False
        self.opened = threading.Event()

    def pass_by(self):
        if self.left == 0:
            self.reached = True
            self.news.set()
            assert self.opened.wait(PATIENCE)
        self.left -= 1


@contextmanager
def gates(monkeypatch):
    """Have threads pass by the gates that they have before each message to a server."""
    import psycopg

    execute, found = psycopg.ClientCursor.execute, {}

    def stopped(cursor, *given, **more):
        gate = found.get(threading.get_ident())
        if gate is not None:
            gate.pass_by()
        return execute(cursor, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.ClientCursor, "execute", stopped)
        yield found


def is_done_soon(future):
    """Whether something has come to its end, or does in a moment."""
    return bool(futures.wait([future], 0.02).done)


def act_with(found, gate, act):
    found[threading.get_ident()] = gate
    try:
        act()
    finally:
        gate.news.set()
        del found[threading.get_ident()]


def is_blocked(postgres, store):
    """Whether the connection of a store waits for another one."""
    name = str(store).rpartition("application_name=")[2]
    rows = postgres.execute(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = %s", (name,)
    )
    return bool(rows)


def cancel(store, taken):
    write_one(store, taken.claimed, taken.record.id, unwaits=[WAITING])


def end(store, taken):
    write_one(store, taken.claimed, taken.record.id, state=State.FAILED, error="", at=time.time())


def later(store):
    """A run that is about to wait."""
    taken = begin(store, "later")
    return lambda each: wait(each, taken, wait_row())


def due(store, name="ours"):
    return parked(store, name, seconds=5.0, since=time.time() - 10)


def ours_and_next(store, **more):
    ours = waiting(store, "ours", **more)
    waiting(store, "next", **more)
    return ours


def group(store):
    taken = begin(store, "ours")
    wait(store, taken, wait_row(1, "A", group=5), wait_row(2, "B", group=5))
    store.park(taken.claimed)


def two_groups(store):
    for n in (1, 2):
        taken = begin(store, f"run{n}")
        wait(store, taken, wait_row(1, f"A{n}", group=5), wait_row(2, f"B{n}", group=5))


def given(store):
    """A run that was given a message and has not seen it."""
    taken = waiting(store, "ours")
    deliver(store, message("m1", payload='"m1"'))
    return taken


def family(store, act):
    """A run that waits for one that it has begun, and ends at the moment at which `act` happens to the other."""
    parent = begin(store, "ours")
    submit(store, "child", parent_run="ours", parent_node=WAITING)
    (child,) = take(store, 1)
    wait(store, parent, wait_row(topic="child", kind="run"))
    return lambda each: act(each, parent), lambda each: end(each, child)


def deliver_m1(store):
    deliver(store, message("m1", payload='"m1"'))


def deliver_m2(store):
    deliver(store, message("m2", payload='"m2"'))


MEETINGS = {
    "deliver and wait": lambda store: (deliver_m1, later(store)),
    "wait and deliver": lambda store: (later(store), deliver_m1),
    "deliver twice": lambda store: (ours_and_next(store) and deliver_m1, deliver_m2),
    "the same id twice": lambda store: (ours_and_next(store) and deliver_m1, deliver_m1),
    "deliver and cancel": lambda store: (deliver_m1, lambda each, taken=ours_and_next(store): cancel(each, taken)),
    "cancel and deliver": lambda store: (lambda each, taken=ours_and_next(store): cancel(each, taken), deliver_m1),
    "deliver and end": lambda store: (deliver_m1, lambda each, taken=ours_and_next(store): end(each, taken)),
    "end and deliver": lambda store: (lambda each, taken=ours_and_next(store): end(each, taken), deliver_m1),
    "deliver and park": lambda store: (deliver_m1, lambda each, taken=waiting(store, "ours"): each.park(taken.claimed)),
    "park and deliver": lambda store: (lambda each, taken=waiting(store, "ours"): each.park(taken.claimed), deliver_m1),
    "deliver and expire": lambda store: (due(store) and deliver_m1, lambda each: take(each, 0)),
    "expire and deliver": lambda store: (lambda each, _=due(store): take(each, 0), deliver_m1),
    "expire twice": lambda store: (lambda each, _=due(store): take(each, 0), lambda each: take(each, 0)),
    "two of a group": lambda store: (
        lambda each, _=group(store): deliver(each, message("a", "A", payload='"a"')),
        lambda each: deliver(each, message("b", "B", payload='"b"')),
    ),
    "two of two groups": lambda store: (
        lambda each, _=two_groups(store): deliver(
            each, *(message(f"a{n}", f"A{n}", payload=f'"a{n}"') for n in (1, 2))
        ),
        lambda each: deliver(each, *(message(f"b{n}", f"B{n}", payload=f'"b{n}"') for n in (2, 1))),
    ),
    "give back and wait": lambda store: (lambda each, taken=given(store): cancel(each, taken), later(store)),
    "wait and give back": lambda store: (later(store), lambda each, taken=given(store): cancel(each, taken)),
    "give back at the end and wait": lambda store: (lambda each, taken=given(store): end(each, taken), later(store)),
    "deliver and delete": lambda store: (due(store) and deliver_m1, lambda each: each.delete(["ours"])),
    "delete and deliver": lambda store: (lambda each, _=due(store): each.delete(["ours"]), deliver_m1),
    "several keys both ways": lambda store: (
        lambda each: deliver(each, message("a", keys=["A", "B"], payload='"a"')),
        lambda each: deliver(each, message("b", keys=["B", "A"], payload='"b"')),
    ),
    "several keys and waits": lambda store: (
        lambda each: deliver(each, message("a", keys=["A", "B"], payload='"a"')),
        lambda each, taken=begin(store, "ours"): wait(each, taken, wait_row(1, key="B"), wait_row(2, key="A")),
    ),
    "give up a child and end it": lambda store: family(store, cancel),
    "end a child and give it up": lambda store: family(store, cancel)[::-1],
    "end, and end a child": lambda store: family(store, end),
    "deliver and cancel the run": lambda store: (due(store) and deliver_m1, lambda each: each.cancel("ours")),
}


@pytest.mark.parametrize("meeting", MEETINGS)
def test_whoever_stops_in_the_middle_nothing_is_lost(connect, postgres, monkeypatch, meeting):
    stores = [connect("postgresql"), connect("postgresql")]
    first, second = stores
    for stop in count(1):
        acts = MEETINGS[meeting](first)
        first.topics()
        second.topics()
        gate = Gate(stop)
        with gates(monkeypatch) as found, ThreadPoolExecutor(2) as pool:
            one = pool.submit(act_with, found, gate, lambda: acts[0](first))
            assert gate.news.wait(PATIENCE)
            other = pool.submit(lambda: acts[1](second))
            while gate.reached and not is_done_soon(other) and not is_blocked(postgres, second):
                pass  # one of the two comes: both have an end of their own
            gate.opened.set()
            one.result(PATIENCE)
            other.result(PATIENCE)
        assert sound(first), (stop, problems(first))
        first.delete([run.id for run in first.runs()])
        forget_messages(first)
        if not gate.reached:
            return
