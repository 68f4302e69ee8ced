"""Copy runs out of an SQL database, and into one.

A large run is added in many transactions, so that others can write meanwhile, and nobody must see half of it:

    reserve ──► put ──► put ──► ... ──► publish
    a number    its rows, a portion     the row of the run itself: from
                in each transaction     here on it is seen, as a whole

Rows that belong to no run are seen by nobody: all that looks begins with the row of the run. Until that is there, the number
stands in `deleted`, so that what a killed copy has left is swept like the rest of a deleted run; but not while the copy goes on,
which says so there with a moment that it moves on with each portion.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Any

from aiodag.copies import (
    CACHE_COLUMNS,
    MOST_BYTES,
    MOST_ROWS,
    RUN_COLUMNS,
    TABLES,
    Portion,
    cut_portions,
    key_there,
    size_of_row,
    there_already,
)
from aiodag.errors import StoreError, UnknownRun
from aiodag.records import refuse_owned
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.reading import RecordedRuns
from aiodag.stores.sql.rows import owner_of
from aiodag.stores.sql.session import Session

# By what the rows of each table are read one after the other.
ORDER = {
    "definitions": ("execution",),
    "functions": ("name", "module", "main"),
    "nodes": ("number",),
    "edges": ("down", "up", "exogenous", "tolerant"),
    "attempts": ("number", "attempt"),
    "facts": ("number", "attempt"),
    "logs": ("rowid",),
    "output": ("part",),
}
FIRST_READ = 64  # rows; then more, or fewer where they are large
ABSENT = 600.0  # seconds after which a copy that has written nothing counts as killed


class RecordedCopies(RecordedRuns):
    """The runs of a database, for those who copy them."""

    def portions_of(self, run_id: str) -> Iterator[Portion]:
        """Yield all of a run. Raises `StoreError` if it changes meanwhile, and `RunOwned` if somebody works on it."""
        with self.reading() as session:
            number, run = run_to_copy(session, run_id)
        if not run:
            raise UnknownRun(run_id, self.near(run_id), str(self))
        for portion in cut_portions(run, rows_of_run(self, number)):
            if portion.last:
                with self.reading() as session:
                    refuse_changed(run_id, (number, run), run_to_copy(session, run_id))
            yield portion

    def add_run(self, portions: Iterable[Portion]) -> None:
        """Add a run, which nobody sees before it is there as a whole. Raises `StoreError` for an id that is there."""
        number: int | None = None
        for portion in portions:
            with self.writing() as session:
                if number is None:
                    self._refuse_there(session, portion.run)
                    number = reserve_number(session, whole=portion.last)
                else:
                    hold_number(session, number, portion.run["id"])
                for table, rows in portion.rows.items():
                    session.put_rows(f"put_{table}", [(number, *row) for row in rows])
                if portion.last:
                    self._refuse_there(session, portion.run)
                    put_run(session, number, portion.run)

    def cached_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield what `cache=` has kept."""
        yield from rows_of_table(self, "cache", CACHE_COLUMNS, ("key",))

    def add_cached(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep values for `cache=`, but for those of keys that are there."""
        if rows:
            with self.writing() as session:
                session.put_rows("add_cached", list(rows))

    def _refuse_there(self, session: Session, run: Mapping[str, Any]) -> None:
        if session.perform_for("ids_there", [run["id"]]).fetchone() is not None:
            raise StoreError(there_already(run["id"], self))
        found = session.perform("run_of_submission", {"submission": run["submission"]}).fetchone()
        if found is not None:
            raise StoreError(key_there(run, found[0], self))

    def ids_there(self, run_ids: Collection[str]) -> set[str]:
        """Return which of some ids are those of runs."""
        with self.reading() as session:
            return {run_id for (run_id,) in session.perform_for("ids_there", list(run_ids))}


# Out


def run_to_copy(session: Session, run_id: str) -> tuple[int, dict[str, Any]]:
    """Return the number of a run and its row, which is empty if there is none. Raises `RunOwned`."""
    found = session.perform("find_run", {"id": run_id}).fetchone()
    if found is None:
        return 0, {}
    number, _, _, owner, until, *_ = found
    refuse_owned(run_id, None if owner is None else owner_of(owner), until, session.now())
    statement = session.query("run_to_copy").replace("{columns}", ", ".join(RUN_COLUMNS))
    values = session.execute(statement, (number,)).fetchone()
    return number, dict(zip(RUN_COLUMNS, values, strict=True))


def refuse_changed(run_id: str, before: object, after: object) -> None:
    """Refuse to go on with a run that is not what it was when its copy began. Raises `StoreError`."""
    if before != after:
        msg = f"run {run_id!r} has changed while it was copied, so nothing of it was: copy it again when it has ended"
        raise StoreError(msg)


def rows_of_run(database: Database, number: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield what belongs to a run, with the table that it is from."""
    for table, columns in TABLES.items():
        for row in rows_of_table(database, table, columns, ORDER[table], number):
            yield table, row


def rows_of_table(
    database: Database, table: str, columns: Sequence[str], order: Sequence[str], run: int | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, or those that a run has there, in an order; some from each look."""
    limit, conditions = FIRST_READ, ["true" if run is None else "run = :run"]
    values: dict[str, Any] = {} if run is None else {"run": run}
    while True:
        with database.reading() as session:
            statement = session.query("rows_to_copy").replace("{columns}", ", ".join((*columns, *order)))
            statement = statement.replace("{table}", table).replace("{condition}", " and ".join(conditions))
            statement = statement.replace("{order}", ", ".join(order))
            rows = session.execute(statement, {**values, "limit": limit}).fetchall()
        for row in rows:
            yield row[: len(columns)]
        if len(rows) < limit:
            return
        conditions[1:] = [f"({', '.join(order)}) > ({', '.join(f':{column}' for column in order)})"]
        values |= dict(zip(order, rows[-1][len(columns) :], strict=True))
        limit = next_limit(limit, sum(map(size_of_row, rows)))


def next_limit(limit: int, size: int) -> int:
    """Return how many rows to read after some that took so many bytes."""
    return max(1, min(2 * limit, MOST_ROWS, limit * MOST_BYTES // size))


# In


def reserve_number(session: Session, *, whole: bool) -> int:
    """Return a number that no other run gets. Until the run is there as a whole, it is one that was deleted."""
    placeholder = (token_hex(), "", "", 0, 0.0, 0.0)
    ((number,),) = session.put_returning("reserve_number", [placeholder])
    session.perform("delete_run", (number,))
    if not whole:
        session.perform("note_reserved", (number, session.now() + ABSENT))
    return int(number)


def hold_number(session: Session, number: int, run_id: str) -> None:
    """Keep others from sweeping what there is of a run. Raises `StoreError` if they have begun to."""
    if not session.perform("hold_reserved", (session.now() + ABSENT, number)).rowcount:
        msg = f"the copy of run {run_id!r} was suspended for so long that what there was of it has been deleted: copy it again"
        raise StoreError(msg)


def put_run(session: Session, number: int, run: Mapping[str, Any]) -> None:
    """Add the row of a run: from then on it is seen. Its process has nothing to do with it here."""
    session.perform("forget_reserved", (number,))
    values = {**run, "run": number, "leased_until": None if run["owner"] is None else 0.0}
    statement = session.query("put_copy").replace("{columns}", ", ".join(values))
    session.execute(statement.replace("{values}", ", ".join(f":{column}" for column in values)), values)
