"""A server that listens, with uvicorn: sockets, certificates, and limits on what a connection may hold."""

import asyncio
import resource
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
READ_TIME, READ_LEAST = 30.0, 2**14  # seconds, and the bytes of an answer that a client takes in that time
AT_ONCE = 10_000  # connections
SPARE = 50  # connections that are ending
OTHER_FILES = 200  # descriptors that are not of connections
BACKLOG = 1_024  # connections that nobody has looked at yet
# Of them, those that are taken in one turn of the loop. It takes four turns until one that gives way has given back its file.
TAKEN = 25
LAST_ANSWERS = 5  # seconds for streams to tell an end, when the server ends


class Endpoint(NamedTuple):
    """Where a server listens, and with what certificate."""

    address: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


class BoundedConfig(uvicorn.Config):
    """The settings of a server, with what its connections count together: those that are silent, the longest first."""

    def __init__(self, application: Any, at_once: int, **options: Any) -> None:
        super().__init__(application, limit_concurrency=at_once + SPARE, **options)
        self.at_once = at_once
        self.silent: dict[BoundedProtocol, None] = {}


class BoundedProtocol(H11Protocol):
    """A connection that is closed if it brings no whole request within a time, or takes nothing of its answer.

    uvicorn itself would wait for ever, for both. Where there are too many connections, the one that was silent longest goes.
    """

    config: BoundedConfig
    _silence: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > self.config.at_once:
            next(iter(self.config.silent)).give_way()

    def give_way(self) -> None:
        """Close at once. It counts as silent no longer: its end comes a moment later, and others look for their place before."""
        self._end_silence()
        self.transport.abort()

    def handle_events(self) -> None:
        """Take what came; with a whole head of a request the silence is over."""
        super().handle_events()
        if self._is_answering():
            self._end_silence()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, and for the client to take this answer."""
        super().on_response_complete()
        if not self._is_answering():  # it may have begun with one that came with the last
            self._await_request()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take something of what was sent."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Stop waiting for that."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end_silence()
        super().connection_lost(exc)
        if self._stall is not None:
            self._stall.cancel()

    def _is_answering(self) -> bool:
        cycle = vars(self)["cycle"]  # None until there is a request, whatever its type says
        return cycle is not None and not cycle.response_complete

    def _await_request(self) -> None:
        self._end_silence()
        self.config.silent[self] = None
        # Not close(): that would wait until the client has taken all of its last answer.
        self._silence = self.loop.call_later(HEAD_TIME, self.transport.abort)

    def _end_silence(self) -> None:
        self.config.silent.pop(self, None)
        if self._silence is not None:
            self._silence.cancel()

    def _await_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(READ_TIME, self._look_at_reader, left)

    def _look_at_reader(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > before - READ_LEAST:
            self.transport.abort()
        else:
            self._await_reader()


class QuietServer(uvicorn.Server):
    """Leaves the signals to the command line."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, with a longer queue than asyncio empties at once."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)

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


def connections_at_once() -> int:
    """Return how many connections there may be: some of the files that this process may open are for other things."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return AT_ONCE if files == resource.RLIM_INFINITY else max(SPARE, min(AT_ONCE, files - OTHER_FILES))


def build_server(application: Any, endpoint: Endpoint, *, last_answers: int = LAST_ANSWERS) -> QuietServer:
    """Return the server of an application; `serve(sockets=[...])` runs it until `should_exit` is set.

    What it still answers then is cut off after `last_answers` seconds.
    """
    config = BoundedConfig(
        application,
        connections_at_once(),
        http=BoundedProtocol,
        ws="none",
        backlog=TAKEN,
        lifespan="off",
        log_config=None,  # the log is the user's
        log_level="error",  # not for each request that is none
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(HEAD_TIME),
        timeout_graceful_shutdown=last_answers,
        h11_max_incomplete_event_size=HEAD_LARGEST,
        ssl_certfile=endpoint.certificate,
        ssl_keyfile=endpoint.key,
    )
    return QuietServer(config)
