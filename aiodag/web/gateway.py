"""What stands between the connections and the application: proxies that are trusted, and the end of all answers."""

import asyncio
from ipaddress import ip_address, ip_network
from typing import Any

from aiodag.web.answers import is_stream
from aiodag.web.fastapi import ASGIApp, Message, Receive, Scope, Send

LAST_MOMENT = 0.7  # seconds for what is being answered when the server ends
SCHEMES = {"http", "https"}
LAST_WORDS = b"retry: 1000\n\n"  # of a stream: its client comes back after a second
UNAVAILABLE = [(b"content-type", b"text/plain"), (b"retry-after", b"1"), (b"connection", b"close")]


class Gateway:
    """An application behind it sees the client, the scheme and the path that the browser used.

    `root_path` is where a proxy shows the application, whether the proxy takes it off the path or not. Headers of proxies are
    read only where the connection comes from a trusted one.
    """

    def __init__(self, application: ASGIApp, root_path: str, trusted: tuple[str, ...]) -> None:
        self._application = application
        self._root_path = root_path
        self._trusted = [ip_network(each) for each in trusted]
        self._answers: dict[asyncio.Task[Any], OpenAnswer] = {}
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        self._place(scope)
        self._believe_proxy(scope)
        await self._answer(scope, receive, send)

    def end_answers(self) -> None:
        """End all streams of events at once, and other answers after a moment."""
        self._stopping = True
        self._cancel(streams=True)
        asyncio.get_running_loop().call_later(LAST_MOMENT, self._cancel)

    def _cancel(self, *, streams: bool = False) -> None:
        for task, answer in self._answers.items():
            if answer.is_stream or not streams:
                task.cancel()

    def _place(self, scope: Scope) -> None:
        root = self._root_path
        if root:
            raw = scope.get("raw_path") or b""
            if scope["path"] != root and not scope["path"].startswith(f"{root}/"):
                scope["path"] = root + scope["path"]
                scope["raw_path"] = root.encode() + raw
            scope["root_path"] = root

    def _believe_proxy(self, scope: Scope) -> None:
        """Take client and scheme from the headers of a trusted proxy: the last address that is not a trusted proxy itself."""
        if not self._trusted or not self._trusts((scope.get("client") or ("",))[0]):
            return
        hops: list[str] = []
        for name, value in scope["headers"]:
            text = value.decode("latin-1").strip()
            if name == b"x-forwarded-for":
                hops += [each.strip() for each in text.split(",")]
            elif name == b"x-forwarded-proto" and text.lower() in SCHEMES:
                scope["scheme"] = text.lower()
        while hops:
            hop = hops.pop()
            if not is_address_of_network(hop):
                return
            scope["client"] = (hop, 0)
            if not self._trusts(hop):
                return

    def _trusts(self, host: str) -> bool:
        return is_address_of_network(host) and any(ip_address(host) in network for network in self._trusted)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        this = asyncio.current_task()
        assert this is not None
        answer = self._answers[this] = OpenAnswer(send)
        try:
            await self._application(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            this.uncancel()
            await answer.finish()
        finally:
            del self._answers[this]


class OpenAnswer:
    """An answer that goes on: what has been sent of it says how it may be cut off."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self.is_stream = False

    async def send(self, message: Message) -> None:
        """Send a part of it."""
        if message["type"] == "http.response.start":
            self._has_begun, self.is_stream = True, is_stream(message)
        await self._send(message)

    async def finish(self) -> None:
        """End it before its time, so that its client comes back."""
        if self.is_stream:
            await self._send({"type": "http.response.body", "body": LAST_WORDS, "more_body": False})
        elif not self._has_begun:
            await self._send({"type": "http.response.start", "status": 503, "headers": UNAVAILABLE})
            await self._send({"type": "http.response.body", "body": b"the server ends", "more_body": False})


def is_address_of_network(text: str) -> bool:
    """Return True for an address of IPv4 or IPv6."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
