"""Transports of users, in the types that the seam names."""

from collections.abc import AsyncGenerator, Sequence
from typing import assert_type

from aiodag.abc import Transport
from aiodag.messages import Topic, register_transport
from aiodag.messages.kafka import Kafka
from aiodag.messages.kafka_records import KafkaRecord
from aiodag.records import Incoming, Outgoing
from aiodag.service import Service
from aiodag.service.worker import QueueWorker


class Letterbox:
    """A transport that nothing comes by."""

    async def receive(self) -> AsyncGenerator[list[Incoming]]:
        return
        yield

    async def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            assert_type(message.payload, str)

    async def close(self) -> None: ...


def keys_of_order(record: KafkaRecord, payload: dict[str, str]) -> list[str]:
    return [payload["order"], str(record.offset)]


def letterbox_at(address: str) -> Transport:
    return Letterbox()


register_transport("letterbox", letterbox_at)
register_transport("again", lambda address: Letterbox())
kafka: Transport = Kafka("broker:9092", topics=["PAYMENT"], group="orders", key=keys_of_order)
worker = QueueWorker(Service("memory:typing"), transports=["letterbox:", Letterbox(), kafka])
topic = Topic("NEWS", via="letterbox:")
