"""The kit for users' tests: virtual clock, another order, moves on record, failures on order."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import process_bodies
import pytest

from aiodag import Run, RunFailed, State, task
from aiodag.abc import Move
from aiodag.errors import Stalled
from aiodag.testing import MoveRecorder, VirtualLoop, inject, run, shuffle

ROOT = Path(__file__).parent.parent


def now():
    return asyncio.get_running_loop().time()


# The virtual clock


def test_the_clock_begins_at_zero_and_sleeping_moves_it_exactly():
    async def main():
        times = [now()]
        for pause in (0.1, 0.2, 0.3, 86_400):
            await asyncio.sleep(pause)
            times.append(now())
        return times

    assert run(main()) == [0.0, 0.1, 0.1 + 0.2, 0.1 + 0.2 + 0.3, 0.1 + 0.2 + 0.3 + 86_400]


def test_timers_fire_in_order_each_at_its_own_time():
    fired = []

    async def wake(at):
        await asyncio.sleep(at)
        fired.append((at, now()))

    async def main():
        await asyncio.gather(*map(wake, (3, 0.7, 1e6, 2)))

    run(main())

    assert fired == [(0.7, 0.7), (2, 2.0), (3, 3.0), (1e6, 1e6)]


def test_timers_fire_years_from_now():
    fired = []

    async def main():
        for _ in range(120):
            await asyncio.sleep(30 * 86_400)
            fired.append(asyncio.get_running_loop().time())

    run(main())

    assert fired == [30.0 * 86_400 * number for number in range(1, 121)]


def test_the_clock_stands_still_while_there_is_work():
    async def main():
        timer = asyncio.ensure_future(asyncio.sleep(1))
        for _ in range(1000):
            await asyncio.sleep(0)
        return now(), timer.cancel()

    assert run(main()) == (0.0, True)


def test_timeouts_work_on_the_virtual_clock():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(60)
        return now()

    assert run(main()) == 30.0


def test_each_run_has_a_clock_of_its_own():
    async def main():
        await asyncio.sleep(5)
        return now()

    assert [run(main()), run(main())] == [5.0, 5.0]


def test_run_raises_what_the_coroutine_raises():
    async def main():
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())


def test_the_clock_stands_still_while_a_plain_function_runs():
    meet = threading.Barrier(2, timeout=30)

    @task
    def arrive():
        meet.wait()

    async def main():
        timer = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.gather(arrive(), arrive())
        return now(), timer.cancel()

    assert run(main()) == (0.0, True)


def test_the_clock_stands_still_while_run_in_executor_runs():
    go = threading.Event()

    async def main():
        timer = asyncio.ensure_future(asyncio.sleep(3600))
        waiting = asyncio.get_running_loop().run_in_executor(None, go.wait, 30)
        await asyncio.sleep(0)
        go.set()
        return await waiting, now(), timer.cancel()

    assert run(main()) == (True, 0.0, True)


def test_a_thread_may_wait_for_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        answer = task(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "answer"), loop).result(30))
        return await answer()

    assert run(main()) == "answer"


def test_the_clock_goes_on_after_a_thread():
    async def main():
        await task(lambda: None)()
        await asyncio.sleep(10)
        return now()

    assert run(main()) == 10.0


def test_a_virtual_loop_is_an_event_loop_like_any_other():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.sleep(100))
        at = runner.get_loop().time()

    assert at == 100.0


# Where nothing can go on


@pytest.fixture
def stalled(strangers_known):
    """Run what must stall, and return the error."""

    def error_of(main):
        with pytest.raises(Stalled) as caught:
            run(main())
        return caught.value

    return error_of


async def forever():
    await asyncio.Event().wait()


def test_waiting_for_what_can_never_come_is_an_error_that_names_the_place(stalled):
    error = stalled(forever)

    assert re.fullmatch(r"Task-\d+ \(forever at .*test_testing.py:\d+\)", *error.waiting)
    assert "no timer, no thread or process and no I/O that could end the wait of Task-" in str(error)


def test_an_error_for_a_stall_names_the_nodes(stalled):
    stuck = task(forever, name="stuck", limit=1)

    async def main():
        await asyncio.sleep(60)
        stuck(), stuck()
        await forever()

    waiting = stalled(main).waiting

    assert [re.sub(r" (called )?at .*", "", each) for each in waiting[1:]] == ["stuck (queued,", "stuck (running,"]


def test_many_that_wait_are_counted(stalled):
    async def main():
        await asyncio.gather(*(task(forever)() for _ in range(99)))

    assert "… 92 more …" in stalled(main).waiting


def test_a_stall_ends_what_waits_as_a_cancel_does(stalled):
    log = []

    async def main():
        try:
            async with Run("etl"):
                task(forever)()
        finally:
            await asyncio.sleep(5)
            log.append(now())

    stalled(main)

    assert log == [5.0]


def test_threads_and_processes_that_have_nothing_to_do_do_not_hide_a_stall(stalled):
    async def main():
        await task(process_bodies.squared, executor="process")(2)
        await task(lambda: None)()
        await asyncio.to_thread(int)
        await forever()

    assert "main at" in str(stalled(main))


def test_a_thread_of_ones_own_may_still_call_back():
    async def main():
        loop = asyncio.get_running_loop()
        called = asyncio.Event()
        waiting = asyncio.ensure_future(called.wait())
        await asyncio.sleep(0)
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(called.set))
        thread.start()
        await waiting
        thread.join()
        return "called"

    assert run(main()) == "called"


def test_a_pool_of_ones_own_may_still_answer():
    async def main():
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            return await asyncio.to_thread(int, "7"), await asyncio.wrap_future(pool.submit(int, "8"))

    assert run(main()) == (7, 8)


def test_the_end_of_an_abandoned_thread_may_still_free_a_place():
    begun, end = threading.Event(), threading.Event()

    @task(limit=1)
    def block(key):
        begun.set()
        end.wait(30)
        return key

    async def main():
        first, second = block("first"), block("second")
        await asyncio.to_thread(begun.wait, 30)
        first.cancel()
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, end.set)
        return await second

    assert run(main()) == "second"


def test_the_end_of_an_abandoned_process_may_still_free_a_place(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    reading = task(process_bodies.reads, executor="process", limit=1)

    async def main():
        first, second = reading(pipe), reading(os.devnull)
        writer = await asyncio.to_thread(open, pipe, "w")
        first.cancel()
        await asyncio.wait([first])
        asyncio.get_running_loop().call_soon(writer.close)
        return await second

    assert run(main()) == ""


def test_real_input_is_waited_for():
    async def main():
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE)
        out, _ = await program.communicate()
        return out.decode().strip(), program.returncode

    assert run(main()) == ("42", 0)


def test_a_signal_is_waited_for():
    async def main():
        came = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, came.set)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return await came.wait()

    assert run(main())


def test_a_loop_that_is_closed_runs_nothing_more():
    loop = VirtualLoop()
    loop.close()

    with pytest.raises(RuntimeError):
        loop.run_in_executor(None, int)


# With pytest-asyncio


@pytest.mark.filterwarnings("ignore:.*policy.*:DeprecationWarning")
def test_the_policy_makes_virtual_loops():
    from aiodag.testing import VirtualPolicy

    loop = VirtualPolicy().new_event_loop()
    loop.close()

    assert isinstance(loop, VirtualLoop)


PYTEST_PROGRAM = """
import asyncio
import pytest

