"""Find the group of a run: of those that share one, by `concurrency` of their workflow, one goes on at a time."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from aiodag.errors import EntryError
from aiodag.service.entry import Entry
from aiodag.service.targets import of_document
from aiodag.wording import is_utf8
from aiodag.workflows.params import bind_params
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.submissions import Submission
    from aiodag.workflows.jobs.model import JobsDefinition

LONGEST_GROUP = 500  # characters: it is in an index
OPENS = "${{"


class RunGroup(TypedDict):
    """What a submission has of its group."""

    group: str | None
    cancel_in_progress: bool


NO_GROUP = RunGroup(group=None, cancel_in_progress=False)


def group_of_target(target: object) -> RunGroup:
    """Return the group of a run that begins now. Raises `EntryError`, `ExpressionError` and `WorkflowError`."""
    jobs = getattr(target, "jobs", None)
    if jobs is None or jobs.concurrency is None:
        return NO_GROUP
    entry = (
        Entry(**(target.entry or {"file": "", "task": "", "parameters": {}})) if isinstance(target, Workflow) else None
    )
    return rendered_group(jobs, entry)


def unrendered_group(target: object) -> RunGroup:
    """Return the group of runs as a schedule keeps it: with the expressions that each moment has a value for."""
    jobs = getattr(target, "jobs", None)
    if jobs is None or jobs.concurrency is None:
        return NO_GROUP
    cancels = jobs.concurrency.cancel_in_progress
    text = str(jobs.concurrency.group.source)
    if not isinstance(cancels, bool) and OPENS not in text:
        text = f"${{{{ {json.dumps(text)} }}}}"  # so that each moment is asked for both
    return RunGroup(group=text, cancel_in_progress=cancels is True)


def group_at_moment(kept: "Submission", entry: Entry) -> RunGroup:
    """Return the group of the run of a moment, on which it depends. Raises `EntryError`, `ExpressionError` and `WorkflowError`."""
    jobs: JobsDefinition | None = getattr(of_document(json.loads(kept.definition or "{}"), entry), "jobs", None)
    if jobs is None:
        msg = f"{entry.file} has a group and no jobs"
        raise EntryError(msg)
    return rendered_group(jobs, entry)


def rendered_group(jobs: "JobsDefinition", entry: Entry | None) -> RunGroup:
    """Return the group of a workflow of jobs with the parameters and the release of an entry."""
    if jobs.concurrency is None:
        return NO_GROUP
    given: Mapping[str, Any] = {} if entry is None else entry.parameters
    release = (entry and entry.release) or {
        "logical_date": datetime.now(UTC).isoformat(),
        "schedule": None,
        "kind": "manual",
    }
    scope = {
        "params": bind_params(jobs.params, given),
        "release": {**release, "logical_date": datetime.fromisoformat(release["logical_date"])},
        "workflow": {"name": jobs.name},
    }
    group, cancels = jobs.concurrency.group.render(scope), jobs.concurrency.cancel_in_progress
    wanted = cancels if isinstance(cancels, bool) else cancels.render(scope)
    if not isinstance(wanted, bool):
        msg = f"concurrency.cancel-in-progress is {wanted!r:.100}: it must be true or false"
        raise EntryError(msg)
    return RunGroup(group=checked_group(group), cancel_in_progress=wanted)


def checked_group(given: object) -> str:
    """Check the name of a group. Raises `EntryError`."""
    text = str(given)
    if (
        isinstance(given, str | int)
        and not isinstance(given, bool)
        and text
        and len(text) <= LONGEST_GROUP
        and is_utf8(text)
        and "\0" not in text
    ):
        return text
    msg = f"concurrency.group is {given!r:.100}: it must be a text of 1 to {LONGEST_GROUP} characters"
    raise EntryError(msg)
