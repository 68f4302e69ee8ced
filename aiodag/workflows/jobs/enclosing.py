"""Nodes that run others and do nothing else: jobs, the combinations of a matrix, and stages with stages in them.

In a run that goes on each of them is entered again, and takes back what is in it node by node. So its key is its name alone: an
edit of one stage makes no strangers of the others, nor of a job's place in the record.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag._core.edges import settled
from aiodag._core.limits import Limit
from aiodag._core.options import TaskOptions
from aiodag._core.rules import FAILED, RULES, Rule, judge
from aiodag._core.task import Task
from aiodag.states import State
from aiodag.workflows.named import Barrier, joined

if TYPE_CHECKING:
    from aiodag._core.node import Node

ANOTHER_LOST = "another one of its job, loop or branches has failed"
AFTER_ALL = RULES["all_done"]
UNTIL_ONE_FAILS = Rule("none_failed", ends_on=frozenset({FAILED}))  # what is cancelled ends no others


class Enclosing(Task[..., Any]):
    """The task of a node that encloses others."""

    encloses = True
    runs_on: str | None = None  # the host of a job, by its name

    def _but(self, after: tuple[Any, ...], options: TaskOptions) -> "Enclosing":
        return Enclosing(self.fn, after, options)


def call_at(place: str, made: Task[..., Any], *args: Any, **kwargs: Any) -> "Node[Any]":
    """Make the node of a call that stands in a file."""
    node = made(*args, **kwargs)
    if node.run is not None:
        node.run.ledger.place(node, place, 0)
    return node


def after_node(last: "Node[Any] | None") -> tuple[Any, ...]:
    """Return what a node waits for that comes after another one, which has settled."""
    if last is None:
        return ()
    return (last,) if last.state is State.SUCCEEDED else (settled(last),)


class Siblings:
    """Nodes that run at the same time, or a few at a time. With `fail_fast` the first that is lost ends the others."""

    def __init__(self, at_once: int | None, *, fail_fast: bool) -> None:
        self.limit = None if at_once is None else Limit(at_once)
        self.fail_fast = fail_fast
        self.nodes: list[Node[Any]] = []
        self._first: Node[Any] | None = None  # settles when one is lost, or when all have settled

    async def begin(self) -> None:
        """Go on in the body of one of them, unless another one is lost: whoever waits for them has not heard of that yet."""
        node = current_node()
        if node is not None and self._first is not None and self._first.state is State.SKIPPED:
            node.cancel(ANOTHER_LOST)
            await asyncio.sleep(0)

    async def join(self) -> None:
        """Wait until all have settled, whatever becomes of them.

        The body that waits here stands at a node, so its run can be parked. Cancelled, it cancels them all and waits for them.
        """
        nodes = self.nodes
        if not nodes:
            return
        try:
            if self.fail_fast:
                self._first = joint_of(nodes, UNTIL_ONE_FAILS)
                if await has_succeeded(self._first):
                    return
                cancel_siblings(nodes, ANOTHER_LOST)
            await has_succeeded(joint_of(nodes, AFTER_ALL))
        except asyncio.CancelledError:
            cancel_siblings(nodes, "what it is in was cancelled")
            await has_succeeded(joint_of(nodes, AFTER_ALL))
            raise

    async def values(self) -> list[Any]:
        """Return their values when all have settled. Raises why the first has failed that did, or that one was cancelled.

        The failures of the others are still to be told.
        """
        for node in self.nodes:
            if node.state is State.FAILED and node.failure is not None:
                node.failure.report.take()
                raise node.exception() or RuntimeError(node.name)
        return [await node for node in self.nodes]


def joint_of(nodes: "Sequence[Node[Any]]", rule: Rule) -> "Node[Any]":
    """Make a node that settles when others have."""
    node = Barrier(joined, f"joins {nodes[0].name}", tuple(nodes), rule)()
    if node.run is not None:
        node.run.ledger.place(node, nodes[0].code, nodes[0].instruction)
    if node.state is State.WAITING and judge(node, None):
        node.engine.sweep(node)
    return node


async def has_succeeded(joint: "Node[Any]") -> bool:
    """Wait for a node that joins others; return whether it has succeeded. Raises what cancels whoever waits."""
    try:
        await joint
    except Exception:  # noqa: BLE001 - that of one of the nodes, which is looked at there
        return False
    return True


def cancel_siblings(nodes: "Sequence[Node[Any]]", why: str) -> None:
    """Cancel the nodes that have not settled, the last first: so none begins because an earlier one has gone."""
    for node in reversed(nodes):
        node.cancel(why)
