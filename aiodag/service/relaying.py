"""Carry messages between a store and the world: out of its outbox, and into its inbox.

    outbox, a topic ──► lease its relay ──► the oldest messages ──► transport.send ──► they leave the outbox
    transport.receive ──► into the inbox ──► ask for more, so that the transport forgets the former

Each arrow may be the last thing that this process does. So a message leaves, and comes in, at least once, and its id says that
it is the same. Two relays of one topic, one of which has stood still until its lease ran out, send some messages twice; both
send those of a key in order, so that the first of each come in order. The lease saves work, and nothing depends on it.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from aiodag.errors import MessageRefused, OptionError, PayloadRefused, StoreError, StoreUnreachable
from aiodag.happenings import Happening
from aiodag.messages.payloads import checked_id, checked_keys, checked_topic, read_payload, storable_name
from aiodag.messages.topics import declared_topic
from aiodag.messages.transports import source_at, transport_at
from aiodag.records import Incoming, Owner
from aiodag.service.messages import inbox_of_store
from aiodag.stores.watch import watch_store
from aiodag.wording import describe_seconds, hide_password, printable

if TYPE_CHECKING:
    from aiodag.abc import Runs, Transport
    from aiodag.records import Outgoing

T = TypeVar("T")
LOOK = 1.0  # seconds between two looks into the outbox, heard of something or not
LEASE = 30.0  # seconds in which nobody else relays a topic; renewed with each portion
AT_ONCE = 200  # messages in a portion
PAUSES = (0.5, 15.0)  # seconds until what has failed is tried again: the first time, and at most
LAST = 5.0  # seconds that what is in the outbox has to leave when the worker ends, and a transport to close


class Carrier:
    """Carries the messages of one store while it is entered: those that come by `transports`, and all that are to leave.

    `say` is called with lines for people. Raises `OptionError` and `MissingExtra` for an address that cannot be received from,
    and `StoreError` for a store that has no inbox.
    """

    def __init__(self, store: "Runs", transports: "Collection[str | Transport]", say: Callable[[str], object]) -> None:
        self._store, self._owner, self._say = store, Owner.here(), say
        self._inbox = inbox_of_store(store)
        self._sources = {name_of(each): source_at(each) if isinstance(each, str) else each for each in transports}
        self._ways: dict[str, Transport] = {}  # out of the outbox, by their addresses
        self._relays: dict[str, asyncio.Task[None]] = {}  # by topic
        self._failures: dict[str, Failures] = {}  # of relays by topic
        self._works: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._works = [asyncio.create_task(self._receive(name)) for name in self._sources]
        self._works.append(asyncio.create_task(self._watch_outbox()))
        return self

    async def __aexit__(self, _: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        await end_tasks(self._works)
        try:
            if error is None:
                with suppress(TimeoutError, StoreError):  # what stays leaves by another worker
                    async with asyncio.timeout(LAST):
                        await self.look()
                        await asyncio.gather(*self._relays.values())
        finally:
            await end_tasks(self._relays.values())
            for transport in [*self._sources.values(), *self._ways.values()]:
                with suppress(Exception):
                    async with asyncio.timeout(LAST):
                        await transport.close()

    # In

    async def _receive(self, name: str) -> None:
        """Receive from a transport, again and again: whatever is wrong with it may be mended."""
        failures = Failures(name, self._say)
        while True:
            try:
                async with aclosing(self._sources[name].receive()) as batches:
                    async for batch in batches:
                        await self._deliver([admitted(each) for each in batch])
                        failures.forget()
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                await asyncio.sleep(failures.pause(RuntimeError("something that it awaited was cancelled")))
            except Exception as error:  # noqa: BLE001 - of others' code, too; the worker goes on
                await asyncio.sleep(failures.pause(error))
            else:
                return

    async def _deliver(self, messages: Sequence[Incoming]) -> None:
        """Put messages into the inbox, as soon as the store can be reached."""
        failures = Failures("the store", self._say)
        while True:
            try:
                await in_thread(partial(self._inbox.deliver, messages))
            except StoreUnreachable as error:
                await asyncio.sleep(failures.pause(error))
            else:
                return

    # Out

    async def _watch_outbox(self) -> None:
        failures = Failures("the outbox", self._say)
        with watch_store(self._store) as watch:
            while True:
                ticket = watch.ticket()
                try:
                    await self.look()
                except Exception as error:  # noqa: BLE001 - nothing would leave any more; and the worker goes on
                    await asyncio.sleep(failures.pause(error))
                else:
                    failures.forget()
                    await watch.changed(ticket, LOOK, of={Happening.OUTGOING})

    async def look(self) -> None:
        """Begin to relay the topics that have something in the outbox. Raises `StoreError`."""
        for topic in {topic for topic, _ in await in_thread(self._inbox.relays)}:
            failures = self._failures.setdefault(topic, Failures(f"messages of {printable(topic)}", self._say))
            if topic not in self._relays and time.monotonic() >= failures.until:
                relay = self._relays[topic] = asyncio.create_task(self._relay(topic))
                relay.add_done_callback(partial(self._forget_relay, topic))

    def _forget_relay(self, topic: str, _: "asyncio.Task[None]") -> None:
        del self._relays[topic]

    async def _relay(self, topic: str) -> None:
        """Send what is in the outbox for a topic, unless another worker does."""
        failures = self._failures[topic]
        try:
            if await in_thread(partial(self._inbox.lease_relay, topic, self._owner, LEASE)):
                try:
                    await self._send_all(topic)
                finally:
                    await in_thread(partial(self._inbox.lease_relay, topic, self._owner, 0.0))
        except Exception as error:  # noqa: BLE001 - of others' code, too; it is tried again
            failures.pause(error)
        else:
            del self._failures[topic]

    async def _send_all(self, topic: str) -> None:
        while messages := await in_thread(partial(self._inbox.outgoing, topic, AT_ONCE)):
            for via, some in groupby(messages, key=attrgetter("via")):  # of an older version of the code, another one
                gone = await self._send(via, list(some))
                await in_thread(partial(self._inbox.sent, topic, [each.number for each in gone]))
            self._failures[topic].forget()
            if not await in_thread(partial(self._inbox.lease_relay, topic, self._owner, LEASE)):
                return

    async def _send(self, via: str, messages: "Sequence[Outgoing]") -> "Sequence[Outgoing]":
        """Send messages, and return those that are to leave the outbox: all, or the one that can never be sent."""
        try:
            await self._way(via).send(messages)
        except MessageRefused as error:
            refused = [each for each in messages if each.id == error.message_id]
            if not refused:
                raise
            self._say(f"messages of {printable(refused[0].topic)}: a dead letter: {error}")
            await in_thread(partial(self._inbox.deliver, [dead_letter(each, error.why) for each in refused]))
            return refused
        return messages

    def _way(self, via: str) -> "Transport":
        if via not in self._ways:
            self._ways[via] = transport_at(via)
        return self._ways[via]


class Failures:
    """How long to wait after each of several failures in a row, of which those that say the same are printed once."""

    def __init__(self, name: str, say: Callable[[str], object]) -> None:
        self._name = name
        self._say = say
        self.forget()

    def forget(self) -> None:
        """Begin anew: it works."""
        self._seconds, self._said, self.until = PAUSES[0] / 2, "", 0.0

    def pause(self, error: Exception) -> float:
        """Print an error, and return for how many seconds to wait."""
        self._seconds = min(2 * self._seconds, PAUSES[1])
        self.until = time.monotonic() + self._seconds
        name, text = type(error).__name__, str(error)
        line = text if text.startswith(name) else f"{name}: {text}"
        if line != self._said:
            self._said = line
            self._say(f"{self._name}: tries again in {describe_seconds(self._seconds)}: {line}")
        return self._seconds


def admitted(message: Incoming) -> Incoming:
    """Return a message with the times of its topic, where this process has loaded the code that declares it.

    One that nobody could take is a dead letter, in texts that every store can hold: else it would come again for ever.
    """
    dead = message.dead or why_refused(message)
    if dead:
        payload = message.payload.replace("\0", "\\x00")
        topic, message_id, *keys = map(storable_name, (message.topic, message.id, *message.keys))
        message = message._replace(topic=topic, keys=keys, id=message_id, payload=payload)
    known = declared_topic(message.topic)
    ttl, dedup = (message.ttl, message.dedup) if known is None else (known.ttl, known.dedup)
    return message._replace(dead=printable(dead), ttl=ttl, dedup=dedup)


def why_refused(message: Incoming) -> str:
    """Return why nobody could take a message, if that is so: transports hand over what they have received."""
    try:
        checked_topic(message.topic)
        checked_keys(list(message.keys))
        checked_id(message.id)
        read_payload(message.payload)
    except (OptionError, PayloadRefused) as error:
        return str(error)
    return ""


def dead_letter(message: "Outgoing", why: str) -> Incoming:
    """Return a message that can never be sent as one that people find among the dead letters, and all others go on."""
    reason = f"{hide_password(message.via)} takes no such message: {why}"
    return Incoming(message.topic, message.keys, message.id, message.payload, headers=message.headers, dead=reason)


def carrier_of(
    store: "Runs", transports: "Collection[str | Transport]", say: Callable[[str], object]
) -> AbstractAsyncContextManager[object]:
    """Return what carries the messages of a store; nothing does where a store of others has no inbox, and need not have one."""
    if transports or callable(getattr(store, "relays", None)):
        return Carrier(store, transports, say)
    return nullcontext()


def name_of(transport: "str | Transport") -> str:
    """Return what a transport is called in lines for people."""
    return hide_password(transport) if isinstance(transport, str) else repr(transport)


def is_cancelled() -> bool:
    """Return True if somebody wants the asyncio task that runs to end: what it awaits may have been cancelled without it."""
    current = asyncio.current_task()
    return current is None or current.cancelling() > 0


async def in_thread(call: Callable[[], T]) -> T:
    """Call something in a thread. Who is cancelled meanwhile waits for its end: the store may be closed then."""
    calling = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait([calling])
        raise


async def end_tasks(tasks: "Iterable[asyncio.Task[None]]") -> None:
    """Cancel tasks, and wait until they have ended; not for ever for one whose broker does not answer."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending, timeout=LEASE)