@pytest.mark.asyncio
async def test_a_day_takes_no_time():
    await asyncio.sleep(86400)
    assert asyncio.get_running_loop().time() == 86400
"""


def conftest_of(word):
    """Return the one block of the page that is a conftest.py with this word."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (found,) = (block for block in re.findall(r"```python\n(# conftest.py\n.*?)```", page, re.DOTALL) if word in block)
    return found


def pytest_ends(directory, conftest, *options):
    (directory / "conftest.py").write_text(conftest, encoding="utf-8")
    (directory / "test_day.py").write_text(PYTEST_PROGRAM, encoding="utf-8")
    quiet = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, "-W", "error", *options, "test_day.py"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_the_hook_of_the_page_works_without_a_warning(tmp_path):
    assert "1 passed" in pytest_ends(tmp_path, conftest_of("pytest_asyncio_loop_factories"))


def test_the_fixture_of_the_page_works_but_for_its_deprecation(tmp_path):
    of_pytest = "ignore::pytest.PytestDeprecationWarning"
    of_python = "ignore:'asyncio.DefaultEventLoopPolicy' is deprecated:DeprecationWarning"
    conftest = conftest_of("event_loop_policy")

    assert "1 passed" in pytest_ends(tmp_path, conftest, "-W", of_pytest, "-W", of_python)


@pytest.mark.virtual
async def test_an_async_test_can_ask_for_the_virtual_clock():
    await asyncio.sleep(1000)

    assert now() == 1000.0


# Another order


def order_of(seed, count=20):
    ran = []

    @task
    async def note(x):
        ran.append(x)

    async def main():
        if seed is not None:
            shuffle(seed)
        async with Run():
            note.map(range(count))

    run(main())
    return ran


def test_without_shuffle_nodes_start_in_the_order_of_the_calls():
    assert order_of(None) == list(range(20))


def test_shuffle_starts_each_node_once():
    assert sorted(order_of(1)) == list(range(20))


