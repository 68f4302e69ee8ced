"""Find out, before code is deployed, which parked runs would not find their waits again in it."""

import asyncio
from typing import TYPE_CHECKING

from aiodag.errors import EntryError, WorkflowError
from aiodag.names import import_file
from aiodag.records import RunFilter
from aiodag.service.entry import Target, parse_target
from aiodag.service.messages import inbox_of_store
from aiodag.service.resumption import ParkedPlan
from aiodag.service.starting import rehearse
from aiodag.service.targets import again
from aiodag.states import State
from aiodag.workflows.files.sources import is_workflow_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiodag.abc import Runs
    from aiodag.records import RunRecord, WaitRecord
    from aiodag.service.resumption import Resumption


async def plan_parked(store: "Runs", name: str, source: str) -> "list[ParkedPlan]":
    """Return for each parked run of a name what it would do with the code of a file. Raises `EntryError` for one that cannot be imported."""
    file, _ = parse_target(source)
    if not is_workflow_file(file):
        await asyncio.to_thread(import_file, file)
    found = await asyncio.to_thread(store.runs, wanted=RunFilter(name=name, state=State.PARKED))
    return [await plan_one(store, run, source) for run in found]


async def plan_one(store: "Runs", run: "RunRecord", source: str) -> ParkedPlan:
    """Return what a parked run would do with the code of a file."""
    waits = await asyncio.to_thread(open_waits_of, store, run.id)
    bodies = await asyncio.to_thread(enclosing_keys, store, run.id, waits)
    try:
        record = await asyncio.to_thread(store.run, run.id)  # with its definition, which a list leaves out
        target = target_for(record, source)
        planned: Resumption = await rehearse(store, run.id, target, inside=bodies)
    except (EntryError, WorkflowError) as error:
        return ParkedPlan(run.id, tuple(each.label for each in waits), (), str(error))
    lost = tuple(each.label for each in waits if each.number not in planned.met)
    return ParkedPlan(run.id, lost, planned.fresh if lost else ())


def target_for(run: "RunRecord", source: str) -> Target:
    """Return what a run would go on with: of a file with many tasks, the one of the name that it began with."""
    if parse_target(source)[1] is None and run.entry is not None and run.entry["task"]:
        source = f"{source}:{run.entry['task']}"
    return again(run, source).target


def open_waits_of(store: "Runs", run_id: str) -> "list[WaitRecord]":
    """Return what a run waits for."""
    return [each for each in inbox_of_store(store).waits(run_id=run_id) if each.kind != "deadline"]


def enclosing_keys(store: "Runs", run_id: str, waits: "Sequence[WaitRecord]") -> frozenset[str]:
    """Return the keys of the bodies in which waits of a run were called: all of them would be entered again."""
    nodes = {each.number: each for each in store.nodes(run_id, every=True)}
    bodies: set[str] = set()
    for wait in waits:
        node = nodes.get(wait.number)
        while node is not None and node.parent is not None:
            node = nodes.get(node.parent)
            if node is not None:
                bodies.add(node.key)
    return frozenset(bodies)
