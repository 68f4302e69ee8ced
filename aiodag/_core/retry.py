"""Another attempt after one that has failed, or that was lost."""

import asyncio
import logging
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from aiodag._core.context import NODE, Attempted
from aiodag._core.fresh import InContext
from aiodag._core.layers import Call
from aiodag._core.limits import finite_number
from aiodag._core.node import Node
from aiodag._core.options import TaskOptions
from aiodag.errors import AttemptLost, OptionError, Skip

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds, after attempts that were lost

log = logging.getLogger("aiodag.retry")


class Retry:
    """Try again after a failure that is worth it, and after an attempt that was lost, which counts apart."""

    def __init__(self, options: TaskOptions, *, loses: bool) -> None:
        self.retries = options.retries
        self.lost_retries = options.lost_retries
        self.backoff = options.backoff
        self.retry_on = options.retry_on
        self.loses = loses  # whether its attempts run where they can be lost: others only pass on what others have lost

    async def __call__(self, node: Node[Any], call_next: Call) -> Any:
        """Return the value of the first attempt that succeeds."""
        first = True  # not by the node's attempts, which go on from those of an earlier execution
        context = copy_context()
        try:
            while True:
                here = Attempted(node)
                here.attempt = node.attempt + 1  # what this attempt leaves running keeps it
                try:
                    if first:
                        first = False
                        NODE.set(here)
                        return await call_next()
                    fresh = context.copy()  # of the call: without what an earlier attempt has set
                    fresh.run(NODE.set, here)
                    return await InContext(call_next(), fresh)
                except Skip:
                    raise
                except (Exception, SystemExit) as error:
                    pause = self._pause_after(node, error)
                    if pause is None:
                        raise
                    log.info("%s: attempt %d failed, another in %g s: %r", node.name, node.attempt, pause, error)
                    node.engine.again(node, error)
                await asyncio.sleep(pause)
        finally:
            del node, call_next  # a failure's traceback holds this frame

    def _pause_after(self, node: Node[Any], error: BaseException) -> float | None:
        """Count how an attempt ended; return the pause before the next one, None if there is to be none."""
        if self.loses and isinstance(error, AttemptLost):
            node.losses += 1
            if node.run is not None and node.run.journal is not None:
                node.run.journal.facts(node, {"lost": error.reason})
            return None if node.losses > self.lost_retries else pause_after_loss(node.losses)
        node.failed += 1
        if node.failed > self.retries or not self.retry_on(error):
            return None
        return checked_pause(self.backoff(node.failed, error))


def pause_after_loss(losses: int) -> float:
    """Return the pause in seconds after an attempt was lost, counted from 1."""
    return min(FIRST_PAUSE * 2.0 ** min(losses - 1, 10), LONGEST_PAUSE)


async def recall_losses(node: Node[Any]) -> Mapping[str, Any]:
    """Return what is known of the last attempt of an earlier execution.

    In the first attempt of one that goes on where that was cut off: what it has lost counts on, and is noted again.
    """
    if node.run is None or node.run.journal is None:
        return {}
    facts: Mapping[str, Any] = await node.run.journal.recall_facts(node)
    if not node.again and node.attempt == node.earlier + 1:
        node.losses = facts.get("losses", 0) + ("lost" in facts)
        note_losses(node)
    return facts


def note_losses(node: Node[Any]) -> None:
    """Note how many attempts were lost before this one, for an execution that may have to go on from here."""
    if node.losses and node.run is not None and node.run.journal is not None:
        node.run.journal.facts(node, {"losses": node.losses})


def checked_pause(pause: Any) -> float:
    """Check what a backoff function returned."""
    plain = finite_number(pause.total_seconds() if hasattr(type(pause), "total_seconds") else pause)
    if plain is not None and plain >= 0:
        return plain
    raise OptionError("backoff", pause, "a function that returns seconds, 0 or more")
