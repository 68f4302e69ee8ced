"""What the pages of messages show: topics, who waits for what, and messages with what became of them."""

import json
from typing import Any, NamedTuple

from aiodag.mail import MessageRecord, TopicRecord, WaitRecord
from aiodag.masking import masked
from aiodag.service import Service
from aiodag.service.documents import value_of_payload
from aiodag.service.phrases import wait_words

LISTED = 100  # messages and waits that are shown
LONGEST = 2000  # characters of a payload


class MessageRow(NamedTuple):
    """A message in the list, with its payload for people."""

    record: MessageRecord
    payload: str
    is_cut: bool


class WaitLine(NamedTuple):
    """Something that a run waits for: in words, and whether it has come."""

    record: WaitRecord
    what: str


class MailView(NamedTuple):
    """What the page of messages shows. There are more than are shown where it says so."""

    topics: list[TopicRecord]
    messages: list[MessageRow]
    more_messages: bool
    waits: list[WaitLine]
    more_waits: bool


def view_mail(service: Service, topic: str | None = None, state: str | None = None) -> MailView:
    """Return topics, the newest messages and the oldest waits: all, or those of a topic, and messages in a state."""
    messages = service.messages(topic, state=state or None, limit=LISTED + 1)[::-1]
    waits = service.waits(topic=topic, limit=LISTED + 1)
    return MailView(
        service.topics(),
        [message_row(each) for each in messages[:LISTED]],
        len(messages) > LISTED,
        [WaitLine(each, wait_words(each)) for each in waits[:LISTED]],
        len(waits) > LISTED,
    )


def message_row(record: MessageRecord) -> MessageRow:
    """Return a message for the list, with the begin of its payload."""
    value: Any = value_of_payload(record.payload)
    text = masked(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return MessageRow(record, text[:LONGEST], len(text) > LONGEST)