def test_the_same_seed_is_the_same_order():
    assert order_of(7) == order_of(7)


def test_other_seeds_are_other_orders():
    assert len({tuple(order_of(seed)) for seed in range(5)}) > 1


def test_shuffle_keeps_upstream_before_downstream():
    for seed in range(10):
        ran = []

        @task
        async def step(previous, x, ran=ran):
            ran.append(x)
            return x

        async def main(step=step, seed=seed):
            shuffle(seed)
            node = None
            for x in range(10):
                node = step(node, x)
            await node

        run(main())

        assert ran == list(range(10))


def test_shuffle_shows_a_hidden_dependence_on_the_order():
    async def fragile():
        log = []

        @task
        async def create():
            log.append("create")

        @task
        async def insert():
            log.append("insert")

        async with Run():
            create()
            insert()
        return log == ["create", "insert"]

    async def shuffled(seed):
        shuffle(seed)
        return await fragile()

    assert run(fragile())
    assert not all(run(shuffled(seed)) for seed in range(20))


def test_shuffle_takes_what_is_ready_already():
    ran = []

    @task
    async def note(x):
        ran.append(x)

    async def main():
        async with Run():
            note.map(range(50))
            shuffle(3)

    run(main())

    assert sorted(ran) == list(range(50))
    assert ran != list(range(50))


# Moves on record


def test_the_recorder_keeps_moves_by_task():
    recorder = MoveRecorder()

    async def main():
        async with Run(observers=[recorder]):
            task(asyncio.sleep, name="a")(1)
            task(asyncio.sleep, name="b")(2)

    run(main())

    assert recorder.states("a") == recorder.states("b") == ["waiting", "queued", "running", "succeeded"]
    assert [move.at for move in recorder.of("b")] == [0.0, 0.0, 0.0, 2.0]
    assert {move.node.name for move in recorder.of("a")} == {"a"}
    assert len(recorder.moves) == 8


def test_the_recorder_of_nothing_is_empty():
    assert MoveRecorder().of("a") == []


def test_check_accepts_every_legal_history():
    recorder = MoveRecorder()

    @task(retries=1)
    async def bad():
        raise ValueError

    async def main():
        with pytest.raises(RunFailed):
            async with Run(observers=[recorder]):
                task(asyncio.sleep)(bad())
                task(asyncio.sleep)(5).cancel()

    run(main())

    assert recorder.check() is None


def test_check_refuses_an_illegal_move():
    recorder = MoveRecorder()
    recorder.moved(Move(None, State.SUCCEEDED, State.RUNNING, 0.0, 1))

    with pytest.raises(AssertionError, match="illegal moves"):
        recorder.check()


# Failures on order


def tried(**options):
    ran = []

    @task(**options)
    async def fetch():
        ran.append(now())
        return "value"

    return fetch, ran


def test_inject_fails_an_attempt_in_place_of_its_body():
    fetch, ran = tried()

    async def main():
        with inject({(fetch.name, 1): OSError("no network")}):
            with pytest.raises(OSError, match="no network"):
                await fetch()

    run(main())

    assert ran == []


def test_inject_lets_the_attempts_that_are_not_listed_pass():
    fetch, ran = tried(retries=2, backoff=3)

    async def main():
        with inject({(fetch.name, 1): OSError(), (fetch.name, 2): OSError()}):
            node = fetch()
            return await node, node.attempt

    assert run(main()) == ("value", 3)
    assert ran == [6.0]


def test_inject_leaves_other_tasks_alone():
    fetch, _ = tried()
    other, ran = tried(name="other")

    async def main():
        with inject({(fetch.name, 1): OSError()}):
            return await asyncio.gather(fetch(), other(), return_exceptions=True)

    failed, value = run(main())

    assert (type(failed), value) == (OSError, "value")
    assert ran == [0.0]


def test_inject_works_for_plain_functions():
    ran = []

    @task(name="plain", retries=1)
    def plain():
        ran.append(1)
        return "value"

    async def main():
        with inject({("plain", 1): OSError()}):
            return await plain()

    assert run(main()) == "value"
    assert ran == [1]


def test_inject_makes_moves_like_any_failure():
    fetch, _ = tried(name="fetch")
    recorder = MoveRecorder()

    async def main():
        with pytest.raises(RunFailed) as caught, inject({("fetch", 1): OSError("no network")}):
            async with Run(observers=[recorder]):
                fetch()
        return str(caught.value)

    text = run(main())
    recorder.check()

    assert "fetch() failed: OSError: no network" in text
    assert recorder.states("fetch") == ["waiting", "queued", "running", "failed"]


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_injected_failure_is_told_with_the_arguments_of_its_call(attempt):
    @task(name="load", retries=attempt - 1)
    async def load(row, *, key="k"):
        if attempt == 2:
            raise LookupError

    async def main():
        with inject({("load", attempt): OSError("disk full")}):
            node = load(task(asyncio.sleep)(0, "a1"), key=7)
            await asyncio.wait([node])
        return str(node.failure), node.exception().__notes__[0]

    text, note = run(main())

    assert text == "load('a1', 7) failed: OSError: disk full"
    assert note.startswith("in task load('a1', 7), called at ")


