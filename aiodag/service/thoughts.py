"""What a server has to think through before anything is recorded: definitions, the code of workflows, and plans.

Each thought takes what was asked for as plain JSON and returns plain JSON. So it can be had in another process.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from aiodag._core.options import check_name
from aiodag.errors import OptionError
from aiodag.service.binding import refuse_unlisted_secrets
from aiodag.service.documents import plan_document
from aiodag.service.drawing import drawing_of
from aiodag.service.entry import Entry, Target, needs_its_file
from aiodag.service.folders import target_in_folders
from aiodag.service.listed_workflows import no_such_workflow
from aiodag.service.narrowing import Narrowing
from aiodag.service.parameters import with_parameters
from aiodag.service.posted import document_of_text, edited_by, posted_workflow
from aiodag.service.resubmitting import resubmission_of
from aiodag.service.scheduled_runs import has_expression
from aiodag.service.service import Service
from aiodag.service.submitting import Wishes, checked_wishes, submission_of, target_to_submit
from aiodag.service.targets import file_in, in_source, of_record
from aiodag.workflows.private import stored_document

Asked = Mapping[str, Any]


def wanted_target(service: Service, asked: Asked) -> Target:
    """Return what a run is to begin with: a definition, or the workflow of a name. Raises `NotFound` for another name."""
    given = asked.get("parameters") or {}
    if asked.get("definition") is not None:
        narrowing, member = Narrowing(**asked["narrowing"]), asked.get("member")
        source = asked.get("source", "")
        return posted_workflow(asked["definition"], given, narrowing=narrowing, member=member, source=source)
    name = asked["workflow"]
    found = service.workflows(name)
    if found:
        return with_parameters(of_record(found[0]), given)
    there = target_in_folders(name)
    if there is not None:
        return in_source(there, given)
    raise no_such_workflow(service, name)


def think_submission(service: Service, asked: Asked) -> Any:
    """Return what is recorded of a run that is submitted."""
    wishes = dict(asked["wishes"])
    if wishes.get("at") is not None:
        wishes["at"] = datetime.fromtimestamp(wishes["at"], UTC)
    checked = checked_wishes(Wishes(**wishes))
    target = target_to_submit(service.store, wanted_target(service, asked), ())
    return submission_of(target, checked)._asdict()


def think_resubmission(service: Service, asked: Asked) -> Any:
    """Return what a recorded run is queued again with."""
    run, narrowing = service.head(asked["run"]), Narrowing(**asked["narrowing"])
    made = resubmission_of(run, None, asked["definition"], asked["queue"], narrowing)
    return made._replace(again=service.numbers_again(run.id, asked["again"]))._asdict()


def think_plan(service: Service, asked: Asked) -> Any:
    """Return what resuming a run would run."""
    if asked["definition"] is None:
        again = service.again(asked["run"])
    else:
        run, narrowing = service.head(asked["run"]), Narrowing(**asked["narrowing"])
        again = edited_by(run, document_of_text(asked["definition"]), narrowing)
    return plan_document(asyncio.run(service.plan(again, again=asked["again"])))


def think_preview(service: Service, asked: Asked) -> Any:
    """Return the graph of what could be run."""
    return json.loads(drawing_of(service.preview(wanted_target(service, asked)), "json"))


def think_workflow(service: Service, asked: Asked) -> Any:
    """Return what is kept of a definition under a name."""
    del service
    narrowing, source = Narrowing(**asked["narrowing"]), asked.get("source", "")
    workflow = posted_workflow(asked["definition"], narrowing=narrowing, member=asked["member"], source=source)
    workflow = workflow.but(check_name(asked["name"]))
    workflow.check()
    return {"name": workflow.name, "document": stored_document(workflow.document()), "tags": dict(workflow.tags)}


def think_schedule(service: Service, asked: Asked) -> Any:
    """Put a schedule of runs, and return its name."""
    given, options = asked.get("parameters") or {}, dict(asked["options"])
    target: str | Target = wanted_target(service, {**asked, "parameters": None})
    if given and asked.get("definition") is None and not file_in(asked["workflow"])[0]:
        target = asked["workflow"]  # which is bound anew at each moment
    elif given:
        if has_expression(given):
            wanted = "values that do not depend on the moment, for what is not registered by a name"
            raise OptionError("parameters", given, wanted)
        target, given = wanted_target(service, asked), {}
    return service.put_schedule(asked["name"], target, asked["trigger"], given, **options).name


def think_manual_run(service: Service, asked: Asked) -> Any:
    """Submit a run of a schedule for this moment, and return its id."""
    return service.run_schedule(asked["name"])


def think_backfill(service: Service, asked: Asked) -> Any:
    """Put a backfill, and return its number."""
    start, end = bound_of_text(asked["start"]), bound_of_text(asked["end"])
    given, options = asked["parameters"] or {}, asked["options"]
    made = service.schedule(asked["name"]).submission
    if given and made.entry is not None and needs_its_file(made.entry, made.definition):
        refuse_unlisted_secrets(Entry(**made.entry), given, Narrowing(**asked["narrowing"]).environment)
    return service.backfill(asked["name"], start, end, given, **options).number


def bound_of_text(text: str) -> date:
    """Return a day, or a moment with its time zone. Raises `OptionError`."""
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    wanted = "a day such as 2026-01-31, or a moment such as 2026-01-31T06:00Z"
    raise OptionError("moment", text, wanted)


THOUGHTS: Mapping[str, Callable[[Service, Asked], Any]] = {
    "submission": think_submission,
    "resubmission": think_resubmission,
    "plan": think_plan,
    "preview": think_preview,
    "workflow": think_workflow,
    "schedule": think_schedule,
    "manual run": think_manual_run,
    "backfill": think_backfill,
}
