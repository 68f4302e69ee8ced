"""Begin the workflows that stages of others trigger: runs of their own, each with a record and with the one that began it.

As for `aiodag.messages.begin`: in a run without a store they run on this loop, in one that a queue has they are submitted to
that queue, and whoever waits for them can be parked; in any other they run here, in the same store.
"""

import asyncio
import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag._core.task import task
from aiodag._core.waits import held_back
from aiodag.errors import EntryError, RunCancelled, StageFailed
from aiodag.mail import Wait
from aiodag.names import WORKFLOW_ENDINGS
from aiodag.service.children import ChildRun, child_id
from aiodag.service.entry import parse_target
from aiodag.service.service import Service
from aiodag.service.targets import file_in, target_of
from aiodag.states import State
from aiodag.stores.children import child_error
from aiodag.stores.memory import Memory
from aiodag.stores.patience import in_thread_patiently
from aiodag.stores.row import NUMBER
from aiodag.workflows.files.named_forms import named_forms
from aiodag.workflows.files.sources import document_in_file, is_workflow_file
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag.abc import Runs

DEEPEST = 10  # runs that have begun each other: a workflow that triggers itself has no end
DEPTH: ContextVar[int] = ContextVar("aiodag.triggered", default=0)  # of runs without a store


async def begin_workflow(name: str, given: Mapping[str, Any], *, beside: str) -> dict[str, Any] | None:
    """Run a workflow to its end; return its outputs, or None where its record has them. Raises as that run does."""
    node: Any = current_node()
    try:
        journal = None if node.run is None else node.run.journal
        if journal is None:
            return await run_on_this_loop(name, given, beside)
        child = child_of(node, name)
        if journal.is_recorded(node):  # it waits since an earlier execution
            await journal.wait(node, Wait("run", topic=child.id))
            return None
        while (held := held_back(node)) is not None:
            await held
        workflow = await in_thread_patiently(partial(workflow_to_begin, journal.store, name, given, beside, child))
        if journal.queue is None:
            await run_in_store(journal.store, child, workflow)
            return None
        submission = child.submission(workflow, journal.queue, node.key)
        await in_thread_patiently(partial(child.submit, journal.store, submission))
        await journal.wait(node, Wait("run", topic=child.id))
    finally:
        del node  # a failure's traceback holds this frame
    return None


BEGIN_WORKFLOW = task(begin_workflow, name="trigger", key=lambda name, given, **_: (name, given))
BEGIN_WORKFLOW.waits = "run"


def child_of(node: "Node[Any]", name: str) -> ChildRun:
    """Return the run that a node begins: the same whenever it does."""
    run: Any = node.run
    word = Path(parse_target(name)[1] or name).stem
    return ChildRun(child_id(run.id, node.key, word), run.id, node.row[NUMBER], again=node.again)


async def outputs_of_child(node: "Node[Any]", name: str) -> dict[str, Any]:
    """Return what a workflow gave that a settled node has run: the id of its run, and the outputs of its jobs."""
    value = node.result()
    if value is not None:
        return dict(value)
    journal: Any = None if node.run is None else node.run.journal
    child = child_of(node, name)
    return {"run_id": child.id, "jobs": await asyncio.to_thread(recorded_outputs, journal.store, child.id)}


def recorded_outputs(store: "Runs", run_id: str) -> dict[str, Any]:
    """Return the outputs of the jobs of a run; nothing of a workflow of tasks, whose values are of any kind."""
    service = Service(store)
    jobs = [each for each in service.nodes(run_id) if each.parent is None and each.state is State.SUCCEEDED]
    values = {each.name: service.value(run_id, str(each.number)) for each in jobs if each.codec == "json"}
    return {name: each["outputs"] for name, each in values.items() if isinstance(each, dict) and "outputs" in each}


async def run_on_this_loop(name: str, given: Mapping[str, Any], beside: str) -> dict[str, Any]:
    """Run a workflow without a store. Raises `StageFailed` for one that has triggered itself too often."""
    depth = DEPTH.get()
    refuse_depth(name, depth)
    store = Memory()
    workflow = await asyncio.to_thread(workflow_to_begin, store, name, given, beside)
    DEPTH.set(depth + 1)
    try:
        values = await workflow.run()
    finally:
        DEPTH.set(depth)
    if values.run.state is State.CANCELLED:
        raise RunCancelled(values.run.id or workflow.name)
    outputs = {key: each["outputs"] for key, each in values.items()} if workflow.jobs is not None else {}
    return {"run_id": values.run.id, "jobs": outputs}


async def run_in_store(store: "Runs", child: ChildRun, workflow: Workflow) -> None:
    """Run a workflow in this process, in the store of the run that triggers it, unless it has ended already."""
    found = await in_thread_patiently(partial(child.found_in, store, workflow.name))
    if found is not None and found.state is State.SUCCEEDED:
        return
    if found is not None and found.ended_at is not None and not child.again:
        raise child_error(found.id, found.name, found.state, found.error)
    values = await workflow.run(store, child.id, parent=(child.parent, child.number))
    if values.run.state is State.CANCELLED:
        raise RunCancelled(child.id)


# What is meant by a name


def workflow_to_begin(
    store: "Runs", name: str, given: Mapping[str, Any], beside: str, child: ChildRun | None = None
) -> Workflow:
    """Return a workflow with the values of its params. Raises `EntryError`, `WorkflowError` and `StageFailed`."""
    if child is not None:
        refuse_depth(name, depth_of(store, child.parent))
    place = place_of_workflow(name, beside)
    try:
        found = target_of(store, place, given)
    except EntryError as error:
        raise EntryError(f"{error}{file_called(name, beside) if place == name else ''}") from None
    if not isinstance(found, Workflow):
        msg = f"trigger: {name} is a task, and what is triggered is a workflow: call a task with uses"
        raise EntryError(msg)
    return found


def place_of_workflow(name: str, beside: str) -> str:
    """Return what a name stands for in a file: a file next to that, a workflow in it, or what anybody else means by it."""
    if not beside:
        return name
    if file_in(name)[0]:
        there = os.path.join(os.path.dirname(beside), name)  # noqa: PTH118, PTH120 - of texts as they were given
        return there if file_in(there)[1] else name
    if is_workflow_file(beside) and Path(beside).exists():
        members = named_forms(document_in_file(beside)).of_kind("workflow")
        if name in members:
            return f"{beside}:{name}"
    return name


def file_called(name: str, beside: str) -> str:
    """Return a hint that a file of this name is next to the one that names it, or nothing."""
    files = [f"{name}{ending}" for ending in WORKFLOW_ENDINGS]
    near = next((each for each in files if beside and file_in(place_of_workflow(each, beside))[1]), None)
    return f". Next to {beside} is a file {near}: write its whole name" if near else ""


def depth_of(store: "Runs", run_id: str | None) -> int:
    """Return how many runs have begun each other, up to one."""
    depth = 0
    while run_id is not None and depth < DEEPEST:
        run_id, depth = store.run(run_id).parent_run, depth + 1
    return depth


def refuse_depth(name: str, depth: int) -> None:
    """Refuse a run that too many others have begun, one the next. Raises `StageFailed`."""
    if depth >= DEEPEST:
        msg = f"trigger: {name} would be begun by the last of {DEEPEST} runs, each of which another one began: does it trigger itself?"
        raise StageFailed(msg)
