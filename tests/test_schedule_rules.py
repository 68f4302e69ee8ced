"""Whatever comes in whatever order, stores in memory and in SQL agree: no moment runs twice, and nothing waits for nobody."""

from datetime import UTC, datetime

import hypothesis.strategies as st
from both_stores import BothStores
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
from aiodag.firings import BackfillRecord, BackfillStep, Passed, PlannedRun, Release, ScheduleRecord
from aiodag.records import Batch, Write

LEASE = 1e6  # seconds: only a process that has ended loses its runs
START = 1_800_000_000.0
NAMES = ("a", "b")
GROUPS = (None, None, "g", "h")
OVERLAPS = st.sampled_from(["skip", "queue", "queue", "allow"])
WEIGHTS = {
    "release": 8,
    "end": 5,
    "take": 3,
    "submit": 3,
    "put": 1,
    "pause": 1,
    "resume": 2,
    "meddle": 2,
    "again": 1,
    "advance": 1,
    "backfill": 1,
    "fill": 2,
    "drop": 1,
}


class ScheduleModel(BothStores):
    """The schedules in memory are the model of those in SQL: both are told the same, and answer the same."""

    def __init__(self):
        super().__init__()
        self.runs = 0
        self.moment = 0  # the next of all schedules
        self.patient = set()  # runs of backfills

    def new_runs(self, draw, moments):
        planned = []
        for at in moments:
            self.runs += 1
            more = {"group": draw(st.sampled_from(GROUPS)), "cancel_in_progress": draw(st.booleans())}
            more["starts_at"] = draw(st.sampled_from([None, None, None, self.now + 30.0]))
            planned.append(PlannedRun(at, submission_of(f"r{self.runs}", at=self.now, **more)))
        return planned

    def versions(self, name):
        """The numbers and versions of a schedule in each store: they need not be the same."""
        return [[(each.number, each.version) for each in store.schedules(name)] for store in self.stores]

    @initialize()
    def begin(self):
        for name in NAMES:
            self.put_as(name, "queue")

    @rule(what=st.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]), data=st.data())
    def act(self, what, data):
        getattr(self, what)(data.draw)

    # Schedules

    def put(self, draw):
        self.put_as(draw(st.sampled_from(NAMES)), draw(OVERLAPS), draw(st.sampled_from(["active", "active", "paused"])))

    def put_as(self, name, overlap, state="active"):
        next_at = datetime.fromtimestamp(START + self.moment * 60.0, UTC)
        record = ScheduleRecord(
            name, {"every": 60}, submission_of("t", at=0.0), overlap=overlap, state=state, next_at=next_at
        )
        self.both(lambda store: store.put_schedule(record))

    def pause(self, draw):
        name = draw(st.sampled_from(NAMES))
        self.both(lambda store: store.set_schedule_state(name, "paused", None, "for a while"))

    def resume(self, draw):
        name, at = draw(st.sampled_from(NAMES)), START + self.moment * 60.0
        self.both(lambda store: store.set_schedule_state(name, "active", at))

    def drop(self, draw):
        name = draw(st.sampled_from([*NAMES, "c", "c", "c"]))
        self.both(lambda store: store.drop_schedule(name))

    def release(self, draw):
        name = draw(st.sampled_from(NAMES))
        first = max(self.moment - draw(st.sampled_from([0, 0, 0, 1])), 0)  # some again, which must be made once
        count = draw(st.integers(0, 3))
        self.moment = first + count + 1
        planned = self.new_runs(draw, [START + (first + place) * 60.0 for place in range(count)])
        at = START + self.moment * 60.0 - 60.0
        passed = draw(st.sampled_from([[], [], [Passed(at, at, 1, "missed", "late")]]))
        how = {
            "holds": draw(st.booleans()),
            "state": draw(st.sampled_from(["", "", "", "active", "ended"])),
            "kind": draw(st.sampled_from(["scheduled", "scheduled", "scheduled", "manual"])),
        }
        if how["kind"] == "manual":
            passed = []
        found = iter(self.versions(name))

        def ask(store):
            version = draw_version(next(found))
            return store.release_moments([Release(name, *version, START + self.moment * 60.0, planned, passed, **how)])

        self.both(ask)

    # Backfills

    def backfill(self, draw):
        name = draw(st.sampled_from(NAMES))
        begin, end = datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 6000, UTC)
        limit = draw(st.integers(1, 3))
        self.both(lambda store: type(store.put_backfill(BackfillRecord(name, begin, end, limit))).__name__)

    def fill(self, draw):
        due = [store.due_backfills(1) for store in self.stores]
        assert [each.room for each in due[0]] == [each.room for each in due[1]]
        if due[0]:
            moments = sorted(draw(st.sets(st.integers(0, self.moment + 1), min_size=1, max_size=due[0][0].room)))
            planned = self.new_runs(draw, [START + place * 60.0 for place in moments])
            state = draw(st.sampled_from(["active", "active", "ended"]))
            self.patient |= {each.submission.id for each in planned}
            steps = iter([BackfillStep(each.number, each.version, START, planned, state=state) for (each,) in due])
            self.both(lambda store: store.advance_backfills([next(steps)]))

    # Runs

    def submit(self, draw):
        (planned,) = self.new_runs(draw, [0.0])
        self.both(lambda store: store.submit(planned.submission))

    def take(self, draw):
        self.take_as(draw(st.sampled_from([HERE, HERE, HERE, GONE])), draw(st.integers(0, 5)))

    def take_as(self, owner, limit):
        found = self.both(
            lambda store: [
                (each.record.id, each.claimed.execution, each.cancel)
                for each in store.take_queued(owner, ["default"], limit, lease=LEASE)
            ]
        )
        self.owned |= {run_id: execution for run_id, execution, _ in found}

    def advance(self, draw):
        self.now += draw(st.sampled_from([1.0, 10.0, 40.0]))
        self.take_as(HERE, 0)

    def end(self, draw):
        if not self.owned:
            return
        run_id = draw(st.sampled_from(sorted(self.owned)))
        state = draw(st.sampled_from([State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.CANCELLED]))
        batch = Batch(state=state, at=self.now, error="{}" if state is State.FAILED else "")
        wrote = self.both(lambda store: type(store.write_all([Write(self.claimed(store, run_id), run_id, batch)])[0]))
        assert wrote in {type(None), LeaseLost}
        del self.owned[run_id]

    def meddle(self, draw):
        if self.runs:
            run_id, way = f"r{draw(st.integers(1, self.runs))}", draw(st.sampled_from(["cancel", "cancel", "delete"]))
            self.both(lambda store: store.cancel(run_id) if way == "cancel" else store.delete([run_id]))

    def again(self, draw):
        if self.runs:
            run_id = f"r{draw(st.integers(1, self.runs))}"
            self.both(lambda store: store.submit_again(run_id))

    # What always holds

    @invariant()
    def stores_agree(self):
        self.both(
            lambda store: [
                (each.id, each.state, each.execution, each.schedule, each.group, each.is_held) for each in store.runs()
            ]
        )
        self.both(
            lambda store: [
                (each.name, each.state, each.reason, each.next_at, each.is_held, each.last_run)
                for each in store.schedules()
            ]
        )
        for name in NAMES:
            self.both(lambda store, name=name: store.firings(name))
        self.both(
            lambda store: [
                (each.schedule, each.state, each.unfinished, each.submitted, each.known) for each in store.backfills()
            ]
        )
        self.both(lambda store: store.next_due())

    @invariant()
    def no_moment_is_released_twice(self):
        for name in NAMES:
            made = [
                each.at
                for each in self.stores[0].firings(name)
                if each.kind != "manual" and each.state in {"submitted", "waiting"}
            ]
            assert len(made) == len(set(made))
            assert sum(each.state == "waiting" for each in self.stores[0].firings(name)) <= 1

    @invariant()
    def of_a_group_one_waits(self):
        for group in set(GROUPS) - {None}:
            held = [each.id for each in self.stores[0].runs() if each.group == group and each.is_held]
            assert len(set(held) - self.patient) <= 1

    @invariant()
    def what_waits_has_somebody_to_wait_for_or_begins_at_the_next_look(self):
        self.take_as(HERE, 0)
        runs = [each for each in self.stores[0].runs() if each.ended_at is None]
        for each in runs:
            if each.is_held:
                assert any(other.group == each.group and not other.is_held for other in runs)
        for schedule in self.stores[0].schedules():
            waiting = [each for each in self.stores[0].firings(schedule.name) if each.state == "waiting"]
            if waiting and schedule.state in {"active", "ended"}:
                assert any(each.schedule == schedule.name for each in runs)


def draw_version(found):
    """The number and version of a schedule, or of none."""
    return found[0] if found else (0, 0)


def test_stores_in_memory_and_in_sql_agree(tmp_path):
    model = type("Model", (ScheduleModel,), {"directory": tmp_path})
    run_state_machine_as_test(model, settings=settings(max_examples=20, stateful_step_count=40, deadline=None))
