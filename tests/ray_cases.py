"""Tests of the executor Ray, which `test_ray.py` runs in a network of its own."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import ray
from ray_servers import CORES, INSIDE, RayNode
from test_more_machines import settings_of, survey

from aiodag import AttemptLost, OptionError, Run, State, ValueGone, task
from aiodag.errors import NotPicklable
from aiodag.executors.ray import Ray

SECONDS = 120  # after which something hangs

pytestmark = pytest.mark.skipif(INSIDE not in os.environ, reason="test_ray.py runs these where Ray may listen")


def double(x):
    return 2 * x


def note_and_wait(path):
    path.write_text("begun")
    time.sleep(300)  # real time: a worker is to be busy until it is killed


async def pid_there():
    await asyncio.sleep(0)
    return os.getpid()


async def text_of(path):
    """What a body has written, as soon as it has."""
    async with asyncio.timeout(SECONDS):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.01)  # real time: the body is in another process
    return path.read_text()


async def settled_there(node):
    """Wait until nothing of an abandoned attempt runs any more."""
    async with asyncio.timeout(SECONDS):
        while node.abandoned:
            await asyncio.sleep(0.01)  # real time: as above


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Values


async def test_a_body_runs_in_another_process(ray_executor):
    assert await task(os.getpid, executor=ray_executor)() != os.getpid()


async def test_a_whole_run_is_sent(ray_executor):
    async with Run("doubled", executor=ray_executor):
        nodes = task(double).map(range(10))
        pids = [task(os.getpid)(), task(pid_there)()]

    assert [node.result() for node in nodes] == [2 * x for x in range(10)]
    assert os.getpid() not in [pid.result() for pid in pids]


async def test_closures_lambdas_partials_and_methods_are_shipped(ray_executor):
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def of(self, x):
            return self.factor * x

    three = 3
    nodes = [task(fn, executor=ray_executor)(2) for fn in (lambda x: three * x, partial(pow, 3), Scale(4).of)]

    assert [await node for node in nodes] == [6, 9, 8]


async def test_an_async_body_runs_on_a_loop_of_its_worker(ray_executor):
    assert await task(pid_there, executor=ray_executor)() != os.getpid()


async def test_what_cannot_go_there_is_said(ray_executor):
    with pytest.raises(NotPicklable, match="the call of double cannot go to a worker"):
        await task(double, executor=ray_executor)(threading.Lock())


# Failures


async def test_an_exception_comes_back_with_where_it_was_raised(ray_executor):
    def look():
        return {}["nowhere"]

    with pytest.raises(KeyError, match="nowhere") as caught:
        await task(look, executor=ray_executor)()

    assert "in look" in str(caught.value.__cause__)


async def test_many_answers_come_together_each_to_its_node(ray_executor):
    def tenth_fails(number):
        if number % 10 == 3:
            raise KeyError(number)
        return number

    nodes = task(tenth_fails, executor=ray_executor).map(range(200))
    outcomes = await asyncio.gather(*nodes, return_exceptions=True)

    assert [each.args[0] if isinstance(each, KeyError) else each for each in outcomes] == list(range(200))
    assert sum(isinstance(each, KeyError) for each in outcomes) == 20


async def test_a_worker_that_dies_is_lost_and_the_attempt_is_made_again(ray_executor, tmp_path):
    def die_once(path):
        if path.exists():
            return "second"
        path.touch()
        os._exit(1)

    node = task(die_once, executor=ray_executor, name="die_once")(tmp_path / "seen")

    assert await node == "second"
    assert node.attempt == 2


async def test_a_worker_that_always_dies_fails_with_the_reason(ray_executor):
    with pytest.raises(AttemptLost, match="the worker of die on Ray has died: WorkerCrashedError") as caught:
        await task(lambda: os._exit(1), name="die", executor=ray_executor, lost_retries=0)()

    assert caught.value.reason == "worker died"


# Endings


async def test_a_cancel_ends_a_plain_function_and_what_it_has_started(ray_executor, tmp_path):
    def block(path):
        child = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        grandchild = child.stdout.readline().strip()
        path.write_text(f"{os.getpid()} {child.pid} {grandchild}")
        time.sleep(300)  # real time: a worker is to be busy until it is killed

    node = task(block, executor=ray_executor)(tmp_path / "pids")
    pids = (await text_of(tmp_path / "pids")).split()
    node.cancel()
    with pytest.raises(asyncio.CancelledError):
        await node
    await settled_there(node)
    async with asyncio.timeout(SECONDS):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.01)  # real time: Ray ends them, one after the other


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_an_async_body_is_cancelled_and_its_worker_goes_on(ray_executor, tmp_path, how):
    async def wait(path):
        path.write_text(str(os.getpid()))
        try:
            await asyncio.sleep(300)  # real time: it is cancelled in another process
        finally:
            path.write_text("ended")

    path = tmp_path / "state"
    await task(pid_there, executor=ray_executor)()  # a worker is there, which takes seconds to start
    node = task(wait, executor=ray_executor, timeout=3 if how == "timeout" else None)(path)
    pid = await text_of(path)
    if how == "cancel":
        node.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancel" else TimeoutError):
        await node
    await settled_there(node)

    assert path.read_text() == "ended"
    assert is_alive(pid)


async def test_an_attempt_with_a_timeout_waits_here_and_not_on_the_cluster(ray_executor, tmp_path):
    def wait(number):
        (tmp_path / str(number)).write_text("begun")
        while not (tmp_path / "go").exists():
            time.sleep(0.01)  # real time: another process makes it

    before = task(wait, executor=ray_executor, timeout=60).map(range(CORES))
    for number in range(CORES):
        await text_of(tmp_path / str(number))
    node = task(double, executor=ray_executor, timeout=60)(1)
    await asyncio.sleep(0.05)  # real time: nothing tells that it does not begin

    assert node.state is State.QUEUED
    (tmp_path / "go").touch()
    assert await node == 2
    assert [await each for each in before] == [None] * CORES


# Values that stay


async def test_a_large_value_stays_there_for_those_who_need_it_there(ray_executor, monkeypatch):
    fetched = []
    monkeypatch.setattr("aiodag.executors.ray.RayValue.fetch", lambda held: fetched.append(held))
    async with Run("chain", executor=ray_executor):
        array = task(np.ones)(1_000_000)
        for _ in range(3):
            array = task(np.add)(array, array)
        total = task(float)(task(np.sum)({"deep": [array]}["deep"][0]))

    assert total.result() == 8_000_000
    assert fetched == []


async def test_a_large_value_comes_home_when_somebody_asks(ray_executor):
    assert (await task(np.arange, executor=ray_executor)(100_000)).sum() == 4_999_950_000


async def test_a_large_value_is_freed_after_its_last_consumer(ray_executor):
    def stored():
        return len(ray._private.worker.global_worker.core_worker.get_all_reference_counts())  # noqa: SLF001 - nothing public counts

    before = stored()
    for _ in range(3):
        assert await task(np.sum, executor=ray_executor)(task(np.ones, executor=ray_executor)(1_000_000)) == 1_000_000
    async with asyncio.timeout(SECONDS):
        while stored() > before:
            await asyncio.sleep(0.01)  # real time: Ray counts in threads of its own


async def test_what_runs_on_a_machine_that_dies_is_lost_and_its_values_are_gone(ray_cluster, tmp_path):
    machine = RayNode(ray_cluster.address)
    try:
        executor = Ray(resources={"other": 0.5}, num_cpus=0)
        value = task(np.ones, executor=executor)(1_000_000)
        async with asyncio.timeout(SECONDS):
            while value.state is not State.SUCCEEDED:
                await asyncio.sleep(0.01)  # real time: who awaits it has the value fetched
        held_up = task(note_and_wait, executor=executor, lost_retries=0)(tmp_path / "begun")
        await text_of(tmp_path / "begun")
    finally:
        machine.kill()

    with pytest.raises(AttemptLost, match="the worker of note_and_wait on Ray has died"):
        await held_up
    with pytest.raises(ValueGone, match="ones on Ray"):
        await task(np.sum, executor=Ray())(value)


async def test_large_values_are_recorded_where_they_are(ray_executor, tmp_path, monkeypatch):
    async def main():
        async with Run(
            "kept", id="kept", store=store, values=f"file://{tmp_path}/values", executor=ray_executor
        ) as run:
            total = task(np.sum)(task(np.ones)(1_000_000))
        return total.result(), run

    store = f"sqlite:///{tmp_path}/runs.db"
    fetched = []
    monkeypatch.setattr("aiodag.executors.ray.RayValue.fetch", lambda held: fetched.append(held))
    await main()

    assert (await main())[0] == 1_000_000
    assert fetched == []
    assert [path for path in (tmp_path / "values").rglob("*") if path.is_file() and path.stat().st_size > 8_000_000]


# The cluster


@pytest.mark.parametrize(
    ("address", "message"),
    [("127.0.0.1:1", "Connection refused"), ("nowhere.invalid:6379", "gaierror")],
)
def test_a_cluster_that_cannot_be_reached_is_said_at_once(address, message):
    program = f"""
