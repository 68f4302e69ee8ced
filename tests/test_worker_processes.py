"""Workers in processes of their own: signals, kills, and processes that stand still."""

import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from worker_processes import FLOW, PATIENCE, begun, lines_of, until

from aiodag import QueueError, RunCancelled, State
from aiodag.queue_defaults import DEATHS
from aiodag.service import Service


@pytest.fixture
def service(address):
    service = Service(address)
    yield service
    service.close()


@pytest.fixture
def effects(tmp_path):
    return tmp_path / "effects"


def submit(service, name, effects, **more):
    return service.submit(f"{FLOW}:{name}", {"file": str(effects), **more})


async def all_ended(service, count):
    def have_ended():
        return len(service.store.ended_runs(before=None, keep=0)) == count

    await until(have_ended, f"{count} runs end")


async def test_a_worker_is_listed_with_what_it_runs(service, effects, workers):
    process = workers.start("--limit", "3")
    run_id = submit(service, "wait_for", effects)
    await begun(effects)

    (worker,) = service.workers()

    assert (worker.owner.pid, worker.limit, list(worker.queues)) == (process.pid, 3, ["default"])
    assert list(worker.runs) == [run_id]


async def test_a_run_that_is_cancelled_ends_on_the_worker(service, effects, workers):
    workers.start()
    run_id = submit(service, "wait_for", effects)
    await begun(effects)

    service.cancel(run_id)

    with pytest.raises(RunCancelled):
        await service.result(run_id, timeout=PATIENCE)
    assert [line[1] for line in lines_of(effects)] == ["begins", "CancelledError"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_two_signals_end_a_worker_at_once_and_its_runs_go_back(service, effects, workers, number):
    process = workers.start()
    run_id = submit(service, "wait_for", effects)
    await begun(effects)

    process.send_signal(number)
    await until(lambda: "takes no more" in process.log.read_text(), "it hears the first")
    process.send_signal(number)
    await until(lambda: process.poll() is not None, "it ends")

    run = service.run(run_id)
    assert process.returncode == 0
    assert (run.state, run.deaths) == (State.QUEUED, 0)
    assert service.workers() == []
    assert [line[1] for line in lines_of(effects)] == ["begins", "LetGo"]


async def test_a_run_that_was_given_back_is_continued_by_another_worker(service, effects, workers, tmp_path):
    gate = tmp_path / "gate"
    first = workers.start("--grace", "0s")
    run_id = submit(service, "wait_once", effects, gate=str(gate))
    await begun(effects)
    gate.touch()

    first.send_signal(signal.SIGTERM)
    await until(lambda: first.poll() is not None, "it ends")
    workers.start()

    assert await service.result(run_id, timeout=PATIENCE) == "done"
    run = service.run(run_id)
    assert (run.execution, run.deaths) == (2, 0)


async def test_the_runs_of_a_killed_worker_go_on_in_another(service, effects, workers, tmp_path):
    gate = tmp_path / "gate"
    workers.start()
    workers.start()
    await until(lambda: len(service.workers()) == 2, "they are there")
    run_id = submit(service, "wait_once", effects, gate=str(gate))
    await begun(effects)
    gate.touch()

    os.kill(int(lines_of(effects)[0][2]), signal.SIGKILL)

    assert await service.result(run_id, timeout=PATIENCE) == "done"
    run = service.run(run_id)
    assert (run.execution, run.deaths) == (2, 1)
    assert len({line[2] for line in lines_of(effects)}) == 2


@pytest.mark.parametrize("how", ["die", "end_loop"])
async def test_a_run_that_kills_its_workers_fails_as_poison(service, effects, workers, how):
    run_id = submit(service, how, effects)

    def keep_one():
        if not workers.living():
            workers.start()
        return service.run(run_id).ended_at is not None

    await until(keep_one, "it is given up")

    with pytest.raises(QueueError, match="poison"):
        await service.result(run_id)
    assert len(lines_of(effects)) == DEATHS


@pytest.fixture
def is_quiet(request, address, schema):
    """Whether nobody is in the middle of a transaction: who stands still in one holds up all others."""
    if address.startswith("postgresql"):
        server = request.getfixturevalue("postgres")
        ours = f"application_name = '{schema}'"  # and not those of whoever else has used this server
        return lambda: not server.execute(f"select 1 from pg_stat_activity where {ours} and state <> 'idle'")

    def is_unlocked():
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"), timeout=0)) as connection:
            try:
                connection.execute("begin immediate")
            except sqlite3.OperationalError:
                return False
            return True

    return is_unlocked


async def test_a_worker_that_stood_still_for_too_long_writes_nothing_more(
    service, effects, workers, tmp_path, is_quiet
):
    def has_stopped():
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        if is_quiet():
            return True
        process.send_signal(signal.SIGCONT)
        return False

    gate = tmp_path / "gate"
    process = workers.start()
    run_id = submit(service, "wait_once", effects, gate=str(gate))
    await begun(effects)

    await until(has_stopped, "it stands still between two transactions")
    gate.touch()
    # As if its lease had run out: nobody waits for that here.
    service.store.renew(service.run(run_id).owner, -1.0)
    workers.start()
    value = await service.result(run_id, timeout=PATIENCE)
    process.send_signal(signal.SIGCONT)
    await until(lambda: "taken over by another process" in process.log.read_text(), "it hears of that")

    run = service.run(run_id)
    assert (value, run.state, run.execution) == ("done", State.SUCCEEDED, 2)
    assert process.poll() is None


# Each run in a process of its own


async def test_a_run_that_ends_its_process_takes_no_other_with_it(service, effects, workers):
    supervisor = workers.start("--isolate", "process", "--limit", "2")
    dies = submit(service, "die", effects)
    ids = [submit(service, "five", effects) for _ in range(3)]

    await all_ended(service, 4)

    assert [service.run(each).state for each in ids] == [State.SUCCEEDED] * 3
    assert [service.run(each).execution for each in ids] == [1] * 3
    with pytest.raises(QueueError, match="poison"):
        await service.result(dies)
    processes = [line[2] for line in lines_of(effects)]
    assert len(set(processes)) == DEATHS + 3
    assert str(supervisor.pid) not in processes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_isolated_runs_end_with_the_worker(service, effects, workers, number):
    supervisor = workers.start("--isolate", "process", "--limit", "1", "--grace", "0s")
    run_id = submit(service, "wait_for", effects)
    await begun(effects)

    supervisor.send_signal(number)
    await until(lambda: supervisor.poll() is not None, "it ends")

    await until(lambda: service.workers() == [], "so does its child")
    assert service.run(run_id).state is (State.QUEUED if number == signal.SIGTERM else State.RUNNING)
    assert supervisor.returncode == (0 if number == signal.SIGTERM else -number)


async def test_code_that_isolated_workers_cannot_load_fails_the_run_with_the_reason(service, workers, tmp_path):
    file = tmp_path / f"flow{os.urandom(4).hex()}.py"
    file.write_text("async def load() -> int: return 1\n")
    run_id = service.submit(f"{file}:load")
    file.unlink()

    workers.start("--isolate", "process", "--limit", "2")

    with pytest.raises(QueueError, match="no such file"):
        await service.result(run_id, timeout=PATIENCE)


async def test_four_workers_run_each_node_exactly_once(service, effects, workers):
    ids = [submit(service, "five", effects) for _ in range(100)]
    for _ in range(4):
        workers.start()

    await all_ended(service, 100)

    assert Counter((line[0], line[1]) for line in lines_of(effects)) == {
        (run_id, str(number)): 1 for run_id in ids for number in range(5)
    }
    assert {(run.state, run.execution) for run in service.runs()} == {(State.SUCCEEDED, 1)}


async def test_kills_at_random_moments_lose_nothing_and_repeat_no_recorded_success(service, effects, workers):
    chance = random.Random(7)
    ids = [submit(service, "five", effects) for _ in range(120)]
    # Few at once, so that each run gets on between two kills: five deaths without a success would be poison.
    for _ in range(4):
        workers.start("--limit", "4")

    for killed in range(1, 21):
        await until(lambda: len(lines_of(effects)) > 25 * killed, "they go on")
        chance.choice(workers.living()).kill()
        workers.start("--limit", "4")
    await all_ended(service, 120)

    runs = {run.id: run for run in service.runs()}
    assert {run.state for run in runs.values()} == {State.SUCCEEDED}
    assert all(run.execution >= 1 + run.deaths for run in runs.values())
    assert sum(run.execution for run in runs.values()) > 120
    for run_id in ids:
        steps = {node.number for node in service.store.nodes(run_id) if node.name == "step"}
        attempts = service.store.attempts(run_id, every=True)
        ends = Counter(each.number for each in attempts if each.state is State.SUCCEEDED and each.number in steps)
        assert set(ends.values()) == {1}
    # A body that was cut off before its success was recorded runs again: once for each owner that has died.
    again = Counter((line[0], line[1]) for line in lines_of(effects))
    assert all(count <= runs[run_id].execution for (run_id, _), count in again.items())
