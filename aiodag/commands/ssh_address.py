"""The address of a machine that is reached over SSH."""

import re
from typing import Any, NamedTuple

from aiodag.errors import OptionError

ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s:]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>\d{1,5}))?"
)


class Address(NamedTuple):
    """Where sshd listens, and who logs in: "" and 0 where nobody has said so."""

    host: str
    port: int
    user: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port or 22}" if self.user else f"{host}:{self.port or 22}"


def parse_address(given: object, user: Any = "") -> Address:
    """Return an address such as user@host:22. Raises `OptionError`."""
    wanted = "a machine, such as node1, user@node1, user@node1:2222 or user@[::1]:22, without a password"
    found = ADDRESS.fullmatch(given) if isinstance(given, str) else None
    host = (found["v6"] or found["host"]) if found else ""
    port = int(found["port"] or 0) if found else 0
    if found is None or port > 65535 or host.startswith("-"):
        shown = given.rpartition("@")[2] if isinstance(given, str) else given  # what stands before it may be a password
        raise OptionError("address", shown, wanted)
    if not isinstance(user, str):
        raise OptionError("user", user, "the name of a login")
    if user and found["user"] and user != found["user"]:
        raise OptionError("user", user, f"the one that the address names, {found['user']!r}; or name one of them only")
    return Address(host, port, user or found["user"] or "")
