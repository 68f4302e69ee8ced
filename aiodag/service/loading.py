"""Load the code of runs that were taken from a queue: in threads, for a file may block, fail or end the process."""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag.errors import EntryError
from aiodag.names import describe_import_error, import_named
from aiodag.service.binding import load_entry
from aiodag.service.entry import Again, Entry, needs_its_file
from aiodag.service.kept_registries import import_kept_registries
from aiodag.service.submitting import digest_of_code
from aiodag.service.targets import again

if TYPE_CHECKING:
    from aiodag.submissions import Taken

T = TypeVar("T")


class Refusal(Exception):
    """Why this process cannot run some code: another one may."""


class CodeLoader:
    """Loads what runs continue with. Each file is imported once; what changes in it later counts for the next process."""

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._digests: dict[str, str | None] = {}  # of files, as they were imported
        self._loaded: set[str] = set()  # targets
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self, taken: "Taken") -> Again:
        """Return what a run continues with. Raises `Refusal`, and what is wrong with its record."""
        if taken.target in self._loaded and taken.record.definition is None:
            return self._load(taken)  # quick: a thread for each run would take longer
        # Else a second run of a file would be given a module of which another thread has imported half.
        lock = self._locks.setdefault(taken.target, asyncio.Lock())
        async with lock:
            return await in_daemon(lambda: self._load(taken))

    def _load(self, taken: "Taken") -> Again:
        record = taken.record
        if needs_its_file(record.entry, record.definition):
            entry = Entry(**(record.entry or {}))
            try:
                load_entry(entry)
            except (EntryError, OSError) as error:
                raise Refusal(str(error)) from error
            if entry.file not in self._digests:  # the whole file is read for that
                self._digests[entry.file] = digest_of_code(entry)
            if self._pinned and taken.code is not None and taken.code != self._digests[entry.file]:
                msg = f"{entry.file} has other code here than when the run was submitted, and this worker is pinned"
                raise Refusal(msg)
            self._loaded.add(taken.target)
        try:
            import_kept_registries((record.entry or {}).get("release"))
        except EntryError as error:
            raise Refusal(str(error)) from error
        return again(record, None)


def import_modules(names: Sequence[str]) -> None:
    """Import modules, which may register codecs or begin runs by messages. Raises `EntryError`."""
    here = str(Path.cwd())
    if names and here not in sys.path:  # there if Python was told a module to run, and not if it was told a script
        sys.path.append(here)
    for name in names:
        try:
            import_named(name, "")
        except (Exception, SystemExit) as error:
            msg = f"--import {name}: {describe_import_error(error)}"
            raise EntryError(msg) from error


async def in_daemon(fn: Callable[[], T]) -> T:
    """Return what a function returns in a thread of its own, which nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(error: BaseException | None, value: Any) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def work() -> None:
        error, value = None, None
        try:
            value = fn()
        except BaseException as raised:  # noqa: BLE001 - it is raised where somebody waits
            error = RuntimeError(str(raised)) if isinstance(raised, StopIteration) else raised
        try:
            loop.call_soon_threadsafe(settle, error, value)
        except RuntimeError:  # the loop was closed: nobody waits any more
            return

    threading.Thread(target=work, name="aiodag worker", daemon=True).start()
    return await answer
