"""Begin the run of an entry or of a workflow, think one through, or show what it would be."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from aiodag._core.capacity import Anything, Capacity
from aiodag._core.graph import Graph
from aiodag._core.plan import plan
from aiodag._core.run import Run
from aiodag._core.task import Task
from aiodag.abc import Observer, Runs
from aiodag.errors import LetGo, WorkflowError
from aiodag.service.binding import as_task, bind, call, load_entry
from aiodag.service.entry import Target
from aiodag.service.resumption import Resumption
from aiodag.service.settings import settings
from aiodag.service.sites import machines_of_target, refuse_names
from aiodag.states import State
from aiodag.stores.rehearsal import Rehearsal
from aiodag.stores.value_places import checked_place
from aiodag.workflows.check import check_workflow
from aiodag.workflows.workflow import Workflow

if TYPE_CHECKING:
    from aiodag._core.node import Node

Opened = Callable[[Run], object]


class BeginOptions(TypedDict):
    """What a `Run` and a workflow take alike."""

    id: str | None
    observers: Sequence[Observer]
    limit: int | None
    fail_fast: bool
    tags: Mapping[str, str] | None


async def begin_target(
    store: Runs,
    target: Target,
    opened: Opened | None,
    amounts: Mapping[str, float] | None,
    **options: Unpack[BeginOptions],
) -> Any:
    """Run to the end, and return the value of an entry, or the values of a workflow.

    `opened(run)` is called when this process owns the run. Amounts of resources come in place of a workflow's own. Raises
    what the run raises, and `CancelledError` where somebody drained or stopped it before its end.
    """
    capacity = Capacity(amounts) if amounts else None
    if settings().values.value is not None:
        checked_place(settings().values.value)
    where = machines_of_target(target)
    named = {"default_host": where.default_host, "executor": where.executor}
    if isinstance(target, Workflow):
        values = await target.run(store, opened=opened, capacity=capacity, **named, **options)
        if values.run.state is State.CANCELLED:  # as the node of an entry is then
            raise asyncio.CancelledError
        return values
    found = load_entry(target)
    refuse_names(where)
    run = Run(as_task(found).name, store=store, capacity=capacity, **named, **options)
    run.entry = target.recorded()
    run.keeps_answer = not isinstance(found, Task) or found.options.journal
    made: list[Node[Any]] = []
    async with run:
        if opened is not None:
            opened(run)
        made.append(call(target, found))
    if run.state is State.CANCELLED:  # also where the entry returned: of what it called, something was not done
        raise asyncio.CancelledError
    return await made[0]  # its value may have stayed with its executor


def refuse_resources(target: Target, capacity: Mapping[str, float] | None, *, elsewhere: bool = False) -> None:
    """Refuse a workflow that asks for resources which there are not, or for unknown hosts. Raises `WorkflowError`.

    What a task asks for is known when it is called: of an entry nothing can be told before. With `elsewhere`, another process
    runs it, which may know hosts that this one does not.
    """
    given = Capacity(capacity) if capacity else None
    where = machines_of_target(target)
    if isinstance(target, Workflow):
        found = target.capacity if given is None else given
        check_workflow(target, capacity=found, runs=True, machines=where, elsewhere=elsewhere)
    elif not elsewhere:
        refuse_names(where)


async def rehearse(
    store: Runs, run_id: str, target: Target, again: Sequence[int] = (), *, inside: Collection[str] = ()
) -> Resumption:
    """Return what resuming a run with a target would run, and nodes again by their numbers.

    What makes the graph runs, and the bodies whose keys are `inside`; nothing else.
    """
    run = run_of(target, run_id)
    await run.__aenter__()
    rehearsal = Rehearsal(run, store, again, inside)
    await rehearsal.open()
    run.journal = rehearsal
    entered: Node[Any] | None = None
    refused: Sequence[WorkflowError] = ()
    try:
        if isinstance(target, Workflow):
            refused = (await target.build()).refused
        else:
            rehearsal.entry = entered = call(target, load_entry(target))
        await rehearsal.quiet()
        if refused:  # recorded tasks of a generator do not fit into what is edited
            raise WorkflowError([complaint for error in refused for complaint in error.complaints])
        graph = run.graph()
    finally:
        run.departed = True  # bodies that undo things after a cancel must not see one
        run.stop()
        for failure in list(run.untaken.values()):
            failure.report.take()  # recalled, and told by the plan
        with suppress(LetGo):
            await run.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
    nodes = [each for each in graph.nodes if not each.barrier and (entered is None or each.id != entered.number)]
    recalled = sum(each.state is State.SUCCEEDED for each in nodes) + rehearsal.raised
    found = Resumption([each.label for each in nodes if not each.state.final], recalled)
    found.failed = tuple(each.label for each in nodes if each.state is State.FAILED)
    found.continues = rehearsal.continues
    found.met = frozenset(rehearsal.met)
    found.fresh = tuple(each.label for each in nodes if each.state is State.QUEUED and not each.waits)
    return found


def run_of(target: Target, run_id: str) -> Run:
    """Return a run that is only thought through, of the same id and with the same entry: so its nodes have the same keys."""
    name = target.name if isinstance(target, Workflow) else as_task(load_entry(target)).name
    run = Run(name, id=run_id, grace=1.0, capacity=Anything())
    run.entry = target.entry if isinstance(target, Workflow) else target.recorded()
    return run


def preview(target: Target) -> Graph:
    """Return the graph of what could be run, before anything does."""
    if isinstance(target, Workflow):
        return target.graph()
    found = load_entry(target)
    # The body that calls the others: of the task itself, a plan is one node. A plain function calls none.
    body = getattr(found, "fn", found)
    return plan(body if iscoroutinefunction(body) else found, **bind(target, found))
