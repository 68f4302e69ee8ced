"""In its first step a body is inside of an asyncio task, the node, as in every later one; however that step is taken."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
import types
import weakref
from pathlib import Path

import pytest

from aiodag import Run, State, StoreError, UnexpectedCancel, current_node, current_run, task
from aiodag.stores import Memory
from aiodag.stores.row import STATE, VALUE

PLACE = contextvars.ContextVar("place", default="nowhere")


class Value:
    """Something that can be watched while it goes."""


class Anything:
    """A codec of any value, for what is not taken back."""

    name = "anything"

    def encode(self, value):
        return repr(type(value))

    def decode(self, stored):
        raise ValueError(stored)


async def plain(fn, *args):
    return await task(fn)(*args)


async def in_a_run(fn, *args):
    async with Run("first"):
        return await task(fn)(*args)


async def in_a_store(fn, *args):
    async with Run("first", store=Memory(), id="first"):
        return await task(fn, codec=Anything())(*args)


async def with_options(fn, *args):
    return await task(fn, timeout=60, retries=1, retry_on=ZeroDivisionError)(*args)


async def after_another(fn, *args):
    @task
    async def before():
        return None

    return await task(fn, before())(*args)


@pytest.fixture(params=[plain, in_a_run, in_a_store, with_options, after_another], ids=lambda way: way.__name__)
def way(request):
    return request.param


async def turn():
    """Wait for one turn of the loop."""
    await asyncio.sleep(0)


async def turns(done, most=20):
    """Wait until `done()`, for a bounded number of turns."""
    for _ in range(most):
        if done():
            return
        await turn()
    raise AssertionError("it has not come")


async def until(done):
    """Wait until `done()`, which a thread may have a part in."""
    async with asyncio.timeout(180):
        while not done():
            await turn()


# What asyncio says of it


async def test_it_is_the_current_task(way):
    async def body():
        return asyncio.current_task() is current_node()

    assert await way(body)
    assert type(asyncio.current_task()) is asyncio.Task


async def test_it_is_among_all_tasks(way):
    async def body():
        return current_node() in asyncio.all_tasks(), current_node() in asyncio.all_tasks(asyncio.get_running_loop())

    assert await way(body) == (True, True)


async def test_it_is_not_among_all_tasks_before_and_after():
    seen = []

    @task
    async def body():
        seen.append(len(asyncio.all_tasks()))

    before = asyncio.all_tasks()
    nodes = [body(), body(), body()]
    assert asyncio.all_tasks() == before
    for node in nodes:
        await node

    assert asyncio.all_tasks() == before
    assert seen[0] >= len(before) + 1


async def test_another_thread_sees_it_among_all_tasks():
    loop = asyncio.get_running_loop()
    seen = []

    @task
    async def body():
        thread = threading.Thread(target=lambda: seen.append(asyncio.all_tasks(loop)))
        thread.start()
        thread.join()
        return current_node()

    node = body()

    assert await node is node
    assert node in seen[0]


async def test_it_is_pending_and_running(way):
    async def body():
        node = current_node()
        return node.done(), node.cancelled(), node.state, node.cancelling(), node.get_loop()

    assert await way(body) == (False, False, State.RUNNING, 0, asyncio.get_running_loop())


async def test_it_has_no_result_yet(way):
    async def body():
        node = current_node()
        for ask in (node.result, node.exception):
            with pytest.raises(asyncio.InvalidStateError):
                ask()
        return node.attempt

    assert await way(body) == 1


async def test_it_has_a_coroutine_that_runs(way):
    async def body():
        coroutine = current_node().get_coro()
        return coroutine is not None, coroutine.__name__, coroutine.__qualname__

    there, *names = await way(body)

    assert there
    assert all(isinstance(name, str) for name in names)


async def test_its_stack_can_be_asked_for_and_printed(way):
    async def body():
        node = current_node()
        node.print_stack()
        return [frame.f_code.co_name for frame in node.get_stack()], repr(node)

    names, text = await way(body)

    assert names in ([], ["body"])
    assert "running" in text


async def test_its_name_can_be_read_and_set(way):
    async def body():
        node = current_node()
        before = node.get_name()
        node.set_name("mine")
        return before, node.get_name()

    before, after = await way(body)

    assert before.endswith("body")
    assert after == "mine"


async def test_a_name_that_is_set_in_it_stays():
    @task
    async def body(waits):
        current_node().set_name("mine")
        if waits:
            await turn()
        return asyncio.current_task().get_name()

    for waits in (False, True, False):
        node = body(waits)
        assert await node == "mine"
        assert node.get_name() == "mine"


async def test_the_current_node_and_run_are_known(way):
    async def body():
        return type(current_node()).__name__, current_node().run is current_run()

    assert await way(body) == ("Node", True)
    assert current_node() is None


async def test_the_current_node_is_known_in_tasks_and_threads_of_the_body(way):
    async def helper():
        return current_node()

    async def body():
        here = current_node()
        helping = asyncio.create_task(helper())
        return (
            await asyncio.to_thread(current_node) is here,
            await helping is here,
            contextvars.copy_context().run(current_node) is here,
        )

    assert await way(body) == (True, True, True)


async def test_the_private_getters_of_asyncio_answer(way):
    asked = ["_state", "_result", "_exception", "_callbacks", "_asyncio_future_blocking"]
    asked += ["_must_cancel", "_coro", "_fut_waiter", "_cancel_message", "_source_traceback", "_loop"]

    async def body():
        node = current_node()
        return {name: getattr(node, name) for name in asked}

    answers = await way(body)

    assert answers["_state"] == "PENDING"
    assert answers["_must_cancel"] is answers["_asyncio_future_blocking"] is False
    assert answers["_result"] is answers["_exception"] is answers["_fut_waiter"] is answers["_cancel_message"] is None


async def test_a_node_that_has_settled_answers_them_too(way):
    nodes = []

    async def body():
        nodes.append(current_node())
        return 5

    await way(body)
    (node,) = nodes

    assert (node.done(), node.result(), node.exception(), node.cancelled()) == (True, 5, None, False)
    assert node._state == "FINISHED"  # noqa: SLF001 - some programs read them
    assert node._result == 5  # noqa: SLF001 - as above
    assert (node.get_stack(), node.cancelling(), node.uncancel()) == ([], 0, 0)


async def test_a_settled_node_refuses_a_result():
    node = task(turn)()
    await node

    @task
    async def at_once():
        return 1

    other = at_once()
    await other
    for each in (node, other):
        with pytest.raises(RuntimeError):
            each.set_result(2)
        with pytest.raises(RuntimeError):
            each.set_exception(LookupError())


# Cancelling itself


async def outcome(awaitable):
    """How something ends, as the name of an exception or the value."""
    try:
        return await awaitable
    except BaseException as error:  # noqa: BLE001 - asked for
        return type(error).__name__


async def test_a_body_that_cancels_itself_and_returns_is_cancelled(way):
    async def body():
        asyncio.current_task().cancel("why")
        return 1

    assert await outcome(way(body)) == "CancelledError"


async def test_a_cancel_of_itself_is_counted_and_comes_where_it_waits(way):
    seen = []

    async def body():
        node = asyncio.current_task()
        seen.append((node.cancel("why"), node.cancelling(), node.done()))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            seen.append((error.args, node.cancelling()))
            raise

    assert await outcome(way(body)) == "CancelledError"
    assert seen == [(True, 1, False), (("why",), 1)]


async def test_a_cancel_of_itself_comes_also_where_it_gives_the_loop_a_turn(way):
    async def body():
        asyncio.current_task().cancel("why")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            return error.args
        return None

    assert await way(body) == ("why",)


async def test_a_cancel_of_itself_can_be_caught_and_taken_back(way):
    async def body():
        node = asyncio.current_task()
        node.cancel()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            counted = node.cancelling(), node.uncancel(), node.cancelling()
        await asyncio.sleep(0)
        return counted

    assert await way(body) == (1, 0, 0)


async def test_several_cancels_are_counted(way):
    async def body():
        node = asyncio.current_task()
        node.cancel()
        node.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        counted = node.cancelling(), node.uncancel(), node.uncancel()
        await asyncio.sleep(0)
        return counted

    assert await way(body) == (2, 1, 0)


async def test_a_cancel_can_be_taken_back_before_it_waits(way):
    async def body(waits):
        node = asyncio.current_task()
        node.cancel()
        left = node.uncancel()
        if waits:
            await asyncio.sleep(0)
        return left

    expected = (
        0 if sys.version_info >= (3, 13) else "CancelledError"
    )  # asyncio sends it all the same before Python 3.13

    assert await outcome(way(body, False)) == expected
    assert await outcome(way(body, True)) in (expected, "RunFailed", "UnexpectedCancel")


async def test_a_body_that_cancels_itself_and_raises_fails(way):
    async def body():
        asyncio.current_task().cancel()
        raise LookupError("no")

    assert await outcome(way(body)) in ("LookupError", "RunFailed")


async def test_what_needs_a_body_that_cancels_itself_is_cancelled():
    @task
    async def body():
        current_node().cancel()
        return 1

    @task
    async def after(x):
        return x

    node = body()
    last = after(node)

    assert await outcome(last) == "CancelledError"
    assert (node.state, last.state) == (State.CANCELLED, State.CANCELLED)


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure():
    @task
    async def body():
        raise asyncio.CancelledError

    node = body()

    with pytest.raises(UnexpectedCancel):
        await node
    assert node.state is State.FAILED


async def test_others_can_cancel_it_while_its_step_goes_on():
    nodes = []

    @task
    async def first():
        nodes[0].cancel()  # as a function would that the body calls
        await asyncio.sleep(60)

    nodes.append(first())

    assert await outcome(nodes[0]) == "CancelledError"
    assert nodes[0].state is State.CANCELLED


# Callbacks


async def test_callbacks_from_before_and_from_inside_are_called_after_the_end(way):
    seen = []

    async def body(waits):
        current_node().add_done_callback(lambda node: seen.append(("inside", node.done(), node.result())))
        if waits:
            await turn()
        assert not seen
        return waits

    for waits in (False, True, False):
        await way(body, waits)
        await turns(lambda: seen)
        assert seen == [("inside", True, waits)]
        seen.clear()


async def test_callbacks_keep_their_order_and_their_context():
    seen = []

    @task
    async def body(waits):
        PLACE.set("inside")
        current_node().add_done_callback(lambda _: seen.append(PLACE.get()))
        if waits:
            await turn()
        current_node().add_done_callback(lambda _: seen.append(PLACE.get() + " again"))

    for waits in (False, True, False):
        PLACE.set("before")
        node = body(waits)
        node.add_done_callback(lambda _: seen.append(PLACE.get()))
        PLACE.set("later")
        await node
        node.add_done_callback(lambda _: seen.append(PLACE.get()))
        await turns(lambda: len(seen) == 4)
        assert seen == ["before", "inside", "inside again", "later"]
        seen.clear()


async def test_callbacks_can_be_taken_back_in_the_first_step(way):
    seen = []

    async def body():
        node = current_node()
        node.add_done_callback(seen.append)
        node.add_done_callback(seen.append)
        removed = node.remove_done_callback(seen.append)
        return removed, node.remove_done_callback(seen.append)

    assert await way(body) == (2, 0)
    await turn()
    await turn()
    assert seen == []


async def test_gather_wait_shield_and_wait_for_take_a_node_that_ends_at_once():
    @task
    async def same(x):
        return x

    assert await asyncio.gather(same(1), same(2)) == [1, 2]
    done, pending = await asyncio.wait([same(3)])
    assert ([each.result() for each in done], pending) == ([3], set())
    assert await asyncio.shield(same(4)) == 4
    assert await asyncio.wait_for(same(5), 60) == 5
    assert [await each for each in asyncio.as_completed([same(6)])] == [6]


async def test_gather_and_wait_take_a_node_that_has_ended():
    @task
    async def same(x):
        return x

    nodes = [same(1), same(2)]
    for node in nodes:
        await node

    assert await asyncio.gather(*nodes) == [1, 2]
    assert (await asyncio.wait(nodes))[0] == set(nodes)
    assert await asyncio.shield(nodes[0]) == 1
    assert await asyncio.wait_for(nodes[1], 60) == 2


async def test_an_asyncio_task_that_it_makes_can_await_it():
    @task
    async def body(waits):
        node = current_node()

        async def helper():
            return await node

        helping = asyncio.create_task(helper())
        if waits:
            await turn()
        return helping

    for waits in (False, True, False):
        node = body(waits)
        assert await (await node) is node.result()


# Handing over to an asyncio task


async def test_a_body_is_the_same_task_before_and_after_it_waits(way):
    async def body():
        seen = []
        for _ in range(3):
            node = asyncio.current_task()
            seen.append((node, current_node(), node in asyncio.all_tasks()))
            await turn()
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        value = await future
        node = asyncio.current_task()
        seen.append((node, current_node(), node in asyncio.all_tasks()))
        return value, all(each == (seen[0][0], seen[0][0], True) for each in seen)

    assert await way(body) == (7, True)


async def test_a_body_that_waits_has_a_stack():
    @task
    async def body():
        await inner()

    async def inner():
        await asyncio.get_running_loop().create_future()

    for _ in range(2):
        node = body()
        await turns(lambda node=node: node.state is State.RUNNING)
        await turn()
        assert [frame.f_code.co_name for frame in node.get_stack()] == ["body", "inner"]
        assert [frame.f_code.co_name for frame in node.get_stack(limit=1)] == ["inner"]
        assert node.get_coro() is not None
        node.cancel()
        assert await outcome(node) == "CancelledError"


async def test_a_body_that_waits_at_first_is_cancelled_where_it_waits(way):
    seen, nodes = [], []

    async def body():
        nodes.append(current_node())
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    for _ in range(2):
        waiting = asyncio.ensure_future(outcome(way(body)))
        await until(lambda: nodes)
        nodes[0].cancel("why")  # perhaps in the very turn in which its first step was taken
        assert await waiting == "CancelledError"
        assert (seen, nodes[0].state) == ([("why",)], State.CANCELLED)
        seen.clear()
        nodes.clear()


async def test_what_it_waits_for_is_cancelled_with_it():
    future = None

    @task
    async def body():
        nonlocal future
        future = asyncio.get_running_loop().create_future()
        await future

    for _ in range(2):
        node = body()
        await turns(lambda: future is not None)
        node.cancel()
        await outcome(node)
        assert future.cancelled()
        future = None


async def test_a_cancel_that_its_future_swallows_does_not_reach_the_body(way):
    class Stubborn(asyncio.Future):
        def cancel(self, msg=None):
            self.set_result("swallowed")
            return True

    nodes = []

    async def body():
        nodes.append(current_node())
        return await Stubborn()

    for _ in range(2):
        waiting = asyncio.ensure_future(way(body))
        await until(lambda: nodes)
        nodes[0].cancel()
        assert await waiting == "swallowed"
        nodes.clear()


async def test_what_it_waits_for_may_fail_or_be_done_at_once():
    @task
    async def failing():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, LookupError("no"))
        await future

    @task
    async def ready():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 1)
        return await future + await asyncio.sleep(0, 1)

    for _ in range(2):
        assert await outcome(failing()) == "LookupError"
        assert await ready() == 2


async def test_a_body_that_yields_what_nobody_can_await_is_told_so():
    class Wrong:
        def __await__(self):
            yield 42

    @task
    async def body():
        try:
            await Wrong()
        except RuntimeError as error:
            await turn()
            return str(error)

    for _ in range(2):
        assert "42" in await body()


async def test_a_body_that_awaits_a_future_of_another_loop_is_told_so():
    other = asyncio.new_event_loop()
    foreign = other.create_future()
    other.close()

    @task
    async def body():
        await foreign

    for _ in range(2):
        assert await outcome(body()) == "RuntimeError"


async def test_a_body_that_awaits_itself_is_told_so():
    @task
    async def body():
        await current_node()

    for _ in range(2):
        assert await outcome(body()) == "Deadlock"


async def test_a_task_that_waits_only_sometimes(way):
    async def body(x):
        if x % 3:
            await asyncio.sleep(0)
        return x

    made = task(body)

    assert [await way(body, x) for x in range(7)] == list(range(7))
    assert [await node for node in [made(x) for x in range(20)]] == list(range(20))


async def test_bodies_begin_in_the_order_of_their_calls_whether_they_wait_or_not():
    begun = []

    @task
    async def waits(x):
        begun.append(x)
        await asyncio.get_running_loop().run_in_executor(None, int)

    @task
    async def ends(x):
        begun.append(x)

    await waits(0)
    for node in [waits(1), ends(2), waits(3), ends(4)]:
        await node

    assert begun == [0, 1, 2, 3, 4]


async def test_a_chain_of_bodies_that_wait_sometimes():
    @task
    async def step(x):
        if x % 2:
            await turn()
        return x + 1

    last = step(0)
    for _ in range(500):
        last = step(last)

    assert await last == 501


async def test_timeouts_work_in_the_first_step(way):
    async def body():
        try:
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return current_node().cancelling()

    assert await way(body) == 0
    assert await way(body) == 0


async def test_a_timeout_that_does_not_expire_costs_nothing(way):
    async def body(waits):
        async with asyncio.timeout(60) as scope:
            if waits:
                await turn()
        return scope.expired()

    assert [await way(body, waits) for waits in (False, True, False)] == [False, False, False]


async def test_task_groups_work_in_the_first_step(way):
    async def helper(x):
        await turn()
        return x

    async def body():
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(helper(x)) for x in range(3)]
        return [each.result() for each in made]

    assert await way(body) == [0, 1, 2]
    assert await way(body) == [0, 1, 2]


async def test_a_task_group_that_fails_cancels_the_body_once():
    async def helper():
        raise LookupError("no")

    @task
    async def body():
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(helper())
                await asyncio.get_running_loop().create_future()
        except* LookupError:
            pass
        await turn()
        return current_node().cancelling()

    for _ in range(2):
        assert await body() == 0


async def test_an_empty_task_group_needs_no_turn(way):
    async def body():
        async with asyncio.TaskGroup():
            pass
        return 1

    assert await way(body) == 1


# Context variables


async def test_context_variables_hold_from_the_first_step_on(way):
    async def body(waits):
        before = PLACE.get()
        PLACE.set("mine")
        if waits:
            await turn()
        return before, PLACE.get(), current_node().get_context().get(PLACE)

    PLACE.set("call")
    assert [await way(body, waits) for waits in (False, True, False)] == [("call", "mine", "mine")] * 3
    assert PLACE.get() == "call"


# What a body may be


class Awaitable:
    def __init__(self, *values):
        self.values = values

    def __await__(self):
        for _ in self.values:
            yield
        return "awaited"


@types.coroutine
def generator(*values):
    for _ in values:
        yield
    return "generated"


@pytest.mark.parametrize("values", [(), (1, 2)], ids=["at once", "later"])
async def test_a_body_may_be_any_awaitable(values):
    class Calls:
        def __init__(self, body):
            self.body = body

        async def __call__(self, *values):
            return await self.body(*values)

    async def future(*values):
        future = asyncio.get_running_loop().create_future()
        future.set_result("done")
        return await future

    for _ in range(2):
        assert await task(Calls(Awaitable))(*values) == "awaited"
        assert await task(Calls(generator))(*values) == "generated"
        assert await task(future)(*values) == "done"


@pytest.mark.parametrize("values", [(), (1, 2)], ids=["at once", "later"])
@pytest.mark.parametrize("made", [Awaitable, generator])
async def test_an_async_callable_may_return_any_awaitable(made, values):
    class Other(functools.partial):
        """Looks like the async function that it stands for."""

        def __call__(self):
            return made(*values)

    async def looks_async(): ...

    for _ in range(2):
        assert await task(Other(looks_async))() in {"awaited", "generated"}


async def test_an_async_callable_that_returns_no_awaitable_fails():
    class Other(functools.partial):
        def __call__(self):
            return 42

    async def looks_async(): ...

    for _ in range(2):
        with pytest.raises(TypeError, match="await"):
            await task(Other(looks_async))()


async def test_a_stop_iteration_is_a_runtime_error(way):
    async def body(waits):
        if waits:
            await turn()
        raise StopIteration(1)

    for waits in (False, True, False):
        assert await outcome(way(body, waits)) in ("RuntimeError", "RunFailed")


async def test_a_body_that_returns_nothing(way):
    async def body():
        pass

    assert await way(body) is None
    assert await way(body) is None


async def test_a_body_that_raises_at_once_or_later_fails(way):
    async def body(waits):
        if waits:
            await turn()
        raise LookupError(f"no {waits}")

    for waits in (False, True, False):
        assert await outcome(way(body, waits)) in ("LookupError", "RunFailed")


async def test_a_call_that_raises_before_there_is_a_coroutine_fails():
    def decorated(fn):
        async def call(*args):
            return await fn(*args)

        return call

    def broken(*args):
        raise LookupError("before")

    assert await outcome(task(decorated(broken))()) == "LookupError"


async def test_a_system_exit_is_the_failure_of_its_node_alone():
    @task
    async def body(waits):
        if waits:
            await turn()
        raise SystemExit(3)

    for waits in (False, True, False):
        node = body(waits)
        with pytest.raises(SystemExit):
            await node
        assert node.state is State.FAILED


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
def test_a_keyboard_interrupt_stops_the_loop_and_is_no_failure(waits):
    nodes, started = [], []

    @task
    async def body():
        started.append(current_node())
        if waits:
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    @task
    async def other(x):
        return x

    async def main():
        nodes.extend([body(), other(1), other(2)])
        nodes.append(other(nodes[0]))
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())

    assert [node.state for node in nodes][::3] == [State.CANCELLED, State.CANCELLED]
    assert started == nodes[:1]


def test_after_an_interrupt_no_node_is_current():
    @task
    async def body():
        raise KeyboardInterrupt

    @task
    async def after():
        return asyncio.current_task() is current_node()

    loop = asyncio.new_event_loop()
    try:

        async def main():
            body()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        main_task = loop.create_task(main())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main_task)
        assert asyncio.current_task(loop) is None
        loop.run_until_complete(main_task)

        async def again():
            return await after()

        assert loop.run_until_complete(again()) is True
    finally:
        loop.close()


# Failures, and how long things live


async def test_the_traceback_of_a_failure_begins_in_the_body(way):
    async def body(waits):
        if waits:
            await turn()
        await inner()

    async def inner():
        raise LookupError("no")

    for waits in (False, True, False):
        try:
            await way(body, waits)
        except* LookupError as group:
            error = group.exceptions[0]
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            assert names[-2:] == ["body", "inner"]
            shown = node_failure_names(error)
            assert shown == ["body", "inner"]


def node_failure_names(error):
    """The frames from the body on."""
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    return names[names.index("body") :]


@contextlib.contextmanager
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_a_node_and_its_value_go_by_counting_alone(waits):
    @task
    async def body():
        if waits:
            await turn()
        return Value()

    with without_collector():
        for _ in range(2):
            node = body()
            value = weakref.ref(await node)
            assert value() is not None
            known = weakref.ref(node)
            del node
            await turn()
            assert (known(), value()) == (None, None)


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_a_failure_and_its_variables_go_by_counting_alone(waits):
    held = []

    @task
    async def body():
        value = Value()
        held.append(weakref.ref(value))
        if waits:
            await turn()
        raise LookupError("no")

    with without_collector():
        for _ in range(2):
            node = body()
            known = weakref.ref(node)
            with contextlib.suppress(LookupError):
                await node
            del node
            await turn()
            assert (known(), held.pop()()) == (None, None)


async def test_a_failure_that_nobody_awaited_is_told_by_counting_alone():
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))

    @task
    async def body():
        raise LookupError("no")

    with without_collector():
        body()
        await turns(lambda: told)

    assert "nobody handled it" in told[0]


async def test_arguments_are_the_body_s_alone():
    @task
    async def body(x, waits):
        known = weakref.ref(x)
        del x
        if waits:
            await turn()
        return known()

    with without_collector():
        for waits in (False, True, False):
            assert await body(Value(), waits) is None


async def test_a_body_that_waits_for_what_only_it_holds_is_not_collected():
    known = []

    @task
    async def body():
        future = asyncio.get_running_loop().create_future()
        known.append(weakref.ref(future))
        return await future

    @task
    async def keep(x, seen):
        seen.append(x)

    seen = []
    keep(body(), seen)
    await turns(lambda: known)
    await turn()
    gc.collect()
    known[0]().set_result("still there")
    await turns(lambda: seen)

    assert seen == ["still there"]


async def test_a_cancelled_body_goes_by_counting_alone():
    @task
    async def body():
        value = Value()
        held.append(weakref.ref(value))
        await asyncio.get_running_loop().create_future()

    held = []
    with without_collector():
        for _ in range(2):
            node = body()
            await turns(lambda: held)
            node.cancel()
            known = weakref.ref(node)
            assert await outcome(node) == "CancelledError"
            del node
            await turn()
            assert (known(), held.pop()()) == (None, None)


# Where it is taken with an asyncio task


async def test_a_loop_in_debug_mode_takes_it_with_an_asyncio_task():
    @task
    async def body():
        return current_node()._coro is not None  # noqa: SLF001 - what only an asyncio task has

    asyncio.get_running_loop().set_debug(True)

    assert await body() is True


def output_of(program, **environment):
    """What a program prints."""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_the_environment_can_ask_for_asyncio_tasks():
    program = """
