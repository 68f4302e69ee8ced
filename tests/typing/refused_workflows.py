"""Workflows that both checkers refuse. Never runs."""

from aiodag import task
from aiodag.workflows import Parameter, Workflow, WorkflowTask


@task
async def rows(day: str) -> list[str]:
    return [day]


flow = Workflow("etl")
pull = flow.add(rows, "monday")

Workflow()  # E
Workflow("etl", tag={"env": "test"})  # E
Workflow("etl", parameters=["DAY"])  # E
Workflow("etl", parameters={"DAY": [None]})  # E
Workflow("etl", limit="3")  # E
Parameter()  # E
flow.add()  # E
flow.add("rows", "monday")  # E
flow.add(rows, "monday", name=3)  # E
flow.add(rows, "monday", after=3)  # E
flow.add(rows, "monday", parameters=["DAY"])  # E
flow.add(rows, "monday", generator="yes")  # E
flow.add(rows, "monday", trigger_rule="sometimes")  # E
Workflow("w", on_failure=3)  # E
Workflow("w", on_success=[3])  # E
pull.set_upstream(3)  # E
wrong: WorkflowTask[int] = pull  # E


async def main() -> None:
    await flow.run(limit="3")  # E
    await flow.resume("r1")  # E
    values = await flow.run()
    number: int = values[pull]  # E
    print(number)
