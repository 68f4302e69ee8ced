"""Whole runs at agents: an owner that dies, an agent that dies, both. Never do two of one command run at once."""

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest
from agent_servers import TOKEN
from test_host_contract import processes, until

from aiodag import Run, State
from aiodag.commands import command, shell
from aiodag.stores import SQLite

# Says when it begins and ends, and whether another one of it runs.
ALONE = 'mkdir lock || echo twice >> log; echo begun >> log; echo out; until test -e gate; do sleep 0.05; done; rmdir lock; echo ended >> log; : "$1"'

OWNER = """
import asyncio, sys
from aiodag import Run
from aiodag.commands import shell
from aiodag.commands.agents import Agent
from aiodag.stores import SQLite

line, mark, address, token_file, folder = sys.argv[1:]

async def main():
    store = SQLite(folder + "/runs.db")
    async with Run("etl", store=store, id="r", hosts={"big": Agent(address, token_file=token_file)}):
        await shell(line, mark, name="alone", cwd=folder, host="big")()

asyncio.run(main())
"""


@pytest.fixture
def mark():
    """A word that stands in the arguments of all processes of a test."""
    return f"mark-{uuid4().hex}"


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


async def begun_run(agent, folder, mark):
    """Have a process of its own begin the run."""
    arguments = [ALONE, mark, agent.address, str(agent.token_file), str(folder)]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, *arguments, cwd=Path(__file__).parent.parent
    )


async def killed_run(agent, folder, mark):
    """Have a process of its own begin the run, and kill it when the program runs."""
    owner = await begun_run(agent, folder, mark)
    await until((folder / "log").exists)
    owner.kill()
    await owner.wait()


def go_on(agent, folder, store, mark):
    """Begin the same run here."""

    async def run():
        async with Run("etl", store=store, id="r", hosts={"big": agent.host()}):
            return await shell(ALONE, mark, name="alone", cwd=folder, host="big")()

    return asyncio.ensure_future(run())


def lines(folder):
    return (folder / "log").read_text().split()


def attempts(store):
    return [(each.state, each.facts) for each in store.attempts("r", every=True)]


async def test_a_run_whose_owner_was_killed_takes_up_its_program(new_agent, tmp_path, store, mark):
    agent = new_agent()
    await killed_run(agent, tmp_path, mark)
    running = go_on(agent, tmp_path, store, mark)
    await until(lambda: len(attempts(store)) == 2 or running.done())
    (tmp_path / "gate").touch()
    finished = await running

    assert (finished.stdout, finished.code) == ("out\n", 0)
    assert lines(tmp_path) == ["begun", "ended"]
    assert [state for state, _ in attempts(store)][-1] is State.SUCCEEDED
    assert processes(mark) == []


async def test_what_waited_when_its_owner_was_killed_is_tried_again(new_agent, tmp_path, store, mark):
    agent = new_agent(cores=1, orphan_grace=1)
    host = agent.host()
    first = asyncio.ensure_future(
        command("sh", "-c", "until test -e free; do sleep 0.05; done", cwd=tmp_path, host=host)()
    )
    await until_waiting(agent, 0)
    owner = await begun_run(agent, tmp_path, mark)
    await until_waiting(agent, 1)
    owner.kill()
    await owner.wait()
    await until_waiting(agent, 0)
    for name in ("free", "gate"):
        (tmp_path / name).touch()
    finished = await go_on(agent, tmp_path, store, mark)
    await first

    assert finished.stdout == "out\n"
    assert lines(tmp_path) == ["begun", "ended"]


async def until_waiting(agent, count):
    """Wait until an agent has some programs that wait for their turn, while one runs."""
    asked = urllib.request.Request(f"{agent.address}/resources", headers={"Authorization": f"Bearer {TOKEN}"})

    def is_so():
        with urllib.request.urlopen(asked) as answer:
            found = json.load(answer)
        return (found["waiting"], found["running"]) == (count, 1)

    await until(is_so)


async def test_a_run_that_is_cancelled_before_it_finds_its_program_ends_that(new_agent, tmp_path, store, mark):
    agent = new_agent()
    await killed_run(agent, tmp_path, mark)
    running = go_on(agent, tmp_path, store, mark)
    await until(lambda: len(attempts(store)) == 2 or running.done())
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert lines(tmp_path) == ["begun"]
    assert processes(mark) == []


async def test_a_run_whose_owner_and_agent_were_killed_starts_its_program_anew(new_agent, tmp_path, store, mark):
    agent = new_agent()
    await killed_run(agent, tmp_path, mark)
    agent.kill()
    await until(lambda: processes(mark) == [])
    (tmp_path / "lock").rmdir()
    agent.start()
    (tmp_path / "gate").touch()
    finished = await go_on(agent, tmp_path, store, mark)

    assert finished.stdout == "out\n"
    assert lines(tmp_path) == ["begun", "begun", "ended"]
    assert [facts.get("lost") for _, facts in attempts(store)].count("agent started anew") == 1


async def test_what_an_agent_loses_is_tried_again(new_agent, tmp_path, store, mark):
    agent = new_agent()
    running = go_on(agent, tmp_path, store, mark)
    await until((tmp_path / "log").exists)
    agent.kill()
    await until(lambda: processes(mark) == [])
    (tmp_path / "lock").rmdir()
    (tmp_path / "gate").touch()
    agent.start()
    finished = await running

    assert (finished.stdout, finished.host) == ("out\n", os.uname().nodename)
    assert lines(tmp_path) == ["begun", "begun", "ended"]
    assert [(state, facts.get("lost")) for state, facts in attempts(store)] == [
        (State.FAILED, "agent started anew"),
        (State.SUCCEEDED, None),
    ]
