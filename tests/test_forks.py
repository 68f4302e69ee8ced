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
async def forks():
    BEFORE
    later = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, later.set_result, None)
    child = os.fork()
    if not child:
        GOES_ON
        return "of the fork"
    code = exit_code(child)
    await later
    return code
"""

THREAD = """
@task(executor="thread")
def forks():
    child = os.fork()
    if not child:
        GOES_ON
        return "of the fork"
    return exit_code(child)
"""

MAIN = """
async def main():
    async with Run(STORE):
        nodes = forks(), other()
    print([node.result() for node in nodes])
asyncio.run(main())
"""

PLACES = {
    "in the first step": ASYNC.replace("BEFORE", ""),
    "in a later step": ASYNC.replace("BEFORE", "await asyncio.sleep(0.001)"),
    "in a thread": THREAD,
    "in a pool": "from concurrent.futures import ThreadPoolExecutor"
    + THREAD.replace('"thread"', "ThreadPoolExecutor(1)"),
}
STORES = {"in memory": "", "durable": "store='runs.db', id='forks'"}

GOING_ON = {
    "returns": "",
    "raises": "raise ValueError('in the fork')",
    "gives the loop a turn": "await asyncio.sleep(0)",
    "waits for a future": "await later",
    "sleeps": "await asyncio.sleep(1)",
}


def program(place, goes_on, store="in memory"):
    return HEAD + PLACES[place].replace("GOES_ON", goes_on) + MAIN.replace("STORE", STORES[store])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("how", "place"),
    [(how, place) for how, code in GOING_ON.items() for place in PLACES if "step" in place or "await" not in code],
)
def test_a_fork_that_goes_on_as_its_parent_ends_with_a_message(how, place, store):
    """Nothing runs twice, nobody hangs, and the parent has the values of its own bodies."""
    ended = programs.run(program(place, GOING_ON[how], store), "forks.py")

    assert (ended.stdout, ended.returncode) == ("[1, True]\n", 0)
    *_, said = ended.stderr.splitlines()
    assert "was forked by the body of forks, and went on as if it were its parent" in said
    assert "End a forked process with os._exit()" in said
    assert ("ValueError: in the fork" in ended.stderr) == (how == "raises")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("leave", "code"), [("os._exit(5)", 5), ("sys.exit(7)", 7), ("os.execlp('true', 'true')", 0)])
def test_a_fork_ends_as_it_says(place, leave, code):
    ended = programs.run(program(place, leave, "durable"), "forks.py")

    assert (ended.stdout, ended.stderr, ended.returncode) == (f"[{code}, True]\n", "", 0)


def test_a_fork_runs_tasks_on_a_loop_of_its_own():
    goes_on = "os._exit(4 if asyncio.run(own()) else 5)"
    own = """
async def own():
    async with Run("own"):
        return await other()
"""
    ended = programs.run(own + program("in the first step", goes_on, "durable"), "forks.py")

    assert (ended.stdout, ended.stderr, ended.returncode) == ("[5, True]\n", "", 0)


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
