"""Large workflows: nodes are made while others run, a bounded lead ahead, and are let go of when they have settled."""

import asyncio
from collections import Counter
from threading import Event
from weakref import ref

import pytest

from aiodag import Limit, Run, RunFailed, State, current_node, current_run, plan, task
from aiodag._core.ledger import WIDTH
from aiodag.stores import Memory
from aiodag.workflows import Parameter, Workflow, lead

MANY = 2_000
FEW = 100


@task
async def same(value):
    return value


@pytest.fixture
def short_lead(monkeypatch):
    monkeypatch.setattr(lead, "LEAD", FEW)
    monkeypatch.setattr(lead, "SOME", 10)


class Counts:
    """Counts the states of a run's nodes as they change, and keeps the largest counts."""

    def __init__(self):
        self.states, self.most, self.made_at_first = Counter(), Counter(), 0

    def moved(self, move):
        self.states[move.state] += 1
        if move.previous is None:
            self.states["made"] += 1
        else:
            self.states[move.previous] -= 1
        self.most |= self.states
        if move.state is State.SUCCEEDED and not self.made_at_first:
            self.made_at_first = self.states["made"]


def many(count=MANY, body=same, **options):
    flow = Workflow("many", parameters={"N": range(count)}, **options)
    return flow, flow.add(body, Parameter("N"))


async def test_the_first_finish_while_the_last_are_not_made_yet():
    flow, numbers = many(limit=8)
    counts = Counts()

    values = await flow.run(observers=[counts])

    assert counts.made_at_first < MANY / 4
    assert values[numbers] == list(range(MANY))


async def test_what_is_ready_and_has_not_begun_is_bounded(short_lead):
    flow, numbers = many(limit=2)
    counts = Counts()

    values = await flow.run(observers=[counts])

    assert counts.most[State.QUEUED] < 3 * FEW
    assert len(values.run.graph().nodes) == MANY
    assert values[numbers] == list(range(MANY))


async def test_what_waits_to_be_written_is_bounded(short_lead):
    """However slow the store is, and however many may run at once: what is not written yet is held."""
    flow, numbers = many()
    counts, goes_on = Counts(), Event()

    class Slow(Memory):
        def write_all(self, writes):
            goes_on.wait()
            return super().write_all(writes)

    async def until_nothing_moves():
        before, turns = 0, 0
        while turns < MANY:  # counted from the first node on: a thread opens the run, however long that takes
            turns = turns + 1 if 0 < counts.states["made"] == before else 0
            before = counts.states["made"]
            await asyncio.sleep(0)
        goes_on.set()
        return before

    made, values = await asyncio.gather(until_nothing_moves(), flow.run(store=Slow(), id="many", observers=[counts]))

    assert FEW <= made < 4 * FEW
    assert values[numbers] == list(range(MANY))


class Watched:
    """Knows the run of the nodes that move, and how many of their names it holds in the end."""

    def moved(self, move):
        self.run = move.node.run

    @property
    def kept(self):
        return sum(type(name) is str for name in self.run.ledger.calls[::WIDTH])


async def test_names_and_arguments_of_settled_nodes_are_computed_again_when_somebody_looks(short_lead):
    """Whatever comes between the nodes of a task, and however they end."""

    @task
    async def inner(value):
        return value

    @task
    async def joined(first, second=None, *rest):
        await inner("inside")
        if first == 3:
            raise ValueError(first)
        return first

    flow = Workflow(
        "many", parameters={"N": range(30), "A": ["x", "y, z", 1.5, True], "B": [0, 1, 2, 3]}, paired=["N", ["A", "B"]]
    )
    flow.add(joined, Parameter("N"), "text", Parameter("A"), Parameter("B"), name="all")
    one = flow.add(joined, Parameter("N"), [Parameter("A")], name="list")
    flow.add(joined, one, second=Parameter("N"), name="passed")
    flow.add(inner, Parameter("B"), name="ruled", after=[one], trigger_rule="all_done")
    flow.add(inner, Parameter("A"), after=[one], name="last")

    with pytest.raises(RunFailed):
        async with Run("whole") as whole:
            await flow.build()
    watched = Watched()
    with pytest.raises(RunFailed):
        await flow.run(observers=[watched])

    ahead = watched.run.graph()
    assert sorted(node.label for node in ahead.nodes) == sorted(node.label for node in whole.graph().nodes)
    assert watched.kept < len(ahead.nodes)


async def test_names_of_settled_nodes_are_not_kept(short_lead):
    flow, _ = many()
    watched = Watched()

    await flow.run(observers=[watched])

    assert watched.kept < 3 * FEW
    assert [node.label for node in watched.run.graph().nodes][-2:] == ["same[N=1998](1998)", "same[N=1999](1999)"]


async def test_without_a_limit_all_that_is_ready_begins(short_lead):
    begun = asyncio.Event()
    left = iter(range(MANY - 1))

    @task
    async def all_together(_):
        if next(left, None) is None:
            begun.set()
        await begun.wait()

    flow, _ = many(body=all_together)

    values = await flow.run()

    assert values.run.state is State.SUCCEEDED


