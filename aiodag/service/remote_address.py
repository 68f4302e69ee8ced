"""The address of a server, as people write it: `http://host:2503`, `https://runs.example.com/aiodag`."""

import re
from typing import NamedTuple

from aiodag.errors import AiodagError, StoreError

PORT = 2503
WANTED = f"the address of a server, such as 'http://127.0.0.1:{PORT}' or 'https://runs.example.com/aiodag'"
ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[\w.~!$&'()*+,;=:@%-]+)*)/*",
    re.ASCII | re.IGNORECASE,
)


class WebAddress(NamedTuple):
    """Where a server listens: its scheme, host and port, and the path below which it answers.

    >>> address_of_server("HTTP://127.0.0.1:2503/")
    WebAddress(scheme='http', host='127.0.0.1', port=2503, path='')
    >>> str(address_of_server("https://runs.example.com/aiodag/"))
    'https://runs.example.com/aiodag'
    """

    scheme: str
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"


def is_server_address(place: object) -> bool:
    """Return True for what is meant as the address of a server.

    >>> is_server_address("http://127.0.0.1:2503"), is_server_address("sqlite:///runs.db"), is_server_address(None)
    (True, False, False)
    """
    return isinstance(place, str) and place[:8].lower().startswith(("http://", "https://"))


def address_of_server(text: str) -> WebAddress:
    """Return the address of a server in parts. Raises `StoreError`, which never repeats a password."""
    found = ADDRESS.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 2**16):
        if "@" in text.partition("://")[2].partition("/")[0]:
            msg = "the address of a server has no name and no password in it: AIODAG_TOKEN has the token, or `token_file` of the settings names a file with it"
            raise StoreError(msg)
        msg = f"store={text!r:.300}: {WANTED}"
        raise StoreError(msg)
    port = None if found["port"] is None else int(found["port"])
    return WebAddress(found["scheme"].lower(), found["host"].strip("[]").lower(), port, found["path"])


def server_refused(place: str, what: str, instead: str) -> AiodagError:
    """Return the error for what cannot be done over HTTP.

    >>> print(server_refused("http://127.0.0.1:2503", "a backup", "do it where that is"))
    a backup needs the store itself, and http://127.0.0.1:2503 is a server: do it where that is
    """
    return AiodagError(f"{what} needs the store itself, and {place} is a server: {instead}")
