"""A program to be interrupted: runs, bodies on the loop, in threads and processes, commands, a store."""

import asyncio
import sys
import time

from aiodag import Run, task
from aiodag.commands import shell


@task
async def later(number):
    await asyncio.sleep(60)


@task(retries=2)
async def parent(number):
    try:
        await later(number)
    finally:
        await asyncio.sleep(0.01)


@task
def in_thread(number):
    time.sleep(0.2)  # real time: a thread that nobody can interrupt


@task(executor="process")
def in_process(number):
    time.sleep(60)  # real time: a process that has to be ended


sleeps = shell("sleep 60")
KINDS = {
    "loop": lambda number: (later(number), parent(number)),
    "thread": in_thread,
    "process": in_process,
    "command": lambda number: sleeps(),
}


async def main(kinds, store):
    async with Run("interrupted", store=store):
        for number in range(3):
            for kind in kinds:
                KINDS[kind](number)
        print("ready", flush=True)
        await later(99)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2].split(","), sys.argv[1] or None))
