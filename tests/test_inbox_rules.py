"""Whatever comes in whatever order, stores in memory and in SQL agree, and nobody waits for a message that is there."""

import hypothesis.strategies as st
from both_stores import BothStores
from executions import row
from hypothesis import settings
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from test_queue import GONE, HERE, submission_of

from aiodag import State
from aiodag.errors import LeaseLost
from aiodag.records import Batch, Incoming, Outgoing, Write

LEASE = 1e6  # seconds: only a process that has ended loses its runs
NUMBERS = st.integers(1, 4)
TOPICS = st.sampled_from(["A", "A", "B"])
KEYS = st.sampled_from(["", "", "k"])
KINDS = st.sampled_from([*["message"] * 5, "moment", "deadline"])
SOME_WAITS = st.lists(st.tuples(NUMBERS, KINDS, TOPICS, KEYS), min_size=1, max_size=3, unique_by=lambda each: each[0])
WEIGHTS = {
    "wait": 6,
    "deliver": 4,
    "settle": 3,
    "take": 2,
    "park": 2,
    "advance": 2,
    "reject": 1,
    "send": 1,
    "redeliver": 1,
    "end": 1,
    "meddle": 1,
}
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


class InboxModel(BothStores):
    """The inbox in memory is the model of the one in SQL: both are told the same, and answer the same."""

    def __init__(self):
        super().__init__()
        self.count = self.messages = 0

    def write(self, run_id, **batch):
        wrote = self.both(
            lambda store: type(store.write_all([Write(self.claimed(store, run_id), run_id, Batch(**batch))])[0])
        )
        if wrote is LeaseLost:
            del self.owned[run_id]

    def may_wait(self, run_id, number, known_by):
        """Whether a node may begin to wait, or go on: it has not ended, and is known by what it waits for."""
        kept = self.stores[0].kept.get(run_id)
        if kept is None or number not in kept.nodes:
            return True
        before = {each.number: (each.kind, each.topic, each.key) for each in self.stores[0].waits(run_id=run_id)}
        return not kept.nodes[number]["state"].final and before.get(number, known_by) == known_by

    @initialize()
    def begin(self):
        for _ in range(3):
            self.submit(HERE)

    # Of what there is to do, most is waiting and delivering; else there would hardly ever be anything to lose.
    @rule(what=st.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]), data=st.data())
    def act(self, what, data):
        if what in {"wait", "park", "end", "settle", "reject", "send"}:
            if self.owned:
                getattr(self, what)(data.draw, data.draw(st.sampled_from(sorted(self.owned))))
        else:
            getattr(self, what)(data.draw)

    # Runs

    def submit(self, owner):
        self.count += 1
        self.both(lambda store: store.submit(submission_of(f"r{self.count}")))
        self.take_as(owner, 5)

    def take(self, draw):
        self.take_as(draw(st.sampled_from([HERE, HERE, HERE, GONE])), draw(st.integers(0, 5)))

    def take_as(self, owner, limit):
        found = self.both(
            lambda store: [
                (each.record.id, each.claimed.execution, dict(each.claimed.waits), each.cancel)
                for each in store.take_queued(owner, ["default"], limit, lease=LEASE)
            ]
        )
        self.owned |= {run_id: execution for run_id, execution, *_ in found}

    def advance(self, draw):
        self.now += draw(st.sampled_from([1.0, 10.0, 40.0]))
        self.take_as(HERE, 0)

    def park(self, _, run_id):
        self.both(lambda store: store.park(self.claimed(store, run_id)))
        del self.owned[run_id]

    def end(self, draw, run_id):
        state = draw(st.sampled_from([State.SUCCEEDED, State.FAILED]))
        self.write(run_id, state=state, at=self.now, error="{}" if state is State.FAILED else "")
        self.owned.pop(run_id, None)
        self.submit(HERE)

    def meddle(self, draw):
        run_id, way = f"r{draw(st.integers(1, self.count))}", draw(st.sampled_from(["cancel", "cancel", "delete"]))
        self.both(lambda store: store.cancel(run_id) if way == "cancel" else store.delete([run_id]))

    # Waits

    def wait(self, draw, run_id):
        due_at = draw(st.sampled_from([None, None, self.now + 5.0, self.now + 50.0]))
        group = draw(st.sampled_from([None, None, 9]))
        some = [
            (number, (kind, topic, key) if kind == "message" else (kind, "", ""))
            for number, kind, topic, key in draw(SOME_WAITS)
        ]
        rows = [
            (number, *known_by, self.now, due_at, None if known_by[0] == "deadline" else group)  # a limit has none
            for number, known_by in some
            if self.may_wait(run_id, number, known_by)
        ]
        nodes = [row(each[0], state=State.RUNNING, codec="", value=None) for each in rows]
        given_up = draw(st.sampled_from([[], [], [], [1], [2]]))
        self.write(run_id, nodes=nodes, waits=rows, unwaits=given_up)

    def settle(self, draw, run_id):
        kind = draw(st.sampled_from(["due", "unwaits", "unwaits", "heard"]))
        self.write(run_id, **{kind: sorted(draw(st.sets(NUMBERS, min_size=1)))})

    def reject(self, draw, run_id):
        self.write(run_id, rejects=[(draw(NUMBERS), "it does not fit")])

    # Messages

    def named(self, some):
        """Give new messages ids, and all of them payloads, of their own."""
        named = []
        for each in some:
            self.messages += 1
            number = self.messages
            named.append(each._replace(id=f"n{number}" if each.id == "new" else each.id, payload=str(number)))
        return named

    def deliver(self, draw):
        some = self.named(draw(st.lists(MESSAGES, min_size=1, max_size=3)))
        self.both(lambda store: store.deliver(some))

    def send(self, draw, run_id):
        (sent,) = self.named([draw(MESSAGES)])
        self.write(run_id, outbox=[Outgoing(*sent[:-1], via=draw(st.sampled_from(["", "test://"])))])

    def redeliver(self, draw):
        dead = [each[:2] for each in self.stores[0].messages(state="dead")]
        if dead:
            one = draw(st.sampled_from(dead))
            self.both(lambda store: store.redeliver(*one))

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
        for store in self.stores if open_ones else ():
            assert store.due_in() <= min(open_ones) - self.now + 1e-3


def test_the_inbox_in_sql_is_like_the_one_in_memory(tmp_path):
    class Here(InboxModel):
        directory = tmp_path

    run_state_machine_as_test(Here, settings=settings(max_examples=30, stateful_step_count=40, deadline=None))
