"""Places in the events of a run, as text: whoever has lost a connection goes on from there, with another process too."""

import hashlib
import re
from typing import NamedTuple

from aiodag.abc import Runs
from aiodag.errors import OptionError
from aiodag.records import RunRecord

FORM = re.compile(
    r"([0-9a-f]{8})\.(\d{1,18})\.(\d{1,18})\.(\d{1,18})(?:\.([0-9a-f]{8})\.(\d{1,18}))?(?:\.end(\d{1,18}))?",
    re.ASCII,
)
SHOWN = 80  # characters of one that cannot be read


class Cursor(NamedTuple):
    """How far somebody has read the events of a run.

    Lines and output are read up to a part, which any process finds in the store. How far the moves are read only the process
    knows that has sent them, as `feed` and `sequence`: another one sends where each node stands.
    """

    run: str  # which one: another of the same id has another word
    generation: int = 0  # of the run, which begins its lines anew with each
    logged: int = 0
    written: int = 0
    feed: str = ""
    sequence: int = 0
    ended: int = 0  # the execution whose end was seen

    def __str__(self) -> str:
        """Return the text of the cursor."""
        place = f"{self.run}.{self.generation}.{self.logged}.{self.written}"
        place += f".{self.feed}.{self.sequence}" if self.feed else ""
        return place + (f".end{self.ended}" if self.ended else "")

    def begin(self, generation: int) -> "Cursor":
        """Return the cursor in a generation of the run: at its beginning, if it was in another one."""
        return self if generation == self.generation else Cursor(self.run, generation)


def read_cursor(text: str) -> Cursor:
    """Return the cursor of a text. Raises `OptionError`."""
    found = FORM.fullmatch(text)
    if found is None:
        raise OptionError("after", text[:SHOWN], "the id of an event, as it was sent")
    run, generation, logged, written, feed, sequence, ended = found.groups()
    return Cursor(run, int(generation), int(logged), int(written), feed or "", int(sequence or 0), int(ended or 0))


def word_of_run(run: RunRecord) -> str:
    """Return what tells a run from others, and from another one of its id."""
    return hashlib.sha256(f"{run.created_at.timestamp()!r} {run.id}".encode("utf-8", "replace")).hexdigest()[:8]


def cursor_now(store: Runs, run_id: str) -> str:
    """Return the cursor after all that a run has logged and written so far, for a page that shows it. Raises `UnknownRun`."""
    run = store.head(run_id)
    return str(Cursor(word_of_run(run), run.generation, *store.last_parts(run_id)))


class FeedStart(NamedTuple):
    """From where somebody follows a run, and whether there is nothing more to come for him."""

    place: Cursor
    has_seen_end: bool
    ended: int  # the execution with which the run has ended; 0 while it goes on


def find_start(store: Runs, run_id: str, text: str | None) -> FeedStart:
    """Return from where somebody goes on: from a cursor, or from the beginning.

    Raises `UnknownRun`, and `OptionError` for a cursor that is not one of this run.
    """
    run = store.head(run_id)
    word = word_of_run(run)
    ended = 0 if run.ended_at is None else run.execution
    if not text:
        return FeedStart(Cursor(word, run.generation), has_seen_end=False, ended=ended)
    place = read_cursor(text)
    logged, written = store.last_parts(run_id)
    beyond = place.generation == run.generation and (place.logged > logged or place.written > written)
    if place.run != word or place.generation > run.generation or beyond:
        raise OptionError("after", text, f"the id of an event of the run {run_id!r}; this is one of another run")
    return FeedStart(place, has_seen_end=run.ended_at is not None and place.ended == run.execution, ended=ended)
