"""A deadline for a whole run, and a cancel that goes up: nothing is left running for nobody."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta

import pytest

from aiodag import OptionError, Run, State, settled, task
from aiodag.testing import run


@task
async def late(seconds, *more):
    await asyncio.sleep(seconds)
    return seconds


@task
async def add(*values):
    return sum(values)


def now():
    return asyncio.get_running_loop().time()


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# Run(timeout=)


def test_a_run_that_takes_too_long_raises_timeout_error_and_has_failed():
    async def main():
        scope = Run("etl", timeout=5)
        begun = now()
        with pytest.raises(TimeoutError, match=r"run 'etl' took longer than 5 s"):
            async with scope:
                quick, slow = late(1), late(60)
                needs = add(slow, quick)
        return scope.state, quick.state, slow.state, needs.state, now() - begun

    states = (State.FAILED, State.SUCCEEDED, State.CANCELLED, State.CANCELLED, 5)

    assert run(main()) == states


def test_the_body_of_a_run_is_cancelled_when_its_time_is_over():
    async def main():
        scope = Run(timeout=timedelta(seconds=5))
        with pytest.raises(TimeoutError):
            async with scope:
                await late(60)
        return scope.state, now(), asyncio.current_task().cancelling()

    assert run(main()) == (State.FAILED, 5, 0)


def test_a_body_that_waits_for_something_else_is_cancelled_too():
    async def main():
        with pytest.raises(TimeoutError):
            async with Run(timeout=5):
                await asyncio.sleep(60)
        return now()

    assert run(main()) == 5


def test_a_run_that_ends_in_time_is_not_cancelled_later():
    async def main():
        async with Run(timeout=5) as scope:
            node = late(4)
        await asyncio.sleep(10)
        return scope.state, node.state

    assert run(main()) == (State.SUCCEEDED, State.SUCCEEDED)


def test_each_run_of_a_nest_has_its_own_time():
    async def main():
        async with Run("outer", timeout=20) as outer:
            with pytest.raises(TimeoutError, match="inner"):
                async with Run("inner", timeout=5):
                    late(60)
            node = late(10)
        return outer.state, node.state

    assert run(main()) == (State.SUCCEEDED, State.SUCCEEDED)


def test_what_the_body_raises_of_itself_when_its_time_is_over_comes_out():
    async def main():
        scope = Run(timeout=5)
        with pytest.raises(LookupError):
            async with scope:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise LookupError from None
        return scope.state

    assert run(main()) is State.FAILED


def test_nodes_that_would_not_end_are_named_after_the_grace():
    told = []

    @task
    async def stubborn():
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(100)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        with pytest.raises(TimeoutError):
            async with Run("etl", timeout=5, grace=1):
                stubborn()
        return now()

    assert run(main()) == 6
    assert [text.partition("(")[0] for text in told] == [
        "run 'etl' waited 1 s for what does not end, and left it: stubborn "
    ]


def test_a_store_records_that_a_run_took_too_long_and_it_can_be_resumed(tmp_path):
    store = tmp_path / "runs.db"

    @task
    async def once_slow():
        if seconds is not None:  # in the first run, also where its time was over before a body began
            await asyncio.sleep(60)
        return "done"

    async def main():
        async with Run("etl", store=store, id="a", timeout=seconds) as scope:
            once_slow()
        return scope.state

    seconds = 0.05
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    seconds = None
    with sqlite3.connect(store) as connection:
        ((state, error),) = connection.execute("SELECT state, error FROM runs").fetchall()
    connection.close()

    assert (state, "TimeoutError" in error) == ("failed", True)
    assert asyncio.run(main()) is State.SUCCEEDED


@pytest.mark.parametrize("given", [0, -1, "5", True, float("inf"), float("nan")])
def test_a_time_that_cannot_be_is_refused(given):
    with pytest.raises(OptionError, match="timeout"):
        Run(timeout=given)


# A run that was told to end


def test_a_drained_run_is_cancelled_although_its_scope_did_not_wait_for_the_rest():
    async def main():
        scope = Run(limit=1)
        async with scope:
            first, second = late(2), late(2)
            asyncio.get_running_loop().call_later(1, scope.drain)
        return scope.state, first.state, second.state

    assert run(main()) == (State.CANCELLED, State.SUCCEEDED, State.CANCELLED)


def test_a_stopped_run_is_cancelled_although_its_scope_did_not_wait_for_the_rest():
    async def main():
        scope = Run()
        async with scope:
            node = late(2)
            asyncio.get_running_loop().call_later(1, scope.stop)
        return scope.state, node.state

    assert run(main()) == (State.CANCELLED, State.CANCELLED)


def test_what_a_body_calls_while_its_run_drains_is_cancelled_and_so_is_the_run():
    @task
    async def parent():
        await asyncio.sleep(2)
        add(1)

    async def main():
        scope = Run()
        async with scope:
            node = parent()
            asyncio.get_running_loop().call_later(1, scope.drain)
        return scope.state, node.state

    assert run(main()) == (State.CANCELLED, State.SUCCEEDED)


# Cancelling upstream


def test_cancelling_upstream_stops_what_only_the_node_needed_all_the_way_up():
    async def main():
        first = late(60)
        second = late(1, first)
        third = add(second, 1)
        assert third.cancel(upstream=True)
        await turns()
        return first.state, second.state, third.state

    assert run(main()) == (State.CANCELLED,) * 3


def test_cancelling_upstream_leaves_what_another_node_needs():
    async def main():
        root = late(2)
        shared = add(root, 1)
        left, right = add(shared, 1), add(shared, 2)
        left.cancel(upstream=True)
        return await right, left.state, root.state

    assert run(main()) == (5, State.CANCELLED, State.SUCCEEDED)


def test_cancelling_upstream_leaves_what_somebody_awaits():
    async def main():
        root = late(2)
        awaiting = asyncio.create_task(own(root))
        await turns()
        add(root).cancel(upstream=True)
        return await awaiting

    async def own(node):
        return await node

    assert run(main()) == 2


def test_cancelling_upstream_leaves_what_a_callback_watches():
    async def main():
        root = late(2)
        seen = asyncio.get_running_loop().create_future()
        root.add_done_callback(lambda node: seen.set_result(node.result()))
        add(root).cancel(upstream=True)
        return await seen

    assert run(main()) == 2


def test_cancelling_upstream_leaves_what_waits_for_any_outcome():
    async def main():
        root = late(2)
        cleaning = task(late.fn).after(settled(root))(0)
        add(root).cancel(upstream=True)
        return await cleaning, root.state

    assert run(main()) == (0, State.SUCCEEDED)


def test_cancelling_upstream_goes_over_edges_without_values():
    async def main():
        root = late(60)
        late.after(root)(1).cancel(upstream=True)
        await turns()
        return root.state

    assert run(main()) is State.CANCELLED


def test_cancelling_upstream_of_a_diamond_stops_all_of_it():
    async def main():
        root = late(60)
        left, right = add(root, 1), add(root, 2)
        end = add(left, right)
        end.cancel(upstream=True)
        await turns()
        return {node.state for node in (root, left, right, end)}

    assert run(main()) == {State.CANCELLED}


def test_cancelling_upstream_of_a_running_body_stops_what_it_awaits():
    @task
    async def parent():
        return await add(late(60), 1)

    async def main():
        async with Run() as scope:
            node = parent()
            await turns()
            node.cancel(upstream=True)
        return scope.graph().counts()["cancelled"]

    assert run(main()) == 3


def test_cancelling_without_upstream_goes_down_only():
    async def main():
        root = late(2)
        add(root).cancel()
        return await root

    assert run(main()) == 2


def test_a_settled_node_has_nothing_to_cancel():
    async def main():
        node = add(1)
        await node
        return node.cancel(upstream=True)

    assert run(main()) is False


def test_cancelling_upstream_takes_no_recursion():
    async def main():
        node = first = late(60)
        for _ in range(20_000):
            node = add(node)
        node.cancel(upstream=True)
        await turns()
        return first.state

    assert run(main()) is State.CANCELLED
