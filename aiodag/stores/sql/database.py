"""What rules need of a database: transactions, looks, and whose fault an error is."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import TypeVar

from aiodag.errors import StoreError
from aiodag.records import LARGEST
from aiodag.stores.sql.session import Session

T = TypeVar("T")


class Database(ABC):
    """A database of runs. The rules stand on this; below it are a file and a server."""

    largest = LARGEST  # bytes of a value
    closed = False  # whether somebody has closed it, who will not do so again
    # What one batch alone is to blame for, and not the database: such as a value that is too large.
    its_own: tuple[type[Exception], ...] = (ValueError, OverflowError)

    @property
    @abstractmethod
    def place(self) -> Hashable:
        """What other stores of the same runs have equal: their runs share a keeper."""

    @abstractmethod
    def writing(self, *, owner: bool = False) -> AbstractContextManager[Session]:
        """Begin a transaction and commit it, or roll it back after an exception. An `owner` of runs writes what they did."""

    def transact(self, act: Callable[[Session], T], *, owner: bool = False) -> T:
        """Return what something returns in a transaction of its own; it is called anew where others were in its way."""
        with self.writing(owner=owner) as session:
            return act(session)

    def commit(self, of: Hashable, act: Callable[[Session], T], *, owner: bool = True) -> T:
        """Return what something returns in a transaction, once that is committed.

        Where it was lost whether it is, whoever does the same again, by what it is `of`, gets the answer of the first time.
        """
        del of  # a file says whether it is
        return self.transact(act, owner=owner)

    @abstractmethod
    def reading(self, *, owner: bool = False) -> AbstractContextManager[Session]:
        """Give a session to read from. An `owner` of runs looks after them: no other look may hold that up."""

    @abstractmethod
    def failure_of(self, verb: str, error: Exception) -> StoreError:
        """Return the error for what could not be done, such as "write to"."""

    @abstractmethod
    def apart(self) -> "Database":
        """Return what reads for long, and is closed after that: whoever writes meanwhile does not wait for it."""

    @abstractmethod
    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy everything to a new file, as of one moment. Raises `StoreError`."""

    @abstractmethod
    def migrate(self) -> tuple[int, int]:
        """Make the tables, or bring them up to date; return the versions before, 0 for none, and after."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""
