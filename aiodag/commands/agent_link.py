"""One agent as its clients here know it: what it has said, and that they are there.

It lives on the loop aside: a body that computes for a minute must not look to an agent as if its owner were gone.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiodag.commands.agent_wire import (
    CLOCK_HEADER,
    GRACE_HEADER,
    INSTANCE_HEADER,
    PROTOCOL,
    PROTOCOL_HEADER,
    VERSION_HEADER,
    read_token,
)
from aiodag.commands.aiohttp import HttpAnswer, HttpLine, NoAnswer
from aiodag.wording import printable

log = logging.getLogger("aiodag.command")

SEEN_MOST = 5.0  # seconds between two words that the owner is there
SEEN_PART = 4  # of these in the time for which it may be silent, at least
RECORDED = 2.0  # seconds after which an end that came is taken to be on record
ENDING = 7.0  # seconds beyond the grace of a program in which an agent ends it for sure
GRACE_MOST = 10.0**6  # seconds
USUAL_GRACE = 60.0  # for which an owner may be silent, where nobody can ask the agent


class Rejected(Exception):
    """An agent does not speak to this client: a wrong token, another version, or it is not an agent."""


class AgentAnswer(NamedTuple):
    """What an agent answered to one question."""

    code: int
    document: Mapping[str, Any]

    @property
    def error(self) -> str:
        """What was wrong."""
        return printable(str(self.document.get("error", f"it answered {self.code}")))[:500]


class AgentLink:
    """What goes between the loop aside and an agent, while somebody needs it."""

    def __init__(self, address: str, token_file: Path, certificate: Path | None) -> None:
        self.instance = ""
        self.orphan_grace = USUAL_GRACE
        self.heard_at = 0.0  # time.monotonic(): when the agent was last heard of
        self.programs: set[str] = set()  # whose owner is here
        self._taken: dict[str, float] = {}  # ids of programs whose ends are here, and since when
        self._clock = ""  # what the agent said last of it
        self._address = address
        self._silent = False  # whether the log says so
        self._token_file = token_file
        self._token = ""
        self._line = HttpLine(address, certificate)
        self._users = 0
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open it, if nobody has."""
        if not self._users:
            self._token = read_token(self._token_file)
            self._silent = False
            self._line.open()
        self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            telling, self._telling = self._telling, None
            if telling is not None:
                telling.cancel()
            await self._line.close()  # which begins by forgetting its connections: the next user gets others

    def ends_at(self, grace: float) -> float:
        """Return by when, on `time.monotonic()`, what was started there has ended if the agent is not heard again."""
        return self.heard_at + self.orphan_grace + grace + ENDING

    async def ask(self, method: str, path: str, document: object = None, instance: str = "") -> AgentAnswer:
        """Ask the agent. Raises `NoAnswer` and `Rejected`."""
        body = None if document is None else json.dumps(document).encode()
        answer = await self._line.ask(method, path, self._headers(instance), body)
        self._hear(answer)
        return answer_in(answer)

    @asynccontextmanager
    async def listen(self, path: str) -> AsyncGenerator[tuple[AgentAnswer, AsyncIterator[bytes]]]:
        """Give an answer, and the chunks of its body if its code is 200. Raises `NoAnswer` and `Rejected`."""
        async with self._line.listen(path, self._headers()) as (answer, chunks):
            self._hear(answer)
            yield AgentAnswer(200, {}) if answer.code == 200 else answer_in(answer), chunks

    def _headers(self, instance: str = "") -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._token}", PROTOCOL_HEADER: PROTOCOL}
        if self._clock:
            headers[CLOCK_HEADER] = self._clock
        if instance:
            headers[INSTANCE_HEADER] = instance
        return headers

    def _hear(self, answer: HttpAnswer) -> None:
        """Note what the agent said of itself. Raises `Rejected` for one that speaks otherwise."""
        headers = answer.headers
        if headers.get(PROTOCOL_HEADER) != PROTOCOL:
            version = headers.get(VERSION_HEADER)
            what = "what answers there is not an agent of aiodag" if version is None else f"it is of aiodag {version}"
            msg = f"{printable(what)[:100]}: install the same version on both sides"
            raise Rejected(msg)
        if answer.code in {401, 426}:
            raise Rejected(answer_in(answer).error)
        try:
            grace = float(headers[GRACE_HEADER])
            self.hear_clock(headers[CLOCK_HEADER], headers[INSTANCE_HEADER])
            check_grace(grace)
        except (KeyError, ValueError):
            raise Rejected("its answer lacks what an agent says of itself") from None
        self.orphan_grace = grace
        if self._telling is None and self._users:  # not before: nobody knew how often
            self._telling = asyncio.create_task(self._keep_telling())

    def hear_clock(self, clock: str, instance: str = "") -> None:
        """Note that the agent is there, and what it said of its clock."""
        float(clock)
        self._clock = clock
        self.heard_at = time.monotonic()
        self.instance = instance or self.instance

    def note_silence(self, why: str) -> None:
        """Warn that the agent does not answer, once for all its programs."""
        if not self._silent:
            self._silent = True
            log.warning("the agent at %s does not answer: %s", self._address, why)

    def note_sound(self) -> None:
        """Note that the log of a program goes on."""
        self._silent = False

    def take_end(self, name: str) -> None:
        """Note that the end of a program is here."""
        self._taken[name] = time.monotonic()

    async def _keep_telling(self) -> None:
        """Tell the agent that the owner of its programs is there, until this is cancelled."""
        while True:
            await asyncio.sleep(min(SEEN_MOST, self.orphan_grace / SEEN_PART))
            with suppress(NoAnswer, Rejected):  # whoever follows a program sees that, too
                await self._tell()

    async def _tell(self) -> None:
        if self._clock and (self.programs or self._taken):
            recorded = [name for name, at in self._taken.items() if at + RECORDED <= time.monotonic()]
            await self.ask("POST", "/seen", {"programs": sorted(self.programs), "taken": recorded})
            for name in recorded:
                self._taken.pop(name, None)


def check_grace(seconds: float) -> None:
    """Refuse a time that an owner would wait for in vain. Raises `ValueError`."""
    if not 0 < seconds <= GRACE_MOST:
        raise ValueError(f"{seconds} seconds")


def answer_in(answer: HttpAnswer) -> AgentAnswer:
    """Return what an agent answered. Raises `Rejected` for what an agent does not say."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Rejected("what answers there is not an agent of aiodag")
    return AgentAnswer(answer.code, found)
