"""A node is an asyncio task to those who ask it what they ask one, in whatever state it is."""

import asyncio
import inspect
import io
from contextvars import Context, ContextVar

import pytest

from aiodag import Run, task

KNOWN = ContextVar("known", default="")


@task
async def late(seconds, *more):
    await asyncio.sleep(seconds)
    return seconds


@task
async def fail():
    raise LookupError("no")


async def settle(node):
    await asyncio.wait([node])
    return node


async def waiting():
    return late(0, late(60))


async def queued():
    return late(60)


async def running():
    node = late(60)
    await asyncio.sleep(0.01)
    return node


async def awaiting_another_attempt():
    node = fail.with_options(retries=1, backoff=60)()
    await asyncio.sleep(0.01)
    return node


async def succeeded():
    return await settle(late(0))


async def failed():
    node = await settle(fail())
    assert node.exception() is not None
    return node


async def skipped():
    node = await settle(late(fail()))
    assert node.exception() is not None
    return node


async def cancelled_before_the_start():
    node = late(0, late(60))
    node.cancel("why")
    return node


async def cancelled_while_it_ran():
    node = await running()
    node.cancel("why")
    return await settle(node)


STATES = [
    waiting,
    queued,
    running,
    awaiting_another_attempt,
    succeeded,
    failed,
    skipped,
    cancelled_before_the_start,
    cancelled_while_it_ran,
]


@pytest.fixture(params=STATES, ids=lambda state: state.__name__)
async def node(request):
    KNOWN.set("of the call")
    node = await request.param()
    yield node
    node.cancel(upstream=True)
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        if type(other) is type(node):
            other.cancel()
    await asyncio.sleep(0)


async def test_every_public_method_of_a_task_has_an_answer(node):
    known = {name for name, _ in inspect.getmembers(asyncio.Task) if not name.startswith("_")}
    asked = {
        "add_done_callback": lambda: (node.add_done_callback(print), node.remove_done_callback(print)),
        "cancel": lambda: None,  # below
        "cancelled": node.cancelled,
        "cancelling": node.cancelling,
        "done": node.done,
        "exception": lambda: answer(node.exception),
        "get_context": node.get_context,
        "get_coro": node.get_coro,
        "get_loop": node.get_loop,
        "get_name": node.get_name,
        "get_stack": node.get_stack,
        "print_stack": lambda: node.print_stack(file=io.StringIO()),
        "remove_done_callback": lambda: node.remove_done_callback(print),
        "result": lambda: answer(node.result),
        "set_exception": lambda: answer(node.set_exception, LookupError()),
        "set_name": lambda: node.set_name("mine"),
        "set_result": lambda: answer(node.set_result, 1),
        "uncancel": node.uncancel,
    }

    for ask in asked.values():
        ask()

    assert known - set(asked) == set()


def answer(method, *given):
    """What asyncio may raise for a task: no result yet, cancelled, failed, and that nobody sets its outcome."""
    try:
        return method(*given)
    except (asyncio.InvalidStateError, asyncio.CancelledError, LookupError, RuntimeError) as error:
        return error


async def test_the_name_is_the_one_of_the_task_until_another_is_set(node):
    assert node.get_name() == node.name

    node.set_name(42)

    assert node.get_name() == "42"


async def test_a_stack_is_printed(node):
    file = io.StringIO()

    node.print_stack(file=file)

    assert file.getvalue().startswith(("Stack for", "No stack for", "Traceback for"))


async def test_the_loop_and_the_context_are_those_of_the_call(node):
    assert node.get_loop() is asyncio.get_running_loop()
    assert isinstance(node.get_context(), Context)


async def test_its_repr_says_what_and_how_it_is(node):
    assert repr(node).startswith(f"<Node {node.name} {node.state} at ")


async def test_callbacks_are_called_once_and_can_be_taken_back(node):
    seen, other = [], []

    def see(done):
        seen.append(done is node)

    node.add_done_callback(see)
    node.add_done_callback(other.append)

    assert node.remove_done_callback(other.append) == (0 if node.done() else 1)
    node.cancel()
    await asyncio.wait([node])
    await asyncio.sleep(0)
    assert seen == [True]


async def test_a_name_that_was_set_before_the_start_is_there_in_the_body():
    @task
    async def body():
        return asyncio.current_task().get_name()

    node = body()
    node.set_name("mine")

    assert await node == "mine"


async def test_cancels_are_counted_as_asyncio_counts_them():
    asked = late(0, late(60))
    running_one = await running()

    before = asked.cancelling(), running_one.cancelling()
    asked.cancel()
    running_one.cancel()

    assert before == (0, 0)
    assert (asked.cancelling(), running_one.cancelling()) == (1, 1)
    await asyncio.wait([running_one])


async def test_a_recalled_node_is_a_task_like_any(tmp_path):
    async def execution():
        async with Run("r", store=tmp_path / "runs.db", id="r"):
            return await settle(late(0))

    await execution()
    node = await execution()

    node.set_name("recalled")
    node.print_stack(file=io.StringIO())
    assert (node.get_name(), node.get_coro(), node.get_stack(), node.cancelling()) == ("recalled", None, [], 0)
    assert node.result() == 0
