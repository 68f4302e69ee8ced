"""Generators: tasks that give more tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiodag import Capacity, RunFailed, State, WorkflowError, current_run, task
from aiodag.commands import command, shell
from aiodag.service.starting import rehearse
from aiodag.stores import Memory
from aiodag.testing import MoveRecorder
from aiodag.workflows import Parameter, Workflow

CALLED = []


@pytest.fixture(autouse=True)
def _nothing_was_called():
    CALLED.clear()


@task
async def nothing(*_, **__):
    pass


@task
async def noted(name, *_):
    CALLED.append(name)
    return name


def around(gives, **options):
    """A workflow with tasks before, beside and after a generator."""
    flow = Workflow("around")
    flow.add(noted, "before", name="before")
    flow.add(noted, "beside", name="beside")
    flow.add(gives, name="G", after="before", generator=True, **options)
    flow.add(noted, "after", name="after", after="G")
    return flow


def noted_as(name):
    """A command, which a generator may give: functions have to be importable."""
    return command("true", name=name)


def giving(what):
    """A generator that gives what it is told, and notes that it was called."""

    @task(name="gives")
    async def gives():
        CALLED.append("G")
        return what() if callable(what) else what

    return gives


def states(run):
    return {node.name: str(node.state) for node in run.graph().nodes if not node.barrier}


async def failing(flow, *args, **options):
    runs = []
    with pytest.raises(RunFailed) as failed:
        await flow.run(*args, opened=runs.append, **options)
    return runs[0], failed.value


TWO = {"one": {"command": ["echo", "1"]}, "two": {"command": ["echo", "2"], "parents": ["one"]}}


def as_workflow():
    made = Workflow("more")
    one = made.add(command("echo", "1"), name="one")
    made.add(command("echo", "2"), name="two", after=one)
    return made


def as_list():
    return [command("echo", "1", name="one"), command("echo", "2", name="two")]


@pytest.mark.parametrize(
    "what",
    [as_workflow, as_list, {"tasks": TWO}, TWO, json.dumps(TWO)],
    ids=["workflow", "list", "document", "tasks", "text"],
)
async def test_what_a_function_returns_runs_before_what_comes_after(what):
    recorder = MoveRecorder()

    values = await around(giving(what)).run(observers=[recorder])

    assert values["one"].stdout == "1\n"
    assert values["two"].stdout == "2\n"
    moves = [(move.node.name, move.state) for move in recorder.moves]
    begun = moves.index(("after", State.RUNNING))
    assert moves.index(("G", State.SUCCEEDED)) < moves.index(("one", State.RUNNING))
    assert max(moves.index((name, State.SUCCEEDED)) for name in ("one", "two")) < begun
    if what is not as_list:
        assert moves.index(("one", State.SUCCEEDED)) < moves.index(("two", State.RUNNING))
    assert values.run.graph().counts() == {State.SUCCEEDED: 6}


@pytest.mark.parametrize(
    "gives",
    [command("echo", json.dumps(TWO)), shell('printf "%s" "$1"', json.dumps({"tasks": TWO}))],
    ids=["tasks", "document"],
)
async def test_what_a_command_prints_runs_before_what_comes_after(gives):
    values = await around(gives).run()

    assert values["two"].stdout == "2\n"
    assert states(values.run)["after"] == "succeeded"


async def test_a_generator_may_give_nothing():
    values = await around(giving([])).run()

    assert set(values) == {"before", "beside", "G", "after"}


def plain():
    return as_list()


async def test_a_generator_may_be_a_plain_function():
    assert (await around(plain).run())["one"].stdout == "1\n"


async def test_resuming_does_not_call_a_generator_again_and_recalls_what_it_gave(store, tmp_path):
    tasks = {**TWO, "last": {"shell": f"test -e {tmp_path}/marker", "parents": ["two"]}}
    flow = around(giving(tasks))

    run, failed = await failing(flow, store, "r")
    assert failed.failures[0].root == "last"
    assert states(run)["after"] == "skipped"
    assert CALLED.count("G") == 1

    (tmp_path / "marker").touch()
    values = await around(giving(tasks)).resume("r", store=store)

    assert {node.name for node in values.run.graph().nodes if node.started is not None and not node.barrier} == {
        "last",
        "after",
    }
    assert CALLED.count("G") == 1
    again = await around(giving(tasks)).resume("r", store=store)
    assert {node.name for node in again.run.graph().nodes if node.started is not None and not node.barrier} == set()
    assert store.run("r").counts == {"succeeded": 7}


async def test_what_comes_after_is_seen_to_wait_for_what_was_generated(store):
    values = await around(giving([noted_as("one"), noted_as("two")])).run(store, "r")

    graph = values.run.graph()
    names = {node.id: node.name for node in graph.nodes}
    (behind,) = [node.id for node in graph.nodes if node.name == "G generated"]
    assert {names[edge.source] for edge in graph.edges if edge.target == behind} == {"G adds", "one", "two"}
    names = {node.number: node.name for node in store.nodes("r")}
    (behind,) = [number for number, name in names.items() if name == "G generated"]
    assert {names[edge.up] for edge in store.edges("r") if edge.down == behind} == {"G adds", "one", "two"}


async def test_a_generator_that_was_edited_is_called_again(store):
    await around(giving(TWO)).run(store, "r")

    edited = Workflow("around")
    edited.add(noted, "before", name="before")
    edited.add(
        command("echo", json.dumps({"three": {"command": ["echo", "3"]}})), name="G", after="before", generator=True
    )
    values = await edited.resume("r", store=store)

    assert values["three"].stdout == "3\n"
    assert "one" not in values


BAD = {
    "no JSON": ("not JSON", "JSON"),
    "a number": (7, "a generator gives a workflow, a list of tasks and commands, or their JSON form, and not 7"),
    "nothing": (None, "and not None"),
    "a name that exists": ({"before": {"command": ["true"]}}, "the name 'before' is taken"),
    "its own name": ({"G": {"command": ["true"]}}, "the name 'G' is taken"),
    "a cycle": (
        {"a": {"command": ["true"], "parents": ["b"]}, "b": {"command": ["true"], "parents": ["a"]}},
        "cycle: a -> b -> a",
    ),
    "an unknown parent": ({"a": {"command": ["true"], "parents": ["nobody"]}}, "'nobody', which is not there"),
    "a parent that comes after": (
        {"a": {"command": ["true"], "parents": ["after"]}},
        "'after', which comes after 'G', that gives it",
    ),
    "the generator as a parent": ({"a": {"command": ["true"], "parents": ["G"]}}, "'G', which comes after 'G'"),
    "an unknown key": ({"a": {"comand": ["true"]}}, "comand"),
    "two of one name": (lambda: [command("true", name="x"), command("false", name="x")], "the name 'x' is taken"),
    "a function that cannot be found again": (lambda: [nothing.with_options(name="a"), lambda: 1], "lambda"),
    "resources that there are not": (
        {"a": {"command": ["true"], "resources": {"cores": 9}}, "b": {"command": ["true"]}},
        "cores",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_tasks_fail_the_generator_with_the_reason_and_add_nothing(name):
    what, reason = BAD[name]
    flow = around(giving(what))

    run, failed = await failing(flow, capacity=Capacity({"cores": 1}))

    (error,) = failed.exceptions
    assert isinstance(error, WorkflowError)
    assert reason in str(error)
    assert states(run) == {"before": "succeeded", "beside": "succeeded", "G": "failed", "after": "skipped"}
    assert failed.failures[0].root.startswith("G")


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("{", "output of G:1"),
        ('{\n"a": {"comand": []}}', "output of G:2 $.a.comand"),
        ({"a": {"comand": []}}, "output of G $.a.comand"),
        (lambda: [command("true", name="x"), command("false", name="x")], "output of G"),
        (3, "output of G"),
    ],
)
async def test_complaints_speak_of_what_a_generator_gave(what, place):
    _, failed = await failing(around(giving(what)))

    (error,) = failed.exceptions
    assert error.complaints[0].place == place


async def test_a_generator_that_fails_skips_what_comes_after():
    run, _ = await failing(around(shell("exit 3")))

    assert states(run) == {"before": "succeeded", "beside": "succeeded", "G": "failed", "after": "skipped"}


async def test_two_generators_that_give_one_name_do_not_both_add_it():
    flow = Workflow("both")
    flow.add(giving(TWO), name="G1", generator=True)
    flow.add(giving(TWO), name="G2", generator=True, after="G1")

    run, failed = await failing(flow)

    assert "the name 'one' is taken" in str(failed.exceptions[0])
    assert states(run) == {"G1": "succeeded", "G2": "failed", "one": "succeeded", "two": "succeeded"}


async def test_a_failed_attempt_of_a_generator_does_not_keep_its_names():
    tries = []

    @task(retries=1)
    async def flaky():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError
        return TWO

    assert "two" in await around(flaky).run()


async def test_new_tasks_may_wait_for_tasks_that_are_there():
    recorder = MoveRecorder()
    flow = around(giving({"a": {"command": ["true"], "parents": ["beside", "before", "last"]}}))
    flow.add(noted, "last", name="last")  # made after the generator, and known all the same

    values = await flow.run(observers=[recorder])

    moves = [(move.node.name, move.state) for move in recorder.moves]
    assert values.run.state is State.SUCCEEDED
    for up in ("beside", "before", "last"):
        assert moves.index((up, State.SUCCEEDED)) < moves.index(("a", State.RUNNING))


async def test_new_tasks_may_wait_for_a_group_and_for_many():
    flow = Workflow("groups", parameters={"N": [1, 2, 3]})
    flow.add(noted, Parameter("N"), name="many", group="them")
    flow.add(noted, "other", name="other", group="them")
    flow.add(giving({"a": {"command": ["true"], "parents": ["them", "many"]}}), name="G", generator=True)

    values = await flow.run()

    new = next(node for node in values.run.graph().nodes if node.name == "a")
    assert len(values.run.graph().upstream(new.id)) == 4


async def test_a_generator_may_give_generators():
    inner = {"inner": {"command": ["echo", json.dumps(TWO)], "generator": True}}
    recorder = MoveRecorder()

    values = await around(giving({**inner, "x": {"command": ["true"], "parents": ["inner"]}})).run(observers=[recorder])

    moves = [(move.node.name, move.state) for move in recorder.moves]
    assert values["two"].stdout == "2\n"
    assert moves.index(("two", State.SUCCEEDED)) < moves.index(("x", State.RUNNING))
    assert moves.index(("x", State.SUCCEEDED)) < moves.index(("after", State.RUNNING))


async def test_a_generated_generator_may_name_tasks_around_it_but_not_after_it():
    def inner(parent):
        new = {"deep": {"command": ["true"], "parents": [parent]}}
        return {
            "inner": {"command": ["echo", json.dumps(new)], "generator": True},
            "near": {"command": ["true"]},
            "late": {"command": ["true"], "parents": ["inner"]},
        }

    for good in ("before", "beside", "near"):
        assert states((await around(giving(inner(good))).run()).run)["deep"] == "succeeded"
    for bad in ("late", "after", "inner", "G"):
        _, failed = await failing(around(giving(inner(bad))))
        assert f"'deep' waits for '{bad}', which comes after" in str(failed.exceptions[0])


async def test_a_generator_with_parameters_gives_tasks_for_each_value():
    def flow():
        made = Workflow("days", parameters={"DAY": ["d1", "d2"]})
        made.add(noted_tasks, Parameter("DAY"), {"pull": {"command": ["echo", "{{DAY}}"]}}, name="G", generator=True)
        made.add(noted, "after", name="after", after="G")
        return made

    values = await flow().run()

    assert [each.stdout for each in values["pull"]] == ["d1\n", "d2\n"]
    assert set(states(values.run)) == {"G[DAY=d1]", "G[DAY=d2]", "pull[DAY=d1]", "pull[DAY=d2]", "after"}

    other = await flow().but(parameters={"DAY": ["d3"]}).run()

    assert [each.stdout for each in other["pull"]] == ["d3\n"]


async def test_new_tasks_use_all_values_of_parameters_that_their_generator_does_not_use():
    flow = Workflow("days", parameters={"DAY": ["d1", "d2"]})
    flow.add(giving({"pull": {"command": ["echo", "{{DAY}}"]}}), name="G", generator=True)

    assert [each.stdout for each in (await flow.run())["pull"]] == ["d1\n", "d2\n"]


@task
async def noted_tasks(day, tasks):
    CALLED.append(day)
    return tasks


async def test_the_value_of_a_generator_is_the_definition_of_its_tasks():
    flow = around(giving(as_list))
    seen = flow.add(noted, flow["G"], name="seen")

    values = await flow.run()

    assert values[seen] == values["G"]
    assert set(values["G"]["tasks"]) == {"one", "two"}


async def test_a_limit_of_one_is_enough_for_generators():
    assert "two" in await around(giving(TWO)).run(limit=1)


async def test_what_is_cancelled_with_its_generator_is_not_waited_for():
    @task
    async def cancelling():
        current_run().stop()
        return TWO

    flow = around(cancelling)
    runs = []
    await flow.run(opened=runs.append)

    assert runs[0].state is State.CANCELLED
    assert states(runs[0])["after"] == "cancelled"


async def test_the_graph_before_running_shows_the_generator():
    graph = around(giving(TWO)).graph()

    assert [node.name for node in graph.order() if not node.barrier] == ["before", "beside", "G", "after"]
    assert graph.counts() == {State.WAITING: 4}


# Generators that wait for each other


def gives(name, *parents, more=None):
    """The tasks of a generator: one that waits, and more."""
    return {name: {"command": ["true"], "parents": list(parents)}, **(more or {})}


def generators(given, after=None):
    """A workflow of generators, each with what it gives; and what else there is, with what it comes after."""
    flow = Workflow("mutual")
    for name, what in given.items():
        flow.add(giving(what), name=name, generator=True)
    for name, upstream in (after or {}).items():
        flow.add(noted, name, name=name, after=upstream)
    return flow


RINGS = {
    "two": (generators({"A": gives("a", "B"), "B": gives("b", "A")}), "'b' waits for 'A'", "B -> A -> B"),
    "three": (
        generators({"A": gives("a", "B"), "B": gives("b", "C"), "C": gives("c", "A")}),
        "'c' waits for 'A'",
        "C -> B -> A -> C",
    ),
    "what is behind them": (
        generators({"A": gives("a", "Y"), "B": gives("b", "X")}, {"X": "A", "Y": "B"}),
        "'b' waits for 'X'",
        "B -> Y -> A -> X -> B",
    ),
    "one that is given": (
        generators(
            {"A": {"g": {"command": ["echo", json.dumps(gives("x", "B"))], "generator": True}}, "B": gives("b", "A")}
        ),
        "'x' waits for 'B'",
        "A -> B -> A",
    ),
}


@pytest.mark.parametrize("name", RINGS)
async def test_generators_that_wait_for_each_other_fail_with_the_cycle(name):
    flow, complaint, cycle = RINGS[name]

    _, failed = await failing(flow)

    (error,) = failed.exceptions
    assert complaint in str(error)
    assert f"(cycle: {cycle})" in str(error)


async def test_generators_may_wait_for_each_other_in_one_direction():
    given = {"A": gives("a", "B", "Y"), "B": gives("b", "C"), "C": gives("c")}

    values = await generators(given, {"Y": "B", "Z": "A"}).run()

    assert set(states(values.run).values()) == {"succeeded"}


def before_and_after_an_edit():
    """Generators whose recorded tasks wait for each other only after an edit."""
    given = {"A": gives("a", "X"), "B": gives("b", "Y")}
    return generators(given, {"X": (), "Y": ()}), generators(given, {"X": "B", "Y": "A"})


async def test_recorded_tasks_that_do_not_fit_any_more_fail_in_the_report_with_the_reason(store):
    flow, edited = before_and_after_an_edit()
    await flow.run(store, "r")

    run, failed = await failing(edited, store, "r")

    assert "(cycle: B -> X -> A -> Y -> B)" in str(failed.exceptions[0])
    assert CALLED.count("G") == 2  # in the first execution
    assert states(run)["B adds tasks"] == "failed"
    assert "1 failed" in failed.message
    assert store.run("r").counts["failed"] == 1
    assert {node.name for node in store.nodes("r") if node.state is State.FAILED} == {"B adds tasks"}
    assert (await flow.resume("r", store=store)).run.state is State.SUCCEEDED


async def test_a_plan_says_that_recorded_tasks_do_not_fit_any_more(store):
    flow, edited = before_and_after_an_edit()
    await flow.run(store, "r")

    with pytest.raises(WorkflowError, match="'b' waits for 'Y', which comes after 'B'"):
        await rehearse(store, "r", edited)

    assert await rehearse(store, "r", flow) == ([], 6)


# What a generator prints


async def test_output_that_is_not_whole_fails_with_that_reason():
    _, failed = await failing(around(shell('printf "%s" "$1"', json.dumps(TWO), keep=10)))

    assert "bytes of it were dropped: give the command a larger keep=" in str(failed.exceptions[0])


async def test_output_that_is_no_utf8_fails_with_that_reason():
    _, failed = await failing(around(shell(r"""printf '{"a": \n{"command": ["echo", "\377"]}}'""")))

    assert "output of G: line 2 is not valid UTF-8" in str(failed.exceptions[0])


async def test_nothing_is_added_of_what_has_a_program_without_a_name():
    flow = Workflow("partly", parameters={"A": [""]})
    flow.add(giving({"ok": {"command": ["true"]}, "bad": {"command": ["{{A}}"]}}), name="G", generator=True)

    run, failed = await failing(flow)

    assert "'bad[A=\"\"]' cannot run: program=''" in str(failed.exceptions[0])
    assert states(run) == {"G": "failed"}


SCRIPT = """
import asyncio, json, sys
from aiodag.workflows import Workflow

