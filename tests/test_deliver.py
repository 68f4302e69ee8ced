"""A service delivers messages, checks them before anything is recorded, and shows what runs wait for."""

import time
from datetime import timedelta

import pytest
from executions import claim_one, row, write_one

from aiodag import OptionError, State, StoreError
from aiodag.errors import PayloadRefused, SecretInValue
from aiodag.mail import EXPIRED
from aiodag.messages.payloads import DEEPEST, LONGEST, MESSAGE_LARGEST
from aiodag.records import Claim, Owner
from aiodag.secret import Secret
from aiodag.service import Service
from aiodag.stores import Memory


@pytest.fixture
def service(store):
    return Service(store)


def waiting(store, run_id, *topics, key="A17", number=0, due_at=None):
    """A run of this process whose nodes wait for messages on topics."""
    claimed = claim_one(store, Claim(run_id, "order", None, Owner.here(), lease=3600, at=time.time()))
    nodes = [
        row(at, name="message", state=State.RUNNING, value=None, codec="message")
        for at in range(number, number + len(topics))
    ]
    waits = [(at, "message", topic, key, time.time(), due_at, None) for at, topic in enumerate(topics, start=number)]
    write_one(store, claimed, run_id, nodes=nodes, waits=waits)
    return claimed


# What becomes of a message


def test_the_run_that_waits_gets_the_message(service):
    waiting(service.store, "one", "PAYMENT")
    waiting(service.store, "two", "PAYMENT", key="B")

    delivered = service.deliver("PAYMENT", "A17", {"amount": 3}, id="m1")

    assert delivered == ("m1", "taken", ["one"])
    assert [(node.state, node.value) for node in service.nodes("one")] == [(State.SUCCEEDED, '{"amount":3}')]
    assert [wait.run for wait in service.waits() if not wait.settled] == ["two"]


def test_what_nobody_waits_for_is_kept_and_counted_when_it_comes_again(service):
    outcomes = [service.deliver("PAYMENT", "A17", 1, id="m1").outcome for _ in range(3)]

    (message,) = service.messages("PAYMENT")
    assert outcomes == ["kept", "duplicate", "duplicate"]
    assert (message.state, message.repeats, message.keys, message.payload) == ("kept", 2, ["A17"], "1")
    assert message.expires_at - message.at == timedelta(days=1)


def test_two_messages_without_an_id_are_two(service):
    ids = {service.deliver("PAYMENT", "A17").id for _ in range(2)}

    assert {message.id for message in service.messages()} == ids
    assert len(ids) == 2


def test_all_who_wait_get_a_message_that_is_for_all(service):
    for run_id in ("one", "two"):
        waiting(service.store, run_id, "PRICES", key="")

    assert sorted(service.deliver("PRICES", payload=[1, 2], to="all").runs) == ["one", "two"]


def test_a_message_has_several_keys_and_headers(service):
    service.deliver("PAYMENT", ["A17", "A18", "A17"], id="m1", headers={"source": "shop"}, ttl=timedelta(hours=1))

    (message,) = service.messages()
    assert (list(message.keys), dict(message.headers)) == (["A17", "A18"], {"source": "shop"})
    assert message.expires_at - message.at == timedelta(hours=1)


# What is refused, and what is recorded then: nothing


HOSTILE = [
    ({"topic": ""}, "topic=''"),
    ({"topic": "a\nb"}, "topic="),
    ({"topic": "\ud800"}, "topic="),
    ({"topic": "x" * (LONGEST + 1)}, "topic="),
    ({"topic": 7}, "topic=7"),
    ({"topic": "\N{SNOWMAN}" * LONGEST}, "at most 1,300 bytes"),
    ({"key": "a\0b"}, "key="),
    ({"key": []}, r"key=\[\]"),
    ({"key": 17}, "key=17"),
    ({"key": ["a", None]}, "key=None"),
    ({"id": ""}, "id=''"),
    ({"id": "\x1b[2J"}, "id="),
    ({"to": "most"}, "to='most'"),
    ({"ttl": -1}, "ttl=-1"),
    ({"ttl": float("nan")}, "ttl=nan"),
    ({"dedup": timedelta(-1)}, "dedup="),
    ({"headers": ["source"]}, "headers="),
    ({"headers": {"source": 7}}, "headers="),
    ({"headers": {"a\nb": "x"}}, "headers="),
    ({"headers": {str(at): "x" for at in range(101)}}, "headers="),
    ({"headers": {"a": "x" * 20_000}}, "headers="),
]


