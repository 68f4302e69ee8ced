"""What is delivered from outside: checked as a whole before anything is recorded."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from aiodag._core.options import check_seconds
from aiodag.errors import OptionError
from aiodag.mail import Incoming
from aiodag.messages.payloads import (
    MESSAGE_LARGEST,
    checked_headers,
    checked_id,
    checked_keys,
    payload_text,
    read_payload,
)
from aiodag.messages.topics import declared_topic, topic_of

if TYPE_CHECKING:
    from aiodag.messages import Topic

RECEIVERS = ("one", "all")


def incoming_message(
    topic: "str | Topic[Any]",
    key: str | Sequence[str],
    payload: object,
    message_id: str | None,
    to: str,
    ttl: float | timedelta | None,
    dedup: float | timedelta | None,
    headers: Mapping[str, str] | None,
) -> Incoming:
    """Return a message as a store takes it. Raises `OptionError`, `PayloadRefused` and `SecretInValue`."""
    known = topic_of(topic)
    if to not in RECEIVERS:
        raise OptionError("to", to, '"one", the oldest that waits for it, or "all"')
    return Incoming(
        known.name,
        checked_keys(key),
        uuid4().hex if message_id is None else checked_id(message_id),
        payload_text(payload),
        to == "all",
        known.ttl if ttl is None else check_seconds("ttl", ttl),
        known.dedup if dedup is None else check_seconds("dedup", dedup),
        checked_headers(headers),
    )


def typed_payload(text: str) -> Any:
    """Return the plain value of a payload that was typed. Raises `PayloadRefused`."""
    return read_payload(text)


def payload_in_file(file: BinaryIO) -> Any:
    """Return the plain value of a payload in a file, of which no more is read than can be too much. Raises `PayloadRefused`."""
    return read_payload(file.read(MESSAGE_LARGEST + 1))


def is_declared(name: str) -> bool:
    """Return True if this process has made a topic of that name."""
    return declared_topic(name) is not None