async def plan():
    return [zero]

async def zero():
    return __name__

flow = Workflow("main")
flow.add(plan, generator=True, name="g")

if __name__ == "__main__":
    values = asyncio.run(flow.run("runs.db", "r"))
    print(json.dumps(dict(values)), "begun" in sys.modules)
"""


def test_functions_of_a_script_are_recorded_as_if_it_had_been_imported(tmp_path):
    (tmp_path / "begun.py").write_text(SCRIPT, encoding="utf-8")

    def python(*args):
        return subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        ).stdout

    recorded = {"g": {"tasks": {"zero": {"task": "begun:zero"}}}, "zero": "__main__"}
    assert python("begun.py") == f"{json.dumps(recorded)} False\n"
    python("-m", "aiodag", "--store", "runs.db", "resume", "r")  # of the record: the program is another one
    assert "2 succeeded" in python("-m", "aiodag", "--store", "runs.db", "runs")


# What a retry covers


async def test_a_generator_with_bad_output_is_tried_again():
    tries = []

    @task(retries=4)
    async def gives():
        tries.append(1)
        return {"added": {"command": ["echo", "there"]}} if len(tries) == 3 else "not JSON"

    flow = Workflow("w")
    flow.add(gives, generator=True)

    values = await flow.run()

    assert (len(tries), values["added"].stdout) == (3, "there\n")


async def test_a_program_that_prints_no_tasks_is_tried_again_and_says_why_in_the_end(tmp_path):
    line = f'echo try >> {tmp_path}/tries; echo "half of"; [ $(wc -l < {tmp_path}/tries) -lt 9 ]'
    flow = Workflow("w")
    flow.add(shell(line, retries=2), name="gives", generator=True)
    store = Memory()

    with pytest.raises(RunFailed, match="output of gives:1: is no"):
        await flow.run(store, "r")

    assert (tmp_path / "tries").read_text() == "try\n" * 3
    assert [each.state for each in store.attempts("r", every=True)] == [State.FAILED] * 3


async def test_tasks_that_did_not_fit_take_no_names_from_those_of_the_next_attempt():
    given = [
        {"a": {"command": ["true"]}, "b": {"command": ["true"], "parents": ["nowhere"]}},
        {"a": {"command": ["echo"]}},
    ]

    @task(retries=1)
    def gives():
        return given.pop(0)

    flow = Workflow("w")
    flow.add(gives, generator=True)

    assert sorted(await flow.run()) == ["a", "gives"]
