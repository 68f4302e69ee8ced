"""The service of a server: `Service("http://host:2503")` is one. What looks is the same as for a store; what changes is asked of the server.

What works on a store itself, such as running code here, is refused with what to do in its place.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, cast

from aiodag.errors import OptionError
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.records import REFERENCE
from aiodag.service.access import checked_given, given_tokens
from aiodag.service.entry import Again, Entry, parse_target
from aiodag.service.look import Looking, one_node
from aiodag.service.remote_address import address_of_server, server_refused
from aiodag.service.remote_changes import RemoteChanges, only_given
from aiodag.service.remote_http import api_path
from aiodag.service.remote_runs import RemoteRuns
from aiodag.service.resumption import Resumption
from aiodag.service.settings import settings

if TYPE_CHECKING:
    from aiodag.abc import Access, Runs
    from aiodag.access import AuditRecord
    from aiodag.records import RunRecord
    from aiodag.service.entry import Target

HERE = "do it where that is, and give its address"


class RemoteService(RemoteChanges):
    """The runs of the store of a server."""

    def __init__(self, store: "str | PathLike[str] | Runs | None" = None, *, token: str | None = None) -> None:
        address = address_of_server(str(settings().store.value if store is None else store))
        Looking.__init__(
            self, cast("Runs", RemoteRuns(address, token_here() if token is None else checked_given(token, "token")))
        )

    # Begin, and go on

    def submit(
        self,
        target: "str | Target",
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        at: datetime | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires: float | timedelta | None = None,
        retries: int = 0,
        max_active: int | None = None,
        strict: bool = False,
    ) -> str:
        """Have the server record a run for a worker to take, and return its id. A FILE.json or FILE.yaml is read here, and sent."""
        from aiodag.service.remote_sending import form_to_send
        from aiodag.service.submitting import Wishes, checked_wishes

        wishes = checked_wishes(Wishes(queue, priority, at, key, tags, expires, retries, max_active))
        asked = form_to_send(self.store, target, parameters) | only_given(
            queue=wishes.queue,
            priority=wishes.priority,
            at=None if wishes.at is None else wishes.at.isoformat(),
            tags=None if tags is None else dict(tags),
            expires=wishes.expires,
            retries=wishes.retries,
            max_active=wishes.max_active,
            strict=strict or None,
        )
        return str(self._change_by_name(api_path("runs"), asked, key)["id"])

    def requeue(
        self,
        run_id: str,
        *,
        source: str | None = None,
        definition: Mapping[str, Any] | str | None = None,
        again: Sequence[str] = (),
        queue: str | None = None,
        execution: int | None = None,
    ) -> "RunRecord":
        """Have a recorded run continued by a worker of the server's store; `source` is an edited file here."""
        asked = edited_form(self.store, source, definition) | only_given(
            again=list(again) or None, queue=queue, execution=execution
        )
        self._link.change("POST", api_path("runs", run_id, "resume"), asked)
        return self.run(run_id)

    def again(self, run_id: str, *, source: str | None = None, capacity: Mapping[str, float] | None = None) -> Again:
        """Return what a recorded run continues with, to pass to `plan` instead of its id. Nothing is read or imported."""
        run = self.head(run_id)
        if source is not None:
            file, member = parse_target(source)
            return Again(run.id, EditedFile(file, member or "", {}), run.tags)
        return Again(run.id, Entry(**run.entry) if run.entry else Entry("", "", {}), run.tags)

    async def plan(
        self,
        run_id: str | Again,
        *,
        source: str | None = None,
        capacity: Mapping[str, float] | None = None,
        again: Sequence[str] = (),
    ) -> Resumption:
        """Return what resuming a run would run, as the server thinks it through."""
        if isinstance(run_id, Again):
            edited = run_id.target
            if isinstance(edited, EditedFile):
                source = f"{edited.file}:{edited.task}" if edited.task else edited.file
            run_id = run_id.id
        return resumption_of_document(await asyncio.to_thread(self._plan_there, run_id, source=source, again=again))

    def _plan_there(
        self,
        run_id: str,
        *,
        source: str | None = None,
        definition: Mapping[str, Any] | str | None = None,
        again: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return what resuming a run would run, as the document of `aiodag plan --json`."""
        asked = edited_form(self.store, source, definition) | only_given(again=list(again) or None)
        return dict(self._link.change("POST", api_path("runs", run_id, "plan"), asked))

    # Look, where a record is not all

    def value(self, run_id: str, node: str) -> Any:
        """Return the value of a node that succeeded; also of one that the server keeps in a place of its own."""
        found = one_node(self, run_id, node)
        if found.codec != REFERENCE:
            return super().value(run_id, node)
        from aiodag.service.values import read_sent

        return read_sent(found, cast("RemoteRuns", self.store).content(run_id, found.number))

    def audit(
        self, *, limit: int | None = None, before: int | None = None, who: str | None = None, about: str | None = None
    ) -> "list[AuditRecord]":
        """Return audit lines, newest first. Raises `NotAllowed` for a token that only reads."""
        from aiodag.service.remote_audit import audit_lines

        return list(islice(audit_lines(self._link, before, only_given(who=who, about=about)), limit))

    # Only where the store is

    def _refuse(self, what: str, instead: str) -> Never:
        raise server_refused(self.place, what, instead)

    @property
    def _access(self) -> "Access":
        self._refuse("working with tokens, or deleting audit lines,", HERE)

    async def start(self, *_: object, **__: object) -> Never:
        """Refuse to run code here: whoever runs it writes the record."""
        self._refuse("running code here", "`aiodag submit` has a worker there run it (`Service.submit`)")

    async def resume(self, *_: object, **__: object) -> Never:
        """Refuse to go on with a run here."""
        self._refuse(
            "going on with a run here", "`aiodag resume RUN --queue` has a worker there do it (`Service.requeue`)"
        )

    async def plan_parked(self, *_: object, **__: object) -> Never:
        """Refuse to think runs through with code that is here."""
        self._refuse("thinking runs through with code that is here", HERE)

    def remove_values(self, place: "str | PathLike[str] | None" = None, *, older: float = 3600) -> int:
        """Refuse to remove files of the server; `delete` and `prune` end with that there."""
        self._refuse("removing values", HERE)

    def backup(self, path: "str | PathLike[str]") -> None:
        """Refuse to write a file of the server."""
        self._refuse("a backup", HERE)

    def migrate(self) -> tuple[int, int]:
        """Refuse to change the tables of the server's store."""
        self._refuse("a migration", HERE)

    def copy_to(self, *_: object, **__: object) -> Never:
        """Refuse to copy runs as a whole."""
        self._refuse("copying runs", HERE)


class EditedFile(Entry):
    """A file here, and what in it, that takes the place of what a run was built from."""


def edited_form(store: "Runs", source: str | None, definition: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return an edited definition as a server takes it; nothing where there is none."""
    if source is None:
        return only_given(
            definition=definition if definition is None or isinstance(definition, str) else dict(definition)
        )
    if definition is not None:
        raise OptionError("definition", "…", "no `source` next to it: one of them is the edited workflow")
    from aiodag.service.remote_sending import form_of_text

    form = {key: each for key, each in form_of_text(store, source).items() if key != "source"}
    if "workflow" in form:
        raise OptionError("source", source, "FILE.json or FILE.yaml[:NAME], the file of an edited workflow")
    return form


def resumption_of_document(document: Mapping[str, Any]) -> Resumption:
    """Return what resuming would do, of its document."""
    found = Resumption(list(document["run"]), document["recalled"])
    found.failed = tuple(document.get("failed", ()))
    found.continues = bool(document.get("continues"))
    return found


def token_here() -> str | None:
    """Return the token of the environment, or of the file that the settings name; None where there is none. Raises `OptionError`."""
    named = settings().token_file.value
    found = given_tokens(None) or given_tokens(None if named is None else Path(named))
    return found[0] if found else None