import asyncio, aiodag

@aiodag.task
async def body():
    return aiodag.current_node()._coro is not None

async def main():
    print(await body())

asyncio.run(main())
"""
    assert output_of(program, AIODAG_FIRST_STEP="task") == "True\n"


def test_asyncio_tasks_written_in_python_will_do():
    """What nests event loops, as notebooks do, puts them in the place of those written in C."""
    program = """
import asyncio, asyncio.futures, asyncio.tasks

asyncio.Task = asyncio.tasks.Task = asyncio.tasks._PyTask
asyncio.Future = asyncio.futures.Future = asyncio.futures._PyFuture

import aiodag

@aiodag.task
async def add(x, waits):
    if waits:
        await asyncio.sleep(0)
    return x + 1

@aiodag.task
async def fail(x):
    raise LookupError(x)

async def main():
    node = add(add(1, False), True)
    node.add_done_callback(lambda node: print("called with", node.result()))
    print(await asyncio.gather(node, add(5, False)))
    try:
        await fail(node)
    except LookupError as error:
        print("failed with", error)

asyncio.run(main())
"""

    assert output_of(program) == "called with 3\n[3, 6]\nfailed with 3\n"


def test_what_stands_for_the_nodes_of_a_loop_among_all_tasks_goes_with_the_loop():
    @task
    async def body():
        return current_node() in asyncio.all_tasks()

    async def main():
        return weakref.ref(asyncio.get_running_loop()), await body()

    loop, seen = asyncio.run(main())
    gc.collect()

    assert (loop(), seen) == (None, True)


# In a run with a store: between the end of a body and the commit of its value


class Slow(Memory):
    """A store that writes no success before it may."""

    def __init__(self):
        super().__init__()
        self.may_write = threading.Event()
        self.asked = threading.Event()  # to write one
        self.fault = None

    def write_all(self, writes):
        if any(row[STATE] is State.SUCCEEDED for write in writes for row in write.batch.nodes):
            self.asked.set()
            self.may_write.wait(180)  # a test that fails must not hang
            if self.fault is not None:
                raise self.fault
        return super().write_all(writes)


@pytest.fixture
def slow():
    store = Slow()
    yield store
    store.may_write.set()


async def asked(store):
    await asyncio.to_thread(store.asked.wait)


@task
async def give(value):
    return value


async def test_a_recorded_body_that_ended_is_no_success_before_it_is_written(slow):
    before = asyncio.all_tasks()
    seen = []
    async with Run("slow", store=slow, id="slow"):
        node = give(1)
        last = give(node)
        awaiting = asyncio.ensure_future(asyncio.gather(node, last))
        node.add_done_callback(lambda node: seen.append(node.result()))
        await asked(slow)
        await turn()

        assert (node.state, node.done(), node.attempt, last.state) == (State.RUNNING, False, 1, State.WAITING)
        assert (node.cancelling(), node.uncancel(), node.get_stack(), node.cancelled()) == (0, 0, [], False)
        assert asyncio.all_tasks() == before
        assert seen == []
        for ask in (node.result, node.exception):
            with pytest.raises(asyncio.InvalidStateError):
                ask()

        slow.may_write.set()

        assert await awaiting == [1, 1]
        assert (node.state, node.result(), seen) == (State.SUCCEEDED, 1, [1])


async def test_a_recorded_body_that_ended_can_be_cancelled_until_it_is_written(slow):
    async with Run("slow", store=slow, id="slow") as run:
        node = give(1)
        last = give(node)
        awaiting = asyncio.ensure_future(outcome(node))
        await asked(slow)

        assert node.cancel("why")
        assert (node.state, last.state, node.cancelled()) == (State.CANCELLED, State.CANCELLED, True)
        assert await awaiting == "CancelledError"
        slow.may_write.set()

    assert (node.state, last.state, run.state) == (State.CANCELLED, State.CANCELLED, State.SUCCEEDED)
    async with Run("slow", store=slow, id="slow"):  # its success was on the way
        again = give(1)
        assert await again == 1
        assert again.attempt == 1


async def test_a_success_that_cannot_be_written_is_seen_by_nobody(slow):
    slow.fault = StoreError("the disk is full")
    nodes = []

    async def main():
        async with Run("slow", store=slow, id="slow"):
            nodes.append(give(1))
            nodes.append(give(nodes[0]))
            await asked(slow)
            slow.may_write.set()
            await nodes[0]

    with pytest.raises(StoreError, match="the disk is full"):
        await main()
    assert [node.state for node in nodes] == [State.CANCELLED, State.CANCELLED]


async def test_a_recorded_body_that_raises_fails_at_once(slow):
    @task
    async def fail():
        raise LookupError("no")

    async with Run("slow", store=slow, id="slow"):
        other = give(1)
        node = fail()
        assert await outcome(node) == "LookupError"
        assert (node.state, other.state) == (State.FAILED, State.RUNNING)
        slow.may_write.set()
    assert sorted(record.state for record in slow.nodes("slow")) == [State.FAILED, State.SUCCEEDED]


async def test_a_recorded_body_that_cancels_itself_and_returns_is_not_recorded_as_a_success():
    @task
    async def body(waits):
        if waits:
            await turn()
        current_node().cancel()
        return 1

    store = Memory()
    async with Run("first", store=store, id="first"):
        for waits in (False, True):
            assert await outcome(body(waits)) == "CancelledError"
    assert [record.state for record in store.nodes("first")] == [State.CANCELLED, State.CANCELLED]


async def test_a_value_that_one_run_cannot_write_is_not_the_others_fault():
    class Narrow(Memory):
        """A store that takes no value of more than 10 characters."""

        def write_all(self, writes):
            too_large = [any(len(row[VALUE] or "") > 10 for row in write.batch.nodes) for write in writes]
            fitting = iter(
                super().write_all([each for each, large in zip(writes, too_large, strict=True) if not large])
            )
            return [StoreError("too large") if large else next(fitting) for large in too_large]

    store = Narrow()

    async def run(name, value):
        async with Run(name, store=store, id=name):
            node = give(value)
        return node.result()

    outcomes = await asyncio.gather(*[outcome(run(str(size), "x" * size)) for size in (1, 20, 2)])

    assert outcomes == ["x", "StoreError", "xx"]
    assert [store.run(name).state for name in ("1", "2")] == [State.SUCCEEDED, State.SUCCEEDED]


async def test_the_successes_of_one_commit_leave_the_loop_its_turns(slow):
    count = 2_000
    counted = [0]
    running = True

    class Counter:
        def moved(self, move):
            counted[-1] += move.state is State.SUCCEEDED

    async def ticking():
        while running:
            await turn()
            counted.append(0)

    async with Run("slow", store=slow, id="slow", observers=[Counter()]):
        nodes = give.map(range(count))
        await asked(slow)
        await until(lambda: all(node.state is State.RUNNING for node in nodes))
        ticks = asyncio.ensure_future(ticking())
        slow.may_write.set()
        await asyncio.gather(*nodes)
        running = False
        await ticks

    assert sum(counted) == count
    assert max(counted) <= 512


def test_a_process_killed_between_the_end_of_a_body_and_its_commit_runs_it_again(tmp_path):
    program = """
import asyncio, os, signal, sys
from aiodag import Run, State, task
from aiodag.stores import SQLite

class Deadly(SQLite):
    def write_all(self, writes):
        if any(row[5] is State.SUCCEEDED for write in writes for row in write.batch.nodes):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write_all(writes)

@task
async def first():
    print("first", flush=True)
    return 1

@task
async def second(x):
    print("second", x, flush=True)

async def main():
    kind = Deadly if sys.argv[2] == "deadly" else SQLite
    async with Run("killed", store=kind(sys.argv[1]), id="killed"):
        second(first())

asyncio.run(main())
"""
    path = tmp_path / "runs.db"
    printed = [
        subprocess.run([sys.executable, "-c", program, path, how], stdout=subprocess.PIPE, text=True, check=False)
        for how in ("deadly", "kindly", "kindly")
    ]

    assert [each.returncode for each in printed] == [-signal.SIGKILL, 0, 0]
    assert [each.stdout for each in printed] == ["first\n", "first\nsecond 1\n", ""]