import asyncio
from aiodag import task
from aiodag.executors.ray import Ray

async def main():
    await task(str, executor=Ray({address!r}))()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False)

    assert f"ClusterUnreachable: cannot use the Ray cluster at {address}: " in done.stderr
    assert "does `ray start --head` run there?" in done.stderr
    assert message in done.stderr.splitlines()[-2]


async def test_another_cluster_than_that_of_the_process_is_refused(ray_cluster):
    with pytest.raises(OptionError, match="Ray has one for each process"):
        await task(double, executor=Ray("127.0.0.1:1"))(1)


async def test_the_address_of_the_cluster_may_be_said(ray_cluster):
    assert await task(double, executor=Ray(ray_cluster.address))(1) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_cpu": 1}, "Invalid option keyword num_cpu"),
        ({"num_cpus": "many"}, "must be"),
        ({"max_retries": 3}, "lost_retries"),
        ({"name": "gpu"}, "names its calls"),
        ({"keep_from": -1}, "a number of bytes"),
        ({"address": "ray://head:10001"}, "HOST:PORT"),
        ({"by_value": "module"}, "a list of modules"),
    ],
)
def test_what_is_no_option_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Ray(**options)


async def test_a_connection_of_somebody_else_is_left_to_them(ray_executor):
    async with Run("once", executors={"gpu": ray_executor}):
        assert await task(double, executor="gpu")(1) == 2
    await ray_executor.close()

    assert ray.is_initialized()
    assert await task(double, executor=ray_executor)(2) == 4


