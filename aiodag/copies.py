"""Copies of runs, from one store to another: all that belongs to a run, as rows, in portions.

Values are never read: what a store has recorded of a node goes as it is, pickled or not. People import the seam, `Copies`,
from `aiodag.abc`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiodag.batches import ROW_COLUMNS

# The row of a run; what is a mapping or a process there is JSON.
RUN_COLUMNS = (
    "id",
    "name",
    "state",
    "execution",
    "entry",
    "error",
    "created_at",
    "started_at",
    "ended_at",
    "owner",
    "tags",
    "begun",
    "counts",
    "queue",
    "priority",
    "submission",
    "target",
    "code",
    "ready",
    "retries",
    "deaths",
    "successes",
    "generation",
    "parent_run",
    "parent_node",
    "turn",
    "schedule",
    "concurrency",
)
# What belongs to a run: each table with its columns, but for the number of the run, in the order in which rows are written.
TABLES: Mapping[str, tuple[str, ...]] = {
    "definitions": ("execution", "document"),
    "functions": ("name", "module", "main"),
    "nodes": ("execution", "recalled", "void", *ROW_COLUMNS),
    "edges": ("down", "up", "exogenous", "tolerant"),
    "attempts": ("number", "attempt", "state", "started_at", "ended_at", "error"),
    "facts": ("number", "attempt", "facts"),
    "logs": ("at", "number", "level", "logger", "text"),
    "output": ("number", "attempt", "stream", "start", "at", "bytes"),
}
# What `cache=` has kept, which belongs to no run.
CACHE_COLUMNS = ("key", "task", "codec", "value", "at")
MOST_ROWS, MOST_BYTES = 1024, 2**22  # of a portion, unless one row alone is larger


class Portion(NamedTuple):
    """Some rows of one run, by table. `run` is the row of the run itself, the same in each portion.

    >>> from aiodag import Run
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     pass
    >>> [(portion.run["id"], portion.last) for portion in store.portions_of("monday")]
    [('monday', True)]
    """

    run: Mapping[str, Any]
    rows: Mapping[str, Sequence[tuple[Any, ...]]]
    last: bool


class Copies(Protocol):
    """What copies runs between stores: what a store has besides `Runs`, of which it is the same object.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> source, target = Memory(), Memory()
    >>> async with Run("etl", store=source, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> [(len(portion.rows["nodes"]), portion.last) for portion in source.portions_of("monday")]
    [(1, True)]
    >>> target.add_run(source.portions_of("monday"))
    >>> target.ids_there(["monday", "tuesday"])
    {'monday'}
    """

    def portions_of(self, run_id: str) -> Iterator[Portion]:
        """Yield all of a run. Raises `StoreError` if it changes meanwhile, and `RunOwned` if somebody works on it."""
        ...

    def add_run(self, portions: Iterable[Portion]) -> None:
        """Add a run, which nobody sees before it is there as a whole. Raises `StoreError` for an id that is there."""
        ...

    def cached_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield what `cache=` has kept."""
        ...

    def add_cached(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep values for `cache=`, but for those of keys that are there."""
        ...

    def ids_there(self, run_ids: Collection[str]) -> set[str]:
        """Return which of some ids are those of runs."""
        ...


def size_of_row(row: Sequence[Any]) -> int:
    """Return about how many bytes a row takes."""
    return 64 + sum([len(value) for value in row if type(value) is str or type(value) is bytes])


def cut_portions(run: Mapping[str, Any], rows: Iterable[tuple[str, tuple[Any, ...]]]) -> Iterator[Portion]:
    """Put rows of several tables into portions, of which the last one says so."""
    held: dict[str, list[tuple[Any, ...]]] = {}
    count = size = 0
    for table, row in rows:
        more = size_of_row(row)
        if count and (count >= MOST_ROWS or size + more > MOST_BYTES):
            yield Portion(run, held, last=False)
            held, count, size = {}, 0, 0
        held.setdefault(table, []).append(row)
        count, size = count + 1, size + more
    yield Portion(run, held, last=True)


def cut_rows_by_size(rows: Iterable[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Put rows of one table into portions."""
    for portion in cut_portions({}, (("", row) for row in rows)):
        yield portion.rows.get("", ())


def there_already(run_id: str, place: object) -> str:
    """Return what is said of a run that cannot be added."""
    return f"run {run_id!r} is in {place} already"


def key_there(run: Mapping[str, Any], other: str, place: object) -> str:
    """Return what is said of a run whose key of a submission is that of another run."""
    return f"run {run['id']!r} was submitted with the key {run['submission']!r}, as was run {other!r} in {place}"
