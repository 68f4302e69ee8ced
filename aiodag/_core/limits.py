"""How many attempts at once, and how many per second: `Limit`, and its state on one loop."""

import asyncio
from collections.abc import Awaitable, Callable
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.waiting import Waiting
from aiodag.errors import OptionError
from aiodag.wording import is_utf8

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node


class Limit:
    """A capacity, a rate, or both, shared by every task that names it.

    `capacity` attempts run at once; `rate` attempts start in each `per` seconds, evenly spaced. The attempt whose task
    has the highest `priority` is next; among equals, the one that came first. Each event loop counts by itself. Raises
    `OptionError` for zero, negative or missing numbers.

    `shared` is a name under which all runs of a store count together, those of other processes and hosts too. Say the same
    numbers everywhere: each process keeps to its own. In runs without a store, and outside of runs, it is as any other.

    >>> from aiodag import Limit, task
    >>> server = Limit(5, rate=100, per=60)
    >>> @task(limit=server)
    ... async def fetch(name):
    ...     return name
    >>> @task(limit=server)
    ... async def upload(rows):
    ...     return len(rows)
    >>> await upload(fetch("a1"))
    2
    """

    __slots__ = ("__weakref__", "capacity", "per", "rate", "shared")

    def __init__(
        self, capacity: int | None = None, *, rate: float | None = None, per: float = 1.0, shared: str | None = None
    ) -> None:
        if capacity is None and rate is None:
            raise OptionError("limit", None, "a capacity such as Limit(3), a rate such as Limit(rate=10), or both")
        if capacity is not None and not (type(capacity) is int and capacity >= 1):
            raise OptionError("limit", capacity, "an int of 1 or more, or a Limit")
        self.rate = None if rate is None else above_zero("rate", rate, "attempts that start in each `per` seconds")
        self.per = above_zero("per", per, "seconds")
        if self.rate is not None and finite_number(self.per / self.rate) is None:
            raise OptionError("rate", rate, "a number with which the pause between two starts, per / rate, is finite")
        self.capacity = capacity
        self.shared = shared_name(shared)

    def of_node(self, node: "Node[Any]") -> "Limit | None":
        """Return the limit that bounds the attempts of a node: this one; or another, or none, of a limit that looks where they run."""
        return self

    def __repr__(self) -> str:
        parts = [] if self.capacity is None else [str(self.capacity)]
        parts += [] if self.rate is None else [f"rate={self.rate}"]
        parts += [] if self.per == 1.0 else [f"per={self.per}"]
        parts += [] if self.shared is None else [f"shared={self.shared!r}"]
        return f"Limit({', '.join(parts)})"


def above_zero(name: str, given: object, unit: str) -> float:
    """Check a finite number above 0; return it as it is."""
    plain = finite_number(given)
    if plain is not None and plain > 0:
        return cast("float", given)
    raise OptionError(name, given, f"a number above 0: {unit}")


def shared_name(given: object) -> str | None:
    """Check the name under which processes share something."""
    if given is None or (isinstance(given, str) and given and is_utf8(given)):
        return given
    raise OptionError("shared", given, 'a name, such as "api"')


def finite_number(given: object) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if not isinstance(given, int | float) or isinstance(given, bool):
        return None
    try:
        plain = float(given)
    except OverflowError:  # an int of more than 300 digits
        return None
    return plain if isfinite(plain) else None


class Gate:
    """A limit on one loop: who is inside, who waits, when the next may start."""

    def __init__(self, limit: Limit, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.free: float = float("inf") if limit.capacity is None else limit.capacity
        self.interval = 0.0 if limit.rate is None else limit.per / limit.rate
        self.waiting = Waiting(loop)
        self.turns = Waiting(loop)
        self.turning = False  # whether somebody has the turn
        self.origin = float("-inf")  # the start from which the spaced ones are counted
        self.since = 0

    async def acquire(self, priority: int = 0) -> None:
        """Wait for a place, then for the turn. A wait that is cancelled takes neither."""
        await self.enter(priority)
        if self.interval:
            try:
                await self.start(priority)
            except BaseException:
                self.release()
                raise

    def take(self) -> bool:
        """Take a place if one is free and nobody waits; return whether that was so."""
        if self.free and not self.waiting.heap:
            self.free -= 1
            return True
        return False

    async def enter(self, priority: int = 0) -> None:
        """Wait for a place alone."""
        if not self.take():
            await self.waiting.wait(priority, self.release)

    async def start(self, priority: int, last: "Callable[[], Awaitable[Any]] | None" = None) -> Any:
        """Wait for the turn, and in it for the last thing that a start needs; return that.

        What waits for a worker after its turn would start together with others that did, as soon as workers are free. And
        one that already has a worker would keep it from others while it waits for its turn.
        """
        number = self.turns.number()
        if self.turning:
            await self.turns.wait(priority, self._end_turn, number)
        self.turning = True
        now, due = await self._due()
        while self.turns.outrank(priority):  # who came in the meantime, and goes first
            self.turns.let_in()
            await self.turns.wait(priority, self._end_turn, number)
            now, due = await self._due()
        try:
            turn = at = self.loop.time()
            found = None
            if last is not None:
                found = await last()
                at = self.loop.time()
            # Who starts late is the new origin: counting on from the old one would let those behind catch up in a burst.
            if due <= now or at > turn or at >= due + self.interval:
                self.origin, self.since = at, 1
            else:
                self.since += 1
            return found
        finally:
            self._end_turn()

    async def _due(self) -> tuple[float, float]:
        """Wait until the next may start; return since when, and until when."""
        now = self.loop.time()
        # Counted from an origin: adding up intervals would add up their rounding errors.
        due = self.origin + self.since * self.interval
        if due > now:
            try:
                await asyncio.sleep(due - now)
            except BaseException:
                self._end_turn()
                raise
        return now, due

    def _end_turn(self) -> None:
        self.turning = self.turns.let_in()

    def release(self) -> None:
        """Give a place back: to the next, if there is one."""
        if not (self.waiting.heap and self.waiting.let_in()):
            self.free += 1


def gate_of(engine: "Engine", limit: Limit) -> Gate:
    """Return the state of a limit on the loop of an engine."""
    gate = engine.gates.get(limit)
    if gate is None:
        gate = engine.gates[limit] = Gate(limit, engine.loop)
    return gate


def give_back(gate: Gate, _: object) -> None:
    """Release a place from another thread, unless the loop is gone."""
    try:
        gate.loop.call_soon_threadsafe(gate.release)
    except RuntimeError:
        if not gate.loop.is_closed():
            raise
