"""Look at a run again and again, and say what is new: one look after the other, in any thread."""

import dataclasses
from collections import Counter
from typing import NamedTuple

from aiodag.abc import Runs
from aiodag.records import LastMove, RunRecord
from aiodag.service.documents import run_document
from aiodag.service.feed import event_text
from aiodag.service.feed_cursors import Cursor, word_of_run
from aiodag.service.feed_events import PAGE, PARTS, FeedPiece, move_pieces, read_line_pieces, read_output_pieces
from aiodag.states import NODE_STATES, State


class Found(NamedTuple):
    """What a look has found: how the run and its nodes stand, what is new, and up to where lines and output were read."""

    run: RunRecord
    moves: list[LastMove]
    pieces: list[FeedPiece]
    place: Cursor
    over: bool  # whether the run has ended, and all is read

    def run_piece(self) -> FeedPiece:
        """Return the run itself."""
        return FeedPiece("run", event_text(run_document(self.run)), self.place)

    def end_piece(self) -> FeedPiece:
        """Return that the run has ended."""
        return FeedPiece("end", event_text(run_document(self.run)), self.place._replace(ended=self.run.execution))


class RunLooks:
    """The looks at one run. The first one finds how it stands, and nothing new."""

    def __init__(self, store: Runs, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._found: Found | None = None
        self._shown = ""  # the run, as it was said last

    def look(self) -> Found:
        """Look once. Raises `UnknownRun` and `StoreError`."""
        before = self._found
        # The state first: what has ended by then has written all its lines.
        run = self._store.head(self._run_id)
        logged, written = self._store.last_parts(self._run_id)
        if before is None:  # whoever comes reads by himself what is there already
            place = Cursor(word_of_run(run), run.generation, logged, written)
        else:
            place = before.place.begin(run.generation)
        moves, changed = self._look_at_nodes(run)
        lines = read_line_pieces(self._store, place, self._run_id, logged, PAGE)
        read = lines[-1].place if lines else place
        output = read_output_pieces(self._store, read, self._run_id, written, PARTS)
        end = output[-1].place if output else read
        over = run.ended_at is not None and end.logged >= logged and end.written >= written
        found = Found(with_counts(run, moves), moves, [], end, over)
        pieces = [*self._new_run(found, place), *move_pieces(run, changed, place), *lines, *output]
        self._found = found._replace(pieces=[*pieces, *([found.end_piece()] if over else [])])
        return self._found

    def _new_run(self, found: Found, place: Cursor) -> list[FeedPiece]:
        piece = found.run_piece()._replace(place=place)
        if piece.text == self._shown:
            return []
        self._shown = piece.text
        return [piece]

    def _look_at_nodes(self, run: RunRecord) -> tuple[list[LastMove], list[LastMove]]:
        """Return where all nodes stand, and those that have moved."""
        before = self._found
        if before is not None and run.state is not State.RUNNING and standing(run) == standing(before.run):
            return before.moves, []  # nothing moves in a run that waits
        moves = self._store.last_moves(self._run_id)
        if before is None:
            return moves, []
        begun = (run.execution, run.generation) != (before.run.execution, before.run.generation)
        known = {} if begun else {each.number: each for each in before.moves}
        return moves, [each for each in moves if known.get(each.number) != each]


def standing(run: RunRecord) -> tuple[object, ...]:
    """Return what of a run is another thing when its nodes may have moved."""
    return run.state, run.execution, run.generation, run.ended_at


def with_counts(run: RunRecord, moves: list[LastMove]) -> RunRecord:
    """Return a run with the counts of its nodes."""
    found = Counter(each.state for each in moves)
    return dataclasses.replace(run, counts={state: found[state] for state in NODE_STATES if found[state]})
