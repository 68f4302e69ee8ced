"""Where an attempt runs: threads, worker processes, and objects of one's own."""

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import process_bodies
import pytest

from aiodag import Capacity, Limit, OptionError, Run, Skip, State, WorkerDied, current_node, current_run, task
from aiodag.errors import NotPicklable
from aiodag.executors.crew import THREADS
from aiodag.executors.process import ProcessExecutor
from aiodag.executors.thread import ThreadExecutor
from aiodag.testing import MoveRecorder, run

ROOT = Path(__file__).parent.parent


def now():
    return asyncio.get_running_loop().time()


def run_program(program, *args):
    """Run a program of a file to its end."""
    return subprocess.run(
        [sys.executable, program, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


# Threads


def test_a_plain_function_runs_in_a_thread():
    async def main():
        return await task(threading.get_ident)()

    assert run(main()) != threading.get_ident()


def test_the_loop_goes_on_while_a_thread_blocks():
    go = threading.Event()

    @task
    def block():
        go.wait()
        return "done"

    @task
    async def free():
        go.set()

    async def main():
        blocked = block()
        await free()
        return await blocked

    assert run(main()) == "done"


def test_plain_functions_run_at_the_same_time():
    meet = threading.Barrier(3, timeout=30)

    @task(executor="thread")
    def arrive(x):
        meet.wait()
        return x

    async def main():
        return await asyncio.gather(*arrive.map(range(3)))

    assert run(main()) == [0, 1, 2]


def test_a_thread_sees_the_context_variables_of_the_call():
    variable = ContextVar("variable", default="default")

    async def main():
        variable.set("at the call")
        node = task(variable.get)()
        variable.set("later")
        return await node

    assert run(main()) == "at the call"


def test_current_node_and_current_run_work_in_a_thread():
    @task
    def where():
        return current_node(), current_run()

    async def main():
        async with Run() as scope:
            node = where()
        return node.result() == (node, scope)

    assert run(main())


def test_a_thread_gets_values_where_the_call_had_nodes():
    @task
    def add(x, *, ys):
        return x + sum(ys)

    one = task(lambda: 1)

    async def main():
        return await add(one(), ys=[one(), 10])

    assert run(main()) == 12


def test_a_failure_in_a_thread_has_its_own_type_and_traceback():
    @task
    def bad():
        raise LookupError("nothing there")

    async def main():
        with pytest.raises(LookupError, match="nothing there") as caught:
            await bad()
        return [entry.name for entry in caught.traceback]

    assert run(main())[-1] == "bad"


def test_stop_iteration_in_a_thread_is_a_runtime_error():
    async def main():
        with pytest.raises(RuntimeError, match="StopIteration"):
            await task(lambda: next(iter(())))()

    run(main())


def test_skip_in_a_thread_skips_the_node():
    @task
    def nothing():
        raise Skip("empty")

    async def main():
        node = nothing()
        await asyncio.wait([node])
        return node.state

    assert run(main()) is State.SKIPPED


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_an_async_function_with_a_pool_is_refused(executor):
    async def fetch():
        pass

    with pytest.raises(OptionError, match="a plain function, and fetch is async"):
        task(fetch, executor=executor)
    with pytest.raises(OptionError, match="a plain function"):
        task(fetch).with_options(executor=executor)


class Blocker:
    """A body in a thread that begins and ends when the test says so."""

    def __init__(self):
        self.begun = threading.Event()
        self.end = threading.Event()
        self.calls = []

    def __call__(self, key="only"):
        self.calls.append(key)
        self.begun.set()
        self.end.wait(30)
        return key

    async def until_begun(self):
        await asyncio.to_thread(self.begun.wait, 30)


def test_a_cancelled_thread_is_left_and_reported_as_abandoned():
    body = Blocker()

    async def main():
        node = task(body)()
        await body.until_begun()
        node.cancel()
        await asyncio.wait([node])
        before = node.state, node.abandoned
        body.end.set()
        return before

    assert run(main()) == (State.CANCELLED, True)


def test_an_abandoned_thread_keeps_its_limit_until_it_ends():
    body = Blocker()
    blocking = task(body, limit=1)

    async def main():
        first, second = blocking("first"), blocking("second")
        await body.until_begun()
        first.cancel()
        await asyncio.wait([first])
        await turns()
        held = second.state, list(body.calls)
        body.end.set()
        return held, await second, first.abandoned

    assert run(main()) == ((State.QUEUED, ["first"]), "second", False)


def test_an_attempt_in_a_thread_that_timed_out_keeps_its_limit_until_it_ends():
    body = Blocker()
    blocking = task(body, limit=1, timeout=10)

    async def main():
        first = blocking("first")
        await body.until_begun()
        asyncio.get_running_loop().now += 10
        await asyncio.wait([first])
        second = blocking.with_options(timeout=None)("second")  # of the same limit
        await turns()
        held = first.state, second.state, list(body.calls)
        body.end.set()
        await asyncio.wait([second])
        return held, isinstance(first.exception(), TimeoutError), second.state

    expected = (State.FAILED, State.QUEUED, ["first"]), True, State.SUCCEEDED
    assert run(main()) == expected


def test_a_thread_call_that_is_cancelled_in_the_queue_never_runs():
    body = Blocker()

    async def main():
        one = task(body, executor=ThreadExecutor(1))
        first, second = one("first"), one("second")
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        abandoned = second.abandoned
        body.end.set()
        await first
        return abandoned

    assert run(main()) is False
    assert body.calls == ["first"]


# Waiting for a thread is not the attempt


def test_a_call_is_queued_until_a_thread_is_free_and_its_timeout_begins_then():
    body = Blocker()

    async def main():
        one = task(body, executor=ThreadExecutor(1), timeout=10, name="body")
        first, second = one.with_options(timeout=None)("first"), one("second")
        await body.until_begun()
        await turns()
        waiting = first.state, second.state, second.attempt
        asyncio.get_running_loop().now += 100  # much longer than the timeout
        body.end.set()
        return waiting, await second, second.attempt

    assert run(main()) == ((State.RUNNING, State.QUEUED, 0), "second", 1)


def test_observers_and_graphs_see_that_a_call_waits_for_a_thread():
    body, recorder = Blocker(), MoveRecorder()

    async def main():
        one = task(body, executor=ThreadExecutor(1), name="body")
        async with Run(observers=[recorder]) as scope:
            one("first"), one("second")
            await body.until_begun()
            await turns()
            counts = scope.graph().counts()
            asyncio.get_running_loop().now += 7
            body.end.set()
        begun = [move.at for move in recorder.moves if move.state is State.RUNNING]
        return counts[State.QUEUED], counts[State.RUNNING], begun

    assert run(main()) == (1, 1, [0.0, 7.0])


def test_a_call_that_is_cancelled_while_it_waits_for_a_thread_holds_no_limit():
    body, limit = Blocker(), Limit(2)

    async def main():
        one = task(body, executor=ThreadExecutor(1), limit=limit)
        first, second = one("first"), one("second")
        await body.until_begun()
        third = task(asyncio.sleep, limit=limit)(0, "third")
        await turns()
        before = third.state
        second.cancel()
        after = await third, second.state, second.attempt
        body.end.set()
        await first
        return before, after

    assert run(main()) == (State.QUEUED, ("third", State.CANCELLED, 0))
    assert body.calls == ["first"]


def test_who_waits_for_a_limit_or_for_resources_keeps_no_thread():
    limit, pool = Limit(1), ThreadExecutor(1)

    async def main():
        async with Run(capacity=Capacity({"cores": 1})):
            holder = task(asyncio.Event().wait, limit=limit)()
            other = task(asyncio.Event().wait, resources={"cores": 1})()
            await turns()
            blocked = [task(int, executor=pool, limit=limit)(), task(int, executor=pool, resources={"cores": 1})()]
            await turns()
            free = await task(int, executor=pool)("7")
            states = [node.state for node in blocked]
            holder.cancel()
            other.cancel()
        return free, states, [node.state for node in blocked]

    assert run(main()) == (7, [State.QUEUED] * 2, [State.SUCCEEDED] * 2)


def test_starts_that_a_rate_spaces_stay_so_behind_a_thread_that_is_late():
    body, recorder = Blocker(), MoveRecorder()

    async def main():
        one = task(body, executor=ThreadExecutor(1), limit=Limit(rate=1), name="body")
        async with Run(observers=[recorder]):
            nodes = one.map("abc")
            await body.until_begun()
            asyncio.get_running_loop().now += 5
            body.end.set()
        return [node.result() for node in nodes]

    assert run(main()) == ["a", "b", "c"]
    assert [move.at for move in recorder.moves if move.state is State.RUNNING] == [0.0, 5.0, 6.0]


def test_starts_that_a_rate_spaces_do_not_catch_up_in_a_burst_when_the_loop_was_blocked():
    async def main():
        loop = asyncio.get_running_loop()
        starts = task(loop_time, limit=Limit(rate=1)).map(range(4))
        await starts[0]
        loop.now += 5
        return [await node for node in starts]

    async def loop_time(_):
        return now()

    assert run(main()) == [0.0, 5.0, 6.0, 7.0]


# Whose threads


def test_plain_functions_leave_the_default_pool_of_the_loop_to_others():
    body = Blocker()

    async def main():
        blocked = task(body).map(range(60))
        await body.until_begun()
        answer = await asyncio.get_running_loop().run_in_executor(None, int, "7")
        states = [node.state for node in blocked]
        body.end.set()
        await asyncio.wait(blocked)
        return answer, states.count(State.RUNNING), states.count(State.QUEUED)

    assert run(main()) == (7, 40, 20)


def test_a_run_says_how_many_threads_its_plain_functions_have():
    body = Blocker()

    async def main():
        async with Run(threads=2) as scope:
            nodes = task(body).map(range(5))
            await body.until_begun()
            await turns()
            states = [node.state for node in nodes]
            body.end.set()
        return states, scope.state

    assert run(main()) == ([State.RUNNING] * 2 + [State.QUEUED] * 3, State.SUCCEEDED)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "4"])
