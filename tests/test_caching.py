"""Values that runs share: computed once for equal calls at once, and never taken from another program."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aiodag import Run, RunFailed, task
from aiodag.errors import NoIdentity, StoreError
from aiodag.stores import Memory, SQLite
from aiodag.stores.caching import without_seat
from aiodag.testing import run as virtual

ROOT = Path(__file__).parent.parent
RAN = []


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()


@task(cache=True)
async def slow(x):
    RAN.append(x)
    await asyncio.sleep(3600)
    return [x]


@task(cache=True)
async def once(x, fails):
    RAN.append(x)
    await asyncio.sleep(1)
    if fails:
        fails.pop()
        raise ConnectionError(x)
    return x


@task
async def part(x):
    RAN.append(x)
    await asyncio.sleep(1)
    return x


@task(cache=True)
async def of_a_part(x):
    return await part(x)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_who_waits_for_an_equal_call_does_not_keep_its_run_from_going_on(store, limit):
    async def main():
        async with asyncio.timeout(60), Run("one", store=store, limit=limit) as run:
            nodes = [of_a_part(1) for _ in range(4)] + [part(2)]
        return [node.result() for node in nodes], run.seats.taken

    assert virtual(main()) == ([1, 1, 1, 1, 2], 0)
    assert sorted(RAN) == [1, 2]


def test_who_waits_for_an_equal_call_and_is_cancelled_gives_nothing_away_twice(store):
    async def main():
        async with asyncio.timeout(60), Run("one", store=store, limit=1) as run:
            first, second = of_a_part(1), of_a_part(1)
            await asyncio.sleep(0.5)
            second.cancel()
            await asyncio.wait([second])
            running = run.seats.taken
            last = part(2)
        return first.result(), second.cancelled(), last.result(), running, run.seats.taken

    assert virtual(main()) == (1, True, 2, 1, 0)


def test_equal_calls_at_once_run_once(store):
    async def main():
        async with Run("one", store=store):
            nodes = [slow(1), slow(1), slow(2)]
        return [node.result() for node in nodes]

    assert virtual(main()) == [[1], [1], [2]]
    assert sorted(RAN) == [1, 2]


def test_equal_calls_at_once_run_once_whatever_their_stores_call_the_file(tmp_path):
    async def call(store):
        async with Run("one", store=store):
            node = slow(1)
        return node.result()

    async def main():
        stores = SQLite(tmp_path / "runs.db"), SQLite(tmp_path / ".." / tmp_path.name / "runs.db")
        values = await asyncio.gather(*map(call, stores))
        for store in stores:
            store.close()
        return values

    assert virtual(main()) == [[1], [1]]
    assert RAN == [1]


def test_each_of_equal_calls_gets_a_value_of_its_own(store):
    """As values that are recalled are: changing one changes no other."""

    async def main():
        async with Run("one", store=store):
            nodes = [slow(1), slow(1)]
        return [node.result() for node in nodes]

    one, other = virtual(main())

    assert one == other
    assert one is not other


def test_runs_of_one_loop_compute_once(store):
    async def of_run(name):
        async with Run(name, store=store):
            node = slow(1)
        return node.result()

    async def main():
        return await asyncio.gather(of_run("one"), of_run("other"))

    assert virtual(main()) == [[1], [1]]
    assert RAN == [1]


def test_runs_of_two_threads_compute_once(tmp_path, monkeypatch):
    """Each has opened the store for itself."""
    place = f"sqlite:///{tmp_path / 'runs.db'}"
    begun, go = threading.Event(), threading.Event()

    @task(cache=True, name="wait")
    def wait():
        RAN.append("wait")
        begun.set()
        assert go.wait(60)
        return 1

    async def for_the_other(ending):
        go.set()  # not before: it is to wait for the first one
        return await without_seat(ending)

    async def of_run(name):
        async with Run(name, store=place):
            node = wait()
        return node.result()

    monkeypatch.setattr("aiodag.stores.caching.without_seat", for_the_other)
    found = []
    first = threading.Thread(target=lambda: found.append(asyncio.run(of_run("one"))))
    first.start()
    assert begun.wait(60)
    found.append(asyncio.run(of_run("other")))
    first.join()

    assert found == [1, 1]
    assert RAN == ["wait"]


class Held(Memory):
    """A store that writes no value for others before it may."""

    def __init__(self):
        super().__init__()
        self.asked, self.may_write, self.fault = threading.Event(), threading.Event(), None

    def write_all(self, writes):
        if any(write.batch.rows("cache") for write in writes):
            self.asked.set()
            assert self.may_write.wait(60)
            if self.fault is not None:
                raise self.fault
        return super().write_all(writes)


@task(cache=True)
async def at_once(x):
    RAN.append(x)
    return [x]


async def call_while_a_value_is_written(store):
    """Call equally while the value of the first call is on its way into the store; return both nodes."""
    async with Run("one", store=store):
        first = at_once(1)
        await asyncio.to_thread(store.asked.wait, 60)
        second = at_once(1)
        for _ in range(20):
            await asyncio.sleep(0)
        store.may_write.set()
        await asyncio.wait([first, second])
        return first, second


def test_a_value_that_is_being_written_is_not_computed_again():
    first, second = asyncio.run(call_while_a_value_is_written(Held()))

    assert (first.result(), second.result()) == ([1], [1])
    assert RAN == [1]


def test_a_value_that_could_not_be_written_is_computed_again():
    store = Held()
    store.fault = StoreError("the disk is full")
    with pytest.raises(StoreError, match="the disk is full"):
        asyncio.run(call_while_a_value_is_written(store))
    store.fault = None

    asyncio.run(call_while_a_value_is_written(store))

    assert RAN == [1, 1]


def test_a_failure_is_of_one_call_and_the_other_tries_for_itself(store):
    fails = [True]
    keyed = once.with_options(key=lambda x, fails: x)

    async def main():
        async with Run("one", store=store):
            first, second = keyed(1, fails), keyed(1, fails)
            with pytest.raises(ConnectionError):
                await first
        return second.result()

    assert virtual(main()) == 1
    assert RAN == [1, 1]


def test_all_that_fail_have_tried(store):
    keyed = once.with_options(key=lambda x, fails: x)

    async def main():
        async with Run("one", store=store):
            for _ in range(3):
                keyed(1, [True])

    with pytest.raises(RunFailed) as caught:
        virtual(main())
    assert len(caught.value.failures) == 3
    assert RAN == [1, 1, 1]


def test_cancelling_the_first_does_not_cancel_the_second(store):
    async def main():
        async with Run("one", store=store):
            first, second = slow(1), slow(1)
            await asyncio.sleep(1)
            first.cancel()
        return first.cancelled(), second.result()

    assert virtual(main()) == (True, [1])
    assert RAN == [1, 1]


def test_cancelling_the_second_does_not_cancel_the_first(store):
    async def main():
        async with Run("one", store=store):
            first, second = slow(1), slow(1)
            await asyncio.sleep(1)
            second.cancel()
        return first.result(), second.cancelled()

    assert virtual(main()) == ([1], True)
    assert RAN == [1]


def test_who_waits_for_an_equal_call_holds_no_place_of_a_limit(store):
    one_at_a_time = slow.with_options(limit=1)

    async def main():
        async with Run("one", store=store):
            nodes = [one_at_a_time(x) for x in (1, 1, 2)]
        return [node.result() for node in nodes]

    assert virtual(main()) == [[1], [1], [2]]
    assert sorted(RAN) == [1, 2]


def test_a_call_inside_of_its_own_computation_does_not_wait_for_itself(store):
    depth = []

    @task(cache=True, key="same")
    async def down():
        depth.append(1)
        return await down() + 1 if len(depth) < 3 else 0

    async def main():
        async with Run("one", store=store):
            node = down()
        return node.result()

    assert virtual(main()) == 2


PROGRAM = """
import asyncio, sys
from aiodag import Run, task


