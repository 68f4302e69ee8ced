"""The seams: what a layer, or your own code, can put into aiodag.

A *middleware* wraps each attempt of a node. An *observer* is told of every move and cannot interfere.
An *executor* is where an attempt of a function runs, a *host* where a program does. A *store* is where runs are remembered,
by a *journal* for each run. A *transport* carries messages between a store and the world.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aiodag.admitting import Access as Access
from aiodag.copies import Copies as Copies
from aiodag.happenings import Listener as Listener
from aiodag.inboxes import Inbox as Inbox
from aiodag.journal import NOTHING as NOTHING
from aiodag.journal import Journal as Journal
from aiodag.journal import Raised as Raised
from aiodag.journal import Runs as Runs
from aiodag.measures import Measures as Measures
from aiodag.queueing import Queue as Queue
from aiodag.scheduling import Schedules as Schedules

if TYPE_CHECKING:
    from datetime import datetime

    from aiodag._core.node import Node
    from aiodag.mail import Incoming, Outgoing
    from aiodag.programs import ProgramRequest, ProgramWatch
    from aiodag.states import State


class Move(NamedTuple):
    """One move of one node, as an observer sees it. `at` is in seconds of the loop's clock.

    `previous` is None for the first move of a node.

    >>> from aiodag import Run, task
    >>> moves = []
    >>> class Watch:
    ...     moved = moves.append
    >>> async with Run("etl", observers=[Watch()]):
    ...     node = task(sum)([1, 2])
    >>> [(move.state.value, move.attempt) for move in moves]
    [('waiting', 0), ('queued', 0), ('running', 1), ('succeeded', 1)]
    """

    node: "Node[Any]"
    previous: "State | None"
    state: "State"
    at: float
    attempt: int


class Observer(Protocol):
    """Hears of every move of every node of a run, in order and at once.

    An observer that raises is reported through the loop's exception handler, once in each run; the run goes on.

    >>> from aiodag import Run, task
    >>> class Printer:
    ...     def moved(self, move):
    ...         print(move.node.name, move.state)
    >>> async with Run("etl", observers=[Printer()]):
    ...     node = task(sum)([1, 2])
    sum waiting
    sum queued
    sum running
    sum succeeded
    """

    def moved(self, move: Move, /) -> object:
        """Take note of a move. Must not block."""
        ...


class Executor(Protocol):
    """Where an attempt runs.

    `run` gets the task's function and its finished arguments, and returns or raises as the function did.
    Cancelling it must end the attempt, or leave it and say so with `Node.abandon`.

    An executor with a limited number of workers has a second method, `async def place(self) -> Worker`. It is awaited before
    the attempt begins: the node is queued meanwhile, and its timeout counts from then on.

    One that can run async functions, in a loop where they are, says so: `takes_async = True`. One that is named by a run may
    have `async def close(self)`, which that calls at its end. When nobody can know how an attempt ended, `run` raises
    `AttemptLost`, but only when nothing of it runs any more: it is tried again.

    >>> from aiodag import task
    >>> class Inline:
    ...     async def run(self, fn, /, *args, **kwargs):
    ...         return fn(*args, **kwargs)  # on the loop, which it blocks
    >>> await task(sum, executor=Inline())([1, 2])
    3
    """

    async def run(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn(*args, **kwargs)` somewhere and return its value."""
        ...


class Worker(Executor, Protocol):
    """Where one attempt runs, and nothing else at the same time: what `place` of an executor returns.

    >>> from aiodag import task
    >>> class Desk:
    ...     async def run(self, fn, /, *args, **kwargs):
    ...         return fn(*args, **kwargs)
    ...     def leave(self):
    ...         print("the desk is free")
    >>> class Office:
    ...     async def place(self):
    ...         return Desk()
    ...     async def run(self, fn, /, *args, **kwargs): ...
    >>> await task(sum, executor=Office())([1, 2])
    the desk is free
    3
    """

    def leave(self) -> None:
        """Give the worker back. Called once, when the attempt has ended, even if nothing ran."""
        ...


class Codec(Protocol):
    """How the values of a task are recorded: `@task(codec=...)`.

    Records have `name`, so it must stay the same. A value recorded under a name is read only by a task with a codec of that name.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> class Upper:
    ...     name = "upper"
    ...     def encode(self, value: str) -> str:
    ...         return value.upper()
    ...     def decode(self, stored: str) -> str:
    ...         return stored.lower()
    >>> @task(codec=Upper())
    ... async def greet():
    ...     return "hello"
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = greet()
    >>> [(record.codec, record.value) for record in store.nodes("monday")]
    [('upper', 'HELLO')]
    """

    @property
    def name(self) -> str:
        """How records call the codec."""
        ...

    def encode(self, value: Any, /) -> str | bytes:
        """Return a value as text or bytes. Raises any `Exception` for a value that it cannot write."""
        ...

    def decode(self, stored: Any, /) -> Any:
        """Return the value of a text or bytes. Raises any `Exception` for what it did not write."""
        ...


class Middleware(Protocol):
    """Wraps each attempt of a node: what it does before and after `await call_next()`. An async function is one, too.

    The first listed is outermost. `call_next()` runs the body; call it once, or not at all. What a middleware
    returns is the node's value. What it raises fails the attempt, which is tried again if the task has `retries`.

    >>> from aiodag import task
    >>> class Announced:
    ...     async def __call__(self, node, call_next, /):
    ...         print(node.name, "attempt", node.attempt)
    ...         return await call_next()
    >>> @task(middleware=[Announced()])
    ... async def fetch():
    ...     return "rows"
    >>> await fetch()
    fetch attempt 1
    'rows'
    """

    async def __call__(self, node: "Node[Any]", call_next: Callable[[], Awaitable[Any]], /) -> Any:
        """Return what the node's body returned, or something in its place."""
        ...


