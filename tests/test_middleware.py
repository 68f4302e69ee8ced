"""`@task(middleware=[...])`, `Run(middleware=[...])`: what is called around the body of each attempt."""

import asyncio
import gc
import threading
import weakref
from functools import partial

import pytest

from aiodag import Limit, OptionError, Run, RunFailed, Skip, State, current_node, settled, task
from aiodag.abc import Middleware
from aiodag.commands import command, shell
from aiodag.executors.process import ProcessExecutor
from aiodag.stores import Memory
from aiodag.testing import MoveRecorder, inject, run
from aiodag.workflows import Parameter, Workflow


def noting(notes, name):
    """A middleware that notes when it begins and how it ends."""

    async def note(node, call_next):
        notes.append(f"{name}: {node.name} {node.state} {node.attempt}")
        try:
            value = await call_next()
        except BaseException as error:
            notes.append(f"{name}: {type(error).__name__}")
            raise
        notes.append(f"{name}: {value}")
        return value

    return note


class Doubled:
    async def __call__(self, node, call_next, /):
        return 2 * await call_next()


async def instead(node, call_next):
    return "instead"


async def test_the_first_listed_is_outermost_and_the_attempt_has_begun():
    notes = []

    @task(middleware=[noting(notes, "outer"), noting(notes, "inner")])
    async def fetch(name):
        notes.append(name)
        return "rows"

    assert await fetch("a1") == "rows"
    assert notes == [
        "outer: fetch running 1",
        "inner: fetch running 1",
        "a1",
        "inner: rows",
        "outer: rows",
    ]


async def test_that_of_a_run_is_outside_that_of_its_tasks_and_around_every_task_call():
    notes = []

    @task(middleware=[noting(notes, "task")])
    async def fetch():
        return await plain()

    @task
    async def plain():
        return 1

    async with Run("etl", middleware=[noting(notes, "run")]):
        fetch()
    await plain()  # of no run

    assert [each for each in notes if "running" in each] == [
        "run: fetch running 1",
        "task: fetch running 1",
        "run: plain running 1",
    ]


async def test_the_value_that_it_returns_is_that_of_the_node():
    @task(middleware=(Doubled(), Doubled()))
    async def one():
        return 1

    @task
    async def shown(value):
        return f"got {value}"

    assert await shown(one()) == "got 4"


async def test_the_body_need_not_be_called_and_the_attempt_counts_all_the_same():
    recorder = MoveRecorder()

    @task(middleware=[instead], retries=2)
    async def fetch():
        raise AssertionError

    async with Run("etl", observers=[recorder]):
        node = fetch()

    assert node.result() == "instead"
    assert [str(state) for state in recorder.states("fetch")] == ["waiting", "queued", "running", "succeeded"]
    recorder.check()


@pytest.mark.virtual
async def test_it_is_around_each_attempt_so_that_what_it_raises_can_be_tried_again():
    tries, recorder = [], MoveRecorder()

    async def strict(node, call_next):
        tries.append(node.attempt)
        if await call_next() < 3:
            raise ConnectionError("too few")
        return "enough"

    @task(middleware=[strict], retries=4, backoff=1, retry_on=ConnectionError)
    async def count():
        return len(tries)

    async with Run("etl", observers=[recorder]):
        node = count()

    assert (node.result(), node.attempt, tries) == ("enough", 3, [1, 2, 3])
    recorder.check()


@pytest.mark.virtual
async def test_one_that_fails_before_the_body_has_failed_the_attempt():
    tries = []

    async def closed(node, call_next):
        tries.append(node.attempt)
        if node.attempt == 1:
            raise ConnectionError("closed")
        return await call_next()

    @task(middleware=[closed], retries=1)
    async def fetch():
        return "rows"

    assert await fetch() == "rows"
    assert tries == [1, 2]


async def test_a_failure_goes_out_through_it_and_can_become_a_value():
    async def forgiving(node, call_next):
        try:
            return await call_next()
        except TimeoutError:
            return []

    @task(middleware=[forgiving])
    async def fetch():
        raise TimeoutError

    assert await fetch() == []


async def test_it_can_skip_its_node():
    async def closed(node, call_next):
        raise Skip("closed on Sundays")

    @task(middleware=[closed])
    async def fetch(): ...

    async with Run("etl"):
        node = fetch()

    assert node.state is State.SKIPPED


