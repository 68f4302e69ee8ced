"""Runs in a schema of a PostgreSQL server, which many hosts share.

A commit is as durable as the server makes it. Its clock decides leases and due moments; moments that people see are those of
whoever wrote them.
"""

import logging
from collections.abc import Callable, Generator, Hashable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast
from uuid import uuid4

from aiodag.errors import StoreError, StoreUnreachable
from aiodag.records import Owner
from aiodag.stores.sql.addresses import ServerAddress, server_address
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.migration import empty_store
from aiodag.stores.sql.postgres import (
    OF_ONE_BATCH,
    ServerError,
    ServerLink,
    is_passing,
    place_of,
    was_undone,
)
from aiodag.stores.sql.postgres_text import LARGEST_VALUE, server_steps
from aiodag.stores.sql.rows import owner_text
from aiodag.stores.sql.rules import RunsInSQL
from aiodag.stores.sql.server_links import Doubt, join_links
from aiodag.stores.sql.session import Session
from aiodag.stores.watch import note_happening

if TYPE_CHECKING:
    from os import PathLike

    from aiodag.stores.sql.server_listener import ServerListener

log = logging.getLogger("aiodag.stores")
T = TypeVar("T")
UNDONE = 4  # times, at most, that a transaction begins anew which was undone: each has waited for a second
HINTS = {  # by a sign in the text: of what goes wrong while connecting, libpq tells nothing else
    "authentication failed": "Check user and password: in the address, PGPASSWORD, ~/.pgpass or a service file",
    "no password supplied": "Give one in the address, PGPASSWORD, ~/.pgpass or a service file",
    "does not exist": "Check the names in the address: the server makes neither roles nor databases by itself",
    "permission denied": "This role needs more rights: either to make the schema, or, once `aiodag migrate` has made it, those "
    "on its tables",
    "read-only transaction": "Name the server that is written to: this one is a standby, or was told to be read only",
    "resolve host": "Check the host in the address",
    "refused": "Check host and port in the address, and whether the server runs",
    "too many": "Let the server take more connections, or put a pooler before it",
    "lock timeout": "Somebody has held what this needs for 10 seconds",
}


class ServerReader(Database):
    """A store as those see it who read for long: by the connection that all who look share."""

    def __init__(self, store: "PostgreSQL") -> None:
        self._store = store

    def writing(self, *, owner: bool = False) -> AbstractContextManager[Session]:
        """Write to the store."""
        return self._store.writing(owner=owner)

    def reading(self, *, owner: bool = False) -> AbstractContextManager[Session]:
        """Give a session to read from, not that of the keeper."""
        return self._store.reading()

    def failure_of(self, verb: str, error: Exception) -> StoreError:
        """Return the error for what could not be done."""
        return self._store.failure_of(verb, error)

    @property
    def place(self) -> Hashable:
        """What the store says."""
        return self._store.place

    def apart(self) -> Database:
        """Return the same."""
        return self

    def backup(self, path: "str | PathLike[str]") -> None:
        """Copy the store."""
        self._store.backup(path)

    def migrate(self) -> tuple[int, int]:
        """Bring the store up to date."""
        return self._store.migrate()

    def close(self) -> None:
        """Leave the connection to the others."""