def test_a_number_of_threads_that_cannot_work_is_refused(threads):
    with pytest.raises(OptionError, match="threads"):
        Run(threads=threads)
    with pytest.raises(OptionError, match="1 or more"):
        ThreadExecutor(threads)


def test_a_size_of_ones_own_goes_before_the_number_of_a_run():
    body = Blocker()

    async def main():
        async with Run(threads=1):
            nodes = task(body, executor=ThreadExecutor(3)).map(range(4))
            await body.until_begun()
            await turns()
            states = [node.state for node in nodes]
            body.end.set()
        return states

    assert run(main()) == [State.RUNNING] * 3 + [State.QUEUED]


def test_a_call_that_is_left_behind_keeps_no_other_from_running():
    body = Blocker()

    async def main():
        pool = ThreadExecutor(1)
        stuck = task(body, executor=pool)()
        await body.until_begun()
        stuck.cancel()
        value = await task(int, executor=pool)("7")
        abandoned = stuck.abandoned
        body.end.set()
        return value, abandoned

    assert run(main()) == (7, True)


def test_threads_end_with_their_loop():
    def threads():
        """Those that run plain functions: others in this process come and go as they like."""
        return {each for each in threading.enumerate() if each.name.startswith(THREADS)}

    before = threads()

    async def main():
        await asyncio.gather(*task(threading.Barrier(3, timeout=30).wait).map([None] * 3))
        return len(threads() - before)

    for _ in range(5):
        assert asyncio.run(main()) == 3
        assert threads() - before == set()


