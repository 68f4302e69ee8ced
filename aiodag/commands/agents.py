"""Programs on another machine that runs `aiodag agent`."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aiodag._core.capacity import Capacity, request_of
from aiodag._core.limits import Limit
from aiodag.commands.agent_attempt import AgentAttempt
from aiodag.commands.agent_link import AgentAnswer, AgentLink, Rejected
from aiodag.commands.agent_wire import read_token
from aiodag.commands.aiohttp import NoAnswer, trust
from aiodag.commands.host_options import check_host_name, checked_file_path
from aiodag.commands.loop_aside import ASIDE, LoopListener
from aiodag.errors import AiodagError, OptionError
from aiodag.programs import HostState, ProgramNotFound, ProgramRequest, ProgramWatch

T = TypeVar("T")

LOOKING = 4.5  # seconds for an agent to say what it has
PORT = 2504
MOST_AT_ONCE = 256  # programs of a loop: each takes connections, also while it waits at the agent


class Agent:
    """A machine that runs `aiodag agent`: `command("sync", host=Agent("http://127.0.0.1:2504", token_file="token"))`.

    The agent counts what its programs hold, over all its clients: what does not fit waits there. `token_file` has the token
    of the agent. `certificate` is the file of the authority that signed its certificate, where this machine does not trust that already.
    `resources` says what the agent has: what it can never meet is refused before anything runs, and not when it is asked.
    `name` is how messages call it, the address unless given; records have the name of its machine.

    Raises `OptionError` for what cannot be that, and `MissingExtra` without aiohttp.

    >>> from pathlib import Path
    >>> from aiodag.commands import command
    >>> from aiodag.commands.agents import Agent
    >>> written = Path("token").write_text("one-of-many-secrets")
    >>> Path("token").chmod(0o600)
    >>> big = Agent("http://127.0.0.1:2504", token_file="token", resources={"cores": 4})
    >>> big.refuse({"cores": 8})
    'no place has more than 4'
    >>> sync = command("sync", "--fast", host=big, resources={"cores": 2})
    """

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        token_file: "str | PathLike[str]",
        certificate: "str | PathLike[str] | None" = None,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self.address = agent_address(address)
        check_host_name(name)
        self.name = name or self.address.partition("://")[2]
        self.token_file = checked_file_path("token_file", token_file)
        self.certificate = None if certificate is None else checked_file_path("certificate", certificate)
        read_token(self.token_file)
        trust(self.certificate)
        request_of("resources", resources or {})
        self.resources: Mapping[str, float] = MappingProxyType(dict(resources or {}))
        self._capacity = Capacity(self.resources) if self.resources else None
        self.at_once = Limit(MOST_AT_ONCE)
        self._links: WeakKeyDictionary[asyncio.AbstractEventLoop, AgentLink] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Agent({self.address!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle makes it again: without its connections, and without the token."""
        return make_agent, (self.address, self._options())

    def _options(self) -> dict[str, Any]:
        certificate = {} if self.certificate is None else {"certificate": str(self.certificate)}
        resources = {"resources": dict(self.resources)} if self.resources else {}
        return {"name": self.name, "token_file": str(self.token_file), **certificate, **resources}

    def form(self) -> dict[str, Any]:
        """Return how files write it."""
        return {"type": "agent", "address": self.address, **self._options()}

    def refuse(self, resources: Mapping[str, float], /) -> str:
        """Return why the agent can never meet a request, as far as `resources` says, or nothing if it can."""
        return "" if self._capacity is None else self._capacity.lack(request_of("resources", resources))

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program there until nothing of it is left. Raises `ProgramNotStarted` and `ProgramLost`."""
        await self._attend(request, watch, AgentAttempt.run)

    async def find(self, facts: Mapping[str, object], request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Take up what an earlier owner has started. Raises `ProgramNotFound` if there was nothing, and `ProgramLost`."""
        if not await self._attend(request, watch, lambda attempt, link: attempt.take_up(link, facts)):
            raise ProgramNotFound(f"is not known to the agent at {self.address}")

    async def _attend(
        self,
        request: ProgramRequest,
        watch: ProgramWatch,
        work: Callable[[AgentAttempt, AgentLink], Coroutine[Any, Any, T]],
    ) -> T:
        """Do something with a program on the loop aside."""
        listener = LoopListener(watch)
        attempt = AgentAttempt(self.address, request, listener)

        async def attend() -> T:
            async with self._link() as link:
                return await work(attempt, link)

        try:
            return await ASIDE.run(attend(), attempt.cancel, attempt.leave)
        finally:
            listener.leave()

    def _link(self) -> AgentLink:
        """Return what goes between the loop aside, which runs this, and the agent."""
        loop = asyncio.get_running_loop()
        found = self._links.get(loop)
        if found is None:
            found = self._links[loop] = AgentLink(self.address, self.token_file, self.certificate)
        return found

    async def look(self) -> HostState:
        """Return what the agent says of itself, or why it says nothing."""
        try:
            return state_in(await self._ask_briefly("GET", "/resources"))
        except AiodagError as error:
            return HostState(reachable=False, why=str(error))

    async def drain(self) -> None:
        """Have the agent start nothing new: what runs goes on, what waits is refused. Raises `AiodagError`."""
        await self._ask_briefly("POST", "/drain")

    async def undrain(self) -> None:
        """Have the agent start programs again. Raises `AiodagError`."""
        await self._ask_briefly("POST", "/undrain")

    async def _ask_briefly(self, method: str, path: str) -> AgentAnswer:
        async def ask() -> AgentAnswer:
            async with self._link() as link, asyncio.timeout(LOOKING):
                return await link.ask(method, path)

        try:
            answer = await ASIDE.run(ask(), asyncio.Task.cancel)
        except (NoAnswer, Rejected) as fault:
            why = str(fault)
        except TimeoutError:
            why = f"no answer within {LOOKING:g} seconds"
        else:
            if answer.code == 200:
                return answer
            why = answer.error
        msg = f"the agent at {self.address}: {why}"
        raise AiodagError(msg)

    async def close(self) -> None:
        """Let go of it. Connections are closed when the last program has ended."""


def make_agent(address: str, options: Mapping[str, Any]) -> Agent:
    """Return an agent that was pickled."""
    return Agent(address, **options)


def agent_address(given: object) -> str:
    """Return the address of an agent. Raises `OptionError` for what cannot be one."""
    wanted = f"the address of an agent, such as http://127.0.0.1:{PORT}, without a path or a password"
    if not isinstance(given, str) or not re.fullmatch(r"https?://[^\s/?#@]+/?", given):
        raise OptionError("address", given, wanted)
    try:
        found = urlsplit(given)
        port = found.port
    except ValueError:
        raise OptionError("address", given, wanted) from None
    if not found.hostname or port == 0:
        raise OptionError("address", given, wanted)
    return given.rstrip("/") if port else f"{given.rstrip('/').rstrip(':')}:{PORT}"


def state_in(answer: AgentAnswer) -> HostState:
    """Return what an agent said of itself."""
    found = answer.document
    return HostState(
        reachable=True,
        resources=dict(found.get("resources", {})),
        free=dict(found.get("free", {})),
        drained=bool(found.get("drained")),
        running=found.get("running"),
    )
