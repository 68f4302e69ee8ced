"""Nodes that run others and do nothing else: jobs, the combinations of a matrix, and stages with stages in them.

In a run that goes on each of them is entered again, and takes back what is in it node by node. So its key is its name alone: an
edit of one stage makes no strangers of the others, nor of a job's place in the record.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.edges import settled
from aiodag._core.options import TaskOptions
from aiodag._core.rules import RULES, Rule, judge
from aiodag._core.task import Task
from aiodag.states import State
from aiodag.workflows.named import Barrier, joined

if TYPE_CHECKING:
    from aiodag._core.node import Node

LOST = frozenset({State.FAILED, State.CANCELLED})
AFTER_ALL, UNTIL_ONE_IS_LOST = RULES["all_done"], RULES["none_failed"]


class Enclosing(Task[..., Any]):
    """The task of a node that encloses others."""

    encloses = True

    def _but(self, after: tuple[Any, ...], options: TaskOptions) -> "Enclosing":
        return Enclosing(self.fn, after, options)


def call_at(place: str, made: Task[..., Any], **arguments: Any) -> "Node[Any]":
    """Make the node of a call that stands in a file."""
    node = made(**arguments)
    if node.run is not None:
        node.run.ledger.place(node, place, 0)
    return node


def after_node(last: "Node[Any] | None") -> tuple[Any, ...]:
    """Return what a node waits for that comes after another one, which has settled."""
    if last is None:
        return ()
    return (last,) if last.state is State.SUCCEEDED else (settled(last),)


async def join_nodes(nodes: "Sequence[Node[Any]]", *, fail_fast: bool) -> None:
    """Wait until nodes have settled, whatever becomes of them; `fail_fast` cancels the rest when one is lost.

    The body that waits here stands at a node, so its run can be parked. Cancelled, it cancels them all and waits for them.
    """
    try:
        if fail_fast:
            if await has_succeeded(joint_of(nodes, UNTIL_ONE_IS_LOST)):
                return
            cancel_all(nodes, "another one beside it has failed")
        await has_succeeded(joint_of(nodes, AFTER_ALL))
    except asyncio.CancelledError:
        cancel_all(nodes, "what it is in was cancelled")
        await has_succeeded(joint_of(nodes, AFTER_ALL))
        raise


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


def cancel_all(nodes: "Sequence[Node[Any]]", why: str) -> None:
    """Cancel the nodes that have not settled, the last first: so none begins because an earlier one has gone."""
    for node in reversed(nodes):
        node.cancel(why)


def first_error(nodes: "Sequence[Node[Any]]") -> BaseException | None:
    """Return why the first node has failed that has. The failures of the others are still to be told."""
    for node in nodes:
        if node.state is State.FAILED or (node.state is State.SKIPPED and node.failure is not None):
            if node.failure is not None:
                node.failure.report.take()
            return node.exception()
    return None
