"""What workers run in tests: each effect is a line appended to a file, in one write."""

import asyncio
import os
import sys
from pathlib import Path

from aiodag import current_run, task


def append(file, text):
    """Append a line in one piece, also where other processes append to the same file."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


@task
async def step(file: str, number: int, before: object) -> int:
    append(file, f"{current_run().id} {number} {os.getpid()}")
    await asyncio.sleep(0)
    return number


@task
async def five(file: str) -> int:
    """Five nodes in a chain, with an effect each."""
    value = None
    for number in range(5):
        value = await step(file, number, value)
    return value


@task
async def wait_for(file: str) -> str:
    """Say that it has begun, and wait until it is let go of or cancelled."""
    append(file, f"{current_run().id} begins {os.getpid()}")
    try:
        await asyncio.Event().wait()
    except BaseException as error:
        append(file, f"{current_run().id} {type(error).__name__} {os.getpid()}")
        raise


@task
async def wait_once(file: str, gate: str) -> str:
    """Wait in the first execution, and return in the next one."""
    append(file, f"{current_run().id} begins {os.getpid()}")
    if Path(gate).exists():
        return "done"
    await asyncio.Event().wait()


@task
async def die(file: str) -> None:
    """End the process without a word."""
    append(file, f"{current_run().id} dies {os.getpid()}")
    os._exit(1)


@task
async def end_loop(file: str) -> None:
    """End the loop of the process, and not its own body."""

    async def leave():
        sys.exit(3)

    append(file, f"{current_run().id} dies {os.getpid()}")
    leaving = asyncio.create_task(leave())
    await asyncio.sleep(3600)
    await leaving


@task
async def fail(file: str) -> None:
    raise ValueError("no such day")
