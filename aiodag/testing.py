"""For tests of code that uses aiodag: a clock that costs nothing, another order, recorded moves, injected failures.

>>> import asyncio, aiodag
>>> @aiodag.task
... async def nightly() -> str:
...     await asyncio.sleep(8 * 3600)
...     return "done"
>>> async def main() -> tuple[str, float]:
...     loop = asyncio.get_running_loop()
...     return await nightly(), loop.time()
>>> run(main())
('done', 28800.0)
"""

import asyncio
import math
import random
import selectors
import threading
import time
from collections.abc import Coroutine, Generator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.cancels import mark_asked
from aiodag._core.failure import shorten
from aiodag._core.node import Node
from aiodag._core.submit import Adopted, engine_of
from aiodag.abc import Move
from aiodag.errors import Stalled
from aiodag.messages.delivery import dead_letters as dead_letters  # noqa: PLC0414 - re-exported, for the checkers
from aiodag.messages.delivery import deliver as deliver  # noqa: PLC0414 - re-exported, for the checkers
from aiodag.messages.delivery import messages_kept as messages_kept  # noqa: PLC0414 - re-exported, for the checkers
from aiodag.messages.local import describe_wait, local_inbox
from aiodag.messages.parked import park_at_every_wait as park_at_every_wait  # noqa: PLC0414 - as above
from aiodag.states import MOVES, State

if TYPE_CHECKING:
    from aiodag._core.engine import Engine

T = TypeVar("T")

PATIENCE = 0.05  # seconds of real time between two looks at whether a thread has ended
RESOLUTION = time.get_clock_info("monotonic").resolution  # of a loop, in seconds: what is due within it is called
THREADS = "aiodag.testing"
OURS = (THREADS, "aiodag.thread")  # threads of which we know what they do


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands at 0 and jumps to the next timer when nothing else is left to do.

    Sleeping costs nothing and times are exact. While a thread or process runs for a node, or for `run_in_executor`,
    the clock stands still and the loop really waits. Do not mix it with sockets that have timeouts. Raises `Stalled`
    if nothing could ever go on.

    >>> import asyncio
    >>> from aiodag.testing import VirtualLoop
    >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    ...     runner.run(asyncio.sleep(3600))
    ...     runner.get_loop().time()
    3600.0
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.began_at = time.time()
        self.outside = 0  # calls of run_in_executor that somebody waits for
        self.unfinished: set[Future[Any]] = set()  # those that nobody waits for any more, too
        super().__init__(_Selector(self))
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix=THREADS))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    def time_of_day(self) -> float:
        """Return the moment on this clock in seconds since the epoch: it goes on from when the loop was made."""
        return self.began_at + self.now

    def set_default_executor(self, executor: Any) -> None:
        """Have plain functions run in another pool."""
        super().set_default_executor(executor)
        self.pool: Executor = executor

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]  # any function
        """Run in a thread as usual; the clock stands still until it has ended."""
        remote: Future[Any] = (executor or self.pool).submit(func, *args)
        future = asyncio.wrap_future(remote, loop=self)
        self.outside += 1
        future.add_done_callback(self._back)
        # After wrapping it, so that a call has woken the loop before it counts as finished.
        self.unfinished.add(remote)
        remote.add_done_callback(self.unfinished.discard)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """Wait for the threads as long as they take: on this clock, any timeout would be over at once."""
        await super().shutdown_default_executor()

    def _back(self, _: object) -> None:
        self.outside -= 1

    def waits_outside(self) -> bool:
        """Return True if anything runs that takes real time."""
        engine = self._engine()
        return self.outside > 0 or (engine is not None and engine.real_time.count > 0)

    def may_be_woken(self) -> bool:
        """Return True if a thread or a signal could still call back, although no timer will."""
        crew: Any = getattr(self, "aiodag_crew", None)
        unfinished = self.unfinished or (crew is not None and crew.unfinished)
        return bool(self.waits_outside() or unfinished or getattr(self, "_signal_handlers", None) or self.strangers())

    def strangers(self) -> set[threading.Thread]:
        """Return the threads of which nobody knows what they do: those that are not ours and idle."""
        here = threading.current_thread()
        return {each for each in threading.enumerate() if each is not here and not each.name.startswith(OURS)}

    def describe_unsettled(self) -> list[str]:
        """Name what waits on this loop, in one line each."""
        engine = self._engine()
        waiting = asyncio.all_tasks(self) | (engine.alive if engine else set())
        return sorted(describe_waiting(each) for each in waiting if not each.done())

    def _engine(self) -> "Engine | None":
        return getattr(self, "aiodag_engine", None)

    def jump(self, seconds: float) -> None:
        """Move the clock to the next timer."""
        timers: list[Any] = getattr(self, "_scheduled", [])
        # The timer's own moment, not the sum: adding a difference back would be off by a rounding error.
        self.now = timers[0].when() if timers else self.now + seconds
        # asyncio calls what is due before now plus this. After half a year a billionth of a second is lost in the rounding,
        # and no timer would ever be due.
        self._clock_resolution: float = max(RESOLUTION, math.ulp(self.now))


