"""Run an agent: from its directory to its end."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aiodag.agent.ghosts import VARIABLE, AgentDirectory, end_ghosts
from aiodag.agent.guard import AgentGuard
from aiodag.agent.starlette import agent_application
from aiodag.agent.table import AgentSettings, ProgramTable
from aiodag.errors import MissingExtra

try:
    from aiodag.listening.uvicorn import Endpoint, QuietServer, build_server, load_tls, open_socket, served_address
except ImportError as error:
    raise MissingExtra("aiodag agent", "uvicorn", "agent") from error

log = logging.getLogger("aiodag.agent")


class AgentServer:
    """An agent in this process: `run` it, and `stop` it from a signal's handler."""

    def __init__(self, endpoint: Endpoint, settings: AgentSettings, token: str, grace: float) -> None:
        load_tls(endpoint)
        self._endpoint = endpoint
        self._settings = settings
        self._token = token
        self._grace = grace
        self._stopping: asyncio.Task[None] | None = None
        self._table: ProgramTable | None = None
        self._server: QuietServer | None = None

    async def run(self, say: Callable[[str], object]) -> None:
        """Serve until somebody stops it. Raises `OptionError` and `AiodagError` before anything is served."""
        directory = AgentDirectory(self._settings.directory)
        try:
            listening = open_socket(self._endpoint)
            with listening:
                if count := await end_ghosts(directory.mark):
                    say(f"ended what an earlier agent had left: {count}")
                env = {**self._settings.env, VARIABLE: directory.mark}
                guard = AgentGuard()
                table = self._table = ProgramTable(self._settings._replace(directory=directory.path, env=env), guard)
                self._server = build_server(agent_application(table, self._token), self._endpoint)
                say(f"agent at {served_address(self._endpoint, listening.getsockname()[1])}")
                if self._stopping is not None:  # while it ended what was left
                    return
                minding = asyncio.create_task(table.keep_minding())
                try:
                    await self._server.serve(sockets=[listening])
                finally:
                    minding.cancel()
                    await table.leave(0.0)
                    guard.close()
        finally:
            directory.close()

    def stop(self) -> None:
        """Start nothing new, wait for what runs as long as the grace says, end the rest. Called again: end it at once."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._leave())
        else:
            self._stopping.cancel()

    async def _leave(self) -> None:
        if self._table is not None:
            with suppress(asyncio.CancelledError):
                await self._table.leave(self._grace)
        if self._server is not None:
            self._server.should_exit = True
