"""How far the making of nodes is ahead of their running, and which nodes are still held.

A workflow may have ten million nodes. What is made and has not begun is bounded, and what has settled is let go of as
soon as all that takes its value, or waits for it, has been made: its value stays, or that it has none.

    made ──────────────┬──────────── queued ───────────┬── running ──┬── returned ──────┬── settled
    nothing yet        │ at most LEAD, where all queue  │             │ with a store: at │ its value alone,
                       │ for the same                   │             │ most LEAD that   │ or nothing
                       │                                │             │ are not written  │
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from aiodag._core.held import HeldNode
from aiodag._core.node import Node
from aiodag.states import State
from aiodag.workflows.labels import Labels, NodeNumbers, can_be_computed

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag._core.task import Task
    from aiodag.workflows.expand import Expansion

LEAD = 10_000  # nodes that are ready and have not begun, or wait to be written, above which no more are made
SOME = LEAD // 8  # nodes that settle before more are made
QUEUED, SUCCEEDED = State.QUEUED, State.SUCCEEDED
MISSING: Any = object()  # in place of the value of what has none


class Lead:
    """The nodes of one workflow in one run, from their making to their being let go of.

    `nodes` has for each number its node, or in place of one that was let go of its value, or `MISSING`.
    """

    def __init__(self, expansion: "Expansion", run: "Run", nodes: list[Any]) -> None:
        checked = expansion.checked
        self._expansion = expansion
        self.run = run
        self.nodes = nodes
        self._upstream = checked.upstream
        self._uses = checked.uses
        self._tasks = len(checked.tasks)
        # Of each task and group: how many that wait for it are not made yet, and the numbers of its nodes, from and to.
        self._wanted = array("q", [0]) * len(checked.upstream)
        self._from, self._to = self._wanted[:], self._wanted[:]
        for upstream in checked.upstream:
            for up in upstream:
                self._wanted[up] += 1
        self.numbers = NodeNumbers()
        # Of each task with parameters whose nodes are in a row: where that begins; the row, and what its nodes are called.
        self._starts: list[int] = []
        self._rows: list[tuple[range, Labels | None]] = []
        self._held = bytearray()  # of each node, whether something that is not made yet may ask for it
        self._gates: list[int] = []  # what joins edges within the task of which nodes are made now
        self._begun = 0  # the number of its first node
        self._open: list[int] = []  # nodes that had not settled when they were last looked through
        self._seen = 0  # how many nodes there were then
        self._next = LEAD  # how many there are when they are looked through again
        self._bounded = not run.planned and in_one_line([each.task for each in checked.tasks])

    def gate(self, number: int) -> None:
        """Hold what joins edges within a task, until its nodes are made."""
        self._gates.append(number)

    def _note_row(self, vertex: int) -> None:
        """Note what the nodes of a task are called that are in a row, as soon as there are some."""
        row = self._expansion.row(vertex)
        if row is not None and (not self._rows or self._rows[-1][0] is not row):
            checked = self._expansion.checked
            task = checked.tasks[vertex]
            labels = Labels(checked, task, self.numbers, row.start) if can_be_computed(checked, task) else None
            self._starts.append(row.start)
            self._rows.append((row, labels))

    def complete(self, vertex: int) -> None:
        """Note that all nodes of a task or group are made, and let go of what nothing else will need."""
        if vertex in self._uses:
            self._note_row(vertex)
        begun, self._begun = self._begun, len(self.nodes)
        wanted = self._wanted[vertex]
        if wanted:
            self._from[vertex], self._to[vertex] = begun, self._begun
            self._hold(begun)
        if self._gates:
            if not wanted:
                self._grow()
                self._release(self._gates)
            self._gates = []
        if self._upstream[vertex] and (vertex < self._tasks or not wanted):
            self._count_down(vertex)

    def _hold(self, first: int) -> None:
        """Hold the nodes from a number on."""
        self._grow()
        self._held[first:] = b"\1" * (len(self.nodes) - first)

    def _grow(self) -> None:
        self._held.extend(bytes(len(self.nodes) - len(self._held)))

    def _count_down(self, vertex: int) -> None:
        """Note that what a task waits for has one less to wait for it; a group asks for its own while it is asked for."""
        left = [vertex]
        while left:
            for up in self._upstream[left.pop()]:
                self._wanted[up] -= 1
                if not self._wanted[up]:
                    self._release(range(self._from[up], self._to[up]))
                    if up >= self._tasks:
                        left.append(up)

    def _release(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._held[number] = False
            if self.nodes[number].state.final:
                self._let_go(number)

    def _let_go(self, number: int) -> None:
        node = self.nodes[number]
        if type(node) is Node:
            self.nodes[number] = settled_value(node)
        at = bisect_right(self._starts, number) - 1
        if at >= 0 and node.run is self.run:
            row, labels = self._rows[at]
            if labels is not None and number < row.stop:
                self.run.ledger.forget(node.number, labels)

    async def room(self, vertex: int) -> None:
        """Wait until more may be made, in the middle of a task or group."""
        if len(self.nodes) < self._next:
            return
        if vertex in self._uses:
            self._note_row(vertex)
        if self._wanted[vertex]:
            self._hold(self._begun)
        self._grow()
        for number in self._gates:
            self._held[number] = True
        ahead = self._look_through()
        while ahead >= LEAD and not self.run.stopping:
            await self.run.settle_to(len(self.run.live) - SOME)
            ahead = self._look_through()
        # Looking takes time for each that is open: the more of them are not ahead, the later the next look.
        self._next = len(self.nodes) + max(LEAD - ahead, SOME, (len(self._open) - ahead) // 2)

    def _look_through(self) -> int:
        """Let go of what has settled; return how many wait for their turn, or for the store to have written them."""
        unsettled: list[int] = []
        queued = 0
        for number in chain(self._open, range(self._seen, len(self.nodes))):
            node = self.nodes[number]
            if type(node) is not Node:
                continue
            state = node.state
            if not state.final:
                unsettled.append(number)
                queued += state is QUEUED
            elif not self._held[number]:
                self._let_go(number)
        self._open, self._seen = unsettled, len(self.nodes)
        journal = self.run.journal
        return (queued if self._bounded else 0) + (0 if journal is None else journal.unwritten)


def settled_value(entry: object) -> Any:
    """Return the value of a node, `MISSING` where it has none; of one that was let go of what stands in its place."""
    if type(entry) is not Node and type(entry) is not HeldNode:
        return entry
    if entry.state is not SUCCEEDED:
        return MISSING
    return entry.value if type(entry) is Node else entry.result()


def in_one_line(tasks: "Iterable[Task[..., Any]]") -> bool:
    """Return True if all nodes of these queue for the same, first come, first served.

    Else one that is not made yet might have begun before those that are: it has a higher priority, or needs less.
    """
    patterns = {id(pattern): pattern for pattern in [getattr(each, "pattern", each) for each in tasks]}
    lines = [
        (each.options.priority, each.options.resources, each.options.limit, each.call is None)
        for each in patterns.values()
    ]
    return all(line == lines[0] for line in lines)
