"""Run the server: from its socket to its end."""

import socket
import sys
from collections.abc import Callable
from typing import Any

from aiodag.errors import MissingExtra
from aiodag.service import Service
from aiodag.service.serve_options import ServeOptions, tokens_of_server
from aiodag.web.application import build_application
from aiodag.web.gateway import Gateway

try:
    from aiodag.listening.uvicorn import Endpoint, QuietServer, build_server, load_tls, open_socket, served_address
except ImportError as error:
    raise MissingExtra("aiodag serve", "uvicorn", "web") from error

# Seconds after which a thread that computes lets the loop go on. Each of many small writes gives the others the word, and by
# default waits five milliseconds to have it back while a thread writes JSON: two hundred streams take a second then.
SWITCH = 0.0005
LAST_ANSWERS = 1  # seconds for what is still answered when the server ends


class PageServer:
    """The page and the API of a store in this process: `listen`, `run` it, and `stop` it from a signal's handler."""

    def __init__(self, service: Service, options: ServeOptions, spans: Any = None) -> None:
        self._service = service
        self._spans = spans
        self._options = options
        self._endpoint = Endpoint(options.host, options.port, options.certificate, options.key)
        load_tls(self._endpoint)
        self._listening: socket.socket | None = None
        self._gateway: Gateway | None = None
        self._server: QuietServer | None = None

    def listen(self) -> None:
        """Listen, so that nobody else gets the port. Raises `AiodagError`."""
        self._listening = open_socket(self._endpoint)

    def rehearse(self) -> None:
        """Raise what `listen` would, and give the port back."""
        open_socket(self._endpoint).close()

    async def run(self, say: Callable[[str], object], tell: Callable[[str], object]) -> None:
        """Serve until somebody stops it, after `listen`. `tell` is for what must not be missed: a token that it makes."""
        assert self._listening is not None
        sys.setswitchinterval(SWITCH)
        with self._listening:
            application = build_application(self._service, self._options, self._spans)
            self._gateway = Gateway(application, self._options.root_path, self._options.trusted_proxies)
            self._server = build_server(self._gateway, self._endpoint, last_answers=LAST_ANSWERS)
            say(f"page at {served_address(self._endpoint, self._listening.getsockname()[1])}{self._options.root_path}/")
            self._tell_first_token(tell)
            await self._server.serve(sockets=[self._listening])

    def _tell_first_token(self, tell: Callable[[str], object]) -> None:
        if not tokens_of_server(self._options) and (token := self._service.make_first_token()):
            tell(f"token: {token}\nit may do everything, and is shown this once: `aiodag token` makes others")

    def stop(self) -> None:
        """End all streams, wait a moment for what is being answered, and end. Called again: end at once."""
        if self._server is None or self._gateway is None:
            return
        if self._server.should_exit:
            self._server.force_exit = True
        self._server.should_exit = True
        self._gateway.end_answers()