def test_inject_ends_with_its_block():
    fetch, _ran = tried(name="fetch")

    async def main():
        with inject({("fetch", 1): OSError()}):
            await asyncio.wait([fetch()])
        return await fetch()

    assert run(main()) == "value"


@pytest.mark.parametrize("options", [{}, {"retries": 2}], ids=["plain", "retries"])
def test_an_injected_cancel_cancels_the_node(options):
    fetch, ran = tried(name="fetch", **options)

    async def main():
        with inject({("fetch", 1): asyncio.CancelledError()}):
            node = fetch()
            needs_it = task(asyncio.sleep)(node)
            await asyncio.wait([node, needs_it])
        return node.state, node.attempt, needs_it.state

    assert run(main()) == (State.CANCELLED, 1, State.CANCELLED)
    assert ran == []


class Alarm(BaseException):
    pass


@pytest.mark.parametrize("options", [{}, {"retries": 2}], ids=["plain", "retries"])
def test_an_injected_exception_that_is_none_of_Exception_fails_the_node(options):
    fetch, ran = tried(name="fetch", **options)

    async def main():
        with inject({("fetch", 1): Alarm("injected")}):
            node = fetch()
            await asyncio.wait([node])
        return node.state, node.attempt, repr(node.exception())

    assert run(main()) == (State.FAILED, 1, "Alarm('injected')")
    assert ran == []


@pytest.mark.parametrize(
    ("failures", "kind", "text"),
    [
        ([("fetch", 1)], TypeError, r"takes a dict such as {\('fetch', 1\): TimeoutError\(\)}, not \["),
        ({"fetch": OSError()}, TypeError, "the key 'fetch'; a key is a task's name and an attempt's number"),
        ({("fetch",): OSError()}, TypeError, r"the key \('fetch',\)"),
        ({(1, "fetch"): OSError()}, TypeError, r"the key \(1, 'fetch'\)"),
        ({("fetch", True): OSError()}, TypeError, r"the key \('fetch', True\)"),
        ({("fetch", 0): OSError()}, ValueError, r"the key \('fetch', 0\); the first attempt is number 1"),
        ({("fetch", 1): "no network"}, TypeError, r"'no network' for \('fetch', 1\); pass an exception"),
        ({("fetch", 1): OSError}, TypeError, "pass an exception"),
    ],
)
def test_inject_refuses_what_could_never_match(failures, kind, text):
    async def main():
        with inject(failures):
            pass

    with pytest.raises(kind, match=text):
        run(main())


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("fetsh", 1), r"\('fetsh', 1\): no such task began; did you mean 'fetch'\?"),
        (("fetch", 3), r"\('fetch', 3\): the last attempt of fetch was number 1"),
        (("upload", 1), r"\('upload', 1\): no such task began; those that did: fetch"),
    ],
)
def test_a_failure_that_was_never_used_is_an_error_at_the_end_of_the_block(key, text):
    fetch, _ = tried(name="fetch")

    async def main():
        with inject({key: OSError()}):
            await fetch()

    with pytest.raises(AssertionError, match=f"inject.. failed nothing with\n  {text}"):
        run(main())


def test_a_failure_that_was_never_used_hides_no_other_error():
    async def main():
        with inject({("fetch", 1): OSError()}):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())


def test_inject_fails_no_future_that_is_passed():
    async def fetch():
        return "value"

    async def main():
        load = task(asyncio.sleep, name="load")
        with inject({(fetch.__qualname__, 1): OSError()}):
            with pytest.raises(OSError):
                await task(fetch, name=fetch.__qualname__)()
            return await load(0, asyncio.ensure_future(fetch()))

    assert run(main()) == "value"


def test_inject_may_be_nested():
    first, _ = tried(name="first")
    second, _ = tried(name="second")

    async def main():
        with inject({("first", 1): KeyError()}):
            with inject({("second", 1): OSError()}):
                results = await asyncio.gather(first(), second(), return_exceptions=True)
            return [type(each) for each in results], await second()

    assert run(main()) == ([KeyError, OSError], "value")


def test_inject_ends_also_when_its_block_raises():
    fetch, _ = tried(name="fetch")

    async def main():
        with pytest.raises(LookupError), inject({("fetch", 1): OSError()}):
            raise LookupError
        return await fetch()

    assert run(main()) == "value"
