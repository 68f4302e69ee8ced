"""Change what a store holds: runs that go, and workflows that are kept by name.

What reads workflows is loaded when somebody registers or exchanges one.
"""

import time
from os import PathLike
from typing import TYPE_CHECKING, Any

from aiodag._core.options import check_name, check_seconds
from aiodag.errors import OptionError
from aiodag.records import WorkflowRecord
from aiodag.service import registry
from aiodag.service.look import Looking
from aiodag.service.settings import settings
from aiodag.stores.places import store_at
from aiodag.stores.value_places import value_address

if TYPE_CHECKING:
    from aiodag.abc import Runs
    from aiodag.service.copying import Copied


class Editing(Looking):
    """What can be changed in a store from outside of its runs."""

    # Runs

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        return self.store.cancel(run_id)

    def delete(self, *which: str) -> int:
        """Delete runs with everything that belongs to them, each in a transaction of its own, and return how many.

        An id stands for one run; a name for all runs of exactly that name, for the workflow that is registered under it, and
        for the schedule of that name.
        Raises `UnknownRun`, and `StoreError` for a run that is still running, before it deletes any.
        """
        return len(self.forget(*which).runs)

    def forget(self, *which: str) -> registry.Meant:
        """Delete what ids and names stand for, as `delete` does, and return it: runs, workflows, and names of schedules."""
        found = registry.delete_meant(self.store, which)
        self.remove_values()
        return found

    def remove_values(self, place: "str | PathLike[str] | None" = None, *, older: float = 3600) -> int:
        """Remove from a place what no record of the store names any more, and nobody has written for `older` seconds.

        Return how many values are gone. The place is by default that of the settings; without one, nothing is removed. Other
        stores must not keep their values in the same place. `delete` and `prune` end with this.

        >>> from aiodag import Run, task
        >>> from aiodag.service import Service
        >>> @task
        ... def load():
        ...     return "x" * 100_000
        >>> async with Run("etl", store="sqlite:///runs.db", id="monday", values="values"):
        ...     node = load()
        >>> service = Service("sqlite:///runs.db")
        >>> service.remove_values("values", older=0)
        0
        >>> service.delete("monday"), service.remove_values("values", older=0)
        (1, 1)
        """
        given = settings().values.value if place is None else place
        if given is None:
            return 0
        from aiodag.stores.references import remove_unnamed

        check_seconds("older", older)
        return remove_unnamed(self.store, value_address(given), time.time() - older)

    def prune(self, *, older: float | None = None, keep: int | None = None) -> list[str]:
        """Delete ended runs: those that ended more than `older` seconds ago, of each name all but the newest `keep`.

        Raises `OptionError`, and deletes nothing, if either is negative or not a number.
        """
        if older is None and keep is None:
            msg = "say which runs may go: older=seconds, keep=count, or both"
            raise ValueError(msg)
        if keep is not None and (type(keep) is not int or keep < 0):
            raise OptionError("keep", keep, "an int of 0 or more: the runs of each name that stay")
        before = None if older is None else time.time() - check_seconds("older", older)
        gone = registry.delete_unowned(self.store, self.store.ended_runs(before=before, keep=keep), if_ended=True)
        self.remove_values()
        return gone

    def backup(self, path: str | PathLike[str]) -> None:
        """Copy the store to a new file, whole and as of one moment, even while runs write to it. Raises `StoreError`."""
        self.store.backup(path)

    def migrate(self) -> tuple[int, int]:
        """Make the tables of the store, or bring them up to date; return their versions before, 0 for none, and after.

        A file does this by itself when somebody writes to it, and a server for a schema in which nothing is yet. An older
        schema on a server is brought up to date by this alone. Raises `StoreError`, also for a newer one.
        """
        return self.store.migrate()

    def copy_to(
        self, other: "str | PathLike[str] | Runs | Looking", *which: str, skip_existing: bool = False
    ) -> "Copied":
        """Copy runs to another store with all that belongs to them, each as a whole; they stay here too.

        `which` are ids and names, as for `delete`. By default it is every run that has ended, every registered workflow, and
        what `cache=` has kept. A copied run can be resumed there, and nothing that succeeded runs again. Values are copied
        unread.

        Raises before anything is copied: `UnknownRun`; `RunOwned` and `StoreError` for runs that are queued or go on;
        `StoreError` for ids that the other store has. `skip_existing` leaves those as they are: so a copy that was killed
        can be begun again.

        >>> from aiodag import Run, task
        >>> from aiodag.service import Service
        >>> async with Run("etl", store="memory:mine", id="monday"):
        ...     node = task(sum)([1, 2])
        >>> Service("memory:mine").copy_to("sqlite:///runs.db").runs
        ['monday']
        >>> Service("sqlite:///runs.db").value("monday", "sum")
        3
        """
        from aiodag.service.copying import copy_runs

        if isinstance(other, Looking):
            return copy_runs(self.store, other.store, which, skip_existing=skip_existing)
        target = store_at(other)
        try:
            return copy_runs(self.store, target, which, skip_existing=skip_existing)
        finally:
            if target is not other:
                target.close()

    # Workflows by name

    def register(self, text: str, *, name: str | None = None, replace: bool = False) -> WorkflowRecord:
        """Keep the workflow of FILE.json, FILE.yaml[:NAME] or FILE.py[:NAME] under its name or another; all of it is checked, nothing runs.

        A JSON or YAML file is kept as text, so the file may go; of a Python file the place is kept, and each run reads it again.
        Raises `StoreError` if the name is taken, unless it is to be replaced; `EntryError` and `WorkflowError`.
        """
        from aiodag.service import targets
        from aiodag.workflows.private import stored_document

        workflow = targets.to_register(text, check_name(name))
        place = f"{workflow.entry['file']}:{workflow.entry['task']}" if workflow.entry else text
        return registry.register_workflow(
            self.store,
            workflow.name,
            place.removesuffix(":"),
            stored_document(workflow.document()),
            workflow.tags,
            replace=replace,
        )

    def workflows(self, name: str | None = None) -> list[WorkflowRecord]:
        """Return the registered workflows by their names, or the one of a name."""
        return self.store.registered(name)

    def export(self, *names: str) -> list[dict[str, Any]]:
        """Return registered workflows as plain values for JSON: the named ones, or all. Raises `StoreError`."""
        from aiodag.service import exchange

        return exchange.export_workflows(self.store, names)

    def take_in(self, text: str, source: str = "", *, replace: bool = False) -> list[WorkflowRecord]:
        """Register all workflows in a text of `export`, or none. Raises `WorkflowError`, and `StoreError` for taken names."""
        from aiodag.service import exchange

        return exchange.import_workflows(self.store, text, source, replace=replace)

    def unregister(self, name: str) -> bool:
        """Forget a workflow, but keep its runs; return whether there was one."""
        return self.store.unregister(name)
