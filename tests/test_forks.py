"""A process that a body forks ends where it would go on as its parent, and the parent never notices."""

import os

import programs
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

HEAD = """import asyncio, os, sys, warnings
from aiodag import Run, task
warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
PARENT = os.getpid()

def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

@task
async def other():
    return os.getpid() == PARENT
"""

ASYNC = """
@task
async def forks(how):
    BEFORE
    later = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, later.set_result, None)
    child = os.fork()
    if not child:
        WAYS
        return "of the fork"
    code = exit_code(child)
    await later
    return code
"""

THREAD = """
from concurrent.futures import ThreadPoolExecutor
@task(executor=EXECUTOR)
def forks(how):
    child = os.fork()
    if not child:
        WAYS
        return "of the fork"
    return exit_code(child)
"""

MAIN = """
async def main():
    for how in HOW:
        async with Run(STORE):
            nodes = forks(how), other()
        print(how, [node.result() for node in nodes], flush=True)
asyncio.run(main())
"""

PLACES = {
    "in the first step": ASYNC.replace("BEFORE", ""),
    "in a later step": ASYNC.replace("BEFORE", "await asyncio.sleep(0.001)"),
    "in a thread": THREAD.replace("EXECUTOR", "'thread'"),
    "in a pool": THREAD.replace("EXECUTOR", "ThreadPoolExecutor(1)"),
}
STORES = {"in memory": "", "durable": "store='runs.db', id=how"}

GOING_ON = {
    "returns": "pass",
    "raises": "raise ValueError('in the fork')",
    "gives the loop a turn": "await asyncio.sleep(0)",
    "waits for a future": "await later",
    "sleeps": "await asyncio.sleep(1)",
}
LEAVING = {"leaves": "os._exit(5)", "exits": "sys.exit(7)", "is replaced": "os.execlp('true', 'true')"}


def program(place, ways, store="in memory"):
    """A body that forks in a place, and then goes each of some ways in the fork."""
    fits = {how: code for how, code in ways.items() if "step" in place or "await" not in code}
    lines = "\n        ".join(f"if how == {how!r}: {code}" for how, code in fits.items())
    main = MAIN.replace("HOW", repr([*fits])).replace("STORE", STORES[store])
    return HEAD + PLACES[place].replace("WAYS", lines) + main, [*fits]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("place", PLACES)
def test_a_fork_that_goes_on_as_its_parent_ends_with_a_message(place, store):
    """Nothing runs twice, nobody hangs, and the parent has the values of its own bodies."""
    code, ways = program(place, GOING_ON, store)
    ended = programs.run(code, "forks.py")

    assert ended.stdout.splitlines() == [f"{how} [1, True]" for how in ways]
    assert ended.returncode == 0
    said = "was forked by the body of forks, and went on as if it were its parent. End a forked process with os._exit()"
    assert ended.stderr.count(said) == len(ways)
    assert ended.stderr.count("ValueError: in the fork\n") == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_fork_ends_as_it_says(place):
    ended = programs.run(program(place, LEAVING, "durable")[0], "forks.py")

    said = "leaves [5, True]\nexits [7, True]\nis replaced [0, True]\n"
    assert (ended.stdout, ended.stderr, ended.returncode) == (said, "", 0)


def test_a_fork_runs_tasks_on_a_loop_of_its_own():
    goes_on = {"runs": "os._exit(4 if asyncio.run(own()) else 5)"}
    own = """
async def own():
    async with Run("own"):
        return await other()
"""
    ended = programs.run(own + program("in the first step", goes_on, "durable")[0], "forks.py")

    assert (ended.stdout, ended.stderr, ended.returncode) == ("runs [5, True]\n", "", 0)


def test_a_fork_that_would_leave_the_run_of_its_parent_ends_with_a_message():
    main = """
async def main():
    async with Run("nightly", store="runs.db", id="nightly"):
        await other()
        child = os.fork()
        if child:
            print(exit_code(child))
    print("left")
asyncio.run(main())
"""
    ended = programs.run(HEAD + main, "forks.py")

    assert (ended.stdout, ended.returncode) == ("1\nleft\n", 0)
    assert "was forked by the code of run 'nightly', and went on as if it were its parent" in ended.stderr
