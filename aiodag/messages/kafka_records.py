"""Messages as records of Kafka, and back. Stands on no package.

    record    topic   value          key             headers
    message   topic   payload, JSON  its first key   aiodag-id, aiodag-keys where there are several, aiodag-to, those of `send`

A record that others wrote has its Kafka key as the key of the message, or what the transport is told: a header, a field of
the payload, a function. Without an id in a header, its topic, partition and offset are the id.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiodag.errors import PayloadRefused
from aiodag.mail import Incoming, Outgoing
from aiodag.messages.payloads import MESSAGE_LARGEST, checked_id, checked_keys, read_payload

ID, KEYS, TO = "aiodag-id", "aiodag-keys", "aiodag-to"
KeyFunction = Callable[["KafkaRecord", Any], str | Sequence[str]]


class KafkaRecord(NamedTuple):
    """A record, as a function that finds its key gets it.

    >>> from aiodag.messages.kafka_records import KafkaRecord
    >>> KafkaRecord("PAYMENT", 0, 17, b"A17", b'{"amount": 5}').key
    b'A17'
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class RecordReader:
    """Makes messages of records.

    `key` is a field of the payload, such as "order.id", or a function of the record and its payload that returns a key or a
    list of keys; `key_header` and `id_header` name the headers of others.
    """

    def __init__(self, key: str | KeyFunction = "", key_header: str = "", id_header: str = "") -> None:
        self._key = key
        self._key_header = key_header
        self._id_header = id_header or ID

    def incoming(self, record: KafkaRecord) -> Incoming:
        """Return the message of a record: a dead letter, with the reason, where nobody could take it."""
        headers = {name: text_of(value or b"") for name, value in record.headers}
        raw = b"null" if record.value is None else record.value
        here = f"{record.topic}:{record.partition}:{record.offset}"
        keys: Sequence[str] = ("",)
        known_by, dead = here, ""
        try:
            payload = read_payload(raw)
            keys = self._keys(record, payload, headers)
            known_by = checked_id(headers.get(self._id_header) or here)
        except PayloadRefused as error:
            dead = error.why
        except Exception as error:  # noqa: BLE001 - of a function of others: the record would come again for ever
            dead = f"its key or its id cannot be used: {type(error).__name__}: {error}"
        return Incoming(
            topic=record.topic,
            keys=keys,
            id=known_by,
            payload=text_of(raw[:MESSAGE_LARGEST]),
            to_all=headers.get(TO) == "all",
            headers={name: value for name, value in headers.items() if name not in {ID, KEYS, TO}},
            dead=dead,
        )

    def _keys(self, record: KafkaRecord, payload: Any, headers: dict[str, str]) -> Sequence[str]:
        if callable(self._key):
            return keys_of(self._key(record, payload))
        if self._key:
            return keys_of(field_of(payload, self._key))
        if self._key_header:
            return keys_of(headers[self._key_header])
        if KEYS in headers:
            return keys_of(json.loads(headers[KEYS]))
        return keys_of((record.key or b"").decode())


def field_of(payload: Any, path: str) -> Any:
    """Return what a payload has at a path of names. Raises `KeyError`, with the path.

    >>> field_of({"order": {"id": "A17"}}, "order.id")
    'A17'
    """
    for name in path.split("."):
        if not isinstance(payload, dict) or name not in payload:
            raise KeyError(path)
        payload = payload[name]
    return payload


def keys_of(given: object) -> Sequence[str]:
    """Return the keys that a record has: texts, and whole numbers as texts. Raises `OptionError` for anything else.

    >>> keys_of(17), keys_of(["A17", "B2"])
    (('17',), ('A17', 'B2'))
    """
    found: list[Any] = given if isinstance(given, list) else [given]
    return checked_keys([str(each) if type(each) is int else each for each in found])


def text_of(raw: bytes) -> str:
    r"""Return what a record has as text, whatever it is.

    >>> text_of(b"A17"), text_of(b"\xff")
    ('A17', '\\xff')
    """
    return raw.decode(errors="backslashreplace")


def record_parts(message: Outgoing) -> dict[str, Any]:
    """Return the key, the value and the headers of the record of a message."""
    headers = [(ID, message.id.encode())]
    if len(message.keys) > 1:
        headers.append((KEYS, json.dumps(list(message.keys)).encode()))
    if message.to_all:
        headers.append((TO, b"all"))
    headers += [(name, value.encode()) for name, value in message.headers.items()]
    return {"key": message.keys[0].encode() or None, "value": message.payload.encode(), "headers": headers}


def waves(messages: Sequence[Outgoing]) -> list[list[Outgoing]]:
    """Return messages in portions, in order, none of which has two messages of one key.

    A producer of Kafka has many records under way. If one fails while a younger one of its key arrives, and is then sent
    again, they have changed places. So a wave is sent when the former has arrived. Keys of which only one is there cost nothing.
    """
    found: list[list[Outgoing]] = []
    under_way: set[str] = set()
    for message in messages:
        keys = set(message.keys) - {""}
        if not found or keys & under_way:
            found.append([])
            under_way = set()
        found[-1].append(message)
        under_way |= keys
    return found