@pytest.mark.parametrize(("given", "said"), HOSTILE)
def test_what_no_message_can_have_is_refused_before_anything_is_recorded(given, said):
    service = Service(Memory())

    with pytest.raises(OptionError, match=said):
        service.deliver(**({"topic": "PAYMENT"} | given))

    assert service.messages() == []


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (object(), "object"),
        (float("inf"), "finite"),
        (nested(DEEPEST + 1), "nested"),
        (nested(100_000), "nested"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ("x" * MESSAGE_LARGEST, "bytes"),
        ("x" * 100_000_000, "bytes"),
    ],
    ids=["object", "infinity", "deep", "very deep", "surrogate", "surrogate in a name", "large", "100 MB"],
)
def test_a_payload_that_is_no_message_is_refused_before_anything_is_recorded(payload, said):
    service = Service(Memory())

    with pytest.raises(PayloadRefused, match=said):
        service.deliver("PAYMENT", payload=payload)

    assert service.messages() == []


def test_a_payload_that_holds_itself_is_refused():
    payload = []
    payload.append(payload)

    with pytest.raises(PayloadRefused):
        Service(Memory()).deliver("PAYMENT", payload=payload)


def test_odd_but_plain_payloads_arrive_as_they_are(service):
    payloads = [None, 10**4000, "\0", "\u2028", {"": []}, nested(DEEPEST), "x" * (MESSAGE_LARGEST - 2)]
    for at, payload in enumerate(payloads):
        service.deliver("PAYMENT", str(at), payload)

    from aiodag.messages.payloads import read_payload

    assert [read_payload(message.payload) for message in service.messages()] == payloads


def test_a_secret_is_in_no_message(monkeypatch, secrets_forgotten):
    monkeypatch.setenv("CARD", "4929-1234-5678")
    number = Secret("CARD").read()
    service = Service(Memory())

    with pytest.raises(SecretInValue):
        service.deliver("PAYMENT", payload={"card": number})

    assert service.messages() == []


# Strict


def test_a_strict_sender_is_refused_a_topic_that_nobody_knows(service):
    waiting(service.store, "one", "PAYMENT")

    with pytest.raises(StoreError, match="did you mean 'PAYMENT'"):
        service.deliver("PAYMNT", strict=True)
    with pytest.raises(StoreError, match="without `strict` it is kept"):
        service.deliver("other", strict=True)

    assert service.deliver("PAYMENT", "B", strict=True).outcome == "kept"
    assert [message.topic for message in service.messages()] == ["PAYMENT"]


def test_a_message_that_is_only_kept_makes_no_topic_known(service):
    service.deliver("PAYMNT")

    with pytest.raises(StoreError, match="nobody waits"):
        service.deliver("PAYMNT", strict=True)


# Looking


def test_waits_are_those_of_all_runs_of_one_or_of_a_topic(service):
    due = time.time() + 60
    waiting(service.store, "one", "PAYMENT", "SHIPPED", due_at=due)
    waiting(service.store, "two", "PAYMENT", key="B")

    def found(**which):
        return [(wait.run, wait.topic, wait.key) for wait in service.waits(**which)]

    assert found() == [("one", "PAYMENT", "A17"), ("one", "SHIPPED", "A17"), ("two", "PAYMENT", "B")]
    assert found(run_id="two") == [("two", "PAYMENT", "B")]
    assert found(topic="SHIPPED") == [("one", "SHIPPED", "A17")]
    assert found(limit=1) == [("one", "PAYMENT", "A17")]
    assert service.waits("one")[0].due_at.timestamp() == pytest.approx(due)
    with pytest.raises(StoreError, match="Did you mean 'two'"):
        service.waits("tow")


