"""The worker of a server: a process of its own, so that no code of a run can stop the server. It ends with the server."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from aiodag.cli.isolated import start_child
from aiodag.errors import StoreError
from aiodag.service.serve_options import ServeOptions

TOKEN = "AIODAG_TOKEN"  # noqa: S105 - the variable with the token of the server, which no body is to see
GRACE = 0.5  # seconds that runs have to end when the server ends; then they go back into their queue
PATIENCE = 0.9  # seconds until a worker that has not ended by then is killed
PAUSE_FIRST, PAUSE_MOST = 0.5, 30.0  # seconds before a worker is started again, doubled each time
STEADY = 60.0  # seconds of life after which the next pause is the first one again


class EmbeddedWorker:
    """The worker that a server starts, and starts again when it dies."""

    def __init__(
        self, store: str, options: ServeOptions, say: Callable[[str], object], *, traces: bool = False
    ) -> None:
        if store.startswith("memory:"):
            msg = f"--worker: {store} is in the memory of this process; give a file or PostgreSQL"
            raise StoreError(msg)
        self._variables = {name: text for name, text in os.environ.items() if name != TOKEN} | {"AIODAG_STORE": store}
        self._command = [sys.executable, "-m", "aiodag", "worker", f"--grace={GRACE}s"]
        self._command += [f"--queue={each}" for each in options.queues]
        self._command += [] if options.limit is None else [f"--limit={options.limit}"]
        self._command += ["--trace"] * traces
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._ends = False

    async def keep(self) -> None:
        """Have a worker until `end`: one that dies is started again, after a pause that grows."""
        loop, pause = asyncio.get_running_loop(), PAUSE_FIRST
        while True:
            began = loop.time()
            why = await self._work_once()
            if self._ends:
                return
            self._say(f"{why}, and is started again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = PAUSE_FIRST if loop.time() - began > STEADY else min(2 * pause, PAUSE_MOST)

    async def _work_once(self) -> str:
        try:
            self._process, lifeline = await start_child(self._command, self._variables)
        except OSError as error:
            return f"the worker cannot be started: {error}"
        with lifeline:
            if self._ends:
                self._process.kill()
            return f"the worker ended with {await self._process.wait()}"

    async def end(self, *, at_once: bool = False) -> None:
        """End it: its runs go back into their queues, unless it is to end at once."""
        is_first, self._ends = not self._ends, True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            if at_once:
                process.kill()
            elif is_first:  # a second signal would cut its grace off
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