def test_threads_are_used_again():
    async def main():
        return len({await task(threading.get_ident)() for _ in range(20)})

    assert run(main()) == 1


LEAVES_A_THREAD = """
import asyncio, threading
from aiodag import task

begun, end = threading.Event(), threading.Event()

@task
def block():
    begun.set()
    end.wait()
    print("ended", flush=True)

async def main():
    node = block()
    await asyncio.to_thread(begun.wait)
    node.cancel()
    await asyncio.wait([node])
    print("left", flush=True)

asyncio.run(main())
print("gone on", flush=True)
end.set()
"""


def test_the_interpreter_ends_when_the_threads_that_were_left_have_ended(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LEAVES_A_THREAD, encoding="utf-8")

    assert run_program(program).stdout.split("\n") == ["left", "gone on", "ended", ""]


# Pools of others


def test_a_pool_of_threads_can_be_given():
    variable = ContextVar("variable", default="default")

    def body():
        return threading.current_thread().name, variable.get(), current_node() is not None

    async def main():
        variable.set("of the call")
        with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            return await task(body, executor=pool)()

    assert run(main()) == ("mine_0", "of the call", True)


def test_tasks_that_are_given_one_pool_wait_for_its_workers_together():
    body = Blocker()

    async def main():
        with ThreadPoolExecutor(2) as pool:
            nodes = [task(body, executor=pool)(1), task(body, executor=pool)(2), task(body, executor=pool)(3)]
            await body.until_begun()
            await turns()
            states = [node.state for node in nodes]
            body.end.set()
            await asyncio.wait(nodes)
        return states

    assert run(main()) == [State.RUNNING, State.RUNNING, State.QUEUED]


