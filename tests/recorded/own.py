"""A program whose values and arguments are of aiodag's own classes: `python own.py STORE`.

It prints what ran. `v1.3.0-own.db` was made by it like the other stores, on Python 3.11.
"""

import asyncio
import json
import sys

from aiodag import Backoff, GraphNode, RunFailed, Skip, State, task
from aiodag import Run as Scope

try:
    from aiodag.commands import Finished, command
except ImportError:  # 1.3.0
    from aiodag.executors.command import Finished, command
try:
    from aiodag.records import Owner
except ImportError:
    from aiodag.stores.records import Owner

RAN = []


@task
async def kind(value):
    RAN.append("kind")
    return type(value).__name__


@task
async def same(value):
    RAN.append("same")
    return value


@task(codec="pickle")
async def pickled(value):
    RAN.append("pickled")
    return value


async def own():
    held = State

    @task
    async def inner(word):
        RAN.append("inner")
        return held(word)

    async with Scope("own", store=f"sqlite:///{sys.argv[1]}", id="own"):
        done = await command("echo", "one")()
        seen = GraphNode(id=1, name="a", label="a", state=State.FAILED)
        values = [State.SUCCEEDED, done, seen, Owner("here", 7, "x")]
        nodes = [make(value) for value in values for make in (kind, same, pickled)]
        nodes += [kind(thing) for thing in (State, Finished, GraphNode, RunFailed, Skip, Backoff, Scope)]
        nodes += [inner("queued"), same([done, {"state": State.QUEUED}])]
        return [await node for node in nodes]


found = asyncio.run(own())
sys.stdout.write(json.dumps({"ran": sorted(RAN), "values": ascii(found)}))
