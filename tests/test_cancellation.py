"""Cancelling goes down, never up; awaiting is not owning."""

import asyncio
import threading

import pytest

from aiodag import Limit, State, current_node, task
from aiodag.testing import run

LONG = 100_000


@task
async def step(x, *more):
    return x + 1


@task
async def late(seconds, *more):
    await asyncio.sleep(seconds)
    return seconds


def now():
    return asyncio.get_running_loop().time()


async def cancelled(node):
    try:
        await node
    except asyncio.CancelledError as error:
        return error
    return None


# Down, never up


def test_cancel_stops_what_needs_the_node_and_nothing_else():
    async def main():
        a = late(1)
        b, c = late(5, a), late(3, a)
        d = step(b, c)
        await asyncio.sleep(2)
        b.cancel()
        await cancelled(d)
        at = now()
        await c
        return at, [each.state for each in (a, b, c, d)]

    at, states = run(main())

    assert at == 2.0
    assert states == [State.SUCCEEDED, State.CANCELLED, State.SUCCEEDED, State.CANCELLED]


def test_cancel_of_999_consumers_leaves_the_upstream_to_the_last():
    async def main():
        up = late(1)
        *others, last = [step(up) for _ in range(1000)]
        for each in others:
            each.cancel()
        return await last, up.state, {each.state for each in others}

    assert run(main()) == (2, State.SUCCEEDED, {State.CANCELLED})


@pytest.mark.parametrize("suspended", [False, True])
def test_a_long_chain_is_cancelled_at_its_root(suspended):
    async def main():
        root = late(1)
        nodes = [root]
        for _ in range(LONG):
            nodes.append(step(nodes[-1]))
        if suspended:
            await asyncio.sleep(0.5)
        root.cancel()
        await cancelled(nodes[-1])
        return {each.state for each in nodes}

    assert run(main()) == {State.CANCELLED}


def test_cancel_answers_whether_there_was_anything_to_cancel():
    async def main():
        node, done = late(1), step(1)
        await done
        return done.cancel(), node.cancel(), (await cancelled(node)) is not None, node.cancel()

    assert run(main()) == (False, True, True, False)


# Before the start


def test_a_node_cancelled_before_it_starts_never_runs():
    ran = []

    @task
    async def body():
        ran.append(1)

    async def main():
        node = body()
        node.cancel()
        await cancelled(node)
        await asyncio.sleep(1)
        return node.state, node.attempt

    assert run(main()) == (State.CANCELLED, 0)
    assert ran == []


def test_a_node_cancelled_in_front_of_a_limit_never_runs_and_takes_no_place():
    ran = []

    @task(limit=1)
    async def body(name):
        ran.append(name)
        await asyncio.sleep(1)

    async def main():
        first, second, third = body("first"), body("second"), body("third")
        await asyncio.sleep(0.5)
        second.cancel()
        await third
        return now(), first.state, second.state

    assert run(main()) == (2.0, State.SUCCEEDED, State.CANCELLED)
    assert ran == ["first", "third"]


# Awaiting is not owning


async def impatient(node, seconds=1):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await node


def test_a_timeout_cancels_a_node_that_nobody_else_needs():
    async def main():
        node = late(5)
        await impatient(node)
        await cancelled(node)
        return node.state, now()

    assert run(main()) == (State.CANCELLED, 1.0)


def test_a_timeout_leaves_a_node_that_another_node_needs():
    async def main():
        node = late(5)
        other = step(node)
        await impatient(node)
        return await other, node.state

    assert run(main()) == (6, State.SUCCEEDED)


def test_a_timeout_leaves_a_node_that_another_place_awaits():
    async def main():
        node = late(5)
        async with asyncio.TaskGroup() as group:
            other = group.create_task(take(node))
            await impatient(node)
        return other.result()

    assert run(main()) == 5


async def take(node):
    return await node


