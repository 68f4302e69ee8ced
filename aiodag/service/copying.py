"""Copy runs and workflows from one store to another."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from aiodag.copies import Copies, cut_rows_by_size, there_already
from aiodag.errors import StoreError
from aiodag.firings import ScheduleRecord
from aiodag.records import RunFilter, RunRecord, WorkflowRecord, registered_already
from aiodag.service import registry
from aiodag.states import State
from aiodag.stores.firing_rules import schedule_there
from aiodag.wording import count_text

if TYPE_CHECKING:
    from aiodag.abc import Runs, Schedules

LOOKED_UP_AT_ONCE = 256  # ids
NAMED = 5  # runs that a message names
COPIED = "copied from another store, where it may go on"
UNFINISHED = (State.QUEUED, State.RUNNING, State.PARKED)


class Copied(NamedTuple):
    """What was copied to another store: ids of runs, and names of workflows.

    `skipped` are the runs that were there already; `unfinished` those that were left out, when everything was to be copied,
    since they have not ended. `schedules` are the names of those that were copied then, and are paused in the other store.

    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:copied", id="monday"):
    ...     node = task(sum)([1, 2])
    >>> Service("memory:copied").copy_to("memory:elsewhere")
    Copied(runs=['monday'], skipped=[], workflows=[], unfinished=[], schedules=[])
    >>> Service("memory:copied").copy_to("memory:elsewhere", skip_existing=True)
    Copied(runs=[], skipped=['monday'], workflows=[], unfinished=[], schedules=[])
    """

    runs: Sequence[str]
    skipped: Sequence[str]
    workflows: Sequence[str]
    unfinished: Sequence[str]
    schedules: Sequence[str] = ()


def copy_runs(source: "Runs", target: "Runs", which: Sequence[str], *, skip_existing: bool) -> Copied:
    """Copy what ids and names stand for; by default all that has ended, all workflows, and what `cache=` has kept.

    Raises `UnknownRun`, `RunOwned` and `StoreError` before anything is written; later only for what changes meanwhile.
    """
    if source.place == target.place:
        msg = f"cannot copy {source} to itself: name another store"
        raise StoreError(msg)
    reader, writer = copies_of(source), copies_of(target)
    ids, workflows = meant_to_copy(source, which)
    there = ids_in(writer, ids)
    if there and not skip_existing:
        raise there_before(there, target)
    workflows = [each for each in workflows if is_new(each, target, skip_existing=skip_existing)]
    schedules = [] if which else schedules_to_copy(source, target, skip_existing=skip_existing)
    copied: list[str] = []
    for run_id in (each for each in ids if each not in there):
        try:
            writer.add_run(reader.portions_of(run_id))
        except (StoreError, ValueError, OverflowError) as error:
            raise stopped_at(run_id, error, len(copied)) from error
        copied.append(run_id)
    for record in workflows:
        target.register(record)
    if not which:
        for rows in cut_rows_by_size(reader.cached_rows()):
            writer.add_cached(rows)
    unfinished = [] if which else unfinished_in(source)
    skipped, names = [each for each in ids if each in there], [each.name for each in workflows]
    return Copied(copied, skipped, names, unfinished, put_copies(target, schedules))


def schedules_to_copy(source: "Runs", target: "Runs", *, skip_existing: bool) -> list[ScheduleRecord]:
    """Return the schedules that another store lacks. Raises `StoreError` where it has one of that name."""
    if not (hasattr(source, "schedules") and hasattr(target, "put_schedule")):
        return []
    found = cast("Schedules", source).schedules()
    there = {each.name for each in cast("Schedules", target).schedules()} if found else set()
    for record in found:
        if record.name in there and not skip_existing:
            raise schedule_there(record.name, target)
    return [each for each in found if each.name not in there and not each.damaged]


def put_copies(target: "Runs", schedules: Sequence[ScheduleRecord]) -> list[str]:
    """Keep copies of schedules, paused: else both stores would begin their runs. Return their names."""
    for record in schedules:
        cast("Schedules", target).put_schedule(replace(record, state="paused", reason=COPIED, next_at=None, version=0))
    return [each.name for each in schedules]


def stopped_at(run_id: str, error: Exception, copied: int) -> StoreError:
    """Return the error for a run that could not be copied, after some that were."""
    before = f". {count_text(copied, 'run')} went before it: go on with --skip-existing" if copied else ""
    return StoreError(f"run {run_id!r} could not be copied: {error}{before}")


def copies_of(store: "Runs") -> Copies:
    """Return a store as what copies runs. Raises `StoreError` for one that does not."""
    if not hasattr(store, "portions_of"):
        msg = f"runs of {store} cannot be copied: it has none of the methods of aiodag.abc.Copies"
        raise StoreError(msg)
    return cast("Copies", store)


def meant_to_copy(source: "Runs", which: Sequence[str]) -> tuple[list[str], list[WorkflowRecord]]:
    """Return the ids of the runs and the workflows that are to be copied."""
    if which:
        found = registry.all_meant(source, which)
        for run in found.runs:
            refuse_unfinished(source, run)
        return [run.id for run in found.runs], found.workflows
    ids, workflows = source.ended_runs(keep=0), source.registered()
    if not ids and not workflows and not (hasattr(source, "schedules") and cast("Schedules", source).schedules()):
        msg = f"there is nothing to copy in {source}: no run there has ended, no workflow is registered, and nothing is scheduled"
        raise StoreError(msg)
    return ids, workflows


def unfinished_in(source: "Runs") -> list[str]:
    """Return the ids of the runs that have not ended."""
    return [run.id for state in UNFINISHED for run in source.runs(wanted=RunFilter(state=state))]


def refuse_unfinished(source: "Runs", run: RunRecord) -> None:
    """Refuse to copy a run that somebody goes on with in the store that it is in. Raises `StoreError`, `RunOwned`."""
    if run.state.final:
        return
    for _ in copies_of(source).portions_of(
        run.id
    ):  # which is refused if a process owns it: the store knows of its lease
        break
    if run.queue is not None:
        msg = f"run {run.id!r} is one of queue {run.queue!r}, whose workers go on with it: cancel it, or wait until it has ended"
        raise StoreError(msg)


def ids_in(target: Copies, ids: Sequence[str]) -> set[str]:
    """Return which of some runs a store has."""
    found: set[str] = set()
    for start in range(0, len(ids), LOOKED_UP_AT_ONCE):
        found |= target.ids_there(ids[start : start + LOOKED_UP_AT_ONCE])
    return found


def there_before(there: Iterable[str], target: "Runs") -> StoreError:
    """Return the error for runs that the other store has."""
    ids = sorted(there)
    others = f", and so are {len(ids) - NAMED} others" if len(ids) > NAMED else ""
    named = "; ".join(there_already(each, target) for each in ids[:NAMED])
    return StoreError(f"{named}{others}. Nothing was copied: leave such runs out, or skip them with --skip-existing")


def is_new(record: WorkflowRecord, target: "Runs", *, skip_existing: bool) -> bool:
    """Return True for a workflow that a store lacks. Raises `StoreError` where it has another one of that name."""
    there = target.registered(record.name)
    if there and not skip_existing and there[0].document != record.document:
        raise registered_already(record.name, target)
    return not there
