"""What a connection may hold, of any server: so much silence, and so much of an answer that nobody takes."""

import asyncio
import socket
from contextlib import asynccontextmanager, closing, suppress

import pytest

pytest.importorskip("uvicorn")

from aiodag.errors import AiodagError
from aiodag.listening import uvicorn as listening
from aiodag.listening.uvicorn import Endpoint, build_server, connections_at_once, open_socket, served_address

LARGE = 2**24  # bytes: more than the buffers of a connection
GET = b"GET /%b HTTP/1.1\r\nHost: here\r\n\r\n"


async def answer_path(scope, receive, send):
    """Answer with `large` bytes in pieces, or never, or at once."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/large":
        for _ in range(LARGE // 2**16):
            await send({"type": "http.response.body", "body": b"x" * 2**16, "more_body": True})
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": b"there"})


@asynccontextmanager
async def served(monkeypatch, **limits):
    for name, value in limits.items():
        monkeypatch.setattr(listening, name, value)
    with open_socket(Endpoint("127.0.0.1", 0)) as made:
        server = build_server(answer_path, Endpoint("127.0.0.1", 0), last_answers=0)
        task = asyncio.create_task(server.serve(sockets=[made]))
        try:
            yield server, made.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            await task


async def until(true):
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)  # real time: sockets of the system are waited for


async def test_a_connection_that_brings_no_request_is_closed(monkeypatch):
    async with served(monkeypatch, HEAD_TIME=0.1) as (_, port):
        for sent in (b"", b"GET / HTTP/1.1\r\nHost:", GET % b"" + b"GET /slow"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            with suppress(ConnectionResetError):
                while await reader.read(1_000):
                    pass
            writer.close()


async def test_a_connection_that_is_being_answered_is_left_alone(monkeypatch):
    async with served(monkeypatch, HEAD_TIME=0.1) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"never")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)  # real time: three times as long as silence may last

        assert len(server.server_state.connections) == 1
        writer.close()


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(monkeypatch):
    async with served(monkeypatch, READ_TIME=0.1) as (server, port):
        with closing(socket.create_connection(("127.0.0.1", port))) as link:
            link.sendall(GET % b"large")
            await until(lambda: server.server_state.tasks)
            await until(lambda: not server.server_state.connections)


async def test_a_client_that_goes_on_reading_gets_all_of_it(monkeypatch):
    async with served(monkeypatch, READ_TIME=0.2, READ_LEAST=1) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"large" + b"")
        size = 0
        while size < LARGE:
            size += len(await reader.read(2**20))

        assert size >= LARGE
        writer.close()


async def test_the_longest_silent_gives_way_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(listening, "connections_at_once", lambda: 3)
    async with served(monkeypatch) as (server, port):
        busy = await asyncio.open_connection("127.0.0.1", port)
        busy[1].write(GET % b"never")
        await busy[0].readuntil(b"\r\n\r\n")
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        await until(lambda: len(server.server_state.connections) == 3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"")

        assert b"200" in await reader.readline()
        for gone, _ in silent[:4]:
            with suppress(ConnectionResetError):
                assert await gone.read() == b""
        assert not busy[0].at_eof()
        for _, each in [busy, *silent, (reader, writer)]:
            each.close()


def test_some_files_are_left_for_other_things(monkeypatch):
    for files, room in ((1024, 824), (100, 50), (10**6, 10_000), (listening.resource.RLIM_INFINITY, 10_000)):
        monkeypatch.setattr(listening.resource, "getrlimit", lambda _, files=files: (files, files))

        assert connections_at_once() == room


def test_a_port_that_is_taken_is_said():
    with open_socket(Endpoint("127.0.0.1", 0)) as made, pytest.raises(AiodagError, match="Address already in use"):
        open_socket(Endpoint("127.0.0.1", made.getsockname()[1]))

    assert served_address(Endpoint("::1", 0), 7) == "http://[::1]:7"
