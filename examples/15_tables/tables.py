"""What the stages of load-tables call."""

import csv
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

from aiodag.workflows import hook

TYPES = {"int": int, "float": float, "str": str, "date": date.fromisoformat}
COLUMN_TYPES = {int: "integer", float: "real", str: "text"}


@hook("tables/read@csv")
def read(file, columns):
    """Return the rows of a file, each value with the type of its column."""
    with Path(file).open(newline="", encoding="utf-8") as opened:
        found = csv.DictReader(opened)
        if found.fieldnames != list(columns):
            msg = f"{file} has the columns {found.fieldnames}, and {list(columns)} are wanted"
            raise ValueError(msg)
        return {"rows": [typed_row(file, line, row, columns) for line, row in enumerate(found, 2)]}


def typed_row(file, line, row, columns):
    """Return one row. Raises `ValueError`, with its place."""
    try:
        for name, kind in columns.items():
            TYPES[kind](row[name])
            row[name] = row[name] if kind in {"str", "date"} else TYPES[kind](row[name])
    except ValueError as error:
        msg = f"{file}:{line}: {error}"
        raise ValueError(msg) from None
    return row


@hook("tables/write@sqlite")
def write(warehouse, table, key, day, rows):
    """Replace the rows of a day in one transaction, so that a day can be loaded any number of times."""
    if not rows:
        return {"rows": 0}
    columns = {quoted(name): COLUMN_TYPES[type(value)] for name, value in rows[0].items()}
    kinds = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    places = ", ".join("?" * len(columns))
    where, key = quoted(table), quoted(key)
    values = [(day.isoformat(), *row.values()) for row in rows]
    with closing(sqlite3.connect(warehouse, timeout=60)) as database, database:
        database.execute(f"create table if not exists {where} (day text, {kinds}, primary key (day, {key}))")
        database.execute(f"delete from {where} where day = ?", (day.isoformat(),))  # noqa: S608 - quoted
        database.executemany(f"insert into {where} (day, {', '.join(columns)}) values (?, {places})", values)  # noqa: S608 - quoted
    return {"rows": len(rows)}


def quoted(name):
    """Return the name of a table or a column as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