def test_topics_count_who_waits_and_what_is_kept(service):
    waiting(service.store, "one", "PAYMENT")
    service.deliver("PAYMENT", "B")
    service.deliver("SHIPPED")

    assert {topic.name: (topic.waits, topic.kept, topic.dead) for topic in service.topics()} == {
        "PAYMENT": (1, 1, 0),
        "SHIPPED": (0, 1, 0),
    }


def test_a_dead_letter_is_delivered_again(service):
    from aiodag.records import Incoming

    service.store.deliver([Incoming("PAYMENT", ["A17"], "m1", '{"amount": 3}', dead="it did not fit")])
    assert [(message.state, message.reason) for message in service.messages(state="dead")] == [
        ("dead", "it did not fit")
    ]

    waiting(service.store, "one", "PAYMENT")
    assert service.redeliver("PAYMENT", "m1") == ("m1", "taken", ["one"])
    assert service.messages(state="dead") == []
    with pytest.raises(StoreError):
        service.redeliver("PAYMENT", "m2")


def test_a_state_that_no_message_has_is_refused():
    with pytest.raises(OptionError, match="state='lost' cannot work"):
        Service(Memory()).messages(state="lost")


def test_a_graph_from_records_shows_which_nodes_wait_and_which_have(service):
    claimed = waiting(service.store, "one", "PAYMENT", "SHIPPED")
    write_one(service.store, claimed, "one", nodes=[row(2, name="ship")])
    service.deliver("PAYMENT", "A17")

    graph = service.graph("one")
    assert [(node.waits, str(node.shown_as)) for node in graph.nodes] == [
        ("message", "succeeded"),
        ("message", "parked"),
        ("", "succeeded"),
    ]


def test_a_graph_from_records_shows_which_nodes_have_waited_for_a_moment(service):
    claimed = waiting(service.store, "one")
    nodes = [row(0, name="sleep", state=State.RUNNING, value=None)]
    write_one(service.store, claimed, "one", nodes=nodes, waits=[(0, "moment", "", "", 1e9, 1e9, None)])
    write_one(service.store, claimed, "one", due=[0])

    (slept,) = service.graph("one").nodes
    assert (slept.state, slept.waits) == (State.SUCCEEDED, "moment")
    assert service.value("one", "0") is None


def test_a_graph_from_records_shows_a_message_that_did_not_come_in_time_as_a_wait(service):
    waiting(service.store, "one", "PAYMENT", due_at=time.time() - 1)
    service.store.take_queued(Owner.here(), ["default"], 0, lease=3600)  # whoever looks has what is due settled

    (late,) = service.graph("one").nodes
    assert (late.state, late.waits) == (State.FAILED, "message")


def test_what_nobody_waited_for_in_time_is_a_dead_letter_without_a_worker(service):
    service.deliver("PAYMENT", "A17", 1, id="m1", ttl=0)
    service.deliver("PAYMENT", "A17", 2, id="m2")

    assert [(message.id, message.reason) for message in service.messages(state="dead")] == [("m1", EXPIRED)]
    assert [message.id for message in service.messages(state="kept")] == ["m2"]
    assert [message.state for message in service.messages()] == ["dead", "kept"]
    assert [(topic.kept, topic.dead) for topic in service.topics()] == [(1, 1)]

    waiting(service.store, "one", "SHIPPED", "PAYMENT", key="A17")
    assert service.deliver("PAYMENT", "A17", id="m1").outcome == "duplicate"
    assert service.value("one", "1") == 2
    assert service.redeliver("PAYMENT", "m1").outcome == "kept"
