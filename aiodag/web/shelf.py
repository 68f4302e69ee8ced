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
FRESH = 0.5  # seconds for which the graph of a run in which nothing moves is not read again
SHARE = 4  # at most one part in this many of the time goes into reading the graph of one run


class ShelvedGraph(NamedTuple):
    """A graph, and in how many seconds a newer one is to be had; 0 if it is as new as what is known of its run."""

    graph: Graph
    again: float = 0.0


class KeptGraph(NamedTuple):
    """A graph, when it was read, how long that took, and what it was read for."""

    graph: Graph
    read_at: float
    took: float
    of: tuple[object, ...]
    counts: dict[State, int]


class GraphShelf:
    """The graphs that were asked for last, for all who look. Each is read by one of them, while the others wait for it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, KeptGraph] = OrderedDict()
        self._reading: dict[str, threading.Lock] = {}

    def graph(self, run: RunRecord) -> Graph:
        """Return the graph of a run, whose record has counts: as it is now, or was a moment ago."""
        return self.look(run).graph

    def look(self, run: RunRecord) -> ShelvedGraph:
        """Return the graph of a run, and when to ask again if what is known of the run is newer."""
        with self._lock:
            reading = self._reading.setdefault(run.id, threading.Lock())
        try:
            with reading:
                return self._find(run) or self._read(run)
        finally:
            with self._lock:
                if not reading.locked():
                    self._reading.pop(run.id, None)

    def _find(self, run: RunRecord) -> ShelvedGraph | None:
        with self._lock:
            found = self._kept.get(run.id)
            if found is None or found.of != moment_of_run(run):
                return None
            self._kept.move_to_end(run.id)
        if run.ended_at is not None:
            return ShelvedGraph(found.graph)
        age, spacing = time.monotonic() - found.read_at, SHARE * found.took
        if found.counts == run.counts:
            return ShelvedGraph(found.graph) if age < max(FRESH, spacing) else None
        # It is known to be old. Only who reads a large graph all the time would have no time for anything else.
        return ShelvedGraph(found.graph, spacing - age) if age < spacing else None

    def _read(self, run: RunRecord) -> ShelvedGraph:
        began = time.monotonic()
        graph = self._service.graph(run.id)
        ended = time.monotonic()
        with self._lock:
            self._kept[run.id] = KeptGraph(graph, ended, ended - began, moment_of_run(run), dict(run.counts))
            self._kept.move_to_end(run.id)
            while len(self._kept) > 1 and sum(len(each.graph) for each in self._kept.values()) > MOST_KEPT:
                self._kept.popitem(last=False)
        return ShelvedGraph(graph)


def moment_of_run(run: RunRecord) -> tuple[object, ...]:
    """Return what a kept graph must have been read for: the same execution, in the same state, with the same end."""
    return run.execution, run.generation, run.state, run.started_at, run.ended_at, run.created_at
