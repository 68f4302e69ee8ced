"""The events of one run, for all who follow it in this process: one look at the store for all of them.

    looks ──► run, moves, lines, output ──► the feed ──► who reads as fast as they come
                                              │
    store ──► what it has beyond a cursor ────┴────────► who has just come, or reads slowly

A line and a part of output have numbers that the store gives, so each is sent once, whatever happens between. A move has none:
a new client gets where each node stands, and then what changes. To hear of a state twice harms nothing.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

from aiodag.abc import Runs
from aiodag.errors import StoreError, UnknownRun
from aiodag.happenings import Happening
from aiodag.service.feed import Asking, Event, Feed, Silence, event_text
from aiodag.service.feed_cursors import Cursor
from aiodag.service.feed_events import PAGE, FeedPiece, move_pieces, read_line_pieces, read_output_pieces
from aiodag.service.run_looks import Found, RunLooks
from aiodag.stores.watch import StoreWatch

log = logging.getLogger("aiodag.feeds")

LEAST = 0.5  # seconds between two looks, however much happens
SHARE = 10  # times as long as a look has taken the store is left alone after it
SLOW = 1.0  # seconds between two looks at a run of which nothing is heard: nobody tells of moves
AGAIN = 2.0  # seconds until a store that could not be read is tried again
FIRST_PAGE = 16  # lines or parts that are read at once for one who catches up: more where they are short
FEW_PIECES = 1  # that a page becomes if it is not too large
KINDS = frozenset({"run", "moves", "lines", "output"})
TOLD = frozenset({Happening.LINES, Happening.QUEUED, Happening.ENDED, Happening.WOKEN, Happening.CANCEL})


class Wish(NamedTuple):
    """What somebody wants to hear of a run: which kinds, and lines and output of which node; None: of all."""

    kinds: frozenset[str] = KINDS
    node: int | None = None

    def cut(self, events: Iterable[Event]) -> list[Event]:
        """Return of events what is wanted."""
        return [wanted for each in events for wanted in self._cut(each)]

    def _cut(self, event: Event) -> list[Event]:
        if event.kind not in self.kinds:
            return [event] if event.kind in {"", "end"} else []
        if self.node is None or event.kind in {"run", "moves"} or event.nodes == frozenset({self.node}):
            return [event]
        if self.node not in event.nodes:
            return []
        return [event._replace(text=event_text([each for each in json.loads(event.text) if each["node"] == self.node]))]


class RunFeed(Feed):
    """The events of one run."""

    def __init__(self, store: Runs, run_id: str, ask: Asking) -> None:
        super().__init__()
        self._store = store
        self._run_id = run_id
        self._ask = ask
        self._found: Found | None = None
        self._standing: tuple[object, asyncio.Future[list[FeedPiece]] | None] = (None, None)

    @property
    def ended(self) -> int:
        """The execution whose end it has told; 0 if there is none."""
        return self._found.run.execution if self._found is not None and self._found.over else 0

    async def follow(self, watch: StoreWatch) -> None:
        """Look at the run until it has ended or is not there any more."""
        loop, looks = asyncio.get_running_loop(), RunLooks(self._store, self._run_id)
        try:
            while not self.over:
                ticket, began = watch.ticket(), loop.time()
                try:
                    self._take(await self._ask(looks.look))
                except UnknownRun:
                    return
                except StoreError as error:  # whoever listens goes on to do so: what happens meanwhile is sent later
                    log.debug("run %r cannot be followed for now: %s", self._run_id, error)
                    await asyncio.sleep(AGAIN)
                if not self.over:
                    await asyncio.sleep(max(LEAST, SHARE * (loop.time() - began)))
                    await watch.changed(ticket, SLOW, of=TOLD)
        finally:
            self.end()

    def _take(self, found: Found) -> None:
        self._found = found
        self.publish([self._event(each, at) for at, each in enumerate(found.pieces, self.last + 1)])
        if found.over:
            self.end()

    def _event(self, piece: FeedPiece, sequence: int) -> Event:
        cursor = str(piece.place._replace(feed=self.mark, sequence=sequence))
        return Event(piece.kind, piece.text, cursor, sequence, piece.nodes)

    async def read(self, place: Cursor, wish: Wish, patience: float) -> AsyncGenerator[list[Event]]:
        """Yield what comes after a place, until the run has ended or is not there any more.

        After `patience` seconds without anything: an event that says nothing, but has the cursor. Raises `StoreError`.
        """
        silence = Silence(patience)
        while True:
            if self._is_at(place):
                new = self.after(place.sequence)
                place = place._replace(sequence=new[-1].sequence if new else place.sequence)
                wanted = wish.cut(new)
                if wanted:
                    yield wanted
                    silence.end()
                if self.over and place.sequence == self.last:
                    return
                silent = not await self.changed(place.sequence, silence.left)
            elif self._has_come_to(place):
                async for events, reached in self._catch_up(place, wish):
                    place = reached
                    yield wish.cut(events)
                continue
            elif self.over:
                return
            else:
                silent = not await self.changed(self.last, silence.left)
            if silent:
                yield [Event("", "", str(self._read_up_to(place)))]
                silence.end()

    def _is_at(self, place: Cursor) -> bool:
        return self.has_all_after(place.feed, place.sequence)

    def _read_up_to(self, place: Cursor) -> Cursor:
        """Return the cursor of somebody who has read all."""
        if self._found is None or not self._is_at(place):
            return place
        return self._found.place._replace(feed=self.mark, sequence=self.last)

    def _has_come_to(self, place: Cursor) -> bool:
        """Return True if the feed is not behind somebody whom another one has served."""
        if self._found is None:
            return False
        here = self._found.place
        there = place.begin(here.generation)
        return self.over or (here.logged >= there.logged and here.written >= there.written)

    async def _catch_up(self, place: Cursor, wish: Wish) -> AsyncGenerator[tuple[list[Event], Cursor]]:
        """Yield what is between a place and here, from the store, and how far that is."""
        found, sequence = self._found, self.last
        assert found is not None
        here = found.place
        place = Cursor(*place.begin(here.generation)[:4])
        yield [self._loose(found.run_piece(), place)], place
        readings = ("lines", read_line_pieces, here.logged), ("output", read_output_pieces, here.written)
        for kind, read, last in readings:
            most = FIRST_PAGE
            while kind in wish.kinds:
                pieces = await self._ask(read, self._store, place, self._run_id, last, most)
                if not pieces:
                    break
                most = max(most // 2, 1) if len(pieces) > FEW_PIECES else min(most * 2, PAGE)
                for each in pieces:
                    place = each.place
                    yield [self._loose(each, place)], place
        if "moves" in wish.kinds:
            for each in await self._standing_of(found):
                yield [self._loose(each, place)], place
        place = here._replace(feed=self.mark, sequence=sequence)
        ended = self.over and found.over
        last_piece = found.end_piece() if ended else FeedPiece("", "", place)
        yield [self._event(last_piece, sequence)], place

    def _loose(self, piece: FeedPiece, place: Cursor) -> Event:
        """Return an event after which nobody knows how far the moves are read."""
        return Event(piece.kind, piece.text, str(place), 0, piece.nodes)

    async def _standing_of(self, found: Found) -> list[FeedPiece]:
        """Return where all nodes stand: made once for all who come between two looks."""
        of, made = self._standing
        if of is not found.moves or made is None:
            made = asyncio.ensure_future(self._ask(move_pieces, found.run, found.moves, found.place))
            self._standing = found.moves, made
        return await asyncio.shield(made)
