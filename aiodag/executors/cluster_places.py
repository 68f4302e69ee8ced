"""Places on a cluster for attempts whose time is limited: else what waits there for a worker would count as time that they take."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiodag._core.context import current_node
from aiodag._core.limits import Gate, Limit, give_back

STEADY = 5.0  # seconds for which the size of a cluster is taken to stay the same


class ClusterGate:
    """Lets through, on one loop, as many attempts at once as a cluster can run; `count` says how many those are."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: Callable[[], Awaitable[int]]) -> None:
        self.loop = loop
        self.count = count
        self.size = 1
        self.gate = Gate(Limit(1), loop)
        self.seen_at = float("-inf")

    async def place(self, executor: Any) -> "ClusterPlace":
        """Wait here if the attempt has a timeout; others are all given to the cluster, which knows best what runs when."""
        node = current_node()
        if node is None or not is_timed():
            return ClusterPlace(executor, None)
        await self.look()
        await self.gate.enter(node.task.options.priority)
        return ClusterPlace(executor, self.gate)

    async def look(self) -> None:
        """See how large the cluster is now."""
        now = self.loop.time()
        if now - self.seen_at < STEADY:
            return
        self.seen_at = now
        size = max(1, await self.count())
        for _ in range(self.size, size):
            self.gate.release()
        self.gate.free -= min(max(self.size - size, 0), self.gate.free)
        self.size = size


def is_timed() -> bool:
    """Return True if the attempt that waits for a place has a timeout."""
    node = current_node()
    return node is not None and node.task.options.timeout is not None


class ClusterPlace:
    """Where one attempt runs: anywhere on a cluster, once its gate has let it through."""

    def __init__(self, executor: Any, gate: Gate | None) -> None:
        self.run = executor.run
        self.gate = gate

    def leave(self) -> None:
        """Let the next attempt in, when what was left behind has ended."""
        node = current_node()
        left = None if node is None else node._left_behind()  # noqa: SLF001 - as the engine's own layers ask
        if self.gate is None:
            pass
        elif left is None:
            self.gate.release()
        else:
            left.add_done_callback(partial(give_back, self.gate))
