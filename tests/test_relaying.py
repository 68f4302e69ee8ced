"""Messages leave the outbox of a store, and come into its inbox, by transports: each at least once."""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from executions import claim_one, incompressible, write_one
from programs import write_program
from transports import Post
from worker_processes import PATIENCE, until

from aiodag.errors import MessageRefused, OptionError, StoreError, StoreUnreachable
from aiodag.messages import Topic
from aiodag.messages.transports import register_transport
from aiodag.records import Claim, Incoming, Outgoing, Owner
from aiodag.service import relaying
from aiodag.service.relaying import Carrier, carrier_of
from aiodag.service.worker import QueueWorker
from aiodag.stores import Memory

HERE = Owner.here()
OTHER = Owner("another-host", 1, "1")
KILLS, MESSAGES = 100, 300


@pytest.fixture
def offices(schemes_forgotten):
    """The post offices of this test, by their addresses."""
    found = {}
    register_transport("post", lambda address: found.setdefault(address, Post()))
    return found


def leave(store, *messages):
    """Have messages leave with a run, as a node that sends them does."""
    claimed = claim_one(store, Claim(f"run-{messages[0].id}", "etl", None, HERE, 3600.0, time.time()))
    write_one(store, claimed, f"run-{messages[0].id}", outbox=list(messages))


def outgoing(number, topic="PAID", key="A17", via="post:office", **more):
    return Outgoing(topic, (key,), f"m{number}", f'{{"number":{number}}}', via=via, **more)


def carrier(store, *transports, said=None):
    return Carrier(store, transports, [].append if said is None else said.append)


def ids(post):
    return [each.id for each in post.there]


async def test_messages_leave_in_order_by_the_transport_of_their_topic(store, offices):
    """Also those that come while the worker waits, and more than leave at once."""
    first = [outgoing(number, headers={"from": "shop"}) for number in range(relaying.AT_ONCE + 1)]
    leave(store, *first, outgoing("other", "SHIPPED", via="post:depot"))

    async with carrier(store):
        await until(lambda: offices.keys() == {"post:depot", "post:office"}, "both transports are opened")
        await until(lambda: len(offices["post:office"].there) == len(first), "all have left")
        leave(store, outgoing("late"))
        await until(lambda: ids(offices["post:office"])[-1] == "mlate", "the late one has left")
    (one, *_) = offices["post:office"].there

    assert ids(offices["post:office"]) == [*(each.id for each in first), "mlate"]
    assert (one.topic, list(one.keys), one.payload, dict(one.headers)) == (
        "PAID",
        ["A17"],
        '{"number":0}',
        {"from": "shop"},
    )
    assert ids(offices["post:depot"]) == ["mother"]
    assert store.relays() == []
    assert all(each.closed for each in offices.values())


async def test_what_is_in_the_outbox_leaves_before_the_worker_ends(store, offices):
    leave(store, outgoing(1))

    async with carrier(store):
        pass

    assert ids(offices["post:office"]) == ["m1"]
    assert store.relays() == []


class Closed(Post):
    """A post office that opens late."""

    def __init__(self, closed=3):
        super().__init__()
        self.closed_for = closed

    def refuse(self):
        self.closed_for -= 1
        if self.closed_for >= 0:
            raise ConnectionError("the office is closed")

    async def send(self, messages):
        self.refuse()
        await super().send(messages)

    async def receive(self):
        self.refuse()
        async for batch in super().receive():
            yield batch


