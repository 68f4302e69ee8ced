"""What the store of a run knows of moments: until when its nodes wait, and when the time limits of bodies that wait end.

Whatever is due may come while nobody works on the run. So a moment is a row as soon as a body waits, and the first one that was
recorded stands: a run that is parked, killed or given back in between does not begin to count again.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aiodag.stores.row import NUMBER
from aiodag.stores.stopping import Stoppable

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.mail import WaitRow, WaitSeen
    from aiodag.records import Known
    from aiodag.stores.post import RunWriter

DEADLINE = "deadline"  # a kind of wait that settles no node: its run is woken when the time limit of a body ends


class DueMoments(Stoppable):
    """The moments of one run, and the rows that register them. `Recorder` writes them."""

    _writer: "RunWriter"

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._seen: dict[int, WaitSeen] = {}  # what earlier executions wait for, by number
        self._learned_at = 0.0  # when these were read, by the clock of the store
        self._deferred: list[WaitRow] = []  # to be registered with the batch after the next
        self._limits: set[int] = set()  # bodies whose time limit the store knows as a due moment

    def learn_waits(self, seen: "Mapping[int, WaitSeen]") -> None:
        """Take in what earlier executions wait for."""
        self._seen, self._learned_at = dict(seen), time.time()
        self._unmet = {number for number, each in seen.items() if each.settled}

    def _register(self, row: "WaitRow") -> None:
        number = row[0]
        self._writer.waits = True
        if number in self._batch.rows("unwaits") or number in self._batch.rows("heard"):
            # Another attempt of the enclosing body waits anew. In one batch, the store could not tell which of both is meant.
            self._deferred.append(row)
        elif all(number != each for each, _ in self._batch.rows("rejects")):  # else it is registered, and waits on
            self._batch.waits.append(row)
        self._wake(waited=True)

    def _now(self) -> float:
        # Not from the clock of the run and its offset: in months one drifts, stands still with the machine, or is put right.
        now: float = getattr(self.run.loop, "time_of_day", time.time)()
        return now

    def _left(self, seconds: float) -> float:
        """Return how many seconds are left on the clock of the run of those that its store has counted: a test's is virtual."""
        return seconds + self._learned_at - self._now()

    def _note_limits(self, bodies: "Iterable[Node[Any]]") -> bool:
        """Have the store know the time limits of bodies as due moments; return False if it does already."""
        before = len(self._limits)
        for body in bodies:
            when = None if body.time_limit is None else body.time_limit.when()
            if when is not None and body.run is self.run and body.row[NUMBER] not in self._limits:
                self._limits.add(body.row[NUMBER])
                since = self._now()
                due_at = since + when - self.run.loop.time()
                self._register((body.row[NUMBER], DEADLINE, "", "", since, due_at, None))
        return len(self._limits) > before

    def end_limit(self, node: "Node[Any]") -> None:
        """Forget the time limit of an attempt that has ended."""
        number = node.row[NUMBER]
        if number in self._limits and not self._deaf:
            self._limits.discard(number)
            self._deferred = [each for each in self._deferred if each[0] != number]
            self._seen.pop(number, None)
            self._batch.unwaits.append(number)
            self._wake()

    def _take_up_limit(self, node: "Node[Any]", known: "Known") -> None:
        """Have the time limit of a body that is entered again end when it would have ended."""
        seen = self._seen.get(known.number)
        if seen is not None and not known.state.final:
            node.time_left = None if seen.seconds_left is None else self._left(seen.seconds_left)
            self._limits.add(known.number)
            self._unmet.discard(known.number)
