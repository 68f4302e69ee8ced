"""Dask: what its cluster promises beyond what all executors do."""

import asyncio
import subprocess
import sys
from pathlib import Path

import cluster_bodies as bodies
import pytest
from dask_servers import DaskCluster
from test_executor_contract import on
from worker_processes import until

from aiodag import AttemptLost, NotPicklable, OptionError, Run, task
from aiodag.executors.dask import Dask
from aiodag.executors.shipping import ClusterUnreachable, WorkerDiffers

OTHER = Path(__file__).parent.parent / ".venv" / ("3.13" if sys.version_info[:2] == (3, 11) else "3.11") / "bin/python"
PRETENDS = "from aiodag.executors import shipping\nshipping.stamp = lambda: ('3.8', shipping.versions()['aiodag'])\n"


@pytest.fixture
def own_cluster(tmp_path):
    """What starts a cluster of this test alone."""
    clusters = []

    def start(**options):
        clusters.append(DaskCluster(tmp_path, **options))
        return clusters[-1].start()

    yield start
    for each in clusters:
        each.remove()


def array(megabytes):
    import numpy as np

    return np.ones(megabytes << 17)


def doubled_array(given):
    return given * 2


def total(given):
    return float(given["parts"][0].sum())


async def test_large_values_stay_there(dask):
    values = [on(dask, array)(1)]
    for _ in range(3):
        values.append(on(dask, doubled_array)(values[-1]))

    assert await on(dask, total)({"parts": [values[-1]]}) == 8 * (1 << 17)
    assert (await values[-1]).sum() == 8 * (1 << 17)


async def test_large_values_do_not_go_through_the_program(dask, monkeypatch):
    from distributed.comm import tcp

    await on(dask, bodies.squared)(3)  # it is connected
    passed = []
    monkeypatch.setattr(tcp, "read_bytes_rw", counted_read(tcp.read_bytes_rw, passed))
    monkeypatch.setattr(tcp.TCP, "write", counted_write(tcp.TCP.write, passed))
    made = on(dask, array)(4)
    for _ in range(9):
        made = on(dask, doubled_array)(made)

    assert await on(dask, total)({"parts": [made]}) == 512 * (4 << 17)
    assert 0 < sum(passed) < 0.01 * 10 * (4 << 20)


def counted_read(read, passed):
    async def counted(stream, size):
        passed.append(size)
        return await read(stream, size)

    return counted


def counted_write(write, passed):
    async def counted(self, *args, **kwargs):
        passed.append(await write(self, *args, **kwargs))
        return passed[-1]

    return counted


async def test_a_body_here_gets_the_value_itself(dask):
    @task
    async def summed(given):
        return float(given.sum())

    assert await summed(on(dask, array)(1)) == 1 << 17


async def test_what_nobody_holds_is_freed(dask):
    link = await dask.link()
    others = set(await link.client.nbytes(summary=False))  # of tests before this one, on the same cluster
    before = on(dask, array)(1)
    await on(dask, total)({"parts": [before]})
    assert set(await link.client.nbytes(summary=False)) - others

    del before

    async def freed():
        return set(await link.client.nbytes(summary=False)) <= others

    async with asyncio.timeout(30):
        while not await freed():
            await asyncio.sleep(0.01)  # real time: the scheduler hears of it


async def test_values_outlive_their_run_and_then_the_connection_ends(dask):
    async with Run(executor=dask):
        made = task(array)(1)
        shared = task(array)(1)
    link = await dask.link()
    await dask.close()

    assert (await made).sum() == 1 << 17
    async with Run(executor=dask):
        consumer = task(total)({"parts": [shared]})
    assert consumer.result() == 1 << 17
    assert link.client.status == "running"

    del made, shared, consumer
    await asyncio.wait([link.keeper])
    assert link.client.status == "closed"


async def test_large_arguments_arrive(dask):
    content = bytes(3 << 20)

    assert await on(dask, len)(content) == 3 << 20


async def test_a_large_argument_waits_for_a_worker(own_cluster, monkeypatch):
    cluster = own_cluster(workers=0)
    dask = Dask(cluster.address)
    scatter = (await dask.link()).client.scatter
    tried = asyncio.Event()

    async def scattered(content, **options):
        tried.set()
        return await scatter(content, **{**options, "timeout": 0.1})

    monkeypatch.setattr((await dask.link()).client, "scatter", scattered)
    node = on(dask, len)(b"x" * (2 << 20))
    await tried.wait()
    cluster.add_worker()

    assert await node == 2 << 20
    await dask.close()


async def test_an_attempt_that_waits_for_a_thread_is_not_late(dask, tmp_path):
    ahead = on(dask, bodies.held_up).map([tmp_path] * 2, ["a", "b"])
    await until(lambda: len(bodies.noted(tmp_path)) == 2, "both workers are busy")
    queued = [on(dask, bodies.held_up, timeout=30)(tmp_path, "c") for _ in range(4)]
    await asyncio.sleep(0)
    (tmp_path / "go").touch()

    assert [await node for node in (*ahead, *queued)] == ["a", "b", "c", "c", "c", "c"]


