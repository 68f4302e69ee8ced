"""The statements of the SQLite store, by the names that they have in their file."""

import re
import sqlite3
from collections.abc import Iterable
from functools import cache
from pkgutil import get_data
from typing import Any

# Rows that one statement writes: one call of SQLite for many rows lets Python go on meanwhile.
ROWS = (256, 128, 64, 32, 16, 8, 4, 2, 1)


@cache
def steps() -> list[str]:
    """Return the steps of the schema, one for each version."""
    return re.split(r"-- :step \d+\n", sql("schema.sql"))[1:]


@cache
def query(name: str) -> str:
    """Return a statement by its name."""
    return queries()[name]


@cache
def queries() -> dict[str, str]:
    """Return all statements by name."""
    return sections("queries.sql", r"-- :name (\w+)\n")


def split_statements(text: str) -> Iterable[str]:
    """Return the statements of a text one by one: a trigger is one, whatever is between its begin and its end."""
    statement = ""
    for part in text.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def sections(name: str, heading: str) -> dict[str, str]:
    """Return the parts of a file of statements by their headings."""
    parts = re.split(heading, sql(name))[1:]
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def sql(name: str) -> str:
    """Return the text of a file of statements."""
    # Not with importlib.resources, which loads the modules of archives: that takes as long as all the rest of looking at a run.
    return (get_data("aiodag.stores.sql", name) or b"").decode()


@cache
def repeat_rows(name: str, rows: int, width: int) -> str:
    """Return a statement that writes so many rows of so many values."""
    row = f"({', '.join('?' * width)})"
    return query(name).replace("(?...)", ", ".join([row] * rows))


@cache
def statement_with_list(name: str, count: int) -> str:
    """Return a statement that takes a list of so many values."""
    return query(name).replace("?...", ", ".join("?" * count))


def put_rows(connection: sqlite3.Connection, name: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rows, many with one statement."""
    for some in cut_rows(rows) if rows else ():
        values = [value for row in some for value in row]
        connection.execute(repeat_rows(name, len(some), len(some[0])), values)


def cut_rows(rows: list[Any]) -> Iterable[list[Any]]:
    """Cut rows into pieces of a few sizes, so that few statements need to be prepared."""
    start, left = 0, len(rows)
    for size in ROWS:
        if not left:
            return
        while left >= size:
            yield rows[start : start + size]
            start, left = start + size, left - size
