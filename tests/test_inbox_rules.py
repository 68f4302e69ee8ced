"""Whatever comes in whatever order, stores in memory and in SQL agree, and nobody waits for a message that is there."""

import time

import hypothesis.strategies as st
import pytest
from executions import row
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from test_queue import GONE, HERE, submission_of

from aiodag import State
from aiodag.errors import LeaseLost, StoreError
from aiodag.records import Batch, Claimed, Incoming, Outgoing, Write
from aiodag.stores import Memory, SQLite

RUNS = 6  # that there are at most
LEASE = 1e6  # seconds: only a process that has ended loses its runs
NUMBERS = st.integers(1, 4)
TOPICS = st.sampled_from(["A", "B"])
KEYS = st.sampled_from(["", "", "k"])
MESSAGES = st.builds(
    Incoming,
    TOPICS,
    st.sampled_from([("",), ("",), ("k", "")]),
    st.sampled_from(["m0", "m1", *["new"] * 6]),
    st.just("7"),
    to_all=st.sampled_from([False, False, True]),
    ttl=st.sampled_from([20.0, 1000.0]),
    dedup=st.sampled_from([30.0, 1000.0]),
    dead=st.sampled_from([*[""] * 7, "it is no JSON"]),
)


class InboxModel(RuleBasedStateMachine):
    """The inbox in memory is the model of the one in SQL: both are told the same, and answer the same."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.now = 1_800_000_000.0
        self.patch.setattr(time, "time", lambda: self.now)
        path = self.directory / f"{id(self)}-{time.monotonic_ns()}.db"
        self.stores = [Memory(), SQLite(path, synchronous="NORMAL")]
        self.count = self.messages = 0
        self.owned = {}  # executions by the ids of runs that somebody has

    def teardown(self):
        for store in self.stores:
            store.close()
        self.patch.undo()

    def both(self, ask):
        """Ask both stores; return what they answer alike."""
        answers = []
        for store in self.stores:
            try:
                answers.append(ask(store))
            except StoreError as error:
                answers.append(type(error).__name__)
        assert answers[0] == answers[1]
        return answers[0]

    def claimed(self, store, run_id):
        if isinstance(store, Memory):
            kept = store.kept.get(run_id)
            return Claimed(0 if kept is None else kept.number, self.owned[run_id], {})
        with store.reading() as session:
            found = session.execute("select run from runs where id = ?", (run_id,)).fetchone()
        return Claimed(0 if found is None else found[0], self.owned[run_id], {})

    def write(self, run_id, **batch):
        wrote = self.both(
            lambda store: type(store.write_all([Write(self.claimed(store, run_id), run_id, Batch(**batch))])[0])
        )
        if wrote is LeaseLost:
            del self.owned[run_id]

    def one(self, data):
        return data.draw(st.sampled_from(sorted(self.owned)))

    def is_open(self, run_id, number):
        kept = self.stores[0].kept.get(run_id)
        return kept is None or number not in kept.nodes or not kept.nodes[number]["state"].final

    # Runs

    @initialize()
    def begin(self):
        for _ in range(3):
            self.submit_and_take(HERE)

    @precondition(lambda self: self.count < RUNS)
    @rule(owner=st.sampled_from([HERE, GONE]))
    def submit_and_take(self, owner):
        self.count += 1
        self.both(lambda store: store.submit(submission_of(f"r{self.count}")))
        self.take(owner, 5)

    @rule(owner=st.sampled_from([HERE, HERE, HERE, GONE]), limit=st.integers(0, 5))
    def take(self, owner, limit):
        found = self.both(
            lambda store: [
                (each.record.id, each.claimed.execution, dict(each.claimed.waits), each.cancel)
                for each in store.take_queued(owner, ["default"], limit, lease=LEASE)
            ]
        )
        self.owned |= {run_id: execution for run_id, execution, *_ in found}

    @rule(seconds=st.sampled_from([1.0, 10.0, 40.0]))
    def advance(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.owned)
    @rule(data=st.data())
    def park(self, data):
        run_id = self.one(data)
        self.both(lambda store: store.park(self.claimed(store, run_id)))
        del self.owned[run_id]

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), state=st.sampled_from([State.SUCCEEDED, State.FAILED]))
    def end(self, data, state):
        run_id = self.one(data)
        self.write(run_id, state=state, at=self.now, error="{}" if state is State.FAILED else "")
        self.owned.pop(run_id, None)

    @rule(number=st.integers(1, RUNS), way=st.sampled_from(["cancel", "cancel", "delete"]))
    def meddle(self, number, way):
        run_id = f"r{number}"
        self.both(lambda store: store.cancel(run_id) if way == "cancel" else store.delete([run_id]))

    # Waits

    @precondition(lambda self: self.owned)
    @rule(
        data=st.data(),
        some=st.lists(
            st.tuples(NUMBERS, st.sampled_from(["message", "message", "message", "moment", "deadline"]), TOPICS, KEYS),
            min_size=1,
            max_size=3,
            unique_by=lambda each: each[0],
        ),
        seconds=st.sampled_from([None, None, 5.0, 50.0]),
        group=st.sampled_from([None, None, 9]),
        given_up=st.sets(NUMBERS, max_size=1),
    )
    def wait(self, data, some, seconds, group, given_up):
        run_id = self.one(data)
        due_at = None if seconds is None else self.now + seconds
        rows = [
            (number, kind, topic if kind == "message" else "", key, self.now, due_at, group)
            for number, kind, topic, key in some
            if self.is_open(run_id, number)
        ]
        nodes = [row(each[0], state=State.RUNNING, codec="", value=None) for each in rows]
        self.write(run_id, nodes=nodes, waits=rows, unwaits=sorted(given_up))

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), number=NUMBERS, group=st.sampled_from([None, 9]), topic=TOPICS)
    def wait_for_one(self, data, number, group, topic):
        run_id = self.one(data)
        if self.is_open(run_id, number):
            nodes = [row(number, state=State.RUNNING, codec="", value=None)]
            self.write(run_id, nodes=nodes, waits=[(number, "message", topic, "", self.now, None, group)])

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), kind=st.sampled_from(["due", "unwaits", "heard"]), numbers=st.sets(NUMBERS, min_size=1))
    def settle(self, data, kind, numbers):
        self.write(self.one(data), **{kind: sorted(numbers)})

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), number=NUMBERS)
    def reject(self, data, number):
        self.write(self.one(data), rejects=[(number, "it does not fit")])

    # Messages

    def named(self, some):
        """Give new messages ids, and all of them payloads, of their own."""
        named = []
        for each in some:
            self.messages += 1
            number = self.messages
            named.append(each._replace(id=f"n{number}" if each.id == "new" else each.id, payload=str(number)))
        return named

    @rule(some=st.lists(MESSAGES, min_size=1, max_size=4))
    def deliver(self, some):
        some = self.named(some)
        self.both(lambda store: store.deliver(some))

    @rule(one=MESSAGES)
    def deliver_one(self, one):
        self.deliver([one])

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), sent=MESSAGES.filter(lambda each: not each.dead), via=st.sampled_from(["", "test://"]))
    def send(self, data, sent, via):
        (sent,) = self.named([sent])
        self.write(self.one(data), outbox=[Outgoing(*sent[:-1], via=via)])

    @precondition(lambda self: self.stores[0].messages(state="dead"))
    @rule(data=st.data())
    def redeliver(self, data):
        dead = data.draw(st.sampled_from([each[:2] for each in self.stores[0].messages(state="dead")]))
        self.both(lambda store: store.redeliver(*dead))

    # What holds

    @invariant()
    def they_are_alike(self):
        self.both(lambda store: store.waits())
        self.both(lambda store: [(run.id, str(run.state)) for run in store.runs()])
        self.both(lambda store: [each[1:] for each in store.settled_waits(HERE)])
        self.both(lambda store: [each._replace(headers={}) for each in store.messages()])
        self.both(
            lambda store: [
                (run.id, each.number, each.state, each.codec, each.value)
                for run in store.runs()
                for each in store.nodes(run.id, every=True)
            ]
        )

    @invariant()
    def nobody_waits_for_what_is_there(self):
        store = self.stores[1]
        waits, messages = store.waits(), store.messages(state="kept")
        kept = {(each.topic, key) for each in messages if each.expires_at.timestamp() > self.now for key in each.keys}
        assert not kept & {(each.topic, each.key) for each in waits if each.kind == "message" and not each.settled}
        parked = {run.id for run in store.runs() if run.state == "parked"}
        assert parked <= {each.run for each in waits}
        assert not parked & {each.run for each in waits if each.settled}

    @invariant()
    def a_moment_is_announced(self):
        open_ones = [each.due_at.timestamp() for each in self.stores[1].waits() if each.due_at and not each.settled]
        due = self.both(lambda store: store.due_in())
        assert not open_ones or due <= min(open_ones) - self.now + 1e-3


def test_the_inbox_in_sql_is_like_the_one_in_memory(tmp_path):
    class Here(InboxModel):
        directory = tmp_path

    run_state_machine_as_test(Here, settings=settings(max_examples=30, stateful_step_count=40, deadline=None))