async def test_two_loops_one_after_another_and_two_at_once(dask_cluster):
    dask = Dask(dask_cluster.heal().address)

    async def main():
        return await on(dask, bodies.squared)(3)

    found = await asyncio.gather(*(asyncio.to_thread(asyncio.run, main()) for _ in range(2)))

    assert found == [9, 9]
    assert await asyncio.to_thread(asyncio.run, main()) == 9


async def test_a_cluster_and_a_client_are_addresses(dask_cluster):
    from distributed import Client

    async with Client(dask_cluster.heal().address, asynchronous=True, set_as_default=False) as client:
        dask = Dask(client)
        assert await on(dask, bodies.squared)(3) == 9
        await dask.close()

        assert client.status == "running"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"address": 8786}, "that of a Dask scheduler"),
        ({"address": "127.0.0.1:8786"}, "such as tcp://127"),
        ({"keep_from": -1}, "a number of bytes"),
        ({"by_value": "etl"}, "a list of modules"),
        ({"by_value": [3]}, "a list of modules"),
        ({"resources": {"GPU": 0}}, "amounts of what"),
        ({"resources": ["GPU"]}, "amounts of what"),
    ],
)
def test_wrong_options_are_refused(wrong, why):
    with pytest.raises(OptionError, match=why):
        Dask(**{"address": "tcp://127.0.0.1:8786", **wrong})


async def test_a_scheduler_that_is_not_there(monkeypatch):
    monkeypatch.setattr("aiodag.executors.dask.CONNECT", 0.2)
    dask = Dask("tcp://127.0.0.1:9")

    with pytest.raises(
        ClusterUnreachable, match=r"cannot use the Dask cluster at tcp://127\.0\.0\.1:9: .*does `dask sch"
    ):
        await on(dask, bodies.squared)(3)
    async with Run("etl"):  # which goes on without it
        node = task(bodies.squared)(3)
    assert node.result() == 9
    await dask.close()


async def test_a_module_that_workers_do_not_have(dask, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def cube(x):\n    return x ** 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(NotPicklable, match=r"No module named 'only_here'\. Workers import .*by_value"):
        await on(dask, only_here.cube)(3)
    with_it = Dask(dask.address, by_value=["only_here"])
    assert await on(with_it, only_here.cube)(3) == 27
    await with_it.close()


@pytest.mark.filterwarnings("ignore:Mismatched versions found")  # Dask's own words for it, if the worker was first
@pytest.mark.parametrize("really", [True, False] if OTHER.exists() else [False])
async def test_a_worker_with_another_python_is_refused(own_cluster, tmp_path, really):
    cluster = own_cluster(workers=0)
    if really:
        cluster.add_worker(python=str(OTHER))
    else:  # a new machine may have one Python alone
        (tmp_path / "pretends.py").write_text(PRETENDS)
        cluster.add_worker("--preload", str(tmp_path / "pretends.py"))
    dask = Dask(cluster.address)

    with pytest.raises(WorkerDiffers, match="this program has Python"):
        await on(dask, bodies.squared)(3)  # waits for a worker if there is none yet
    await dask.close()


async def test_a_scheduler_that_dies_ends_what_waits_for_it(own_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("aiodag.executors.dask.CONNECT", 0.5)
    cluster = own_cluster(workers=1)
    dask = Dask(cluster.address)
    node = on(dask, bodies.held_up, lost_retries=0)(tmp_path)
    await until(lambda: bodies.noted(tmp_path), "it begins")

    cluster.scheduler.kill()

    with pytest.raises((ClusterUnreachable, AttemptLost)):
        await node
    (tmp_path / "go").touch()
    await dask.close()


async def test_a_call_whose_connection_breaks_is_lost_when_it_has_ended(dask, tmp_path):
    node = on(dask, bodies.held_up, lost_retries=0)(tmp_path)
    await until(lambda: bodies.noted(tmp_path), "it begins")

    link = await dask.link()
    link.client.scheduler_comm.comm.abort()
    await asyncio.sleep(0.3)  # real time: it is asked for meanwhile
    assert not node.done()
    (tmp_path / "go").touch()

    with pytest.raises(AttemptLost, match="connection-lost"):
        await node
    assert bodies.noted(tmp_path) == ["body-begins", "body-ends"]


async def test_a_worker_that_is_sent_away_does_not_have_the_body_run_twice(own_cluster, tmp_path):
    cluster = own_cluster(workers=2)
    dask = Dask(cluster.address)
    node = on(dask, bodies.held_up, lost_retries=0)(tmp_path)
    await until(lambda: bodies.noted(tmp_path), "it begins")

    link = await dask.link()
    (busy,) = [address for address, keys in (await link.client.processing()).items() if keys]
    await link.client.retire_workers([busy])
    (tmp_path / "go").touch()

    with pytest.raises(AttemptLost):
        await node
    assert bodies.noted(tmp_path).count("body-begins") == 1
    await dask.close()


OWNER = """\
import asyncio, sys
import cluster_bodies as bodies
from aiodag import Run, task
from aiodag.executors.dask import Dask
from aiodag.stores import SQLite

address, store, folder = sys.argv[1:]
@task
def first():
    bodies.note(folder, "first")
    return bytes(100_000)
@task
def second(given):
    return bodies.held_up(folder, f"second-{len(given)}")
async def main():
    async with Run("etl", store=SQLite(store), id="monday", executor=Dask(address)):
        node = second(first())
    print(await node)
asyncio.run(main())
"""


async def test_a_run_whose_owner_was_killed_goes_on(dask_cluster, tmp_path):
    program = tmp_path / "owner.py"
    program.write_text(OWNER)
    command = [sys.executable, program, dask_cluster.heal().address, tmp_path / "runs.db", tmp_path]
    env = {"PYTHONPATH": f"{Path(__file__).parent.parent}:{Path(__file__).parent}"}
    with subprocess.Popen(command, env=env) as owner:
        await until(lambda: "second-100000-begins" in bodies.noted(tmp_path), "the second begins")
        owner.kill()
    (tmp_path / "go").touch()
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=180, check=False
    )

    assert done.stdout == "second-100000\n", done.stderr
    assert bodies.noted(tmp_path).count("first") == 1


def said_by(program, address):
    """What a program says on both streams, to which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", program, address],
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.stdout, done.stderr


ENDS = """\
import asyncio, sys
from aiodag import Run, task
from aiodag.executors.dask import Dask

@task
def content(start):
    return start + bytes(100_000)
async def main():
    async with Run("etl", executor=Dask(sys.argv[1])):
        first = content(b"")
        value = content(first)
        print(len(await value))
    {end}
kept = []
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "end",
    [
        "return",
        "await first",
        "del first, value; await asyncio.sleep(0)",
        "kept.extend([first, value])",
        "task(bytes, executor=Dask(sys.argv[1]))(100_000); await asyncio.sleep(0)",
    ],
)
def test_a_program_ends_quietly_while_it_holds_values(dask_cluster, tmp_path, end):
    program = tmp_path / "program.py"
    program.write_text(ENDS.format(end=end))

    out, err = said_by(program, dask_cluster.heal().address)

    assert out == "200000\n"
    assert err == ""


