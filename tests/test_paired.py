"""Paired parameters: tasks meet value by value, and parameters that walk together form no product."""

import asyncio
import json

import pytest

from aiodag import task
from aiodag.commands import command
from aiodag.errors import OptionError, RunFailed, WorkflowError
from aiodag.stores.places import store_at
from aiodag.workflows import Parameter, Workflow
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.load import loads


@task
async def pull(day):
    return f"rows of {day}"


@task
async def load(day, rows):
    return day, rows


@task
async def fail_on_tuesday(day):
    if day == "tue":
        raise ValueError(day)


def days(*paired, **more):
    return Workflow("etl", parameters={"DAY": ["mon", "tue"], **more}, paired=paired)


def edges_of(flow):
    graph = flow.graph()
    names = {node.id: node.name for node in graph.nodes}
    return {(names[edge.source], names[edge.target]) for edge in graph.edges}


def test_tasks_meet_by_the_value_of_a_paired_parameter():
    flow = days("DAY")
    first = flow.add(command("pull", "{{DAY}}"), name="pull")
    flow.add(command("load", "{{DAY}}"), name="load", after=first)

    assert edges_of(flow) == {(f"pull[DAY={day}]", f"load[DAY={day}]") for day in ("mon", "tue")}


async def test_the_value_of_the_one_instance_that_is_met_arrives_alone():
    flow = days("DAY")
    flow.add(load, Parameter("DAY"), flow.add(pull, Parameter("DAY")))

    assert (await flow.run())["load"] == [("mon", "rows of mon"), ("tue", "rows of tue")]


async def test_the_values_of_several_that_are_met_arrive_as_a_list():
    flow = days("DAY", N=[1, 2])

    @task
    async def one(day, n):
        return day, n

    flow.add(load, Parameter("DAY"), flow.add(one, Parameter("DAY"), Parameter("N")))

    assert (await flow.run())["load"] == [(day, [(day, 1), (day, 2)]) for day in ("mon", "tue")]


async def test_parameters_in_one_list_walk_together():
    flow = Workflow("w", parameters={"A": [1, 2], "X": ["p", "q"], "B": ["x", "y"]}, paired=[["A", "B"]])
    flow.add(command("echo", "{{A}}{{X}}{{B}}"), name="all")
    flow.add(command("echo", "{{B}}"), name="half", after="all")

    values = await flow.run()

    assert [each.stdout for each in values["all"]] == ["1px\n", "1qx\n", "2py\n", "2qy\n"]
    assert edges_of(flow) == {
        (f"all[A={a},X={x},B={b}]", f"half[B={b}]") for a, b in ((1, "x"), (2, "y")) for x in "pq"
    }


async def test_a_failure_skips_only_what_meets_it(tmp_path):
    flow = days("DAY")
    flow.add(pull, Parameter("DAY"), after=flow.add(fail_on_tuesday, Parameter("DAY")))

    store = store_at(tmp_path / "runs.db")
    with pytest.raises(RunFailed):
        await flow.run(store, "r")

    assert {node.label.partition("(")[0]: str(node.state) for node in store.nodes("r")} == {
        "fail_on_tuesday[DAY=mon]": "succeeded",
        "fail_on_tuesday[DAY=tue]": "failed",
        "pull[DAY=mon]": "succeeded",
        "pull[DAY=tue]": "skipped",
    }
    store.close()


async def test_pairing_runs_nothing_again_that_has_succeeded(tmp_path):
    store = store_at(tmp_path / "runs.db")
    for paired in ((), ("DAY",)):
        flow = days(*paired)
        flow.add(pull, Parameter("DAY"), after=flow.add(fail_on_tuesday.with_options(name="f"), "mon", name="f"))
        await flow.run(store, "r")

    assert all(node.recalled for node in store.nodes("r"))
    store.close()