def describe_waiting(waiting: "asyncio.Task[Any]") -> str:
    """Return which call a node or another asyncio task is."""
    if isinstance(waiting, Node):
        wait = local_inbox(waiting.engine.loop).wait_of(waiting) if waiting.task.waits else None
        what = "" if wait is None else f", for {describe_wait(wait)}"
        return f"{waiting.name} ({waiting.state}{what}, called at {waiting.site})"
    stack = waiting.get_stack(limit=1)
    place = [f" ({each.f_code.co_qualname} at {each.f_code.co_filename}:{each.f_lineno})" for each in stack]
    return waiting.get_name() + "".join(place)


class _Selector(selectors.DefaultSelector):
    """Looks for I/O without waiting, and lets the clock jump instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return self._without_timers()
        events = super().select(0)
        if events or timeout <= 0:
            return events
        if self._loop.waits_outside():
            return super().select(PATIENCE)
        self._loop.jump(timeout)
        return []

    def _without_timers(self) -> Any:
        # Asked before the look: whoever calls back does so before it ends.
        woken = (
            self._loop.may_be_woken() or len(self.get_map()) > 1
        )  # the first is the loop's own, for call_soon_threadsafe
        events = super().select(PATIENCE if woken else 0)
        if not events and not woken:
            raise Stalled(shorten(self._loop.describe_unsettled()))
        return events


if TYPE_CHECKING:

    class VirtualPolicy(asyncio.DefaultEventLoopPolicy):
        """Makes virtual loops. Of Python 3.11 to 3.15: 3.14 deprecates policies, and 3.16 removes them."""

else:

    def __getattr__(name: str) -> Any:
        # Made only when somebody asks for it: to name the class that it stands on is a warning from Python 3.14 on.
        if name == "VirtualPolicy" and (policy := virtual_policy()):
            return policy
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


@cache
def virtual_policy() -> type[Any] | None:
    """Return the class of policies that make virtual loops, None where Python has no policies any more."""
    above: Any = getattr(asyncio, "DefaultEventLoopPolicy", None)
    return above and type(
        "VirtualPolicy", (above,), {"__module__": __name__, "new_event_loop": lambda _: VirtualLoop()}
    )


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual loop and return its value, as `asyncio.run` does on a real one.

    >>> import asyncio
    >>> from aiodag import task
    >>> from aiodag.testing import run
    >>> @task
    ... async def nightly():
    ...     await asyncio.sleep(8 * 3600)
    ...     return "done"
    >>> async def main():
    ...     return await nightly(), asyncio.get_running_loop().time()
    >>> run(main())
    ('done', 28800.0)
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class _Shuffled(list[Node[Any]]):
    """A ready queue that gives out its nodes in a random order."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def popleft(self) -> Node[Any]:
        last = len(self) - 1
        chosen = self._random.randint(0, last)
        self[chosen], self[last] = self[last], self[chosen]
        return self.pop()


def shuffle(seed: int) -> None:
    """Start ready nodes in another order from now on, the same one for the same seed. Call it on a running loop.

    Code that passes for every seed does not depend on an order that nothing promises.

    >>> from aiodag import Run, task
    >>> from aiodag.testing import shuffle
    >>> begun = []
    >>> @task
    ... async def fetch(number):
    ...     begun.append(number)
    >>> shuffle(seed=1)
    >>> async with Run("etl"):
    ...     nodes = fetch.map(range(5))
    >>> begun
    [1, 0, 4, 3, 2]
    """
    engine = engine_of(asyncio.get_running_loop())
    queue = _Shuffled(seed)
    queue.extend(engine.ready)
    engine.ready = queue


