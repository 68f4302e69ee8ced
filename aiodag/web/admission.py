"""Let a request in by its token or its session, cut a stream whose token is revoked, and note how changes were answered."""

import asyncio
import logging
from urllib.parse import quote

from aiodag.errors import AiodagError, NotAdmitted
from aiodag.web.callers import Callers
from aiodag.web.desk import Desk, DeskBusy
from aiodag.web.fastapi import ASGIApp, Message, Receive, RedirectResponse, Request, Response, Scope, Send
from aiodag.web.origins import header_of, route_path
from aiodag.web.problems import Problem, answer_known_error
from aiodag.web.visits import VISIT, Visit

log = logging.getLogger("aiodag.web")

FREE = frozenset({"/live", "/ready", "/login"})  # what everybody may ask for
STATIC = "/static/"
PROGRAMS = ("/api/", "/metrics", "/openapi")  # what no browser is sent to the login page for
SEE_OTHER = 303
RECHECK = 10.0  # seconds between two looks at whether the reader of a stream may still read


class AdmissionGuard:
    """Gives a request on with its caller, or refuses it."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._desk = desk
        self._callers = Callers(desk)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        visit = Visit(self._callers, request.client.host if request.client is not None else "")
        refused = await self._admit(request, visit)
        if refused is not None:
            await refused(scope, receive, send)
            return
        answer = WatchedAnswer(self._desk, visit, receive, send)
        waits = answer.receive if request.method == "GET" else receive
        await self._inner({**scope, VISIT: visit}, waits, answer.send)

    async def _admit(self, request: Request, visit: Visit) -> Response | None:
        """Note who sends a request; return the answer to one that is refused."""
        path = route_path(request.scope)
        if path in FREE or path.startswith(STATIC):
            return None
        try:
            visit.caller = await self._callers.find(request, visit.address)
        except Problem as problem:
            return problem.answer()
        except NotAdmitted as error:
            return ask_to_log_in(request, path) or await answer_known_error(request, error)
        except (AiodagError, DeskBusy) as error:
            return await answer_known_error(request, error)
        return None


def ask_to_log_in(request: Request, path: str) -> Response | None:
    """Return the answer that sends a browser to the login page; None where a program asks."""
    wants_page = "text/html" in (header_of(request.scope, b"accept") or "")
    if request.method not in {"GET", "HEAD"} or not wants_page or path.startswith(PROGRAMS):
        return None
    query = request.scope.get("query_string", b"").decode("latin-1")
    there = quote(f"{path}?{query}" if query else path, safe="/")
    return RedirectResponse(f"{request.scope.get('root_path', '')}/login?next={there}", SEE_OTHER)


class WatchedAnswer:
    """What a route receives and sends: its status is noted, and a stream ends when its reader may not read any more."""

    def __init__(self, desk: Desk, visit: Visit, receive: Receive, send: Send) -> None:
        self._desk = desk
        self._visit = visit
        self._receive = receive
        self._send = send
        self._checked_at: float | None = None  # of a stream
        self._cut = asyncio.Event()

    async def receive(self) -> Message:
        """Return what the client sends; from a cut on, that it has gone."""
        pending = asyncio.ensure_future(self._receive())
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait((pending, cut), return_when=asyncio.FIRST_COMPLETED)
            return pending.result() if pending.done() else {"type": "http.disconnect"}
        finally:
            pending.cancel()
            cut.cancel()

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if self._cut.is_set():
            return
        if message["type"] == "http.response.start":
            await self._note_answer(message["status"])
            if (b"content-type", b"text/event-stream") in {(key, value[:17]) for key, value in message["headers"]}:
                self._checked_at = asyncio.get_running_loop().time()
        elif self._checked_at is not None and not await self._may_read_on():
            self._cut.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _may_read_on(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._visit.caller is None or self._checked_at is None or now - self._checked_at < RECHECK:
            return True
        self._checked_at = now
        try:
            return await self._visit.callers.is_still_valid(self._visit.caller)
        except (AiodagError, DeskBusy):
            return True  # the store is away for a moment: nobody was refused

    async def _note_answer(self, status: int) -> None:
        visit = self._visit
        if visit.line is None:
            return
        note = self._desk.service.note_answer
        try:
            await self._desk.ask(note, visit.line, status, visit.about, details=visit.details)
        except (AiodagError, DeskBusy) as error:  # the change was made: the line goes on to say that it was asked for
            log.warning("the answer %s is not in audit line %s: %s", status, visit.line, error)
