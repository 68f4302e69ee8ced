"""The agent over HTTP, with Starlette: the extra `agent`."""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from aiodag.agent.hosted import HostedProgram
from aiodag.agent.requests import BadRequest, read_json, read_order
from aiodag.agent.table import ProgramTable, Refused
from aiodag.commands.agent_wire import (
    BEAT,
    BODY_LARGEST,
    CLOCK_HEADER,
    GAP,
    GRACE_HEADER,
    INSTANCE_HEADER,
    PROTOCOL,
    PROTOCOL_HEADER,
    VERSION_HEADER,
    frame_of,
    program_id,
)
from aiodag.errors import MissingExtra
from aiodag.installed import versions

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
except ImportError as error:
    raise MissingExtra("aiodag agent", "starlette", "agent") from error

log = logging.getLogger("aiodag.agent")

BEATS = 4  # in the time for which an owner may be silent, but one each second at least
MOST_SEEN = 20_000  # ids in one request
BODY_TIME = 60.0  # seconds for a whole request to arrive
CLOSING = {"Connection": "close"}


def agent_application(table: ProgramTable, token: str) -> "AgentGate":
    """Return the application that serves a table of programs to those who have the token."""
    endpoints = Endpoints(table)
    routes = [
        Route("/ready", endpoints.ready),
        Route("/resources", endpoints.resources),
        Route("/programs", endpoints.start, methods=["POST"]),
        Route("/programs/{name}", endpoints.end, methods=["DELETE"]),
        Route("/programs/{name}/find", endpoints.find, methods=["POST"]),
        Route("/programs/{name}/log", endpoints.read_log),
        Route("/seen", endpoints.see, methods=["POST"]),
        Route("/drain", endpoints.drain, methods=["POST"]),
        Route("/undrain", endpoints.undrain, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {HTTPException: refuse_request, BadRequest: refuse_body, Refused: refuse_program}
    return AgentGate(Starlette(routes=routes, exception_handlers=handlers), table, token)


class AgentGate:
    """Lets those in who have the token and speak this protocol: before anything of a body is read. Signs each answer."""

    def __init__(self, inner: Starlette, table: ProgramTable, token: str) -> None:
        self._inner = inner
        self._table = table
        self._token = token.encode()
        self._version = versions()["aiodag"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.lower(): value for name, value in scope["headers"]}

        async def send_signed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._signature()]
            await send(message)

        refusal = self._refusal(headers)
        try:
            await (self._inner if refusal is None else refusal)(scope, receive, send_signed)
        except ClientDisconnect:
            pass
        except Exception:
            # Starlette has answered with 500. One request of many: the agent lives on.
            log.exception("%s %r has failed", scope["method"], scope["path"])

    def _refusal(self, headers: Mapping[bytes, bytes]) -> JSONResponse | None:
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            why = (
                "this agent wants a token: Authorization: Bearer TOKEN"
                if not given
                else "this is not the token of this agent"
            )
            return answer_error(401, why, headers={"WWW-Authenticate": "Bearer"})
        spoken = headers.get(PROTOCOL_HEADER.encode(), PROTOCOL.encode()).decode("latin-1")
        if spoken != PROTOCOL:
            why = f"this agent is aiodag {self._version} and speaks protocol {PROTOCOL}, not {spoken[:20]!r}: install the same version on both sides"
            return answer_error(426, why)
        return None

    def _signature(self) -> list[tuple[bytes, bytes]]:
        table = self._table
        told = {
            PROTOCOL_HEADER: PROTOCOL,
            VERSION_HEADER: self._version,
            INSTANCE_HEADER: table.instance,
            CLOCK_HEADER: repr(table.clock),
            GRACE_HEADER: repr(table.settings.orphan_grace),
        }
        return [(name.encode(), value.encode()) for name, value in told.items()]


def answer_error(code: int, why: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an answer that says what is wrong."""
    return JSONResponse({"error": why}, code, headers=headers)


async def refuse_request(_: Request, error: HTTPException) -> Response:
    """Answer a request for what is not there."""
    why = error.detail if error.status_code != 404 else "there is nothing at this address"
    return answer_error(error.status_code, why, error.headers)


async def refuse_body(_: Request, error: BadRequest) -> Response:
    """Answer a request that cannot be read."""
    return answer_error(400, str(error))


async def refuse_program(_: Request, error: Refused) -> Response:
    """Answer a request for a program that is not started."""
    return answer_error(409 if error.never else 503, str(error))


class Endpoints:
    """What can be asked of an agent."""

    def __init__(self, table: ProgramTable) -> None:
        self._table = table

    async def ready(self, _: Request) -> Response:
        """Answer that the agent is there."""
        return JSONResponse({"ready": True})

    async def resources(self, _: Request) -> Response:
        """Answer with what there is, and what goes on."""
        return JSONResponse(self._table.resources())

    async def start(self, request: Request) -> Response:
        """Start a program, or find the one of that label."""
        order = read_order(await read_body(request))
        # Not one that was on its way to the process before this one, which may have started it already.
        if request.headers.get(INSTANCE_HEADER, self._table.instance) != self._table.instance:
            raise HTTPException(412, "this agent has started anew since it was asked")
        program = self._table.start(order, heard_in(request))
        return JSONResponse({"id": program_id(order.label), "state": program.phase}, 201)

    async def end(self, request: Request) -> Response:
        """End a program; forget one that has ended."""
        known(self._table.end(request.path_params["name"]))
        return JSONResponse({})

    async def find(self, request: Request) -> Response:
        """Answer with what is known of a program that somebody has started, who asks now, or was followed by who asks."""
        found = known(self._table.find(request.path_params["name"], heard_in(request)))
        return JSONResponse({"state": found.phase})

    async def read_log(self, request: Request) -> Response:
        """Send what a program wrote and writes, until its end."""
        program = known(self._table.programs.get(request.path_params["name"]))
        try:
            place = int(request.query_params.get("from", "0")[:20])
            first = program.log.first_place(place)
        except ValueError as error:
            raise BadRequest(f"'from' must be a place in the log: {error}") from None
        return StreamingResponse(self._frames(program, place, first), media_type="application/octet-stream")

    async def _frames(self, program: HostedProgram, place: int, first: int) -> AsyncGenerator[bytes]:
        if first != place:
            place = first
            yield frame_of(GAP, b"%d" % place)
        log, table = program.log, self._table
        rest = min(1.0, table.settings.orphan_grace / BEATS)
        yield frame_of(BEAT, repr(table.clock).encode())
        with suppress(LookupError, ValueError):  # dropped, or forgotten meanwhile: the client asks again, and is told
            while True:
                found = log.read(place)
                if found:
                    place += len(found)
                    yield found
                    # What is sent to nobody is taken at once: that there is nobody is heard only in between.
                    await asyncio.sleep(0)
                elif log.ended:
                    return
                else:
                    await log.wait(rest)
                    if log.end == place:
                        yield frame_of(BEAT, repr(table.clock).encode())

    async def see(self, request: Request) -> Response:
        """Note that the owner of programs is there, and which ends it has; answer which programs are not known."""
        found = read_json(await read_body(request))
        seen, taken = read_ids(found, "programs"), read_ids(found, "taken")
        self._table.see(seen, heard_in(request))
        self._table.take(taken)
        return JSONResponse({"unknown": [each for each in seen if each not in self._table.programs]})

    async def drain(self, _: Request) -> Response:
        """Start nothing new."""
        self._table.drain()
        return JSONResponse(self._table.resources())

    async def undrain(self, _: Request) -> Response:
        """Start programs again."""
        self._table.undrain()
        return JSONResponse(self._table.resources())


def known(program: HostedProgram | None) -> HostedProgram:
    """Return a program that is there. Raises `HTTPException`."""
    if program is None:
        raise HTTPException(404, "there is no such program")
    return program


def read_ids(body: Mapping[str, Any], key: str) -> list[str]:
    """Return ids of programs. Raises `BadRequest`."""
    found = body.get(key, [])
    if not isinstance(found, list) or len(found) > MOST_SEEN or not all(isinstance(each, str) for each in found):
        raise BadRequest(f"{key!r} must be a list of at most {MOST_SEEN:,} ids")
    return found


async def read_body(request: Request) -> bytes:
    """Return the body of a request. Raises `HTTPException` for one that is too large, before it is there."""
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.stream():
                found += chunk
                if len(found) > BODY_LARGEST:
                    raise HTTPException(413, f"a request has at most {BODY_LARGEST:,} bytes", CLOSING)
    except TimeoutError:
        raise HTTPException(408, f"the request was not there within {BODY_TIME:g} seconds", CLOSING) from None
    return bytes(found)


def heard_in(request: Request) -> float:
    """Return what a client has heard last of our clock. Raises `BadRequest`."""
    try:
        found = float(request.headers.get(CLOCK_HEADER, "")[:40])
    except ValueError:
        found = float("nan")
    if found != found or found < 0:  # noqa: PLR0124 - not a number
        raise BadRequest(f"the header {CLOCK_HEADER} must say what this agent said in its last answer")
    return found