async def test_a_failure_names_the_body_with_its_arguments_and_not_the_middleware():
    @task(middleware=[noting([], "note")])
    async def fetch(name):
        raise TimeoutError

    with pytest.raises(RunFailed) as failed:
        async with Run("etl"):
            fetch("a1")

    (failure,) = failed.value.failures
    assert failure.root == "fetch('a1')"
    assert failure.exception.__traceback__.tb_frame.f_code is fetch.fn.__code__


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("broken", ["body", "middleware"])
def test_a_handled_failure_goes_with_its_node_without_the_garbage_collector(broken, retries):
    class Large:
        pass

    def fail(where):
        large = Large()
        held.append(weakref.ref(large))
        if where == broken:
            raise TimeoutError
        return large

    async def failing(node, call_next):
        large = fail("middleware")
        return await call_next(), large

    async def main():
        @task(middleware=[noting([], "note"), failing], retries=retries)
        async def fetch():
            return fail("body")

        with pytest.raises(TimeoutError):
            await fetch()

    held = []
    gc.disable()
    try:
        asyncio.run(main())
        assert [each() for each in held if each() is not None] == []
    finally:
        gc.enable()


@pytest.mark.virtual
async def test_the_timeout_of_the_attempt_counts_what_it_takes():
    async def slow(node, call_next):
        await asyncio.sleep(5)
        return await call_next()

    @task(middleware=[slow], timeout=3)
    async def fetch(): ...

    with pytest.raises(TimeoutError, match="attempt 1 of fetch took longer than 3 s"):
        await fetch()


@pytest.mark.virtual
async def test_it_begins_when_the_limit_has_let_the_attempt_in():
    begun = []

    async def note(node, call_next):
        begun.append(asyncio.get_running_loop().time())
        return await call_next()

    @task(middleware=[note], limit=Limit(1))
    async def fetch(number):
        await asyncio.sleep(1)

    async with Run("etl"):
        fetch.map(range(3))

    assert begun == [0.0, 1.0, 2.0]


async def test_a_cancel_passes_through_it():
    notes, started = [], asyncio.Event()

    @task(middleware=[noting(notes, "note")])
    async def fetch():
        started.set()
        await asyncio.Event().wait()

    node = fetch()
    await started.wait()
    node.cancel()

    with pytest.raises(asyncio.CancelledError):
        await node
    assert notes[-1] == "note: CancelledError"


async def test_a_node_that_was_cancelled_before_its_start_never_meets_it():
    notes = []

    @task(middleware=[noting(notes, "note")])
    async def fetch(): ...

    node = fetch()
    node.cancel()

    with pytest.raises(asyncio.CancelledError):
        await node
    assert notes == []


async def test_it_runs_on_the_loop_and_the_plain_function_in_its_thread():
    threads = []

    async def note(node, call_next):
        threads.append(threading.current_thread())
        return await call_next()

    @task(middleware=[note])
    def fetch():
        threads.append(threading.current_thread())
        return "rows"

    assert await fetch() == "rows"
    assert threads[0] is threading.current_thread()
    assert threads[1] is not threads[0]


async def test_it_stays_in_the_process_of_the_loop(tmp_path):
    notes = []
    square = task(pow, executor=ProcessExecutor(1), middleware=[noting(notes, "note")])

    assert await square(3, 2) == 9
    assert notes == ["note: pow running 1", "note: 9"]


async def test_it_is_around_commands_too():
    notes = []
    echo = shell("echo rows", middleware=[noting(notes, "note")])

    assert (await echo()).stdout == "rows\n"
    assert notes[0].endswith("running 1")


async def test_context_variables_that_it_sets_are_seen_in_the_body():
    async def note(node, call_next):
        assert current_node() is node
        return await call_next()

    @task(middleware=[note])
    async def fetch():
        return current_node().name

    assert await fetch() == "fetch"


async def test_a_raw_task_gets_its_settled_edges_below_it():
    @task
    async def broken():
        raise TimeoutError

    @task(raw=True, middleware=[Doubled()])
    async def look(up):
        return type(up.exception()).__name__

    assert await look(broken()) == "TimeoutErrorTimeoutError"


async def test_methods_and_changed_options_keep_it():
    class Source:
        @task(middleware=[Doubled()])
        async def fetch(self, value):
            return value

    assert await Source().fetch(2) == 4
    assert await Source.fetch.with_options(retries=1)(Source(), 2) == 4
    assert await Source.fetch.with_options(middleware=[])(Source(), 2) == 2


