"""A program of `asyncio.run` ends when it is interrupted, however often and in whatever moment."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiodag import Run, State, task

HERE = Path(__file__).parent
PATIENCE = 30  # seconds: a program that hangs, hangs for ever
PAUSES = (0, 0.001, 0.01, 0.1)


def interrupted_twice(kinds, store, pause):
    """Start the program, interrupt it twice, and return what it wrote to its end."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "interrupted.py"), store, kinds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(pause)  # real time: when the signal comes is what is tried
            process.send_signal(signal.SIGINT)
            return process.communicate(timeout=PATIENCE)[1]
        finally:
            process.kill()


@pytest.mark.parametrize("kinds", ["loop,thread", "loop,thread,process,command"])
@pytest.mark.parametrize("stored", [False, True], ids=["plain", "stored"])
def test_two_interrupts_end_a_program_in_any_moment(kinds, stored, tmp_path):
    for pause in PAUSES:
        store = f"sqlite:///{tmp_path / f'{pause}.db'}" if stored else ""
        try:
            written = interrupted_twice(kinds, store, pause)
        except subprocess.TimeoutExpired:
            # Since 3.12 an interrupt may come between the call that takes a handle from the loop's queue and the assignment of
            # it: then it is lost for good, and `asyncio.run` waits. That is rare; what hangs twice has another reason.
            written = interrupted_twice(kinds, store and f"{store}-again", pause)

        assert "KeyboardInterrupt" in written


def interrupt_before(wanted):
    """Have the next handle for which `wanted` is true interrupted before it runs, as Ctrl-C may."""
    run_handle = asyncio.Handle._run  # noqa: SLF001 - the moment is inside of the loop

    def interrupted(handle):
        if wanted(handle):
            asyncio.Handle._run = run_handle  # noqa: SLF001 - as above
            raise KeyboardInterrupt
        run_handle(handle)

    asyncio.Handle._run = interrupted  # noqa: SLF001 - as above


def wakes(asyncio_task):
    return lambda handle: getattr(handle._callback, "__self__", None) is asyncio_task  # noqa: SLF001 - as above


@task
async def later():
    await asyncio.sleep(60)


@pytest.mark.parametrize("whose", ["the scope", "a body"])
def test_a_wake_up_that_an_interrupt_took_is_given_back(whose):
    states = []

    async def main():
        scope = Run()
        try:
            async with scope:
                node = later()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                loop = asyncio.get_running_loop()
                interrupt_before(wakes(asyncio.current_task() if whose == "the scope" else node))
                loop.call_soon(node.cancel)
                await node
        finally:
            states.append((scope.state, node.state))

    with pytest.raises(KeyboardInterrupt), asyncio.Runner() as runner:
        runner.run(main())

    assert states == [(State.CANCELLED, State.CANCELLED)]


def test_a_second_cancel_does_not_wait_for_the_grace():
    async def main():
        scope = Run(grace=60)

        @task
        async def stubborn():
            while not released:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)

        released = []

        async def hold():
            async with scope:
                node = stubborn()
                nodes.append(node)
                await asyncio.sleep(60)

        nodes = []
        holder = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        holder.cancel()
        await asyncio.sleep(0.01)
        holder.cancel()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with pytest.raises(asyncio.CancelledError):
            await holder
        released.append(True)
        nodes[0].cancel()
        await asyncio.wait(nodes)
        return scope.state

    assert asyncio.run(main()) is State.CANCELLED
