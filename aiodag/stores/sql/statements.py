"""The statements of a store in SQL, by the names that they have in their files.

One file has what every database understands. What a database says in its own way stands in a file of its own, by the same
name.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pkgutil import get_data
from typing import Any

# Rows that one statement writes: one call of SQLite for many rows lets Python go on meanwhile.
ROWS = (256, 128, 64, 32, 16, 8, 4, 2, 1)


class Statements:
    """The statements that one database understands: of several files, in which a name of a later one hides an earlier one."""

    def __init__(self, *files: str) -> None:
        self._files = files
        self._found: dict[str, str] = {}

    def query(self, name: str) -> str:
        """Return a statement by its name."""
        if not self._found:
            # Whole before others see it: several threads ask at once, and one of them would miss a statement, or take one
            # that another file hides.
            found: dict[str, str] = {}
            for file in self._files:
                found.update(sections(file, r"-- :name (\w+)\n"))
            self._found = found
        return self._found[name]


def sections(name: str, heading: str) -> dict[str, str]:
    """Return the parts of a file of statements by their headings."""
    parts = re.split(heading, sql(name))[1:]
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


@cache
def sql(name: str) -> str:
    """Return the text of a file of statements."""
    # Not with importlib.resources, which loads the modules of archives: that takes as long as all the rest of looking at a run.
    return (get_data("aiodag.stores.sql", name) or b"").decode()


def steps_of(name: str) -> list[str]:
    """Return the steps of a schema, one for each version."""
    return re.split(r"-- :step \d+\n", sql(name))[1:]


def repeat_rows(statement: str, rows: int, width: int) -> str:
    """Return a statement that writes so many rows of so many values."""
    row = f"({', '.join('?' * width)})"
    return statement.replace("(?...)", ", ".join([row] * rows))


def cut_rows(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut rows into pieces of a few sizes, so that few statements need to be prepared."""
    start, left = 0, len(rows)
    for size in ROWS:
        if not left:
            return
        while left >= size:
            yield rows[start : start + size]
            start, left = start + size, left - size
