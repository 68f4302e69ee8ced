"""What a handled failure keeps alive: nothing, once the last who knows of it has let go; no garbage collector needed.

Each body holds something in its variables. It fails, somebody handles that, and what it held must go by counting
references alone, as with asyncio's own tasks: frames of ours are in the traceback, and must not lead back to the node.
"""

import asyncio
import contextlib
import gc
import time
import weakref

import pytest
from process_bodies import fails
from programs import SECONDS

from aiodag import Run, RunFailed, current_node, settled, task


class Held:
    """What a body has in its variables."""


@pytest.fixture
def held():
    """Collect weak references to what bodies held, without the garbage collector."""
    gc.collect()
    gc.disable()
    found = []
    yield found
    gc.enable()


@pytest.fixture
def hold(held):
    def made():
        one = Held()
        held.append(weakref.ref(one))
        return one

    return made


def kept(held):
    """Count what is still there. The thread that ran a body lets go of it only after it has woken the loop: real time."""
    assert held, "no body has run"
    until = time.monotonic() + SECONDS
    while (alive := sum(each() is not None for each in held)) and time.monotonic() < until:
        time.sleep(0.001)
    return alive


def bodies(hold):
    """Tasks that fail, each in a way of its own."""

    @task
    async def later():
        mine = hold()
        await asyncio.sleep(0)
        raise ValueError(type(mine))

    @task
    async def at_once():
        mine = hold()
        raise ValueError(type(mine))

    @task(timeout=0.01)
    async def too_late():
        mine = hold()
        await asyncio.sleep(60)
        return mine

    @task
    def in_thread():
        mine = hold()
        raise ValueError(type(mine))

    @task
    async def unexpected():
        mine = hold()
        other = asyncio.ensure_future(asyncio.sleep(60))
        other.cancel()
        await other
        return mine

    @task
    async def parent():
        return await later()

    @task
    async def needs(value):
        return value

    return {
        "later": later,
        "at once": at_once,
        "retries": at_once.with_options(retries=2),
        "timeout": too_late,
        "limit": at_once.with_options(limit=1),
        "everything": later.with_options(limit=1, retries=1, timeout=60),
        "thread": in_thread,
        "thread with options": in_thread.with_options(limit=1, retries=1, timeout=60),
        "unexpected cancel": unexpected,
        "parent": parent,
        "skipped": lambda: needs(needs(later())),
        "coroutine": lambda: needs(later.fn()),
    }


KINDS = [
    "later",
    "at once",
    "retries",
    "timeout",
    "limit",
    "everything",
    "thread",
    "thread with options",
    "unexpected cancel",
    "parent",
    "skipped",
    "coroutine",
]


@task
async def look(node):
    return str(node.state)


# The variables of a caller are in the traceback, too: one that keeps the node there makes a cycle of its own, with an
# asyncio task as well. So these let go of it.


async def awaited(call):
    await call()


async def by_result(call):
    node = call()
    await asyncio.wait([node])
    try:
        node.result()
    finally:
        del node


async def by_exception(call):
    node = call()
    await asyncio.wait([node])
    assert node.exception() is not None


async def gathered(call):
    await asyncio.gather(call())


async def given_settled(call):
    await look(settled(call()))


WAYS = {
    "await": awaited,
    "result": by_result,
    "exception": by_exception,
    "gather": gathered,
    "settled": given_settled,
}


async def handle(call, way):
    for _ in range(3):
        with contextlib.suppress(ValueError, TimeoutError, RuntimeError):
            await way(call)
    for _ in range(3):  # a loop calls back after the node has settled
        await asyncio.sleep(0)
    await asyncio.to_thread(str)  # a thread lets go of its call a moment after it has answered


each_way = pytest.mark.parametrize("way", WAYS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@each_way
def test_a_handled_failure_goes_with_its_node(kind, way, held, hold):
    async def main():
        await handle(bodies(hold)[kind], WAYS[way])
        return kept(held)

    assert asyncio.run(main()) == 0


@each_kind
@each_way
def test_a_run_does_not_hold_what_was_handled_in_it(kind, way, held, hold):
    async def main():
        async with Run() as run:
            await handle(bodies(hold)[kind], WAYS[way])
            inside = kept(held)
        return inside, str(run.state), run.graph().counts()["failed"] > 0

    assert asyncio.run(main()) == (0, "succeeded", True)


@each_kind
def test_nor_does_a_run_with_a_store_when_it_has_ended(kind, held, hold, tmp_path):
    async def main():
        async with Run(store=tmp_path / "runs.db"):
            await handle(bodies(hold)[kind], awaited)
        return kept(held)

    assert asyncio.run(main()) == 0


async def fail_as_a_whole(call, **options):
    try:
        async with Run(**options):
            call()
    except RunFailed as failed:
        assert failed.failures


@each_kind
@pytest.mark.parametrize("stored", [False, True], ids=["plain", "stored"])
def test_a_handled_failure_of_a_run_goes_with_it(kind, stored, held, hold, tmp_path):
    async def main():
        for _ in range(3):
            await fail_as_a_whole(bodies(hold)[kind], **({"store": tmp_path / "runs.db"} if stored else {}))
        return kept(held)

    assert asyncio.run(main()) == 0


def test_a_value_that_cannot_be_stored_goes_with_its_failure(held, hold, tmp_path):
    @task
    async def unstorable():
        return hold()

    async def main():
        await fail_as_a_whole(unstorable, store=tmp_path / "runs.db")
        return kept(held)

    assert asyncio.run(main()) == 0


def test_a_node_that_failed_in_a_process_goes(held):
    async def main():
        node = task(fails, executor="process", retries=1)(1)
        held.append(weakref.ref(node))
        with contextlib.suppress(LookupError):
            await node
        del node
        await asyncio.sleep(0)
        return kept(held)

    assert asyncio.run(main()) == 0


def test_a_deadlock_that_was_found_keeps_nothing(held, hold):
    @task
    async def body(box):
        mine = hold()
        await box.pop()
        return mine

    @task
    async def needs(value):
        return value

    async def main():
        box = []
        box.append(needs(body(box)))
        with pytest.raises(RuntimeError, match="waits for"):
            await box[0]
        box.clear()
        await asyncio.sleep(0)
        return kept(held)

    assert asyncio.run(main()) == 0


def test_an_untaken_failure_is_told_although_its_run_was_left_by_another_exception(held):
    told = []

    @task
    async def fail():
        raise ValueError("untold")

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        try:
            async with Run():
                node = fail()
                while not node.done():
                    await asyncio.sleep(0)
                del node
                raise LookupError
        except LookupError:
            pass

    asyncio.run(main())

    assert told == ["untold"]


def test_where_a_passed_on_exception_began_is_still_told():
    @task
    async def child():
        raise ValueError("first")

    @task
    async def parent():
        assert current_node() is not None
        return await child()

    async def main():
        async with Run():
            parent()

    with pytest.raises(RunFailed, match=r"parent\(\) failed: ValueError: first .*\n    first of all child\(\) failed"):
        asyncio.run(main())