def test_the_last_of_several_impatient_awaiters_cancels_the_node():
    async def main():
        node = late(9)
        async with asyncio.TaskGroup() as group:
            for seconds in (3, 1, 2):
                group.create_task(impatient(node, seconds))
        await cancelled(node)
        return node.state, now()

    assert run(main()) == (State.CANCELLED, 3.0)


async def fail_soon():
    await asyncio.sleep(1)
    raise ValueError


@pytest.mark.parametrize(("shared", "state"), [(True, State.SUCCEEDED), (False, State.CANCELLED)])
def test_a_task_group_that_fails_cancels_only_what_nobody_else_needs(shared, state):
    async def main():
        node = late(5)
        other = step(node) if shared else None
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(take(node))
                group.create_task(fail_soon())
        await (other or cancelled(node))
        return node.state

    assert run(main()) is state


def test_a_cancelled_body_cancels_the_node_that_only_it_awaits():
    inner = []

    @task
    async def parent():
        inner.append(late(5))
        return await inner[0]

    async def main():
        node = parent()
        await asyncio.sleep(1)
        node.cancel()
        await cancelled(node)
        await cancelled(inner[0])
        return node.state, inner[0].state, now()

    assert run(main()) == (State.CANCELLED, State.CANCELLED, 1.0)


# What the body sees


def test_a_cancel_message_reaches_the_body_and_who_awaits():
    seen = []

    @task
    async def body():
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as error:
            seen.extend(error.args)
            raise

    async def main():
        node = body()
        await asyncio.sleep(1)
        node.cancel("enough")
        return (await cancelled(node)).args

    assert run(main()) == ("enough",)
    assert seen == ["enough"]


def test_a_cancel_message_reaches_who_awaits_a_node_that_never_started():
    async def main():
        node = late(1)
        node.cancel("enough")
        return (await cancelled(node)).args

    assert run(main()) == ("enough",)


def test_a_body_that_cleans_up_settles_when_it_has_ended():
    @task
    async def body():
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(2)

    async def main():
        node = body()
        down = step(node)
        await asyncio.sleep(1)
        node.cancel()
        await cancelled(down)
        return now(), node.state, down.state

    assert run(main()) == (3.0, State.CANCELLED, State.CANCELLED)


def test_a_body_that_swallows_the_cancel_succeeds_and_what_needs_it_runs():
    @task
    async def body():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return 41

    async def main():
        node = body()
        down = step(node)
        await asyncio.sleep(1)
        node.cancel()
        return await down, node.state

    assert run(main()) == (42, State.SUCCEEDED)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("before", [False, True], ids=["first-step", "later-step"])
@pytest.mark.parametrize("after", [False, True], ids=["returns", "waits"])
def test_a_body_that_cancels_itself_is_cancelled(times, before, after):
    @task
    async def body():
        if before:
            await asyncio.sleep(1)
        for _ in range(times):
            current_node().cancel()
        if after:
            await asyncio.sleep(1)

    async def main():
        node = body()
        down = step(node)
        await cancelled(down)
        return node.state, down.state

    assert run(main()) == (State.CANCELLED, State.CANCELLED)


# Threads


def test_a_cancelled_thread_is_abandoned_and_keeps_its_limit_until_it_ends():
    began, release = threading.Event(), threading.Event()

    @task(limit=Limit(1))
    def body(first):
        if first:
            began.set()
            assert release.wait(60)
        return first

    async def main():
        loop = asyncio.get_running_loop()
        first, second = body(True), body(False)
        assert await loop.run_in_executor(None, began.wait, 60)
        first.cancel()
        await cancelled(first)
        await asyncio.sleep(5)
        held = first.state, first.abandoned, second.state
        release.set()
        return held, await second, first.abandoned

    try:
        held, value, abandoned = run(main())
    finally:
        release.set()

    assert held == (State.CANCELLED, True, State.QUEUED)
    assert value is False
    assert abandoned is False
