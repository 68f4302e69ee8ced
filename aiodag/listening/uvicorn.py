"""A server that listens, with uvicorn: sockets, certificates, and limits on what a connection may hold."""

import asyncio
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from aiodag.errors import AiodagError, OptionError

HEAD_TIME = 30.0  # seconds from the connection to a whole head of a request, and from an answer to the next request
HEAD_LARGEST = 2**14  # bytes
AT_ONCE = 10_000  # connections
BACKLOG = 1_024  # connections that nobody has looked at yet
LAST_ANSWERS = 5  # seconds for streams to tell an end, when the server ends


class Endpoint(NamedTuple):
    """Where a server listens, and with what certificate."""

    address: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


class BoundedProtocol(H11Protocol):
    """A connection that is closed if it brings no whole request within a time: uvicorn itself would wait for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_TIME, self._close_silent)

    def _close_silent(self) -> None:
        if vars(self)["cycle"] is None:  # None until there is a request, whatever its type says
            self.transport.close()


class QuietServer(uvicorn.Server):
    """Leaves the signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take no signals."""
        yield


def open_socket(endpoint: Endpoint) -> socket.socket:
    """Return a socket that listens. Raises `AiodagError`."""
    try:
        found = socket.getaddrinfo(endpoint.address, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # Not create_server(): its sockets do not know that they are TCP, and asyncio leaves the delay of small answers on.
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
        except OSError:
            made.close()
            raise
        made.listen(BACKLOG)
        return made
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"cannot listen on {endpoint.address}:{endpoint.port}: {reason}"
        raise AiodagError(msg) from None


def load_tls(endpoint: Endpoint) -> None:
    """Look whether certificate and key can be used. Raises `OptionError`."""
    if endpoint.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            endpoint.certificate, endpoint.key, password=refuse_password
        )
    except (OSError, ValueError) as error:
        wanted = f"a PEM file with a certificate, and --key the file with its key, which has no password ({error})"
        raise OptionError("--certificate", str(endpoint.certificate), wanted) from None


def refuse_password() -> str:
    """Refuse to ask for the password of a key on a terminal."""
    raise ValueError("the key has a password")


def served_address(endpoint: Endpoint, port: int) -> str:
    """Return the address that clients are given."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{'http' if endpoint.certificate is None else 'https'}://{host}:{port}"


def build_server(application: Any, endpoint: Endpoint, *, last_answers: int = LAST_ANSWERS) -> QuietServer:
    """Return the server of an application; `serve(sockets=[...])` runs it until `should_exit` is set.

    What it still answers then is cut off after `last_answers` seconds.
    """
    config = uvicorn.Config(
        application,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,  # the log is the user's
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=AT_ONCE,
        timeout_keep_alive=int(HEAD_TIME),
        timeout_graceful_shutdown=last_answers,
        h11_max_incomplete_event_size=HEAD_LARGEST,
        ssl_certfile=endpoint.certificate,
        ssl_keyfile=endpoint.key,
    )
    return QuietServer(config)
