"""What messages begin: a task whose runs are begun by those that nobody waits for."""

import hashlib
from contextvars import Context
from inspect import Parameter, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.arity import shown_parameters
from aiodag._core.doors import open_door
from aiodag._core.run import Run
from aiodag._core.task import Task
from aiodag.errors import LetGo, NotATask, RunCancelled
from aiodag.states import State

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from aiodag._core.node import Node

BY_NAME = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}


class Beginning(NamedTuple):
    """A task that begins with a message, the queue of its runs, and its parameter that is given the payload; "" for none.

    `declared_in` is the file that says so.
    """

    entry: Task[..., Any]
    queue: str
    parameter: str
    declared_in: str

    def run_id(self, topic: str, message_id: str) -> str:
        """Return the id of the run that a message begins: the same whenever that comes."""
        digest = hashlib.sha256(f"{topic}\n{message_id}".encode("utf-8", "backslashreplace")).hexdigest()
        return f"{self.entry.name}-{digest[:12]}"

    def call(self, payload: object) -> "Node[Any]":
        """Call the task as a worker does: with a payload of the type that its parameter is annotated with. Raises `EntryError`."""
        given = {self.parameter: payload} if self.parameter else {}
        return self.entry(**open_door("children").arguments_of(self.entry, given))


def beginning_of(entry: Any, queue: str, declared_in: str) -> Beginning:
    """Return what a message begins. Raises `NotATask`, and `TypeError` for what does not take a payload alone."""
    if not isinstance(entry, Task) and not iscoroutinefunction(entry):
        raise NotATask(entry, "begins no run", taker="starts", wanted="a task or an async function")
    made = entry if isinstance(entry, Task) else Task(entry)
    named = [each for each in shown_parameters(made.fn) if each.kind in BY_NAME]
    parameter = named[0].name if named else ""
    try:
        made.check((), {parameter: None} if parameter else {})
    except TypeError as error:
        msg = f"a message begins {made.name} with its payload alone: {error}"
        raise TypeError(msg) from None
    return Beginning(made, queue, parameter, declared_in)


async def run_here(
    run: Run, entry: "Callable[..., Node[Any]]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
) -> Any:
    """Run an entry to its end on this loop. Raises `RunFailed` and `RunCancelled`, and what its call does."""
    made: list[Node[Any]] = []
    async with run:
        made.append(entry(*args, **kwargs))
        try:
            await run.wait()
        except LetGo:  # of the run that has begun this one: both go on elsewhere
            if run.journal is not None:
                run.let_go()
            raise
    if run.state is State.CANCELLED:
        raise RunCancelled(run.id or run.name)
    return await made[0]  # its value may have stayed with its executor


def run_alone(
    loop: "AbstractEventLoop",
    held: "set[Node[Any]]",
    run: Run,
    entry: "Callable[..., Node[Any]]",
    *args: Any,
    **kwargs: Any,
) -> None:
    """Have a run go on by itself on a loop, for as long as that runs. The loop reports its failure."""
    going_on = loop.create_task(run_here(run, entry, args, kwargs), context=Context())
    alive: set[Any] = held
    alive.add(going_on)  # a loop holds its asyncio tasks weakly
    going_on.add_done_callback(alive.discard)
