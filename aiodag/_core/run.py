"""The scope that owns nodes: waits for them, reports on them, remembers them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.capacity import Capacity, capacity_of
from aiodag._core.context import RUN
from aiodag._core.doors import open_door
from aiodag._core.elsewhere import name_elsewhere
from aiodag._core.hooks import Hooks, hooks_of
from aiodag._core.layers import layers_of
from aiodag._core.ledger import Ledger
from aiodag._core.letting_go import let_go_of, parting_of
from aiodag._core.members import HURRY, Members
from aiodag._core.named import end_use, note_use
from aiodag._core.notebook import bundle_of_graph
from aiodag._core.options import check_seconds, flag, timeout_of
from aiodag._core.report import as_exception, report_of
from aiodag._core.run_options import (
    id_of,
    large_values_of,
    limit_of_run,
    name_of_run,
    observers_of,
    tags_of,
    threads_of,
)
from aiodag._core.submit import engine_of
from aiodag.abc import Observer
from aiodag.errors import RunCancelled, RunFailed, StoreError
from aiodag.states import State, next_run_state

if TYPE_CHECKING:
    from datetime import timedelta
    from os import PathLike

    from aiodag._core.graph import Graph
    from aiodag._core.hooks import HookTypes
    from aiodag._core.signatures import ExecutorTypes, Wraps
    from aiodag.abc import Host, Journal, Runs

log = logging.getLogger("aiodag.run")


class Run(Members):
    """Own every node made inside `async with`, also by other nodes; leave when all have settled.

    Independent branches go on after a failure, and leaving raises `RunFailed` with every root failure that nobody took; with
    `fail_fast` the first failure cancels the rest. After `timeout` seconds what is unfinished is cancelled, the code inside
    the scope too, and leaving raises `TimeoutError`: the run has failed. Leaving by an exception cancels the nodes and waits,
    at most `grace` seconds, then names what would not end.

    `limit` bounds the nodes that run at once; a body that awaits another node of the run does not count. `threads` bounds the
    plain functions that run at once (without it, 40 on each loop). `capacity` has the resources that tasks ask for.
    `observers` are told of every move. `middleware` is called around the body of every attempt, outside that of its task.

    With a `store` the run is durable: what happens is written there, and a run of the same `id` recalls what has succeeded.
    Entering raises `RunOwned` and `StoreError` then; leaving raises `RunCancelled` when somebody cancelled the run from
    outside. `tags` are words to find it by, such as `{"env": "test"}`. Without a store an `id` only names the run, and nothing
    is recalled. Values of `values_from` bytes (65,536) or more are kept at `values`, a directory or an address.

    `on_start`, `on_success` and `on_failure` are hooks, one or a list: a task or function of one argument, a `RunSummary`; a
    command; or a URL, to which that is sent as JSON. They are nodes of the run, which waits for them. A hook that fails is
    reported, and the run does not fail with it.

    >>> from aiodag import Run, task
    >>> @task
    ... async def fetch(name):
    ...     return name * 2
    >>> async with Run("etl", limit=10) as run:
    ...     nodes = fetch.map(["a1", "a2"])
    >>> run.state.value, [node.result() for node in nodes]
    ('succeeded', ['a1a1', 'a2a2'])
    """

    def __init__(
        self,
        name: str = "run",
        *,
        limit: int | None = None,
        threads: int | None = None,
        capacity: Capacity | None = None,
        fail_fast: bool = False,
        timeout: "float | timedelta | None" = None,
        observers: Iterable[Observer] = (),
        middleware: "Sequence[Wraps]" = (),
        grace: float = 10.0,
        store: "str | PathLike[str] | Runs | None" = None,
        id: str | None = None,  # noqa: A002 - the word of the field
        tags: Mapping[str, str] | None = None,
        on_start: "HookTypes" = None,
        on_success: "HookTypes" = None,
        on_failure: "HookTypes" = None,
        hosts: "Mapping[str, Host] | None" = None,
        default_host: "str | Host | None" = None,
        executors: "Mapping[str, ExecutorTypes] | None" = None,
        executor: "ExecutorTypes | None" = None,
        values: "str | PathLike[str] | None" = None,
        values_from: int | None = None,
    ) -> None:
        super().__init__(
            name_of_run(name),
            limit=limit_of_run(limit),
            threads=threads_of(threads),
            capacity=capacity_of(capacity),
            fail_fast=flag("fail_fast", fail_fast),
            observers=observers_of(observers),
            middleware=layers_of(middleware),
            grace=check_seconds("grace", grace),
            timeout=None if timeout is None else timeout_of(timeout),
        )
        self.store = store
        self.id = id_of(id, name) if store is not None or id is not None else ""
        self.tags = tags_of(tags)
        self.large = large_values_of(values, values_from, store)  # where, and from which size on
        hooks = hooks_of(on_start=on_start, on_success=on_success, on_failure=on_failure)
        self.hooks = Hooks(hooks) if hooks else None
        self.uses: list[Any] = []  # hosts and executors with connections, of which it lets go at its end
        name_elsewhere(self, hosts, default_host, executors, executor)
        self.entry: Mapping[str, Any] | None = None  # how to run it again: a file, a task and its parameters
        self.keeps_answer = False  # whether the value of its first node, the task of an entry, is recorded as its own
        self.definition: str | None = None  # what it is built from, for its store: the text of a workflow
        self.parent: tuple[str, int] | tuple[()] = ()  # the id of the run that has begun it, and the node that has
        self._ended_at: float | None = None
        self.departed = False  # whether this process has let go of it: it goes on in another one
        self.parks = False  # whether that is since it only waits
        self.planned = False  # whether its nodes are only collected: none of them will run

    async def __aenter__(self) -> Self:
        if self.state is not State.WAITING:
            msg = f"run {self.name!r} has {self.state} already; make a new Run for each execution"
            raise RuntimeError(msg)
        self.loop = asyncio.get_running_loop()
        self.clock = clock_of(self.loop)
        planned = getattr(self.loop, "aiodag_ledger", None)  # plan() collects the nodes of every run it meets
        self.ledger: Ledger = planned or Ledger(self.name, self.clock())
        self.planned = planned is not None
        if planned is not None:
            self.observers, self.store, self.hooks = (), None, None  # nothing happens that could be told or written
        self._moves = self.ledger.moves
        self._body = asyncio.current_task()
        self._token: Token[Run | None] = RUN.set(self)
        if self.uses:
            engine_of(self.loop)
            note_use(self.loop, self.uses)
        self._move(State.QUEUED, State.RUNNING)
        if self.store is not None:
            await self._open_journal(self.store)
        if self.timeout is not None and planned is None:
            self._timer = self.loop.call_later(self.timeout, self._time_out)
        if self.hooks is not None:
            try:
                self.hooks.begin(self)
            except BaseException as error:  # a hook that is refused: the store must not keep the run for us
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
        log.debug("run %s begins", self.id or self.name)
        return self

    async def _open_journal(self, store: "str | PathLike[str] | Runs") -> None:
        # By name: the core knows no layer, and a run without a store loads none.
        try:
            journal: Journal = await open_door("places").open_journal(self, store)
        except BaseException:
            self._move(State.FAILED)
            RUN.reset(self._token)
            raise
        self.journal = journal
        if self.capacity is not None:
            self.capacity = self.capacity.share(journal)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self.state is not State.RUNNING:
            msg = f"run {self.name!r} was left without being entered; write `async with run:`"
            raise RuntimeError(msg)
        with suppress(ValueError):  # left by another asyncio task, as generators of tests are: its context has gone
            RUN.reset(self._token)
        own = error
        try:
            error = await self._end_nodes(error)
            handled = self._end(error)
            if error is not None and error is not own:
                raise error
        except BaseException as raised:
            await self._close_journal(raised)
            raise
        else:
            await self._close_journal(error)
        finally:
            await end_use(self.loop, self.uses, HURRY if self._hurried else self.grace)
            log.debug("run %s ends: %s", self.id or self.name, self.state)
            del error, own  # a failure's traceback holds this frame
        return handled

    async def _end_nodes(self, error: BaseException | None) -> BaseException | None:
        """Wait for the nodes, or cancel them; return what the body raised of itself."""
        if self._stopped_body and self._body is not None and self._body.uncancel() == 0 and _is_cancel(error):
            error = None  # our own cancel of the body, after the first failure
        elif error is not None and not self.stopping and not is_asked(self._body, error):
            error = as_failure(f"the body of run {self.name!r}", error)
        elif _is_cancel(error) and self.failed and not _is_cancelling(self._body):
            error = None  # the body awaited a node that was cancelled because another failed
        try:
            if error is not None:
                self._end_timer()
                self._hurried = isinstance(error, KeyboardInterrupt)
                if self.hooks is not None and not isinstance(error, Exception):
                    self.hooks.cancel()
                await self._cancel_and_wait()
            else:
                await self.wait()
            if self.hooks is not None and not self.departed:
                self._end_timer()
                await self.hooks.end(self, error)
        except BaseException:
            self._move(State.CANCELLED)
            self._hurried = error is not None  # asked to end while it was about to
            if self.hooks is not None:
                self.hooks.cancel()
            await self._cancel_and_wait()
            raise
        finally:
            self._end_timer()
            self._body = None
            self._ended_at = self.clock()
        return error

    async def _close_journal(self, error: BaseException | None) -> None:
        journal = self.journal
        if journal is None:
            return
        # Who is in a hurry does not wait for a disk, nor for a commit of which an interrupt has taken the news.
        with suppress(TimeoutError):
            async with asyncio.timeout(HURRY if self._hurried else None):
                await journal.close(self.state, error)
        if not self.live:
            self.journal = None  # it has the run: else only the garbage collector would find either
        if error is None and isinstance(journal.error, StoreError):  # the end of the run could not be written
            self._move(State.FAILED)
            raise journal.error

    def _end(self, error: BaseException | None) -> bool:
        """Return how the run ended. Raises `RunFailed`, what ended its journal, and `LetGo`."""
        if self.departed:
            self._move(State.QUEUED)
            raise parting_of(self) from error
        if self.journal is not None and self.journal.error is not None:
            self._move(State.CANCELLED if isinstance(self.journal.error, RunCancelled) else State.FAILED)
            raise self.journal.error
        if error is not None:
            self._move(State.CANCELLED if _is_cancel(error) else State.FAILED)
            return False
        if self.timed_out:
            self._move(State.FAILED)
            msg = f"run {self.name!r} took longer than {self.timeout:g} s: what was unfinished is cancelled"
            raise TimeoutError(msg)
        roots = list(self.untaken.values())
        if not roots:
            self._move(State.CANCELLED if self._cut_short else State.SUCCEEDED)
            return True
        self._move(State.FAILED)
        for failure in roots:
            failure.report.take()
        raise RunFailed(report_of(self, roots), [as_exception(each.exception) for each in roots], roots)

    def _move(self, *path: State) -> None:
        self.state = next_run_state(self.state, *path)

    def let_go(self) -> None:
        """Stop here and record nothing from now on, so that another process can continue the run.

        Bodies raise `LetGo` where they wait, and where they call a task. Programs are ended; threads are left to end by
        themselves. Leaving the scope raises `LetGo` too. Raises `RuntimeError` for a run without a store.
        """
        let_go_of(self)

    # What people see

    def graph(self) -> "Graph":
        """Return the graph as it is now. Raises `RuntimeError` before the run has begun."""
        if self.state is State.WAITING:
            msg = (
                f"run {self.name!r} has not begun, so it has no nodes: use `async with run:`, or plan(fn) to see first"
            )
            raise RuntimeError(msg)
        return self.ledger.graph(self.clock() if self._ended_at is None else self._ended_at)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.state}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> "dict[str, Any]":
        return {"text/plain": repr(self)} if self.state is State.WAITING else bundle_of_graph(self.graph(), repr(self))


def _is_cancelling(body: "asyncio.Task[Any] | None") -> bool:
    return body is not None and body.cancelling() > 0


def _is_cancel(error: BaseException | None) -> bool:
    return isinstance(error, asyncio.CancelledError)


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the loop's clock, without the method in between where it is the usual one."""
    return time.monotonic if getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time else loop.time
