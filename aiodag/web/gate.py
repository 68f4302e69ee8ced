"""What stands before all routes: the address as it was sent, and one line in the log for what nobody has expected."""

from aiodag.web.desk import DESK, Desk
from aiodag.web.fastapi import ASGIApp, Receive, Scope, Send


class RequestGate:
    """Gives each request on, with its path as it was sent: so `%2F` in an id does not become a slash."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self._inner = inner
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("latin-1"), DESK: self._desk}
            await self._inner(scope, receive, send)
