"""A connection to a file of SQLite, as the rules use it."""

import sqlite3
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from aiodag.stores.sql.happenings import Happened
from aiodag.stores.sql.session import Rows, Values
from aiodag.stores.sql.statements import Statements, cut_rows, repeat_rows, steps_of

STATEMENTS = Statements("queries.sql", "queue.sql", "inbox.sql", "schedules.sql", "access.sql", "sqlite.sql")
CACHED = 256  # statements that stay prepared: each of those that write many rows, for each number of rows


@cache
def steps() -> list[str]:
    """Return the steps of the schema of a file, one for each version."""
    return steps_of("schema.sql")


@cache
def query(name: str) -> str:
    """Return a statement of SQLite by its name."""
    return STATEMENTS.query(name)


@cache
def statement_with_rows(name: str, rows: int, width: int) -> str:
    """Return a statement that writes so many rows of so many values."""
    return repeat_rows(query(name), rows, width)


@cache
def statement_with_list(name: str, count: int) -> str:
    """Return a statement that takes a list of so many values."""
    return query(name).replace("?...", ", ".join("?" * count))


def split_statements(text: str) -> Iterable[str]:
    """Return the statements of a text one by one: a trigger is one, whatever is between its begin and its end."""
    statement = ""
    for part in text.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class FileSession(Happened, sqlite3.Connection):
    """Statements by name. A file has one writer at a time, so nothing needs to be locked by row."""

    def query(self, name: str) -> str:
        """Return the text of a statement."""
        return query(name)

    def perform(self, name: str, values: Values = (), *, locking: bool = False) -> Rows:
        """Execute a statement by its name."""
        self.note(name)
        return self.execute(query(name), values)

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
        return self.execute(statement_with_list(name, len(some)), (*first, *some, *last))

    def rows_for(self, name: str, some: Sequence[Any], last: Sequence[Any] = (), *, locking: bool = False) -> list[Any]:
        """Execute a statement that takes a list, some at a time."""
        return [row for part in cut_rows(some) for row in self.perform_for(name, part, last=last)]

    def put_for(self, name: str, some: Sequence[Any], first: Sequence[Any] = ()) -> None:
        """Write with a statement that takes a list."""
        for part in cut_rows(some):
            self.perform_for(name, part, first)

    def perform_together(self, *asked: tuple[str, Values]) -> tuple[float, list[list[Any]]]:
        """Execute statements one after the other."""
        return self.now(), [self.perform(name, values).fetchall() for name, values in asked]

    def put_rows(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        """Write rows, many with one statement."""
        if rows:
            self.note(name)
        for some in cut_rows(rows) if rows else ():
            values = [value for row in some for value in row]
            self.execute(statement_with_rows(name, len(some), len(some[0])), values)

    def put_returning(self, name: str, rows: list[tuple[Any, ...]]) -> list[Any]:
        """Write rows, and return what the statement says of each."""
        self.note(name)
        found: list[Any] = []
        for some in cut_rows(rows):
            values = [value for row in some for value in row]
            found += self.execute(statement_with_rows(name, len(some), len(some[0])), values)
        return found

    def put_and_perform_for(
        self, name: str, rows: list[tuple[Any, ...]], other: str, some: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Write rows, then execute a statement that takes a list."""
        made = self.put_returning(name, rows)
        return made, [row for part in cut_rows(some) for row in self.perform_for(other, part)]

    def put_each(self, name: str, rows: Sequence[Values]) -> None:
        """Write rows with a statement for each."""
        if rows:
            self.note(name)
            self.executemany(query(name), rows)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo what is done inside where that raises."""
        self.execute("savepoint part")
        try:
            yield
        except BaseException:
            if self.in_transaction:  # not after a full disk, which rolls all of it back by itself
                self.execute("rollback to part")
            raise
        finally:
            if self.in_transaction:
                self.execute("release part")

    def now(self) -> float:
        """Return the moment: all who share a file share a clock."""
        return time.time()


def connect(place: object, **options: Any) -> FileSession:
    """Return a connection to a file, or to what is in memory."""
    return sqlite3.connect(place, isolation_level=None, check_same_thread=False, factory=FileSession, **options)  # type: ignore[call-overload, no-any-return] # options pass through untouched
