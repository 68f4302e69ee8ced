"""What is measured of a store: once for all who ask within a moment."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiodag.errors import StoreError
from aiodag.service import Service
from aiodag.service.measuring import Measuring
from aiodag.web.prometheus_client import Meter

log = logging.getLogger("aiodag.web")

FRESH = 2.0  # seconds for which what was measured is answered again


class MeteredStore:
    """A store whose numbers are in a meter, as of a moment ago."""

    def __init__(self, service: Service, meter: Meter) -> None:
        self._meter = meter
        self._measuring = Measuring(service)
        self._turn = asyncio.Lock()
        self._measured_at: float | None = None

    async def refresh(self, ask: Callable[..., Awaitable[Any]]) -> None:
        """Measure the store, unless that was done just now. Raises what `ask` does when it has no answer."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._measured_at is not None and now - self._measured_at < FRESH:
                return
            self._meter.note_unreachable()  # until it is known
            try:
                self._meter.note_measured(await ask(self._measuring.measure))
            except StoreError as error:
                log.warning("the store cannot be measured: %s", error)
            self._measured_at = now
