"""Count requests, by the route that answered them: their addresses would be without number."""

import time

from aiodag.web.answers import is_stream
from aiodag.web.desk import Desk
from aiodag.web.fastapi import ASGIApp, Message, Receive, Scope, Send
from aiodag.web.paths import PREFIX

ROUTE = "aiodag.route"  # in the scope of a request: a list, to which the template of its route is added
NO_ROUTE = "none"  # for what was refused before, or has no route
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class CountedRequests:
    """What stands before all else, and counts."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._meter = desk.meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        routes: list[str] = []
        began, status, streams = time.perf_counter(), 0, False

        async def send_noted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = is_stream(message)
            await send(message)

        try:
            await self._inner({**scope, ROUTE: routes}, receive, send_noted)
        finally:
            if status:
                route = routes[0] if routes else NO_ROUTE
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._meter.requests.labels(method, route, str(status)).inc()
                if not streams:
                    self._meter.request_seconds.labels(route).observe(time.perf_counter() - began)


class NotedRoute:
    """What stands right before the routes, and notes which one answers."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[ROUTE].append(path_of_route(scope))
            await send(message)

        await self._inner(scope, receive, send_noted)


def path_of_route(scope: Scope) -> str:
    """Return the template of the route that has answered, such as `/api/v1/runs/{run_id}`."""
    found = getattr(scope.get("route"), "path", None)
    if not isinstance(found, str):
        return NO_ROUTE
    # Some versions of FastAPI have it without the prefix of its router.
    is_bare = scope["path"].startswith(f"{PREFIX}/") and not found.startswith(PREFIX)
    return f"{PREFIX}{found}" if is_bare else found
