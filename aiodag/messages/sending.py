"""What runs send: a message leaves with the success of the node that sends it."""

import json
import sys
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiodag._core.context import current_node
from aiodag._core.task import task
from aiodag.errors import OptionError, PayloadRefused
from aiodag.mail import Outgoing
from aiodag.messages.call_sites import called_in
from aiodag.messages.fitting import Misfit
from aiodag.messages.local import inbox_of
from aiodag.messages.payloads import checked_headers, checked_id, checked_keys, payload_text
from aiodag.messages.plain import NotYet
from aiodag.messages.topics import Topic, topic_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from aiodag._core.node import Node

T = TypeVar("T")


async def send_message(
    topic: str,
    *keys: str,
    value: object,
    payload: str,
    id: str,  # noqa: A002 - the word of the field
    to: str,
    headers: "Mapping[str, str]",
) -> str:
    """Hand a message over: to the store with the success of this node, or to the inbox of the loop."""
    node: Any = current_node()
    about: Topic[Any] = topic_of(topic)
    inbox = inbox_of(node)
    text = payload or payload_for(about, value)
    if not id:
        id = f"{node.run.id}:{node.key}" if node.key else inbox.next_id()  # noqa: A001 - as above
    inbox.send(node, Outgoing(topic, keys, id, text, to == "all", about.ttl, about.dedup, headers, about.via))
    return id


def payload_for(topic: Topic[Any], value: object) -> str:
    """Return the payload of a message. Raises `PayloadRefused`, also for what its receivers would put away."""
    text = payload_text(value)
    try:
        topic.fit(None, json.loads(text))
    except Misfit as error:
        raise PayloadRefused(f"{error}, and {topic!r} wants that") from None
    return text


SEND = task(send_message, name="send")


@overload
def send(
    topic: Topic[T],
    *,
    key: "str | Sequence[str]" = "",
    value: "T | Awaitable[T] | None" = None,
    id: str | None = None,
    to: str = "one",
    headers: "Mapping[str, str] | None" = None,
) -> "Node[str]": ...
@overload
def send(
    topic: str,
    *,
    key: "str | Sequence[str]" = "",
    value: object = None,
    id: str | None = None,
    to: str = "one",
    headers: "Mapping[str, str] | None" = None,
) -> "Node[str]": ...
def send(
    topic: Topic[Any] | str,
    *,
    key: "str | Sequence[str]" = "",
    value: object = None,
    id: str | None = None,  # noqa: A002 - the word of the field
    to: str = "one",
    headers: "Mapping[str, str] | None" = None,
) -> "Node[str]":
    """Send a message, once: the node of its id.

    `key` says whom it is for; with several keys, each of them has one receiver. The one who has waited longest gets it, or,
    with `to="all"`, everybody who waits for a key of it now. If nobody waits, it is kept for the time to live of its topic.
    `value` is anything that JSON has a form for, or a node of that. What is sent again under an `id` of the topic is
    dropped by whoever receives it.

    In a run with a store the message leaves in the transaction that records this node: it is neither lost nor, when the run
    goes on, sent again. Without a store it stays in this process, on its loop.

    Raises `OptionError` for what cannot be a topic, a key, an id or headers, `PayloadRefused` for a value that no message
    can carry, and `SecretInValue`.

    >>> from aiodag.messages import message, send
    >>> await send("PAYMENT", key=["A17", "A18"], value={"amount": 5}, id="m1")
    'm1'
    >>> await message("PAYMENT", key="A18")
    {'amount': 5}
    """
    about = topic_of(topic)
    keys = checked_keys(key)
    if to not in ("one", "all"):
        raise OptionError("to", to, "'one', the oldest who waits for a key, or 'all' of them")
    known = "" if id is None else checked_id(id)
    try:
        payload, value = payload_for(about, value), None
    except NotYet:  # it is an edge: its value is looked at when it is there
        payload = ""
    node = SEND(
        about.name, *keys, value=value, payload=payload, id=known, to=to, headers=dict(checked_headers(headers))
    )
    return called_in(sys._getframe(1), node)  # noqa: SLF001 - as above
