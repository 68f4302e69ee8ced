"""Workflows, as the checkers see them. Never runs."""

import asyncio
from functools import partial
from typing import Any, assert_type

from aiodag import Capacity, Graph, Run, RunSummary, Secret, Task, WorkflowError, task
from aiodag.commands import Finished, command
from aiodag.workflows import Parameter, Values, Workflow, WorkflowTask


@task
async def rows(day: str) -> list[str]:
    return [day]


async def count(given: list[str], factor: int = 1) -> int:
    return len(given) * factor


def text(number: int) -> str:
    return str(number)


flow = Workflow(
    "etl", tags={"env": "test"}, parameters={"DAY": ["d1", 2, 0.5, True]}, limit=3, capacity=Capacity({"cores": 2})
)
pull = flow.add(command("pull", "{{DAY}}"), name="pull")
fetched = flow.add(rows, Parameter("DAY"), after=[pull, "other", "group"])
counted = flow.add(count, fetched, factor=2, after=pull, group="counts", parameters={"SIZE": ("s", "m")})
partly = flow.add(partial(count, factor=3), fetched)
plainly = flow.add(partial(text), 3)
slept = flow.add(asyncio.sleep, 3, "slept")
length = flow.add(len, "abc")
shown = flow.add(text, counted, name="shown", generator=False)

assert_type(pull, WorkflowTask[Finished])
assert_type(fetched, WorkflowTask[list[str]])
assert_type(counted, WorkflowTask[int])
assert_type(partly, WorkflowTask[int])
assert_type(plainly, WorkflowTask[str])
assert_type(length, WorkflowTask[int])
assert_type(shown, WorkflowTask[str])
assert_type(pull.task, Task[..., Finished])
assert_type(pull.after, tuple[str, ...])

_ = pull >> [fetched, counted] >> shown
_ = shown << [fetched, counted]
pull.set_downstream(fetched, counted)
shown.set_upstream(fetched, "pull")


async def main() -> None:
    try:
        flow.check()
    except WorkflowError as error:
        print([(complaint.place, complaint.text) for complaint in error.complaints])
    assert_type(flow.graph(), Graph)
    assert_type(flow.document(), dict[str, Any])
    values = await flow.run("runs.db", "r1", fail_fast=True, tags={"by": "me"})
    assert_type(values, Values)
    assert_type(values[counted], int)
    assert_type(values["counted"], Any)
    assert_type(values.run, Run)
    assert_type(await flow.resume("r1", store="runs.db", limit=2), Values)
    async with Run("own"):
        assert_type((await flow.build()).values(), Values)
    assert_type(flow.but("other", parameters={"DAY": ["d3"]}), Workflow)


async def alert(summary: RunSummary) -> None:
    assert_type(summary.failures, tuple[str, ...])


hooked = Workflow("w", on_start="https://example.org", on_success=Secret("URL"), on_failure=[alert, task(alert)])
hooked.add(alert, RunSummary("", "", ""), after="x", trigger_rule="all_done")
Run("r", on_start=print, on_failure=[alert, "https://example.org"])
