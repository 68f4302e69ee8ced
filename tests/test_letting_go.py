"""A run that its process lets go of: its bodies stop, nothing more is recorded, and whoever goes on continues it."""

import asyncio
import threading

import pytest

from aiodag import LetGo, Run, State, current_run, task
from aiodag.commands import command
from aiodag.service import Service
from aiodag.stores import SQLite


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def look(store, run_id="r"):
    """The states of the nodes of a run, by their names, and how often each has begun."""
    return {node.name: (node.state, node.attempt) for node in store.nodes(run_id)}


class Waiting:
    """A body that has begun and waits, and what it met there."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.met = []

    async def wait(self):
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        except BaseException as error:
            self.met.append(type(error))
            raise


def waiter(waiting, **options):
    return task(waiting.wait, name="wait", key=lambda: "wait", **options)


async def leave(store, make, begun, **options):
    """Enter a run, make its nodes, and let go of it when a body has begun."""
    with pytest.raises(LetGo, match="'r' goes on in another process"):
        async with Run("r", store=store, id="r", **options) as run:
            nodes = make()
            await begun.wait()
            run.let_go()
    return run, nodes


@pytest.mark.parametrize("options", [{}, {"retries": 3}, {"timeout": 60}])
async def test_a_body_that_waits_raises_let_go_and_nothing_of_that_is_recorded(store, options):
    waiting = Waiting()
    run, node = await leave(store, waiter(waiting, **options), waiting.begun)

    assert waiting.met == [LetGo]
    assert (run.state, node.state) == (State.QUEUED, State.CANCELLED)
    assert look(store) == {"wait": (State.RUNNING, 1)}
    assert store.run("r").state is State.RUNNING


async def test_neither_a_handler_of_failures_nor_one_of_cancels_sees_it(store):
    waiting, undone = Waiting(), []

    @task
    async def charge():
        try:
            await waiter(waiting)()
        except (Exception, asyncio.CancelledError):
            undone.append("refund")
            raise

    await leave(store, charge, waiting.begun)

    assert undone == []
    assert waiting.met == [LetGo]


async def test_a_task_that_is_called_meanwhile_raises_it_and_never_runs(store):
    waiting, ran, met = Waiting(), [], []

    @task
    async def undo():
        ran.append("undo")

    @task
    async def book():
        try:
            await waiting.wait()
        finally:
            try:
                await undo()
            except LetGo:
                met.append("called")
                raise

    await leave(store, book, waiting.begun)

    assert (ran, met) == ([], ["called"])
    assert look(store) == {"book": (State.RUNNING, 1)}


async def test_what_was_passed_to_a_call_that_is_refused_is_not_left_behind(store):
    waiting, closed = Waiting(), []

    async def passed():
        await asyncio.sleep(0)

    @task
    async def book():
        coroutine = passed()
        try:
            await waiting.wait()
        finally:
            with pytest.raises(LetGo):
                task(print)(coroutine)
            closed.append(coroutine.cr_frame is None)

    await leave(store, book, waiting.begun)

    assert closed == [True]


async def test_whoever_awaits_a_node_of_it_later_gets_it_too(store):
    waiting, met = Waiting(), []
    wait = waiter(waiting)

    @task
    async def book():
        node = wait()
        try:
            await node
        finally:
            with pytest.raises(LetGo):
                await node
            met.append("again")

    await leave(store, book, waiting.begun)

    assert met == ["again"]


async def test_a_body_that_answers_with_a_value_or_a_failure_of_its_own_is_not_believed(store):
    waiting, other = Waiting(), Waiting()

    @task
    async def calm():
        try:
            await waiting.wait()
        except BaseException:  # noqa: BLE001 - a body that takes everything
            return "done"

    @task
    async def angry():
        try:
            await other.wait()
        except BaseException as error:
            raise ValueError("no") from error

    await leave(store, lambda: [calm(), angry()], other.begun)

    assert look(store) == {"calm": (State.RUNNING, 1), "angry": (State.RUNNING, 1)}


async def wait_for_all(nodes):
    await asyncio.wait(nodes)
    return [node.result() for node in nodes]


async def take_as_completed(nodes):
    return [await each for each in asyncio.as_completed(nodes)]


@pytest.mark.parametrize(
    "wait",
    [
        lambda nodes: asyncio.gather(*nodes),
        lambda nodes: asyncio.gather(*nodes, return_exceptions=True),
        lambda nodes: asyncio.shield(nodes[0]),
        lambda nodes: asyncio.wait_for(nodes[0], 60),
        wait_for_all,
        take_as_completed,
    ],
    ids=["gather", "gather all", "shield", "wait_for", "wait", "as_completed"],
)
async def test_a_body_that_waits_for_nodes_as_asyncio_has_it_ends_too(store, wait):
    waiting, met, reports = Waiting(), [], []
    # Not the log, which has what other loops say too, when something of earlier tests is collected.
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    @task
    async def both():
        try:
            await wait([waiter(waiting)(), sleep_long()])
        except BaseException as error:
            met.append(type(error))
            raise

    async with asyncio.timeout(30):
        await leave(store, both, waiting.begun)

    assert met == [LetGo]
    assert reports == []  # such as "Exception in callback gather"


@task
async def sleep_long():
    await asyncio.sleep(3600)


async def test_what_has_succeeded_is_recalled_and_the_rest_begins_again(store):
    waiting, ran = Waiting(), []

    @task
    async def fetch(name):
        ran.append(name)
        return name

    @task(retries=1)
    async def load(name):
        ran.append("load")
        if len(ran) == 2:
            await waiting.wait()
        return f"{name} loaded"

    async def main():
        return await load(await fetch("a1"))

    _, left = await leave(store, lambda: asyncio.ensure_future(main()), waiting.begun)
    with pytest.raises(LetGo):
        await left
    async with Run("r", store=store, id="r") as run:
        value = await main()

    assert value == "a1 loaded"
    assert ran == ["a1", "load", "load"]
    assert run.state is State.SUCCEEDED
    assert look(store) == {"fetch": (State.SUCCEEDED, 1), "load": (State.SUCCEEDED, 2)}


async def test_a_program_is_ended_as_by_a_cancel(store, tmp_path):
    trap = f"trap 'echo ended > {tmp_path}/ended; exit 1' TERM; echo ready; while :; do sleep 0.02; done"
    begun = asyncio.Event()
    program = command("sh", "-c", trap, on_output=lambda *_: begun.set(), name="program", grace=60)

    await leave(store, program, begun)

    assert (tmp_path / "ended").read_text() == "ended\n"
    assert look(store) == {"program": (State.RUNNING, 1)}


async def test_a_thread_is_left_to_end_by_itself(store):
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @task
    def block():
        loop.call_soon_threadsafe(begun.set)
        go.wait()

    _, node = await leave(store, block, begun)

    assert node.abandoned
    go.set()


async def test_hooks_of_its_end_do_not_run(store):
    waiting, told = Waiting(), []

    await leave(store, waiter(waiting), waiting.begun, on_failure=lambda _: told.append("failure"))

    assert told == []


async def test_a_run_that_another_process_has_taken_over_stops_in_the_same_way(store):
    waiting = Waiting()

    with pytest.raises(Exception, match="'r' was deleted"):
        async with Run("r", store=store, id="r"):
            waiter(waiting)()
            await waiting.begun.wait()
            await asyncio.to_thread(store.delete, ["r"])

    assert waiting.met == [LetGo]


async def test_a_run_without_a_store_cannot_be_let_go_of():
    async with Run("r") as run:
        with pytest.raises(RuntimeError, match="run 'r' has no store"):
            run.let_go()

    assert run.state is State.SUCCEEDED


async def test_a_body_may_let_go_of_its_own_run(store):
    met = []

    @task
    async def book():
        current_run().let_go()
        try:
            await asyncio.sleep(3600)
        except LetGo:
            met.append("there")
            raise

    with pytest.raises(LetGo):
        async with Run("r", store=store, id="r"):
            book()

    assert met == ["there"]
    assert look(store) == {"book": (State.RUNNING, 1)}


async def test_a_run_that_was_let_go_of_is_continued_by_a_service_in_another_process(tmp_path, modules_forgotten):
    module = tmp_path / "let_go_of.py"
    module.write_text("async def main() -> str:\n    return 'loaded'\n")
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    target = service.target(str(module))

    with pytest.raises(LetGo):
        await service.start(target, run_id="r", opened=lambda run: run.let_go())

    assert await service.resume("r") == "loaded"
    assert service.run("r").state is State.SUCCEEDED
    service.close()
