"""Messages by way of Kafka, with aiokafka: the extra `kafka`."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any, Self

from aiodag.errors import MessageRefused, MissingExtra, OptionError
from aiodag.mail import Incoming, Outgoing
from aiodag.messages.kafka_addresses import kafka_address
from aiodag.messages.kafka_records import KafkaRecord, KeyFunction, RecordReader, record_parts, waves
from aiodag.messages.payloads import MESSAGE_LARGEST

try:
    import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has no types of its own
except ImportError as error:
    raise MissingExtra("a transport at kafka://...", "aiokafka", "kafka") from error

AT_ONCE = 500  # messages that go into the inbox in one transaction
LOOK = 1_000  # milliseconds until the loop looks whether the group has failed
METADATA = 30_000  # milliseconds until a new partition is seen
PATIENCE = 10_000  # milliseconds in which a record that was sent must arrive; also how long a close may take
RETRY = 500  # milliseconds until a broker that is away is asked again
SILENCE = 60.0  # seconds in which a line of aiokafka that says the same is not printed again
ENVELOPE = 2**16  # bytes around a payload: key and headers

# What its clients take; what of that is not for others to say; and what they are told unless somebody says otherwise.
CONSUMER, PRODUCER = (signature(each).parameters for each in (aiokafka.AIOKafkaConsumer, aiokafka.AIOKafkaProducer))
OURS = frozenset({"topics", "loop", "bootstrap_servers", "group_id", "enable_auto_commit", "acks"})
RECEIVING: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "metadata_max_age_ms": METADATA,
    "retry_backoff_ms": RETRY,
}
SENDING: dict[str, Any] = {
    "request_timeout_ms": PATIENCE,
    "max_request_size": MESSAGE_LARGEST + ENVELOPE,
    "metadata_max_age_ms": METADATA,
    "retry_backoff_ms": RETRY,
}


class Kafka:
    """Receive records from topics of Kafka, as a member of a consumer group, and send records to any.

    `servers` are the brokers to ask first: "one:9092,two:9092". `key` is a field of the payload such as "order.id", or a
    function of the record and its payload that returns a key or a list of them; `key_header` names the header that has it.
    Without these, it is the record's key. The id of a message is in the header `id_header`; a record without one is known by
    its topic, partition and offset. All other options go to the clients of aiokafka that take them: `ssl_context`,
    `auto_offset_reset` ("earliest"), `session_timeout_ms`, ... Raises `OptionError` for others.

    Messages of one group go to its members: workers of one store. Two stores take two groups.

    >>> from aiodag.messages.kafka import Kafka
    >>> orders = Kafka("db.example:9092", topics=["PAYMENT"], group="orders", key="order.id")
    """

    def __init__(
        self,
        servers: str,
        *,
        topics: Sequence[str] = (),
        group: str = "",
        key: str | KeyFunction = "",
        key_header: str = "",
        id_header: str = "",
        **options: Any,
    ) -> None:
        strange = [name for name in options if name in OURS or not any(name in each for each in (CONSUMER, PRODUCER))]
        if strange:
            wanted = (
                f"the options of a client of aiokafka, but not {', '.join(sorted(OURS))}, which have a meaning here"
            )
            raise OptionError("options", strange, wanted)
        self._consuming = {**RECEIVING, **{name: given for name, given in options.items() if name in CONSUMER}}
        self._producing = {**SENDING, **{name: given for name, given in options.items() if name in PRODUCER}}
        self._servers = servers
        self._topics = list(topics)
        self._group = group
        self._reader = RecordReader(key, key_header, id_header)
        self._starting = asyncio.Lock()
        self._producer: Any = None

    @classmethod
    def at(cls, address: str) -> Self:
        """Return the transport at an address. Raises `OptionError` for one that is wrong.

        >>> orders = Kafka.at("kafka://db.example:9092?topics=PAYMENT&group=orders&key=order.id")
        """
        found = kafka_address(address)
        return cls(
            found.servers,
            topics=found.topics,
            group=found.group,
            key=found.key,
            key_header=found.key_header,
            id_header=found.id_header,
            **found.client_options(),
        )

    async def receive(self) -> AsyncGenerator[list[Incoming]]:
        """Yield messages as they come. Who asks for more has the former safe: only then their offsets are committed.

        Raises `OptionError` without topics or without a group, and errors of aiokafka when the broker refuses.
        """
        if not self._topics or not self._group:
            wanted = "topics and a group, to receive: kafka://HOST:9092?group=orders&topics=PAYMENT,SHIPPED"
            raise OptionError("transport", f"kafka://{self._servers}", wanted)
        consumer = aiokafka.AIOKafkaConsumer(
            *self._topics,
            bootstrap_servers=self._servers,
            group_id=self._group,
            enable_auto_commit=False,
            **self._consuming,
        )
        try:
            await consumer.start()
            while True:
                found = await consumer.getmany(timeout_ms=LOOK, max_records=AT_ONCE)
                if found:
                    yield [
                        self._reader.incoming(kafka_record_of(each)) for records in found.values() for each in records
                    ]
                    await commit_offsets(consumer, {place: records[-1].offset + 1 for place, records in found.items()})
        finally:
            await consumer.stop()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send messages, in order for each key, and return when the brokers have them.

        Raises `MessageRefused` for one that is too large for them, and errors of aiokafka.
        """
        producer = await self._started()
        for wave in waves(messages):
            arrivals: list[asyncio.Future[object]] = []
            for message in wave:
                with refusing(message):
                    arrivals.append(await producer.send(message.topic, **record_parts(message)))
                arrivals[-1].add_done_callback(retrieve_error)
            await asyncio.wait(arrivals)
            for message, arrival in zip(wave, arrivals, strict=True):
                with refusing(message):
                    arrival.result()

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self._servers, acks="all", **self._producing)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Let go of the connections. What is on its way to a broker arrives first, or is given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


class RareLines(logging.Handler):
    """Prints what aiokafka logs where nobody has set up logging, each line once a minute.

    Python would print every one, and while a broker is away there are dozens each second.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line, unless others do or it was printed a moment ago."""
        now, line = time.monotonic(), record.getMessage()
        self._printed = {line: at for line, at in self._printed.items() if now - at < SILENCE}
        if line not in self._printed and not logging.root.handlers and logging.lastResort is not None:
            self._printed[line] = now
            logging.lastResort.handle(record)


logging.getLogger("aiokafka").addHandler(RareLines())


@contextmanager
def refusing(message: Outgoing) -> Generator[None]:
    """Raise `MessageRefused` where no broker will ever take a message."""
    try:
        yield
    except (aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.InvalidTopicError) as error:
        raise MessageRefused(message.id, f"{type(error).__name__}: {error}") from error


def kafka_record_of(found: Any) -> KafkaRecord:
    """Return a record as functions of users get it, whatever aiokafka makes of it."""
    return KafkaRecord(found.topic, found.partition, found.offset, found.key, found.value, found.headers)


def retrieve_error(arrival: "asyncio.Future[object]") -> None:
    """Look at what became of a record. Who sends has gone where it was stopped, or another record has failed."""
    if not arrival.cancelled():
        arrival.exception()


async def commit_offsets(consumer: Any, offsets: dict[Any, int]) -> None:
    """Commit what is in the inbox. Where the partitions are another member's by now, that receives it again: it is known there."""
    try:
        await consumer.commit(offsets)
    except (aiokafka.errors.CommitFailedError, aiokafka.errors.IllegalStateError):
        return
