"""Find runs and workflows by their names, delete them, and keep workflows by name."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aiodag.errors import StoreError, UnknownRun
from aiodag.records import RunFilter, RunRecord, WorkflowRecord
from aiodag.states import State
from aiodag.wording import count_text

if TYPE_CHECKING:
    from aiodag.abc import Runs, Schedules


class Meant(NamedTuple):
    """What names and ids stand for: runs, registered workflows, and names of schedules that are deleted with them."""

    runs: list[RunRecord]
    workflows: list[WorkflowRecord]
    schedules: Sequence[str] = ()


DELETED_AT_ONCE = 64  # runs that are deleted between two looks at which are gone


def find_meant(store: "Runs", which: str, limit: int | None = None) -> Meant:
    """Return the run with an id; else all runs of a name, or the newest, oldest first, and the workflow of that name.

    Only exactly that name counts. Raises `UnknownRun`, with a near miss, for what is neither.
    """
    with suppress(UnknownRun):
        return Meant([store.head(which)], [])
    found = Meant(store.runs(wanted=RunFilter(name=which), limit=limit), store.registered(which))
    if not found.runs and not found.workflows:
        raise UnknownRun(which, [*(each.name for each in store.registered()), *store.near(which)], str(store))
    return found


def all_meant(store: "Runs", which: Iterable[str]) -> Meant:
    """Return what several names and ids stand for, each once."""
    found = [find_meant(store, each) for each in which]
    runs = {run.id: run for each in found for run in each.runs}
    workflows = {each.name: each for one in found for each in one.workflows}
    return Meant(list(runs.values()), list(workflows.values()))


def delete_meant(store: "Runs", which: Iterable[str]) -> Meant:
    """Delete what names and ids stand for. Raises `UnknownRun`, and `StoreError` for a run that goes on, before any is."""
    named = list(which)
    schedules = [each for each in dict.fromkeys(named) if is_schedule(store, each)]
    found = all_meant(store, [each for each in named if each not in schedules or is_meant(store, each)])
    for run in found.runs:
        refuse_live(run)
    refuse_parked([run.id for run in found.runs if run.state is State.PARKED and run.id not in named])
    ids = [run.id for run in found.runs]
    for run_id in set(ids) - set(delete_unowned(store, ids)):
        for again in store.runs(run_id):  # somebody has resumed it since we looked
            refuse_live(again)
    for each in found.workflows:
        store.unregister(each.name)
    for name in schedules:
        cast("Schedules", store).drop_schedule(name)
    return found._replace(schedules=schedules)


def is_schedule(store: "Runs", name: str) -> bool:
    """Return True for the name of a schedule; a store of others may keep none."""
    return callable(getattr(store, "schedules", None)) and bool(cast("Schedules", store).schedules(name))


def is_meant(store: "Runs", which: str) -> bool:
    """Return True for what is the id or the name of a run, or of a workflow."""
    try:
        find_meant(store, which, limit=1)
    except UnknownRun:
        return False
    return True


def delete_unowned(store: "Runs", ids: Sequence[str], *, if_ended: bool = False) -> list[str]:
    """Delete runs, but those that somebody owns by now or that have not ended, and return which are gone."""
    gone: list[str] = []
    for start in range(0, len(ids), DELETED_AT_ONCE):
        some = list(ids[start : start + DELETED_AT_ONCE])
        if store.delete(some, unless_owned=True, if_ended=if_ended) < len(some):
            some = [run_id for run_id in some if not store.runs(run_id)]
        gone += some
    return gone


def refuse_live(run: RunRecord) -> None:
    """Refuse to delete a run that goes on. Raises `StoreError`."""
    if run.owner is not None and not run.owner.gone():
        msg = f"run {run.id!r} goes on in {run.owner}: cancel it first, with `aiodag cancel {run.id}`"
        raise StoreError(msg)


def refuse_parked(ids: Sequence[str]) -> None:
    """Refuse to delete parked runs whose ids nobody said: they go on one day, and deleting undoes nothing. Raises `StoreError`."""
    if ids:
        msg = (
            f"{count_text(len(ids), 'run')} of that name {'is' if len(ids) == 1 else 'are'} parked, such as {ids[0]!r}: cancel "
            "them first, which undoes what they have done, or say the id of each that is to be deleted as it is"
        )
        raise StoreError(msg)


def register_workflow(
    store: "Runs", name: str, target: str, document: Mapping[str, Any], tags: Mapping[str, str], *, replace: bool
) -> WorkflowRecord:
    """Keep a workflow under its name. Raises `StoreError` if there is one of that name, unless it is to be replaced."""
    there = store.registered(name)
    if there and not replace:
        msg = (
            f"a workflow {name!r} is registered already{there[0].target and f', from {there[0].target}'}. `--replace` puts this one in its "
            "place; `--name` gives it another name"
        )
        raise StoreError(msg)
    record = WorkflowRecord(name, target, json.dumps(document), dict(tags), datetime.now(UTC))
    store.register(record, replace=replace)
    return record
