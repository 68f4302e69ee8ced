"""Hear of what others commit to a file, by looking at it again and again."""

import sqlite3
import time
from collections.abc import Collection
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from aiodag.happenings import EVERYTHING, Happening

if TYPE_CHECKING:
    from aiodag.stores.sql.file import File
    from aiodag.stores.sql.file_session import FileSession

LOOK = (0.025, 0.1)  # seconds between two looks: while things happen, and when nothing has for a while
QUIET = 5.0  # seconds without a commit, from which on there is less hurry
WHOLE = 1.0  # seconds between two looks whether the file is still the same one


class FileListener:
    """Looks whether anybody has committed: SQLite counts what all other connections do, those of this process too.

    On a connection of its own, for it does not count what the same one does. A look costs a few microseconds, and waking up
    for it ten times that.
    """

    def __init__(self, file: "File") -> None:
        self._file = file
        self._session: FileSession | None = None  # None: there is no file yet, or nothing in it
        self._ended = Lock()  # until `interrupt`
        self._ended.acquire()
        self._whole_at = 0.0
        self._changed_at = 0.0
        self._seen = self._look()

    def wait(self) -> Collection[Happening]:
        """Look until something has been committed, whatever it was."""
        while not self._ended.acquire(timeout=LOOK[time.monotonic() > self._changed_at + QUIET]):
            before, self._seen = self._seen, self._look()
            if self._seen != before:
                self._changed_at = time.monotonic()
                return EVERYTHING
        self.interrupt()  # it stays so
        return ()

    def _look(self) -> object:
        """Return what is another thing after each commit. The count is that of one connection, so it goes with that."""
        if self._session is None and not self._file.path.exists():
            return None  # reading what is not there makes an empty store in memory, which takes milliseconds
        if self._session is None or time.monotonic() > self._whole_at:
            with self._file.reading() as session:
                self._session = session if session is self._file.connection else None
            self._whole_at = time.monotonic() + WHOLE
        if self._session is None:
            return None
        try:
            return self._session, self._session.execute("pragma data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise self._file.failure_of("read", error) from error

    def interrupt(self) -> None:
        """End the wait."""
        with suppress(RuntimeError):  # it has been ended already
            self._ended.release()

    def close(self) -> None:
        """Close the file."""
        self._session = None
        self._file.close()
