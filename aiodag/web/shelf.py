"""Keep the graphs of runs for a moment: many look at one run, and reading 50,000 nodes takes a second."""

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from aiodag import Graph
from aiodag.records import RunRecord
from aiodag.service import Service
from aiodag.states import State

MOST_KEPT = 200_000  # nodes of all graphs together
FRESH = 0.5  # seconds for which the graph of a run that goes on is not read again, but for one that takes long to read
SHARE = 4  # at most one part in this many of the time goes into reading the graph of one run


class KeptGraph(NamedTuple):
    """A graph, until when it is fresh, and what it was read for."""

    graph: Graph
    until: float
    of: tuple[object, ...]


class GraphShelf:
    """The graphs that were asked for last, for all who look. Each is read by one of them, while the others wait for it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, KeptGraph] = OrderedDict()
        self._reading: dict[str, threading.Lock] = {}

    def graph(self, run: RunRecord) -> Graph:
        """Return the graph of a run: as it is now, or was a moment ago."""
        with self._lock:
            reading = self._reading.setdefault(run.id, threading.Lock())
        try:
            with reading:
                found = self._find(run)
                return found.graph if found is not None else self._read(run)
        finally:
            with self._lock:
                if not reading.locked():
                    self._reading.pop(run.id, None)

    def _find(self, run: RunRecord) -> KeptGraph | None:
        with self._lock:
            found = self._kept.get(run.id)
            if found is None or found.of != moment_of_run(run) or found.until < time.monotonic():
                return None
            self._kept.move_to_end(run.id)
            return found

    def _read(self, run: RunRecord) -> Graph:
        began = time.monotonic()
        graph = self._service.graph(run.id)
        ended = time.monotonic()
        over = run.ended_at is not None
        until = float("inf") if over else ended + max(FRESH, SHARE * (ended - began))
        with self._lock:
            self._kept[run.id] = KeptGraph(graph, until, moment_of_run(run))
            self._kept.move_to_end(run.id)
            while len(self._kept) > 1 and sum(len(each.graph) for each in self._kept.values()) > MOST_KEPT:
                self._kept.popitem(last=False)
        return graph


def moment_of_run(run: RunRecord) -> tuple[object, ...]:
    """Return what a kept graph must have been read for: the same execution, and the same end of it.

    A run that goes on moves all the time: there it is the time since it was read that counts.
    """
    moving = run.state in {State.RUNNING, State.QUEUED}
    return run.execution, run.generation, run.state, run.started_at, None if moving else run.ended_at, run.created_at