async def test_a_transport_that_fails_is_tried_again_and_printed_once(store, offices, monkeypatch):
    """Messages of other topics leave meanwhile."""
    monkeypatch.setattr(relaying, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(relaying, "LOOK", 0.01)
    offices["post:office"] = Closed()
    said = []
    leave(
        store, outgoing(1), outgoing(2), outgoing(3, "SHIPPED", via="post:depot"), outgoing(4, "GONE", via="amqp:gone")
    )

    async with carrier(store, said=said):
        await until(lambda: len(offices["post:office"].there) == 2, "they have left")
        await until(lambda: any("GONE" in line for line in said), "it says what it cannot open")

    assert ids(offices["post:office"]) == ["m1", "m2"]
    assert ids(offices["post:depot"]) == ["m3"]
    assert sum("the office is closed" in line for line in said) == 1
    assert store.relays() == [("GONE", "amqp:gone")]
    assert [line for line in said if "amqp:gone" in line and "register_transport" in line]


class Picky(Post):
    """A post office that takes no message of one id."""

    async def send(self, messages):
        for each in messages:
            if each.id == "m2":
                raise MessageRefused(each.id, "it is too large")
            await super().send([each])


async def test_a_message_that_can_never_be_sent_is_a_dead_letter_and_the_others_leave(store, offices):
    offices["post:office"], said = Picky(), []
    leave(store, outgoing(1), outgoing(2), outgoing(3))

    async with carrier(store, said=said):
        await until(lambda: "m3" in ids(offices["post:office"]), "the others leave")

    assert store.relays() == []
    assert list(dict.fromkeys(ids(offices["post:office"]))) == ["m1", "m3"]
    (dead,) = store.messages(state="dead")
    assert (dead.id, dead.reason) == ("m2", "post:office takes no such message: it is too large")
    assert [line for line in said if "m2" in line]


async def test_one_worker_at_a_time_relays_a_topic(store, offices):
    leave(store, outgoing(1), outgoing(2, "SHIPPED", via="post:depot"))
    assert store.lease_relay("PAID", OTHER, 3600.0)

    async with carrier(store):
        await until(lambda: "post:depot" in offices, "the free topic is relayed")

    assert "post:office" not in offices
    assert store.lease_relay("SHIPPED", OTHER, 3600.0), "given up when all has left"
    store.lease_relay("PAID", OTHER, 0.0)
    async with carrier(store):
        await until(lambda: "post:office" in offices, "it was given up")


# In


def incoming(number, **more):
    return Incoming("PAID", ("A17",), f"m{number}", f'{{"number":{number}}}', **more)


async def test_a_transport_forgets_a_message_when_it_is_in_the_inbox_and_not_before(store, monkeypatch):
    deliver = store.deliver
    entered, gate = threading.Event(), threading.Event()

    def held(messages):
        entered.set()
        gate.wait(PATIENCE)
        return deliver(messages)

    monkeypatch.setattr(store, "deliver", held)
    post = Post()
    post.put(incoming(1))
    post.put(incoming(2, dead="it is not JSON"))

    async with carrier(store, post):
        await until(entered.is_set, "they are being delivered")
        before = len(post.there)
        gate.set()
        await until(lambda: not post.there, "the office forgets them")

    assert before == 2
    assert {each.id: (each.state, each.reason) for each in store.messages()} == {
        "m1": ("kept", ""),
        "m2": ("dead", "it is not JSON"),
    }
    assert post.closed


async def test_a_store_and_a_transport_that_are_away_are_waited_for(store, monkeypatch):
    monkeypatch.setattr(relaying, "PAUSES", (0.0, 0.0))
    deliver, away = store.deliver, iter(range(3))

    def unreachable(messages):
        if next(away, None) is not None:
            raise StoreUnreachable("the store is away")
        return deliver(messages)

    monkeypatch.setattr(store, "deliver", unreachable)
    post, said = Closed(), []
    post.put(incoming(1))

    async with carrier(store, post, said=said):
        await until(lambda: not post.there, "it is delivered")

    assert [each.id for each in store.messages()] == ["m1"]
    assert [sum(why in line for line in said) for why in ("the office is closed", "the store is away")] == [1, 1]


async def test_a_transport_in_which_something_was_cancelled_is_received_from_again(store, monkeypatch):
    monkeypatch.setattr(relaying, "PAUSES", (0.001, 0.001))
    post, said = Post(), []
    post.put(incoming(1))
    receive, failures = post.receive, [asyncio.CancelledError()]

    async def receive_once_cancelled():
        if failures:
            raise failures.pop()
        async for batch in receive():
            yield batch

    post.receive = receive_once_cancelled
    async with carrier(store, post, said=said):
        await until(lambda: not post.there, "it is delivered")

    (line,) = said
    assert "something that it awaited was cancelled" in line


def test_an_address_that_cannot_be_received_from_is_refused_before_the_worker_begins(store):
    with pytest.raises(OptionError, match="topics and a group"):
        carrier(store, "kafka://broker:9092")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"payload": '{"\0'}, "not JSON"),
        ({"payload": "[" * 200}, "100 deep"),
        ({"keys": ()}, "key=[]"),
        ({"keys": ("A\0",)}, "control characters"),
        ({"id": "m\0"}, "control characters"),
        ({"topic": ""}, "topic="),
        ({"dead": "what \0 says"}, "what \\x00 says"),
        *(
            ({name: given}, "cannot work")
            for name in ("topic", "id")
            for given in ("x" * 100_000, incompressible(1_000))
        ),
        ({"keys": (incompressible(1_000), incompressible(999), "A17")}, "key="),
    ],
)
async def test_whatever_a_transport_yields_is_in_the_inbox_and_the_next_message_too(store, changed, says):
    post, said = Post(), []
    post.put(incoming(1)._replace(**changed))
    post.put(incoming(2))

    async with carrier(store, post, said=said):
        await until(lambda: not post.there, "both are delivered")

    (dead,) = store.messages(state="dead")
    assert says in dead.reason
    assert [each.id for each in store.messages(state="kept")] == ["m2"]
    assert said == []


