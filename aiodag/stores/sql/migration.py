"""Versions of a file of runs: look at an older one as it is, and bring it to today's when somebody is about to write to it."""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain, count
from pathlib import Path

from aiodag.errors import StoreError
from aiodag.records import live_owner
from aiodag.stores.sql.file_session import FileSession, connect, query, split_statements, steps
from aiodag.stores.sql.rows import owner_of
from aiodag.stores.sql.statements import sections

BUSY = 10.0  # seconds to wait for another writer of the file


def version_of_file(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a file, 0 for an empty one. Raises `StoreError` for a newer one, and for something else."""
    # One statement sees one moment: another process may be making the file meanwhile.
    there, tables = connection.execute(query("version")).fetchone()
    if there > len(steps()):
        raise newer(path, there)
    if there < 0 or (not there and tables):
        msg = f"{path} is a database, but not a store of aiodag: name another file"
        raise StoreError(msg)
    return int(there)


def newer(path: Path, version: int) -> StoreError:
    """Return the error for a file that a later version has written."""
    return StoreError(
        f"the store {path} has version {version}, made by a newer aiodag; this one knows versions up to {len(steps())}: update it"
    )


def refuse_changed_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that had the version of this code when it was opened, and has another now. Raises `StoreError`."""
    (version,) = connection.execute("pragma user_version").fetchone()
    if version > len(steps()):
        raise newer(path, version)
    if version < len(steps()):
        msg = (
            f"the store {path} has version {version} again, and had {len(steps())} when it was opened here: the bytes of an "
            "older file were copied over it. Close it, and open it anew"
        )
        raise StoreError(msg)


@cache
def statements_for_older(version: int) -> list[str]:
    """Return statements that put what a file of an older version lacks next to it, for one connection."""
    found = sections("older.sql", r"-- :version ([\d ]+)\n")
    return [
        statement
        for versions, text in found.items()
        if str(version) in versions.split()
        for statement in text.split(";")
    ]


def look(connection: sqlite3.Connection, version: int) -> None:
    """Have an older file look like one of today, to who reads: nothing in it changes."""
    for statement in statements_for_older(version):
        if statement.strip():
            connection.execute(statement)


def migrate(connection: sqlite3.Connection, path: Path, *, backup: bool = True, patience: float = BUSY) -> None:
    """Bring a file to the version of this code, in one transaction; with `backup` a copy of it as it was stays next to it.

    Raises `StoreError` for a newer one, and while a process works on a run in it.
    """
    there = version_of_file(connection, path)
    if there == len(steps()):
        return
    use_a_log(connection, patience)
    connection.execute("begin immediate")
    copy: Path | None = None
    try:
        there = version_of_file(connection, path)  # another process may have been quicker
        if 0 < there < len(steps()):
            refuse_if_owned(connection, path, there)
            if backup:
                copy = keep_copy(path, there)
        for version, step in enumerate(steps()[there:], there + 1):
            for statement in split_statements(step):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {version}")
        connection.commit()
    except BaseException:
        connection.rollback()
        if copy is not None:  # else each try would leave one more: the file itself is as it was
            copy.unlink(missing_ok=True)
        raise


@contextmanager
def empty_store() -> Generator[FileSession]:
    """Give a store in which nothing is, in memory: where none is yet, it answers."""
    with closing(connect(":memory:")) as nothing:
        migrate(nothing, Path(":memory:"))
        yield nothing


def refuse_if_owned(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse to change a file under a process of an earlier aiodag that works on a run in it. Raises `StoreError`."""
    for run_id, owner, until in connection.execute(query("owners_of_runs")):
        now = time.time()
        holder = live_owner(owner_of(owner), until if isinstance(until, float) else None, now)
        if holder is not None:
            msg = (
                f"cannot bring the store {path} from version {version} to {len(steps())}, which is needed to write to it: "
                f"run {run_id!r} is owned by {holder}, whose lease lasts for another {until - now:.0f} s. "
                "Wait for it to end, or, if it was killed, for that; looking at runs goes on meanwhile"
            )
            raise StoreError(msg)


def keep_copy(path: Path, version: int) -> Path:
    """Copy a file to one next to it that is named after its version; return where that is. Raises `StoreError`."""
    names = chain([f"{path.name}.v{version}.bak"], (f"{path.name}.v{version}.bak{number}" for number in count(2)))
    copy = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    try:
        # With a connection of its own, which sees what is committed: the other one is about to write.
        with closing(sqlite3.connect(path, timeout=BUSY)) as source:
            copy_to(source, copy)
    except (OSError, sqlite3.Error) as error:
        msg = (
            f"cannot keep a copy of the store {path} at {copy} before it is brought to version {len(steps())}: {error}. "
            f"Make room for it, or do without one: sqlite:///{path}?backup=no"
        )
        raise StoreError(msg) from error
    return copy


def copy_to(source: sqlite3.Connection, copy: Path, *, access: bool = True) -> None:
    """Copy a database to a new file, whole or not at all. Without `access`, tokens and sessions are left out.

    Raises `OSError` and `sqlite3.Error`.
    """
    # A new name each time: what a killed process has left must not stand in the way, and another thread of this one may be
    # making the same copy.
    unfinished = copy.with_name(f".{copy.name}.{os.getpid()}.{os.urandom(4).hex()}")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
            if not access:
                forget_access(target)
        unfinished.rename(copy)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def forget_access(copy: sqlite3.Connection) -> None:
    """Take tokens and sessions out of a copy: whoever puts it back would let in again whom somebody has shut out since."""
    copy.execute("pragma secure_delete = on")
    tables = copy.execute("select name from sqlite_master where type = 'table'").fetchall()
    for table in {"tokens", "sessions"} & {name for (name,) in tables}:
        copy.execute(f"delete from {table}")  # noqa: S608 - one of these two
    copy.commit()


def use_a_log(connection: sqlite3.Connection, patience: float) -> None:
    """Have a file written ahead, in a log, from now on.

    SQLite does not wait for others here, whatever its timeout: several processes may find a new file at once.
    """
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
