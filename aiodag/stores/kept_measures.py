"""What a store in memory counts."""

from collections import Counter

from aiodag.records import BARRIER, TaskSeconds
from aiodag.states import State
from aiodag.stores.kept import KeptRun
from aiodag.stores.kept_runs import KeptRuns


class KeptMeasures(KeptRuns):
    """The runs of a store in memory, as those see them who watch over it."""

    def counts_by_state(self) -> dict[str, int]:
        """Return how many runs are in which state."""
        with self._lock:
            return dict(Counter(str(kept.state) for kept in self.kept.values()))

    def oldest_waiting(self) -> dict[str, float]:
        """Return for each queue when the oldest run was made that could begin now, in seconds since the epoch."""
        found: dict[str, float] = {}
        with self._lock:
            for kept in self.kept.values():
                place = kept.queued
                if place is not None and kept.state is State.QUEUED and place.due_at is None and not place.held:
                    queue = place.submission.queue
                    found[queue] = min(kept.created_at, found.get(queue, kept.created_at))
        return found

    def task_seconds(self, since: float, until: float, limit: int) -> tuple[float, list[TaskSeconds]]:
        """Return what the nodes of runs took that ended after a moment and no later than another one, and up to which end."""
        with self._lock:
            ends = sorted(end for kept in self.kept.values() if since < (end := kept.ended_at or since) <= until)
            end = ends[limit - 1] if len(ends) >= limit else until
            runs = [kept for kept in self.kept.values() if since < (kept.ended_at or since) <= end]
            return end, seconds_by_task(runs)


def seconds_by_task(runs: list[KeptRun]) -> list[TaskSeconds]:
    """Return what the nodes of some runs took, by task and state."""
    found: dict[tuple[str, str, str], tuple[int, float]] = {}
    for kept in runs:
        for row in kept.nodes.values():
            began, ended = row["started_at"], row["ended_at"]
            if row["execution"] != kept.execution or row["codec"] == BARRIER or began is None or ended is None:
                continue
            key = kept.claim.name, row["name"], str(row["state"])
            nodes, seconds = found.get(key, (0, 0.0))
            found[key] = nodes + 1, seconds + ended - began
    return [TaskSeconds(*key, *found[key]) for key in sorted(found)]