def test_a_call_that_is_left_behind_in_a_given_pool_keeps_its_worker_until_it_ends():
    body = Blocker()

    async def main():
        with ThreadPoolExecutor(1) as pool:
            first = task(body, executor=pool, limit=1)()
            await body.until_begun()
            second = task(int, executor=pool)("7")
            first.cancel()
            await asyncio.wait([first])
            await turns()
            states = first.state, first.abandoned, second.state
            body.end.set()
            return states, await second, first.abandoned

    assert run(main()) == ((State.CANCELLED, True, State.QUEUED), 7, False)


def test_a_pool_of_processes_can_be_given():
    async def main():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            squares = task(process_bodies.squared, executor=pool).map([2, 3])
            with pytest.raises(RuntimeError, match="a plain function raised StopIteration"):
                await task(process_bodies.stops, executor=pool)()
            return [await node for node in squares]

    assert asyncio.run(main()) == [4, 9]


class AtOnce(Executor):
    """A pool that does not say how many workers it has."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_a_pool_of_ones_own_making_can_be_given():
    async def main():
        return await task(int, executor=AtOnce())("7")

    assert run(main()) == 7


def test_a_pool_that_is_shut_down_fails_the_node():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    async def main():
        with pytest.raises(RuntimeError, match="after shutdown"):
            await task(int, executor=pool)("7")

    run(main())


@pytest.mark.parametrize("make", [lambda: ThreadExecutor(2), lambda: ThreadPoolExecutor(2), lambda: "thread"])
def test_an_async_function_is_refused_by_every_pool(make):
    async def fetch():
        pass

    with pytest.raises(OptionError, match="a plain function, and fetch is async"):
        task(fetch, executor=make())


# Processes


def in_process(fn, *args, **options):
    async def main():
        return await task(fn, executor="process", **options)(*args)

    return asyncio.run(main())


def test_a_function_runs_in_another_process():
    assert in_process(process_bodies.pid) != os.getpid()


def test_a_process_gets_values_where_the_call_had_nodes():
    async def main():
        square = task(process_bodies.squared, executor="process")
        combine = task(process_bodies.combined, executor="process")
        return await combine(square(2), [square(3)], key={"k": square(4)})

    assert asyncio.run(main()) == (4, ([9],), {"k": 16})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_body_in_a_process_has_forked_answers_no_call():
    async def main():
        worker = ProcessExecutor(1)
        forks, square = (task(each, executor=worker) for each in (process_bodies.forks, process_bodies.squared))
        return await forks(), await square(3)

    assert asyncio.run(main()) == ("parent", 9)


def test_a_decorated_function_runs_in_another_process():
    async def main():
        return await process_bodies.decorated(1)

    assert asyncio.run(main()) == 2


def test_a_failure_in_a_process_has_its_own_type_and_the_remote_traceback():
    with pytest.raises(LookupError, match="no row") as caught:
        in_process(process_bodies.fails, "row")

    assert "process_bodies.py" in str(caught.value.__cause__)
    assert "in fails" in str(caught.value.__cause__)


def test_stop_iteration_in_a_process_is_a_runtime_error():
    with pytest.raises(RuntimeError, match="a plain function raised StopIteration") as caught:
        in_process(process_bodies.stops)

    assert "in stops" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_made_again_is_told_with_its_remote_traceback():
    with pytest.raises(NotPicklable, match=r"the exception of raises_unmakeable, Unmakeable: no answer, ") as caught:
        in_process(process_bodies.raises_unmakeable)

    text = str(caught.value)
    assert "cannot come back from a worker process: TypeError: " in text
    assert "missing 1 required positional argument: 'code'" in text
    assert "on to super().__init__(), or define __reduce__" in text
    assert "in raises_unmakeable" in str(caught.value.__cause__)


def test_an_exception_that_arrives_as_something_else_is_told():
    with pytest.raises(NotPicklable, match=r"Impostor, cannot come back .* arrives as str"):
        in_process(process_bodies.raises_impostor)


@pytest.mark.parametrize(
    ("body", "args", "text"),
    [
        (lambda: 1, (), "call of <lambda> cannot go to a worker process: .*importable by its own name"),
        (process_bodies.ignores, (process_bodies.Broken(),), "call of ignores cannot go to .*: ValueError: invalid"),
        (process_bodies.ignores, (threading.Lock(),), "call of ignores cannot go to .*: TypeError: cannot pickle"),
        (process_bodies.broken, (), "value of broken cannot come back from a worker process: ValueError: invalid"),
        (process_bodies.lock, (), "value of lock cannot come back from .*: TypeError: cannot pickle"),
    ],
    ids=["function", "unmakeable argument", "argument", "unmakeable value", "value"],
)
def test_what_cannot_be_pickled_fails_the_node(body, args, text):
    async def main():
        node = task(body, executor="process")(*args)
        await asyncio.wait([node])
        return node.state, node.exception()

    state, error = asyncio.run(main())

    assert state is State.FAILED
    assert type(error) is NotPicklable
    assert re.search(text, str(error))


def test_what_cannot_be_pickled_harms_no_other_attempt(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    process = partial(task, executor=ProcessExecutor(2))  # also where there is one core

    async def main():
        other = process(process_bodies.reads)(pipe)
        writer = await asyncio.to_thread(open, pipe, "w")
        failing = [
            process(process_bodies.raises_unmakeable)(),
            process(process_bodies.broken)(),
            process(process_bodies.ignores)(process_bodies.Broken()),
        ]
        await asyncio.wait(failing)
        writer.close()
        return [type(node.exception()) for node in failing], await other

    assert asyncio.run(main()) == ([NotPicklable] * 3, "")


def test_an_error_of_aiodag_itself_comes_back_from_a_process():
    with pytest.raises(OptionError, match="limit=0 cannot work: limit takes an int of 1 or more"):
        in_process(process_bodies.forbids)


def test_a_worker_that_dies_is_named_and_the_pool_recovers():
    with pytest.raises(WorkerDied, match=r"dies got no answer in attempt 1 of 1.*exit code 3.*retries=1 would have"):
        in_process(process_bodies.dies)

    assert in_process(process_bodies.squared, 3) == 9


def test_a_worker_that_dies_in_the_last_attempt_is_not_told_to_retry():
    with pytest.raises(WorkerDied, match=r"dies got no answer in attempt 2 of 2, .* code 3.*a new worker") as caught:
        in_process(process_bodies.dies, retries=1)

    assert "retries=" not in caught.value.args[0]


PROGRAM_WITHOUT_GUARD = """
import asyncio
from math import sqrt
from aiodag import WorkerDied, task


