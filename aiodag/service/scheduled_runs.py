"""Make runs of the moments of schedules: what each is submitted as, or why none can be made of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiodag._core.run_options import id_of
from aiodag.errors import AiodagError, EntryError
from aiodag.firings import Passed, PlannedRun
from aiodag.service.binding import pairs_of
from aiodag.service.entry import Entry, needs_its_file
from aiodag.service.kept_registries import import_kept_registries
from aiodag.service.parameters import with_parameters
from aiodag.service.run_groups import group_at_moment
from aiodag.service.submitting import definition_to_submit
from aiodag.service.targets import of_document, own_workflow, ready
from aiodag.wording import printable
from aiodag.workflows.expressions.template import ExpressionFaults, template_of

if TYPE_CHECKING:
    from aiodag.firings import ScheduleRecord
    from aiodag.service.parameters import Given
    from aiodag.submissions import Submission

OPENS = "${{"
LONGEST_REASON = 1000  # characters


def runs_of(
    record: "ScheduleRecord", moments: Sequence[datetime], now: datetime, *, kind: str = "scheduled"
) -> tuple[list[PlannedRun], list[Passed]]:
    """Return the runs of moments, and those of which none can be made, with the reason."""
    planned: list[PlannedRun] = []
    refused: list[Passed] = []
    for at in moments:
        seconds = at.timestamp()
        try:
            planned.append(PlannedRun(seconds, submission_at(record, at, now, kind)))
        except Exception as error:  # noqa: BLE001 - of others' filters, too: one moment stops no other
            refused.append(Passed(seconds, seconds, 1, "refused", reason_of_refusal(error)))
    return planned, refused


def reason_of_refusal(error: Exception) -> str:
    """Return in a line why a moment cannot become a run."""
    text = str(error) if isinstance(error, AiodagError) else f"{type(error).__name__}: {error}"
    return printable(" ".join(text.split()))[:LONGEST_REASON]


def submission_at(record: "ScheduleRecord", at: datetime, now: datetime, kind: str) -> "Submission":
    """Return what the run of a moment is submitted as. Raises what its parameters raise."""
    made = record.submission
    release = {"logical_date": at.isoformat(), "schedule": record.name, "kind": kind}
    # Plain mappings, and no entry where nothing depends on the moment: thousands may be due at once.
    kept: dict[str, Any] | None
    kept = None if made.entry is None else {**made.entry, "release": {**(made.entry.get("release") or {}), **release}}
    if kept is not None and record.params:
        import_kept_registries(kept["release"])
        entry, definition = with_values(Entry(**kept), made.definition, rendered(record.params, release, at))
        kept, made = entry.recorded(), made._replace(definition=definition)
    if kept is not None and OPENS in (made.group or ""):
        made = made._replace(**group_at_moment(made, Entry(**kept)))
    delay = jitter_of(record.name, at, record.jitter) if kind == "scheduled" else 0.0
    return made._replace(
        id=id_of(None, made.name),
        entry=kept,
        at=now.timestamp(),
        starts_at=at.timestamp() + delay if delay else None,
        tags={**made.tags, "schedule": record.name, "logical_date": release["logical_date"]},
        schedule=record.name,
    )


def refuse_unbound(made: "Submission") -> None:
    """Refuse a run that could not begin with the parameters that it has. Raises `EntryError` and `WorkflowError`."""
    entry = None if made.entry is None else Entry(**made.entry)
    if entry is not None and needs_its_file(made.entry, made.definition):
        ready(entry)
    elif entry is not None and made.definition is not None:
        with_parameters(of_document(json.loads(made.definition), entry), entry.parameters)


def jitter_of(name: str, at: datetime, most: float) -> float:
    """Return by how many seconds the run of a moment is put off, less than `most`: each time the same.

    >>> from datetime import UTC
    >>> moment = datetime(2026, 1, 1, tzinfo=UTC)
    >>> 0 < jitter_of("nightly", moment, 60.0) < 60 and jitter_of("nightly", moment, 60.0) == jitter_of("nightly", moment, 60.0)
    True
    """
    if not most:
        return 0.0
    digest = sha256(f"{name}\0{at.timestamp()}".encode()).digest()
    return most * int.from_bytes(digest[:6]) / 2**48


# Parameters


def has_expression(params: Mapping[str, Any]) -> bool:
    """Return True if parameters depend on the moment.

    >>> has_expression({"day": "${{ release.logical_date }}"}), has_expression({"day": "monday"})
    (True, False)
    """
    return bool(params) and OPENS in json.dumps(params)


def rendered(params: Mapping[str, Any], release: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Return parameters as they are for a moment, as JSON has them. Raises `ExpressionError` and `EntryError`."""
    scope = {"release": {**release, "logical_date": at}}
    try:
        return {name: plain(template_of(each, environment=False).render(scope)) for name, each in params.items()}
    except ExpressionFaults as error:
        raise EntryError(str(error)) from None


def plain(value: Any) -> Any:
    """Return a value as JSON has it: moments as text."""
    return json.loads(json.dumps(value, default=moment_text_of))


def moment_text_of(value: object) -> str:
    """Return a moment as text. Raises `TypeError` for anything else."""
    if isinstance(value, date):
        return value.isoformat()
    msg = f"a parameter of a schedule is plain JSON, not {type(value).__name__}"
    raise TypeError(msg)


def with_values(entry: Entry, definition: str | None, values: Mapping[str, Any]) -> tuple[Entry, str | None]:
    """Return an entry and the text of its workflow with other values of parameters. Raises `EntryError`."""
    document: Any = json.loads(definition) if definition else {}
    # What has tasks is recorded with its values; jobs, and what Python makes, are given them when they run.
    if "tasks" not in document or needs_its_file(entry.recorded(), definition):
        return entry._replace(parameters=dict(values)), definition
    workflow = own_workflow(of_document(document, entry), entry._replace(parameters={}))
    made = with_parameters(workflow, values)
    return entry._replace(parameters=dict((made.entry or {})["parameters"])), definition_to_submit(made)


def with_params(record: "ScheduleRecord", params: Mapping[str, Any]) -> "ScheduleRecord":
    """Return a schedule with other values of some parameters."""
    return replace(record, params={**params_of_schedule(record), **params}) if params else record


def params_of_schedule(record: "ScheduleRecord") -> Mapping[str, Any]:
    """Return the parameters of a schedule: templates, or what its entry has where nothing depends on the moment."""
    return record.params or (record.submission.entry or {}).get("parameters") or {}


def values_to_keep(given: "Given") -> dict[str, Any]:
    """Return parameters by name, as they are kept with a schedule. Raises `EntryError`."""
    if not isinstance(given, Mapping):
        return {name: values if len(values) > 1 else values[0] for name, values in pairs_of(given).items()}
    for name, value in given.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            msg = f"parameter {name}: what is kept with a schedule must be plain JSON, and this {type(value).__name__} is not"
            raise EntryError(msg) from None
    return dict(given)
