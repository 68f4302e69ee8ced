"""What stands before all routes: the address as it was sent, what a request may bring, and the end of what nobody has expected."""

import logging
import re

from aiodag.web.desk import DESK, Desk
from aiodag.web.fastapi import ASGIApp, ClientDisconnect, GZipMiddleware, Message, Receive, Scope, Send
from aiodag.web.limits import ArrivingBytes, Body, refusal_of_address
from aiodag.web.paths import PREFIX

log = logging.getLogger("aiodag.web")

COMPRESSED_SMALLEST, COMPRESSION = 2**10, 5  # bytes, and a level of zlib
UNCOMPRESSED = re.compile(r"/events$|/records/|/graph\.[a-z]+$")


class RequestGate:
    """Gives each request on, with its path as it was sent: so `%2F` in an id does not become a slash.

    HEAD is answered as GET is, without the body. Documents of the API are compressed if the client takes that. Pages are not: they have
    a secret of their form next to what an address says, and how small such a page becomes would tell the secret. Streams are not
    held back for it, and what is very large would hold the loop.
    """

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._compressed = GZipMiddleware(inner, minimum_size=COMPRESSED_SMALLEST, compresslevel=COMPRESSION)
        self._desk = desk
        self._arrivals = ArrivingBytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        refusal = refusal_of_address(scope)
        if refusal is not None:
            await refusal.answer()(scope, receive, send)
            return
        body = Body(scope, receive, self._arrivals)
        answer = Answering(send, body, is_head=scope["method"] == "HEAD")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["raw_path"].decode("latin-1")
        is_document = is_compressed(path.removeprefix(scope.get("root_path", "")))
        inner = self._compressed if is_document else self._inner
        try:
            await inner({**scope, "method": method, "path": path, DESK: self._desk}, body.receive, answer.send)
        except ClientDisconnect:
            pass
        except Exception:
            # A route that fails is answered with 500 before it comes here: one request of many, and the server lives on.
            log.exception("%s %r has failed", scope["method"], scope["path"][:200])
        finally:
            body.let_go()


def is_compressed(path: str) -> bool:
    """Return True for the address of a document that may be compressed."""
    return path.startswith(f"{PREFIX}/") and not UNCOMPRESSED.search(path)


class Answering:
    """Sends the answer to one request."""

    def __init__(self, send: Send, body: Body, *, is_head: bool) -> None:
        self._send = send
        self._body = body
        self._is_head = is_head
        self._has_ended = False

    async def send(self, message: Message) -> None:
        """Send one part of it."""
        if self._has_ended:
            return
        if message["type"] == "http.response.start" and not self._body.may_rest:
            # What has not arrived by now is not waited for: the connection ends with this answer.
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await self._send(message)
        if self._is_head and message["type"] == "http.response.start":
            self._has_ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
