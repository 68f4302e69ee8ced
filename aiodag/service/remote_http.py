"""Speak HTTP to a server, with the standard library alone: connections that are used again, and an end for each wait.

What only looks is asked a second time where a connection broke. What changes something is not, since it may have been done,
but for what has a key by which the server knows it again.
"""

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiodag.errors import StoreError, StoreUnreachable
from aiodag.service.remote_problems import WebAnswer, error_of_answer

if TYPE_CHECKING:
    from aiodag.service.remote_address import WebAddress

API = "/api/v1"
CONNECT, ANSWER = 10.0, 90.0  # seconds for a connection, and for each part of an answer
IDLE = 8  # connections that are kept for the next request


def api_path(*parts: str) -> str:
    """Return a path of the API, each part of it escaped as a whole.

    >>> api_path("runs", "a/b é", "cancel")
    '/api/v1/runs/a%2Fb%20%C3%A9/cancel'
    """
    return "/".join([API, *(quote(each, safe="", errors="surrogatepass") for each in parts)])


class WebLink:
    """The connections of a client to one server. Any thread may ask."""

    def __init__(self, address: "WebAddress", token: str | None) -> None:
        self.address = address
        self.place = str(address)
        self._token = token
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()

    def look(
        self, path: str, query: Mapping[str, object] | None = None, *, accept: str = "application/json"
    ) -> WebAnswer:
        """Return the answer to a question, which changes nothing."""
        return self._ask("GET", with_query(path, query), None, {"Accept": accept}, repeats=True)

    def change(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Any:
        """Have something changed, and return the value of the answer."""
        headers = {"Accept": "application/json"} | ({"Idempotency-Key": key} if key is not None else {})
        answer = self._ask(method, path, body, headers, repeats=key is not None)
        return answer.value(self.place)

    def stream(self, path: str, silence: float) -> tuple[HTTPResponse, socket.socket]:
        """Return an answer that goes on, and its connection, which is broken after so many seconds of silence."""
        connection = self._connection(used=False)
        try:
            response = self._send(
                connection, "GET", path, None, {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
            )
            heard = connection.sock
            heard.settimeout(silence)
            answer = None if response.status == 200 else answer_of(response, response.read())
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._unreachable(error, changes=False) from error
        if answer is not None:
            connection.close()
            raise error_of_answer(answer, self.place, has_token=self._token is not None)
        return response, heard

    def _ask(self, method: str, path: str, body: object, headers: Mapping[str, str], *, repeats: bool) -> WebAnswer:
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers = {**headers, "Content-Type": "application/json"}
        try:
            answer = self._exchange(self._connection(used=repeats), method, path, content, headers)
        except (OSError, HTTPException) as error:
            if not repeats or isinstance(error, ConnectionRefusedError | TimeoutError | socket.gaierror | ssl.SSLError):
                raise self._unreachable(error, changes=not repeats) from error
            try:
                answer = self._exchange(self._connection(used=False), method, path, content, headers)
            except (OSError, HTTPException) as again:
                raise self._unreachable(again, changes=False) from again
        if not 200 <= answer.status < 300:
            raise error_of_answer(answer, self.place, has_token=self._token is not None)
        return answer

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> WebAnswer:
        try:
            response = self._send(connection, method, path, content, headers)
            body = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return answer_of(response, body)

    def _send(
        self, connection: HTTPConnection, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        sent = {"Accept-Encoding": "gzip", **headers}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        if getattr(connection, "sock", None) is None:
            connection.connect()
            connection.sock.settimeout(ANSWER)
        connection.request(method, f"{self.address.path}{path}", content, sent)
        return connection.getresponse()

    def _connection(self, *, used: bool) -> HTTPConnection:
        """Return a connection: one that was used before, if there is one and that is good enough."""
        with self._lock:
            if used and self._idle:
                return self._idle.pop()
        if self.address.scheme == "https":
            return HTTPSConnection(self.address.host, self.address.port, timeout=CONNECT)
        return HTTPConnection(self.address.host, self.address.port, timeout=CONNECT)

    def _keep(self, connection: HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _unreachable(self, error: Exception, *, changes: bool) -> StoreError:
        """Return the error for a server that does not answer."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return StoreError(
                f"the certificate of {self.place} is not one that is trusted here: {error.verify_message}. SSL_CERT_FILE names a file with others"
            )
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        unknown = (
            ". Whether it did what was asked for is not known: look before you ask again"
            if changes and not isinstance(error, ConnectionRefusedError | socket.gaierror)
            else ""
        )
        return StoreUnreachable(f"cannot reach the server {self.place}: {why}{unknown}")

    def close(self) -> None:
        """Close the connections that nobody uses. Whoever asks later gets another one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def __del__(self) -> None:
        self.close()  # nobody has to close a service


def answer_of(response: HTTPResponse, body: bytes) -> WebAnswer:
    """Return an answer that has come as a whole."""
    if response.getheader("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    kind = response.getheader("Content-Type", "").partition(";")[0].strip().lower()
    return WebAnswer(
        response.status, kind, body, response.getheader("Location", "") if 300 <= response.status < 400 else ""
    )


def with_query(path: str, query: Mapping[str, object] | None) -> str:
    """Return a path with its query; what is None is left out."""
    given = {name: each for name, each in (query or {}).items() if each is not None}
    return f"{path}?{urlencode(given, errors='surrogatepass')}" if given else path
