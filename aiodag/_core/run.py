"""The scope that owns nodes: waits for them, reports on them, remembers them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import Token
from importlib import import_module
from inspect import iscoroutinefunction
from os import urandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiodag._core.capacity import Capacity, capacity_of
from aiodag._core.context import RUN
from aiodag._core.failure import Failure, path_of, path_text
from aiodag._core.ledger import Ledger
from aiodag._core.node import Node
from aiodag._core.options import flag, seconds
from aiodag._core.seats import Seats
from aiodag._core.states import State
from aiodag.abc import Move, Observer
from aiodag.errors import OptionError, RunCancelled, RunFailed, StoreError

if TYPE_CHECKING:
    from os import PathLike

    from aiodag._core.graph import Graph
    from aiodag.abc import Journal, Store

log = logging.getLogger("aiodag.run")
SHOWN = 10  # skipped nodes that a report names for each root


class Run:
    """Own every node made inside `async with`, also by other nodes; leave when all have settled.

    Independent branches go on after a failure, and leaving raises `RunFailed` with every root failure that nobody
    took; with `fail_fast` the first failure cancels the rest. Leaving by an exception cancels the nodes and waits, at
    most `grace` seconds, then names what would not end. `limit` bounds the nodes that run at once; a body that
    awaits another node of the run does not count. `capacity` has the resources that tasks ask for. `observers` are told
    of every move. With a `store` the run is durable: what happens is written there, and a run of the same `id` recalls
    what has succeeded. Entering raises `RunOwned` and `StoreError` then; leaving raises `RunCancelled` when somebody
    cancelled the run from outside. `tags` are words by which to find it there, such as `{"env": "test"}`.

    >>> import asyncio, aiodag
    >>> @aiodag.task
    ... async def fetch(x: int) -> int:
    ...     return x
    >>> async def main() -> str:
    ...     async with aiodag.Run("etl") as run:
    ...         fetch(1)
    ...     return str(run.state)
    >>> asyncio.run(main())
    'succeeded'
    """

    def __init__(
        self,
        name: str = "run",
        *,
        limit: int | None = None,
        capacity: Capacity | None = None,
        fail_fast: bool = False,
        observers: Iterable[Observer] = (),
        grace: float = 10.0,
        store: "str | PathLike[str] | Store | None" = None,
        id: str | None = None,  # noqa: A002 - the word of the field
        tags: Mapping[str, str] | None = None,
    ) -> None:
        given: Any = name
        if not isinstance(given, str):
            raise OptionError("name", given, "a string")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise OptionError("limit", limit, "an int of 1 or more: the nodes that may run at once")
        self.name = name
        self.limit = limit
        self.capacity = capacity_of(capacity)
        self.fail_fast = flag("fail_fast", fail_fast)
        self.grace = seconds("grace", grace)
        self.observers = observers_of(observers)
        self.store = store
        self.id = id_of(id, name) if store is not None or id is not None else ""
        self.tags = tags_of(tags)
        self.entry: Mapping[str, Any] | None = None  # how to run it again: a file, a task and its parameters
        self.definition: str | None = None  # what it is built from, for its store: the text of a workflow
        self.journal: Journal | None = None
        self.state = State.WAITING
        self.stopping = False
        self.failures: list[Failure] = []
        self.moves: list[Any] = []  # of the ledger
        self.seats = None if limit is None else Seats(limit)
        self._live: set[Node[Any]] = set()
        self._idle: asyncio.Future[None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._stopped_body = False
        self._cut_short = False  # whether nodes were cancelled because somebody stopped or drained the run
        self._given_up = False
        self._ended_at: float | None = None

    # The scope

    async def __aenter__(self) -> Self:
        if self.state is not State.WAITING:
            msg = f"run {self.name!r} has {self.state} already; make a new Run for each execution"
            raise RuntimeError(msg)
        self.loop = asyncio.get_running_loop()
        self.clock = clock_of(self.loop)
        planned = getattr(self.loop, "aiodag_ledger", None)  # plan() collects the nodes of every run it meets
        self.ledger: Ledger = planned or Ledger(self.name, self.clock())
        if planned is not None:
            self.observers, self.store = (), None  # nothing happens that could be told or written
        self.moves = self.ledger.moves
        self._body = asyncio.current_task()
        self._token: Token[Run | None] = RUN.set(self)
        self.state = State.RUNNING
        if self.store is not None:
            await self._open_journal(self.store)
        log.debug("run %s begins", self.id or self.name)
        return self

    async def _open_journal(self, store: "str | PathLike[str] | Store") -> None:
        # By name: the core knows no layer, and a run without a store loads none.
        journal = import_module("aiodag.stores.recorder").Recorder(self, store)
        try:
            await journal.open()
        except BaseException:
            self.state = State.FAILED
            RUN.reset(self._token)
            raise
        self.journal = journal

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self.state is not State.RUNNING:
            msg = f"run {self.name!r} was left without being entered; write `async with run:`"
            raise RuntimeError(msg)
        with suppress(ValueError):  # left by another asyncio task, as generators of tests are: its context has gone
            RUN.reset(self._token)
        try:
            error = await self._leave(error)
            handled = self._end(error)
        except BaseException as raised:
            await self._close_journal(raised)
            raise
        else:
            await self._close_journal(error)
        finally:
            log.debug("run %s ends: %s", self.id or self.name, self.state)
        return handled

    async def _leave(self, error: BaseException | None) -> BaseException | None:
        """Wait for the nodes, or cancel them; return what the body raised of itself."""
        if self._stopped_body and self._body is not None and self._body.uncancel() == 0 and _is_cancel(error):
            error = None  # our own cancel of the body, after the first failure
        elif _is_cancel(error) and self.failures and not self._body_cancelling():
            error = None  # the body awaited a node that was cancelled because another failed
        try:
            if error is not None:
                await self._stop()
            else:
                await self._wait()
        except BaseException:
            self.state = State.CANCELLED
            await self._stop()
            raise
        finally:
            self._body = None
            self._ended_at = self.clock()
        return error

    async def _close_journal(self, error: BaseException | None) -> None:
        journal = self.journal
        if journal is None:
            return
        await journal.close(self.state, error)
        if error is None and isinstance(journal.error, StoreError):  # the end of the run could not be written
            self.state = State.FAILED
            raise journal.error

    def _end(self, error: BaseException | None) -> bool:
        """Say how the run ended. Raises `RunFailed`, and what ended its journal."""
        if self.journal is not None and self.journal.error is not None:
            self.state = State.CANCELLED if isinstance(self.journal.error, RunCancelled) else State.FAILED
            raise self.journal.error
        if error is not None:
            self.state = State.CANCELLED if _is_cancel(error) else State.FAILED
            return False
        roots = [failure for failure in self.failures if not failure.report.taken]
        if not roots:
            self.state = State.CANCELLED if self._cut_short else State.SUCCEEDED
            return True
        self.state = State.FAILED
        for failure in roots:
            failure.report.taken = True
        raise RunFailed(self._report(roots), [as_exception(each.exception) for each in roots], roots)

    def _body_cancelling(self) -> bool:
        return self._body is not None and self._body.cancelling() > 0

    async def _wait(self) -> None:
        # A counter and not the nodes themselves: a body that ends may have added others.
        while self._live and not self._given_up:
            self._idle = self.loop.create_future()
            await self._idle

    def _give_up(self) -> None:
        """Wait no longer for nodes that will not end although they were cancelled."""
        self._given_up = True
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _stop(self) -> None:
        """Cancel what is left, consumers first, and wait: no longer than `grace` seconds."""
        self.stop()
        try:
            async with asyncio.timeout(self.grace):
                await self._wait()
        except TimeoutError:
            if not self._live:
                return
            names = sorted({f"{node.name} (called at {node.site})" for node in self._live})
            self.loop.call_exception_handler(
                {"message": f"run {self.name!r} left after {self.grace:g} s what would not end: {', '.join(names)}"}
            )

    def stop(self) -> None:
        """Cancel every unfinished node, and every node that is still made."""
        self.stopping = True
        for node in sorted(self._live, key=lambda node: node.state is State.RUNNING):
            node.cancel(f"run {self.name!r} is being cancelled")

    def abort(self) -> None:
        """Cancel every node and the body of the scope; why is said by the journal, and raised when the scope is left."""
        self.stopping = True
        self._stop_all()
        self.loop.call_later(self.grace, self._give_up)

    def drain(self) -> None:
        """Let what runs finish, and start nothing more: what waits is cancelled, and so is what is still made."""
        self.stopping = True
        for node in [node for node in self._live if node.state is not State.RUNNING]:
            node.cancel(f"run {self.name!r} is being drained")

    # What the engine tells

    def enter(self, node: Node[Any], upstream: list[tuple[Node[Any], bool]]) -> None:
        """Own a new node."""
        if self.capacity is not None:
            self.capacity.enter(node)
        if self.state.final:
            node.run = None  # made by what outlived the run: nobody waits for it here
            return
        if self.journal is not None:
            self.journal.enter(node, upstream)
        self._live.add(node)
        at = self.clock()
        self.ledger.enter(node, upstream, at)
        if self.observers:
            self._tell(node, None, State.WAITING, at)

    def moved(self, node: Node[Any], previous: State, state: State) -> None:
        """Note a move."""
        at = self.clock()
        self.moves += (node.number, state, at)
        if self.journal is not None:
            self.journal.moved(node, state, at)
        if self.observers:
            self._tell(node, previous, state, at)

    def leave(self, node: Node[Any], previous: State) -> None:
        """Note that a node has settled."""
        at = self.clock()
        self.moves += (node.number, node.state, at)
        if self.journal is not None:
            self.journal.moved(node, node.state, at)
        if self.observers:
            self._tell(node, previous, node.state, at)
        self._live.discard(node)
        if self.stopping and node.state is State.CANCELLED:
            self._cut_short = True
        if self.seats is not None:
            self.seats.leave(node)
        if node.fault is not None and node.state is State.FAILED:
            self._failed(node, node.fault)
        if self._idle is not None and not self._live and not self._idle.done():
            self._idle.set_result(None)

    def _failed(self, node: Node[Any], fault: Failure) -> None:
        self.ledger.errors[node.number] = fault.report.exception
        self.failures.append(fault)
        if not self.fail_fast or self.stopping:
            return
        self.stopping = True
        # In a turn of its own: the engine is in the middle of settling, and skips what needs the node first.
        self.loop.call_soon(self._stop_all)

    def _stop_all(self) -> None:
        self.stop()
        if self._body is not None and not self._body.done() and self._idle is None:
            self._stopped_body = True
            self._body.cancel()

    def _tell(self, node: Node[Any], previous: State | None, state: State, at: float) -> None:
        move = Move(node, previous, state, at, node.attempt)
        for observer in self.observers:
            try:
                observer.moved(move)
            except BaseException as error:  # noqa: BLE001 - an observer harms nothing, whatever it raises
                kind = type(observer).__qualname__
                self.loop.call_exception_handler(
                    {"message": f"observer {kind} of run {self.name!r} raised", "exception": error}
                )
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    # In a turn of its own, for it stops the loop: here, the move is not complete.
                    self.loop.call_soon(reraise, error)

    # What people see

    def graph(self) -> "Graph":
        """Return the graph as it is now. Raises `RuntimeError` before the run has begun."""
        if self.state is State.WAITING:
            msg = (
                f"run {self.name!r} has not begun, so it has no nodes: use `async with run:`, or plan(fn) to see first"
            )
            raise RuntimeError(msg)
        return self.ledger.graph(self.clock() if self._ended_at is None else self._ended_at)

    def _report(self, roots: list[Failure]) -> str:
        counts = self.graph().counts()
        total = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        barriers = self.ledger.barrier_names()
        lines = [f"run {self.name!r}: {total}"]
        for failure in roots:
            lines.append(f"  {failure}  (called at {failure.site})")
            # What a body awaited and passed on began elsewhere.
            first = [other for other in self.failures if other.report.exception is failure.report.exception]
            if first[0].report is not failure.report:
                lines.append(f"    first of all {first[0]}  (called at {first[0].site})")
            hops = [hop for hop in failure.report.skipped if hop[0] not in barriers]
            lines += [f"    {path_text(hop, path_of(hop)[-1])}" for hop in hops[:SHOWN]]
            lines += [f"    … and {len(hops) - SHOWN:,} more skipped"] if len(hops) > SHOWN else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.state}>"


def _is_cancel(error: BaseException | None) -> bool:
    return isinstance(error, asyncio.CancelledError)


def observers_of(given: Any) -> tuple[Observer, ...]:
    """Check observers."""
    observers = tuple(given) if hasattr(given, "__iter__") else (given,)
    methods = [getattr(each, "moved", None) for each in observers]
    if hasattr(given, "__iter__") and all(map(callable, methods)) and not any(map(iscoroutinefunction, methods)):
        return observers
    raise OptionError("observers", given, "a list of objects with a plain method moved(move), not an async one")


def id_of(given: Any, name: str) -> str:
    """Return the id of a run: as given, or its name, as far as an id may have that, and something random."""
    if given is None:
        text = "".join(each if each.isprintable() else "_" for each in name).lstrip("-")
        return f"{text or 'run'}-{urandom(4).hex()}"
    if isinstance(given, str) and given and given.isprintable() and not given.startswith("-"):
        return given
    raise OptionError("id", given, "a string of printable characters that does not begin with -")


def tags_of(given: Any) -> dict[str, str]:
    """Check tags, and return a copy."""
    if given is None:
        return {}
    if isinstance(given, Mapping) and all(isinstance(each, str) for pair in given.items() for each in pair):
        return dict(given)
    raise OptionError("tags", given, "a dict of strings, such as {'env': 'test'}")


def reraise(error: BaseException) -> None:
    """Raise what stops the loop."""
    raise error


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the loop's clock, without the method in between where it is the usual one."""
    return time.monotonic if getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time else loop.time


def as_exception(error: BaseException) -> Exception:
    """Return what an ExceptionGroup can hold; a bare BaseException of a body is wrapped."""
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"a body raised {error!r}, which is not an Exception")
    wrapped.__cause__ = error
    return wrapped
