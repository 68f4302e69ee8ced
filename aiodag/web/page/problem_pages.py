"""Tell people, not programs, what is wrong with a request: the same problem, as a page."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiodag.web.fastapi import Request, Response
from aiodag.web.origins import header_of, route_path
from aiodag.web.page.rendering import render
from aiodag.web.problems import HANDLERS, MEDIA

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

TITLES = {
    403: "You may not do that",
    404: "There is no such page",
    409: "That cannot be done now",
    422: "That cannot be done",
    503: "The store does not answer",
}


def wants_page(request: Request) -> bool:
    """Return True if a browser asks for a page, and not a program for a document."""
    program = route_path(request.scope).startswith(("/api/", "/metrics", "/openapi", "/static/"))
    return not program and "text/html" in (header_of(request.scope, b"accept") or "")


def with_page(handler: Handler) -> Handler:
    """Return a handler of errors whose answers to browsers are pages."""

    async def answer(request: Request, error: Exception) -> Response:
        found = await handler(request, error)
        return problem_page(request, found) if found.media_type == MEDIA and wants_page(request) else found

    return answer


def problem_page(request: Request, found: Response) -> Response:
    """Return the page that says what a problem document says."""
    document: Mapping[str, Any] = json.loads(bytes(found.body))
    status = found.status_code
    return render(
        request,
        "problem.html",
        title=str(TITLES.get(status, document["title"])),
        status=status,
        detail=document["detail"],
        found=document.get("complaints", []),
    )


PAGE_HANDLERS: Mapping[Any, Handler] = {kind: with_page(handler) for kind, handler in HANDLERS.items()}
