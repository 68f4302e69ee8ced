"""What people write for a Kafka cluster: which brokers, who asks, and what is received from it. Stands on no package."""

import os
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from aiodag.errors import OptionError
from aiodag.wording import hide_password, parts_of_address

WANTED = "kafka://HOST:9092 or kafka://USER@HOST:9092,HOST:9092?group=orders&topics=PAYMENT,SHIPPED"
OPTIONS = ("group", "topics", "key", "key_header", "id_header", "tls", "sasl")
PASSWORD = "AIODAG_KAFKA_PASSWORD"  # noqa: S105 - the name of the variable that has it


class KafkaAddress(NamedTuple):
    """The address of a cluster, read.

    >>> kafka_address("kafka://one:9092,two:9092?group=orders&topics=PAYMENT,SHIPPED&key=order.id")
    KafkaAddress(servers='one:9092,two:9092', user='', topics=('PAYMENT', 'SHIPPED'), group='orders', key='order.id', key_header='', id_header='', tls=False, sasl='PLAIN')
    """

    servers: str
    user: str
    topics: tuple[str, ...]
    group: str
    key: str
    key_header: str
    id_header: str
    tls: bool
    sasl: str

    def check_source(self) -> None:
        """Raise `OptionError` where nothing can be received: without topics, or without a group."""
        if not self.topics or not self.group:
            wanted = f"topics and a group, to receive: kafka://{self.servers}?group=orders&topics=PAYMENT,SHIPPED"
            raise OptionError("transport", f"kafka://{self.servers}", wanted)

    def client_options(self) -> dict[str, object]:
        """Return what the clients of aiokafka are told besides: encryption, and who asks.

        Raises `OptionError` where somebody asks, and the environment has no password.
        """
        found: dict[str, object] = {}
        if self.tls:
            from ssl import create_default_context  # noqa: PLC0415 - slow to load, and not always needed

            found["ssl_context"] = create_default_context()
        if self.user:
            found |= {"sasl_mechanism": self.sasl, "sasl_plain_username": self.user}
            if PASSWORD not in os.environ:
                wanted = f"the password of {self.user} in the environment, as {PASSWORD}"
                raise OptionError("transport", f"kafka://{self.user}@{self.servers}", wanted)
            found["sasl_plain_password"] = os.environ[PASSWORD]
        protocol = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        return {**found, "security_protocol": protocol}


def is_server(text: str) -> bool:
    """Return True for HOST, HOST:PORT or [ADDRESS]:PORT."""
    host, colon, port = text.rpartition(":")
    return bool(text) if not colon or "]" in port else bool(host) and port.isdecimal() and 0 < int(port) < 65_536


def kafka_address(given: str, option: str = "transport") -> KafkaAddress:
    """Return what an address says. Raises `OptionError` for one that is wrong, or has a password, which would be recorded."""
    scheme, credentials, servers, text = parts_of_address(given)
    user, colon, _ = credentials.partition(":")
    shown = hide_password(given)
    if colon:
        raise OptionError(option, shown, f"no password in it: it is read from {PASSWORD} in the environment")
    if scheme != "kafka://" or not servers or "/" in servers or not all(map(is_server, servers.split(","))):
        raise OptionError(option, shown, WANTED)
    options = dict(parse_qsl(text, keep_blank_values=True))
    strange = [name for name in options if name not in OPTIONS]
    if strange or options.get("tls", "no") not in {"yes", "no"}:
        raise OptionError(option, shown, f"the options {', '.join(OPTIONS)}; tls is yes or no")
    if options.get("key") and options.get("key_header"):
        raise OptionError(option, shown, "key, a field of the payload, or key_header, but not both")
    return KafkaAddress(
        servers,
        unquote(user),
        tuple(filter(None, options.get("topics", "").split(","))),
        options.get("group", ""),
        options.get("key", ""),
        options.get("key_header", ""),
        options.get("id_header", ""),
        options.get("tls") == "yes",
        options.get("sasl", "PLAIN"),
    )
