"""Tell the clients of a server what happens in its store: hints, as whoever waits in a process of its own gets them."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import TYPE_CHECKING

from aiodag.happenings import EVERYTHING, Happening
from aiodag.stores.watch import watch_store

if TYPE_CHECKING:
    from aiodag.service.service import Service

BEAT = 15.0  # seconds after which nothing is said, so that the other side knows that there is somebody
LEAST = 0.1  # seconds between two hints, however much happens


async def happenings_in(service: "Service") -> AsyncGenerator[Collection[Happening]]:
    """Yield what has happened in a store, at first everything, and nothing at all each 15 seconds without news."""
    with watch_store(service.store) as watch:
        ticket = watch.ticket()
        yield EVERYTHING  # what has happened before was not heard of
        while True:
            changed = await watch.changed(ticket, BEAT)
            # In this order: what happens between the two is said again, and not missed.
            now, heard = watch.ticket(), watch.news(ticket) if changed else ()
            ticket = now
            yield heard
            await asyncio.sleep(LEAST)