async def main():
    try:
        await task(sqrt, executor="process")(4)
    except WorkerDied as error:
        print(error)


asyncio.run(main())
"""


def test_a_main_module_without_a_guard_is_named_as_a_cause(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM_WITHOUT_GUARD, encoding="utf-8")

    ended = run_program(program)

    assert 'guard it with `if __name__ == "__main__":`' in ended.stdout, ended.stderr


def test_a_worker_that_dies_is_a_failed_attempt(tmp_path):
    marker = str(tmp_path / "marker")

    assert in_process(process_bodies.dies_once, marker, retries=1) != os.getpid()


def test_the_pool_is_usable_from_one_loop_after_another():
    assert [in_process(process_bodies.squared, x) for x in (1, 2)] == [1, 4]


def test_a_call_is_queued_until_a_worker_is_ready_and_its_timeout_begins_then():
    async def main():
        node = task(process_bodies.squared, executor=ProcessExecutor(1), timeout=10)(3)
        await turns()
        before = node.state, node.attempt
        asyncio.get_running_loop().now += 100  # as if the start of the worker took so long
        return before, await node

    assert run(main()) == ((State.QUEUED, 0), 9)


def test_a_call_is_queued_until_a_worker_is_free(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)

    async def main():
        pool = ProcessExecutor(1)
        first, second = [task(process_bodies.reads, executor=pool)(path) for path in (pipe, os.devnull)]
        writer = await asyncio.to_thread(open, pipe, "w")
        states = first.state, second.state, second.attempt
        writer.close()
        return states, await second

    assert asyncio.run(main()) == ((State.RUNNING, State.QUEUED, 0), "")


class Pipe:
    """A pipe with a name: who has opened it to write is known to live."""

    def __init__(self, directory):
        self.path = str(directory / "pipe")
        os.mkfifo(self.path)
        self.end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self):
        """Return what was written; an empty string when all who could write have ended."""
        assert select.select([self.end], [], [], 60)[0]
        return os.read(self.end, 100).decode()

    def until_begun(self, count=1):
        """Wait until so many bodies hold the pipe."""
        heard = ""
        while heard.count("begun") < count:
            heard += self.read()


@pytest.fixture
def pipe(tmp_path):
    pipe = Pipe(tmp_path)
    yield pipe
    os.close(pipe.end)


@pytest.mark.parametrize("how", ["sleeps", "blocks the interpreter"])
def test_a_cancelled_process_call_is_ended_with_what_it_has_started_and_its_worker_replaced(pipe, how):
    async def main():
        pool, limit = ProcessExecutor(2), Limit(2)
        stuck = [task(process_bodies.holds, executor=pool, limit=limit)(pipe.path, how) for _ in range(2)]
        await asyncio.to_thread(pipe.until_begun, 2)
        for node in stuck:
            node.cancel()
        await asyncio.wait(stuck)
        squares = task(process_bodies.squared, executor=pool, limit=limit).map(range(4))
        return [node.state for node in stuck], [await node for node in squares], pipe.read()

    assert asyncio.run(main()) == ([State.CANCELLED] * 2, [0, 1, 4, 9], "")


def test_process_attempts_that_are_late_are_ended_and_the_pool_works_on(pipe):
    async def main():
        pool = ProcessExecutor(2)
        stuck = [task(process_bodies.holds, executor=pool, timeout=0.5)(pipe.path) for _ in range(3)]
        await asyncio.wait(stuck)
        value = await task(process_bodies.squared, executor=pool)(3)
        return [type(node.exception()) for node in stuck], value

    assert asyncio.run(main()) == ([TimeoutError] * 3, 9)


def test_a_worker_that_dies_takes_no_other_call_with_it(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)

    async def main():
        pool = ProcessExecutor(3)
        other = task(process_bodies.reads, executor=pool)(pipe)
        writer = await asyncio.to_thread(open, pipe, "w")
        dying = [task(process_bodies.dies, executor=pool)() for _ in range(4)]
        await asyncio.wait(dying)
        writer.close()
        return [type(node.exception()) for node in dying], await other

    assert asyncio.run(main()) == ([WorkerDied] * 4, "")


def test_a_worker_that_died_between_two_calls_fails_none():
    async def main():
        pool = ProcessExecutor(1)
        os.kill(await task(process_bodies.pid, executor=pool)(), signal.SIGKILL)
        node = task(process_bodies.squared, executor=pool)(3)
        return await node, node.attempt

    assert asyncio.run(main()) == (9, 1)


def test_a_worker_is_used_again_also_by_the_next_loop():
    pool = ProcessExecutor(1)

    async def main():
        return [await task(process_bodies.pid, executor=pool)() for _ in range(2)]

    assert len({*asyncio.run(main()), *asyncio.run(main())}) == 1


def test_a_body_that_exits_in_a_process_fails_its_node():
    async def main():
        node = task(process_bodies.exits, executor="process")(3)
        await asyncio.wait([node])
        return node.state, node.exception().code, await task(process_bodies.squared, executor="process")(3)

    assert asyncio.run(main()) == (State.FAILED, 3, 9)


OWNER = """
import asyncio, os, sys, time
import process_bodies
from aiodag import State, task


