"""One SQLite file: its connection, its transactions, and its version."""

import os
import sqlite3
import threading
from collections.abc import Generator, Hashable
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from weakref import WeakSet

from aiodag.errors import StoreError
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.file_session import CACHED, FileSession, connect, steps
from aiodag.stores.sql.guard import Guard, Locked, refuse_after_fork, writer_of
from aiodag.stores.sql.migration import (
    BUSY,
    copy_to,
    empty_store,
    look,
    migrate,
    refuse_changed_version,
    version_of_file,
)
from aiodag.stores.watch import note_happening

LEAST_VERSION = (3, 35)
LOG_LIMIT = 2**22  # bytes of the write-ahead log that stay on disk when it begins anew
LOG_CHECK = 64  # transactions between two looks at the size of the log
SYNCHRONOUS = ("NORMAL", "FULL", "EXTRA")
HINTS = {
    "not a database": ". It is some other file: name another one",
    "readonly": ". Check who may write to the file and to its directory",
    "unable to open": ". Check the path and who may write there",
    "disk I/O": ". The disk fails; or somebody has deleted the log, the file that ends in -wal, of a process that has the store "
    "open: end that process",
    "full": ". Make room, then resume the run: what was committed is there",
}


class File(Database):
    """A file of runs, made or brought up to date when somebody writes to it."""

    its_own = (
        sqlite3.DataError,
        sqlite3.IntegrityError,
        sqlite3.InterfaceError,
        sqlite3.ProgrammingError,
        *Database.its_own,
    )

    def __init__(self, path: str | os.PathLike[str], *, synchronous: str, backup: bool) -> None:
        self.path = checked_path(path)
        self.synchronous = synchronous.upper()
        if self.synchronous not in SYNCHRONOUS:
            msg = f"synchronous={synchronous!r}: one of {', '.join(SYNCHRONOUS)}"
            raise StoreError(msg)
        self._lock = threading.Lock()  # one connection, used by the thread of a recorder and by who reads
        self._keep_copy = backup
        self._guard = Guard(self.path)
        self._written = 0  # transactions
        self.connection: FileSession | None = None
        self.read_only = False  # whether the connection is: on a medium that cannot be written to
        self.version = 0  # of what the connection has open; 0 if nothing was in it
        FILES.add(self)

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    @property
    def place(self) -> Hashable:
        """What other stores of this file have equal, whatever they call it: their runs share a keeper."""
        return type(self), real_path(self.path.absolute()), self.synchronous

    def close(self) -> None:
        """Close the file. Raises `StoreError` when another process is writing to it for 10 seconds: then it stays open."""
        self.closed = True
        with self._lock:
            try:
                self._close()
            except (Locked, sqlite3.Error) as error:
                raise self.failure_of("close", error) from None

    def __del__(self) -> None:
        # Without the lock next to the file: this may run in the middle of somebody's transaction, in the same thread.
        with suppress(Exception):  # the interpreter may be ending
            self._disconnect()
            self._guard.forget()

    def _close(self) -> None:
        if self.connection is not None:
            # Alone: who closes as the last one puts the log away, and nobody may be writing to it then.
            with self._guard.alone(BUSY):
                self._disconnect()
        self._guard.forget()  # there is a lock, too, where the file could not be opened

    def _disconnect(self) -> None:
        if self.connection is not None:
            with self._guard.closing():
                self.connection.close()
                self.connection = None

    def abandon(self) -> None:
        """Let go, in a forked process, of what the parent opened. Nothing here may wait for a lock of the parent's."""
        self._lock = threading.Lock()
        if self.connection is not None:
            self._guard.disown(self.connection)
            self.connection = None

    def apart(self) -> "File":
        """Return the same file, opened once more: what writes must not wait for what reads, nor the reverse."""
        return File(self.path, synchronous=self.synchronous, backup=False)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store to a new file, whole and as of one moment, while others go on writing: all but tokens and sessions.

        Raises `StoreError` if there is such a file already. Not with `shutil` or `cp` in this process: reading the bytes
        of an open store frees SQLite's locks on it.
        """
        copy = checked_path(path)
        if not self.path.exists():
            msg = f"there is no store {self.path} to copy"
            raise StoreError(msg)
        refuse_to_replace(copy)
        try:
            with self.reading() as connection:
                copy_to(connection, copy, access=False)
        except (OSError, sqlite3.Error) as error:
            msg = f"cannot copy the store {self.path} to {copy}: {error}"
            raise StoreError(msg) from error

    def migrate(self) -> tuple[int, int]:
        """Make the file, or bring it up to date; return the versions before, 0 for none, and after."""
        with self.reading():
            before = self.version
        with self.writing():
            return before, self.version

    @contextmanager
    def writing(self, *, owner: bool = False) -> Generator[FileSession]:
        """Begin a transaction and commit it, or roll it back after an exception.

        An `owner` of a run fails with `StoreError` when the file has gone from its place: others go on with what is there.
        """
        with self._using("write to", owner=owner) as connection:
            # At once: a transaction that begins by reading cannot wait for another writer, it fails.
            connection.execute("begin immediate")
            try:
                if not owner:  # else nobody has brought it up to date meanwhile: that waits for owners
                    refuse_changed_version(connection, self.path)
                yield connection
            except BaseException:
                if connection.in_transaction:  # not after a full disk, which rolls back by itself
                    connection.rollback()
                raise
            connection.commit()
            self._written += 1
            if self._written % LOG_CHECK == 0:
                bound_the_log(connection, self._guard.log)
        note_happening(self.place, connection.take_happened())

    @contextmanager
    def reading(self, *, owner: bool = False) -> Generator[FileSession]:
        """Give a connection to read from: of today's version, or one that looks like it."""
        # Looking makes no file: somebody may have mistyped its name.
        if owner or self.path.exists():
            with self._using("read", owner=owner) as connection:
                if self.version:
                    yield connection
                    return
        with empty_store() as nothing:
            yield nothing

    @contextmanager
    def _using(self, verb: str, *, owner: bool) -> Generator[FileSession]:
        with self._lock:
            try:
                if verb == "read":
                    if self.connection is None or self._has_moved(owner=owner) or self._is_outdated(self.connection):
                        with self._guard.alone(BUSY):
                            connection = self._open_to_read()
                    else:
                        connection = self.connection
                    yield connection
                else:
                    with self._guard.alone(BUSY, to_write=True):
                        yield self._current(owner=owner)
            except sqlite3.Error as error:
                raise self.failure_of(verb, error) from error
            except Locked as error:
                raise self.failure_of(verb, error) from None

    def _current(self, *, owner: bool) -> FileSession:
        """Return a connection that writes to the file that is in its place now."""
        if self._has_moved(owner=owner) or self.read_only or self.version < len(steps()):
            self._disconnect()
        if self.connection is None:
            self.connection = self._open(to_write=True)
        return self.connection

    def _is_outdated(self, connection: FileSession) -> bool:
        """Return True if what looks like today's version was an older one, and somebody has brought it up to date since."""
        return self.version < len(steps()) and version_of_file(connection, self.path) != self.version

    def _has_moved(self, *, owner: bool) -> bool:
        """Return True if the file is another one now. Raises `StoreError` where that loses the run that `owner` writes."""
        what = "" if self.connection is None else self._guard.say_what_has_gone()
        if what and owner:
            msg = f"the store {self.path} {what} while a run was written to it: what that run did since is not recorded"
            raise StoreError(msg)
        return bool(what)

    def _open_to_read(self) -> FileSession:
        self._disconnect()
        try:
            self.connection = self._open(to_write=False)
        except (sqlite3.OperationalError, StoreError) as error:
            self.connection = self._open_read_only(error)
        return self.connection

    def _open_read_only(self, error: Exception) -> FileSession:
        """Look at a file that cannot be written to, on a read-only medium. Raises `error` if there is another reason."""
        if not self.path.is_file() or writable_place(self.path):
            raise error
        log = self._guard.log
        if log.exists() and log.stat().st_size:
            msg = (
                f"the store {self.path} cannot be written to, and a part of it is still in {log.name}: copy both files to "
                "where they can be written, and look there"
            )
            raise StoreError(msg) from error
        address = f"{self.path.absolute().as_uri()}?immutable=1"
        connection = connect(address, uri=True)
        try:
            self.version = version_of_file(connection, self.path)
            look(connection, self.version)
        except BaseException:
            connection.close()
            raise
        self.read_only = True
        self._guard.note_open()
        return connection

    def failure_of(self, verb: str, error: Exception) -> StoreError:
        """Return the error for what could not be done, with what helps."""
        text = str(error)
        hint = next((hint for sign, hint in HINTS.items() if sign in text), "")
        if "locked" in text:
            hint = f". {holder_of(self)} has held it for {BUSY:.0f} s: wait for it, or end it"
        failure = StoreError(f"cannot {verb} the store {self.path}: {text}{hint}")
        failure.store_failed = True
        return failure

    def is_writing(self) -> bool:
        """Return True if somebody is writing to the file through this, or about to."""
        return self._guard.held or (self.connection is not None and self.connection.in_transaction)

    def is_at(self, path: Path) -> bool:
        """Return True if this is the file at a path."""
        return os.path.realpath(self.path) == os.path.realpath(path)

    def _open(self, *, to_write: bool) -> FileSession:
        refuse_unusable(self.path)
        try:
            if to_write:
                make_private(self.path)
        except OSError as error:
            msg = f"cannot make the directory of the store {self.path}: {error}"
            raise StoreError(msg) from error
        connection = connect(self.path, timeout=BUSY, cached_statements=CACHED)
        try:
            # Not with foreign keys: what belongs to a deleted run goes in portions, after the run itself.
            if to_write:
                migrate(connection, self.path, backup=self._keep_copy, patience=BUSY)
            self.version = version_of_file(connection, self.path)
            look(connection, self.version)
            connection.execute(f"pragma synchronous = {self.synchronous}")
            connection.execute(f"pragma journal_size_limit = {LOG_LIMIT}")
        except BaseException:
            connection.close()
            raise
        self.read_only = False
        self._guard.note_open()
        return connection


