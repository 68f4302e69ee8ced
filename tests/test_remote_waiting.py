"""Waiting for what happens in the store of a server: hints come by a stream, and a server that goes away is waited for."""

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing

import pytest

from aiodag import State
from aiodag.happenings import EVERYTHING, Happening
from aiodag.service import Service
from aiodag.service.remote_hearing import happenings_in
from aiodag.stores.watch import watch_store

LONG = 3_600.0  # seconds, after which nobody would look by himself in a test
FLOW = '{"tasks": {"greet": {"command": ["sh", "-c", "echo one; while ! [ -e go ]; do sleep 0.05; done; echo two"], "cwd": "%s"}}}'


@pytest.fixture
def working(new_web_server, tmp_path):
    """A server, a client of it, and a run in the store, of a process that waits for a file."""
    server = new_web_server()
    flow = tmp_path / "flow.json"
    flow.write_text(FLOW % tmp_path)
    remote = Service(server.address, token=server.token)
    command = [sys.executable, "-m", "aiodag", "--store", server.store, "run", str(flow), "--id", "monday"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert b"greet | one\n" in {process.stderr.readline(), process.stderr.readline()}
        yield server, remote, "monday", tmp_path / "go"
        process.kill()
    remote.close()


def test_the_listener_of_a_server_hears_at_first_of_everything(web_server):
    remote = Service(web_server.address, token=web_server.token)
    listener = remote.store.listener()

    assert listener.wait() == EVERYTHING

    listener.interrupt()
    assert listener.wait() == ()
    listener.close()


async def test_what_happens_while_a_hint_is_made_is_in_the_next_one(monkeypatch):
    monkeypatch.setattr("aiodag.service.remote_hearing.LEAST", 0.0)
    service = Service("memory:hints")
    with watch_store(service.store) as watch:
        news, late = watch.news, [{Happening.ENDED}]

        def news_before_others(ticket):
            found = news(ticket)
            if late:
                watch.note(late.pop())
            return found

        monkeypatch.setattr(watch, "news", news_before_others)
        async with aclosing(happenings_in(service)) as hints, asyncio.timeout(10):
            await anext(hints)
            watch.note({Happening.LINES})
            first, second = await anext(hints), await anext(hints)

    assert (first, second) == ({Happening.LINES}, {Happening.ENDED})
    service.close()


def test_the_end_of_a_run_is_heard_of(working, monkeypatch):
    _, remote, run_id, go = working
    monkeypatch.setattr("aiodag.service.queues.LOOK", LONG)

    async def wait():
        result = asyncio.create_task(remote.result(run_id))
        go.touch()
        return await result

    assert asyncio.run(wait())["greet"].stdout == "one\ntwo\n"


def test_lines_are_heard_of_as_they_come(working):
    _, remote, run_id, go = working
    found = []
    for lines in remote.follow(run_id).looks(patience=LONG):
        found += [each["text"] for each in lines]
        if "one" in found:
            go.touch()

    assert found == ["one", "two"]


def seen_looks(remote, monkeypatch):
    """An event for the first look at a run."""
    looked, head = threading.Event(), remote.head

    def look(run_id):
        found = head(run_id)
        looked.set()
        return found

    monkeypatch.setattr(remote, "head", look)
    return looked


def test_lines_are_followed_through_a_restart_of_the_server(working):
    server, remote, run_id, go = working
    follower = remote.follow(run_id)
    found, reasons = [], set()
    for lines in follower.looks(patience=0.1):
        found += [each["text"] for each in lines]
        if follower.away:
            reasons.add(follower.away.partition(": ")[0])
            server.start()
            go.touch()
        elif found == ["one"] and not reasons:
            server.kill()

    assert found == ["one", "two"]
    assert reasons == {f"cannot reach the server {remote.place}"}


def test_a_result_is_waited_for_while_the_server_is_away(working, monkeypatch):
    server, remote, run_id, go = working
    looked = seen_looks(remote, monkeypatch)

    async def wait():
        result = asyncio.create_task(remote.result(run_id))
        await asyncio.to_thread(looked.wait)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        go.touch()
        return await result

    assert asyncio.run(wait())["greet"].stdout.endswith("two\n")
    assert remote.run(run_id).state is State.SUCCEEDED


def test_a_wait_ends_with_the_last_who_waits(web_server):
    before = threading.active_count()
    remote = Service(web_server.address, token=web_server.token)
    with watch_store(remote.store) as watch:
        ticket = watch.ticket()
        assert watch.wait(ticket, 10, of={Happening.QUEUED})

    assert threading.active_count() <= before + 1