@pytest.mark.usefixtures("topics_forgotten")
async def test_a_message_is_kept_as_long_as_its_topic_says_where_that_is_known():
    store, post = Memory(), Post()
    Topic("PAID", ttl=60.0)
    post.put(incoming(1))

    async with carrier(store, post):
        await until(lambda: not post.there, "it is delivered")

    (kept,) = store.messages()
    assert (kept.expires_at - kept.at).total_seconds() == 60.0


class Plain:
    """A store of others, which has no inbox."""


async def test_a_store_without_an_inbox_has_nothing_carried_and_nothing_can_be_received_into_it():
    async with carrier_of(Plain(), (), [].append) as carried:
        assert carried is None

    with pytest.raises(StoreError, match="no inbox"):
        carrier_of(Plain(), [Post()], [].append)


# Killed


def lines_of(file):
    return [tuple(line.split()) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_what_a_run_sends_leaves_though_its_process_is_killed_at_a_hundred_moments(place, tmp_path):
    """None is lost, none is sent under two ids, and those of a key keep their order."""
    sent = tmp_path / "sent"

    command = [sys.executable, Path(__file__).with_name("relays.py"), place, sent, str(MESSAGES), "7", str(KILLS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)

    arrived = list(dict.fromkeys(lines_of(sent)))  # who receives drops what has come before
    assert ended.stdout.split() == [*["-9"] * KILLS, "0"]
    assert len({id_ for _, id_, _ in arrived}) == len(arrived) == MESSAGES
    for key in range(2):
        assert [int(number) for of, _, number in arrived if of == f"K{key}"] == list(range(key, MESSAGES, 2))


# A worker


ORDER = """\
from aiodag.messages import Topic, message, send

COMMANDS = Topic("PAYMENT_COMMAND", via="post:office")


async def order(id: str) -> int:
    await send(COMMANDS, key=id, value={"order": id})
    paid = await message("PAYMENT", key=id)
    return paid["amount"]
"""


@pytest.mark.usefixtures("modules_forgotten", "topics_forgotten")
async def test_a_worker_sends_what_its_runs_send_and_wakes_them_with_what_it_receives(
    store, offices, tmp_path, service_at
):
    file = write_program(tmp_path, ORDER)
    service = service_at(store)
    office = offices["post:office"] = Post()
    run_id = service.submit(f"{file}:order", ["id=A17"])
    worker = QueueWorker(service, transports=[office], say=[].append)

    working = asyncio.create_task(worker.run())
    await until(lambda: store.messages(state="kept"), "the office has sent the command back to us")
    (command,) = store.messages(state="kept")
    office.put(Incoming("PAYMENT", ("A17",), "m1", '{"amount":5}'))
    value = await service.result(run_id, timeout=PATIENCE)
    worker.stop()
    await working

    assert value == 5
    assert (command.topic, list(command.keys), command.payload) == ("PAYMENT_COMMAND", ["A17"], '{"order":"A17"}')
    assert store.relays() == []
