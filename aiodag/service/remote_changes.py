"""Change what the store of a server holds: each method asks the server, which checks it, does it and notes who did."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.options import check_seconds
from aiodag.errors import EntryError, NotFound, OptionError
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.records import Delivered, WorkflowRecord
from aiodag.service.registry import Meant, all_meant, is_meant
from aiodag.service.remote_http import api_path
from aiodag.service.service import Service
from aiodag.service.settings import settings

if TYPE_CHECKING:
    from aiodag.abc import Inbox, Queue, Schedules, Trigger
    from aiodag.firings import BackfillRecord, ScheduleRecord
    from aiodag.messages import Topic
    from aiodag.service.entry import Target
    from aiodag.service.remote_http import WebLink
    from aiodag.service.remote_runs import RemoteRuns
    from aiodag.service.schedule_files import AddedSchedules


def only_given(**options: Any) -> dict[str, Any]:
    """Return options without those that nobody has given."""
    return {name: each for name, each in options.items() if each is not None}


def delivered_of_document(document: Mapping[str, Any]) -> Delivered:
    """Return what became of a message, of its document."""
    return Delivered(document["id"], document["outcome"], tuple(document["runs"]))


class RemoteChanges(Service):
    """What can be changed in the store of a server."""

    @property
    def _link(self) -> "WebLink":
        return cast("RemoteRuns", self.store).link

    @property
    def _queue(self) -> "Queue":
        return cast("Queue", self.store)

    @property
    def _inbox(self) -> "Inbox":
        return cast("Inbox", self.store)

    @property
    def _schedules(self) -> "Schedules":
        return cast("Schedules", self.store)

    def _change_by_name(self, path: str, asked: Mapping[str, Any], key: str | None = None) -> Any:
        """Ask for what names a workflow. Raises `EntryError` where the server has none of that name, as a store does."""
        try:
            return self._link.change("POST", path, asked, key=key)
        except NotFound as error:
            if "workflow" in asked and not self.workflows(asked["workflow"]):
                raise EntryError(str(error)) from error
            raise

    # Runs

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        return bool(self._link.change("POST", api_path("runs", run_id, "cancel"))["asked"])

    def forget(self, *which: str) -> Meant:
        """Delete what ids and names stand for, and return it: runs, workflows, and names of schedules."""
        there = {each.name for each in self.schedules()}
        found = all_meant(self.store, [each for each in which if each not in there or is_meant(self.store, each)])
        gone = self._link.change("POST", api_path("removals"), {"which": list(which)})
        return Meant(
            [each for each in found.runs if each.id in gone["deleted"]],
            [each for each in found.workflows if each.name in gone["workflows"]],
            gone.get("schedules", []),
        )

    def prune(self, *, older: float | None = None, keep: int | None = None) -> list[str]:
        """Delete ended runs: those that ended more than `older` seconds ago, of each name all but the newest `keep`."""
        if older is None and keep is None:
            msg = "say which runs may go: older=seconds, keep=count, or both"
            raise ValueError(msg)
        asked = only_given(older=older, keep=keep)
        return list(self._link.change("POST", api_path("removals"), asked)["deleted"])

    # Workflows by name

    def register(self, text: str, *, name: str | None = None, replace: bool = False) -> WorkflowRecord:
        """Have the server keep the workflow of FILE.json or FILE.yaml[:NAME], which is read here."""
        from aiodag.service.remote_sending import form_of_text

        form = form_of_text(self.store, text)
        asked = form | only_given(name=name, replace=replace or None)
        return self._registered(self._link.change("POST", api_path("workflows"), asked)["name"])

    def _registered(self, name: str) -> WorkflowRecord:
        return self.workflows(name)[0]

    def take_in(self, text: str, source: str = "", *, replace: bool = False) -> list[WorkflowRecord]:
        """Register all workflows in a text of `export`, one after the other."""
        from aiodag.service.exchange import records_in

        records = records_in(self.store, text, source, replace=replace)
        for each in records:
            asked = {"definition": json.loads(each.document), "name": each.name, "replace": replace}
            self._link.change("POST", api_path("workflows"), asked)
        return [self._registered(each.name) for each in records]

    def unregister(self, name: str) -> bool:
        """Forget a workflow, but keep its runs; return whether there was one."""
        if not self.workflows(name):
            return False
        self._link.change("DELETE", api_path("workflows", name))
        return True

    # Messages

    def deliver(
        self,
        topic: "str | Topic[Any]",
        key: str | Sequence[str] = "",
        payload: object = None,
        *,
        id: str | None = None,  # noqa: A002 - what everybody calls it, and `send` too
        to: str = "one",
        ttl: float | timedelta | None = None,
        dedup: float | timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        strict: bool = False,
    ) -> Delivered:
        """Deliver a message to the run that waits for it, and return what became of it."""
        from aiodag.service.delivering import incoming_message

        made = incoming_message(topic, key, payload, id, to, ttl, dedup, headers)
        asked = {
            "key": list(made.keys),
            "payload": json.loads(made.payload),
            "id": made.id,
            "to": to,
            "ttl": made.ttl,
            "dedup": made.dedup,
            "headers": dict(made.headers),
            "strict": strict,
        }
        return delivered_of_document(self._link.change("POST", api_path("messages", made.topic), asked))

    def redeliver(self, topic: str, message_id: str) -> Delivered:
        """Deliver a dead letter again, and return what became of it. Raises `StoreError` where there is none of that id."""
        return delivered_of_document(
            self._link.change("POST", api_path("messages", topic, "redeliver"), {"id": message_id})
        )

    # Schedules

    def put_schedule(
        self,
        name: str | None,
        target: "str | Target",
        trigger: "str | Mapping[str, Any] | Trigger",
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        timezone: str | None = None,
        overlap: str = "queue",
        catch_up: str = "latest",
        jitter: float | timedelta = 0.0,
        grace: float | timedelta = 60.0,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        tags: Mapping[str, str] | None = None,
        retries: int = 0,
        max_active: int | None = None,
        source: str = "",
    ) -> "ScheduleRecord":
        """Have a run of a target begin at each moment of a trigger, and return the schedule; one of the name is replaced."""
        from aiodag.service.remote_sending import form_to_send
        from aiodag.service.scheduled import refuse_types

        refuse_types(target, trigger)
        if source:
            raise OptionError("source", source, "effect in a store: it names the file that a schedule was read from")
        form = (
            trigger if isinstance(trigger, str) else dict(trigger if isinstance(trigger, Mapping) else trigger.form())
        )
        asked = form_to_send(self.store, target, parameters) | only_given(
            name=name, trigger=form, timezone=timezone, overlap=overlap, catch_up=catch_up, queue=queue, tags=tags and dict(tags),
            jitter=check_seconds("jitter", jitter), grace=check_seconds("grace", grace),
            priority=priority, retries=retries, max_active=max_active,
        )  # fmt: skip
        return self.schedule(self._change_by_name(api_path("schedules"), asked)["name"])

    def add_schedules(self, *paths: str, timezone: str | None = None) -> "AddedSchedules":
        """Put the schedules of workflow files here, or of all that lie in folders, and return what changed by that.

        None is dropped. Raises `WorkflowError` with all that is wrong, and then nothing is changed.
        """
        from aiodag.service.remote_schedule_files import send_schedule_files

        return send_schedule_files(self, paths, timezone=timezone or settings().timezone.value)

    def pause_schedule(self, name: str) -> "ScheduleRecord":
        """Have a schedule make no runs; its moments are never caught up. Runs that it has made go on. Raises `StoreError`."""
        return self._change_schedule(name, "pause")

    def resume_schedule(self, name: str) -> "ScheduleRecord":
        """Have a paused schedule go on with its next moment; those that came meanwhile are noted as skipped. Raises `StoreError`."""
        return self._change_schedule(name, "resume")

    def _change_schedule(self, name: str, action: str) -> "ScheduleRecord":
        self._link.change("POST", api_path("schedules", self.schedule(name).name, action))
        return self.schedule(name)

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule, and what became of its moments. Its runs stay. Raises `StoreError`."""
        self._link.change("DELETE", api_path("schedules", self.schedule(name).name))

    def run_schedule(self, name: str) -> str:
        """Submit a run of a schedule for this moment, whatever its state and its overlap are, and return its id."""
        return str(self._link.change("POST", api_path("schedules", self.schedule(name).name, "run"))["id"])

    def backfill(
        self,
        name: str,
        start: date,
        end: date,
        parameters: "Sequence[str] | Mapping[str, Any]" = (),
        *,
        limit: int = 4,
        newest_first: bool = False,
    ) -> "BackfillRecord":
        """Have runs made of the moments of a schedule from `start` to before `end`, at most `limit` of them at once."""
        from aiodag.service.releasing import checked_bound
        from aiodag.service.remote_sending import parameters_to_send

        for option, each in (("start", start), ("end", end)):
            checked_bound(option, each, "UTC")
        asked = {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "limit": limit,
            "newest_first": newest_first,
            **parameters_to_send(parameters),
        }
        made = self._link.change("POST", api_path("schedules", self.schedule(name).name, "backfills"), asked)
        return self.backfill_numbered(made["number"])

    def cancel_backfill(self, number: int) -> bool:
        """End a backfill: it makes no more runs, and those that it has made go on. Return whether it was active."""
        found = self.backfill_numbered(number)
        self._link.change("POST", api_path("backfills", str(found.number), "cancel"))
        return found.state == "active"
