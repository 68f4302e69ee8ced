"""Nodes that only enclose others, as a job does its stages. Their bodies are entered in every execution, and take back what is in them.

    job       turn 9        ran when the last of what is in it ran: what needs the job is outdated if that was later
     ├ fetch  turn 4
     └ load   turn 9

The other way round, when something that the job needs ran after what is in it, all of that runs again: it has no edge of its own
to what the job waits for. As long as nothing in a job runs that had succeeded, its record stays as it was.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aiodag.records import Batch
from aiodag.states import State
from aiodag.stores.past import Remembered, WholePast
from aiodag.stores.row import ATTEMPT, CODEC, ENDED, KEY, NAME, NUMBER, RECORDED, STARTED, STATE, TURN, Row

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.records import Known


class Enclosures:
    """Which node of an execution is enclosed by which, and since when what is in one counts."""

    def __init__(self) -> None:
        self._around: dict[int, Row] = {}  # by the number of a node: the row of the one that encloses it
        self._since: dict[int, int] = {}  # by the number of one that encloses others: when the last that it needs ran

    def put(self, number: int, row: Row) -> None:
        """Take note of a new node, and of the row of the one that encloses it."""
        self._around[number] = row

    def begin(self, number: int, turn: int) -> None:
        """Take note of a node that encloses others, and of when the last of what it needs ran."""
        self._since[number] = max(turn, self.since(number))

    def since(self, number: int) -> int:
        """Return the turn before which a recorded outcome of a node counts no longer."""
        row = self._around.get(number)
        return 0 if row is None else self._since.get(row[NUMBER], 0)

    def reach(self, number: int, turn: int) -> Iterator[Row]:
        """Have all that encloses a node run no earlier than that did; yield the rows of what ran earlier."""
        row = self._around.get(number)
        while row is not None and row[TURN] < turn:
            row[TURN] = turn
            yield row
            row = self._around.get(row[NUMBER])


class Unwritten:
    """A journal that writes nothing, and knows of no waits: what `Recorder` does otherwise."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.offset = 0.0  # from the run's clock to the time of day
        self._known = Remembered(WholePast({}))
        self._turn = 0  # of the node that began last
        self._changes: Batch | None = None

    @property
    def _batch(self) -> Batch:
        """What is to be written next besides rows of nodes: made when there is something, for most runs are idle mostly."""
        if self._changes is None:
            self._changes = Batch()
        return self._changes

    def _note_begin(self, row: Row) -> None:
        """Take note of the row of a node that is to run."""

    def _is_open(self, known: "Known") -> bool:
        """Return True if a node waits since an earlier execution for what comes from outside."""
        return False

    def _goes_on_waiting(self, node: "Node[Any]", known: "Known") -> bool:
        """Take over what is known of a wait, or of the time limit of a body; return True if a wait is open."""
        return False

    def _wake(self, *, waited: bool = False) -> None:
        """Have what has changed written, soon if somebody waits for it."""


class Enclosed(Unwritten):
    """What a journal knows of the nodes that enclose others."""

    _enclosures: Enclosures | None = None  # made for the first one

    def _enclose(self, number: int, inside: Row) -> None:
        if self._enclosures is None:
            self._enclosures = Enclosures()
        self._enclosures.put(number, inside)

    def _begin_enclosing(self, row: Row, turn: int) -> None:
        """Take note of a node that encloses others, and of when the last of what it waits for ran."""
        if self._enclosures is None:
            self._enclosures = Enclosures()
        self._enclosures.begin(row[NUMBER], turn)

    def _is_older(self, row: Row, turn: int) -> bool:
        """Return True if something ran after a turn that a node needs because it is enclosed."""
        return self._enclosures is not None and turn < self._enclosures.since(row[NUMBER])

    def _begin_turn(self, node: "Node[Any]", row: Row) -> None:
        """Take note that a body begins. That of a node which encloses others runs when something in it does."""
        if node.task.encloses:
            row[TURN] = 0
        elif not node.task.barrier:
            self._turn = row[TURN] = self._turn + 1
            self._reach(row)

    def _reach(self, row: Row) -> None:
        """Have all that encloses a node run no earlier than that does, and be recorded anew."""
        if self._enclosures is not None:
            for around in self._enclosures.reach(row[NUMBER], row[TURN]):
                if around[CODEC] is RECORDED:
                    self._record_anew(around)

    def _record_anew(self, row: Row) -> None:
        """Take another attempt down of a node that encloses others: one of them runs, or it ends in another way."""
        node, known = row[NAME], self._known.get(row[KEY])
        row[CODEC], row[STATE], row[ATTEMPT] = "", State.RUNNING, node.attempt
        row[STARTED], row[ENDED] = self.run.clock() + self.offset, None
        if known is not None and known.attempt:
            self._batch.again.append(known.number)
        self._known.drop(row[KEY])
        self._note_begin(row)

    def _stays_recorded(self, row: Row, encoded: tuple[str, Any]) -> bool:
        """Return True if a node that encloses others has the outcome that is recorded, and nothing in it has run."""
        if row[CODEC] is not RECORDED:
            return False
        known = self._known.get(row[KEY])
        if known is None or (known.codec, known.value) != encoded:
            self._record_anew(row)
            return False
        row[STATE] = known.state
        self._batch.recalled.append(known.number)
        self._known.drop(row[KEY])
        return True
