"""The events of all runs, for lists: which were queued, began, moved on and ended."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Sequence

from aiodag.abc import Runs
from aiodag.errors import OptionError, StoreError
from aiodag.happenings import Happening
from aiodag.records import RunFilter, RunRecord
from aiodag.service.documents import run_document
from aiodag.service.feed import Asking, Event, Feed, Silence, event_text
from aiodag.stores.watch import StoreWatch

log = logging.getLogger("aiodag.feeds")

LEAST = 1.0  # seconds between two looks, however much happens
SHARE = 10  # times as long as a look has taken the store is left alone after it
SLOW = 2.0  # seconds between two looks when nothing is heard of
AGAIN = 2.0  # seconds until a store that could not be read is tried again
LATE = 60.0  # seconds by which a run may be seen after it began
NEWEST, MOST = 200, 500  # runs of one look: of those made last, and of each other kind
FEW = 100  # runs that are asked for by their ids in one look
REMEMBERED = 5_000  # unfinished runs that are not found by one of the questions
PIECE = 50  # runs in one event
TOLD = frozenset({Happening.QUEUED, Happening.ENDED, Happening.WOKEN, Happening.CANCEL})
FORM = re.compile(r"([0-9a-f]{8})\.(\d{1,18})", re.ASCII)


class RunsLooks:
    """The looks at all runs that may have moved: those made or begun last, those that go on, and those that have gone on."""

    def __init__(self, store: Runs) -> None:
        self._store = store
        self._known: dict[str, tuple[str, bool]] | None = None  # the text of each, and whether it has ended
        self._turn: list[str] = []  # ids that are to be asked for

    def look(self) -> tuple[list[str], list[str]]:
        """Return the JSON of the runs that have moved since the last look, and of those that have moved lately.

        Raises `StoreError`.
        """
        found = self._find()
        before = self._known
        texts = {run.id: (event_text(run_document(run)), run.ended_at is not None) for run in found}
        moved = [text for run, (text, _) in texts.items() if before is not None and before.get(run, ("",))[0] != text]
        left = {run: told for run, told in (before or {}).items() if not told[1] and run not in texts}
        self._known = dict(list((left | texts).items())[-REMEMBERED:])
        since = time.time() - LATE
        return moved, [texts[run.id][0] for run in found if run.ended_at is None or run.ended_at.timestamp() > since]

    def _find(self) -> list[RunRecord]:
        wanted = (RunFilter(since=time.time() - LATE), MOST), (RunFilter(state="running"), MOST), (RunFilter(), NEWEST)
        found = {run.id: run for each, limit in wanted for run in self._store.runs(wanted=each, limit=limit)}
        unseen = [run for run, (_, ended) in (self._known or {}).items() if not ended and run not in found]
        # Some in each look, and in the next one others. The one that went on until now comes first, for it has ended.
        for run_id in unseen[-FEW // 2 :] + self._next_of(unseen[: -FEW // 2]):
            found |= {run.id: run for run in self._store.runs(run_id)}
            if run_id not in found and self._known is not None:
                del self._known[run_id]
        return sorted(found.values(), key=lambda run: run.created_at)

    def _next_of(self, unseen: Sequence[str]) -> list[str]:
        there = set(unseen)
        self._turn = [run for run in self._turn if run in there] or list(unseen)
        some, self._turn = self._turn[: FEW // 2], self._turn[FEW // 2 :]
        return some


class RunsFeed(Feed):
    """The events of all runs."""

    def __init__(self, store: Runs, ask: Asking) -> None:
        super().__init__()
        self._store = store
        self._ask = ask
        self._lately: list[str] | None = None  # runs that have moved lately, as JSON

    async def follow(self, watch: StoreWatch) -> None:
        """Look at the runs for as long as somebody listens."""
        loop, looks = asyncio.get_running_loop(), RunsLooks(self._store)
        try:
            while True:
                ticket, began = watch.ticket(), loop.time()
                try:
                    moved, self._lately = await self._ask(looks.look)
                    texts = enumerate(cut_texts(moved), self.last + 1)
                    self.publish([self._event("runs", some, at) for at, some in texts])
                except StoreError as error:
                    log.debug("the runs cannot be followed for now: %s", error)
                    await asyncio.sleep(AGAIN)
                await asyncio.sleep(max(LEAST, SHARE * (loop.time() - began)))
                await watch.changed(ticket, SLOW, of=TOLD)
        finally:
            self.end()

    def _event(self, kind: str, text: str, sequence: int) -> Event:
        return Event(kind, text, f"{self.mark}.{sequence}", sequence)

    async def read(self, cursor: str | None, patience: float) -> AsyncGenerator[list[Event]]:
        """Yield what comes after a cursor; for a new client first the runs that have moved lately.

        Where the cursor is not known any more: an event that says so, and then what comes from now on. After `patience`
        seconds without anything: an event that says nothing. Raises `OptionError` for what was never a cursor.
        """
        mark, place = place_in_runs(cursor)
        silence = Silence(patience)
        while self._lately is None and not self.over:
            await self.changed(0, LEAST)
        if not self.has_all_after(mark, place):
            mark, place = self.mark, self.last
            yield [self._event("reset", "{}", place)] if cursor else self._begin(place)
        while not self.over:
            if not await self.changed(place, silence.left):
                yield [self._event("", "", place)]
                silence.end()
            if not self.has_all_after(mark, place):  # too slow
                yield [self._event("reset", "{}", self.last)]
                place = self.last
            elif new := self.after(place):
                yield new
                place = new[-1].sequence
                silence.end()

    def _begin(self, place: int) -> list[Event]:
        texts = cut_texts(self._lately or [])
        return [self._event("runs", some, place) for some in texts] or [self._event("", "", place)]


def place_in_runs(cursor: str | None) -> tuple[str, int]:
    """Return of which feed a cursor is, and after which event. Raises `OptionError`."""
    if not cursor:
        return "", 0
    found = FORM.fullmatch(cursor)
    if found is None:
        raise OptionError("after", cursor[:80], "the id of an event, as it was sent")
    return found[1], int(found[2])


def cut_texts(texts: Sequence[str]) -> list[str]:
    """Return the JSON of lists of some runs each."""
    return [f"[{','.join(texts[start : start + PIECE])}]" for start in range(0, len(texts), PIECE)]
