"""Workflows: written down, run, resumed, edited."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import textwrap
from collections import deque, namedtuple
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Capacity, Run, RunFailed, Skip, State, UnknownRun, WorkflowError, current_node, settled, task
from aiodag.commands import shell
from aiodag.stores import Memory
from aiodag.testing import MoveRecorder, shuffle
from aiodag.testing import run as virtual
from aiodag.workflows import Parameter, Workflow
from aiodag.workflows.files.load import loads

ROOT = Path(__file__).parent.parent
Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is meant
PULLS, TRANSFORMS = ("Pull_A", "Pull_B", "Pull_C"), ("Transform_A", "Transform_B", "Transform_C")
ETL = {
    **dict.fromkeys(PULLS, ()),
    "Transform_A": ("Pull_A",),
    "Transform_B": ("Pull_B",),
    "Transform_C": ("Pull_C",),
    "Derive_AB": ("Transform_A", "Transform_B"),
    "Derive_ABC": ("Derive_AB", "Transform_C"),
    "Report": ("Derive_ABC",),
}


@task
async def double(x):
    return 2 * x


@task
async def add(*numbers):
    return sum(numbers)


@task
async def nothing(*_, **__):
    pass


def etl(lines=None, *, reverse=False, more=()):
    """The nine commands; each says its name, or runs the line that is given for it."""
    flow = Workflow("etl")
    for name, after in [*(reversed(ETL.items()) if reverse else ETL.items()), *more]:
        flow.add(shell((lines or {}).get(name, f"echo {name}")), name=name, after=after)
    return flow


def nodes(run):
    return {node.name: node for node in run.graph().nodes if not node.barrier}


def states(run):
    return {name: str(node.state) for name, node in nodes(run).items()}


def attempts(store, run_id="r"):
    """How many attempts each task has had, in all executions."""
    return store.attempts_by_task(run_id)


def ran(result):
    """The tasks that ran in the last execution, and were not recalled."""
    return {name for name, node in nodes(result).items() if node.started is not None}


async def run_failing(flow, *args, **options):
    runs = []
    with pytest.raises(RunFailed) as failed:
        await flow.run(*args, opened=runs.append, **options)
    return runs[0], failed.value


# Written down


async def test_values_flow_between_tasks():
    flow = Workflow("sums")
    one = flow.add(double, 1, name="one")
    both = flow.add(add, one, flow.add(double, one, name="two"), name="both")

    values = await flow.run()

    assert values[both] == values["both"] == 6
    assert dict(values) == {"one": 2, "two": 4, "both": 6}
    assert values.run.state is State.SUCCEEDED


async def test_a_task_inside_containers_stands_for_its_value():
    @task
    async def shown(rows, *, by):
        return rows, by

    flow = Workflow("containers")
    one = flow.add(double, 1, name="one")
    rows, by = [one, (one, {"x": one})], {"key": {"deep": [one]}}
    there = flow.add(shown, rows, by=by, name="there")
    rows.append("too late")

    values = await flow.run()

    assert values[there] == ([2, (2, {"x": 2})], {"key": {"deep": [2]}})


async def test_a_task_inside_containers_that_are_not_plain_stands_for_its_value():
    @task
    async def gather(*given):
        return given

    flow = Workflow("containers")
    one = flow.add(double, 1)
    build = [
        lambda x: Point(x, 2),
        lambda x: {"k": x}.values(),
        lambda x: SimpleNamespace(k=x),
        lambda x: deque([x], maxlen=3),
        lambda x: partial(pow, x),
    ]

    there = flow.add(gather, *[each(one) for each in build])
    result = await flow.run()

    point, values, namespace, row, power = result[there]
    assert (point, list(values), namespace, row, power(3)) == ((2, 2), [2], SimpleNamespace(k=2), deque([2]), 8)
    assert type(point) is Point


async def test_containers_without_tasks_are_passed_as_the_same_object():
    @task
    async def given(rows, both):
        return rows, both

    flow = Workflow("same")
    plain = [1, [2]]
    there = flow.add(given, plain, [plain, flow.add(double, 1)], name="there")

    rows, (inner, _) = (await flow.run())[there]

    assert rows is plain
    assert inner is plain


async def test_a_function_needs_no_decorator():
    def plain(x):
        return x + 1

    async def late(x):
        return x + 1

    flow = Workflow("functions")
    last = flow.add(late, flow.add(plain, 1))

    assert (await flow.run())[last] == 3


def test_a_wrong_signature_is_refused_at_the_call():
    flow = Workflow("wrong")

    with pytest.raises(TypeError, match="missing a required argument"):
        flow.add(double)
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        flow.add(double, 1, y=2)
    assert len(flow) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"retries": 2}, r"'retries'\. In add\(\), options are those of the task: double\.with_options\(retries=2\)$"),
        ({"parents": ["a"]}, r"'parents'\. In add\(\), parents= is written as after=$"),
        ({"depends_on": [], "timeout": 5}, r"depends_on= is written as after=; .*with_options\(timeout=5\)$"),
        ({"rows": 2}, "unexpected keyword argument 'rows'$"),
    ],
)
def test_an_option_among_the_arguments_is_told_where_it_belongs(given, said):
    with pytest.raises(TypeError, match=said):
        Workflow("wrong").add(double, 1, **given)


async def test_arguments_that_a_task_takes_are_its_own_whatever_they_are_called():
    async def takes(retries, parents):
        return retries, parents

    flow = Workflow("own")
    made = flow.add(takes, retries=2, parents="a")

    assert (await flow.run())[made] == (2, "a")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("sleep 1", r"'sleep 1'\. Write shell\('sleep 1'\) or command\('sleep', '1'\)$"),
        (["sleep", "1"], r"Write command\('sleep', '1'\)$"),
        ("", r"Write shell\(''\)$"),
    ],
)
def test_a_text_is_no_task_and_is_told_what_would_be(work, said):
    with pytest.raises(TypeError, match=said):
        Workflow("wrong").add(work)


def test_what_belongs_to_a_loop_is_refused():
    async def main():
        flow = Workflow("loop")
        with pytest.raises(TypeError, match="belongs to a loop"):
            flow.add(double, double(1))
        with pytest.raises(TypeError, match="belongs to a loop"):
            flow.add(nothing, [settled(double(1))])
        with pytest.raises(TypeError, match="Say after= in add"):
            flow.add(task(double, double(1)), 1)

    asyncio.run(main())


def test_a_task_of_another_workflow_is_refused():
    one, two = Workflow("one"), Workflow("two")
    other = one.add(double, 1)

    with pytest.raises(ValueError, match="'double' is a task of another workflow, 'one', and not of 'two'"):
        two.add(double, other)
    with pytest.raises(ValueError, match="another workflow"):
        two.add(double, 1, after=other)
    with pytest.raises(ValueError, match="another workflow"):
        two.add(double, 1) >> other
    with pytest.raises(TypeError, match="Pass what add"):
        two.add(double, 1, after=[double])


def test_a_container_that_holds_itself_is_refused():
    flow = Workflow("round")
    rows = [flow.add(double, 1)]
    rows.append(rows)

    with pytest.raises(ValueError, match="cycle"):
        flow.add(nothing, rows)


def test_a_deep_container_is_no_problem():
    flow = Workflow("deep")
    deep = flow.add(double, 1)
    for _ in range(100_000):
        deep = [deep]

    assert flow.add(nothing, deep).passed == (flow["double"],)


def test_a_task_knows_its_place():
    flow = Workflow("places")
    here = inspect.currentframe().f_lineno

    made = flow.add(double, 1)

    assert made.place == f"{__file__}:{here + 2}"
    assert flow.graph().nodes[0].site == made.place


def five():
    flow = Workflow("TestJob")
    return flow, [
        flow.add(nothing, name=name)
        for name in ("Sync Data", "Feature Engineering1", "Feature Engineering2", "Machine Learning", "Send Email")
    ]


def with_downstream(sync, one, two, learn, send):
    sync.set_downstream(one, two)
    one.set_downstream(learn)
    two.set_downstream(learn)
    learn.set_downstream(send)


def with_upstream(sync, one, two, learn, send):
    one.set_upstream(sync)
    two.set_upstream(sync)
    learn.set_upstream(one, two)
    send.set_upstream(learn)


def with_right_shift(sync, one, two, learn, send):
    sync >> [one, two] >> learn >> send


def with_left_shift(sync, one, two, learn, send):
    send << learn << [one, two]
    [one, two] << sync


def with_right_shift_twice(*tasks):
    with_right_shift(*tasks)
    with_downstream(*tasks)


@pytest.mark.parametrize(
    "order", [with_downstream, with_upstream, with_right_shift, with_left_shift, with_right_shift_twice]
)
def test_every_way_to_order_tasks_gives_the_same_edges(order):
    flow, tasks = five()

    order(*tasks)

    assert {(edge.source, edge.target) for edge in flow.graph().edges} == {(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)}
    assert len(flow.graph().edges) == 5


def test_the_five_tasks_take_four_of_their_times():
    @task
    async def wait():
        await asyncio.sleep(1)

    async def main():
        flow = Workflow("TestJob")
        with_right_shift(*[flow.add(wait, name=name) for name in "abcde"])
        await flow.run()
        return asyncio.get_running_loop().time()

    assert virtual(main()) == 4


@pytest.mark.parametrize("order", [lambda a: a >> "b", lambda a: "b" << a, lambda a: a.set_downstream("b")])
def test_a_name_cannot_be_told_to_wait(order):
    flow = Workflow("names")
    first = flow.add(nothing, name="a")
    flow.add(nothing, name="b")

    with pytest.raises(TypeError, match=r"'b' is to wait for 'a', .* flow\['b'\] .* after='a'"):
        order(first)
    "b" >> first  # to wait for a name is no question
    assert first.after == ("b",)


def test_an_upstream_that_is_passed_and_waited_for_is_one_edge():
    flow = Workflow("once")
    one = flow.add(double, 1, name="one")
    flow.add(add, one, one, name="both", after=["one", one])

    edges = flow.graph().edges

    assert [(edge.source, edge.target, edge.kind) for edge in edges] == [(0, 1, "endogenous")]


def test_a_name_may_be_of_what_is_added_later():
    flow = Workflow("later")
    flow.add(nothing, name="last", after="first")
    flow.add(nothing, name="first")

    assert [node.name for node in flow.graph().order()] == ["first", "last"]


def test_a_group_stands_for_all_its_tasks():
    flow = Workflow("groups")
    flow.add(nothing, name="report", after="pull")
    flow.add(nothing, name="a", group="pull")
    flow.add(nothing, name="b", group="pull")

    graph = flow.graph()

    assert [node.name for node in graph.order()] == ["a", "b", "report"]
    assert len(graph.edges) == 2


HOSTILE = ["x" * 200, "with spaces", "a:b", "a/../b", "quote' \" `$(x)`", "naïve ünïcödé ✓", "[A=1]", "{{A}}"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_name_works(name, tmp_path):
    flow = Workflow(name, parameters={"A": ["1"]})
    one = flow.add(nothing, name=name)
    flow.add(nothing, name=f"{name} after", after=name)

    values = await flow.run(tmp_path / "runs.db", "r")

    assert name in values
    assert one.name in flow.graph().to_text()
    assert (await flow.resume("r", store=tmp_path / "runs.db")).run.state is State.SUCCEEDED


def test_the_place_of_a_file_is_kept():
    flow = Workflow("file")
    flow.put(double, (1,), {}, place="etl.json:12 $.tasks.double")

    async def main():
        return (await flow.run()).run.graph().nodes[0]

    assert asyncio.run(main()).site == "etl.json:12 $.tasks.double"


# Run


async def test_commands_run_in_order_and_side_by_side():
    slow = {name: f"sleep 0.2; echo {name}" for name in ETL}

    values = await etl(slow).run(limit=3)

    graph = nodes(values.run)
    assert {name: value.stdout for name, value in values.items()} == {name: f"{name}\n" for name in ETL}
    assert sum(node.attempts for node in graph.values()) == 9
    assert max(graph[name].started for name in PULLS) < min(graph[name].settled for name in PULLS)
    assert all(graph[up].settled <= graph[name].started for name, after in ETL.items() for up in after)


@pytest.mark.parametrize("reverse", [False, True])
async def test_resuming_runs_what_has_not_succeeded_and_nothing_else(store, tmp_path, reverse):
    lines = {"Transform_B": f"test -e {tmp_path}/marker && echo Transform_B"}

    run, _ = await run_failing(etl(lines, reverse=reverse), store, "r")

    assert states(run) == dict.fromkeys([*PULLS, "Transform_A", "Transform_C"], "succeeded") | {
        "Transform_B": "failed",
        "Derive_AB": "skipped",
        "Derive_ABC": "skipped",
        "Report": "skipped",
    }
    assert next(node for node in run.graph().nodes if node.name == "Transform_B").error.startswith("CommandFailed")

    (tmp_path / "marker").touch()
    values = await etl(lines, reverse=reverse).resume("r", store=store)

    new = {"Transform_B", "Derive_AB", "Derive_ABC", "Report"}
    assert ran(values.run) == new
    assert attempts(store) == dict.fromkeys(ETL, 1) | {"Transform_B": 2}
    assert ran((await etl(lines, reverse=reverse).resume("r", store=store)).run) == set()


async def test_the_order_in_which_edges_are_written_plays_no_part(store):
    def flow(*, backwards):
        made = Workflow("edges", parameters={"N": [1, 2, 3]})
        names = ["a", "b", "c"]
        for name in reversed(names) if backwards else names:
            made.add(nothing, name=name, group="first")
        last, many = made.add(nothing, name="last"), made.add(nothing, Parameter("N"), name="many")
        for name in reversed(names) if backwards else names:
            made[name] >> [last, many]
        made.add(nothing, name="group", after=["many", "first"] if backwards else ["first", "many"])
        return made

    await flow(backwards=False).run(store, "r")
    again = await flow(backwards=True).resume("r", store=store)

    assert ran(again.run) == set()


async def test_a_skipped_task_tells_its_root():
    run, failed = await run_failing(etl({"Transform_B": "exit 1"}))

    (failure,) = failed.failures
    assert failure.root == "Transform_B"
    assert failure.skipped == ("Derive_AB", "Derive_ABC", "Report")
    assert run.state is State.FAILED


async def test_an_edited_task_and_what_needs_it_run_again(store):
    await run_failing(etl({"Transform_B": "exit 1"}), store, "r")

    edited = etl(more=[("Notify", ("Report",))])
    values = await edited.resume("r", store=store)

    assert ran(values.run) == {"Transform_B", "Derive_AB", "Derive_ABC", "Report", "Notify"}
    assert attempts(store)["Transform_B"] == 2
    numbers = {node.number for node in store.nodes("r", every=True) if node.name == "Transform_B"}
    told = {each.attempt: each.facts["command"] for each in store.attempts("r", every=True) if each.number in numbers}
    assert told == {1: ["/bin/sh", "-c", "exit 1", "sh"], 2: ["/bin/sh", "-c", "echo Transform_B", "sh"]}

    again = await etl({"Pull_A": "echo edited"}, more=[("Notify", ("Report",))]).resume("r", store)

    assert ran(again.run) == {"Pull_A", "Transform_A", "Derive_AB", "Derive_ABC", "Report", "Notify"}
    assert len(store.definitions("r")) == 3


async def test_a_name_that_calls_another_function_is_another_definition(store):
    async def first(x):
        return x

    async def second(x):
        return -x

    def flow(fn):
        made = Workflow("edited")
        return made, made.add(nothing, made.add(fn, 1, name="value"), name="after")

    await flow(first)[0].run(store, "r")
    recalled = await flow(first)[0].resume("r", store=store)
    edited = await flow(second)[0].resume("r", store=store)

    assert ran(recalled.run) == set()
    assert ran(edited.run) == {"value", "after"}
    assert edited["value"] == -1


PROGRAM = """
    import asyncio, sys
    from aiodag import RunFailed
    from aiodag.commands import shell
    from aiodag.workflows import Workflow

    ETL, REVERSE, LINES = {etl!r}, {reverse!r}, {lines!r}

    async def main():
        flow = Workflow("etl")
        for name, after in reversed(ETL.items()) if REVERSE else ETL.items():
            flow.add(shell(LINES.get(name, f"echo {{name}}")), name=name, after=after)
        runs = []
        try:
            await flow.run({store!r}, "r", opened=runs.append)
        except RunFailed:
            pass
        print(sorted(node.name for node in runs[0].graph().nodes if node.started is not None))

    asyncio.run(main())
