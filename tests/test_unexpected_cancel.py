"""A CancelledError that nobody asked for is a failure, however it came about; one that somebody asked for is a cancel."""

import asyncio
import concurrent.futures
import pickle

import pytest
from process_bodies import cancels

from aiodag import Limit, Run, RunFailed, State, UnexpectedCancel, settled, task
from aiodag.testing import run

pytestmark = pytest.mark.filterwarnings("error")


async def helper():
    other = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    other.cancel()
    await other


async def by_hand():
    raise asyncio.CancelledError("by hand")


async def foreign_future():
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def gathered():
    other = asyncio.ensure_future(asyncio.sleep(60))
    other.cancel()
    await asyncio.gather(other, asyncio.sleep(0))


async def swallowed_first():
    async with asyncio.timeout(60):
        await helper()


async def a_cancel_of_its_own_that_is_over():
    try:
        async with asyncio.timeout(1):
            await asyncio.sleep(60)
    except TimeoutError:
        await helper()


def in_thread():
    raise asyncio.CancelledError


def a_remote_future_in_a_thread():
    future = concurrent.futures.Future()
    future.cancel()
    future.result()


async def at_once():
    raise asyncio.CancelledError


BODIES = [
    helper,
    by_hand,
    foreign_future,
    gathered,
    swallowed_first,
    a_cancel_of_its_own_that_is_over,
    in_thread,
    a_remote_future_in_a_thread,
    at_once,
]
OPTIONS = {"plain": {}, "limit": {"limit": 2}, "timeout": {"timeout": 60}, "retries": {"retries": 1}}

each_body = pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)


@task
async def step(x):
    return x


@task
async def late(seconds):
    await asyncio.sleep(seconds)
    return seconds


@each_body
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_what_nobody_cancelled_has_failed_and_skips_what_needs_it(body, options):
    failing = task(body, **options)

    async def main():
        node = failing()
        down = step(node)
        with pytest.raises(UnexpectedCancel, match="nobody asked to cancel it") as caught:
            await down
        return node.state, down.state, type(caught.value.__cause__)

    assert run(main()) == (State.FAILED, State.SKIPPED, asyncio.CancelledError)


@each_body
def test_its_run_fails_and_says_so(body):
    failing = task(body)

    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run() as scope:
                step(failing())
        return scope.state, [failure.root.partition("(")[0] for failure in caught.value.failures]

    assert run(main()) == (State.FAILED, [body.__name__])


@each_body
def test_it_is_tried_again(body):
    tries = []

    if asyncio.iscoroutinefunction(body):

        async def twice():
            tries.append(1)
            return "fine" if len(tries) == 2 else await body()

    else:

        def twice():
            tries.append(1)
            return "fine" if len(tries) == 2 else body()

    async def main():
        return await task(twice, retries=1)()

    assert run(main()) == "fine"


def test_it_is_reported_when_nobody_takes_it():
    told = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        task(helper)()
        await asyncio.sleep(1)

    run(main())

    assert told == [UnexpectedCancel]


def test_a_body_in_a_process_that_raises_it_has_failed():
    async def main():
        with pytest.raises(UnexpectedCancel):
            await task(cancels, executor="process")()

    asyncio.run(main())


def test_a_durable_run_records_the_failure_and_runs_it_again(tmp_path):
    calls = []

    @task
    async def once_cancelled():
        calls.append(1)
        if len(calls) == 1:
            await helper()
        return "fine"

    async def main():
        async with Run("r", store=tmp_path / "runs.db", id="r") as scope:
            once_cancelled()
        return scope.state

    with pytest.raises(RunFailed, match="UnexpectedCancel"):
        asyncio.run(main())

    assert asyncio.run(main()) is State.SUCCEEDED


@pytest.mark.parametrize("make", [lambda: helper(), lambda: asyncio.ensure_future(helper())], ids=["coroutine", "task"])
def test_an_awaitable_passed_as_an_edge_fails_likewise(make):
    async def main():
        node = step(make())
        with pytest.raises(UnexpectedCancel):
            await node
        return node.state

    assert run(main()) is State.SKIPPED


def test_an_error_in_one_branch_leaves_the_others_alone():
    async def main():
        with pytest.raises(RunFailed):
            async with Run():
                task(helper)()
                other = late(1)
        return other.state

    assert run(main()) is State.SUCCEEDED