@lru_cache(maxsize=64)
def real_path(path: Path) -> str:
    """Return where a path leads to, through all links. A link that leads elsewhere since is seen by who has it open."""
    return os.path.realpath(path)


def make_private(path: Path) -> None:
    """Make what is missing of a file and of the directories above it, for their owner alone. Raises `OSError`.

    SQLite gives the log next to it the mode of the file. Existing files keep their mode: others may be meant to read them.
    """
    missing = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)
    with suppress(OSError):  # it is there; or it cannot be made, and SQLite says so
        # Where it leads to: a link to a file that is not there yet makes that.
        os.close(os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def refuse_unusable(path: Path) -> None:
    """Refuse to open what can be no store here. Raises `StoreError`."""
    if sqlite3.sqlite_version_info < LEAST_VERSION:
        msg = f"SQLite {sqlite3.sqlite_version} is too old for a store: 3.35 or newer"
        raise StoreError(msg)
    refuse_after_fork(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        msg = f"cannot use {path} as a store: it is not a regular file. Name a file, such as runs.db"
        raise StoreError(msg)


def refuse_to_replace(copy: Path) -> None:
    """Refuse to copy a store over a file that is there, or to where no directory is. Raises `StoreError`."""
    if copy.exists():
        msg = f"cannot copy the store to {copy}: there is such a file already, and a copy replaces nothing"
        raise StoreError(msg)
    if not copy.parent.is_dir():
        msg = f"cannot copy the store to {copy}: there is no directory {copy.parent}"
        raise StoreError(msg)


def checked_path(given: str | os.PathLike[str]) -> Path:
    """Return the path of a store, from the home directory where it begins with `~`.

    Raises `StoreError` for what names no file, or a file that would not be kept.
    """
    text = os.fspath(given)
    # No shell has expanded what stands in a program or a file of settings. A directory named ~ is a trap for `rm -r`.
    return path_of_text(text, os.path.expanduser(text))  # noqa: PTH111 - that of pathlib raises for a user that is not there


@lru_cache(maxsize=64)
def path_of_text(text: str, expanded: str) -> Path:
    """Return the path that a text stands for, expanded. Raises `StoreError`. Each run asks for the same one."""
    if text == ":memory:":
        msg = "':memory:' is forgotten with its connection: write 'memory:' for a store in this process"
        raise StoreError(msg)
    if not text.strip() or "\0" in text or text.endswith("/") or Path(text).name in {"", ".", ".."}:
        msg = f"{text!r} does not name a file: write a path such as runs.db, or 'sqlite:///runs.db'"
        raise StoreError(msg)
    return Path(expanded)


FILES: WeakSet[File] = WeakSet()


def holder_of(file: File) -> str:
    """Return who else is writing to a file: another thread or connection of this process, or another process."""
    for other in list(FILES):
        if other is not file and other.is_writing() and other.is_at(file.path):
            return "Another thread of this process"
    writer = writer_of(file.path)
    if writer == os.getpid():
        return "Another connection of this process"
    return f"Another process, {writer}," if writer else "Another process"


def abandon_all() -> None:
    """Let go, in a forked process, of every file that the parent had open."""
    for file in list(FILES):
        file.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=abandon_all)


def writable_place(path: Path) -> bool:
    """Return True if a file and its directory can be written to, so that there is another reason why it cannot be opened."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def bound_the_log(connection: FileSession, log: Path) -> None:
    """Begin the log anew if it has grown: readers who come and go can keep SQLite from doing so by itself, for ever.

    Not with the whole patience of the connection, for no one else can write meanwhile.
    """
    try:
        if log.stat().st_size <= LOG_LIMIT:
            return
    except FileNotFoundError:  # somebody has deleted it: the next transaction says so
        return
    connection.execute("pragma busy_timeout = 50")
    try:
        connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    finally:
        connection.execute(f"pragma busy_timeout = {BUSY * 1000:.0f}")