class Host(Protocol):
    """Where programs run: `command("sync", host=...)`. `name` is how records call the machine.

    Cancelling `run` must end the program, and all that it has started, before the `CancelledError` goes on.

    A host may have further methods:

    - `async def find(self, facts, request, watch, /)` takes up a program that an earlier owner of the run has started, and
      goes on as `run` does: with `note_start`, its output from the beginning, and its end. `facts` are those that
      `note_start` has noted, `{}` if there are none: then `request.label` is what it is looked for by. Raises
      `ProgramNotFound` if nothing of it runs or has run, `ProgramLost` if it has ended in a way that nobody knows, and
      `HostUnreachable` if nobody can look: then the attempt fails, and the next one looks again. Cancelled, also before it
      has found anything, it ends the program. When the run goes on in another process, `run` and `find` get a `LetGo` and
      not a `CancelledError` where they wait, and leave the program running.
    - `def refuse(self, resources, /) -> str` says why no machine of it can ever have them, "" if one can. It is asked at the
      call. A host that has it does the accounting: the capacity of the run is not asked.
    - `at_once` is the `Limit` of commands without a limit of their own on this host, None if it bounds them by itself. Those on
      this machine and on hosts that do not say run 64 at once, together.
    - `def form(self)` returns it as JSON, as files write it: `{"type": "slurm", "partition": "debug"}`, without secrets.
    - `async def close(self)` lets go of connections. The run that names the host, `Run(hosts=...)`, calls it at its end.

    >>> from aiodag.commands import command
    >>> from aiodag.programs import ProgramEnd
    >>> class Echo:
    ...     name = "echo"
    ...     async def run(self, request, watch, /):
    ...         watch.wrote("stdout", " ".join(request.args).encode())
    ...         watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))
    >>> finished = await command("sync", "--fast", host=Echo())()
    >>> finished.stdout, finished.host
    ('sync --fast', 'echo')
    """

    @property
    def name(self) -> str:
        """How records call the machine."""
        ...

    async def run(self, request: "ProgramRequest", watch: "ProgramWatch", /) -> object:
        """Run a program until nothing of it is left. Raises `ProgramNotStarted` and `ProgramLost`."""
        ...


class Trigger(Protocol):
    """Says when: the moments of a schedule. `aiodag.schedules` has `Cron`, `Every`, `Once` and `Moments`.

    A trigger holds nothing that changes: the same question has the same answer in every process.

    >>> from datetime import UTC, datetime, timedelta
    >>> class NewYear:
    ...     def next(self, after, *, inclusive=False):
    ...         start = datetime(after.year, 1, 1, tzinfo=UTC)
    ...         return start if inclusive and after == start else start.replace(year=after.year + 1)
    ...     def prev(self, before, *, inclusive=False):
    ...         start = datetime(before.year, 1, 1, tzinfo=UTC)
    ...         return start if before > start or inclusive else start.replace(year=before.year - 1)
    ...     def form(self):
    ...         return {"new_year": True}
    >>> from aiodag.schedules import Every
    >>> print(Every(timedelta(days=1), exclude=[NewYear()]).next(datetime(2025, 12, 31, tzinfo=UTC)))
    2026-01-02 00:00:00+00:00
    """

    def next(self, after: "datetime", /, *, inclusive: bool = False) -> "datetime | None":
        """Return the first moment after another one, aware; None if there is none. `inclusive`: that one itself, too."""
        ...

    def prev(self, before: "datetime", /, *, inclusive: bool = False) -> "datetime | None":
        """Return the last moment before another one, aware; None if there is none. `inclusive`: that one itself, too."""
        ...

    def form(self) -> Mapping[str, Any]:
        """Return the trigger as JSON, which `aiodag.schedules.trigger_of` reads back if it is one of those there."""
        ...


class Transport(Protocol):
    """Carries messages into a store and out of it: `aiodag worker --transport`, `Topic(via=...)`, `register_transport`.

    Delivery is at least once in both directions; the ids of messages tell receivers what they have had. What a transport raises
    is printed by the worker, which then begins anew: with another `receive`, or by sending the same messages again.

    >>> from aiodag.records import Incoming
    >>> class Post:
    ...     def __init__(self):
    ...         self.box = [Incoming("PAYMENT", ("A17",), "m1", '{"amount": 5}')]
    ...     async def receive(self):
    ...         while self.box:
    ...             yield list(self.box)
    ...             self.box.clear()  # somebody asks for more: these are in the inbox
    ...     async def send(self, messages):
    ...         for message in messages:
    ...             print(message.topic, message.keys, message.id, message.payload)
    ...     async def close(self): ...
    >>> [[message.id for message in batch] async for batch in Post().receive()]
    [['m1']]
    """

    def receive(self) -> "AsyncGenerator[list[Incoming]]":
        """Yield messages as they come, those of one key in order. Who asks for more has the former in the inbox.

        Only then they may be forgotten where they came from. What cannot be read is yielded, too, and becomes a dead letter: with
        the reason that is in `dead`, or what is wrong with its topic, keys, id or payload.
        """
        ...

    async def send(self, messages: "Sequence[Outgoing]", /) -> None:
        """Send messages, those of one key in order, and return when none of them can be lost any more.

        Raises `MessageRefused` for one that can never be sent.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Nothing is received or sent any more."""
        ...
