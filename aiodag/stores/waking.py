"""Hear in the thread of a keeper how waits of its runs were settled: by this process, by others, or by the clock.

Whoever settles the wait of a run that somebody owns says so, as everything is said that others wait for. That is a hint; so
the store is asked now and then, too, as long as a run of the keeper waits.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from aiodag.happenings import Happening
from aiodag.stores.watch import watch_store

if TYPE_CHECKING:
    from aiodag.abc import Inbox, Runs
    from aiodag.mail import SettledWait
    from aiodag.records import Batch, Owner
    from aiodag.stores.post import RunWriter

SETTLING = frozenset({"waits", "due", "rejects"})  # what the store may answer at once
LOOK = 1.0  # seconds between two looks, besides being told


class WaitNews:
    """What one keeper hears of waits. All but `_hear` is for its thread."""

    def __init__(self, store: "Runs", wake: Callable[[], object]) -> None:
        self._store = store
        self._wake = wake
        self._heard = False
        self._asking: list[RunWriter] = []  # runs that are told when the store was asked
        self._look_at = 0.0
        self._watching: ExitStack | None = None

    def note(self, batches: "Iterable[tuple[RunWriter, Batch]]") -> None:
        """Take note of batches that are written: what begins to wait may have been settled with it."""
        self._asking += [writer for writer, batch in batches if batch.has_any(SETTLING)]

    def is_due(self) -> bool:
        """Return True if the store is to be asked."""
        return self._heard or bool(self._asking) or (self._watching is not None and time.monotonic() >= self._look_at)

    def ask(self, owner: "Owner", runs: "Mapping[int, RunWriter]") -> None:
        """Have runs hear how their waits were settled."""
        self._heard = False
        asking = len(self._asking)
        if any(writer.waits for writer in list(runs.values())):
            if self._watching is None:  # before the look, or what comes between would be missed
                self._watch()
            found: dict[int, list[SettledWait]] = {}
            for each in cast("Inbox", self._store).settled_waits(owner):
                found.setdefault(each.run, []).append(each)
            for number, settled in found.items():
                if number in runs:
                    runs[number].post.add(runs[number].scribe.hear_waits, settled)
        for writer in self._asking[:asking]:
            writer.post.add(writer.scribe.hear_answer)
        del self._asking[:asking]
        self._look_at = time.monotonic() + LOOK

    def _watch(self) -> None:
        self._watching = ExitStack()
        watch = self._watching.enter_context(watch_store(self._store))
        self._watching.enter_context(watch.calling(self._hear, of={Happening.WOKEN}))

    def _hear(self) -> None:
        """Ask soon. In any thread, and after the commit: the keeper itself has settled something, or somebody else."""
        self._heard = True
        self._wake()

    def end(self) -> None:
        """Hear of nothing any more."""
        if self._watching is not None:
            self._watching.close()
            self._watching = None
