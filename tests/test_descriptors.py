"""Programs wait for descriptors, as many at once as there is room for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiodag.commands.descriptors import programs_at_once

ROOT = Path(__file__).parent.parent
SECONDS = 60  # after which something hangs


def executed(code, *lines):
    """Run a program of ours behind lines of a shell."""
    return subprocess.run(
        ["/bin/bash", "-c", f'{"; ".join(lines)}; exec "$@"', "bash", sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout


MANY = """
import asyncio
from aiodag import Run
from aiodag.commands import command, shell
echo = shell('read line; echo "$line"', **OPTIONS)
async def main():
    async with Run("many", STORE):
        nodes = [echo(stdin=f"{number}\\n") for number in range(150)]
    print([node.result().stdout for node in nodes] == [f"{number}\\n" for number in range(150)])
asyncio.run(main())
"""


@pytest.mark.parametrize("options", [{}, {"limit": 150}, {"limit": 20, "timeout": 600}])
@pytest.mark.parametrize("store", ["", "store='runs.db'"])
def test_with_few_descriptors_programs_wait_and_none_fails(options, store, tmp_path):
    code = MANY.replace("OPTIONS", repr(options)).replace("STORE", store)

    assert executed(code, f"cd {tmp_path}", "ulimit -n 64") == "True\n"


def test_where_the_limit_is_lowered_later_programs_wait_too():
    code = """
import asyncio, resource
from aiodag.commands import command
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
async def main():
    nodes = [command("sleep", "0.01", limit=60)() for _ in range(60)]
    print({(await node).code for node in nodes})
asyncio.run(main())
"""
    assert executed(code, "true") == "{0}\n"


def test_loops_of_several_threads_share_the_room():
    code = """
import asyncio, threading
from aiodag.commands import command
ended = []
async def main():
    nodes = [command("true", limit=30)() for _ in range(30)]
    ended.extend([(await node).code for node in nodes])
threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(ended), set(ended))
"""
    assert executed(code, "ulimit -n 72") == "90 {0}\n"


def test_where_descriptors_are_held_by_others_the_attempt_fails_and_a_later_one_does_not():
    code = """
import asyncio, os
from aiodag.commands import CommandFailed, command
async def main():
    await command("true")()
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        await command("true")()
    except CommandFailed as failed:
        print("Too many open files" in str(failed), "ulimit -n" in str(failed))
    for each in held:
        os.close(each)
    print((await command("echo", "later")()).stdout.strip())
asyncio.run(main())
"""
    assert executed(code, "ulimit -n 64") == "True True\nlater\n"


def test_a_program_that_is_cancelled_while_it_waits_for_room_leaves_the_others_going(tmp_path):
    code = """
import asyncio, os
from aiodag.commands import shell
os.mkfifo("gate")
gate = os.open("gate", os.O_RDWR)
async def main():
    nodes = [shell("read line < gate", limit=40)() for _ in range(40)]
    os.write(gate, b"\\n")
    await asyncio.wait(nodes, return_when=asyncio.FIRST_COMPLETED)
    for node in nodes[20:30]:
        node.cancel()
    os.write(gate, b"\\n" * 29)
    await asyncio.wait(nodes)
    print(sum(node.cancelled() for node in nodes), {node.result().code for node in nodes if not node.cancelled()})
asyncio.run(main())
"""
    assert executed(code, f"cd {tmp_path}", "ulimit -n 64") == "10 {0}\n"


def test_there_is_room_for_one_program_and_for_no_more_than_wanted():
    assert programs_at_once(3, 64) == 1
    assert programs_at_once(float("inf"), 64) == 64
    assert programs_at_once(64, 64) == 8
