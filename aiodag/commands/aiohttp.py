"""HTTP as the client of an agent speaks it, with aiohttp: the extra `agent`."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from aiodag.errors import MissingExtra, OptionError

try:
    import aiohttp
except ImportError as error:
    raise MissingExtra("an agent as a host", "aiohttp", "agent") from error

CONNECTING = 3.0  # seconds
SILENCE = 4.0  # seconds without a byte
OTHER_NAMES = {62, 64}  # OpenSSL's codes for a certificate of another host, or of another address
ANSWER_LARGEST = 2**22  # bytes of one that is not a log


class NoAnswer(Exception):
    """An agent has not answered, or not to the end; `sent` if the request may have reached it."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class HttpAnswer(NamedTuple):
    """What an agent answered."""

    code: int
    headers: Mapping[str, str]
    body: bytes


class HttpLine:
    """The connections of one loop to one address. Only while it is open is there anything to close."""

    def __init__(self, address: str, certificate: Path | None) -> None:
        self._address = address
        self._certificate = certificate
        self._session: aiohttp.ClientSession | None = None
        self._answered = False  # whether anybody has, ever

    def open(self) -> None:
        """Get ready to connect. Raises `OptionError` for a certificate that cannot be read."""
        connector = aiohttp.TCPConnector(ssl=trust(self._certificate), limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, connect=CONNECTING, sock_read=SILENCE)
        cookies = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=cookies)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> HttpAnswer:
        """Send a request and return the answer. Raises `NoAnswer`."""
        async with self._request(method, path, headers, body) as response:
            return HttpAnswer(response.status, response.headers, await read_short(response))

    @asynccontextmanager
    async def listen(
        self, path: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[tuple[HttpAnswer, AsyncIterator[bytes]]]:
        """Give an answer without its body, and the chunks of that as they come. Raises `NoAnswer`."""
        async with self._request("GET", path, headers, None) as response:
            body = b"" if response.status == 200 else await read_short(response)
            yield HttpAnswer(response.status, response.headers, body), response.content.iter_any()

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        assert self._session is not None
        url = f"{self._address}{path}"
        try:
            content = None if body is None else BytesIO(body)  # which is sent in parts
            async with self._session.request(
                method, url, headers=headers, data=content, allow_redirects=False
            ) as response:
                self._answered = True
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise NoAnswer(describe_distrust(error.certificate_error), sent=False) from None
        except aiohttp.ClientConnectorSSLError as error:
            why = f"no TLS with what listens there ({error.strerror}): without --certificate its address begins with http://"
            raise NoAnswer(why, sent=False) from None
        except aiohttp.ConnectionTimeoutError:
            raise NoAnswer(f"no connection within {CONNECTING:g} seconds", sent=False) from None
        except aiohttp.ClientConnectorError as error:
            raise NoAnswer(no_connection(error), sent=False) from None
        except TimeoutError:
            raise NoAnswer(f"nothing came for {SILENCE:g} seconds", sent=True) from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            why = " ".join(str(error).split())[:200] or type(error).__name__
            if isinstance(error, aiohttp.ServerDisconnectedError) and url.startswith("http://") and not self._answered:
                why = f"{why}. With --certificate its address begins with https://"
            raise NoAnswer(f"the connection broke: {why}", sent=True) from None


def describe_distrust(error: Exception) -> str:
    """Return why a certificate is not taken, and what to do."""
    if getattr(error, "verify_code", 0) in OTHER_NAMES:
        return f"its certificate is for another name or address ({error}): use that in the address, or give the agent one for this"
    return f"its certificate is not trusted ({error}): certificate= names the file of the authority that signed it"


def no_connection(error: aiohttp.ClientConnectorError) -> str:
    """Return why there is no connection."""
    if isinstance(error.os_error, ConnectionRefusedError):
        return "nobody listens there: is `aiodag agent` running, at that port?"
    return str(error.strerror or error)


async def read_short(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer that is to be short. Raises `NoAnswer` for one that is not."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > ANSWER_LARGEST:
            raise NoAnswer(f"its answer is longer than {ANSWER_LARGEST:,} bytes", sent=True)
    return bytes(found)


def trust(certificate: Path | None) -> Any:
    """Return whom to trust, as aiohttp takes it. Raises `OptionError`."""
    if certificate is None:
        return True
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ValueError) as error:
        wanted = f"a PEM file with the certificate of the agent, or of the authority that signed it ({error})"
        raise OptionError("certificate", str(certificate), wanted) from None
