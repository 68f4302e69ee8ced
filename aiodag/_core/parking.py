"""What keeps a run in its process although it waits. A run that nothing keeps can be parked: its process lets go of it.

Parking ends the bodies of a run, and waking it enters them again, so each of them must stand where recall leads it back to: at
a node of the run. Behind these nodes there are, in the end, waits that the store settles whoever is there:

    body ──► awaits a node ──► whose body awaits a node ──► a wait, which is a row in the store      parked
    body ──► asyncio.sleep, gather, timeout, a helper task, a thread, a connection                   stays, and says so

What holds a body is known by the future on which its asyncio task stands. Two things do not show there: a helper task that a
body has made and does not await, and a timer that is about to cancel the body. Both are found by one look over the loop, which
is why many runs are asked about at once.
"""

import asyncio.tasks
import gc
from asyncio import AbstractEventLoop, Future, Timeout
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.as_task import TASK
from aiodag._core.context import RUN
from aiodag._core.deadlock import needs
from aiodag._core.node import Node, Waiter
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Journal

GATHERED: Any = getattr(asyncio.tasks, "_GatheringFuture", ())


class Holder(NamedTuple):
    """What keeps a run in its process: a node of it, or the run as a whole; and why."""

    node: Node[Any] | None
    why: str

    def __str__(self) -> str:
        return self.why if self.node is None else f"{self.node.name}: {self.why}"


def holders(run: "Run") -> list[Holder]:
    """Return what keeps a run in this process: nothing if all that is unfinished waits for what its store knows of."""
    return holders_of([run])[run]


def holders_of(runs: "Collection[Run]") -> "dict[Run, list[Holder]]":
    """Return the same of several runs of one loop, which is looked over once."""
    found = {run: list(held_by_itself(run)) for run in runs}
    free = [run for run, held in found.items() if not held]
    if free:
        for task, run in tasks_left_by(free):
            found[run].append(Holder(None, f"the asyncio task {task.get_name()!r} that it has made goes on"))
        for node in timed_bodies(free):
            if node.run is not None:
                found[node.run].append(Holder(node, "a timeout around what it awaits, which no store knows"))
    return found


def held_by_itself(run: "Run") -> Iterator[Holder]:
    """Yield what a run and its nodes say by themselves."""
    journal = run.journal
    if journal is None or run.stopping or run.state is not State.RUNNING:
        yield Holder(None, "it is ending, or has no store")
        return
    if not journal.is_written():
        yield Holder(None, "something is still to be written")
    if not is_at_node(run, getattr(run._body, "_fut_waiter", None)):
        yield Holder(None, "the code that owns it goes on")
    if not run.live:
        yield Holder(None, "nothing is unfinished")
    for node in run.live:
        why = hold_of(run, node, journal)
        if why:
            yield Holder(node, why)


def hold_of(run: "Run", node: Node[Any], journal: "Journal") -> str:
    """Return why a node keeps its run, an empty text if it does not."""
    if node.state is State.WAITING:
        foreign = [up.name for up in needs(node) if up.run is not run]
        return f"it waits for {foreign[0]}, which is not of this run" if foreign else ""
    if node.state is State.QUEUED:
        return "it is about to begin"
    if node.driven != TASK or node.cancelling() or has_run_out(node):
        return "it is about to end"
    stands_at: Any = node._fut_waiter  # type: ignore[attr-defined]  # of an asyncio task
    if journal.is_waiting(node) or is_at_node(run, stands_at):
        return ""
    return describe_future(stands_at)


def has_run_out(node: Node[Any]) -> bool:
    """Return True if the time of an attempt is over, and its timer is about to say so."""
    when = None if node.time_limit is None else node.time_limit.when()
    return when is not None and when <= node.engine.loop.time()


def is_at_node(run: "Run", future: "Future[Any] | None") -> bool:
    """Return True if who stands at a future waits for a node of a run, or for all of its nodes."""
    if future is None or future.done():
        return False
    return future is run._idle or (isinstance(future, Waiter) and future.awaited.run is run)


def describe_future(future: "Future[Any] | None") -> str:
    """Return what a body awaits that is not a node of its run."""
    if future is None or future.done():
        return "it runs"
    if isinstance(future, Waiter):
        return f"it awaits {future.awaited.name}, which is not of this run"
    if isinstance(future, GATHERED):
        return "it awaits asyncio.gather"
    if isinstance(future, asyncio.Task):
        return f"it awaits the asyncio task {future.get_name()!r}"
    return "it awaits something that is not a node"


def tasks_left_by(runs: "Collection[Run]") -> "Iterator[tuple[asyncio.Task[Any], Run]]":
    """Yield the asyncio tasks that bodies of runs have made and that go on, each with its run."""
    owners = {run._body for run in runs}
    for task in asyncio.all_tasks(next(iter(runs)).loop):
        if not isinstance(task, Node) and task not in owners:
            run = context_of(task).get(RUN)
            if run is not None and run in runs:
                yield task, run


def context_of(task: "asyncio.Task[Any]") -> Context:
    """Return the context of an asyncio task; Python 3.11 does not tell it."""
    tell: Callable[[], Context] | None = getattr(task, "get_context", None)
    if tell is not None:
        return tell()
    parts = [getattr(task, "_context", None), *gc.get_referents(task)]
    return next((each for each in parts if type(each) is Context), Context())


def timed_bodies(runs: "Collection[Run]") -> Iterator[Node[Any]]:
    """Yield the nodes whose bodies a timer is about to cancel, as `asyncio.timeout` does.

    Not those with a `timeout=` of their own: that is a due moment which the store knows, too.
    """
    for timer in timers_on(next(iter(runs)).loop):
        task = getattr(timer, "_task", None) or getattr(timer, "_host_task", None)  # of asyncio, of anyio
        if isinstance(task, Node) and task.run in runs and timer is not task.time_limit and not task.done():
            yield task


def timers_on(loop: AbstractEventLoop) -> Iterable[object]:
    """Return what timers will call: the objects whose methods they are."""
    scheduled: Any = getattr(loop, "_scheduled", None)
    if scheduled is not None:
        return [getattr(each._callback, "__self__", None) for each in scheduled if not each.cancelled()]
    # A loop that does not tell, such as uvloop's: what refers to the bodies, then.
    timeouts = [each for each in gc.get_objects() if type(each) is Timeout]
    return [each for each in timeouts if each.when() is not None and not each.expired()]