@task(cache=True)
async def total(day):
    print("total", flush=True)
    return {value}


async def main():
    async with Run("etl", store="sqlite:///{store}"):
        node = total("monday")
    print(node.result())


if __name__ == "__main__":
    asyncio.run(main())
"""


def start(*args, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout.split() if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    "names", [("one.py", "two.py"), ("one/etl.py", "two/etl.py"), ("one/__main__.py", "two/__main__.py")]
)
def test_two_programs_do_not_take_each_others_values(tmp_path, names):
    for value, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PROGRAM.format(value=value, store=tmp_path / "runs.db"))

    assert [start(name, cwd=tmp_path) for name in names] == [["total", "0"], ["total", "1"]]
    assert [start(name, cwd=tmp_path) for name in names[::-1]] == [["1"], ["0"]]


def test_modules_of_one_name_in_two_programs_do_not_share_values(tmp_path):
    for value, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tasks.py").write_text(PROGRAM.format(value=value, store=tmp_path / "runs.db"))
        (tmp_path / name / "main.py").write_text("import asyncio, tasks; asyncio.run(tasks.main())")

    assert [start(f"{name}/main.py", cwd=tmp_path) for name in ("one", "two")] == [["total", "0"], ["total", "1"]]


def test_a_program_and_who_imports_it_share_values(tmp_path):
    (tmp_path / "etl.py").write_text(PROGRAM.format(value=3, store=tmp_path / "runs.db"))

    assert start("etl.py", cwd=tmp_path) == ["total", "3"]
    assert start("-c", "import asyncio, etl; asyncio.run(etl.main())", cwd=tmp_path) == ["3"]
    assert start("-m", "etl", cwd=tmp_path) == ["3"]


def test_programs_share_the_values_of_a_task_that_has_a_name(tmp_path):
    for name in ("one.py", "two.py"):
        source = PROGRAM.format(value=3, store=tmp_path / "runs.db").replace("cache=True", 'cache=True, name="total"')
        (tmp_path / name).write_text(source)

    assert [start(name, cwd=tmp_path) for name in ("one.py", "two.py")] == [["total", "3"], ["3"]]


def test_a_program_without_a_file_is_asked_for_a_name(tmp_path):
    source = PROGRAM.format(value=3, store=tmp_path / "runs.db")

    assert "NoIdentity: total cannot be known again" in start("-c", source, cwd=tmp_path)
    assert start("-c", source.replace("cache=True", 'cache=True, name="total"'), cwd=tmp_path) == ["total", "3"]


def test_values_that_a_run_took_from_another_are_its_own_and_can_be_taken_back(store, monkeypatch):
    monkeypatch.setattr("aiodag.stores.changes.PORTION", 8)  # rows that only wait come in several batches

    @task(cache=True)
    async def double(x):
        RAN.append(x)
        return 2 * x

    async def main(run_id):
        async with Run("one", store=store, id=run_id):
            nodes = [double(x) for x in range(20)]
            for _ in range(10):  # batches, of which some have room for rows that only wait
                await part(0)
        return [node.result() for node in nodes]

    expected = [2 * x for x in range(20)]
    assert virtual(main("first")) == virtual(main("second")) == expected
    assert [node.value for node in store.nodes("second") if node.name.endswith("double")] == [str(x) for x in expected]
    assert virtual(main("second")) == expected


def test_two_factories_do_not_share_values(store):
    def scaled(by):
        @task(cache=True)
        async def scale(x):
            return by * x

        return scale

    async def main(name, by):
        async with Run(name, store=store):
            node = scaled(by)(1)
        return node.result()

    assert [virtual(main(f"run {by}", by)) for by in (2, 3, 2)] == [2, 3, 2]


def test_a_task_without_a_file_is_refused_at_the_call(store):
    space = {"__name__": "nowhere", "task": task}
    exec("async def load(x): return x", space)

    async def main():
        async with Run("one", store=store):
            with pytest.raises(NoIdentity, match="name="):
                task(space["load"], cache=True)(1)

    asyncio.run(main())
