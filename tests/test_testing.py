"""The kit for users' tests: virtual clock, another order, moves on record, failures on order."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aiodag import Run, RunFailed, State, task
from aiodag.abc import Move
from aiodag.testing import MoveRecorder, VirtualLoop, VirtualPolicy, inject, run, shuffle

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


@pytest.mark.filterwarnings("ignore:.*policy.*:DeprecationWarning")
def test_the_policy_makes_virtual_loops():
    loop = VirtualPolicy().new_event_loop()
    loop.close()

    assert isinstance(loop, VirtualLoop)


PYTEST_PROGRAM = """
import asyncio
import pytest
from aiodag.testing import VirtualPolicy

@pytest.fixture
def event_loop_policy():
    return VirtualPolicy()

@pytest.mark.asyncio
async def test_a_day_takes_no_time():
    await asyncio.sleep(86400)
    assert asyncio.get_running_loop().time() == 86400
"""


def test_the_policy_works_with_the_fixture_of_pytest_asyncio(tmp_path):
    (tmp_path / "test_day.py").write_text(PYTEST_PROGRAM, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_day.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "1 passed" in ended.stdout, ended.stdout


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
            return await other()

    assert run(main()) == "value"
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

    assert "fetch failed: OSError: no network" in text
    assert recorder.states("fetch") == ["waiting", "queued", "running", "failed"]


def test_inject_ends_with_its_block():
    fetch, _ran = tried(name="fetch")

    async def main():
        with inject({("fetch", 1): OSError()}):
            pass
        return await fetch()

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