class PostgreSQL(RunsInSQL):
    """A store on a server."""

    largest = LARGEST_VALUE
    its_own = (*OF_ONE_BATCH, *Database.its_own)

    def __init__(self, address: str) -> None:
        self.address: ServerAddress = server_address(address)
        self.keep = self.address.keep
        self._where = place_of(self.address)
        self._links = join_links(self.address, self)

    def __str__(self) -> str:
        return self.address.shown

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address.shown}>"

    @property
    def place(self) -> Hashable:
        """What other stores of this schema have equal: their runs share a keeper."""
        return type(self), self._where

    def apart(self) -> ServerReader:
        """Return this store by the connection of those who look."""
        return ServerReader(self)

    def close(self) -> None:
        """Close the connections, if no other store of this process uses them."""
        self.closed = True
        self._links.leave(self)

    def backup(self, path: "str | PathLike[str]") -> None:
        """Refuse to copy the store to a file. Raises `StoreError`."""
        msg = f"cannot copy the store {self} to a file: use pg_dump, with --schema={self.address.schema}; or `aiodag copy`, for what has ended"
        raise StoreError(msg)

    @contextmanager
    def writing(self, *, owner: bool = False) -> Generator[Session]:
        """Begin a transaction and commit it, or roll it back after an exception."""
        with self._using("write to", self._links.writer) as link:
            if not link.version:
                link.version = find_version(link) or bring_up_to_date(link)[1]
            with link.transaction() as session:
                yield session
        note_happening(self.place, session.take_happened())

    def transact(self, act: Callable[[Session], T], *, owner: bool = False) -> T:
        """Return what something returns in a transaction of its own: of the next one, where the server has undone the first.

        What keeps the order of locks does not meet that. Not all can: whoever deletes a run does not know who works on it.
        """
        for _ in range(UNDONE):
            try:
                return super().transact(act, owner=owner)
            except StoreUnreachable as error:
                if not was_undone(error.__cause__):
                    raise
        return super().transact(act, owner=owner)

    def commit(self, of: Hashable, act: Callable[[Session], T], *, owner: bool = True) -> T:
        """Return what something returns in a transaction, once that is committed.

        When the connection is lost while the commit is under way, nobody knows whether it came to be. To do all of it again
        could write lines twice, and take a run that has ended for one that was lost. So each commit leaves its token.
        """
        doubts, process, token = self._links.doubts, owner_text(Owner.here()), uuid4().hex

        def once(session: Session) -> T:
            settle_doubts(session, process, doubts)
            if of in doubts:
                return cast("T", doubts[of].answer)
            answer = act(session)
            if answer:  # else nothing was done that could not be done again, such as looking at an empty queue
                session.put_each("note_commit", [(token, process)])
                doubts[of] = Doubt(
                    token, answer, act
                )  # with `act`, which holds what it is of: that may be known by its id
            return answer

        # The row has room for the token of one: the next commit, of whichever thread, would write over one that is in doubt.
        with self._links.committing:
            try:
                answer = self.transact(once, owner=owner)
            except StoreUnreachable:
                raise
            except BaseException:
                doubts.pop(of, None)
                raise
            doubts.pop(of, None)
            return answer

    def listener(self) -> "ServerListener | None":
        """Return what hears of commits by other processes; None, said once, behind a pooler that passes on no notices."""
        from aiodag.stores.sql.server_listener import ServerListener  # noqa: PLC0415 - only who waits needs it

        if self._links.are_pooled:
            return None
        listener = ServerListener(self)
        if listener.is_told():
            return listener
        listener.close()
        self._links.are_pooled = True
        log.warning(
            "the store %s is behind a pooler that passes on no notices: it is looked at once a second, and what happens is "
            "heard of that much later. Let aiodag reach the server itself, or the pooler give it whole sessions",
            self,
        )
        return None

    @contextmanager
    def reading(self, *, owner: bool = False) -> Generator[Session]:
        """Give a session to read from: all that it reads is of one moment."""
        # Not the connection of those who look, where an owner asks: a long look must not cost it its lease.
        with self._using("read", self._links.writer if owner else self._links.reader) as link:
            link.version = link.version or find_version(link)
            with link.transaction(reading=True) if link.version else empty_store() as session:
                yield session

    def migrate(self) -> tuple[int, int]:
        """Make the schema, or bring it up to date; return the versions before and after."""
        with self._using("migrate", self._links.writer) as link:
            return bring_up_to_date(link)

    @contextmanager
    def _using(self, verb: str, link: ServerLink) -> Generator[ServerLink]:
        self._links.users.add(self)
        with link.lock:
            try:
                link.open()
                yield link
            except ServerError as error:
                raise self.failure_of(verb, error) from error
            finally:
                link.drop_broken()

    def failure_of(self, verb: str, error: Exception) -> StoreError:
        """Return the error for what could not be done, with what helps, and without a password."""
        text = self.address.hide(said_by(error))
        hint = next((f". {hint}" for sign, hint in HINTS.items() if sign in text), "")
        kind = StoreUnreachable if is_passing(error) else StoreError
        failure = kind(f"cannot {verb} the store {self}: {text}{hint}")
        failure.store_failed = True
        return failure


def settle_doubts(session: Session, process: str, doubts: dict[Hashable, Doubt]) -> None:
    """Find out what became of commits in doubt: leave those that came to be, for whoever does them again, and no others."""
    unsettled = [of for of, doubt in doubts.items() if not doubt.committed]
    if unsettled:
        (last,) = session.perform("last_commit", (process,)).fetchone() or (None,)
        for of in unsettled:
            if doubts[of].token == last:
                doubts[of] = doubts[of]._replace(committed=True)
            else:
                del doubts[of]


def find_version(link: ServerLink) -> int:
    """Return the version of the schema, 0 if there is none. Raises `StoreError` for one that this code does not know."""
    with link.transaction() as session:
        return checked_version(session, link.address)


def checked_version(session: Session, address: ServerAddress) -> int:
    """Return the version of a schema, 0 if there is none. Raises `StoreError`."""
    version = version_there(session, address)
    if version > len(server_steps()):
        msg = (
            f"the store {address.shown} has version {version}, made by a newer aiodag; this one knows versions up to "
            f"{len(server_steps())}: update it"
        )
        raise StoreError(msg)
    if 0 < version < len(server_steps()):
        msg = (
            f"the store {address.shown} has version {version}, and this aiodag needs {len(server_steps())}: run "
            f"`aiodag migrate --store {address.shown}` with a role that may change tables"
        )
        raise StoreError(msg)
    return version


def version_there(session: Session, address: ServerAddress) -> int:
    """Return the version of a schema, 0 if there is nothing in it. Raises `StoreError` for one of somebody else."""
    is_store, _, tables = session.perform("tables_of_schema", {"schema": address.schema}).fetchone()
    if not is_store and tables:
        msg = (
            f"the schema {address.schema!r} of {address.shown} is not a store of aiodag: name another one, ?schema=NAME"
        )
        raise StoreError(msg)
    return int(session.perform("version").fetchone()[0]) if is_store else 0


def bring_up_to_date(link: ServerLink) -> tuple[int, int]:
    """Make a schema, or bring an older one up to date, one process at a time; return the versions before and after."""
    steps = server_steps()
    with link.transaction() as session:
        # Until the end of the transaction. Those who wait find it done.
        session.perform("lock_schema", {"schema": link.address.schema})
        _, is_there, _ = session.perform("tables_of_schema", {"schema": link.address.schema}).fetchone()
        if not is_there:
            session.make_schema(link.schema)
        before = version_there(session, link.address)
        if before > len(steps):
            checked_version(session, link.address)
        for step in steps[before:]:
            session.execute(step)
        if before < len(steps):
            session.perform("note_version", {"version": len(steps)})
    return before, len(steps)


def said_by(error: Exception) -> str:
    """Return what a server says in one line, without the statement."""
    primary = error.diag.message_primary if isinstance(error, ServerError) else None
    text, _, _ = " ".join(str(error).split()).partition(" Is the server running on that host")  # our own hint says that
    return (primary or text).rstrip(".")  # more is said behind it
