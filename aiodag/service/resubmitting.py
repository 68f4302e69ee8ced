"""What a recorded run is queued again with: checked as a whole before anything is recorded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag.errors import OptionError
from aiodag.records import RunRecord
from aiodag.service.entry import Again
from aiodag.service.posted import document_of_text, edited_by
from aiodag.service.starting import refuse_resources
from aiodag.service.submitting import checked_queue, code_of_entry, definition_to_submit, digest_of_code
from aiodag.service.targets import again, entry_of_run, entry_of_target
from aiodag.submissions import Resubmission
from aiodag.workflows.jobs.building import check_params
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag.service.narrowing import Narrowing


def resubmission_of(
    run: RunRecord,
    source: str | None,
    definition: "Mapping[str, Any] | str | None",
    queue: str | None,
    narrowing: "Narrowing | None" = None,
) -> Resubmission:
    """Return what a run is queued again with. Raises `EntryError`, `WorkflowError` and `OptionError`."""
    queue = None if queue is None else checked_queue(queue)
    if source is not None and definition is not None:
        raise OptionError("definition", "...", "effect without `source`: give one of both")
    if definition is not None:
        return edited_resubmission(run, edited_by(run, document_of_text(definition), narrowing), queue)
    if source is not None:
        return edited_resubmission(run, again(run, source), queue)
    if run.definition is not None and run.entry is None:
        return Resubmission(run.id, run.name, queue)
    entry = entry_of_run(run)
    return Resubmission(run.id, code_of_entry(entry) or run.name, queue, code=digest_of_code(entry))


def edited_resubmission(run: RunRecord, edited: Again, queue: str | None) -> Resubmission:
    """Return what a run is queued again with that goes on with another definition, once that is checked."""
    target = edited.target
    refuse_resources(target, None, elsewhere=True)
    entry = entry_of_target(target)
    definition = None
    if isinstance(target, Workflow):
        if target.jobs is not None:
            check_params(target.jobs, target.given)
        definition = definition_to_submit(target)
    made = Resubmission(run.id, run.name, queue, definition=definition, tags=edited.tags)
    if entry is None:
        return made
    return made._replace(target=code_of_entry(entry) or run.name, entry=entry.recorded(), code=digest_of_code(entry))
