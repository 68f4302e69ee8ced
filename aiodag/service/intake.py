"""Take in what comes over HTTP: definitions, names of workflows, and plans of runs.

    asked ──► harmless: thought through here
          └─► may import: thought through in a process of its own, with a limit of time ──► plain JSON ──► recorded here

Nothing that a request names is imported in the server. What a process has thought through is recorded by the server alone, so
nothing is when that process is ended.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aiodag.errors import OptionError
from aiodag.firings import ScheduleRecord
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.records import RunRecord, WorkflowRecord
from aiodag.service.documents import Document
from aiodag.service.entry import needs_its_file
from aiodag.service.folders import folders_of_definitions
from aiodag.service.narrowing import LARGEST, Narrowing, is_harmless
from aiodag.service.posted import document_of_text
from aiodag.service.queues import queue_of_store
from aiodag.service.registry import register_workflow
from aiodag.service.service import Service
from aiodag.service.thinkers import AT_ONCE, SECONDS, ThinkingProcesses
from aiodag.service.thoughts import THOUGHTS
from aiodag.stores.places import whole_address
from aiodag.submissions import Resubmission, Submission
from aiodag.workflows.files.sources import is_workflow_file


class Intake:
    """Where a server takes in what requests name. Its methods block; several threads may use it.

    >>> from aiodag.service import Service
    >>> from aiodag.service.intake import Intake
    >>> service = Service("memory:intake")
    >>> intake = Intake(service)
    >>> run_id = intake.submit(definition={"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}})
    >>> service.run(run_id).state.value
    'queued'
    >>> intake.close()
    """

    def __init__(
        self,
        service: Service,
        narrowing: Narrowing | None = None,
        *,
        at_once: int = AT_ONCE,
        seconds: float = SECONDS,
    ) -> None:
        self.service = service
        self.narrowing = narrowing or Narrowing()
        self._processes = ThinkingProcesses(at_once, seconds)

    # What is taken in

    def submit(
        self,
        *,
        workflow: str | None = None,
        definition: "Mapping[str, Any] | str | None" = None,
        member: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        at: datetime | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        expires: float | None = None,
        retries: int = 0,
        max_active: int | None = None,
        strict: bool = False,
        source: str = "",
    ) -> str:
        """Do what `Service.submit` does for a registered `workflow`, or for a `definition`, and return the id.

        `member` is the name of one of several workflows in a definition, and `source` what its file was called. Raises
        `NotFound`, `DefinitionRefused`, `PlanFailed`, and what `Service.submit` raises.
        """
        wishes = {"queue": queue, "priority": priority, "key": key, "tags": None if tags is None else dict(tags)}
        wishes |= {"expires": expires, "retries": retries, "max_active": max_active}
        asked = self._asked(workflow, definition, member, parameters) | {"source": source}
        asked["wishes"] = {**wishes, "at": None if at is None else at.timestamp()}
        made = Submission(**self._thought("submission", asked, self._is_plain(workflow, definition, source)))
        if strict:
            self.service.refuse_unknown_queue(made.queue)
        return queue_of_store(self.service.store).submit(made)

    def requeue(
        self,
        run_id: str,
        *,
        definition: "Mapping[str, Any] | str | None" = None,
        again: Sequence[str] = (),
        queue: str | None = None,
        execution: int | None = None,
    ) -> RunRecord:
        """Do what `Service.requeue` does, and return the record of the run. Raises what that raises, and `PlanFailed`."""
        if definition is None:
            return self.service.requeue(run_id, again=again, queue=queue, execution=execution)
        asked = {"run": run_id, "definition": definition, "again": list(again), "queue": queue}
        asked["narrowing"] = self.narrowing._asdict()
        run = self.service.head(run_id)
        plain = self._is_plain(None, definition) and is_plain_code(run.entry, run.definition)
        thought = self._thought("resubmission", asked, plain)
        queue_of_store(self.service.store).resubmit(Resubmission(**thought | {"execution": execution}))
        return self.service.head(run_id)

    def plan(
        self, run_id: str, *, definition: "Mapping[str, Any] | str | None" = None, again: Sequence[str] = ()
    ) -> Document:
        """Return what `aiodag plan RUN --json` prints. Raises what `Service.plan` raises, and `PlanFailed`."""
        run = self.service.head(run_id)
        asked = {"run": run_id, "definition": definition, "again": list(again), "narrowing": self.narrowing._asdict()}
        plain = is_plain_code(run.entry, run.definition, expanding=True)
        plain = plain and (definition is None or self._is_plain(None, definition, expanding=True))
        found: Document = self._thought("plan", asked, plain)
        return found

    def preview(
        self,
        *,
        workflow: str | None = None,
        definition: "Mapping[str, Any] | str | None" = None,
        member: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Document:
        """Return the graph of what `submit` would run, as `aiodag graph --json` prints it. Raises what `submit` raises."""
        asked = self._asked(workflow, definition, member, parameters)
        found: Document = self._thought("preview", asked, self._is_plain(workflow, definition, expanding=True))
        return found

    def register(
        self,
        definition: "Mapping[str, Any] | str",
        *,
        name: str | None = None,
        member: str | None = None,
        source: str = "",
        replace: bool = False,
    ) -> WorkflowRecord:
        """Keep a definition under its name or another. Raises `StoreError` if that is taken, and what `submit` raises."""
        asked = {"definition": definition, "member": member, "name": name, "narrowing": self.narrowing._asdict()}
        found = self._thought("workflow", asked | {"source": source}, self._is_plain(None, definition, source))
        kept = found["name"], "", found["document"], found["tags"]
        return register_workflow(self.service.store, *kept, replace=replace)

    def put_schedule(
        self,
        name: str | None,
        trigger: "str | Mapping[str, Any]",
        *,
        workflow: str | None = None,
        definition: "Mapping[str, Any] | str | None" = None,
        member: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        file: str = "",
        **options: Any,
    ) -> str:
        """Do what `Service.put_schedule` does, with its options, and return the name of the schedule.

        `file` is what the file of a definition was called.
        """
        asked = {**self._asked(workflow, definition, member, parameters), "name": name, "trigger": trigger}
        asked["source"] = file
        asked["options"] = {key: value for key, value in options.items() if value is not None}
        return str(self._thought("schedule", asked, self._is_plain(workflow, definition, file)))

    def run_schedule(self, name: str) -> str:
        """Do what `Service.run_schedule` does. Raises what that raises, and `PlanFailed`."""
        plain = depends_on_nothing(self.service.schedule(name))
        return str(self._thought("manual run", {"name": name}, plain))

    def backfill(
        self,
        name: str,
        start: str,
        end: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int = 4,
        newest_first: bool = False,
    ) -> int:
        """Do what `Service.backfill` does, with days or moments as ISO 8601 has them, and return the number."""
        record = self.service.schedule(name)
        made = record.submission
        plain = depends_on_nothing(record) and not parameters and is_plain_code(made.entry, made.definition)
        asked: dict[str, Any] = {
            "name": name,
            "start": start,
            "end": end,
            "parameters": parameters and dict(parameters),
        }
        asked["narrowing"] = self.narrowing._asdict()
        options = {"limit": limit, "newest_first": newest_first}
        return int(self._thought("backfill", {**asked, "options": options}, plain))

    def close(self) -> None:
        """End the processes that think. Nothing is taken in any more."""
        self._processes.close()

    # Where it is thought through

    def _asked(
        self,
        workflow: str | None,
        definition: "Mapping[str, Any] | str | None",
        member: str | None,
        parameters: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        if (workflow is None) == (definition is None):
            raise OptionError("workflow", workflow, "a name, or nothing beside `definition`: one of both")
        asked = {
            "workflow": workflow,
            "definition": definition,
            "member": member,
            "narrowing": self.narrowing._asdict(),
        }
        return {**asked, "parameters": None if parameters is None else dict(parameters)}

    def _is_plain(
        self,
        workflow: str | None,
        definition: "Mapping[str, Any] | str | None",
        source: str = "",
        *,
        expanding: bool = False,
    ) -> bool:
        """Return True for what is small, and imports nothing. Raises `WorkflowError` for a text that cannot be read."""
        if definition is None:
            found = self.service.workflows(workflow) if workflow is not None else []
            if not found:
                return not folders_of_definitions()  # whose files are read elsewhere, for they may import
            file = found[0].target.partition(":")[0]
            return is_harmless_text(found[0].document, expanding=expanding) and (file == "" or is_workflow_file(file))
        text = definition if isinstance(definition, str) else None
        if text is not None and len(text) > LARGEST:
            return False
        document: Any = definition if text is None else document_of_text(text, source).document
        return is_harmless(document, expanding=expanding) and (text is not None or is_small(document))

    def _thought(self, what: str, asked: Mapping[str, Any], plain: bool) -> Any:
        if plain:
            return THOUGHTS[what](self.service, asked)
        request = {"what": what, "asked": asked, "store": whole_address(self.service.store)}
        return self._processes.think(request)


def depends_on_nothing(record: ScheduleRecord) -> bool:
    """Return True for a schedule whose runs are all alike: none of its code is read to make one."""
    return not record.params and "${{" not in (record.submission.group or "")


def is_plain_code(entry: Mapping[str, Any] | None, definition: str | None, *, expanding: bool = False) -> bool:
    """Return True for a recorded definition that is small, and imports nothing."""
    if definition is None or needs_its_file(entry, definition):
        return False
    return is_harmless_text(definition, expanding=expanding)


def is_harmless_text(text: str, *, expanding: bool = False) -> bool:
    """Return True for a recorded document that is small, and imports nothing."""
    return len(text) <= LARGEST and is_harmless(json.loads(text), expanding=expanding)


def is_small(document: Any) -> bool:
    """Return True for a document whose text is small; False for what is not JSON, which is told elsewhere."""
    try:
        return len(json.dumps(document)) <= LARGEST
    except (TypeError, ValueError, RecursionError):
        return True
