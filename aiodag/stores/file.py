"""One SQLite file: its connection, its transactions, and its version."""

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from aiodag.errors import StoreError
from aiodag.stores.statements import query, steps

BUSY = 10.0  # seconds to wait for another writer of the file
LEAST_VERSION = (3, 35)
SYNCHRONOUS = ("NORMAL", "FULL", "EXTRA")
HINTS = {
    "not a database": ". It is some other file: name another one",
    "locked": f". Another process has held it for {BUSY:.0f} s: wait for it, or end it",
    "readonly": ". Check who may write to the file and to its directory",
    "unable to open": ". Check the path and who may write there",
    "full": ". Make room, then resume the run: what was committed is there",
}


class File:
    """A file of runs, made when somebody writes to it and brought up to date when it is opened."""

    def __init__(self, path: str | Path, *, synchronous: str) -> None:
        self.path = Path(path)
        self.synchronous = synchronous.upper()
        if self.synchronous not in SYNCHRONOUS:
            msg = f"synchronous={synchronous!r}: one of {', '.join(SYNCHRONOUS)}"
            raise StoreError(msg)
        self._lock = threading.Lock()  # one connection, used by the thread of a recorder and by who reads
        self.connection: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Begin a transaction and commit it, or roll it back after an exception."""
        with self._using("write to") as connection:
            # At once: a transaction that begins by reading cannot wait for another writer, it fails.
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # not after a full disk, which rolls back by itself
                    connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give a connection to read from."""
        if self.connection is None and not self.path.exists():
            # Looking makes no file: somebody may have mistyped its name.
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as nothing:
                migrate(nothing, self.path)
                yield nothing
            return
        with self._using("read") as connection:
            yield connection

    @contextmanager
    def _using(self, verb: str) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                if self.connection is None:
                    self.connection = self._open()
                yield self.connection
            except sqlite3.Error as error:
                raise self._failed(verb, error) from error

    def _failed(self, verb: str, error: sqlite3.Error) -> StoreError:
        text = str(error)
        hint = next((hint for sign, hint in HINTS.items() if sign in text), "")
        return StoreError(f"cannot {verb} the store {self.path}: {text}{hint}")

    def _open(self) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < LEAST_VERSION:
            msg = f"SQLite {sqlite3.sqlite_version} is too old for a store: 3.35 or newer"
            raise StoreError(msg)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the directory of the store {self.path}: {error}"
            raise StoreError(msg) from error
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("pragma foreign_keys = on")
            migrate(connection, self.path)
            connection.execute(f"pragma synchronous = {self.synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection


def use_a_log(connection: sqlite3.Connection) -> None:
    """Have a file written ahead, in a log, from now on.

    SQLite does not wait for others here, whatever its timeout: several processes may find a new file at once.
    """
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the version of this code, step by step. Raises `StoreError` for a newer one."""
    # One statement sees one moment: another process may be making the file meanwhile.
    there, tables = connection.execute(query("version")).fetchone()
    if there > len(steps()):
        msg = f"the store {path} has version {there}, made by a newer aiodag; this one knows {len(steps())}: update it"
        raise StoreError(msg)
    if there == len(steps()):
        return
    if not there and tables:
        msg = f"{path} is a database of something else: name another file for the store"
        raise StoreError(msg)
    use_a_log(connection)
    connection.execute("begin immediate")
    try:
        there = connection.execute("pragma user_version").fetchone()[0]  # another process may have been quicker
        for version, step in enumerate(steps()[there:], there + 1):
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"pragma user_version = {version}")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
