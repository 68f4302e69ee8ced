"""What every transport does, whatever it stands on; and how one is found by its address."""

import asyncio
import sys
from contextlib import aclosing
from uuid import uuid4

import pytest
from transports import Post
from worker_processes import PATIENCE

from aiodag import MissingExtra, OptionError
from aiodag.messages import Topic, register_transport
from aiodag.messages.transports import checked_via, source_at, transport_at
from aiodag.records import Incoming, Outgoing


class PostOffice:
    """The medium of such a transport, of one test."""

    def __init__(self):
        self.post = Post()

    def transport(self):
        return self.post

    async def spoil(self):
        """Put something there that nobody can read."""
        self.post.put(Incoming("PAYMENT", ("",), "spoilt", "{", dead="it is not JSON"))


class KafkaTopic:
    """A topic of a broker, of one test."""

    def __init__(self, broker):
        self.broker = broker
        self.group = uuid4().hex

    def transport(self):
        from aiodag.messages.kafka import Kafka

        # Of the first member of a group, this broker hears that it has gone when its session has run out.
        return Kafka(self.broker.address, topics=["PAYMENT"], group=self.group, session_timeout_ms=6_000)

    async def spoil(self):
        await self.broker.produce("PAYMENT", b"{")


@pytest.fixture(params=["post", "kafka"])
def medium(request):
    """What messages travel by: each test makes the transports on both sides."""
    if request.param == "post":
        yield PostOffice()
        return
    from kafka_servers import Broker

    broker = Broker()
    try:
        yield KafkaTopic(broker.start())
    finally:
        broker.remove()


def outgoing(number, key="A17", **more):
    return Outgoing("PAYMENT", (key,), f"m{number}", f'{{"number":{number}}}', **more)


async def test_messages_arrive_as_they_were_sent_in_order_for_each_key_and_come_until_somebody_has_them(medium):
    """Also what cannot be read arrives, with the reason. What was received before anybody asked for more comes again."""
    transport = medium.transport()
    sent = [outgoing(number, key) for number, key in enumerate("ABABCA")]
    sent.append(Outgoing("PAYMENT", ("A", "B"), "both", "[1]", to_all=True, headers={"from": "shop"}))

    async with asyncio.timeout(PATIENCE):
        await transport.send(sent)
        await medium.spoil()
        found = []
        async with aclosing(transport.receive()) as batches:
            async for batch in batches:
                found += batch
                if len(found) == len(sent) + 1:
                    await transport.send([outgoing(7, "C")])
                if len(found) == len(sent) + 2:
                    break  # nobody has asked for more since the last one
        again = []
        async with aclosing(transport.receive()) as batches:
            async for batch in batches:
                again += batch
                break
        await transport.close()

    good = {each.id: each for each in found if not each.dead}
    assert {key: [each.id for each in good.values() if each.keys == (key,)] for key in "ABC"} == {
        "A": ["m0", "m2", "m5"],
        "B": ["m1", "m3"],
        "C": ["m4", "m7"],
    }
    both = good["both"]
    assert (tuple(both.keys), both.payload, both.to_all, dict(both.headers)) == (
        ("A", "B"),
        "[1]",
        True,
        {"from": "shop"},
    )
    assert ["it is not JSON" in each.dead for each in found if each.dead] == [True]
    assert again
    assert again[-1].id == found[-1].id


@pytest.mark.usefixtures("schemes_forgotten")
def test_an_address_names_the_transport_that_was_registered_for_its_scheme():
    register_transport("post", lambda address: (address, "a transport"))

    assert transport_at("post:office") == ("post:office", "a transport")
    assert source_at("post:office") == ("post:office", "a transport")


@pytest.mark.usefixtures("schemes_forgotten")
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("amqp://broker", "an address that begins with kafka:...; register_transport adds others"),
        ("", "an address that begins with"),
        (None, "None cannot work"),
        ("kafka:", "an address that begins with"),
        ("kafka://", "kafka://HOST:9092"),
        ("kafka://broker:9092/orders", "kafka://HOST:9092"),
        ("kafka://broker:port", "kafka://HOST:9092"),
        ("kafka://broker:99999", "kafka://HOST:9092"),
        ("kafka://broker:9092,:9092", "kafka://HOST:9092"),
        ("kafka://broker:9092?topic=ORDERS", "the options group, topics"),
        ("kafka://broker:9092?tls=maybe", "tls is yes or no"),
        ("kafka://broker:9092?key=order&key_header=order", "but not both"),
        ("kafka://me:hush@broker:9092", "AIODAG_KAFKA_PASSWORD"),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_what_would(address, says):
    with pytest.raises(OptionError) as caught:
        checked_via(address)

    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.usefixtures("topics_forgotten")
def test_a_topic_is_refused_that_nothing_could_carry():
    with pytest.raises(OptionError, match="via='amqp://broker' cannot work"):
        Topic("PAYMENT", via="amqp://broker")

    assert Topic("PAYMENT", via="kafka://broker:9092").via == "kafka://broker:9092"


@pytest.mark.parametrize("address", ["kafka://broker:9092?topics=PAYMENT", "kafka://broker:9092?group=orders"])
def test_to_receive_from_kafka_takes_topics_and_a_group(address):
    with pytest.raises(OptionError, match="topics and a group"):
        source_at(address)


@pytest.mark.parametrize("scheme", ["kafka", "", "my post", "1st", None])
def test_a_scheme_that_no_address_can_have_is_refused(scheme):
    with pytest.raises(OptionError, match="letters and digits"):
        register_transport(scheme, lambda address: address)


def test_what_opens_a_transport_can_be_called():
    with pytest.raises(OptionError, match="a function that makes a transport"):
        register_transport("office", "a transport")


def test_kafka_takes_an_extra_and_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    monkeypatch.delitem(sys.modules, "aiodag.messages.kafka", raising=False)

    with pytest.raises(MissingExtra, match=r"pip install 'aiodag\[kafka\]'"):
        transport_at("kafka://broker:9092")