"""


def test_another_process_resumes_what_this_one_left(tmp_path):
    marker = tmp_path / "marker"
    lines = {"Transform_B": f"test -e {marker}"}

    def in_a_process(*, reverse):
        source = PROGRAM.format(etl=ETL, reverse=reverse, lines=lines, store=str(tmp_path / "runs.db"))
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()

    assert in_a_process(reverse=False) == str(sorted([*PULLS, *TRANSFORMS]))
    marker.touch()
    assert in_a_process(reverse=True) == str(["Derive_AB", "Derive_ABC", "Report", "Transform_B"])
    assert in_a_process(reverse=False) == "[]"


async def test_resuming_an_unknown_run_names_a_near_miss(store):
    await etl().run(store, "nightly-1")

    with pytest.raises(UnknownRun, match="Did you mean 'nightly-1'"):
        await etl().resume("nightly-2", store=store)


async def test_two_failures_above_one_task_end_it_once():
    @task
    async def failing():
        raise ValueError(current_node().name)

    flow = Workflow("many")
    a = flow.add(nothing, name="A")
    for name in "BCE":
        a >> flow.add(failing, name=name)
    [flow[name] for name in "BCE"] >> flow.add(nothing, name="D")

    recorder = MoveRecorder()
    run, failed = await run_failing(flow, observers=[recorder])

    assert states(run) == {"A": "succeeded", "B": "failed", "C": "failed", "E": "failed", "D": "skipped"}
    assert recorder.states("D").count(State.SKIPPED) == 1
    assert len(failed.exceptions) == 3


async def test_branches_beside_a_failure_go_on(store):
    @task
    async def failing():
        raise ValueError

    flow = Workflow("beside")
    roots = [flow.add(failing, name=name) for name in ("R1", "R2")]
    roots >> flow.add(nothing, name="D1") >> flow.add(nothing, name="D2") >> flow.add(nothing, name="D3")
    chain = [flow.add(nothing, name=f"X{number}") for number in range(1, 8)]
    for up, down in pairwise(chain):
        up >> down

    run, _ = await run_failing(flow, store, "r")

    found = states(run)
    assert [found[f"X{number}"] for number in range(1, 8)] == ["succeeded"] * 7
    assert [found[f"D{number}"] for number in range(1, 4)] == ["skipped"] * 3
    assert len(store.nodes("r")) == 12
    assert run.state is State.FAILED


async def test_two_workflows_in_one_process_do_not_meet():
    failed, good = await asyncio.gather(
        run_failing(etl({"Transform_B": "sleep 0.1; exit 1"})), etl({"Pull_A": "sleep 0.2"}).run()
    )
    after = await etl().run()

    assert failed[0].state is State.FAILED
    assert set(states(good.run).values()) == set(states(after.run).values()) == {"succeeded"}


async def test_a_task_that_skips_itself_has_no_value():
    @task
    async def skipping():
        raise Skip("nothing new")

    flow = Workflow("skip")
    flow.add(skipping) >> flow.add(nothing)
    flow.add(double, 1)

    values = await flow.run()

    assert dict(values) == {"double": 2}
    with pytest.raises(KeyError, match="skipping"):
        values["skipping"]


async def test_failing_fast_stops_the_rest():
    @task
    async def failing():
        raise ValueError

    flow = Workflow("fast")
    flow.add(failing)
    flow.add(asyncio.sleep, 60, name="long")

    run, _ = await run_failing(flow, fail_fast=True)

    assert states(run) == {"failing": "failed", "long": "cancelled"}


async def test_options_of_a_run_are_those_of_the_workflow_unless_given():
    flow = Workflow("limits", tags={"env": "test", "by": "flow"}, limit=2, capacity={"cores": 2})
    flow.add(nothing.with_options(resources={"cores": 1}))

    as_written = (await flow.run()).run
    given = (await flow.run(limit=3, capacity=Capacity({"cores": 4}), tags={"by": "me"})).run

    assert (as_written.limit, as_written.tags) == (2, {"env": "test", "by": "flow"})
    assert as_written.capacity is flow.capacity
    assert (given.limit, given.tags) == (3, {"env": "test", "by": "me"})
    assert given.capacity.places == ({"cores": 4},)


async def test_a_run_says_what_it_was_built_from(store):
    flow = etl()
    flow.entry = {"file": "/tmp/etl.json", "task": "", "parameters": {}}

    await flow.run(store, "r")

    record = store.run("r")
    assert record.entry == flow.entry
    assert '"Transform_B"' in record.definition


async def test_one_function_under_many_names_keeps_its_limit():
    busy, most = 0, 0

    @task(limit=2)
    async def shared():
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1

    flow = Workflow("limit")
    for number in range(10):
        flow.add(shared, name=f"shared {number}")

    await flow.run()

    assert most == 2


async def test_a_body_sees_its_name_in_the_workflow():
    @task(retries=1)
    async def named():
        if current_node().attempt == 1:
            raise ValueError
        return current_node().name, current_node().task.with_options(retries=2).name

    flow = Workflow("names")
    flow.add(nothing, name="first")
    made = flow.add(named, name="Näme", after="first")

    assert (await flow.run())[made] == ("Näme", "named")


async def test_building_gives_way_to_the_loop():
    flow = Workflow("wide")
    for number in range(5000):
        flow.add(nothing, name=str(number))
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await flow.run()
    counting.cancel()

    assert turns >= 5


async def test_nodes_can_be_built_in_a_run_of_ones_own():
    flow = Workflow("own")
    made = flow.add(double, 2)

    with pytest.raises(RuntimeError, match="no run is entered"):
        await flow.build()
    async with Run("mine"):
        building = await flow.build()

    assert building.values()[made] == 4


def test_a_copy_has_other_values_and_leaves_the_original_alone():
    flow = Workflow("dates", parameters={"DATE": ["d1", "d2"]})
    flow.add(double, Parameter("DATE"), name="pull")
    flow.add(double, Parameter("SIZE"), name="size", parameters={"SIZE": [1, 2]})

    other = flow.but("other", parameters={"DATE": ["d3"], "SIZE": [3]})

    assert other.name == "other"
    assert [node.name for node in other.graph().nodes] == ["pull[DATE=d3]", "size[SIZE=3]"]
    assert len(flow.graph().nodes) == 4
    other.add(nothing)
    assert "nothing" not in flow
    with pytest.raises(WorkflowError, match="there is no parameter 'DAET'; declared are 'DATE', 'SIZE'"):
        flow.but(parameters={"DAET": ["d4"]})


# Any graph


@st.composite
def graphs(draw):
    """Tasks by number, each with the numbers before it that it waits for, whose value it takes, and whether it fails."""
    size = draw(st.integers(1, 12))
    rows = []
    for number in range(size):
        after = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        passed = draw(st.sets(st.sampled_from(sorted(after)))) if after else set()
        values = draw(st.integers(0, 3)) if draw(st.integers(0, 3)) == 0 else None
        rows.append((after, passed, values, draw(st.integers(0, 4)) == 0))
    return rows


FAILING = set()


@task
async def work(number, *_):
    await asyncio.sleep(number % 3)
    if number in FAILING:
        raise ValueError(number)
    return number


def built(rows, order):
    """A workflow of the rows; each task may be declared before what it waits for, but not before what it is passed."""
    flow = Workflow("any")
    for number, (after, passed, values, _) in enumerate(rows):
        parameters = None if values is None else {"P": list(range(values))}
        args = [flow[str(up)] for up in sorted(passed)] + ([] if values is None else [Parameter("P")])
        flow.add(work, number, *args, name=str(number), after=[str(up) for up in after], parameters=parameters)
    flow.tasks.sort(key=lambda each: order[each.index])
    for index, each in enumerate(flow.tasks):
        each.index = index
    return flow


def expected_states(rows):
    """By task: failed, succeeded, or skipped; empty where it is there for no value, and then as what it waits for."""
    found, without = [], []
    for after, _, values, fails in rows:
        good = all(without[up] for up in after)
        found.append("skipped" if not good else "failed" if fails else "succeeded")
        without.append(good and (values == 0 or not fails))
    return found


@settings(max_examples=150, deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.integers(0, 1000))
def test_any_graph_ends_and_skips_exactly_what_needs_a_failure(rows, random, seed):
    order = list(range(len(rows)))
    random.shuffle(order)
    FAILING.clear()
    FAILING.update(number for number, row in enumerate(rows) if row[3])
    expected = expected_states(rows)
    store = Memory()

    async def execute(*, resumes=False):
        shuffle(seed)
        runs = []
        flow = built(rows, order)
        with suppress(RunFailed):
            if resumes:
                await flow.resume("r", store=store, opened=runs.append)
            else:
                await flow.run(store, "r", opened=runs.append)
        return runs[0]

    run = virtual(execute())
    graph = run.graph()
    for node in graph.nodes:
        assert node.state.final
        if not node.barrier:
            assert str(node.state) == expected[int(node.name.partition("[")[0])]
    by_id = {node.id: node for node in graph.nodes}
    for edge in graph.edges:
        up, down = by_id[edge.source], by_id[edge.target]
        if down.started is not None:
            assert up.state is State.SUCCEEDED
            assert up.settled <= down.started

    FAILING.clear()
    again = virtual(execute(resumes=True))
    assert {name for name, node in nodes(run).items() if node.state is State.SUCCEEDED}.isdisjoint(ran(again))
    assert set(states(again).values()) <= {"succeeded"}
    assert ran(virtual(execute(resumes=True))) == set()


# Large


def test_a_chain_of_100_000_needs_no_recursion():
    async def main():
        flow = Workflow("chain")
        last = flow.add(nothing, name="0")
        for number in range(1, 100_000):
            last = flow.add(nothing, last, name=str(number))
        values = await flow.run()
        return len(values)

    assert asyncio.run(main()) == 100_000


def test_a_failure_at_the_head_of_a_chain_skips_all_of_it():
    @task
    async def failing():
        raise ValueError

    async def main():
        flow = Workflow("chain")
        last = flow.add(failing)
        for number in range(20_000):
            last = flow.add(nothing, name=str(number), after=last)
        run, _ = await run_failing(flow)
        return run.graph().counts()

    assert asyncio.run(main()) == {State.FAILED: 1, State.SKIPPED: 20_000}


# Copies, and what happens meanwhile


async def test_a_copy_has_tasks_of_its_own():
    flow = Workflow("copied", parameters={"N": [1, 2]})
    one = flow.add(double, Parameter("N"), name="one")
    flow.add(nothing, one, [one], name="both", after=["one"])
    flow.add(nothing, name="last") << one
    copy = flow.but(parameters={"N": [3]})

    copy["last"] >> copy["both"]
    more = copy.add(double, 4, name="four", after=copy["both"])

    assert copy["one"] is not one
    assert (copy["both"].passed, copy["last"].waits_for) == ((copy["one"],), [copy["one"]])
    assert (flow["both"].after, copy["both"].after) == (("one",), ("one", "last"))
    assert [task.name for task in flow] == ["one", "both", "last"]
    assert "four" not in flow
    assert len(flow.graph().nodes) == 4
    values = await copy.run()
    assert (values[one], values[copy["one"]], values[more]) == ([6], [6], 8)
    with pytest.raises(ValueError, match="a task of another workflow"):
        copy["last"].set_upstream(one)


async def test_what_is_added_while_a_workflow_runs_is_not_part_of_that_run():
    flow = Workflow("grows")
    running, go = asyncio.Event(), asyncio.Event()

    @task
    async def holding():
        running.set()
        await go.wait()
        return {"late": {"command": ["true"]}}

    flow.add(holding, name="held", generator=True)
    result = asyncio.create_task(flow.run())
    await running.wait()
    flow.add(nothing, name="late", after="held")
    go.set()

    values = await result
    assert list(values) == ["held", "late"]
    assert values["late"].code == 0


# Which function it is


@pytest.fixture
def modules(tmp_path):
    """Two files with functions of one name."""
    names = ("known_again_a", "known_again_b")
    for name in names:
        text = f"def fetch():\n    return {name!r}\n\ndef pull():\n    return 'pulled'\n"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    yield names
    for name in names:
        sys.modules.pop(name, None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


@pytest.mark.parametrize("more", [{}, {"retries": 1}], ids=["alone", "with options"])
async def test_another_function_under_a_name_runs_again_also_one_of_the_same_name_in_another_module(
    store, tmp_path, modules, more
):
    a, b = modules
    seen = []
    for spelled in (f"{a}.py:fetch", f"{a}.py:fetch", f"{b}.py:fetch", f"{b}.py:pull"):
        document = {"tasks": {"fetched": {"task": spelled, **more}}}
        values = await loads(json.dumps(document), str(tmp_path / "flow.json")).run(store, "r")
        seen.append((values["fetched"], ran(values.run)))

    assert seen == [(a, {"fetched"}), (a, set()), (b, {"fetched"}), ("pulled", {"fetched"})]


async def test_the_module_that_a_run_begins_in_may_be_renamed(store, tmp_path, modules):
    seen = []
    for name in modules:
        flow = loads(json.dumps({"tasks": {"pulled": {"task": f"{name}.py:pull"}}}), str(tmp_path / "flow.json"))
        flow.entry = {"file": str(tmp_path / f"{name}.py"), "task": "flow", "parameters": {}}
        seen.append(ran((await flow.run(store, "r")).run))

    assert seen == [{"pulled"}, set()]