async def test_a_recalled_node_does_not_meet_it_and_what_it_made_of_the_value_is_recorded():
    store, notes = Memory(), []

    @task
    async def fetch():
        return 1

    values = []
    for _ in range(2):
        async with Run("etl", store=store, id="monday", middleware=[noting(notes, "note"), Doubled()]):
            node = fetch()
        values.append(node.result())

    assert values == [2, 2]
    assert notes == ["note: fetch running 1", "note: 2"]
    assert [record.value for record in store.nodes("monday")] == ["2"]


async def test_an_attempt_without_its_body_is_recorded_as_one():
    store = Memory()

    @task(middleware=[instead])
    async def fetch(): ...

    async with Run("etl", store=store, id="monday"):
        fetch()

    (record,) = store.nodes("monday")
    assert (record.state, record.attempt, record.value) == (State.SUCCEEDED, 1, '"instead"')


async def test_it_meets_injected_failures_in_the_place_of_the_body():
    async def forgiving(node, call_next):
        try:
            return await call_next()
        except TimeoutError:
            return "old rows"

    @task(middleware=[forgiving])
    async def fetch():
        return "rows"

    with inject({("fetch", 1): TimeoutError()}):
        assert await fetch() == "old rows"


async def test_that_of_a_run_is_around_the_tasks_of_a_workflow_and_not_around_its_barriers():
    names = []

    async def note(node, call_next):
        names.append(node.name)
        return await call_next()

    async def fetch(number): ...

    flow, recorder = Workflow("etl", parameters={"A": ["1", "2", "3"], "B": ["4", "5", "6"]}), MoveRecorder()
    flow.add(fetch, Parameter("A"), name="fetch")
    flow.add(fetch, Parameter("B"), name="keep", after="fetch")
    await flow.run(middleware=[note], observers=[recorder])

    assert sorted(names) == ["fetch[A=1]", "fetch[A=2]", "fetch[A=3]", "keep[B=4]", "keep[B=5]", "keep[B=6]"]
    assert any(move.node.task.barrier for move in recorder.moves)


async def test_what_it_makes_of_the_value_of_a_generator_is_what_the_generator_gives():
    async def more(node, call_next):
        return [*await call_next(), command("true", name="more")]

    @task(middleware=[more])
    async def generate():
        return [command("true", name="one")]

    flow = Workflow("etl")
    flow.add(generate, generator=True)
    values = await flow.run()

    assert {"one", "more"} <= set(values)


async def test_what_is_passed_as_an_edge_without_being_a_task_does_not_meet_it():
    notes = []

    async def coroutine():
        return 1

    @task
    async def fetch(value):
        return value

    async with Run("etl", middleware=[noting(notes, "note")]):
        node = fetch(settled(coroutine()))

    assert node.result().result() == 1
    assert len(notes) == 2


async def test_calling_the_rest_twice_is_refused_with_what_would_work():
    async def twice(node, call_next):
        await call_next()
        return await call_next()

    @task(middleware=[twice])
    async def fetch(): ...

    with pytest.raises(
        RuntimeError, match=r"a middleware of fetch called call_next\(\) twice in one attempt.*retries="
    ):
        await fetch()


async def takes_one(node): ...


def plain(node, call_next): ...


@task
async def a_task(node, call_next): ...


@pytest.mark.parametrize(
    "given", [None, "timed", instead, [None], [plain], [takes_one], [Doubled], [a_task], [instead, 5], {instead}]
)
def test_what_cannot_be_middleware_is_refused_where_it_is_given(given):
    wanted = r"middleware=.* takes a list of async functions of \(node, call_next\)"

    for refused in (partial(task, instead, middleware=given), partial(Run, middleware=given)):
        with pytest.raises(OptionError) as error:
            refused()
        assert "a list of async functions of (node, call_next)" in str(error.value), wanted


def test_a_partial_of_an_async_function_and_an_object_are_middleware():
    async def labelled(label, node, call_next):
        return f"{label} {await call_next()}"

    wrapped: list[Middleware] = [partial(labelled, "good"), Doubled()]

    @task(middleware=wrapped)
    async def fetch():
        return "rows "

    async def main():
        return await fetch()

    assert run(main()) == "good rows rows "


def test_a_middleware_that_does_not_await_the_rest_fails_and_says_so():
    async def forgets(node, call_next):
        return call_next()

    @task(middleware=[forgets])
    async def fetch():
        return "rows"

    async def main():
        return await fetch()

    with pytest.raises(TypeError, match=r"middleware of fetch returned a coroutine .*`return await call_next\(\)`"):
        run(main())