def test_fail_fast_knows_it_for_a_failure():
    async def main():
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                task(helper)()
                other = late(60)
        return other.state

    assert run(main()) is State.CANCELLED


def test_the_body_of_a_run_that_raises_it_fails_the_run():
    async def main():
        scope = Run("etl")
        with pytest.raises(UnexpectedCancel, match="the body of run 'etl'") as caught:
            async with scope:
                other = late(60)
                await helper()
        return scope.state, other.state, type(caught.value.__cause__)

    assert run(main()) == (State.FAILED, State.CANCELLED, asyncio.CancelledError)


def test_it_can_be_pickled_with_its_text():
    error = UnexpectedCancel("fetch")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# What somebody asked for is a cancel


async def outcome(node):
    try:
        await node
    except asyncio.CancelledError:
        return node.state
    return None


def test_a_node_that_somebody_cancels_is_cancelled():
    async def main():
        node = late(60)
        asyncio.get_running_loop().call_later(1, node.cancel)
        return await outcome(node)

    assert run(main()) is State.CANCELLED


def test_a_body_that_cancels_itself_is_cancelled():
    @task
    async def body():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async def main():
        return await outcome(body())

    assert run(main()) is State.CANCELLED


async def directly(node):
    await node


async def in_a_helper_task(node):
    await asyncio.create_task(directly(node))


async def in_gather(node):
    await asyncio.gather(node, late(1))


async def by_result(node):
    await asyncio.wait([node])
    node.result()


async def by_exception(node):
    await asyncio.wait([node])
    node.exception()


WAYS = [directly, in_a_helper_task, in_gather, by_result, by_exception]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("started", [True, False], ids=["running", "waiting"])
def test_a_body_that_awaits_a_cancelled_node_is_cancelled_with_it(way, started):
    @task
    async def body(node):
        await way(node.dep)

    class Box:
        def __init__(self, dep):
            self.dep = dep

    async def main():
        async with Run() as scope:
            needed = late(60) if started else step(late(2))
            node = body(Box(needed))
            await asyncio.sleep(1)
            needed.cancel()
            state = await outcome(node)
        return state, scope.state

    assert run(main()) == (State.CANCELLED, State.SUCCEEDED)


def test_the_body_of_a_run_that_awaits_a_cancelled_node_is_cancelled():
    async def main():
        scope = Run()
        with pytest.raises(asyncio.CancelledError):
            async with scope:
                node = late(60)
                asyncio.get_running_loop().call_later(1, node.cancel)
                await node
        return scope.state

    assert run(main()) is State.CANCELLED


def test_a_timeout_around_a_run_cancels_it():
    async def main():
        scope = Run()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                async with scope:
                    await asyncio.sleep(60)
        return scope.state

    assert run(main()) is State.CANCELLED


def test_a_task_group_that_fails_around_a_body_cancels_what_is_in_it():
    @task
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            raise LookupError

    async def main():
        node = body()
        with pytest.raises(ExceptionGroup):
            await node
        return node.state

    assert run(main()) is State.FAILED


def test_a_future_that_somebody_cancels_cancels_what_it_was_passed_to():
    async def main():
        future = asyncio.get_running_loop().create_future()
        node = step(future)
        asyncio.get_running_loop().call_later(1, future.cancel)
        return await outcome(node)

    assert run(main()) is State.CANCELLED


def test_an_asyncio_task_that_somebody_cancels_cancels_what_it_was_passed_to():
    async def main():
        other = asyncio.ensure_future(asyncio.sleep(60))
        node = step(other)
        asyncio.get_running_loop().call_later(1, other.cancel)
        return await outcome(node)

    assert run(main()) is State.CANCELLED


def test_a_cancel_while_waiting_for_a_limit_is_a_cancel():
    guarded = task(late.fn, limit=Limit(1))

    async def main():
        first, second = guarded(5), guarded(5)
        asyncio.get_running_loop().call_later(1, second.cancel)
        state = await outcome(second)
        return state, await first

    assert run(main()) == (State.CANCELLED, 5)


def test_settled_gives_the_failed_node_to_who_asked_for_any_outcome():
    @task
    async def look(node):
        return type(node.exception()).__name__

    async def main():
        return await look(settled(task(helper)()))

    assert run(main()) == "UnexpectedCancel"
