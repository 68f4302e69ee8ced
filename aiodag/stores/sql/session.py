"""What rules do with a database while they look at it or write to it: statements by name, whatever database that is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Values = Sequence[Any] | Mapping[str, Any]


class Rows(Protocol):
    """What a statement has answered."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Return the rows that are left, one by one."""
        ...


class Session(Protocol):
    """A connection to a database in the middle of a transaction, or of a look."""

    def query(self, name: str) -> str:
        """Return the text of a statement, to be put together with others."""
        ...

    def execute(self, statement: str, values: Values = ..., /) -> Rows:
        """Execute a text: its values stand as `?`, or as `:name`."""
        ...

    def perform(self, name: str, values: Values = (), *, locking: bool = False) -> Rows:
        """Execute a statement by its name; with `locking`, nobody else changes the runs that it reads until the end."""
        ...

    def perform_for(
        self,
        name: str,
        some: Sequence[Any],
        first: Sequence[Any] = (),
        last: Sequence[Any] = (),
        *,
        locking: bool = False,
    ) -> Rows:
        """Execute a statement that takes a list, where it says `?...`, between other values."""
        ...

    def rows_for(self, name: str, some: Sequence[Any], last: Sequence[Any] = (), *, locking: bool = False) -> list[Any]:
        """Return the rows that a statement answers which takes a list, however long that is: in its order."""
        ...

    def put_for(self, name: str, some: Sequence[Any], first: Sequence[Any] = ()) -> None:
        """Write with a statement that takes a list, where it says `?...`, behind other values."""
        ...

    def perform_together(self, *asked: tuple[str, Values]) -> tuple[float, list[list[Any]]]:
        """Execute statements of which none needs the answer of another; return the moment, as `now`, and the rows of each."""
        ...

    def put_rows(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        """Write rows, many with one statement: it says `(?...)` for them."""
        ...

    def put_returning(self, name: str, rows: list[tuple[Any, ...]]) -> list[Any]:
        """Write rows, and return what the statement says of each."""
        ...

    def put_and_perform_for(
        self, name: str, rows: list[tuple[Any, ...]], other: str, some: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Do what `put_returning` does, and then what `perform_for` does for another statement; return the rows of both."""
        ...

    def put_each(self, name: str, rows: Sequence[Values]) -> None:
        """Write rows with a statement for each: of what is rare."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is done inside, and no more, where that raises."""
        ...

    def now(self) -> float:
        """Return the moment by the clock that decides leases, in seconds since the epoch."""
        ...