async def main():
    path, leaves, how = sys.argv[1:]
    node = task(process_bodies.holds, executor="process")(path, how)
    while node.state is not State.RUNNING:
        await asyncio.sleep(0.01)
    if leaves == "a fork" and os.fork() == 0:
        time.sleep(1000)  # real time: until its process is ended
    print("ready", flush=True)
    await node


if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def owner(tmp_path):
    """Start a program that has bodies in two workers; in the end, end all that it has left."""
    program, started = tmp_path / "owner.py", []
    program.write_text(OWNER, encoding="utf-8")

    def start(*args):
        started.append(
            subprocess.Popen(
                [sys.executable, program, *args],
                env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
        assert started[-1].stdout.readline() == b"ready\n"
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdout.close()


# Not a fork and a body that blocks the interpreter: then only a thread of the worker could see the end of the owner.
@pytest.mark.parametrize(
    ("leaves", "how"), [("nothing", "sleeps"), ("nothing", "blocks the interpreter"), ("a fork", "sleeps")]
)
def test_workers_end_with_an_owner_that_is_killed_and_so_does_what_they_started(pipe, owner, leaves, how):
    process = owner(pipe.path, leaves, how)
    pipe.until_begun()

    process.kill()
    process.wait(60)

    assert pipe.read() == ""


def test_the_virtual_clock_stands_still_while_a_process_runs():
    async def main():
        tick = asyncio.ensure_future(asyncio.sleep(3600))
        value = await task(process_bodies.squared, executor="process")(5)
        at = now()
        tick.cancel()
        return value, at

    assert run(main()) == (25, 0.0)


INTERRUPTED = """
import asyncio
import process_bodies
from aiodag import task


async def main():
    nodes = task(process_bodies.holds, executor="process").map(["/dev/null"] * 2)
    print("ready", flush=True)
    await asyncio.wait(nodes)


if __name__ == "__main__":
    asyncio.run(main())
"""


def test_ctrl_c_in_a_terminal_is_for_the_program_alone(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, program],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"

    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert "spawn_main" not in err
    assert process.returncode == -signal.SIGINT


# Objects of one's own


class Recording:
    """Runs bodies here, and keeps what it was given."""

    def __init__(self):
        self.calls = []

    async def run(self, fn, /, *args, **kwargs):
        self.calls.append((args, kwargs))
        await asyncio.sleep(1)
        value = fn(*args, **kwargs)
        return await value if asyncio.iscoroutine(value) else value


def test_an_executor_gets_the_function_and_its_finished_arguments():
    executor = Recording()

    async def main():
        node = task(asyncio.sleep)(0, 2)
        return await task(lambda x, *, y: x * y, executor=executor)(node, y=5), now()

    assert run(main()) == (10, 1.0)
    assert executor.calls == [((2,), {"y": 5})]


def test_an_executor_of_ones_own_may_run_async_functions():
    async def double(x):
        await asyncio.sleep(1)
        return 2 * x

    async def main():
        return await task(double, executor=Recording())(4), now()

    assert run(main()) == (8, 2.0)


def test_an_executor_is_asked_for_each_attempt():
    executor = Recording()
    flaky = iter([ValueError(), None])

    def body():
        error = next(flaky)
        if error:
            raise error
        return "value"

    async def main():
        return await task(body, executor=executor, retries=1)()

    assert run(main()) == "value"
    assert len(executor.calls) == 2


class Desk:
    """An executor with one worker, that is free when the test says so."""

    def __init__(self):
        self.free = asyncio.Event()
        self.told = []

    async def place(self):
        await self.free.wait()
        return self

    async def run(self, fn, /, *args, **kwargs):
        self.told.append("run")
        return fn(*args, **kwargs)

    def leave(self):
        self.told.append("leave")


def test_an_executor_of_ones_own_may_have_its_attempts_wait():
    desk = Desk()

    async def main():
        node, cancelled = task(int, executor=desk, timeout=1)("7"), task(int, executor=desk)("8")
        await asyncio.sleep(60)
        before = node.state, node.attempt
        cancelled.cancel()
        desk.free.set()
        return before, await node, cancelled.cancelled()

    assert run(main()) == ((State.QUEUED, 0), 7, True)
    assert desk.told == ["run", "leave"]


def test_what_an_executor_raises_fails_the_node():
    class Broken:
        async def run(self, fn, /, *args, **kwargs):
            raise ConnectionError("no machine")

    async def main():
        with pytest.raises(ConnectionError, match="no machine"):
            await task(print, executor=Broken())()

    run(main())


def test_cancelling_a_node_cancels_its_executor():
    ended = []

    class Slow:
        async def run(self, fn, /, *args, **kwargs):
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(True)

    async def main():
        node = task(print, executor=Slow())()
        await turns()
        node.cancel()
        await asyncio.wait([node])
        return node.state, node.abandoned

    assert asyncio.run(main()) == (State.CANCELLED, False)
    assert ended == [True]
