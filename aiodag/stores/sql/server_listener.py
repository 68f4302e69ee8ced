"""Hear of what others commit to a server, from the server itself."""

import os
import selectors
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from aiodag.happenings import Happening
from aiodag.stores.sql.happenings import happenings_of
from aiodag.stores.sql.postgres import ServerError, ServerLink

if TYPE_CHECKING:
    from aiodag.stores.sql.server import PostgreSQL

POOLED = 1.0  # seconds in which a notice must have come through a pooler


class ServerListener:
    """Waits for notices on a connection of its own, which is never in a transaction: a server keeps notices for those.

    A peer that has died without a word is found by the keepalives of the connection.
    """

    def __init__(self, store: "PostgreSQL") -> None:
        self._store = store
        self._link = ServerLink(store.address)
        self._wake, self._waker = os.pipe()
        self._selector = selectors.DefaultSelector()
        try:
            self._connection = self._link.open()
            self._connection.execute(f"listen {self._link.schema}".encode())
            self._selector.register(self._connection.fileno(), selectors.EVENT_READ)
            self._selector.register(self._wake, selectors.EVENT_READ)
        except ServerError as error:
            self.close()
            raise store.failure_of("listen to", error) from error

    def wait(self) -> Collection[Happening]:
        """Wait until another process has done something. Raises `StoreError` when the connection is lost."""
        while True:
            notices = self._notices()
            if notices is None:
                return ()
            happened = {each for notice in notices for each in happenings_of(notice)}
            if happened:
                return happened

    def _notices(self, timeout: float | None = None) -> list[str] | None:
        """Wait for what comes, and return it; None after `interrupt`."""
        found: list[str] = []
        try:
            ready = [key.fd for key, _ in self._selector.select(timeout)]
            if self._wake in ready:
                return None
            if ready:
                self._connection.pgconn.consume_input()
            while (notice := self._connection.pgconn.notifies()) is not None:
                found.append(notice.extra.decode(errors="replace"))
        except ServerError as error:
            raise self._store.failure_of("listen to", error) from error
        return found

    def is_told(self) -> bool:
        """Return True if notices come: not through a pooler that gives each transaction another connection.

        Sent on a second connection, for on the same one it would come with the answer, however that was reached.
        """
        with suppress(ServerError):
            (process,) = self._connection.execute(b"select pg_backend_pid()").fetchone() or (0,)
            if process == self._connection.info.backend_pid:
                return True  # there is nobody in between
            other = ServerLink(self._store.address)
            try:
                other.open().execute(b"select pg_notify(%s, 'test')", (self._store.address.schema,))
            finally:
                other.close()
            until = time.monotonic() + POOLED
            while time.monotonic() < until:
                if self._notices(max(0.0, until - time.monotonic())):
                    return True
        return False

    def interrupt(self) -> None:
        """End the wait."""
        with suppress(OSError):  # it is closed
            os.write(self._waker, b"x")

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
        self._selector.close()
        for each in (self._wake, self._waker):
            os.close(each)
