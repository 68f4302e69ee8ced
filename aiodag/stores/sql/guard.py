"""What SQLite's own locks do not protect a file of runs from: losing them, forks, and being replaced.

SQLite locks with `fcntl`, and POSIX drops every such lock of a process as soon as that process closes any descriptor of the
file, even one that only made a checksum of it. Others then take the freed locks for theirs: two write at once, or one that
closes the store believes it is the last and deletes the log that the other still writes to. So here

- the writer also holds a `flock` on a file next to the store, and
- whoever has the store open also holds, on Linux, the two locks that say so by its own descriptors: open file description locks.

Both belong to a descriptor, and only closing that very descriptor frees them.

Sources: "How To Corrupt An SQLite Database File", sections 2.2 and 2.6; `os_unix.c` of SQLite for the bytes that are locked;
flock(2); fcntl(2), open file description locks.
"""

import os
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from aiodag.errors import StoreError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows locks files by descriptor, and has no fork
    fcntl = None

PAUSES = (0.0005, 0.001, 0.002, 0.005, 0.01)  # seconds between two tries to get the lock; the last one again and again
IN_USE = (2**30 + 2, 510)  # SQLite: first byte and length of what every connection holds shared in the database
MAPPED = (128, 1)  # and in the index of the log, where who gets it alone cuts the index off


class Locked(Exception):
    """Raised when somebody else has been writing to the file all the time."""

    def __str__(self) -> str:
        return "database is locked"


class Identity(NamedTuple):
    """What tells a file from another one of the same name."""

    device: int
    inode: int


