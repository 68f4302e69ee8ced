"""Count requests, by the route that answered them: not by their addresses, of which there are any number."""

import time
from typing import Any

from aiodag.web.desk import Desk
from aiodag.web.fastapi import ASGIApp, Message, Receive, Scope, Send

ROUTE = "aiodag.route"  # in the scope of a request: a list, to which the route is added that answers it
NO_ROUTE = "none"  # for what was refused before, or has no route
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class CountedRequests:
    """What stands before all else, and counts."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._meter = desk.meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        routes: list[Any] = []
        began, status, is_stream = time.perf_counter(), 0, False

        async def send_noted(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            await send(message)

        try:
            await self._inner({**scope, ROUTE: routes}, receive, send_noted)
        finally:
            if status:
                route = path_of_route(routes)
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._meter.requests.labels(method, route, str(status)).inc()
                if not is_stream:
                    self._meter.request_seconds.labels(route).observe(time.perf_counter() - began)


class NotedRoute:
    """What stands right before the routes, and notes which one has answered."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._inner(scope, receive, send)
        finally:
            scope[ROUTE].append(scope.get("route"))


def path_of_route(routes: list[Any]) -> str:
    """Return the template of the route that has answered, such as `/api/v1/runs/{run_id}`."""
    found = getattr(routes[0], "path", None) if routes else None
    return found if isinstance(found, str) else NO_ROUTE
