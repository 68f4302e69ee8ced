"""A body that awaits what waits for that body is told so; nobody else is."""

import asyncio

import pytest

from aiodag import Deadlock, current_node, settled, task
from aiodag.testing import run

WIDE = 20_000


@task
async def step(*given):
    return len(given)


async def deadlock_of(node):
    with pytest.raises(Deadlock) as caught:
        await node
    return caught.value


# Found


def test_a_body_that_awaits_itself():
    @task
    async def me():
        await current_node()

    async def main():
        return (await deadlock_of(me())).cycle

    assert run(main()) == ("me", "me")


def test_a_body_that_awaits_its_downstream():
    made = []

    @task
    async def first():
        await made[0]

    async def main():
        root = first()
        made.append(step(root))
        return (await deadlock_of(root)).cycle

    assert run(main()) == ("first", "step", "first")


def test_two_bodies_that_await_each_other():
    made = {}

    @task
    async def left():
        await made["right"]

    @task
    async def right():
        await made["left"]

    async def main():
        made.update(left=left(), right=right())
        return (await deadlock_of(made["left"])).cycle

    cycle = run(main())

    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"left", "right"}
    assert len(cycle) == 3


def test_a_cycle_of_three_names_all_of_them():
    made = []

    @task
    async def first():
        await made[1]

    @task
    async def second(x):
        return x

    @task
    async def third(x):
        return x

    async def main():
        root = first()
        made.append(second(root))
        made.append(third(made[0]))
        return (await deadlock_of(root)).cycle

    assert run(main()) == ("first", "third", "second", "first")


EDGES = {
    "argument": lambda up: step(up),
    "container": lambda up: step([{"k": (1, up)}]),
    "exogenous": lambda up: step.after(up)(),
    "settled": lambda up: step(settled(up)),
    "settled exogenous": lambda up: step.after(settled(up))(),
    "raw": lambda up: step.with_options(raw=True)(up),
}


@pytest.mark.parametrize("edge", EDGES)
def test_a_cycle_through_any_edge(edge):
    @task
    async def body():
        await EDGES[edge](current_node())

    async def main():
        return (await deadlock_of(body())).cycle

    assert run(main()) == ("body", "step", "body")


@pytest.mark.parametrize("options", [{"retries": 1, "retry_on": OSError}, {"limit": 1}, {"timeout": 60}])
def test_a_cycle_of_a_body_with_options(options):
    @task(**options)
    async def body():
        await step(current_node())

    async def main():
        return (await deadlock_of(body())).cycle

    assert run(main()) == ("body", "step", "body")


def test_it_is_raised_at_once_where_the_body_awaits():
    @task
    async def body():
        await asyncio.sleep(1)
        with pytest.raises(Deadlock):
            await step(current_node())
        return asyncio.get_running_loop().time()

    async def main():
        return await body()

    assert run(main()) == 1.0


def test_the_text_names_the_cycle():
    @task
    async def body():
        await step(current_node())

    async def main():
        return str(await deadlock_of(body()))

    assert "body waits for step waits for body" in run(main())


# Not found where there is none


def test_a_task_that_the_body_made_may_await_what_waits_for_the_body():
    seen = []

    async def watch(node):
        seen.append(await node)

    @task
    async def body():
        body.watcher = asyncio.create_task(watch(step(current_node())))
        await asyncio.sleep(1)
        return 1

    async def main():
        value = await body()
        await body.watcher
        return value

    assert run(main()) == 1
    assert seen == [1]


def test_a_body_may_await_nodes_that_share_its_upstream():
    async def main():
        top = step()
        side = step(top)

        @task
        async def body(x):
            return await step(side, top)

        return await step(body(top), side)

    assert run(main()) == 2


def test_a_body_may_await_a_sibling_that_waits_for_others():
    @task
    async def slow():
        await asyncio.sleep(1)

    async def main():
        other = step(slow())

        @task
        async def body():
            return await other

        node = body()
        down = step(node, other)
        return await down

    assert run(main()) == 2


def test_a_body_may_await_what_has_settled_already():
    @task
    async def body(node):
        return await node

    async def main():
        done = step()
        await done
        return await body(settled(done))

    assert run(main()) == 0


def test_bodies_may_await_bodies_to_some_depth():
    @task
    async def nest(depth):
        return 1 + await nest(depth - 1) if depth else 0

    async def main():
        return await nest(100)

    assert run(main()) == 100


# Cheap


def lookups(monkeypatch):
    """Count how often the search for a cycle asks whether a node is done."""
    from aiodag._core import deadlock

    asked = []
    walk = deadlock.walk

    def counting(*given):
        for each in walk(*given):
            asked.append(1)
            yield each

    monkeypatch.setattr(deadlock, "walk", counting)
    return asked


def test_many_consumers_of_a_body_do_not_slow_its_awaits(monkeypatch):
    asked = lookups(monkeypatch)

    @task
    async def slow():
        await asyncio.sleep(1)

    @task
    async def body():
        for _ in range(10):
            await slow()

    async def main():
        root = body()
        return len([await each for each in [step(root) for _ in range(WIDE)]])

    assert run(main()) == WIDE
    assert len(asked) < 200


def test_a_huge_upstream_of_what_is_awaited_does_not_slow_the_await(monkeypatch):
    asked = lookups(monkeypatch)

    @task
    async def slow():
        await asyncio.sleep(1)

    @task
    async def body(made):
        return await made[0]

    async def main():
        made = []
        node = body(made)
        made.append(step(*[slow() for _ in range(WIDE)]))
        return await node

    assert run(main()) == WIDE
    assert len(asked) < 200
