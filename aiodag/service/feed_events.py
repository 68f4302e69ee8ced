"""What happens in a run as pieces, of which each becomes an event: where nodes stand, lines and output."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from aiodag.abc import Runs
from aiodag.records import LastMove, LogRecord, OutputRecord, RunRecord
from aiodag.service.documents import Document, iso_moment, log_document, output_document
from aiodag.service.feed import event_text
from aiodag.service.feed_cursors import Cursor
from aiodag.states import NODE_STATES, State

T = TypeVar("T")

MOVES = 500  # in one event
TOGETHER = 500  # lines or parts in one event, but for long ones
HEAVY = 2**17  # characters of them in one event, but for one that is longer by itself
PAGE = 1_000  # lines that are read at once by a look
PARTS = 16  # of output that are read at once by a look: each may have 64 KiB
NODES = frozenset(map(str, NODE_STATES))


class FeedPiece(NamedTuple):
    """What an event says, and how far lines and output are read after it."""

    kind: str
    text: str
    place: Cursor
    nodes: frozenset[int] = frozenset()


def move_pieces(run: RunRecord, moves: Sequence[LastMove], place: Cursor) -> list[FeedPiece]:
    """Return where nodes stand."""
    head = {"execution": run.execution, "generation": run.generation}
    cut = [moves[start : start + MOVES] for start in range(0, len(moves), MOVES)]
    return [FeedPiece("moves", event_text(head | {"moves": list(map(move_document, some))}), place) for some in cut]


def move_document(move: LastMove) -> Document:
    """Return where a node stands; as failed where its row cannot be read, as in its record."""
    state = move.state if move.state in NODES else str(State.FAILED)
    return {"node": move.number, "state": state, "attempt": move.attempt, "at": iso_moment(moment_of_row(move.at))}


def moment_of_row(seconds: Any) -> datetime | None:
    """Return the moment of a row; None where a disk has written over it."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def read_line_pieces(store: Runs, place: Cursor, run_id: str, last: int, most: int) -> list[FeedPiece]:
    """Return lines that a run has logged beyond a place, up to a part: a number of them."""
    if place.logged >= last:
        return []
    lines = [each for each in store.logs(run_id, beyond=place.logged, limit=most) if each.part <= last]
    numbers = {each.number for each in lines if each.number is not None}
    labels = labels_of_nodes(store, run_id, numbers)
    return [line_piece(some, labels, place) for some in share_out(lines, lambda line: len(line.text))]


def line_piece(lines: Sequence[LogRecord], labels: Mapping[int, str], place: Cursor) -> FeedPiece:
    """Return lines, each with the part that it is known by."""
    documents = [log_document(each, labels) | {"part": each.part} for each in lines]
    nodes = frozenset(each.number for each in lines if each.number is not None)
    return FeedPiece("lines", event_text(documents), place._replace(logged=lines[-1].part), nodes)


def labels_of_nodes(store: Runs, run_id: str, numbers: set[int]) -> dict[int, str]:
    """Return the labels of some nodes of all executions."""
    found = store.nodes(run_id, every=True, numbers=numbers) if numbers else []
    return {each.number: each.label for each in found}


def share_out(rows: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Share out lines or parts among events: a few long ones to each, or many short ones."""
    some: list[T] = []
    size = 0
    for each in rows:
        if some and (len(some) == TOGETHER or size + size_of(each) > HEAVY):
            yield some
            some, size = [], 0
        some.append(each)
        size += size_of(each)
    if some:
        yield some


def read_output_pieces(store: Runs, place: Cursor, run_id: str, last: int, most: int) -> list[FeedPiece]:
    """Return output of programs beyond a place, up to a part: a number of parts, short ones together."""
    if place.written >= last:
        return []
    parts = [each for each in store.output(run_id, after=place.written, limit=most) if each.part <= last]
    return [output_piece(some, place) for some in share_out(parts, lambda part: len(part.bytes))]


def output_piece(parts: Sequence[OutputRecord], place: Cursor) -> FeedPiece:
    """Return parts of what programs wrote."""
    nodes = frozenset(each.number for each in parts)
    text = event_text([output_document(each) for each in parts])
    return FeedPiece("output", text, place._replace(written=parts[-1].part), nodes)
