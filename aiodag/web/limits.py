"""What a request may bring: so many bytes, in so much time; and all requests together.

A body is counted while it arrives, whatever its head says. What is over the limit is refused with a problem that the client can
read: the rest of the body is taken and dropped for a while, since a connection that is closed on it would lose the answer.
"""

import asyncio
from contextlib import suppress

from aiodag.web.fastapi import Message, Receive, Scope
from aiodag.web.problems import RETRY_AFTER, Problem

BODY_LARGEST = 2**24  # bytes
HELD_LARGEST = 2**27  # bytes of all bodies that arrive
BODY_TIME = 60.0  # seconds for a whole body to arrive
DRAINED_LARGEST, DRAIN_TIME = 2**26, 5.0  # bytes and seconds of a body that is refused
HEADERS = {b"content-length", b"transfer-encoding", b"expect"}  # which say that there is a body
ADDRESS_LONGEST = 2**13  # bytes of a path, and of a query


class ArrivingBytes:
    """The bytes of all bodies that are arriving now."""

    def __init__(self) -> None:
        self.held = 0


class Body:
    """The body of one request: it is what its application receives from."""

    def __init__(self, scope: Scope, receive: Receive, arrivals: ArrivingBytes) -> None:
        headers = {name: value for name, value in scope["headers"] if name in HEADERS}
        self._receive = receive
        self._arrivals = arrivals
        self._promised = int(headers.get(b"content-length", b"0"))
        self._is_promised = self._promised > 0 or b"transfer-encoding" in headers
        self._expects = b"expect" in headers  # the client sends nothing before it is asked to
        self._until = asyncio.get_running_loop().time() + BODY_TIME
        self._size = 0
        self.is_whole = False

    @property
    def may_rest(self) -> bool:
        """False if the client goes on to send it while it is answered."""
        return self.is_whole or not self._is_promised

    async def receive(self) -> Message:
        """Return the next part. Raises `Problem` for a body that is too large or too slow."""
        if self.is_whole:
            return await self._receive()  # which tells when the client has gone
        if self._promised > BODY_LARGEST:
            raise await self._refuse()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, f"the body has not arrived within {BODY_TIME:.0f} s") from None
        size = len(message.get("body", b""))
        self._size += size
        self._arrivals.held += size
        self.is_whole = not message.get("more_body", False)
        if self._size > BODY_LARGEST:
            raise await self._refuse()
        if self._arrivals.held > HELD_LARGEST:
            wait = {"Retry-After": RETRY_AFTER}
            raise Problem(503, "too many large requests arrive at once: send it again later", headers=wait)
        return message

    async def _refuse(self) -> Problem:
        self.let_go()
        await self._drain()
        return Problem(413, f"the body has more than {BODY_LARGEST / 2**20:.0f} MiB")

    async def _drain(self) -> None:
        left = 0 if self._expects and not self._size else DRAINED_LARGEST
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIME):
                while left > 0 and not self.is_whole:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.is_whole = not message.get("more_body", False)

    def let_go(self) -> None:
        """Count its bytes no more: whoever wanted them has them."""
        self._arrivals.held -= self._size
        self._size = 0


def refusal_of_address(scope: Scope) -> Problem | None:
    """Return why an address is not looked at, if so."""
    if len(scope["raw_path"]) > ADDRESS_LONGEST or len(scope["query_string"]) > ADDRESS_LONGEST:
        return Problem(414, f"the path and the query may have {ADDRESS_LONGEST:,} bytes each")
    return None
