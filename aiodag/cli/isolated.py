"""A worker that runs each run in a process of its own: what ends the process, or fills its memory, is that run alone.

    this process ──starts──► a worker of one run, idle ──takes──► busy ──► ends, is reaped
         │  one idle one at a time, up to the limit          │
         └──────── a socket, whose end says that the other has gone ◄──┘ a byte when it has taken its run

A child is a worker like any other: it claims its run itself. So its death is that of the run's owner, and the next look of any
worker hands the run on. A child that has refused code stays, for as long as it lives it refuses it.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiodag.cli import output
from aiodag.errors import StoreError

LIFELINE = "AIODAG_LIFELINE"  # the variable with the descriptor of a child's end of its socket
BAD_INPUT = 2
AGAIN = 0.5  # seconds until another child is started after one that was ended before it had a run


class Children:
    """The workers of one run each that a process has started."""

    def __init__(self, store: str, options: Sequence[str], limit: int) -> None:
        if store.startswith("memory:"):
            msg = f"--isolate process: {store} is in the memory of this process; give a file or PostgreSQL"
            raise StoreError(msg)
        # Not among the arguments, which everybody can see: there may be a password in it.
        self._variables = {**os.environ, "AIODAG_STORE": store}
        self._command = [sys.executable, "-m", "aiodag", "worker", "--once", *options]
        self._limit = limit
        self._busy: dict[asyncio.Task[None], bool] = {}
        self._processes: set[asyncio.subprocess.Process] = set()
        self._stops = 0
        self._code = 0
        self._changed = asyncio.Event()

    async def run(self) -> int:
        """Work until somebody calls `stop`, and return the exit code."""
        try:
            while not self._stops or self._busy:
                if not self._stops and len(self._busy) < self._limit and all(self._busy.values()):
                    self._busy[asyncio.create_task(self._follow())] = False
                await self._changed.wait()
                self._changed.clear()
        finally:
            for process in self._processes:
                process.kill()
        return self._code

    def stop(self) -> None:
        """Tell all children to stop, as they do at a signal."""
        self._stops += 1
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        self._changed.set()

    async def _follow(self) -> None:
        """Start a child, and follow it to its end."""
        this = asyncio.current_task()
        assert this is not None
        ours = None
        try:
            try:
                process, ours = await start_child(self._command, self._variables)
            except OSError as error:
                output.write_remark(f"cannot start a process for a run, and tries again: {error}")
                await asyncio.sleep(AGAIN)
                return
            self._processes.add(process)
            if self._stops:
                process.send_signal(signal.SIGTERM)
            if await asyncio.get_running_loop().sock_recv(ours, 1):
                self._busy[this] = True
                self._changed.set()
            code = await process.wait()
            self._processes.discard(process)
            if code == BAD_INPUT and not self._busy[this]:
                self._code, self._stops = code, max(self._stops, 1)
            elif code:
                output.write_remark(f"the process {process.pid} of a run ended with {code}")
                await asyncio.sleep(0.0 if self._busy[this] else AGAIN)
        finally:
            if ours is not None:
                ours.close()
            del self._busy[this]
            self._changed.set()


async def start_child(
    command: Sequence[str], variables: Mapping[str, str]
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Start a child that ends with this process; return it, and our end of its lifeline. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**variables, LIFELINE: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which tells them
            )
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return process, ours


class Lifeline:
    """A child's end of the socket to the process that has started it; of a process that nobody has, nothing."""

    def __init__(self) -> None:
        given = os.environ.pop(LIFELINE, "")  # not for the programs of bodies
        self._socket = socket.socket(fileno=int(given)) if given else None
        if self._socket is not None:
            self._socket.set_inheritable(False)
            threading.Thread(target=self._watch, args=[self._socket], name="aiodag lifeline", daemon=True).start()

    def __bool__(self) -> bool:
        """Return True if another process has started this one."""
        return self._socket is not None

    def tell_taken(self) -> None:
        """Say that this process has a run."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(b"t")

    @staticmethod
    def _watch(lifeline: socket.socket) -> None:
        """End this process with the one that has started it, however that ended."""
        with suppress(OSError):
            while lifeline.recv(1):
                pass
        os._exit(1)
