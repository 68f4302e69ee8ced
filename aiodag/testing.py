"""For tests of code that uses aiodag: a clock that costs nothing, another order, moves on record, failures on order.

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
import random
import selectors
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.node import Node
from aiodag._core.states import MOVES, State
from aiodag._core.submit import engine_of
from aiodag.abc import Move

if TYPE_CHECKING:
    from aiodag._core.engine import Engine

T = TypeVar("T")

PATIENCE = 0.05  # seconds of real time between two looks at whether a thread has ended


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands at 0 and jumps to the next timer when nothing else is left to do.

    Sleeping costs nothing and times are exact. While a thread or process runs for a node, or for `run_in_executor`,
    the clock stands still and the loop really waits. Do not mix it with sockets that have timeouts.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.outside = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]  # any function
        """Run in a thread as ever; the clock stands still until it has ended."""
        future = super().run_in_executor(executor, func, *args)
        self.outside += 1
        future.add_done_callback(self._back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """Wait for the threads as long as they take: on this clock, any timeout would be over at once."""
        await super().shutdown_default_executor()

    def _back(self, _: object) -> None:
        self.outside -= 1

    def waits_outside(self) -> bool:
        """Tell whether anything runs that takes real time."""
        engine: Engine | None = getattr(self, "aiodag_engine", None)
        return self.outside > 0 or (engine is not None and engine.away > 0)

    def jump(self, seconds: float) -> None:
        """Move the clock to the next timer."""
        timers: list[Any] = getattr(self, "_scheduled", [])
        # The timer's own moment, not the sum: adding a difference back would be off by a rounding error.
        self.now = timers[0].when() if timers else self.now + seconds


class _Selector(selectors.DefaultSelector):
    """Looks for I/O without waiting, and lets the clock jump instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return super().select(None)
        events = super().select(0)
        if events or timeout <= 0:
            return events
        if self._loop.waits_outside():
            return super().select(PATIENCE)
        self._loop.jump(timeout)
        return []


class VirtualPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes virtual loops: return one from pytest-asyncio's fixture `event_loop_policy`."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a virtual loop."""
        return VirtualLoop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual loop and return its value, as `asyncio.run` does on a real one."""
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
    """
    engine = engine_of(asyncio.get_running_loop())
    queue = _Shuffled(seed)
    queue.extend(engine.ready)
    engine.ready = queue


class MoveRecorder:
    """An observer that keeps every move: `Run(observers=[recorder])`.

    >>> import aiodag
    >>> @aiodag.task
    ... async def fetch() -> int:
    ...     return 1
    >>> async def main() -> list[str]:
    ...     async with aiodag.Run(observers=[recorder := MoveRecorder()]):
    ...         fetch()
    ...     return [str(state) for state in recorder.states("fetch")]
    >>> run(main())
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
        """Raise `AssertionError` for a move that the table of states does not have."""
        wrong = [move for move in self.moves if move.previous and move.state not in MOVES[move.previous]]
        assert not wrong, f"illegal moves: {wrong}"


@contextmanager
def inject(failures: Mapping[tuple[str, int], BaseException]) -> Generator[None]:
    """Fail attempts by task name and attempt number, in place of their bodies. Use it on a running loop.

    >>> import aiodag
    >>> @aiodag.task(retries=1)
    ... async def fetch() -> int:
    ...     return 1
    >>> async def main() -> tuple[int, int]:
    ...     with inject({("fetch", 1): TimeoutError()}):
    ...         node = fetch()
    ...         return await node, node.attempt
    >>> run(main())
    (1, 2)
    """
    engine = engine_of(asyncio.get_running_loop())
    before = vars(engine).get("begin")
    begin = engine.begin

    def begin_or_fail(node: Node[Any]) -> None:
        begin(node)
        error = failures.get((node.name, node.attempt))
        if error is not None:
            raise error

    engine.begin = begin_or_fail  # type: ignore[method-assign]  # for this loop only, and taken back below
    try:
        yield
    finally:
        if before is None:
            del engine.begin
        else:
            engine.begin = before  # type: ignore[method-assign]  # an inject around this one
