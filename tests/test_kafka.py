"""Messages as records of Kafka, and back."""

import logging

import pytest

from aiodag import OptionError
from aiodag.messages.kafka_addresses import kafka_address
from aiodag.messages.kafka_records import KafkaRecord, RecordReader, record_parts, waves
from aiodag.messages.payloads import MESSAGE_LARGEST
from aiodag.records import Outgoing


def record(value=b'{"order":{"id":"A17","number":17}}', key=b"A17", headers=()):
    return KafkaRecord("PAYMENT", 2, 40, key, value, headers)


def test_a_record_of_others_is_known_by_its_place_and_is_for_its_key():
    found = RecordReader().incoming(record(headers=[("from", b"shop"), ("none", None)]))

    assert found.id == "PAYMENT:2:40"
    assert (found.topic, tuple(found.keys), found.payload) == ("PAYMENT", ("A17",), record().value.decode())
    assert found.headers == {"from": "shop", "none": ""}
    assert not found.dead


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ("A17",)),
        ({"key": "order.id"}, ("A17",)),
        ({"key": "order.number"}, ("17",)),
        ({"key_header": "order"}, ("B2",)),
        ({"key": lambda record, payload: [payload["order"]["id"], record.headers[0][1].decode()]}, ("A17", "B2")),
    ],
)
def test_the_key_is_that_of_the_record_or_in_a_header_or_a_field_or_what_a_function_says(options, keys):
    found = RecordReader(**options).incoming(record(headers=[("order", b"B2")]))

    assert tuple(found.keys) == keys


def test_the_id_may_be_in_a_header_of_others():
    found = RecordReader(id_header="ce_id").incoming(record(headers=[("ce_id", b"m1")]))

    assert found.id == "m1"


def test_a_record_without_a_value_or_a_key_has_none():
    found = RecordReader().incoming(record(value=None, key=None))

    assert (found.payload, tuple(found.keys), found.dead) == ("null", ("",), "")


@pytest.mark.parametrize(
    ("options", "given", "says"),
    [
        ({}, {"value": b"{"}, "not JSON"),
        ({}, {"value": b"\xff"}, "UTF-8"),
        ({}, {"value": b"[" * 200 + b"]" * 200}, "100 deep"),
        ({}, {"value": b'"' + b"x" * MESSAGE_LARGEST + b'"'}, "bytes"),
        ({}, {"key": b"\xff"}, "UnicodeDecodeError"),
        ({}, {"headers": [("aiodag-keys", b"[]")]}, "OptionError"),
        ({}, {"headers": [("aiodag-id", b"x" * 2_000)]}, "OptionError"),
        ({"key": "order.code"}, {}, "order.code"),
        ({"key": "order"}, {}, "OptionError"),
        ({"key_header": "order"}, {}, "KeyError"),
        ({"key": lambda record, payload: payload["no"]}, {}, "KeyError: 'no'"),
    ],
)
def test_what_nobody_could_take_is_a_dead_letter_with_the_reason(options, given, says):
    found = RecordReader(**options).incoming(record(**given))

    assert says in found.dead
    assert found.id == "PAYMENT:2:40"
    assert len(found.payload) <= MESSAGE_LARGEST


def test_what_is_sent_is_read_as_it_was():
    message = Outgoing("PAYMENT", ("A17", "B2"), "m1", '{"amount":5}', to_all=True, headers={"from": "shop"})
    sent = KafkaRecord("PAYMENT", 0, 0, **record_parts(message))

    found = RecordReader().incoming(sent)

    assert (found.topic, tuple(found.keys), found.id, found.payload) == message[:4]
    assert (found.to_all, found.headers) == (True, {"from": "shop"})


def test_of_one_key_one_message_is_under_way_at_a_time():
    messages = [
        Outgoing("T", tuple(keys), str(number), "null")
        for number, keys in enumerate(["a", "b", "a", "", "", "bc", "c"])
    ]

    found = [[each.id for each in wave] for wave in waves(messages)]

    assert found == [["0", "1"], ["2", "3", "4", "5"], ["6"]]
    assert waves([]) == []


def test_who_asks_is_in_the_address_and_the_password_in_the_environment(monkeypatch):
    monkeypatch.setenv("AIODAG_KAFKA_PASSWORD", "hush")
    found = kafka_address("kafka://me%40shop@one:9092,two:9092?sasl=SCRAM-SHA-512").client_options()

    assert found == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me@shop",
        "sasl_plain_password": "hush",
    }


def test_a_password_that_is_missing_is_asked_for_before_anything_is_connected(monkeypatch):
    monkeypatch.delenv("AIODAG_KAFKA_PASSWORD", raising=False)

    with pytest.raises(OptionError, match="the password of me in the environment, as AIODAG_KAFKA_PASSWORD"):
        kafka_address("kafka://me@one:9092").client_options()


def test_tls_checks_the_certificate_of_the_broker():
    found = kafka_address("kafka://one:9092?tls=yes").client_options()

    assert found["security_protocol"] == "SSL"
    assert found["ssl_context"].check_hostname


def test_what_aiokafka_logs_is_printed_once_a_minute_where_nobody_has_set_up_logging(monkeypatch, capsys):
    from aiodag.messages.kafka import RareLines

    printed, handler = (
        logging.LogRecord("aiokafka", logging.ERROR, "", 0, "no broker at %s", ("here",), None),
        RareLines(),
    )
    with monkeypatch.context() as patch:
        patch.setattr(logging.root, "handlers", [])
        handler.handle(printed)
        handler.handle(printed)
    handler.handle(printed)

    assert capsys.readouterr().err == "no broker at here\n"


@pytest.mark.parametrize("options", [{"enable_auto_commit": True}, {"group_id": "orders"}, {"session_timeout": 5}])
def test_an_option_that_no_client_takes_or_that_is_ours_is_refused(options):
    from aiodag.messages.kafka import Kafka

    with pytest.raises(OptionError, match=next(iter(options))):
        Kafka("broker:9092", **options)