class MoveRecorder:
    """An observer that keeps every move: `Run(observers=[recorder])`.

    >>> from aiodag import Run, task
    >>> from aiodag.testing import MoveRecorder
    >>> @task
    ... async def fetch():
    ...     return 1
    >>> async with Run(observers=[recorder := MoveRecorder()]):
    ...     node = fetch()
    >>> [str(state) for state in recorder.states("fetch")]
    ['waiting', 'queued', 'running', 'succeeded']
    """

    def __init__(self) -> None:
        self.moves: list[Move] = []

    def moved(self, move: Move) -> None:
        """Keep a move."""
        self.moves.append(move)

    def of(self, name: str) -> list[Move]:
        """Return the moves of all nodes of a task."""
        return [move for move in self.moves if move.node.name == name]

    def states(self, name: str) -> list[State]:
        """Return the states that nodes of a task entered, in order."""
        return [move.state for move in self.of(name)]

    def check(self) -> None:
        """Raise `AssertionError` for a move that the table of states does not allow."""
        wrong = [move for move in self.moves if move.previous and move.state not in MOVES[move.previous]]
        assert not wrong, f"illegal moves: {wrong}"


@contextmanager
def inject(failures: Mapping[tuple[str, int], BaseException]) -> Generator[None]:
    """Fail attempts by task name and attempt number, in place of their bodies. Use it on a running loop.

    Raises `TypeError` or `ValueError` for what cannot be a name, a number or an exception, and `AssertionError` at the
    end of the block if one of them was not used.

    >>> from aiodag import task
    >>> from aiodag.testing import inject
    >>> @task(retries=1)
    ... async def fetch():
    ...     return "rows"
    >>> with inject({("fetch", 1): TimeoutError()}):
    ...     node = fetch()
    ...     await node
    'rows'
    >>> node.attempt
    2
    """
    check_failures(failures)
    engine = engine_of(asyncio.get_running_loop())
    before = vars(engine).get("begin")
    begin = engine.begin
    begun: dict[str, int] = {}  # the number of the last attempt
    left = set(failures)
    names = {name for name, _ in failures}

    def begin_or_fail(node: Node[Any]) -> None:
        if stands_for_future(node):  # it has no body
            begin(node)
            return
        key = node.name, node.attempt + 1
        begun[node.name] = max(begun.get(node.name, 0), node.attempt + 1)
        left.discard(key)
        if node.attempt == 0 and node.name in names:
            node._note_label(known_arguments(node))  # noqa: SLF001 - as the engine does
        begin(node)
        if key in failures:
            error = failures[key]
            # Raised by a body it would be a failure: nobody has asked for it there.
            raise mark_asked(error) if isinstance(error, asyncio.CancelledError) else error

    engine.begin = begin_or_fail  # type: ignore[method-assign]  # for this loop only, and taken back below
    engine.start_plain = engine.start  # type: ignore[method-assign]  # which begins by what stands here
    try:
        yield
    finally:
        if before is None:
            del engine.begin, engine.start_plain
        else:
            engine.begin = before  # type: ignore[method-assign]  # an inject around this one
    if left:
        raise AssertionError(
            "\n  ".join(["inject() failed nothing with", *(describe_unused(key, begun) for key in sorted(left))])
        )


def check_failures(failures: object) -> None:
    """Refuse what no attempt could ever match or raise."""
    if not isinstance(failures, Mapping):
        msg = f"inject() takes a dict such as {{('fetch', 1): TimeoutError()}}, not {failures!r}"
        raise TypeError(msg)
    for key, error in failures.items():
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str) and type(key[1]) is int):
            msg = f"inject() got the key {key!r}; a key is a task's name and an attempt's number, such as ('fetch', 1)"
            raise TypeError(msg)
        if key[1] < 1:
            msg = f"inject() got the key {key!r}; the first attempt is number 1"
            raise ValueError(msg)
        if not isinstance(error, BaseException):
            msg = f"inject() got {error!r} for {key!r}; pass an exception, such as TimeoutError()"
            raise TypeError(msg)


def stands_for_future(node: Node[Any]) -> bool:
    """Return True if a node only follows a future that was passed to a task."""
    task: Any = node.task
    return isinstance(task, Adopted) and asyncio.isfuture(node.args[0])


def known_arguments(node: Node[Any]) -> list[object]:
    """Return the arguments of a call, with values in the place of nodes that have succeeded."""
    given = [*node.args, *(node.kwargs or {}).values()]
    return [each.result() if isinstance(each, Node) and each.state is State.SUCCEEDED else each for each in given]


def describe_unused(key: tuple[str, int], begun: Mapping[str, int]) -> str:
    """Return why a failure was not used."""
    name = key[0]
    if name in begun:
        return f"{key!r}: the last attempt of {name} was number {begun[name]}"
    near = get_close_matches(name, begun, n=2)
    if near:
        return f"{key!r}: no such task began; did you mean {' or '.join(map(repr, near))}?"
    return f"{key!r}: no such task began; those that did: {', '.join(shorten(sorted(begun))) or 'none'}"
