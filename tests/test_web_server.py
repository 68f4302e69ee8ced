"""What docs/in-a-web-server.md shows, behind a real server: Starlette and FastAPI, over a socket."""

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aiodag import Run, State, task

TIMEOUT = 60  # seconds of a request: nobody waits for them, the clock is set ahead


class SettableLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be set ahead, so that no deadline passes before what a test is about."""

    ahead = 0.0

    def time(self):
        return super().time() + self.ahead


class Backend:
    """What requests call: it says what began, and how it ended."""

    def __init__(self):
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.log = []
        self.runs = []

    async def call(self, seconds):
        self.began.set()
        try:
            await asyncio.sleep(seconds)
            self.log.append("answered")
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            self.ended.set()
        return "rows"


@task
async def parse(rows):
    return rows.upper()


async def stop_when_gone(request, run):
    while (await request.receive())["type"] != "http.disconnect":
        pass
    run.stop()


@asynccontextmanager
async def request_run(request, backend, timeout):
    run = Run("request", timeout=timeout, grace=1)
    backend.runs.append(run)
    watch = asyncio.create_task(stop_when_gone(request, run))
    try:
        async with run:
            yield run
    finally:
        watch.cancel()


async def answer(request, backend, seconds, *, awaits=True):
    fetch = task(backend.call, name="fetch")
    try:
        async with request_run(request, backend, TIMEOUT):
            node = parse(fetch(seconds))
            text = await node if awaits else ""
    except TimeoutError:
        return JSONResponse({"error": "too late"}, status_code=504)
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():
            raise
        return Response(status_code=499)
    return JSONResponse(text)


def starlette(backend):
    async def handler(request):
        return await answer(request, backend, float(request.path_params["seconds"]))

    return Starlette(routes=[Route("/{seconds}", handler)])


def fastapi(backend):
    app = FastAPI()

    async def handler(request: Request, seconds: float):
        return await answer(request, backend, seconds)

    app.get("/{seconds}")(handler)
    return app


@asynccontextmanager
async def served(app):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        server.install_signal_handlers = lambda: None
        server.capture_signals = contextlib.nullcontext
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def request(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def status_of(port, path):
    reader, writer = await request(port, path)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


each_framework = pytest.mark.parametrize("framework", [starlette, fastapi], ids=["starlette", "fastapi"])


@each_framework
def test_a_request_in_time_is_answered(framework):
    async def main():
        backend = Backend()
        async with served(framework(backend)) as port:
            return await status_of(port, "/0"), backend.log, backend.runs[0].state

    assert asyncio.run(main()) == (200, ["answered"], State.SUCCEEDED)


@each_framework
def test_a_request_that_is_late_ends_what_it_called(framework):
    async def main():
        backend = Backend()
        async with served(framework(backend)) as port:
            status = asyncio.create_task(status_of(port, "/3600"))
            await backend.began.wait()
            asyncio.get_running_loop().ahead = 2 * TIMEOUT
            return await status, backend.log, backend.runs[0].state

    with asyncio.Runner(loop_factory=SettableLoop) as runner:
        assert runner.run(main()) == (504, ["cancelled"], State.FAILED)


@each_framework
def test_a_client_that_hangs_up_ends_what_its_request_called(framework):
    async def main():
        backend = Backend()
        async with served(framework(backend)) as port:
            _, writer = await request(port, "/3600")
            await backend.began.wait()
            writer.close()
            await backend.ended.wait()
        return backend.log, backend.runs[0].state

    assert asyncio.run(main()) == (["cancelled"], State.CANCELLED)


def test_a_client_that_hangs_up_ends_what_its_handler_does_not_await():
    async def handler(request):
        return await answer(request, backend, 3600, awaits=False)

    async def main():
        async with served(Starlette(routes=[Route("/", handler)])) as port:
            _, writer = await request(port, "/")
            await backend.began.wait()
            writer.close()
            await backend.ended.wait()

    backend = Backend()
    asyncio.run(main())

    assert (backend.log, backend.runs[0].state) == (["cancelled"], State.CANCELLED)
