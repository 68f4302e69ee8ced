"""Find the transport that an address names: Kafka, or what somebody has registered."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiodag.errors import OptionError
from aiodag.wording import hide_password

if TYPE_CHECKING:
    from aiodag.abc import Transport

OPENERS: "dict[str, Callable[[str], Transport]]" = {}  # by scheme: in a process, an address means one thing


def register_transport(scheme: str, opener: "Callable[[str], Transport]") -> None:
    """Have addresses that begin with `scheme:` name transports that `opener` makes of them.

    `aiodag worker --import MODULE` imports a module that does so before the worker begins. Registering the same scheme
    again replaces it. Raises `OptionError` for what is not the scheme of an address, and for `kafka`.

    >>> from aiodag.messages import register_transport
    >>> class Printer:
    ...     async def receive(self):
    ...         return
    ...         yield
    ...     async def send(self, messages):
    ...         print([message.payload for message in messages])
    ...     async def close(self): ...
    >>> register_transport("printer", lambda address: Printer())
    """
    if not is_scheme(scheme) or scheme == "kafka":
        raise OptionError("scheme", scheme, "letters and digits, such as 'amqp'; kafka is there already")
    if not callable(opener):
        raise OptionError("opener", opener, "a function that makes a transport of an address")
    OPENERS[scheme] = opener


def is_scheme(given: object) -> bool:
    """Return True for what an address can begin with."""
    return isinstance(given, str) and given.replace("+", "").isalnum() and given[0].isalpha()


def transport_at(address: str) -> "Transport":
    """Return the transport that an address names, opened when it is used. Raises `OptionError`, and `MissingExtra`."""
    scheme = checked_via(address).partition(":")[0]
    if scheme == "kafka":
        from aiodag.messages.kafka import Kafka  # noqa: PLC0415 - it needs an extra

        return Kafka.at(address)
    return OPENERS[scheme](address)


def source_at(address: str) -> "Transport":
    """Return the transport to receive from at an address. Raises `OptionError`, and `MissingExtra`."""
    if checked_via(address).startswith("kafka:"):
        from aiodag.messages.kafka_addresses import kafka_address  # noqa: PLC0415 - few workers receive

        kafka_address(address).check_source()
    return transport_at(address)


def checked_via(address: object, *, option: str = "transport") -> str:
    """Return the address of a transport. Raises `OptionError` for one that nothing here can open. Loads no package."""
    given = address if isinstance(address, str) else ""
    scheme, _, rest = given.partition(":")
    if scheme == "kafka" and rest:
        from aiodag.messages.kafka_addresses import kafka_address  # noqa: PLC0415 - few topics have one

        kafka_address(given, option)
    elif scheme not in OPENERS:
        known = ", ".join(f"{each}:..." for each in ("kafka", *sorted(OPENERS)))
        shown = hide_password(given) or address
        raise OptionError(option, shown, f"an address that begins with {known}; register_transport adds others")
    return given
