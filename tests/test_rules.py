"""Trigger rules: tasks of a workflow that run by what became of what they wait for."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiodag import Capacity, OptionError, Run, RunFailed, Skip, State, WorkflowError, settled, task
from aiodag._core.rules import NAMES
from aiodag.commands import command, shell
from aiodag.pictures import svg
from aiodag.service.recorded import recorded_graph
from aiodag.service.starting import rehearse
from aiodag.stores import Memory
from aiodag.testing import run as virtual
from aiodag.workflows import Parameter, Workflow
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.load import load, loads, workflow_from_document

ROOT = Path(__file__).parent.parent
SUCCEEDED, FAILED, SKIPPED, CANCELLED = State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED
RULES = [name for name in NAMES if name != "all_success"]


@task
async def good():
    return 1


@task
async def bad():
    raise ValueError("bad")


@task
async def skips():
    raise Skip("not today")


@task
async def needs(value):
    return value


@task
async def late(seconds, error=None):
    await asyncio.sleep(seconds)
    if error is not None:
        raise ValueError(error)


async def outcome(flow, **options):
    """Run a workflow, and return the states of its nodes by name."""
    runs = []
    try:
        await flow.run(opened=runs.append, **options)
    except RunFailed:
        assert runs[0].state is FAILED
    return {node.name: node.state for node in runs[0].graph().nodes if not node.barrier}


def one_after(rule, *bodies):
    flow = Workflow("w")
    ups = [flow.add(body, name=f"{body.name}{place}") for place, body in enumerate(bodies)]
    # What was skipped because of a failure counts as failed.
    ups = [flow.add(needs, up, name=f"needs {up.name}") if deep else up for up, deep in zip(ups, DEEP, strict=False)]
    flow.add(good, name="x", after=ups, trigger_rule=rule)
    flow.add(good, name="behind", after="x")
    return flow


DEEP = (True, False, False)
WANTED = {
    "all_success": lambda kinds: set(kinds) == {"good"},
    "all_done": lambda _: True,
    "all_failed": lambda kinds: set(kinds) == {"bad"},
    "one_failed": lambda kinds: "bad" in kinds,
    "one_success": lambda kinds: "good" in kinds,
    "none_failed": lambda kinds: "bad" not in kinds,
}


@pytest.mark.parametrize("rule", NAMES)
@pytest.mark.parametrize("bodies", [*itertools.product([good, bad, skips], repeat=2), (bad,), (skips,)])
async def test_a_task_runs_by_what_became_of_what_it_waits_for(rule, bodies):
    states = await outcome(one_after(rule, *bodies))

    runs = WANTED[rule]([body.name for body in bodies])
    assert (states["x"], states["behind"]) == ((SUCCEEDED, SUCCEEDED) if runs else (SKIPPED, SKIPPED))


@pytest.mark.parametrize(
    ("rule", "seconds"), [("one_failed", 1), ("one_success", 2), ("all_done", 3), ("none_failed", 1)]
)
def test_some_rules_wait_for_no_others(rule, seconds):
    async def main():
        flow = Workflow("w")
        ups = [flow.add(late, 1, "e", name="a"), flow.add(late, 2, name="b"), flow.add(late, 3, name="c")]
        flow.add(good, name="x", after=ups, trigger_rule=rule)
        runs = []
        with pytest.raises(RunFailed):
            await flow.run(opened=runs.append)
        (node,) = [node for node in runs[0].graph().nodes if node.name == "x"]
        return node.settled

    assert virtual(main()) == seconds


async def test_a_failure_that_a_task_looks_after_still_fails_the_run():
    flow = Workflow("w")
    flow.add(good, name="clean up", after=flow.add(bad), trigger_rule="all_done")

    with pytest.raises(RunFailed) as failed:
        await flow.run()

    assert [str(each) for each in failed.value.exceptions] == ["bad"]


async def test_a_rule_that_is_not_met_for_want_of_a_failure_skips_without_one():
    flow = Workflow("w")
    flow.add(good, name="alert", after=flow.add(good), trigger_rule="one_failed")
    runs = []

    await flow.run(opened=runs.append)

    assert runs[0].state is SUCCEEDED


async def test_a_skip_says_which_rule_was_not_met():
    store, flow = Memory(), Workflow("w")
    up = flow.add(good)
    flow.add(good, name="alert", after=up, trigger_rule="one_failed")
    flow.add(good, name="undo", after=up, trigger_rule="all_failed")

    await flow.run(store, "r")

    said = {node.name: node.error for node in store.nodes("r") if node.state is SKIPPED}
    assert said == {
        "alert": "its trigger_rule is one_failed, and of what it waits for nothing has failed",
        "undo": "its trigger_rule is all_failed, and of what it waits for not all of it has failed",
    }


async def test_a_rule_that_is_not_met_because_of_a_failure_names_its_root():
    flow = Workflow("w")
    up = flow.add(bad)
    flow.add(good, name="join", after=[up, flow.add(good)], trigger_rule="none_failed")

    with pytest.raises(RunFailed, match="join skipped: bad"):
        await flow.run()


async def test_a_chain_of_a_hundred_thousand_rules_does_not_recurse():
    for rule in ("none_failed", "all_done", "one_failed"):
        flow = Workflow("w")
        up = flow.add(bad, name="0")
        for number in range(1, 20_000):
            up = flow.add(good, name=str(number), after=up, trigger_rule=rule)
        states = await outcome(flow)

        assert states["1"] is (SKIPPED if rule == "none_failed" else SUCCEEDED)
        # What comes after a clean-up that went well has nothing to alert of.
        assert states["19999"] is (SUCCEEDED if rule == "all_done" else SKIPPED)


# With what else there is


async def test_instances_of_parameters_count_one_by_one():
    @task
    async def odd(number):
        if number % 2:
            raise ValueError(number)

    flow = Workflow("w", parameters={"N": list(range(40)), "M": list(range(40))})
    many = flow.add(odd, Parameter("N"), name="odd")
    for rule in RULES:
        flow.add(needs, Parameter("M"), name=rule, after=many, trigger_rule=rule)

    states = await outcome(flow)

    for rule in RULES:
        expected = SUCCEEDED if rule in {"all_done", "one_failed", "one_success"} else SKIPPED
        assert {state for name, state in states.items() if name.startswith(f"{rule}[")} == {expected}


async def test_members_of_a_group_count_one_by_one():
    flow = Workflow("w")
    for place, body in enumerate((good, bad, good)):
        flow.add(body, name=str(place), group="all")
    for rule in RULES:
        flow.add(good, name=rule, after="all", trigger_rule=rule)

    states = await outcome(flow)

    assert {rule for rule in RULES if states[rule] is SUCCEEDED} == {"all_done", "one_failed", "one_success"}


@pytest.mark.parametrize("nested", [False, True])
def test_a_generator_counts_as_one_task_and_is_done_when_all_that_it_gave_is(nested):
    given = {"quick": {"shell": "exit 3"}, "slow": {"task": "test_rules:late", "arguments": [5]}}
    inner = {"inner": {"command": ["echo", json.dumps(given)], "generator": True}}

    @task
    async def gives():
        return inner if nested else given

    async def main():
        flow, runs = Workflow("w"), []
        flow.add(gives, generator=True)
        for rule in RULES:
            flow.add(good, name=rule, after="gives", trigger_rule=rule)
        with pytest.raises(RunFailed):
            await flow.run(opened=runs.append)
        nodes = {node.name: node for node in runs[0].graph().nodes}
        return nodes

    sys.modules.setdefault("test_rules", sys.modules[__name__])
    nodes = virtual(main())

    ran = {rule for rule in RULES if nodes[rule].state is SUCCEEDED}
    assert ran == {"all_done", "all_failed", "one_failed"}
    assert nodes["all_done"].started >= nodes["slow"].settled >= 5


async def test_a_generator_that_fails_itself_has_failed():
    flow = Workflow("w")
    flow.add(bad, generator=True)
    for rule in RULES:
        flow.add(good, name=rule, after="bad", trigger_rule=rule)

    states = await outcome(flow)

    assert {rule for rule in RULES if states[rule] is SUCCEEDED} == {"all_done", "all_failed", "one_failed"}


async def test_tasks_that_a_generator_gives_have_rules_too():
    flow = Workflow("w")
    flow.add(bad, name="first")
    flow.add(
        command("echo", json.dumps({"clean": {"command": ["true"], "parents": ["first"], "trigger_rule": "all_done"}})),
        name="gives",
        generator=True,
    )

    states = await outcome(flow)

    assert states["clean"] is SUCCEEDED


async def test_a_generator_runs_by_a_rule():
    flow = Workflow("w")
    gives = command("echo", '{"added": {"command": ["true"]}}')
    flow.add(gives, name="gives", after=flow.add(bad), generator=True, trigger_rule="one_failed")

    assert (await outcome(flow))["added"] is SUCCEEDED


async def test_retries_resources_and_limits_are_as_ever():
    tries = []

    @task(retries=2, resources={"cores": 1}, limit=1)
    async def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise OSError

    flow = Workflow("w", capacity=Capacity({"cores": 1}, limit=1))
    flow.add(flaky, after=[flow.add(bad), flow.add(good)], trigger_rule="all_done")

    assert (await outcome(flow, limit=1))["flaky"] is SUCCEEDED
    assert len(tries) == 3


async def test_a_limit_of_the_capacity_takes_neither_names_nor_rules():
    flow = Workflow("w", parameters={"N": [1, 2]}, capacity=Capacity(limit=1))
    many = flow.add(needs, Parameter("N"), name="many")
    gives = flow.add(command("echo", '{"added": {"command": ["true"]}}'), name="gives", generator=True)
    flow.add(good, name="clean", after=[many, gives, flow.add(bad)], trigger_rule="all_done")

    states = await outcome(flow)

    assert states == {
        "many[N=1]": SUCCEEDED,
        "many[N=2]": SUCCEEDED,
        "gives": SUCCEEDED,
        "added": SUCCEEDED,
        "bad": FAILED,
        "clean": SUCCEEDED,
    }


async def test_raw_tasks_take_outcomes_by_a_rule():
    @task(raw=True)
    async def look(*futures):
        return [future.exception() is None for future in futures]

    flow = Workflow("w")
    looks = flow.add(look, flow.add(good), flow.add(skips), trigger_rule="none_failed")

    assert (await flow.run())[looks] == [True, False]


async def test_to_cancel_a_run_cancels_what_would_clean_up():
    flow, runs = Workflow("w"), []
    hangs = flow.add(late, 1000, name="hangs")
    flow.add(good, name="clean", after=hangs, trigger_rule="all_done")
    running = asyncio.ensure_future(flow.run(opened=runs.append))
    while not runs or not any(node.state is State.RUNNING for node in runs[0].graph().nodes):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert {node.state for node in runs[0].graph().nodes} == {CANCELLED}


async def test_a_node_that_is_cancelled_has_neither_failed_nor_succeeded():
    flow = Workflow("w")
    flow.add(late, 1000, name="hangs")
    for rule in RULES:
        flow.add(good, name=rule, after="hangs", trigger_rule=rule)
    async with Run() as run:
        building = await flow.build()
        building.nodes[0].cancel()
    states = {node.name: node.state for node in run.graph().nodes}

    assert states == {
        "hangs": CANCELLED,
        "all_done": SUCCEEDED,
        "all_failed": CANCELLED,
        "one_failed": SKIPPED,
        "one_success": CANCELLED,
        "none_failed": CANCELLED,
    }


# Records


class Calls:
    def __init__(self):
        self.names = []
        self.broken = {"first"}

    def flow(self, rule, *, after=("first", "second")):
        @task
        async def work(name):
            self.names.append(name)
            if name in self.broken:
                raise ValueError(name)

        flow = Workflow("w")
        for name in ("first", "second"):
            flow.add(work, name, name=name)
        flow.add(work, "x", name="x", after=list(after), trigger_rule=rule)
        flow.add(work, "behind", name="behind", after="x")
        return flow

    async def run(self, flow, store):
        self.names.clear()
        try:
            await flow.run(store, "r")
        except RunFailed:
            self.names.append("failed")
        return sorted(self.names)


async def test_a_clean_up_runs_again_when_what_it_cleaned_up_after_has():
    calls, store = Calls(), Memory()
    flow = calls.flow("all_done")

    assert await calls.run(flow, store) == ["behind", "failed", "first", "second", "x"]
    assert await calls.run(flow, store) == ["behind", "failed", "first", "x"]
    calls.broken.clear()
    assert await calls.run(flow, store) == ["behind", "first", "x"]
    assert await calls.run(flow, store) == []


@pytest.mark.parametrize("rule", ["all_done", "one_success", "none_failed"])
async def test_what_has_run_by_a_rule_is_recalled_with_its_upstream(rule):
    calls, store = Calls(), Memory()
    calls.broken.clear()
    flow = calls.flow(rule)
    flow.add(bad)

    assert await calls.run(flow, store) == ["behind", "failed", "first", "second", "x"]
    assert await calls.run(flow, store) == ["failed"]


async def test_what_ran_for_one_success_is_recalled_with_that_one():
    calls, store = Calls(), Memory()
    flow = calls.flow("one_success")

    assert await calls.run(flow, store) == ["behind", "failed", "first", "second", "x"]
    assert await calls.run(flow, store) == ["failed", "first"]


async def test_what_ran_for_a_failure_is_skipped_when_there_is_none_any_more():
    calls, store = Calls(), Memory()
    flow = calls.flow("one_failed")

    assert await calls.run(flow, store) == ["behind", "failed", "first", "second", "x"]
    calls.broken.clear()
    assert await calls.run(flow, store) == ["first"]
    states = {node.name: node.state for node in store.nodes("r")}
    assert states["first"] is SUCCEEDED


async def test_another_rule_is_an_edit_of_its_task():
    calls, store = Calls(), Memory()
    calls.broken.clear()

    assert await calls.run(calls.flow("all_success"), store) == ["behind", "first", "second", "x"]
    assert await calls.run(calls.flow("all_done"), store) == ["behind", "x"]
    assert await calls.run(calls.flow("all_done"), store) == []
    assert await calls.run(calls.flow("all_success"), store) == []


async def test_a_plan_says_what_an_edit_has_run_again():
    store = Memory()

    def flow(rule="all_success", success=(0, 3), skip_codes=(), timeout=None):
        made = Workflow("w")
        odd = made.add(shell("exit 3", success=success, timeout=timeout), name="odd")
        made.add(shell("exit 0", skip_codes=skip_codes), name="usual")
        made.add(shell("exit 0"), name="after", after=odd, trigger_rule=rule)
        return made

    await flow().run(store, "r")

    async def planned(**edits):
        return sorted((await rehearse(store, "r", flow(**edits)))[0])

    assert await planned() == []
    assert await planned(timeout=60, skip_codes=[75]) == []
    assert await planned(success=(0, 3, 4)) == []
    assert await planned(success=(0,)) == ["after", "odd"]
    assert await planned(rule="all_done") == ["after (all_done)"]


# Refused, written, drawn


@pytest.mark.parametrize("given", ["always", "ALL_DONE", None, 1, [], "when"])
def test_what_is_no_rule_is_refused_where_it_is_written(given):
    with pytest.raises(OptionError, match=r"trigger_rule=.*all_success, all_done, all_failed"):
        Workflow("w").add(good, trigger_rule=given)


def complaints(flow):
    with pytest.raises(WorkflowError) as refused:
        flow.check()
    return [each.text for each in refused.value.complaints]


@pytest.mark.parametrize("rule", RULES)
def test_what_cannot_be_is_a_complaint(rule):
    flow = Workflow("w")
    flow.add(good, name="alone", trigger_rule=rule)
    flow.add(needs, flow.add(good, name="up"), name="taker", trigger_rule=rule)

    told = complaints(flow)

    assert told[0] == f"'alone' runs by trigger_rule={rule!r}, and waits for nothing: say after="
    assert told[1].startswith(f"'taker' runs by trigger_rule={rule!r}, and takes values that may not be there, of 'up'")
    assert ("raw=True" in told[1]) is (rule in {"all_done", "all_failed", "none_failed"})


def test_a_document_says_the_rule():
    written = {
        "name": "w",
        "tasks": {"a": {"command": ["true"]}, "b": {"shell": "x", "parents": ["a"], "trigger_rule": "one_failed"}},
    }

    flow = workflow_from_document(written)

    assert (flow["a"].trigger_rule, flow["b"].trigger_rule) == ("all_success", "one_failed")
    assert document_of(flow) == written
    assert flow.but()["b"].trigger_rule == "one_failed"
    usual = {"name": "w", "tasks": {"a": {"command": ["true"], "trigger_rule": "all_success"}}}
    assert "trigger_rule" not in document_of(workflow_from_document(usual))["tasks"]["a"]


@pytest.mark.parametrize("value", ['"all-done"', "true", "[]", '"none"'])
def test_a_file_with_what_is_no_rule_is_refused(value):
    with pytest.raises(WorkflowError, match="trigger_rule: takes one of all_success, all_done"):
        loads(f'{{"tasks": {{"a": {{"command": ["true"], "trigger_rule": {value}}}}}}}')


async def test_rules_are_drawn_before_and_after_and_from_the_record():
    store, flow, runs = Memory(), Workflow("w"), []
    up = flow.add(good, name="up")
    flow.add(good, name="clean", after=up, trigger_rule="all_done")

    await flow.run(store, "r", opened=runs.append)

    (record,) = store.runs("r")
    for graph in (flow.graph(), runs[0].graph(), recorded_graph(store, record)):
        node = graph.nodes[1]
        assert (node.name, node.label) == ("clean", "clean (all_done)")
        assert graph.edges[0].settled
        assert "clean (all_done)" in graph.to_text()
        assert "clean (all_done)" in graph.to_mermaid()
        assert "clean (all_done)" in svg(graph)


async def test_a_settled_edge_of_a_plain_call_is_as_it_was():
    node = good.after(settled(bad()))()

    assert await node == 1


def test_the_command_line_plans_runs_and_resumes_them(tmp_path):
    path = tmp_path / "etl.json"
    tasks = {
        "pull": {"shell": "test -e rows || exit 3"},
        "alert": {"shell": "echo alert >> alerts", "parents": ["pull"], "trigger_rule": "one_failed"},
        "clean": {"shell": "echo clean >> alerts", "parents": ["pull"], "trigger_rule": "all_done"},
    }
    path.write_text(json.dumps({"tasks": tasks}))

    def aiodag(*args):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIODAG_STORE": f"sqlite:///{tmp_path}/runs.db"}
        line = [sys.executable, "-m", "aiodag", *args]
        done = subprocess.run(
            line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert "alert (one_failed)" in aiodag("plan", "etl.json")[1]
    assert aiodag("run", "etl.json", "--id", "r")[0] == 1
    assert sorted((tmp_path / "alerts").read_text().split()) == ["alert", "clean"]
    (tmp_path / "rows").touch()
    assert aiodag("resume", "r")[0] == 0
    assert sorted((tmp_path / "alerts").read_text().split()) == ["alert", "clean", "clean"]
    assert load(path)["alert"].trigger_rule == "one_failed"


async def test_a_failed_command_is_seen_by_a_rule_with_its_exit_code():
    flow = Workflow("w")
    flow.add(shell("exit 75", skip_codes=[75]), name="skips")
    flow.add(shell("exit 75"), name="fails")
    flow.add(good, name="a", after="skips", trigger_rule="none_failed")
    flow.add(good, name="b", after="fails", trigger_rule="one_failed")

    states = await outcome(flow)

    assert (states["a"], states["b"]) == (SUCCEEDED, SUCCEEDED)
