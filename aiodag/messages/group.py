"""Wait for the first of several nodes.

The node of `first_of` has an edge from each of them, and a rule: it runs when the first has settled. Then the others are
cancelled, unless something else needs them. Those that wait for the world are a *group*: what gives the first what it
waits for takes the waits of the others away in the same moment, so that none of them takes a message for nobody.
"""

import sys
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload
from weakref import WeakKeyDictionary

from aiodag._core.edges import settled
from aiodag._core.node import Node, Onlooker, Tolerant, Waiter
from aiodag._core.rules import Rule, judge
from aiodag._core.task import Task, task
from aiodag.messages.call_sites import called_in
from aiodag.messages.local import inbox_of
from aiodag.states import State
from aiodag.stores.row import NUMBER

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Iterable

    from aiodag.mail import Wait

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
AS_FIRST = Rule("first_of", runs_on=frozenset(map(str, State)))


# What nodes wait for now, and the futures of it. A wait may have begun before it is one of several.
OPEN: "WeakKeyDictionary[Node[Any], tuple[Wait, Future[Any]]]" = WeakKeyDictionary()


class First(NamedTuple, Generic[T]):
    """What `first_of` gives for named nodes: the name of the first, and its value.

    >>> from aiodag.messages import first_of, message, send, sleep
    >>> sent = send("PAYMENT", value=5)
    >>> await first_of(paid=message("PAYMENT"), late=sleep(3600))
    First(name='paid', value=5)
    """

    name: str
    value: T


async def pick_first(*settled: Node[Any], names: tuple[str, ...] = ()) -> Any:
    """Return the value of the first node that has settled; of several, of the one that was given first."""
    for place, node in enumerate(settled):
        if node.state.final:
            value = await node
            return First(names[place], value) if names else value
    raise RuntimeError("first_of() ran, and none of its nodes has settled")  # which its rule rules out


class Race:
    """The nodes of one `first_of`, until the first of them has settled."""

    def __init__(self, node: Node[Any], members: "Iterable[Node[Any]]") -> None:
        self.node = node
        self.members = tuple(members)
        self.waits: dict[Node[Any], Wait] = {}  # of those that wait for the world, and that nothing else needs
        self.held: dict[Node[Any], Future[None]] = {}  # of those that have lost already, as it seems
        self.over = self.finished = False  # the first has settled; and the others have been seen to
        for member in self.members:
            if not member.state.final:
                member._downstream = [*(member._downstream or ()), Membership(self, member)]  # noqa: SLF001 - as an edge
        if any(member.state.final for member in self.members):
            self.end()
            if node.state is State.WAITING:
                judge(node, None)
        else:
            self.wait_again([member for member in self.members if member in OPEN and race_of(member) is self])

    @property
    def number(self) -> int:
        """The number by which the waits of a group belong together: that of its node, in a run with a store."""
        row: list[Any] | None = getattr(self.node, "row", None)
        return id(self) if row is None else row[NUMBER]

    def wait_again(self, members: "Iterable[Node[Any]]") -> None:
        """Have those that wait do so as this group: they have begun before it, or what came for another one of it did not fit."""
        for member in members:
            wait, future = OPEN.get(member, (None, None))
            if wait is not None and future is not None and not future.done():
                self.waits[member] = wait
                inbox_of(member).wait(member, wait._replace(group=self.number))

    def end(self) -> None:
        """Have the losers cancelled: in a turn of its own, for the engine is in the middle of settling the first."""
        if not self.over:
            self.over = True
            engine = self.node.engine
            engine.loop.call_soon(self._cancel_losers, context=engine.context)

    def _cancel_losers(self) -> None:
        self.finished = True
        for member in self.members:
            if member.state.final:
                continue
            if not self.is_needed_elsewhere(member):
                member.cancel(f"it was not the first of {self.node.name}", upstream=True)
            elif member in self.held:
                self.release()
            elif member in self.waits:
                inbox_of(member).wait(member, self.waits[member])

    def is_needed_elsewhere(self, member: Node[Any]) -> bool:
        """Return True if anything but this race needs a node."""
        entries = member._downstream or ()  # noqa: SLF001 - as engine.is_needed()
        others = (each for each in entries if not each.done() and not self._is_own(each))
        return any(others) or member._is_watched()  # noqa: SLF001 - as above

    def is_open(self) -> bool:
        """Return True if its losers are still to be cancelled."""
        return not self.finished if self.over else not self.node.state.final

    def _is_own(self, entry: object) -> bool:
        if type(entry) is Membership:
            return entry.race is self
        return type(entry) is Onlooker or (type(entry) is Tolerant and entry.node is self.node)

    def hold(self, member: Node[Any]) -> "Future[None] | None":
        """Return what a member waits for that has lost before it begins: it is about to be cancelled. Else None."""
        if not self.is_decided(inbox_of(member), member):
            return None
        held = self.held[member] = member.engine.loop.create_future()
        return held

    def release(self) -> None:
        """Have those look again that were held."""
        held, self.held = self.held, {}
        for each in held.values():
            if not each.done():
                each.set_result(None)

    def is_decided(self, inbox: Any, member: Node[Any]) -> bool:
        """Return True if another one has settled, or will as soon as it is taken back: it was the first already."""
        return any(
            each.state.final or (each.run is member.run and inbox.is_recorded(each))
            for each in self.members
            if each is not member
        )


