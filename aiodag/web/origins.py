"""From where a request may come: names of this server, other sites, and what browsers are told about that.

A page of another site can send a browser of somebody who is logged in here to this server. It can point a name of its own at
this address (DNS rebinding), post a form, or frame a page. None of that needs a token that it knows, so none is asked for
here: what looks like it is refused by its headers.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from aiodag.service.serve_options import ServeOptions
from aiodag.web.fastapi import ASGIApp, Message, Receive, Response, Scope, Send
from aiodag.web.problems import Problem

HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:\d{1,5})?", re.ASCII)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({"same-origin", "none"})  # none: somebody has typed the address
OPEN = frozenset({"/live", "/ready"})  # probes ask by whatever name they have for this machine
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: with that, browsers send `Origin: null` from our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY),
)
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


class OriginGuard:
    """Refuses requests by a foreign name or from a foreign site, and tells browsers what they may do with answers."""

    def __init__(self, inner: ASGIApp, options: ServeOptions) -> None:
        self._inner = inner
        self._names = frozenset(map(plain_host, ("localhost", options.host, *options.allowed_hosts)))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in options.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        origin = header_of(scope, b"origin")
        allowed = origin if origin is not None and origin.lower() in self._origins else None
        sending = with_headers(send, allowed)
        refused = self._refusal(scope, origin, allowed)
        if refused is not None:
            await refused.answer()(scope, receive, sending)
        elif allowed is not None and is_preflight(scope):
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, sending)
        else:
            await self._inner(scope, receive, sending)

    def _refusal(self, scope: Scope, origin: str | None, allowed: str | None) -> Problem | None:
        hosts = headers_of(scope, b"host")
        if route_path(scope) not in OPEN and not (len(hosts) == 1 and self._is_own(hosts[0])):
            return Problem(421, "this server is not known by that name: start it with --allow-host NAME")
        if scope["method"] in SAFE or allowed is not None:
            return None
        site = header_of(scope, b"sec-fetch-site")
        foreign = origin is not None and netloc_of(origin) != (hosts[0].lower() if hosts else None)
        if foreign or (site is not None and site not in OWN_SITE):
            return Problem(403, "a page of another site has sent this: start the server with --allow-origin to let it")
        return None

    def _is_own(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return False
        # Whoever rebinds needs a name: the origin of a page is never the address of a machine that is not its own.
        name = plain_host(found[1])
        return name in self._names or is_numeric_host(name)


def plain_host(host: str) -> str:
    """Return a name of a host as it is compared."""
    return host.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def is_numeric_host(name: str) -> bool:
    """Return True for the address of a machine."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def netloc_of(origin: str) -> str:
    """Return the host and port of an origin: "" for one without, such as null."""
    scheme, separator, place = origin.lower().partition("://")
    return place if separator and scheme in {"http", "https"} else ""


def is_preflight(scope: Scope) -> bool:
    """Return True for a browser that asks whether a page of another site may send something."""
    return scope["method"] == "OPTIONS" and header_of(scope, b"access-control-request-method") is not None


def route_path(scope: Scope) -> str:
    """Return the path of a request below the path under which a proxy has the server."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def headers_of(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a header."""
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header, or None; of several, the last one."""
    found = headers_of(scope, name)
    return found[-1] if found else None


def with_headers(send: Send, allowed: str | None) -> Send:
    """Return what sends an answer with the headers that all have."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *missing_headers(message, allowed)]}
        await send(message)

    return send_with_headers


def missing_headers(message: Any, allowed: str | None) -> Iterable[tuple[bytes, bytes]]:
    """Yield the headers that an answer lacks."""
    there = {key.lower() for key, _ in message.get("headers", ())}
    yield from (pair for pair in HEADERS if pair[0] not in there)
    if b"cache-control" not in there:
        yield b"cache-control", b"no-store"
    if allowed is not None:
        yield b"access-control-allow-origin", allowed.encode("latin-1")
        yield b"access-control-expose-headers", b"Link, Location, Retry-After"
        yield b"vary", b"Origin"
