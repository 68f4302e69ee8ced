"""Continue recorded runs by a worker: they are queued again, as they were or with an edited definition."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiodag.service.queues import Queueing
from aiodag.service.recorded import run_again

if TYPE_CHECKING:
    from aiodag.records import RunRecord


class Continuing(Queueing):
    """What recorded runs go on with that a worker is to continue."""

    def requeue(
        self,
        run_id: str,
        *,
        source: str | None = None,
        definition: "Mapping[str, Any] | str | None" = None,
        again: Sequence[str] = (),
        queue: str | None = None,
        execution: int | None = None,
    ) -> "RunRecord":
        """Queue a recorded run again, for a worker to continue as `resume` would, and return its record.

        It can have ended, be parked, or have been left by its process. A run without a queue goes into "default" unless
        `queue` names one, and belongs to that queue from then on. `source`, a file, or `definition`, a document or its text in JSON
        or YAML, is what it continues with from now on; all of it is checked first. `again` is as for `resume`. With an `execution`, it is queued only if that is still its last one.

        Raises `UnknownRun`, `RunOwned`, `RunQueued`, `EntryError`, `WorkflowError`, `OptionError`, and `StoreError` for a name in
        `again` that no node has, and for a queue that takes nothing.

        >>> from pathlib import Path
        >>> from aiodag.service import Service
        >>> form = '{"tasks": {"greet": {"command": ["cat", "there.txt"]}}}'
        >>> size = Path("hello.json").write_text(form)
        >>> service = Service("sqlite:///runs.db")
        >>> await service.start(service.target("hello.json"), run_id="monday")
        Traceback (most recent call last):
        aiodag.RunFailed: ...
        >>> run = service.requeue("monday", definition=form.replace("cat", "echo"))
        >>> run.state.value, run.queue, len(service.store.definitions("monday"))
        ('queued', 'default', 2)
        """
        from aiodag.service import resubmitting

        run = self.head(run_id)
        made = resubmitting.resubmission_of(run, source, definition, queue)
        self._queue.resubmit(made._replace(again=self.numbers_again(run_id, again), execution=execution))
        return self.head(run_id)

    def numbers_again(self, run_id: str, again: Sequence[str]) -> list[int]:
        """Return the numbers of the nodes that run again when some do, by number, task or label.

        Raises `StoreError` for a name that no node has.
        """
        chosen = [each for name in again for each in self.matching(run_id, name)]
        return run_again(self.nodes(run_id, every=True), chosen) if chosen else []
