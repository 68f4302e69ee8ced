"""Runs in one SQLite file: write-ahead log, one writer, many readers.

A committed write survives the death of the process at any moment. With `synchronous=NORMAL` a power cut may take the last
commits with it, never the file; `sqlite:///runs.db?synchronous=FULL` waits for the disk at every commit.
"""

from pathlib import Path

from aiodag.records import KEEP, checked_keep
from aiodag.stores.sql.file import File
from aiodag.stores.sql.file_listener import FileListener
from aiodag.stores.sql.rules import RunsInSQL


class SQLite(RunsInSQL, File):
    """A store in one file, which is created if it does not exist.

    Raises `StoreError` for a file that is not SQLite, is of a newer version, cannot be written, or is locked longer
    than 10 seconds. `keep` is how many bytes it keeps of each stream of an attempt: the head and the tail.

    A file of an older version can be read without changing it. The first write brings it up to date, once no process works
    on a run in it; with `backup`, a copy of the old file stays next to it, such as `runs.db.v3.bak`.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import SQLite
    >>> store = SQLite("runs.db")
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> str(store), [run.id for run in store.runs()]
    ('sqlite:///runs.db', ['monday'])
    >>> store.close()
    """

    def __init__(self, path: str | Path, *, synchronous: str = "NORMAL", keep: int = KEEP, backup: bool = True) -> None:
        super().__init__(path, synchronous=synchronous, backup=backup)
        self.keep = checked_keep(keep)

    def listener(self) -> FileListener:
        """Return what hears of commits, those of this process too."""
        return FileListener(self.apart())
