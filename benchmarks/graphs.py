"""The shapes that are timed, each written by hand and with aiodag.

By hand means the way a careful person writes it: one `create_task` per call, upstreams awaited
inside the body that needs them (so no wrapper coroutine is charged to it), every task kept alive.
"Same bodies" is by hand, too, with the very functions that aiodag runs: they take values, as functions that can be
tested and reused do, and one coroutine awaits their upstreams for them.
"""

from __future__ import annotations

import asyncio
import functools
import random
from asyncio import create_task
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiodag import Run, task

WIDTH = 50
DEGREE = 3

Build = Callable[[int], Awaitable[int]]


@functools.cache
def layered(nodes: int, width: int = WIDTH, seed: int = 1) -> list[tuple[int, ...]]:
    """Give the upstreams of each node: layers of `width`, three random upstreams in the layer before."""
    choose = random.Random(seed)
    edges: list[tuple[int, ...]] = [()] * min(width, nodes)
    for number in range(width, nodes):
        start = number // width * width - width
        edges.append(tuple(choose.sample(range(start, start + width), DEGREE)))
    return edges


# Bodies by hand: they take tasks and await them.


async def leaf(value: int) -> int:
    return value


async def step_by_hand(upstream: Awaitable[int]) -> int:
    return await upstream + 1


async def merge_by_hand(a: Awaitable[int], b: Awaitable[int], c: Awaitable[int]) -> int:
    return (await a + await b + await c) % 1000


async def leaf_suspending(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def step_by_hand_suspending(upstream: Awaitable[int]) -> int:
    value = await upstream
    await asyncio.sleep(0)
    return value + 1


async def merge_by_hand_suspending(a: Awaitable[int], b: Awaitable[int], c: Awaitable[int]) -> int:
    total = await a + await b + await c
    await asyncio.sleep(0)
    return total % 1000


async def total_by_hand(upstreams: list[asyncio.Task[int]]) -> int:
    return sum([await upstream for upstream in upstreams])


# Bodies for aiodag: they take values.


async def step(value: int) -> int:
    return value + 1


async def merge(a: int, b: int, c: int) -> int:
    return (a + b + c) % 1000


async def step_suspending(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


async def merge_suspending(a: int, b: int, c: int) -> int:
    await asyncio.sleep(0)
    return (a + b + c) % 1000


async def total(values: list[int]) -> int:
    return sum(values)


class Bodies(NamedTuple):
    """The functions that a shape calls."""

    leaf: Callable[..., Any]
    step: Callable[..., Any]
    merge: Callable[..., Any]
    total: Callable[..., Any]


# The shapes by hand.


async def fan_out_by_hand(bodies: Bodies, nodes: int) -> int:
    leaves = [create_task(bodies.leaf(number)) for number in range(nodes - 1)]
    return await create_task(bodies.total(leaves))


async def chain_by_hand(bodies: Bodies, nodes: int) -> int:
    last = create_task(bodies.leaf(0))
    for _ in range(nodes - 1):
        last = create_task(bodies.step(last))
    return await last


async def layered_by_hand(bodies: Bodies, nodes: int) -> int:
    made: list[asyncio.Task[int]] = []
    for number, upstreams in enumerate(layered(nodes)):
        if upstreams:
            a, b, c = upstreams
            made.append(create_task(bodies.merge(made[a], made[b], made[c])))
        else:
            made.append(create_task(bodies.leaf(number)))
    return sum([await last for last in made[-WIDTH:]])


# The same shapes by hand with bodies that take values.


async def joined(body: Callable[..., Awaitable[int]], *upstreams: Awaitable[int]) -> int:
    return await body(*[await upstream for upstream in upstreams])


async def joined_list(body: Callable[..., Awaitable[int]], upstreams: list[asyncio.Task[int]]) -> int:
    return await body([await upstream for upstream in upstreams])


async def fan_out_joined(bodies: Bodies, nodes: int) -> int:
    leaves = [create_task(bodies.leaf(number)) for number in range(nodes - 1)]
    return await create_task(joined_list(bodies.total, leaves))


async def chain_joined(bodies: Bodies, nodes: int) -> int:
    last = create_task(bodies.leaf(0))
    for _ in range(nodes - 1):
        last = create_task(joined(bodies.step, last))
    return await last


async def layered_joined(bodies: Bodies, nodes: int) -> int:
    made: list[asyncio.Task[int]] = []
    for number, upstreams in enumerate(layered(nodes)):
        if upstreams:
            a, b, c = upstreams
            made.append(create_task(joined(bodies.merge, made[a], made[b], made[c])))
        else:
            made.append(create_task(bodies.leaf(number)))
    return sum([await last for last in made[-WIDTH:]])


# The same shapes with aiodag.


async def fan_out(tasks: Bodies, nodes: int) -> int:
    leaves = [tasks.leaf(number) for number in range(nodes - 1)]
    return await tasks.total(leaves)


async def chain(tasks: Bodies, nodes: int) -> int:
    last = tasks.leaf(0)
    for _ in range(nodes - 1):
        last = tasks.step(last)
    return await last


async def layers(tasks: Bodies, nodes: int) -> int:
    made: list[Any] = []
    for number, upstreams in enumerate(layered(nodes)):
        if upstreams:
            a, b, c = upstreams
            made.append(tasks.merge(made[a], made[b], made[c]))
        else:
            made.append(tasks.leaf(number))
    return sum([await last for last in made[-WIDTH:]])


BY_HAND = Bodies(leaf, step_by_hand, merge_by_hand, total_by_hand)
BY_HAND_SUSPENDING = Bodies(leaf_suspending, step_by_hand_suspending, merge_by_hand_suspending, total_by_hand)
SAME = Bodies(leaf, step, merge, total)
SAME_SUSPENDING = Bodies(leaf_suspending, step_suspending, merge_suspending, total)
TASKS = Bodies(*map(task, SAME))
TASKS_SUSPENDING = Bodies(*map(task, SAME_SUSPENDING))


def recorded(build: Build) -> Build:
    """Build inside a `Run`, which keeps its nodes and their moves."""

    async def inside(nodes: int) -> int:
        async with Run("benchmark"):
            return await build(nodes)

    return inside


Shape = Callable[..., Any]


def variants(by_hand: Shape, joined_by_hand: Shape, with_aiodag: Shape, *, suspending: bool) -> dict[str, Build]:
    """Give the ways to write one shape, by name."""
    bodies, same, tasks = (
        (BY_HAND_SUSPENDING, SAME_SUSPENDING, TASKS_SUSPENDING) if suspending else (BY_HAND, SAME, TASKS)
    )
    build = functools.partial(with_aiodag, tasks)
    return {
        "by hand": functools.partial(by_hand, bodies),
        "same bodies": functools.partial(joined_by_hand, same),
        "aiodag": build,
        "in a Run": recorded(build),
    }


WAYS = {
    "fan-out": (fan_out_by_hand, fan_out_joined, fan_out),
    "chain": (chain_by_hand, chain_joined, chain),
    "layered": (layered_by_hand, layered_joined, layers),
}
SHAPES: dict[str, dict[str, Build]] = {
    name + (", suspending" if suspending else ""): variants(*ways, suspending=suspending)
    for suspending in (False, True)
    for name, ways in WAYS.items()
}