@lru_cache(maxsize=64)
def paths_beside(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of a file's log, of the index of that, and of what its writer locks."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"), path.with_name(f"{path.name}-lock")


def file_identity(path: Path) -> Identity | None:
    """Return the identity of a file, or None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino)


def writer_of(path: Path) -> int | None:
    """Return the process that writes to a file of SQLite, where Linux tells.

    It has the lock on byte 120 of the index, or is about to: then it has the lock on the file next to the store.
    """
    index = file_identity(path.with_name(f"{path.name}-shm"))
    beside = file_identity(path.with_name(f"{path.name}-lock"))
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in locks:
        _, kind, _, mode, process, place, first, *_ = line.split()
        inode = place.rpartition(":")[2]
        if index is not None and (kind, mode, inode, first) == ("POSIX", "WRITE", str(index.inode), "120"):
            return int(process)
        if beside is not None and (kind, mode, inode) == ("FLOCK", "WRITE", str(beside.inode)):
            return int(process)
    return None


@dataclass
class Presence:
    """The descriptors by which this process says that it has a file open, for all its connections to that file.

    One for all: closing the descriptor of one connection would drop SQLite's locks for the other.
    """

    descriptors: list[int]
    connections: int = 0


class Guard:
    """Watches one file of runs for one connection to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log, self._index, self._beside = paths_beside(path)
        self._descriptor: int | None = None
        self._file: Identity | None = None
        self._log_file: Identity | None = None
        self.held = False  # whether others are kept from writing

    def note_open(self) -> None:
        """Note which file was opened, and that it is in use."""
        self._file, self._log_file = file_identity(self.path), file_identity(self.log)
        if self._file is None:
            return
        with presences_lock:
            here = presences.get(self._file)
            if here is None:
                found = [hold(self.path, *IN_USE), hold(self._index, *MAPPED)]
                here = presences[self._file] = Presence([each for each in found if each is not None])
            here.connections += 1

    @contextmanager
    def closing(self) -> Generator[None]:
        """Give up the locks on the file, then close it, inside; the descriptors are closed after SQLite's own."""
        descriptors: list[int] = []
        with presences_lock:
            here = presences.get(self._file) if self._file is not None else None
            if here is not None and self._file is not None:
                here.connections -= 1
                if not here.connections:
                    descriptors = presences.pop(self._file).descriptors
        for descriptor in descriptors:
            unlock(descriptor)
        try:
            yield
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            self._file = None

    def forget(self) -> None:
        """Give up the lock on the file next to the store."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def say_what_has_gone(self) -> str:
        """Return what has happened to the file that was opened, or to its log; nothing if they are where they were.

        With a log that is gone SQLite goes on: nobody else sees what is in it, and it goes with this process.
        """
        if self._file is not None and file_identity(self.path) != self._file:
            return "was replaced by another file" if self.path.exists() else "was deleted or moved"
        if self._log_file is not None and file_identity(self.log) != self._log_file:
            return f"lost its log, {self.log.name}, which somebody has deleted or replaced,"
        return ""

    @contextmanager
    def alone(self, patience: float, *, to_write: bool = False) -> Generator[None]:
        """Keep others from writing meanwhile, in this process and in others. Raises `Locked` after `patience` seconds.

        Only who is about to write makes the file that is locked: every writer since 1.3 does, so where there is none nobody has
        the store open to write, and who looks at an older one leaves nothing behind. A writer that comes at this very moment
        is not kept out; SQLite's own locks are there for that, and nobody here has had the file open and could have lost them.
        """
        if not self._lock(patience, os.O_CREAT if to_write else 0):
            yield
            return
        self.held = True
        try:
            yield
        finally:
            self.held = False
            if self._descriptor is not None and fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _lock(self, patience: float, making: int) -> bool:
        """Lock the file next to the store; return False if that is impossible: a system or a directory without such locks, or no file."""
        if fcntl is None:
            return False
        until = time.monotonic() + patience
        pauses = chain(PAUSES, repeat(PAUSES[-1]))
        while True:
            try:
                if self._descriptor is None:
                    self._descriptor = os.open(self._beside, os.O_RDWR | making | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Locked from None
                time.sleep(next(pauses))
            except OSError:
                return False
            else:
                return True

    def disown(self, connection: object) -> None:
        """Let go, in a forked process, of a connection that the parent opened.

        Our copies of its descriptors are closed: the parent's locks stay, for they end with the last copy.
        """
        global presences_lock  # another thread of the parent may have held it
        presences_lock = threading.RLock()
        inherited.append(connection)
        if self._file is not None:
            inherited_files.add(self._file)
            for descriptor in presences.pop(self._file, Presence([])).descriptors:
                os.close(descriptor)
        self._file = None
        self.forget()


# Of this process: by file, who has it open.
presences: dict[Identity, Presence] = {}
presences_lock = threading.RLock()  # again in one thread: the collector may end another store meanwhile
# Of a forked process: connections that are its parent's. They must not even be closed: SQLite would take the locks of the
# parent for its own, and might put the parent's log away. So they are kept, unused, until the process ends.
inherited: list[Any] = []
inherited_files: set[Identity] = set()


def hold(path: Path, start: int, length: int) -> int | None:
    """Lock bytes of a file, shared; return the descriptor that holds them, or None where there are no such locks."""
    operation = getattr(fcntl, "F_OFD_SETLK", None)
    if fcntl is None or operation is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    with suppress(OSError):  # without the lock it is kept all the same: closing it would drop SQLite's own
        fcntl.fcntl(descriptor, operation, struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, start, length, 0))
    return descriptor


def unlock(descriptor: int) -> None:
    """Free what a descriptor holds, and leave it open."""
    if fcntl is not None:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))


def refuse_after_fork(path: Path) -> None:
    """Refuse, in a forked process, a file that its parent had open.

    Raises `StoreError`. SQLite keeps a list of the files that a process has locked, and a fork copies it: the child would
    take the parent's locks for its own, and both would write at once.
    """
    if inherited_files and file_identity(path) in inherited_files:
        msg = (
            f"cannot open the store {path} in process {os.getpid()}: it was forked from a process that has it open, and "
            "SQLite does not survive that. Start it with multiprocessing.get_context('spawn'), or as a program of its own"
        )
        raise StoreError(msg)
