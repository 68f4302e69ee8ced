"""Connections to a PostgreSQL server, by psycopg, and what a session on one of them does.

Nothing of a session outlives its transaction: no prepared statements, no settings, no temporary tables. So a pooler such as
PgBouncer may give each transaction another connection of its own.
"""

import threading
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Self

from aiodag.errors import MissingExtra, StoreError
from aiodag.stores.sql.addresses import ServerAddress
from aiodag.stores.sql.happenings import Happened, notice_of
from aiodag.stores.sql.postgres_text import STATEMENTS, decoded_value, rows_as_json, translated, without_nul
from aiodag.stores.sql.session import Rows, Values

try:
    import psycopg
except ImportError as error:
    raise MissingExtra("a store at postgresql://...", "psycopg", "postgres") from error
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

ServerError = psycopg.Error
# What one batch alone is to blame for, and not the server.
OF_ONE_BATCH = (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded)
# SQLSTATEs of what passes, besides those of lost connections: the server restarts, has no room, or two were in each other's way;
# somebody, or a time that the role is given, has ended a statement or a session, most often because another holds a lock.
PASSING = {"57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03", "57014", "57P05", "25P03", "25P04"}
PASSING_SIGNS = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting",
    "too many",
    "connection slots",
    "terminating",
    "login has been failing",  # PgBouncer
)
PATIENCE = 10  # seconds to connect, and to wait for a row that somebody else has locked
STANDSTILL = 15  # seconds without a message in a transaction that writes: its process stands still, and holds its rows
GRACE = 15.0  # seconds from the start of the server in which no lease runs out: as long as a lease lasts
USUAL: dict[str, Any] = {  # what an address may say otherwise
    "connect_timeout": PATIENCE,
    "fallback_application_name": "aiodag",
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class ServerSession(Happened):
    """A transaction on a server.

    What nobody waits for the answer of is not sent by itself, but goes with what comes next, the commit at the latest:
    each message is a journey to the server and back, which may take longer than the statements.
    """

    def __init__(self, connection: "psycopg.Connection[Any]", opening: str, channel: str) -> None:
        self._connection = connection
        self._channel = channel
        self._unsent = [opening]
        self._sent = 0  # messages

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._commit()
        except BaseException:
            self._rollback()
            raise
        if error is not None:
            self._rollback()

    def query(self, name: str) -> str:
        """Return the text of a statement."""
        return STATEMENTS.query(name)

    def execute(self, statement: str, values: Values = (), /) -> Rows:
        """Execute a text."""
        return self._send(self._text(translated(statement), values))

    def perform(self, name: str, values: Values = (), *, locking: bool = False) -> Rows:
        """Execute a statement by its name."""
        return self._send(self._named(name, values), locking=locking)

    def perform_for(
        self,
        name: str,
        some: Sequence[Any],
        first: Sequence[Any] = (),
        last: Sequence[Any] = (),
        *,
        locking: bool = False,
    ) -> Rows:
        """Execute a statement that takes a list."""
        self.note(name)
        text = self._text(translated(STATEMENTS.query(name)), (*first, list(some), *last))
        return self._send(text, locking=locking)

    def rows_for(self, name: str, some: Sequence[Any], last: Sequence[Any] = (), *, locking: bool = False) -> list[Any]:
        """Execute a statement that takes a list."""
        return self.perform_for(name, some, last=last, locking=locking).fetchall() if some else []

    def put_for(self, name: str, some: Sequence[Any], first: Sequence[Any] = ()) -> None:
        """Write with a statement that takes a list."""
        self.note(name)
        self._unsent.append(self._text(translated(STATEMENTS.query(name)), (*first, list(some))))

    def perform_together(self, *asked: tuple[str, Values]) -> tuple[float, list[list[Any]]]:
        """Execute statements with one message."""
        ((moment,),), *rows = self._answers([self._named(name, values) for name, values in (("now", ()), *asked)])
        return float(moment), rows

    def put_rows(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        """Write rows, many with one statement."""
        if rows:
            self.note(name)
            self._unsent += [self._text(text, (values,)) for text, values in rows_as_json(name, rows)]

    def put_returning(self, name: str, rows: list[tuple[Any, ...]]) -> list[Any]:
        """Write rows, and return what the statement says of each."""
        self.note(name)
        found: list[Any] = []
        for text, values in rows_as_json(name, rows):
            found += self._send(self._text(text, (values,)))
        return found

    def put_and_perform_for(
        self, name: str, rows: list[tuple[Any, ...]], other: str, some: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Write rows, and execute a statement that takes a list, with one message."""
        self.note(name)
        texts = [self._text(text, (values,)) for text, values in rows_as_json(name, rows)]
        texts += [self._text(translated(STATEMENTS.query(other)), (list(some),))] if some else []
        found = self._answers(texts)
        there = found.pop() if some else []
        return [row for each in found for row in each], there

    def put_each(self, name: str, rows: Sequence[Values]) -> None:
        """Write rows with a statement for each."""
        if rows:
            self.note(name)
        text = translated(STATEMENTS.query(name))
        self._unsent += [self._text(text, row) for row in rows]

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo what is done inside where that raises."""
        place, sent = len(self._unsent), self._sent
        self._unsent.append("savepoint part")
        try:
            yield
            self._send("release part")
        except BaseException:
            if self._sent == sent:  # nothing that is to be undone has left
                del self._unsent[place:]
            elif self._is_open():
                self._unsent.clear()
                self._send("rollback to part; release part")
            raise

    def make_schema(self, identifier: str) -> None:
        """Make a schema of that name, in which nothing is a placeholder or a comment."""
        self._send(f"create schema {identifier}")

    def now(self) -> float:
        """Return the moment by the clock of the server."""
        return float(self.perform("now").fetchone()[0])

    def _commit(self) -> None:
        if self._sent or len(self._unsent) > 1:
            if self.happened:
                # Once for all of it, and never for what nobody waits for: the server commits one of these at a time.
                self._unsent.append(self._text("select pg_notify(%s, %s)", (self._channel, notice_of(self.happened))))
            self._send("commit")

    def _rollback(self) -> None:
        self._unsent.clear()
        if self._is_open():
            with suppress(psycopg.Error):
                self._send("rollback")

    def _is_open(self) -> bool:
        return self._connection.info.transaction_status not in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}

    def _text(self, statement: str, values: Values) -> str:
        if not values:
            return statement.replace("%%", "%")
        if not isinstance(values, dict):
            values = [without_nul(value) for value in values]
        elif any(isinstance(value, str) and "\0" in value for value in values.values()):
            values = {name: without_nul(value) for name, value in values.items()}
        return psycopg.ClientCursor(self._connection).mogrify(statement.encode(), values)

    def _send(self, statement: str, *, locking: bool = False) -> Rows:
        """Send a statement, behind what has waited for it, and return its answer."""
        cursor = self._deliver(f"{statement} for no key update of runs" if locking else statement)
        while cursor.nextset():
            pass
        return cursor

    def _answers(self, texts: Sequence[str]) -> list[list[Any]]:
        """Send statements with one message; return the rows of each."""
        cursor = self._deliver(";\n".join(texts))
        found = [rows_answered(cursor)]
        while cursor.nextset():
            found.append(rows_answered(cursor))
        return found[-len(texts) :]  # behind those of what has waited

    def _named(self, name: str, values: Values) -> str:
        """Return a statement by its name, with its values."""
        self.note(name)
        if not values or isinstance(values, dict):
            values = {**dict(values), "grace": GRACE}
        return self._text(translated(STATEMENTS.query(name)), values)

    def _deliver(self, statement: str) -> "psycopg.ClientCursor[tuple[Any, ...]]":
        """Send a statement, behind what has waited for it; the cursor is at the answer of the first one."""
        self._sent += 1
        text, self._unsent = ";\n".join([*self._unsent, statement]), []
        cursor = psycopg.ClientCursor(self._connection, row_factory=row_maker)
        cursor.execute(text.encode())
        return cursor


def rows_answered(cursor: "psycopg.Cursor[tuple[Any, ...]]") -> list[tuple[Any, ...]]:
    """Return the rows of an answer; none where a statement gives none."""
    return [] if cursor.description is None else cursor.fetchall()


def row_maker(cursor: "psycopg.Cursor[Any]") -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what makes rows of an answer: in a column that is called so, values as they were before they were encoded."""
    names = [column.name for column in cursor.description or ()]
    if "value" not in names:
        return tuple
    place = names.index("value")
    return lambda row: (*row[:place], decoded_value(row[place]), *row[place + 1 :])


class ServerLink:
    """One connection, opened when somebody needs it; one thread at a time uses it."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self.schema = sql.Identifier(address.schema).as_string(None)
        self._connection: psycopg.Connection[Any] | None = None
        self.lock = threading.Lock()
        self.version = 0  # of the schema, when the connection was opened; 0 if there was none

    def open(self) -> "psycopg.Connection[Any]":
        """Return the connection: a new one, if there is none that works. Raises `psycopg.Error`."""
        if self._connection is not None and has_ended(self._connection):
            self.close()
        if self._connection is None:
            self.version = 0
            options = {**USUAL, **conninfo_to_dict(self.address.conninfo), "client_encoding": "utf8"}
            self._connection = psycopg.connect(make_conninfo("", **options), autocommit=True, prepare_threshold=None)
        return self._connection

    def transaction(self, *, reading: bool = False) -> "ServerSession":
        """Return a transaction, which begins with its first statement."""
        kind = "begin isolation level repeatable read read only" if reading else "begin"
        settings = [f"search_path to {self.schema}", f"lock_timeout to '{PATIENCE}s'"]
        if not reading:
            settings.append(f"idle_in_transaction_session_timeout to '{STANDSTILL}s'")
        opening = ";\n".join([kind, *(f"set local {setting}" for setting in settings)])
        return ServerSession(self.open(), opening, self.address.schema)

    def drop_broken(self) -> None:
        """Let go of a connection that is no longer one: the next who needs it makes another."""
        if self._connection is not None and self._connection.broken:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def disown(self) -> None:
        """Let go, in a forked process, of the parent's connection, which must go on."""
        self.lock = threading.Lock()
        if self._connection is not None:
            inherited.append(self._connection)
            self._connection = None


def is_passing(error: Exception) -> bool:
    """Return True if what went wrong may go well soon: the server cannot be reached, or is busy."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith("08") or error.sqlstate in PASSING
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # While connecting there is only a text. What the server itself refuses, it will refuse again.
    return "FATAL" not in str(error) or any(sign in str(error) for sign in PASSING_SIGNS)


def was_undone(error: object) -> bool:
    """Return True if the server has undone a transaction since that and another one waited for each other."""
    return isinstance(error, errors.DeadlockDetected)


def has_ended(connection: "psycopg.Connection[Any]") -> bool:
    """Return True if the server has ended a connection that nobody uses.

    Then something has come that nobody has asked for: most often the message that says so, and else a new connection does no harm.
    """
    if connection.closed:
        return True
    with (
        DefaultSelector() as selector
    ):  # `select.select` takes no descriptor above 1,023, which a busy process may have
        selector.register(connection, EVENT_READ)
        return bool(selector.select(0))


inherited: list[Any] = []  # of a forked process: connections of its parent. To close one would end it for the parent


def place_of(address: ServerAddress) -> Hashable:
    """Return what addresses of the same store have equal. Raises `StoreError` for what libpq cannot read."""
    try:
        options = conninfo_to_dict(address.conninfo)
    except psycopg.Error as error:
        msg = f"store={address.shown!r}: {address.hide(str(error).strip())}"
        raise StoreError(msg) from None
    return (*(options.get(name) for name in ("service", "host", "hostaddr", "port", "dbname", "user")), address.schema)
