"""Hear from a server what happens in its store, by server-sent events."""

import socket
from collections.abc import Collection
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING

from aiodag.errors import StoreError, StoreUnreachable
from aiodag.happenings import Happening

if TYPE_CHECKING:
    from aiodag.service.remote_http import WebLink

SILENCE = 45.0  # seconds without a sign of life after which a connection counts as broken: there is one each 15 s
KNOWN = frozenset(Happening)


class RemoteListener:
    """Hears of what happens in the store of a server. One thread waits with it."""

    def __init__(self, link: "WebLink", path: str) -> None:
        self._place = link.place
        self._response, self._socket = link.stream(path, SILENCE)
        self._interrupted = False

    def wait(self) -> Collection[Happening]:
        """Block until something may have happened, and return what; nothing after `interrupt`.

        Raises `StoreUnreachable` when nothing can be heard any more.
        """
        try:
            while not self._interrupted and (line := self._response.readline()):
                if line.startswith(b"data:"):
                    words = line.decode("ascii", "replace").removeprefix("data:").split()
                    return {Happening(each) for each in words if each in KNOWN}
            msg = "the server has ended it"
        except (OSError, HTTPException, ValueError, AttributeError) as error:
            msg = str(error) or type(error).__name__
        if self._interrupted:
            return ()
        raise StoreUnreachable(f"nothing is heard of {self._place} any more: {msg}")

    def interrupt(self) -> None:
        """End the wait, this one or the next. Called in any thread."""
        self._interrupted = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        with suppress(OSError, StoreError):
            self._response.close()
            self._socket.close()
