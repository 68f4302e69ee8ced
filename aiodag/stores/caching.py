"""Take values that any run has computed: what such a value is known by, and one computation for equal calls at once.

Within a run a function of the program's own file needs no module to be known by. Across runs there may be two programs, so
here a function is known by its file, unless it is one of an installed package.
"""

import os
import sys
import sysconfig
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aiodag._core.context import current_node
from aiodag._core.search import check_returned
from aiodag._core.seats import Aside
from aiodag.abc import NOTHING
from aiodag.errors import NoIdentity
from aiodag.records import REFERENCE
from aiodag.stores.arguments import FORMERLY, TODAY, plain_name
from aiodag.stores.identity import Mark, innermost_function, is_found, is_main
from aiodag.stores.keys import Keys, digest_of_call, origin_of_task
from aiodag.stores.patience import in_thread_patiently

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node
    from aiodag._core.task import Task
    from aiodag.abc import Runs
    from aiodag.stores.large_values import LargeValues

COMPUTING: ContextVar[frozenset[Any]] = ContextVar("aiodag_computing", default=frozenset())  # around here
Value = tuple[str, Any]  # a codec, and a value in it
Entry = tuple[str, str, str, Any, float]  # as a store keeps it: key, task, codec, value, seconds since the epoch


def cache_keys(node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", home: str) -> tuple[str, ...]:
    """Return the key of a computation in all runs, and those under which earlier versions may have kept it.

    Raises `NoIdentity` for a function that programs cannot tell from another one.
    """
    key = digest_of_call(identity_across_runs(node.task, home), node, upstream, "", TODAY)
    formers = (
        digest_of_call(plain, node, upstream, "", style)
        for plain in former_identity(node.task, home)
        for style in FORMERLY
    )
    return tuple(dict.fromkeys([key, *formers]))


def identity_across_runs(task: "Task[..., Any]", home: str) -> str:
    """Return what a task is known by in all runs. Raises `NoIdentity`."""
    if task.options.name:
        return plain_name(task.name)
    fn = innermost_function(task.fn)
    if not is_own(fn.__module__) and is_found(fn):
        return Keys(home).identity(task)
    return f"{task.name}\2{FileMark(home).of(fn, task.name)}"


def former_identity(task: "Task[..., Any]", home: str) -> Iterator[str]:
    """Yield what 1.2.0 knew a task by, unless it could have been that of another program."""
    fn = innermost_function(task.fn)
    if task.options.name:
        yield task.name
    elif is_found(fn) and not is_main(fn.__module__, home) and getattr(task, "__module__", "") == fn.__module__:
        yield f"{origin_of_task(task, home)}{task.name}"


class FileMark(Mark):
    """What tells functions of one name apart in all programs: a module of a program is known by its file."""

    def of(self, fn: object, task: str) -> str:
        """Return the mark of the function of a task. Raises `NoIdentity`."""
        if is_own(fn.__module__) and not file_of(fn.__module__):
            why = "its value would be kept for all programs, and this program has no file to know it by"
            raise NoIdentity(task, why)
        return super().of(fn, task)

    def place(self, module: str | None, name: str) -> str:
        """Return where something is written."""
        return f"{file_of(module) if is_own(module) else module}:{name}"


def is_own(module: str | None) -> bool:
    """Return True if a module is part of a program, and not of an installed package or of Python."""
    if (module or "").partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return False
    file = file_of(module)
    return not file or not any(Path(file).is_relative_to(place) for place in installed_directories())


def file_of(module: str | None) -> str:
    """Return the file of a loaded module, empty if there is none."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    return resolve_path(file) if file else ""


@cache
def resolve_path(file: str) -> str:
    """Return the path of a file, through all links."""
    return str(Path(file).resolve())


@cache
def installed_directories() -> frozenset[str]:
    """Return the directories of installed packages."""
    paths = sysconfig.get_paths()
    return frozenset(resolve_path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class Flight:
    """One computation, and those who wait for it, perhaps on loops of several threads.

    Equal calls wait for the first of them. If that fails or is cancelled, it says nothing about the others: each of them
    takes its turn then, one after the other. A value is given to those who come until it is written, when the store has it.
    """

    # What is computed in this process now. One table for all threads, since runs in any of them may ask for the same.
    _flying: ClassVar[dict[Any, "Flight"]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, place: object, loop: AbstractEventLoop) -> None:
        self.place = place
        self.loop = loop
        self.value: Value | None = None  # which is being written
        self._waiters: list[tuple[AbstractEventLoop, Future[Value | None]]] = []

    @classmethod
    def of(cls, place: object, loop: AbstractEventLoop) -> "tuple[Flight, Future[Value | None] | None]":
        """Return the computation of a place, and a future of how it ends: its value, None if it fails.

        Without a future it is a new one, which is to be landed.
        """
        with cls._lock:
            flight = cls._flying.get(place)
            if flight is None:
                flight = cls._flying[place] = cls(place, loop)
                return flight, None
            future: Future[Value | None] = loop.create_future()
            if flight.value is None:
                flight._waiters.append((loop, future))
            else:
                loop.call_soon(settle_waiter, future, flight.value)  # so that a call always waits for its value
            return flight, future

    def land(self, value: Value | None = None) -> None:
        """Tell everyone who waits how it ended; who comes now looks into the store. What is said later does not count."""
        with self._lock:
            if self._flying.get(self.place) is self:
                del self._flying[self.place]
        self.give(value)

    def give(self, value: Value | None) -> None:
        """Give a value to everyone who waits, and to those who come until it has landed."""
        with self._lock:
            self.value = value
            waiters, self._waiters = self._waiters, []
        for loop, future in waiters:
            with suppress(RuntimeError):  # of a loop that has been closed: nobody waits any more
                loop.call_soon_threadsafe(settle_waiter, future, value)


def land_all(flights: list[Flight]) -> None:
    """Land computations whose values are written, or never will be."""
    while flights:
        flights.pop().land()


def settle_waiter(future: "Future[Value | None]", value: Value | None) -> None:
    """Give a future its value, if somebody still waits."""
    if not future.done():
        future.set_result(value)


async def without_seat(ending: "Future[Value | None]") -> "Value | None":
    """Wait for another computation without a seat of the run: what that calls may need one."""
    node = current_node()
    seats = None if node is None or node.run is None else node.run.seats
    try:
        found: Value | None = await (ending if node is None or seats is None else Aside(ending, node, seats))
        return found
    finally:
        del node  # as in Aside


class Cache:
    """The values of one store that runs of it share."""

    def __init__(self, store: "Runs", engine: "Engine", large: "LargeValues") -> None:
        self.store = store
        self._large = large
        self._engine = engine
        # The process too: a forked child has a copy of the table, and nobody there computes what it says.
        self._place = os.getpid(), store.place

    async def through(
        self,
        node: "Node[Any]",
        body: Callable[[], Awaitable[Any]],
        *,
        anew: bool,
        keep: Callable[[Entry, Flight], None],
    ) -> Any:
        """Return the value of a node: one that another run or node has computed, or what its body gives, for them to take.

        `keep` has it written, and lands the flight then.
        """
        task, keys, check = node.task, node.cache_keys, partial(check_returned, node)
        del node  # a failure's traceback holds this frame
        flight = await self.take(keys, task.options.cache, anew=anew)
        try:
            if not isinstance(flight, Flight):
                value = await self._large.decode(task, *flight)
                if value is not NOTHING:
                    return value
                if flight[0] == REFERENCE:  # it is gone: what is computed now takes its place
                    flight = await self.take(keys, task.options.cache, anew=True)
            running = body()
            del body  # its arguments are its own from here on
            value = await running
            check(value)
            if isinstance(flight, Flight):
                computed = await self._large.encode(task, value)
                flight.give(computed)
                keep((keys[0], task.name, *computed, time.time()), flight)
            return value
        finally:
            del check
            if isinstance(flight, Flight) and flight.value is None:
                flight.land()

    async def take(self, keys: Sequence[str], age: "bool | float", *, anew: bool) -> "Value | Flight":
        """Return a value that is there or that somebody computes now; else, or `anew`, the computation to be done now.

        A call inside of the computation of its own value does that again, as it would without a cache.
        """
        place = (*self._place, keys[0])
        loop = self._engine.loop
        if anew or place in COMPUTING.get():
            return Flight(place, loop)
        flight, ending = Flight.of(place, loop)
        while ending is not None:
            # A computation on another loop is not seen by a virtual clock of this one.
            with nullcontext() if flight.loop is loop else self._engine.real_time:
                value = await without_seat(ending)
            if value is not None:
                return value
            flight, ending = Flight.of(place, loop)
        COMPUTING.set(COMPUTING.get() | {place})
        try:
            with self._engine.real_time:
                found = await in_thread_patiently(partial(self._find, keys, age))
        except BaseException:
            flight.land()
            raise
        if found is None:
            return flight
        flight.land(found)
        return found

    def _find(self, keys: Sequence[str], age: "bool | float") -> Value | None:
        since = 0.0 if age is True else time.time() - age
        return next((found for key in keys if (found := self.store.cached_value(key, since)) is not None), None)