async def test_settled_nodes_are_let_go_of(short_lead):
    nodes, alive = [], []

    @task
    async def counted(value):
        nodes.append(ref(current_node()))
        if value == MANY - 1:
            alive.extend(each for each in nodes if each() is not None)
        return value

    flow, numbers = many(body=counted, limit=1)

    values = await flow.run()

    assert len(alive) < 4 * FEW
    assert values[numbers][-1] == MANY - 1


async def test_a_node_is_held_for_as_long_as_something_that_is_not_made_may_ask_for_it(short_lead):
    flow = Workflow("held", parameters={"N": range(MANY // 4)}, limit=2)
    first = flow.add(same, "first", name="first")
    numbers = flow.add(same, Parameter("N"), name="numbers", group="all")
    flow.add(same, Parameter("N"), name="others", group="all")
    total = flow.add(task(sum, executor="thread"), numbers, name="total", after="all")
    last = flow.add(same, [first, total], name="last", after="all")

    values = await flow.run()

    assert values[last] == ["first", sum(range(MANY // 4))]
    assert values["others"] == list(range(MANY // 4))


async def test_a_chain_passes_its_value_on_to_its_end(short_lead):
    flow = Workflow("chain", limit=1)
    last = flow.add(same, 7, name="0")
    for number in range(1, 5 * FEW):
        last = flow.add(same, last, name=str(number))

    values = await flow.run()

    assert values[last] == 7
    assert len(values) == 5 * FEW


@pytest.mark.parametrize("options", [{"priority": 1}, {"limit": Limit(1)}, {"resources": {"gpu": 1}}])
async def test_what_may_begin_before_others_does_not_wait_for_them_to_be_made(options, short_lead):
    begun = asyncio.Event()

    @task(**({} if "priority" in options else {"limit": Limit(1)}))
    async def slow(value):
        if value == 0:
            await begun.wait()

    @task(**options)
    async def other():
        begun.set()

    class Freeing:
        """Lets the one that has the only place go on when the urgent one is queued: it is the next one then."""

        def moved(self, move):
            if move.node.name == "other" and move.state is State.QUEUED and "priority" in options:
                begun.set()
            if move.state is State.RUNNING:
                order.append(move.node.name)

    order = []
    flow, _ = many(body=slow, capacity={"gpu": 1}, limit=1 if "priority" in options else None)
    flow.add(other, name="other")

    await flow.run(observers=[Freeing()])

    assert order.index("other") <= 1


async def test_what_is_not_made_when_the_first_fails_never_is(short_lead):
    @task
    async def failing(value):
        if value == 5:
            raise ValueError(value)

    flow, _ = many(body=failing, limit=2)
    runs = []

    with pytest.raises(RunFailed):
        await flow.run(fail_fast=True, opened=runs.append)

    graph = runs[0].graph()
    assert len(graph.nodes) < MANY / 2
    assert graph.counts()[State.FAILED] == 1
    assert {node.state for node in graph.nodes} <= {State.SUCCEEDED, State.FAILED, State.CANCELLED}


async def test_what_needs_a_failed_node_is_skipped_also_if_it_is_made_later(short_lead):
    @task
    async def failing():
        raise ValueError

    flow = Workflow("later", parameters={"N": range(MANY)}, limit=2)
    failed = flow.add(failing, name="failed")
    numbers = flow.add(same, Parameter("N"), name="numbers")
    flow.add(same, failed, name="last", after=numbers)
    runs = []

    with pytest.raises(RunFailed):
        await flow.run(opened=runs.append)

    counts = runs[0].graph().counts()
    assert (counts[State.SUCCEEDED], counts[State.FAILED]) == (MANY, 1)
    assert runs[0].graph().nodes[-1].state is State.SKIPPED


async def test_a_run_that_is_drained_makes_no_more(short_lead):
    @task
    async def draining(value):
        if value == 5:
            current_run().drain()
        return value

    flow, _ = many(body=draining, limit=1)

    values = await flow.run()

    assert values.run.state is State.CANCELLED
    assert len(values.run.graph().nodes) < MANY / 2
    assert len(values) == 0


async def test_a_cancelled_run_ends_while_nodes_are_being_made(short_lead):
    begun = asyncio.Event()

    @task
    async def endless(_):
        begun.set()
        await asyncio.Event().wait()

    flow, _ = many(body=endless, limit=2)
    runs = []
    running = asyncio.create_task(flow.run(opened=runs.append))
    await begun.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert {node.state for node in runs[0].graph().nodes} == {State.CANCELLED}


async def test_a_resumed_run_runs_no_success_again(short_lead):
    store, calls = Memory(), Counter()
    healthy = False

    @task(name="count")
    async def count(value):
        calls[value] += 1
        if value == MANY // 4 and not healthy:
            raise ValueError(value)
        return value

    flow, numbers = many(MANY // 2, body=count, limit=4)
    with pytest.raises(RunFailed):
        await flow.run(store, "r", fail_fast=True)
    made = len(store.nodes("r"))
    healthy = True

    values = await flow.resume("r", store)

    assert made < MANY // 2
    assert values[numbers] == list(range(MANY // 2))
    assert {value: times for value, times in calls.items() if times > 1} == {MANY // 4: 2}


def test_a_plan_has_all_nodes(short_lead):
    flow, _ = many(5 * MANY, limit=1)

    graph = plan(flow.run)

    assert len(graph.nodes) == 5 * MANY