ENDS_WHILE_IT_SENDS = """\
import asyncio, sys
from aiodag import task
from aiodag.executors.dask import Dask

@task(executor=Dask(sys.argv[1]))
def same(x):
    return x
async def main(turns):
    print(await same(turns))
    await asyncio.sleep(0.05)  # real time: Dask sends at once again
    same(-1)
    for _ in range(turns):
        await asyncio.sleep(0)
for turns in range(8):
    asyncio.run(main(turns))
"""


def test_a_loop_that_ends_while_dask_sends_does_not_wait_for_it(dask_cluster, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ENDS_WHILE_IT_SENDS)

    out, err = said_by(program, dask_cluster.heal().address)

    assert out.split() == [str(turns) for turns in range(8)]
    assert err == ""


ENDS_WITH_ITS_EXECUTOR = """\
import asyncio, gc, sys
from aiodag import task
from aiodag.executors.dask import Dask
from distributed import Client

async def main():
    for size in (10, 100_000):
        print(len(await task(bytes, executor=Dask(sys.argv[1]))(size)))
        gc.collect()  # what two calls refer to lies in cycles
    client = await Client(sys.argv[1], asynchronous=True, set_as_default=False)
    while len(await client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.clients))) > 2:
        gc.collect()  # the other is the scheduler's own
        await asyncio.sleep(0)
    await client.close()
asyncio.run(main())
"""


def test_an_executor_that_nobody_has_any_more_ends_its_connection(dask_cluster, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ENDS_WITH_ITS_EXECUTOR)

    out, err = said_by(program, dask_cluster.heal().address)

    assert out == "10\n100000\n"
    assert err == ""


def test_a_function_of_the_main_module(dask_cluster, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, sys\n"
        "from aiodag import Run, task\n"
        "from aiodag.executors.dask import Dask\n"
        "BASE = 10\n"
        "@task\n"
        "def scaled(x):\n"
        "    return BASE * x\n"
        "@task\n"
        "async def twice(x):\n"
        "    return await scaled(x) + await scaled(x)\n"
        "async def main():\n"
        "    async with Run('etl', executor=Dask(sys.argv[1])):\n"
        "        nodes = twice.map(range(3))\n"
        "    print([node.result() for node in nodes])\n"
        "asyncio.run(main())\n"
    )
    assert said_by(program, dask_cluster.heal().address) == ("[0, 20, 40]\n", "")