PROGRAM = """
import asyncio
from aiodag import Run, task
from aiodag.executors.ray import Ray, CONNECTION

factor = 3

def scale(x):
    return factor * x

async def main(address):
    executor = Ray(address)
    async with Run("scaled", executor=executor):
        nodes = task(scale).map(range(3))
        large = task(bytes)(200_000)
    print([node.result() for node in nodes])
    await executor.close()
    print(len(await large), CONNECTION.ours)
    del large
    await executor.close()
    print(CONNECTION.ours)

asyncio.run(main({address!r}))
"""


def test_a_program_ships_what_it_defines_itself_and_lets_go(ray_cluster):
    program = PROGRAM.replace("{address!r}", repr(ray_cluster.address))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False)

    assert (done.returncode, done.stdout) == (0, "[0, 3, 6]\n200000 True\nFalse\n"), done.stderr


# The pages


def test_the_program_of_the_page_runs_and_prints_what_the_page_says(ray_cluster):
    page = (Path(__file__).parent.parent / "docs" / "ray.md").read_text()
    program, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "RAY_ADDRESS": ray_cluster.address},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_the_program_of_the_page_on_more_machines_runs_here(ray_cluster, tmp_path):
    assert survey(tmp_path, settings_of("Ray", address=ray_cluster.address), "run") == "12\n"
