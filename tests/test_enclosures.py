"""Nodes that only enclose others: they are entered in every execution, and recorded anew only when something in them runs."""

import pytest

from aiodag import Run, State, Task, task
from aiodag._core.options import TaskOptions

pytestmark = pytest.mark.asyncio


class Around(Task):
    """A task that encloses others, as a job does."""

    encloses = True


class Flow:
    """Two groups, of which the second needs the first. Each has two nodes, one after the other."""

    def __init__(self, store):
        self.store = store
        self.ran, self.failing, self.version = [], set(), {}

    def node(self, name, *after):
        async def work():
            self.ran.append(name)
            if name in self.failing:
                raise ValueError(name)
            return name

        return task(work, *after, name=name, version=self.version.get(name, ""))()

    def group(self, name, *after):
        async def around():
            first = self.node(f"{name}1")
            await first
            return [await self.node(f"{name}2", first)]

        return Around(around, after, TaskOptions(name=name))()

    async def run(self):
        self.ran.clear()
        try:
            async with Run("flow", store=self.store, id="it"):
                self.group("b", self.group("a"))
        except* ValueError:
            pass
        return self.ran

    def attempts(self):
        return {node.name: node.attempt for node in self.store.nodes("it")}


async def test_a_failed_group_is_entered_again_and_takes_back_what_succeeded(store):
    flow = Flow(store)
    flow.failing = {"a2"}
    await flow.run()
    flow.failing.clear()

    assert await flow.run() == ["a2", "b1", "b2"]
    assert flow.attempts() == {"a": 2, "b": 1, "a1": 1, "a2": 2, "b1": 1, "b2": 1}


async def test_a_group_in_which_nothing_runs_stays_as_it_was_recorded(store):
    flow = Flow(store)
    await flow.run()
    before = store.nodes("it")

    assert await flow.run() == []

    after = store.nodes("it")
    assert [(each.name, each.attempt, each.started_at, each.ended_at) for each in after] == [
        (each.name, each.attempt, each.started_at, each.ended_at) for each in before
    ]
    assert all(each.recalled for each in after)


async def test_what_needs_a_group_runs_again_when_something_in_the_group_did(store):
    flow = Flow(store)
    await flow.run()
    flow.version = {"a2": "edited"}

    assert await flow.run() == ["a2", "b1", "b2"]
    assert flow.attempts() == {"a": 2, "b": 2, "a1": 1, "a2": 1, "b1": 2, "b2": 2}


async def test_an_edit_in_the_last_group_leaves_the_first_alone(store):
    flow = Flow(store)
    await flow.run()
    flow.version = {"b2": "edited"}

    assert await flow.run() == ["b2"]
    assert flow.attempts()["a"] == 1


async def test_a_group_that_had_succeeded_and_fails_is_recorded_as_failed(store):
    flow = Flow(store)
    await flow.run()
    flow.version, flow.failing = {"b1": "edited"}, {"b1"}

    assert await flow.run() == ["b1"]
    states = {node.name: node.state for node in store.nodes("it")}
    assert states == {
        "a": State.SUCCEEDED,
        "a1": State.SUCCEEDED,
        "a2": State.SUCCEEDED,
        "b": State.FAILED,
        "b1": State.FAILED,
    }
    assert store.run("it").state is State.FAILED
