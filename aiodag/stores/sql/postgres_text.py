"""What is said to PostgreSQL in place of what SQLite is told: placeholders, many rows at once, and values that are bytes.

A value of a node is text, or bytes, and may hold what a text of PostgreSQL cannot: it is kept as text all the same, so that
people can look at it with SQL, and begins with MARK where it is written otherwise.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from aiodag.stores.sql.statements import Statements, sql, steps_of

STATEMENTS = Statements("queries.sql", "queue.sql", "inbox.sql", "schedules.sql", "access.sql", "postgres.sql")
MARK = "\x01"  # no JSON begins with it
BYTES, TEXT = "b", "t"  # behind the mark: what stands there, in base 64
NUL = "␀"  # in place of a character that no text of PostgreSQL may hold
TOO_LARGE = 2**26  # characters of JSON: more rows than one are sent in two halves
LARGEST_ROW = 2**28 - 2**20  # characters of JSON: PostgreSQL takes less than 2**28 bytes
LARGEST_VALUE = 100_000_000  # bytes: as JSON, a text of nothing but quotes takes twice as many, and bytes a third more


@cache
def server_steps() -> list[str]:
    """Return the steps of the schema of a server, one for each version."""
    return steps_of("postgres_schema.sql")


@lru_cache(maxsize=512)
def translated(statement: str) -> str:
    """Return a statement with the placeholders of psycopg: `?` and `:name` become `%s` and `%(name)s`."""
    text = re.sub(r"\s*--[^\n]*", "", statement).replace("%", "%%")
    text = text.replace("in (?...)", "= any(%s)")
    return re.sub(r"(?<![:\w]):([a-z_]\w*)", r"%(\1)s", text).replace("?", "%s")


@cache
def column_types() -> dict[str, dict[str, str]]:
    """Return the types of all columns by table, as the schema says them."""
    found: dict[str, dict[str, str]] = {}
    kinds = r"(text|bigint|boolean|bytea|double precision)\b"
    for table, lines in re.findall(r"create table (\w+) \((.*?)\n\)", sql("postgres_schema.sql"), re.DOTALL):
        found[table] = dict(re.findall(rf"^    (\w+) {kinds}", lines, re.MULTILINE))
    for table, column, kind in re.findall(rf"alter table (\w+) add column (\w+) {kinds}", sql("postgres_schema.sql")):
        found[table][column] = kind
    return found


class Insertion(NamedTuple):
    """A statement that writes many rows, which come as one JSON text."""

    statement: str
    value: int | None  # the place of a column that holds values of nodes
    key: tuple[int, ...]  # the places of what tells rows apart that are written over


@cache
def insertion(name: str) -> Insertion:
    """Return what writes rows by a statement that says `(?...)` for them.

    Of a list of values, a list of arrays, psycopg's `executemany` and a list of JSON, the last one takes the least time here
    and there: 4 us a row here and 18 in all, against 100 and 170, 43 and 70, and 30 and 160.
    """
    found = re.fullmatch(r"insert into (\w+) \(([^)]*)\)\s+values \(\?\.\.\.\)(.*)", STATEMENTS.query(name), re.DOTALL)
    if found is None:
        msg = f"{name} does not write rows"
        raise ValueError(msg)
    table, columns, more = found.groups()
    names = [column.strip() for column in columns.split(",")]
    types = column_types()[table]
    values = ", ".join(f"(e->>{place})::{types[column]}" for place, column in enumerate(names))
    conflict = re.search(r"on conflict \(([^)]*)\) do update", more)
    return Insertion(
        translated(f"insert into {table} ({columns}) select {values} from jsonb_array_elements(?) as e{more}"),  # noqa: S608 - put together of our own files
        names.index("value") if "value" in names else None,
        tuple(names.index(column.strip()) for column in conflict[1].split(",")) if conflict is not None else (),
    )


def rows_as_json(name: str, rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[str, str]]:
    """Return the statements that write rows, with the JSON that each takes."""
    wanted = insertion(name)
    if wanted.key and len(rows) > 1:
        # One statement writes over a row once: the last one of each key stands.
        rows = list(dict(zip(map(itemgetter(*wanted.key), rows), rows, strict=True)).values())
    if wanted.value is not None:
        rows = [with_encoded_value(row, wanted.value) for row in rows]
    for text in json_texts(rows):
        yield wanted.statement, text


def json_texts(rows: Sequence[tuple[Any, ...]]) -> Iterable[str]:
    """Return rows as JSON lists that the server takes. Raises `ValueError` for a row that is too large."""
    text = ROWS(rows)
    if "\\u0000" in text:
        text = ROWS([tuple(without_nul(value) for value in row) for row in rows])
    if len(text) <= TOO_LARGE:
        yield text
    elif len(rows) > 1:
        half = len(rows) // 2
        yield from json_texts(rows[:half])
        yield from json_texts(rows[half:])
    elif len(text) > LARGEST_ROW:
        msg = f"a row of {len(text):,} characters is too large for PostgreSQL, which takes {LARGEST_ROW:,}"
        raise ValueError(msg)
    else:
        yield text


def without_nul(value: Any) -> Any:
    """Return a value of a column with a sign in place of NUL, which is in no text of PostgreSQL."""
    return value.replace("\0", NUL) if isinstance(value, str) else value


def bytea_text(value: object) -> str:
    """Return bytes as a text that PostgreSQL reads as such."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    msg = f"{type(value).__name__} is not a type of a column"
    raise TypeError(msg)


ROWS = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=bytea_text
).encode


def with_encoded_value(row: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    """Return a row with its value as the server keeps it."""
    value = row[place]
    if value is None or (type(value) is str and value[:1] != MARK and "\0" not in value):
        return row
    return (*row[:place], encoded_value(value), *row[place + 1 :])


def encoded_value(value: str | bytes) -> str:
    r"""Return bytes, or a text that the server would not keep as it is, as a text that it keeps.

    >>> encoded_value(b"\0"), decoded_value(encoded_value("a\0"))
    ('\x01bAA==', 'a\x00')
    """
    if isinstance(value, str):
        return f"{MARK}{TEXT}{b64encode(value.encode()).decode()}"
    return f"{MARK}{BYTES}{b64encode(value).decode()}"


def decoded_value(text: object) -> object:
    """Return a value of a node as it was, whatever kept it."""
    if not isinstance(text, str) or text[:1] != MARK:
        return text
    try:
        plain = b64decode(text[2:], validate=True)
        return plain if text[1] == BYTES else plain.decode()
    except (ValueError, IndexError):
        return text  # damaged: whoever reads it says so
