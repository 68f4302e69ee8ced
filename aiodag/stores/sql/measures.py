"""What a database of runs counts."""

from aiodag.records import TaskSeconds
from aiodag.stores.sql.database import Database


class MeasuredRuns(Database):
    """A database of runs, as those see it who watch over it."""

    def counts_by_state(self) -> dict[str, int]:
        """Return how many runs are in which state."""
        with self.reading() as session:
            return {str(state): count for state, count in session.perform("counts_by_state")}

    def oldest_waiting(self) -> dict[str, float]:
        """Return for each queue when the oldest run was made that could begin now, in seconds since the epoch."""
        with self.reading() as session:
            rows = session.perform("oldest_waiting")
            return {str(queue): made_at for queue, made_at in rows if isinstance(made_at, int | float)}

    def task_seconds(self, since: float, until: float, limit: int) -> tuple[float, list[TaskSeconds]]:
        """Return what the nodes of runs took that ended after a moment and no later than another one, and up to which end."""
        with self.reading() as session:
            beyond = session.perform("end_of_some", (since, until, limit - 1)).fetchone()
            end = until if beyond is None else beyond[0]
            rows = session.perform("task_seconds", (since, end))
            return end, [TaskSeconds(str(name), str(task), str(state), *rest) for name, task, state, *rest in rows]
