"""What messages are about, and what they carry."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from aiodag._core.doors import open_door
from aiodag._core.options import check_seconds
from aiodag.errors import OptionError
from aiodag.mail import DEDUP, TTL
from aiodag.messages.fitting import CannotFit, fitter_of, name_of_kind
from aiodag.messages.payloads import checked_topic
from aiodag.messages.starters import Beginning, beginning_of
from aiodag.messages.transports import checked_via
from aiodag.names import import_name
from aiodag.queue_defaults import DEFAULT_QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from aiodag._core.node import Node
    from aiodag._core.task import Task
    from aiodag.messages.fitting import Fitter

T = TypeVar("T")
E = TypeVar("E")
DECLARED: "dict[str, Topic[Any]]" = {}  # by name, in this process: a name alone means the same as what was declared


class Topic(Generic[T]):
    """What messages are about: a name, and the type of what they carry.

    `value` is the type that whoever waits gets: a dataclass, a named tuple, a `TypedDict`, an Enum, a model of pydantic or
    msgspec, or something made of those and of plain types. A message that does not fit becomes a dead letter, which says
    why, and whoever waits for one waits on. Without a type it is what JSON has.

    `via` is the address of a transport, such as `kafka://broker:9092`: messages that runs with a store send then leave that
    way, by a worker, and else stay in the store. `ttl` is how long a message is kept for somebody who will wait for it, and `dedup` how
    long its id is remembered, both in seconds or as a `timedelta`.

    The name alone means the same topic everywhere in the process. Raises `OptionError` for a name without characters, a type
    that JSON cannot become, and a second topic of the name that differs in type or transport.

    >>> from dataclasses import dataclass
    >>> from aiodag.messages import Topic, message, send
    >>> @dataclass
    ... class Payment:
    ...     amount: int
    >>> payments = Topic("PAYMENT", value=Payment)
    >>> sent = send(payments, key="A17", value=Payment(5))
    >>> await message(payments, key="A17")
    Payment(amount=5)
    """

    __slots__ = ("_fitter", "begins", "dedup", "name", "ttl", "value", "via", "waiting")

    @overload
    def __init__(
        self,
        name: str,
        value: type[T],
        *,
        via: str | None = None,
        ttl: "float | timedelta" = TTL,
        dedup: "float | timedelta" = DEDUP,
    ) -> None: ...
    @overload
    def __init__(
        self: "Topic[Any]",
        name: str,
        value: Any = Any,
        *,
        via: str | None = None,
        ttl: "float | timedelta" = TTL,
        dedup: "float | timedelta" = DEDUP,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        value: Any = Any,
        *,
        via: str | None = None,
        ttl: "float | timedelta" = TTL,
        dedup: "float | timedelta" = DEDUP,
    ) -> None:
        self.name = checked_topic(name)
        self.value: Any = value
        self.via = "" if via is None else checked_via(via, option="via")
        self.ttl = check_seconds("ttl", ttl)
        self.dedup = check_seconds("dedup", dedup)
        self._fitter: Fitter | None = None
        self.waiting: Task[..., Any] | None = None  # the task of the nodes that wait for one of its messages
        known = DECLARED.get(name)
        if known is not None and (known.via != self.via or not is_same_kind(known.value, value)):
            raise OptionError(
                "topic", name, f"one type and one transport in a process, and there is {known!r} already: use that one"
            )
        self.begins: dict[str, Beginning] = {} if known is None else known.begins  # what its messages begin, by name
        DECLARED[name] = self

    def __repr__(self) -> str:
        value = "" if self.value is Any else f", value={name_of_kind(self.value)}"
        via = f", via={self.via!r}" if self.via else ""
        return f"Topic({self.name!r}{value}{via})"

    @overload
    def starts(self, entry: E, /, *, queue: str = DEFAULT_QUEUE) -> E: ...
    @overload
    def starts(self, /, *, queue: str = DEFAULT_QUEUE) -> "Callable[[E], E]": ...
    def starts(self, entry: Any = None, /, *, queue: str = DEFAULT_QUEUE) -> Any:
        """Have each message that nobody waits for begin a run of a task, once for each id: also as a decorator.

        The task or async function is given the value as its first argument, of the type that it is annotated with. Workers
        tell their store of it when they have imported its file, for which `aiodag worker --import` is there; from then on
        messages begin runs in `queue`, whoever delivers them. In a process without a store they run on its loop.

        Raises `NotATask`, `OptionError` for what cannot be the name of a queue, and `TypeError` for what does not take one argument.

        >>> import asyncio
        >>> from aiodag.messages import Topic, send
        >>> orders = Topic("ORDER")
        >>> shipped = asyncio.Event()
        >>> @orders.starts
        ... async def order(name: str):
        ...     print("ships", name)
        ...     shipped.set()
        >>> sent = send("ORDER", value="A17")
        >>> waited = await shipped.wait()
        ships A17
        """
        if queue != DEFAULT_QUEUE:
            queue = open_door("children").queue_for_children(queue)
        if entry is None:
            return partial(self.starts, queue=queue)
        declared_in = sys._getframe(1).f_globals.get("__file__") or ""  # noqa: SLF001 - the file of who says so
        beginning = beginning_of(entry, queue, declared_in)
        self.begins[beginning.entry.name] = beginning
        return entry

    def fitter(self) -> "Fitter":
        """Return what makes the value of a payload. Raises `OptionError` for a type that JSON cannot become.

        Made at the first use: annotations may name what is written further down in a file.
        """
        if self._fitter is None:
            try:
                self._fitter = fitter_of(self.value)
            except CannotFit as error:
                raise OptionError("value", self.value, f"a type that JSON can become: {error}") from error
        return self._fitter

    def fit(self, _node: "Node[Any] | None", plain: Any) -> T:
        """Return the value of a payload. Raises `Misfit`."""
        value: T = self.fitter()(plain, "payload")
        return value


def topic_of(given: "Topic[T] | str") -> Topic[T]:
    """Return a topic: of a name the one that was declared, else one for this call alone. Raises `OptionError`."""
    if isinstance(given, Topic):
        return given
    name = checked_topic(given)
    return DECLARED.get(name) or passing_topic(name)


def passing_topic(name: str) -> Topic[Any]:
    """Return a topic that is not declared: whoever declares one of the name later is free in what it carries."""
    try:
        return Topic(name)
    finally:
        DECLARED.pop(name, None)


def declared_topic(name: str) -> Topic[Any] | None:
    """Return the topic of a name that this process has declared."""
    return DECLARED.get(name)


def declared_topics() -> list[Topic[Any]]:
    """Return the topics that this process has declared."""
    return list(DECLARED.values())


def is_same_kind(kind: object, other: object) -> bool:
    """Return True if two types are one: the same, or one class that was defined again, as a notebook does."""
    if kind == other:
        return True
    return isinstance(kind, type) and isinstance(other, type) and import_name(kind) == import_name(other)
