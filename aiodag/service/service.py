"""Join the layers: what the command line speaks to, and your own code may.

A service that only looks at runs loads what reads a store. What begins runs, and all of workflows, is loaded by the methods
that begin one or think one through.
"""

import asyncio
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.doors import open_door
from aiodag._core.graph import Graph
from aiodag.abc import Observer, Runs
from aiodag.errors import EntryError, OptionError
from aiodag.service.access import Admitting
from aiodag.service.entry import Again, Entry, Target, describe_entry
from aiodag.service.follow import Follower
from aiodag.service.remote_address import is_server_address
from aiodag.service.resumption import ParkedPlan, Resumption
from aiodag.service.settings import settings
from aiodag.stores.places import store_at
from aiodag.stores.watch import describe_listening

if TYPE_CHECKING:
    from aiodag.records import RunRecord
    from aiodag.service.starting import Opened


class Service(Admitting):
    r"""The runs of one store, or of that of a server; by default the one of [settings](../configuration.md), or else a file in the user's state directory.

    `store` may be the address of a server that `aiodag serve` runs, such as `http://host:2503`. `token` is then what lets you in; by default that of
    `AIODAG_TOKEN`, or of the file that `token_file` of the settings names.

    What looks or submits is a plain method, which may block for a moment: put it into a thread where a loop must not wait. What
    runs or waits is async. Raises `StoreError` for a store that cannot be used, and `SettingsError`.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> service = Service("sqlite:///runs.db")
    >>> values = await service.start(service.target("hello.json"), run_id="monday")
    >>> [(run.id, run.state.value) for run in service.runs()]
    [('monday', 'succeeded')]
    >>> service.value("monday", "greet").stdout
    'hello\n'
    >>> service.close()
    """

    def __new__(cls, store: "str | PathLike[str] | Runs | None" = None, *, token: str | None = None) -> "Service":  # noqa: PYI034, ARG004 - a client is a service, too, and `__init__` takes the token
        """Make the service of a store, or the client of a server."""
        if cls is Service and is_server_address(settings().store.value if store is None else store):
            return object.__new__(cast("type[Service]", open_door("remote").RemoteService))
        return object.__new__(cls)

    def __init__(self, store: "str | PathLike[str] | Runs | None" = None, *, token: str | None = None) -> None:
        if token is not None:
            raise OptionError("token", "***", "effect with the address of a server, such as http://127.0.0.1:2503")
        super().__init__(store_at(settings().store.value if store is None else store))

    # What to begin with

    def target(
        self,
        text: str,
        given: Sequence[str] = (),
        *,
        capacity: Mapping[str, float] | None = None,
        host: str | None = None,
        executor: str | None = None,
    ) -> Target:
        """Return what a run can begin with, from what people type: FILE.py[:NAME], FILE.yaml[:NAME], FILE.json or a name, and name=value.

        `host` and `executor` are as for `elsewhere`. Raises `EntryError` and `WorkflowError`.
        """
        from aiodag.service import sites, targets

        found = targets.target_of(self.store, text, given, sites.capacity_to_read(capacity, host))
        return sites.elsewhere(found, host, executor)

    def elsewhere(self, target: Target, *, host: str | None = None, executor: str | None = None) -> Target:
        """Return what a run can begin with, with other names for where its commands and functions run that name none.

        The names are recorded with the run, which goes on there. They are looked for when it begins, in the workflow and in
        the settings of the process that runs it.
        """
        from aiodag.service import sites

        return sites.elsewhere(target, host, executor)

    def find(
        self, text: str, given: Sequence[str] = (), *, capacity: Mapping[str, float] | None = None
    ) -> "RunRecord | Target":
        """Return the run of an id, or else what `target` does. Raises `UnknownRun` too."""
        from aiodag.service import targets

        return targets.run_or_target(self.store, text, given, capacity)

    def parameters(self, text: str) -> dict[str, str]:
        """Return the parameters of what people typed to begin with, each with what it takes; nothing runs.

        Raises `EntryError` and `WorkflowError`.
        """
        from aiodag.service import targets

        return targets.parameters_of_target(self.store, text)

    # Begin, and go on

    async def start(
        self,
        target: Target,
        *,
        run_id: str | None = None,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: "Opened | None" = None,
        capacity: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Run an entry or a workflow in a run of its own, and return its value; for a workflow, its `Values`.

        `opened(run)` is called when this process owns the run. `tags` are added to those of a workflow; `capacity` replaces
        its own. Raises `EntryError`, `WorkflowError`, `RunFailed`, `RunCancelled` and `StoreError`.
        """
        from aiodag.service import starting, targets

        target = targets.ready(target)
        if run_id is not None:
            self.check(targets.entry_of_target(target), run_id)
        options = starting.BeginOptions(id=run_id, observers=observers, limit=limit, fail_fast=fail_fast, tags=tags)
        return await starting.begin_target(self.store, target, opened, capacity, **options)

    def check(self, entry: Entry | None, run_id: str) -> None:
        """Refuse to go on with a run that began otherwise: its records would be taken for those of another."""
        for record in self.store.runs(run_id):
            began = Entry(**record.entry) if record.entry is not None else entry
            if began is not None and began.code() != (entry and entry.code()):
                how = "began with" if record.execution == 1 else "was last run with"  # resuming may have changed it
                msg = f"run {run_id!r} {how} {describe_entry(began)}, not with {describe_entry(entry)}: use another id, or resume it"
                raise EntryError(msg)

    def again(self, run_id: str, *, source: str | None = None, capacity: Mapping[str, float] | None = None) -> Again:
        """Return what a recorded run continues with, to pass to `resume` or `plan` instead of its id.

        It reads and imports the run's file. Call it before a loop runs, since a file may run a loop of its own.
        """
        from aiodag.service import targets

        return targets.again(self.head(run_id), source, capacity)

    async def resume(
        self,
        run_id: str | Again,
        *,
        source: str | None = None,
        observers: Sequence[Observer] = (),
        limit: int | None = None,
        fail_fast: bool = False,
        opened: "Opened | None" = None,
        capacity: Mapping[str, float] | None = None,
        again: Sequence[str] = (),
    ) -> Any:
        """Continue a recorded run: what succeeded is recalled, the rest runs.

        If its process died, what had failed is recalled too. If it had ended, what ended it runs again. So do the nodes that
        `again` names, by number, task or label, even if the run succeeded, with everything that their bodies call and
        everything that needs them.

        A workflow from a JSON or YAML file continues as it was recorded, without that file; everything else as its Python file is now.
        `source`, FILE.json, FILE.yaml[:NAME] or FILE.py[:NAME], is an edited definition, which gets the parameters that the run began with. What
        it changes runs again, along with everything that needs that.
        """
        from aiodag.service import starting

        found = await self._again(run_id, source, capacity)
        numbers = await asyncio.to_thread(self.numbers_again, found.id, again)
        if numbers:
            await asyncio.to_thread(self.store.void, found.id, numbers)
        options = starting.BeginOptions(
            id=found.id, observers=observers, limit=limit, fail_fast=fail_fast, tags=found.tags
        )
        return await starting.begin_target(self.store, found.target, opened, capacity, **options)

    async def _again(self, run_id: str | Again, source: str | None, capacity: Mapping[str, float] | None) -> Again:
        from aiodag.service import targets

        if isinstance(run_id, Again):
            return run_id
        return targets.again(await asyncio.to_thread(self.head, run_id), source, capacity)

    def entry(self, run_id: str) -> Entry:
        """Return what a run began with, or was resumed from. Raises `EntryError` for a run that a program made with `Run`."""
        from aiodag.service import targets

        return targets.entry_of_run(self.head(run_id))

    async def plan(
        self,
        run_id: str | Again,
        *,
        source: str | None = None,
        capacity: Mapping[str, float] | None = None,
        again: Sequence[str] = (),
    ) -> Resumption:
        """Return what resuming a run would run, in the order of the calls, as far as recorded values tell.

        The entry itself runs, since it makes the graph; nothing that it calls does, and nothing is written. `source` is an
        edited definition and `again` what is to run again, as for `resume`; `capacity` is what there would be. Raises `WorkflowError` for a workflow that
        asks for resources which there are not.
        """
        from aiodag.service import starting

        found = await self._again(run_id, source, capacity)
        starting.refuse_resources(found.target, capacity)
        numbers = await asyncio.to_thread(self.numbers_again, found.id, again)
        return await starting.rehearse(self.store, found.id, found.target, numbers)

    async def plan_parked(self, name: str, source: str) -> "list[ParkedPlan]":
        """Return what each parked run of a name would do with the code of a file, FILE.py[:TASK], as far as records tell.

        Before code is deployed it says which runs would not find again what they wait for. Of the code, the entry runs, and
        the bodies that a run waits in; what they call is recalled or left where it is, and nothing is written.
        """
        from aiodag.service import parked

        return await parked.plan_parked(self.store, name, source)

    def preview(self, target: Target) -> Graph:
        """Return the graph of what could be run, before anything does, as far as it does not depend on values."""
        from aiodag.service import starting

        return starting.preview(target)

    def refuse(self, target: Target, capacity: Mapping[str, float] | None = None) -> None:
        """Refuse a workflow that asks for resources which there are not, as `start` does. Raises `WorkflowError`."""
        from aiodag.service import starting

        starting.refuse_resources(target, capacity)

    def spell(self, text: str, target: Target) -> str:
        """Return what people typed, with the name of what was taken in a Python file where they gave none."""
        from aiodag.service import targets

        return targets.spell_target(text, target)

    def follow(self, run_id: str, node: str | None = None) -> Follower:
        """Return a cursor that follows a run: each look has the lines that are new, of all nodes or of one.

        Raises `UnknownRun`.
        """
        return Follower(self, run_id, node)

    def about(self) -> dict[str, str]:
        """Return the versions, the address of the store, how its changes are heard of, and the installed extras."""
        from aiodag.installed import extras, versions

        heard = describe_listening(self.store)
        return {**versions(), "store": self.place, **({"notices": heard} if heard else {}), **extras()}
