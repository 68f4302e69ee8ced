"""Write a workflow down before it runs: five commands, the edges between them, and a check of the whole.

The edges can be said in four ways, and any of them twice: it is the same graph.

Output:

TestJob: 5 tasks
Sync Data → Feature Engineering1, Feature Engineering2 → Machine Learning → Send Email
succeeded; Machine Learning said: trained
"""

import asyncio

from aiodag.commands import command, shell
from aiodag.workflows import Workflow

job = Workflow("TestJob")

sync = job.add(command("sleep", "0.1"), name="Sync Data")
first = job.add(command("sleep", "0.1"), name="Feature Engineering1")
second = job.add(command("sleep", "0.1"), name="Feature Engineering2")
learn = job.add(shell("sleep 0.1; echo trained"), name="Machine Learning")
send = job.add(command("sleep", "0.1"), name="Send Email")

sync.set_downstream(first)
sync >> second
learn.set_upstream(first, second)
learn >> send


async def main():
    print(f"{job.name}: {len(job.tasks)} tasks")
    levels = {}
    for node in job.graph().order():
        levels.setdefault(depth(node.id), []).append(node.name)
    print(" → ".join(", ".join(names) for names in levels.values()))
    values = await job.run()
    print(f"{values.run.state}; Machine Learning said: {values[learn].stdout.strip()}")


def depth(number):
    return max((depth(edge.source) + 1 for edge in job.graph().edges if edge.target == number), default=0)


if __name__ == "__main__":
    asyncio.run(main())
