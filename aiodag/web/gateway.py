"""What stands between the connections and the application: proxies that are trusted, slow clients, and the end of streams."""

import asyncio
from ipaddress import ip_address, ip_network
from typing import Any

from aiodag.web.fastapi import ASGIApp, Message, Receive, Scope, Send

BODY_TIME = 60.0  # seconds for the whole body of a request
SEND_TIME = 60.0  # seconds in which a client reads something of an answer that waits for it
SCHEMES = {"http", "https"}
STREAM = b"text/event-stream"
LAST_WORDS = b"retry: 1000\n\n"  # of a stream: its client comes back after a second


class Gateway:
    """An application behind it sees the client, the scheme and the path that the browser used.

    `root_path` is where a proxy shows the application, whether the proxy takes it off the path or not. Headers of proxies are
    read only where the connection comes from a trusted one.
    """

    def __init__(self, application: ASGIApp, root_path: str, trusted: tuple[str, ...]) -> None:
        self._application = application
        self._root_path = root_path
        self._trusted = [ip_network(each) for each in trusted]
        self._streams: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        self._place(scope)
        self._believe_proxy(scope)
        await self._answer(scope, receive, send)

    def end_streams(self) -> None:
        """End all streams of events, and those that begin from now on."""
        self._stopping = True
        for task in self._streams:
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
        sender = PatientSender(send)
        wanted = asyncio.get_running_loop().time() + BODY_TIME
        whole = False

        async def receive_in_time() -> Message:
            """Give what comes; a body that is too slow is a client that has gone."""
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(wanted):
                    message = await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}
            whole = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            """Send, and know streams."""
            if message["type"] == "http.response.start" and is_stream(message):
                self._streams.add(this)
                if self._stopping:
                    this.cancel()
            await sender.send(message)

        try:
            await self._application(scope, receive_in_time, send_in_time)
        except asyncio.CancelledError:
            if not self._stopping or this not in self._streams:
                raise
            this.uncancel()
            await sender.send({"type": "http.response.body", "body": LAST_WORDS, "more_body": False})
        finally:
            self._streams.discard(this)


class PatientSender:
    """Sends an answer to a client that reads it; one that reads nothing for a while has gone."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message. Raises `OSError`, as for a connection that is lost."""
        try:
            async with asyncio.timeout(SEND_TIME):
                await self._send(message)
        except TimeoutError:
            raise OSError("the client reads nothing of its answer") from None


def is_address_of_network(text: str) -> bool:
    """Return True for an address of IPv4 or IPv6."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_stream(start: Message) -> bool:
    """Return True for the start of an answer that is a stream of events."""
    return any(name.lower() == b"content-type" and value.startswith(STREAM) for name, value in start["headers"])
