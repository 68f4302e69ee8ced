"""Send events as a stream (server-sent events), to clients of which each may stop reading or go at any moment."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from functools import lru_cache

from aiodag.service.feed import Event
from aiodag.web.desk import DESK, Desk
from aiodag.web.fastapi import Receive, Response, Scope, Send
from aiodag.web.problems import RETRY_AFTER, Problem
from aiodag.web.turns import Turns

BEAT = 15.0  # seconds of silence after which something is sent: a connection that is only half there ends by it
AT_ONCE = 2**16  # bytes that are sent at once
KEPT = 32  # events that are kept as they are sent
RETRY = b"retry: 1000\n\n"  # milliseconds until a client that has lost the connection comes again
MOST_STREAMS = 1_000  # at once

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back
)


def refuse_too_many(desk: Desk) -> None:
    """Refuse a stream where there are too many. Raises `Problem`."""
    if desk.streams >= MOST_STREAMS:
        wait = {"Retry-After": RETRY_AFTER}
        raise Problem(503, f"{MOST_STREAMS:,} streams are open, and there may be no more", headers=wait)


class EventStream(Response):
    """An answer that goes on for as long as events come, and somebody reads them."""

    media_type = "text/event-stream"

    def __init__(self, batches: AsyncGenerator[list[Event]]) -> None:
        super().__init__()
        self._batches = batches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or the client has gone."""
        desk: Desk = scope[DESK]
        with desk.streaming():
            await self._stream(receive, send, desk.turns)

    async def _stream(self, receive: Receive, send: Send, turns: Turns) -> None:
        sending = asyncio.ensure_future(self._send_all(send, turns))
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            sending.cancel()
            # Both, before anybody lets go of what they read from.
            await asyncio.wait({sending, gone})
        if not sending.cancelled():
            sending.result()

    async def _send_all(self, send: Send, turns: Turns) -> None:
        async with aclosing(self._batches) as batches:
            await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
            await send(part_of_body(RETRY))
            async for events in batches:
                for some in blocks_of(events):
                    await turns.take()
                    await send(
                        part_of_body(some)
                    )  # waits for a client that does not read, whom the server drops after a while
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def part_of_body(body: bytes) -> dict[str, object]:
    """Return the message that sends a part of an answer."""
    return {"type": "http.response.body", "body": body, "more_body": True}


def blocks_of(events: Iterable[Event]) -> Iterator[bytes]:
    """Return events as they are sent: so many at once as a connection takes before it has to wait."""
    blocks: list[bytes] = []
    size = 0
    for event in events:
        blocks.append(event_block(event))
        size += len(blocks[-1])
        if size > AT_ONCE:
            yield b"".join(blocks)
            blocks, size = [], 0
    if blocks:
        yield b"".join(blocks)


@lru_cache(maxsize=KEPT)
def event_block(event: Event) -> bytes:
    r"""Return one event as it is sent: made once for many. One without a kind moves the cursor of the client, who hears of nothing.

    >>> event_block(Event("end", "{}", "1.2"))
    b'id: 1.2\nevent: end\ndata: {}\n\n'
    """
    if not event.kind:
        return f"id: {event.cursor}\n\n".encode()
    return f"id: {event.cursor}\nevent: {event.kind}\ndata: {event.text}\n\n".encode()


async def until_gone(receive: Receive) -> None:
    """Wait until a client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