class Membership(Waiter):
    """Stands in the list of what waits for a member of a group."""

    __slots__ = ("member", "race")

    def __init__(self, race: Race, member: Node[Any]) -> None:
        super().__init__(loop=member.engine.loop)
        self.race, self.member = race, member
        self.awaited, self.body, self.seats, self.stands_for = member, None, None, None

    def done(self) -> bool:
        """Return True if the group needs its members no longer."""
        return self.race.over or self.race.node.state.final

    def hold(self) -> "Future[None] | None":
        """Hold a member that lost before its run was continued: it is not to do again what it began then."""
        return self.race.hold(self.member) if race_of(self.member) is self.race else None

    def wake(self) -> None:
        """Hear that the member has settled."""
        self.race.end()


def race_of(node: Node[Any]) -> Race | None:
    """Return the one race that a node is in, if nothing else needs it."""
    entries = node._downstream or ()  # noqa: SLF001 - as above
    races = [each.race for each in entries if type(each) is Membership and each.race.is_open()]
    if len(races) != 1 or races[0].is_needed_elsewhere(node):
        return None
    return races[0]


def is_racing(node: Node[Any]) -> bool:
    """Return True if the node of a `first_of` was made by an earlier attempt of the body that calls it."""
    entries = (entry for member in node.after for entry in member._downstream or ())  # noqa: SLF001 - as above
    return any(type(entry) is Membership and entry.race.node is node for entry in entries)


FIRST_OF: Task[..., Any] = task(pick_first, name="first_of")
FIRST_OF.rule = AS_FIRST
FIRST_OF.firm = True  # entered again, it finds its losers unsettled


@overload
def first_of(first: "Awaitable[T1]", /) -> "Node[T1]": ...
@overload
def first_of(first: "Awaitable[T1]", second: "Awaitable[T2]", /) -> "Node[T1 | T2]": ...
@overload
def first_of(first: "Awaitable[T1]", second: "Awaitable[T2]", third: "Awaitable[T3]", /) -> "Node[T1 | T2 | T3]": ...
@overload
def first_of(
    first: "Awaitable[T1]", second: "Awaitable[T2]", third: "Awaitable[T3]", fourth: "Awaitable[T4]", /
) -> "Node[T1 | T2 | T3 | T4]": ...
@overload
def first_of(*nodes: "Awaitable[T]") -> "Node[T]": ...
@overload
def first_of(**named: "Awaitable[T]") -> "Node[First[T]]": ...
def first_of(*nodes: "Awaitable[Any]", **named: "Awaitable[Any]") -> "Node[Any]":
    """Take the first of several nodes that settles: the node of its value, or of `First(name, value)` if they have names.

    If the first has failed, this fails as well, as does whatever needs a failed node. The others are cancelled, unless
    something else needs them; a message that comes for one of those is nobody's. Of two that settle at once, the one that
    was given first counts.

    Raises `TypeError` without nodes, for what is not awaitable, and for nodes with and without names at once.

    >>> from aiodag.messages import first_of, message, send, sleep
    >>> answer = first_of(message("ANSWER", key="A17"), sleep(3600))
    >>> sent = send("ANSWER", key="A17", value="yes")
    >>> await answer
    'yes'
    """
    if bool(nodes) is bool(named):
        msg = "first_of() takes nodes, first_of(a, b), or nodes with names, first_of(paid=a, late=b)"
        raise TypeError(msg)
    names = tuple(named)
    node = FIRST_OF(*(settled(each) for each in (nodes or named.values())), names=names)
    if not node.state.final and node.after and not is_racing(node):
        Race(node, dict.fromkeys(node.after))
    return called_in(sys._getframe(1), node)  # noqa: SLF001 - as above
