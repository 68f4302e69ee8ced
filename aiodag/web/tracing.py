"""Trace requests: a span for each, which is the parent of the runs that it begins."""

import re
from typing import Any

from aiodag.web.answers import is_stream
from aiodag.web.counting import NO_ROUTE, ROUTE
from aiodag.web.fastapi import ASGIApp, Message, Receive, Scope, Send

SUBMITTER = "traceparent"  # the header, and the tag of a run
SPAN = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # as W3C's Trace Context has it
UNTRACED = re.compile(r"/(?:live|ready|metrics|static/.*)")  # what machines and pages ask for all the time
LONGEST_PATH = 2_000  # characters of an address that a span has


class TracedRequests:
    """What stands before the gate, and makes the spans.

    What is behind it sees the span of the request where its sender's was: so a run that the request begins joins it. A stream
    has a span until it begins, or pages that stay open would have theirs at the end of the day.
    """

    def __init__(self, inner: ASGIApp, spans: Any) -> None:
        self._inner = inner
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["raw_path"].decode("latin-1").removeprefix(scope.get("root_path", ""))
        if UNTRACED.fullmatch(path):
            await self._inner(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self._spans.around(scope["method"], scope["scheme"], path[:LONGEST_PATH], headers) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = next(iter(scope[ROUTE]), NO_ROUTE)
                    span.answered(message["status"], None if route == NO_ROUTE else route)
                    if is_stream(message):
                        span.end()
                await send(message)

            await self._inner({**scope, "headers": headers_inside(scope, span.headers())}, receive, send_noted)


def headers_inside(scope: Scope, named: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request with others in the place of those of their names."""
    ours = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    replaced = {name for name, _ in ours}
    return [*((name, value) for name, value in scope["headers"] if name not in replaced), *ours]


def submitter_tags(header: str | None) -> dict[str, str]:
    """Return the tags of a run that say which span has submitted it, from the header that a route sees."""
    return {SUBMITTER: header} if header is not None and SPAN.fullmatch(header) else {}