def test_a_group_is_met_task_by_task():
    flow = days("DAY")
    flow.add(command("a", "{{DAY}}"), name="a", group="g")
    flow.add(command("b"), name="b", group="g")
    flow.add(command("c", "{{DAY}}"), name="c", after="g")

    assert edges_of(flow) == {edge for day in ("mon", "tue") for edge in ((f"a[DAY={day}]", f"c[DAY={day}]"), ("b", f"c[DAY={day}]"))}  # fmt: skip


def test_what_uses_no_paired_parameter_waits_for_all():
    flow = days("DAY")
    flow.add(command("a", "{{DAY}}"), name="a")
    flow.add(command("b"), name="b", after="a")

    assert edges_of(flow) == {("a[DAY=mon]", "b"), ("a[DAY=tue]", "b")}


def test_edges_grow_with_the_instances():
    flow = Workflow("w", parameters={"D": range(30), "X": range(30), "Y": range(30)}, paired=["D"])
    flow.add(command("a", "{{D}}{{X}}"), name="a")
    flow.add(command("b", "{{D}}{{Y}}"), name="b", after="a")
    flow.add(command("c", "{{D}}{{Y}}"), name="c", after="b", trigger_rule="all_done")

    chain = Workflow("w", parameters={"D": range(1000)}, paired=["D"])
    for name, before in (("a", ()), ("b", "a"), ("c", "b")):
        chain.add(command(name, "{{D}}"), name=name, after=before)

    assert len(chain.graph().edges) == 2000
    assert len(chain.graph().nodes) == 3000
    assert len([edge for edge in edges_of(flow) if not edge[1].startswith("c[")]) == 30 * (30 + 30)


def test_a_generator_is_met_by_what_it_adds():
    more = json.dumps({"new-{{DAY}}": {"command": ["true"]}})
    text = {
        "parameters": {"DAY": ["mon", "tue"]},
        "paired": ["DAY"],
        "tasks": {
            "make": {"command": ["echo", more], "generator": True},
            "last": {"command": ["echo", "{{DAY}}"], "parents": ["make"]},
        },
    }
    flow = loads(json.dumps(text))

    values = asyncio.run(flow.run())

    assert [each.stdout for each in values["last"]] == ["mon\n", "tue\n"]
    assert document_of(flow)["paired"] == ["DAY"]
    assert ("make[DAY=mon] generated", "last[DAY=mon]") in edges_of(flow)
    assert ("make[DAY=tue] generated", "last[DAY=mon]") not in edges_of(flow)


def test_other_values_of_a_paired_parameter_meet_too():
    flow = days("DAY")
    flow.add(command("a", "{{DAY}}"), name="a")
    flow.add(command("b", "{{DAY}}"), name="b", after="a")

    assert edges_of(flow.but(parameters={"DAY": ["sun"]})) == {("a[DAY=sun]", "b[DAY=sun]")}


@pytest.mark.parametrize(
    ("paired", "said"),
    [
        (["DAYS"], "paired names the parameter 'DAYS'; the workflow has 'DAY', 'N'"),
        (["DAY", ["N", "DAY"]], "paired names the parameter 'DAY' twice"),
        ([["DAY", "N"]], "need as many values each: DAY has 2, N has 3"),
    ],
)
def test_what_cannot_be_paired_is_refused(paired, said):
    flow = days(*paired, N=[1, 2, 3])

    with pytest.raises(WorkflowError) as refused:
        flow.check()
    assert said in str(refused.value)


def test_a_task_has_no_paired_parameter_of_its_own():
    flow = days("DAY")
    flow.add(command("a", "{{DAY}}"), name="a", parameters={"DAY": ["x"]})

    with pytest.raises(WorkflowError, match="of its own, and that of the workflow is paired"):
        flow.check()


@pytest.mark.parametrize("paired", ["DAY", [3], [[]], [[1]], 7])
def test_what_names_no_parameters_is_refused_at_the_call(paired):
    with pytest.raises(OptionError, match="paired"):
        Workflow("w", parameters={"DAY": [1]}, paired=paired)
