"""Begin the runs that bodies of recorded runs begin, in the same store: in this process, or for any worker of a queue."""

import sys
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.run import Run
from aiodag._core.run_options import id_of
from aiodag._core.waits import held_back
from aiodag.errors import EntryError, StoreError
from aiodag.mail import Wait
from aiodag.messages.children import ChildTask
from aiodag.messages.starters import run_here
from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.service.binding import as_task, bind
from aiodag.service.entry import Entry, Target
from aiodag.service.queues import queue_of_store
from aiodag.service.service import Service
from aiodag.service.submitting import Wishes, checked_queue, refuse_unwritable, submission_of
from aiodag.states import State
from aiodag.stores.children import child_error
from aiodag.stores.patience import in_thread_patiently
from aiodag.stores.row import NUMBER
from aiodag.submissions import Submission

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.task import Task
    from aiodag.abc import Runs
    from aiodag.records import RunRecord


async def begin_recorded(
    node: "Node[Any]", made: ChildTask, run_id: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
) -> Any:
    """Begin the run of a node, or go on waiting for it; return its value, or its id if it is let go of."""
    run: Any = node.run
    journal = run.journal
    child = ChildRun(run_id or child_id(run.id, node.key, made.entry.name), run.id, node.row[NUMBER], again=node.again)
    if made.waits and journal.is_recorded(node):
        # It waits since an earlier execution. At once, for whoever cancels it now must find that it does.
        return await journal.wait(node, Wait("run", topic=child.id))
    while (held := held_back(node)) is not None:
        await held
    place = journal.queue if made.queue is None else made.queue
    if place is None and not made.detached:
        return await child.run_here(journal.store, made.entry, args, kwargs)
    entry = entry_of_call(made.entry, args, kwargs)
    submission = child.submission(entry, place or DEFAULT_QUEUE, node.key)
    await in_thread_patiently(partial(child.submit, journal.store, submission))
    return child.id if made.detached else await journal.wait(node, Wait("run", topic=child.id))


def arguments_of(task: "Task[..., Any]", given: "dict[str, Any]") -> dict[str, Any]:
    """Return the arguments of a task that a message begins, as its annotations say. Raises `EntryError`."""
    return bind(Entry("", task.name, given), task)


def queue_for_children(name: object) -> str:
    """Check the name of a queue. Raises `OptionError`."""
    return checked_queue(name)


class ChildRun(NamedTuple):
    """A run that a node begins. `again`: the node had ended without success, and is to run again."""

    id: str
    parent: str
    number: int
    again: bool

    def found_in(self, store: "Runs", name: str) -> "RunRecord | None":
        """Return what is recorded of it. Raises `StoreError` if another run has its id, as far as its name and parent tell."""
        for record in store.runs(self.id):
            if record.parent_run == self.parent and record.name == name:
                return record
            by = (
                f"begun as {record.name!r}"
                if record.parent_run == self.parent
                else f"and was not begun by run {self.parent!r}"
            )
            msg = f"cannot begin {name!r}: run {self.id!r} is there, {by}; give begin(id=...) another id"
            raise StoreError(msg)
        return None

    # For any worker

    def submission(self, target: Target, queue: str, key: str) -> Submission:
        """Return what is submitted, once."""
        made = submission_of(target, Wishes(queue=queue))
        key = f"{self.parent} begins {key}"
        return made._replace(id=self.id, key=key, parent_run=self.parent, parent_node=self.number)

    def submit(self, store: "Runs", submission: Submission) -> None:
        """Have it recorded as queued, if it is not there; have one that failed go on, if its node runs again."""
        queue, found = queue_of_store(store), self.found_in(store, submission.name)
        if found is None:
            queue.submit(submission)
        elif self.again and found.state in {State.FAILED, State.CANCELLED}:
            queue.submit_again(self.id)

    # In this process

    async def run_here(
        self, store: "Runs", task: "Task[..., Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
    ) -> Any:
        """Run it on this loop, or return how it has ended."""
        found = await in_thread_patiently(partial(self.found_in, store, task.name))
        if found is not None and found.ended_at is not None and not (self.again and found.state is not State.SUCCEEDED):
            return await in_thread_patiently(partial(value_of_child, store, found))
        run = Run(task.name, store=store, id=self.id)
        run.parent = self.parent, self.number
        run.keeps_answer = task.options.journal
        with suppress(EntryError):  # else only this body can go on with it
            entry = entry_of_call(task, args, kwargs)
            run.entry, args, kwargs = entry.recorded(), (), bind(entry, task)
        return await run_here(run, as_task(task), args, kwargs)


def value_of_child(store: "Runs", run: "RunRecord") -> Any:
    """Return the value of a run that has ended. Raises what its node fails with."""
    if run.state is State.SUCCEEDED:
        return Service(store).value(run.id, "0")
    raise child_error(run.id, run.name, run.state, run.error)


def child_id(parent: str, key: str, name: str) -> str:
    """Return the id of a run that nobody has given one: the same whenever its node begins it."""
    return id_of(
        f"{name}-{blake2b(f'{parent} {key}'.encode(errors='backslashreplace'), digest_size=6).hexdigest()}", name
    )


def entry_of_call(task: "Task[..., Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> Entry:
    """Return a call as another process can make it. Raises `EntryError`."""
    file, name = place_of_function(task)
    try:
        bound = signature(task.fn).bind(*args, **kwargs)
    except TypeError as error:
        msg = f"begin({task.name}, ...): {error}"
        raise EntryError(msg) from None
    parameters: dict[str, Any] = {}
    for each, value in bound.arguments.items():
        kind = bound.signature.parameters[each].kind
        if kind is Parameter.VAR_KEYWORD:
            parameters.update(value)
        elif kind in {Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY}:
            msg = (
                f"begin({task.name}, ...): its parameter {each} takes no name, and a worker gives all arguments by name"
            )
            raise EntryError(msg)
        else:
            parameters[each] = value
    for each, value in parameters.items():
        refuse_unwritable(each, value)
    return Entry(file, name, parameters)


def place_of_function(task: "Task[..., Any]") -> tuple[str, str]:
    """Return the file of a task, and its name there. Raises `EntryError` if no other process could find it so."""
    module = sys.modules.get(getattr(task.fn, "__module__", ""))
    file, name = getattr(module, "__file__", None), getattr(task.fn, "__name__", "")
    found = getattr(module, name, None)
    if file and task.fn in {found, getattr(found, "fn", None)}:
        return str(Path(file).resolve()), name
    msg = f"begin({task.name}, ...): a worker finds what it runs by a file and a name, and {task.name} is not at the top of a file"
    raise EntryError(msg)
