"""Park the runs of a worker that only wait: let go of them, so that they cost rows and no process.

    a wait is registered ─► linger ─► only waits, and nothing has moved? ─► let go ─► parked: woken by what it waits for
                               ▲                 │ not yet, or something holds it here
                               └─────────────────┘

What holds a run is written among the facts of the node that does, so that people see why their run stays.
"""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from aiodag._core.parking import holders_of
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.parking import Holder
    from aiodag._core.run import Run

SHORTEST = 1.0  # seconds between two looks at what something holds


class Parker:
    """Lets go of runs that only wait, when they have for `linger` seconds."""

    def __init__(self, linger: float, park: "Callable[[Run], object]") -> None:
        self.linger = linger
        self._park = park
        self._due: dict[Run, float] = {}  # when to look at a run that waits, by the clock of the loop
        self._timer: asyncio.TimerHandle | None = None

    def note(self, run: "Run") -> None:
        """Watch a run that was entered."""
        if run.journal is not None:
            run.journal.registered = partial(self._hear, run)

    def _hear(self, run: "Run") -> None:
        """Hear that what a run has done is written, and that it waits."""
        when = run.ledger.last_move() + self.linger
        if self._due.get(run, inf) > when:
            self._look_at(run, when)

    def _look_at(self, run: "Run", when: float) -> None:
        self._due[run] = when
        if self._timer is None or self._timer.when() > when:
            self._set_timer()

    def _set_timer(self) -> None:
        self._end_timer()
        if self._due:
            first = min(self._due.values())
            self._timer = asyncio.get_running_loop().call_at(first, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        self._look_over([run for run, when in self._due.items() if when <= now], self.linger)
        self._set_timer()

    def make_room(self) -> None:
        """Let go of all runs that only wait, however short: others wait for their places."""
        self._look_over(list(self._due), 0.0)

    def _look_over(self, runs: "Collection[Run]", linger: float) -> None:
        for run in runs:
            del self._due[run]
        going = [run for run in runs if run.state is State.RUNNING and not run.departed and not run.stopping]
        for run, held in holders_of(going).items() if going else ():
            rested = run.loop.time() - run.ledger.last_move()
            if held:
                self._note_held(run, held)
            elif rested < linger:
                self._look_at(run, run.ledger.last_move() + linger)
            elif run.journal is not None and run.journal.may_park():
                run.parks = True
                self._park(run)
            else:
                self._look_at(run, run.loop.time() + SHORTEST)

    def _note_held(self, run: "Run", held: "Collection[Holder]") -> None:
        """Look again later, and write down why a run stays that has nothing else to do."""
        if run.journal is None or not run.journal.waits_for_world():
            return  # it is looked at again when it waits
        self._look_at(run, run.loop.time() + max(self.linger, SHORTEST))
        if run.loop.time() - run.ledger.last_move() >= self.linger:
            for node, why in held:
                if node is not None and node.held_by != why:
                    node.held_by = why
                    run.journal.facts(node, {"holds": why})

    def stop(self) -> None:
        """Look no more."""
        self._due.clear()
        self._end_timer()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
