"""For tests of code that waits: be the world that sends messages, and see what became of them."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_run
from aiodag.errors import OptionError
from aiodag.faces import publish
from aiodag.mail import Delivered, Incoming, MessageRecord
from aiodag.messages.local import LocalInbox, local_inbox
from aiodag.messages.parked import yard_of
from aiodag.messages.payloads import checked_id, checked_keys, payload_text
from aiodag.messages.topics import topic_of

if TYPE_CHECKING:
    from aiodag.messages.topics import Topic


def deliver(
    topic: "Topic[Any] | str",
    key: str | Sequence[str] = "",
    payload: object = None,
    *,
    id: str | None = None,  # noqa: A002 - the word of the field
    to: str = "one",
) -> Delivered:
    """Deliver a message to what waits on this loop, as `Service.deliver` does to what waits in a store. Return what became of it.

    `payload` is anything that `send` takes; it is not held against the type of the topic, for the world may send anything.
    Each message without an `id` is another one.

    Runs of `park_at_every_wait` that go on get it, too.

    Raises `RuntimeError` without a running loop, and in a run with a store: its messages come by way of the store.

    >>> from aiodag.messages import message
    >>> from aiodag.testing import deliver
    >>> deliver("PAYMENT", "A17", {"amount": 5}, id="m1").outcome
    'kept'
    >>> deliver("PAYMENT", "A17", {"amount": 5}, id="m1").outcome
    'duplicate'
    >>> await message("PAYMENT", key="A17")
    {'amount': 5}
    """
    inbox, about, yard = inbox_here(), topic_of(topic), yard_of(asyncio.get_running_loop())
    if to not in ("one", "all"):
        raise OptionError("to", to, "'one', the oldest who waits for a key, or 'all' of them")
    known = inbox.next_id() if id is None else checked_id(id)
    text, keys = payload_text(payload), checked_keys(key)
    incoming = Incoming(about.name, keys, known, text, to == "all", about.ttl, about.dedup)
    return inbox.deliver(incoming) if yard is None else yard.deliver(incoming)


def messages_kept() -> list[MessageRecord]:
    """Return the messages on this loop that nobody has waited for yet, oldest first.

    >>> from aiodag.messages import send
    >>> from aiodag.testing import messages_kept
    >>> sent = await send("PAYMENT", key="A17", value=5)
    >>> [(each.topic, each.keys, each.payload) for each in messages_kept()]
    [('PAYMENT', ('A17',), '5')]
    """
    return records_here("kept")


def dead_letters() -> list[MessageRecord]:
    """Return the messages on this loop that nobody got, with the `reason`: nobody waited in time, or it did not fit.

    >>> from aiodag.messages import Topic, message
    >>> from aiodag.testing import dead_letters, deliver
    >>> node = message(Topic("AMOUNT", value=int), timeout=1)
    >>> kept = deliver("AMOUNT", payload="five")
    >>> await node
    Traceback (most recent call last):
    TimeoutError: no message of 'AMOUNT' came within 1 s
    >>> [each.reason for each in dead_letters()]
    ["payload: 'five' is not an int"]
    """
    return records_here("dead")


def records_here(state: str) -> list[MessageRecord]:
    """Return the messages in a state: of this loop, or of the runs that are parked on it."""
    yard = yard_of(asyncio.get_running_loop())
    return inbox_here().shelf.records(state) if yard is None else yard.store.messages(state=state)


def inbox_here() -> LocalInbox:
    """Return the inbox of this loop. Raises `RuntimeError` in a run that has another one."""
    run = current_run()
    if run is not None and run.journal is not None:
        msg = f"run {run.name!r} waits in its store: deliver there, by Service(store).deliver() or `aiodag send`"
        raise RuntimeError(msg)
    return local_inbox()


publish("aiodag.testing", globals(), __name__)
