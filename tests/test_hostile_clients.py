"""Clients that are slow, endless, too many or too large: the server that others use lives on, and its memory is bounded."""

import resource
import select
import socket
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from web_servers import TOKEN, WebServer

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

MIB = 2**20
GROWTH = 160 * MIB  # that a server may grow by: the bodies that arrive at once are 128 MiB at most
IN_TIME = 5.0  # seconds for an answer to somebody else, on a busy machine


@contextmanager
def files_at_most(count):
    """Have this process, and what it starts meanwhile, open so many files at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = WebServer(tmp_path_factory.mktemp("hostile"))
    try:
        with files_at_most(600):
            server.start()
        yield server
    finally:
        server.remove()


def memory_of(server):
    """Return the bytes that the process holds."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


@pytest.fixture(autouse=True)
def others_are_served(server):
    """Others are served meanwhile, and the server neither grows nor complains."""
    server.ask("/api/v1/runs")
    before = memory_of(server)
    yield
    began = time.monotonic()
    assert server.ask("/api/v1/runs").status == 200
    assert time.monotonic() - began < IN_TIME  # real time: others wait for it
    assert memory_of(server) - before < GROWTH
    assert "Traceback" not in server.said


def link_to(server, sent=b""):
    link = socket.create_connection(("127.0.0.1", server.port), 30)
    link.sendall(sent)
    return link


def head(path="/api/v1/runs", method="GET", *more):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", *more, "", ""]
    return "\r\n".join(lines).encode()


def status_of(link):
    """Return the status of an answer, or None where the connection ended without one."""
    with suppress(OSError):
        answer = link.recv(2**16)
        return int(answer.split(b" ")[1]) if answer else None


def test_200_heads_that_never_end(server):
    with ExitStack() as stack:
        links = [stack.enter_context(closing(link_to(server, head()[:-2]))) for _ in range(200)]
        for _ in range(5):
            for link in links:
                link.sendall(b"X-More: 1\r\n")
        assert server.ask("/live").status == 200


def test_a_head_without_end_is_refused(server):
    with closing(link_to(server)) as link:
        with suppress(OSError):
            for _ in range(1_000):
                link.sendall(b"X-More: " + b"x" * 10_000 + b"\r\n")

        assert status_of(link) in {400, 431, None}


def test_a_body_that_never_ends_is_refused(server):
    with closing(
        link_to(server, head("/api/v1/runs", "POST", "Content-Type: application/json", "Transfer-Encoding: chunked"))
    ) as link:
        piece = b"10000\r\n" + b" " * 2**16 + b"\r\n"
        sent = 0
        with suppress(OSError):
            while sent < 200 * MIB and not select.select([link], [], [], 0)[0]:
                link.sendall(piece)
                sent += 2**16

        assert status_of(link) == 413
        assert sent < 100 * MIB


def test_a_body_that_is_too_large_is_refused_before_it_comes(server):
    large = head(
        "/api/v1/runs", "POST", "Content-Type: application/json", f"Content-Length: {2**40}", "Expect: 100-continue"
    )
    with closing(link_to(server, large)) as link:
        assert status_of(link) == 413


def test_200_bodies_that_arrive_slowly(server):
    begun = head("/api/v1/runs", "POST", "Content-Type: application/json", f"Content-Length: {15 * MIB}") + b"[" * 2**16
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(closing(link_to(server, begun)))

        assert server.ask("/api/v1/runs").status == 200


def test_200_clients_that_never_read(server):
    with ExitStack() as stack:
        for number in range(200):
            link = stack.enter_context(closing(socket.socket()))
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            link.connect(("127.0.0.1", server.port))
            link.sendall(head("/openapi.json" if number % 2 else "/api/v1/events"))

        assert server.ask("/api/v1/runs").status == 200


def test_more_connections_than_it_may_have_files(server):
    with files_at_most(4_096), ExitStack() as stack:
        for _ in range(1_500):
            stack.enter_context(closing(link_to(server)))

        assert server.ask("/live").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /%00%ff%2e%2e/%0d%0a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET http://example.com/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"CONNECT example.com:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /runs HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        head() * 200,
    ],
    ids=range(15),
)
def test_what_is_no_request_is_refused(server, sent):
    with closing(link_to(server, sent)) as link:
        link.settimeout(10)

        assert status_of(link) in {200, 303, 400, 401, 403, 404, 405, 411, 413, 421, 426, 505, None}
